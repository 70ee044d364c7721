//! What steps claim about locks, scans and rewrites, held against what they do on the server.
//!
//! The fixtures of all kinds are looked at in the same way (`fixtures.rs`); here are forms of steps that matter for tables with rows.

use setpoint::catalog::Session;
use setpoint::introspect;
use setpoint::kinds::LockMode;
use setpoint::plan::proof::Verdict;
use setpoint::plan::{Hazard, Step};
use setpoint::sql::names::Name;
use setpoint::sql::steady;

use crate::journey::{roles, travel_asked, travel_observed};
use crate::spoil;
use crate::support::{TestDb, default_major, installed, wait};

/// The tables that cases begin with, where they say nothing else.
const BASE: &str = "CREATE TABLE o (id int PRIMARY KEY); \
    CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5), c text, d timestamptz, e numeric(9, 2), n int NOT NULL, u int UNIQUE, \
        o int REFERENCES o, k varchar(5) CHECK (k <> ''), x varchar(5)); \
    CREATE INDEX i ON t (c); CREATE INDEX j ON t (b); CREATE INDEX l ON t (lower(x)); CREATE TABLE r (t int REFERENCES t);";

/// What is done to these tables, and the first version that knows the SQL.
const ON_BASE: &[(&str, u32)] = &[
    // New columns.
    ("ALTER TABLE t ADD z int", 13),
    ("ALTER TABLE t ADD z int DEFAULT 1", 13),
    ("ALTER TABLE t ADD z int NOT NULL DEFAULT 1", 13),
    ("ALTER TABLE t ADD z timestamptz DEFAULT now()", 13),
    ("ALTER TABLE t ADD z timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL", 13),
    ("ALTER TABLE t ADD z timestamptz DEFAULT clock_timestamp()", 13),
    ("ALTER TABLE t ADD z float DEFAULT random()", 13),
    ("ALTER TABLE t ADD z uuid NOT NULL DEFAULT gen_random_uuid()", 13),
    ("ALTER TABLE t ADD z text DEFAULT upper('x') || current_user", 13),
    ("ALTER TABLE t ADD z text DEFAULT 'random()'", 13),
    ("ALTER TABLE t ADD z text DEFAULT to_char(now(), 'YYYY')", 13),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; ALTER TABLE t ADD z int DEFAULT f()",
        13,
    ),
    ("CREATE FUNCTION f() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'; ALTER TABLE t ADD z int DEFAULT f()", 13),
    (
        "CREATE FUNCTION f() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; ALTER TABLE t ADD z int DEFAULT f() + 1",
        13,
    ),
    ("ALTER TABLE t ADD z serial", 13),
    ("ALTER TABLE t ADD z int GENERATED ALWAYS AS IDENTITY", 13),
    ("ALTER TABLE t ADD z int GENERATED ALWAYS AS (a + 1) STORED", 13),
    ("ALTER TABLE t ADD z int GENERATED ALWAYS AS (a + 1) VIRTUAL", 18),
    ("ALTER TABLE t ADD z int GENERATED ALWAYS AS (n + 1) VIRTUAL NOT NULL", 18),
    (
        "ALTER TABLE t ADD z timestamp DEFAULT (now() AT TIME ZONE 'UTC'); ALTER TABLE t ADD y text DEFAULT coalesce('a', lower('B'))",
        13,
    ),
    ("ALTER TABLE t ADD z int NOT NULL", 13),
    ("ALTER TABLE t ADD z int UNIQUE", 13),
    ("ALTER TABLE t ADD z int CHECK (z > 0)", 13),
    ("ALTER TABLE t ADD z int REFERENCES o", 13),
    ("CREATE DOMAIN dm AS int; ALTER TABLE t ADD z dm", 13),
    ("CREATE DOMAIN dm AS int CHECK (VALUE > 0); ALTER TABLE t ADD z dm", 13),
    ("CREATE DOMAIN dm AS int CHECK (VALUE > 0); CREATE DOMAIN dn AS dm; ALTER TABLE t ADD z dn", 13),
    ("CREATE DOMAIN dm AS int CHECK (VALUE > 0); ALTER TABLE t ADD z dm[]", 13),
    ("CREATE DOMAIN dm AS int CHECK (VALUE > 0); ALTER TABLE t ADD z dm DEFAULT 1", 13),
    ("CREATE DOMAIN dm AS float DEFAULT random(); ALTER TABLE t ADD z dm", 13),
    ("CREATE DOMAIN dm AS int NOT NULL DEFAULT 1; ALTER TABLE t ADD z dm", 13),
    // Other types and collations.
    ("ALTER TABLE t ALTER a TYPE bigint", 13),
    ("ALTER TABLE t ALTER b TYPE varchar(9)", 13),
    ("ALTER TABLE t ALTER b TYPE varchar(3)", 13),
    ("ALTER TABLE t ALTER b TYPE text", 13),
    ("ALTER TABLE t ALTER c TYPE varchar", 13),
    ("ALTER TABLE t ALTER k TYPE varchar(9)", 13),
    ("ALTER TABLE t ALTER k TYPE text", 13),
    ("ALTER TABLE t ALTER x TYPE varchar(9)", 13),
    ("ALTER TABLE t ALTER d TYPE timestamptz(3)", 13),
    ("ALTER TABLE t ALTER e TYPE numeric(12, 2)", 13),
    ("ALTER TABLE t ALTER e TYPE numeric(12, 3)", 13),
    ("ALTER TABLE t ALTER e TYPE numeric", 13),
    ("ALTER TABLE t ALTER u TYPE bigint", 13),
    ("ALTER TABLE t ALTER o TYPE bigint", 13),
    ("ALTER TABLE r ALTER t TYPE bigint; ALTER TABLE t ALTER id TYPE bigint", 13),
    ("ALTER TABLE t ALTER c TYPE text COLLATE \"C\"", 13),
    ("ALTER TABLE t ALTER k TYPE varchar(5) COLLATE \"C\"", 13),
    ("ALTER TABLE t ALTER x TYPE varchar(5) COLLATE \"C\"", 13),
    ("CREATE DOMAIN dm AS int; ALTER TABLE t ALTER a TYPE dm", 13),
    ("CREATE DOMAIN dm AS int CHECK (VALUE > 0); ALTER TABLE t ALTER a TYPE dm", 13),
    // What columns are told.
    ("ALTER TABLE t ALTER a SET NOT NULL", 13),
    ("ALTER TABLE t ALTER n DROP NOT NULL", 13),
    ("ALTER TABLE t ALTER a SET DEFAULT 1", 13),
    ("ALTER TABLE t ALTER a SET DEFAULT (random() * 9)::int", 13),
    ("ALTER TABLE t ALTER n ADD GENERATED ALWAYS AS IDENTITY", 13),
    ("CREATE SEQUENCE s AS int OWNED BY t.n; ALTER TABLE t ALTER n SET DEFAULT nextval('s')", 13),
    ("ALTER TABLE t ALTER a SET STATISTICS 500", 13),
    ("ALTER TABLE t ALTER a SET (n_distinct = 5)", 13),
    ("ALTER TABLE t ALTER c SET STORAGE external", 13),
    ("ALTER TABLE t ALTER c SET COMPRESSION pglz", 14),
    ("COMMENT ON COLUMN t.a IS 'x'; COMMENT ON TABLE t IS 'x'; COMMENT ON INDEX i IS 'x'", 13),
    ("COMMENT ON CONSTRAINT t_pkey ON t IS 'x'; COMMENT ON CONSTRAINT t_k_check ON t IS 'x'", 13),
    ("ALTER TABLE t DROP c", 13),
    ("ALTER TABLE t DROP o", 13),
    // Constraints.
    ("ALTER TABLE t ADD CHECK (a > 0)", 13),
    ("ALTER TABLE t ADD CHECK (a > 0) NOT VALID", 13),
    ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o", 13),
    ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o NOT VALID", 13),
    ("ALTER TABLE t ADD UNIQUE (a)", 13),
    ("ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)", 13),
    ("ALTER TABLE r ADD PRIMARY KEY (t)", 13),
    ("ALTER TABLE t DROP CONSTRAINT t_o_fkey", 13),
    ("ALTER TABLE r DROP CONSTRAINT r_t_fkey; ALTER TABLE t DROP CONSTRAINT t_pkey", 13),
    ("ALTER TABLE t ALTER CONSTRAINT t_o_fkey DEFERRABLE", 13),
    // Indexes.
    ("CREATE INDEX z ON t (a)", 13),
    ("CREATE UNIQUE INDEX z ON t (a)", 13),
    ("DROP INDEX i", 13),
    ("DROP INDEX i; CREATE INDEX i ON t (c, a)", 13),
    ("ALTER INDEX i SET (fillfactor = 50)", 13),
    ("ALTER INDEX l ALTER COLUMN 1 SET STATISTICS 100", 13),
    ("CLUSTER t USING i", 13),
    ("CREATE STATISTICS s ON a, n FROM t; ALTER STATISTICS s SET STATISTICS 50", 13),
    // The table itself.
    ("ALTER TABLE r SET UNLOGGED", 13),
    ("ALTER TABLE t SET (fillfactor = 50, autovacuum_enabled = false, toast.autovacuum_enabled = false)", 13),
    ("ALTER TABLE t SET (user_catalog_table = true)", 13),
    ("ALTER TABLE t REPLICA IDENTITY FULL", 13),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (a > 0)", 13),
    ("GRANT SELECT ON t TO reader; GRANT UPDATE (a) ON t TO writer", 13),
    ("ALTER TABLE t OWNER TO keeper", 13),
    ("CREATE RULE z AS ON DELETE TO r DO INSTEAD NOTHING; COMMENT ON RULE z ON r IS 'x'", 13),
    (
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g(); COMMENT ON TRIGGER z ON t IS 'x'",
        13,
    ),
    ("CREATE VIEW v AS SELECT a FROM t", 13),
    ("CREATE MATERIALIZED VIEW v AS SELECT a FROM t; CREATE INDEX z ON v (a)", 13),
    ("CREATE PUBLICATION p$ FOR TABLE t", 13),
    ("CREATE TABLE z (a int REFERENCES t)", 13),
    ("CREATE TABLE z () INHERITS (t)", 13),
    ("DROP TABLE r", 13),
    ("ALTER TABLE t ADD z int; CREATE MATERIALIZED VIEW v AS SELECT z FROM t", 13),
    // Other places for tables and indexes.
    ("ALTER TABLE t SET TABLESPACE elsewhere", 13),
    ("ALTER INDEX i SET TABLESPACE elsewhere; ALTER INDEX t_pkey SET TABLESPACE elsewhere", 13),
    ("CREATE INDEX z ON t (a) TABLESPACE elsewhere; ALTER TABLE t ADD UNIQUE (a) USING INDEX TABLESPACE elsewhere", 13),
    ("CREATE TABLE z (a int REFERENCES t) TABLESPACE elsewhere", 13),
];

