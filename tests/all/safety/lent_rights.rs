//! `apply` and `rollback` do not lend their privileges: code that the owner of a table wrote never runs as the role that runs setpoint.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Outcome, Sandbox, TestDb};
use crate::teams::{by_hand, says, write_steps};

/// Who runs setpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Boss {
    /// The superuser.
    Superuser,
    /// A role that is a member of mallory, and has a table of its own.
    Member,
    /// The owner herself, who has nothing to gain.
    Mallory,
}

/// A database with a schema `m`, where all belongs to a role that wants more, and a project that knows it.
pub struct Scene {
    pub db: TestDb,
    pub sandbox: Sandbox,
    pub mallory: String,
    boss: String,
}

/// Each of the functions notes who it runs as, before and after RESET ROLE, and takes what it can get.
const FUNCTIONS: &str = "
    CREATE TABLE m.log (place text, who text);
    CREATE TABLE m.armed (yes bool);
    CREATE FUNCTION m.tell(place text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF NOT EXISTS (SELECT FROM m.armed) THEN RETURN true; END IF;
        INSERT INTO m.log VALUES (place, current_user);
        BEGIN EXECUTE 'RESET ROLE'; INSERT INTO m.log VALUES (place || ', after RESET ROLE', current_user);
        EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'ALTER ROLE MALLORY SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'INSERT INTO public.treasure VALUES (666)'; EXCEPTION WHEN OTHERS THEN NULL; END;
        RETURN true; END $$;
    CREATE FUNCTION m.always(place text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN m.tell(place); END';
    CREATE FUNCTION m.good(place text, i bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN m.tell(place); END';
    CREATE FUNCTION m.seven(place text) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(place); RETURN 7; END';
    CREATE FUNCTION m.same(place text, i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM m.tell(place); RETURN i; END';
    CREATE FUNCTION m.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(''trigger''); RETURN new; END';
";

impl Scene {
    /// `sql` is run as mallory. The project takes over what is there.
    pub fn new(boss: Boss, sql: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (mallory, member) = (format!("lent_mallory_{number}"), format!("lent_boss_{number}"));
        let db = TestDb::new();
        db.execute(&format!(
            "CREATE ROLE {mallory} LOGIN; CREATE ROLE {member} LOGIN; GRANT {mallory} TO {member}; \
             CREATE SCHEMA m AUTHORIZATION {mallory}; CREATE TABLE public.treasure (i int); ALTER TABLE public.treasure OWNER TO {member}; \
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {member}, {mallory}', current_database()); END $$; \
             SET ROLE {mallory}; {} {sql}",
            FUNCTIONS.replace("MALLORY", &mallory)
        ));
        let mut sandbox = Sandbox::new(&db);
        let boss = match boss {
            Boss::Superuser => db.connect.user().to_string(),
            Boss::Member => member,
            Boss::Mallory => mallory.clone(),
        };
        let user = format!("//{}@", db.connect.user());
        assert!(db.url().contains(&user), "{}", db.url());
        sandbox.set("DATABASE_URL", &db.url().replacen(&user, &format!("//{boss}@"), 1));
        sandbox.write("setpoint.kdl", "manage { schema m }");
        sandbox.ok(&["baseline", "--auto-approve"]);
        Self { db, sandbox, mallory, boss }
    }

    /// Writes files, and saves the plan that they need.
    pub fn plan(&self, files: &[(&str, &str)]) {
        files.iter().for_each(|(path, text)| self.sandbox.write(path, text));
        self.sandbox.ok(&["plan", "--save", "next"]);
        self.db.execute("TRUNCATE m.log; INSERT INTO m.armed VALUES (true)");
    }

    /// Saves a plan with a step by hand.
    pub fn plan_by_hand(&self, sql: &str, back: &str) {
        self.sandbox.ok(&["plan", "--save", "next", "--empty"]);
        write_steps(&self.sandbox, "plans/0002-next.kdl", &by_hand(sql, back));
        self.sandbox.ok(&["seal", "2"]);
        self.db.execute("TRUNCATE m.log; INSERT INTO m.armed VALUES (true)");
    }

    /// Applies or takes back; all hazards are allowed but `runs-as-you`, and that too if it is said.
    pub fn run(&self, command: &[&str], also: &str) -> Outcome {
        let allowed = format!(
            "data-loss,table-rewrite,full-scan-under-lock,blocks-writes,blocks-reads,may-fail-on-data,irreversible,breaks-clients,\
             recreates-dependents,drops-index,changes-access,unread-sql{also}"
        );
        self.sandbox.run(&[command, &["--auto-approve", "--allow", &allowed]].concat())
    }

    pub fn runs(&self, command: &[&str]) -> Outcome {
        let outcome = self.run(command, "");
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    /// The places whose code ran since the last look. None of it ran as anybody else than mallory, and she gained nothing.
    pub fn ran(&self) -> Vec<String> {
        let others = self.db.query(&format!("SELECT DISTINCT place, who FROM m.log WHERE who <> '{}'", self.mallory));
        assert!(others.is_empty(), "as somebody else ran {others:#?}");
        self.poor();
        let places = self.db.query("SELECT DISTINCT place FROM m.log ORDER BY 1");
        self.db.execute("TRUNCATE m.log");
        places
    }

    /// Mallory gained nothing.
    fn poor(&self) {
        let role = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", self.mallory);
        assert_eq!(self.db.value(&role), "f", "mallory is superuser");
        assert_eq!(self.db.query("TABLE public.treasure"), [""; 0], "mallory was at the treasure");
        let left = "SELECT proname FROM pg_proc WHERE proname LIKE 'setpoint%' UNION SELECT relname FROM pg_class WHERE relname LIKE 'setpoint_run%'";
        assert_eq!(self.db.query(left), [""; 0], "something is left behind");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let bosses = self.db.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lent_boss%'");
        let number = self.mallory.trim_start_matches("lent_mallory");
        for role in bosses.iter().filter(|role| role.ends_with(number)).chain([&self.mallory]) {
            let _ = self.db.try_execute(&format!(
                "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
            ));
        }
    }
}

const TABLES: &str = "
    CREATE DOMAIN m.d AS int;
    CREATE TABLE m.k (id int PRIMARY KEY, x int); CREATE INDEX k_x ON m.k (x) WHERE m.always('predicate of the other table');
    CREATE TABLE m.t (id int, a int, b int, d m.d, CONSTRAINT old CHECK (m.good('old check', a)),
        CONSTRAINT fixed CHECK (m.always('constant in a check') OR id IS NULL));
    CREATE TABLE m.key (id int, CONSTRAINT fixed CHECK (m.always('constant beside a key') OR id IS NULL));
    CREATE TABLE m.whole (id int, x int) PARTITION BY RANGE (m.same('partition key', x));
    CREATE TABLE m.rest PARTITION OF m.whole DEFAULT;
    CREATE TABLE m.part (id int, x int);
    INSERT INTO m.t VALUES (1, 10, 100, 5), (2, 20, 200, 6); INSERT INTO m.k VALUES (1, 1); INSERT INTO m.key VALUES (1);
    INSERT INTO m.whole VALUES (1, 500); INSERT INTO m.part VALUES (1, 5);
";

const AFTER: [(&str, &str); 4] = [
    (
        "schema/m/tables/t.kdl",
        r#"schema m { table t {
            column id integer not-null
            column a bigint
            column b integer
            column d d
            column n integer not-null default="m.seven('volatile default')"
            column g integer generated="m.same('generated column', id)"
            column x integer { references k id }
            check old "m.good('old check', a)"
            check fixed "m.always('constant in a check') OR id IS NULL"
            check new "m.good('new check', b)"
        } }"#,
    ),
    ("schema/m/types.kdl", r#"schema m { domain d integer { check positive "m.good('check of a domain', VALUE)" } }"#),
    (
        "schema/m/tables/key.kdl",
        r#"schema m { table key {
            column id integer
            primary-key id
            check fixed "m.always('constant beside a key') OR id IS NULL"
        } }"#,
    ),
    ("schema/m/tables/part.kdl", r#"schema m { table part { partition-of whole "FOR VALUES FROM (1) TO (10)" } }"#),
];

/// The code in every place that DDL evaluates, there and back, for one who is above the owner.
fn every_place(boss: Boss) {
    let scene = Scene::new(boss, TABLES);
    scene.plan(&AFTER);
    scene.runs(&["apply"]);
    assert_eq!(
        scene.ran(),
        [
            "check of a domain",
            "constant beside a key",
            "constant in a check",
            "generated column",
            "new check",
            "old check",
            "partition key",
            "predicate of the other table",
            "volatile default"
        ],
        "as {}",
        scene.boss
    );
    assert_eq!(scene.db.query("SELECT id, a, b, d, n, g FROM m.t ORDER BY id"), ["1|10|100|5|7|1", "2|20|200|6|7|2"]);
    assert_eq!(scene.db.query("SELECT id, x FROM m.whole ORDER BY x"), ["1|5", "1|500"]);
    scene.db.execute("TRUNCATE m.log");
    scene.runs(&["rollback", "-1"]);
    assert!(scene.ran().contains(&"old check".to_string()));
    assert_eq!(scene.db.query("SELECT * FROM m.t ORDER BY id"), ["1|10|100|5", "2|20|200|6"]);
    assert_eq!(scene.db.query("SELECT * FROM m.part"), ["1|5"]);
    scene.runs(&["apply"]);
    scene.ran();
}

#[test]
fn ddl_runs_what_the_owner_wrote_as_the_owner() {
    every_place(Boss::Superuser);
}

#[test]
fn a_member_of_the_owner_does_not_lend_his_other_rights() {
    every_place(Boss::Member);
}

/// What a role gets out of a place where its code cannot run as itself: nothing, before the person allows it by name.
fn asks(scene: &Scene, words: &[&str]) {
    for command in [&["apply"][..], &["rollback", "-1"]] {
        let refused = scene.run(command, "");
        assert_eq!(refused.code, 3, "{command:?}: {}{}", refused.stdout, refused.stderr);
        says(&refused, &["runs-as-you", &scene.mallory]);
        says(&refused, words);
        assert_eq!(scene.ran(), [""; 0]);
        let allowed = scene.run(command, ",runs-as-you");
        assert_eq!(allowed.code, 0, "{command:?}: {}{}", allowed.stdout, allowed.stderr);
        // She was trusted.
        scene.db.execute(&format!("TRUNCATE m.log, public.treasure; ALTER ROLE {} NOSUPERUSER", scene.mallory));
    }
}

const TRIGGER: &str = "CREATE TABLE m.t (id int); INSERT INTO m.t VALUES (1); \
    CREATE TRIGGER fire BEFORE UPDATE ON m.t FOR EACH ROW EXECUTE FUNCTION m.fire()";

#[test]
fn a_step_by_hand_that_fires_a_trigger_of_another_asks() {
    for boss in [Boss::Superuser, Boss::Member] {
        let scene = Scene::new(boss, TRIGGER);
        scene.plan_by_hand("UPDATE m.t SET id = id + 1", "UPDATE m.t SET id = id - 1");
        asks(&scene, &["m.fire()"]);
        assert_eq!(scene.db.value("SELECT id FROM m.t"), "1");
    }
}

#[test]
fn a_function_that_a_step_by_hand_calls_is_named() {
    let scene = Scene::new(Boss::Superuser, "");
    scene.plan_by_hand("DO $$ BEGIN PERFORM m.seven('called'); END $$", "SELECT m.seven('called')");
    asks(&scene, &["m.seven(text)"]);
}

#[test]
fn functions_of_postgresql_that_run_sql_are_named_where_a_query_calls_them() {
    let scene = Scene::new(
        Boss::Superuser,
        "CREATE TABLE m.t (id int, x text DEFAULT query_to_xml('SELECT m.seven(''sql in a string'')', true, true, '')::text)",
    );
    scene.plan_by_hand("INSERT INTO m.t VALUES (1)", "DELETE FROM m.t");
    asks(&scene, &["query_to_xml"]);
}

#[test]
fn a_partition_that_a_key_of_another_routes_asks() {
    let scene = Scene::new(
        Boss::Superuser,
        "CREATE TABLE m.whole (id int, x int) PARTITION BY RANGE (m.same('key', x)); CREATE TABLE m.rest PARTITION OF m.whole \
         DEFAULT; INSERT INTO m.whole VALUES (1, 500)",
    );
    scene.plan(&[(
        "schema/m/tables/new.kdl",
        r#"schema m { table new { partition-of whole "FOR VALUES FROM (1) TO (10)" } }"#,
    )]);
    let refused = scene.run(&["apply"], "");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    says(&refused, &["runs-as-you", "m.same(text,integer)", &scene.mallory]);
    scene.poor();
}

#[test]
fn a_table_of_ones_own_that_calls_what_another_wrote_asks() {
    let scene = Scene::new(
        Boss::Superuser,
        "RESET ROLE; CREATE TABLE m.own (id int, CONSTRAINT c CHECK (m.good('check of my own', id))); \
         INSERT INTO m.own VALUES (1)",
    );
    scene.plan(&[(
        "schema/m/tables/own.kdl",
        r#"schema m { table own { column id bigint; check c "m.good('check of my own', id)" } }"#,
    )]);
    let refused = scene.run(&["apply"], "");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    says(&refused, &["runs-as-you", "m.good(text,bigint)", &scene.mallory]);
    scene.ran();
}

#[test]
fn an_event_trigger_that_another_could_change_asks() {
    let scene = Scene::new(
        Boss::Superuser,
        "CREATE TABLE m.t (id int); CREATE FUNCTION m.event() RETURNS event_trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM m.tell(''event trigger''); END'",
    );
    scene.plan(&[("schema/m/tables/t.kdl", r#"schema m { table t { comment "x"; column id integer } }"#)]);
    scene
        .db
        .execute("CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION m.event()");
    asks(&scene, &["m.event()", "watch"]);
}

/// What leaves work for later, when the session's user is back; gives settings that last; and gives the lock back.
const ESCAPES: [(&str, &str); 5] = [
    ("a deferred trigger that defers itself again", "SET CONSTRAINTS ALL DEFERRED; INSERT INTO m.later VALUES (1)"),
    ("a cursor that is filled at the end", "EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT m.tell(''cursor'')'"),
    (
        "statements of the driver's names",
        "EXECUTE 'DEALLOCATE ALL'; FOR n IN 0..300 LOOP EXECUTE format('PREPARE s%s AS SELECT m.tell(''prepared'')', n); END LOOP",
    ),
    ("settings", "PERFORM set_config('search_path', 'm', false), set_config('row_security', 'off', false)"),
    ("the lock", "PERFORM pg_advisory_unlock_all()"),
];

#[test]
fn what_runs_as_the_owner_leaves_nothing_behind() {
    for (what, escape) in ESCAPES {
        let scene = Scene::new(
            Boss::Superuser,
            &format!(
                "CREATE TABLE m.t (id int); INSERT INTO m.t VALUES (1); CREATE TABLE m.later (i int); \
                 CREATE FUNCTION m.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.tell('later'); IF new.i < 3 THEN \
                 SET CONSTRAINTS ALL DEFERRED; INSERT INTO m.later VALUES (new.i + 1); END IF; RETURN NULL; END $$; \
                 CREATE CONSTRAINT TRIGGER again AFTER INSERT ON m.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
                 EXECUTE FUNCTION m.again(); \
                 CREATE FUNCTION m.escape(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN {escape}; RETURN true; END $$; \
                 CREATE FUNCTION m.abs(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM m.tell(''captured''); RETURN 1; END'"
            ),
        );
        scene.plan(&[(
            "schema/m/tables/t.kdl",
            r#"schema m { table t { column id integer; check c "m.escape(id)" } }"#,
        )]);
        let outcome = scene.run(&["apply"], "");
        let ends_well = what == "settings";
        assert_eq!(outcome.code == 0, ends_well, "{what}: {}{}", outcome.stdout, outcome.stderr);
        if what == "the lock" {
            says(&outcome, &["released setpoint's lock"]);
        }
        let _ = scene.ran();
        let there = scene.db.query("SELECT conname FROM pg_constraint WHERE conname = 'c'").len();
        assert_eq!(there == 1, ends_well, "{what}");
        if !ends_well {
            // Nothing was committed: the plan can be taken up, or dropped.
            scene.sandbox.ok(&["status"]);
        }
    }
}

#[test]
fn the_owner_runs_steps_as_ever() {
    // What makes temporary tables runs nowhere but in a plain statement.
    let scene = Scene::new(
        Boss::Mallory,
        "CREATE TABLE m.t (id int); INSERT INTO m.t VALUES (1); CREATE FUNCTION m.f(i int) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS x (i int); RETURN true; END $$",
    );
    scene.plan(&[("schema/m/tables/t.kdl", r#"schema m { table t { column id integer; check c "m.f(id)" } }"#)]);
    scene.runs(&["apply"]);
    scene.runs(&["rollback", "-1"]);
}

#[test]
fn what_stops_a_step_is_said_of_the_step_itself() {
    let scene = Scene::new(
        Boss::Superuser,
        "CREATE TABLE m.t (id int); INSERT INTO m.t VALUES (1); CREATE FUNCTION m.f(i int) RETURNS boolean LANGUAGE sql AS 'SELECT i > 1'",
    );
    scene.plan(&[("schema/m/tables/t.kdl", r#"schema m { table t { column id integer; check c "m.f(id)" } }"#)]);
    let outcome = scene.run(&["apply"], "");
    assert_eq!(outcome.code, 1);
    says(
        &outcome,
        &["violated by some row", "ALTER TABLE m.t ADD CONSTRAINT c", &format!("it ran as {}", scene.mallory)],
    );
    assert!(!outcome.stderr.contains("setpoint_run"), "{}", outcome.stderr);
    scene.db.execute("UPDATE m.t SET id = 2");
    scene.runs(&["apply"]);
}

#[test]
fn an_extensions_script_meets_nothing_that_a_stranger_left_in_its_schema() {
    let db = TestDb::new();
    let mallory = format!("{}_mallory", db.connect.database());
    db.execute(&format!(
        "CREATE ROLE {mallory}; CREATE SCHEMA apart; CREATE SCHEMA m AUTHORIZATION {mallory}; SET ROLE {mallory}; \
         CREATE FUNCTION m.lower(varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$; \
         CREATE OPERATOR m.=== (FUNCTION = pg_catalog.texteq, LEFTARG = text, RIGHTARG = text)"
    ));
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    let push = |text: &str, allow: &str| {
        sandbox.write("schema/extension.kdl", text);
        sandbox.run(&["push", "--auto-approve", "--no-rehearsal", "--allow", allow])
    };
    let refused = push("extension citext schema=m\n", "data-loss");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    for words in [
        "runs-as-you",
        "extension citext",
        &format!("m.lower(character varying), which {mallory} owns"),
        "operator m.===",
    ] {
        assert!(refused.stderr.contains(words), "{words}\n{}", refused.stderr);
    }
    let apart = push("extension citext schema=apart\n", "data-loss");
    assert_eq!(apart.code, 0, "nobody else has anything there\n{}{}", apart.stdout, apart.stderr);
    let dropped = push("", "all");
    assert_eq!(dropped.code, 0, "{}{}", dropped.stdout, dropped.stderr);
    let allowed = push("extension citext schema=m\n", "runs-as-you");
    assert_eq!(allowed.code, 0, "{}{}", allowed.stdout, allowed.stderr);
    let dropped = push("", "data-loss,breaks-clients,irreversible");
    assert_eq!(dropped.code, 0, "no script runs\n{}{}", dropped.stdout, dropped.stderr);
    db.execute(&format!("DROP OWNED BY {mallory} CASCADE; DROP ROLE {mallory}"));
}
