//! The options that sequences and identity columns share: their attributes, their defaults, their SQL.

use crate::catalog::Row;
use crate::model::{Attr, Attrs, Form, Key, OnChange, Shape, attr};

const START: Key<i64> = Key::new("start");
const INCREMENT: Key<i64> = Key::new("increment");
const MIN: Key<i64> = Key::new("min");
const MAX: Key<i64> = Key::new("max");
const CACHE: Key<i64> = Key::new("cache");
const CYCLE: Key<bool> = Key::new("cycle");

pub const START_ATTR: Attr = attr(
    START,
    Shape::Int,
    Form::Property,
    OnChange::Alter,
    "The first number; the default is `min`, or `max` if the sequence descends.",
);
pub const INCREMENT_ATTR: Attr =
    attr(INCREMENT, Shape::Int, Form::Property, OnChange::Alter, "The step; negative for a descending sequence.")
        .default("1");
pub const MIN_ATTR: Attr = attr(
    MIN,
    Shape::Int,
    Form::Property,
    OnChange::Alter,
    "The smallest number; the default is 1, or the type's smallest value if the sequence descends.",
);
pub const MAX_ATTR: Attr = attr(
    MAX,
    Shape::Int,
    Form::Property,
    OnChange::Alter,
    "The largest number; the default is the type's largest value, or -1 if the sequence descends.",
);
pub const CACHE_ATTR: Attr =
    attr(CACHE, Shape::Int, Form::Property, OnChange::Alter, "How many numbers a session preallocates.").default("1");
pub const CYCLE_ATTR: Attr =
    attr(CYCLE, Shape::Flag, Form::Flag, OnChange::Alter, "Starts over after the last number.");

/// The columns of `pg_sequence s` that `read` wants.
pub const COLUMNS: &str = "s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle";

/// Reads those columns; `sql_type` is the type of the sequence.
pub fn read(row: &mut Row, attrs: &mut Attrs, sql_type: &str) {
    attrs.set(START, row.next::<i64>()).set(INCREMENT, row.next::<i64>());
    attrs.set(MIN, row.next::<i64>()).set(MAX, row.next::<i64>());
    attrs.set(CACHE, row.next::<i64>()).set(CYCLE, row.next::<bool>());
    normalise(attrs, sql_type);
}

/// Takes out what has its default for that type and direction.
pub fn normalise(attrs: &mut Attrs, sql_type: &str) {
    let (least, greatest) = limits(sql_type);
    let ascends = attrs.get(INCREMENT).unwrap_or(1) > 0;
    let (min, max) = if ascends { (1, greatest) } else { (least, -1) };
    for (key, default) in [(MIN, min), (MAX, max), (INCREMENT, 1), (CACHE, 1)] {
        if attrs.get(key) == Some(default) {
            attrs.remove(key.name);
        }
    }
    if attrs.get(START) == Some(start(attrs)) {
        attrs.remove(START.name);
    }
}

/// The number that the sequence starts with if it does not say so.
fn start(attrs: &Attrs) -> i64 {
    if ascends(attrs) { attrs.get(MIN).unwrap_or(1) } else { attrs.get(MAX).unwrap_or(-1) }
}

fn ascends(attrs: &Attrs) -> bool {
    attrs.get(INCREMENT).unwrap_or(1) > 0
}

/// The numbers that a sequence gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub ascends: bool,
    pub start: i64,
    pub min: i64,
    pub max: i64,
}

impl Range {
    /// Of a sequence with these options and that type.
    pub fn new(attrs: &Attrs, sql_type: &str) -> Self {
        let (all, ascends) = (Self::all(sql_type), ascends(attrs));
        let (min, max) = if ascends { (1, all.max) } else { (all.min, -1) };
        let start = attrs.get(START).unwrap_or_else(|| start(attrs));
        Self { ascends, start, min: attrs.get(MIN).unwrap_or(min), max: attrs.get(MAX).unwrap_or(max) }
    }

    /// All values of the type.
    pub fn all(sql_type: &str) -> Self {
        let (min, max) = limits(sql_type);
        Self { ascends: true, start: min, min, max }
    }

