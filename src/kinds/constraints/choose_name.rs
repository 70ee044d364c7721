//! The names that PostgreSQL gives to constraints and indexes without one (src/backend/commands/indexcmds.c,
//! `ChooseIndexName`, `ChooseRelationName`, `makeObjectName`; src/backend/catalog/pg_constraint.c, `ChooseConstraintName`).

use crate::model::{Ident, MAX_NAME_BYTES};
use crate::sql;
use crate::sql::lex::{self, Kind, Piece};

/// `table_column_label`, the longer of the two names cut until all of it fits; a number after the label while it is taken.
pub fn choose(table: &str, addition: Option<&str>, label: &str, taken: impl Fn(&str) -> bool) -> Ident {
    let mut name = make(table, addition, label);
    let mut pass = 0_u32;
    while taken(&name) {
        pass += 1;
        name = make(table, addition, &format!("{label}{pass}"));
    }
    Ident::from(name)
}

/// The number that makes `name` differ from others of the same parts, 0 for none; `None` if it is not made of these.
pub fn number_in(name: &str, table: &str, addition: Option<&str>, label: &str) -> Option<u32> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let numbers = (1..=digits).filter_map(|count| name.get(name.len() - count..)?.parse().ok());
    std::iter::once(0).chain(numbers).find(|number: &u32| {
        let number = if *number == 0 { String::new() } else { number.to_string() };
        make(table, addition, &format!("{label}{number}")) == name
    })
}

/// `makeObjectName`: only the two names are cut, in favour of neither.
fn make(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(second.is_some());
    let available = MAX_NAME_BYTES.saturating_sub(overhead);
    let (mut a, mut b) = (first.len(), second.map_or(0, str::len));
    while a + b > available {
        if a > b { a -= 1 } else { b -= 1 }
    }
    match second {
        Some(second) => format!("{}_{}_{label}", clip(first, a), clip(second, b)),
        None => format!("{}_{label}", clip(first, a)),
    }
}

/// At most `bytes` bytes, whole characters only.
fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `ChooseIndexNameAddition`: the columns with `_` between; what goes far beyond a name's length is left out.
pub fn addition<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for column in columns {
        if out.len() > MAX_NAME_BYTES {
            break;
        }
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(column);
    }
    out
}

/// `ChooseIndexColumnNames`: a number makes the second part of the same name differ.
pub fn distinct(parts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for part in parts {
        let mut name = part.clone();
        let mut number = 0_u32;
        while out.contains(&name) {
            number += 1;
            let suffix = number.to_string();
            name = format!("{}{suffix}", clip(&part, MAX_NAME_BYTES - suffix.len()));
        }
        out.push(name);
    }
    out
}

/// More casts of one value than this are not looked into.
const MAX_CASTS: usize = 64;

/// `FigureIndexColname` (src/backend/parser/parse_target.c) for the forms that people index: a column, a call, a cast of these or
/// of anything in parentheses; `expr` for all else.
pub fn of_expression(text: &str) -> String {
    let (mut text, mut outermost) = (text.trim(), None);
    for _ in 0..MAX_CASTS {
        if let Some(inner) = in_parentheses(text) {
            text = inner.trim();
        } else if let Some((argument, cast)) = cast(text) {
            outermost = outermost.or(Some(cast));
            text = argument;
        } else {
            break;
        }
    }
    let cast = outermost.map(|cast| internal(&cast.name, cast.suffix));
    named(text).or(cast).unwrap_or_else(|| "expr".into())
}

/// A cast's operand and its type.
fn cast(text: &str) -> Option<(&str, sql::types::Parsed)> {
    let (argument, cast) = text.rsplit_once("::")?;
    let argument = argument.trim();
    let joins = |piece: &Piece<'_>| match piece.kind {
        Kind::Space | Kind::Comment => true,
        Kind::Symbol => ![".", "::"].contains(&piece.text),
        _ => false,
    };
    let alone = in_parentheses(argument).is_some() || !lex::outside(argument).any(|piece| joins(&piece));
    (lex::is_balanced(argument) && alone).then(|| sql::types::parse(cast.trim()).ok().map(|cast| (argument, cast)))?
}

/// The text inside parentheses that surround all of it.
fn in_parentheses(text: &str) -> Option<&str> {
    text.strip_prefix('(')?.strip_suffix(')').filter(|inner| lex::is_balanced(inner))
}

/// The name of a column or of a called function.
fn named(text: &str) -> Option<String> {
    let names = sql::names::find(text);
    let first = names.first().filter(|_| text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"'))?;
    let word = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '$'))).unwrap_or(text.len());
    let rest = text[word..].trim_start();
    (rest.is_empty() || in_parentheses(rest).is_some()).then(|| first.last().to_string())
}

/// The name in `pg_type` of a type that the grammar knows by other words.
fn internal(name: &str, suffix: &str) -> String {
    match (name, suffix) {
        ("integer", _) => "int4",
        ("bigint", _) => "int8",
        ("smallint", _) => "int2",
        ("real", _) => "float4",
        ("double precision", _) => "float8",
        ("boolean", _) => "bool",
        ("character varying", _) => "varchar",
        ("character", _) => "bpchar",
        ("bit varying", _) => "varbit",
        ("timestamp", " with time zone") => "timestamptz",
        ("time", " with time zone") => "timetz",
        (other, _) => other,
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_postgresql() {
        let free = |_: &str| false;
        assert_eq!(choose("orders", None, "pkey", free).as_str(), "orders_pkey");
        assert_eq!(choose("orders", Some(&addition(["a", "b"])), "key", free).as_str(), "orders_a_b_key");
        assert_eq!(choose("t", Some("a"), "check", |n| n == "t_a_check").as_str(), "t_a_check1");
        // Tried on PostgreSQL 15: CREATE TABLE <40 a> (<40 b> int UNIQUE).
        assert_eq!(number_in("t_a_check", "t", Some("a"), "check"), Some(0));
        assert_eq!(number_in("t_a_check12", "t", Some("a"), "check"), Some(12));
        assert_eq!(number_in("t_a1_check", "t", Some("a"), "check"), None);
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        assert_eq!(choose(&a, Some(&b), "key", free).as_str(), format!("{}_{}_key", "a".repeat(29), "b".repeat(29)));
        assert!(choose(&"é".repeat(40), Some(&b), "key", free).as_str().len() <= 63);
    }

    #[test]
    fn index_parts_have_names() {
        assert_eq!(distinct(["a".into(), "expr".into(), "expr".into()]), ["a", "expr", "expr1"]);
        for (text, name) in [
            ("lower(email)", "lower"),
            ("(lower((email)::text))", "lower"),
            ("a + b", "expr"),
            ("(data ->> 'x')::int", "int4"),
            ("f(a) || g(b)", "expr"),
            ("pg_catalog.lower(a)", "lower"),
            ("a::text", "a"),
            ("", "expr"),
            ("'x'::text", "text"),
            ("lower(a)::text", "lower"),
            // Tried on PostgreSQL 15, with CREATE INDEX ON t ((...)).
            ("'x'::text::varchar", "varchar"),
            ("a::text || b::text", "expr"),
            ("(a || b)::text", "text"),
            ("(a || b::text)::varchar(9)", "varchar"),
            ("a::text::varchar", "a"),
        ] {
            assert_eq!(of_expression(text), name, "{text}");
        }
        assert_eq!(of_expression(&format!("a{}", "::b".repeat(10_000))), "b");
    }
}
