//! A schema `setpoint` that somebody else created: whatever it looks like, none of its code runs with the privileges of whoever reads it.

use setpoint::catalog::Session;
use setpoint::ledger::{self, Ledger};

use crate::support::{Outcome, Sandbox, TestDb, block_on};

/// What the tests keep beside the project is none of its business.
const MANAGED: &str = "manage {\n    schema public\n    grants #false\n}\n";

/// A database in which a role of its own may create schemas, and has functions that make it a superuser if a superuser calls them.
pub(super) struct Plot {
    pub db: TestDb,
    pub role: String,
    pub sandbox: Sandbox,
}

impl Plot {
    pub fn new(name: &str) -> Self {
        let db = TestDb::new();
        let role = format!("{name}_{}", db.connect.database());
        db.execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role}; SET ROLE {role}; CREATE SCHEMA plot; \
             CREATE FUNCTION plot.own() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
               IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE {role} SUPERUSER'; END IF; \
               RETURN '3'; END $$; \
             CREATE FUNCTION plot.same(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM plot.own(); RETURN $1; END $$; \
             CREATE FUNCTION plot.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM plot.own(); RETURN new; END $$; \
             CREATE DOMAIN plot.word AS text CHECK (plot.own() IS NOT NULL); \
             CREATE FUNCTION plot.less(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM plot.own(); RETURN true; END $$",
            db.connect.database()
        ));
        let sandbox = Sandbox::new(&db);
        sandbox.write("setpoint.kdl", MANAGED);
        sandbox.write("schema/a.kdl", "table t {\n    column id int\n}\n");
        Self { db, role, sandbox }
    }

    /// The address for the role.
    pub fn url(&self) -> String {
        self.db.url().replacen("postgres@", &format!("{}@", self.role), 1).replacen(
            "user=postgres",
            &format!("user={}", self.role),
            1,
        )
    }

    /// Makes the role's own ledger, as this tool would.
    pub fn ledger(&self) {
        let connect = setpoint::catalog::Connect::parse(&self.url()).expect("an address");
        block_on(async {
            let session = Session::open(&connect, "test").await.unwrap_or_else(|error| panic!("{error}"));
            ledger::create(Ledger::default().pen(&session).expect("a pen"), ledger::EventTriggers::Refused)
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            session.close().await;
        });
    }

    pub fn run_as_role(&self, sql: &str) {
        self.db.execute(&format!("SET ROLE {}; {sql}", self.role));
    }

    /// Nobody gained anything.
    pub fn held(&self, what: &str, outcome: &Outcome) {
        let superuser = self.db.value(&format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", self.role));
        assert_eq!(superuser, "f", "{what}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome:?}");
    }
}

impl Drop for Plot {
    fn drop(&mut self) {
        // The role goes with what it has here; a failing test tells what failed, not this.
        let _ = self.db.try_execute(&format!(
            "DROP SCHEMA IF EXISTS plot, setpoint CASCADE; DROP OWNED BY {0}; DROP ROLE {0}",
            self.role
        ));
    }
}

