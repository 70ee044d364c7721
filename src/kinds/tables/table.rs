//! Tables: plain, partitioned, partitions, inheriting, unlogged, with storage parameters and row security.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::held::{self, Held};
use crate::kinds::{Context, Direction, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options,
    Result, Shape, State, Text, Within, attr,
};
use crate::sql;

use super::{inheritance, toast};

/// Not written to the write-ahead log.
pub const UNLOGGED: Key<bool> = Key::new("unlogged");
/// What decides to which of its partitions a row belongs.
pub const PARTITION_BY: Key<Expr> = Key::new("partition-by");
const ROW_SECURITY: Key<bool> = Key::new("row-security");
const FORCE_ROW_SECURITY: Key<bool> = Key::new("force-row-security");
/// What a foreign key points to.
const REFERENCES: Key<ObjectId> = Key::new("references");
const USING: Key<Ident> = Key::new("using");
const TABLESPACE: Key<Ident> = Key::new("tablespace");
const WITH: Key<Options> = Key::new("with");

/// The kind of room that has it.
const FOREIGN_KEY: &str = "foreign-key";

static ATTRS: [Attr; 10] = [
    attr(
        UNLOGGED,
        Shape::Flag,
        Form::Flag,
        OnChange::Alter,
        "Not written to the write-ahead log; emptied after a crash.",
    ),
    attr(ROW_SECURITY, Shape::Flag, Form::Flag, OnChange::Alter, "Policies decide which rows users see."),
    attr(FORCE_ROW_SECURITY, Shape::Flag, Form::Flag, OnChange::Alter, "Policies also apply to the owner."),
    inheritance::OF_ATTR,
    attr(PARTITION_BY, Shape::Expr, Form::Property, OnChange::Replace, "Strategy and key: `RANGE (placed)`."),
    attr(USING, Shape::Name, Form::Property, OnChange::Replace, "The table access method.").default("heap"),
    attr(TABLESPACE, Shape::Name, Form::Property, OnChange::Alter, "The tablespace of the table."),
    inheritance::PARTITION_OF_ATTR,
    inheritance::inherits_attr(&["table"]),
    attr(
        WITH,
        Shape::Options,
        Form::Child,
        OnChange::Alter,
        "Storage parameters; those of the TOAST table begin with `toast.`.",
    ),
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

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT c.oid, c.reltype, y.typarray, c.relnamespace, c.relname, c.relpersistence = 'u', c.relrowsecurity, c.relforcerowsecurity, \
             CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, am.amname::text, s.spcname::text, {}, \
             c.reloptions, t.reloptions, nullif(c.reloftype, 0) \
             FROM pg_class c JOIN pg_type y ON y.oid = c.reltype LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.reloptions IS NOT NULL \
             WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.relpersistence <> 't' ORDER BY c.oid",
            inheritance::COLUMNS
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, row_type, array) = (row.oid(), row.oid(), row.oid());
        let (schema, name) = (row.oid(), row.text());
        if book.is_member(class::PG_CLASS, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_CLASS, oid, id.clone());
        // What has values of its rows depends on it.
        book.add_part(class::PG_TYPE, row_type, id.clone());
        book.add_part(class::PG_TYPE, array, id.clone());
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
        inheritance::read(row, book, &mut attrs);
        let mut options: Vec<String> = row.next();
        options.extend(row.next::<Vec<String>>().into_iter().map(|o| format!("toast.{o}")));
        attrs.set(WITH, Options::some(options));
        inheritance::read_type(row, book, &mut attrs);
        Some(Object::new(attrs))
    }

    /// With it go its partitions; nothing else that is done to it as a whole goes on to them.
    fn heirs(&self, drops: bool) -> Heirs {
        if drops { Heirs::Partitions } else { Heirs::None }
    }

    fn shares_parts_of(&self, object: &Object) -> Option<ObjectId> {
        inheritance::partition_of(object).map(|(parent, _)| parent.clone())
    }

    /// What a table has when it leaves is its own, whatever becomes of its parent; what it joins it has to fit.
    fn change(&self, _: &ObjectId, old: &Object, new: &Object) -> Direction {
        match () {
            () if inheritance::leaves(old, new) => Direction::Takes,
            () if inheritance::leaves(new, old) => Direction::Gives,
            // "cannot rewrite table used as a catalog table": whatever may rewrite it comes while it is none.
            () => match [old, new].map(|table| is_catalog(&table.get(WITH).unwrap_or_default()).is_some_and(says_true))
            {
                [true, false] => Direction::Takes,
                [false, true] => Direction::Gives,
                _ => Direction::Any,
            },
        }
    }

    /// What is logged may not refer to what is not.
    fn changes_after(&self, id: &ObjectId, new: &Object, changed: &[&'static str], state: &State) -> Vec<ObjectId> {
        if *changed == [WITH.name] && new.get(WITH).is_some_and(|options| options.into_iter().any(toast::is_toasts)) {
            // One of them may be why it gets a TOAST table.
            let columns = state.iter().map(|(id, _)| id).filter(|id| id.kind().address == Address::MemberOf);
            return columns.filter(|column| column.parent() == Some(id)).cloned().collect();
        }
        if !changed.contains(&UNLOGGED.name) {
            return Vec::new();
        }
        let other: Vec<&ObjectId> = match new.is(UNLOGGED) {
            true => state.referring(id, &[REFERENCES.name]).filter_map(|(key, _)| key.parent()).collect(),
            false => state.parts(id, FOREIGN_KEY).filter_map(|(_, key)| key.get(REFERENCES)).collect(),
        };
        other.into_iter().filter(|other| *other != id).cloned().collect()
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            Disturbance::Replaced(id) => {
                Reaction::Impossible(format!("it would have to be emptied, because {id} has to be replaced"))
            }
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Constants
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let unlogged = if object.is(UNLOGGED) { "UNLOGGED " } else { "" };
        let mut text = format!("CREATE {unlogged}TABLE {}{}", sql::path(id), inheritance::create(object, folded));
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
        let mut out = vec![inheritance::locked(Statement::new(text), object, cx)];
        for (flag, on, _) in SECURITY {
            if object.is(flag) {
                out.push(Statement::new(format!("ALTER TABLE {} {on} ROW LEVEL SECURITY", sql::path(id))));
            }
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
        let table = sql::path(id);
        let alter =
            |what: String| Statement::new(format!("ALTER TABLE {table} {what}")).locks(LockMode::AccessExclusive, id);
        let mut out = Vec::new();
        for name in changed {
            if *name == UNLOGGED.name {
                out.push(alter(format!("SET {}", if new.is(UNLOGGED) { "UNLOGGED" } else { "LOGGED" })));
            } else if *name == TABLESPACE.name {
                let space = new.get(TABLESPACE).map_or_else(|| "pg_default".to_string(), |s| sql::name(&s).to_string());
                out.push(alter(format!("SET TABLESPACE {space}")));
            } else if *name == WITH.name {
                let (old, new) = (old.get(WITH).unwrap_or_default(), new.get(WITH).unwrap_or_default());
                let mode = match is_catalog(&old) == is_catalog(&new) {
                    true => LockMode::ShareUpdateExclusive,
                    false => LockMode::AccessExclusive,
                };
                out.extend(
                    sql::option_changes(&old, &new)
                        .into_iter()
                        .map(|what| Statement::new(format!("ALTER TABLE {table} {what}")).locks(mode, id)),
                );
            }
            out.extend(inheritance::alter(id, old, new, name, cx));
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
        let mut drop = Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id);
        if let Some((parent, _)) = inheritance::partition_of(object) {
            if is_referenced(parent, cx.state) {
                out.push(inheritance::detach(id, parent, cx.state, cx.server));
            } else {
                drop = inheritance::also_siblings(drop.also_locks(LockMode::AccessExclusive, parent), parent, cx.state);
            }
        }
        out.push(drop);
        Ok(out)
    }
}

/// The one storage parameter of tables whose change keeps readers waiting (src/backend/access/common/reloptions.c).
fn is_catalog<'a>(options: &[&'a Text]) -> Option<&'a Text> {
    options.iter().find(|option| option.starts_with("user_catalog_table=")).copied()
}

/// True for an option that is switched on, in any spelling that PostgreSQL takes (src/backend/utils/adt/bool.c).
fn says_true(option: &Text) -> bool {
    let value = option.split_once('=').map_or("", |(_, value)| value).to_ascii_lowercase();
    value == "on" || ["1", "t", "y"].iter().any(|first| value.starts_with(first))
}

/// True if a foreign key points to the partitioned table, or to one that it is a part of: such a key holds every partition.
fn is_referenced(table: &ObjectId, state: &State) -> bool {
    let above =
        |table: &ObjectId| state.get(table).and_then(inheritance::partition_of).map(|(parent, _)| parent.clone());
    std::iter::successors(Some(table.clone()), above)
        .any(|whole| state.referring(&whole, &[REFERENCES.name]).next().is_some())
}

const SECURITY: [(Key<bool>, &str, &str); 2] =
    [(ROW_SECURITY, "ENABLE", "DISABLE"), (FORCE_ROW_SECURITY, "FORCE", "NO FORCE")];
