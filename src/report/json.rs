//! The versioned JSON output: fields may be added, but are never renamed without a new `format`.

use serde_json::{Value as Json, json};

use crate::kinds::Mode;
use crate::model::in_json;
use crate::plan::proof::Proof;
use crate::plan::{Plan, Step};

/// The version of every JSON form that the commands print.
pub const FORMAT: u32 = 1;

/// JSON as it is printed: nothing in it is obeyed by a terminal.
pub fn text(value: &Json) -> String {
    in_json(&format!("{value:#}\n"))
}

/// `plan --json`: the steps, and what could not be verified.
pub fn plan(steps: &[Step], unverified: &[String], unmodelled: &[String]) -> Json {
    json!({
        "format": FORMAT,
        "empty": steps.is_empty() && unverified.is_empty(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "unverified": unverified,
        "unmodelled": unmodelled,
    })
}

/// `show --json`: one saved plan.
pub fn saved(saved: &Plan) -> Json {
    let mut out = plan(&saved.steps, &[], &[]);
    out["number"] = json!(saved.number);
    out["name"] = json!(saved.name);
    out["hash"] = json!(saved.hash().to_string());
    out["files"] = json!(saved.files.to_string());
    out["after"] = json!(saved.after.map(|d| d.to_string()));
    out["sealed"] = json!(saved.sealed);
    out["proof"] = json!(saved.proof().map(proof));
    out
}

/// What `prove` found out.
pub fn proof(proof: &Proof) -> Json {
    let leg = |at: usize| {
        let (_, leg) = proof.legs()[at];
        json!({ "result": leg.word(), "lines": leg.lines() })
    };
    json!({
        "result": proof.verdict().word(),
        "at": proof.at,
        "server": proof.server,
        "witness": proof.witness,
        "rows": proof.rows.as_ref().map(|rows| {
            json!({ "count": rows.count, "tables": rows.tables, "without": rows.without })
        }),
        "up": leg(0),
        "down": leg(1),
        "again": leg(2),
    })
}

fn step(step: &Step) -> Json {
    json!({
        "action": step.action.word(),
        "object": step.object,
        "with": step.with,
        "about": step.about,
        "sql": step.sql,
        "transaction": step.transaction,
        "mode": match step.mode {
            Mode::Normal => "transactional",
            Mode::CommitAfter => "commit-after",
            Mode::Alone => "alone",
        },
        "search_path": step.path,
        "lock": step.lock.as_ref().map(|(mode, on)| json!({ "mode": mode.words(), "on": on })),
        "hazards": step.hazards.iter().map(|f| json!({ "hazard": f.hazard.word(), "reason": f.reason })).collect::<Vec<_>>(),
        "inverse": step.inverse.iter().map(self::step).collect::<Vec<_>>(),
    })
}
