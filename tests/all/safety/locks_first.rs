//! A transaction takes its table locks before it does anything: all waiting happens while nothing has been done.

use std::time::{Duration, Instant};

use setpoint::catalog::Session;

use crate::support::{Sandbox, TestDb, wait};

const BEFORE: &str = "table big {\n    column id int\n    column a int\n}\ntable p {\n    column id int\n    column n text\n}\n\
                      view v {\n    sql \"SELECT big.a, p.n FROM big JOIN p USING (id)\"\n}\n";

#[test]
fn nothing_is_done_before_the_busy_table_is_had() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", BEFORE);
    sandbox.ok(&["push", "--auto-approve"]);
    db.execute("INSERT INTO big SELECT g, g FROM generate_series(1, 100) g; INSERT INTO p VALUES (1, 'x')");
    let after = BEFORE.replace("column a int", "column a bigint").replace("column n text", "column n \"varchar(50)\"");
    sandbox.write("schema/a.kdl", &after);
    sandbox.ok(&["plan", "--save", "second"]);
    let (outcome, waited, held) = std::thread::scope(|scope| {
        wait(async {
            let reader = Session::open(&db.connect, "reader").await.expect("connects");
            reader.batch("BEGIN; SELECT count(*) FROM public.p").await.expect("it is there");
            let apply =
                scope.spawn(|| sandbox.run(&["apply", "--auto-approve", "--allow", "all", "--lock-timeout", "200ms"]));
            // Until it has waited several times: is the other table ever kept from readers meanwhile?
            let watch = Session::open(&db.connect, "watch").await.expect("connects");
            let (begun, mut waited, mut held) = (Instant::now(), 0, 0);
            while waited < 30 && begun.elapsed() < Duration::from_secs(20) {
                let query = "SELECT count(*) FILTER (WHERE relation = 'public.p'::regclass AND NOT granted), \
                             count(*) FILTER (WHERE relation = 'public.big'::regclass AND granted AND mode = 'AccessExclusiveLock') \
                             FROM pg_locks WHERE locktype = 'relation'";
                let mut row = watch.rows(query, &[]).await.expect("answers").remove(0);
                let (waits, holds) = (row.next::<i64>(), row.next::<i64>());
                waited += i64::from(waits > 0);
                held += holds;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            reader.close().await;
            (apply.join().expect("it ends"), waited, held)
        })
    });
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(waited > 0, "it never waited for the table that somebody reads");
    assert_eq!(held, 0, "the other table was locked while it waited:\n{}", outcome.stderr);
    assert!(outcome.stderr.contains("table public.p is in use by"), "{}", outcome.stderr);
    assert_eq!(db.value("SELECT count(*) FROM v"), "1");
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT count(*) FROM v"), "1");
}

#[test]
fn tables_are_locked_under_whatever_names_they_have() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let before = "table \"a \\\" b\" {\n    column id int not-null\n    primary-key id\n}\n\
                  table other {\n    column id int\n}\n\
                  table parts partition-by=\"RANGE (id)\" {\n    column id int not-null\n}\n\
                  table part {\n    partition-of parts \"FOR VALUES FROM (0) TO (10)\"\n}\n";
    sandbox.write("schema/a.kdl", before);
    sandbox.ok(&["push", "--auto-approve"]);
    db.execute("INSERT INTO \"a \"\" b\" VALUES (1); INSERT INTO other VALUES (1); INSERT INTO parts VALUES (1)");
    // Renamed and altered at once, a foreign key to a table that the step does not name, and a column of partitions.
    let after = "table renamed was=\"a \\\" b\" {\n    column id int not-null\n    column more text\n    primary-key id\n}\n\
                 table other {\n    column id int { references renamed id }\n}\n\
                 table parts partition-by=\"RANGE (id)\" {\n    column id int not-null\n    column more text\n}\n\
                 table part {\n    partition-of parts \"FOR VALUES FROM (0) TO (10)\"\n}\n";
    sandbox.write("schema/a.kdl", after);
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT (SELECT count(*) FROM \"a \"\" b\") + (SELECT count(*) FROM parts)"), "2");
}