pub(super) const FORMS: &[(&str, &str)] = &[
    (
        "a view",
        "ALTER TABLE setpoint.meta RENAME TO m; CREATE VIEW setpoint.meta AS SELECT 'format'::text AS key, plot.own() AS value",
    ),
    (
        "a view of revisions",
        "ALTER TABLE setpoint.revision RENAME TO m; CREATE VIEW setpoint.revision AS SELECT number, plot.same(name) AS name, plan_hash, how, by_role, at, tool, plan, snapshot FROM setpoint.m",
    ),
    (
        "a materialized view",
        "DROP TABLE setpoint.meta; CREATE MATERIALIZED VIEW setpoint.meta AS SELECT 'format'::text AS key, plot.own() AS value",
    ),
    (
        "a foreign table",
        "DROP TABLE setpoint.meta; CREATE FOREIGN TABLE setpoint.meta (key text, value text) SERVER plot_server",
    ),
    (
        "a trigger",
        "CREATE TRIGGER z BEFORE INSERT OR UPDATE ON setpoint.meta FOR EACH ROW EXECUTE FUNCTION plot.fire()",
    ),
    (
        "a deferred trigger",
        "CREATE CONSTRAINT TRIGGER z AFTER INSERT ON setpoint.run DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION plot.fire()",
    ),
    ("a rule", "CREATE RULE z AS ON INSERT TO setpoint.run DO ALSO SELECT plot.own()"),
    ("a default", "ALTER TABLE setpoint.revision ALTER tool SET DEFAULT plot.own()"),
    ("one more column", "ALTER TABLE setpoint.run ADD z text DEFAULT plot.own()"),
    ("a column less", "ALTER TABLE setpoint.journal DROP at"),
    (
        "a policy",
        "ALTER TABLE setpoint.revision ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY z ON setpoint.revision USING (plot.own() IS NOT NULL)",
    ),
    ("a policy at rest", "CREATE POLICY z ON setpoint.revision USING (plot.own() IS NOT NULL)"),
    ("row security", "ALTER TABLE setpoint.revision ENABLE ROW LEVEL SECURITY"),
    ("row security for the owner", "ALTER TABLE setpoint.revision FORCE ROW LEVEL SECURITY"),
    ("a generated column", "ALTER TABLE setpoint.event ADD z text GENERATED ALWAYS AS (plot.same(name)) STORED"),
    ("a check", "ALTER TABLE setpoint.run ADD CHECK (plot.own() IS NOT NULL)"),
    (
        "a partitioned table",
        "DROP TABLE setpoint.memo; CREATE TABLE setpoint.memo (key text PRIMARY KEY, stored text[] NOT NULL) PARTITION BY RANGE (key)",
    ),
    ("a child", "CREATE TABLE plot.child (CHECK (plot.own() IS NOT NULL)) INHERITS (setpoint.revision)"),
    (
        "a parent",
        "CREATE TABLE plot.parent (number integer NOT NULL); ALTER TABLE setpoint.revision INHERIT plot.parent",
    ),
    ("an index over an expression", "CREATE INDEX z ON setpoint.revision (plot.same(name))"),
    ("an index with a predicate", "CREATE INDEX z ON setpoint.run (name) WHERE plot.same('a') = 'a'"),
    ("an exclusion", "ALTER TABLE setpoint.run ADD EXCLUDE (plot.same(name) WITH =)"),
    ("statistics", "CREATE STATISTICS setpoint.z ON number, name FROM setpoint.revision"),
    ("a column of a domain", "ALTER TABLE setpoint.revision ALTER tool TYPE plot.word"),
    ("a key of a domain", "ALTER TABLE setpoint.meta ALTER key TYPE plot.word"),
    ("a composite type", "CREATE TYPE setpoint.z AS (a int)"),
    ("a function", "CREATE FUNCTION setpoint.z() RETURNS text LANGUAGE sql AS 'SELECT plot.own()'"),
    ("an operator", "CREATE OPERATOR setpoint.= (FUNCTION = plot.less, LEFTARG = text, RIGHTARG = text)"),
    ("a collation", "CREATE COLLATION setpoint.z FROM \"C\""),
    (
        "another sequence",
        "ALTER TABLE setpoint.event ALTER id DROP IDENTITY; CREATE SEQUENCE setpoint.event_id_seq; ALTER TABLE setpoint.event ALTER id SET DEFAULT nextval('setpoint.event_id_seq')",
    ),
    ("a sequence of other steps", "ALTER TABLE setpoint.event ALTER id SET INCREMENT 0x"),
    ("a foreign key", "CREATE TABLE plot.f (n integer REFERENCES setpoint.revision ON DELETE CASCADE)"),
    ("an unlogged table", "ALTER TABLE setpoint.journal SET UNLOGGED"),
    ("a table missing", "DROP TABLE setpoint.event"),
    ("default privileges", "ALTER DEFAULT PRIVILEGES IN SCHEMA setpoint GRANT ALL ON TABLES TO PUBLIC"),
    ("another table", "CREATE TABLE setpoint.z (a int)"),
];

