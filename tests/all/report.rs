//! Plans as trees, comments for pull requests and lists that stay readable.

use insta::assert_snapshot;

use crate::shown::shown;
use crate::support::{Sandbox, TestDb};

const SHOP: &str = "
CREATE TYPE order_status AS ENUM ('pending', 'paid', 'shipped');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    status order_status NOT NULL DEFAULT 'pending',
    total numeric(12,2) NOT NULL DEFAULT 0 CHECK (total >= 0),
    old_note text
);
CREATE INDEX orders_open ON orders (customer) WHERE status = 'pending';
CREATE VIEW open_orders AS SELECT o.id, c.id AS buyer, o.total FROM orders o JOIN customers c ON c.id = o.customer WHERE o.status = 'pending';
CREATE TABLE gone (a integer PRIMARY KEY, b text);
CREATE CONVERSION odd FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
";

/// The shop as files want it: something of everything.
const WISH: &str = r#"
enum order_status pending paid shipped "given back"

table customers {
    comment "Who buys"
    column id bigint identity=always
    column mail text not-null was=email { comment "lower case" }
    primary-key id
    unique mail name=customers_email_key
}

table orders {
    column id bigint identity=always
    column customer bigint not-null { references customers id on-delete=cascade }
    column status order_status not-null default="'pending'"
    column total "numeric(10,2)" not-null default="0"
    column note text default="''" { comment "see ```ticket```, </details> | @team" }
    primary-key id
    check orders_total_check "total >= 0"
    grant select to=report_reader
}

view open_orders {
    sql "SELECT o.id, c.id AS buyer, o.total FROM orders o JOIN customers c ON c.id = o.customer WHERE o.status = 'pending'"
}

schema audit {
    table "odd|`name`" {
        column at timestamptz default="now()"
        column what text
    }
}
"#;

fn shop() -> (TestDb, Sandbox) {
    let db = TestDb::with(
        "DO $$ BEGIN CREATE ROLE report_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    db.execute(SHOP);
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    std::fs::remove_dir_all(sandbox.path("schema")).expect("baseline wrote files");
    sandbox.write("schema/shop.kdl", WISH);
    (db, sandbox)
}

#[test]
fn a_plan_is_a_tree() {
    let (db, sandbox) = shop();
    let run = |code: i32, arguments: &[&str]| {
        let outcome = sandbox.exits(code, arguments);
        shown(&sandbox, Some(&db), &outcome)
    };
    assert_snapshot!("tree", run(0, &["plan"]));
    assert_snapshot!("markdown", run(0, &["plan", "--markdown"]));
    sandbox.ok(&["plan", "--save", "wish"]);
    // A saved plan shows the same from its file alone.
    let tree = |text: String| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("schema public"));
        lines.take_while(|line| !line.is_empty()).map(str::to_string).collect()
    };
    let planned = tree(run(0, &["plan"]));
    assert_eq!(tree(run(0, &["show", "2"])), planned);
    assert!(planned.len() > 20, "{planned:#?}");
    assert_snapshot!("status_hazards", run(0, &["status"]));
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
    // And so does a revision whose file is gone.
    std::fs::remove_file(sandbox.path("plans/0002-wish.kdl")).expect("the plan has a file");
    sandbox.write("plans/chain.kdl", sandbox.read("plans/chain.kdl").lines().next().expect("the first plan"));
    assert_eq!(tree(run(0, &["show", "2"])), planned);
    let status = sandbox.run(&["status"]);
    assert!(status.code != 0 && status.stdout.contains("next        git pull"), "{status:?}");
}

#[test]
fn nothing_in_a_comment_breaks_out_of_it() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["plan", "--save", "wish"]);
    let comment = sandbox.ok(&["show", "2", "--markdown"]);
    // What the SQL holds stands between fences that are longer than any in it.
    let mut fence: Option<&str> = None;
    for line in comment.lines() {
        let marks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if marks.len() > 3 => fence = Some(marks),
            None if marks.len() == 3 => fence = Some("```"),
            None => assert!(!line.contains("@team") && !line.contains("ticket"), "{line}"),
        }
        if fence.is_none() && line.contains("</details>") {
            assert_eq!(line, "</details>");
        }
    }
    assert_eq!(fence, None, "{comment}");
    assert_eq!(comment.matches("\n<details>\n").count(), 2);
    assert!(comment.contains("**Not proved:**"), "{comment}");
    sandbox.exits(64, &["plan", "--markdown", "--json"]);
}

#[test]
fn hundreds_of_new_tables_stay_readable() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let table = |i: usize| {
        format!("table t{i:04} {{\n    column id bigint\n    column note text default=\"''\"\n    primary-key id\n}}\n")
    };
    sandbox.write("schema/few.kdl", &(0..5).map(table).collect::<String>());
    let few = sandbox.ok(&["plan"]);
    assert!(few.contains("\n    + column note  text default ''\n"), "{few}");
    sandbox.write("schema/few.kdl", &(0..300).map(table).collect::<String>());
    let many = sandbox.ok(&["plan"]);
    assert!(many.lines().count() < 60, "{} lines", many.lines().count());
    assert!(many.contains("+ table t0000  2 columns, 1 primary key\n"), "{many}");
    assert!(many.contains("+ … and 260 tables  -v names them\n"), "{many}");
    let all = sandbox.ok(&["plan", "-v"]);
    assert!(all.contains("  + table t0299\n    + column id  bigint not-null\n"), "the last table is shown with -v");
    // What is dangerous is never folded away.
    sandbox.ok(&["push", "--auto-approve"]);
    sandbox.write("schema/few.kdl", &(0..270).map(table).collect::<String>());
    let drops = sandbox.ok(&["plan"]);
    assert_eq!(drops.matches("! data-loss").count(), 30, "{drops}");
    // GitHub takes so much and no more.
    std::fs::remove_file(sandbox.path("schema/few.kdl")).expect("it was written");
    let comment = sandbox.ok(&["plan", "--markdown"]);
    assert!(comment.len() < 65_536, "{} bytes", comment.len());
    assert!(comment.contains("more | |") && comment.contains("lines more: see the plan's file"), "{comment}");
}

#[test]
fn history_is_newest_first_and_fits_a_screen() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    for i in 1..=3 {
        sandbox.write(&format!("schema/{i}.kdl"), &format!("table t{i} {{\n    column a integer\n}}\n"));
        sandbox.ok(&["push", &format!("n{i}"), "--auto-approve"]);
    }
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_snapshot!("history_lines", shown(&sandbox, Some(&db), &sandbox.exits(0, &["history", "-n", "3"])));
    assert_snapshot!("history_verbose", shown(&sandbox, Some(&db), &sandbox.exits(0, &["history", "--all", "-v"])));
}

#[test]
fn the_files_as_a_script_need_no_database() {
    let mut sandbox = Sandbox::empty();
    sandbox.set("SETPOINT_POSTGRES", "/nonexistent");
    sandbox.write("setpoint.kdl", "");
    sandbox.write(
        "schema/all.kdl",
        "function f returns=integer language=sql {\n    body-exact \"SELECT a FROM t\"\n}\ntable t {\n    column a integer\n}\n",
    );
    let script = sandbox.ok(&["sql", "--server", "15"]);
    let db = TestDb::new();
    db.execute(&script);
    sandbox.set("DATABASE_URL", &db.url());
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.exits(64, &["sql", "--server", "12"]);
}
