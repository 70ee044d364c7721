//! Up, down and up again: a plan on a scratch database, looked at between the ways.

use std::path::Path;
use std::sync::Arc;

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{ObjectId, Result};
use crate::plan::proof::{Leg, Proof};
use crate::plan::{Action, Hazard, Plan, Step};
use crate::scratch::{self, Author, Server, Site, Walls};

use super::compare::{self, Difference, Look};
use super::dump;
use super::runner::{self, Stop};

/// A throwaway server on which plans are proved.
pub struct Prover {
    server: Arc<Server>,
    author: Author,
    witness: Option<String>,
}

impl Prover {
    /// Starts a server of that major version, or of the newest that is installed if there is none of it.
    ///
    /// # Errors
    /// If there are no programs of a server, or they do not start.
    pub fn start(postgres: Option<&Path>, major: u32, author: Author) -> Result<Self> {
        let binaries = scratch::find_in(postgres, Some(major)).or_else(|_| scratch::find_in(postgres, None))?;
        let witness = dump::witness(&binaries);
        Ok(Self { server: Arc::new(Server::start_closed(&binaries)?), author, witness })
    }

    /// The version of the server: `15.18`.
    pub fn version(&self) -> &str {
        &self.server.binaries.version
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.server.binaries.major
    }

    /// What keeps what it runs in.
    pub fn walls(&self) -> Walls {
        self.server.walls()
    }

    /// Who compares besides our own model.
    pub fn witness(&self) -> Option<&str> {
        self.witness.as_deref()
    }

    /// Runs the plans of `before` on an empty database, then each of `plans` up, down and up again. A plan that does not run
    /// leaves those after it unproved. Gives the numbers of those that need more rights than their authors have here.
    ///
    /// # Errors
    /// What has nothing to do with the plans: the server's end, a `pg_dump` that does not run.
    pub async fn prove(&self, before: &[Plan], plans: &[Plan], each: &mut dyn FnMut(&Plan, Proof)) -> Result<Vec<u32>> {
        let site = Site::new(&self.server, "prove", self.author).await?;
        let session = site.session("prove").await?;
        let bench = Bench { prover: self, site, session };
        let (mut hindrance, mut all, mut untrusted) = (None, false, Vec::new());
        for plan in before {
            if let Err(stop) = runner::up(&bench.site, &bench.session, plan).await {
                hindrance = Some(hinders(plan, &stop.lines().join("; ")));
                all = matches!(stop, Stop::Untrusted(_));
                break;
            }
        }
        for plan in plans {
            let mut proof = bench.blank(plan).await?;
            let stop = match &hindrance {
                Some(reason) => {
                    proof.up = Leg::Unproved(reason.clone());
                    None
                }
                None => bench.prove(plan, &mut proof).await?,
            };
            let own = matches!(stop, Some(Stop::Untrusted(_)));
            if all || own {
                untrusted.push(plan.number);
            }
            all |= own && proof.up != Leg::Proved;
            if let (None, Leg::Failed(_) | Leg::Unproved(_)) = (&hindrance, &proof.up) {
                hindrance = Some(hinders(plan, &proof.up.lines().join("; ")));
            }
            each(plan, proof);
        }
        let Bench { site, session, .. } = bench;
        session.close().await;
        site.drop().await?;
        Ok(untrusted)
    }
}

fn hinders(plan: &Plan, why: &str) -> String {
    format!("plan {} ({}), which comes before it, does not run on an empty database: {why}", plan.number, plan.name)
}

struct Bench<'a> {
    prover: &'a Prover,
    site: Site,
    session: Session,
}

