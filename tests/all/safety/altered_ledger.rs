//! Rows of the ledger that somebody altered: shown, never run, and repaired by the command that the message names.

use crate::support::{Outcome, Sandbox, TestDb};

const TABLES: [&str; 3] = [
    "table t {\n    column id int\n}\n",
    "table u {\n    column a int\n}\n",
    "table w {\n    column a int\n    column b text\n}\n",
];

/// What the tests keep beside the project is none of its business.
const MANAGED: &str = "manage {\n    schema public\n    grants #false\n}\n";

/// A database with three revisions, and rows in each of its tables.
fn built() -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", MANAGED);
    for count in 1..=TABLES.len() {
        sandbox.write("schema/a.kdl", &TABLES[..count].join("\n"));
        sandbox.ok(&["push", &format!("p{count}"), "--auto-approve", "--allow", "all"]);
    }
    db.execute("INSERT INTO t VALUES (1); INSERT INTO u VALUES (2); INSERT INTO w VALUES (3, 'x')");
    (db, sandbox)
}

/// Everything is still there.
fn whole(db: &TestDb, what: &str, outcome: &Outcome) {
    assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome:?}");
    let rows =
        db.value("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u) + (SELECT count(*) FROM w WHERE b = 'x')");
    assert_eq!(rows, "3", "{what}: {outcome:?}");
}

fn says(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stderr.contains(word) || outcome.stdout.contains(word), "{word}: {outcome:?}");
    }
}

const KEPT: &str = "CREATE SCHEMA kept; CREATE TABLE kept.revision AS TABLE setpoint.revision; CREATE TABLE kept.event AS TABLE setpoint.event; \
                    CREATE TABLE kept.meta AS TABLE setpoint.meta; CREATE TABLE kept.memo AS TABLE setpoint.memo; CREATE TABLE kept.reading AS TABLE setpoint.reading";
const RESTORED: &str = "DELETE FROM setpoint.run; DELETE FROM setpoint.journal; DELETE FROM setpoint.revision; DELETE FROM setpoint.event; \
                        DELETE FROM setpoint.meta; DELETE FROM setpoint.memo; DELETE FROM setpoint.reading; \
                        INSERT INTO setpoint.revision TABLE kept.revision; INSERT INTO setpoint.event OVERRIDING SYSTEM VALUE TABLE kept.event; \
                        INSERT INTO setpoint.meta TABLE kept.meta; INSERT INTO setpoint.memo TABLE kept.memo; INSERT INTO setpoint.reading TABLE kept.reading";

/// The alterations of a value of that type.
fn alterations(column: &str, kind: &str) -> Vec<String> {
    let of = |texts: &[&str]| texts.iter().map(|text| text.replace('?', column)).collect();
    match kind {
        "integer" | "bigint" => of(&["? + 7", "-?", "2147483647"]),
        "text" => of(&["? || 'x'", "''", "translate(?, '0123456789', '1234567890')"]),
        "bytea" => of(&["'\\x00'", "set_byte(?, length(?) / 2, (get_byte(?, length(?) / 2) + 1) % 256)"]),
        "timestamp with time zone" => of(&["'infinity'", "'4713-01-01 BC'"]),
        "text[]" => of(&["ARRAY['1']"]),
        _ => Vec::new(),
    }
}