    /// True if it has all the numbers of the other one.
    pub fn holds(&self, other: &Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    /// True if a sequence with these numbers may stand wherever one with those does.
    pub fn goes_on(&self, other: &Self) -> bool {
        self.start == other.start && self.holds(other)
    }
}

fn limits(sql_type: &str) -> (i64, i64) {
    match sql_type {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// True if a change moves the position of a sequence: it reverses its direction, or starts over.
pub fn moves(old: &Attrs, new: &Attrs) -> bool {
    ascends(old) != ascends(new) || apart(old, new)
}

/// The options of CREATE, in PostgreSQL's words.
pub fn create(attrs: &Attrs) -> Vec<String> {
    let mut out = Vec::new();
    for (key, words) in WORDS {
        out.extend(attrs.get(key).map(|value| format!("{words} {value}")));
    }
    if attrs.is(CYCLE) {
        out.push("CYCLE".into());
    }
    out
}

const WORDS: [(Key<i64>, &str); 5] =
    [(START, "START WITH"), (INCREMENT, "INCREMENT BY"), (MIN, "MINVALUE"), (MAX, "MAXVALUE"), (CACHE, "CACHE")];

/// The options of ALTER that lead from one to the other.
pub fn alter(old: &Attrs, new: &Attrs) -> Vec<String> {
    let mut out = Vec::new();
    let turned = ascends(old) != ascends(new);
    if old.get(INCREMENT) != new.get(INCREMENT) {
        out.push(format!("INCREMENT BY {}", new.get(INCREMENT).unwrap_or(1)));
    }
    // An open limit depends on the direction, but ALTER SEQUENCE recomputes it only where it is asked to.
    if turned || old.get(MIN) != new.get(MIN) {
        out.push(new.get(MIN).map_or_else(|| "NO MINVALUE".into(), |value| format!("MINVALUE {value}")));
    }
    if turned || old.get(MAX) != new.get(MAX) {
        out.push(new.get(MAX).map_or_else(|| "NO MAXVALUE".into(), |value| format!("MAXVALUE {value}")));
    }
    let begin = |attrs: &Attrs| attrs.get(START).unwrap_or_else(|| start(attrs));
    if begin(old) != begin(new) {
        out.push(format!("START WITH {}", begin(new)));
    }
    if apart(old, new) {
        out.push("RESTART".into());
    }
    if old.get(CACHE) != new.get(CACHE) {
        out.push(format!("CACHE {}", new.get(CACHE).unwrap_or(1)));
    }
    if old.is(CYCLE) != new.is(CYCLE) {
        out.push(if new.is(CYCLE) { "CYCLE".into() } else { "NO CYCLE".into() });
    }
    out
}

/// Where the range begins later than before: the number to continue with, and the condition under which the sequence has not
/// come that far and PostgreSQL would refuse. (A range that ends earlier may lose numbers in use, so that is left to it.)
pub fn forward(old: &Attrs, new: &Attrs) -> Option<(i64, String)> {
    if ascends(old) != ascends(new) || apart(old, new) {
        return None;
    }
    let begin = new.get(START).unwrap_or_else(|| start(new));
    match ascends(new) {
        true => new.get(MIN).filter(|min| *min > old.get(MIN).unwrap_or(1)).map(|min| (begin, format!("< {min}"))),
        false => new.get(MAX).filter(|max| *max < old.get(MAX).unwrap_or(-1)).map(|max| (begin, format!("> {max}"))),
    }
}

/// True if no number is in both ranges: wherever the sequence is, it has to start over.
fn apart(old: &Attrs, new: &Attrs) -> bool {
    let range = |attrs: &Attrs| {
        let (min, max) = if ascends(attrs) { (1, i64::MAX) } else { (i64::MIN, -1) };
        (attrs.get(MIN).unwrap_or(min), attrs.get(MAX).unwrap_or(max))
    };
    let (old, new) = (range(old), range(new));
    old.1 < new.0 || new.1 < old.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_depend_on_type_and_direction() {
        let mut up = Attrs::new();
        up.set(START, 1).set(INCREMENT, 1).set(MIN, 1).set(MAX, i64::from(i32::MAX)).set(CACHE, 1);
        let mut wide = up.clone();
        normalise(&mut up, "integer");
        assert!(up.is_empty());
        normalise(&mut wide, "bigint");
        assert_eq!(create(&wide), ["MAXVALUE 2147483647"]);
        let mut down = Attrs::new();
        down.set(START, -1).set(INCREMENT, -2).set(MIN, i64::MIN).set(MAX, -1);
        normalise(&mut down, "bigint");
        assert_eq!(create(&down), ["INCREMENT BY -2"]);
    }

    #[test]
    fn alter_says_what_postgresql_would_not_compute() {
        let none = Attrs::new();
        let mut high = Attrs::new();
        high.set(MIN, 10).set(START, 100).set(CYCLE, true);
        assert_eq!(alter(&none, &high), ["MINVALUE 10", "START WITH 100", "CYCLE"]);
        assert_eq!(alter(&high, &none), ["NO MINVALUE", "START WITH 1", "NO CYCLE"]);
        assert_eq!(forward(&none, &high), Some((100, "< 10".into())));
        assert_eq!(forward(&high, &none), None);
        let down = Attrs::new().with(INCREMENT, -1);
        assert_eq!(alter(&none, &down), ["INCREMENT BY -1", "NO MINVALUE", "NO MAXVALUE", "START WITH -1", "RESTART"]);
    }
}
