//! Renames that the files declare: data stays, whatever depends on the old name follows, and rolling back restores the old names.
//!
//! `fixtures/renames.md` holds the cases; each has a schema of its own, unless its files say which schemas they use.

use std::collections::BTreeSet;

use setpoint::introspect;
use setpoint::model::State;

use crate::support::{Sandbox, TestDb, block_on, default_major, installed, repository};

/// A case of such a file: what is declared before and after, the data in between, and a query with its result at the end.
pub struct Case {
    pub title: String,
    pub schema: String,
    pub before: String,
    pub data: String,
    pub after: String,
    pub query: String,
    pub result: String,
}

/// The cases of a file, each in a schema that is called as the case is.
pub fn cases_of(file: &str) -> Vec<Case> {
    let path = repository().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case = |case: &str| {
        let (title, rest) = case.split_once('\n').unwrap_or((case, ""));
        let blocks: Vec<&str> = rest.split("\n```").skip(1).step_by(2).collect();
        let block = |at: usize| {
            let block = blocks.get(at).and_then(|block| block.split_once('\n'));
            block.unwrap_or_else(|| panic!("`{title}` has too few blocks")).1.to_string()
        };
        let schema = title.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "_");
        let inside = |kdl: String| match kdl.starts_with("schema ") {
            true => kdl,
            false => format!("schema {schema} {{\n{kdl}\n}}\n"),
        };
        let last = block(3);
        let (query, result) = last.split_once(" -- ").unwrap_or_else(|| panic!("`{title}` has no result"));
        Case {
            title: title.to_string(),
            before: inside(block(0)),
            data: block(1),
            after: inside(block(2)),
            query: query.to_string(),
            result: result.to_string(),
            schema,
        }
    };
    text.split("\n## ").skip(1).map(case).collect()
}

fn state(db: &TestDb) -> State {
    block_on(async { introspect::read(&db.session().await).await }).unwrap_or_else(|error| panic!("{error}")).state
}

fn write(sandbox: &Sandbox, cases: &[Case], text: impl Fn(&Case) -> &str) {
    cases.iter().for_each(|case| sandbox.write(&format!("schema/{}.kdl", case.schema), text(case)));
}

#[test]
fn what_is_renamed_keeps_its_data_and_what_depends_on_it_follows() {
    let cases = cases_of("fixtures/renames.md");
    // What follows a rename does so in all versions alike; the oldest and the newest are asked all the same.
    let majors: BTreeSet<u32> = installed().iter().map(|binaries| binaries.major).collect();
    let ends = [majors.first(), majors.last()].into_iter().flatten().copied();
    for major in ends.chain([default_major()]).collect::<BTreeSet<u32>>() {
        let db = TestDb::on(major);
        let sandbox = Sandbox::new(&db);
        write(&sandbox, &cases, |case| &case.before);
        sandbox.ok(&["push", "--auto-approve", "--allow", "all", "before"]);
        for case in &cases {
            db.execute(&format!("SET search_path = \"{}\", public; {}", case.schema, case.data));
        }
        let start = state(&db);
        write(&sandbox, &cases, |case| &case.after);
        // Nothing but renames.
        let plan = sandbox.run(&["plan", "--json"]);
        assert!([0, 2].contains(&plan.code), "{}", plan.stderr);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
        let steps = plan["steps"].as_array().cloned().unwrap_or_default();
        let others: Vec<String> = steps
            .iter()
            .filter(|step| step["action"] != "rename")
            .map(|step| format!("{} {}: {}", step["action"], step["object"], step["sql"]))
            .collect();
        assert!(others.is_empty() && plan["unverified"] == serde_json::json!([]), "on {major}: {others:#?}\n{plan:#}");
        sandbox.ok(&["push", "--auto-approve", "--allow", "all", "renames"]);
        sandbox.ok(&["plan", "--exit-code"]);
        for case in &cases {
            let sql = format!("SET search_path = \"{}\", public; {}", case.schema, case.query);
            assert_eq!(db.query(&sql), [case.result.as_str()], "on {major}: {}", case.title);
        }
        sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        let end = state(&db);
        for (id, object) in start.iter() {
            assert_eq!(end.get(id).map(|object| &object.attrs), Some(&object.attrs), "on {major}: {id}");
        }
        assert_eq!(start.len(), end.len());
        sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        let plan = sandbox.exits(0, &["plan", "--exit-code"]);
        let hint = "warning: schema/columns.kdl:3:5: `was=a` of column columns.t.x is no longer needed; remove it\n";
        assert!(plan.stderr.contains(hint), "{}", plan.stderr);
        sandbox.ok(&["fmt"]);
        let check = sandbox.exits(0, &["check"]).stderr;
        assert!(check.contains("`was=a` of column columns.t.x is no longer needed"), "{check}");
    }
}

