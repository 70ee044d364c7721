//! Every hazard: a change that has it, and one that only looks as if it did.

use setpoint::catalog::Session;
use setpoint::introspect;
use setpoint::model::State;
use setpoint::plan::against::against;
use setpoint::plan::aid::{Aid, Built};
use setpoint::plan::{Hazard, Step};
use setpoint::project::Manage;

use crate::support::{TestDb, repository, wait};

#[test]
fn the_page_of_hazards_has_all_of_them() {
    let page = std::fs::read_to_string(repository().join("docs/hazards.md")).expect("is there");
    let words = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let (words, meanings): (Vec<&str>, Vec<&str>) = words.unzip();
    assert_eq!(words, Hazard::ALL.map(Hazard::word));
    assert!(meanings.iter().all(|meaning| meaning.ends_with(". |") && meaning.len() > 20), "{meanings:#?}");
}

/// What is there before, what after, and the hazards of the steps between, by their words.
const CASES: &[(&str, &str, &[&str])] = &[
    // Nothing to stop for.
    ("", "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL CHECK (b <> ''))", &[]),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b text)", &[]),
    ("CREATE TABLE t (a varchar(5))", "CREATE TABLE t (a varchar(9))", &[]),
    ("CREATE TABLE t (a int DEFAULT 1)", "CREATE TABLE t (a int DEFAULT 2)", &[]),
    // Data that goes.
    ("CREATE TABLE t (a int)", "", &["data-loss", "irreversible", "breaks-clients"]),
    ("CREATE TABLE t (a int, b int)", "CREATE TABLE t (a int)", &["data-loss", "irreversible", "breaks-clients"]),
    ("CREATE SEQUENCE s", "", &["data-loss", "irreversible", "breaks-clients"]),
    (
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int)",
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int, b d)",
        &["table-rewrite", "may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    // The position of a sequence that numbers a column is found again.
    ("CREATE TABLE t (a serial)", "CREATE TABLE t (a int NOT NULL)", &["breaks-clients"]),
    ("CREATE TABLE t (a int NOT NULL)", "CREATE TABLE t (a serial)", &["full-scan-under-lock", "blocks-reads"]),
    ("CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE t (a serial PRIMARY KEY)", &[]),
    ("CREATE VIEW v AS SELECT 1 AS one", "", &["breaks-clients"]),
    // Tables that are written or read as a whole.
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a bigint)", &["table-rewrite", "blocks-reads"]),
    ("CREATE TABLE t (a bigint)", "CREATE TABLE t (a int)", &["table-rewrite", "may-fail-on-data", "blocks-reads"]),
    (
        "CREATE TABLE t (a numeric(9,3))",
        "CREATE TABLE t (a numeric(9,2))",
        &["data-loss", "table-rewrite", "may-fail-on-data", "blocks-reads", "irreversible"],
    ),
    // The partition is locked until its key is there again, so that an index of the whole keeps its readers waiting, too.
    (
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL) PARTITION BY LIST (a); CREATE TABLE u PARTITION OF t FOR VALUES IN (1); \
            ALTER TABLE u ADD PRIMARY KEY (a)",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL) PARTITION BY LIST (a); CREATE TABLE u PARTITION OF t FOR VALUES IN (1); \
            ALTER TABLE u ADD PRIMARY KEY (a, b); CREATE INDEX ON t (b)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    // Times whose zone nobody said.
    (
        "CREATE TABLE t (a timetz)",
        "CREATE TABLE t (a time)",
        &["data-loss", "table-rewrite", "may-fail-on-data", "blocks-reads", "irreversible"],
    ),
    (
        "CREATE TABLE t (a timestamp, b timestamptz, c date, d time)",
        "CREATE TABLE t (a timestamptz, b timestamp, c timestamptz, d timetz)",
        &["data-loss", "table-rewrite", "may-fail-on-data", "blocks-reads"],
    ),
    (
        "CREATE TABLE t (a timestamptz(3), b date)",
        "CREATE TABLE t (a timestamptz(4), b timestamp)",
        &["table-rewrite", "may-fail-on-data", "blocks-reads"],
    ),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int NOT NULL)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int CHECK (a > 0))",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    (
        "CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (a int)",
        "CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (a int REFERENCES o)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-writes"],
    ),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int); ALTER TABLE t ADD CHECK (a > 0) NOT VALID", &[]),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED)",
        &["table-rewrite", "blocks-reads"],
    ),
    // Partitions that come to tables, and rows that have to be theirs.
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p (a int)",
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE rest PARTITION OF t DEFAULT",
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE rest PARTITION OF t DEFAULT; CREATE TABLE p PARTITION OF t FOR VALUES IN (1)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1)",
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p (a int); CREATE TABLE q PARTITION OF t FOR VALUES IN (2); CREATE TABLE rest PARTITION OF t DEFAULT",
        &[],
    ),
    // Locks that are held for long.
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int); CREATE INDEX i ON t (a)", &["blocks-writes"]),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int UNIQUE)",
        &["may-fail-on-data", "full-scan-under-lock", "blocks-reads"],
    ),
    ("CREATE TABLE t (a int); CREATE INDEX i ON t (a)", "CREATE TABLE t (a int)", &["drops-index"]),
    // The old one goes, for which nobody may read, in the transaction that builds the new one.
    (
        "CREATE TABLE t (a int, b int); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a int, b int); CREATE INDEX i ON t (b)",
        &["blocks-reads"],
    ),
    // Values that PostgreSQL cannot keep once for all rows, and those that it can.
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b float DEFAULT random())", &["table-rewrite", "blocks-reads"]),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b timestamptz DEFAULT now())", &[]),
    (
        "CREATE TABLE t (a int NOT NULL)",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
        &["full-scan-under-lock", "blocks-reads"],
    ),
    ("CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE t (a int PRIMARY KEY GENERATED ALWAYS AS IDENTITY)", &[]),
    (
        "CREATE TABLE t (a serial)",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (START 9))",
        &["full-scan-under-lock", "blocks-reads", "breaks-clients"],
    ),
    // What hangs on something else.
    (
        "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t (a bigint); CREATE VIEW v AS SELECT a FROM t",
        &["table-rewrite", "blocks-reads", "recreates-dependents"],
    ),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int); GRANT SELECT ON t TO pg_monitor", &["changes-access"]),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY", &["changes-access"]),
    // Bodies that only PostgreSQL reads, and only when they run.
    (
        "CREATE TABLE t (a int, b int); CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT b FROM t); END'",
        "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT b FROM t); END'",
        &["data-loss", "irreversible", "breaks-clients", "untracked-dependency"],
    ),
    (
        "CREATE TABLE t (a int, b int); CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT b FROM t); END'",
        "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT a FROM t); END'",
        &["data-loss", "irreversible", "breaks-clients"],
    ),
    // What an index keeps of a function.
    (
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TABLE t (a int); CREATE INDEX i ON t (f(a))",
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT -$1'; CREATE TABLE t (a int); CREATE INDEX i ON t (f(a))",
        &["stale-data"],
    ),
    (
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION c (PARSER = \"default\"); \
         ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR word WITH d; \
         CREATE TABLE t (a text); CREATE INDEX i ON t USING gin (to_tsvector('public.c', a))",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, accept = false); CREATE TEXT SEARCH CONFIGURATION c (PARSER = \"default\"); \
         ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR word WITH d; \
         CREATE TABLE t (a text); CREATE INDEX i ON t USING gin (to_tsvector('public.c', a))",
        &["stale-data"],
    ),
    (
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TABLE t (a int)",
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT -$1'; CREATE TABLE t (a int)",
        &[],
    ),
];

