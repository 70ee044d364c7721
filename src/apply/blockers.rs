//! Finds out, from a second session, who blocks the first one while it waits.

use std::pin::pin;
use std::time::Duration;

use crate::catalog::interrupt;

use super::executor::Executor;

/// Waits for `work` and checks every `tick` who blocks it; `seen` is told, and decides whether to give up. Giving up cancels the
/// statement, so that `work` ends with the server's error.
pub async fn watched<T>(
    executor: &Executor<'_>,
    work: impl Future<Output = T>,
    tick: Duration,
    mut seen: impl AsyncFnMut(String) -> bool,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = interrupt::asked() => {
                // If it fails, the statement continues, and so do we.
                let _ = executor.session.canceller().cancel().await;
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::time::sleep(interrupt::AGAIN) => continue,
                }
            }
            () = tokio::time::sleep(tick) => {}
        }
        // Both continue at the same time: the statement may end while the query is under way.
        let look = blockers(executor);
        let blocked = tokio::select! {
            biased;
            done = &mut work => return done,
            blocked = look => blocked,
        };
        let give_up = match blocked {
            Some(blocked) => seen(blocked).await,
            None => false,
        };
        if give_up {
            let _ = executor.session.canceller().cancel().await; // if it fails, the statement continues, and so do we
        }
    }
}

/// The sessions that the executor's session waits for: `pid 123 (psql, user app, idle in transaction for 12 s)`.
async fn blockers(executor: &Executor<'_>) -> Option<String> {
    let query = "SELECT DISTINCT a.pid, a.application_name, a.usename::text, a.state, \
                 EXTRACT(epoch FROM clock_timestamp() - COALESCE(a.xact_start, a.backend_start))::bigint \
                 FROM unnest(pg_blocking_pids($1)) AS b (pid) JOIN pg_stat_activity a ON a.pid = b.pid ORDER BY a.pid LIMIT 5";
    let rows = executor.watch.rows(query, &[&executor.session.backend_pid]).await.ok()?;
    let shown = rows.into_iter().map(|mut row| {
        let (pid, program, user) = (row.next::<i32>(), row.text(), row.text());
        let (state, seconds) = (row.text(), row.next::<i64>());
        let program = if program.is_empty() { "no application name".into() } else { program };
        format!("pid {pid} ({program}, user {user}, {state} for {seconds} s)")
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}
