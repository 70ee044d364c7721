//! `setpoint seal N`: accepts a plan that was edited by hand.

use clap::Args;

use super::App;
use crate::ledger::Ledger;
use crate::model::{Error, Result};
use crate::plan::chain::Chain;
use crate::plan::file;

/// Accept a plan that was edited by hand: rehash it and mark it as sealed
#[derive(Args, Debug)]
pub struct Seal {
    /// The plan's number
    number: u32,
}

impl Seal {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let mut chain = Chain::read(&project.plans_dir)?;
        let Some(link) = chain.link(self.number).cloned() else {
            return Err(
                Error::failed(format!("there is no plan {}", self.number)).remedy("`setpoint status` lists the plans")
            );
        };
        if chain.head().is_some_and(|head| head.number != self.number) {
            return Err(Error::refused(format!(
                "plan {} is not the last one; the plans after it were made for its present form",
                self.number
            ))
            .remedy("remove the later plans, seal this one, and make them again"));
        }
        let shown = format!("plans/{}", file::file_name(link.number, &link.name));
        let text = std::fs::read_to_string(chain.path(&link))
            .map_err(|error| Error::failed(format!("cannot read {shown}")).detail(error.to_string()))?;
        let (mut plan, _) = file::parse(&shown, &text)?;
        if plan.hash() == link.hash {
            app.say(&format!("{shown} is unchanged; there is nothing to seal"));
            return Ok(0);
        }
        if plan.number != link.number || plan.name != link.name {
            return Err(Error::refused(format!("{shown} calls itself plan {} {}", plan.number, plan.name))
                .remedy("keep its number and name"));
        }
        // A database that has run it must not find another plan under its number. Without a database, it is not known whether it was run.
        match app.session(&project, "seal").and_then(|session| app.wait(Ledger::read(&session))) {
            Ok(ledger) if ledger.revision(self.number).is_some() => {
                return Err(Error::refused(format!("plan {} was applied already", self.number))
                    .remedy("write a further plan instead: `setpoint plan --save NAME`"));
            }
            Ok(_) => {}
            Err(error) => app.say(&format!("note: no database was asked whether it ran this plan ({})", error.message)),
        }
        plan.sealed = true;
        // The plan's description of itself may no longer be what it does, and was not proved.
        plan.steps.iter_mut().for_each(|step| step.about.clear());
        plan.proof = None;
        chain.replace(&plan)?;
        app.say(&format!("sealed {shown}: {}", plan.hash()));
        Ok(0)
    }
}
