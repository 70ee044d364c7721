//! What is read in statements: pieces of scripts, writes hidden in queries, and what is left alone.

use super::{Reading, Run, What, read, split};

fn effects(sql: &str) -> Vec<(What, String)> {
    match read(sql) {
        Reading::Read(statement) => statement.effects.into_iter().map(|one| (one.what, one.on.join("."))).collect(),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn scripts_are_split_at_the_semicolons_between_statements() {
    let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
    let text = format!("SELECT ';'; -- a; b\n{body} ; /* nothing; */ ; DO $$ BEGIN x; END $$;");
    assert_eq!(split(&text), ["SELECT ';'", &format!("-- a; b\n{body}"), "DO $$ BEGIN x; END $$"]);
}

#[test]
fn what_hides_in_a_query_is_found() {
    let deletes = (What::Deletes, "app.orders".to_string());
    assert_eq!(
        effects("WITH gone AS (DELETE FROM app.Orders WHERE id < 3 RETURNING *) SELECT count(*) FROM gone"),
        [deletes]
    );
    let overwrites = (What::Overwrites(Some(vec!["a".into(), "b".into()])), "t".to_string());
    assert_eq!(effects("SELECT 1 WHERE EXISTS (SELECT FROM u) UNION SELECT 2"), []);
    assert_eq!(effects("UPDATE t SET (a, b) = (1, 2)"), std::slice::from_ref(&overwrites));
    assert_eq!(
        effects("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1, b = 2"),
        [(What::Inserts, "t".into()), overwrites]
    );
    assert_eq!(effects("SELECT * FROM t FOR UPDATE"), [(What::LocksRows, "t".into())]);
    for sql in
        ["SELECT * INTO new FROM t", "EXPLAIN ANALYZE DELETE FROM t", "DO $$ BEGIN END $$", "CALL f()", "SELECT FROM"]
    {
        assert!(matches!(read(sql), Reading::Unread(_)), "{sql}");
    }
}

#[test]
fn who_runs_the_plan_keeps_its_transactions_and_its_role() {
    let all = [
        ("BEGIN", "BEGIN"),
        ("commit and chain", "COMMIT"),
        ("Rollback To x", "ROLLBACK"),
        ("set local role to admin", "SET LOCAL ROLE"),
        ("SET \"role\" = admin", "SET ROLE"),
        ("RESET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
    ];
    for (sql, words) in all {
        assert_eq!(read(sql), Reading::Control(words.into()), "{sql}");
    }
    assert!(matches!(read("SET LOCAL work_mem = '1GB'"), Reading::Read(_)));
}

#[test]
fn commands_that_run_alone_are_known_by_their_words() {
    let alone = [
        "CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY a.t (lower(x)) WHERE y",
        "DROP INDEX CONCURRENTLY IF EXISTS i",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
        "REINDEX (CONCURRENTLY) INDEX i",
        "VACUUM (FULL, ANALYZE) t",
        "VACUUM FULL VERBOSE t",
    ];
    for sql in alone {
        let Reading::Read(statement) = read(sql) else { panic!("{sql}") };
        assert_eq!(statement.run, Run::Alone, "{sql}");
    }
    assert_eq!(effects("VACUUM (FULL false) t"), [(What::Vacuums { full: false }, "t".into())]);
    assert_eq!(
        effects("CREATE INDEX ON t (a)"),
        [(What::BuildsIndex { unique: false, concurrently: false }, "t".into())]
    );
}

#[test]
fn long_and_deep_texts_are_left_alone() {
    let deep = format!("SELECT {}1", "1 + ".repeat(2000));
    let nested = format!("SELECT {}1{}", "(".repeat(900), ")".repeat(900));
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    for sql in [deep, nested, long] {
        assert!(matches!(read(&sql), Reading::Unread(_)));
    }
}
