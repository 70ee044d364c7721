//! Commands by their leading words: which are read from their words alone, which from a tree, and which not at all.

use super::super::lex::{self, Kind};
use super::{Reading, Run, Statement, What, tree};

/// A statement's words, names and symbols, without space and comments.
struct Words {
    tokens: Vec<Token>,
    at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// As PostgreSQL folds it, without quotes.
    text: String,
    /// A name, with or without quotes.
    name: bool,
    quoted: bool,
}

impl Words {
    fn of(sql: &str) -> Self {
        let significant = lex::pieces(sql).filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment));
        let tokens = significant.map(|piece| match piece.kind {
            Kind::Quoted => Token { text: piece.content(), name: true, quoted: true },
            Kind::Word => Token { text: piece.text.to_ascii_lowercase(), name: true, quoted: false },
            _ => Token { text: piece.text.to_string(), name: false, quoted: false },
        });
        Self { tokens: tokens.collect(), at: 0 }
    }

    /// The word in front, if it is not in quotes.
    fn peek(&self) -> &str {
        self.tokens.get(self.at).filter(|token| !token.quoted).map_or("", |token| token.text.as_str())
    }

    /// Passes these words, if they come next.
    fn take(&mut self, words: &str) -> bool {
        let next = self.tokens.get(self.at..).unwrap_or_default();
        let wanted: Vec<&str> = words.split(' ').collect();
        let fits = wanted.len() <= next.len()
            && wanted.iter().zip(next).all(|(word, token)| !token.quoted && token.text == *word);
        if fits {
            self.at += wanted.len();
        }
        fits
    }

    /// Passes a list in parentheses, and gives its words.
    fn parenthesized(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        if !self.take("(") {
            return out;
        }
        let mut depth = 1;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match token.text.as_str() {
                "(" if !token.name => depth += 1,
                ")" if !token.name => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            out.push(token.text.clone());
        }
        out
    }

    /// A name, with its schema if it has one.
    fn name(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(token) = self.tokens.get(self.at).filter(|token| token.name) {
            out.push(token.text.clone());
            self.at += 1;
            if !self.take(".") {
                break;
            }
        }
        out
    }

    /// Names behind commas, each perhaps with ONLY before it and `*` behind it.
    fn names(&mut self) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        loop {
            self.take("only");
            let name = self.name();
            if name.is_empty() {
                return out;
            }
            out.push(name);
            self.take("*");
            self.parenthesized();
            if !self.take(",") {
                return out;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }
}

/// What only whoever runs the plan may do.
const CONTROL: &[&str] = &[
    "begin",
    "start transaction",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "prepare transaction",
    "set transaction",
    "set local transaction",
    "set session characteristics",
    "discard",
];

/// Settings that say who the session is.
const WHO: &[&str] = &["role", "session_authorization"];

/// Those whose trees are read.
const IN_TREES: &[&str] = &[
    "select",
    "with",
    "values",
    "table",
    "(",
    "insert",
    "update",
    "delete",
    "merge",
    "truncate",
    "alter table",
    "create table",
    "create unlogged table",
    "create view",
    "create or replace view",
    "create materialized view",
];

/// What writes nothing but its own row of a catalog, and takes no lock that keeps anybody from a relation's rows.
const HARMLESS: &[&str] =
    &["set", "reset", "comment on", "create schema", "create sequence", "create type", "create domain"];

/// What a statement does.
pub(super) fn read(sql: &str) -> Reading {
    let mut words = Words::of(sql);
    let is = |words: &mut Words, list: &[&str]| list.iter().any(|begin| words.take(begin));
    if is(&mut words, CONTROL) || changes_who(&mut words) {
        let begin = words.tokens.iter().take(words.at).map(|token| token.text.to_uppercase());
        return Reading::Control(begin.collect::<Vec<_>>().join(" "));
    }
    if let Some(statement) = by_words(&mut words) {
        return statement.into();
    }
    words.at = 0;
    if is(&mut words, IN_TREES) {
        return tree::read(sql);
    }
    if is(&mut words, HARMLESS) {
        return plain(&words, sql);
    }
    let known = |token: &&Token| token.name && !token.quoted;
    let count =
        if ["create", "alter", "drop"].contains(&words.tokens.first().map_or("", |token| &token.text)) { 2 } else { 1 };
    let begin: Vec<String> =
        words.tokens.iter().filter(known).take(count).map(|token| token.text.to_uppercase()).collect();
    Reading::Unread(format!("what {} does depends on more than its text", begin.join(" ")))
}

/// True for `SET ROLE` and its like, in all their spellings.
fn changes_who(words: &mut Words) -> bool {
    words.at = 0;
    if !words.take("set") && !words.take("reset") {
        return false;
    }
    if words.take("session authorization") {
        return true;
    }
    let _ = words.take("local") || words.take("session");
    let changes =
        words.take("session authorization") || WHO.contains(&words.name().join(".").to_ascii_lowercase().as_str());
    if !changes {
        words.at = 0;
    }
    changes
}

/// What such a command does, unless something in it is called: a setting, a default, a check of a domain.
fn plain(words: &Words, sql: &str) -> Reading {
    let mut statement = Statement::default();
    if words.tokens.first().is_some_and(|token| token.text == "create") {
        let calls = super::super::names::find(sql).into_iter().filter(|name| name.call).map(|name| name.parts);
        statement.calls.functions.extend(calls);
    }
    statement.into()
}

