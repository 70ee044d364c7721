//! How existing values get another type.

use crate::model::SqlType;
use crate::sql;

/// How existing values get the new type. Nothing where an assignment does it: an explicit cast would cut values short in silence.
pub fn using(column: &str, old: &SqlType, new: &SqlType) -> Option<String> {
    let (old, new) = (sql::types::parse(old.as_str()).ok()?, sql::types::parse(new.as_str()).ok()?);
    let base = |t: &sql::types::Parsed| (t.schema.clone(), t.name.clone(), t.suffix, t.array);
    if base(&old) == base(&new) {
        return None;
    }
    if old.name == "timestamp" && new.name == "timestamp" && !old.array && !new.array {
        return Some(format!("{column} AT TIME ZONE 'UTC'"));
    }
    let through = match () {
        () if castable(&old, &new) => "",
        () if old.array && new.array => "::text[]",
        () => "::text",
    };
    let modifier = (new.name == "bit").then(|| new.modifier.clone()).flatten();
    let target = sql::types::Parsed { modifier, ..new };
    Some(format!("{column}{through}::{}", target.normalised(|_| None)))
}

/// True if PostgreSQL has a cast from one to the other, built-in or through text on either side (`pg_cast`; what has none
/// goes through its text form, which says no to values that do not fit).
fn castable(old: &sql::types::Parsed, new: &sql::types::Parsed) -> bool {
    let family = |t: &sql::types::Parsed| match (&t.schema, t.name.as_str()) {
        (Some(_), _) => None,
        (None, "text" | "character varying" | "character" | "name") => Some("text"),
        (None, "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "oid") => Some("number"),
        (None, "date" | "timestamp" | "time" | "interval") => Some("time"),
        (None, "json" | "jsonb") => Some("json"),
        (None, "bit" | "bit varying") => Some("bit"),
        (None, "inet" | "cidr") => Some("network"),
        _ => None,
    };
    let (from, to) = (family(old), family(new));
    if old.array != new.array {
        return false;
    }
    match (from, to) {
        (Some("text"), _) | (_, Some("text")) => true,
        (Some("time"), Some("time")) => {
            matches!(
                (old.name.as_str(), new.name.as_str()),
                ("timestamp", _)
                    | ("date", "timestamp")
                    | ("time", "interval")
                    | ("interval", "time")
                    | ("time", "time")
            ) && !(new.name == "interval" && old.name == "timestamp")
        }
        (Some(from), Some(to)) if from == to => true,
        (Some("number"), None) => new.name == "boolean" && old.name == "integer" || new.name == "money",
        (None, Some("number")) => {
            old.name == "boolean" && new.name == "integer" || old.name == "money" && new.name == "numeric"
        }
        (Some("json"), Some("number")) => old.name == "jsonb",
        (Some("number"), Some("bit")) | (Some("bit"), Some("number")) => {
            [old, new].iter().any(|t| matches!(t.name.as_str(), "integer" | "bigint"))
                && [old, new].iter().any(|t| t.name == "bit")
        }
        _ => false,
    }
}
