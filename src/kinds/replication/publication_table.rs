//! Tables in publications: `table orders id total { where "total > 0" }` in a `publication`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::constraint::{self, COLUMNS, column_list};
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn, schema_id};
use crate::kinds::{Context, Folded, LockMode, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within,
    attr,
};
use crate::sql;

const TABLE: Key<ObjectId> = Key::new("table");
const WHERE: Key<Expr> = Key::new("where");

/// The node's name: in a publication there is no doubt which tables are meant.
const WORDS: &[&str] = &["table"];

static ATTRS: [Attr; 3] = [
    attr(TABLE, Shape::Ref(&["table"]), Form::Custom, OnChange::Replace, "The table."),
    attr(
        COLUMNS,
        Shape::Refs(&["column"]),
        Form::Custom,
        OnChange::Replace,
        "The columns to publish; all if none are given (since 15).",
    )
    .since(15),
    attr(WHERE, Shape::Expr, Form::Child, OnChange::Replace, "Publishes only rows for which this is true (since 15).")
        .since(15),
];

pub static KIND: Kind = Kind {
    word: "publication-table",
    sql: "TABLE",
    address: Address::NamedOn,
    within: Within::Of(&["publication"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: true,
    doc: "A table in a publication; its node is called `table`.",
};

pub struct PublicationTable;
pub static ROOM: PublicationTable = PublicationTable;

impl Room for PublicationTable {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn rights(&self, _: &ObjectId, object: &Object, _: Option<&[&'static str]>) -> Vec<Demand> {
        object.get(TABLE).map(rights::owner).into_iter().collect()
    }

    fn words(&self) -> &'static [&'static str] {
        WORDS
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Columns are known once all tables are read.
        if scope.put_off(Turn::Named, &ROOM, node) {
            return;
        }
        let Some((arg, columns)) = node.args.split_first() else {
            let problem = Problem::new(node.name_span, "this `table` has no name");
            scope.problem(problem.label("write `table NAME`"));
            return;
        };
        let Some(table) = arg.as_text().cloned().and_then(|text| scope.resolve(&["table"], &text, arg.span)) else {
            return;
        };
        let mut columns = constraint::columns(columns, &table, scope);
        columns.sort();
        let Some(id) = scope.parent.as_ref().map(|publication| id(publication, &table)) else { return };
        let rest = Node { args: Vec::new(), ..node.clone() };
        if let Some(object) = generic::parse_as(id, &rest, 0, scope) {
            object.attrs.set(TABLE, table).set(COLUMNS, (!columns.is_empty()).then_some(columns));
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        node.name = WORDS.first().copied()?.into();
        node.args = vec![Arg::text(generic::reference_text(object.get(TABLE)?, Some(&schema_id("public"))))];
        node.args.extend(constraint::column_args(&object.get(COLUMNS).unwrap_or_default()));
        Some(node)
    }

    fn sort(&self, object: &mut Object) {
        let mut columns: Vec<ObjectId> = object.get(COLUMNS).unwrap_or_default().into_iter().cloned().collect();
        columns.sort();
        object.attrs.set(COLUMNS, (!columns.is_empty()).then_some(columns));
    }

    fn called_after(&self, own: &ObjectId, object: &Object) -> Option<ObjectId> {
        Some(id(own.parent()?, object.get(TABLE)?))
    }

    fn query(&self, server: Version) -> Option<String> {
        let more = match server.at_least(15) {
            true => "r.prattrs::int2[], pg_get_expr(r.prqual, r.prrelid)",
            false => "NULL::int2[], NULL::text",
        };
        Some(format!("SELECT r.oid, r.prpubid, r.prrelid, r.prrelid, {more} FROM pg_publication_rel r ORDER BY r.oid"))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, publication, table) = (row.oid(), row.oid(), row.oid());
        let id = id(book.get(class::PG_PUBLICATION, publication)?, book.relation(table)?);
        book.add(class::PG_PUBLICATION_REL, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let relation = row.oid();
        let mut columns = constraint::columns_by_number(book, relation, &row.next::<Vec<i16>>())?;
        columns.sort();
        let mut attrs = Attrs::new();
        attrs.set(TABLE, book.relation(relation)?.clone());
        attrs.set(COLUMNS, (!columns.is_empty()).then_some(columns));
        attrs.set(WHERE, row.text_opt().map(Expr::new));
        Some(Object::new(attrs))
    }

    fn relation(&self, _: &ObjectId, object: &Object) -> Option<ObjectId> {
        object.get(TABLE).cloned()
    }

    fn reaches(&self, object: &Object, drops: bool) -> Option<(LockMode, ObjectId)> {
        Some((LockMode::ShareUpdateExclusive, object.get(TABLE)?.clone())).filter(|_| !drops)
    }

    fn clause(&self, _: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        let columns = object.get(COLUMNS).map_or_else(String::new, |list| format!(" ({})", column_list(list)));
        let filter = object.get(WHERE).map_or_else(String::new, |filter| format!(" WHERE ({})", filter.as_str()));
        // Without `ONLY`, tables that inherit from it would be included.
        Some(format!("ONLY {}{columns}{filter}", sql::path(object.get(TABLE)?)))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let clause = self.clause(id, object, &[], cx);
        Ok(clause.and_then(|clause| alter(id, object, "ADD", &clause)).into_iter().collect())
    }

    fn alter(
        &self,
        _: &ObjectId,
        _: &Object,
        _: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(vec![])
    }

    fn drop(&self, id: &ObjectId, object: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let table = object.get(TABLE).map(|table| format!("ONLY {}", sql::path(table)));
        Ok(table.and_then(|table| alter(id, object, "DROP", &table)).into_iter().collect())
    }
}

/// The place of a table in a publication.
fn id(publication: &ObjectId, table: &ObjectId) -> ObjectId {
    let name = generic::reference_text(table, Some(&schema_id("public")));
    ObjectId::new(&KIND, Some(publication.clone()), name)
}

fn alter(id: &ObjectId, object: &Object, how: &str, table: &str) -> Option<Statement> {
    let statement = Statement::new(format!("ALTER {} {how} TABLE {table}", sql::target(id.parent()?)));
    Some(statement.locks(LockMode::ShareUpdateExclusive, object.get(TABLE)?))
}
