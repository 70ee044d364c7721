//! `setpoint show N`: one plan or revision, however old.

use clap::Args;

use super::App;
use crate::ledger;
use crate::model::{Error, Result};
use crate::plan::{chain::Chain, file};
use crate::report::{json, markdown, plan as shows};

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
            Some(link) => chain.plan(link)?,
            None => {
                let unknown = || {
                    Error::failed(format!("there is no plan {}, neither in plans/ nor in the ledger", self.number))
                        .remedy("`setpoint history` lists what the database has")
                };
                let session = app.session(&project, "show").map_err(|_| unknown())?;
                let text = app.wait(ledger::plan_text(&session, self.number))?.ok_or_else(unknown)?;
                file::read(&format!("revision {}", self.number), &text)?
            }
        };
        app.print(&if self.json {
            format!("{:#}\n", json::saved(&plan))
        } else if self.sql {
            shows::script(&plan.steps)
        } else if self.markdown {
            markdown::comment((&plan).into(), &markdown::Around { plan: Some(&plan), ..Default::default() })
        } else {
            shows::show(&plan)
        });
        Ok(0)
    }
}
