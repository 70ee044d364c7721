//! What people read, made the same for every run: names of databases, directories, hashes, times and versions are masked.

use crate::support::{Outcome, Sandbox, TestDb};

/// A run's exit code and everything that it printed.
pub fn shown(sandbox: &Sandbox, db: Option<&TestDb>, outcome: &Outcome) -> String {
    let mut out = format!("exit {}\n", outcome.code);
    for (name, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        if !text.is_empty() {
            out.push_str(&format!("--- {name}\n{}\n", text.trim_end_matches('\n')));
        }
    }
    out = out.replace(&sandbox.path("").display().to_string().trim_end_matches('/').to_string(), "DIR");
    if let Some(db) = db {
        out = out.replace(&db.url(), "URL").replace(db.connect.database(), "DATABASE");
    }
    out = out.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    out.lines().map(|line| mask(line).trim_end().to_string() + "\n").collect()
}

/// Masks the words that differ from run to run.
pub fn mask(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-:.+_".contains(c))).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(rest.chars().next().map_or(1, char::len_utf8)));
        out.push_str(match word {
            _ if is_hash(word) => "HASH",
            _ if is_date(word) => "DATE",
            _ if is_time(word) => "TIME",
            _ => word,
        });
        rest = after;
    }
    if let (Some(start), Some(end)) = (out.find("(PostgreSQL "), out.rfind(')')) {
        out.replace_range(start + "(PostgreSQL ".len()..end, "N");
    }
    if let Some(start) = out.find("for PostgreSQL ") {
        let at = start + "for PostgreSQL ".len();
        let end = out[at..].find(|c: char| !c.is_ascii_digit()).map_or(out.len(), |n| at + n);
        out.replace_range(at..end, "N");
    }
    out
}

fn is_hash(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_date(word: &str) -> bool {
    word.len() >= 10 && word.starts_with("20") && word.as_bytes()[4] == b'-' && word.as_bytes()[7] == b'-'
}

fn is_time(word: &str) -> bool {
    word.len() >= 8 && word.as_bytes()[2] == b':' && word.as_bytes()[5] == b':'
}
