//! The owner of a database plants functions wherever a text can call one; then a superuser looks at it. None of them may run.

use std::fs;

use crate::support::{Sandbox, TestDb, default_major, files};

/// Where a text of the database's owner stands, and the first version that knows it. `{f}` is a call of the planted function with
/// a constant, `{a}` one with a column; `evil_PLACE` is its name.
const PLACES: &[(&str, u32, &str)] = &[
    (
        "generated",
        13,
        "CREATE TABLE generated (a int, g int GENERATED ALWAYS AS ({f}) STORED, h int GENERATED ALWAYS AS ({a}) STORED)",
    ),
    (
        "index_expression",
        13,
        "CREATE TABLE ie (a int); CREATE INDEX ie_x ON ie (({f} + a)); CREATE INDEX ie_y ON ie (({f}))",
    ),
    ("index_predicate", 13, "CREATE TABLE ip (a int); CREATE INDEX ip_x ON ip (a) WHERE {f} = 1"),
    ("partition_key", 13, "CREATE TABLE pk (a int) PARTITION BY RANGE ((a + {f}))"),
    (
        "key_domain",
        13,
        "CREATE DOMAIN kd AS int CHECK (evil_key_domain(VALUE) > 0); CREATE TABLE pd (a kd) PARTITION BY LIST (a); \
        CREATE TABLE pd_1 PARTITION OF pd FOR VALUES IN (5)",
    ),
    ("statistics", 14, "CREATE TABLE st (a int, b int); CREATE STATISTICS st_x ON ({a}), b FROM st"),
    ("value", 13, "CREATE TABLE df (a int DEFAULT {f})"),
    ("column_check", 13, "CREATE TABLE ck (a int CHECK ({a} > 0), CHECK ({f} > 0))"),
    (
        "column_domain",
        13,
        "CREATE DOMAIN cd AS int DEFAULT 6 CHECK (evil_column_domain(VALUE) > 0 AND evil_column_domain(1) > 0); \
        CREATE TABLE dc (a cd DEFAULT '7', b cd NOT NULL, g cd GENERATED ALWAYS AS (5) STORED)",
    ),
    ("domain_default", 13, "CREATE DOMAIN dd AS int DEFAULT {f}"),
    (
        "policy",
        13,
        "CREATE TABLE po (a int); ALTER TABLE po ENABLE ROW LEVEL SECURITY; CREATE POLICY po_x ON po USING ({f} = a) WITH CHECK ({f} = 2)",
    ),
    ("view", 13, "CREATE TABLE vt (a int); CREATE VIEW vi AS SELECT {f} AS x, {a} AS y FROM vt WHERE {f} > 0"),
    (
        "materialized",
        13,
        "CREATE MATERIALIZED VIEW mv AS SELECT {f} AS x WITH NO DATA; CREATE INDEX mv_x ON mv (({f} + x))",
    ),
    ("rule", 13, "CREATE TABLE ru (a int); CREATE RULE ru_x AS ON UPDATE TO ru WHERE {f} > 0 DO ALSO SELECT {f}"),
    (
        "trigger_when",
        13,
        "CREATE TABLE tr (a int); CREATE FUNCTION tr_f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
        CREATE TRIGGER tr_x BEFORE UPDATE ON tr FOR EACH ROW WHEN ({f} > NEW.a) EXECUTE FUNCTION tr_f()",
    ),
    ("argument", 13, "CREATE FUNCTION fa(a int DEFAULT {f}) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN a; END'"),
    ("body", 14, "CREATE FUNCTION fb() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT {f}; END"),
    ("exclusion", 13, "CREATE TABLE ex (a int, EXCLUDE (({f} + a) WITH =) WHERE ({f} = 1))"),
    (
        "implicit_cast",
        13,
        "CREATE TYPE own AS (a int); CREATE FUNCTION own_text(own) RETURNS text IMMUTABLE LANGUAGE plpgsql AS \
        'BEGIN PERFORM public.evil_implicit_cast(1); RETURN ''x''; END'; CREATE CAST (own AS text) WITH FUNCTION own_text(own) AS IMPLICIT; \
        CREATE TABLE ic (a own DEFAULT '(5)', CHECK (length('(1)'::own) > 0), g int GENERATED ALWAYS AS (length('(1)'::own)) STORED)",
    ),
    (
        "operators",
        13,
        "CREATE FUNCTION op_f(int, text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.evil_operators($1); END'; \
        CREATE OPERATOR <<>> (LEFTARG = int, RIGHTARG = text, FUNCTION = op_f); \
        CREATE TABLE op (a int, CHECK ((a <<>> 'x') > 0), g int GENERATED ALWAYS AS (1 <<>> 'x') STORED)",
    ),
    (
        "aggregates",
        13,
        "CREATE FUNCTION ag_f(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.evil_aggregates($2); END'; \
        CREATE AGGREGATE ag(int) (SFUNC = ag_f, STYPE = int, INITCOND = '0'); CREATE VIEW av AS SELECT ag(1) AS x",
    ),
    (
        "ranges",
        13,
        "CREATE FUNCTION rd(float8, float8) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS \
        'BEGIN PERFORM public.evil_ranges(1); RETURN 0; END'; CREATE TYPE own_range AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = rd); \
        CREATE TABLE ra (a own_range DEFAULT '[1,2)', CHECK (a <> '[3,4)'))",
    ),
    ("row_filter", 15, "CREATE TABLE rf (a int, b int); CREATE VIEW rv AS SELECT a FROM rf WHERE {a} = 1"),
    (
        "search_path",
        13,
        "CREATE FUNCTION eq(text, text) RETURNS bool LANGUAGE plpgsql AS \
        'BEGIN PERFORM public.evil_search_path(1); RETURN pg_catalog.texteq($1, $2); END'; \
        CREATE FUNCTION eq(name, text) RETURNS bool LANGUAGE plpgsql AS \
        'BEGIN PERFORM public.evil_search_path(1); RETURN pg_catalog.texteq($1::text, $2); END'; \
        CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = eq); \
        CREATE OPERATOR = (LEFTARG = name, RIGHTARG = text, FUNCTION = eq); \
        CREATE OPERATOR <> (LEFTARG = text, RIGHTARG = text, FUNCTION = eq); \
        CREATE OPERATOR || (LEFTARG = text, RIGHTARG = text, FUNCTION = eq); \
        CREATE TABLE pg_attribute (a int)",
    ),
];