#[test]
fn an_altered_row_runs_nothing_and_is_put_right() {
    let (db, sandbox) = built();
    db.execute(KEPT);
    let columns = db.query(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         WHERE c.relnamespace = 'setpoint'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND c.relname NOT IN ('run', 'journal') ORDER BY 1, 2",
    );
    let mut seen = 0;
    for (at, column) in columns.iter().enumerate() {
        let [table, column, kind] = <[&str; 3]>::try_from(column.split('|').collect::<Vec<_>>()).expect("three parts");
        let variants = alterations(column, kind);
        // One alteration of each column in a run of the test, another one in the next column's turn.
        let Some(value) = variants.get(at % variants.len().max(1)) else { continue };
        let row = match table {
            "revision" => format!("WHERE number = {}", 1 + at % 3),
            "event" => format!("WHERE number = {}", 1 + at % 3),
            _ => String::new(),
        };
        let sql = format!("UPDATE setpoint.{table} SET {column} = {value} {row}");
        let sql = if column == "id" { format!("UPDATE setpoint.event SET number = number + 10 {row}") } else { sql };
        db.execute(&sql);
        seen += 1;
        let status = sandbox.run(&["status"]);
        whole(&db, &sql, &status);
        for command in [&["plan"][..], &["rollback", "-1", "--auto-approve"], &["apply", "--auto-approve"]] {
            let outcome = sandbox.run(command);
            whole(&db, &sql, &outcome);
            assert!([0, 1, 2, 3, 4].contains(&outcome.code), "{sql}: {outcome:?}");
        }
        let show = ["history", "show"][at % 2];
        let outcome = sandbox.run(if show == "show" { &["show", "2"][..] } else { &["history", "-v"] });
        whole(&db, &sql, &outcome);
        if status.code != 0 {
            let (_, help) = status.stderr.split_once("help: ").expect("a remedy");
            if let Some(at) = help.find("INSERT") {
                db.execute(&help[at..]);
            } else {
                assert!(help.contains("setpoint stamp N"), "{sql}: {status:?}");
                let stamped = sandbox.exits(0, &["stamp", "3", "--auto-approve"]);
                whole(&db, &sql, &stamped);
            }
            let after = sandbox.run(&["status"]);
            assert_eq!(after.code, 0, "{sql}: {status:?}\n{after:?}");
        }
        db.execute(RESTORED);
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn a_plan_put_in_place_of_another_is_noticed_by_every_command() {
    let (db, sandbox) = built();
    // Another plan 3 that follows the same plan 2, with a matching hash of its own.
    let other = Sandbox::new(&db);
    for file in ["plans/chain.kdl", "plans/0001-p1.kdl", "plans/0002-p2.kdl", "plans/0003-p3.kdl"] {
        other.write(file, &sandbox.read(file));
    }
    let role = format!("backdoor_{}", db.connect.database());
    let file = "plans/0003-p3.kdl";
    let text = other
        .read(file)
        .replace("\"DROP TABLE public.w\"", &format!("\"DROP TABLE public.w; CREATE ROLE {role} SUPERUSER\""));
    assert_ne!(text, sandbox.read(file));
    other.write(file, &text);
    let empty = TestDb::new();
    let mut sealing = other;
    sealing.point_to(&empty);
    sealing.ok(&["seal", "3"]);
    let sealed = sealing.read(file);
    let hash = sealed.lines().find_map(|line| line.strip_prefix("hash ")).expect("a hash").trim_matches('"').to_owned();

    // The text alone: it is not what its row names.
    db.execute(&format!("UPDATE setpoint.revision SET plan = $zz${sealed}$zz$ WHERE number = 3"));
    for command in [&["status"][..], &["history"], &["plan"], &["drift"]] {
        says(&sandbox.exits(4, command), &["is inconsistent", "plan 3 p3", &hash, "setpoint stamp"]);
    }
    says(&sandbox.exits(0, &["show", "3"]), &["warning", "is inconsistent"]);
    sandbox.exits(4, &["rollback", "-1", "--auto-approve", "--allow", "all"]);

    // Text and hash: the event that recorded it knows better, and so does the project.
    db.execute(&format!("UPDATE setpoint.revision SET plan_hash = '{hash}' WHERE number = 3"));
    for command in [&["status"][..], &["history"], &["plan"]] {
        sandbox.exits(4, command);
    }
    says(&sandbox.exits(0, &["show", "3"]), &["warning"]);
    says(&sandbox.exits(4, &["rollback", "-1", "--auto-approve", "--allow", "all"]), &["setpoint.event", &hash]);
    assert_eq!(db.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");

    // The project's own plan is put back, with the way back that it has.
    sandbox.exits(0, &["stamp", "3", "--auto-approve"]);
    sandbox.ok(&["status"]);
    let outcome = sandbox.exits(3, &["rollback", "-1", "--auto-approve"]);
    whole(&db, "without leave", &outcome);
}

#[test]
fn a_forged_run_takes_nothing_back() {
    let (db, sandbox) = built();
    let run = |number: u32, direction: &str, goal: i64, top: i64| {
        format!(
            "INSERT INTO setpoint.run SELECT number, name, '{direction}', plan_hash, plan, {goal}, {top}, by_role, at, tool FROM setpoint.revision WHERE number = {number}"
        )
    };
    let steps = 1;
    let forged = [
        (run(2, "down", 0, steps), 4),
        (run(1, "down", 0, steps), 4),
        (run(3, "down", 3, steps), 4),
        (run(3, "down", 0, 2), 4),
        (run(3, "down", 0, 0), 4),
        (run(3, "up", 3, 0), 4),
        (run(3, "sideways", 0, steps), 4),
        (run(3, "down", -1, steps), 4),
        ("INSERT INTO setpoint.journal VALUES (3, 'down', 0, 0, true, now())".into(), 4),
        (
            format!("{}; INSERT INTO setpoint.journal VALUES (3, 'down', 5, 0, true, now())", run(3, "down", 2, steps)),
            4,
        ),
        (format!("{}; {}", run(3, "down", 2, steps), run(2, "down", 1, steps)), 4),
        (run(3, "down", 2, steps).replace("plan_hash, plan", "plan_hash, replace(plan, 'public.w', 'public.u')"), 4),
    ];
    for (sql, code) in forged {
        db.execute(&sql);
        for command in [
            &["rollback", "-1", "--auto-approve"][..],
            &["rollback", "--to", "base", "--auto-approve"],
            &["rollback", "-1", "--auto-approve", "--allow", "all"],
            &["apply", "--auto-approve"],
            &["status"],
        ] {
            let outcome = sandbox.run(command);
            whole(&db, &sql, &outcome);
            assert_eq!(outcome.code, code, "{sql}: {command:?}: {outcome:?}");
        }
        sandbox.exits(0, &["stamp", "3", "--auto-approve"]);
        sandbox.ok(&["status"]);
    }
}

#[test]
fn a_missing_revision_is_noticed() {
    let (db, sandbox) = built();
    db.execute("DELETE FROM setpoint.revision WHERE number = 1");
    for command in [
        &["status"][..],
        &["plan"],
        &["apply", "--auto-approve"],
        &["rollback", "--to", "base", "--auto-approve", "--allow", "all"],
    ] {
        let outcome = sandbox.exits(4, command);
        whole(&db, "revision 1 is gone", &outcome);
        says(&outcome, &["no revision 1", "setpoint stamp"]);
    }
    sandbox.exits(0, &["stamp", "head", "--auto-approve"]);
    sandbox.ok(&["status"]);
    // Nobody knows how plan 1 came to be there: it is a floor.
    let outcome = sandbox.exits(3, &["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    says(&outcome, &["never ran"]);
    assert_eq!(db.value("SELECT count(*) FROM t"), "1");
    sandbox.ok(&["drift"]);
}

#[test]
fn a_snapshot_that_cannot_be_read_has_a_remedy() {
    let (db, sandbox) = built();
    db.execute("UPDATE setpoint.revision SET snapshot = '\\x0212345678'");
    for command in [&["status"][..], &["drift"], &["rollback", "-1", "--auto-approve", "--allow", "all"]] {
        let outcome = sandbox.run(command);
        assert_ne!(outcome.code, 0, "{outcome:?}");
        whole(&db, "a broken snapshot", &outcome);
        says(&outcome, &["snapshot", "setpoint stamp"]);
    }
    sandbox.exits(0, &["stamp", "3", "--auto-approve"]);
    sandbox.ok(&["drift"]);
    // Those of older revisions do not stand in the way.
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["drift"]);
}

#[test]
fn whoever_holds_the_lock_is_named() {
    let (db, sandbox) = built();
    sandbox.write("schema/a.kdl", TABLES[0]);
    sandbox.ok(&["plan", "--save", "less"]);
    let role = format!("holder_{}", db.connect.database());
    db.execute(&format!("CREATE ROLE {role} LOGIN"));
    let url =
        db.url().replacen("postgres@", &format!("{role}@"), 1).replacen("user=postgres", &format!("user={role}"), 1);
    let connect = setpoint::catalog::Connect::parse(&url).expect("an address");
    crate::support::block_on(async {
        let session =
            setpoint::catalog::Session::open(&connect, "test").await.unwrap_or_else(|error| panic!("{error}"));
        session
            .batch("SET application_name = 'psql'; SELECT pg_advisory_lock(x'736574706f696e74'::bigint)")
            .await
            .expect("a lock");
        let outcome = sandbox.exits(5, &["apply", "--auto-approve", "--allow", "all"]);
        says(
            &outcome,
            &[
                "another session holds setpoint's lock",
                &role,
                "'psql'",
                &session.backend_pid.to_string(),
                "connected since",
                "pg_terminate_backend",
                "--wait",
            ],
        );
        session.close().await;
    });
    db.execute(&format!("DROP ROLE {role}"));
}

/// A snapshot that would become gigabytes is refused before it does.
#[test]
fn a_snapshot_that_is_a_bomb() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", "table t {\n    column id int\n}\n");
    sandbox.ok(&["push", "one", "--auto-approve"]);
    // A frame of Zstandard: 4 GiB of zeros, 128 KiB in each block of four bytes.
    let mut bomb = String::from("0228b52ffd0038");
    for last in (0..32_768).map(|at| at == 32_767) {
        let head = u32::from(last) | 1 << 1 | (128 * 1024) << 3;
        bomb.push_str(&head.to_le_bytes()[..3].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        bomb.push_str("00");
    }
    db.execute(&format!("UPDATE setpoint.revision SET snapshot = '\\x{bomb}'"));
    for command in [&["status"][..], &["drift"]] {
        let outcome = sandbox.run(command);
        assert!(outcome.stderr.contains("too large to be unpacked"), "{command:?}: {outcome:?}");
        assert!((0..=5).contains(&outcome.code), "{command:?}: {outcome:?}");
    }
}
