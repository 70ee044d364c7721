//! A plan as a comment on a pull request: what a reviewer has to know first, with the SQL folded away.

use std::fmt::Write as _;

use crate::model::harmless;
use crate::plan::proof::{Proof, Verdict};
use crate::plan::{Plan, Step};

use super::plan::{WITHOUT_ROWS, compared, script, way};
use super::summary;
use super::tree::{Mark, Row, Steps, rows};

/// GitHub accepts 65,536 characters in one comment: limits for the SQL, the way back, the tree, and the number of hazards.
const SQL: usize = 18_000;
const BACK: usize = 10_000;
const TREE: usize = 18_000;
const ROWS: usize = 40;

/// What stands around the steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// The plan that was saved, if it was.
    pub plan: Option<&'a Plan>,
    /// Differences that could not be verified.
    pub unverified: &'a [String],
    /// Objects that the model does not cover.
    pub unmodelled: &'a [String],
    /// Plans that are not applied yet.
    pub pending: &'a [String],
    /// The database that it was planned for.
    pub database: Option<&'a str>,
}

/// The comment.
pub fn comment(steps: Steps<'_>, around: &Around<'_>) -> String {
    let mut out = heading(steps.steps, around);
    if !steps.steps.is_empty() {
        hazards(&mut out, steps.steps);
        out.push('\n');
        out.push_str(&fence("diff", &cut(&diff(steps), TREE, "  ")));
        let order = summary::order(steps.steps);
        let _ = writeln!(out, "\n{order}. {}", back(steps.steps));
        details(&mut out, &format!("SQL ({order})"), &cut(&script(steps.steps), SQL, "-- "));
        details(&mut out, "The way back", &cut(&script(&reversed(steps.steps)), BACK, "-- "));
    }
    match around.plan {
        Some(plan) => {
            let _ = writeln!(out, "\n{}", proof(plan));
        }
        None if !steps.steps.is_empty() => out.push_str("\n**Not proved:** the plan is not saved yet.\n"),
        None => {}
    }
    list(&mut out, "Not verified: these differ in text, and it is not known whether in meaning", around.unverified);
    list(&mut out, "Not covered by setpoint, left alone", around.unmodelled);
    list(&mut out, "Pending: saved, but not applied yet", around.pending);
    out
}

fn heading(steps: &[Step], around: &Around<'_>) -> String {
    let what = match around.plan {
        Some(plan) => format!("Plan {} {}", plan.number, code(&plan.name)),
        None => "Plan".to_string(),
    };
    let counts = if steps.is_empty() { "nothing to do".to_string() } else { summary::counts(steps) };
    let mut out = format!("### {what}: {counts}\n\n");
    let mut facts = Vec::new();
    facts.extend(around.database.map(|database| format!("database {}", code(database))));
    facts.extend(around.plan.map(|plan| format!("made for PostgreSQL {}", plan.server)));
    facts.extend(around.plan.map(|plan| format!("hash {}", code(&plan.hash().to_string()))));
    facts.extend(around.plan.filter(|plan| plan.sealed).map(|_| "edited by hand and sealed".to_string()));
    if !facts.is_empty() {
        let _ = writeln!(out, "{}", facts.join(" · "));
    }
    out
}

fn hazards(out: &mut String, steps: &[Step]) {
    let found = summary::hazards(steps);
    if found.is_empty() {
        out.push_str("\nNo hazards.\n");
        return;
    }
    out.push_str("\n| hazard | object | why |\n|---|---|---|\n");
    let rows: Vec<String> = steps.iter().flat_map(hazard_rows).collect();
    rows.iter().take(ROWS).for_each(|row| out.push_str(row));
    if rows.len() > ROWS {
        let _ = writeln!(out, "| … | and {} more | |", rows.len() - ROWS);
    }
    let _ = writeln!(out, "\nTo accept them: {}", code(&summary::allow(&found)));
}

/// A row for each hazard of a step: the first reason represents the others, as a table does its columns.
fn hazard_rows(step: &Step) -> Vec<String> {
    let mut out = Vec::new();
    for (hazard, count) in summary::hazards([step]) {
        let reason = step.hazards.iter().find(|f| f.hazard == hazard).map_or("", |f| f.reason.as_str());
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let object = if step.object.is_empty() { "step by hand".to_string() } else { code(&step.object) };
        let object = object.replace('|', "\\|");
        out.push(format!("| **{}** | {object} | {}{more} |\n", hazard.word(), escape(reason)));
    }
    out
}

/// The tree as GitHub colours it: `+` green, `-` red, `!` orange.
fn diff(steps: Steps<'_>) -> String {
    let several = summary::order(steps.steps).contains("transactions");
    let rows = rows(steps, false);
    let left: Vec<String> = rows.iter().map(left).collect();
    let width = left.iter().map(|text| text.chars().count()).filter(|width| *width <= 64).max().unwrap_or(0);
    let mut out = String::new();
    for (row, text) in rows.iter().zip(&left) {
        let badges = badges(row, several);
        let gap = if badges.is_empty() { 0 } else { width.saturating_sub(text.chars().count()) + 3 };
        let _ = writeln!(out, "{text}{}{badges}", " ".repeat(gap));
    }
    out
}

fn left(row: &Row) -> String {
    let sign = match row.mark {
        Some(Mark::Create) => '+',
        Some(Mark::Drop) => '-',
        Some(Mark::Alter | Mark::Rename | Mark::Replace | Mark::Manual) => '!',
        None => ' ',
    };
    let name = if row.name.is_empty() { String::new() } else { format!(" {}", row.name) };
    let about = if row.about.is_empty() { String::new() } else { format!("  {}", row.about) };
    format!("{sign} {}{}{name}{about}", "  ".repeat(row.depth), row.word)
}