/// Before, what is done then, and the first version that knows the SQL.
const OTHERS: &[(&str, &str, u32)] = &[
    ("CREATE DOMAIN dm AS int; CREATE TABLE t (a dm)", "ALTER DOMAIN dm ADD CONSTRAINT c CHECK (VALUE > 0)", 13),
    ("CREATE DOMAIN dm AS int; CREATE TABLE t (a dm)", "ALTER DOMAIN dm SET NOT NULL", 13),
    (
        "CREATE DOMAIN dm AS int; CREATE TABLE t (a dm)",
        "ALTER DOMAIN dm ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
        13,
    ),
    ("CREATE DOMAIN dm AS int; CREATE TABLE t (a dm)", "ALTER DOMAIN dm SET DEFAULT 5", 13),
    ("CREATE TYPE y AS (a int); CREATE TABLE t OF y", "ALTER TYPE y ALTER ATTRIBUTE a TYPE bigint CASCADE", 13),
    ("CREATE TYPE y AS (a int); CREATE TABLE t OF y", "ALTER TYPE y ADD ATTRIBUTE b text CASCADE", 13),
    ("CREATE TYPE y AS ENUM ('a'); CREATE TABLE t (a y)", "ALTER TYPE y ADD VALUE 'b'", 13),
    (
        "CREATE TYPE y AS ENUM ('a', 'b'); CREATE TABLE t (a y)",
        "DROP TABLE t; DROP TYPE y; CREATE TYPE y AS ENUM ('b', 'a'); CREATE TABLE t (a y)",
        13,
    ),
    (
        "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT a, b FROM t",
        13,
    ),
    (
        "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t",
        "COMMENT ON VIEW v IS 'x'; ALTER VIEW v SET (security_barrier)",
        13,
    ),
    (
        "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT a FROM t",
        "ALTER MATERIALIZED VIEW v SET (fillfactor = 50); COMMENT ON MATERIALIZED VIEW v IS 'x'",
        13,
    ),
    ("CREATE SEQUENCE s", "ALTER SEQUENCE s INCREMENT 5 CACHE 3; COMMENT ON SEQUENCE s IS 'x'", 13),
    ("CREATE SEQUENCE s", "ALTER SEQUENCE s SET UNLOGGED", 15),
    ("CREATE SEQUENCE s; CREATE TABLE t (a int)", "ALTER SEQUENCE s OWNED BY t.a", 13),
    ("CREATE SEQUENCE s", "ALTER SEQUENCE s AS int; ALTER SEQUENCE s OWNER TO keeper", 13),
    (
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
        "ALTER TABLE t ALTER a SET GENERATED BY DEFAULT SET INCREMENT 3",
        13,
    ),
    ("CREATE TABLE t (a serial)", "ALTER TABLE t ALTER a TYPE bigint; ALTER SEQUENCE t_a_seq AS bigint", 13),
    (
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
        "ALTER TABLE t ALTER a DROP IDENTITY; ALTER TABLE t ALTER a ADD GENERATED ALWAYS AS IDENTITY (INCREMENT -1)",
        13,
    ),
    (
        "CREATE TABLE t (a int PRIMARY KEY GENERATED ALWAYS AS IDENTITY)",
        "ALTER TABLE t ALTER a DROP IDENTITY; ALTER TABLE t ALTER a ADD GENERATED ALWAYS AS IDENTITY (INCREMENT -1)",
        13,
    ),
    (
        "CREATE TABLE t (a serial)",
        "ALTER TABLE t ALTER a DROP DEFAULT; DROP SEQUENCE t_a_seq; ALTER TABLE t ALTER a ADD GENERATED ALWAYS AS IDENTITY (START 9)",
        13,
    ),
    (
        "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT a FROM t; CREATE INDEX i ON v (a)",
        "ALTER MATERIALIZED VIEW v SET TABLESPACE elsewhere; ALTER INDEX i SET TABLESPACE elsewhere",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3); CREATE INDEX i ON t (a)",
        "ALTER TABLE t SET TABLESPACE elsewhere; ALTER TABLE p SET TABLESPACE elsewhere; ALTER INDEX i SET TABLESPACE elsewhere",
        13,
    ),
    // Inheritance and partitions.
    ("CREATE TABLE t (a int); CREATE TABLE z () INHERITS (t)", "ALTER TABLE t ADD b int DEFAULT 1", 13),
    ("CREATE TABLE t (a int); CREATE TABLE z () INHERITS (t)", "CREATE INDEX i ON t (a)", 13),
    ("CREATE TABLE t (a int); CREATE TABLE z () INHERITS (t)", "ALTER TABLE t ADD CHECK (a > 0)", 13),
    ("CREATE TABLE t (a int); CREATE TABLE z () INHERITS (t)", "ALTER TABLE t ALTER a SET STATISTICS 50", 13),
    (
        "CREATE TABLE t (a int); CREATE TABLE z () INHERITS (t)",
        "ALTER TABLE t SET (fillfactor = 50); COMMENT ON TABLE t IS 'x'",
        13,
    ),
    ("CREATE TABLE t (a int); CREATE TABLE z (a int)", "ALTER TABLE z INHERIT t", 13),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p (a int)",
        "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1, 2, 3)",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE rest PARTITION OF t DEFAULT",
        "CREATE TABLE p PARTITION OF t FOR VALUES IN (7)",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3)",
        "CREATE INDEX i ON t (a)",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3)",
        "ALTER TABLE t ADD b float DEFAULT random()",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3)",
        "ALTER TABLE t ADD CHECK (a > 0); ALTER TABLE t ALTER a SET NOT NULL",
        13,
    ),
    (
        "CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3)",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o",
        13,
    ),
    (
        "CREATE TABLE t (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3); CREATE TABLE r (a int)",
        "ALTER TABLE r ADD FOREIGN KEY (a) REFERENCES t",
        13,
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 2, 3)",
        "DROP TABLE p",
        13,
    ),
    // Valid later.
    (
        "CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        13,
    ),
    (
        "CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES o NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        13,
    ),
    (
        "CREATE DOMAIN dm AS int; CREATE TABLE t (a dm); ALTER DOMAIN dm ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
        "ALTER DOMAIN dm VALIDATE CONSTRAINT c",
        13,
    ),
    // Publications.
    (
        "CREATE TABLE t (a int); CREATE TABLE z (a int); CREATE PUBLICATION p$ FOR TABLE t",
        "ALTER PUBLICATION p$ ADD TABLE z",
        13,
    ),
    ("CREATE TABLE t (a int); CREATE PUBLICATION p$ FOR TABLE t", "ALTER PUBLICATION p$ SET (publish = 'insert')", 13),
];

