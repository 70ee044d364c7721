//! `setpoint apply`: runs pending plans in order, and nothing else.

use clap::Args;

use super::App;
use super::approval::{Approval, check_hazards};
use super::loading::Loading;
use super::progress::Tell;
use crate::apply::{self, Goal};
use crate::catalog::Session;
use crate::load;
use crate::model::{Class, Error, Result, State};
use crate::plan::Plan;
use crate::plan::chain::Chain;
use crate::project::Project;
use crate::report;

/// Run pending saved plans in order
#[derive(Args, Debug)]
pub struct Apply {
    /// How far: a revision, `+1` for the next plan, `head` for all
    #[arg(value_name = "N", default_value = "head")]
    goal: String,
    /// The same
    #[arg(long, value_name = "N", conflicts_with = "goal", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    approval: Approval,
    /// Nobody else uses the database: use one transaction where PostgreSQL allows it
    #[arg(long)]
    offline: bool,
}

impl Apply {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let mut goal = goal(self.to.as_deref().unwrap_or(&self.goal))?;
        let chain = Chain::read(&project.plans_dir)?;
        let target = app.target(&project)?;
        let mut options = self.approval.options(&project)?;
        options.offline = self.offline;
        app.await_server(&target, options.wait)?;
        if !self.approval.auto_approve {
            let session = app.session(&project, "apply")?;
            let ledger = app.ledger(&session)?;
            let plans: Vec<Plan> = apply::pending(&ledger, &chain, goal)?
                .into_iter()
                .map(|link| chain.plan(link))
                .collect::<Result<_>>()?;
            if plans.is_empty() && ledger.run.is_none() {
                app.say("nothing is pending");
                return Ok(0);
            }
            for plan in &plans {
                app.say(&format!(
                    "plan {} {}\n{}",
                    plan.number,
                    plan.name,
                    report::plan::plan(plan, app.globals.verbose)
                ));
            }
            let run = ledger.run.as_ref();
            check_hazards(plans.iter().flat_map(|plan| apply::to_come(run, plan)), &options.allow)?;
            app.confirm(&format!("Apply this to database {}?", target.database()), false)?;
            // What was approved is what was shown, even if somebody else was faster meanwhile.
            if let Some(last) = plans.last() {
                goal = Goal::Seen { goal: last.number, from: ledger.current() };
            }
        }
        // What the files say is learnt from afterwards, and read meanwhile.
        let files = Loading::start(project.schema_dir.clone());
        let summary = app.change(apply::run(&target, &chain, goal, &options, &mut Tell(app)))?;
        if summary.plans.is_empty() {
            app.say(&format!("nothing is pending: the database is at revision {}", summary.current));
        } else {
            app.say(&format!("the database is at revision {}", summary.current));
            if let Some((plan, live)) =
                summary.reached.filter(|(plan, _)| chain.head().is_some_and(|head| head.number == plan.number))
                && let (Ok(desired), Ok(session)) = (files.loaded(), app.session(&project, "apply"))
            {
                remember(app, &project, &desired.state, &plan, live, &session);
            }
        }
        Ok(0)
    }
}

/// Lets the memo learn what the texts of the files became by a plan that was just applied, and led to `live`, if they are those that
/// it was made from. It only saves time later, so a failure is not an error.
pub fn remember(app: &App, project: &Project, desired: &State, plan: &Plan, live: State, session: &Session) {
    if load::files_hash(desired) != plan.files {
        return;
    }
    if let Err(error) = app.wait(apply::learn(session, live, desired, &project.manage, plan)) {
        app.warn(&format!("the stored forms of expressions were not remembered: {}", error.message));
    }
}

/// Reads `--to`.
fn goal(text: &str) -> Result<Goal> {
    let wrong = || {
        Error::new(Class::Usage, format!("`{text}` is not a revision")).remedy("write a plan's number, `+1`, or `head`")
    };
    match text {
        "head" => Ok(Goal::Head),
        _ => match text.strip_prefix('+') {
            Some(count) => count.parse().map(Goal::Plus).map_err(|_| wrong()),
            None => text.parse().map(Goal::To).map_err(|_| wrong()),
        },
    }
}
