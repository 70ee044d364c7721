//! Login triggers (PostgreSQL 17): functions that others own do not run as the superuser who connects, whatever was so before.

use crate::support::{Outcome, Sandbox, TestDb, installed, skipped};

/// A database that one role owns and another may write to; each has a function that a login trigger calls, and makes its owner a
/// superuser where it runs with a superuser's rights.
struct Scene {
    db: TestDb,
    sandbox: Sandbox,
    mallory: String,
    owner: String,
    boss: String,
}

impl Scene {
    fn new(db: TestDb) -> Self {
        let name = |role: &str| format!("login_{role}_{}_{}", std::process::id(), db.connect.database());
        let (mallory, owner, boss) = (name("mallory"), name("owner"), name("boss"));
        let database = db.connect.database();
        db.execute(&format!(
            "CREATE ROLE {mallory}; CREATE ROLE {owner} LOGIN; CREATE ROLE {boss} LOGIN SUPERUSER; \
             ALTER DATABASE {database} OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {mallory}, {owner}; \
             CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2); ALTER TABLE t OWNER TO {owner}; \
             CREATE SEQUENCE seen"
        ));
        let mut sandbox = Sandbox::new(&db);
        let user = format!("//{}@", db.connect.user());
        sandbox.set("DATABASE_URL", &db.url().replacen(&user, &format!("//{boss}@"), 1));
        sandbox.set("XDG_CACHE_HOME", &sandbox.path("cache").display().to_string());
        Self { db, sandbox, mallory, owner, boss }
    }

    /// Both roles' functions, as a superuser of a careless kind has made triggers of them.
    fn plant(&self) {
        for role in [&self.mallory, &self.owner] {
            self.db.execute(&format!(
                "CREATE FUNCTION at_{role}() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF pg_catalog.current_setting('is_superuser')::bool \
                 AND pg_catalog.current_setting('application_name') OPERATOR(pg_catalog.<>) 'setpoint test' \
                 THEN PERFORM pg_catalog.nextval('public.seen'); ALTER ROLE {role} SUPERUSER; END IF; END $$; \
                 ALTER FUNCTION at_{role}() OWNER TO {role}; \
                 CREATE EVENT TRIGGER {role} ON login EXECUTE FUNCTION at_{role}(); ALTER EVENT TRIGGER {role} ENABLE ALWAYS"
            ));
        }
    }

