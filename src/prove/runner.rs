//! Runs the steps of plans in a scratch database, and creates the roles that they name and the server lacks.

use crate::catalog::Session;
use crate::kinds::{Mode, foreign_options};
use crate::model::{Error, Ident, Result, grantor};
use crate::plan::{self, Action, Plan, Step};
use crate::scratch::{Author, Site, lacks_rights};
use crate::sql;

use super::answer;
use super::values::Values;

/// How often a transaction is retried after creating something that it lacked.
const TRIES: usize = 200;

/// Why the steps did not run to their end.
#[derive(Debug)]
pub enum Stop {
    /// The machine lacks something that the plan needs, so nothing is known about the plan.
    Lacks(String),
    /// A step needs privileges that those who wrote the plan do not have on this machine.
    Untrusted(Error),
    /// A step failed.
    Failed(Box<Failure>),
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    /// The step, and the number of its transaction in the plan. A constraint that is looked at on commit fails with the last step.
    pub step: Option<(u32, Step)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, step: None }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

/// Watches what each step does to the database.
pub trait Watch {
    /// What tables held when columns were there that are filled now, where that is known.
    fn kept(&self) -> Option<&Values> {
        None
    }

    /// A transaction of these steps is about to begin. One that is tried again begins again.
    fn begins(&mut self, _steps: &[(u32, &Step)]) {}

    /// The step is about to run, inside its transaction.
    ///
    /// # Errors
    /// What keeps it from looking; the plan is stopped.
    fn before(&mut self, _session: &Session, _step: &Step) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }

    /// The step ran; its transaction is still open.
    ///
    /// # Errors
    /// As `before`.
    fn after(&mut self, _session: &Session, _step: &Step) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }

    /// The transaction is committed.
    fn ends(&mut self) {}

    /// A step ran at which nobody could look: outside of any transaction, or in another session.
    fn passes(&mut self) {}
}

/// Does not look.
impl Watch for () {}

/// What to do about steps that an untrusted plan may not run.
pub fn untrusted() -> String {
    format!(
        "if you trust the authors of schema/ and plans/ to run programs on this machine: {}, which runs such steps as a superuser",
        Author::OPTION
    )
}

/// Runs a plan's steps in their transactions.
///
/// # Errors
/// What stopped it; the transaction it was in is rolled back.
pub async fn up(site: &Site, session: &Session, plan: &Plan, watch: &mut impl Watch) -> Result<(), Stop> {
    let units: Vec<(u32, &Step)> = plan.steps.iter().map(|step| (step.transaction, step)).collect();
    run(site, session, &units, watch).await
}

/// Runs the inverses of a plan's steps, newest first.
///
/// # Errors
/// As `up`.
pub async fn down(site: &Site, session: &Session, plan: &Plan, watch: &mut impl Watch) -> Result<(), Stop> {
    let units = plan.steps.iter().rev().flat_map(|step| step.inverse.iter().map(move |i| (step.transaction, i)));
    let units: Vec<(u32, &Step)> = units.collect();
    run(site, session, &units, watch).await
}

async fn run(site: &Site, session: &Session, units: &[(u32, &Step)], watch: &mut impl Watch) -> Result<(), Stop> {
    make_grantors(site, units).await?;
    let mut rest = units;
    while !rest.is_empty() {
        let size = plan::next_transaction(rest.iter().map(|(transaction, step)| (*transaction, step.mode)));
        let (now, later) = rest.split_at(size);
        patiently(site, session, now, watch).await?;
        rest = later;
    }
    // What people wrote may have set anything.
    Ok(session.batch(&session.pins()).await?)
}

/// Makes the roles in whose name privileges are given.
async fn make_grantors(site: &Site, units: &[(u32, &Step)]) -> Result<()> {
    let mut seen: Vec<Ident> = Vec::new();
    for role in units.iter().filter_map(|(_, step)| grantor(&step.object)) {
        if !seen.contains(&role) {
            site.make_grantor(&role).await?;
            seen.push(role);
        }
    }
    Ok(())
}

