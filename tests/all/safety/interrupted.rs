//! Ctrl-C and SIGTERM: what runs on the server is cancelled, the command says where things stand, and the next one resumes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Sandbox, TestDb, program};

/// Starts the program without waiting for it.
fn start(sandbox: &Sandbox, db: &TestDb, arguments: &[&str]) -> Child {
    Command::new(program())
        .args(arguments)
        .current_dir(sandbox.path("."))
        .env("DATABASE_URL", db.url())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// How many statements of the tool sleep on the server.
fn sleeping(db: &TestDb) -> usize {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    db.query(query).len()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("there is kill");
    assert!(sent.success());
}

/// A project with a plan of two transactions, the second of which sleeps on the server for a minute.
fn bench() -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let table = |name: &str, more: &str| format!("table {name} {{\n    column id int\n{more}}}\n");
    sandbox.write("schema/a.kdl", &[table("a", ""), table("b", "")].concat());
    sandbox.ok(&["push", "--auto-approve"]);
    db.execute("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
    let more = "    column more text\n";
    sandbox.write("schema/a.kdl", &[table("a", more), table("b", more)].concat());
    sandbox.ok(&["plan", "--save", "more"]);
    db.execute(
        "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE 'public.b%') \
         THEN PERFORM pg_sleep(60); END IF; END $$; \
         CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION slow()",
    );
    (db, sandbox)
}

fn stopped(name: &str) {
    let (db, sandbox) = bench();
    let child = start(&sandbox, &db, &["apply", "--auto-approve", "--allow", "all"]);
    until("it never got to the step that sleeps", || sleeping(&db) > 0);
    signal(&child, name);
    let begun = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert!(begun.elapsed() < Duration::from_secs(20), "it went on for {:?}", begun.elapsed());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(sleeping(&db), 0, "the statement goes on:\n{stderr}");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("1 of the 2 statements"), "{stderr}");
    assert!(stderr.contains("`setpoint apply --to 2` continues"), "{stderr}");
    assert!(stderr.contains("`setpoint rollback --to 1` rolls it back"), "{stderr}");
    db.execute("DROP EVENT TRIGGER slow; DROP FUNCTION slow()");
    sandbox.ok(&["apply", "--to", "2", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
    assert_eq!(db.query("SELECT a.id, b.id, a.more, b.more FROM a, b"), ["1|1||"]);
}

#[test]
fn ctrl_c_stops_the_statement_on_the_server() {
    stopped("-INT");
}

#[test]
fn sigterm_stops_the_statement_on_the_server() {
    stopped("-TERM");
}

#[test]
fn ctrl_c_while_waiting_for_another_setpoint() {
    let (db, sandbox) = bench();
    let first = start(&sandbox, &db, &["apply", "--auto-approve", "--allow", "all"]);
    until("it never got to the step that sleeps", || sleeping(&db) > 0);
    let second = start(&sandbox, &db, &["apply", "--auto-approve", "--allow", "all", "--wait", "60s"]);
    until("it never waited", || {
        db.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'setpoint apply' AND datname = current_database()").len() > 1
    });
    signal(&second, "-INT");
    let output = second.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sleeping(&db), 1, "the other one goes on");
    signal(&first, "-INT");
    assert_eq!(first.wait_with_output().expect("it ends").status.code(), Some(130));
}
