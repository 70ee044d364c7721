//! Identity columns: `identity=always` on a column, `identity always start=100` in it.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::scope::Scope;
use crate::kinds::sequence_options as options;
use crate::kinds::{
    Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, generic, numbering,
};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, MAX_NAME_BYTES, Namespace, Object, ObjectId, OnChange, Result,
    Shape, SqlType, State, Text, Within, attr,
};
use crate::sql;

use super::filling;

const GENERATED: Key<Text> = Key::new("generated");
pub const SEQUENCE_NAME: Key<Ident> = Key::new("sequence-name");

static ATTRS: [Attr; 8] = [
    attr(
        GENERATED,
        Shape::Word(&["always", "by-default"]),
        Form::Argument,
        OnChange::Alter,
        "Whether an INSERT may supply a value.",
    ),
    options::CYCLE_ATTR,
    options::START_ATTR,
    options::INCREMENT_ATTR,
    options::MIN_ATTR,
    options::MAX_ATTR,
    options::CACHE_ATTR,
    attr(
        SEQUENCE_NAME,
        Shape::Name,
        Form::Property,
        OnChange::AlterIfSaid,
        "The name of its sequence; if omitted, a new one is called `table_column_seq`, and an existing one keeps its name.",
    ),
];

pub static KIND: Kind = Kind {
    word: "identity",
    sql: "IDENTITY",
    address: Address::Facet,
    within: Within::Of(&["column"]),
    namespace: Namespace::ColumnValue,
    attrs: &ATTRS,
    folds: true,
    doc: "Numbers the rows from a sequence that belongs to the column.",
};

pub struct Identity;
pub static ROOM: Identity = Identity;