fn badges(row: &Row, several: bool) -> String {
    let mut out = Vec::new();
    if several && !row.transactions.is_empty() {
        let list: Vec<String> = row.transactions.iter().map(u32::to_string).collect();
        out.push(format!("[{}]", list.join(",")));
    }
    if let Some((mode, on)) = &row.lock {
        let on = if on.is_empty() { String::new() } else { format!(" on {on}") };
        out.push(format!("{}{on}", mode.words()));
    }
    if row.alone {
        out.push("outside of transactions".into());
    }
    if !row.hazards.is_empty() {
        let words: Vec<&str> = row.hazards.iter().map(|hazard| hazard.word()).collect();
        out.push(format!("! {}", words.join(", ")));
    }
    out.join("  ")
}

fn back(steps: &[Step]) -> String {
    let way = summary::way_back(steps);
    let asks = match way.hazards.as_slice() {
        [] => String::new(),
        hazards => format!("; rolling back needs {}", code(&summary::allow(hazards))),
    };
    match way.lost.as_slice() {
        [] => format!("Way back: whole{asks}."),
        lost => {
            let mut lines: String = lost.iter().take(10).map(|line| format!("\n- {}", escape(line))).collect();
            if lost.len() > 10 {
                lines.push_str(&format!("\n- and {} more", lost.len() - 10));
            }
            format!("**Way back: in part**{asks}.\n{lines}")
        }
    }
}

/// The inverses, newest first.
fn reversed(steps: &[Step]) -> Vec<Step> {
    let back = steps
        .iter()
        .rev()
        .flat_map(|step| step.inverse.iter().map(|inverse| Step { transaction: step.transaction, ..inverse.clone() }));
    back.collect()
}

fn proof(plan: &Plan) -> String {
    let Some(proof) = plan.proof() else {
        return format!(
            "**Not proved:** it has not been run up, down and up yet ({}).",
            code(&format!("setpoint prove {}", plan.number))
        );
    };
    let witness = proof.witness.as_deref().map_or_else(String::new, |witness| format!(" and {}", escape(witness)));
    let compared = compared(proof, &witness);
    let mut out = match proof.verdict() {
        Verdict::Unproved if proof.server.is_empty() => format!("**Not rehearsed**, {}:", proof.at),
        Verdict::Proved => format!("**Proved** up, down and up again {compared}."),
        Verdict::InPart => format!("**Proved in part** {compared}:"),
        Verdict::Failed => format!("**Proof failed** {compared}:"),
        Verdict::Unproved => format!("**Not proved** {compared}:"),
    };
    out.push_str(&legs(proof));
    out
}

fn legs(proof: &Proof) -> String {
    let mut out = String::new();
    for (name, leg) in proof.legs().into_iter().filter(|(_, leg)| !leg.lines().is_empty()) {
        let _ = write!(out, "\n- {}: {}", way(name), leg.word().replace('-', " "));
        for line in leg.lines() {
            let _ = write!(out, "\n  - {}", escape(line));
        }
    }
    for line in proof.rows.iter().flat_map(|rows| &rows.without) {
        let _ = write!(out, "\n- {WITHOUT_ROWS}: {}", escape(line));
    }
    out
}

fn details(out: &mut String, title: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let _ = write!(out, "\n<details>\n<summary>{}</summary>\n\n{}\n</details>\n", escape(title), fence("sql", text));
}

/// Whole lines of a text up to that many bytes, and how many more lines there are.
fn cut(text: &str, most: usize, comment: &str) -> String {
    if text.len() <= most {
        return text.to_string();
    }
    let end = text.get(..text.floor_char_boundary(most)).and_then(|part| part.rfind('\n')).map_or(0, |at| at + 1);
    let (kept, rest) = text.split_at(end);
    format!("{kept}{comment}… and {} lines more: see the plan's file\n", rest.lines().count())
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n**{}** ({}):\n", escape(title), lines.len());
    for line in lines.iter().take(20) {
        let _ = writeln!(out, "- {}", escape(line));
    }
    if lines.len() > 20 {
        let _ = writeln!(out, "- and {} more", lines.len() - 20);
    }
}

/// A block of code whose fence is longer than any in the text: nothing in it can end it, and nothing in it is HTML.
fn fence(language: &str, text: &str) -> String {
    let text = &*harmless(text);
    let marks = "`".repeat(longest(text).max(2) + 1);
    let text = text.trim_end_matches('\n');
    format!("{marks}{language}\n{text}\n{marks}\n")
}

/// A text as code in a line.
fn code(text: &str) -> String {
    let text = harmless(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned();
    let marks = "`".repeat(longest(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{marks}{pad}{text}{pad}{marks}")
}

/// The longest run of backticks.
fn longest(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Plain text: nothing in it is Markdown, HTML, a mention or the end of a table's cell.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in harmless(&text.split_whitespace().collect::<Vec<_>>().join(" ")).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A name after it would be told.
            '@' => out.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("a|b <b> `x` @team\n_y_"), "a\\|b &lt;b&gt; \\`x\\` @\u{200b}team \\_y\\_");
        assert_eq!(code("table public.orders"), "`table public.orders`");
        assert_eq!(code("a``b`"), "``` a``b` ```");
        let block = fence("sql", "SELECT '```';\n</details>\n");
        assert_eq!(cut("one\ntwo\nthree\n", 9, "-- "), "one\ntwo\n-- … and 1 lines more: see the plan's file\n");
        assert_eq!(block, "````sql\nSELECT '```';\n</details>\n````\n");
    }
}
