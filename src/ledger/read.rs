//! Reads the ledger. Anything unreadable is reported as a problem, so that `stamp` can repair it.

use crate::catalog::{Session, server_error};
use crate::model::{Digest, Error, Ident, Result, State};
use crate::plan::chain::Chain;
use crate::sql;

use super::copy::{self, Line};
use super::trust::{self, Standing};
use super::{Direction, Entry, Event, Headed, How, Ledger, Revision, Run, audit, headed, layout, snapshot};

impl Ledger {
    /// Reads the ledger; a database without one has an empty ledger, and none is made.
    ///
    /// # Errors
    /// The server's, a ledger of a newer layout, a schema `setpoint` that is not a ledger, and one that disagrees with itself.
    pub async fn read(session: &Session) -> Result<Self> {
        let ledger = Self::look(session).await?;
        ledger.sound()?;
        Ok(ledger)
    }

    /// The same where a ledger that disagrees with itself is to be shown, or put right: its `problems` say what is wrong.
    ///
    /// # Errors
    /// As `read`, but for the last.
    pub async fn look(session: &Session) -> Result<Self> {
        let standing = trust::look(session).await?;
        let Some(layout) = standing.layout else { return Ok(Self { others: standing.others, ..Self::default() }) };
        let rows = guarded(session, &standing, async || {
            futures_util::future::try_join5(
                copy::meta(session),
                copy::rows(session, "revision", "number, name, plan_hash, how, by_role, at, tool"),
                copy::rows(session, "run", "number, name, direction, plan_hash, plan, goal, top, by_role, at"),
                copy::rows(session, "journal", "number, direction, step, sub, done"),
                newest_text(session, &standing),
            )
            .await
        });
        let (meta, revisions, runs, journal, newest) = rows.await?;
        layout::check_format(meta.get("format").map(String::as_str), layout)?;
        let mut problems = Vec::new();
        let mut revisions: Vec<Revision> = read_all("revision", &revisions, &mut problems, revision);
        revisions.sort_by_key(|revision| revision.number);
        let mut runs = read_all("run", &runs, &mut problems, run);
        runs.sort_by_key(|run| run.number);
        let entries = read_all("journal", &journal, &mut problems, entry);
        let headed = meta.get(headed::KEY).filter(|_| standing.others.is_empty()).and_then(|text| Headed::parse(text));
        let mut ledger = Self { exists: true, revisions, run: runs.pop(), headed, others: standing.others, problems };
        for run in runs {
            ledger.problems.push(format!("setpoint.run has a second run, of plan {} {}", run.number, run.name));
        }
        audit::journal(&mut ledger, entries);
        audit::ledger(&mut ledger);
        audit::texts(&mut ledger, newest.into_iter().collect(), &Chain::default());
        Ok(ledger)
    }

    /// The same with a look at every recorded plan and at what happened to it. Plans that `plans` has, word for word, are not read again;
    /// they are where they are run.
    ///
    /// # Errors
    /// As `look`.
    pub async fn look_closely(session: &Session, plans: &Chain) -> Result<Self> {
        let mut ledger = Self::look(session).await?;
        if !ledger.exists {
            return Ok(ledger);
        }
        let standing = trust::look(session).await?;
        let lines = guarded(session, &standing, async || copy::rows(session, "revision", "number, plan").await).await?;
        let text = |line: Line| match <[Option<String>; 2]>::try_from(line) {
            Ok([Some(number), Some(plan)]) => number.parse().ok().map(|number| (number, plan)),
            _ => None,
        };
        audit::texts(&mut ledger, lines.into_iter().filter_map(text).collect(), plans);
        audit::events(&mut ledger, &events(session).await?);
        ledger.problems.dedup();
        Ok(ledger)
    }

    /// The same, before running what is recorded.
    ///
    /// # Errors
    /// As `read`.
    pub async fn read_closely(session: &Session, plans: &Chain) -> Result<Self> {
        let ledger = Self::look_closely(session, plans).await?;
        ledger.sound()?;
        Ok(ledger)
    }

    /// Makes sure that the ledger does not contradict itself.
    ///
    /// # Errors
    /// `Stale`, with everything that is wrong, and the way to put it right.
    pub fn sound(&self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let error = Error::stale("this database's ledger is inconsistent; nothing in it was run");
        Err(self.problems.iter().take(10).cloned().fold(error, Error::detail).remedy(audit::REMEDY))
    }
}

