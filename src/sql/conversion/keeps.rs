//! Which scalar types can hold every value of which others.
//!
//! Assignment does not only fail, it also loses: it rounds, trims blanks, and drops what the new type has no place for. The conversions
//! listed here do neither (`tests/all/values.rs`).

use super::Verdict::{self, Keeps, Looks, Loses, MayFail, NeedsZone};
use crate::sql::types::Parsed;

/// A number of the modifier, `12` and `2` of `numeric(12,2)`.
fn number(t: &Parsed, n: usize) -> Option<i32> {
    t.modifier.as_deref()?.split(',').nth(n)?.parse().ok()
}

/// True for types whose values are texts.
pub(super) fn is_text(t: &Parsed) -> bool {
    match (&t.schema, t.name.as_str()) {
        (None, "text" | "character varying" | "character" | "bpchar") => true,
        (_, name) => name == "citext",
    }
}

/// True for texts of any length, with blanks at their end.
pub(super) fn is_any_text(t: &Parsed) -> bool {
    is_text(t) && t.modifier.is_none() && t.name != "bpchar"
}

/// True where blanks at the end mean nothing.
pub(super) fn is_padded(t: &Parsed) -> bool {
    matches!(t.name.as_str(), "character" | "bpchar")
}

/// Digits that a whole number has at most, and surely holds.
fn digits(name: &str) -> Option<(i32, i32)> {
    match name {
        "smallint" => Some((5, 4)),
        "integer" => Some((10, 9)),
        "bigint" => Some((19, 18)),
        _ => None,
    }
}

/// What becomes of the old type's values in the new one; the types differ.
pub(super) fn scalars(old: &Parsed, new: &Parsed) -> Verdict {
    if is_text(old) && is_text(new) {
        return texts(old, new);
    }
    if is_clock(old) && is_clock(new) {
        return clocks(old, new);
    }
    if is_interval(old) && is_interval(new) {
        return intervals(old, new);
    }
    if old.schema != new.schema {
        return Looks;
    }
    match (old.name.as_str(), new.name.as_str()) {
        ("numeric", "numeric") => numerics(old, new),
        ("bit", "bit") | ("bit varying", "bit") => MayFail,
        ("bit" | "bit varying", "bit varying") => match (number(old, 0), number(new, 0)) {
            (_, None) => Keeps,
            (Some(old), Some(new)) if old <= new => Keeps,
            _ => MayFail,
        },
        (a, b) if a == b => match new.modifier {
            None => Keeps,
            Some(_) => Looks,
        },
        ("cidr", "inet") | ("macaddr", "macaddr8") | ("jsonb", "json") | ("boolean", "integer") => Keeps,
        ("smallint", "real" | "double precision") | ("integer" | "real", "double precision") => Keeps,
        ("double precision", "real") => Loses("real holds fewer digits than double precision".into()),
        (a, "jsonb") if a == "json" || is_text(old) => {
            Loses("jsonb keeps neither spacing nor the order of keys, and only one of duplicate keys".into())
        }
        (_, "json") if is_text(old) => MayFail,
        (_, "tsvector" | "tsquery" | "jsonpath" | "money") if is_text(old) => written(new),
        (_, "timestamp" | "time") if is_text(old) => written(new),
        (_, b) if is_text(old) && b.starts_with("interval") => written(new),
        (a, b) => match (digits(a), digits(b)) {
            (Some((old, _)), Some((new, _))) => {
                if old <= new {
                    Keeps
                } else {
                    MayFail
                }
            }
            (Some((most, _)), None) if b == "numeric" => match (number(new, 0), number(new, 1)) {
                (Some(precision), Some(scale)) => into_numeric(most, precision, scale),
                _ => Keeps,
            },
            (None, Some((_, sure))) if a == "numeric" => match (number(old, 0), number(old, 1)) {
                (Some(precision), Some(scale)) if scale <= 0 => {
                    if precision - scale <= sure {
                        Keeps
                    } else {
                        MayFail
                    }
                }
                _ => Looks,
            },
            _ => Looks,
        },
    }
}

fn written(new: &Parsed) -> Verdict {
    Loses(format!("{} does not keep how a value is written", new.normalised(|_| None)))
}

fn into_numeric(most: i32, precision: i32, scale: i32) -> Verdict {
    match () {
        () if scale < 0 => Loses(format!("numeric({precision},{scale}) rounds")),
        () if precision - scale >= most => Keeps,
        () => MayFail,
    }
}

fn numerics(old: &Parsed, new: &Parsed) -> Verdict {
    let parts = |t: &Parsed| number(t, 0).zip(number(t, 1));
    match (parts(old), parts(new)) {
        (_, None) => Keeps,
        (Some((p, s)), Some((precision, scale))) if scale >= s => {
            if precision - scale >= p - s {
                Keeps
            } else {
                MayFail
            }
        }
        _ => Loses(format!("{} rounds", new.normalised(|_| None))),
    }
}

fn texts(old: &Parsed, new: &Parsed) -> Verdict {
    let fits = match (number(old, 0), number(new, 0)) {
        (_, None) => true,
        (Some(old), Some(new)) => old <= new,
        (None, Some(_)) => false,
    };
    match (is_padded(old), is_padded(new)) {
        (true, _) if fits => Keeps,
        (true, _) => MayFail, // what is cut off is blank, and means nothing
        (false, false) if fits => Keeps,
        (false, _) => Looks, // assignment cuts blanks off
    }
}

fn is_clock(t: &Parsed) -> bool {
    t.schema.is_none() && matches!(t.name.as_str(), "date" | "time" | "timestamp")
}

pub(super) fn has_zone(t: &Parsed) -> bool {
    t.suffix == " with time zone"
}

/// True where a time without a zone becomes one with a zone or the other way around: what it means cannot be guessed.
pub(super) fn needs_zone(old: &Parsed, new: &Parsed) -> bool {
    // `timetz` → `time` just drops the zone.
    let drops = old.name == "time" && has_zone(old);
    is_clock(old) && is_clock(new) && has_zone(old) != has_zone(new) && !drops
}

fn clocks(old: &Parsed, new: &Parsed) -> Verdict {
    let precision = |t: &Parsed| number(t, 0).unwrap_or(6);
    match (old.name.as_str(), new.name.as_str()) {
        ("timestamp", "time") => Loses(format!("{} has no date", new.normalised(|_| None))),
        ("timestamp", "date") if has_zone(old) => Loses("date has no time of day".into()),
        ("timestamp", "date") => Looks,
        ("time", "time") if has_zone(old) && !has_zone(new) => Loses("time has no zone".into()),
        ("date", "timestamp") => {
            if has_zone(new) {
                NeedsZone
            } else {
                MayFail
            }
        }
        (a, b) if a == b && precision(new) < precision(old) => Loses(format!("{} rounds", new.normalised(|_| None))),
        (a, b) if a == b => {
            if needs_zone(old, new) {
                NeedsZone
            } else {
                Keeps
            }
        }
        _ => Looks,
    }
}

fn is_interval(t: &Parsed) -> bool {
    t.schema.is_none() && (t.name == "interval" || t.name.starts_with("interval "))
}

fn intervals(old: &Parsed, new: &Parsed) -> Verdict {
    let grows = number(new, 0).unwrap_or(6) >= number(old, 0).unwrap_or(6);
    if grows && (new.name == "interval" || new.name == old.name) {
        return Keeps;
    }
    Loses(format!("{} drops what it has no place for", new.normalised(|_| None)))
}
