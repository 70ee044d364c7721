//! `setpoint stamp N`: records that a database is at a revision, without running anything.

use clap::Args;

use super::App;
use crate::apply::stale;
use crate::introspect;
use crate::ledger::{self, Ledger};
use crate::model::{Error, Result, State};
use crate::plan::chain::Chain;

/// Record revisions up to N without running their plans
#[derive(Args, Debug)]
pub struct Stamp {
    /// The revision, `head`, or `base` for none
    revision: String,
    /// Answer yes to the question before anything is recorded
    #[arg(long)]
    auto_approve: bool,
    /// Record it although the live state is not the plan's target
    #[arg(long)]
    force: bool,
}

impl Stamp {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let number = match self.revision.as_str() {
            "head" => chain.head().map_or(0, |l| l.number),
            "base" => 0,
            text => text.parse().map_err(|_| {
                Error::new(crate::model::Class::Usage, format!("`{text}` is not a revision"))
                    .remedy("write its number, `head` or `base`")
            })?,
        };
        let plans =
            chain.links.iter().filter(|l| l.number <= number).map(|l| chain.plan(l)).collect::<Result<Vec<_>>>()?;
        if number > 0 && plans.last().is_none_or(|p| p.number != number) {
            let known: Vec<String> = chain.links.iter().map(|l| format!("{} {}", l.number, l.name)).collect();
            let error = Error::failed(format!("there is no plan {number}"));
            return Err(if known.is_empty() {
                error.detail("plans/ has no plans yet").remedy(
                    "`setpoint baseline` adopts a database as it is; `setpoint plan --save NAME` saves the first plan",
                )
            } else {
                error.detail(format!("plans: {}", known.join(", "))).remedy("name one of them, or `head` for the last")
            });
        }
        let session = app.session(&project, "stamp")?;
        if let Ok(ledger) = app.wait(Ledger::look(&session)) {
            app.warn_of_others(&ledger); // one that cannot be read is put right below
        }
        let live = app.wait(introspect::read(&session))?.state;
        // For a database without revisions, nothing is reported.
        let differs = stale::not_reached(&plans, &live, &project.manage);
        if !differs.is_empty() && !self.force {
            let error = Error::stale(format!("the database is not what plan {number} leads to"));
            let error = differs.iter().take(20).fold(error, |error, line| error.detail(line.clone()));
            return Err(error.remedy("bring it there first, or record it all the same with --force"));
        }
        let database = session.target().database().to_owned();
        let question = match number {
            0 => format!("Record that database {database} has no revision?"),
            _ => format!("Record that database {database} is at revision {number}?"),
        };
        app.confirm(&question, self.auto_approve)?;
        let mut declared = State::default();
        for plan in &plans {
            let own = stale::declared(plan, &live, &project.manage);
            own.iter().for_each(|(id, object)| _ = declared.put(id.clone(), object.clone()));
        }
        let live = project.manage.apply(live, &declared);
        app.change(ledger::stamp(&session, &plans, &live))?;
        app.say(&match number {
            0 => {
                "recorded that there is no revision; nothing was run, and `setpoint history` keeps what was".to_owned()
            }
            _ => format!("recorded revision {number}; nothing was run"),
        });
        Ok(0)
    }
}
