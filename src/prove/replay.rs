//! A throwaway database in which saved plans are run, so that a plan can be computed from where they lead.

use std::sync::Arc;

use crate::catalog::Session;
use crate::introspect;
use crate::model::{Error, Ident, Result, State};
use crate::plan::Plan;
use crate::scratch::{self, Author, Server, Site};

use super::runner::{self, Stop, untrusted};

/// A server of its own, and a database on it.
pub struct Replay {
    site: Site,
}

impl Replay {
    /// Starts an empty one: of that major version if it is installed, else the newest. The roles are made on it.
    ///
    /// # Errors
    /// If no server can be started.
    pub async fn start(major: u32, roles: &[Ident], author: Author) -> Result<Self> {
        let binaries = scratch::find(Some(major)).or_else(|_| scratch::find(None))?;
        let server = Arc::new(Server::start_closed(&binaries)?);
        let replay = Self { site: Site::new(&server, "replay", author).await? };
        for role in roles {
            replay.site.make_role(role).await?;
        }
        Ok(replay)
    }

    /// The major version of its server.
    pub fn major(&self) -> u32 {
        self.site.binaries().major
    }

    /// A session in the database.
    ///
    /// # Errors
    /// The server's.
    pub async fn session(&self) -> Result<Session> {
        self.site.session("scratch").await
    }

    /// What the database holds.
    ///
    /// # Errors
    /// The server's.
    pub async fn state(&self) -> Result<State> {
        let session = self.session().await?;
        let live = introspect::read(&session).await?;
        session.close().await;
        Ok(live.state)
    }

    /// Runs plans, one after the other.
    ///
    /// # Errors
    /// `Failed`, with the step that this server refuses.
    pub async fn run(&self, plans: &[Plan]) -> Result<()> {
        let session = self.session().await?;
        for plan in plans {
            runner::up(&self.site, &session, plan, &mut ()).await.map_err(|stop| refused(plan, &stop))?;
        }
        session.close().await;
        Ok(())
    }
}

fn refused(plan: &Plan, stop: &Stop) -> Error {
    let mut out = Error::failed(format!("plan {} ({}) does not run on a throwaway server", plan.number, plan.name));
    out.details.extend(stop.lines());
    match stop {
        Stop::Untrusted(_) => out.remedy(untrusted()),
        Stop::Lacks(_) | Stop::Failed(_) => out,
    }
}
