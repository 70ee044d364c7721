//! Who writes the ledger, and how it is kept unchanged meanwhile. Writing to a table runs its triggers, rules and defaults, so a superuser
//! writes to another role's ledger only in transactions that keep that role from changing it, and that check it again first.

use tokio_postgres::types::ToSql;

use crate::catalog::Session;
use crate::model::{Error, Result};

use super::layout::TABLES;
use super::trust::{self, Other};
use super::write::execute;

/// The permission to write to the ledger.
#[derive(Clone, Copy)]
pub struct Pen<'a> {
    /// The session that writes.
    pub session: &'a Session,
    /// True if another role could change the ledger at any moment.
    careful: bool,
}

impl<'a> Pen<'a> {
    /// # Errors
    /// `Refused` where another role could have its code run with the session's privileges.
    pub(super) fn new(others: &[Other], session: &'a Session) -> Result<Self> {
        match trust::maker(others) {
            None => Ok(Self { session, careful: false }),
            Some(_) if session.superuser => Ok(Self { session, careful: true }),
            Some(other) => Err(trust::not_writable(other, session)),
        }
    }

    /// True if another role could change the ledger at any moment.
    pub fn is_careful(self) -> bool {
        self.careful
    }

    /// The statements that keep the ledger as it is until the transaction ends; none if no other role could change it. ALTER and DROP
    /// SCHEMA wait for the lock on its row. Everything that adds code to a table waits for the locks on tables: CREATE INDEX
    /// CONCURRENTLY, CREATE STATISTICS and children would not wait for a weaker one.
    pub fn hold(self) -> Option<String> {
        let tables: Vec<String> = TABLES.iter().map(|table| format!("ONLY setpoint.{}", table.name)).collect();
        self.careful.then(|| format!("{SCHEMA}; LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE", tables.join(", ")))
    }

    /// Takes these locks, and makes sure that what they keep is a ledger of ours. What the transaction itself did counts, too: a step may
    /// have run code of the ledger's owner. To be called in a transaction, right before it writes.
    ///
    /// # Errors
    /// `Refused` if it is not a ledger of ours any more; the server's.
    pub async fn seal(self) -> Result<()> {
        let Some(hold) = self.hold() else { return Ok(()) };
        if self.session.rows(SCHEMA, &[]).await?.len() != 1 {
            return Err(changed());
        }
        self.session.batch(&hold).await?;
        match trust::look(self.session).await?.layout {
            Some(_) => Ok(()),
            None => Err(changed()),
        }
    }

    /// Runs what writes in one transaction.
    pub(super) async fn transaction(self, write: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        self.session.batch("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let written = async {
            if self.careful {
                self.session.batch("SET LOCAL lock_timeout = 5000").await?;
                self.seal().await?;
            }
            write().await
        };
        match written.await {
            Ok(()) => self.session.batch("COMMIT").await,
            Err(error) => {
                let _ = self.session.batch("ROLLBACK").await; // the first error is the one to tell
                Err(error)
            }
        }
    }

    /// Runs one statement that writes; in a transaction of its own only where that is needed.
    pub(super) async fn execute(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<()> {
        self.once(async || execute(self.session, sql, params).await).await
    }

    /// The same for whatever sends one statement.
    pub(super) async fn once(self, write: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        if self.careful { self.transaction(write).await } else { write().await }
    }
}

/// Locks the row of our schema.
const SCHEMA: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'setpoint' FOR SHARE";

fn changed() -> Error {
    Error::refused("another role changed this database's ledger in the meantime; nothing was written to it")
        .remedy("see what is in schema setpoint now: `setpoint status`")
}
