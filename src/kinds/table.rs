//! Tables: plain, partitioned, partitions, inheriting, unlogged, with storage parameters and row security.

use crate::catalog::{Book, Row, Version, class};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options, Result, Shape, State, Within, attr,
};
use crate::sql;

use super::{Context, Disturbance, Folded, LockMode, Reaction, Room, Statement};

const UNLOGGED: Key<bool> = Key::new("unlogged");
const PARTITION_BY: Key<Expr> = Key::new("partition-by");
const PARTITION_OF: Key<Attrs> = Key::new("partition-of");
const PARENT: Key<ObjectId> = Key::new("parent");
const BOUND: Key<Expr> = Key::new("bound");
const INHERITS: Key<Vec<ObjectId>> = Key::new("inherits");
const ROW_SECURITY: Key<bool> = Key::new("row-security");
const FORCE_ROW_SECURITY: Key<bool> = Key::new("force-row-security");
/// What a foreign key points to.
const REFERENCES: Key<ObjectId> = Key::new("references");
const USING: Key<Ident> = Key::new("using");
const TABLESPACE: Key<Ident> = Key::new("tablespace");
const WITH: Key<Options> = Key::new("with");

static PARTITION: [Attr; 2] = [
    attr(PARENT, Shape::Ref(&["table"]), Form::Argument, OnChange::Alter, "The partitioned table."),
    attr(BOUND, Shape::Expr, Form::Argument, OnChange::Alter, "`FOR VALUES …` or `DEFAULT`."),
];

static ATTRS: [Attr; 9] = [
    attr(UNLOGGED, Shape::Flag, Form::Flag, OnChange::Alter, "Not written to the write-ahead log; emptied after a crash."),
    attr(ROW_SECURITY, Shape::Flag, Form::Flag, OnChange::Alter, "Policies decide which rows people see."),
    attr(FORCE_ROW_SECURITY, Shape::Flag, Form::Flag, OnChange::Alter, "Policies hold for the owner too."),
    attr(PARTITION_BY, Shape::Expr, Form::Property, OnChange::Replace, "Strategy and key: `RANGE (placed)`."),
    attr(USING, Shape::Name, Form::Property, OnChange::Replace, "The table access method.").default("heap"),
    attr(TABLESPACE, Shape::Name, Form::Property, OnChange::Alter, "Where the table's files are."),
    attr(PARTITION_OF, Shape::Record(&PARTITION), Form::Child, OnChange::Alter, "What the table is a partition of, and its bounds."),
    attr(INHERITS, Shape::Refs(&["table"]), Form::Child, OnChange::Alter, "The tables whose columns it inherits."),
    attr(WITH, Shape::Options, Form::Child, OnChange::Alter, "Storage parameters; those of the TOAST table begin with `toast.`."),
];

pub static KIND: Kind = Kind {
    word: "table",
    sql: "TABLE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A table with its columns, constraints, indexes, triggers and policies.",
};

pub struct Table;
pub static ROOM: Table = Table;

