//! A project template: how far to go, two developers, a data migration, failures, and the start of a container.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{by_hand, edit, says, write_steps};
use crate::support::{Sandbox, TempDir, TestDb};

const USERS: &str = "table users {
    column id bigint identity=always
    column first_name text not-null
    column last_name text not-null
    primary-key id
}
";

/// Three plans, none of which was applied.
fn three(db: &TestDb) -> Sandbox {
    let sandbox = Sandbox::new(db).rehearsing();
    for (name, table) in [("first", "a"), ("second", "b"), ("third", "c")] {
        sandbox.write(&format!("schema/{table}.kdl"), &format!("table {table} {{\n    column id bigint\n}}\n"));
        sandbox.ok(&["push", name, "--auto-approve"]);
    }
    sandbox.ok(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    sandbox
}

#[test]
fn up_and_down_by_one_to_a_number_and_all_the_way() {
    let db = TestDb::new();
    let sandbox = three(&db);
    let tables = || {
        db.value("SELECT coalesce(string_agg(tablename, '' ORDER BY tablename), '') FROM pg_tables WHERE schemaname = 'public'")
    };
    let yes = ["--auto-approve", "--allow", "all"];
    for (command, expected) in [
        (&["apply", "+1"][..], "a"),
        (&["apply", "--to", "2"], "ab"),
        (&["apply", "head"], "abc"),
        (&["rollback", "-1"], "ab"),
        (&["rollback", "--to", "base"], ""),
        (&["apply"], "abc"),
        (&["rollback", "--to", "1"], "a"),
        (&["apply", "--to", "+1"], "ab"),
        (&["rollback", "-2"], ""),
        (&["apply", "3"], "abc"),
        (&["apply"], "abc"),
    ] {
        sandbox.ok(&[command, &yes[..]].concat());
        assert_eq!(tables(), expected, "after {command:?}");
    }
    says(&sandbox.exits(64, &["apply", "4", "--auto-approve"]), &["there is no plan 4", "newest plan is 3"]);
    says(&sandbox.exits(64, &["apply", "1", "--auto-approve"]), &["at revision 3 already", "setpoint rollback --to 1"]);
    says(&sandbox.exits(64, &["rollback", "-4", "--auto-approve"]), &["only 3 revisions"]);
    says(&sandbox.exits(0, &["status"]), &["3 third"]);
    says(&sandbox.exits(0, &["show", "2"]), &["plan 2 second", "CREATE TABLE public.b", "DROP TABLE public.b"]);
    assert!(sandbox.ok(&["history"]).lines().count() > 10);
}

#[test]
fn the_files_and_the_database_agree() {
    let db = TestDb::new();
    let sandbox = three(&db);
    sandbox.ok(&["apply", "--auto-approve"]);
    for command in [&["check"][..], &["plan", "--exit-code"], &["drift"]] {
        sandbox.ok(command);
    }
    // A model that changed: without a database, and with one.
    sandbox.write("schema/d.kdl", "table d {\n    column id bigint\n}\n");
    says(&sandbox.exits(1, &["check"]), &["that no plan contains"]);
    says(&sandbox.exits(2, &["plan", "--exit-code"]), &["+ table d"]);
    std::fs::remove_file(sandbox.path("schema/d.kdl")).expect("it is there");
    db.execute("ALTER TABLE a ADD COLUMN by_hand int");
    sandbox.ok(&["check"]);
    says(&sandbox.exits(2, &["drift"]), &["+ column public.a.by_hand"]);
}

/// A name made of two, in one plan, there and back with the data.
fn full_name(sandbox: &Sandbox) {
    sandbox.write(
        "schema/users.kdl",
        "table users {\n    column id bigint identity=always\n    column full_name text not-null\n    primary-key id\n}\n",
    );
    sandbox.ok(&["plan", "--save", "full-name"]);
    let plan = "plans/0002-full-name.kdl";
    // What the columns hold is known, there and back: nobody has to be asked.
    for (column, expression) in [
        ("full_name", "first_name || ' ' || last_name"),
        ("first_name", "split_part(full_name, ' ', 1)"),
        ("last_name", "split_part(full_name, ' ', 2)"),
    ] {
        edit(sandbox, plan, &format!("fill \"column public.users.{column}\""), "// from the other columns");
        let open = format!("SET {column} = NULL /* or what --fill says */");
        edit(sandbox, plan, &open, &format!("SET {column} = {expression}"));
    }
    sandbox.ok(&["seal", "2"]);
}

#[test]
fn data_moves_with_the_columns_and_back() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("schema/users.kdl", USERS);
    sandbox.ok(&["push", "users", "--auto-approve"]);
    db.execute("INSERT INTO users (first_name, last_name) VALUES ('Ada', 'Lovelace'), ('Grace', 'Hopper')");
    full_name(&sandbox);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT string_agg(full_name, '|' ORDER BY id) FROM users"), "Ada Lovelace|Grace Hopper");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    let both = "SELECT string_agg(last_name || ', ' || first_name, '|' ORDER BY id) FROM users";
    assert_eq!(db.value(both), "Lovelace, Ada|Hopper, Grace");
    sandbox.ok(&["drift"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
}

#[test]
fn a_plan_that_fails_leaves_nothing_behind() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("schema/users.kdl", USERS);
    sandbox.ok(&["push", "users", "--auto-approve"]);
    db.execute("INSERT INTO users (first_name, last_name) VALUES ('Ada', 'Lovelace')");
    full_name(&sandbox);
    edit(&sandbox, "plans/0002-full-name.kdl", "first_name || ' ' || last_name", "first_name || 1 / 0");
    says(&sandbox.exits(0, &["seal", "2"]), &["failed its rehearsal", "division by zero"]);
    let outcome = sandbox.exits(1, &["apply", "--auto-approve", "--allow", "all"]);
    says(
        &outcome,
        &[
            "plan 2 (full-name), step 2 of 5 failed",
            "division by zero",
            "UPDATE public.users",
            "no part of this plan was applied",
        ],
    );
    // Its one transaction was rolled back.
    assert_eq!(db.value("SELECT first_name FROM users"), "Ada");
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'full_name'"), "0");
    let status = sandbox.exits(0, &["status"]);
    says(&status, &["1 users", "2 full-name"]);
    assert!(!status.stdout.contains("unfinished"), "{}", status.stdout);
    sandbox.ok(&["drift"]);
    // Mended, sealed again, applied.
    edit(&sandbox, "plans/0002-full-name.kdl", "first_name || 1 / 0", "first_name || ' ' || last_name");
    sandbox.ok(&["seal", "2"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT full_name FROM users"), "Ada Lovelace");
}

#[test]
fn plans_before_the_one_that_fails_stay() {
    let db = TestDb::new();
    let sandbox = three(&db);
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--save", "broken", "--empty"]);
    write_steps(
        &sandbox,
        "plans/0004-broken.kdl",
        &by_hand("INSERT INTO public.a VALUES (1), (1 / 0)", "DELETE FROM public.a"),
    );
    sandbox.ok(&["seal", "4"]);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    sandbox.exits(1, &["apply", "--auto-approve", "--allow", "all"]);
    says(&sandbox.exits(0, &["status"]), &["3 third", "4 broken"]);
    assert_eq!(db.value("SELECT count(*) FROM a"), "0");
}

#[test]
fn two_developers_each_made_a_plan() {
    let (ours, theirs) = (TestDb::new(), TestDb::new());
    let (mine, other) = (three(&ours), three(&theirs));
    mine.ok(&["apply", "--auto-approve"]);
    other.ok(&["apply", "--auto-approve"]);
    mine.write("schema/mine.kdl", "table mine {\n    column id bigint\n}\n");
    mine.ok(&["push", "mine", "--auto-approve"]);
    other.write("schema/other.kdl", "table other {\n    column id bigint\n}\n");
    other.ok(&["push", "other", "--auto-approve"]);
    // Git merges the folders and keeps both lines of the chain.
    for file in ["schema/other.kdl", "plans/0004-other.kdl"] {
        mine.write(file, &other.read(file));
    }
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    mine.write("plans/chain.kdl", &(mine.read("plans/chain.kdl") + &last(other.read("plans/chain.kdl")) + "\n"));
    says(&mine.exits(78, &["check"]), &["two plans 4", "mine", "other", "setpoint rebase"]);
    mine.ok(&["rebase", "other"]);
    mine.ok(&["check"]);
    mine.ok(&["apply", "--auto-approve"]);
    assert_eq!(ours.value("SELECT count(*) FROM other"), "0");
}

#[test]
fn the_first_command_of_a_container() {
    let db = TestDb::new();
    let mut sandbox = three(&db);
    // The server is not there yet, and never comes: the container ends with an error, and is started again.
    let dir = TempDir::new();
    let socket = dir.path().join("socket");
    let url = format!("postgresql://postgres@/{}?host={}", db.connect.database(), socket.display());
    sandbox.set("DATABASE_URL", &url);
    let begun = Instant::now();
    says(&sandbox.exits(1, &["apply", "--auto-approve"]), &["no server listens", "help:"]);
    let outcome = sandbox.exits(1, &["apply", "--auto-approve", "--wait", "1s"]);
    says(&outcome, &["waiting: no server listens", "waited 1 second"]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // It comes while the container waits.
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            symlink(Path::new(&db.connect.hosts()[0]), &socket).expect("a link can be made");
        });
        sandbox.exits(0, &["apply", "--auto-approve", "--wait", "30s"])
    });
    says(&outcome, &["waiting: no server listens", "at revision 3"]);
    // Each start after the first finds nothing to do.
    says(&sandbox.exits(0, &["apply", "--auto-approve", "--wait", "30s"]), &["nothing is pending"]);
}
