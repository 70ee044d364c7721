//! Storage parameters, `name=value`: as a list in WITH, and as SET and RESET between two lists.

use crate::model::Text;

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
    let part = |p: &str| if is_plain(p) { p.to_string() } else { format!("\"{}\"", p.replace('"', "\"\"")) };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// `SET (…)` and `RESET (…)` that lead from one list to another.
pub fn option_changes(old: &[&Text], new: &[&Text]) -> Vec<String> {
    let key = |o: &str| o.split('=').next().unwrap_or_default().to_string();
    let set: Vec<String> = new.iter().filter(|o| !old.contains(o)).map(|o| one(o)).collect();
    let reset: Vec<String> =
        old.iter().filter(|o| !new.iter().any(|n| key(n) == key(o))).map(|o| name_of(&key(o))).collect();
    let mut out = Vec::new();
    if !set.is_empty() {
        out.push(format!("SET ({})", set.join(", ")));
    }
    if !reset.is_empty() {
        out.push(format!("RESET ({})", reset.join(", ")));
    }
    out
}
