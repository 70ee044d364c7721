//! Tries a plan with steps that people wrote where the plans before it lead, and tells what these steps were seen to do.

use crate::catalog::Session;
use crate::model::Result;
use crate::plan::Plan;
use crate::plan::proof::Proof;
use crate::scratch::Site;

use super::claims::Observation;
use super::rehearsal::{Pattern, Source};
use super::runner;
use super::{Prover, Rehearsal};

/// A database in which the plans before ran.
pub struct End {
    site: Site,
}

/// What was seen of a plan.
pub struct Sealed {
    pub rehearsal: Rehearsal,
    /// What the steps did that people wrote.
    pub observed: Vec<Observation>,
}

impl End {
    /// A session in the database.
    ///
    /// # Errors
    /// The server's.
    pub async fn session(&self) -> Result<Session> {
        self.site.session("prove").await
    }
}

impl Prover {
    /// Runs plans in an empty database. Gives the reason if one of them does not run.
    ///
    /// # Errors
    /// The server's.
    pub async fn end_of(&self, plans: &[Plan]) -> Result<std::result::Result<End, String>> {
        let site = self.site("prove").await?;
        let session = site.session("prove").await?;
        for plan in plans {
            if let Err(stop) = runner::up(&site, &session, plan, &mut ()).await {
                session.close().await;
                self.leave(site);
                let why = stop.lines().join("; ");
                return Ok(Err(format!(
                    "plan {} ({}) does not run on an empty database: {why}",
                    plan.number, plan.name
                )));
            }
        }
        session.close().await;
        Ok(Ok(End { site }))
    }

    /// Runs a plan up, down and up with rows, in copies of that database.
    ///
    /// # Errors
    /// The server's.
    pub async fn watch(&self, end: &End, plan: &Plan) -> Result<Sealed> {
        let mut proof: Proof = self.blank(plan).await?;
        proof.witness = self.witness().map(ToString::to_string);
        let pattern = Pattern {
            source: Source::Copies(&end.site),
            witness: proof.witness.is_some(),
            known: &|_| false,
            end: None,
        };
        let (stop, observed) = pattern.rehearse(plan, &mut proof).await?;
        Ok(Sealed { rehearsal: Rehearsal::new(proof, stop), observed })
    }
}
