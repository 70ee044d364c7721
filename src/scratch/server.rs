//! A private server: one cluster, reached through a socket in its own directory, and removed when the value is dropped.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::catalog::account::Account;
use crate::catalog::{Connect, Session, interrupt};
use crate::model::{Ident, Result};
use crate::sql;

use super::folder::{self, Place};
use super::keeper::{Access, Keeper, random_name};
use super::process::{Process, cannot, run, server_account, write_for};
use super::{Binaries, Walls, sweep, template};

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
    keeper: Keeper,
    databases: AtomicU32,
    builders: OnceLock<[Ident; 2]>,
    process: Process,
}

impl Server {
    /// Makes a cluster and starts it: two to three seconds the first time, a fifth of that from then on. Everybody who reaches its
    /// socket is the superuser `postgres`: for databases in which no code by others runs.
    pub fn start(binaries: &Binaries) -> Result<Self> {
        Self::start_with(binaries, &[])
    }

    /// As `start`, with further settings.
    pub fn start_with(binaries: &Binaries, settings: &[(&str, &str)]) -> Result<Self> {
        sweep::sweep(server_account()?.as_ref());
        let begin = |kept| Self::begin(binaries, settings, (Access::Open, Walls::NONE), Place::Disk, kept);
        begin(true).or_else(|_| begin(false))
    }

    /// A server for what other people wrote: its superuser is known to nobody else, and it runs behind as many walls as this machine has.
    pub fn start_closed(binaries: &Binaries) -> Result<Self> {
        sweep::sweep(server_account()?.as_ref());
        let begin = |walls, place, kept| {
            // What is in memory stays small.
            let settings: &[_] = if place == Place::Memory { &[("max_wal_size", "128MB")] } else { &[] };
            Self::begin(binaries, settings, (Access::Closed, walls), place, kept)
        };
        // A kept cluster may be broken, and the walls too narrow for a server that was built in another way than most.
        begin(Walls::ALL, Place::roomy(), true)
            .or_else(|_| begin(Walls::ALL, Place::Disk, false))
            .or_else(|error| begin(Walls { network: true, files: false }, Place::Disk, true).map_err(|_| error))
            .or_else(|error| begin(Walls::NONE, Place::Disk, true).map_err(|_| error))
    }

    /// Makes or copies a cluster and starts it.
    fn begin(
        binaries: &Binaries,
        settings: &[(&str, &str)],
        (access, walls): (Access, Walls),
        place: Place,
        kept: bool,
    ) -> Result<Self> {
        // A start that failed because somebody asked to stop is not tried in another way.
        if interrupt::is_asked() {
            return Err(interrupt::error());
        }
        let account = server_account()?;
        let directory = folder::private(place)?;
        let begun = || {
            let data = directory.join("data");
            let copied = if kept { template::copy_to(&data, binaries, access, account.as_ref()) } else { None };
            // From here on it is the server's: nothing of ours follows a name in it any more.
            let given = template::give(&directory, account.as_ref());
            given.map_err(|error| cannot("give away", &directory, &error))?;
            let keeper = match copied {
                Some(keeper) => keeper,
                None => {
                    let keeper = Keeper::new(access)?;
                    initialise(binaries, &directory, &keeper, account.as_ref())?;
                    template::keep(&data, binaries, access, &keeper);
                    keeper
                }
            };
            let process = launch(binaries, &directory, settings, &keeper, account.as_ref(), walls)?;
            Ok((keeper, process))
        };
        // Until the watcher runs, nothing else would remove the directory.
        interrupt::undivided(|| match begun() {
            Ok((keeper, process)) => Ok((keeper, process)),
            Err(error) => {
                _ = std::fs::remove_dir_all(&directory);
                Err(error)
            }
        })
        .map(|(keeper, process)| {
            let (databases, builders) = (AtomicU32::new(0), OnceLock::new());
            Self { binaries: binaries.clone(), directory: directory.clone(), keeper, databases, builders, process }
        })
    }

    /// The restrictions on it.
    pub fn walls(&self) -> Walls {
        self.process.walls
    }

    /// How to reach a database of this server, as its superuser.
    pub fn connect(&self, database: &str) -> Connect {
        let connect = self.connect_as(&self.keeper.name, database);
        match &self.keeper.password {
            Some(password) => connect.with_password(password),
            None => connect,
        }
    }