/// Runs one transaction, or one step outside of any. What is missing and can be made here is made, and the steps are tried again.
async fn patiently(site: &Site, session: &Session, units: &[(u32, &Step)], watch: &mut impl Watch) -> Result<(), Stop> {
    let mut units = units;
    for _ in 0..TRIES {
        let Err((at, error)) = attempt(site, session, units, watch).await else { return Ok(()) };
        let Some(&(transaction, step)) = units.get(at) else { return Err(error.into()) };
        if let Some(role) = missing_role(&error) {
            site.make_role(&Ident::from(role)).await?;
        } else if let Some(variable) = missing_secret(&error) {
            let setting = foreign_options::setting(variable);
            session.rows("SELECT pg_catalog.set_config($1, 'scratch', false)", &[&setting]).await?;
        } else if lacks_rights(&error) && site.author() == Author::Stranger {
            // Others see the effects of a transaction only after its commit: what comes before the step is committed first.
            let (before, after) = (units.get(..at).unwrap_or_default(), units.get(at + 1..).unwrap_or_default());
            attempt(site, session, before, watch).await.map_err(|(_, error)| error)?;
            let helped = site.help(&step.sql).await;
            watch.passes();
            match helped {
                Ok(true) => units = after,
                Ok(false) => return Err(Stop::Untrusted(about(step, error))),
                Err(error) => return Err(stop(session, transaction, step, error).await),
            }
        } else {
            return Err(stop(session, transaction, step, error).await);
        }
    }
    Err(Error::failed(format!("a transaction still misses something after {TRIES} tries")).into())
}

/// Runs one transaction; an error comes with the place of its step.
async fn attempt(
    site: &Site,
    session: &Session,
    units: &[(u32, &Step)],
    watch: &mut impl Watch,
) -> Result<(), (usize, Error)> {
    let Some((_, first)) = units.first() else { return Ok(()) };
    let alone = first.mode == Mode::Alone;
    if !alone {
        watch.begins(units);
    }
    let local = if alone { "" } else { "LOCAL " };
    if !alone {
        session.batch("BEGIN; SET LOCAL check_function_bodies = off").await.map_err(|error| (0, error))?;
    }
    let mut path = None;
    for (at, (_, step)) in units.iter().enumerate() {
        let result = async {
            if path != Some(&step.path) {
                session.batch(&format!("SET {local}search_path TO {}", step.search_path())).await?;
                path = Some(&step.path);
            }
            if !alone {
                watch.before(session, step).await?;
            }
            let owner = site.schemas_owner().filter(|_| !alone && makes_schema(step));
            match (owner, &step.fill) {
                (None, Some(column)) if !alone => answer::fill(session, step, column, watch.kept()).await?,
                (Some(owner), _) => {
                    session.batch(&format!("SET LOCAL ROLE {}; {}; RESET ROLE", sql::name(owner), step.sql)).await?;
                }
                (None, _) => session.batch(&step.sql).await?,
            }
            if alone { Ok(()) } else { watch.after(session, step).await }
        };
        if let Err(error) = result.await {
            if !alone {
                // The error is what there is to tell.
                let _ = session.batch("ROLLBACK").await;
            }
            return Err((at, error));
        }
    }
    if alone {
        watch.passes();
    } else {
        session.batch("COMMIT").await.map_err(|error| (units.len() - 1, error))?;
        watch.ends();
    }
    Ok(())
}

fn makes_schema(step: &Step) -> bool {
    step.action == Action::Create && step.object.starts_with("schema ")
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

async fn stop(session: &Session, transaction: u32, step: &Step, error: Error) -> Stop {
    if let Some(name) = step.object.strip_prefix("extension ") {
        let name = name.trim_matches('"').replace("\"\"", "\"");
        let query = "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = $1";
        if let Ok(rows) = session.rows(query, &[&name]).await
            && rows.is_empty()
        {
            return Stop::Lacks(format!("extension {name} is not available here"));
        }
    }
    Stop::Failed(Box::new(Failure { error: about(step, error), step: Some((transaction, step.clone())) }))
}

/// The error with its step.
fn about(step: &Step, error: Error) -> Error {
    let what = if step.object.is_empty() { "a step by hand" } else { &step.object };
    let mut out = Error::failed(format!("{} {what}: {}", step.action.word(), error.message));
    out.details = error.details;
    out.sqlstate = error.sqlstate;
    out
}

impl Stop {
    /// What there is to say, one line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Lacks(what) => vec![what.clone()],
            Self::Untrusted(error) => {
                vec![format!("{} (not built without {})", error.message, Author::OPTION)]
            }
            Self::Failed(failure) => {
                let error = &failure.error;
                std::iter::once(&error.message).chain(&error.details).cloned().collect()
            }
        }
    }
}
