//! `setpoint check`: checks files and plans in CI, without a database.

use std::path::PathBuf;

use clap::Args;
use rustc_hash::FxHashSet;

use super::App;
use crate::load;
use crate::model::{Error, Result};
use crate::plan::chain::Chain;
use crate::plan::proof::{Leg, Proof, Verdict};
use crate::plan::{Action, Plan};
use crate::report::plan as shows;

/// Check files and plans without a database: they parse and have the canonical layout, every change is planned, the chain is complete and unedited
#[derive(Args, Debug)]
pub struct Check {
    /// Require that every plan is proved; plans that are not are proved now, if server programs are found
    #[arg(long)]
    prove: bool,
    /// Require this only for plans from this number on
    #[arg(long, value_name = "N", requires = "prove", default_value_t = 1)]
    since: u32,
    /// The folder with PostgreSQL's server programs, if they are not found automatically
    #[arg(long, value_name = "DIR", requires = "prove")]
    postgres: Option<PathBuf>,
}

impl Check {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let desired = app.load(&project)?;
        super::fmt::check(&project, &desired.sources)?;
        let chain = Chain::read(&project.plans_dir)?;
        let mut renames: FxHashSet<(String, String)> = FxHashSet::default();
        for link in &chain.links {
            let steps = chain.plan(link)?.steps.into_iter().filter(|step| step.action == Action::Rename);
            renames.extend(steps.filter_map(|step| Some((step.with.into_iter().next()?, step.object))));
        }
        let files = load::files_hash(&desired.state);
        match chain.head() {
            None if desired.state.len() > 1 => {
                return Err(Error::failed("schema/ declares objects, but there is no plan")
                    .remedy("`setpoint plan --save NAME`"));
            }
            Some(head) if head.files != files => {
                return Err(Error::failed("schema/ has changes that no plan contains")
                    .detail(format!("the last plan is {} {}", head.number, head.name))
                    .remedy("`setpoint plan --save NAME` against a database at that plan"));
            }
            _ => {}
        }
        let done = desired
            .state
            .renames()
            .filter(|(id, was, _)| renames.contains(&(id.renamed((*was).clone()).to_string(), id.to_string())));
        app.warn_of_done(&desired, &done.map(|(id, ..)| id.clone()).collect::<Vec<_>>());
        if self.prove {
            self.proved(app, &chain)?;
        }
        let plans = match chain.links.len() {
            1 => "1 plan".to_string(),
            n => format!("{n} plans"),
        };
        let proved = if self.prove { ", and proved" } else { "" };
        app.say(&format!(
            "{} objects, {plans}: everything is planned, the chain is complete{proved}",
            desired.state.len()
        ));
        Ok(0)
    }

    /// Fails unless every plan has a proof of what it is now, and that proof did not fail.
    fn proved(&self, app: &App, chain: &Chain) -> Result<()> {
        let (mut failed, mut missing) = (Vec::new(), Vec::new());
        for link in chain.links.iter().filter(|link| link.number >= self.since) {
            let plan = chain.plan(link)?;
            // What could not be tried elsewhere is tried here.
            match plan.proof().filter(|proof| proof.verdict() != Verdict::Unproved) {
                Some(proof) => failed.extend(problems(&plan, proof)),
                None => missing.push(link),
            }
        }
        if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|link| format!("{} {}", link.number, link.name)).collect();
            app.say(&format!("proving {}", names.join(", ")));
            let proved = super::prove::run(app, chain, &missing, true, self.postgres.as_deref()).map_err(|error| {
                let mut out = Error::failed(format!("not proved, and cannot be proved here: {}", names.join(", ")));
                out.details.push(error.message);
                out.details.extend(error.details);
                let install = error.remedy.unwrap_or_default();
                out.remedy(format!(
                    "run `setpoint prove --all` where PostgreSQL is installed and commit plans/, or here: {install}"
                ))
            })?;
            if !proved.untrusted.is_empty() {
                let plans = proved.proofs.iter().map(|(plan, _)| plan);
                let names = super::prove::list(plans.filter(|plan| proved.untrusted.contains(&plan.number)));
                return Err(super::prove::refused(&names)
                    .detail("or run `setpoint prove --trust-files` where that may be, and commit plans/"));
            }
            failed.extend(proved.proofs.iter().flat_map(|(plan, proof)| problems(plan, proof)));
        }
        if failed.is_empty() {
            return Ok(());
        }
        let error = failed.into_iter().fold(Error::failed("not every plan is proved"), Error::detail);
        Err(error.remedy("fix the plan, `setpoint seal N` it, and `setpoint prove N`"))
    }
}

/// What keeps a plan from being proved, one line each.
fn problems(plan: &Plan, proof: &Proof) -> Vec<String> {
    if !matches!(proof.verdict(), Verdict::Failed | Verdict::Unproved) {
        return Vec::new();
    }
    let lines = proof.legs().into_iter().flat_map(|(name, leg)| {
        let bad = matches!(leg, Leg::Failed(_)) || name == "up" && matches!(leg, Leg::Unproved(_));
        let lines = if bad { leg.lines() } else { Vec::new() };
        lines.into_iter().map(move |line| format!("plan {} {}, {}: {line}", plan.number, plan.name, shows::way(name)))
    });
    lines.collect()
}