/// What is there before, what after, hazards that are named, and others that are not.
type Named = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Changes of what values are, and of who reads them.
const VALUES: &[Named] = &[
    // The commonest change there is needs no leave.
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b numeric NOT NULL DEFAULT 0)",
        &[],
        &["may-fail-on-data", "table-rewrite"],
    ),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b numeric(12,2) NOT NULL DEFAULT 0.00, c timestamptz NOT NULL DEFAULT now(), d text NOT NULL DEFAULT 'x', e text[] NOT NULL DEFAULT '{}')",
        &[],
        &["may-fail-on-data", "table-rewrite"],
    ),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b bigint GENERATED ALWAYS AS IDENTITY)",
        &[],
        &["may-fail-on-data"],
    ),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b bigserial)", &[], &["may-fail-on-data"]),
    ("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b int NOT NULL)", &["may-fail-on-data"], &["data-loss"]),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b text NOT NULL DEFAULT current_setting('x.y', true))",
        &["may-fail-on-data"],
        &[],
    ),
    (
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int, b int NOT NULL GENERATED ALWAYS AS (a + 1) STORED)",
        &["may-fail-on-data"],
        &[],
    ),
    (
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int)",
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int, b d)",
        &["may-fail-on-data"],
        &[],
    ),
    (
        "CREATE DOMAIN d AS int NOT NULL DEFAULT 1; CREATE TABLE t (a int)",
        "CREATE DOMAIN d AS int NOT NULL DEFAULT 1; CREATE TABLE t (a int, b d)",
        &[],
        &["may-fail-on-data"],
    ),
    // A domain's rules are about every column of it.
    (
        "CREATE DOMAIN d AS int; CREATE TABLE t (a d)",
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a d)",
        &["may-fail-on-data", "full-scan-under-lock"],
        &[],
    ),
    (
        "CREATE DOMAIN d AS int; CREATE TABLE t (a int)",
        "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int)",
        &[],
        &["may-fail-on-data", "full-scan-under-lock"],
    ),
    (
        "CREATE DOMAIN d AS int; CREATE TABLE t (a d[])",
        "CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t (a d[])",
        &["may-fail-on-data", "table-rewrite"],
        &[],
    ),
    (
        "CREATE TABLE t (a text UNIQUE)",
        "CREATE TABLE t (a text COLLATE \"C\" UNIQUE)",
        &["may-fail-on-data"],
        &["data-loss"],
    ),
    // Types, wherever they stand.
    (
        "CREATE DOMAIN d AS varchar(10); CREATE TABLE t (a d)",
        "CREATE DOMAIN d AS varchar(3); CREATE TABLE t (a d)",
        &["may-fail-on-data"],
        &["data-loss"],
    ),
    (
        "CREATE DOMAIN d AS numeric(12,2); CREATE TABLE t (a d[])",
        "CREATE DOMAIN d AS numeric(12,0); CREATE TABLE t (a d[])",
        &["data-loss", "irreversible"],
        &[],
    ),
    (
        "CREATE DOMAIN d AS timestamptz; CREATE TABLE t (a d)",
        "CREATE DOMAIN d AS timestamp; CREATE TABLE t (a d)",
        &["data-loss"],
        &["irreversible"],
    ),
    ("CREATE TABLE t (a json)", "CREATE TABLE t (a jsonb)", &["data-loss", "irreversible"], &[]),
    ("CREATE TABLE t (a jsonb)", "CREATE TABLE t (a json)", &[], &["data-loss", "may-fail-on-data"]),
    (
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (a text)",
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (a m)",
        &["may-fail-on-data"],
        &["data-loss"],
    ),
    (
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (a m)",
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (a text)",
        &[],
        &["data-loss", "may-fail-on-data"],
    ),
    (
        "CREATE TYPE c AS (x numeric(12,2), y int); CREATE TABLE t OF c",
        "CREATE TYPE c AS (x int, y int); CREATE TABLE t OF c",
        &["data-loss", "irreversible"],
        &[],
    ),
    (
        "CREATE TYPE c AS (x int, y int); CREATE TABLE t (a c)",
        "CREATE TYPE c AS (y int); CREATE TABLE t (a c)",
        &["data-loss"],
        &[],
    ),
    ("CREATE TYPE c AS (x int, y int)", "CREATE TYPE c AS (y int)", &[], &["data-loss"]),
    // What is stored, and where.
    (
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a) STORED)",
        "CREATE TABLE t (a int, b int)",
        &[],
        &["data-loss", "breaks-clients"],
    ),
    (
        "CREATE TABLE t (a int, b int)",
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a) STORED)",
        &["data-loss"],
        &[],
    ),
    ("CREATE TABLE t (a int)", "CREATE UNLOGGED TABLE t (a int)", &["data-loss", "irreversible"], &[]),
    ("CREATE UNLOGGED TABLE t (a int)", "CREATE TABLE t (a int)", &[], &["data-loss"]),
    ("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a", "CREATE MATERIALIZED VIEW m AS SELECT 2 AS a", &["data-loss"], &[]),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a WITH NO DATA",
        "CREATE MATERIALIZED VIEW m AS SELECT 2 AS a WITH NO DATA",
        &[],
        &["data-loss"],
    ),
    // Who subscribes.
    (
        "CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t",
        "CREATE TABLE t (a int PRIMARY KEY)",
        &["breaks-clients"],
        &[],
    ),
    (
        "CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t",
        "CREATE TABLE t (a int NOT NULL); CREATE PUBLICATION p FOR TABLE t",
        &["breaks-clients"],
        &[],
    ),
    ("CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE t (a int NOT NULL)", &[], &["breaks-clients"]),
    (
        "CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES",
        "CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES; ALTER TABLE t REPLICA IDENTITY NOTHING",
        &["breaks-clients"],
        &[],
    ),
    (
        "CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE PUBLICATION p FOR TABLE t, u",
        "CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE PUBLICATION p FOR TABLE t",
        &["breaks-clients"],
        &[],
    ),
];

