//! The workflow through the program: what each command does and prints, and its exit code.

use insta::assert_snapshot;

use crate::shown::shown;
use crate::support::{Outcome, Sandbox, TestDb};

/// A database as a person built it.
const SHOP: &str = "
CREATE TYPE order_status AS ENUM ('pending', 'paid', 'shipped');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    status order_status NOT NULL DEFAULT 'pending',
    total numeric(12,2) NOT NULL DEFAULT 0 CHECK (total >= 0)
);
CREATE INDEX orders_open ON orders (customer) WHERE status = 'pending';
CREATE VIEW open_orders AS SELECT id, customer, total FROM orders WHERE status = 'pending';
COMMENT ON TABLE orders IS 'One row per checkout';
INSERT INTO customers (email) VALUES ('a@example.org');
INSERT INTO orders (customer, total) VALUES (1, 10);
";

/// A project that adopted the shop.
fn adopted() -> (TestDb, Sandbox) {
    let db = TestDb::with(SHOP);
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    (db, sandbox)
}

fn edit(sandbox: &Sandbox, path: &str, from: &str, to: &str) {
    let text = sandbox.read(path);
    assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
    sandbox.write(path, &text.replacen(from, to, 1));
}

/// The edit that most tests make: a column, an index and a comment more, a view that shows the column.
fn wish(sandbox: &Sandbox) {
    edit(
        sandbox,
        "schema/public/tables/orders.kdl",
        "    primary-key",
        "    column note text default=\"''\"\n    primary-key",
    );
    edit(
        sandbox,
        "schema/public/tables/customers.kdl",
        "    column email",
        "    comment \"Who buys\"\n    column email",
    );
}

fn says(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stderr.contains(word), "no “{word}” in:\n{}", outcome.stderr);
    }
}

#[test]
fn from_a_hand_built_database_to_revisions_and_back() {
    let db = TestDb::with(SHOP);
    let mut sandbox = Sandbox::empty();
    sandbox.set("DATABASE_URL", &db.url());
    let run = |code: i32, arguments: &[&str]| {
        let outcome = sandbox.exits(code, arguments);
        shown(&sandbox, Some(&db), &outcome)
    };
    assert_snapshot!("init", run(0, &["init"]));
    assert_snapshot!("baseline", run(0, &["baseline", "--auto-approve"]));
    assert_snapshot!("files_orders", sandbox.read("schema/public/tables/orders.kdl"));
    run(0, &["plan", "--exit-code"]);
    run(0, &["check"]);
    wish(&sandbox);
    assert_snapshot!("plan", run(2, &["plan", "--exit-code", "-v"]));
    assert_snapshot!("plan_sql", run(0, &["plan", "--sql"]));
    assert_snapshot!("check_unplanned", run(1, &["check"]));
    assert_snapshot!("plan_save", run(0, &["plan", "--save", "add-note"]));
    assert_snapshot!("check", run(0, &["check"]));
    assert_snapshot!("status_pending", run(0, &["status"]));
    assert_snapshot!("apply", run(0, &["apply", "--auto-approve"]));
    assert_snapshot!("status", run(0, &["status"]));
    assert_snapshot!("drift_none", run(0, &["drift"]));
    run(0, &["plan", "--exit-code"]);
    assert_eq!(db.value("SELECT count(*) FROM orders WHERE note = ''"), "1");
    assert_snapshot!("rollback", run(0, &["rollback", "-1", "--auto-approve", "--allow", "all"]));
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'note'"), "0");
    assert_snapshot!("apply_again", run(0, &["apply", "--auto-approve"]));
    run(0, &["apply", "--auto-approve"]);
    assert_snapshot!("show", run(0, &["show", "2"]));
    assert_snapshot!("history", run(0, &["history"]));
    assert_eq!(db.value("SELECT count(*) FROM orders"), "1");
}

