//! Foreign tables: `foreign-table orders server=archive { column id bigint; options table_name=orders }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node};
use crate::kinds::held::{self, Held};
use crate::kinds::scope::Scope;
use crate::kinds::{
    Context, Disturbance, Evaluates, Folded, LockMode, Reaction, Room, Statement, generic, inheritance,
};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Within, attr,
};
use crate::sql;

use super::foreign_options::{self as options, SECRET};

const SERVER: Key<ObjectId> = Key::new("server");

static ATTRS: [Attr; 5] = [
    attr(SERVER, Shape::Ref(&["server"]), Form::Property, OnChange::Replace, "The server that holds the rows."),
    inheritance::PARTITION_OF_ATTR,
    inheritance::inherits_attr(&["table", "foreign-table"]),
    options::options_attr(OnChange::Alter, "Which rows of the server it shows: `schema_name=…`, `table_name=…`."),
    options::SECRET_ATTR,
];

pub static KIND: Kind = Kind {
    word: "foreign-table",
    sql: "FOREIGN TABLE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A table whose rows are on a foreign server, with its own columns, checks and triggers.",
};

pub struct ForeignTable;
pub static ROOM: ForeignTable = ForeignTable;

impl Room for ForeignTable {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(&KIND, node, scope);
        if let Some(name) = node.args.first().and_then(Arg::as_text).cloned() {
            options::check(&scope.id(self, name), false, node.span, scope);
        }
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(SERVER).is_none().then(|| "it has no server: `foreign-table NAME server=…`".to_string())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT c.oid, c.relnamespace, c.relname, f.ftserver, f.ftoptions, {} FROM pg_class c \
             JOIN pg_foreign_table f ON f.ftrelid = c.oid WHERE c.relkind = 'f' AND c.oid >= 16384 ORDER BY c.oid",
            inheritance::COLUMNS
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_CLASS, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_CLASS, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(SERVER, book.get(class::PG_FOREIGN_SERVER, row.oid()).cloned());
        options::read(row.next(), false, &mut object.attrs);
        inheritance::read(row, book, &mut object.attrs);
        Some(object)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        attr.name == SECRET.name && options::same_secrets(old, new)
    }

    fn shares_parts_of(&self, object: &Object) -> Option<ObjectId> {
        inheritance::partition_of(object).map(|(parent, _)| parent.clone())
    }

    /// It holds no rows: nothing is lost when it is recreated.
    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Constants
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let server = object.get(SERVER).map_or_else(String::new, sql::target);
        let head = format!("CREATE {}{} {server}", sql::target(id), inheritance::create(object, folded));
        Ok(vec![inheritance::locked(options::create(&head, object), object, cx)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out: Vec<Statement> =
            changed.iter().flat_map(|name| inheritance::alter(id, old, new, name, cx)).collect();
        let statement = options::alter(&format!("ALTER {}", sql::target(id)), old, new, changed);
        out.extend(statement.map(|statement| statement.locks(LockMode::AccessExclusive, id)));
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut drop = Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id);
        if let Some((parent, _)) = inheritance::partition_of(object) {
            drop = inheritance::also_siblings(drop.also_locks(LockMode::AccessExclusive, parent), parent, cx.state);
        }
        Ok(vec![drop])
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_created_and_altered() {
        let full =
            "server s wrapper=w\n\nforeign-table t server=s {\n    options table_name=far\n    column a integer\n}\n";
        assert_eq!(
            create(&round_trip(full), "foreign-table"),
            ["CREATE FOREIGN TABLE public.t () SERVER s OPTIONS (table_name 'far')"]
        );
        assert_eq!(
            alter(full, &full.replace("table_name=far", "schema_name=x"), "foreign-table"),
            ["ALTER FOREIGN TABLE public.t OPTIONS (ADD schema_name 'x', DROP table_name)"]
        );
        let other = format!("server r wrapper=w\n{}", full.replace("server=s", "server=r"));
        assert_eq!(alter(full, &other, "foreign-table"), ["replace because of server"]);
    }

    #[test]
    fn a_foreign_table_has_a_server() {
        let (_, problems) = load("foreign-table t server=nowhere {\n    column a integer\n}\n");
        assert_eq!(problems, ["there is no server `nowhere`"]);
    }

    #[test]
    fn a_partition_says_its_bounds() {
        let (state, problems) = load(
            "server s wrapper=w\ntable p partition-by=\"LIST (a)\" {\n    column a integer\n}\n\
             foreign-table t server=s {\n    partition-of p DEFAULT\n}\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            create(&state, "foreign-table"),
            ["CREATE FOREIGN TABLE public.t PARTITION OF public.p DEFAULT SERVER s"]
        );
    }
}
