//! A counselling and retrieval platform: 17 tables built by hand are adopted, and later changes work.

use std::fmt::Write as _;

use super::{edit, says};
use crate::support::{Sandbox, TestDb};

/// The tables, each with what it refers to.
const TABLES: &[(&str, &[&str])] = &[
    ("users", &[]),
    ("visitors", &[]),
    ("cases", &["visitors", "users"]),
    ("sessions", &["cases"]),
    ("reports", &["sessions"]),
    ("jobs", &["sessions"]),
    ("reminders", &["cases"]),
    ("agents", &["users"]),
    ("agent_versions", &["agents"]),
    ("datasources", &[]),
    ("documents", &["datasources"]),
    ("chunks", &["documents"]),
    ("embeddings", &["chunks"]),
    ("collections", &["users"]),
    ("collection_items", &["collections", "documents"]),
    ("chat_logs", &["agents", "users"]),
    ("pipeline_runs", &["datasources"]),
];

/// What somebody once typed.
fn by_hand() -> String {
    let mut sql = String::new();
    for (name, refers) in TABLES {
        let _ = write!(sql, "CREATE TABLE {name} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), ");
        for other in *refers {
            let _ = write!(sql, "{other}_id uuid NOT NULL REFERENCES {other} ON DELETE CASCADE, ");
        }
        let _ = write!(sql, "meta jsonb NOT NULL DEFAULT '{{}}', created_at timestamptz NOT NULL DEFAULT now());");
        for other in *refers {
            let _ = write!(sql, "CREATE INDEX {name}_{other} ON {name} ({other}_id);");
        }
    }
    sql + "INSERT INTO users DEFAULT VALUES; INSERT INTO visitors DEFAULT VALUES;"
}

fn adopted() -> (TestDb, Sandbox) {
    let db = TestDb::with(&by_hand());
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.ok(&["baseline", "--auto-approve"]);
    (db, sandbox)
}

fn describe_users(sandbox: &Sandbox, name: &str) {
    let wish = "    column nickname text\n    primary-key";
    edit(sandbox, "schema/public/tables/users.kdl", "    primary-key", wish);
    sandbox.ok(&["plan", "--save", name]);
}

#[test]
fn tables_made_by_hand_are_taken_over() {
    let (db, sandbox) = adopted();
    assert_eq!(crate::support::files(&sandbox.path("schema"), ".kdl").len(), TABLES.len());
    sandbox.ok(&["plan", "--exit-code", "--strict"]);
    sandbox.ok(&["check"]);
    describe_users(&sandbox, "nicknames");
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--exit-code"]);
    assert_eq!(db.value("SELECT count(*) FROM users WHERE nickname IS NULL"), "1");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "data-loss"]);
    // The tables themselves were not made by a plan: nothing takes them back.
    says(&sandbox.exits(3, &["rollback", "-1", "--auto-approve", "--allow", "all"]), &["never ran on this database"]);
    assert_eq!(db.value("SELECT count(*) FROM users"), "1");
}

#[test]
fn the_look_from_three_sides() {
    let (db, sandbox) = adopted();
    // What the ledger says, what the files say, what the database holds: all agree.
    says(&sandbox.exits(0, &["status"]), &["1 baseline", "pending     nothing", "drift       none"]);
    // The files say more: no plan leads there yet; then a plan waits.
    let file = "schema/public/tables/users.kdl";
    edit(&sandbox, file, "    primary-key", "    column nickname text\n    primary-key");
    says(&sandbox.exits(1, &["check"]), &["that no plan contains", "setpoint plan --save NAME"]);
    says(&sandbox.exits(2, &["plan", "--exit-code"]), &["+ column nickname"]);
    sandbox.ok(&["plan", "--save", "nicknames"]);
    says(&sandbox.exits(0, &["status"]), &["pending     2 nicknames"]);
    // The database holds more: somebody was there by hand.
    db.execute("ALTER TABLE cases ADD COLUMN by_hand int");
    says(&sandbox.exits(0, &["status"]), &["1 object", "drift"]);
    says(&sandbox.exits(2, &["drift"]), &["+ column public.cases.by_hand"]);
    // What the plan does not touch does not stop it.
    sandbox.ok(&["apply", "--auto-approve"]);
}

