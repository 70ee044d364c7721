//! Reading the ledger.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::catalog::{Session, server_error};
use crate::model::{Digest, Error, Result, State};

use super::{Direction, Entry, Event, Headed, How, Ledger, Revision, Run, headed, layout, snapshot};

/// A time in UTC as text that sorts.
const AT: &str = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

impl Ledger {
    /// Reads the ledger; a database without one has an empty ledger, and none is made.
    ///
    /// # Errors
    /// The server's, and a ledger of a newer layout.
    pub async fn read(session: &Session) -> Result<Self> {
        if !layout::exists(session).await? {
            return Ok(Self::default());
        }
        layout::check_format(session).await?;
        let revisions =
            format!("SELECT number, name, plan_hash, how, by_role, {AT}, tool FROM setpoint.revision ORDER BY number");
        let runs = format!(
            "SELECT number, name, direction, plan_hash, plan, goal, top, by_role, {AT} FROM setpoint.run ORDER BY number"
        );
        let journal =
            "SELECT number, direction, step, sub, done FROM setpoint.journal ORDER BY number, direction, step, sub";
        let client = &session.client;
        let headed = headed::query();
        let (revisions, runs, journal, headed) = futures_util::future::try_join4(
            client.query(&revisions, &[]),
            client.query(&runs, &[]),
            client.query(journal, &[]),
            client.query_opt(&headed, &[]),
        )
        .await
        .map_err(|e| server_error(&e))?;
        let revisions = revisions.iter().map(revision).collect::<Result<Vec<_>>>()?;
        let entries = journal.iter().map(entry).collect::<Result<Vec<_>>>()?;
        let mut run = runs.last().map(run).transpose()?;
        if let Some(run) = &mut run {
            run.entries =
                entries.into_iter().filter(|(number, _)| *number == run.number).map(|(_, entry)| entry).collect();
            run.recorded = revisions.iter().any(|revision| revision.number == run.number);
        }
        let headed = headed.as_ref().map(|row| get(row, 0)).transpose()?.and_then(Headed::parse);
        Ok(Self { exists: true, revisions, run, headed })
    }
}

/// Everything that ever happened, oldest first.
///
/// # Errors
/// The server's.
pub async fn events(session: &Session) -> Result<Vec<Event>> {
    if !layout::exists(session).await? {
        return Ok(Vec::new());
    }
    layout::check_format(session).await?;
    let query = format!("SELECT number, name, plan_hash, what, by_role, {AT}, tool FROM setpoint.event ORDER BY id");
    let rows = session.client.query(&query, &[]).await.map_err(|e| server_error(&e))?;
    let event = |row: &Row| {
        Ok(Event {
            number: number(row, 0)?,
            name: get(row, 1)?,
            plan_hash: digest(row, 2)?,
            what: get(row, 3)?,
            by: get(row, 4)?,
            at: get(row, 5)?,
            tool: get(row, 6)?,
        })
    };
    rows.iter().map(event).collect()
}

/// The text of a plan that the database has, or once had.
///
/// # Errors
/// The server's.
pub async fn plan_text(session: &Session, number: u32) -> Result<Option<String>> {
    let query = "SELECT plan FROM (SELECT plan, 0::bigint AS rank FROM setpoint.revision WHERE number = $1 \
                 UNION ALL SELECT plan, 1 FROM setpoint.run WHERE number = $1 \
                 UNION ALL (SELECT plan, 2 FROM setpoint.event WHERE number = $1 AND plan <> '' ORDER BY id DESC LIMIT 1)) p ORDER BY rank LIMIT 1";
    let row = session.client.query_opt(query, &[&as_i32(number)?]).await.map_err(|e| server_error(&e))?;
    row.as_ref().map(|row| get(row, 0)).transpose()
}

/// The state that the database had after that revision.
///
/// # Errors
/// The server's, and a snapshot that cannot be read.
pub async fn snapshot_of(session: &Session, number: u32) -> Result<Option<State>> {
    let query = "SELECT snapshot FROM setpoint.revision WHERE number = $1";
    let row = session.client.query_opt(query, &[&as_i32(number)?]).await.map_err(|e| server_error(&e))?;
    match row {
        Some(row) => {
            let bytes: &[u8] = row.try_get(0).map_err(|e| server_error(&e))?;
            snapshot::decode(bytes).map(Some).map_err(|e| e.detail(format!("snapshot of revision {number}")))
        }
        None => Ok(None),
    }
}

/// A revision's number as the ledger stores it.
pub(super) fn as_i32(number: impl TryInto<i32>) -> Result<i32> {
    number.try_into().map_err(|_| Error::failed("a number does not fit into the ledger"))
}

/// A large number as the ledger stores it.
pub(super) fn as_i64(number: u64) -> Result<i64> {
    number.try_into().map_err(|_| Error::failed("a number does not fit into the ledger"))
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(|e| server_error(&e))
}

fn number<T: TryFrom<i32>>(row: &Row, at: usize) -> Result<T> {
    T::try_from(get::<i32>(row, at)?).map_err(|_| Error::failed("the ledger holds a negative number"))
}

fn digest(row: &Row, at: usize) -> Result<Digest> {
    let text: &str = get(row, at)?;
    Digest::parse(text).ok_or_else(|| Error::failed(format!("the ledger holds `{text}` where a plan's hash belongs")))
}

fn revision(row: &Row) -> Result<Revision> {
    Ok(Revision {
        number: number(row, 0)?,
        name: get(row, 1)?,
        plan_hash: digest(row, 2)?,
        how: How::of(get(row, 3)?),
        by: get(row, 4)?,
        at: get(row, 5)?,
        tool: get(row, 6)?,
    })
}

fn run(row: &Row) -> Result<Run> {
    Ok(Run {
        number: number(row, 0)?,
        name: get(row, 1)?,
        direction: Direction::of(get(row, 2)?),
        plan_hash: digest(row, 3)?,
        plan: get(row, 4)?,
        goal: number(row, 5)?,
        top: number(row, 6)?,
        recorded: false,
        by: get(row, 7)?,
        at: get(row, 8)?,
        entries: Vec::new(),
    })
}

fn entry(row: &Row) -> Result<(u32, Entry)> {
    let entry = Entry {
        direction: Direction::of(get(row, 1)?),
        step: number(row, 2)?,
        sub: number(row, 3)?,
        done: get(row, 4)?,
    };
    Ok((number(row, 0)?, entry))
}
