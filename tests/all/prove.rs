//! `prove`: plans up, down and up again, and what it reports about those that do not come back.

use crate::support::{Outcome, Sandbox, TestDb, server};

const SHOP: &str = "\
enum order_status pending paid shipped

table customers {
    column id bigint identity=always
    column email text not-null
    primary-key id
}

table orders {
    comment \"One row per checkout\"
    column id bigint identity=always
    column customer bigint not-null { references customers id on-delete=cascade }
    column status order_status not-null default=\"'pending'\"
    column total \"numeric(12,2)\" not-null default=\"0\"
    primary-key id
    check orders_total_positive \"total >= 0\"
    index orders_open customer { where \"status = 'pending'\" }
    grant select to=prove_reporting
}

view open_orders {
    owner prove_owner
    sql \"SELECT id, customer FROM orders WHERE status IN ('pending', 'paid')\"
}
";

/// A project whose first plan is applied and whose second one alters, replaces, drops and creates.
fn shop() -> (TestDb, Sandbox) {
    let db = TestDb::with(
        "DO $$ BEGIN CREATE ROLE prove_reporting; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         DO $$ BEGIN CREATE ROLE prove_owner; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/shop.kdl", SHOP);
    sandbox.ok(&["plan", "--save", "first"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    let more = SHOP
        .replace("paid shipped", "paid shipped returned")
        .replace("numeric(12,2)", "numeric(14,2)")
        .replace("SELECT id, customer", "SELECT customer, id")
        .replace("    index orders_open customer { where \"status = 'pending'\" }\n", "    column note text\n");
    sandbox.write("schema/shop.kdl", &more);
    sandbox.ok(&["plan", "--save", "second"]);
    (db, sandbox)
}

fn replace(sandbox: &Sandbox, path: &str, from: &str, to: &str) {
    let text = sandbox.read(path);
    assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
    sandbox.write(path, &text.replacen(from, to, 1));
}

/// A plan with one step by hand.
fn by_hand(sandbox: &Sandbox, number: u32, name: &str, sql: &str, inverse: Option<&str>) {
    sandbox.ok(&["plan", "--save", name, "--empty"]);
    let back = inverse.map_or_else(String::new, |sql| {
        format!("        inverse manual transaction=1 {{\n            sql #\"{sql}\"#\n        }}\n")
    });
    let step = format!("    step manual transaction=1 {{\n        sql #\"{sql}\"#\n{back}    }}\n}}\n\nhash");
    replace(sandbox, &format!("plans/{number:04}-{name}.kdl"), "}\n\nhash", &step);
    sandbox.ok(&["seal", &number.to_string()]);
}

/// True if there is a `pg_dump` beside the server.
fn witness() -> bool {
    server().binaries.dir.join("pg_dump").is_file()
}

fn says(outcome: &Outcome, words: &[&str]) {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for word in words {
        assert!(text.contains(word), "no “{word}” in:\n{text}");
    }
}

#[test]
fn a_plan_is_proved_and_its_file_says_so() {
    let (_db, sandbox) = shop();
    let before = sandbox.read("plans/0002-second.kdl");
    let proved = sandbox.exits(0, &["prove"]);
    says(&proved, &["plan 2 second: proved up, down and up again"]);
    says(&proved, &[if witness() { "and by pg_dump" } else { "pg_dump was not found" }]);
    let after = sandbox.read("plans/0002-second.kdl");
    assert!(after.starts_with(before.trim_end()) && after.contains("\nproof proved of="), "{after}");
    says(&sandbox.exits(0, &["show", "2"]), &["proved up, down and up again"]);
    says(&sandbox.exits(0, &["show", "2", "--markdown"]), &["**Proved** up, down and up again"]);
    says(&sandbox.exits(0, &["status"]), &["proved"]);
    let show: serde_json::Value = serde_json::from_str(&sandbox.ok(&["show", "2", "--json"])).expect("JSON");
    assert_eq!(show["proof"]["result"], "proved");
    assert_eq!(show["proof"]["down"]["result"], "proved");
    // Proved again, it has one proof still; the chain is whole and the plan runs.
    sandbox.ok(&["prove", "2"]);
    assert_eq!(sandbox.read("plans/0002-second.kdl").matches("\nproof ").count(), 1);
    sandbox.ok(&["check"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
}

#[test]
fn a_wrong_inverse_fails_with_the_difference_named() {
    let (_db, sandbox) = shop();
    let path = "plans/0002-second.kdl";
    replace(&sandbox, path, "TYPE numeric(12,2)", "TYPE numeric(11,2)");
    sandbox.ok(&["seal", "2"]);
    let failed = sandbox.exits(1, &["prove", "2"]);
    says(&failed, &["proof failed", "down: failed", "column public.orders.total: type numeric(12,2) → numeric(11,2)"]);
    says(&sandbox.exits(0, &["show", "2"]), &["proof failed"]);
    says(&sandbox.exits(1, &["check", "--prove"]), &["plan 2 second, down: column public.orders.total"]);
    says(&sandbox.exits(0, &["check", "--prove", "--since", "3"]), &["and proved"]);
    // Mended and sealed, the old proof is worth nothing.
    replace(&sandbox, path, "TYPE numeric(11,2)", "TYPE numeric(12,2)");
    sandbox.ok(&["seal", "2"]);
    assert!(!sandbox.read(path).contains("\nproof "));
    says(&sandbox.exits(0, &["check", "--prove"]), &["proving 1 first, 2 second", "and proved"]);
}

#[test]
fn a_proof_of_another_hash_is_none() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["prove", "2"]);
    let path = "plans/0002-second.kdl";
    let text = sandbox.read(path);
    let of = text.split("of=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a proof names its plan");
    sandbox.write(path, &text.replace(&format!("of={of}"), "of=\"00000000000000000000000000000000\""));
    says(&sandbox.exits(0, &["show", "2"]), &["not proved"]);
    says(&sandbox.exits(0, &["show", "2", "--markdown"]), &["**Not proved:**"]);
}

#[test]
fn the_witness_sees_what_the_model_does_not() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    // A conversion is not modelled but named; what is said about it is not even that.
    let conversion = "CONVERSION public.odd";
    let create = format!("CREATE {conversion} FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1");
    by_hand(&sandbox, 3, "conversion", &create, Some(&format!("DROP {conversion}")));
    says(&sandbox.exits(0, &["prove", "3"]), &["plan 3 conversion: proved up, down and up again"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "unread-sql"]);
    if !witness() {
        return;
    }
    by_hand(&sandbox, 4, "remark", &format!("COMMENT ON {conversion} IS 'odd'"), Some("SELECT 1"));
    let failed = sandbox.exits(1, &["prove", "4"]);
    says(&failed, &["down: failed", "pg_dump: COMMENT CONVERSION odd in schema public also exists"]);
    // A plan that was edited is not even tried.
    replace(&sandbox, "plans/0003-conversion.kdl", &format!("DROP {conversion}"), "SELECT 1");
    says(&sandbox.exits(4, &["prove", "3"]), &["was changed after it was made"]);
}

#[test]
fn steps_by_hand_are_proved_as_far_as_they_go() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    let update = "UPDATE public.orders SET total = total + 1";
    by_hand(&sandbox, 3, "backfill", update, Some("UPDATE public.orders SET total = total - 1"));
    says(&sandbox.exits(0, &["prove"]), &["plan 3 backfill: proved up, down and up again"]);
    replace(&sandbox, "plans/0003-backfill.kdl", "total - 1", "totl - 1");
    sandbox.ok(&["seal", "3"]);
    says(&sandbox.exits(1, &["prove"]), &["down: failed", "column \"totl\" does not exist"]);
    let _ = std::fs::remove_file(sandbox.path("plans/0003-backfill.kdl"));
    let chain = sandbox.read("plans/chain.kdl");
    let kept: Vec<&str> = chain.lines().filter(|line| !line.contains("backfill")).collect();
    sandbox.write("plans/chain.kdl", &(kept.join("\n") + "\n"));
    by_hand(&sandbox, 3, "extra", "CREATE TABLE public.extra (a integer)", None);
    let partly = sandbox.exits(1, &["prove", "3"]);
    says(&partly, &["have no inverse", "table public.extra also exists", "up again: failed"]);
}

#[test]
fn what_cannot_come_back_is_no_failure() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    replace(&sandbox, "schema/shop.kdl", "    column note text\n", "");
    sandbox.ok(&["plan", "--save", "drop-note"]);
    let shown = sandbox.ok(&["show", "3"]);
    assert!(shown.contains("Way back: in part"), "{shown}");
    let proved = sandbox.exits(0, &["prove"]);
    says(&proved, &["proved in part", "down: irreversible", "not its contents"]);
    says(&sandbox.exits(0, &["check", "--prove", "--since", "3"]), &["and proved"]);
}

#[test]
fn an_extension_that_is_not_here_proves_nothing() {
    let (_db, sandbox) = shop();
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    by_hand(&sandbox, 3, "ext", "CREATE EXTENSION no_such_extension", Some("DROP EXTENSION no_such_extension"));
    replace(&sandbox, "plans/0003-ext.kdl", "step manual", "step create \"extension no_such_extension\"");
    sandbox.ok(&["seal", "3"]);
    let unproved = sandbox.exits(1, &["prove"]);
    says(&unproved, &["not proved", "extension no_such_extension is not available here"]);
    says(&sandbox.exits(1, &["check", "--prove"]), &["plan 3 ext, up: extension no_such_extension"]);
}

#[test]
fn without_a_servers_programs_ci_is_told_what_to_do() {
    let (_db, sandbox) = shop();
    let nowhere = ["check", "--prove", "--postgres", "/nonexistent"];
    let refused = sandbox.exits(1, &nowhere);
    says(
        &refused,
        &["not proved, and cannot be proved here: 1 first, 2 second", "setpoint prove --all", "/nonexistent"],
    );
    sandbox.ok(&["prove", "--all"]);
    says(&sandbox.exits(0, &nowhere), &["and proved"]);
}