struct Planted {
    db: TestDb,
    role: String,
}

impl Planted {
    fn new(role: &str) -> Self {
        let (db, role) = (TestDb::new(), format!("mallory_{role}_{}", std::process::id()));
        let name = db.connect.database().to_owned();
        db.execute(&format!(
            "CREATE ROLE {role}; ALTER DATABASE {name} OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
        ));
        let mut sql = format!(
            "SET SESSION AUTHORIZATION {role}; SET search_path = public; \
             CREATE FUNCTION run(place text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             IF NOT (current_user::text OPERATOR(pg_catalog.=) '{role}') THEN PERFORM pg_catalog.nextval(pg_catalog.concat('public.tell_', place)::regclass); \
             IF pg_catalog.current_setting('is_superuser')::bool THEN ALTER ROLE {role} SUPERUSER; END IF; END IF; END $$;"
        );
        for (place, since, text) in PLACES {
            if default_major() < *since {
                continue;
            }
            sql.push_str(&format!(
                "CREATE SEQUENCE tell_{place}; CREATE FUNCTION evil_{place}(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \
                 'BEGIN PERFORM public.run(''{place}''); RETURN v; END';"
            ));
            let (f, a) = (format!("evil_{place}(1)"), format!("evil_{place}(a)"));
            sql.push_str(&format!("{};", text.replace("{f}", &f).replace("{a}", &a)));
        }
        db.execute(&sql);
        Self { db, role }
    }

    /// Has every session look at the owner's operators first.
    fn captures_the_path(&self) {
        self.db.execute(&format!("ALTER DATABASE {} SET search_path = public, pg_catalog", self.db.connect.database()));
    }

    /// The places whose function ran as somebody else, and whether its owner has become more than before.
    fn told(&self) -> Vec<String> {
        let places = PLACES.iter().filter(|(_, since, _)| default_major() >= *since).map(|(place, ..)| *place);
        let asks: Vec<String> =
            places.map(|place| format!("SELECT '{place}' AS p, is_called AS c FROM public.tell_{place}")).collect();
        let superuser = format!(
            "SELECT 'the owner is a superuser', rolsuper FROM pg_catalog.pg_roles WHERE rolname::pg_catalog.text OPERATOR(pg_catalog.=) '{}'",
            self.role
        );
        let query = format!("SELECT p FROM ({} UNION ALL {superuser}) s WHERE c", asks.join(" UNION ALL "));
        self.db.query(&query)
    }

