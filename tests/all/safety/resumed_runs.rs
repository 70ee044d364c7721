//! An interrupted run does not permit the rest: whoever resumes it is asked again.

use crate::support::{Sandbox, TestDb};

const BEFORE: &str = "enum e a b\ntable t {\n    column id int\n    column v e\n}\n";
const AFTER: &str = "enum e a b c\ntable t {\n    column id int\n    column v e\n    column keep text\n}\n";

/// A project with two revisions, and rows that keep the way back from going through: a value that the enum is to lose.
fn halfway(db: &TestDb) -> Sandbox {
    let sandbox = Sandbox::new(db);
    sandbox.write("schema/a.kdl", BEFORE);
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    sandbox.write("schema/a.kdl", AFTER);
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    db.execute("INSERT INTO t VALUES (1, 'c', 'data')");
    sandbox
}

#[test]
fn a_rollback_that_failed_halfway_asks_again() {
    let db = TestDb::new();
    let sandbox = halfway(&db);
    assert_ne!(sandbox.run(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]).code, 0);
    db.execute("UPDATE t SET v = 'a'");
    let refused = sandbox.exits(3, &["rollback", "--to", "1", "--auto-approve"]);
    assert!(refused.stderr.contains("--allow"), "{}", refused.stderr);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT * FROM t"), ["1|a"]);
}

#[test]
fn a_rollback_that_is_to_drop_values_asks_again() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", "table a {\n    column id int\n}\n");
    sandbox.ok(&["push", "--auto-approve"]);
    sandbox.write(
        "schema/a.kdl",
        "table a {\n    column id int\n    column keep text\n}\ntable b {\n    column id int\n}\n",
    );
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    db.execute("INSERT INTO a VALUES (1, 'data'); INSERT INTO b VALUES (1)");
    // The way back has several transactions: whichever of them was the last, what is left needs its permission.
    let two = db.value("SELECT plan FROM setpoint.revision WHERE number = 2");
    assert!(two.contains("DROP"), "{two}");
    db.execute(
        "INSERT INTO setpoint.run SELECT 2, name, 'down', plan_hash, plan, 1, 2, session_user, now(), tool FROM setpoint.revision \
         WHERE number = 2",
    );
    let refused = sandbox.exits(3, &["rollback", "-1", "--auto-approve"]);
    assert!(refused.stderr.contains("data-loss"), "{}", refused.stderr);
    assert_eq!(db.query("SELECT * FROM a"), ["1|data"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT * FROM a"), ["1"]);
}

#[test]
fn a_push_that_did_nothing_leaves_no_plan() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", "table a {\n    column id int\n}\n");
    sandbox.ok(&["push", "--auto-approve"]);
    db.execute("INSERT INTO a VALUES (NULL)");
    sandbox.write("schema/a.kdl", "table a {\n    column id int not-null\n}\n");
    let failed = sandbox.run(&["push", "second", "--auto-approve", "--allow", "all"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("no part of plan 2 (second) was applied"), "{}", failed.stderr);
    assert!(!sandbox.path("plans/0002-second.kdl").exists());
    assert!(!sandbox.read("plans/chain.kdl").contains("second"));
    db.execute("UPDATE a SET id = 1");
    sandbox.ok(&["push", "second", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["check"]);
    assert_eq!(db.query("SELECT * FROM a"), ["1"]);
}

#[test]
fn a_push_that_did_something_keeps_its_plan() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", "enum e a\ntable a {\n    column id int\n}\n");
    sandbox.ok(&["push", "--auto-approve"]);
    db.execute("INSERT INTO a VALUES (NULL)");
    sandbox.write("schema/a.kdl", "enum e a b\ntable a {\n    column id int not-null\n}\n");
    let failed = sandbox.run(&["push", "second", "--auto-approve", "--allow", "all"]);
    assert!(failed.stderr.contains("was partly applied"), "{}", failed.stderr);
    assert!(failed.stderr.contains("`setpoint apply --to 2`"), "{}", failed.stderr);
    assert!(failed.stderr.contains("`setpoint rollback --to 1`"), "{}", failed.stderr);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
}
