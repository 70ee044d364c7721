//! Options, `name=value`: storage parameters in WITH, SET and RESET; those of foreign objects in OPTIONS.

use crate::model::Text;

use super::lex::{self, Kind};
use super::literal;
use super::quote::is_plain;

/// `fillfactor='70', toast.autovacuum_enabled='false'`.
pub fn options<'a>(list: impl Iterator<Item = &'a Text>) -> String {
    list.map(|option| one(option)).collect::<Vec<_>>().join(", ")
}

fn one(option: &str) -> String {
    match option.split_once('=') {
        Some((name, value)) => format!("{}={}", name_of(name), literal(value)),
        None => name_of(option),
    }
}

/// Quotes each part of `toast.autovacuum_enabled` by itself.
fn name_of(name: &str) -> String {
    name.split('.').map(plain).collect::<Vec<_>>().join(".")
}

fn plain(name: &str) -> String {
    if is_plain(name) { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `SET (…)` and `RESET (…)` that lead from one list to another.
pub fn option_changes(old: &[&Text], new: &[&Text]) -> Vec<String> {
    let set: Vec<String> = new.iter().filter(|o| !old.contains(o)).map(|o| one(o)).collect();
    let reset: Vec<String> =
        old.iter().filter(|o| !new.iter().any(|n| key(n) == key(o))).map(|o| name_of(key(o))).collect();
    let mut out = Vec::new();
    if !set.is_empty() {
        out.push(format!("SET ({})", set.join(", ")));
    }
    if !reset.is_empty() {
        out.push(format!("RESET ({})", reset.join(", ")));
    }
    out
}

fn key(option: &str) -> &str {
    option.split('=').next().unwrap_or_default()
}

/// The entries of a foreign object's OPTIONS: `host 'h'`.
pub fn foreign_options<'a>(list: impl IntoIterator<Item = &'a Text>) -> Vec<String> {
    list.into_iter().map(|option| foreign(option)).collect()
}

fn foreign(option: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    format!("{} {}", plain(name), literal(value))
}

/// The entries that lead from one list of a foreign object's options to another: `SET host 'h'`, `ADD port '5432'`, `DROP dbname`.
pub fn foreign_option_changes(old: &[&Text], new: &[&Text]) -> Vec<String> {
    let has = |list: &[&Text], option: &str| list.iter().any(|o| key(o) == key(option));
    let said = new.iter().filter(|o| !old.contains(o));
    let mut out: Vec<String> =
        said.map(|o| format!("{} {}", if has(old, o) { "SET" } else { "ADD" }, foreign(o))).collect();
    out.extend(old.iter().filter(|o| !has(new, o)).map(|o| format!("DROP {}", plain(key(o)))));
    out
}

/// A list of definitions as the catalog has it (src/backend/commands/tsearchcmds.c, serialize_deflist): `language = 'english',
/// maxlen = 3`, as `name=value` texts.
pub fn definitions(text: &str) -> Vec<Text> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, used) = word(rest, |c| c == '=' || c.is_whitespace());
        rest = rest.get(used..).unwrap_or("").trim_start_matches(|c: char| c == '=' || c.is_whitespace());
        let (value, used) = word(rest, |c| c == ',');
        rest = rest.get(used..).unwrap_or("").trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        out.push(format!("{name}={value}").into());
    }
    out
}

/// The value at the beginning of the text, and its length: a quoted one, or everything up to an end.
fn word(text: &str, ends: impl Fn(char) -> bool) -> (String, usize) {
    if let Some(quoted) = lex::pieces(text).next().filter(|p| matches!(p.kind, Kind::String | Kind::Quoted)) {
        return (quoted.content(), quoted.text.len());
    }
    let end = text.find(ends).unwrap_or(text.len());
    (text[..end].trim_end().to_string(), end)
}

/// One definition in SQL: `language = 'english'`. PostgreSQL keeps whether a number was written as one.
pub fn definition(option: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    format!("{} = {}", plain(name), if number { value.to_string() } else { literal(value) })
}

/// The definitions that lead from one list to another: those that are new or other, and the bare names of those that go.
pub fn definition_changes(old: &[&Text], new: &[&Text]) -> Vec<String> {
    let mut out: Vec<String> = new.iter().filter(|o| !old.contains(o)).map(|o| definition(o)).collect();
    out.extend(old.iter().filter(|o| !new.iter().any(|n| key(n) == key(o))).map(|o| plain(key(o))));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_foreign_objects() {
        let texts = |list: &[&str]| list.iter().map(|t| Text::from(*t)).collect::<Vec<_>>();
        let (old, new) = (texts(&["host=a", "port=1", "user=x"]), texts(&["Odd name=", "host=it's", "port=1"]));
        let (old, new): (Vec<&Text>, Vec<&Text>) = (old.iter().collect(), new.iter().collect());
        assert_eq!(foreign_options(new.clone()), ["\"Odd name\" ''", "host 'it''s'", "port '1'"]);
        assert_eq!(foreign_option_changes(&old, &new), ["ADD \"Odd name\" ''", "SET host 'it''s'", "DROP \"user\""]);
    }

    #[test]
    fn definitions_come_and_go() {
        let stored = definitions("language = 'it''s', \"Odd Name\" = E'a\\\\b''c', maxlen = 3");
        let texts: Vec<&str> = stored.iter().map(|t| &**t).collect();
        assert_eq!(texts, ["language=it's", "Odd Name=a\\b'c", "maxlen=3"]);
        let sql: Vec<String> = stored.iter().map(|t| definition(t)).collect();
        assert_eq!(sql, ["language = 'it''s'", "\"Odd Name\" = 'a\\b''c'", "maxlen = 3"]);
        let new = [Text::from("language=x"), Text::from("maxlen=3")];
        let (old, new): (Vec<&Text>, Vec<&Text>) = (stored.iter().collect(), new.iter().collect());
        assert_eq!(definition_changes(&old, &new), ["language = 'x'", "\"Odd Name\""]);
        assert!(definitions("").is_empty());
    }
}