/// Types between which columns change, with all modifiers that matter; each to each other of its line.
const TYPES: &[&[&str]] = &[
    &["text", "varchar", "varchar(5)", "varchar(9)"],
    &["char(5)", "char(9)", "bpchar"],
    &["numeric", "numeric(9,2)", "numeric(12,2)", "numeric(12,3)", "numeric(9)"],
    &["timestamp", "timestamp(0)", "timestamp(3)", "timestamp(6)"],
    &["timestamptz", "timestamptz(3)", "timestamptz(6)"],
    &["time", "time(3)", "time(6)", "timetz", "timetz(2)"],
    &["interval", "interval(3)", "interval(6)", "interval day to second", "interval year"],
    &["bit varying", "bit varying(5)", "bit varying(9)"],
    &["bit(5)", "bit(9)"],
    &["smallint", "integer", "bigint"],
    &["real", "double precision"],
    &["inet", "cidr"],
    &["text[]", "varchar[]", "varchar(5)[]", "varchar(9)[]"],
    &["numeric(9,2)[]", "numeric(12,2)[]"],
];

/// The cases that this server knows, each in a schema of its own: what is there before, and after.
fn scripts() -> (String, String) {
    let wanted = std::env::var("SETPOINT_CASE").unwrap_or_default();
    let on_base = ON_BASE.iter().map(|(then, since)| (BASE, *then, *since));
    let together = together();
    let together = together.iter().map(|then| (BASE, then.as_str(), 13));
    let cases = on_base.chain(OTHERS.iter().copied()).chain(together).enumerate();
    let known = cases.filter(|(_, (_, then, since))| default_major() >= *since && then.contains(&wanted));
    let (mut before, mut after) = (String::new(), String::new());
    for (at, (start, then, _)) in known {
        let start = format!("CREATE SCHEMA c{at}; SET search_path = c{at}; {start};").replace('$', &at.to_string());
        before.push_str(&start);
        after.push_str(&format!("{start}{};", then.replace('$', &at.to_string())));
    }
    assert!(!before.is_empty(), "no case has {wanted}");
    (before, after)
}

