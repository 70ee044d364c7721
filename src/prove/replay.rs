//! A throwaway database on which saved plans are run, so that a plan can be computed from where they lead.

use crate::catalog::{Connect, Session};
use crate::introspect;
use crate::model::{Error, Ident, Result, State};
use crate::plan::Plan;
use crate::scratch::{self, Server};
use crate::sql;

use super::runner::{self, Stop};

/// A server of its own, and a database on it.
pub struct Replay {
    server: Server,
    connect: Connect,
}

impl Replay {
    /// Starts an empty one: of that major version if it is installed, else the newest. The roles are made on it.
    ///
    /// # Errors
    /// If no server can be started.
    pub async fn start(major: u32, roles: &[Ident]) -> Result<Self> {
        let binaries = scratch::find(Some(major)).or_else(|_| scratch::find(None))?;
        let server = Server::start(&binaries)?;
        let connect = server.fresh_database("replay").await?;
        let replay = Self { server, connect };
        let session = replay.session().await?;
        for role in roles {
            let _ = session.batch(&format!("CREATE ROLE {}", sql::name(role))).await; // it may be there
        }
        session.close().await;
        Ok(replay)
    }

    /// The major version of its server.
    pub fn major(&self) -> u32 {
        self.server.binaries.major
    }

    /// A session in the database.
    ///
    /// # Errors
    /// The server's.
    pub async fn session(&self) -> Result<Session> {
        Session::open(&self.connect, "scratch").await
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
            runner::up(&session, plan).await.map_err(|stop| refused(plan, &stop))?;
        }
        session.close().await;
        Ok(())
    }
}

fn refused(plan: &Plan, stop: &Stop) -> Error {
    let mut out = Error::failed(format!("plan {} ({}) does not run on a throwaway server", plan.number, plan.name));
    out.details.extend(stop.lines());
    out
}