impl Room for Identity {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(&KIND, node, scope);
        let Some(column) = scope.parent.clone() else { return };
        let id = ObjectId::facet(&KIND, column.clone());
        let sql_type = scope.load.state.get(&column).and_then(|c| c.get(TYPE)).map(|t| t.as_str().to_string());
        if let Some(object) = scope.load.state.objects_mut().get_mut(&id) {
            options::normalise(&mut object.attrs, sql_type.as_deref().unwrap_or("bigint"));
        }
    }

    fn query(&self, _: Version) -> Option<String> {
        // Partitions share the sequence of their parent's column (from 17 on), and have none of their own.
        Some(format!(
            "SELECT a.attrelid, a.attnum, c.oid, a.attidentity, t.relname, a.attname, c.relname, format_type(s.seqtypid, NULL), {} \
             FROM pg_sequence s CROSS JOIN LATERAL (SELECT d.refobjid, d.refobjsubid FROM pg_depend d WHERE d.classid = 1259 \
                 AND d.objid = s.seqrelid AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype = 'i' OFFSET 0) d \
             JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_class t ON t.oid = d.refobjid CROSS JOIN LATERAL (SELECT a.* FROM pg_attribute a \
                 WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attidentity <> '' OFFSET 0) a WHERE c.oid >= 16384 \
             ORDER BY a.attrelid, a.attnum",
            options::COLUMNS
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (table, number, sequence) = (row.oid(), row.next::<i16>(), row.oid());
        let id = ObjectId::facet(&KIND, book.column(table, number)?.clone());
        book.add(class::PG_CLASS, sequence, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(GENERATED, Text::from(if row.char() == 'a' { "always" } else { "by-default" }));
        let (table, column, sequence, sql_type) = (row.text(), row.text(), row.text(), row.text());
        options::read(row, &mut object.attrs, &sql_type);
        let usual = usual_name(&table, &column) == *sequence;
        object.attrs.set(SEQUENCE_NAME, (!usual).then(|| Ident::new(sequence)));
        Some(object)
    }

    fn takes(&self, id: &ObjectId, object: &Object) -> Option<Ident> {
        Some(sequence_name(id, object))
    }

    fn keeps_name(&self, before: &ObjectId, object: &mut Object) -> bool {
        let news = object.get(SEQUENCE_NAME).is_none();
        let name = sequence_name(before, object);
        object.attrs.set(SEQUENCE_NAME, name);
        news
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        // ALTER COLUMN … TYPE changes the sequence's type too
        disturbance.unless_retyped()
    }

    fn fills(&self, id: &ObjectId, _: &State) -> Option<ObjectId> {
        id.parent().cloned()
    }

    fn goes_on_from(&self, id: &ObjectId, _: &State, other: &State) -> Option<ObjectId> {
        numbering::predecessor(id, id.parent()?, other)
    }

    /// Looking for the greatest value plans a query over the table.
    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Constants
    }

    /// PostgreSQL adds no column with numbers to a table that has heirs (`ATExecAddColumn`, tablecmds.c): they come when the column is there.
    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Option<String> {
        let column = id.parent()?;
        let there = column.parent().is_some_and(|table| cx.across().is_some_and(|other| other.has(table)));
        let apart = there && filling::above_heirs(column, cx.state);
        (!apart).then(|| words(id, object, cx))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = vec![alter_column(id, &format!("ADD {}", words(id, object, cx)))];
        let Some(column) = id.parent() else { return Ok(out) };
        if let Some(sql_type) = numbering::type_of(column, cx.state) {
            let name = numbering::name_for_now(id, cx).unwrap_or_else(|| sequence_name(id, object));
            let numbers = options::Range::new(&object.attrs, &sql_type);
            out.extend(numbering::go_on(id, &sql::schema_path(id, &name), &numbers, column, cx));
        }
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
        if changed.contains(&GENERATED.name) {
            words.push(format!("SET GENERATED {}", generated(new)));
        }
        // RESTART is the only option without SET.
        let option = |o: String| if o == "RESTART" { o } else { format!("SET {o}") };
        if changed.iter().any(|name| ![GENERATED.name, SEQUENCE_NAME.name].contains(name)) {
            words.extend(options::alter(&old.attrs, &new.attrs).into_iter().map(option));
        }
        let mut out = Vec::new();
        if let (Some((number, condition)), Some(table)) =
            (options::forward(&old.attrs, &new.attrs), id.parent().and_then(ObjectId::parent))
        {
            let path = sql::schema_path(id, &sequence_name(id, old));
            let text = format!(
                "SELECT pg_catalog.setval({}, {number}, false) FROM {path} WHERE last_value {condition}",
                sql::literal(&path)
            );
            out.push(Statement::new(text).locks(LockMode::RowExclusive, table));
        }
        if !words.is_empty() {
            out.push(alter_column(id, &words.join(" ")));
        }
        let name = sequence_name(id, old);
        // Its numbers start over, with another storage, which is discarded if the transaction is rolled back.
        if options::moves(&old.attrs, &new.attrs)
            && let Some(column) = id.parent()
            && let Some(sql_type) = numbering::type_of(column, cx.state)
        {
            let numbers = options::Range::new(&new.attrs, &sql_type);
            out.extend(numbering::behind(&sql::schema_path(id, &name), &numbers, column, cx));
        }
        if changed.contains(&SEQUENCE_NAME.name) {
            let (path, to) = (sql::schema_path(id, &name), sequence_name(id, new));
            let statement = Statement::new(format!("ALTER SEQUENCE {path} RENAME TO {}", sql::name(&to)));
            // Whoever writes to the table asks its sequence.
            let table = id.parent().and_then(ObjectId::parent);
            out.push(match table {
                Some(table) => statement.locks(LockMode::AccessExclusive, table),
                None => statement,
            });
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![alter_column(id, "DROP IDENTITY")])
    }
}

/// The type attribute of a column's table; rooms do not import each other.
const TYPE: Key<SqlType> = Key::new("type");

fn generated(object: &Object) -> &'static str {
    if object.get(GENERATED).is_some_and(|g| &**g == "by-default") { "BY DEFAULT" } else { "ALWAYS" }
}

fn sequence_name(id: &ObjectId, object: &Object) -> Ident {
    let usual = || {
        let column = id.parent();
        let table = column.and_then(|c| c.parent()).map_or("", |t| t.name().as_str());
        Ident::from(usual_name(table, column.map_or("", |c| c.name().as_str())))
    };
    object.get(SEQUENCE_NAME).unwrap_or_else(usual)
}

