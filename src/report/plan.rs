//! Plans as a terminal shows them: the tree, the summary, each step with its inverse.

use std::fmt::Write as _;

use crate::kinds::{LockMode, Mode};
use crate::model::in_line;
use crate::plan::proof::{Leg, Proof, Verdict};
use crate::plan::{Plan, Step};
use crate::sql;

use super::style::{ADD, BOLD, CHANGE, DIM, REMOVE, mark, paint, sign};
use super::tree::{Row, Steps, rows};
use super::{address, summary};

/// Badges have a column of their own, unless a line is longer than this.
const WIDE: usize = 64;

/// The tree and the summary; with `verbose` everything, and the statements in their order.
pub fn plan<'a>(steps: impl Into<Steps<'a>>, verbose: bool) -> String {
    let steps = steps.into();
    let mut out = tree(steps, verbose);
    if !out.is_empty() {
        out.push('\n');
    }
    if verbose && !steps.steps.is_empty() {
        in_order(&mut out, steps.steps, false);
        out.push('\n');
    }
    out.push_str(&summary(steps.steps));
    out
}

/// The tree alone.
pub fn tree(steps: Steps<'_>, all: bool) -> String {
    let rows = rows(steps, all);
    let several = summary::order(steps.steps).contains("transactions");
    let left: Vec<(String, usize)> = rows.iter().map(left).collect();
    let badges: Vec<String> = rows.iter().map(|row| badges(row, several)).collect();
    let with_badges = left.iter().zip(&badges).filter(|(_, badges)| !badges.is_empty());
    let width = with_badges.map(|((_, width), _)| *width).filter(|width| *width <= WIDE).max().unwrap_or(0);
    let mut out = String::new();
    for ((text, own), badges) in left.iter().zip(&badges) {
        let gap = if badges.is_empty() { 0 } else { width.saturating_sub(*own) + 3 };
        let _ = writeln!(out, "{text}{}{badges}", " ".repeat(gap));
    }
    out
}

/// A row without its badges, and how wide that is.
fn left(row: &Row) -> (String, usize) {
    let indent = "  ".repeat(row.depth);
    let (mark, style) = row.mark.map_or(("", DIM), sign);
    let space = if mark.is_empty() { "" } else { " " };
    let name = if row.name.is_empty() { String::new() } else { format!(" {}", row.name) };
    let about = if row.about.is_empty() { String::new() } else { format!("  {}", row.about) };
    let plain = format!("{indent}{mark}{space}{}{name}{about}", row.word);
    let shown = format!(
        "{indent}{}{space}{}{}{}",
        paint(style, mark),
        if row.mark.is_none() { paint(DIM, &row.word) } else { row.word.clone() },
        paint(BOLD, &name),
        paint(DIM, &about)
    );
    (shown, plain.chars().count())
}

fn badges(row: &Row, several: bool) -> String {
    let mut out = Vec::new();
    if several && !row.transactions.is_empty() {
        let list: Vec<String> = row.transactions.iter().map(u32::to_string).collect();
        out.push(paint(DIM, &format!("[{}]", list.join(","))));
    }
    if let Some((mode, on)) = &row.lock {
        let on = if on.is_empty() { String::new() } else { format!(" on {on}") };
        // What lets others read and write needs no attention.
        let style = if *mode > LockMode::ShareUpdateExclusive { CHANGE } else { DIM };
        out.push(paint(style, &format!("{}{on}", mode.words())));
    }
    if row.alone {
        out.push(paint(DIM, "outside of transactions"));
    }
    if !row.hazards.is_empty() {
        let words: Vec<&str> = row.hazards.iter().map(|hazard| hazard.word()).collect();
        out.push(paint(REMOVE, &format!("! {}", words.join(", "))));
    }
    out.join("  ")
}

/// Counts, steps and transactions; hazards with the words that allow them; whether there is a way back.
pub fn summary(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "Nothing to do.\n".into();
    }
    let mut out = format!("{}; {}.\n", paint(BOLD, &summary::counts(steps)), summary::order(steps));
    let hazards = summary::hazards(steps);
    if !hazards.is_empty() {
        let list: Vec<String> = hazards.iter().map(|(hazard, count)| format!("{} ({count})", hazard.word())).collect();
        let _ = writeln!(out, "{} {}", paint(REMOVE, "Hazards:"), list.join(", "));
        let _ = writeln!(out, "  to accept them: {}", summary::allow(&hazards));
    }
    // Steps that take something back have no way back of their own.
    if steps.iter().all(|step| step.inverse.is_empty() && step.action != crate::plan::Action::Manual) {
        return out;
    }
    let way = summary::way_back(steps);
    let asks = match way.hazards.as_slice() {
        [] => String::new(),
        hazards => format!("; rolling back needs {}", summary::allow(hazards)),
    };
    match way.lost.as_slice() {
        [] => _ = writeln!(out, "Way back: whole{asks}."),
        lost => {
            let _ = writeln!(out, "{} in part{asks}.", paint(REMOVE, "Way back:"));
            for line in lost.iter().take(5) {
                let _ = writeln!(out, "  {line}");
            }
            if lost.len() > 5 {
                let _ = writeln!(out, "  and {} more", lost.len() - 5);
            }
        }
    }
    out
}

/// A whole saved plan: heading, proof, tree, every step with SQL, hazards and inverse, summary.
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
    out.push_str(&proof(plan));
    out.push('\n');
    if plan.steps.is_empty() {
        out.push_str("It has no steps.\n");
        return out;
    }
    out.push_str(&tree(plan.into(), false));
    out.push('\n');
    in_order(&mut out, &plan.steps, true);
    out.push('\n');
    out.push_str(&summary(&plan.steps));
    out
}

