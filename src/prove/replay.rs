//! A throwaway database on which saved plans are run, so that a plan can be computed from where they lead.

use crate::catalog::{Connect, Session};
use crate::introspect;
use crate::model::{Error, Ident, Result, State};
use crate::plan::{Plan, Step};
use crate::scratch::{self, Server};
use crate::sql;

/// How many roles are made because a statement asks for them.
const MAX_ROLES: usize = 200;

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
            for (at, step) in plan.steps.iter().enumerate() {
                run(&session, step).await.map_err(|error| refused(plan, at, &error))?;
            }
        }
        session.close().await;
        Ok(())
    }
}

/// Runs a step. A role that it names and that is not there is made: roles belong to the server, and this one is nobody's.
async fn run(session: &Session, step: &Step) -> Result<()> {
    let path: Vec<Ident> = step.path.iter().map(|schema| Ident::from(schema.as_str())).collect();
    let path = if path.is_empty() { "pg_catalog".to_owned() } else { sql::name_list(&path) };
    // By itself: some statements cannot share a message with others.
    session.batch(&format!("SET search_path TO {path}")).await?;
    for _ in 0..MAX_ROLES {
        let Err(error) = session.batch(&step.sql).await else { return Ok(()) };
        let Some(role) = missing_role(&error) else { return Err(error) };
        session.batch(&format!("CREATE ROLE {}", sql::name(&Ident::from(role)))).await?;
    }
    session.batch(&step.sql).await
}

/// The role of `role "app" does not exist`.
fn missing_role(error: &Error) -> Option<&str> {
    let undefined = error.sqlstate.as_deref() == Some("42704");
    error.message.strip_prefix("role \"")?.strip_suffix("\" does not exist").filter(|_| undefined)
}

fn refused(plan: &Plan, at: usize, error: &Error) -> Error {
    let what = plan.steps.get(at).map_or("", |step| step.object.as_str());
    let what = if what.is_empty() { "a step written by hand" } else { what };
    let number = at + 1;
    let mut out = Error::failed(format!("plan {} ({}) does not run on a throwaway server", plan.number, plan.name));
    out.details.push(format!("step {number}, {what}: {}", error.message));
    out.details.extend(error.details.iter().cloned());
    out
}