/// `table_column_seq`, the longer part cut until it fits (PostgreSQL's makeObjectName).
fn usual_name(table: &str, column: &str) -> String {
    let room = MAX_NAME_BYTES - "__seq".len();
    let (mut first, mut second) = (table.len(), column.len());
    while first + second > room {
        if first > second { first -= 1 } else { second -= 1 }
    }
    let cut = |text: &str, mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.get(..at).unwrap_or(text).to_string()
    };
    format!("{}_{}_seq", cut(table, first), cut(column, second))
}

/// `GENERATED … AS IDENTITY (…)`.
fn words(id: &ObjectId, object: &Object, cx: &Context<'_>) -> String {
    let mut words = Vec::new();
    let now = numbering::name_for_now(id, cx).filter(|now| *now != sequence_name(id, object));
    if let Some(name) = now.or_else(|| object.get(SEQUENCE_NAME)) {
        words.push(format!("SEQUENCE NAME {}", sql::schema_path(id, &name)));
    }
    words.extend(options::create(&object.attrs));
    let list = if words.is_empty() { String::new() } else { format!(" ({})", words.join(" ")) };
    format!("GENERATED {} AS IDENTITY{list}", generated(object))
}

fn alter_column(id: &ObjectId, what: &str) -> Statement {
    let column = id.parent();
    let (Some(column), Some(table)) = (column, column.and_then(|c| c.parent())) else { return Statement::new(what) };
    let column = sql::name(column.name());
    Statement::new(format!("ALTER {} {} ALTER COLUMN {column} {what}", table.kind().sql, sql::path(table)))
        .locks(LockMode::AccessExclusive, table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::Load;
    use crate::kinds::{find, schema};

    #[test]
    fn reads_creates_and_alters() {
        let table = ObjectId::new(find("table").unwrap().kind(), Some(schema::id("public")), "orders");
        let column = ObjectId::new(find("column").unwrap().kind(), Some(table), "id");
        let id = ObjectId::facet(&KIND, column.clone());
        let read = |node: Node| {
            let mut load = Load::default();
            let mut scope = Scope { schema: schema::id("public"), parent: Some(column.clone()), load: &mut load };
            ROOM.parse(&node, &mut scope);
            assert!(load.problems.is_empty(), "{:?}", load.problems);
            load.state.get(&id).cloned().unwrap()
        };
        let plain = read(Node::new("identity").arg("always"));
        let node = Node::new("identity").arg("by-default").int_prop("start", 100).int_prop("increment", 2);
        let full = read(node.prop("sequence-name", "numbers"));
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        assert_eq!(ROOM.clause(&id, &plain, &[], &cx).unwrap(), "GENERATED ALWAYS AS IDENTITY");
        assert_eq!(
            ROOM.create(&id, &full, &[], &cx).unwrap()[0].sql,
            "ALTER TABLE public.orders ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY \
             (SEQUENCE NAME public.numbers START WITH 100 INCREMENT BY 2)"
        );
        let all = ["generated", "start", "increment", "sequence-name"];
        let up: Vec<String> = ROOM.alter(&id, &plain, &full, &all, &cx).unwrap().into_iter().map(|s| s.sql).collect();
        assert_eq!(
            up,
            [
                "ALTER TABLE public.orders ALTER COLUMN id SET GENERATED BY DEFAULT SET INCREMENT BY 2 SET START WITH 100",
                "ALTER SEQUENCE public.orders_id_seq RENAME TO numbers"
            ]
        );
        assert_eq!(
            ROOM.drop(&id, &full, &cx).unwrap()[0].sql,
            "ALTER TABLE public.orders ALTER COLUMN id DROP IDENTITY"
        );
    }

    #[test]
    fn names_are_cut_as_postgresql_does() {
        assert_eq!(usual_name("orders", "id"), "orders_id_seq");
        let long = usual_name(&"t".repeat(63), &"c".repeat(40));
        assert_eq!(long, format!("{}_{}_seq", "t".repeat(29), "c".repeat(29)));
        assert_eq!(usual_name(&"ä".repeat(31), "id").len(), 63);
    }
}
