//! The status of a database on one screen, and its history, newest first.

use std::fmt::Write as _;

use super::style::{ADD, BOLD, CHANGE, DIM, REMOVE, paint};
use super::tree::many;

/// How many drifted objects and pending plans are named.
const NAMED: usize = 10;

/// What `status` knows.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub database: String,
    pub server: String,
    /// The current revision in a line; `None`: there is none.
    pub revision: Option<String>,
    /// False: the database has no ledger.
    pub ledger: bool,
    /// The run that has not ended.
    pub unfinished: Option<String>,
    pub pending: Vec<Pending>,
    /// Sign and object.
    pub drift: Vec<(&'static str, String)>,
    /// How many objects the model does not cover.
    pub unmodelled: usize,
    /// The command to type next.
    pub next: String,
}

/// A plan that is not applied yet.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// `2 add-note`.
    pub name: String,
    pub counts: String,
    pub hazards: Vec<&'static str>,
    pub proof: &'static str,
}

/// The screen.
pub fn status(report: &Report) -> String {
    let mut out = String::new();
    let mut row = |name: &str, text: &str| _ = writeln!(out, "{}  {text}", paint(BOLD, &format!("{name:10}")));
    row("database", &format!("{} (PostgreSQL {})", report.database, report.server));
    row(
        "revision",
        match (&report.revision, report.ledger) {
            (Some(revision), _) => revision,
            (None, true) => "none",
            (None, false) => "none: this database has no ledger yet",
        },
    );
    if let Some(run) = &report.unfinished {
        row("unfinished", &paint(REMOVE, run));
    }
    let pending = pending(&report.pending);
    for (i, line) in pending.iter().enumerate() {
        row(if i == 0 { "pending" } else { "" }, line);
    }
    match report.drift.len() {
        0 if report.revision.is_some() => row("drift", "none"),
        0 => row("drift", "nothing to compare with"),
        n => row("drift", &paint(CHANGE, &format!("{} since that revision", many(n, "object")))),
    }
    for (sign, object) in report.drift.iter().take(NAMED) {
        let style = match *sign {
            "+" => ADD,
            "-" => REMOVE,
            _ => CHANGE,
        };
        row("", &format!("{} {object}", paint(style, sign)));
    }
    if report.drift.len() > NAMED {
        row("", &paint(DIM, &format!("and {} more", report.drift.len() - NAMED)));
    }
    if report.unmodelled > 0 {
        let text = format!("{} not covered by setpoint, left alone", many(report.unmodelled, "object"));
        row("unmodelled", &text);
    }
    row("next", &report.next);
    out
}

/// The pending plans in columns.
fn pending(plans: &[Pending]) -> Vec<String> {
    if plans.is_empty() {
        return vec!["nothing".into()];
    }
    let width =
        |text: fn(&Pending) -> &str| plans.iter().take(NAMED).map(|p| text(p).chars().count()).max().unwrap_or(0);
    let (names, counts) = (width(|p| &p.name), width(|p| &p.counts));
    let lines = |plan: &Pending| {
        let proof = if plan.proof.is_empty() { String::new() } else { format!("  {}", paint(DIM, plan.proof)) };
        let mut lines = vec![format!("{:names$}  {:counts$}{proof}", plan.name, plan.counts)];
        if !plan.hazards.is_empty() {
            lines.push(format!("  {}", paint(REMOVE, &format!("! {}", plan.hazards.join(", ")))));
        }
        lines
    };
    let mut out: Vec<String> = plans.iter().take(NAMED).flat_map(lines).collect();
    if plans.len() > NAMED {
        out.push(paint(DIM, &format!("and {} more", plans.len() - NAMED)));
    }
    out
}

/// What happened to a revision.
#[derive(Debug, Clone, Default)]
pub struct Happening {
    pub number: u32,
    pub name: String,
    pub what: String,
    pub at: String,
    pub by: String,
    pub tool: String,
    pub hash: String,
    /// How many steps its plan has.
    pub steps: Option<usize>,
    /// True for what the database still has.
    pub stands: bool,
}

/// The ledger, newest first.
pub fn history(list: &[Happening], more: usize, verbose: bool) -> String {
    let mut heading = vec!["", "revision", "what", "when", "who"];
    if verbose {
        heading.extend(["steps", "setpoint", "hash"]);
    }
    let mut rows: Vec<Vec<String>> = vec![heading.into_iter().map(String::from).collect()];
    for one in list {
        let back = matches!(one.what.as_str(), "rolled back" | "unwound" | "unstamped");
        let sign = if back { "-" } else { " " };
        let mut row = vec![
            if one.stands { "*" } else { sign }.to_string(),
            format!("{} {}", one.number, one.name),
            one.what.clone(),
            one.at.replace('T', " ").replace('Z', " UTC"),
            one.by.clone(),
        ];
        if verbose {
            row.push(one.steps.map_or_else(|| "?".into(), |steps| steps.to_string()));
            row.extend([one.tool.clone(), one.hash.clone()]);
        }
        rows.push(row);
    }
    let table = super::text::table(&rows);
    let mut out = String::new();
    for (i, line) in table.lines().enumerate() {
        let style = match line.chars().next() {
            Some('*') => Some(ADD),
            Some('-') => Some(REMOVE),
            Some(' ') => Some(DIM),
            _ => None,
        };
        match style.filter(|_| i > 0) {
            Some(style) => _ = writeln!(out, "{}", paint(style, line)),
            None => _ = writeln!(out, "{line}"),
        }
    }
    let earlier = if more > 0 { format!("; {more} earlier are not shown (--all)") } else { String::new() };
    let _ = writeln!(out, "\n{}", paint(DIM, &format!("* in force{earlier}")));
    out
}
