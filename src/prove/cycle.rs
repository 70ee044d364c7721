//! Runs the plans of a chain up, down and up again on a scratch database, which is checked after each direction.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::Session;
use crate::model::{Ident, Result};
use crate::plan::Plan;
use crate::plan::proof::{Leg, Proof};
use crate::scratch::{self, Author, Server, Site, Walls};

use super::dump;
use super::rehearsal::{Pattern, Source};
use super::runner::{self, Stop};
use super::trip::{Cargo, Travel, Way};

/// A throwaway server on which plans are proved.
pub struct Prover {
    server: Arc<Server>,
    pub(super) author: Author,
    witness: Option<String>,
    /// Databases that are no longer needed.
    left: Mutex<Vec<Site>>,
}

impl Prover {
    /// Starts a server of that major version, or of the newest that is installed if there is none of it.
    ///
    /// # Errors
    /// If there are no programs of a server, or they do not start.
    pub fn start(postgres: Option<&Path>, major: u32, author: Author) -> Result<Self> {
        let binaries = scratch::find_in(postgres, Some(major)).or_else(|_| scratch::find_in(postgres, None))?;
        let witness = dump::witness(&binaries);
        let server = Arc::new(Server::start_closed(&binaries)?);
        Ok(Self { server, author, witness, left: Mutex::default() })
    }

    /// The same, with the role that builds named like the role that runs the plans.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_as(role: &Ident, major: u32, author: Author) -> Result<Self> {
        let prover = Self::start(None, major, author)?;
        prover.server.build_as(role)?;
        Ok(prover)
    }

    /// The version of the server: `15.18`.
    pub fn version(&self) -> &str {
        &self.server.binaries.version
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.server.binaries.major
    }

    /// The walls around what it runs.
    pub fn walls(&self) -> Walls {
        self.server.walls()
    }

    /// What compares besides our own model.
    pub fn witness(&self) -> Option<&str> {
        self.witness.as_deref()
    }

    /// Leaves a database to be dropped before the next one is made. The last one goes with the server, which costs nothing.
    pub(super) fn leave(&self, site: Site) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(site);
    }

    /// An empty database.
    pub(super) async fn site(&self, purpose: &str) -> Result<Site> {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for site in left {
            site.drop().await?;
        }
        Site::new(&self.server, purpose, self.author).await
    }

    /// Runs the plans of `before` on an empty database, then each of `plans` up, down and up again; with `rows`, on tables that were filled.
    /// A plan that does not run leaves those after it unproved. Gives the numbers of those that need more privileges than their authors
    /// have here.
    ///
    /// # Errors
    /// Failures unrelated to the plans: the server ended, `pg_dump` does not run.
    pub async fn prove(
        &self,
        before: &[Plan],
        plans: &[Plan],
        rows: bool,
        each: &mut dyn FnMut(&Plan, Proof),
    ) -> Result<Vec<u32>> {
        let site = self.site("prove").await?;
        let (mut hindrance, mut all, mut untrusted) = (None, false, Vec::new());
        for plan in before {
            if let Some(stop) = run(&site, plan).await? {
                hindrance = Some(hinders(plan, &stop.lines().join("; ")));
                all = matches!(stop, Stop::Untrusted(_));
                break;
            }
        }
        for plan in plans {
            let mut proof = self.blank(plan).await?;
            proof.witness.clone_from(&self.witness);
            let stop = match &hindrance {
                Some(reason) => {
                    proof.up = Leg::Unproved(reason.clone());
                    None
                }
                None if rows => self.with_rows(&site, plan, &mut proof).await?,
                None => self.without_rows(&site, plan, &mut proof).await?,
            };
            let own = matches!(stop, Some((_, Stop::Untrusted(_))));
            if all || own {
                untrusted.push(plan.number);
            }
            all |= own && proof.up != Leg::Proved;
            if let (None, Leg::Failed(_) | Leg::Unproved(_)) = (&hindrance, &proof.up) {
                hindrance = Some(hinders(plan, &proof.up.lines().join("; ")));
            }
            each(plan, proof);
        }
        site.drop().await?;
        Ok(untrusted)
    }

    async fn without_rows(&self, site: &Site, plan: &Plan, proof: &mut Proof) -> Result<Option<(Way, Stop)>> {
        let session = site.session("prove").await?;
        let witness = self.witness.is_some();
        let travel = Travel { plan, site, session: &session, witness, known: &|_| false, end: None };
        let trip = travel.go(&Cargo::Nothing).await;
        session.close().await;
        let trip = trip?;
        (proof.up, proof.down, proof.again) = (trip.up, trip.down, trip.again);
        Ok(trip.stop)
    }

    /// Rehearses it in copies, and runs it for those that come after it.
    async fn with_rows(&self, site: &Site, plan: &Plan, proof: &mut Proof) -> Result<Option<(Way, Stop)>> {
        let (source, witness) = (Source::Copies(site), self.witness.is_some());
        let pattern = Pattern { source, witness, known: &|_| false, end: None };
        let (stop, _) = pattern.rehearse(plan, proof).await?;
        if matches!(stop, Some((Way::Up, _))) {
            return Ok(stop);
        }
        Ok(match run(site, plan).await? {
            Some(own) => Some((Way::Up, own)),
            None => stop,
        })
    }

    /// The extensions that the server has.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn extensions(&self) -> Result<Vec<String>> {
        let session = Session::open(&self.server.connect("postgres"), "prove").await?;
        let rows = session.rows("SELECT name::text FROM pg_available_extensions", &[]).await?;
        session.close().await;
        Ok(rows.into_iter().map(|mut row| row.text().to_string()).collect())
    }

    /// An empty proof.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn blank(&self, plan: &Plan) -> Result<Proof> {
        let session = Session::open(&self.server.connect("postgres"), "prove").await?;
        let at = now(&session).await?;
        session.close().await;
        let not_run = || Leg::Unproved("it was not reached".into());
        Ok(Proof {
            plan: plan.hash(),
            at,
            server: self.version().to_string(),
            witness: None,
            rows: None,
            up: not_run(),
            down: not_run(),
            again: not_run(),
        })
    }
}

/// Runs a plan upwards.
async fn run(site: &Site, plan: &Plan) -> Result<Option<Stop>> {
    let session = site.session("prove").await?;
    let ran = runner::up(site, &session, plan, &mut ()).await;
    session.close().await;
    Ok(ran.err())
}

fn hinders(plan: &Plan, why: &str) -> String {
    format!("plan {} ({}), which comes before it, does not run on an empty database: {why}", plan.number, plan.name)
}

/// The time by a server's clock, in UTC: `2026-01-31T12:00:00Z`.
///
/// # Errors
/// The server's.
pub async fn now(session: &Session) -> Result<String> {
    let query = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let row = session.rows(query, &[]).await?.into_iter().next();
    Ok(row.map(|mut row| row.text().to_string()).unwrap_or_default())
}
