//! Sequences: `sequence order_numbers start=100 owned-by=orders.number`. Those of identity columns belong to the column.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Prop};
use crate::kinds::held::{self, Held};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Evaluates, Folded, LockMode, Reaction, Room, Statement, find, generic};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType,
    State, Value, Within, attr,
};
use crate::sql;

use super::numbering;
use super::sequence_options as options;

const TYPE: Key<SqlType> = Key::new("type");
/// Not written to the write-ahead log.
pub const UNLOGGED: Key<bool> = Key::new("unlogged");
/// The kind that determines with which column it is dropped.
const OWNED_BY: &str = "owned-by";

static ATTRS: [Attr; 8] = [
    options::CYCLE_ATTR,
    attr(UNLOGGED, Shape::Flag, Form::Flag, OnChange::Alter, "Not written to the write-ahead log (since 15).")
        .since(15),
    attr(TYPE, Shape::Type, Form::Property, OnChange::Alter, "`smallint`, `integer` or `bigint`.").default("bigint"),
    options::START_ATTR,
    options::INCREMENT_ATTR,
    options::MIN_ATTR,
    options::MAX_ATTR,
    options::CACHE_ATTR,
];

pub static KIND: Kind = Kind {
    word: "sequence",
    sql: "SEQUENCE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A generator of numbers.",
};

pub struct Sequence;
pub static ROOM: Sequence = Sequence;

impl Room for Sequence {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(&KIND, node, scope);
        let Some(name) = node.args.first().and_then(Arg::as_text) else { return };
        let id = scope.id(self, name.clone());
        if let Some(object) = scope.load.state.objects_mut().get_mut(&id) {
            let sql_type = type_of(object).to_string();
            options::normalise(&mut object.attrs, &sql_type);
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let (owner, inner): (Vec<Node>, Vec<Node>) = inner.into_iter().partition(|n| &*n.name == OWNED_BY);
        let mut node = generic::write(id, object, inner);
        for value in owner.into_iter().flat_map(|n| n.args) {
            node.props.push(Prop::new(OWNED_BY, value));
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT c.oid, c.relnamespace, c.relname, c.relpersistence = 'u', format_type(s.seqtypid, NULL), {} \
             FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid \
             WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM pg_depend d \
                   WHERE d.classid = 1259 AND d.objid = c.oid AND d.refclassid = 1259 AND d.deptype = 'i') \
             ORDER BY c.oid",
            options::COLUMNS
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

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(UNLOGGED, row.next::<bool>());
        let sql_type = row.text();
        options::read(row, &mut object.attrs, &sql_type);
        object.attrs.set(TYPE, SqlType::new(sql_type));
        generic::drop_defaults(&KIND, &mut object.attrs);
        Some(object)
    }

    fn vanishes_with(&self, id: &ObjectId, state: &State) -> Option<ObjectId> {
        let owner = state.get(&ObjectId::facet(find(OWNED_BY)?.kind(), id.clone()))?;
        owner.iter().find_map(|(_, value)| match value {
            Value::Ref(column) => Some(column.clone()),
            _ => None,
        })
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn fills(&self, id: &ObjectId, state: &State) -> Option<ObjectId> {
        numbering::columns(id, state).into_iter().next()
    }

    fn goes_on_from(&self, id: &ObjectId, state: &State, other: &State) -> Option<ObjectId> {
        numbering::predecessor(id, &self.fills(id, state)?, other)
    }

    /// Looking for the greatest value plans a query over a table.
    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Constants
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let unlogged = if object.is(UNLOGGED) { "UNLOGGED " } else { "" };
        let mut text = format!("CREATE {unlogged}SEQUENCE {}", sql::path(id));
        if let Some(sql_type) = object.get(TYPE) {
            text.push_str(&format!(" AS {}", sql_type.as_str()));
        }
        for option in options::create(&object.attrs) {
            text.push_str(&format!(" {option}"));
        }
        let path = sql::path(id);
        let mut out = Vec::new();
        if let Some(aside) = numbering::set_aside(id, cx) {
            out.push(renamed(id, &path, &aside, cx));
        }
        out.push(Statement::new(text));
        let numbers = options::Range::new(&object.attrs, type_of(object));
        let columns = numbering::columns(id, cx.state);
        out.extend(columns.iter().flat_map(|column| numbering::go_on(id, &path, &numbers, column, cx)));
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut words = Vec::new();
        if changed.contains(&TYPE.name) {
            words.push(format!("AS {}", type_of(new)));
        }
        if changed.iter().any(|name| ![TYPE.name, UNLOGGED.name].contains(name)) {
            words.extend(options::alter(&old.attrs, &new.attrs));
        }
        let mut out = Vec::new();
        let target = sql::target(id);
        if let Some((number, condition)) = options::forward(&old.attrs, &new.attrs) {
            let path = sql::path(id);
            let text = format!(
                "SELECT pg_catalog.setval({}, {number}, false) FROM {path} WHERE last_value {condition}",
                sql::literal(&path)
            );
            out.push(Statement::new(text).locks(LockMode::RowExclusive, id));
        }
        if !words.is_empty() {
            let text = format!("ALTER {target} {}", words.join(" "));
            out.push(Statement::new(text).locks(LockMode::ShareRowExclusive, id));
        }
        // Its numbers start over, with another storage, which is discarded if the transaction is rolled back.
        if options::moves(&old.attrs, &new.attrs) {
            let numbers = options::Range::new(&new.attrs, type_of(new));
            let columns = numbering::columns(id, cx.state);
            out.extend(columns.iter().flat_map(|column| numbering::behind(&sql::path(id), &numbers, column, cx)));
        }
        if changed.contains(&UNLOGGED.name) {
            let how = if new.is(UNLOGGED) { "UNLOGGED" } else { "LOGGED" };
            out.push(Statement::new(format!("ALTER {target} SET {how}")).locks(LockMode::AccessExclusive, id));
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = vec![Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id)];
        if let Some(aside) = numbering::set_aside(id, cx) {
            let aside = sql::schema_path(id, &aside);
            out.push(renamed(id, &aside, id.name(), cx));
        }
        Ok(out)
    }
}