#[test]
fn names_that_go_around_in_a_circle_are_exchanged_once() {
    let db = TestDb::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL CHECK (a > 0), b integer, c integer); CREATE INDEX ON t (a); \
         INSERT INTO t VALUES (1, 2, 3, 4); CREATE VIEW v AS SELECT a AS x FROM t; \
         CREATE TABLE one (id serial PRIMARY KEY, other integer REFERENCES t); CREATE TABLE two (id serial PRIMARY KEY, other integer REFERENCES one); \
         INSERT INTO one VALUES (DEFAULT, 1); INSERT INTO two VALUES (7, 1); CREATE INDEX mine ON one (other); CREATE INDEX yours ON one (id, other)",
    );
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.ok(&["baseline", "--auto-approve"]);
    let read = |name: &str| sandbox.read(&format!("schema/public/tables/{name}.kdl"));
    let (t, one, two) = (read("t"), read("one"), read("two"));
    // Three columns go around, of two tables that look alike the names are exchanged, and so are those of two indexes.
    let turned = t
        .replace("column a integer", "column b integer was=a")
        .replace("column b integer\n", "column c integer was=b\n");
    let turned = turned
        .replace("column c integer\n", "column a integer was=c\n")
        .replace("a > 0", "b > 0")
        .replace("index a", "index b");
    sandbox.write("schema/public/tables/t.kdl", &turned.replace("index t_a_idx a", "index b"));
    sandbox.write("schema/public/views/v.kdl", "view v {\n    sql \"SELECT b AS x FROM t\"\n}\n");
    sandbox.write(
        "schema/public/tables/one.kdl",
        &two.replace("table two", "table one was=two").replace("references one", "references two"),
    );
    let swapped =
        one.replace("table one", "table two was=one").replace("mine", "\u{0}").replace("yours", "mine was=yours");
    sandbox.write("schema/public/tables/two.kdl", &swapped.replace('\u{0}', "yours was=mine"));
    let held = "SELECT (SELECT t::text FROM t) || (SELECT string_agg(one::text, '') FROM one) || (SELECT string_agg(two::text, '') FROM two)";
    let before = (state(&db), db.query(held));
    let plan = sandbox.exits(2, &["plan", "--exit-code"]).stdout;
    assert!(!plan.contains("data-loss") && !plan.contains("table-rewrite"), "{plan}");
    sandbox.ok(&["plan", "--save", "around"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    let plan = sandbox.exits(0, &["plan", "--exit-code"]).stdout;
    assert!(plan.contains("Nothing to do"), "{plan}");
    assert_eq!(db.query("SELECT a || ' ' || b || ' ' || c FROM t"), ["4 2 3"]);
    assert_eq!(db.query("SELECT (SELECT one FROM one)::text || (SELECT two FROM two)::text"), ["(7,1)(1,1)"]);
    db.execute("INSERT INTO one (other) VALUES (1); INSERT INTO two (other) VALUES (1)");
    db.execute("DELETE FROM one WHERE id < 7; DELETE FROM two WHERE id > 1");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    let after = state(&db);
    for (id, object) in before.0.iter() {
        assert_eq!(after.get(id), Some(object), "{id}");
    }
    assert_eq!((before.0.len(), before.1), (after.len(), db.query(held)));
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
}

#[test]
fn names_of_short_forms_are_exchanged_as_well() {
    let db = TestDb::with(
        "CREATE TABLE one (id serial PRIMARY KEY, n integer REFERENCES one); CREATE TABLE two (id serial PRIMARY KEY, n integer REFERENCES two); \
         INSERT INTO one VALUES (1, 1); INSERT INTO two VALUES (7, 7); SELECT setval('one_id_seq', 1), setval('two_id_seq', 7)",
    );
    let sandbox = Sandbox::new(&db).rehearsing();
    let table = |name: &str, was: &str| {
        format!(
            "table {name} was={was} {{\n    column id serial\n    column n integer {{ references {name} id\n }}\n    primary-key id\n}}\n"
        )
    };
    sandbox.write("schema/a.kdl", &(table("one", "two") + &table("two", "one")));
    let plan = sandbox.exits(2, &["plan", "--exit-code"]).stdout;
    assert!(!plan.contains(" to drop") && !plan.contains("transactions"), "{plan}");
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    let held =
        "SELECT (SELECT one FROM one)::text || (SELECT two FROM two)::text || pg_get_serial_sequence('one', 'id')";
    assert_eq!(db.query(held), ["(7,7)(1,1)public.one_id_seq"]);
    // Each goes on counting where it was.
    assert_eq!(db.query("SELECT nextval('one_id_seq') || ' ' || nextval('two_id_seq')"), ["8 2"]);
    sandbox.ok(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query(held), ["(1,1)(7,7)public.one_id_seq"]);
}

#[test]
fn a_text_that_still_has_the_old_name_is_not_taken_for_the_same() {
    let db = TestDb::with("CREATE TABLE t (a integer); CREATE VIEW v AS SELECT a FROM t");
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["pull"]);
    let table = sandbox.read("schema/public/tables/t.kdl");
    sandbox.write("schema/public/tables/t.kdl", &table.replace("column a integer", "column x integer was=a"));
    let outcome = sandbox.exits(2, &["plan"]);
    assert!(outcome.stderr.contains("unverified") && outcome.stderr.contains("view public.v"), "{}", outcome.stderr);
}

