//! What tests share: throwaway servers, a database per test, a project directory with the program to run in it.

#![allow(dead_code, reason = "a toolbox: which tools are in use changes with the tests")]

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use setpoint::catalog::{Connect, Session};
use setpoint::scratch::{self, Binaries, Server};

/// Runs a future to its end on a runtime of its own; also inside of another one.
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(future)
        };
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs a future that stays on this thread to its end; not inside of another one.
pub fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(future)
}

/// The major version that tests run on: `SETPOINT_TEST_MAJOR`, else the newest that is installed.
pub fn default_major() -> u32 {
    static MAJOR: OnceLock<u32> = OnceLock::new();
    *MAJOR.get_or_init(|| match std::env::var("SETPOINT_TEST_MAJOR") {
        Ok(text) => text.parse().expect("SETPOINT_TEST_MAJOR is a major version"),
        Err(_) => scratch::find(None).unwrap_or_else(|error| panic!("{error}")).major,
    })
}

/// All major versions from 13 on that are installed here, for tests that differ by version.
pub fn installed() -> Vec<Binaries> {
    (setpoint::catalog::OLDEST..=30).filter_map(|major| scratch::find(Some(major)).ok()).collect()
}

/// The shared server of the default version.
pub fn server() -> Arc<Server> {
    server_of(default_major())
}

/// The shared server of a major version. It is never dropped: it ends with the test process.
pub fn server_of(major: u32) -> Arc<Server> {
    type Slot = Arc<OnceLock<Arc<Server>>>;
    static SERVERS: OnceLock<Mutex<HashMap<u32, Slot>>> = OnceLock::new();
    let slot = Arc::clone(
        SERVERS.get_or_init(Mutex::default).lock().expect("no test panicked here").entry(major).or_default(),
    );
    Arc::clone(slot.get_or_init(|| {
        let binaries = scratch::find(Some(major)).unwrap_or_else(|error| panic!("{error}"));
        Arc::new(Server::start(&binaries).unwrap_or_else(|error| panic!("{error}")))
    }))
}

/// A database of its own for one test, dropped at its end.
pub struct TestDb {
    pub connect: Connect,
    server: Arc<Server>,
}

impl TestDb {
    /// An empty database on the default version.
    pub fn new() -> Self {
        Self::on(default_major())
    }

    /// An empty database on a major version.
    pub fn on(major: u32) -> Self {
        let server = server_of(major);
        let connect = block_on(server.fresh_database("test")).unwrap_or_else(|error| panic!("{error}"));
        Self { connect, server }
    }

    /// A database in which that SQL was run.
    pub fn with(sql: &str) -> Self {
        let db = Self::new();
        db.execute(sql);
        db
    }

    pub fn url(&self) -> String {
        self.connect.to_string()
    }

    /// Opens a session; it lives on the runtime that this is awaited on.
    pub async fn session(&self) -> Session {
        Session::open(&self.connect, "test").await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements as a person at psql would: with `public` in the search path.
    pub fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }

    /// As `execute`, with the error.
    pub fn try_execute(&self, sql: &str) -> setpoint::model::Result<()> {
        block_on(async {
            let session = Session::open(&self.connect, "test").await?;
            session.batch("SET search_path = public").await?;
            session.batch(sql).await?;
            session.close().await;
            Ok(())
        })
    }

    /// The rows of a query, each as text with `|` between columns, as `psql -At` prints them.
    pub fn query(&self, sql: &str) -> Vec<String> {
        block_on(async {
            let session = self.session().await;
            session.batch("SET search_path = public").await.unwrap_or_else(|error| panic!("{error}"));
            let messages = session
                .client
                .simple_query(sql)
                .await
                .unwrap_or_else(|error| panic!("{}\n{sql}", session.error(&error)));
            let rows = messages.iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).unwrap_or("")).collect::<Vec<_>>().join("|"))
                }
                _ => None,
            });
            rows.collect()
        })
    }

    /// The only value of a query.
    pub fn value(&self, sql: &str) -> String {
        match self.query(sql).as_slice() {
            [one] => one.clone(),
            other => panic!("one row expected, not {}: {sql}", other.len()),
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let dropped = block_on(self.server.drop_database(self.connect.database()));
        if let (Err(error), false) = (dropped, std::thread::panicking()) {
            panic!("{error}");
        }
    }
}

/// An empty directory, removed at the end.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("setpoint-test-{}-{number}", std::process::id()));
        // Another run with this process number may have been killed before it cleaned up.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A project directory and the program to run in it.
pub struct Sandbox {
    dir: TempDir,
    url: Option<String>,
    variables: Vec<(String, String)>,
}

/// What a run of the program did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// A directory with a project that manages `db`.
    pub fn new(db: &TestDb) -> Self {
        let sandbox = Self { dir: TempDir::new(), url: Some(db.url()), variables: Vec::new() };
        sandbox.write("setpoint.kdl", "");
        fs::create_dir_all(sandbox.path("schema")).expect("schema/ can be made");
        fs::create_dir_all(sandbox.path("plans")).expect("plans/ can be made");
        sandbox
    }

    /// An empty directory, and no database.
    pub fn empty() -> Self {
        Self { dir: TempDir::new(), url: None, variables: Vec::new() }
    }

    /// The same project, where plans are rehearsed before they are saved: other tests do not take the time for it.
    pub fn rehearsing(mut self) -> Self {
        self.set("SETPOINT_NO_REHEARSAL", "");
        self
    }

    /// Sets an environment variable for all runs that follow.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Uses another database from now on.
    pub fn point_to(&mut self, db: &TestDb) {
        self.url = Some(db.url());
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("the directory can be made");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG") || name.starts_with("DATABASE_")) {
            command.env_remove(name);
        }
        command.envs(self.url.iter().map(|url| ("DATABASE_URL", url))).env("NO_COLOR", "1");
        // Only tests that are about rehearsals take the time for them.
        command.env("SETPOINT_NO_REHEARSAL", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program, which must succeed; gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.exits(0, arguments).stdout
    }

    /// Runs the program, which must end with that code.
    pub fn exits(&self, code: i32, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(
            outcome.code,
            code,
            "setpoint {}\n--- stdout\n{}\n--- stderr\n{}",
            arguments.join(" "),
            outcome.stdout,
            outcome.stderr
        );
        outcome
    }
}

/// The program under test: the one that was built with the tests, or `SETPOINT_TEST_PROGRAM`, which shows what a test says of an
/// earlier build.
pub fn program() -> PathBuf {
    std::env::var_os("SETPOINT_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_setpoint").into(), PathBuf::from)
}

/// Says that a test, or a part of it, did nothing, past the harness, which shows what failing tests say alone; each once, with their number.
pub fn skipped(name: &str, why: &str) {
    static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut all = SKIPPED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let line = format!("skipped: {name} ({why})");
    if !all.contains(&line) {
        all.push(line.clone());
        let _ = writeln!(std::io::stderr().lock(), "\n{line}: {} so far", all.len());
    }
}

/// The repository's directory.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory whose names end so, sorted.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
