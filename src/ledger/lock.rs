//! One tool at a time: a session-level advisory lock per database, and the pooler that would make it worthless.

use std::time::{Duration, Instant};

use crate::catalog::{Session, transaction_mode};
use crate::model::{Class, Error, Result};

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
    let begun = Instant::now();
    let mut told = false;
    loop {
        let row = session.rows("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&KEY]).await?.into_iter().next();
        if row.is_some_and(|mut row| row.next()) {
            return Ok(());
        }
        if begun.elapsed() >= wait {
            let mut error = Error::new(Class::Busy, "another setpoint is at work on this database");
            error.details.extend(holder(session).await.map(|holder| format!("the lock is held by {holder}")));
            return Err(error.remedy("wait for it to end, or let this one wait with `--wait SECONDS`"));
        }
        if !told {
            told = true;
            let holder = holder(session).await.unwrap_or_else(|| "another session".into());
            waiting(&format!("waiting for the lock, which {holder} holds"));
        }
        tokio::time::sleep(POLL.min(wait.saturating_sub(begun.elapsed()))).await;
    }
}

/// Gives the lock back; ending the session does so too.
pub async fn release(session: &Session) {
    let _ = session.rows("SELECT pg_catalog.pg_advisory_unlock($1)", &[&KEY]).await;
}

/// Who holds the lock: `pid 123 (setpoint apply, user app, from 10.0.0.7)`.
async fn holder(session: &Session) -> Option<String> {
    let query = "SELECT a.pid, a.application_name, a.usename::text, a.client_addr::text FROM pg_locks l \
                 JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND (l.classid::bigint << 32) | l.objid::bigint = $1";
    let mut row = session.rows(query, &[&KEY]).await.ok()?.into_iter().next()?;
    let (pid, program, user, address) = (row.next::<i32>(), row.text(), row.text(), row.text_opt());
    let from = address.map_or_else(String::new, |address| format!(", from {address}"));
    Some(format!("pid {pid} ({program}, user {user}{from})"))
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
