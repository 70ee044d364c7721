//! Throwaway servers and sessions: they start, settings are pinned, errors say what to do, and nothing is left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use setpoint::catalog::{Connect, Session};
use setpoint::scratch::Server;

use crate::support::{TestDb, block_on, default_major, installed, server};

#[test]
fn a_session_knows_where_it_is() {
    let db = TestDb::new();
    block_on(async {
        let session = db.session().await;
        assert_eq!(session.version.major(), default_major());
        assert_eq!(session.database, db.connect.database());
        assert_eq!(session.user, "postgres");
        assert!(session.superuser && !session.standby && !session.read_only && session.backend_pid > 0);
        let mut rows =
            session.rows("SELECT pg_backend_pid(), current_setting('application_name')", &[]).await.expect("answers");
        let row = rows.first_mut().expect("one row");
        assert_eq!(row.next::<i32>(), session.backend_pid);
        assert_eq!(&*row.text(), "setpoint test");
    });
}

#[test]
fn settings_are_pinned_against_the_database_and_the_role() {
    let db = TestDb::new();
    let name = db.connect.database();
    for setting in [
        "search_path = public",
        "\"TimeZone\" = 'Asia/Tokyo'",
        "\"DateStyle\" = 'German'",
        "\"IntervalStyle\" = iso_8601",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "extra_float_digits = 0",
        "bytea_output = escape",
        "transform_null_equals = on",
        "statement_timeout = '1h'",
        "idle_in_transaction_session_timeout = '1h'",
        "jit = on",
    ] {
        db.execute(&format!("ALTER DATABASE {name} SET {setting}"));
    }
    let shown = block_on(async {
        let session = db.session().await;
        let sql = "SELECT string_agg(current_setting(s), ' ' ORDER BY s COLLATE \"C\") FROM unnest(ARRAY['DateStyle', 'IntervalStyle', \
                   'TimeZone', 'bytea_output', 'extra_float_digits', 'idle_in_transaction_session_timeout', 'jit', 'lc_monetary', \
                   'quote_all_identifiers', 'search_path', 'standard_conforming_strings', 'statement_timeout', \
                   'transform_null_equals']) AS s";
        session.rows(sql, &[]).await.expect("answers").first_mut().expect("one row").text()
    });
    assert_eq!(&*shown, "ISO, MDY postgres UTC hex 1 0 off C off pg_catalog, pg_temp on 0 off");
}

#[test]
fn sessions_open_on_every_installed_version() {
    for binaries in installed() {
        let db = TestDb::on(binaries.major);
        assert_eq!(db.value("SELECT current_setting('server_version_num')::int / 10000"), binaries.major.to_string());
    }
}

#[test]
fn errors_of_connecting_say_what_to_do() {
    let open = |target: Connect| {
        block_on(async move { Session::open(&target, "test").await.err().expect("is refused").to_string() })
    };
    let missing = open(server().connect("no such"));
    assert!(missing.contains("\"no such\" does not exist") && missing.contains("CREATE DATABASE"), "{missing}");
    let refused = open(Connect::parse("postgresql://me:secret@127.0.0.1:1/d").expect("parses"));
    assert!(refused.contains("no server accepts connections at 127.0.0.1") && !refused.contains("secret"), "{refused}");
    let no_socket = open(Connect::socket(Path::new("/nonexistent"), 5432, "me", "d"));
    assert!(no_socket.contains("no server listens on a socket in /nonexistent"), "{no_socket}");
    let tls =
        open(Connect::parse("postgresql://me@127.0.0.1/d?sslmode=verify-full&sslrootcert=/none").expect("parses"));
    assert!(tls.contains("which authorities to trust"), "{tls}");
    let unresolved = open(Connect::parse("postgresql://me@no-such-host.invalid/d").expect("parses"));
    assert!(unresolved.contains("no-such-host.invalid cannot be resolved"), "{unresolved}");
}

#[test]
fn errors_of_statements_say_where() {
    let db = TestDb::new();
    let error = db.try_execute("SELECT 1;\nSELECT nothing").expect_err("is refused");
    assert_eq!(error.sqlstate.as_deref(), Some("42703"));
    assert!(error.to_string().contains("at line 2, column 8"), "{error}");
}

#[test]
fn a_session_that_the_server_ended_tells_why() {
    let db = TestDb::new();
    let error = block_on(async {
        let (victim, killer) = (db.session().await, db.session().await);
        killer.rows("SELECT pg_terminate_backend($1)", &[&victim.backend_pid]).await.expect("kills");
        loop {
            if let Err(error) = victim.batch("SELECT pg_sleep(0.01)").await {
                return error;
            }
        }
    });
    assert!(error.to_string().contains("administrator command"), "{error}");
}

#[test]
fn a_statement_can_be_cancelled() {
    let db = TestDb::new();
    let error = block_on(async {
        let session = db.session().await;
        let canceller = session.canceller();
        let (slept, ()) = tokio::join!(session.batch("SELECT pg_sleep(30)"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            canceller.cancel().await.expect("cancels");
        });
        slept.expect_err("was cancelled")
    });
    assert_eq!(error.sqlstate.as_deref(), Some("57014"));
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let own = Server::start(&server().binaries).unwrap_or_else(|error| panic!("{error}"));
    let target = own.connect("postgres");
    let directory = Path::new(&target.hosts()[0]).to_path_buf();
    assert!(directory.join("data").is_dir());
    let begin = Instant::now();
    drop(own);
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    assert!(!directory.exists());
    assert!(block_on(async move { Session::open(&target, "test").await.is_err() }));
}

/// The victim of the test below: shows where its server is, and waits to be killed.
#[test]
#[ignore = "run by a_killed_process_leaves_nothing_behind"]
fn holds_a_server() {
    let own = Server::start(&server().binaries).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("\nserver in {}", own.connect("postgres").hosts()[0]);
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    let program = std::env::current_exe().expect("a test knows its program");
    let mut victim = Command::new(program)
        .args(["server::holds_a_server", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(victim.stderr.take().expect("is piped")).lines();
    let line = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("server in ").map(str::to_owned));
    let directory = line.expect("the victim says where its server is");
    victim.kill().expect("can be killed");
    victim.wait().expect("ends");
    let begin = Instant::now();
    while Path::new(&directory).exists() {
        assert!(begin.elapsed() < Duration::from_secs(15), "{directory} is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}
