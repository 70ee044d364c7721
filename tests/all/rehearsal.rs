//! Rehearsals: what rows reveal about a plan that empty tables do not.

use crate::support::{Outcome, Sandbox, TestDb};

const SHOP: &str = "\
enum order_status pending paid shipped

table customers {
    column id bigint identity=always
    column email text not-null
    primary-key id
    unique email
}

table orders {
    column id bigint identity=always
    column customer bigint not-null { references customers id on-delete=cascade }
    column status order_status not-null default=\"'pending'\"
    column total \"numeric(12,2)\" not-null default=\"0\"
    column note text
    primary-key id
    check orders_total_positive \"total >= 0\"
}
";

/// A project whose first plan is applied.
fn shop() -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("schema/shop.kdl", SHOP);
    sandbox.ok(&["plan", "--save", "first"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    (db, sandbox)
}

fn replace(sandbox: &Sandbox, path: &str, from: &str, to: &str) {
    let text = sandbox.read(path);
    assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
    sandbox.write(path, &text.replacen(from, to, 1));
}

fn says(outcome: &Outcome, words: &[&str]) {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for word in words {
        assert!(text.contains(word), "no “{word}” in:\n{text}");
    }
}

fn lacks(outcome: &Outcome, word: &str) {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!text.contains(word), "“{word}” in:\n{text}");
}

