//! `setpoint push`: plans, shows, asks, saves and applies in one go, for development.

use clap::Args;

use super::App;
use super::advance::advance;
use super::aid::Help;
use super::apply::remember;
use super::approval::{Approval, check_hazards};
use super::plan::{apply_first, check_name, list, report_unmodelled, shown};
use super::progress::Tell;
use super::rehearse::Rehearse;
use crate::apply::{self, Goal};
use crate::catalog::Session;
use crate::ledger::Ledger;
use crate::load;
use crate::model::{Error, Result};
use crate::plan::against::against;
use crate::plan::chain::Chain;
use crate::plan::{self as plans};
use crate::project::Project;
use crate::report;

/// Plan, show, ask, save and apply in one go
#[derive(Args, Debug)]
pub struct Push {
    /// What the plan is called
    #[arg(default_value = "push")]
    name: String,
    #[command(flatten)]
    approval: Approval,
    #[command(flatten)]
    rehearse: Rehearse,
    /// Fail on objects that the model does not cover
    #[arg(long)]
    strict: bool,
}

impl Push {
    pub fn run(self, app: &App) -> Result<u8> {
        check_name(&self.name)?;
        let project = app.project()?;
        let desired = app.load(&project)?;
        let mut chain = Chain::read(&project.plans_dir)?;
        let options = self.approval.options(&project)?;
        let session = app.session(&project, "push")?;
        let ledger = app.ledger(&session)?;
        let pending = apply::pending(&ledger, &chain, Goal::Head)?;
        if !pending.is_empty() {
            let names: Vec<String> = pending.iter().map(|l| format!("{} {}", l.number, l.name)).collect();
            return Err(Error::refused(format!("{} pending", list(&names))).remedy(apply_first(&pending)));
        }
        let starting = self.rehearse.start(app, &session);
        let help = Help::new(app, &session);
        let difference = app.wait(against(&session, &desired.state, &project.manage, &help));
        let difference = difference.map_err(|error| desired.point_out(error))?;
        report_unmodelled(app, &difference.unmodelled, self.strict)?;
        app.warn_of_nothing(&desired.state, &difference.made.steps);
        app.warn_of_done(&desired, &difference.renamed);
        if let Some(unverified) = difference.unverified.first() {
            return Err(Error::refused(format!(
                "{}: {} may differ, but this could not be verified",
                unverified.id, unverified.attr
            ))
            .detail(unverified.reason.clone()));
        }
        app.print(&report::plan::plan(&difference.made, app.globals.verbose));
        if difference.made.steps.is_empty() {
            advance(app, &project, &session, ledger.current(), &mut chain, (&desired.state, &difference))?;
            return Ok(0);
        }
        check_hazards(&difference.made.steps, &options.allow)?;
        let files = load::files_hash(&desired.state);
        let made = difference.made.clone();
        let mut plan = plans::Plan::new(&chain, &self.name, files, session.version.major(), made);
        self.rehearse.run(app, &project.manage, &session, (&mut plan, &difference), starting)?;
        app.confirm(
            &format!(
                "Save this as plan {} and apply it to database {}?",
                chain.links.len() + 1,
                session.target().database()
            ),
            self.approval.auto_approve,
        )?;
        let path = chain.append(&plan)?;
        app.say(&format!("wrote {}", shown(&project, &path)));
        let target = app.target(&project)?;
        let goal = Goal::To(plan.number);
        let summary = match app.change(apply::run(&target, &chain, goal, &options, &mut Tell(app))) {
            Ok(summary) => summary,
            Err(error) => return Err(take_back(app, &project, &mut chain, error)),
        };
        app.say(&format!("the database is at revision {}", summary.current));
        if let Some((plan, live)) = summary.reached {
            remember(app, &project, &desired.state, &plan, live, &session);
        }
        Ok(0)
    }
}

/// A plan of which nothing was applied would block the next push, so it is removed. If that cannot be known, it stays.
fn take_back(app: &App, project: &Project, chain: &mut Chain, error: Error) -> Error {
    let Some((number, name)) = chain.head().map(|head| (head.number, head.name.clone())) else { return error };
    let ledger = app.target(project).and_then(|target| {
        app.settle(async {
            let session = Session::open(&target, "push").await?;
            Ledger::read(&session).await
        })
    });
    match ledger {
        Ok(ledger) if !apply::has_begun(&ledger, number) => match chain.take_back() {
            Ok(()) => {
                let mut error =
                    error.detail(format!("no part of plan {number} ({name}) was applied, so it is not saved"));
                if error.remedy.as_deref().is_none_or(|remedy| remedy.contains("setpoint apply")) {
                    error.remedy = Some("fix the cause and run `setpoint push` again".to_owned());
                }
                error
            }
            Err(why) => error
                .detail(format!("no part of plan {number} ({name}) was applied, but it stays saved: {}", why.message)),
        },
        Ok(_) => error.detail(format!("plan {number} ({name}) is saved, and was partly applied")),
        Err(why) => error
            .detail(format!("plan {number} ({name}) is saved; how much of it was applied is unknown: {}", why.message)),
    }
}