impl Bench<'_> {
    async fn look(&self) -> Result<Look> {
        let witness = self.prover.witness.as_ref().map(|_| &self.site);
        Look::at(&self.session, witness).await
    }

    /// A proof of nothing yet.
    async fn blank(&self, plan: &Plan) -> Result<Proof> {
        let query = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
        let at = self.session.rows(query, &[]).await?.into_iter().next().map(|mut row| row.text().to_string());
        let not_run = || Leg::Unproved("it was not reached".into());
        Ok(Proof {
            plan: plan.hash(),
            at: at.unwrap_or_default(),
            server: self.prover.version().to_string(),
            witness: self.prover.witness.clone(),
            up: not_run(),
            down: not_run(),
            again: not_run(),
        })
    }

    /// Gives what stopped it, if it was stopped.
    async fn prove(&self, plan: &Plan, proof: &mut Proof) -> Result<Option<Stop>> {
        let start = self.look().await?;
        if let Err(stop) = runner::up(&self.site, &self.session, plan).await {
            proof.up = stopped(&stop);
            return Ok(Some(stop));
        }
        let top = self.look().await?;
        proof.up = match stale::reached(plan, &top.state, Some(&start.state)) {
            Ok(()) => Leg::Proved,
            Err(error) => Leg::Failed(Difference::shown(error.details.into_iter())),
        };
        if let Err(stop) = runner::down(&self.site, &self.session, plan).await {
            proof.down = stopped(&stop);
            return Ok(Some(stop));
        }
        let bottom = self.look().await?;
        let difference = compare::between(&self.session, &start, &bottom).await?;
        proof.down = down(plan, difference);
        if let Err(stop) = runner::up(&self.site, &self.session, plan).await {
            proof.again = stopped(&stop);
            return Ok(Some(stop));
        }
        let again = self.look().await?;
        let difference = compare::between(&self.session, &top, &again).await?;
        proof.again = leg(difference.lines.into_iter().map(|(_, line)| line), difference.unverified);
        Ok(None)
    }
}

fn stopped(stop: &Stop) -> Leg {
    match stop {
        Stop::Lacks(what) => Leg::Unproved(what.clone()),
        Stop::Untrusted(_) => Leg::Unproved(stop.lines().join("; ")),
        Stop::Failed(_) => Leg::Failed(stop.lines()),
    }
}

fn leg(lines: impl Iterator<Item = String>, unverified: Vec<String>) -> Leg {
    let lines = Difference::shown(lines);
    match (lines.is_empty(), unverified.is_empty()) {
        (false, _) => Leg::Failed(lines),
        (true, false) => {
            Leg::Unproved(format!("spelled in another way, and nobody could compare it: {}", unverified.join("; ")))
        }
        (true, true) => Leg::Proved,
    }
}

/// What the way down comes to. What a plan cannot bring back by its own account is no failure of it.
fn down(plan: &Plan, difference: Difference) -> Leg {
    let nothing_back = |step: &&Step| step.action == Action::Manual && step.inverse.is_empty();
    let by_hand = plan.steps.iter().filter(nothing_back).count();
    let mut lost: Vec<String> = Vec::new();
    if by_hand > 0 {
        lost.push(format!("{by_hand} of its steps by hand have no inverse"));
    }
    let irreversible = |step: &&Step| step.hazards.iter().any(|finding| finding.hazard == Hazard::Irreversible);
    let steps: Vec<&Step> = plan.steps.iter().filter(irreversible).collect();
    // The first of a step says it for what goes along: a table's columns.
    for finding in steps.iter().filter_map(|step| step.hazards.iter().find(|f| f.hazard == Hazard::Irreversible)) {
        if !lost.contains(&finding.reason) {
            lost.push(finding.reason.clone());
        }
    }
    let announced = |id: &ObjectId| {
        let mut own = std::iter::once(id).chain(id.ancestors()).map(ToString::to_string);
        own.any(|text| steps.iter().any(|step| step.object == text || step.with.contains(&text)))
    };
    let (expected, rest): (Vec<_>, Vec<_>) = difference
        .lines
        .into_iter()
        .partition(|(id, _)| by_hand > 0 || id.as_ref().is_some_and(announced) || id.is_none() && !steps.is_empty());
    lost.extend(expected.into_iter().map(|(_, line)| line));
    match leg(rest.into_iter().map(|(_, line)| line), difference.unverified) {
        Leg::Proved if !lost.is_empty() => Leg::Irreversible(Difference::shown(lost.into_iter())),
        other => other,
    }
}