/// Commands that the parser does not know in all their forms, and whose words tell all that matters.
fn by_words(words: &mut Words) -> Option<Statement> {
    let done = Statement::default();
    let unique = words.take("create unique index");
    if unique || words.take("create index") {
        return Some(create_index(words, unique));
    }
    if words.take("drop index") {
        let concurrently = words.take("concurrently");
        words.take("if exists");
        let names = words.names();
        let run = if concurrently { Run::Alone } else { Run::Within };
        return Some(on_each(done, &What::DropsIndex { concurrently }, names).run(run));
    }
    if words.take("reindex") {
        return reindex(words);
    }
    if words.take("vacuum") {
        let mut options = words.parenthesized();
        while matches!(words.peek(), "full" | "freeze" | "verbose" | "analyze" | "analyse") {
            options.push(words.peek().to_string());
            words.at += 1;
        }
        let off = options.windows(2).any(
            |pair| matches!(pair, [full, off] if full == "full" && (off == "false" || off == "off" || off == "0")),
        );
        let full = options.iter().any(|option| option == "full") && !off;
        let names = words.names();
        return (!names.is_empty()).then(|| on_each(done, &What::Vacuums { full }, names).run(Run::Alone));
    }
    if words.take("analyze") || words.take("analyse") {
        words.parenthesized();
        words.take("verbose");
        let names = words.names();
        return (!names.is_empty()).then(|| on_each(done, &What::Analyzes, names));
    }
    if words.take("cluster") {
        words.parenthesized();
        words.take("verbose");
        let name = words.name();
        return (!name.is_empty()).then(|| done.with(What::Sorts, name));
    }
    if words.take("refresh materialized view") {
        let concurrently = words.take("concurrently");
        return Some(done.with(What::Refreshes { concurrently }, words.name()));
    }
    if words.take("lock") {
        return lock(words);
    }
    if words.take("alter type") {
        words.name();
        return words.take("add value").then(|| done.run(Run::CommitAfter));
    }
    let column = words.take("comment on column");
    if column || words.take("comment on table") {
        let mut name = words.name();
        if column {
            name.pop();
        }
        return Some(done.with(What::Comments, name));
    }
    drop(words).or_else(|| access(words))
}

fn create_index(words: &mut Words, unique: bool) -> Statement {
    let concurrently = words.take("concurrently");
    words.take("if not exists");
    if !words.take("on") {
        words.name();
        words.take("on");
    }
    words.take("only");
    let name = words.name();
    let run = if concurrently { Run::Alone } else { Run::Within };
    let mut statement = Statement::default().with(What::BuildsIndex { unique, concurrently }, name).run(run);
    // What it computes for each row.
    for pair in words.tokens.get(words.at..).unwrap_or_default().windows(2) {
        if let [name, open] = pair
            && name.name
            && open.text == "("
            && !matches!(
                name.text.as_str(),
                "include"
                    | "with"
                    | "where"
                    | "and"
                    | "or"
                    | "not"
                    | "in"
                    | "using"
                    | "btree"
                    | "hash"
                    | "gin"
                    | "gist"
                    | "brin"
                    | "spgist"
            )
        {
            statement.calls.functions.push(vec![name.text.clone()]);
        }
    }
    statement
}

fn reindex(words: &mut Words) -> Option<Statement> {
    let mut concurrently = words.parenthesized().iter().any(|option| option == "concurrently");
    let index = words.take("index");
    if !index && !words.take("table") {
        return None;
    }
    concurrently |= words.take("concurrently");
    let name = words.name();
    let on = if index { Vec::new() } else { name };
    let run = if concurrently { Run::Alone } else { Run::Within };
    Some(Statement::default().with(What::RebuildsIndexes { concurrently }, on).run(run))
}

fn lock(words: &mut Words) -> Option<Statement> {
    words.take("table");
    let names = words.names();
    let mut mode = "ACCESS EXCLUSIVE".to_string();
    if words.take("in") {
        let mut said = Vec::new();
        while !words.is_done() && !words.take("mode") {
            said.push(words.peek().to_uppercase());
            words.at += 1;
        }
        mode = said.join(" ");
    }
    (!names.is_empty()).then(|| on_each(Statement::default(), &What::Locks(mode), names))
}

/// DROP of what holds rows, or is used by name.
fn drop(words: &mut Words) -> Option<Statement> {
    let relation = words.take("drop table") || words.take("drop materialized view");
    if relation || words.take("drop view") {
        words.take("if exists");
        let names = words.names();
        // What else goes, the text does not tell.
        let what = if relation { What::Drops } else { What::Replaces };
        return (!words.take("cascade")).then(|| on_each(Statement::default(), &what, names));
    }
    None
}

fn access(words: &mut Words) -> Option<Statement> {
    let changes = words.take("grant") || words.take("revoke") || words.take("alter default privileges");
    changes.then(|| Statement::default().with(What::ChangesAccess, Vec::new()))
}

fn on_each(statement: Statement, what: &What, names: Vec<Vec<String>>) -> Statement {
    names.into_iter().fold(statement, |statement, name| statement.with(what.clone(), name))
}