/// Three of the changes at a time, as the server takes them: what one step leaves behind must not be held against the next one.
/// `SETPOINT_TEST_TOGETHER` says how many.
fn together() -> Vec<String> {
    let count = std::env::var("SETPOINT_TEST_TOGETHER").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let known: Vec<&str> =
        ON_BASE.iter().filter(|(_, since)| default_major() >= *since).map(|(then, _)| *then).collect();
    // Cluster-wide or named by the schema's number, these are said once.
    let known: Vec<&str> =
        known.into_iter().filter(|then| !then.contains('$') && !then.contains("elsewhere")).collect();
    let db = TestDb::new();
    let (mut out, mut at) = (Vec::new(), 7);
    wait(async {
        let session = Session::open(&db.connect, "test").await.expect("it opens");
        while out.len() < count {
            let mut picked = Vec::new();
            for _ in 0..3 {
                at = (at * 75 + 74) % 65537;
                picked.extend(known.get(at % known.len()).copied());
            }
            let then = picked.join("; ");
            let script = format!("BEGIN; CREATE SCHEMA c; SET LOCAL search_path = c; {BASE}; {then}");
            let taken = session.batch(&script).await.is_ok();
            session.batch("ROLLBACK").await.expect("it goes back");
            out.extend(taken.then_some(then));
        }
        session.close().await;
    });
    out
}

