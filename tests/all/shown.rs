//! Makes output the same for every run: names of databases, directories, hashes, times and versions are masked.

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

/// Masks the words that differ from run to run, from machine to machine and from server to server, wherever they stand: hashes, dates,
/// times, durations, versions.
pub fn mask(line: &str) -> String {
    let words = words(line);
    let mut out = String::with_capacity(line.len());
    for (at, word) in words.iter().enumerate() {
        let beside = |at: Option<usize>| at.and_then(|at| words.get(at)).copied().unwrap_or_default();
        let (before, after) = (beside(at.checked_sub(2)), beside(at.checked_add(2)));
        // A version may end a sentence.
        let number = word.trim_end_matches('.');
        let masked = match *word {
            _ if is_hash(word) => "HASH",
            _ if is_date(word) => "DATE",
            _ if is_time(word) => "TIME",
            _ if is_version(number) && PROGRAMS.contains(&before) => "N",
            _ if is_duration(number) && UNITS.contains(&after.trim_end_matches('.')) => "N",
            _ => number,
        };
        out.push_str(masked);
        out.push_str(&word[number.len()..]);
    }
    // What a packager adds to a server's version.
    if let (Some(start), Some(end)) = (out.find("(PostgreSQL "), out.rfind(')')) {
        out.replace_range(start + "(PostgreSQL ".len()..end, "N");
    }
    out
}

/// What has a version.
const PROGRAMS: [&str; 2] = ["PostgreSQL", "pg_dump"];

/// What a duration is counted in.
const UNITS: [&str; 6] = ["ms", "s", "second", "seconds", "minute", "minutes"];

/// A line as words and what stands between them, one character at a time.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-:.+_".contains(c))).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(rest.chars().next().map_or(1, char::len_utf8)));
        words.push(word);
        rest = after;
    }
    words
}

fn is_version(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

fn is_duration(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
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

#[test]
fn versions_durations_and_times_are_masked_wherever_they_stand() {
    for (line, masked) in [
        (
            "on PostgreSQL 15.20, compared by pg_dump 15.20, 2026-11-21T12:56:15Z",
            "on PostgreSQL N, compared by pg_dump N, DATE",
        ),
        ("on PostgreSQL 18.4.", "on PostgreSQL N."),
        ("a private PostgreSQL 19beta1 that goes away", "a private PostgreSQL N that goes away"),
        ("app (PostgreSQL 15.18 (Debian 15.18-0+deb12u1))", "app (PostgreSQL N)"),
        ("1 plan in 2.9 seconds; written", "1 plan in N seconds; written"),
        ("done in 12 ms.", "done in N ms."),
        ("at 12:30:01, by 4ac9bb1e5f2dd0f34ac9bb1e5f2dd0f3", "at TIME, by HASH"),
        ("2 steps in 2 transactions, numeric(12,2)", "2 steps in 2 transactions, numeric(12,2)"),
    ] {
        assert_eq!(mask(line), masked);
    }
}