/// The recorded text of the newest revision, unless it is so large that reading it would be felt. It comes with the rest, in the same round trip.
async fn newest_text(session: &Session, standing: &Standing) -> Result<Option<(u32, String)>> {
    if standing.maker().is_some() {
        return Ok(None);
    }
    let query = "SELECT number, plan FROM setpoint.revision WHERE octet_length(plan) < 131072 \
                 AND number = (SELECT max(number) FROM setpoint.revision)";
    let row = session.rows(query, &[]).await?.into_iter().next();
    Ok(row.map(|mut row| (u32::try_from(row.next::<i32>()).unwrap_or_default(), row.next())))
}

/// Reads with COPY. Where another role could change the tables at this very moment, its policies are not asked either.
async fn guarded<T>(session: &Session, standing: &Standing, read: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    if standing.maker().is_none() {
        return match read().await {
            Err(error) if error.sqlstate.as_deref() == Some("42501") => Err(not_readable(session, error).await),
            done => done,
        };
    }
    session.batch("SET row_security = off").await?;
    let out = read().await;
    let back = session.batch("SET row_security = on").await;
    let out = out?;
    back.map(|()| out)
}

/// The error for a role that may not read the ledger, with what would let it.
async fn not_readable(session: &Session, error: Error) -> Error {
    let query = "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'setpoint'";
    let Ok(rows) = session.rows(query, &[]).await else { return error };
    let Some(owner) = rows.into_iter().next().map(|mut row| row.text().to_string()) else { return error };
    let quoted = |role: &str| sql::name(&Ident::from(role)).to_string();
    let (owner, user) = (quoted(&owner), quoted(&session.user));
    Error { message: format!("{user} may not read this database's ledger, which belongs to {owner}"), ..error }.remedy(format!(
        "connect as {owner}; or, to let {user} read it: GRANT USAGE ON SCHEMA setpoint TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA \
         setpoint TO {user}"
    ))
}

/// The rows of a table; those that cannot be read are problems.
fn read_all<T>(
    table: &str,
    lines: &[Line],
    problems: &mut Vec<String>,
    one: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Vec<T> {
    let mut out = Vec::new();
    for line in lines {
        let mut fields = Fields { line, at: 0, bad: None };
        match one(&mut fields) {
            Some(row) => out.push(row),
            None => {
                let first = line.first().and_then(Option::as_deref).unwrap_or("?");
                let bad = fields.bad.unwrap_or_default();
                problems.push(format!("setpoint.{table}, the row with {first}: {bad:?} is not valid there"));
            }
        }
    }
    out
}

/// A row's fields, from left to right.
struct Fields<'a> {
    line: &'a Line,
    at: usize,
    bad: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn word(&mut self) -> &'a str {
        self.at += 1;
        self.line.get(self.at - 1).and_then(Option::as_deref).unwrap_or_default()
    }

    fn text(&mut self) -> String {
        self.word().to_owned()
    }

    fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let word = self.word();
        let value = parse(word);
        if value.is_none() {
            self.bad.get_or_insert(word);
        }
        value
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.parsed(|word| word.parse().ok())
    }

    /// A time in UTC as text that sorts.
    fn time(&mut self) -> String {
        let word = self.word();
        match word.get(..19) {
            Some(head) => format!("{}Z", head.replace(' ', "T")),
            None => word.to_owned(),
        }
    }
}

/// Everything that ever happened, oldest first, as far as it can be read.
///
/// # Errors
/// The server's.
pub async fn events(session: &Session) -> Result<Vec<Event>> {
    events_and_odd(session).await.map(|(events, _)| events)
}

/// The same with what cannot be read. Nothing is run because of an event, so it is no reason to refuse anything.
///
/// # Errors
/// The server's.
pub async fn events_and_odd(session: &Session) -> Result<(Vec<Event>, Vec<String>)> {
    let standing = trust::look(session).await?;
    if standing.layout.is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let columns = "id, number, name, plan_hash, what, by_role, at, tool";
    let lines = guarded(session, &standing, async || copy::rows(session, "event", columns).await).await?;
    let mut problems = Vec::new();
    let mut events = read_all("event", &lines, &mut problems, |row| {
        let id: i64 = row.number()?;
        let number = row.number()?;
        let name = row.text();
        let plan_hash = row.parsed(Digest::parse)?;
        Some((
            id,
            Event { number, name, plan_hash, what: row.text(), by: row.text(), at: row.time(), tool: row.text() },
        ))
    });
    events.sort_by_key(|(id, _)| *id);
    Ok((events.into_iter().map(|(_, event)| event).collect(), problems))
}