/// Writes down the locks of whoever changes something, before and after each statement.
const WITNESS: &str = "CREATE TABLE public.witness (tx bigint, at bigint, newest bigint, relation oid, kind \"char\", mode text); \
    CREATE SEQUENCE public.witnessed; \
    CREATE FUNCTION public.witness() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE now bigint = nextval('public.witnessed'); BEGIN \
        INSERT INTO public.witness SELECT txid_current(), now, (SELECT max(oid::bigint) FROM pg_class), l.relation, c.relkind, l.mode \
            FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation \
            WHERE l.locktype = 'relation' AND l.granted AND l.pid = pg_backend_pid() AND l.relation >= 16384; END $$; \
    CREATE EVENT TRIGGER before_each ON ddl_command_start EXECUTE FUNCTION public.witness(); \
    CREATE EVENT TRIGGER after_each ON ddl_command_end EXECUTE FUNCTION public.witness();";

/// Tables on which a transaction got a lock after its first statement began that is stronger than the one that it had by then.
const LATER: &str = "WITH modes (mode, strength) AS (VALUES ('ShareUpdateExclusiveLock', 4), ('ShareLock', 5), ('ShareRowExclusiveLock', 6), \
        ('ExclusiveLock', 7), ('AccessExclusiveLock', 8)), \
    begun AS (SELECT DISTINCT ON (tx) tx, at, newest FROM public.witness ORDER BY tx, at), \
    first AS (SELECT w.tx, w.relation, max(m.strength) AS strength FROM public.witness w JOIN begun b USING (tx, at) JOIN modes m USING (mode) GROUP BY 1, 2), \
    later AS (SELECT w.tx, w.relation, max(m.strength) AS strength FROM public.witness w JOIN begun b USING (tx) JOIN modes m USING (mode) \
        WHERE w.relation <= b.newest AND w.kind IN ('r', 'p') GROUP BY 1, 2) \
    SELECT DISTINCT format('%s: %s, then %s', l.relation::regclass, coalesce(f.strength, 0), l.strength) \
        FROM later l LEFT JOIN first f USING (tx, relation) WHERE l.strength > coalesce(f.strength, 0)";

