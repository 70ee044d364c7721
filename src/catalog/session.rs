//! An open connection with every setting pinned that changes what SQL means or how the catalog is shown.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_postgres::config::Config;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage, SimpleQueryRow, Socket};

use crate::model::{Error, Result};

use super::connect::SslMode;
use super::failure::{connect_error, server_error, statement_error};
use super::{Connect, Row, Version};

/// The oldest major version that is served.
pub const OLDEST: u32 = 13;

/// What every session sets, whatever the server, the database or the role have set. Those that a server does not know
/// are skipped.
const PINNED: &[(&str, &str)] = &[
    ("search_path", "pg_catalog"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "warning"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("escape_string_warning", "off"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_tablespace", ""),
    ("temp_tablespaces", ""),
    ("default_table_access_method", "heap"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("check_function_bodies", "off"),
    ("row_security", "on"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("statement_timeout", "0"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// An open connection.
pub struct Session {
    /// The driver's client, for what the methods here do not offer. It sends without waiting: futures run together are
    /// pipelined.
    pub client: Client,
    /// The server's version.
    pub version: Version,
    /// The server process of this connection.
    pub backend_pid: i32,
    /// The database's name.
    pub database: String,
    /// The name of the user whose rights apply.
    pub user: String,
    /// True if that user is a superuser.
    pub superuser: bool,
    /// True if the server is a standby: nothing can be written, not even temporary tables.
    pub standby: bool,
    /// True if transactions are read-only unless they say otherwise.
    pub read_only: bool,
    target: Connect,
    last_words: LastWords,
    task: JoinHandle<()>,
}

/// Why the connection ended: its task hears the server's reason, the client only that it is over.
type LastWords = Arc<Mutex<Option<Error>>>;

impl Session {
    /// Connects for a purpose, which the server shows as `setpoint PURPOSE`.
    pub async fn open(target: &Connect, purpose: &str) -> Result<Self> {
        let last_words = LastWords::default();
        let mut config = target.config().clone();
        config.application_name(format!("setpoint {purpose}"));
        let (client, task) = connect(&config, target, &last_words).await?;
        let facts = client.simple_query(&greeting()).await.map_err(|error| connect_error(&error, target))?;
        let row = facts
            .iter()
            .rev()
            .find_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None })
            .ok_or_else(|| {
                Error::failed("the server did not answer the first question").detail(format!("connected to {target}"))
            })?;
        let version = Version(text(row, 0).parse().unwrap_or(0));
        if !version.at_least(OLDEST) {
            return Err(Error::failed(format!("the server runs PostgreSQL {version}, which is too old"))
                .detail(format!("connected to {target}"))
                .remedy(format!("upgrade it to PostgreSQL {OLDEST} or newer")));
        }
        Ok(Self {
            client,
            version,
            backend_pid: text(row, 1).parse().unwrap_or(0),
            database: text(row, 2).to_owned(),
            user: text(row, 3).to_owned(),
            superuser: text(row, 4) == "on",
            standby: text(row, 5) == "t",
            read_only: text(row, 6) == "on",
            target: target.clone(),
            last_words,
            task,
        })
    }

    /// Another connection to the same database.
    pub async fn another(&self, purpose: &str) -> Result<Self> {
        Self::open(&self.target, purpose).await
    }

    /// What this is connected to.
    pub fn target(&self) -> &Connect {
        &self.target
    }

    /// Runs statements without parameters and without results, in one round trip.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| self.error_in(&error, sql))
    }

    /// Runs a query.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        // Without parameters there is no type to ask for: one round trip instead of two.
        let rows = if params.is_empty() {
            self.client.query_typed(sql, &[]).await
        } else {
            self.client.query(sql, params).await
        };
        Ok(rows.map_err(|error| self.error_in(&error, sql))?.into_iter().map(Row::new).collect())
    }

    /// Runs a statement and returns the number of rows it touched.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.client.execute(sql, params).await.map_err(|error| self.error_in(&error, sql))
    }

    /// The error of a call on `client` in our terms; knows why the connection ended, if it did.
    pub fn error(&self, error: &tokio_postgres::Error) -> Error {
        let reason = error.is_closed().then(|| self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone());
        reason.flatten().unwrap_or_else(|| server_error(error))
    }

    fn error_in(&self, error: &tokio_postgres::Error, sql: &str) -> Error {
        if error.is_closed() { self.error(error) } else { statement_error(error, sql) }
    }

    /// A handle that cancels what this session runs, from elsewhere.
    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.client.cancel_token() }
    }

    /// Ends the connection and waits until it is closed on this side.
    pub async fn close(self) {
        let Self { client, task, .. } = self;
        drop(client);
        // The task only fails if it was aborted, and then the connection is closed too.
        _ = task.await;
    }
}

/// Cancels a session's running statement.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
}

impl Canceller {
    /// Asks the server to cancel; the statement then fails with SQLSTATE 57014.
    pub async fn cancel(&self) -> Result<()> {
        self.token.cancel_query(NoTls).await.map_err(|error| server_error(&error))
    }
}

/// The only place where connections are made, and where TLS is chosen.
async fn connect(config: &Config, target: &Connect, last_words: &LastWords) -> Result<(Client, JoinHandle<()>)> {
    match target.ssl_mode() {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => {
            let mut config = config.clone();
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            dial(&config, NoTls, target, last_words).await
        }
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            Err(Error::config("the connection must use TLS (sslmode), which this version cannot speak yet")
                .detail(format!("connecting to {target}"))
                .remedy("connect over a local socket or through a tunnel with sslmode=disable"))
        }
    }
}

async fn dial<T>(config: &Config, tls: T, target: &Connect, last_words: &LastWords) -> Result<(Client, JoinHandle<()>)>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await.map_err(|error| connect_error(&error, target))?;
    let last_words = Arc::clone(last_words);
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            last_words.lock().unwrap_or_else(PoisonError::into_inner).replace(server_error(&error));
        }
    });
    Ok((client, task))
}

/// Pins the settings and asks for the facts in one message.
fn greeting() -> String {
    let settings: Vec<String> = PINNED.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {}) AS pinned (name, value) \
         WHERE pg_catalog.current_setting(name, true) IS NOT NULL; \
         SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_backend_pid(), \
         pg_catalog.current_database(), CURRENT_USER, pg_catalog.current_setting('is_superuser'), \
         pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only')",
        settings.join(", ")
    )
}

fn text(row: &SimpleQueryRow, column: usize) -> &str {
    row.try_get(column).ok().flatten().unwrap_or_default()
}
