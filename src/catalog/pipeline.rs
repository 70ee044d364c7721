//! Sends statements one after the other without waiting for answers; the answers come back in the same order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// A queue of statements that were sent. Within one transaction it is safe to send all of them at once: after an error the
/// server refuses the rest, and turns the COMMIT into a ROLLBACK.
pub struct Pipeline<'a> {
    client: &'a Client,
    sent: VecDeque<Pin<Box<MaybeDone<Answer<'a>>>>>,
}

impl<'a> Pipeline<'a> {
    /// An empty pipeline.
    pub fn new(client: &'a Client) -> Self {
        Self { client, sent: VecDeque::new() }
    }

    /// Sends SQL as it is; rows that it returns are dropped.
    pub async fn batch(&mut self, sql: impl Into<String>) {
        let (client, sql) = (self.client, sql.into());
        self.send(Box::pin(async move { client.batch_execute(&sql).await })).await;
    }

    /// Sends a prepared statement with its parameters.
    pub async fn execute(&mut self, statement: &Statement, params: Vec<Box<dyn ToSql + Sync>>) {
        let (client, statement) = (self.client, statement.clone());
        self.send(Box::pin(async move {
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(AsRef::as_ref).collect();
            client.execute(&statement, &params).await.map(drop)
        }))
        .await;
    }

    /// The first poll is what sends, so the order of these calls is the order on the wire.
    async fn send(&mut self, answer: Answer<'a>) {
        let mut answer = Box::pin(maybe_done(answer));
        let _ = futures_util::poll!(answer.as_mut());
        self.sent.push_back(answer);
    }

    /// Waits for the oldest answer that is still out; `None` when there is none.
    pub async fn next(&mut self) -> Option<Result<(), Error>> {
        let mut answer = self.sent.pop_front()?;
        answer.as_mut().await;
        answer.as_mut().take_output()
    }
}
