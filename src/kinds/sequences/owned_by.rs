//! The column that a sequence belongs to: `owned-by=orders.number` on the sequence. It is a separate object because the column's default
//! needs the sequence, while the sequence belongs to the column.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::refs::Refs;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Folded, LockMode, Reaction, Room, Statement, find};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql::{self, reference};

/// The role of an owner.
const OWNER: Key<Ident> = Key::new("role");

const COLUMN: Key<ObjectId> = Key::new("column");

static ATTRS: [Attr; 1] = [attr(
    COLUMN,
    Shape::Ref(&["column"]),
    Form::Argument,
    OnChange::Alter,
    "The column, as `table.column`: the sequence is dropped with it.",
)];

pub static KIND: Kind = Kind {
    word: "owned-by",
    sql: "OWNED BY",
    address: Address::Facet,
    within: Within::Of(&["sequence"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "The column that a sequence belongs to.",
};

pub struct OwnedBy;
pub static ROOM: OwnedBy = OwnedBy;

impl Room for OwnedBy {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(sequence) = scope.parent.clone() else { return };
        let Some(column) = node.args.first().and_then(|arg| column(arg, scope)) else { return };
        let mut object = Object::default();
        object.attrs.set(COLUMN, column);
        scope.put(ObjectId::facet(&KIND, sequence), object, node.span);
    }

    fn write(&self, id: &ObjectId, object: &Object, _: Vec<Node>) -> Option<Node> {
        let column = object.get(COLUMN)?;
        let table = column.parent()?;
        let schema = table.schema().filter(|s| Some(*s) != id.schema()).map(|s| s.name().as_str());
        let parts: Vec<&str> = schema.into_iter().chain([table.name().as_str(), column.name().as_str()]).collect();
        Some(Node::new(KIND.word).arg(reference::join(&parts)))
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            // Lateral: one look into the index for each sequence, not through all dependencies.
            "SELECT d.objid, d.refobjid, d.refobjsubid::int2 FROM pg_sequence s CROSS JOIN LATERAL (SELECT * FROM pg_depend d \
                 WHERE d.classid = 1259 AND d.objid = s.seqrelid AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype = 'a' OFFSET 0) d \
             WHERE d.objid >= 16384 ORDER BY d.objid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let sequence = book.relation(row.oid())?.clone();
        Some(ObjectId::facet(&KIND, sequence))
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(COLUMN, book.column(row.oid(), row.next::<i16>())?.clone());
        Some(object)
    }

    /// PostgreSQL links a sequence only to a table of the same owner.
    fn depends_on_facet(&self) -> Option<&'static str> {
        Some("owner")
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    /// The owner of the table, who has to own the sequence as well.
    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut Refs) {
        object.get(COLUMN).and_then(owner).into_iter().for_each(|facet| refs.object(facet));
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let sequence = id.parent().map_or_else(String::new, sql::target);
        let role = object.get(COLUMN).and_then(owner).and_then(|facet| cx.state.get(&facet)?.get(OWNER));
        let give = |role| Statement::new(format!("ALTER {sequence} OWNER TO {}", sql::name(&role)));
        let other = role.filter(|role| cx.creator != Some(role));
        Ok(other.map(give).into_iter().chain([statement(id, object.get(COLUMN))]).collect())
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        self.create(id, new, &[], cx)
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![statement(id, None)])
    }
}

/// The owner facet of a column's table.
fn owner(column: &ObjectId) -> Option<ObjectId> {
    Some(ObjectId::facet(find("owner")?.kind(), column.parent()?.clone()))
}

fn statement(id: &ObjectId, column: Option<&ObjectId>) -> Statement {
    let sequence = id.parent().map_or_else(String::new, sql::target);
    let owner = column.map_or_else(|| "NONE".into(), sql::path);
    let statement = Statement::new(format!("ALTER {sequence} OWNED BY {owner}"));
    match id.parent() {
        Some(sequence) => statement.locks(LockMode::ShareRowExclusive, sequence),
        None => statement,
    }
}

/// `table.column` or `schema.table.column` as the id of a column.
fn column(arg: &Arg, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let text = arg.as_text().map_or("", |t| t);
    let parts = reference::split(text).unwrap_or_default();
    let parts: Vec<&str> = parts.iter().map(|p| &**p).collect();
    match parts.split_last() {
        Some((name, table)) if (1..=2).contains(&table.len()) => {
            let table = scope.resolve(&["table", "foreign-table"], &reference::join(table), arg.span)?;
            Some(ObjectId::new(find("column")?.kind(), Some(table), Ident::from(*name)))
        }
        _ => {
            let problem = Problem::new(arg.span, format!("`{text}` is not a column of a table"));
            scope.problem(problem.label("not a column").help("write `owned-by=\"table.column\"`"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{schema, scope::Load};
    use crate::model::State;

    #[test]
    fn reads_writes_and_alters() {
        let mut load = Load::default();
        load.declared.insert(("public".into(), "orders".into()), vec!["table"]);
        let sequence = ObjectId::new(find("sequence").unwrap().kind(), Some(schema::id("public")), "s");
        let node = Node::new("owned-by").arg("orders.\"a.b\"");
        ROOM.parse(&node, &mut Scope { schema: schema::id("public"), parent: Some(sequence), load: &mut load });
        assert!(load.problems.is_empty(), "{:?}", load.problems);
        let (id, object) = load.state.iter().next().unwrap();
        let written = ROOM.write(id, object, vec![]).unwrap();
        assert_eq!(written.args[0].as_text(), node.args[0].as_text());
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let on = "ALTER SEQUENCE public.s OWNED BY public.orders.\"a.b\"";
        assert_eq!(ROOM.create(id, object, &[], &cx).unwrap()[0].sql, on);
        assert_eq!(ROOM.alter(id, object, object, &[], &cx).unwrap()[0].sql, on);
        assert_eq!(ROOM.drop(id, object, &cx).unwrap()[0].sql, "ALTER SEQUENCE public.s OWNED BY NONE");
    }
}
