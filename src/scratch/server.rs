//! A private server: one cluster, reached through a socket in its own directory, gone when the value is dropped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::catalog::account::Account;
use crate::catalog::{Connect, Session};
use crate::model::{Ident, Result};
use crate::sql;

use super::process::{Process, private_directory, run, server_account};
use super::{Binaries, sweep, template};

/// The superuser of a throwaway server.
const SUPERUSER: &str = "postgres";
/// The port only names the socket, and the socket's directory is private.
const PORT: u16 = 5432;
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Speed over durability (nothing here is worth keeping), room for schemas with many thousands of objects, and no
/// background work that makes runs differ.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "logical"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "1d"),
    ("autovacuum", "off"),
    ("max_connections", "100"),
    ("max_locks_per_transaction", "1024"),
    ("shared_buffers", "64MB"),
    ("huge_pages", "off"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("logging_collector", "off"),
    ("log_min_messages", "warning"),
];

/// A throwaway server.
#[derive(Debug)]
pub struct Server {
    /// The programs that it runs.
    pub binaries: Binaries,
    directory: PathBuf,
    databases: AtomicU32,
    // A server that outlives its process, kept in the user's cache, has none of its own.
    _process: Option<Process>,
}

impl Server {
    /// Makes a cluster and starts it: two to three seconds the first time, a fifth of that from then on.
    pub fn start(binaries: &Binaries) -> Result<Self> {
        Self::start_with(binaries, &[])
    }

    /// As `start`, with further settings.
    pub fn start_with(binaries: &Binaries, settings: &[(&str, &str)]) -> Result<Self> {
        let account = server_account()?;
        sweep::sweep(account.as_ref());
        let directory = private_directory(account.as_ref())?;
        let fresh = || {
            initialise(binaries, &directory, account.as_ref())?;
            template::keep(&directory.join("data"), binaries);
            launch(binaries, &directory, settings, account.as_ref())
        };
        let started = if template::copy_to(&directory.join("data"), binaries, account.as_ref()) {
            launch(binaries, &directory, settings, account.as_ref()).or_else(|_| {
                template::forget(binaries);
                _ = std::fs::remove_dir_all(directory.join("data"));
                fresh()
            })
        } else {
            fresh()
        };
        match started {
            Ok(process) => Ok(Self {
                binaries: binaries.clone(),
                directory,
                databases: AtomicU32::new(0),
                _process: Some(process),
            }),
            Err(error) => {
                _ = std::fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// How to reach a database of this server, as its superuser.
    pub fn connect(&self, database: &str) -> Connect {
        Connect::socket(&self.directory, PORT, SUPERUSER, database)
    }

    /// The same as a URL.
    pub fn url(&self, database: &str) -> String {
        self.connect(database).to_string()
    }

    /// Creates an empty database: a copy of `template0`.
    pub async fn create_database(&self, name: &str) -> Result<Connect> {
        let session = Session::open(&self.connect("postgres"), "scratch").await?;
        session.batch(&format!("CREATE DATABASE {} TEMPLATE template0", sql::name(&Ident::from(name)))).await?;
        session.close().await;
        Ok(self.connect(name))
    }

    /// Creates an empty database with a name that this server has not seen.
    pub async fn fresh_database(&self, purpose: &str) -> Result<Connect> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        self.create_database(&format!("{purpose}_{number}")).await
    }

    /// Drops a database, whoever is connected to it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let session = Session::open(&self.connect("postgres"), "scratch").await?;
        session.batch(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql::name(&Ident::from(name)))).await?;
        session.close().await;
        Ok(())
    }
}

fn initialise(binaries: &Binaries, directory: &Path, account: Option<&Account>) -> Result<()> {
    let attempt = |locale: &str| {
        let mut command = binaries.command("initdb");
        command.arg("-D").arg(directory.join("data")).args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"]);
        run(
            {
                command.arg(format!("--locale={locale}"));
                command
            },
            directory,
            account,
        )
    };
    // C.UTF-8 knows the letters of all languages, but not every system has it; C always works.
    attempt("C.UTF-8").or_else(|_| attempt("C"))
}

fn launch(
    binaries: &Binaries,
    directory: &Path,
    settings: &[(&str, &str)],
    account: Option<&Account>,
) -> Result<Process> {
    let mut arguments = vec!["-D".to_owned(), directory.join("data").display().to_string()];
    let own = [
        ("unix_socket_directories".to_owned(), directory.display().to_string()),
        ("port".to_owned(), PORT.to_string()),
    ];
    let fixed = SETTINGS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    for (name, value) in own.into_iter().chain(fixed) {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    let mut process = Process::start(binaries, directory, &arguments, account)?;
    process.wait_ready(START_TIMEOUT)?;
    Ok(process)
}