#[test]
fn values_of_an_enum_are_renamed_and_added_at_once() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let file = |values: &str, paid: &str| {
        format!(
            "enum status {values}\n\ntable orders {{\n    column status status default=\"'{paid}'\"\n}}\n\nfunction paid \
             returns=bigint language=plpgsql {{\n    body \"BEGIN RETURN (SELECT count(*) FROM orders WHERE status = 'payed'); \
             END\"\n}}\n"
        )
    };
    sandbox.write("schema/all.kdl", &file("pending payed", "payed"));
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "before"]);
    db.execute("INSERT INTO orders DEFAULT VALUES");
    let start = state(&db);
    sandbox.write("schema/all.kdl", &file("pending reserved paid shipped {\n    value paid was=payed\n}", "paid"));
    sandbox.ok(&["fmt", "--check"]);
    sandbox.ok(&["plan", "--save", "paid"]);
    let plan = sandbox.read("plans/0002-paid.kdl");
    let body =
        "hazard untracked-dependency \"the body of function public.paid() seems to name value public.status.paid\"";
    assert!(plan.contains(body), "{plan}");
    let steps: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("        sql ")).collect();
    assert_eq!(
        steps,
        [
            "\"ALTER TYPE public.status RENAME VALUE 'payed' TO 'paid'\"",
            "\"ALTER TYPE public.status ADD VALUE 'reserved' AFTER 'pending'\"",
            "\"ALTER TYPE public.status ADD VALUE 'shipped'\"",
        ],
        "{plan}"
    );
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT status FROM orders"), ["paid"]);
    let plan = sandbox.exits(0, &["plan", "--exit-code"]);
    let hint = "schema/all.kdl:2:5: `was=payed` of value public.status.paid is no longer needed; remove it";
    assert!(plan.stderr.contains(hint), "{}", plan.stderr);
    assert!(sandbox.exits(0, &["check"]).stderr.contains(hint));
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    let end = state(&db);
    for (id, object) in start.iter() {
        assert_eq!(end.get(id).map(|object| &object.attrs), Some(&object.attrs), "{id}");
    }
    assert_eq!(db.query("SELECT status FROM orders"), ["payed"]);
    // What the files say of names that are others by now goes with them.
    db.execute("ALTER TYPE status RENAME VALUE 'pending' TO 'open'");
    sandbox.ok(&["pull"]);
    let pulled = sandbox.read("schema/all.kdl");
    assert!(pulled.starts_with("enum status open payed\n\ntable"), "{pulled}");
}

