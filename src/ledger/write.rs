//! Writes the ledger: runs, their journal, revisions and events, always under the lock.

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use crate::catalog::{Pipeline, Session, server_error};
use crate::model::{Digest, Result, State};

use super::read::as_i32;
use super::{Direction, How, Pen, snapshot};

/// A revision to be recorded.
pub struct NewRevision<'a> {
    /// The plan's number.
    pub number: u32,
    /// The plan's name.
    pub name: &'a str,
    /// The plan's hash.
    pub plan_hash: Digest,
    /// The plan as text.
    pub plan: &'a str,
    /// How it came to be.
    pub how: How,
    /// The live state after it.
    pub state: &'a State,
}

/// A run that begins.
pub struct NewRun<'a> {
    /// The plan's number.
    pub number: u32,
    /// The plan's name.
    pub name: &'a str,
    /// Which way.
    pub direction: Direction,
    /// The plan's hash.
    pub plan_hash: Digest,
    /// The plan as text.
    pub plan: &'a str,
    /// The revision that the command goes to.
    pub goal: u32,
    /// For `Down`: how many of the plan's steps are done.
    pub top: usize,
}

pub(super) async fn execute(session: &Session, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<()> {
    session.client.execute(sql, params).await.map(drop).map_err(|e| server_error(&e))
}

pub(super) const TOOL: &str = env!("CARGO_PKG_VERSION");

/// Notes that a run begins.
///
/// # Errors
/// The server's.
pub async fn start(pen: Pen<'_>, run: &NewRun<'_>) -> Result<()> {
    pen.once(async || insert_run(pen.session, run).await).await
}

async fn insert_run(session: &Session, run: &NewRun<'_>) -> Result<()> {
    let insert = "INSERT INTO setpoint.run (number, name, direction, plan_hash, plan, goal, top, by_role, at, tool) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, session_user, clock_timestamp(), $8)";
    execute(
        session,
        insert,
        &[
            &as_i32(run.number)?,
            &run.name,
            &run.direction.word(),
            &run.plan_hash.to_string(),
            &run.plan,
            &as_i32(run.goal)?,
            &as_i32(run.top)?,
            &TOOL,
        ],
    )
    .await
}

/// Turns a run around: what it has done (`top` steps) is to be rolled back.
///
/// # Errors
/// The server's.
pub async fn turn_down(pen: Pen<'_>, number: u32, top: usize, goal: u32) -> Result<()> {
    let update = "UPDATE setpoint.run SET direction = 'down', top = $2, goal = $3 WHERE number = $1";
    pen.execute(update, &[&as_i32(number)?, &as_i32(top)?, &as_i32(goal)?]).await
}

/// Forgets a run that has done nothing.
///
/// # Errors
/// The server's.
pub async fn cancel_run(pen: Pen<'_>, number: u32) -> Result<()> {
    pen.transaction(async || forget(pen.session, number).await).await
}

pub(super) async fn forget(session: &Session, number: u32) -> Result<()> {
    let number = as_i32(number)?;
    execute(session, "DELETE FROM setpoint.journal WHERE number = $1", &[&number]).await?;
    execute(session, "DELETE FROM setpoint.run WHERE number = $1", &[&number]).await
}

/// Ends a run: its revision is there. The next run begins in the same transaction, so that its goal is never lost.
///
/// # Errors
/// The server's.
pub async fn finish_up(pen: Pen<'_>, revision: &NewRevision<'_>, next: Option<&NewRun<'_>>) -> Result<()> {
    let session = pen.session;
    pen.transaction(async || {
        insert_revision(session, revision).await?;
        forget(session, revision.number).await?;
        match next {
            Some(next) => insert_run(session, next).await,
            None => Ok(()),
        }
    })
    .await
}

pub(super) async fn insert_revision(session: &Session, revision: &NewRevision<'_>) -> Result<()> {
    let bytes = snapshot::encode(revision.state, session.version)?;
    let insert = "INSERT INTO setpoint.revision (number, name, plan_hash, how, by_role, at, tool, plan, snapshot) \
                  VALUES ($1, $2, $3, $4, session_user, clock_timestamp(), $5, $6, $7)";
    let (number, hash, how) = (as_i32(revision.number)?, revision.plan_hash.to_string(), revision.how.word());
    execute(session, insert, &[&number, &revision.name, &hash, &how, &TOOL, &revision.plan, &bytes]).await?;
    // The plan is with the revision. The event that ends it keeps the plan.
    event(session, revision.number, revision.name, revision.plan_hash, how, "").await
}

async fn event(session: &Session, number: u32, name: &str, hash: Digest, what: &str, plan: &str) -> Result<()> {
    let insert = "INSERT INTO setpoint.event (number, name, plan_hash, what, by_role, at, tool, plan) \
                  VALUES ($1, $2, $3, $4, session_user, clock_timestamp(), $5, $6)";
    execute(session, insert, &[&as_i32(number)?, &name, &hash.to_string(), &what, &TOOL, &plan]).await
}

/// Ends a run downwards: its revision, if it ever had one, is gone. The next run begins in the same transaction.
///
/// # Errors
/// The server's.
pub async fn finish_down(pen: Pen<'_>, run: &NewRun<'_>, recorded: bool, next: Option<&NewRun<'_>>) -> Result<()> {
    let session = pen.session;
    pen.transaction(async || {
        let what = if recorded { "rolled back" } else { "unwound" };
        event(session, run.number, run.name, run.plan_hash, what, run.plan).await?;
        execute(session, "DELETE FROM setpoint.revision WHERE number = $1", &[&as_i32(run.number)?]).await?;
        forget(session, run.number).await?;
        match next {
            Some(next) => insert_run(session, next).await,
            None => Ok(()),
        }
    })
    .await
}

/// Replaces a revision's snapshot: what was put back may be spelled in another way than before.
///
/// # Errors
/// The server's.
pub async fn refresh_snapshot(pen: Pen<'_>, number: u32, state: &State) -> Result<()> {
    pen.once(async || write_snapshot(pen.session, number, state).await).await
}

pub(super) async fn write_snapshot(session: &Session, number: u32, state: &State) -> Result<()> {
    let bytes = snapshot::encode(state, session.version)?;
    execute(session, "UPDATE setpoint.revision SET snapshot = $2 WHERE number = $1", &[&as_i32(number)?, &bytes]).await
}

/// The journal of one run; its rows go into the transactions of the steps that they tell of.
pub struct Journal {
    number: i32,
    direction: Direction,
    done: Statement,
}

impl Journal {
    /// Opens the journal of a run.
    ///
    /// # Errors
    /// The server's.
    pub async fn open(session: &Session, number: u32, direction: Direction) -> Result<Self> {
        let insert = "INSERT INTO setpoint.journal (number, direction, step, sub, done, at) \
                      SELECT $1, $2, u.step, u.sub, true, pg_catalog.clock_timestamp() \
                      FROM unnest($3::pg_catalog.int4[], $4::pg_catalog.int4[]) AS u (step, sub) \
                      ON CONFLICT (number, direction, step, sub) DO UPDATE SET done = true, at = EXCLUDED.at";
        let done = session.client.prepare(insert).await.map_err(|e| server_error(&e))?;
        Ok(Self { number: as_i32(number)?, direction, done })
    }

    /// Sends the rows that say that these steps (with the index in the inverse) are done.
    ///
    /// # Errors
    /// None but numbers that do not fit.
    pub async fn done(&self, pipeline: &mut Pipeline<'_>, steps: &[(usize, usize)]) -> Result<()> {
        let number = |(step, sub): &(usize, usize)| Ok((as_i32(*step)?, as_i32(*sub)?));
        let (steps, subs): (Vec<i32>, Vec<i32>) =
            steps.iter().map(number).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let params: Vec<Box<dyn ToSql + Sync>> =
            vec![Box::new(self.number), Box::new(self.direction.word()), Box::new(steps), Box::new(subs)];
        pipeline.execute(&self.done, params).await;
        Ok(())
    }

    /// Notes that one step is done, in a transaction of its own.
    ///
    /// # Errors
    /// The server's.
    pub async fn done_alone(&self, pen: Pen<'_>, step: usize, sub: usize) -> Result<()> {
        pen.once(async || {
            let mut pipeline = Pipeline::new(&pen.session.client);
            self.done(&mut pipeline, &[(step, sub)]).await?;
            pipeline.next().await.unwrap_or(Ok(())).map_err(|e| server_error(&e))
        })
        .await
    }

    /// Notes that a step begins which cannot run in a transaction.
    ///
    /// # Errors
    /// The server's.
    pub async fn begun(&self, pen: Pen<'_>, step: usize, sub: usize) -> Result<()> {
        let insert = "INSERT INTO setpoint.journal (number, direction, step, sub, done, at) \
                      VALUES ($1, $2, $3, $4, false, clock_timestamp()) ON CONFLICT DO NOTHING";
        pen.execute(insert, &[&self.number, &self.direction.word(), &as_i32(step)?, &as_i32(sub)?]).await
    }

    /// Takes back what `begun` noted: the step left nothing behind.
    ///
    /// # Errors
    /// The server's.
    pub async fn not_begun(&self, pen: Pen<'_>, step: usize, sub: usize) -> Result<()> {
        let delete =
            "DELETE FROM setpoint.journal WHERE number = $1 AND direction = $2 AND step = $3 AND sub = $4 AND NOT done";
        pen.execute(delete, &[&self.number, &self.direction.word(), &as_i32(step)?, &as_i32(sub)?]).await
    }
}
