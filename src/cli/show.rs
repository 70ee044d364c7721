//! `setpoint show N`: shows one plan or revision, however old.

use clap::Args;

use std::time::Duration;

use super::App;
use crate::catalog::Session;
use crate::ledger::{self, Ledger};
use crate::model::{Error, Result};
use crate::plan::{Plan, chain::Chain, file};
use crate::project::Project;
use crate::report::{json, markdown, plan as shows};

/// How long a database may take to say whether it has the plan, too.
const PATIENCE: Duration = Duration::from_secs(2);

/// Show one plan or revision
#[derive(Args, Debug)]
pub struct Show {
    /// The plan's number
    number: u32,
    /// Show the statements as a script
    #[arg(long, conflicts_with = "json")]
    sql: bool,
    /// Show it as JSON
    #[arg(long)]
    json: bool,
    /// Show it as a comment on a pull request
    #[arg(long, conflicts_with_all = ["json", "sql"])]
    markdown: bool,
}

impl Show {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let plan = match chain.link(self.number) {
            Some(link) => {
                let plan = chain.plan(link)?;
                self.compare(app, &project, &chain, &plan);
                plan
            }
            None => self.recorded(app, &project)?,
        };
        app.print(&if self.json {
            json::text(&json::saved(&plan))
        } else if self.sql {
            shows::script(&plan.steps)
        } else if self.markdown {
            markdown::comment((&plan).into(), &markdown::Around { plan: Some(&plan), ..Default::default() })
        } else {
            shows::show(&plan)
        });
        Ok(0)
    }

    /// The plan as the ledger recorded it, with a warning where its row says something else.
    fn recorded(&self, app: &App, project: &Project) -> Result<Plan> {
        let unknown = || {
            Error::failed(format!("there is no plan {}, neither in plans/ nor in the ledger", self.number))
                .remedy("`setpoint history` lists what the database has")
        };
        let session = app.session(project, "show").map_err(|_| unknown())?;
        let ledger = app.wait(Ledger::look(&session))?;
        app.warn_of_others(&ledger);
        let text = app.wait(ledger::plan_text(&session, self.number))?.ok_or_else(unknown)?;
        let read = file::read(&format!("revision {}", self.number), &text);
        match ledger.revision(self.number) {
            Some(revision) => match (ledger.plan(revision, &text), read) {
                (Ok(plan), _) => Ok(plan),
                (Err(error), Ok(plan)) => {
                    app.warn(&error.to_string());
                    Ok(plan)
                }
                (Err(error), Err(_)) => Err(error),
            },
            None => {
                let plan = read.map_err(|error| Error { remedy: None, ..error })?;
                let events = app.wait(ledger::events(&session))?;
                let event = events.iter().rev().find(|event| event.number == self.number);
                if let Some(event) = event.filter(|event| event.plan_hash != plan.hash()) {
                    app.warn(&format!(
                        "plan {} {} was {} with the hash {}",
                        event.number, event.name, event.what, event.plan_hash
                    ));
                }
                Ok(plan)
            }
        }
    }

    /// Says so where the database recorded another plan under that number. A database that cannot be reached does not matter.
    fn compare(&self, app: &App, project: &Project, chain: &Chain, plan: &Plan) {
        let Ok(target) = project.target(app.globals.url.as_deref(), app.globals.env.as_deref()) else { return };
        let opened = async { tokio::time::timeout(PATIENCE, Session::open(&target, "show")).await };
        let Ok(Ok(session)) = app.settle(opened) else { return };
        let ledger = match app.wait(Ledger::look_closely(&session, chain)) {
            Ok(ledger) => ledger,
            Err(error) => return app.warn(&error.to_string()),
        };
        app.warn_of_others(&ledger);
        if let Err(error) = ledger.sound() {
            app.warn(&error.to_string());
        }
        if let Some(revision) = ledger.revision(plan.number).filter(|revision| revision.plan_hash != plan.hash()) {
            app.warn(&format!(
                "this is what plans/ has; the database is at another plan {}: {} ({})",
                revision.number, revision.name, revision.plan_hash
            ));
        }
    }
}