/// Knows what the last revision left.
struct Ledger(Option<State>);

impl Aid for Ledger {
    async fn recall(&self, _: &[String]) -> setpoint::model::Result<setpoint::sameness::memo::Known> {
        Ok(setpoint::sameness::memo::Known::default())
    }

    async fn recorded(&self) -> setpoint::model::Result<Option<State>> {
        Ok(self.0.clone())
    }

    async fn build(&self, _: &State, _: &[Step], _: setpoint::catalog::Version) -> setpoint::model::Result<Built> {
        Ok(Built::default())
    }
}

async fn hazards(before: &TestDb, after: &TestDb, recorded: Option<State>) -> Vec<&'static str> {
    let other = after.session().await;
    let desired = introspect::read(&other).await.expect("the state after is read").state;
    let session: Session = before.session().await;
    let made = against(&session, &desired, &Manage::default(), &Ledger(recorded)).await.expect("there is a plan").made;
    let mut found: Vec<Hazard> =
        made.steps.iter().flat_map(|step| &step.hazards).map(|finding| finding.hazard).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(Hazard::word).collect()
}

fn in_order(words: &[&'static str]) -> Vec<&'static str> {
    Hazard::ALL.into_iter().map(Hazard::word).filter(|word| words.contains(word)).collect()
}

#[test]
fn are_found_where_they_are_and_nowhere_else() {
    let mut problems = String::new();
    for (before, after, expected) in CASES {
        let found = wait(hazards(&TestDb::with(before), &TestDb::with(after), None));
        if found != in_order(expected) {
            problems.push_str(&format!(
                "{before}\n → {after}\n   expected {:?}\n   found    {found:?}\n",
                in_order(expected)
            ));
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn what_no_revision_made_is_not_removed_unasked() {
    let (before, after) = (
        TestDb::with("CREATE TABLE t (a int); CREATE VIEW v AS SELECT 1 AS one"),
        TestDb::with("CREATE TABLE t (a int)"),
    );
    let recorded = |sql: &str| {
        let db = TestDb::with(sql);
        wait(async { introspect::read(&db.session().await).await.expect("the snapshot is read").state })
    };
    let known = recorded("CREATE TABLE t (a int); CREATE VIEW v AS SELECT 1 AS one");
    assert_eq!(wait(hazards(&before, &after, Some(known))), ["breaks-clients"]);
    let unknown = recorded("CREATE TABLE t (a int)");
    assert_eq!(wait(hazards(&before, &after, Some(unknown))), ["breaks-clients", "removes-unrecorded"]);
}

#[test]
fn what_becomes_of_values_is_named() {
    wait(async {
        let mut wrong = Vec::new();
        for (before, after, named, others) in VALUES {
            let found = hazards(&TestDb::with(before), &TestDb::with(after), None).await;
            let missing = named.iter().filter(|word| !found.contains(word));
            let too_many = others.iter().filter(|word| found.contains(word));
            if missing.chain(too_many).next().is_some() {
                wrong
                    .push(format!("{before}\n  -> {after}\n  names {found:?}\n  wanted {named:?}, none of {others:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), VALUES.len(), wrong.join("\n"));
    });
}
