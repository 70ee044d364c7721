//! NOT NULL columns added to tables with rows, in both directions: values are requested before anything runs, filled in, then the constraint
//! is set.

use crate::support::{Sandbox, TestDb};

/// A column that is dropped from a table with rows and comes back.
struct Case {
    title: &'static str,
    /// The tables, with rows.
    sql: &'static str,
    /// The files without the column.
    after: &'static str,
    /// The column as the refusal names it; empty where nobody has to be asked.
    column: &'static str,
    /// What it is filled with.
    expression: &'static str,
    /// A query, and its result once the column is back.
    query: &'static str,
    result: &'static str,
}

const CASES: &[Case] = &[
    Case {
        title: "a plain one",
        sql: "CREATE TABLE t (a int PRIMARY KEY, code text NOT NULL); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        after: "table t {\n    column a int primary-key\n}\n",
        column: "public.t.code",
        expression: "'no ' || a -- from the key",
        query: "SELECT string_agg(code, ',' ORDER BY a) FROM t",
        result: "no 1,no 2",
    },
    Case {
        title: "one with a default",
        sql: "CREATE TABLE t (a int, code text NOT NULL DEFAULT 'none'); INSERT INTO t VALUES (1, 'x')",
        after: "table t {\n    column a int\n}\n",
        column: "",
        expression: "",
        query: "SELECT code FROM t",
        result: "none",
    },
    Case {
        title: "one that is generated, one that numbers rows",
        sql: "CREATE TABLE t (a int, g int NOT NULL GENERATED ALWAYS AS (a * 2) STORED, i int GENERATED ALWAYS AS IDENTITY, \
              s serial); INSERT INTO t VALUES (4)",
        after: "table t {\n    column a int\n}\n",
        column: "",
        expression: "",
        query: "SELECT concat_ws(' ', g, i, s) FROM t",
        result: "8 1 1",
    },
    Case {
        title: "a key",
        sql: "CREATE TABLE t (a int, id bigint PRIMARY KEY, UNIQUE (id, a)); INSERT INTO t VALUES (1, 7), (2, 8)",
        after: "table t {\n    column a int\n}\n",
        column: "public.t.id",
        expression: "a * 10",
        query: "SELECT string_agg(id::text, ',' ORDER BY a) FROM t",
        result: "10,20",
    },
    Case {
        title: "of a domain that refuses NULL",
        sql: "CREATE DOMAIN label AS text NOT NULL CHECK (VALUE <> ''); CREATE DOMAIN nick AS label; \
              CREATE TABLE t (a int, n nick); INSERT INTO t VALUES (1, 'x')",
        after: "domain label text not-null {\n    check label_check \"VALUE <> ''\"\n}\ndomain nick label\ntable t {\n    column a int\n}\n",
        column: "public.t.n",
        expression: "'somebody'",
        query: "SELECT n FROM t",
        result: "somebody",
    },
    Case {
        title: "of an enum that goes with it",
        sql: "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TABLE t (a int, m mood NOT NULL, l mood[] NOT NULL DEFAULT '{}'); \
              INSERT INTO t VALUES (1, 'low')",
        after: "table t {\n    column a int\n}\n",
        column: "public.t.m",
        expression: "'high'",
        query: "SELECT m || '' || l::text FROM t",
        result: "high{}",
    },
    Case {
        title: "of a partitioned table",
        sql: "CREATE TABLE t (a int, c text NOT NULL) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); \
              INSERT INTO t VALUES (1, 'x')",
        after: "table t partition-by=\"LIST (a)\" {\n    column a int\n}\ntable t1 {\n    partition-of t \"FOR VALUES IN (1)\"\n}\n",
        column: "public.t.c",
        expression: "'back'",
        query: "SELECT c FROM t1",
        result: "back",
    },
    Case {
        title: "of a table that others inherit from",
        sql: "CREATE TABLE t (a int, c text NOT NULL); CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES (1, 'x')",
        after: "table t {\n    column a int\n}\ntable child {\n    inherits t\n}\n",
        column: "public.t.c",
        expression: "'back'",
        query: "SELECT c FROM child",
        result: "back",
    },
    Case {
        title: "with odd names, one that nothing is asked of, and a foreign key",
        sql: "CREATE SCHEMA \"My App\"; CREATE TABLE \"My App\".\"O\"\"dd.t\" (a int PRIMARY KEY, \"b=c\" int NOT NULL REFERENCES \"My App\".\"O\"\"dd.t\"); \
              INSERT INTO \"My App\".\"O\"\"dd.t\" VALUES (1, 1); CREATE TABLE empty (a int, b int NOT NULL)",
        after: "schema \"My App\" {\n    table (name)\"O\\\"dd.t\" {\n        column a int primary-key\n    }\n}\ntable empty {\n    column a int\n}\n",
        column: "\"My App\".\"O\"\"dd.t\".\"b=c\"",
        expression: "a",
        query: "SELECT \"b=c\" FROM \"My App\".\"O\"\"dd.t\"",
        result: "1",
    },
    Case {
        title: "with a constraint trigger that is deferred",
        sql: "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$; \
              CREATE TABLE t (a int, c text NOT NULL); INSERT INTO t VALUES (1, 'x'); \
              CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look()",
        after: "function look returns=trigger language=plpgsql {\n    body-exact \"BEGIN RETURN NULL; END\"\n}\n\
                table t {\n    column a int\n    trigger later after update for-each=row function=look constraint=#true initially-deferred=#true\n}\n",
        column: "public.t.c",
        expression: "'back'",
        query: "SELECT c FROM t",
        result: "back",
    },
];