#[test]
fn programs_read_json() {
    let (db, sandbox) = adopted();
    wish(&sandbox);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let text = sandbox.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let plan = json(&["plan", "--json"]);
    assert_eq!(plan["format"], 1);
    assert_eq!(plan["empty"], false);
    assert!(
        plan["steps"].as_array().is_some_and(|steps| steps.iter().any(|s| s["object"] == "column public.orders.note"))
    );
    sandbox.ok(&["plan", "--save", "add-note"]);
    assert_eq!(json(&["status", "--json"])["pending"][0]["name"], "add-note");
    sandbox.ok(&["apply", "--auto-approve"]);
    let events = json(&["history", "--json"]);
    let what: Vec<&str> =
        events["events"].as_array().into_iter().flatten().filter_map(|e| e["what"].as_str()).collect();
    assert_eq!(what, ["baselined", "applied"]);
    assert_eq!(json(&["show", "2", "--json"])["name"], "add-note");
    db.execute("ALTER TABLE orders ADD COLUMN by_hand int");
    let drift: serde_json::Value = serde_json::from_str(&sandbox.exits(2, &["drift", "--json"]).stdout).expect("JSON");
    assert_eq!(drift["drift"][0]["object"], "column public.orders.by_hand");
    assert_eq!(json(&["status", "--json"])["drift"][0]["change"], "+");
}

#[test]
fn what_was_changed_by_hand_is_drift() {
    let (db, sandbox) = adopted();
    db.execute("ALTER TABLE orders ADD COLUMN by_hand int; DROP VIEW open_orders; COMMENT ON TABLE orders IS 'mine'");
    let drift = sandbox.exits(2, &["drift"]);
    assert_snapshot!("drift", shown(&sandbox, Some(&db), &drift));
    let status = sandbox.exits(0, &["status"]);
    assert!(status.stdout.contains("4 objects since that revision"), "{}", status.stdout);
}

#[test]
fn a_plan_for_another_state_is_stale() {
    let (db, sandbox) = adopted();
    wish(&sandbox);
    sandbox.ok(&["plan", "--save", "add-note"]);
    db.execute("ALTER TABLE orders ADD COLUMN by_hand int");
    let stale = sandbox.exits(4, &["apply", "--auto-approve"]);
    assert_snapshot!("stale", shown(&sandbox, Some(&db), &stale));
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "1");
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'note'"), "0");
}

#[test]
fn an_edited_plan_is_refused_until_it_is_sealed() {
    let (db, sandbox) = adopted();
    wish(&sandbox);
    sandbox.ok(&["plan", "--save", "add-note"]);
    edit(&sandbox, "plans/0002-add-note.kdl", "IS 'Who buys'", "IS 'Who really buys'");
    let edited = sandbox.exits(4, &["apply", "--auto-approve"]);
    assert_snapshot!("edited", shown(&sandbox, Some(&db), &edited));
    sandbox.exits(4, &["check"]);
    sandbox.ok(&["seal", "2"]);
    says(&sandbox.exits(0, &["seal", "2"]), &["nothing to seal"]);
    assert!(sandbox.ok(&["show", "2"]).contains("sealed"));
    // The text of the comment is not what the plan promises: this is found after it ran, and can be taken back.
    let outcome = sandbox.run(&["apply", "--auto-approve"]);
    assert_ne!(outcome.code, 0, "{outcome:?}");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT count(*) FROM pg_description WHERE description = 'Who really buys'"), "0");
    says(&sandbox.exits(3, &["seal", "1"]), &["plan 1 is not the last one"]);
}

#[test]
fn nothing_is_done_without_being_asked_for() {
    let (db, sandbox) = adopted();
    wish(&sandbox);
    sandbox.ok(&["plan", "--save", "add-note"]);
    let pending = sandbox.exits(3, &["plan", "--save", "another"]);
    assert_snapshot!("pending", shown(&sandbox, Some(&db), &pending));
    let unasked = sandbox.exits(3, &["apply"]);
    assert_snapshot!("no_terminal", shown(&sandbox, Some(&db), &unasked));
    says(&sandbox.exits(3, &["rollback", "-1"]), &["baseline"]);
    says(&sandbox.exits(3, &["push", "x", "--auto-approve"]), &["add-note is pending"]);
    assert_eq!(db.value("SELECT max(number) FROM setpoint.revision"), "1");
}

#[test]
fn hazards_have_to_be_allowed() {
    let (db, sandbox) = adopted();
    let path = "schema/public/tables/orders.kdl";
    edit(&sandbox, path, "    column status order_status not-null default=\"'pending'::public.order_status\"\n", "");
    let index =
        "    index orders_open customer {\n        where \"(status = 'pending'::public.order_status)\"\n    }\n";
    edit(&sandbox, path, index, "");
    std::fs::remove_file(sandbox.path("schema/public/views/open_orders.kdl")).expect("the view has a file");
    sandbox.ok(&["plan", "--save", "drop-status"]);
    let refused = sandbox.exits(3, &["apply", "--auto-approve"]);
    assert_snapshot!("hazards", shown(&sandbox, Some(&db), &refused));
    sandbox.exits(64, &["apply", "--auto-approve", "--allow", "data-los"]);
    sandbox.exits(3, &["apply", "--auto-approve", "--allow", "irreversible"]);
    assert_eq!(db.value("SELECT count(*) FROM orders WHERE status = 'pending'"), "1");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
}

