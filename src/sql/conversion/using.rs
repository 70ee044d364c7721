//! The expression that converts existing values to another type.

use super::{Stands, Verdict, casts, keeps, verdict};
use crate::sql;

/// The expression after USING; nothing if assignment is enough and loses nothing that is not announced (an explicit cast would silently truncate
/// values). `is_domain` says that the column's type is a domain, `place` names the column in the error for a value that would change.
pub fn using(column: &str, is_domain: bool, place: &str, old: &Stands, new: &Stands) -> Option<String> {
    let value = if is_domain { format!("{column}::{}", old.text()) } else { column.to_string() };
    if verdict(old, new) == Verdict::Looks {
        return Some(looking(&value, place, old, new));
    }
    if assigned(old, new) {
        // Arrays of a domain are not domains: they have to be cast as arrays of its type.
        return (is_domain && matches!(old, Stands::List(_))).then_some(value);
    }
    if let (Stands::Scalar(old), Stands::Scalar(new)) = (old, new)
        && old.name == "timestamp"
        && new.name == "timestamp"
    {
        return Some(format!("{value} AT TIME ZONE 'UTC'"));
    }
    Some(cast(&value, old, new, &bare(new)))
}

/// True if assignment is enough: it raises an error where an explicit cast truncates.
fn assigned(old: &Stands, new: &Stands) -> bool {
    match (old.element(), new.element()) {
        _ if matches!(old, Stands::List(_)) != matches!(new, Stands::List(_)) => false,
        (Stands::Scalar(old), Stands::Scalar(new)) => {
            let same = old.schema == new.schema && old.name == new.name && old.suffix == new.suffix;
            let interval = old.name.starts_with("interval") && new.name.starts_with("interval");
            same || interval || old.name.starts_with("bit") && new.name.starts_with("bit")
        }
        (old, new) => old == new,
    }
}

/// The value as the type that is called `target`.
fn cast(value: &str, old: &Stands, new: &Stands, target: &str) -> String {
    // The blanks that pad `character` are not part of its values, but of its text form.
    let padded = matches!(old.element(), Stands::Scalar(t) if keeps::is_padded(t)) && !is_text(new);
    let through = match () {
        () if casts::castable(old, new) && !padded => "",
        () if matches!((old, new), (Stands::List(_), Stands::List(_))) => "::text[]",
        () => "::text",
    };
    format!("{value}{through}::{target}")
}

/// A conversion that fails where a value would not come back as it was.
fn looking(value: &str, place: &str, old: &Stands, new: &Stands) -> String {
    let converted = cast(value, old, new, &new.text());
    // Byte by byte where there is text: other collations, and other types, call values equal that are not the same.
    let same = if is_text(old) {
        let back = match old {
            Stands::List(_) if !is_text(new) => cast(&format!("({converted})"), new, old, "text[]"),
            _ => format!("({converted})"),
        };
        let stands = if is_text(new) { new } else { old };
        format!("{} IS NOT DISTINCT FROM {}", as_text(&back, stands, old), as_text(value, old, stands))
    } else {
        let back = cast(&format!("({converted})"), new, old, &bare(old));
        let comes_back = match has_plain_equality(old.element()) && !is_text(new) {
            true => format!("{back} IS NOT DISTINCT FROM {value}"),
            false => format!("{back}::text COLLATE \"C\" IS NOT DISTINCT FROM {value}::text"),
        };
        match is_text(new) {
            // What was cut off may mean nothing to the old type. And not all that types write can be cast back: regclass writes '-'.
            true => {
                let (text, was) = (as_text(&format!("({converted})"), new, old), as_text(value, old, new));
                format!("{text} IS NOT DISTINCT FROM {was} AND {comes_back}")
            }
            false => comes_back,
        }
    };
    format!("CASE WHEN {same} THEN {converted} ELSE {} END", refused(value, place, new))
}

fn is_text(t: &Stands) -> bool {
    matches!(t.element(), Stands::Scalar(t) if keeps::is_text(t))
}

/// The text form of a value, of each of the elements where both types are arrays: blanks that pad them are not part of it.
fn as_text(value: &str, t: &Stands, other: &Stands) -> String {
    let list = matches!((t, other), (Stands::List(_), Stands::List(_)));
    format!("{value}{}::text COLLATE \"C\"", if list { "::text[]" } else { "" })
}

/// An expression that raises an error with a reason. No server version has a built-in function for that.
fn refused(value: &str, place: &str, new: &Stands) -> String {
    let target = new.text();
    if let Stands::Scalar(t) = new
        && t.name == "character varying"
        && let Some(length) = &t.modifier
    {
        return format!("{value}::text || repeat('.', {length})"); // "value too long"
    }
    let why = sql::literal(&format!("{place}: a value that {target} would change"));
    let reads = match new {
        Stands::Scalar(t) => t.schema.is_none() && refuses_words(&t.name),
        Stands::List(_) | Stands::Range(..) => true,
        Stands::Words(..) | Stands::Fields(..) => false,
    };
    let through = if reads { "" } else { "::boolean::text" };
    format!("({why} || left({value}::text, 0)){through}::{target}")
}

/// True for types that do not accept a sentence as a value.
fn refuses_words(name: &str) -> bool {
    let exact = [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "boolean",
        "date",
        "time",
        "timestamp",
        "uuid",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "oid",
    ];
    exact.contains(&name)
}

/// True for types whose equality means that values are the same in all that counts.
fn has_plain_equality(t: &Stands) -> bool {
    let Stands::Scalar(t) = t else { return false };
    let names = [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "boolean",
        "date",
        "time",
        "timestamp",
        "money",
    ];
    t.schema.is_none() && names.contains(&t.name.as_str())
}

/// The type without its length or precision, which assignment sees to: an error where a value does not fit.
fn bare(t: &Stands) -> String {
    match t {
        Stands::Scalar(parsed) if parsed.schema.is_none() => match parsed.name.as_str() {
            "character" => "bpchar".into(),
            // A cast to `bit` says how many.
            "bit" => t.text(),
            name if name.starts_with("interval") => "interval".into(),
            _ => sql::types::Parsed { modifier: None, ..parsed.clone() }.normalised(|_| None),
        },
        Stands::List(of) => format!("{}[]", bare(of)),
        other => other.text(),
    }
}
