//! Runs steps that cannot run in a transaction: they are recorded before and after, and a later run checks the catalog to see whether they
//! were done.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use crate::catalog::PIN_PATH;
use crate::catalog::interrupt;
use crate::introspect;
use crate::kinds;
use crate::ledger::Journal;
use crate::model::{Address, Class, Error, Ident, Result};
use crate::plan::{Action, Step};
use crate::sql;

use super::Progress;
use super::executor::{Executor, Unit, subject};
use super::lent::{self, Lender};
use super::secrets::Lent as Secret;
use super::{blockers, stale};

/// How often the blocking session is reported.
const LOOK: Duration = Duration::from_secs(2);

/// Runs one step, the `number`th of its run, outside of transactions. It has no timeouts, which would only leave an invalid index, but a limit on waiting.
pub async fn run(
    executor: &Executor<'_>,
    (lender, lent): (&Lender<'_>, Option<&Secret<'_>>),
    journal: &Journal,
    unit: Unit<'_>,
    number: usize,
    progress: &mut dyn Progress,
) -> Result<(), (Option<usize>, Error)> {
    let at_step = |error| (Some(0), error);
    let session = executor.session;
    let steps = [unit.step];
    let judged = lender.ways(&steps, &executor.options.allow, executor.meant).await?;
    journal.begun(executor.pen, unit.index, unit.sub).await.map_err(at_step)?;
    let settings =
        format!("SET lock_timeout = 0; SET statement_timeout = 0; SET search_path TO {}", unit.step.search_path());
    session.batch(&settings).await.map_err(at_step)?;
    let (mut since, mut last) = (None, None);
    if let Some(lent) = lent {
        lent.give_now(session, unit.step).await.map_err(at_step)?;
    }
    let work = session.client.batch_execute(&unit.step.sql);
    let result = blockers::watched(executor, work, LOOK, async |seen| {
        let since = *since.get_or_insert_with(Instant::now);
        progress.waiting(&format!("{} waits for {seen}", subject(unit.step)));
        last = Some(seen);
        since.elapsed() > executor.options.concurrent_budget
    })
    .await;
    if let Some(lent) = lent {
        lent.clear_now(session, unit.step).await;
    }
    let error = match result {
        Ok(()) => {
            session.batch(PIN_PATH).await.map_err(at_step)?;
            if let Some(check) = lender.afterwards(unit.step, judged.way(0), "") {
                session.batch(&check).await.map_err(|error| at_step(lent::explain(error, None)))?;
            }
            journal.done_alone(executor.pen, unit.index, unit.sub).await.map_err(at_step)?;
            progress.step(number, unit.step);
            return Ok(());
        }
        Err(error) => error,
    };
    let mut shown = session.error(&error);
    if error.code() == Some(&SqlState::QUERY_CANCELED) {
        match (interrupt::is_asked(), &last) {
            (true, _) => shown.class = Class::Interrupted,
            (false, Some(_)) => shown.class = Class::Busy,
            (false, None) => {}
        }
    }
    shown.details.extend(last.map(|last| format!("in the way: {last}")));
    if !error.is_closed() {
        let _ = session.batch(PIN_PATH).await;
        // "It already exists" means that the existing one is not ours, whatever its state.
        let foreign = error.code() == Some(&SqlState::DUPLICATE_TABLE);
        let clean = foreign || matches!(settle(executor, unit.step).await, Ok(false));
        if clean {
            let _ = journal.not_begun(executor.pen, unit.index, unit.sub).await; // else the next run looks it up again
        }
    }
    Err(at_step(shown))
}

/// Finds out whether a step that was begun took effect; what it left half done is removed. True: it is done.
///
/// # Errors
/// The server's.
pub async fn settle(executor: &Executor<'_>, step: &Step) -> Result<bool> {
    let address = step.object.split(' ').next().and_then(kinds::find).map(|room| room.kind().address);
    match (step.action, address) {
        (Action::Create | Action::Drop, Some(Address::Beside)) => settle_index(executor, step).await,
        (Action::Create, _) => exists(executor, step).await,
        (Action::Drop, _) => exists(executor, step).await.map(|there| !there),
        // Others can be run twice.
        _ => Ok(false),
    }
}

async fn exists(executor: &Executor<'_>, step: &Step) -> Result<bool> {
    let live = introspect::read(executor.session).await?;
    Ok(live.state.iter().any(|(id, _)| id.to_string() == step.object))
}

/// A valid index was built. An invalid one is ours (the journal says that we began it) and is removed.
async fn settle_index(executor: &Executor<'_>, step: &Step) -> Result<bool> {
    let session = executor.session;
    let names = stale::names(&step.object).unwrap_or_default();
    let (Some(schema), Some(name)) = (names.first(), names.last()) else { return Ok(false) };
    let query = "SELECT i.indisvalid AND i.indisready AND i.indislive FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    let valid = session.rows(query, &[schema, name]).await?.into_iter().next().map(|mut row| row.next::<bool>());
    match (step.action, valid) {
        (Action::Drop, valid) => Ok(valid.is_none()),
        (_, Some(true)) => Ok(true),
        (_, None) => Ok(false),
        (_, Some(false)) => {
            let path =
                format!("{}.{}", sql::name(&Ident::from(schema.as_str())), sql::name(&Ident::from(name.as_str())));
            let timeout = executor.options.lock_timeout.as_millis();
            let settings = format!("SET lock_timeout = {timeout}; SET statement_timeout = 0");
            session.batch(&settings).await?;
            session
                .batch(&format!("DROP INDEX CONCURRENTLY {path}"))
                .await
                .map_err(|e| e.detail(format!("while removing {}, whose building was interrupted", step.object)))?;
            Ok(false)
        }
    }
}
