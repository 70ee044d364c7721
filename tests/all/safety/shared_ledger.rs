//! A ledger that another role owns: a superuser writes to it, and none of that role's code runs as the superuser, whatever the role does
//! meanwhile.

use std::time::{Duration, Instant};

use setpoint::catalog::Session;
use setpoint::ledger::Ledger;

use crate::support::{Outcome, TestDb, wait};
use crate::teams::{by_hand, write_steps};

use super::planted_ledger::{FORMS, Plot};

const ONE: &str = "table t {\n    column id int\n}\n";

/// A database that its owner keeps with setpoint, and a project in which the next plan is the superuser's to apply.
fn adopted(name: &str) -> Plot {
    let mut plot = Plot::new(name);
    let (superuser, own) = (plot.db.url(), plot.url());
    plot.db.execute(&format!("GRANT CREATE ON SCHEMA public TO {}", plot.role));
    plot.sandbox.set("DATABASE_URL", &own);
    plot.sandbox.write("schema/a.kdl", ONE);
    plot.sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    plot.db.execute("INSERT INTO t VALUES (1), (2)");
    plot.sandbox.write("schema/a.kdl", "table t {\n    column id int\n    column b int\n}\n");
    plot.sandbox.ok(&["plan", "--save", "two"]);
    plot.sandbox.set("DATABASE_URL", &superuser);
    plot
}

fn revisions(db: &TestDb) -> String {
    db.value("SELECT coalesce(string_agg(number || ' ' || name, ', ' ORDER BY number), '') FROM setpoint.revision")
}

#[test]
fn a_superuser_deploys_where_the_owner_of_the_database_adopted_it() {
    let mut plot = adopted("adopter");
    let warning = format!("warning: this database's ledger is not yours alone: {}", plot.role);
    let warned = |outcome: &Outcome| {
        assert_eq!(outcome.stderr.matches(&warning).count(), 1, "{outcome:?}");
    };
    warned(&plot.sandbox.exits(0, &["apply", "--auto-approve"]));
    assert_eq!(revisions(&plot.db), "1 one, 2 two");
    assert_eq!(plot.db.value("SELECT by_role FROM setpoint.revision WHERE number = 2"), plot.db.connect.user());
    plot.sandbox.write("schema/a.kdl", "table t {\n    column id int\n    column b int\n    index t_b b\n}\n");
    warned(&plot.sandbox.exits(0, &["push", "three", "--auto-approve", "--allow", "all"]));
    // A step outside of transactions, which is noted before and after.
    plot.sandbox.ok(&["plan", "--save", "four", "--empty"]);
    let steps = by_hand("VACUUM public.t", "VACUUM public.t").replace("transaction=1", "transaction=1 run=alone");
    write_steps(&plot.sandbox, "plans/0004-four.kdl", &steps);
    plot.sandbox.ok(&["seal", "4"]);
    warned(&plot.sandbox.exits(0, &["apply", "--auto-approve", "--allow", "all"]));
    assert_eq!(revisions(&plot.db), "1 one, 2 two, 3 three, 4 four");
    assert_eq!(plot.db.value("SELECT count(*) FROM setpoint.journal"), "0");
    warned(&plot.sandbox.exits(0, &["rollback", "-1", "--auto-approve", "--allow", "all"]));
    warned(&plot.sandbox.exits(0, &["rollback", "--to", "1", "--auto-approve", "--allow", "all"]));
    assert_eq!(revisions(&plot.db), "1 one");
    warned(&plot.sandbox.exits(0, &["apply", "+1", "--auto-approve"]));
    warned(&plot.sandbox.exits(0, &["stamp", "1", "--auto-approve", "--force"]));
    assert_eq!(revisions(&plot.db), "1 one");
    assert_eq!(plot.db.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM t"), "1,2");
    // The owner goes on where the superuser stopped.
    plot.db.execute("ALTER TABLE t DROP COLUMN b");
    let own = plot.url();
    plot.sandbox.set("DATABASE_URL", &own);
    let outcome = plot.sandbox.exits(0, &["apply", "3", "--auto-approve", "--allow", "all"]);
    assert!(!outcome.stderr.contains("warning"), "{outcome:?}");
    assert_eq!(revisions(&plot.db), "1 one, 2 two, 3 three");
}

#[test]
fn what_a_step_runs_as_the_owner_does_not_reach_the_journal() {
    let plot = adopted("stepper");
    // Runs as the owner of the table, who owns the ledger too, in the transaction that holds the locks.
    plot.run_as_role(
        "CREATE FUNCTION plot.check(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
         IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'z') THEN EXECUTE 'CREATE TRIGGER z BEFORE INSERT ON setpoint.journal FOR EACH ROW EXECUTE FUNCTION plot.fire()'; END IF; RETURN true; END $$",
    );
    plot.sandbox.ok(&["apply", "--auto-approve"]);
    plot.sandbox.write(
        "schema/a.kdl",
        "table t {\n    column id int\n    column b int\n    check t_id \"plot.check(id)\" not-valid=#false\n}\n",
    );
    plot.sandbox.ok(&["plan", "--save", "three"]);
    let outcome = plot.sandbox.run(&["apply", "--auto-approve", "--allow", "all"]);
    plot.held("a step", &outcome);
    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("z on table setpoint.journal"), "{outcome:?}");
    assert_eq!(plot.db.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'z'"), "0");
    assert_eq!(revisions(&plot.db), "1 one, 2 two");
}