/// Renames the sequence of an identity that has the name of this one: whoever writes to the table asks it.
fn renamed(id: &ObjectId, path: &str, to: &Ident, cx: &Context<'_>) -> Statement {
    let statement = Statement::new(format!("ALTER SEQUENCE {path} RENAME TO {}", sql::name(to)));
    match numbering::columns(id, cx.state).first().and_then(ObjectId::parent) {
        Some(table) => statement.locks(LockMode::AccessExclusive, table),
        None => statement,
    }
}

fn type_of(object: &Object) -> &str {
    object.get(TYPE).map_or("bigint", |t| t.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::schema;
    use crate::kinds::scope::Load;

    fn read(node: &Node) -> (ObjectId, Object, Load) {
        let mut load = Load::default();
        load.declared.insert(("public".into(), "orders".into()), vec!["table"]);
        let mut scope = Scope { schema: schema::id("public"), parent: None, load: &mut load };
        ROOM.parse(node, &mut scope);
        assert!(load.problems.is_empty(), "{:?}", load.problems);
        let (id, object) = load.state.iter().find(|(id, _)| id.is(&KIND)).map(|(i, o)| (i.clone(), o.clone())).unwrap();
        (id, object, load)
    }

    #[test]
    fn reads_writes_creates_and_alters() {
        let node = Node::new("sequence").arg("s").arg("cycle").prop("type", "integer").int_prop("start", 1000);
        let node = node.int_prop("increment", 5).int_prop("min", 10).int_prop("max", 99_999);
        let node = node.int_prop("cache", 20).prop("owned-by", "orders.number");
        let (id, object, _) = read(&node);
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        assert_eq!(
            ROOM.create(&id, &object, &[], &cx).unwrap()[0].sql,
            "CREATE SEQUENCE public.s AS integer START WITH 1000 INCREMENT BY 5 MINVALUE 10 MAXVALUE 99999 CACHE 20 CYCLE"
        );
        let owner = Node::new("owned-by").arg("orders.number");
        let (_, again, load) = read(&ROOM.write(&id, &object, vec![owner]).unwrap());
        assert_eq!(again, object);
        let owner = ROOM.vanishes_with(&id, &load.state).map(|column| column.to_string());
        assert_eq!(owner.as_deref(), Some("column public.orders.number"));
        let (_, bare, _) = read(&Node::new("sequence").arg("s"));
        let all = ["type", "start", "increment", "min", "max", "cache", "cycle"];
        assert_eq!(
            ROOM.alter(&id, &object, &bare, &all, &cx).unwrap()[0].sql,
            "ALTER SEQUENCE public.s AS bigint INCREMENT BY 1 NO MINVALUE NO MAXVALUE START WITH 1 CACHE 1 NO CYCLE"
        );
        assert_eq!(ROOM.drop(&id, &object, &cx).unwrap()[0].sql, "DROP SEQUENCE public.s");
    }

    #[test]
    fn written_defaults_are_no_difference() {
        let (_, object, _) = read(&Node::new("sequence").arg("s").prop("type", "int").int_prop("max", 2_147_483_647));
        let (_, bare, _) = read(&Node::new("sequence").arg("s").prop("type", "int"));
        assert_eq!(object, bare);
    }
}