    /// The superuser's name.
    pub(super) fn superuser(&self) -> &str {
        &self.keeper.name
    }

    /// Who builds in all of its databases, and who owns these: roles belong to the server, so that one that a database needs is one that
    /// the builder of the next may act as.
    ///
    /// # Errors
    /// If the machine gives no random names.
    pub(super) fn builders(&self) -> Result<[Ident; 2]> {
        if let Some(names) = self.builders.get() {
            return Ok(names.clone());
        }
        let names = [Ident::from(random_name("builder")?.as_str()), Ident::from(random_name("owner")?.as_str())];
        Ok(self.builders.get_or_init(|| names).clone())
    }

    /// Renames the building role to the role that it stands in for, before anything is built: what belongs to the role that runs a plan then
    /// belongs to a role of that name. Names that the server keeps for itself are not available.
    ///
    /// # Errors
    /// If the machine gives no random names.
    pub fn build_as(&self, role: &Ident) -> Result<()> {
        if !role.as_str().starts_with("pg_") && role.as_str() != self.keeper.name {
            let owner = Ident::from(random_name("owner")?.as_str());
            self.builders.get_or_init(|| [role.clone(), owner]);
        }
        Ok(())
    }

    /// The superuser's password, where one is asked for.
    pub(super) fn password(&self) -> Option<&str> {
        self.keeper.password.as_deref()
    }

    /// How to reach a database of this server as somebody else.
    pub(super) fn connect_as(&self, user: &str, database: &str) -> Connect {
        Connect::socket(&self.directory, PORT, user, database)
    }

    /// The same as a URL, without a password.
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
        self.create_database(&self.fresh_name(purpose)).await
    }

    /// A name for a database that this server has not seen.
    pub(super) fn fresh_name(&self, purpose: &str) -> String {
        format!("{purpose}_{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// Drops a database, even if it has connections.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let session = Session::open(&self.connect("postgres"), "scratch").await?;
        session.batch(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql::name(&Ident::from(name)))).await?;
        session.close().await;
        Ok(())
    }
}

fn initialise(binaries: &Binaries, directory: &Path, keeper: &Keeper, account: Option<&Account>) -> Result<()> {
    let secret = directory.join("secret");
    if let Some(password) = &keeper.password {
        write_for(&secret, password, account)?;
    }
    let attempt = |locale: &str| {
        let mut command = binaries.command("initdb");
        command.arg("-D").arg(directory.join("data")).args(["-U", &keeper.name, "-E", "UTF8", "--no-sync"]);
        command.arg(format!("--locale={locale}"));
        match &keeper.password {
            Some(_) => command.args(["-A", "scram-sha-256"]).arg("--pwfile").arg(&secret),
            None => command.args(["-A", "trust"]),
        };
        run(command, directory, account)
    };
    // C.UTF-8 knows the letters of all languages, but not every system has it; C always works.
    let made = attempt("C.UTF-8").or_else(|_| attempt("C"));
    _ = std::fs::remove_file(&secret);
    made
}

fn launch(
    binaries: &Binaries,
    directory: &Path,
    settings: &[(&str, &str)],
    keeper: &Keeper,
    account: Option<&Account>,
    walls: Walls,
) -> Result<Process> {
    let mut arguments = vec!["-D".to_owned(), directory.join("data").display().to_string()];
    let mut own = vec![
        ("unix_socket_directories".to_owned(), directory.display().to_string()),
        ("port".to_owned(), PORT.to_string()),
    ];
    if let Some(rules) = keeper.rules() {
        let file = directory.join("access");
        write_for(&file, &rules, account)?;
        own.push(("hba_file".to_owned(), file.display().to_string()));
        // Shared memory has a folder of the machine's own, which is closed to it.
        own.push(("dynamic_shared_memory_type".to_owned(), "mmap".to_owned()));
    }
    let fixed = SETTINGS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    for (name, value) in own.into_iter().chain(fixed) {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    let mut process = Process::start(binaries, directory, &arguments, account, walls)?;
    process.wait_ready(START_TIMEOUT)?;
    Ok(process)
}