#[test]
fn relation_already_exists() {
    // Somebody wrote the tables down for a new database; production has them already.
    let (_db, mut sandbox) = adopted();
    let production = TestDb::with(&by_hand());
    sandbox.point_to(&production);
    let outcome = sandbox.exits(4, &["apply", "--auto-approve"]);
    says(&outcome, &["table public.users exists already", "by hand", "setpoint stamp 1", "setpoint baseline"]);
    assert_eq!(production.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'setpoint'"), "0");
    sandbox.ok(&["stamp", "1", "--auto-approve"]);
    describe_users(&sandbox, "nicknames");
    sandbox.ok(&["apply", "--auto-approve"]);
    assert_eq!(production.value("SELECT count(nickname) FROM users"), "0");

    // A new column that somebody has added by hand, too.
    let (db, sandbox) = adopted();
    describe_users(&sandbox, "nicknames");
    db.execute("ALTER TABLE users ADD COLUMN nickname text");
    let outcome = sandbox.exits(4, &["apply", "--auto-approve"]);
    says(&outcome, &["column public.users.nickname exists already", "help:"]);
}

#[test]
fn files_that_declare_nothing() {
    // A folder that nobody filled is what models that nobody imported were.
    let db = TestDb::with(&by_hand());
    let sandbox = Sandbox::new(&db).rehearsing();
    let outcome = sandbox.exits(2, &["plan", "--exit-code"]);
    says(&outcome, &["schema/ declares nothing", "setpoint baseline", "data-loss"]);
    says(&sandbox.exits(3, &["push", "--auto-approve"]), &["schema/ declares nothing", "data-loss"]);
    assert_eq!(db.value("SELECT count(*) FROM users"), "1");
}

#[test]
fn a_reset_is_an_empty_database_and_all_plans() {
    let (_db, mut sandbox) = adopted();
    describe_users(&sandbox, "nicknames");
    let fresh = TestDb::new();
    sandbox.point_to(&fresh);
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--exit-code"]);
    assert_eq!(fresh.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "17");
}

#[test]
fn staging_comes_before_production_and_the_pooler_is_for_the_application() {
    let (staging, mut sandbox) = adopted();
    let production = TestDb::with(&by_hand());
    sandbox.set("DATABASE_URL", "postgresql://app@127.0.0.1:1/pooler");
    sandbox.set("DATABASE_URL_DIRECT", &staging.url());
    sandbox.set("PRODUCTION_URL_DIRECT", &production.url());
    let project = "env staging url-from=DATABASE_URL_DIRECT\nenv production url-from=PRODUCTION_URL_DIRECT\n";
    sandbox.write("setpoint.kdl", project);
    // The pooler's address is the one that everybody has set; the direct one is chosen once, in `.env`, or by name.
    says(&sandbox.exits(1, &["status"]), &["no server accepts connections"]);
    sandbox.write(".env", "SETPOINT_ENV=staging\n");
    says(&sandbox.exits(0, &["status"]), &[staging.connect.database()]);
    describe_users(&sandbox, "nicknames");
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["--env", "production", "stamp", "1", "--auto-approve"]);
    // After each pull, what is new.
    says(&sandbox.exits(0, &["--env", "production", "status"]), &["pending     2 nicknames"]);
    sandbox.ok(&["--env", "production", "apply", "--auto-approve"]);
    says(&sandbox.exits(0, &["--env", "production", "status"]), &[production.connect.database(), "2 nicknames"]);
    sandbox.ok(&["--env", "production", "rollback", "-1", "--auto-approve", "--allow", "data-loss"]);
    assert_eq!(staging.value("SELECT max(number) FROM setpoint.revision"), "2");
    assert_eq!(production.value("SELECT max(number) FROM setpoint.revision"), "1");
}