#[test]
fn what_changes_a_ledger_waits_for_whoever_writes_to_it() {
    const MORE: &[(&str, &str)] = &[
        ("a rename", "ALTER SCHEMA setpoint RENAME TO gone"),
        ("a right on it", "GRANT CREATE ON SCHEMA setpoint TO PUBLIC"),
        ("a drop", "DROP SCHEMA setpoint CASCADE"),
        ("a table away", "ALTER TABLE setpoint.meta SET SCHEMA plot"),
        ("statistics elsewhere", "CREATE STATISTICS plot.z ON number, name FROM setpoint.revision"),
        ("statistics of an expression", "CREATE STATISTICS plot.z ON (plot.same(name)) FROM setpoint.revision"),
        ("a plain child", "CREATE TABLE plot.child () INHERITS (setpoint.run)"),
        ("an index built beside", "CREATE INDEX CONCURRENTLY z ON setpoint.run (plot.same('a'))"),
        ("an index dropped", "ALTER TABLE setpoint.run DROP CONSTRAINT run_pkey"),
    ];
    let plot = Plot::new("waiter");
    plot.ledger();
    let mut unheld = Vec::new();
    for (what, sql) in FORMS.iter().chain(MORE).filter(|(what, _)| *what != "a foreign table") {
        wait(async {
            let ours = plot.db.session().await;
            let ledger = Ledger::read(&ours).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            let pen = ledger.pen(&ours).expect("a superuser may");
            assert!(pen.is_careful());
            ours.batch("BEGIN").await.expect("a transaction");
            pen.seal().await.unwrap_or_else(|error| panic!("{what}: {error}"));
            let theirs = plot.db.session().await;
            let user = format!("SET SESSION AUTHORIZATION {}; SET lock_timeout = 100", plot.role);
            theirs.batch(&user).await.expect("settings");
            if let Err(error) = theirs.batch(&sql.replace("INCREMENT 0x", "INCREMENT 2")).await {
                // PostgreSQL 13 does not know statistics of expressions.
                let known = error.sqlstate.as_deref() == Some("55P03")
                    || ours.version.major() < 14 && *what == "statistics of an expression";
                assert!(known, "{what}: {error}");
            } else {
                unheld.push(*what);
            }
            write(&ours, what).await;
            ours.batch("COMMIT").await.expect("the end");
            ours.close().await;
            theirs.close().await;
        });
        let superuser = plot.db.value(&format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", plot.role));
        assert_eq!(superuser, "f", "{what}");
        if unheld.last() == Some(what) {
            plot.db.execute("DROP SCHEMA setpoint CASCADE");
            plot.ledger();
        }
    }
    // What has nothing to do with a table of ours.
    let harmless =
        ["a composite type", "a function", "an operator", "a collation", "default privileges", "another table"];
    assert_eq!(unheld, harmless);
}

/// Writes in every way that we write.
async fn write(session: &Session, what: &str) {
    let sql = "INSERT INTO setpoint.run VALUES (1, '', 'up', '', '', 1, 0, '', now(), ''); UPDATE setpoint.run SET top = 1; \
         INSERT INTO setpoint.revision VALUES (1, '', '', '', '', now(), '', '', ''); \
         INSERT INTO setpoint.event (number, name, plan_hash, what, by_role, at, tool, plan) VALUES (1, '', '', '', '', now(), '', ''); \
         INSERT INTO setpoint.journal VALUES (1, 'up', 1, 1, true, now()) ON CONFLICT (number, direction, step, sub) DO UPDATE SET done = true; \
         INSERT INTO setpoint.meta VALUES ('headed', '') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value; \
         DELETE FROM setpoint.meta WHERE key = 'headed'; DELETE FROM setpoint.run; DELETE FROM setpoint.revision; \
         DELETE FROM setpoint.journal";
    session.batch(sql).await.unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn a_ledger_that_changes_after_it_was_read_is_not_written_to() {
    let changes = [
        "CREATE TRIGGER z BEFORE INSERT ON setpoint.run FOR EACH ROW EXECUTE FUNCTION plot.fire()",
        "CREATE RULE z AS ON INSERT TO setpoint.run DO ALSO SELECT plot.own()",
        "ALTER SCHEMA setpoint RENAME TO gone; CREATE SCHEMA setpoint; \
         CREATE VIEW setpoint.run AS SELECT * FROM gone.run; CREATE RULE z AS ON INSERT TO setpoint.run DO INSTEAD SELECT plot.own()",
    ];
    for change in changes {
        let plot = adopted("racer");
        // AccessExclusive locks would keep it from being read, too.
        let late = if change.starts_with("CREATE RULE") { "LOCK TABLE setpoint.run IN SHARE MODE" } else { change };
        let outcome = std::thread::scope(|scope| {
            wait(async {
                let theirs = plot.db.session().await;
                let begin = format!("SET SESSION AUTHORIZATION {}; BEGIN; {late}", plot.role);
                theirs.batch(&begin).await.unwrap_or_else(|error| panic!("{change}: {error}"));
                let applying = scope.spawn(|| plot.sandbox.run(&["apply", "--auto-approve"]));
                let begun = Instant::now();
                let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                             AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
                let watch = plot.db.session().await;
                loop {
                    let waiting = watch.rows(waits, &[]).await.expect("the view").remove(0).next::<i64>();
                    if waiting > 0 || applying.is_finished() {
                        break;
                    }
                    assert!(begun.elapsed() < Duration::from_secs(60), "{change}: nobody waits");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if late != change {
                    theirs.batch(change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
                }
                theirs.batch("COMMIT").await.unwrap_or_else(|error| panic!("{change}: {error}"));
                applying.join().expect("the program ran")
            })
        });
        plot.held(change, &outcome);
        assert_eq!(outcome.code, 3, "{change}: {outcome:?}");
        assert_eq!(
            plot.db.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'"),
            "0"
        );
        let _ = plot.db.try_execute("DROP SCHEMA gone CASCADE");
    }
}