const BACK: [&str; 5] = ["rollback", "-1", "--auto-approve", "--allow", "all"];

#[test]
fn a_dropped_column_comes_back_filled() {
    for case in CASES {
        let db = TestDb::with(case.sql);
        let sandbox = Sandbox::new(&db);
        sandbox.ok(&["baseline", "--auto-approve"]);
        std::fs::remove_dir_all(sandbox.path("schema")).expect("it was written");
        sandbox.write("schema/all.kdl", case.after);
        let plan = sandbox.ok(&["plan"]);
        let announced = plan.contains("and needs `--fill` with a value for the rows of table");
        assert_eq!(announced, !case.column.is_empty(), "{}\n{plan}", case.title);
        sandbox.ok(&["push", "--auto-approve", "--allow", "all", "drop"]);
        let fill = format!("{}={}", case.column, case.expression);
        if !case.column.is_empty() {
            let refused = sandbox.exits(3, &BACK).stderr;
            let option = format!("--fill '{}=EXPRESSION'", case.column);
            assert!(
                refused.contains(&option) && refused.matches("EXPRESSION").count() == 1,
                "{}\n{refused}",
                case.title
            );
            sandbox.ok(&["plan", "--exit-code"]);
        }
        let with: &[&str] = if case.column.is_empty() { &[] } else { &["--fill", &fill] };
        sandbox.ok(&[&BACK[..], with].concat());
        assert_eq!(db.value(case.query), case.result, "{}", case.title);
        sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        sandbox.ok(&["plan", "--exit-code"]);
    }
}

#[test]
fn a_new_column_is_asked_for_where_there_are_rows() {
    let db = TestDb::with(
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); CREATE TABLE u (a int); \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.note := 'seen'; RETURN new; END $$; \
         CREATE TABLE w (a int, note text); INSERT INTO w VALUES (1); \
         CREATE TRIGGER g BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    for (table, rest) in [("t", ""), ("u", ""), ("w", "")] {
        let path = format!("schema/public/tables/{table}.kdl");
        let text = sandbox.read(&path);
        sandbox.write(
            &path,
            &text.replacen("column a integer", &format!("column a integer\n    column b bigint not-null{rest}"), 1),
        );
    }
    sandbox.ok(&["plan", "--save", "add"]);
    let apply = ["apply", "--auto-approve", "--allow", "all"];
    let refused = sandbox.exits(3, &apply).stderr;
    assert!(refused.contains("`--fill 'public.t.b=EXPRESSION' --fill 'public.w.b=EXPRESSION'`"), "{refused}");
    assert_eq!(
        db.value(
            "SELECT count(*) FROM pg_attribute WHERE attname = 'b' AND attrelid IN ('t'::regclass, 'u'::regclass)"
        ),
        "0"
    );
    for (fill, words) in [
        ("b=1", "may mean public.t.b or public.u.b or public.w.b"),
        ("t.c=1", "no remaining step fills that column"),
        ("t.b=1; DROP TABLE t", "something follows the `;`"),
        ("t.b", "has no `=`"),
    ] {
        let error = sandbox.exits(64, &[&apply[..], &["--fill", fill]].concat()).stderr;
        assert!(error.contains(words), "{fill}\n{error}");
    }
    // What is wrong in the expression stops the transaction; what was done before is not an obstacle.
    let wrong = sandbox.exits(1, &[&apply[..], &["--fill", "t.b=a / 0", "--fill", "w.b=a"]].concat()).stderr;
    assert!(wrong.contains("division by zero"), "{wrong}");
    sandbox.ok(&[&apply[..], &["--fill", "t.b=a * 5", "--fill", "w.b=a"]].concat());
    assert_eq!(db.value("SELECT sum(b) FROM t"), "15");
    assert_eq!(db.value("SELECT b || note FROM w"), "1seen");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&BACK);
}

/// Its default, or NULL, need not satisfy what else comes back.
#[test]
fn any_column_that_comes_can_be_filled() {
    let db = TestDb::with(
        "CREATE TABLE t (a int PRIMARY KEY, code text DEFAULT 'x' UNIQUE, note text); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    std::fs::remove_dir_all(sandbox.path("schema")).expect("it was written");
    sandbox.write("schema/all.kdl", "table t {\n    column a int primary-key\n}\n");
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "drop"]);
    let stuck = sandbox.exits(1, &BACK).stderr;
    let advice = "column public.t.code is new; `--fill 'public.t.code=EXPRESSION'` gives existing rows other values";
    assert!(stuck.contains(advice), "{stuck}");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&[&BACK[..], &["--fill", "code='c' || a", "--fill", "note='old'"]].concat());
    assert_eq!(db.value("SELECT string_agg(code || note, ',' ORDER BY a) FROM t"), "c1old,c2old");
    assert_eq!(db.value("SELECT count(*) FROM pg_constraint WHERE conname = 't_code_key'"), "1");
}
