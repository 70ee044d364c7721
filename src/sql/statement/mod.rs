//! Reads statements that people wrote into plans: what they do to relations, as far as the text tells. The only user of `sqlparser`.
//!
//! The parser does not know a third of such statements, and some of those that it knows hide what they do (`WITH … AS (DELETE …) SELECT`,
//! `SELECT … INTO`, `EXPLAIN ANALYZE DELETE`). So leading words decide which statements are read at all, every part of a tree that may
//! write is looked for, and all else is unread: it asks for leave with its text shown.

mod tree;
mod words;

use super::lex::{self, Kind};

/// Longer texts are not read.
const LONGEST: usize = 64 * 1024;

/// Nor are those with more operators: a tree as deep as that overflows the stack when it goes.
const MOST_OPERATORS: usize = 1000;

/// What a statement does to a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `SELECT … FOR UPDATE` and its like.
    LocksRows,
    Inserts,
    /// Changes values in rows that are there. The columns, where the text names them.
    Overwrites(Option<Vec<String>>),
    Deletes,
    Truncates,
    /// `LOCK TABLE`, with PostgreSQL's words for the mode.
    Locks(String),
    BuildsIndex {
        unique: bool,
        concurrently: bool,
    },
    RebuildsIndexes {
        concurrently: bool,
    },
    Vacuums {
        full: bool,
    },
    Analyzes,
    /// CLUSTER.
    Sorts,
    /// REFRESH MATERIALIZED VIEW.
    Refreshes {
        concurrently: bool,
    },
    /// It, or a column of it, is described.
    Comments,
    /// A foreign key to it comes.
    IsReferenced,
    /// It goes, with its rows.
    Drops,
    /// An index of a name goes; on which table, the text does not tell.
    DropsIndex {
        concurrently: bool,
    },
    /// ALTER TABLE that writes the catalog alone.
    Alters,
    /// A rule comes that all rows have to satisfy.
    Checks,
    /// A key comes, with an index.
    AddsKey,
    /// VALIDATE CONSTRAINT.
    Validates,
    /// Its rows are rewritten, perhaps with other values.
    Rewrites,
    DropsColumn,
    /// A constraint, default, or another part without rows goes.
    DropsPart,
    Renames,
    /// Who may do what changes.
    ChangesAccess,
    /// A view or routine of that name may be another one afterwards.
    Replaces,
}

/// What a statement does, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub what: What,
    /// The relation's name, with its schema if the text says it; empty where it is about no relation, or about one that has no name.
    pub on: Vec<String>,
}

/// What a statement calls: what these names mean, only a server can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    pub functions: Vec<Vec<String>>,
    pub operators: Vec<String>,
}

/// How a statement goes together with transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Run {
    #[default]
    Within,
    /// PostgreSQL refuses it in a transaction block.
    Alone,
    /// What it does can be used after a commit only.
    CommitAfter,
}

/// A statement that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    pub effects: Vec<Effect>,
    pub calls: Calls,
    pub run: Run,
}

/// What reading a statement gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    Read(Statement),
    /// It begins or ends a transaction, or changes who the session is: these belong to whoever runs the plan. Its leading words.
    Control(String),
    /// What it does cannot be told from its text, and why.
    Unread(String),
}

/// The statements in a text, without semicolons and without what surrounds them.
pub fn split(text: &str) -> Vec<&str> {
    let (mut start, mut out) = (0, Vec::new());
    // The body of a routine between BEGIN ATOMIC and END has semicolons of its own.
    let (mut atomic, mut before) = (0_usize, String::new());
    for piece in lex::outside(text) {
        match piece.kind {
            Kind::Word => {
                let word = piece.text.to_ascii_lowercase();
                match word.as_str() {
                    "atomic" if before == "begin" => atomic = 1,
                    "case" if atomic > 0 => atomic += 1,
                    "end" => atomic = atomic.saturating_sub(1),
                    _ => {}
                }
                before = word;
            }
            Kind::Symbol if piece.text == ";" && atomic == 0 => {
                out.push(&text[start..piece.at]);
                start = piece.at + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out.into_iter().map(str::trim).filter(|part| has_words(part)).collect()
}

fn has_words(text: &str) -> bool {
    lex::pieces(text).any(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment))
}

/// What a statement does.
pub fn read(sql: &str) -> Reading {
    if sql.len() > LONGEST {
        return Reading::Unread(format!("it is longer than {} KB", LONGEST / 1024));
    }
    let operators = lex::pieces(sql).filter(|piece| joins(piece.kind, piece.text)).count();
    if operators > MOST_OPERATORS {
        return Reading::Unread(format!("it has more than {MOST_OPERATORS} operators"));
    }
    words::read(sql)
}

/// True for what makes a tree deeper.
fn joins(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Symbol => !matches!(text, "," | ")" | "]" | ";" | "."),
        Kind::Word => {
            ["and", "or", "not", "union", "intersect", "except", "case", "join", "is", "like", "in", "between"]
                .iter()
                .any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

impl Statement {
    fn with(mut self, what: What, on: Vec<String>) -> Self {
        self.effects.push(Effect { what, on });
        self
    }

    fn run(mut self, run: Run) -> Self {
        self.run = run;
        self
    }
}

impl From<Statement> for Reading {
    fn from(statement: Statement) -> Self {
        Self::Read(statement)
    }
}

#[cfg(test)]
mod tests;
