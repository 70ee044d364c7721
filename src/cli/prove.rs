//! `setpoint prove`: runs plans up, down and up again in a scratch database.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::App;
use crate::ledger::Ledger;
use crate::model::{Error, Result};
use crate::plan::Plan;
use crate::plan::chain::{Chain, Link};
use crate::plan::proof::{Proof, Verdict};
use crate::project::Project;
use crate::prove::{Prover, untrusted};
use crate::report::{json, plan as shows};

/// Run plans up, down and up again on a scratch database, and compare its catalog at each end
#[derive(Args, Debug)]
pub struct Prove {
    /// The plan's number; by default all pending plans, or the newest
    number: Option<u32>,
    /// Prove every plan of the chain
    #[arg(long, conflicts_with = "number")]
    all: bool,
    /// Fill the tables with rows first, and check every value on the way
    #[arg(long)]
    rows: bool,
    /// The folder with PostgreSQL's server programs, if they are not found automatically
    #[arg(long, value_name = "DIR")]
    postgres: Option<PathBuf>,
    /// Show the result as JSON
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let links = self.links(app, &project, &chain)?;
        let begin = Instant::now();
        let Proved { proofs, untrusted } = run(app, &chain, &links, self.rows, self.postgres.as_deref())?;
        for (plan, proof) in proofs.iter().filter(|(plan, _)| !untrusted.contains(&plan.number)) {
            if let Some(link) = chain.link(plan.number) {
                chain.prove(link, proof)?;
            }
        }
        if self.json {
            let list: Vec<_> = proofs
                .iter()
                .map(|(plan, proof)| json!({ "number": plan.number, "name": plan.name, "proof": json::proof(proof) }))
                .collect();
            app.print(&json::text(&json!({ "format": json::FORMAT, "plans": list })));
        } else {
            for (plan, proof) in &proofs {
                app.print(&format!("plan {} {}: {}", plan.number, plan.name, shows::proved(proof)));
            }
            app.say(&format!(
                "{} in {:.1} seconds; written into plans/",
                match proofs.len() - untrusted.len() {
                    1 => "1 plan".to_string(),
                    many => format!("{many} plans"),
                },
                begin.elapsed().as_secs_f32()
            ));
        }
        if !untrusted.is_empty() {
            let names = proofs.iter().filter(|(plan, _)| untrusted.contains(&plan.number));
            return Err(refused(&list(names.map(|(plan, _)| plan))));
        }
        Ok(u8::from(proofs.iter().any(|(_, proof)| matches!(proof.verdict(), Verdict::Failed | Verdict::Unproved))))
    }

    /// The plans that are meant.
    fn links<'a>(&self, app: &App, project: &Project, chain: &'a Chain) -> Result<Vec<&'a Link>> {
        let Some(head) = chain.head() else {
            return Err(Error::failed("there is no plan to prove").remedy("`setpoint plan --save NAME` makes one"));
        };
        if self.all {
            return Ok(chain.links.iter().collect());
        }
        if let Some(number) = self.number {
            let link = chain.link(number).ok_or_else(|| {
                Error::failed(format!("there is no plan {number}")).remedy(format!("the newest is {}", head.number))
            })?;
            return Ok(vec![link]);
        }
        let current = app.session(project, "prove").and_then(|session| app.wait(Ledger::read(&session)));
        let pending: Vec<&Link> = match current {
            Ok(ledger) => chain.links.iter().filter(|link| link.number > ledger.current()).collect(),
            Err(error) => {
                app.say(&format!(
                    "note: no database to tell what is pending ({}): using the newest plan",
                    error.message
                ));
                Vec::new()
            }
        };
        Ok(if pending.is_empty() { vec![head] } else { pending })
    }
}

/// Plans with their proofs.
#[derive(Default)]
pub struct Proved {
    pub proofs: Vec<(Plan, Proof)>,
    /// The numbers of those that need more privileges than their authors have on this machine.
    pub untrusted: Vec<u32>,
}

/// The names of plans, for messages.
pub fn list<'a>(plans: impl Iterator<Item = &'a Plan>) -> String {
    plans.map(|plan| format!("{} {}", plan.number, plan.name)).collect::<Vec<_>>().join(", ")
}

/// The error of plans that only a superuser can run.
pub fn refused(names: &str) -> Error {
    Error::refused(format!("not proved, because only a superuser can run all of their steps: {names}"))
        .remedy(untrusted())
}

/// Proves these plans of the chain, with rows where that is asked for; those before and between them run on the way.
pub fn run(app: &App, chain: &Chain, links: &[&Link], rows: bool, postgres: Option<&Path>) -> Result<Proved> {
    let (Some(first), Some(last)) = (links.first(), links.last()) else { return Ok(Proved::default()) };
    let read = |from: u32, to: u32| -> Result<Vec<Plan>> {
        chain.links.iter().filter(|l| l.number >= from && l.number < to).map(|l| chain.plan(l)).collect()
    };
    let (before, plans) = (read(0, first.number)?, read(first.number, last.number + 1)?);
    let wanted = plans.last().map_or(0, |plan| plan.server);
    let prover = Prover::start(postgres, wanted, app.globals.author())?;
    if prover.major() != wanted {
        app.warn(&format!("made for PostgreSQL {wanted}, which is not installed here; proved on {}", prover.version()));
    }
    if prover.witness().is_none() {
        app.warn("pg_dump was not found beside the server's programs: only setpoint compares");
    }
    app.say(&format!("running on a private PostgreSQL {}, which is removed afterwards", prover.version()));
    app.tell_of_walls(prover.walls());
    let mut proofs = Vec::new();
    let mut numbers = app.wait(prover.prove(&before, &plans, rows, &mut |plan, proof| {
        if links.iter().any(|link| link.number == plan.number) {
            proofs.push((plan.clone(), proof));
        }
    }))?;
    numbers.retain(|number| links.iter().any(|link| link.number == *number));
    Ok(Proved { proofs, untrusted: numbers })
}
