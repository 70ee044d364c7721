//! Errors and lists as a terminal shows them.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::{Class, Error, in_line};

use super::style::{ADD, BOLD, CHANGE, DIM, REMOVE, paint};

/// An error with its places and its remedy.
pub fn error(error: &Error) -> String {
    // Problems of files have lines of their own; nothing else has.
    let message = if error.class == Class::Config { Cow::from(&error.message) } else { in_line(&error.message) };
    let mut out = format!("{} {message}", paint(REMOVE.bold(), "error:"));
    for line in &error.details {
        for (i, part) in line.lines().enumerate() {
            let _ = write!(out, "\n  {}{part}", if i == 0 { "" } else { "  " });
        }
    }
    if let Some(remedy) = &error.remedy {
        let _ = write!(out, "\n{} {remedy}", paint(ADD, "help:"));
    }
    out
}

/// Columns with two spaces between them, as wide as needed; the first row is the heading, unless it is empty.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        let text = cells.join("  ");
        let _ = writeln!(out, "{}", if i == 0 { paint(BOLD, text.trim_end()) } else { text.trim_end().to_string() });
    }
    out
}

/// What drifted since a revision, a line per object.
pub fn drift<'a>(revision: u32, list: impl Iterator<Item = (&'static str, &'a str, &'a [&'static str])>) -> String {
    let mut out = String::new();
    let mut count = 0;
    for (sign, object, attrs) in list {
        count += 1;
        let style = match sign {
            "+" => ADD,
            "-" => REMOVE,
            _ => CHANGE,
        };
        let attrs = if attrs.is_empty() { String::new() } else { paint(DIM, &format!("  ({})", attrs.join(", "))) };
        let _ = writeln!(out, "  {} {object}{attrs}", paint(style, sign));
    }
    match count {
        0 => format!("No drift: the database is what revision {revision} recorded.\n"),
        n => format!(
            "{out}\n{n} {} not what revision {revision} recorded.\n",
            if n == 1 { "object is" } else { "objects are" }
        ),
    }
}