#[test]
fn a_constant_that_still_has_the_old_value_is_not_taken_for_the_same() {
    let db = TestDb::with(
        "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TABLE t (a mood DEFAULT 'low', b mood[] DEFAULT '{low}')",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.write(
        "schema/all.kdl",
        "enum mood down high {\n    value down was=low\n}\ntable t {\n    column a mood default=\"'low'\"\n    column b \"mood[]\" \
         default=\"'{low}'::public.mood[]\"\n}\n",
    );
    let outcome = sandbox.exits(2, &["plan"]);
    for column in ["public.t.a", "public.t.b"] {
        assert!(outcome.stderr.contains(&format!("default on column {column}")), "{}", outcome.stderr);
    }
}

#[test]
fn a_rename_is_refused_while_both_names_are_there() {
    let db = TestDb::with(
        "CREATE TABLE users (id int PRIMARY KEY, n text); CREATE TABLE users_v2 (id int PRIMARY KEY, n text); \
         INSERT INTO users_v2 VALUES (2, 'new'); \
         CREATE TABLE t (price int, price_new numeric, CHECK (price > 0)); CREATE TYPE mood AS ENUM ('low', 'down');",
    );
    let sandbox = Sandbox::new(&db);
    let table = "table users was=users_v2 {\n    column id int primary-key\n    column n text\n}\n";
    let columns = "table t {\n    column price numeric was=price_new\n    check t_price_check \"price > 0\"\n}\n";
    let value = "enum mood down {\n    value down was=low\n}\n";
    sandbox.write("schema/all.kdl", &format!("{table}{columns}{value}"));
    for command in [&["plan"][..], &["plan", "--save", "x"], &["push", "--auto-approve", "--allow", "all"]] {
        let error = sandbox.exits(78, command).stderr;
        for words in [
            "table public.users_v2 cannot become table public.users: the database has both\n --> schema/all.kdl:1:1\n",
            "column public.t.price_new cannot become column public.t.price: the database has both\n --> schema/all.kdl:6:5\n",
            "value public.mood.low cannot become value public.mood.down: the database has both\n  --> schema/all.kdl:10:5\n",
            "to keep what `users_v2` holds, drop or rename `users` in a separate plan first",
        ] {
            assert!(error.contains(words), "{words}\n{error}");
        }
    }
    assert_eq!(db.value("SELECT n FROM users_v2"), "new");
    // A chain of renames that was done leaves every name but the first one taken.
    sandbox.write(
        "schema/all.kdl",
        "table users_v2 was=users_v3 {\n    column id int primary-key\n    column n text\n}\ntable users was=users_v2 {\n    \
         column id int primary-key\n    column n text\n}\ntable t {\n    column price int\n    column price_new numeric\n    \
         check t_price_check \"price > 0\"\n}\nenum mood low down\n",
    );
    sandbox.ok(&["plan", "--exit-code"]);
}

/// A column is renamed and gets another type: what depends on it is made again, on the way back before its name comes back.
#[test]
fn what_is_made_again_beside_a_rename_comes_back() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let file = |column: &str, name: &str| {
        format!(
            "table t {{\n    column id integer primary-key\n    column {column} default=\"4\"\n    check small \"{name} < 100\"\n    \
             index some id {{ where \"{name} > 1\" }}\n    policy p {{ using \"{name} > 0\" }}\n}}\n\n\
             table heir {{ inherits t; check more \"{name} < 90\" }}\n\nview v {{ sql \"SELECT id, {name} FROM t\" }}\n"
        )
    };
    sandbox.write("schema/all.kdl", &file("a integer", "a"));
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "before"]);
    db.execute("INSERT INTO t VALUES (1, 2); INSERT INTO heir VALUES (2, 3)");
    let start = state(&db);
    sandbox.write("schema/all.kdl", &file("b bigint was=a", "b"));
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "after"]);
    assert_eq!(db.query("SELECT b FROM v ORDER BY b"), ["2", "3"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT a FROM v ORDER BY a"), ["2", "3"]);
    let end = state(&db);
    assert_eq!(start.len(), end.len());
    for (id, object) in start.iter() {
        assert_eq!(end.get(id).map(|object| &object.attrs), Some(&object.attrs), "{id}");
    }
}

#[test]
fn what_a_table_inherits_is_not_renamed_by_itself() {
    let db = TestDb::with("CREATE TABLE base (id int, n int); CREATE TABLE heir () INHERITS (base)");
    let sandbox = Sandbox::new(&db);
    let base = "table base {\n    column id integer\n    column n integer\n}\n";
    for heir in ["inherits base\n    column m integer was=n", "column id integer\n    column m integer was=n"] {
        sandbox.write("schema/all.kdl", &format!("{base}table heir {{\n    {heir}\n}}\n"));
        let error = sandbox.exits(78, &["plan"]).stderr;
        let words = "column public.heir.n cannot become column public.heir.m: table public.heir inherits it from table public.base";
        assert!(error.contains(words) && error.contains("rename it in table public.base"), "{error}");
    }
    // Where it has its new name in the parent, it has followed.
    let renamed = base.replace("column n integer", "column m integer was=n");
    sandbox.write(
        "schema/all.kdl",
        &format!("{renamed}table heir {{\n    column id integer\n    column m integer was=n\n}}\n"),
    );
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "renamed"]);
    sandbox.ok(&["plan", "--exit-code"]);
}
