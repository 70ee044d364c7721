//! The steps of a transaction are judged again while it runs: what an earlier step ran, or another session did meanwhile, may have put code
//! of others where a later step runs it.

use std::time::Duration;

use super::lent_rights::{Boss, Scene};
use crate::teams::says;

/// Mallory's check, which the first step runs as her, makes something: once it is armed.
fn plants(what: &str) -> String {
    format!(
        "CREATE TABLE m.first (id int); INSERT INTO m.first VALUES (1); CREATE FUNCTION m.plant(i int) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN \
         IF EXISTS (SELECT FROM m.armed) THEN EXECUTE $p${what}$p$; END IF; RETURN true; END $f$;"
    )
}

const PLANTS: (&str, &str) =
    ("schema/m/tables/first.kdl", r#"schema m { table first { column id integer; check c "m.plant(id)"; } }"#);

#[test]
fn what_a_step_plants_runs_as_nobody_else_in_the_next() {
    let tables = "CREATE TABLE m.k (id int PRIMARY KEY, x int); CREATE TABLE m.z (id int, kid int); \
        INSERT INTO m.k VALUES (1, 1); INSERT INTO m.z VALUES (1, 1);";
    let refers = "schema m { table z { column id integer; column kid integer { references k id; }; } }";
    for boss in [Boss::Superuser, Boss::Member] {
        let index = "CREATE INDEX IF NOT EXISTS extra ON m.k (x) WHERE m.always('planted')";
        let scene = Scene::new(boss, &format!("{tables} {}", plants(index)));
        scene.plan(&[PLANTS, ("schema/m/tables/z.kdl", refers)]);
        scene.runs(&["apply"]);
        assert_eq!(scene.ran(), ["planted"]);
        scene.runs(&["rollback", "-1"]);
        let _ = scene.ran();
        assert_eq!(scene.db.query("TABLE m.z"), ["1|1"]);
    }
}

#[test]
fn a_name_that_a_step_captures_is_refused_in_the_next() {
    let lower = "CREATE OR REPLACE FUNCTION m.lower(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'";
    let own = "RESET ROLE; CREATE TABLE m.later (a varchar(20)); INSERT INTO m.later VALUES ('a');";
    let table = r#"schema m { table later { owner "OWNER"; column a "varchar(20)"; check low "lower(a) = a"; } }"#;
    let view = r#"schema m { view v { sql "SELECT lower(a) AS l FROM m.later"; } }"#;
    for (path, text) in [("schema/m/tables/later.kdl", table), ("schema/m/v.kdl", view)] {
        let scene = Scene::new(Boss::Superuser, &format!("{} {own}", plants(lower)));
        scene.plan(&[PLANTS, (path, &text.replace("OWNER", scene.db.connect.user()))]);
        let outcome = scene.run(&["apply"], "");
        assert_eq!(outcome.code, 3, "{}{}", outcome.stdout, outcome.stderr);
        says(&outcome, &["`lower` may mean function m.lower(character varying) of", &scene.mallory]);
        scene.db.execute("TRUNCATE m.armed; DROP FUNCTION IF EXISTS m.lower(varchar)");
        scene.runs(&["apply"]);
        scene.runs(&["rollback", "-1"]);
        assert_eq!(scene.db.query("TABLE m.later"), ["a"]);
    }
}

/// The first step takes its time, until something is in `go`; meanwhile another session makes what the next would run.
#[test]
fn what_another_session_plants_meanwhile_is_asked_for() {
    let made = "CREATE DOMAIN m.d AS int; RESET ROLE; CREATE TABLE m.later (id int); INSERT INTO m.later VALUES (1); CREATE TABLE m.go (); \
        CREATE FUNCTION m.slow() RETURNS int LANGUAGE plpgsql AS 'BEGIN FOR i IN 1..600 LOOP EXIT WHEN EXISTS (SELECT FROM m.go); \
        PERFORM pg_sleep(0.05); END LOOP; RETURN 1; END'";
    let scene = Scene::new(Boss::Superuser, made);
    scene.sandbox.write(
        "schema/m/tables/later.kdl",
        &r#"schema m { table later { owner "OWNER"; column id integer; column a integer default="m.slow()"; column d "d[]" default="'{1}'::m.d[]"; } }"#.replace("OWNER", scene.db.connect.user()),
    );
    scene.sandbox.ok(&["plan", "--save", "next", "--no-rehearsal"]);
    scene.db.execute("INSERT INTO m.armed VALUES (true)");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| scene.run(&["apply"], ""));
        let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'm.later'::regclass AND mode = 'AccessExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while scene.db.value(waits) == "0" {
            assert!(!run.is_finished(), "it does not wait");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        scene.db.execute(&format!(
            "TRUNCATE m.armed; SET ROLE {}; ALTER DOMAIN m.d ADD CONSTRAINT c CHECK (m.always('domain')); RESET ROLE; \
             INSERT INTO m.armed VALUES (true); INSERT INTO m.go DEFAULT VALUES",
            scene.mallory
        ));
        let outcome = run.join().expect("it ends");
        assert_eq!(outcome.code, 3, "{}{}", outcome.stdout, outcome.stderr);
        says(&outcome, &["step 2 of 2", "runs-as-you", "m.always(text)"]);
    });
    assert!(scene.ran().is_empty());
    assert_eq!(
        scene.db.query("SELECT attname FROM pg_attribute WHERE attrelid = 'm.later'::regclass AND attnum > 0"),
        ["id"]
    );
}