/// What is known of a plan from running it up, down and up on a scratch database.
pub fn proof(plan: &Plan) -> String {
    match (plan.proof(), &plan.proof) {
        (Some(proof), _) => proved(proof),
        (None, Some(_)) => {
            format!(
                "not proved: the proof in the file is for an earlier form of the plan; `setpoint prove {}`\n",
                plan.number
            )
        }
        (None, None) => format!("not proved; `setpoint prove {}`\n", plan.number),
    }
}

/// A verdict in a word or two.
pub const fn short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "proved",
        Verdict::InPart => "proved in part",
        Verdict::Failed => "proof failed",
        Verdict::Unproved => "not proved",
    }
}

/// Where a proof was made, with how many rows, and what compared.
pub fn compared(proof: &Proof, witness: &str) -> String {
    let rows = proof.rows.as_ref().map_or_else(String::new, |rows| format!("with {} ", rows.shown()));
    format!("{rows}on PostgreSQL {}, compared by setpoint{witness}, {}", proof.server, proof.at)
}

/// A proof on one line, and what went wrong on the lines below.
pub fn proved(proof: &Proof) -> String {
    let witness = proof.witness.as_deref().map_or_else(String::new, |witness| format!(" and by {witness}"));
    let compared = compared(proof, &witness);
    let mut out = match proof.verdict() {
        Verdict::Unproved if proof.server.is_empty() => format!("{}, {}\n", paint(CHANGE, "not rehearsed"), proof.at),
        Verdict::Proved => format!("{} up, down and up again {compared}\n", paint(ADD, "proved")),
        Verdict::InPart => format!("{} {compared}\n", paint(CHANGE, "proved in part")),
        Verdict::Failed => format!("{} {compared}\n", paint(REMOVE, "proof failed")),
        Verdict::Unproved => format!("{} {compared}\n", paint(CHANGE, "not proved")),
    };
    for (name, leg) in proof.legs() {
        let style = match leg {
            Leg::Proved => continue,
            Leg::Failed(_) => REMOVE,
            Leg::Irreversible(_) | Leg::Unproved(_) => CHANGE,
        };
        let _ = writeln!(out, "  {}", paint(style, &format!("{}: {}", way(name), leg.word().replace('-', " "))));
        for line in leg.lines() {
            for part in line.lines() {
                let _ = writeln!(out, "    {part}");
            }
        }
    }
    for line in proof.rows.iter().flat_map(|rows| &rows.without) {
        let _ = writeln!(out, "  {}: {line}", paint(CHANGE, WITHOUT_ROWS));
    }
    out
}

/// What a rehearsal that went well showed, in a line, and what it left open.
pub fn rehearsed(proof: &Proof, seconds: f32) -> String {
    let part = if proof.verdict() == Verdict::InPart { ", except for what cannot be restored" } else { "" };
    let rows = proof.rows.as_ref().map_or_else(String::new, |rows| format!(" with {}", rows.shown()));
    let mut out =
        format!("rehearsed up, down and up again{rows} on PostgreSQL {}{part} ({seconds:.1} seconds)", proof.server);
    for line in proof.rows.iter().flat_map(|rows| &rows.without) {
        let _ = write!(out, "\n  {WITHOUT_ROWS}: {line}");
    }
    out
}

/// What precedes what was not tried with rows.
pub const WITHOUT_ROWS: &str = "not proved with rows";

/// What people call the three ways.
pub const fn way(name: &str) -> &str {
    match name.as_bytes() {
        b"again" => "up again",
        _ => name,
    }
}

/// The statements one after the other, transactions marked; with inverses and the hazards' reasons if wanted.
fn in_order(out: &mut String, steps: &[Step], whole: bool) {
    let several = steps.last().is_some_and(|step| step.transaction > 1);
    let mut transaction = 0;
    for step in steps {
        if step.transaction != transaction {
            transaction = step.transaction;
            if several {
                let how = if step.mode == Mode::Alone { "outside of transactions" } else { "in one transaction" };
                let _ = writeln!(out, "{}", paint(DIM, &format!("-- [{transaction}] {how}")));
            }
        }
        let (mark, style) = sign(mark(step.action));
        let object = if step.object.is_empty() { "by hand" } else { &step.object };
        let _ = writeln!(out, "  {} {}", paint(style, mark), in_line(object));
        for text in sql::respelled(&step.sql).lines() {
            let _ = writeln!(out, "      {text}");
        }
        if whole {
            in_whole(out, step);
        }
    }
}

fn in_whole(out: &mut String, step: &Step) {
    for finding in &step.hazards {
        let _ = writeln!(
            out,
            "      {} {}",
            paint(REMOVE, &format!("! {}:", finding.hazard.word())),
            in_line(&finding.reason)
        );
    }
    for inverse in &step.inverse {
        for (i, text) in sql::respelled(&inverse.sql).lines().enumerate() {
            let _ =
                writeln!(out, "      {}", paint(DIM, &format!("{} {text}", if i == 0 { "back:" } else { "     " })));
        }
        for finding in &inverse.hazards {
            let word = paint(REMOVE, &format!("! back: {}:", finding.hazard.word()));
            let _ = writeln!(out, "      {word} {}", in_line(&finding.reason));
        }
    }
}

/// The statements as a script, transactions included.
pub fn script(steps: &[Step]) -> String {
    let mut out = String::new();
    if steps.iter().any(|step| address::is_routine(&step.object)) {
        // Bodies may name what comes later.
        out.push_str("SET check_function_bodies = off;\n\n");
    }
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
            let _ = writeln!(out, "SET search_path = {};", sql::respelled(&step.schemas()));
            path = Some(&step.path);
        }
        let _ = writeln!(out, "{};", sql::respelled(&step.sql));
    }
    if open != 0 {
        out.push_str("COMMIT;\n");
    }
    out
}
