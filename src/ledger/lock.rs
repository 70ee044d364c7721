//! Makes sure that only one setpoint works on a database at a time, with a session-level advisory lock, and detects a pooler that would make
//! that lock worthless.

use std::fmt;
use std::time::{Duration, Instant};

use crate::catalog::{Session, interrupt, transaction_mode};
use crate::model::{Class, Error, Ident, Result, Text};
use crate::sql::{literal, name};

/// The key: the tool's name in ASCII. Advisory locks are per database.
const KEY: i64 = 0x7365_7470_6f69_6e74;

/// How often the lock is asked for while waiting.
const POLL: Duration = Duration::from_millis(100);

/// Takes the lock. It is polled for, never waited for in the server: a session that waits holds a snapshot, and a concurrent
/// index build of the holder would wait for it in turn.
///
/// `waiting` is told once whom it waits for.
///
/// # Errors
/// `Busy` naming the holder once `wait` is over.
pub async fn take(session: &Session, wait: Duration, waiting: &mut dyn FnMut(&str)) -> Result<()> {
    session.may_change()?;
    let begun = Instant::now();
    let mut told = false;
    loop {
        let row = session.rows("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&KEY]).await?.into_iter().next();
        if row.is_some_and(|mut row| row.next()) {
            return Ok(());
        }
        if interrupt::is_asked() {
            return Err(interrupt::error());
        }
        if begun.elapsed() >= wait {
            return Err(busy(holder(session).await));
        }
        if !told {
            told = true;
            let holder = holder(session).await.map_or_else(|| "another session".into(), |holder| holder.to_string());
            waiting(&format!("waiting for setpoint's lock on this database, held by {holder}"));
        }
        tokio::time::sleep(POLL.min(wait.saturating_sub(begun.elapsed()))).await;
    }
}

/// Gives the lock back; ending the session does so too.
pub async fn release(session: &Session) {
    let _ = session.rows("SELECT pg_catalog.pg_advisory_unlock($1)", &[&KEY]).await;
}

/// What the error of `check` says.
pub const GONE: &str = "setpoint does not hold its lock";

/// A statement that fails if this session does not hold the lock any more, whatever the search path.
pub fn check() -> String {
    let (high, low) = (KEY >> 32, KEY & 0xffff_ffff);
    let equals = |column: &str, value: String| format!("l.{column} OPERATOR(pg_catalog.=) {value}");
    let held = [
        equals("locktype", "'advisory'::pg_catalog.text".into()),
        equals("pid", "pg_catalog.pg_backend_pid()".into()),
        equals("classid", format!("{high}::pg_catalog.oid")),
        equals("objid", format!("{low}::pg_catalog.oid")),
        equals("objsubid", "1::pg_catalog.int2".into()),
    ];
    // No constant: that would be evaluated before it is known whether it is needed.
    format!(
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks AS l WHERE l.granted AND {}) THEN 1 \
         ELSE pg_catalog.concat('{GONE} ', pg_catalog.pg_backend_pid())::pg_catalog.int4 END",
        held.join(" AND ")
    )
}

/// The error where a step gave the lock back.
pub fn gone() -> Error {
    Error::failed("something that a step ran released setpoint's lock, so another setpoint may be at work")
        .detail("the transaction was rolled back")
        .remedy("look for calls of pg_advisory_unlock and pg_advisory_unlock_all in the functions that the step calls")
}

/// Who holds the lock. Any role may take an advisory lock and call itself what it likes, so the process and its role come first.
struct Holder {
    pid: i32,
    role: Option<Text>,
    program: Text,
    address: Option<Text>,
    since: Option<Text>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of ", self.pid)?;
        match &self.role {
            Some(role) => write!(f, "role {}", name(&Ident::from(&**role)))?,
            None => f.write_str("an unknown role")?,
        }
        if !self.program.is_empty() {
            write!(f, ", application_name {}", literal(&self.program))?;
        }
        if let Some(address) = &self.address {
            write!(f, ", from {address}")?;
        }
        match &self.since {
            Some(since) => write!(f, ", connected since {since}"),
            None => Ok(()),
        }
    }
}

async fn holder(session: &Session) -> Option<Holder> {
    let query = "SELECT l.pid, a.usename::pg_catalog.text, coalesce(a.application_name, ''), pg_catalog.host(a.client_addr), \
                 pg_catalog.to_char(a.backend_start, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
                 FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = \
                 (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
                 AND (l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8 = $1 LIMIT 1";
    let mut row = session.rows(query, &[&KEY]).await.ok()?.into_iter().next()?;
    Some(Holder {
        pid: row.next(),
        role: row.text_opt(),
        program: row.text(),
        address: row.text_opt(),
        since: row.text_opt(),
    })
}

/// The lock could not be acquired.
fn busy(holder: Option<Holder>) -> Error {
    let setpoint = holder.as_ref().is_none_or(|holder| holder.program.starts_with("setpoint "));
    let what = if setpoint {
        "another setpoint is at work on this database"
    } else {
        "another session holds setpoint's lock on this database"
    };
    let error = Error::new(Class::Busy, what);
    let wait = "wait for it to end, or let this command wait with `--wait SECONDS`";
    match holder {
        Some(holder) => {
            let end = format!("SELECT pg_terminate_backend({})", holder.pid);
            let error = error.detail(format!("the lock is held by {holder}"));
            error.remedy(format!("{wait}; if that session is not a setpoint at work, end it: {end}"))
        }
        None => error.detail("it was released in the meantime, or its holder is not visible").remedy(wait),
    }
}

/// Refuses a pooler that hands a server connection to another client between transactions: session locks and settings would end
/// up with strangers. Two sessions that are open at once must not share a server process, and one must not change it.
///
/// # Errors
/// `Refused` with the way around it.
pub async fn refuse_pooler(session: &Session, other: &Session) -> Result<()> {
    let pid = async |session: &Session| {
        let row = session.rows("SELECT pg_catalog.pg_backend_pid()", &[]).await?.into_iter().next();
        Ok::<i32, Error>(row.map_or(0, |mut row| row.next()))
    };
    let (first, second) = (pid(session).await?, pid(other).await?);
    if first == session.backend_pid && second == other.backend_pid && first != second {
        return Ok(());
    }
    Err(transaction_mode(session.target(), None))
}
