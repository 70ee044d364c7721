//! SQL in files: what PostgreSQL could not even take apart is refused where it stands. Everything else is PostgreSQL's to say.

use crate::kdl::{Arg, Problem};
use crate::model::Span;
use crate::sql;

use super::scope::Scope;

/// Words that a clause of SQL begins with, and that the node says already.
const CLAUSES: &[&str] =
    &["as", "check", "create", "default", "generated", "references", "using", "when", "where", "with check"];

/// Refuses SQL that PostgreSQL could not even take apart; everything else about it is PostgreSQL's to say.
pub fn check(text: &str, span: Span, name: &str, scope: &mut Scope<'_>) {
    // The server compares locales, but they are no SQL.
    if name == "locale" {
        return;
    }
    let text = text.trim();
    if text.is_empty() {
        let problem = Problem::new(span, format!("the SQL of `{name}` is empty")).label("nothing in it");
        return scope.problem(problem.help("write it, or leave all of it out"));
    }
    if let Err(why) = sql::balance::check(text) {
        return scope.problem(Problem::new(span, why).label("not whole"));
    }
    let lower = text.get(..text.floor_char_boundary(16)).unwrap_or(text).to_lowercase();
    let begins = |word: &&&str| {
        let rest = lower.strip_prefix(**word);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || c == '('))
    };
    if let Some(word) = CLAUSES.iter().find(begins) {
        let word = word.to_uppercase();
        let problem = Problem::new(span, format!("`{name}` says {word} already")).label(format!("begins with {word}"));
        let help = if word == "CREATE" { "write only the query: `SELECT …`" } else { "leave that word out" };
        scope.problem(problem.help(help));
    }
}

/// A default that is one bare word would be the name of a column, and a default can have none.
pub fn no_column(arg: &Arg, scope: &mut Scope<'_>) {
    let Some(word) = arg.as_text() else { return };
    let names = sql::names::find(word);
    if let [name] = names.as_slice()
        && name.parts.len() == 1
        && !name.call
        && name.last() == word.to_lowercase()
    {
        let problem = Problem::new(arg.span, format!("`{word}` would be a column, and a default knows none"));
        let help = format!("write `\"'{word}'\"` for the text, `\"{word}()\"` for the function");
        scope.problem(problem.label("a bare word").help(help));
    }
}
