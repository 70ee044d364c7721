//! Exchanges a name in SQL text that PostgreSQL printed.

use crate::sql;

/// The text with one qualified name in place of another, outside of literals and other names; `None` where it is not there.
pub(super) fn exchanged(text: &str, from: &str, to: &str) -> Option<String> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '"' | '.');
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in text.match_indices(from) {
        let (before, after) = (text.get(..at)?, text.get(at + from.len()..)?);
        let inside = |quote: char| before.matches(quote).count() % 2 == 1;
        let apart = !before.ends_with(part) && !after.starts_with(part);
        if at >= done && apart && !inside('\'') && !inside('"') {
            out.push_str(text.get(done..at)?);
            out.push_str(to);
            done = at + from.len();
        }
    }
    (done > 0).then(|| out + text.get(done..).unwrap_or_default())
}

/// The same for strings that are cast to a type of objects, as PostgreSQL prints its constants: `'app.en'::regconfig`.
pub(super) fn exchanged_string(text: &str, from: &str, to: &str) -> Option<String> {
    let constant = |path: &str| format!("{}::reg", sql::literal(path));
    exchanged_where(text, &constant(from), &constant(to), |_| true)
}

/// The same for whole constants: `'low'::app.mood`, but not `'low'::app.mood[]`.
pub(super) fn exchanged_constant(text: &str, from: &str, to: &str) -> Option<String> {
    let more = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '[');
    exchanged_where(text, from, to, |after| !after.starts_with(more))
}

/// The text with one piece in place of another, outside of literals, where what comes after it is right.
fn exchanged_where(text: &str, from: &str, to: &str, right: impl Fn(&str) -> bool) -> Option<String> {
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in text.match_indices(from) {
        let (before, after) = (text.get(..at)?, text.get(at + from.len()..)?);
        if before.matches('\'').count() % 2 == 0 && right(after) {
            out.push_str(text.get(done..at)?);
            out.push_str(to);
            done = at + from.len();
        }
    }
    (done > 0).then(|| out + text.get(done..).unwrap_or_default())
}
