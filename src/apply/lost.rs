//! Recovers from a lost connection: connects again, takes the lock (which waits for the old server process to end), and checks what was
//! committed.

use std::time::{Duration, Instant};

use crate::catalog::{Connect, Session};
use crate::ledger::{Direction, Journal, Ledger};
use crate::model::{Class, Error, Result};

use super::executor::Executor;
use super::trip::{Doubt, Trip, Witness};
use super::{Meant, Opened, Options, Progress, alone, open};

/// The minimum time to keep trying to connect again.
const CONNECT: Duration = Duration::from_secs(3);

/// The minimum time to wait for the old server process to release the lock.
const LOCK: Duration = Duration::from_secs(30);

/// Runs `work` with the lock held. If the connection is lost before it is known whether something was committed, that is looked up:
/// if it was, the work continues from there on a new connection, for which `work` is called again. `before` comes before the first wait for
/// the lock: what a relative command means is settled there.
///
/// # Errors
/// Those of `before` and `work`, with what is known about what was under way, and of connecting.
pub(super) async fn through(
    connect: &Connect,
    trip: &Trip,
    options: &Options,
    progress: &mut dyn Progress,
    before: impl AsyncFnOnce(&Session) -> Result<()>,
    mut work: impl AsyncFnMut(&Opened, &mut dyn Progress) -> Result<()>,
) -> Result<()> {
    let purpose = match trip.direction {
        Direction::Up => "apply",
        Direction::Down => "rollback",
    };
    let mut opened = open(connect, purpose, options, progress, before).await?;
    loop {
        let result = work(&opened, progress).await;
        let doubt = trip.doubt.take();
        let Err(error) = result else {
            opened.close().await;
            return Ok(());
        };
        let Some(doubt) = doubt.filter(|_| !error_is_ours(&error)) else {
            opened.close().await;
            return Err(error);
        };
        if is_alive(&opened.session).await {
            opened.close().await;
            return Err(error);
        }
        opened.close().await;
        progress
            .note(&format!("the connection was lost before the answer about {} arrived; looking it up", doubt.what));
        let again = match reopen(connect, purpose, options, progress).await {
            Ok(again) => again,
            Err(why) => return Err(unknown(error, &why, trip, &doubt)),
        };
        match committed(&again, options, trip, &doubt).await {
            Ok(true) if sent_away(&error) => {
                again.close().await;
                return Err(error.detail(format!("{} was committed", doubt.what)));
            }
            Ok(true) => progress.note(&format!("{} was committed; continuing", doubt.what)),
            Ok(false) => {
                again.close().await;
                return Err(error.detail(format!("{} was not committed", doubt.what)));
            }
            Err(why) => {
                again.close().await;
                return Err(unknown(error, &why, trip, &doubt));
            }
        }
        opened = again;
    }
}

/// True for errors that did not come from the server.
fn error_is_ours(error: &Error) -> bool {
    matches!(error.class, Class::Refused | Class::Stale | Class::Usage)
}

/// True if somebody ended the session on purpose: then it does not reconnect.
fn sent_away(error: &Error) -> bool {
    error.sqlstate.as_deref().is_some_and(|code| code.starts_with("57P"))
}

async fn is_alive(session: &Session) -> bool {
    !session.client.is_closed() && session.batch("").await.is_ok()
}

/// Connects and takes the lock. A server that restarts, or a network that was down, gets some time.
async fn reopen(connect: &Connect, purpose: &str, options: &Options, progress: &mut dyn Progress) -> Result<Opened> {
    let patience = options.wait.max(CONNECT);
    let options = Options { wait: options.wait.max(LOCK), ..options.clone() };
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(100));
    loop {
        let error = match open(connect, purpose, &options, progress, async |_| Ok(())).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        // A server that answers has its reasons, unless it only starts up.
        let later = error.sqlstate.as_deref().is_none_or(|code| code == "57P03") && !error_is_ours(&error);
        if !later || begun.elapsed() + pause > patience {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Checks whether what was sent was committed.
async fn committed(opened: &Opened, options: &Options, trip: &Trip, doubt: &Doubt) -> Result<bool> {
    let ledger = Ledger::read(&opened.session).await?;
    if let Some(known) = doubt.committed(trip.direction, &ledger) {
        return Ok(known);
    }
    let Witness::Catalog(step, index, sub) = &doubt.by else { return Ok(false) };
    let pen = ledger.pen(&opened.session)?;
    let meant = Meant::default();
    let executor = Executor { session: &opened.session, pen, watch: &opened.watch, options, trip, meant: &meant };
    let happened = alone::settle(&executor, step).await?;
    if happened {
        let journal = Journal::open(&opened.session, doubt.number, trip.direction).await?;
        journal.done_alone(pen, *index, *sub).await?;
    }
    Ok(happened)
}

/// Whether it was committed is unknown.
fn unknown(error: Error, why: &Error, trip: &Trip, doubt: &Doubt) -> Error {
    error
        .detail(format!("cannot tell whether {} was committed: {}", doubt.what, why.message))
        .remedy(format!("run {} when the server accepts connections: it finds out, and continues", trip.again()))
}