/// Ends this, so that steps can be looked at one by one.
const NO_WITNESS: &str = "DROP EVENT TRIGGER before_each; DROP EVENT TRIGGER after_each";

/// Makes a tablespace in the server's own folder.
fn elsewhere() {
    let db = TestDb::new();
    wait(async {
        let session = Session::open(&db.connect, "test").await.expect("it opens");
        session.batch("SET allow_in_place_tablespaces = on").await.expect("all versions have it");
        match session.batch("CREATE TABLESPACE elsewhere LOCATION ''").await {
            // Other tests of this process have the same server.
            Err(error) if error.sqlstate.as_deref() != Some("42710") => panic!("{error}"),
            _ => session.close().await,
        }
    });
}

#[test]
fn are_what_is_seen_and_all_that_a_transaction_locks() {
    elsewhere();
    let (before, after) = scripts();
    let (before, after) = (format!("{before}{WITNESS}"), format!("{after}{WITNESS}"));
    let seen = travel_asked(&before, &after, LATER, NO_WITNESS).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(seen.looked_at > 0, "no step was looked at");
    let problems = [seen.answers, seen.unlike_claims].concat();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn are_what_is_seen_of_each_change_of_type() {
    let (mut before, mut after) = (String::new(), String::new());
    for (line, types) in TYPES.iter().enumerate() {
        for (from, old) in types.iter().enumerate() {
            for (to, new) in types.iter().enumerate().filter(|(to, _)| *to != from) {
                let table = format!("t{line}_{from}_{to}");
                for (out, sql_type) in [(&mut before, old), (&mut after, new)] {
                    out.push_str(&format!(
                        "CREATE TABLE {table} (a {sql_type}); CREATE INDEX i{table} ON {table} (a);"
                    ));
                }
            }
        }
    }
    let seen = travel_observed(&before, &after).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(seen.unlike_claims.is_empty(), "{}", seen.unlike_claims.join("\n"));
}

/// Functions of PostgreSQL's own that people may call where one value is asked for, by what is in its catalog: names all of whose functions
/// are immutable or stable, and names some of whose are volatile.
const FUNCTIONS: &str = "SELECT p.proname FROM pg_proc p \
    LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass AND d.objsubid = 0 \
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset \
    AND p.prorettype::regtype::text NOT IN ('trigger', 'event_trigger', 'internal', 'cstring') AND p.prorettype::regtype::text NOT LIKE '%handler' \
    AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype]::oid[] \
    AND coalesce(d.description, '') NOT LIKE 'implementation of %' AND p.proname NOT LIKE 'pg\\_%' AND p.proname NOT LIKE 'binary\\_%' \
    GROUP BY p.proname HAVING bool_and(p.provolatile <> 'v')";
const VOLATILE: &str =
    "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v'";

#[test]
fn functions_that_give_the_same_value_are_known() {
    // `timezone` is volatile only for times without a date, which is looked at.
    let steady = |name: &str| steady::is(&Name { parts: vec![name.to_owned()], call: true }) && name != "timezone";
    for binaries in installed() {
        let db = TestDb::on(binaries.major);
        let missing: Vec<String> =
            db.query(FUNCTIONS).into_iter().filter(|name| name != "timezone" && !steady(name)).collect();
        assert!(missing.is_empty(), "PostgreSQL {}: {missing:?} always give the same value", binaries.major);
        let wrong: Vec<String> = db.query(VOLATILE).into_iter().filter(|name| steady(name)).collect();
        assert!(wrong.is_empty(), "PostgreSQL {}: {wrong:?} do not always give the same value", binaries.major);
    }
}

/// Takes a claim away from a step.
type Spoil = fn(&mut Step);

#[test]
fn what_a_step_does_not_claim_fails_a_rehearsal() {
    roles();
    let cases: [(&str, Spoil, &str); 3] = [
        (
            "ALTER TABLE t ADD z float DEFAULT random()",
            |step| step.hazards.clear(),
            "create column public.t.z does more than it claims: it rewrites public.t, but does not name table-rewrite",
        ),
        (
            "ALTER TABLE t ADD CHECK (a > 0)",
            |step| step.hazards.retain(|finding| finding.hazard != Hazard::FullScanUnderLock),
            "create check public.t.t_a_check does more than it claims: it reads all rows of public.t under a lock, but does not name \
             full-scan-under-lock",
        ),
        (
            "ALTER TABLE t ADD z int",
            |step| step.lock = step.lock.take().map(|(_, on)| (LockMode::ShareUpdateExclusive, on)),
            "create column public.t.z does more than it claims: it takes ACCESS EXCLUSIVE on public.t, but claims SHARE UPDATE EXCLUSIVE",
        ),
    ];
    // Before 15, a server that may not open a socket does not count what it reads.
    let counts = default_major() >= 15;
    for (change, spoil, said) in cases.into_iter().filter(|(.., said)| counts || !said.contains("reads all rows")) {
        let before = "CREATE TABLE t (a int);";
        let (here, there) = (TestDb::with(before), TestDb::with(&format!("{before}{change}")));
        wait(async {
            let session = there.session().await;
            let wanted = introspect::read(&session).await.expect("it is read").state;
            session.close().await;
            let made = spoil::made(&here, &wanted).await.expect("there is a plan");
            let honest = made.rehearse(&made.plan).await.proof;
            assert_ne!(honest.verdict(), Verdict::Failed, "{change}: {:?}", honest.up.lines());
            let mut plan = made.plan.clone();
            plan.steps.iter_mut().for_each(spoil);
            let proof = made.rehearse(&plan).await.proof;
            let lines: Vec<&str> = proof.legs().into_iter().flat_map(|(_, leg)| leg.lines()).collect();
            assert!(lines.contains(&said), "{change}: {lines:?}");
        });
    }
}
