//! Code of others that no step names: what the planner folds, casts, validators of foreign-data wrappers, and functions of PostgreSQL, of a
//! superuser or of an extension that do harm to whoever calls them.

use super::lent_rights::{Boss, Scene};
use crate::support::default_major;
use crate::teams::says;

/// Refused until `runs-as-you` is allowed, with these words; nothing ran.
fn asks(scene: &Scene, command: &[&str], words: &[&str]) {
    let outcome = scene.run(command, "");
    assert_eq!(outcome.code, 3, "{}{}", outcome.stdout, outcome.stderr);
    says(&outcome, &[&["runs-as-you"], words].concat());
    assert!(scene.ran().is_empty(), "nothing runs before it is allowed");
}

const TWO_TABLES: &str = "CREATE TABLE m.a (id int PRIMARY KEY, x int); CREATE TABLE m.b (id int, aid int, x int); \
    INSERT INTO m.a VALUES (1, 1); INSERT INTO m.b VALUES (1, 1, 1);";
const REFERS: &str =
    "schema m { table b { column id integer; column aid integer { references a id; }; column x integer; } }";

/// What the planner evaluates when it plans a query about mallory's tables: what she had, and what she adds once there is a plan.
const FOLDED: [(&str, &str, u32); 5] = [
    ("", "CREATE STATISTICS m.s ON (m.same('of the referenced', 1)), x FROM m.a", 14),
    ("", "CREATE STATISTICS m.s ON (m.same('of the referencing', 1)) FROM m.b", 14),
    ("CREATE INDEX ON m.a ((m.same('of an index', 1) + x));", "SELECT", 13),
    ("CREATE INDEX ON m.a (x) WHERE m.always('of a predicate');", "SELECT", 13),
    ("ALTER TABLE m.a ADD CHECK (m.always('of a check')) NOT VALID;", "SELECT", 13),
];

#[test]
fn a_foreign_key_is_checked_as_its_owner_whatever_is_folded() {
    for boss in [Boss::Superuser, Boss::Member] {
        for (had, added, _) in FOLDED.iter().filter(|(.., since)| default_major() >= *since) {
            let scene = Scene::new(boss, &format!("{TWO_TABLES} {had}"));
            scene.plan(&[("schema/m/tables/b.kdl", REFERS)]);
            scene.db.execute(&format!("SET ROLE {}; {added}; TRUNCATE m.log", scene.mallory));
            scene.runs(&["apply"]);
            let _ = scene.ran();
            scene.runs(&["rollback", "-1"]);
            let _ = scene.ran();
            assert_eq!(scene.db.query("TABLE m.b"), ["1|1|1"], "{had}{added}");
        }
    }
}

#[test]
fn taking_the_drop_of_a_foreign_key_back_runs_as_its_owner() {
    if default_major() < 14 {
        return;
    }
    let scene =
        Scene::new(Boss::Superuser, &format!("{TWO_TABLES} ALTER TABLE m.b ADD FOREIGN KEY (aid) REFERENCES m.a"));
    scene.plan(&[(
        "schema/m/tables/b.kdl",
        "schema m { table b { column id integer; column aid integer; column x integer; } }",
    )]);
    scene.runs(&["apply"]);
    scene.db.execute(&format!(
        "SET ROLE {}; CREATE STATISTICS m.s ON (m.same('statistics', 1)) FROM m.b; TRUNCATE m.log",
        scene.mallory
    ));
    scene.runs(&["rollback", "-1"]);
    assert_eq!(scene.ran(), ["statistics"]);
}

#[test]
fn queries_over_tables_with_statistics_are_asked_for() {
    if default_major() < 14 {
        return;
    }
    let made = "CREATE STATISTICS m.s ON (m.same('statistics', 1)), x FROM m.a";
    let scene = Scene::new(Boss::Superuser, &format!("{TWO_TABLES} {made};"));
    let owner = scene.db.connect.user().to_owned();
    let view =
        format!("schema m {{ materialized-view v {{ owner \"{owner}\"; sql \"SELECT id FROM m.a WHERE x = 1\"; }} }}");
    scene.plan(&[("schema/m/v.kdl", &view)]);
    asks(&scene, &["apply"], &["materialized-view m.v", "m.same(text,integer)"]);

    let scene = Scene::new(Boss::Superuser, &format!("{TWO_TABLES} {made};"));
    scene.plan_by_hand("UPDATE m.a SET x = 2 WHERE x = 1", "UPDATE m.a SET x = 1");
    asks(&scene, &["apply"], &["a step written by hand", "m.same(text,integer)"]);
}