#[test]
fn code_in_a_planted_ledger_never_runs() {
    let plot = Plot::new("planter");
    plot.db.execute(&format!(
        "CREATE FOREIGN DATA WRAPPER plot_wrapper; CREATE SERVER plot_server FOREIGN DATA WRAPPER plot_wrapper; \
         GRANT USAGE ON FOREIGN SERVER plot_server TO {}",
        plot.role
    ));
    plot.sandbox.ok(&["plan", "--save", "one"]);
    for (at, (what, sql)) in FORMS.iter().enumerate() {
        plot.ledger();
        plot.run_as_role(&sql.replace("INCREMENT 0x", "INCREMENT 2"));
        // Each command meets each form in turn; reading and writing both come before anything else that they do.
        let status = plot.sandbox.run(&["status"]);
        plot.held(what, &status);
        assert_eq!(status.code, 3, "{what}: {status:?}");
        assert!(
            status.stderr.contains("is not a ledger as setpoint makes it") && status.stderr.contains("help:"),
            "{what}: {status:?}"
        );
        let other: &[&str] = match at % 4 {
            0 => &["apply", "--auto-approve"],
            1 => &["plan"],
            2 => &["rollback", "-1", "--auto-approve", "--allow", "all"],
            _ => &["stamp", "1", "--auto-approve", "--force"],
        };
        let outcome = plot.sandbox.run(other);
        plot.held(what, &outcome);
        assert_eq!(outcome.code, 3, "{what}: {outcome:?}");
        plot.db.execute("DROP SCHEMA setpoint CASCADE; DROP TABLE IF EXISTS plot.child, plot.parent, plot.f");
    }
    // The remedy helps.
    plot.run_as_role("CREATE SCHEMA setpoint; CREATE VIEW setpoint.meta AS SELECT plot.own() AS key");
    plot.sandbox.exits(3, &["apply", "--auto-approve"]);
    plot.db.execute("ALTER SCHEMA setpoint RENAME TO planted");
    let outcome = plot.sandbox.exits(0, &["apply", "--auto-approve"]);
    plot.held("after the remedy", &outcome);
    plot.sandbox.ok(&["status"]);
    plot.db.execute("DROP SCHEMA planted CASCADE");
}