impl Room for Table {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT c.oid, c.relnamespace, c.relname, c.relpersistence = 'u', c.relrowsecurity, c.relforcerowsecurity, \
             CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, am.amname::text, s.spcname::text, \
             CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END, \
             CASE WHEN c.relhassubclass OR c.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) \
                  THEN ARRAY(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) END, \
             c.reloptions, t.reloptions \
             FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.reloptions IS NOT NULL \
             WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.relpersistence <> 't' ORDER BY c.oid"
                .into(),
        )
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
        let mut attrs = Attrs::new();
        attrs.set(UNLOGGED, row.next::<bool>());
        attrs.set(ROW_SECURITY, row.next::<bool>());
        attrs.set(FORCE_ROW_SECURITY, row.next::<bool>());
        attrs.set(PARTITION_BY, row.text_opt().map(Expr::new));
        attrs.set(USING, row.text_opt().filter(|am| &**am != "heap").map(Ident::new));
        attrs.set(TABLESPACE, row.text_opt().map(Ident::new));
        let bound = row.text_opt();
        let parents: Vec<u32> = row.next();
        let mut parents = parents.iter().filter_map(|oid| book.relation(*oid).cloned());
        match bound {
            Some(bound) => {
                attrs.set(PARTITION_OF, Attrs::new().with(PARENT, parents.next()).with(BOUND, Expr::new(bound)));
            }
            None => {
                let parents: Vec<ObjectId> = parents.collect();
                attrs.set(INHERITS, (!parents.is_empty()).then_some(parents));
            }
        }
        let mut options: Vec<String> = row.next();
        options.extend(row.next::<Vec<String>>().into_iter().map(|o| format!("toast.{o}")));
        attrs.set(WITH, Options::some(options));
        Some(Object::new(attrs))
    }

    fn shares_parts_of(&self, object: &Object) -> Option<ObjectId> {
        partition_of(object).map(|(parent, _)| parent.clone())
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            Disturbance::Replaced(id) => Reaction::Impossible(format!("it would have to be emptied, since {id} has to be replaced")),
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let unlogged = if object.is(UNLOGGED) { "UNLOGGED " } else { "" };
        let mut text = format!("CREATE {unlogged}TABLE {}", sql::path(id));
        let clauses: Vec<String> = folded.iter().map(|f| format!("\n    {}", f.clause)).collect();
        let list = format!(" ({}{})", clauses.join(","), if clauses.is_empty() { "" } else { "\n" });
        let mut statement = None;
        match partition_of(object) {
            Some((parent, bound)) => {
                let list = if clauses.is_empty() { String::new() } else { list };
                text.push_str(&format!(" PARTITION OF {}{list} {bound}", sql::path(parent)));
                statement = Some(parent.clone());
            }
            None => text.push_str(&list),
        }
        if let Some(parents) = object.get(INHERITS) {
            text.push_str(&format!(" INHERITS ({})", parents.iter().map(|p| sql::path(p)).collect::<Vec<_>>().join(", ")));
        }
        if let Some(key) = object.get(PARTITION_BY) {
            text.push_str(&format!(" PARTITION BY {}", key.as_str()));
        }
        if let Some(method) = object.get(USING) {
            text.push_str(&format!(" USING {}", sql::name(&method)));
        }
        if let Some(options) = object.get(WITH) {
            text.push_str(&format!(" WITH ({})", sql::options(options.into_iter())));
        }
        if let Some(space) = object.get(TABLESPACE) {
            text.push_str(&format!(" TABLESPACE {}", sql::name(&space)));
        }
        let create = Statement::new(text);
        let mut out = vec![match statement {
            Some(parent) => create.locks(LockMode::AccessExclusive, &parent),
            None => create,
        }];
        for (flag, on, _) in SECURITY {
            if object.is(flag) {
                out.push(Statement::new(format!("ALTER TABLE {} {on} ROW LEVEL SECURITY", sql::path(id))));
            }
        }
        Ok(out)
    }

    fn alter(&self, id: &ObjectId, old: &Object, new: &Object, changed: &[&'static str], _: &Context<'_>) -> Result<Vec<Statement>> {
        let table = sql::path(id);
        let alter = |what: String| Statement::new(format!("ALTER TABLE {table} {what}")).locks(LockMode::AccessExclusive, id);
        let mut out = Vec::new();
        for name in changed {
            if *name == UNLOGGED.name {
                out.push(alter(format!("SET {}", if new.is(UNLOGGED) { "UNLOGGED" } else { "LOGGED" })));
            } else if *name == TABLESPACE.name {
                let space = new.get(TABLESPACE).map_or_else(|| "pg_default".to_string(), |s| sql::name(&s).to_string());
                out.push(alter(format!("SET TABLESPACE {space}")));
            } else if *name == WITH.name {
                let (old, new) = (old.get(WITH).unwrap_or_default(), new.get(WITH).unwrap_or_default());
                out.extend(sql::option_changes(&old, &new).into_iter().map(|what| {
                    Statement::new(format!("ALTER TABLE {table} {what}")).locks(LockMode::ShareUpdateExclusive, id)
                }));
            } else if *name == PARTITION_OF.name {
                if let Some((parent, _)) = partition_of(old) {
                    let sql = format!("ALTER TABLE {} DETACH PARTITION {table}", sql::path(parent));
                    out.push(Statement::new(sql).locks(LockMode::AccessExclusive, parent));
                }
                if let Some((parent, bound)) = partition_of(new) {
                    let sql = format!("ALTER TABLE {} ATTACH PARTITION {table} {bound}", sql::path(parent));
                    out.push(Statement::new(sql).locks(LockMode::ShareUpdateExclusive, parent));
                }
            } else if *name == INHERITS.name {
                let (old, new) = (old.get(INHERITS).unwrap_or_default(), new.get(INHERITS).unwrap_or_default());
                out.extend(old.iter().filter(|p| !new.contains(p)).map(|p| alter(format!("NO INHERIT {}", sql::path(p)))));
                out.extend(new.iter().filter(|p| !old.contains(p)).map(|p| alter(format!("INHERIT {}", sql::path(p)))));
            }
            for (flag, on, off) in SECURITY {
                if *name == flag.name {
                    out.push(alter(format!("{} ROW LEVEL SECURITY", if new.is(flag) { on } else { off })));
                }
            }
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        if let Some((parent, _)) = partition_of(object)
            && is_referenced(parent, cx.state)
        {
            let sql = format!("ALTER TABLE {} DETACH PARTITION {}", sql::path(parent), sql::path(id));
            out.push(Statement::new(sql).locks(LockMode::AccessExclusive, parent));
        }
        out.push(Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id));
        Ok(out)
    }
}

/// True if a foreign key points to the partitioned table, or to one that it is a part of: such a key holds every partition.
fn is_referenced(table: &ObjectId, state: &State) -> bool {
    let above = |table: &ObjectId| state.get(table).and_then(partition_of).map(|(parent, _)| parent.clone());
    let wholes: Vec<ObjectId> = std::iter::successors(Some(table.clone()), above).collect();
    state.iter().any(|(_, object)| object.get(REFERENCES).is_some_and(|target| wholes.contains(target)))
}

const SECURITY: [(Key<bool>, &str, &str); 2] = [(ROW_SECURITY, "ENABLE", "DISABLE"), (FORCE_ROW_SECURITY, "FORCE", "NO FORCE")];

/// The partitioned table that it belongs to, with the bounds.
pub fn partition_of(object: &Object) -> Option<(&ObjectId, &str)> {
    let partition = object.get(PARTITION_OF)?;
    Some((partition.get(PARENT)?, partition.get(BOUND)?.as_str()))
}
