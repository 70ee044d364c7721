//! Which types PostgreSQL casts to which others, and which have no value in common.

use super::{Stands, keeps};
use crate::sql::types::Parsed;

/// Pairs of families that have no value in common: neither a cast nor the written form leads from one to the other.
/// Seen on a server, and only where that is so for all of their types and for the oddest values (`integer` 20240102 is a date).
const NEVER: &[(&str, &str)] = &[
    ("array", "boolean date hardware interval money network number oid time uuid whole"),
    ("boolean", "date hardware interval money network time uuid"),
    ("date", "money network uuid"),
    ("hardware", "interval money oid time uuid"),
    ("interval", "uuid"),
    ("money", "network time uuid"),
    ("network", "time uuid"),
    ("oid", "uuid"),
    ("time", "uuid"),
    ("uuid", "whole"),
];

/// Casts that well-known extensions bring, between types of which the text form of one means nothing, or something else, to the other.
const BROUGHT: &[(&str, &str)] = &[
    ("hstore", "json"),
    ("hstore", "jsonb"),
    ("double precision", "cube"),
    ("geometry", "geography"),
    ("geography", "geometry"),
    ("geometry", "json"),
    ("geometry", "jsonb"),
    ("geometry", "point"),
    ("point", "geometry"),
    ("geometry", "polygon"),
    ("polygon", "geometry"),
    ("geometry", "path"),
    ("path", "geometry"),
    ("geometry", "bytea"),
    ("bytea", "geometry"),
    ("vector", "halfvec"),
    ("halfvec", "vector"),
    ("vector", "sparsevec"),
    ("sparsevec", "vector"),
];

/// True for one of those.
fn brought(old: &Stands, new: &Stands) -> bool {
    let (Stands::Scalar(old), Stands::Scalar(new)) = (old, new) else { return false };
    // One of the two is an extension's: it is in a schema that files say, or in none where it is found by its name.
    BROUGHT.contains(&(old.name.as_str(), new.name.as_str()))
}

/// True where an extension casts one to the other, and nothing leads back.
pub(super) fn one_way(old: &Stands, new: &Stands) -> bool {
    brought(old, new) && !brought(new, old)
}

/// True if no value of one type can be written in the other, nor the other way around.
pub(super) fn never(old: &Stands, new: &Stands) -> bool {
    let (Some(old), Some(new)) = (family(old), family(new)) else { return false };
    let listed =
        |a: &str, b: &str| NEVER.iter().any(|(f, others)| *f == a && others.split(' ').any(|other| other == b));
    listed(old, new) || listed(new, old)
}

fn family(t: &Stands) -> Option<&'static str> {
    let parsed = match t {
        Stands::List(_) => return Some("array"),
        Stands::Scalar(parsed) if parsed.schema.is_none() => parsed,
        _ => return None,
    };
    Some(match parsed.name.as_str() {
        "smallint" | "integer" | "bigint" => "whole",
        "numeric" | "real" | "double precision" => "number",
        "oid" => "oid",
        "money" => "money",
        "boolean" => "boolean",
        "date" | "timestamp" => "date",
        "time" => "time",
        "uuid" => "uuid",
        "inet" | "cidr" => "network",
        "macaddr" | "macaddr8" => "hardware",
        name if name == "interval" || name.starts_with("interval ") => "interval",
        _ => return None,
    })
}

/// True if PostgreSQL has a cast from one to the other, of its own or as for every type to and from text (`pg_cast`). Without one, a value
/// goes through its text form, which refuses what does not fit.
pub(super) fn castable(old: &Stands, new: &Stands) -> bool {
    match (old, new) {
        _ if brought(old, new) => true,
        (Stands::List(old), Stands::List(new)) => castable(old, new),
        (Stands::Scalar(old), Stands::Scalar(new)) => scalars(old, new),
        (Stands::Words(..) | Stands::Range(..) | Stands::Fields(..) | Stands::List(_), Stands::Scalar(text))
        | (Stands::Scalar(text), Stands::Words(..) | Stands::Range(..) | Stands::Fields(..) | Stands::List(_)) => {
            keeps::is_text(text) && text.name != "citext"
        }
        (old, new) => old == new,
    }
}

fn scalars(old: &Parsed, new: &Parsed) -> bool {
    let text = |t: &Parsed| keeps::is_text(t) && t.name != "citext" || t.schema.is_none() && t.name == "name";
    if (&old.schema, &old.name) == (&new.schema, &new.name) && old.suffix == new.suffix || text(old) || text(new) {
        return true;
    }
    let family = |t: &Parsed| match (&t.schema, t.name.as_str()) {
        (Some(_), _) => None,
        (None, "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "oid") => Some("number"),
        (None, "date" | "timestamp" | "time" | "interval") => Some("time"),
        (None, "json" | "jsonb") => Some("json"),
        (None, "bit" | "bit varying") => Some("bit"),
        (None, "inet" | "cidr") => Some("network"),
        (None, "macaddr" | "macaddr8") => Some("hardware"),
        _ => None,
    };
    let is = |t: &Parsed, name: &str| t.schema.is_none() && t.name == name;
    match (family(old), family(new)) {
        (Some("time"), Some("time")) => match (old.name.as_str(), new.name.as_str()) {
            ("timestamp", "time") => keeps::has_zone(old) || !keeps::has_zone(new),
            ("timestamp", to) => to != "interval",
            ("time", "interval") | ("interval", "time") => !keeps::has_zone(old) && !keeps::has_zone(new),
            pair => matches!(pair, ("date", "timestamp") | ("time", "time")),
        },
        // A float or an OID and the other have no cast.
        (Some("number"), Some("number")) => match (is(old, "oid"), is(new, "oid")) {
            (true, false) => is(new, "integer") || is(new, "bigint"),
            (false, true) => is(old, "smallint") || is(old, "integer") || is(old, "bigint"),
            _ => true,
        },
        (Some(from), Some(to)) if from == to => true,
        (Some("number"), None) => {
            is(old, "integer") && is(new, "boolean")
                || is(new, "money") && ["integer", "bigint", "numeric"].iter().any(|name| is(old, name))
        }
        (None, Some("number")) => is(old, "boolean") && is(new, "integer") || is(old, "money") && is(new, "numeric"),
        (Some("json"), Some("number")) => is(old, "jsonb") && !is(new, "oid"),
        (Some("number"), Some("bit")) => is(new, "bit") && (is(old, "integer") || is(old, "bigint")),
        (Some("bit"), Some("number")) => is(old, "bit") && (is(new, "integer") || is(new, "bigint")),
        _ => false,
    }
}
