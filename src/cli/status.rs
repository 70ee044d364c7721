//! `setpoint status`: shows where a database stands, what is pending, whether it drifted, and which command comes next.

use clap::Args;
use serde_json::json;

use super::App;
use super::drift::{Drifted, against_snapshot};
use crate::apply;
use crate::apply::lineage::{self, Stranger};
use crate::introspect;
use crate::ledger::{self, Direction, Ledger, Revision, Run};
use crate::model::Result;
use crate::plan::Plan;
use crate::plan::chain::{Chain, Link};
use crate::report::json::FORMAT;
use crate::report::status::{Pending, Report};
use crate::report::{self, summary};

/// Show the current revision, pending plans and drift
#[derive(Args, Debug)]
pub struct Status {
    /// Show it as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let session = app.session(&project, "status")?;
        let mut ledger = app.wait(Ledger::look_closely(&session, &chain))?;
        app.warn_of_others(&ledger);
        let current = ledger.current();
        let pending: Vec<&Link> = chain.links.iter().filter(|l| l.number > current).collect();
        let live = app.wait(async {
            let earlier = ledger::reading(&session).await?;
            introspect::read_or_recall(&session, earlier.as_ref()).await
        })?;
        let unmodelled = live.unmodelled.len();
        let drift = match current {
            0 => Vec::new(),
            _ => app.wait(against_snapshot(&session, live.state, current, &project.manage)).unwrap_or_else(|error| {
                let details =
                    if error.details.is_empty() { String::new() } else { format!(" ({})", error.details.join("; ")) };
                ledger.problems.push(format!("{}{details}", error.message));
                Vec::new()
            }),
        };
        let sound = ledger.sound();
        let fits = lineage::check(&ledger, &chain);
        let foreign = lineage::stranger(&ledger, &chain).map(|stranger| match stranger {
            Stranger::Other(revision, _) | Stranger::Unknown(revision) => revision,
        });
        if self.json {
            app.print(&crate::report::json::text(&json!({
                    "format": FORMAT,
                    "database": session.target().database(),
                    "server": session.version.to_string(),
                    "revision": current,
                    "pending": pending.iter().map(|link| as_json(&chain, link)).collect::<Vec<_>>(),
                    "running": ledger.run.as_ref().map(|r| json!({ "number": r.number, "direction": r.direction.word() })),
                    "drift": drift.iter().map(|d| json!({ "change": d.sign, "object": d.object, "attributes": d.attrs })).collect::<Vec<_>>(),
                    "unknown": foreign.map(|r| r.number),
                    "unmodelled": live.unmodelled,
                    "problems": ledger.problems,
                })
            ));
            return sound.and(fits).map(|()| 0);
        }
        let report = Report {
            database: session.target().database().to_string(),
            server: session.version.to_string(),
            revision: ledger.revisions.last().map(at),
            ledger: ledger.exists,
            unfinished: ledger.run.as_ref().map(unfinished),
            pending: pending.iter().map(|link| row(&chain, link)).collect(),
            drift: drift.iter().map(|d| (d.sign, described(d))).collect(),
            unmodelled,
            next: next(&ledger, &pending, &drift, foreign, chain.links.is_empty()),
        };
        app.print(&report::status::status(&report));
        sound.and(fits).map(|()| 0)
    }
}

fn at(revision: &Revision) -> String {
    format!("{} {} ({} {} by {})", revision.number, revision.name, revision.how.word(), revision.at, revision.by)
}

fn unfinished(run: &Run) -> String {
    let done = run.entries.iter().filter(|e| e.direction == run.direction && e.done).count();
    let what = if run.direction == Direction::Up { "applying" } else { "rolling back" };
    format!("{what} {} {}, begun {} by {}, {done} statements done", run.number, run.name, run.at, run.by)
}

fn row(chain: &Chain, link: &Link) -> Pending {
    let name = format!("{} {}", link.number, link.name);
    match chain.plan(link) {
        Ok(plan) => Pending {
            name,
            counts: if plan.steps.is_empty() { "no steps".into() } else { summary::counts(&plan.steps) },
            hazards: summary::hazards(&plan.steps).into_iter().map(|(hazard, _)| hazard.word()).collect(),
            proof: plan.proof().map_or("not proved", |proof| report::plan::short(proof.verdict())),
        },
        Err(error) => Pending { name, counts: error.message, hazards: Vec::new(), proof: "" },
    }
}

fn as_json(chain: &Chain, link: &Link) -> serde_json::Value {
    let plan: Option<Plan> = chain.plan(link).ok();
    let hazards = plan.as_ref().map(|plan| summary::hazards(&plan.steps)).unwrap_or_default();
    json!({
        "number": link.number,
        "name": link.name,
        "steps": plan.as_ref().map(|plan| plan.steps.len()),
        "hazards": hazards.iter().map(|(hazard, _)| hazard.word()).collect::<Vec<_>>(),
        "proof": plan.as_ref().and_then(Plan::proof).map(|proof| proof.verdict().word()),
    })
}

fn described(drifted: &Drifted) -> String {
    match drifted.attrs.as_slice() {
        [] => drifted.object.clone(),
        attrs => format!("{}  ({})", drifted.object, attrs.join(", ")),
    }
}

/// The command that comes next, and why.
fn next(ledger: &Ledger, pending: &[&Link], drift: &[Drifted], foreign: Option<&Revision>, no_plans: bool) -> String {
    if !ledger.problems.is_empty() {
        return "setpoint stamp N (rewrites the inconsistent parts of the ledger)".to_owned();
    }
    if let Some(run) = &ledger.run {
        return match run.direction {
            Direction::Up => format!(
                "setpoint apply --to {} (resumes the unfinished run), or setpoint rollback --to {} (rolls it back)",
                run.goal,
                apply::revision(ledger.current())
            ),
            Direction::Down => {
                format!("setpoint rollback --to {} (resumes the unfinished rollback)", apply::revision(run.goal))
            }
        };
    }
    let next = match () {
        () if foreign.is_some() => "git pull (gets the plans of the other checkout), or setpoint history",
        () if !drift.is_empty() => {
            "setpoint drift (shows what was changed by hand), or setpoint pull (brings it into the files)"
        }
        () if !pending.is_empty() => "setpoint apply (runs what is pending)",
        () if ledger.revisions.is_empty() && no_plans => {
            "setpoint baseline (adopts what exists), or setpoint plan --save NAME (starts from the files)"
        }
        () => "setpoint plan (shows whether the files differ)",
    };
    next.to_owned()
}