    /// A program's run must not have made any of it run.
    fn runs_nothing(&self, sandbox: &Sandbox, arguments: &[&str], codes: &[i32]) {
        let outcome = sandbox.run(arguments);
        assert_eq!(self.told(), Vec::<String>::new(), "{arguments:?} ran what the database's owner planted");
        assert!(
            codes.contains(&outcome.code),
            "{arguments:?}: {}\n{}\n{}",
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let role = &self.role;
        let name = self.db.connect.database().to_owned();
        let _ = self.db.try_execute(&format!("ALTER DATABASE {name} RESET search_path; REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"));
    }
}

/// Writes every text in another way, so that nobody but a server knows whether it means the same.
fn respell(sandbox: &Sandbox) {
    let mut changed = 0;
    for file in files(&sandbox.path("schema"), ".kdl") {
        let text = fs::read_to_string(&file).expect("is text");
        let other = text.replace("public.evil_", "evil_").replace("VALUES IN (5)", "VALUES IN ('5')");
        let other =
            other.replace("'x'::text", "'x'").replace("'[3,4)'::public.own_range", "'[3,4)'").replace(" > 0", ">0");
        changed += usize::from(other != text);
        fs::write(&file, other).expect("can be written");
    }
    assert!(changed > 0, "there was nothing to write in another way");
}

#[test]
fn whoever_looks_runs_nothing_of_the_owner() {
    let planted = Planted::new("looks");
    let sandbox = Sandbox::new(&planted.db);
    planted.runs_nothing(&sandbox, &["pull"], &[0]);
    planted.runs_nothing(&sandbox, &["plan"], &[0, 2]);
    respell(&sandbox);
    planted.runs_nothing(&sandbox, &["plan"], &[0, 2]);
    planted.runs_nothing(&sandbox, &["pull"], &[0]);
    planted.runs_nothing(&sandbox, &["check"], &[0, 1]);
}

#[test]
fn whoever_adopts_runs_nothing_of_the_owner() {
    let planted = Planted::new("adopts");
    let sandbox = Sandbox::new(&planted.db);
    planted.runs_nothing(&sandbox, &["baseline", "--auto-approve"], &[0]);
    planted.runs_nothing(&sandbox, &["status"], &[0]);
    planted.runs_nothing(&sandbox, &["drift"], &[0, 2]);
    planted.captures_the_path();
    planted.runs_nothing(&sandbox, &["status"], &[0]);
    planted.runs_nothing(&sandbox, &["drift"], &[0, 2]);
    respell(&sandbox);
    planted.runs_nothing(&sandbox, &["plan", "--save", "again"], &[0, 2, 3]);
}

/// Files that want to be evaluated: a bound, a second statement behind a body, a library.
#[test]
fn files_are_not_evaluated_on_the_target() {
    let db = TestDb::with(
        "CREATE SEQUENCE s; CREATE TABLE p (a bigint) PARTITION BY RANGE (a); \
         CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (1) TO (777); \
         CREATE FUNCTION f(a int DEFAULT 1 + 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["pull"]);
    for file in files(&sandbox.path("schema"), ".kdl") {
        let text = fs::read_to_string(&file).expect("is text");
        fs::write(
            &file,
            text.replace("TO (777)", "TO (setval('public.s', 777))")
                .replace("TO ('777')", "TO (setval('public.s', 777))"),
        )
        .expect("can be written");
    }
    let outcome = sandbox.run(&["plan"]);
    assert_eq!(
        db.value("SELECT last_value FROM s"),
        "1",
        "the plan moved the sequence\n{}{}",
        outcome.stdout,
        outcome.stderr
    );
}

#[test]
fn a_body_has_no_second_statement() {
    if default_major() < 14 {
        return;
    }
    let db = TestDb::with(
        "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS one; END",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.write(
        "schema/a.kdl",
        "table t { column a int }\nfunction f returns=integer language=sql {\n    sql-body \"BEGIN ATOMIC SELECT 1; END; COMMIT; BEGIN; DROP TABLE t; COMMIT; BEGIN; SELECT 1; END\"\n}\n",
    );
    let outcome = sandbox.run(&["plan"]);
    assert_eq!(db.value("SELECT to_regclass('public.t') IS NOT NULL"), "t", "{}{}", outcome.stdout, outcome.stderr);
}
