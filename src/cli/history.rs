//! `setpoint history`: lists the ledger, newest first, including revisions that were rolled back.

use clap::Args;
use serde_json::json;

use super::App;
use crate::apply::lineage::{self, Stranger};
use crate::catalog::Session;
use crate::ledger::{self, Event, Ledger};
use crate::model::Result;
use crate::plan::chain::Chain;
use crate::plan::file;
use crate::report::json::FORMAT;
use crate::report::status::{self, Happening};

/// Show what was applied to the database, when and by whom, newest first
#[derive(Args, Debug)]
pub struct History {
    /// How many lines
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    lines: usize,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Show it as JSON, oldest first
    #[arg(long)]
    json: bool,
}

impl History {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let session = app.session(&project, "history")?;
        let ledger = app.wait(Ledger::look_closely(&session, &chain))?;
        app.warn_of_others(&ledger);
        let (events, odd) = app.wait(ledger::events_and_odd(&session))?;
        odd.iter().for_each(|what| app.warn(what));
        if self.json {
            let events: Vec<_> = events
                .iter()
                .map(|e| {
                    json!({ "number": e.number, "name": e.name, "what": e.what, "at": e.at, "by": e.by, "tool": e.tool, "hash": e.plan_hash.to_string() })
                })
                .collect();
            app.print(&crate::report::json::text(&json!({ "format": FORMAT, "events": events })));
            return ledger.sound().map(|()| 0);
        }
        if events.is_empty() {
            app.say("nothing has been applied to this database yet");
            return ledger.sound().map(|()| 0);
        }
        // In force is the newest event of a revision that the database has.
        let stands = |at: usize, event: &Event| {
            ledger.revision(event.number).is_some()
                && !events.iter().skip(at + 1).any(|later| later.number == event.number)
        };
        let shown = if self.all { events.len() } else { self.lines };
        let mut list = Vec::new();
        for (at, event) in events.iter().enumerate().rev().take(shown) {
            let steps = match app.globals.verbose {
                true => app.settle(steps(&session, &chain, event)),
                false => None,
            };
            list.push(Happening {
                number: event.number,
                name: event.name.clone(),
                what: event.what.clone(),
                at: event.at.clone(),
                by: event.by.clone(),
                tool: event.tool.clone(),
                hash: event.plan_hash.to_string(),
                steps,
                stands: stands(at, event),
            });
        }
        app.print(&status::history(&list, events.len().saturating_sub(shown), app.globals.verbose));
        if let Some(Stranger::Other(revision, _) | Stranger::Unknown(revision)) = lineage::stranger(&ledger, &chain) {
            app.say(&format!("note: revision {} {} is not in plans/", revision.number, revision.name));
        }
        ledger.sound().map(|()| 0)
    }
}

/// How many steps the event's plan has, if that very plan can still be found.
async fn steps(session: &Session, chain: &Chain, event: &Event) -> Option<usize> {
    if let Some(link) = chain.link(event.number).filter(|link| link.hash == event.plan_hash) {
        return chain.plan(link).ok().map(|plan| plan.steps.len());
    }
    let text = ledger::plan_text(session, event.number).await.ok()??;
    let plan = file::read("the ledger's plan", &text).ok()?;
    (plan.hash() == event.plan_hash).then_some(plan.steps.len())
}