/// The text of a plan that the database has, or once had.
///
/// # Errors
/// The server's.
pub async fn plan_text(session: &Session, number: u32) -> Result<Option<String>> {
    let standing = trust::look(session).await?;
    if standing.layout.is_none() {
        return Ok(None);
    }
    if standing.maker().is_none() {
        let query = "SELECT plan FROM (SELECT plan, 0::bigint AS rank FROM setpoint.revision WHERE number = $1 \
                     UNION ALL SELECT plan, 1 FROM setpoint.run WHERE number = $1 \
                     UNION ALL (SELECT plan, 2 FROM setpoint.event WHERE number = $1 AND plan <> '' ORDER BY id DESC LIMIT 1)) p ORDER BY rank LIMIT 1";
        let row = session.client.query_opt(query, &[&as_i32(number)?]).await.map_err(|e| server_error(&e))?;
        return row.map(|row| row.try_get(0)).transpose().map_err(|e| server_error(&e));
    }
    guarded(session, &standing, async || {
        for (table, columns) in [("revision", "number, plan"), ("run", "number, plan"), ("event", "number, plan, id")] {
            let mut lines = copy::rows(session, table, columns).await?;
            lines.sort_by_key(|line| line.get(2).and_then(|id| id.as_deref()?.parse::<i64>().ok()));
            let of = |line: &Line| match line.as_slice() {
                [Some(n), Some(plan), ..] if *n == number.to_string() && !plan.is_empty() => Some(plan.clone()),
                _ => None,
            };
            if let Some(text) = lines.iter().rev().find_map(of) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    })
    .await
}

/// The state that the database had after that revision.
///
/// # Errors
/// The server's, and a snapshot that cannot be read.
pub async fn snapshot_of(session: &Session, number: u32) -> Result<Option<State>> {
    let standing = trust::look(session).await?;
    let decode = |bytes: &[u8]| {
        snapshot::decode(bytes).map(Some).map_err(|error| {
            let again = format!("`setpoint stamp {number}` takes a new one where the database is at that plan");
            let remedy = error.remedy.clone().unwrap_or(again);
            error.detail(format!("snapshot of revision {number}")).remedy(remedy)
        })
    };
    if standing.layout.is_none() {
        return Ok(None);
    }
    if standing.maker().is_none() {
        let query = "SELECT snapshot FROM setpoint.revision WHERE number = $1";
        let row = session.client.query_opt(query, &[&as_i32(number)?]).await.map_err(|e| server_error(&e))?;
        return match row {
            Some(row) => decode(row.try_get(0).map_err(|e| server_error(&e))?),
            None => Ok(None),
        };
    }
    let lines = guarded(session, &standing, async || copy::rows(session, "revision", "number, snapshot").await).await?;
    let hex = lines.iter().find_map(|line| match line.as_slice() {
        [Some(n), Some(bytes)] if *n == number.to_string() => Some(bytes.as_str()),
        _ => None,
    });
    hex.map_or(Ok(None), |hex| decode(&bytes(hex)))
}

/// What `\x0123` stands for.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("\\x").unwrap_or_default().as_bytes();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or_default();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, c| byte << 4 | digit(*c))).collect()
}

/// A revision's number as the ledger stores it.
pub(super) fn as_i32(number: impl TryInto<i32>) -> Result<i32> {
    number.try_into().map_err(|_| Error::failed("a number does not fit into the ledger"))
}

/// A large number as the ledger stores it.
pub(super) fn as_i64(number: u64) -> Result<i64> {
    number.try_into().map_err(|_| Error::failed("a number does not fit into the ledger"))
}

fn revision(row: &mut Fields<'_>) -> Option<Revision> {
    Some(Revision {
        number: row.number()?,
        name: row.text(),
        plan_hash: row.parsed(Digest::parse)?,
        how: row.parsed(How::of)?,
        by: row.text(),
        at: row.time(),
        tool: row.text(),
    })
}

fn run(row: &mut Fields<'_>) -> Option<Run> {
    Some(Run {
        number: row.number()?,
        name: row.text(),
        direction: row.parsed(Direction::of)?,
        plan_hash: row.parsed(Digest::parse)?,
        plan: row.text(),
        goal: row.number()?,
        top: row.number()?,
        recorded: false,
        by: row.text(),
        at: row.time(),
        entries: Vec::new(),
    })
}

fn entry(row: &mut Fields<'_>) -> Option<(u32, Entry)> {
    let number = row.number()?;
    let direction = row.parsed(Direction::of)?;
    Some((number, Entry { direction, step: row.number()?, sub: row.number()?, done: row.word() == "t" }))
}
