//! PostgreSQL's own functions that give the same value throughout a statement: those that are immutable or stable in all versions.

use super::names::Name;
use super::types;

/// Their names, a line each, in order; `tests/all/claims.rs` says how they are found in `pg_proc`, and holds the list against each version.
const FUNCTIONS: &str = include_str!("steady.txt");

/// What is written like a call, but is not one.
const SYNTAX: &[&str] = &["cast", "coalesce", "greatest", "least", "nullif", "row", "trim", "xmlelement", "xmlforest"];

/// True if the name, as it is called, means only functions of that kind, if it means PostgreSQL's own. A type with a length counts.
pub fn is(name: &Name) -> bool {
    match name.parts.as_slice() {
        [name] => listed(name) || SYNTAX.contains(&name.as_str()) || types::is_built_in(name),
        [schema, name] => schema == "pg_catalog" && (listed(name) || types::is_built_in(name)),
        _ => false,
    }
}

fn listed(name: &str) -> bool {
    FUNCTIONS.lines().any(|line| line == name)
}

/// True if a time without a date may be moved to another zone, which depends on the date, and on nothing else that is listed.
pub fn moves_zone(text: &str) -> bool {
    let text = text.to_lowercase();
    let moves = text.contains("time zone") || text.contains("timezone");
    let has_time = text.replace("current_timestamp", "").contains("current_time");
    moves && (has_time || text.contains("timetz") || text.contains("time with time zone"))
}
