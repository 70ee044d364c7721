//! A city-services backend: the same database under two names, plans by hand, reviews, and several instances that start at once.

use std::thread;

use setpoint::scratch::Server;

use super::{by_hand, says, write_steps};
use crate::support::{Outcome, Sandbox, TempDir, TestDb, block_on, server};

const PLACES: &str =
    "table places {\n    column id bigint identity=always\n    column name text not-null\n    primary-key id\n}\n";

fn project(db: &TestDb) -> Sandbox {
    let sandbox = Sandbox::new(db).rehearsing();
    sandbox.write("schema/places.kdl", PLACES);
    sandbox.ok(&["plan", "--save", "places"]);
    sandbox
}

#[test]
fn urls_with_a_driver_are_understood() {
    let db = TestDb::new();
    let mut sandbox = project(&db);
    for driver in ["psycopg", "psycopg2", "asyncpg"] {
        let url = db.url().replacen("postgresql://", &format!("postgresql+{driver}://"), 1);
        assert_ne!(url, db.url());
        sandbox.set("DATABASE_URL", &url);
        says(&sandbox.exits(0, &["status"]), &[db.connect.database(), "1 places"]);
    }
    // Their template's default is a file of SQLite.
    sandbox.set("DATABASE_URL", "sqlite:///./app.db");
    says(
        &sandbox.exits(78, &["status"]),
        &["sqlite", "not the address of a PostgreSQL database", "postgresql://USER@"],
    );
}

#[test]
fn a_host_name_of_containers_is_used_outside() {
    let db = TestDb::new();
    let mut sandbox = project(&db);
    sandbox.set("DATABASE_URL", "postgresql+psycopg://admin:password@no-such-host.invalid:5432/townpass_db");
    for command in [&["status"][..], &["plan"], &["apply", "--auto-approve"], &["history"]] {
        let outcome = sandbox.exits(1, command);
        says(&outcome, &["no-such-host.invalid", "cannot be resolved", "townpass_db", "help:"]);
        assert!(!outcome.stderr.contains(":password"), "{}", outcome.stderr);
    }
    // What is reviewed needs no database.
    sandbox.ok(&["check"]);
    says(&sandbox.exits(0, &["show", "1", "--sql"]), &["CREATE TABLE public.places"]);
}

#[test]
fn a_password_of_an_older_volume_is_refused() {
    let dir = TempDir::new();
    let rules = dir.path().join("pg_hba.conf");
    std::fs::write(&rules, "local all postgres trust\nlocal all all scram-sha-256\n").expect("can be written");
    let file = rules.display().to_string();
    let own = Server::start_with(&server().binaries, &[("hba_file", file.as_str())]).unwrap_or_else(|e| panic!("{e}"));
    let connect = block_on(own.fresh_database("town")).unwrap_or_else(|error| panic!("{error}"));
    block_on(async {
        let session = setpoint::catalog::Session::open(&connect, "test").await.expect("connects");
        let sql = "SET password_encryption = 'scram-sha-256'; CREATE ROLE admin LOGIN SUPERUSER PASSWORD 'the-old-one'";
        session.batch(sql).await.expect("makes a role");
    });
    let mut sandbox = Sandbox::empty().rehearsing();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/places.kdl", PLACES);
    let url = |password: &str| {
        let (host, name) = (&connect.hosts()[0], connect.database());
        format!("postgresql+psycopg://admin:{password}@/{name}?host={host}")
    };
    sandbox.set("DATABASE_URL", &url("the-new-one"));
    for command in [&["status"][..], &["plan"], &["push", "--auto-approve"]] {
        let outcome = sandbox.exits(1, command);
        says(&outcome, &["password authentication failed", "admin", "check the password", "DATABASE_URL"]);
        assert!(!outcome.stderr.contains("the-new-one"), "{}", outcome.stderr);
    }
    sandbox.set("DATABASE_URL", &url("the-old-one"));
    let outcome = sandbox.exits(0, &["push", "places", "--auto-approve"]);
    assert!(!outcome.stderr.contains("the-old-one"), "{}", outcome.stderr);
    let files = crate::support::files(&sandbox.path("."), "");
    assert!(files.iter().all(|file| !std::fs::read_to_string(file).is_ok_and(|text| text.contains("the-old-one"))));
}

#[test]
fn plans_are_written_by_hand_reviewed_and_taken_back() {
    let db = TestDb::new();
    let sandbox = project(&db);
    sandbox.ok(&["apply", "--auto-approve"]);
    db.execute("INSERT INTO places (name) VALUES ('  Library '), ('Park')");
    says(&sandbox.exits(0, &["plan", "--save", "trim-names", "--empty"]), &["0002-trim-names.kdl", "setpoint seal 2"]);
    let back = "UPDATE public.places p SET name = k.name FROM public.places_before k WHERE k.id = p.id; DROP TABLE public.places_before";
    let there = "CREATE TABLE public.places_before AS SELECT id, name FROM public.places; UPDATE public.places SET name = btrim(name)";
    write_steps(&sandbox, "plans/0002-trim-names.kdl", &by_hand(there, back));
    says(&sandbox.exits(4, &["check"]), &["was changed after it was made", "setpoint seal 2"]);
    sandbox.ok(&["seal", "2"]);
    sandbox.ok(&["check"]);
    says(&sandbox.exits(0, &["show", "2"]), &["edited by hand and sealed", "btrim", "back:"]);
    says(&sandbox.exits(0, &["show", "2", "--sql"]), &["BEGIN;", "btrim", "COMMIT;"]);
    says(&sandbox.exits(3, &["apply", "--auto-approve"]), &["overwrites values in table public.places"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "data-loss,may-fail-on-data"]);
    assert_eq!(db.value("SELECT string_agg(name, '|' ORDER BY id) FROM places"), "Library|Park");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT string_agg(name, '|' ORDER BY id) FROM places"), "  Library |Park");
}

#[test]
fn of_several_instances_that_start_at_once_one_does_the_work() {
    let db = TestDb::new();
    let sandbox = project(&db);
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--save", "slow", "--empty"]);
    write_steps(&sandbox, "plans/0002-slow.kdl", &by_hand("SELECT pg_catalog.pg_sleep(1.5)", "SELECT 1"));
    sandbox.ok(&["seal", "2"]);
    let sandbox = &sandbox;
    let start = |count: usize, wait: &'static str| -> Vec<Outcome> {
        thread::scope(|scope| {
            let one = move || sandbox.run(&["apply", "--auto-approve", "--wait", wait, "--allow", "unread-sql"]);
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    };
    let outcomes = start(4, "60s");
    let count = |word: &str| outcomes.iter().filter(|o| o.code == 0 && o.stderr.contains(word)).count();
    assert_eq!((count("applied plan 2"), count("nothing is pending")), (1, 3), "{outcomes:#?}");
    assert_eq!(db.value("SELECT count(*) FROM setpoint.event WHERE number = 2"), "1");

    // Who does not wait is told who is at work.
    sandbox.ok(&["rollback", "-1", "--auto-approve"]);
    let outcomes = start(3, "0");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.code == 0).count(), 1, "{outcomes:#?}");
    for busy in outcomes.iter().filter(|outcome| outcome.code != 0) {
        assert_eq!(busy.code, 5, "{busy:?}");
        says(busy, &["another setpoint is at work", "setpoint apply", "--wait"]);
    }
    let history = sandbox.exits(0, &["history", "--verbose"]);
    says(&history, &["places", "slow", "applied", "rolled back", "postgres", env!("CARGO_PKG_VERSION")]);
    assert_eq!(history.stdout.matches("slow").count(), 3, "{}", history.stdout);
}
