//! `setpoint seal N`: accepts a plan that was edited by hand.

use std::time::Instant;

use clap::Args;

use super::App;
use super::rehearse::Rehearse;
use crate::catalog::Session;
use crate::ledger::Ledger;
use crate::model::{Class, Error, Result};
use crate::plan::beyond;
use crate::plan::by_hand::{self, Known};
use crate::plan::chain::{Chain, Link};
use crate::plan::proof::{Proof, Verdict};
use crate::plan::{Plan, file};
use crate::prove::{self, End, Prover, Sealed};
use crate::report::plan as shows;

/// Accept a plan that was edited by hand: find out what its steps do, rehash it and mark it as sealed
#[derive(Args, Debug)]
pub struct Seal {
    /// The plan's number
    number: u32,
    #[command(flatten)]
    rehearse: Rehearse,
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
        let session = app.session(&project, "seal");
        let ledger = session.as_ref().map(|session| app.wait(Ledger::read(session)));
        match ledger.map_err(Error::clone).flatten() {
            Ok(ledger) if ledger.revision(self.number).is_some() => {
                return Err(Error::refused(format!("plan {} was applied already", self.number))
                    .remedy("write a further plan instead: `setpoint plan --save NAME`"));
            }
            Ok(_) => {}
            Err(error) => app.say(&format!("note: no database was asked whether it ran this plan ({})", error.message)),
        }
        plan.sealed = true;
        // The plan's description may no longer match what it does, and was not proved.
        plan.steps.iter_mut().for_each(|step| step.about.clear());
        plan.proof = None;
        by_hand::split(&mut plan)?;
        self.look(app, &chain, session.as_ref().ok(), &mut plan)?;
        chain.replace(&plan)?;
        // An edited step is still held to what it says; whoever runs it is asked for the rest.
        let inverse = plan.steps.iter().flat_map(|step| &step.inverse);
        for (object, finding) in beyond::findings(plan.steps.iter().chain(inverse), &plan.steps) {
            let hazard = finding.hazard.word();
            app.warn(&format!("{object}: its text does more than the step says: {hazard}: {}", finding.reason));
        }
        app.say(&format!("sealed {shown}: {}", plan.hash()));
        Ok(0)
    }

    /// Finds out what the steps do that people wrote: from their text, and from a run on a throwaway server where the plans before it lead.
    fn look(&self, app: &App, chain: &Chain, live: Option<&Session>, plan: &mut Plan) -> Result<()> {
        let before: Vec<&Link> = chain.links.iter().filter(|link| link.number < self.number).collect();
        let before = before.into_iter().map(|link| chain.plan(link)).collect::<Result<Vec<Plan>>>()?;
        let end = match self.end(app, plan, &before) {
            Ok(end) => end,
            Err(error) if error.class == Class::Interrupted => return Err(error),
            Err(error) => {
                app.say(&format!("not rehearsed: {}", error.message));
                None
            }
        };
        let Some((prover, end)) = end else {
            let known = live.map(|live| app.wait(by_hand::ask(live, plan)));
            by_hand::claim(plan, &known.transpose()?.unwrap_or(Known::Nothing));
            return Ok(());
        };
        let known = app.wait(async {
            let session = end.session().await?;
            let known = by_hand::ask(&session, plan).await?;
            session.close().await;
            Ok(known)
        })?;
        by_hand::claim(plan, &known);
        let begin = Instant::now();
        let Sealed { rehearsal, observed } = app.wait(prover.watch(&end, plan))?;
        for seen in &observed {
            by_hand::observed(plan, &seen.sql, &seen.locks, &seen.findings);
        }
        match rehearsal.proof.verdict() {
            // It is the person's plan: they hear of it, and may know better.
            Verdict::Failed => {
                let failure = prove::refusal(plan, &rehearsal);
                app.warn(&format!("{}: {}", failure.message, failure.details.join("; ")));
            }
            Verdict::Unproved => app.say(&format!("not rehearsed: {}", rehearsal.proof.up.lines().join("; "))),
            Verdict::Proved | Verdict::InPart => {
                app.say(&shows::rehearsed(&rehearsal.proof, begin.elapsed().as_secs_f32()));
            }
        }
        // Steps that were seen to do more than their text tells claim it from now on; what was run is the same.
        plan.proof = Some(Proof { plan: plan.hash(), ..rehearsal.proof });
        Ok(())
    }

    /// A database where the plans before it lead; nothing where it is not to be rehearsed, or they do not run.
    fn end(&self, app: &App, plan: &Plan, before: &[Plan]) -> Result<Option<(Prover, End)>> {
        if self.rehearse.is_off() {
            return Ok(None);
        }
        let prover = Prover::start(None, plan.server, app.globals.author())?;
        app.tell_of_walls(prover.walls());
        Ok(match app.wait(prover.end_of(before))? {
            Ok(end) => Some((prover, end)),
            Err(why) => {
                app.say(&format!("not rehearsed: {why}"));
                None
            }
        })
    }
}
