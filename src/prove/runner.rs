//! Runs the steps of plans on a scratch database, where there are no rows and no roles: what is missing of the latter is made.

use crate::catalog::{PIN_PATH, Session};
use crate::kinds::{Mode, foreign_options};
use crate::model::{Error, Ident, Result, grantor};
use crate::plan::{self, Plan, Step};
use crate::sql;

/// How often one transaction is tried again after something that it missed was made.
const TRIES: usize = 200;

/// Why the steps did not run to their end.
#[derive(Debug)]
pub enum Stop {
    /// The machine lacks something that the plan needs; nothing can be said about the plan.
    Lacks(String),
    /// A step failed.
    Failed(Error),
}

/// Runs a plan's steps in their transactions.
///
/// # Errors
/// What stopped it; the transaction it was in is rolled back.
pub async fn up(session: &Session, plan: &Plan) -> Result<(), Stop> {
    let units: Vec<(u32, &Step)> = plan.steps.iter().map(|step| (step.transaction, step)).collect();
    run(session, &units).await
}

/// Runs the inverses of a plan's steps, newest first.
///
/// # Errors
/// As `up`.
pub async fn down(session: &Session, plan: &Plan) -> Result<(), Stop> {
    let units = plan.steps.iter().rev().flat_map(|step| step.inverse.iter().map(move |i| (step.transaction, i)));
    let units: Vec<(u32, &Step)> = units.collect();
    run(session, &units).await
}

async fn run(session: &Session, units: &[(u32, &Step)]) -> Result<(), Stop> {
    make_grantors(session, units).await.map_err(Stop::Failed)?;
    let mut rest = units;
    while !rest.is_empty() {
        let size = plan::next_transaction(rest.iter().map(|(transaction, step)| (*transaction, step.mode)));
        let (now, later) = rest.split_at(size);
        patiently(session, now).await?;
        rest = later;
    }
    session.batch(PIN_PATH).await.map_err(Stop::Failed)
}

/// Roles in whose name rights are given are no superusers: what those give counts as given by the owner. What such a role may
/// look into by its memberships, which are no part of a plan, it may look into here.
async fn make_grantors(session: &Session, units: &[(u32, &Step)]) -> Result<()> {
    let mut seen: Vec<Ident> = Vec::new();
    for role in units.iter().filter_map(|(_, step)| grantor(&step.object)) {
        if seen.contains(&role) {
            continue;
        }
        let name = sql::name(&role).to_string();
        let _ = session.batch(&format!("CREATE ROLE {name} NOLOGIN")).await; // it may be there
        session.batch(&format!("ALTER ROLE {name} NOSUPERUSER")).await?;
        if session.version.at_least(14) {
            session.batch(&format!("GRANT pg_read_all_data TO {name}")).await?;
        }
        seen.push(role);
    }
    Ok(())
}

/// Runs one transaction, or one step outside of any. What is missing and can be made here is made, and the steps are tried again.
async fn patiently(session: &Session, units: &[(u32, &Step)]) -> Result<(), Stop> {
    for _ in 0..TRIES {
        let Err((step, error)) = attempt(session, units).await else { return Ok(()) };
        if let Some(role) = missing_role(&error) {
            // A superuser: some objects belong to nobody else, and on this server nothing is to be protected.
            let role = sql::role(&Ident::from(role));
            session.batch(&format!("CREATE ROLE {role} SUPERUSER NOLOGIN")).await.map_err(Stop::Failed)?;
        } else if let Some(variable) = missing_secret(&error) {
            let setting = foreign_options::setting(variable);
            let lent = session.rows("SELECT pg_catalog.set_config($1, 'scratch', false)", &[&setting]).await;
            lent.map_err(Stop::Failed)?;
        } else {
            return Err(stop(session, step, error).await);
        }
    }
    Err(Stop::Failed(Error::failed(format!("a transaction still misses something after {TRIES} tries"))))
}

async fn attempt<'a>(session: &Session, units: &[(u32, &'a Step)]) -> Result<(), (&'a Step, Error)> {
    let Some((_, first)) = units.first() else { return Ok(()) };
    let alone = first.mode == Mode::Alone;
    let local = if alone { "" } else { "LOCAL " };
    let at = |step: &'a Step| move |error: Error| (step, error);
    if !alone {
        session.batch("BEGIN; SET LOCAL check_function_bodies = off").await.map_err(at(first))?;
    }
    let mut path = None;
    for (_, step) in units {
        let result = async {
            if path != Some(&step.path) {
                session.batch(&format!("SET {local}search_path TO {}", step.search_path())).await?;
                path = Some(&step.path);
            }
            session.batch(&step.sql).await
        };
        if let Err(error) = result.await {
            if !alone {
                // The error is what there is to tell.
                let _ = session.batch("ROLLBACK").await;
            }
            return Err((step, error));
        }
    }
    match alone {
        true => Ok(()),
        false => session.batch("COMMIT").await.map_err(at(units.last().map_or(first, |(_, step)| step))),
    }
}

/// The role in `role "app" does not exist`; the server was started with messages in English.
fn missing_role(error: &Error) -> Option<&str> {
    let known = error.sqlstate.as_deref() == Some("42704");
    error.message.strip_prefix("role \"")?.strip_suffix("\" does not exist").filter(|_| known)
}

/// The variable that a statement of ours asked for.
fn missing_secret(error: &Error) -> Option<&str> {
    let variable = error.message.strip_prefix("the environment variable ")?.strip_suffix(" is not set")?;
    variable.starts_with(foreign_options::PREFIX).then_some(variable)
}

async fn stop(session: &Session, step: &Step, error: Error) -> Stop {
    if let Some(name) = step.object.strip_prefix("extension ") {
        let name = name.trim_matches('"').replace("\"\"", "\"");
        let query = "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = $1";
        if let Ok(rows) = session.rows(query, &[&name]).await
            && rows.is_empty()
        {
            return Stop::Lacks(format!("extension {name} is not available here"));
        }
    }
    let what = if step.object.is_empty() { "a step by hand" } else { &step.object };
    let mut out = Error::failed(format!("{} {what}: {}", step.action.word(), error.message));
    out.details = error.details;
    Stop::Failed(out)
}

impl Stop {
    /// What there is to say, a line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Lacks(what) => vec![what.clone()],
            Self::Failed(error) => std::iter::once(&error.message).chain(&error.details).cloned().collect(),
        }
    }
}
