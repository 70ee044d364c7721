//! Sequences: `sequence order_numbers start=100 owned-by=orders.number`. Those of identity columns belong to the column.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Span,
    SqlType, Within, attr,
};
use crate::sql::{self, reference};

use super::scope::Scope;
use super::sequence_options as options;
use super::{Context, Disturbance, Folded, LockMode, Reaction, Room, Statement, find, generic};

const TYPE: Key<SqlType> = Key::new("type");
const UNLOGGED: Key<bool> = Key::new("unlogged");
const OWNED_BY: Key<ObjectId> = Key::new("owned-by");

static ATTRS: [Attr; 9] = [
    options::CYCLE_ATTR,
    attr(UNLOGGED, Shape::Flag, Form::Flag, OnChange::Alter, "Not written to the write-ahead log (from 15 on)."),
    attr(TYPE, Shape::Type, Form::Property, OnChange::Alter, "`smallint`, `integer` or `bigint`.").default("bigint"),
    options::START_ATTR,
    options::INCREMENT_ATTR,
    options::MIN_ATTR,
    options::MAX_ATTR,
    options::CACHE_ATTR,
    attr(
        OWNED_BY,
        Shape::Ref(&["column"]),
        Form::Custom,
        OnChange::Alter,
        "The column with which it is dropped: `table.column`.",
    ),
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

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let id = scope.id(self, name);
        let owned = node.get_prop(OWNED_BY.name).and_then(|arg| column(arg, scope));
        let rest =
            Node { props: node.props.iter().filter(|p| &*p.name != OWNED_BY.name).cloned().collect(), ..node.clone() };
        generic::parse_as(id.clone(), &rest, 1, scope);
        if let Some(object) = scope.load.state.objects.get_mut(&id).filter(|o| o.place == Some(node.span)) {
            object.attrs.set(OWNED_BY, owned);
            let sql_type = type_of(object).to_string();
            options::normalise(&mut object.attrs, &sql_type);
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        if let Some((table, column)) = object.get(OWNED_BY).and_then(|c| Some((c.parent()?, c))) {
            let schema = table.schema().filter(|s| Some(*s) != id.schema()).map(|s| s.name().as_str());
            let parts = schema.into_iter().chain([table.name().as_str(), column.name().as_str()]).collect::<Vec<_>>();
            let value = Arg::text(reference::join(&parts));
            node.props.push(Prop { name: OWNED_BY.name.into(), value, name_span: Span::default() });
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT c.oid, c.relnamespace, c.relname, c.relpersistence = 'u', format_type(s.seqtypid, NULL), {}, \
             d.refobjid, d.refobjsubid::int2 \
             FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid \
             LEFT JOIN pg_depend d ON d.classid = 1259 AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 1259 \
                  AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
             WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND d.deptype IS DISTINCT FROM 'i' ORDER BY c.oid",
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

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(UNLOGGED, row.next::<bool>());
        let sql_type = row.text();
        options::read(row, &mut object.attrs, &sql_type);
        object.attrs.set(TYPE, SqlType::new(sql_type));
        generic::drop_defaults(&KIND, &mut object.attrs);
        let (table, number) = (row.oid(), row.next::<i16>());
        object.attrs.set(OWNED_BY, book.column(table, number).cloned());
        Some(object)
    }

    fn vanishes_with(&self, object: &Object) -> Option<ObjectId> {
        object.get(OWNED_BY).cloned()
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            Disturbance::Replaced(_) => Reaction::Replace,
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let unlogged = if object.is(UNLOGGED) { "UNLOGGED " } else { "" };
        let mut text = format!("CREATE {unlogged}SEQUENCE {}", sql::path(id));
        if let Some(sql_type) = object.get(TYPE) {
            text.push_str(&format!(" AS {}", sql_type.as_str()));
        }
        for option in options::create(&object.attrs) {
            text.push_str(&format!(" {option}"));
        }
        let statement = match object.get(OWNED_BY) {
            Some(column) => {
                text.push_str(&format!(" OWNED BY {}", sql::path(column)));
                let table = column.parent().unwrap_or(column);
                Statement::new(text).locks(LockMode::AccessShare, table)
            }
            None => Statement::new(text),
        };
        Ok(vec![statement])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut words = Vec::new();
        if changed.contains(&TYPE.name) {
            words.push(format!("AS {}", type_of(new)));
        }
        if changed.iter().any(|name| ![TYPE.name, UNLOGGED.name, OWNED_BY.name].contains(name)) {
            words.extend(options::alter(&old.attrs, &new.attrs));
        }
        if changed.contains(&OWNED_BY.name) {
            words.push(format!("OWNED BY {}", new.get(OWNED_BY).map_or_else(|| "NONE".into(), sql::path)));
        }
        let mut out = Vec::new();
        let target = sql::target(id);
        if !words.is_empty() {
            let text = format!("ALTER {target} {}", words.join(" "));
            out.push(Statement::new(text).locks(LockMode::ShareRowExclusive, id));
        }
        if changed.contains(&UNLOGGED.name) {
            let how = if new.is(UNLOGGED) { "UNLOGGED" } else { "LOGGED" };
            out.push(Statement::new(format!("ALTER {target} SET {how}")).locks(LockMode::AccessExclusive, id));
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id)])
    }
}

fn type_of(object: &Object) -> &str {
    object.get(TYPE).map_or("bigint", |t| t.as_str())
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
            let problem = Problem::new(arg.span, format!("`{text}` is no column of a table"));
            scope.problem(problem.label("not a column").help("write `owned-by=\"table.column\"`"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::schema;
    use crate::kinds::scope::Load;
    use crate::model::State;

    fn read(node: &Node) -> (ObjectId, Object, Load) {
        let mut load = Load::default();
        load.declared.insert(("public".into(), "orders".into()), vec!["table"]);
        let mut scope = Scope { schema: schema::id("public"), parent: None, load: &mut load };
        ROOM.parse(node, &mut scope);
        assert!(load.problems.is_empty(), "{:?}", load.problems);
        let (id, object) = load.state.iter().next().map(|(i, o)| (i.clone(), o.clone())).unwrap();
        (id, object, load)
    }

    #[test]
    fn reads_writes_creates_and_alters() {
        let node = Node::new("sequence").arg("s").arg("cycle").prop("type", "integer").int_prop("start", 1000);
        let node = node.int_prop("increment", 5).int_prop("min", 10).int_prop("max", 99_999);
        let node = node.int_prop("cache", 20).prop("owned-by", "orders.number");
        let (id, object, _) = read(&node);
        let state = State::default();
        let cx = Context { server: Version::major_release(15), state: &state };
        assert_eq!(
            ROOM.create(&id, &object, &[], &cx).unwrap()[0].sql,
            "CREATE SEQUENCE public.s AS integer START WITH 1000 INCREMENT BY 5 MINVALUE 10 MAXVALUE 99999 CACHE 20 CYCLE \
             OWNED BY public.orders.number"
        );
        let written = ROOM.write(&id, &object, vec![]).unwrap();
        let (_, again, _) = read(&written);
        assert_eq!(again, object);
        let (_, bare, _) = read(&Node::new("sequence").arg("s"));
        let all = ["type", "start", "increment", "min", "max", "cache", "cycle", "owned-by"];
        assert_eq!(
            ROOM.alter(&id, &object, &bare, &all, &cx).unwrap()[0].sql,
            "ALTER SEQUENCE public.s AS bigint INCREMENT BY 1 NO MINVALUE NO MAXVALUE START WITH 1 CACHE 1 NO CYCLE \
             OWNED BY NONE"
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