#[test]
fn steps_by_hand_go_into_an_empty_plan() {
    let (db, sandbox) = adopted();
    sandbox.ok(&["plan", "--save", "backfill", "--empty"]);
    let step = "    step manual transaction=1 {\n        sql \"UPDATE public.orders SET total = total + 1\"\n        \
                inverse manual transaction=1 {\n            sql \"UPDATE public.orders SET total = total - 1\"\n        }\n    }\n";
    let path = "plans/0002-backfill.kdl";
    let text = sandbox.read(path);
    let (head, tail) = text.split_once("\n    files").expect("a plan names its files");
    let (files, rest) = tail.split_once('\n').expect("in a line of its own");
    let (after, rest) = rest.split_once('\n').expect("which another follows");
    sandbox.write(path, &format!("{head}\n    files{files}\n{after}\n{step}{rest}"));
    sandbox.exits(4, &["apply", "--auto-approve"]);
    sandbox.ok(&["seal", "2"]);
    let refused = sandbox.exits(3, &["apply", "--auto-approve"]);
    assert!(refused.stderr.contains("data-loss: a step written by hand: it overwrites values"), "{}", refused.stderr);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "data-loss,may-fail-on-data"]);
    assert_eq!(db.value("SELECT total FROM orders"), "11.00");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT total FROM orders"), "10.00");
}

#[test]
fn another_database_of_the_same_schema_is_stamped() {
    let (_db, mut sandbox) = adopted();
    let second = TestDb::with(SHOP);
    sandbox.point_to(&second);
    says(&sandbox.exits(3, &["baseline", "--auto-approve"]), &["plans already", "setpoint stamp"]);
    sandbox.exits(3, &["stamp", "1"]);
    sandbox.ok(&["stamp", "1", "--auto-approve"]);
    sandbox.ok(&["drift"]);
    let third = TestDb::with("CREATE TABLE other (a int)");
    sandbox.point_to(&third);
    let refused = sandbox.exits(4, &["stamp", "head", "--auto-approve"]);
    says(&refused, &["not what plan 1 leads to", "table public.orders"]);
    assert_eq!(third.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'setpoint'"), "0");
    let fourth = TestDb::new();
    sandbox.point_to(&fourth);
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    assert_eq!(fourth.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), "0");
}

#[test]
fn push_does_it_all_at_once() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write(
        "schema/all.kdl",
        "table notes {\n    column id bigint identity=always\n    column body text\n    primary-key id\n}\n",
    );
    sandbox.exits(3, &["push", "notes"]);
    assert!(!sandbox.path("plans/chain.kdl").exists());
    sandbox.ok(&["push", "notes", "--auto-approve"]);
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["check"]);
    assert_eq!(db.value("SELECT count(*) FROM notes"), "0");
}

#[test]
fn renames_keep_rows() {
    let (db, sandbox) = adopted();
    edit(&sandbox, "schema/public/tables/customers.kdl", "column email text", "column mail text was=email");
    edit(&sandbox, "schema/public/tables/customers.kdl", "unique email", "unique mail name=customers_email_key");
    sandbox.ok(&["plan", "--save", "rename"]);
    let text = sandbox.ok(&["show", "2", "--sql"]);
    assert!(text.contains("RENAME COLUMN email TO mail") && !text.contains("DROP"), "{text}");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT mail FROM customers"), "a@example.org");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT email FROM customers"), "a@example.org");
}

#[test]
fn of_eight_at_once_one_does_the_work() {
    let (db, sandbox) = adopted();
    wish(&sandbox);
    sandbox.ok(&["plan", "--save", "add-note"]);
    let sandbox = &sandbox;
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let apply = || sandbox.run(&["apply", "--auto-approve", "--wait", "60s"]);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(apply)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for outcome in &outcomes {
        assert_eq!(outcome.code, 0, "{outcome:?}");
    }
    let idle = outcomes.iter().filter(|outcome| outcome.stderr.contains("nothing is pending")).count();
    assert_eq!(idle, 7);
    assert_eq!(db.value("SELECT count(*) FROM setpoint.event WHERE number = 2"), "1");
}
