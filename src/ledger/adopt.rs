//! Records revisions for which nothing was run: of an existing database (`baseline`), or on somebody's word (`stamp`).

use std::time::Duration;

use crate::catalog::Session;
use crate::introspect::Stored;
use crate::model::{Error, Result, State};
use crate::plan::{Plan, file};

use super::read::as_i32;
use super::write::{TOOL, execute, insert_revision, write_snapshot};

use super::{EventTriggers, How, Ledger, NewRevision, Pen, layout, lock, trust};

/// The adoption of a database that holds all of a plan's objects already: one transaction, which is open until the revision is
/// recorded. If the session ends before, nothing was done.
pub struct Adoption<'a> {
    pen: Pen<'a>,
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
        let pen = ledger.pen(session)?;
        let made = layout::create_within(pen, EventTriggers::Refused).await?;
        match (reading, made) {
            (Some(reading), Some(made)) => super::reading::keep_with(pen, reading, &made).await?,
            (Some(reading), None) => super::keep(pen, reading).await?,
            (None, _) => {}
        }
        Ok(Self { pen })
    }

    /// Records the first revision. `text` is the plan as its file has it.
    ///
    /// # Errors
    /// The server's; nothing was done then.
    pub async fn record(self, plan: &Plan, text: &str, live: &State) -> Result<()> {
        let session = self.pen.session;
        self.pen.seal().await?;
        record(session, plan, text, How::Baselined, live).await?;
        session.batch("COMMIT").await?;
        lock::release(session).await;
        Ok(())
    }
}

/// Records that the database is at the last of these plans: those that it does not have are recorded, revisions above are removed,
/// and a run that has not ended is forgotten. A ledger that contradicts itself is put right: what is wrong in the rows of these plans is
/// rewritten, and what belongs to none of them goes.
///
/// # Errors
/// `Busy` and the server's.
pub async fn stamp(session: &Session, plans: &[Plan], live: &State) -> Result<()> {
    locked(session, async || {
        let pen = Pen::new(&trust::look(session).await?.others, session)?;
        layout::create(pen, EventTriggers::Refused).await?;
        pen.transaction(async || {
            session.batch("DELETE FROM setpoint.journal; DELETE FROM setpoint.run; DELETE FROM setpoint.meta WHERE key = 'headed'").await?;
            let there = there(session).await?;
            for row in there.iter().rev().filter(|row| !plans.iter().any(|plan| row.is(plan))) {
                remove(session, row.number).await?;
            }
            let last = plans.last().map_or(0, |plan| plan.number);
            for plan in plans {
                match there.iter().find(|row| row.is(plan)) {
                    Some(row) => {
                        row.mend(session, plan).await?;
                        told(session, plan).await?;
                        if plan.number == last {
                            write_snapshot(session, plan.number, live).await?;
                        }
                    }
                    None if plan.number == last => {
                        record(session, plan, &file::write(plan), How::Stamped, live).await?
                    }
                    // What the database was like then is not known.
                    None => record(session, plan, &file::write(plan), How::Stamped, &State::default()).await?,
                }
            }
            Ok(())
        })
        .await
    })
    .await
}

/// A revision's row as it is, whatever it says.
struct There {
    number: i32,
    name: String,
    hash: String,
    how: String,
    plan: String,
}

async fn there(session: &Session) -> Result<Vec<There>> {
    let query = "SELECT number, name, plan_hash, how, plan FROM setpoint.revision ORDER BY number";
    let row = |mut row: crate::catalog::Row| There {
        number: row.next(),
        name: row.next(),
        hash: row.next(),
        how: row.next(),
        plan: row.next(),
    };
    Ok(session.rows(query, &[]).await?.into_iter().map(row).collect())
}

impl There {
    /// The hash of the recorded text.
    fn text_hash(&self) -> Option<String> {
        file::read("the ledger's plan", &self.plan).ok().map(|plan| plan.hash().to_string())
    }

    /// True if that plan was recorded here: its hash or its text says so.
    fn is(&self, plan: &Plan) -> bool {
        let hash = Some(plan.hash().to_string());
        i64::from(self.number) == i64::from(plan.number)
            && (hash.as_ref() == Some(&self.hash) || hash == self.text_hash())
    }

    /// Rewrites what is wrong in it. How it came to be stays; if that is not known, it counts as never run here.
    async fn mend(&self, session: &Session, plan: &Plan) -> Result<()> {
        let hash = plan.hash().to_string();
        let how = How::of(&self.how);
        if self.hash == hash && self.name == plan.name && how.is_some() && self.text_hash().as_ref() == Some(&hash) {
            return Ok(());
        }
        let update = "UPDATE setpoint.revision SET name = $2, plan_hash = $3, plan = $4, how = $5 WHERE number = $1";
        let how = how.unwrap_or(How::Stamped).word();
        execute(session, update, &[&self.number, &plan.name, &hash, &file::write(plan), &how]).await
    }
}

/// Makes sure that the last event of a plan says that it was recorded.
async fn told(session: &Session, plan: &Plan) -> Result<()> {
    let insert = "INSERT INTO setpoint.event (number, name, plan_hash, what, by_role, at, tool, plan) \
                  SELECT $1, $2, $3, 'stamped', session_user, clock_timestamp(), $4, '' WHERE NOT coalesce((SELECT plan_hash = $3 \
                  AND what IN ('applied', 'baselined', 'stamped') FROM setpoint.event WHERE number = $1 ORDER BY id DESC LIMIT 1), false)";
    execute(session, insert, &[&as_i32(plan.number)?, &plan.name, &plan.hash().to_string(), &TOOL]).await
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

async fn remove(session: &Session, number: i32) -> Result<()> {
    let insert = "INSERT INTO setpoint.event (number, name, plan_hash, what, by_role, at, tool, plan) \
                  SELECT number, name, plan_hash, 'unstamped', session_user, clock_timestamp(), $2, plan FROM setpoint.revision WHERE number = $1";
    execute(session, insert, &[&number, &TOOL]).await?;
    execute(session, "DELETE FROM setpoint.revision WHERE number = $1", &[&number]).await
}