/// A type with a cast, and a table of a superuser's.
const CASTS: &str = "CREATE TYPE m.ty AS (a int); \
    CREATE FUNCTION m.turned(int) RETURNS m.ty IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(''cast''); RETURN ROW($1)::m.ty; END'; \
    CREATE CAST (int AS m.ty) WITH FUNCTION m.turned(int); \
    CREATE FUNCTION m.back(m.ty) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(''cast back''); RETURN 1; END'; \
    CREATE CAST (m.ty AS int) WITH FUNCTION m.back(m.ty) AS IMPLICIT; \
    RESET ROLE; CREATE TABLE m.own (id int, t m.ty); INSERT INTO m.own VALUES (1, NULL);";

#[test]
fn a_type_stands_for_its_casts() {
    let table = |part: &str| format!("schema m {{ table own {{ column id integer; column t ty; {part} }} }}");
    let places = [
        table(r#"check c "(id::m.ty) IS NOT NULL""#),
        table(r#"check c "t + 1 > id""#),
        table(r#"column g ty default="1::m.ty""#),
        table(r#"column g boolean generated="(id::m.ty) IS NULL""#),
        "schema m { materialized-view v { owner \"OWNER\"; sql \"SELECT id::m.ty AS x FROM m.own\"; } }".into(),
        "schema m { table n { owner \"OWNER\"; column id integer; column g boolean generated=\"(1::m.ty) IS NULL\"; } }".into(),
    ];
    for text in places {
        let scene = Scene::new(Boss::Superuser, CASTS);
        let text = text.replace("OWNER", scene.db.connect.user());
        let path = if text.contains("table own") { "schema/m/tables/own.kdl" } else { "schema/m/new.kdl" };
        scene.plan(&[(path, &text)]);
        asks(&scene, &["apply"], &[if text.contains("t + 1") { "m.back(m.ty)" } else { "m.turned(integer)" }]);
    }
}

#[test]
fn validators_of_wrappers_are_asked_for() {
    let made = "CREATE FUNCTION m.val(text[], oid) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(''validator''); END'; RESET ROLE; \
        CREATE FOREIGN DATA WRAPPER w VALIDATOR m.val; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE m.ft (a int) SERVER s; \
        CREATE FOREIGN TABLE m.theirs (a int) SERVER s; ALTER TABLE m.theirs OWNER TO ";
    let server = |part: &str| format!("server s wrapper=w {{ {part}; }}\n");
    let table =
        |name: &str| format!("schema m {{ foreign-table {name} server=s {{ column a integer {{ options z=y; }} }} }}");
    let cases = [
        ("schema/servers.kdl", server("options host=x"), "server s"),
        ("schema/servers.kdl", server("user-mapping public { options user=x; }"), "user-mapping"),
        ("schema/m/tables/ft.kdl", table("ft"), "m.ft"),
        (
            "schema/m/new.kdl",
            "schema m { foreign-table more server=s { column a integer; } }".into(),
            "foreign-table m.more",
        ),
    ];
    for (path, text, word) in cases {
        let scene = wrapped(made);
        scene.plan(&[(path, &text)]);
        println!("{word}");
        asks(&scene, &["apply"], &[word, "m.val(text[],oid)"]);
    }
    let scene = wrapped(made);
    scene.plan(&[("schema/m/tables/theirs.kdl", &table("theirs"))]);
    scene.runs(&["apply"]);
    scene.runs(&["rollback", "-1"]);
    assert_eq!(scene.ran(), ["validator"], "its owner can run it herself");
}

/// A scene whose wrapper, server and foreign tables are in the project. `made` ends before the name of an owner.
fn wrapped(made: &str) -> Scene {
    let scene = Scene::new(Boss::Superuser, "");
    scene.db.execute(&format!("SET ROLE {0}; {made} {0}; GRANT USAGE ON FOREIGN SERVER s TO {0}", scene.mallory));
    scene.sandbox.write("setpoint.kdl", "manage { schema m; exclude \"grant *\" }");
    scene.sandbox.ok(&["pull"]);
    scene.sandbox.ok(&["push", "--auto-approve", "--no-rehearsal", "--allow", "all"]);
    scene
}

/// What a view, check, operator, domain or trigger of mallory's calls, and whether it is asked for.
#[test]
fn functions_that_do_more_than_compute_are_asked_for() {
    let update = "UPDATE m.t SET x = 2";
    let cases: [(&str, &str, Option<&str>); 12] = [
        (
            "ALTER TABLE m.t ADD CHECK (lo_unlink(TREASURE) = 1) NOT VALID",
            update,
            Some("lo_unlink(oid), in an expression of m.t"),
        ),
        ("ALTER TABLE m.t ADD CHECK (pg_cancel_backend(x)) NOT VALID", update, Some("pg_cancel_backend(integer)")),
        (
            "CREATE VIEW m.v AS SELECT lo_unlink(TREASURE)",
            "CREATE TABLE m.n AS SELECT * FROM m.v",
            Some("lo_unlink(oid)"),
        ),
        ("CREATE VIEW m.v AS SELECT setval('m.s', 9)", "CREATE TABLE m.n AS SELECT * FROM m.v", Some("setval")),
        (
            "CREATE VIEW m.v AS SELECT public.anything('SELECT 1')",
            "CREATE TABLE m.n AS SELECT * FROM m.v",
            Some("public.anything(text)"),
        ),
        (
            "CREATE VIEW m.v AS SELECT public.rows_of('SELECT 1')",
            "CREATE TABLE m.n AS SELECT * FROM m.v",
            Some("public.rows_of(text)"),
        ),
        (
            "CREATE OPERATOR m.@@@ (FUNCTION = lo_unlink, RIGHTARG = oid)",
            "UPDATE m.t SET x = OPERATOR(m.@@@) 1::oid",
            Some("lo_unlink(oid), for operator m.@@@"),
        ),
        (
            "CREATE DOMAIN m.d AS int DEFAULT lo_unlink(TREASURE)",
            "ALTER TABLE m.own ADD COLUMN d m.d",
            Some("lo_unlink(oid), in an expression of m.d"),
        ),
        (
            "CREATE TRIGGER w BEFORE UPDATE ON m.t FOR EACH ROW EXECUTE FUNCTION public.manage()",
            update,
            Some("public.manage(), for trigger w on m.t"),
        ),
        ("ALTER TABLE m.t ALTER x SET DEFAULT nextval('m.s')", update, None),
        (
            "CREATE VIEW m.v AS SELECT random(), clock_timestamp(), public.computed('x') FROM pg_sleep(0)",
            "CREATE TABLE m.n AS SELECT * FROM m.v",
            None,
        ),
        (
            "CREATE TRIGGER w BEFORE UPDATE ON m.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            update,
            None,
        ),
    ];
    for (planted, step, asked) in cases {
        let scene = Scene::new(
            Boss::Superuser,
            "CREATE TABLE m.t (id int, x int); INSERT INTO m.t VALUES (1, 1); CREATE SEQUENCE m.s; RESET ROLE; CREATE TABLE m.own (id int); \
             CREATE FUNCTION public.anything(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN $1; END'; \
             CREATE FUNCTION public.rows_of(text) RETURNS SETOF text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN QUERY EXECUTE $1; END'; \
             CREATE FUNCTION public.computed(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
             CREATE FUNCTION public.manage() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        );
        let treasure = scene.db.value("SELECT lo_from_bytea(0, 'treasure')");
        scene.plan_by_hand(step, "SELECT 1");
        scene.db.execute(&format!("SET ROLE {}; {}", scene.mallory, planted.replace("TREASURE", &treasure)));
        match asked {
            Some(what) => asks(&scene, &["apply"], &[what]),
            None => drop(scene.runs(&["apply"])),
        }
        assert_eq!(scene.db.value("SELECT count(*) FROM pg_largeobject_metadata"), "1", "{planted}");
    }
}

#[test]
fn a_typed_table_does_not_own_its_type() {
    let scene = Scene::new(
        Boss::Superuser,
        "RESET ROLE; CREATE TYPE m.c AS (a int, b text); SET ROLE OWNER; \
         CREATE TABLE m.typed OF m.c (CONSTRAINT k CHECK (m.always('typed') OR a IS NULL)); INSERT INTO m.typed VALUES (1, 'x');"
            .replace("SET ROLE OWNER;", "SELECT set_config('role', nspowner::regrole::text, false) FROM pg_namespace WHERE nspname = 'm';")
            .as_str(),
    );
    scene.plan(&[("schema/m/types.kdl", "schema m { type c { attribute a bigint; attribute b text; } }")]);
    asks(&scene, &["apply"], &["m.always(text)", "does not own m.c"]);
    let outcome = scene.run(&["apply"], ",runs-as-you");
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(scene.db.query("TABLE m.typed"), ["1|x"]);
    scene.db.execute("TRUNCATE m.log; DELETE FROM m.armed");
    let outcome = scene.run(&["rollback", "-1"], ",runs-as-you");
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(scene.db.query("TABLE m.typed"), ["1|x"]);
}
