//! Revisions that nothing was run for: a database that was there before (`baseline`), or that somebody vouches for (`stamp`).

use std::time::Duration;

use crate::catalog::Session;
use crate::introspect::Stored;
use crate::model::{Error, Result, State};
use crate::plan::{Plan, file};

use super::read::as_i32;
use super::write::{TOOL, execute, forget, insert_revision, refresh_snapshot, transaction};
use super::{How, Ledger, NewRevision, layout, lock};

/// The adoption of a database that holds all of a plan's objects already: one transaction, which is open until the revision is
/// recorded. If the session ends before, nothing was done.
pub struct Adoption<'a> {
    session: &'a Session,
}

impl<'a> Adoption<'a> {
    /// Takes the lock, makes the ledger, and keeps the reading of the database.
    ///
    /// # Errors
    /// `Busy`, `Refused` if there are revisions already, and the server's.
    pub async fn begin(session: &'a Session, reading: Option<&Stored>) -> Result<Self> {
        lock::take(session, Duration::ZERO, &mut |_| {}).await?;
        session.batch("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let ledger = Ledger::read(session).await?;
        if ledger.current() > 0 || ledger.run.is_some() {
            return Err(Error::refused("this database has a ledger with revisions already").remedy(
                "see `setpoint history`; to record another revision without running it, use `setpoint stamp`",
            ));
        }
        let made = layout::create_within(session).await?;
        match (reading, made) {
            (Some(reading), Some(made)) => super::reading::keep_with(session, reading, &made).await?,
            (Some(reading), None) => super::keep(session, reading).await?,
            (None, _) => {}
        }
        Ok(Self { session })
    }

    /// Records the first revision. `text` is the plan as its file has it.
    ///
    /// # Errors
    /// The server's; nothing was done then.
    pub async fn record(self, plan: &Plan, text: &str, live: &State) -> Result<()> {
        record(self.session, plan, text, How::Baselined, live).await?;
        self.session.batch("COMMIT").await?;
        lock::release(self.session).await;
        Ok(())
    }
}

/// Records that the database is at the last of these plans: those that it does not have are recorded, revisions above are removed,
/// and a run that has not ended is forgotten.
///
/// # Errors
/// `Busy` and the server's.
pub async fn stamp(session: &Session, plans: &[Plan], live: &State) -> Result<()> {
    locked(session, async || {
        layout::create(session).await?;
        let ledger = Ledger::read(session).await?;
        let last = plans.last().map_or(0, |plan| plan.number);
        let kept = |number: u32, hash| ledger.revision(number).is_some_and(|revision| revision.plan_hash == hash);
        transaction(session, async || {
            if let Some(run) = &ledger.run {
                forget(session, run.number).await?;
            }
            for revision in ledger.revisions.iter().rev() {
                if !plans.iter().any(|plan| plan.number == revision.number && kept(plan.number, plan.hash())) {
                    remove(session, revision.number).await?;
                }
            }
            for plan in plans {
                match (kept(plan.number, plan.hash()), plan.number == last) {
                    (true, true) => refresh_snapshot(session, plan.number, live).await?,
                    (true, false) => {}
                    (false, true) => record(session, plan, &file::write(plan), How::Stamped, live).await?,
                    // Nobody knows what the database was like then.
                    (false, false) => {
                        record(session, plan, &file::write(plan), How::Stamped, &State::default()).await?;
                    }
                }
            }
            Ok(())
        })
        .await
    })
    .await
}

async fn locked(session: &Session, work: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    lock::take(session, Duration::ZERO, &mut |_| {}).await?;
    let result = work().await;
    lock::release(session).await;
    result
}

async fn record(session: &Session, plan: &Plan, text: &str, how: How, state: &State) -> Result<()> {
    let (number, plan_hash) = (plan.number, plan.hash());
    insert_revision(session, &NewRevision { number, name: &plan.name, plan_hash, plan: text, how, state }).await
}

async fn remove(session: &Session, number: u32) -> Result<()> {
    let insert = "INSERT INTO setpoint.event (number, name, plan_hash, what, by_role, at, tool, plan) \
                  SELECT number, name, plan_hash, 'unstamped', session_user, clock_timestamp(), $2, plan FROM setpoint.revision WHERE number = $1";
    execute(session, insert, &[&as_i32(number)?, &TOOL]).await?;
    execute(session, "DELETE FROM setpoint.revision WHERE number = $1", &[&as_i32(number)?]).await
}
