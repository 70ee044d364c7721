//! Plans, errors and lists as people read them on a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::kinds::Mode;
use crate::model::Error;
use crate::plan::{Action, Plan, Step};

const ADD: Style = AnsiColor::Green.on_default();
const CHANGE: Style = AnsiColor::Yellow.on_default();
const REMOVE: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Text in a style.
fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// An error with its places and its remedy.
pub fn error(error: &Error) -> String {
    let mut out = format!("{} {}", paint(REMOVE.bold(), "error:"), error.message);
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

/// The sign of an action: `+ ~ -`, `>` for renames, `*` for steps by hand.
fn sign(action: Action) -> (&'static str, Style) {
    match action {
        Action::Create => ("+", ADD),
        Action::Drop => ("-", REMOVE),
        Action::Alter => ("~", CHANGE),
        Action::Rename => (">", CHANGE),
        Action::Manual => ("*", CHANGE),
    }
}

/// A plan's steps, one line each, and a summary.
pub fn plan(steps: &[Step], sql: bool) -> String {
    let mut out = String::new();
    let mut transaction = 0;
    for step in steps {
        if step.transaction != transaction {
            transaction = step.transaction;
            if steps.last().is_some_and(|s| s.transaction > 1) {
                let how = if step.mode == Mode::Alone { "outside of transactions" } else { "in one transaction" };
                let _ = writeln!(out, "{}", paint(DIM, &format!("-- {transaction}: {how}")));
            }
        }
        line(&mut out, step, sql);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(steps));
    out
}

fn line(out: &mut String, step: &Step, sql: bool) {
    let (mark, style) = sign(step.action);
    let object = if step.object.is_empty() { "by hand" } else { &step.object };
    let with = match step.with.as_slice() {
        [] => String::new(),
        [from] if step.action == Action::Rename => paint(DIM, &format!(" was {from}")),
        more => paint(DIM, &format!(" with {} more", more.len())),
    };
    let lock =
        step.lock.as_ref().map_or_else(String::new, |(mode, on)| paint(DIM, &format!("  [{} on {on}]", mode.words())));
    let mut words: Vec<&str> = step.hazards.iter().map(|f| f.hazard.word()).collect();
    words.dedup();
    let hazards = if words.is_empty() {
        String::new()
    } else {
        format!("  {}", paint(REMOVE, &format!("! {}", words.join(", "))))
    };
    let _ = writeln!(out, "  {} {object}{with}{lock}{hazards}", paint(style, mark));
    if sql {
        for text in step.sql.lines() {
            let _ = writeln!(out, "      {}", paint(DIM, text));
        }
    }
}

/// `3 to create, 1 to alter, 1 to drop; 7 steps in 2 transactions`, and the hazards with the words that allow them.
pub fn summary(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "Nothing to do.\n".into();
    }
    let mut counts: Vec<String> = Vec::new();
    for (action, word) in [
        (Action::Create, "to create"),
        (Action::Alter, "to alter"),
        (Action::Rename, "to rename"),
        (Action::Drop, "to drop"),
        (Action::Manual, "by hand"),
    ] {
        let mut objects: Vec<&str> = steps.iter().filter(|s| s.action == action).map(|s| s.object.as_str()).collect();
        objects.sort_unstable();
        objects.dedup();
        // What a rename goes along with is the old name.
        let with = steps.iter().filter(|s| s.action == action && action != Action::Rename).map(|s| s.with.len());
        let count = objects.len() + with.sum::<usize>();
        if count > 0 {
            counts.push(format!("{count} {word}"));
        }
    }
    let transactions = {
        let mut numbers: Vec<u32> = steps.iter().map(|s| s.transaction).collect();
        numbers.dedup();
        numbers.len()
    };
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    let mut out = format!(
        "{}; {} in {}.\n",
        paint(BOLD, &counts.join(", ")),
        plural(steps.len(), "step"),
        plural(transactions, "transaction")
    );
    let mut hazards: Vec<(&str, usize)> = Vec::new();
    for finding in steps.iter().flat_map(|s| &s.hazards) {
        match hazards.iter_mut().find(|(word, _)| *word == finding.hazard.word()) {
            Some((_, count)) => *count += 1,
            None => hazards.push((finding.hazard.word(), 1)),
        }
    }
    if !hazards.is_empty() {
        let list: Vec<String> = hazards.iter().map(|(word, count)| format!("{word} ({count})")).collect();
        let _ = writeln!(out, "{} {}", paint(REMOVE, "Hazards:"), list.join(", "));
    }
    out
}

/// A whole saved plan: heading, steps with SQL and inverses, hazards with their reasons.
pub fn show(plan: &Plan) -> String {
    let mut out = format!(
        "{} {}\n",
        paint(BOLD, &format!("plan {} {}", plan.number, plan.name)),
        paint(DIM, &plan.hash().to_string())
    );
    let sealed = if plan.sealed { ", edited by hand and sealed" } else { "" };
    let _ = writeln!(
        out,
        "{}",
        paint(DIM, &format!("made by setpoint {} for PostgreSQL {}{sealed}", plan.tool, plan.server))
    );
    for step in &plan.steps {
        out.push('\n');
        line(&mut out, step, true);
        for finding in &step.hazards {
            let _ = writeln!(out, "      {} {}", paint(REMOVE, finding.hazard.word()), finding.reason);
        }
        for inverse in &step.inverse {
            for finding in &inverse.hazards {
                let word = paint(REMOVE, &format!("back: {}", finding.hazard.word()));
                let _ = writeln!(out, "      {word} {}", finding.reason);
            }
            for (i, text) in inverse.sql.lines().enumerate() {
                let _ =
                    writeln!(out, "      {} {}", paint(DIM, if i == 0 { "back:" } else { "     " }), paint(DIM, text));
            }
        }
    }
    out.push('\n');
    out.push_str(&summary(&plan.steps));
    out
}

/// The statements as a script, transactions included.
pub fn script(steps: &[Step]) -> String {
    let mut out = String::new();
    let mut path: Option<&[String]> = None;
    let mut open = 0;
    for step in steps {
        if step.transaction != open {
            if open != 0 {
                out.push_str("COMMIT;\n\n");
            }
            open = 0;
            if step.mode != Mode::Alone {
                out.push_str("BEGIN;\n");
                open = step.transaction;
            }
        }
        if path != Some(&step.path) {
            let list: Vec<String> =
                step.path.iter().map(|s| crate::sql::name(&s.as_str().into()).to_string()).collect();
            let list = if list.is_empty() { "pg_catalog".to_string() } else { list.join(", ") };
            let _ = writeln!(out, "SET search_path = {list};");
            path = Some(&step.path);
        }
        let _ = writeln!(out, "{};", step.sql);
    }
    if open != 0 {
        out.push_str("COMMIT;\n");
    }
    out
}

/// Columns with two spaces between, as wide as they need; the first row is the heading, and an empty one is none.
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