#[test]
fn a_plan_is_rehearsed_before_it_is_saved_and_its_file_says_so() {
    let (_db, sandbox) = shop();
    replace(&sandbox, "schema/shop.kdl", "numeric(12,2)", "numeric(14,2)");
    let saved = sandbox.exits(0, &["plan", "--save", "wider"]);
    says(&saved, &["rehearsed up, down and up again with ", " rows in 2 tables on PostgreSQL "]);
    let text = sandbox.read("plans/0002-wider.kdl");
    assert!(text.contains("\nproof proved of=") && text.contains("    rows "), "{text}");
    says(&sandbox.exits(0, &["show", "2"]), &["proved up, down and up again with "]);
    says(&sandbox.exits(0, &["check", "--prove", "--since", "2"]), &["and proved"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
}

#[test]
fn a_plan_that_fails_is_not_saved() {
    let (_db, sandbox) = shop();
    let body = "function late returns=bigint language=sql {\n    body \"SELECT count(*) FROM public.orders WHERE overdue\"\n}\n";
    sandbox.write("schema/late.kdl", body);
    let refused = sandbox.exits(3, &["plan", "--save", "late"]);
    says(
        &refused,
        &["plan 2 (late) failed its rehearsal", "the body of public.late(): column \"overdue\" does not exist"],
    );
    assert!(!sandbox.path("plans/0002-late.kdl").exists());
    // Nothing of it was done, and it can be had all the same.
    says(&sandbox.exits(3, &["push", "late", "--auto-approve", "--allow", "all"]), &["failed its rehearsal"]);
    sandbox.ok(&["plan", "--save", "late", "--no-rehearsal"]);
    says(&sandbox.exits(0, &["show", "2"]), &["not proved"]);
}

/// The second plan with a change in its text, as somebody who edits it by hand would make it.
fn spoiled(change: (&str, &str), from: &str, to: &str) -> Outcome {
    let (_db, sandbox) = shop();
    replace(&sandbox, "schema/shop.kdl", change.0, change.1);
    sandbox.ok(&["plan", "--save", "second"]);
    says(&sandbox.exits(0, &["prove", "2", "--rows"]), &["proved up, down and up again with"]);
    replace(&sandbox, "plans/0002-second.kdl", from, to);
    sandbox.ok(&["seal", "2", "--no-rehearsal"]);
    let outcome = sandbox.exits(1, &["prove", "2", "--rows"]);
    println!("{}", outcome.stdout);
    outcome
}

const WIDER: (&str, &str) = ("numeric(12,2)", "numeric(14,2)");
const ALTER: &str = "ALTER COLUMN total TYPE numeric(14,2)";

#[test]
fn values_that_are_cut_are_found() {
    let outcome = spoiled(WIDER, ALTER, &format!("{ALTER} USING round(total)"));
    says(&outcome, &["up: failed", "values of column public.orders.total changed"]);
}

#[test]
fn rows_that_go_are_found() {
    let outcome = spoiled(WIDER, ALTER, &format!("{ALTER}; DELETE FROM public.orders WHERE id % 2 = 0"));
    says(&outcome, &["up: failed", "table public.orders had 12 rows and has 6"]);
}

#[test]
fn values_that_are_emptied_on_the_way_back_are_found() {
    let back = "ALTER COLUMN total TYPE numeric(12,2)";
    let outcome = spoiled(WIDER, back, &format!("{back}; UPDATE public.orders SET note = NULL"));
    says(&outcome, &["down: failed", "values of column public.orders.note changed"]);
}

#[test]
fn a_sequence_that_is_set_back_is_found() {
    let outcome = spoiled(WIDER, ALTER, &format!("{ALTER}; SELECT setval('public.orders_id_seq', 1)"));
    says(
        &outcome,
        &["up: failed", "sequence public.orders_id_seq was at 1", "and is at 1: the next insert will collide"],
    );
}

#[test]
fn what_only_a_person_can_say_is_said_for_rows() {
    let (_db, sandbox) = shop();
    // Each value is another one, what refers to others finds them, and a check is satisfied.
    let columns = "    column code text not-null\n    column seller bigint not-null { references customers id }\n    \
                   column rank smallint not-null\n    unique code\n    check orders_rank \"rank > 100\"\n    primary-key id\n    check";
    replace(&sandbox, "schema/shop.kdl", "    primary-key id\n    check", columns);
    let saved = sandbox.exits(0, &["plan", "--save", "more"]);
    says(&saved, &["rehearsed up, down and up again with 24 rows in 2 tables"]);
    lacks(&saved, "not proved with rows");
    // The way back has to say it, too: there it is known what it was.
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    replace(&sandbox, "schema/shop.kdl", columns, "    primary-key id\n    check");
    let saved = sandbox.exits(0, &["plan", "--save", "less"]);
    says(&saved, &["rehearsed up, down and up again with 24 rows in 2 tables", "except for what cannot be restored"]);
    lacks(&saved, "not proved with rows");
    let text = sandbox.read("plans/0003-less.kdl");
    assert!(text.contains("needs `--fill`") && !text.contains("        without "), "{text}");
}

#[test]
fn a_plan_that_makes_its_tables_is_rehearsed_with_rows() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("schema/shop.kdl", SHOP);
    says(
        &sandbox.exits(0, &["plan", "--save", "first"]),
        &["rehearsed up, down and up again with 24 rows in 2 tables"],
    );
}

#[test]
fn rows_are_found_that_fit_both_types() {
    let (_db, sandbox) = shop();
    replace(&sandbox, "schema/shop.kdl", "numeric(12,2)", "numeric(12,0)");
    says(
        &sandbox.exits(0, &["plan", "--save", "whole"]),
        &["rehearsed up, down and up again with 24 rows in 2 tables"],
    );
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    replace(&sandbox, "schema/shop.kdl", "numeric(12,0)", "numeric(12,2)");
    // What is made along gets rows, too, once it is there.
    let returns = "table returns {\n    column item bigint not-null { references orders id }\n}\n";
    sandbox.write("schema/returns.kdl", returns);
    let saved = sandbox.exits(0, &["plan", "--save", "cents"]);
    says(&saved, &["rehearsed up, down and up again with 36 rows in 3 tables"]);
    lacks(&saved, "not proved with rows");
}

#[test]
fn what_is_only_needed_by_an_extension_or_a_body_is_there() {
    let (_db, sandbox) = shop();
    let people = "table people {\n    column name citext\n}\n";
    sandbox.write("schema/people.kdl", &format!("extension citext\n\nschema app {{\n{people}}}\n"));
    sandbox.ok(&["plan", "--save", "people", "--no-rehearsal"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    // Nothing of schema public is needed but its extension.
    replace(&sandbox, "schema/people.kdl", "citext\n}", "citext\n    column age integer\n}");
    says(&sandbox.exits(0, &["plan", "--save", "age"]), &["rehearsed up, down and up again with 12 rows in 1 table"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    // Only a body names the table that a check looks at.
    let late = "schema app {\nfunction late returns=bigint language=plpgsql {\n    body \"BEGIN RETURN (SELECT count(*) FROM public.orders); END\"\n}\n}\n";
    sandbox.write("schema/late.kdl", late);
    sandbox.ok(&["plan", "--save", "late", "--no-rehearsal"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    let check = "    column age integer\n    check fits \"app.late() < 100\"\n}";
    replace(&sandbox, "schema/people.kdl", "    column age integer\n}", check);
    says(&sandbox.exits(0, &["plan", "--save", "fits"]), &["rehearsed up, down and up again with "]);
}

#[test]
fn what_uses_a_changed_type_is_there() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    let home =
        "type addr {\n    attribute street text\n    attribute zip text\n}\n\ntable home {\n    column a addr\n}\n";
    sandbox.write("schema/home.kdl", home);
    sandbox.ok(&["plan", "--save", "first"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.write("schema/home.kdl", &home.replace("zip text", "zip integer"));
    db.execute("INSERT INTO home VALUES (ROW('Elm', '12'))");
    // The table that has a column of the type is built and filled, although the plan is about the type.
    let saved = sandbox.exits(0, &["plan", "--save", "zip"]);
    says(&saved, &["rehearsed up, down and up again with", "rows in 1 table"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT (a).zip + 1 FROM home"), "13");
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT (a).zip || '!' FROM home"), "12!");
}

#[test]
fn a_rule_that_no_rows_of_before_satisfy_is_named() {
    let (_db, sandbox) = shop();
    replace(&sandbox, "schema/shop.kdl", "total >= 0", "total < 0");
    let saved = sandbox.exits(0, &["plan", "--save", "negative"]);
    says(&saved, &["not proved with rows: table public.orders: no rows were found that fit before and after"]);
    let text = sandbox.read("plans/0002-negative.kdl");
    assert!(text.contains("        without ") && text.contains("    up proved"), "{text}");
}
