//! Options of foreign objects that hold secrets: set where they are missing, never read, never shown.

use crate::support::{Sandbox, TestDb, files};

const SECRET: &str = "it's 100% $secret$ %L";
const FILE: &str = "server.kdl";
const SCHEMA: &str = "
foreign-data-wrapper w
server s wrapper=w {
    options host=h
    user-mapping public {
        options user=reader
        secret password env=SETPOINT_SECRET_FAR
    }
}
";

fn options(db: &TestDb) -> String {
    db.value("SELECT array_to_string(umoptions, ';') FROM pg_user_mappings")
}

/// All that a project and its ledger hold, and what the program said, without the secret.
fn keeps_still(db: &TestDb, sandbox: &Sandbox, said: &str) {
    let tables = "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'setpoint'::regnamespace";
    let ledger = db.query(&format!("SELECT table_to_xml(oid::regclass, true, true, '') {tables}")).join("\n");
    let files = files(&sandbox.path("."), "kdl").into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    for text in files.chain([ledger, said.to_owned()]) {
        assert!(!text.contains("$secret$"), "{text}");
    }
}

#[test]
fn a_secret_comes_from_the_environment_where_it_is_missing() {
    let db = TestDb::new();
    let mut sandbox = Sandbox::new(&db);
    sandbox.write(&format!("schema/{FILE}"), SCHEMA);
    // Putting a secret in asks for nothing.
    let push = ["push", "--auto-approve"];
    let failed = sandbox.run(&push);
    assert!(failed.stderr.contains("the environment variable SETPOINT_SECRET_FAR is not set"), "{}", failed.stderr);
    // The step says what it takes; a scratch database gets a stand-in.
    sandbox.ok(&["plan", "--save", "far"]);
    assert!(sandbox.read("plans/0001-far.kdl").contains("secrets SETPOINT_SECRET_FAR\n"));
    // Only a superuser may make wrappers.
    sandbox.ok(&["prove", "1", "--trust-files"]);
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    let said = sandbox.exits(0, &["apply", "--auto-approve"]);
    assert_eq!(options(&db), format!("user=reader;password={SECRET}"));
    keeps_still(&db, &sandbox, &format!("{}{}", said.stdout, said.stderr));
    sandbox.exits(0, &["plan", "--exit-code"]);

    // What others set is right, whatever it is; what is gone is set again.
    db.execute("ALTER USER MAPPING FOR public SERVER s OPTIONS (SET password 'other', ADD token 'x')");
    sandbox.exits(0, &["plan", "--exit-code"]);
    db.execute("ALTER USER MAPPING FOR public SERVER s OPTIONS (DROP password)");
    sandbox.exits(2, &["plan", "--exit-code"]);
    sandbox.exits(0, &push);
    assert_eq!(options(&db), format!("user=reader;token=x;password={SECRET}"));
    sandbox.exits(0, &["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(options(&db), "user=reader;token=x");
    keeps_still(&db, &sandbox, &sandbox.ok(&["history"]));

    sandbox.exits(0, &["apply", "--auto-approve", "--allow", "all"]);

    // A hazard stands before what would lose one.
    sandbox.write(&format!("schema/{FILE}"), "foreign-data-wrapper w\nserver s wrapper=w {\n    options host=h\n}\n");
    let refused = sandbox.run(&["push", "--auto-approve"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("data-loss") || refused.stdout.contains("data-loss"), "{refused:?}");
}

#[test]
fn a_plan_of_an_earlier_build_gets_its_secrets() {
    let db = TestDb::new();
    let mut sandbox = Sandbox::new(&db);
    sandbox.write(&format!("schema/{FILE}"), SCHEMA);
    sandbox.ok(&["plan", "--save", "far"]);
    // Its steps did not say which variables they take.
    let path = "plans/0001-far.kdl";
    let lines: Vec<String> = sandbox.read(path).lines().map(str::to_owned).collect();
    let older: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.trim().starts_with("secrets ")).collect();
    assert!(older.len() < lines.len());
    sandbox.write(path, &format!("{}\n", older.join("\n")));
    sandbox.ok(&["seal", "1"]);
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    sandbox.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(options(&db), format!("user=reader;password={SECRET}"));
}

#[test]
fn an_error_does_not_show_the_statement_that_held_a_secret() {
    let db = TestDb::with(
        "CREATE FUNCTION checks(text[], oid) RETURNS void LANGUAGE plpgsql AS \
         $$ BEGIN IF 'password=' || 'it''s 100% $' || 'secret$ %L' = ANY ($1) THEN RAISE 'this server takes no passwords'; END IF; END $$",
    );
    let mut sandbox = Sandbox::new(&db);
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    sandbox.ok(&["pull"]);
    let checked = SCHEMA.replace("foreign-data-wrapper w", "foreign-data-wrapper w validator=checks");
    sandbox.write(&format!("schema/{FILE}"), &checked);
    let failed = sandbox.run(&["push", "--auto-approve", "--allow", "all"]);
    assert!(failed.stderr.contains("this server takes no passwords"), "{}", failed.stderr);
    assert!(!format!("{failed:?}").contains("secret$"), "{failed:?}");
    // The statement that failed, with the secret painted over, and not the block around it.
    let statement = "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (\"user\" 'reader', password '******')";
    assert!(failed.stderr.contains(statement) && !failed.stderr.contains("DO $"), "{}", failed.stderr);
}

#[test]
fn what_the_role_may_not_read_is_left_alone() {
    let db = TestDb::with(
        "CREATE ROLE secrets_owner; GRANT CREATE ON SCHEMA public TO secrets_owner; \
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; ALTER SERVER s OWNER TO secrets_owner; \
         CREATE USER MAPPING FOR pg_monitor SERVER s OPTIONS (\"user\" 'a', password 'b')",
    );
    let mut sandbox = Sandbox::new(&db);
    sandbox.set("PGOPTIONS", "-c role=secrets_owner");
    sandbox.ok(&["pull"]);
    let text = sandbox.read("schema/servers.kdl");
    assert!(text.contains("user-mapping pg_monitor unreadable"), "{text}");
    sandbox.exits(0, &["plan", "--exit-code"]);
    sandbox.write(
        "schema/servers.kdl",
        &text.replace("pg_monitor unreadable", "pg_monitor {\n        options user=c\n    }"),
    );
    sandbox.exits(0, &["plan", "--exit-code"]);
    sandbox.set("PGOPTIONS", "");
    sandbox.exits(2, &["plan", "--exit-code"]);
    db.execute("DROP USER MAPPING FOR pg_monitor SERVER s; DROP SERVER s; DROP OWNED BY secrets_owner; DROP ROLE secrets_owner");
}