    fn nothing_ran(&self, what: &str, outcome: &Outcome) {
        let (mallory, owner) = (&self.mallory, &self.owner);
        let promoted = format!("SELECT count(*) FROM pg_roles WHERE rolname IN ('{mallory}', '{owner}') AND rolsuper");
        assert_eq!(self.db.value(&promoted), "0", "somebody is superuser after {what}: {outcome:?}");
        assert_eq!(self.db.value("SELECT is_called FROM seen"), "f", "{what}: {outcome:?}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let (mallory, owner, boss) = (&self.mallory, &self.owner, &self.boss);
        let dropped = self.db.try_execute(&format!(
            "ALTER DATABASE {} OWNER TO CURRENT_USER; DROP OWNED BY {mallory}, {owner}, {boss} CASCADE; \
             DROP ROLE {mallory}, {owner}, {boss}",
            self.db.connect.database()
        ));
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}

#[test]
fn nobody_runs_as_the_superuser_who_connects() {
    let mut any = false;
    for binaries in installed().iter().filter(|binaries| (17..=18).contains(&binaries.major)) {
        any = true;
        let scene = Scene::new(TestDb::on(binaries.major));
        scene.db.execute(
            "CREATE SCHEMA audit; CREATE TABLE audit.log (tag text); CREATE FUNCTION audit.note() RETURNS event_trigger \
             LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit.log VALUES (TG_TAG); END $$; \
             CREATE EVENT TRIGGER audit ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION audit.note()",
        );
        scene.plant();
        let run = |arguments: &[&str]| {
            let outcome = scene.sandbox.exits(0, arguments);
            scene.nothing_ran(&format!("{arguments:?} on {}", binaries.major), &outcome);
        };
        run(&["status"]);
        run(&["baseline", "--auto-approve"]);
        scene.db.execute("TRUNCATE audit.log");
        scene.sandbox.write("schema/more.kdl", "table more {\n    column a int\n}\n");
        run(&["plan", "--save", "more"]);
        run(&["apply", "--auto-approve", "--allow", "all"]);
        // What watches changes still does.
        assert_eq!(scene.db.value("SELECT count(*) FROM audit.log"), "1", "the audit saw it");
        for arguments in [&["status"][..], &["plan"], &["check"], &["drift"], &["pull"], &["show", "1"]] {
            run(arguments);
        }
        run(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        assert_eq!(scene.db.query("SELECT a FROM t"), ["1", "2"]);
        assert_eq!(scene.db.value("SELECT to_regclass('more') IS NULL"), "t");
    }
    if !any {
        skipped("nobody runs as the superuser who connects", "it takes PostgreSQL 17");
    }
}

/// Nothing that was true of an earlier command lets a later one connect without protection.
#[test]
fn whoever_becomes_a_superuser_is_protected_at_once() {
    for binaries in installed().iter().filter(|binaries| (17..=18).contains(&binaries.major)) {
        let scene = Scene::new(TestDb::on(binaries.major));
        scene.plant();
        scene.db.execute(&format!("ALTER ROLE {} NOSUPERUSER", scene.boss));
        scene.sandbox.ok(&["status"]);
        scene.sandbox.ok(&["status"]);
        scene.db.execute(&format!("ALTER ROLE {} SUPERUSER", scene.boss));
        let outcome = scene.sandbox.exits(0, &["status"]);
        scene.nothing_ran(&format!("status on {}", binaries.major), &outcome);
        assert!(!scene.sandbox.path("cache/setpoint/event-triggers").exists(), "something is remembered");
    }
}

/// What an older server does not know is not tried at every command, which would fill its log; another server at its place is tried.
#[test]
fn an_older_server_refuses_once() {
    let majors = installed();
    let Some(older) = majors.iter().find(|binaries| binaries.major < 17) else {
        return skipped("an older server refuses once", "it takes a PostgreSQL before 17");
    };
    let db = TestDb::on(older.major);
    let mut sandbox = Sandbox::new(&db);
    let cache = sandbox.path("cache");
    sandbox.set("XDG_CACHE_HOME", &cache.display().to_string());
    sandbox.ok(&["status"]);
    let kept = sandbox.read("cache/setpoint/older-servers");
    assert_eq!(kept.lines().count(), 1, "{kept}");
    sandbox.ok(&["status"]);
    assert_eq!(sandbox.read("cache/setpoint/older-servers"), kept, "it was tried again");
    let line = kept.split(' ').next().expect("a server");
    let long_ago = format!("{line} 1000000000\n");
    sandbox.write("cache/setpoint/older-servers", &long_ago);
    sandbox.ok(&["status"]);
    assert_ne!(sandbox.read("cache/setpoint/older-servers"), long_ago, "it was not tried again");
}

/// Databases may be called anything: what is said about one of that name is not about the setting.
#[test]
fn a_name_does_not_turn_the_protection_off() {
    let scene = Scene::new(TestDb::new());
    let error = "database \"event_triggers\" is not currently accepting connections";
    let databases = "SELECT count(*) FROM pg_database WHERE datname = 'event_triggers'";
    assert_eq!(scene.db.value(databases), "0");
    scene.db.execute("CREATE DATABASE event_triggers");
    scene.db.execute("ALTER DATABASE event_triggers ALLOW_CONNECTIONS false");
    let mut sandbox = Sandbox::new(&scene.db);
    let url = scene.db.url();
    sandbox.set("XDG_CACHE_HOME", &sandbox.path("cache").display().to_string());
    sandbox.set("DATABASE_URL", &url.replacen(&format!("/{}", scene.db.connect.database()), "/event_triggers", 1));
    let outcome = sandbox.run(&["status"]);
    scene.db.execute("DROP DATABASE event_triggers");
    assert!(outcome.code == 1 && outcome.stderr.contains(error), "{outcome:?}");
}
