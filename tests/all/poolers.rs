//! `PgBouncer` between us and the server. Without it these tests are ignored, and say so: `scripts/setup.sh` installs it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use setpoint::catalog::account;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::shown::shown;
use crate::support::{Sandbox, TempDir, TestDb, block_on};
use crate::tls_server::{free_port, give_away};

/// A pooler in front of a test database's server, ended when dropped.
struct Pooler {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Pooler {
    fn start(db: &TestDb, mode: &str, more: &str) -> Self {
        let dir = TempDir::new();
        let port = free_port();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("users"), "\"postgres\" \"\"\n").expect("can be written");
        let socket = &db.connect.hosts()[0];
        let text = format!(
            "[databases]\n* = host={socket} port=5432 user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n{more}\n",
            file("users").display()
        );
        fs::write(file("pgbouncer.ini"), text).expect("can be written");
        let mut command = Command::new(option_env!("SETPOINT_TEST_PGBOUNCER").unwrap_or("pgbouncer"));
        if account::current_uid() == Some(0) {
            let user = account::named("postgres").or_else(|| account::named("nobody")).expect("there is one");
            for name in ["users", "pgbouncer.ini"] {
                give_away(&file(name));
            }
            command.uid(user.uid).gid(user.gid);
        }
        let child = command
            .arg("-q")
            .arg(file("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer starts");
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, _dir: dir }
    }

    /// A project that goes through it.
    fn project(&self, db: &TestDb) -> Sandbox {
        let mut sandbox = Sandbox::new(db);
        let url = format!("postgresql://postgres@127.0.0.1:{}/{}", self.port, db.connect.database());
        sandbox.set("DATABASE_URL", &url);
        sandbox
    }

    fn says(&self, sandbox: &Sandbox, db: &TestDb, arguments: &[&str]) -> String {
        shown(sandbox, Some(db), &sandbox.run(arguments)).replace(&self.port.to_string(), "PORT")
    }

    /// What another client finds, who changed nothing.
    fn search_path(&self, db: &TestDb) -> String {
        block_on(async {
            let text = format!("host=127.0.0.1 port={} user=postgres dbname={}", self.port, db.connect.database());
            let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
            tokio::spawn(connection);
            let messages = client.simple_query("SHOW search_path").await.expect("answers");
            let path = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            path.expect("one row")
        })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[cfg_attr(not(has_pgbouncer), ignore = "PgBouncer is not installed: run scripts/setup.sh")]
fn transaction_mode_is_refused_before_anything_is_set() {
    let db = TestDb::new();
    // The second one takes options in silence, and forgets them.
    for more in ["", "ignore_startup_parameters = options"] {
        let pooler = Pooler::start(&db, "transaction", more);
        let mut sandbox = pooler.project(&db);
        sandbox.write("schema/all.kdl", "table notes {\n    column body text\n}\n");
        assert_snapshot!("transaction_mode", pooler.says(&sandbox, &db, &["plan"]));
        for command in [&["push", "--auto-approve"][..], &["status"], &["drift"], &["pull"]] {
            assert!(sandbox.exits(3, command).stderr.contains("transaction mode"), "{command:?}");
        }
        sandbox.set("DATABASE_URL_DIRECT", &db.url());
        assert_snapshot!("transaction_mode_and_direct", pooler.says(&sandbox, &db, &["plan"]));
        // As it says.
        sandbox.write("setpoint.kdl", "env direct url-from=\"DATABASE_URL_DIRECT\"\n");
        sandbox.ok(&["--env", "direct", "plan"]);
        // Whoever gets that server connection next finds it as it was.
        assert_eq!(pooler.search_path(&db), "\"$user\", public");
    }
}

#[test]
#[cfg_attr(not(has_pgbouncer), ignore = "PgBouncer is not installed: run scripts/setup.sh")]
fn session_mode_works() {
    let db = TestDb::new();
    for more in ["", "ignore_startup_parameters = options"] {
        let pooler = Pooler::start(&db, "session", more);
        let sandbox = pooler.project(&db);
        sandbox.write("schema/all.kdl", "table notes {\n    column body text\n}\n");
        sandbox.ok(&["push", "--auto-approve"]);
        assert_eq!(db.value("SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "1");
        sandbox.exits(0, &["plan", "--exit-code"]);
        sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        assert_eq!(db.value("SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    }
}

#[test]
#[cfg_attr(not(has_pgbouncer), ignore = "PgBouncer is not installed: run scripts/setup.sh")]
fn what_a_pooler_does_not_take_or_have() {
    let db = TestDb::new();
    let pooler = Pooler::start(&db, "session", "");
    let mut sandbox = pooler.project(&db);
    sandbox.set("PGOPTIONS", "-c role=postgres");
    assert_snapshot!("pooler_takes_no_options", pooler.says(&sandbox, &db, &["plan"]));
    sandbox.set("PGOPTIONS", "");
    let url = format!("postgresql://postgres@127.0.0.1:{}/nowhere", pooler.port);
    sandbox.set("DATABASE_URL", &url);
    assert_snapshot!("pooler_without_database", pooler.says(&sandbox, &db, &["plan"]));
    let pooler = Pooler::start(&db, "session", "default_pool_size = 1\nquery_wait_timeout = 60");
    let sandbox = pooler.project(&db);
    let outcome = sandbox.exits(3, &["plan"]);
    assert!(outcome.stderr.contains("does not provide two sessions at once"), "{}", outcome.stderr);
}
