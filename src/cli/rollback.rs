//! `setpoint rollback`: runs the recorded inverse steps, newest first.

use clap::Args;

use super::App;
use super::approval::{Approval, check_hazards};
use super::progress::Tell;
use crate::apply::lineage::{self, Stranger};
use crate::apply::{self, Target};
use crate::ledger::Ledger;
use crate::model::{Class, Error, Result};
use crate::plan::chain::Chain;
use crate::project::Project;
use crate::report::{self, tree::Steps};

/// Roll back revisions with their recorded inverse steps
#[derive(Args, Debug)]
pub struct Rollback {
    /// How many revisions: `-1`, `-2`, …
    #[arg(value_name = "-N", allow_hyphen_values = true, conflicts_with = "to")]
    count: Option<String>,
    /// The revision to go back to, or `base` for the empty database
    #[arg(long, value_name = "N")]
    to: Option<String>,
    #[command(flatten)]
    approval: Approval,
}

impl Rollback {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let mut target = self.target()?;
        let database = app.target(&project)?;
        let options = self.approval.options(&project)?;
        app.await_server(&database, options.wait)?;
        if !self.approval.auto_approve {
            let session = app.session(&project, "rollback")?;
            let ledger = app.wait(Ledger::read_closely(&session, &options.plans))?;
            app.warn_of_others(&ledger);
            let way = app.wait(apply::preview(&session, &ledger, target))?;
            for undo in &way.undo {
                lineage::own(&ledger, &undo.plan, &options.plans)?;
                let steps = undo.steps();
                app.say(&format!(
                    "rolling back plan {} {}\n{}",
                    undo.plan.number,
                    undo.plan.name,
                    report::plan::plan(Steps { steps: &steps, footprint: &undo.plan.footprint }, app.globals.verbose)
                ));
                check_hazards(&steps, &options.allow)?;
            }
            // With nothing to roll back there is nothing to ask: the rollback reports why.
            if !way.undo.is_empty() {
                app.confirm(&format!("Run this on database {}?", database.database()), false)?;
                // What was approved is what was shown, even if somebody else was faster meanwhile.
                target = way.seen();
            }
        }
        note_strangers(app, &project);
        let summary = app.change(apply::rollback(&database, target, &options, &mut Tell(app)))?;
        let at = match summary.current {
            0 => "before its first revision".to_string(),
            n => format!("at revision {n}"),
        };
        app.say(&format!("the database is {at}"));
        Ok(0)
    }

    fn target(&self) -> Result<Target> {
        let wrong = |text: &str| {
            Error::new(Class::Usage, format!("`{text}` does not say how far"))
                .remedy("write `setpoint rollback -1`, `--to N` or `--to base`")
        };
        match (self.count.as_deref(), self.to.as_deref()) {
            (_, Some("base")) => Ok(Target::To(0)),
            (_, Some(text)) => text.parse().map(Target::To).map_err(|_| wrong(text)),
            (Some(text), None) => text
                .strip_prefix('-')
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0)
                .map(Target::Back)
                .ok_or_else(|| wrong(text)),
            (None, None) => Err(wrong("")),
        }
    }
}

/// Says that the database has revisions that plans/ does not have: they are rolled back by what the ledger keeps. Plans that
/// cannot be read are no reason not to go back.
fn note_strangers(app: &App, project: &Project) {
    let Ok(chain) = Chain::read(&project.plans_dir) else { return };
    let Ok(session) = app.session(project, "rollback") else { return };
    let Ok(ledger) = app.wait(Ledger::read(&session)) else { return };
    let Some(Stranger::Other(revision, _) | Stranger::Unknown(revision)) = lineage::stranger(&ledger, &chain) else {
        return;
    };
    app.say(&format!(
        "note: revision {} {} is not in plans/; the database has recorded how to roll it back",
        revision.number, revision.name
    ));
}