#[test]
fn an_empty_schema_of_another_role_is_not_moved_into() {
    let plot = Plot::new("squatter");
    plot.sandbox.ok(&["plan", "--save", "one"]);
    plot.run_as_role("CREATE SCHEMA setpoint");
    let outcome = plot.sandbox.exits(3, &["apply", "--auto-approve"]);
    assert!(outcome.stderr.contains(&plot.role), "{outcome:?}");
    assert_eq!(plot.db.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'setpoint'::regnamespace"), "0");
    // One that a superuser made beforehand is as good as none.
    plot.db.execute("ALTER SCHEMA setpoint OWNER TO postgres");
    plot.sandbox.ok(&["apply", "--auto-approve"]);
    // Who else may create there is named.
    plot.db.execute(&format!("GRANT CREATE ON SCHEMA setpoint TO {}", plot.role));
    plot.sandbox.write("schema/a.kdl", "table t {\n    column id int\n    column b int\n}\n");
    plot.sandbox.ok(&["plan", "--save", "two"]);
    let outcome = plot.sandbox.exits(0, &["apply", "--auto-approve"]);
    assert!(outcome.stderr.contains("may create in schema setpoint"), "{outcome:?}");
}

#[test]
fn another_roles_ledger_is_read_with_a_warning_and_not_executed() {
    let mut plot = Plot::new("keeper");
    let (superuser, own) = (plot.db.url(), plot.url());
    plot.db.execute(&format!("GRANT CREATE ON SCHEMA public TO {}", plot.role));
    plot.sandbox.set("DATABASE_URL", &own);
    plot.sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    plot.sandbox.write("schema/a.kdl", "table t {\n    column id int\n    column b int\n}\n");
    plot.sandbox.ok(&["push", "two", "--auto-approve", "--allow", "all"]);
    let quiet = plot.sandbox.exits(0, &["status"]);
    assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
    plot.sandbox.set("DATABASE_URL", &superuser);
    let status = plot.sandbox.exits(0, &["status"]);
    assert!(
        status.stderr.contains(&format!("warning: this database's ledger is not yours alone: {}", plot.role)),
        "{status:?}"
    );
    assert!(status.stdout.contains("2 two"), "{status:?}");
    for command in [&["plan"][..], &["history"], &["show", "2"], &["drift"]] {
        let outcome = plot.sandbox.exits(0, command);
        assert!(outcome.stderr.contains("not yours alone"), "{command:?}: {outcome:?}");
    }
    // A plan that the project does not have is shown, and never run by somebody with more rights.
    let elsewhere = Sandbox::new(&plot.db);
    elsewhere.exits(0, &["show", "2"]);
    let outcome = elsewhere.exits(3, &["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert!(outcome.stderr.contains(&format!("connect as {}", plot.role)), "{outcome:?}");
    assert_eq!(plot.db.value("SELECT count(*) FROM setpoint.revision"), "2");
    plot.sandbox.set("DATABASE_URL", &own);
    plot.sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
}

#[test]
fn a_plain_member_of_the_owner_has_nothing_to_fear() {
    let mut plot = Plot::new("crew");
    let (superuser, own) = (plot.db.url(), plot.url());
    plot.db
        .execute(&format!("GRANT CREATE ON SCHEMA public TO {0}; CREATE ROLE {0}_deploy LOGIN IN ROLE {0}", plot.role));
    plot.sandbox.set("DATABASE_URL", &own);
    plot.sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    plot.sandbox.set("DATABASE_URL", &own.replacen(&plot.role, &format!("{}_deploy", plot.role), 1));
    let status = plot.sandbox.exits(0, &["status"]);
    assert!(!status.stderr.contains("warning"), "{status:?}");
    plot.sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    // With a right of its own it has something to lose.
    plot.db.execute(&format!("CREATE TABLE plot.mine (a int); ALTER TABLE plot.mine OWNER TO {}_deploy", plot.role));
    let status = plot.sandbox.exits(0, &["status"]);
    assert!(status.stderr.contains("not yours alone"), "{status:?}");
    plot.sandbox.set("DATABASE_URL", &superuser);
    plot.db.execute(&format!("DROP OWNED BY {0}_deploy; DROP ROLE {0}_deploy", plot.role));
}

#[test]
fn whoever_may_write_rows_is_named() {
    let plot = Plot::new("writer");
    plot.sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    let rights: &[(&str, &str)] = &[
        ("GRANT SELECT ON ALL TABLES IN SCHEMA setpoint TO {}", ""),
        ("GRANT INSERT ON setpoint.run TO {}", "may write to setpoint.run"),
        ("GRANT UPDATE (plan) ON setpoint.revision TO {}", "may write to setpoint.revision"),
        ("GRANT UPDATE ON SEQUENCE setpoint.event_id_seq TO PUBLIC", "PUBLIC may write to setpoint.event_id_seq"),
        ("GRANT pg_write_all_data TO {}", "is a member of pg_write_all_data"),
    ];
    for (grant, told) in rights {
        if grant.contains("pg_write_all_data") && crate::support::default_major() < 14 {
            continue;
        }
        plot.db.execute(&grant.replace("{}", &plot.role));
        let status = plot.sandbox.exits(0, &["status"]);
        assert_eq!(status.stderr.contains("warning"), !told.is_empty(), "{grant}: {status:?}");
        assert!(status.stderr.contains(told), "{grant}: {status:?}");
        let elsewhere = Sandbox::new(&plot.db);
        let outcome = elsewhere.run(&["rollback", "-1", "--auto-approve"]);
        assert!(outcome.stderr.contains("is not in plans/"), "{grant}: {outcome:?}");
        plot.db.execute(&format!("REVOKE ALL ON ALL TABLES IN SCHEMA setpoint FROM {0}, PUBLIC; REVOKE ALL ON ALL SEQUENCES IN SCHEMA setpoint FROM {0}, PUBLIC; REVOKE UPDATE (plan) ON setpoint.revision FROM {0}", plot.role));
    }
}

#[test]
fn default_privileges_give_nobody_the_ledger() {
    let plot = Plot::new("favoured");
    let both = |what: &str| {
        let role = &plot.role;
        let to = if what == "GRANT" { "TO" } else { "FROM" };
        format!(
            "ALTER DEFAULT PRIVILEGES {what} ALL ON TABLES {to} {role}, PUBLIC; ALTER DEFAULT PRIVILEGES {what} ALL ON SEQUENCES {to} {role}; \
             ALTER DEFAULT PRIVILEGES {what} ALL ON SCHEMAS {to} {role}, PUBLIC"
        )
    };
    plot.db.execute(&both("GRANT"));
    block_on(async {
        let session = plot.db.session().await;
        ledger::create(Ledger::default().pen(&session).expect("a pen"), ledger::EventTriggers::Refused)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        session.close().await;
    });
    plot.db.execute(&both("REVOKE"));
    let status = plot.sandbox.exits(0, &["status"]);
    assert!(!status.stderr.contains("warning"), "{status:?}");
    let shared = "SELECT count(*) FROM pg_class c, aclexplode(relacl) a WHERE relnamespace = 'setpoint'::regnamespace AND a.grantee <> relowner";
    assert_eq!(plot.db.value(shared), "0");
}

#[test]
fn making_the_ledger_fires_no_event_trigger_of_another_role() {
    let plot = Plot::new("fired");
    plot.run_as_role(
        "CREATE FUNCTION plot.seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM plot.own(); END $$",
    );
    plot.db.execute("CREATE EVENT TRIGGER fired ON ddl_command_end EXECUTE FUNCTION plot.seen()");
    // Taking that right back fires no event trigger: roles are not the database's.
    plot.db.execute(&format!("ALTER ROLE {} NOSUPERUSER", plot.role));
    let superuser = || plot.db.value(&format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", plot.role));
    std::fs::remove_file(plot.sandbox.path("schema/a.kdl")).expect("can be removed");
    plot.sandbox.ok(&["baseline", "--auto-approve"]);
    assert_eq!(superuser(), "f");
    plot.db.execute("DROP EVENT TRIGGER fired");
}

/// Before 17 nothing turns off an event trigger that fires in replicas, and whoever is not a superuser turns off none: the ledger is not made.
#[test]
fn making_the_ledger_asks_where_an_event_trigger_of_another_role_stays_on() {
    for mode in ["ENABLE ALWAYS", "ENABLE REPLICA", "ENABLE"] {
        let plot = Plot::new("stays");
        plot.run_as_role(
            "CREATE FUNCTION plot.seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM plot.own(); END $$",
        );
        plot.db.execute(&format!("CREATE EVENT TRIGGER stays ON ddl_command_end EXECUTE FUNCTION plot.seen(); ALTER EVENT TRIGGER stays {mode}"));
        plot.db.execute(&format!("ALTER ROLE {} NOSUPERUSER", plot.role));
        let superuser = || plot.db.value(&format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", plot.role));
        let plain = crate::support::default_major() >= 17 || mode == "ENABLE";
        plot.sandbox.ok(&["plan", "--save", "one", "--empty"]);
        let command = |line: &[&str]| {
            let outcome = plot.sandbox.run(line);
            assert_eq!(superuser(), "f", "{mode}: {line:?}: {outcome:?}");
            outcome
        };
        for line in [&["stamp", "1", "--auto-approve", "--force"][..], &["apply", "--auto-approve"]] {
            let outcome = command(line);
            assert_eq!(outcome.code, if plain { 0 } else { 3 }, "{mode}: {line:?}: {outcome:?}");
            if plain {
                break;
            }
            for word in ["plot.seen()", &plot.role, "stays", "ALTER EVENT TRIGGER", "ALTER FUNCTION"] {
                assert!(outcome.stderr.contains(word), "{word}: {outcome:?}");
            }
        }
        // The remedy.
        if !plain {
            plot.db.execute("ALTER EVENT TRIGGER stays DISABLE");
            assert_eq!(command(&["apply", "--auto-approve"]).code, 0);
        }
        plot.db.execute("ALTER EVENT TRIGGER stays DISABLE; DROP EVENT TRIGGER stays");
    }
}

#[test]
fn ledgers_of_older_layouts_are_recognised_and_brought_up_to_date() {
    let readings = [
        (1, ""),
        (
            2,
            "CREATE TABLE setpoint.reading (by_role text PRIMARY KEY, digest text NOT NULL, next bigint NOT NULL, body bytea NOT NULL);",
        ),
        (
            2,
            "CREATE TABLE setpoint.reading (by_role text PRIMARY KEY, digest text NOT NULL, next bigint NOT NULL, state bytea NOT NULL, addresses bytea NOT NULL);",
        ),
    ];
    for (layout, reading) in readings {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        sandbox.write("setpoint.kdl", MANAGED);
        sandbox.write("schema/a.kdl", "table t {\n    column id int\n}\n");
        sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
        db.execute(&format!("DROP TABLE setpoint.reading; {reading} UPDATE setpoint.meta SET value = '{layout}'"));
        sandbox.ok(&["status"]);
        sandbox.ok(&["plan", "--exit-code"]);
        // A planted table of the same name is not dropped on the way.
        sandbox.write("schema/a.kdl", "table t {\n    column id int\n    column b int\n}\n");
        sandbox.ok(&["push", "two", "--auto-approve", "--allow", "all"]);
        assert_eq!(db.value("SELECT value FROM setpoint.meta"), ledger::FORMAT.to_string());
        sandbox.ok(&["status"]);
        db.execute("UPDATE setpoint.meta SET value = '99'");
        let outcome = sandbox.exits(3, &["status"]);
        let (_, help) = outcome.stderr.split_once("INSERT").expect("a remedy");
        db.execute(&format!("INSERT{help}"));
        sandbox.ok(&["status"]);
    }
}

#[test]
fn a_later_layout_asks_for_a_later_setpoint() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", "table t {\n    column id int\n}\n");
    sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    db.execute("UPDATE setpoint.meta SET value = '99'; ALTER TABLE setpoint.run ADD later text");
    let outcome = sandbox.exits(3, &["status"]);
    assert!(outcome.stderr.contains("upgrade setpoint"), "{outcome:?}");
}
