//! Privileges that a step needs on objects other than its own and the tables that it locks, as its room knows them.

use crate::kinds::{find, schema};
use crate::model::{Attrs, Ident, KindRef, Object, ObjectId, SqlType, Value};
use crate::sql;

/// What somebody may do with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Everything.
    Superuser,
    /// To act as a role, or give it things.
    Role,
    /// To use a type, a language, a schema, a server, a wrapper.
    Usage,
    /// To call a function.
    Execute,
    /// To make something in a schema or a tablespace.
    Create,
    /// To make triggers on a table.
    Trigger,
    /// All that its owner may.
    Owner,
}

impl Right {
    const ALL: [Self; 7] =
        [Self::Superuser, Self::Role, Self::Usage, Self::Execute, Self::Create, Self::Trigger, Self::Owner];

    /// The word in plan files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::Role => "role",
            Self::Usage => "usage",
            Self::Execute => "execute",
            Self::Create => "create",
            Self::Trigger => "trigger",
            Self::Owner => "owner",
        }
    }

    /// The right of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.word() == word)
    }
}

/// A right on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    pub right: Right,
    /// What it is on, as an `ObjectId` displays it (a type, of any kind, as `type`); a role's name; empty if it is on everything.
    pub on: String,
}

impl Demand {
    fn of(right: Right, object: &ObjectId) -> Self {
        Self { right, on: object.to_string() }
    }

    /// A right on something that is not one of our objects: `language plpgsql`.
    fn beyond(right: Right, word: &str, name: &str) -> Self {
        let on = format!("{word} {}", sql::name(&Ident::from(name)));
        Self { right, on }
    }
}

/// A superuser's rights.
pub fn superuser() -> Demand {
    Demand { right: Right::Superuser, on: String::new() }
}

/// To act as that role.
pub fn role(name: &Ident) -> Demand {
    Demand { right: Right::Role, on: name.as_str().to_string() }
}

/// To write functions in that language.
pub fn language(name: &str) -> Demand {
    Demand::beyond(Right::Usage, "language", name)
}

/// To look into that schema.
pub fn look_into(schema: &ObjectId) -> Demand {
    Demand::of(Right::Usage, schema)
}

/// To make something where the object stands.
pub fn create_beside(id: &ObjectId) -> Option<Demand> {
    Some(Demand::of(Right::Create, id.schema()?))
}

/// To make something in that schema.
pub fn create_in(schema: &ObjectId) -> Demand {
    Demand::of(Right::Create, schema)
}

/// To call that function.
pub fn execute(function: &ObjectId) -> Demand {
    Demand::of(Right::Execute, function)
}

/// To do with that table what its owner may.
pub fn owner(table: &ObjectId) -> Demand {
    Demand::of(Right::Owner, table)
}

/// To use that wrapper for a server.
pub fn wrapper(name: &Ident) -> Demand {
    Demand::beyond(Right::Usage, "foreign-data-wrapper", name.as_str())
}

/// To make triggers on that table.
pub fn trigger(table: &ObjectId) -> Demand {
    Demand::of(Right::Trigger, table)
}

/// To use a type; PostgreSQL's own can be used by anybody.
pub fn sql_type(text: &SqlType) -> Option<Demand> {
    let text = text.as_str();
    let parsed = sql::types::parse(text.strip_prefix("SETOF ").unwrap_or(text)).ok()?;
    let home = parsed.schema.filter(|schema| !is_system(schema))?;
    Some(Demand::of(Right::Usage, &ObjectId::new(find("type")?.kind(), Some(schema::id(home)), parsed.name)))
}

/// What follows from the types, functions, servers and tablespaces in an object's attributes, or in those of them that change.
pub fn of_attrs(kind: KindRef, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
    let mut out = Vec::new();
    for attr in kind.attrs.iter().filter(|attr| changed.is_none_or(|changed| changed.contains(&attr.name))) {
        match object.value(attr.name) {
            Some(Value::Text(name)) if attr.name == "tablespace" => {
                out.push(Demand::beyond(Right::Create, "tablespace", name));
            }
            Some(value) => of_value(value, &mut out),
            None => {}
        }
    }
    out
}

fn of_value(value: &Value, out: &mut Vec<Demand>) {
    match value {
        Value::Type(text) => out.extend(sql_type(text)),
        Value::Ref(id) => out.extend(of_ref(id)),
        Value::List(list) => list.iter().for_each(|value| of_value(value, out)),
        Value::Record(record) => of_record(record, out),
        _ => {}
    }
}

fn of_record(record: &Attrs, out: &mut Vec<Demand>) {
    record.iter().for_each(|(_, value)| of_value(value, out));
}

fn of_ref(id: &ObjectId) -> Option<Demand> {
    if id.schema().is_some_and(|schema| is_system(schema.name().as_str())) {
        return None;
    }
    match id.kind().word {
        "type" | "server" | "foreign-data-wrapper" => Some(Demand::of(Right::Usage, id)),
        // What an extension brought may have any types.
        "function" => id.signature().is_some().then(|| execute(id)),
        _ => None,
    }
}

fn is_system(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}
