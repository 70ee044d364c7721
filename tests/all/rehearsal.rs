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
    sandbox.ok(&["seal", "2"]);
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
    says(&outcome, &["up: failed", "sequence public.orders_id_seq was at 1", "and is at 1: the next insert collides"]);
}

#[test]
fn a_rule_that_rows_break_is_named_as_not_rehearsed_with_them() {
    let (_db, sandbox) = shop();
    let note = "    column note text\n";
    replace(&sandbox, "schema/shop.kdl", note, &format!("{note}    column code text not-null\n"));
    let saved = sandbox.exits(0, &["plan", "--save", "code"]);
    says(&saved, &["not proved with rows: table public.orders: rows that fit before and after were not found"]);
    let text = sandbox.read("plans/0002-code.kdl");
    assert!(text.contains("        without ") && text.contains("    up proved"), "{text}");
}
