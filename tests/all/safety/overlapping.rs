//! Two relative commands that overlap mean the same revision: `rollback -1` twice at once takes back one, `apply +1` twice at once
//! applies one, and none touches what came after it was given.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use setpoint::apply::{self, Goal, Options, Silent, Target};
use setpoint::catalog::Session;
use setpoint::ledger::{Ledger, lock};
use setpoint::model::Class;
use setpoint::plan::chain::Chain;

use crate::support::{Sandbox, TestDb, program, wait};

/// Four revisions of a table each, with rows, of which the first `at` are applied.
fn bench(at: u32) -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    for last in 1..=4 {
        let tables = (1..=last).map(|at| format!("table t{at} {{\n    column id int\n}}\n")).collect::<String>();
        sandbox.write("schema/a.kdl", &tables);
        sandbox.ok(&["push", &format!("n{last}"), "--auto-approve"]);
        db.execute(&format!("INSERT INTO t{last} VALUES (1)"));
    }
    sandbox.ok(&["rollback", "--to", &at.to_string(), "--auto-approve", "--allow", "all"]);
    (db, sandbox)
}

fn start(sandbox: &Sandbox, db: &TestDb, command: &[&str]) -> Child {
    let mut run = Command::new(program());
    run.args(command).args(["--auto-approve", "--allow", "all", "--wait", "60"]);
    run.current_dir(sandbox.path(".")).env("DATABASE_URL", db.url()).env("NO_COLOR", "1");
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Runs the command twice at once: both wait for a third setpoint before either begins.
fn twice(sandbox: &Sandbox, db: &TestDb, command: &[&str]) -> String {
    let (mut children, begun) = (Vec::new(), Instant::now());
    wait(async {
        let third = Session::open(&db.connect, "third").await.expect("connects");
        lock::take(&third, Duration::ZERO, &mut |_| ()).await.expect("nobody else is here");
        children.extend([start(sandbox, db, command), start(sandbox, db, command)]);
        let waiting = "SELECT count(*) = 2 FROM pg_catalog.pg_stat_activity WHERE datname = current_database() \
                       AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid() AND query NOT LIKE '%pg_stat_activity%'";
        while !third.rows(waiting, &[]).await.expect("it reads").remove(0).next::<bool>() {
            assert!(begun.elapsed() < Duration::from_secs(30), "they do not wait");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        lock::release(&third).await;
        third.close().await;
    });
    let ended = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    });
    ended.collect()
}

#[test]
fn two_rollbacks_by_one_take_back_one() {
    let (db, sandbox) = bench(4);
    let said = twice(&sandbox, &db, &["rollback", "-1"]);
    assert_eq!(db.query("SELECT id FROM t3"), ["1"], "{said}");
    assert_eq!(db.query("SELECT max(number), to_regclass('t4') IS NULL FROM setpoint.revision"), ["3|t"], "{said}");
    assert!(said.contains("another rollback led to revision 3 while this one waited"), "{said}");
    assert_eq!(db.query("SELECT * FROM setpoint.meta WHERE key = 'headed'"), [""; 0]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "2");
}

#[test]
fn two_applies_by_one_apply_one() {
    let (db, sandbox) = bench(1);
    let said = twice(&sandbox, &db, &["apply", "+1"]);
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "2", "{said}");
    assert!(said.contains("revision 2 was reached while this command waited"), "{said}");
    sandbox.ok(&["apply", "+1", "--auto-approve"]);
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "3");
}

/// What a person agreed to is what was there then.
#[test]
fn what_came_meanwhile_is_left_alone() {
    let (db, sandbox) = bench(4);
    let ledger = wait(async { Ledger::read(&db.session().await).await.unwrap() });
    let third = ledger.revision(3).map(|revision| (3, revision.plan_hash));
    let options = Options { allow: apply::Allow { all: true, ..Default::default() }, ..Options::default() };
    let seen = Target::Seen { goal: 2, newest: third };
    let error = wait(apply::rollback(&db.connect, seen, &options, &mut Silent)).unwrap_err();
    assert_eq!(error.class, Class::Stale, "{error}");
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "4");
    sandbox.ok(&["rollback", "--to", "2", "--auto-approve", "--allow", "all"]);
    let chain = Chain::read(&sandbox.path("plans")).unwrap();
    let seen = Goal::Seen { goal: 4, from: 3 };
    let error = wait(apply::run(&db.connect, &chain, seen, &options, &mut Silent)).unwrap_err();
    assert_eq!(error.class, Class::Stale, "{error}");
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "2");
}
