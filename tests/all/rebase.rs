//! Two branches that each added a plan with the same number: after the merge, `rebase` moves one of them behind the other.

use std::fs;

use crate::support::{Outcome, Sandbox, TestDb};

const USERS: &str =
    "table users {\n    column id bigint identity=always\n    column email text not-null\n    primary-key id\n}\n";
const PHONE: &str = "    column phone text\n    primary-key";
const NOTES: &str =
    "table notes {\n    column id bigint identity=always\n    column body text\n    primary-key id\n}\n";

fn says(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stderr.contains(word), "no “{word}” in:\n{}", outcome.stderr);
    }
}

/// A project with one plan, and the same again for each branch: with a database that ran the plan.
fn branches(count: usize) -> Vec<(TestDb, Sandbox)> {
    let first = TestDb::new();
    let root = Sandbox::new(&first);
    root.write("schema/users.kdl", USERS);
    root.ok(&["push", "users", "--auto-approve"]);
    let branch = |db: TestDb| {
        let sandbox = Sandbox::new(&db);
        for file in ["schema/users.kdl", "plans/0001-users.kdl", "plans/chain.kdl"] {
            sandbox.write(file, &root.read(file));
        }
        sandbox.ok(&["apply", "--auto-approve"]);
        (db, sandbox)
    };
    (0..count).map(|_| branch(TestDb::new())).collect()
}

/// What a plan's files say that follow the first.
fn with_phone() -> String {
    USERS.replace("    primary-key", PHONE)
}

fn lines(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read("plans/chain.kdl").lines().map(str::to_owned).collect()
}

fn conflict(ours: &str, theirs: &str) -> String {
    format!("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n", ours.trim_end(), theirs.trim_end())
}

/// Merges the plans of `theirs` into `ours` as Git does: what both changed has its conflict markers.
fn merge(ours: &Sandbox, theirs: &Sandbox) {
    let [mine, other] = [ours, theirs].map(lines);
    let common = mine.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let text = conflict(&mine[common..].join("\n"), &other[common..].join("\n"));
    ours.write("plans/chain.kdl", &(mine[..common].iter().map(|line| format!("{line}\n")).collect::<String>() + &text));
    for entry in fs::read_dir(theirs.path("plans")).expect("there are plans").flatten() {
        let file = format!("plans/{}", entry.file_name().to_string_lossy());
        if file.ends_with("chain.kdl") {
            continue;
        }
        let text = theirs.read(&file);
        match fs::read_to_string(ours.path(&file)) {
            Ok(mine) if mine != text => ours.write(&file, &conflict(&mine, &text)),
            _ => ours.write(&file, &text),
        }
    }
}

fn plans(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("plans")).expect("there are plans").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Two branches, merged: one added a column, the other a table. Databases: of the one, of the other, of neither.
fn merged() -> (Sandbox, [TestDb; 3]) {
    let mut branches = branches(3).into_iter();
    let mut next = || branches.next().expect("three were made");
    let ((phone_db, phone), (notes_db, notes), (neither, _)) = (next(), next(), next());
    phone.write("schema/users.kdl", &with_phone());
    phone.ok(&["plan", "--save", "add-phone"]);
    phone.ok(&["apply", "--auto-approve"]);
    notes.write("schema/notes.kdl", NOTES);
    notes.ok(&["plan", "--save", "add-notes"]);
    notes.ok(&["apply", "--auto-approve"]);
    merge(&phone, &notes);
    phone.write("schema/notes.kdl", NOTES);
    (phone, [phone_db, notes_db, neither])
}

#[test]
fn one_plan_goes_behind_the_other_whichever_is_chosen() {
    for (moved, stays) in [("add-notes", "add-phone"), ("add-phone", "add-notes")] {
        let (mut sandbox, databases) = merged();
        for command in [&["status"][..], &["plan"], &["apply", "--auto-approve"], &["check"]] {
            let outcome = sandbox.exits(78, command);
            says(&outcome, &["two plans 2", "add-phone", "add-notes", "setpoint rebase"]);
        }
        let [phone, notes, neither] = &databases;
        sandbox.point_to(neither);
        let outcome = sandbox.exits(0, &["rebase", moved]);
        says(&outcome, &[&format!("plan 2 {moved} is plan 3 now"), "the same 1 step", "throwaway server"]);
        assert_eq!(
            plans(&sandbox),
            [
                "0001-users.kdl".to_owned(),
                format!("0002-{stays}.kdl"),
                format!("0003-{moved}.kdl"),
                "chain.kdl".to_owned()
            ]
        );
        sandbox.ok(&["check"]);
        says(&sandbox.exits(0, &["rebase", moved]), &["nothing to rebase"]);

        let (right, wrong) = if moved == "add-notes" { (phone, notes) } else { (notes, phone) };
        for db in [right, neither] {
            sandbox.point_to(db);
            sandbox.ok(&["apply", "--auto-approve"]);
            sandbox.ok(&["plan", "--exit-code"]);
            sandbox.ok(&["drift"]);
        }
        sandbox.point_to(wrong);
        for command in [&["status"][..], &["plan"], &["plan", "--save", "x"], &["apply", "--auto-approve"], &["push"]] {
            let words = ["another plan 2", moved, stays, "plan 3 there now", "setpoint rollback --to 1"];
            says(&sandbox.exits(4, command), &words);
        }
        let back = sandbox.exits(0, &["rollback", "--to", "1", "--auto-approve", "--allow", "data-loss"]);
        says(&back, &[&format!("revision 2 {moved} is not in plans/")]);
        sandbox.ok(&["apply", "--auto-approve"]);
        sandbox.ok(&["plan", "--exit-code"]);
        assert_eq!(
            wrong.value("SELECT string_agg(name, ' ' ORDER BY number) FROM setpoint.revision"),
            format!("users {stays} {moved}")
        );
        sandbox.ok(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    }
}

#[test]
fn a_database_that_stands_there_is_asked_and_one_that_ran_it_is_named() {
    let (mut sandbox, [phone, notes, _]) = merged();
    sandbox.point_to(&phone);
    let outcome = sandbox.exits(0, &["rebase", "plans/0002-add-notes.kdl"]);
    says(&outcome, &[&format!("computing on database {}", phone.connect.database())]);
    sandbox.ok(&["apply", "--auto-approve"]);
    sandbox.ok(&["plan", "--exit-code"]);

    let (mut sandbox, databases) = merged();
    sandbox.point_to(&databases[1]);
    let outcome = sandbox.exits(0, &["rebase", "0002-add-notes"]);
    says(&outcome, &["warning", databases[1].connect.database(), "setpoint rollback --to 1"]);
    drop(notes);
}

#[test]
fn the_merge_may_have_kept_one_line_or_both() {
    for keep in [&[1][..], &[2, 1]] {
        let (sandbox, databases) = merged();
        let text = lines(&sandbox);
        let both = [text[0].clone(), text[2].clone(), text[4].clone()];
        let kept: String = std::iter::once(&0).chain(keep).map(|at| both[*at].clone() + "\n").collect();
        sandbox.write("plans/chain.kdl", &kept);
        says(&sandbox.exits(78, &["check"]), &["two plans 2", "add-phone", "add-notes"]);
        sandbox.ok(&["rebase", "add-notes"]);
        sandbox.ok(&["check"]);
        assert_eq!(plans(&sandbox)[1..3], ["0002-add-phone.kdl", "0003-add-notes.kdl"]);
        drop(databases);
    }
}

#[test]
fn plans_of_the_same_name_are_told_apart_by_their_hashes() {
    let mut branches = branches(2).into_iter();
    let ((db, ours), (other, theirs)) = (branches.next().expect("two"), branches.next().expect("two"));
    ours.write("schema/users.kdl", &with_phone());
    ours.ok(&["push", "--auto-approve"]);
    theirs.write("schema/notes.kdl", NOTES);
    theirs.ok(&["push", "--auto-approve"]);
    let hash = lines(&theirs)[1].split("hash=").nth(1).expect("a line has one").trim_matches('"')[..8].to_owned();
    merge(&ours, &theirs);
    ours.write("schema/notes.kdl", NOTES);
    says(&ours.exits(78, &["status"]), &["two plans 2", &format!("setpoint rebase {hash}")]);
    says(&ours.exits(64, &["rebase", "push"]), &["both branches have a plan push", &hash]);
    says(&ours.exits(64, &["rebase", "pull"]), &["not one of the plans", &hash]);
    let outcome = ours.exits(0, &["rebase", &hash]);
    says(&outcome, &["wrote plans/0002-push.kdl", "wrote plans/0003-push.kdl"]);
    ours.ok(&["check"]);
    assert!(ours.read("plans/0002-push.kdl").contains("phone") && ours.read("plans/0003-push.kdl").contains("notes"));
    ours.ok(&["apply", "--auto-approve"]);
    ours.ok(&["plan", "--exit-code"]);
    assert_eq!(db.value("SELECT count(*) FROM setpoint.revision"), "3");
    drop(other);
}

#[test]
fn all_plans_of_a_branch_go_along() {
    let mut branches = branches(2).into_iter();
    let ((db, ours), (_other, theirs)) = (branches.next().expect("two"), branches.next().expect("two"));
    ours.write("schema/users.kdl", &with_phone());
    ours.ok(&["push", "add-phone", "--auto-approve"]);
    theirs.write("schema/notes.kdl", NOTES);
    theirs.ok(&["push", "add-notes", "--auto-approve"]);
    let longer = NOTES.replace("    primary-key", "    column title text default=\"'new'\"\n    primary-key");
    theirs.write("schema/notes.kdl", &longer);
    theirs.ok(&["push", "add-title", "--auto-approve"]);
    merge(&ours, &theirs);
    ours.write("schema/notes.kdl", &longer);
    says(&ours.exits(0, &["rebase", "add-notes"]), &["add-notes is plan 3 now", "add-title is plan 4 now"]);
    ours.ok(&["check"]);
    ours.ok(&["apply", "--to", "3", "--auto-approve"]);
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'title'"), "0");
    ours.ok(&["apply", "--auto-approve"]);
    ours.ok(&["plan", "--exit-code"]);
    ours.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    ours.ok(&["apply", "--auto-approve"]);
}

#[test]
fn what_people_wrote_into_a_plan_is_carried_over() {
    let mut branches = branches(2).into_iter();
    let ((db, ours), (_other, theirs)) = (branches.next().expect("two"), branches.next().expect("two"));
    ours.write("schema/users.kdl", &with_phone());
    ours.ok(&["push", "add-phone", "--auto-approve"]);
    let wish = "    column domain text\n    primary-key id\n    index users_domain domain\n";
    theirs.write("schema/users.kdl", &USERS.replace("    primary-key id\n", wish));
    theirs.ok(&["plan", "--save", "domains"]);
    let text = theirs.read("plans/0002-domains.kdl");
    let step = "    step manual transaction=1 {\n        sql \"UPDATE public.users SET domain = split_part(email, '@', 2)\"\n        \
                inverse manual transaction=1 {\n            sql \"SELECT 1\"\n        }\n    }\n    step create \"index";
    let edited = text.replacen("    step create \"index", step, 1).replacen("USING btree (domain)", "(domain)", 1);
    let edited = edited.replacen("INDEX users_domain ON", "INDEX IF NOT EXISTS users_domain ON", 1);
    assert!(edited.contains("IF NOT EXISTS") && edited.contains("split_part"), "{edited}");
    theirs.write("plans/0002-domains.kdl", &edited);
    theirs.ok(&["seal", "2"]);
    merge(&ours, &theirs);
    ours.write("schema/users.kdl", &with_phone().replace("    primary-key id\n", wish));
    let outcome = ours.exits(0, &["rebase", "domains"]);
    says(&outcome, &["1 step by hand carried over", "kept as it was edited", "index public.users.users_domain"]);
    let text = ours.read("plans/0003-domains.kdl");
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    assert!(at("ADD COLUMN domain") < at("split_part") && at("split_part") < at("IF NOT EXISTS"));
    db.execute("INSERT INTO users (email) VALUES ('ada@example.org')");
    ours.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT domain FROM users"), "example.org");
    ours.ok(&["plan", "--exit-code"]);
    ours.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
}

#[test]
fn steps_by_hand_alone_stay_what_they_are() {
    let mut branches = branches(2).into_iter();
    let ((db, ours), (_other, theirs)) = (branches.next().expect("two"), branches.next().expect("two"));
    ours.write("schema/users.kdl", &with_phone());
    ours.ok(&["push", "add-phone", "--auto-approve"]);
    theirs.ok(&["plan", "--save", "lower", "--empty"]);
    let text = theirs.read("plans/0002-lower.kdl");
    let (head, tail) = text.split_once("\n}").expect("a plan ends");
    let step = "    step manual transaction=1 {\n        sql \"UPDATE public.users SET email = lower(email)\"\n    }";
    theirs.write("plans/0002-lower.kdl", &format!("{head}\n{step}\n}}{tail}"));
    theirs.ok(&["seal", "2"]);
    merge(&ours, &theirs);
    says(&ours.exits(0, &["rebase", "lower"]), &["1 step by hand carried over"]);
    ours.ok(&["check"]);
    db.execute("INSERT INTO users (email) VALUES ('ADA@EXAMPLE.ORG')");
    ours.ok(&["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT email FROM users"), "ada@example.org");
}

#[test]
fn a_plan_that_the_other_made_needless_is_gone() {
    let mut branches = branches(2).into_iter();
    let ((_db, ours), (_other, theirs)) = (branches.next().expect("two"), branches.next().expect("two"));
    for (sandbox, name) in [(&ours, "phone"), (&theirs, "telephone")] {
        sandbox.write("schema/users.kdl", &with_phone());
        sandbox.ok(&["push", name, "--auto-approve"]);
    }
    merge(&ours, &theirs);
    says(&ours.exits(0, &["rebase", "telephone"]), &["nothing left to do"]);
    assert_eq!(plans(&ours), ["0001-users.kdl", "0002-phone.kdl", "chain.kdl"]);
    ours.ok(&["check"]);
    ours.ok(&["apply", "--auto-approve"]);
}

#[test]
fn a_merge_that_is_not_finished_is_said() {
    let (sandbox, databases) = merged();
    let before = (plans(&sandbox), sandbox.read("plans/chain.kdl"));
    sandbox.write("schema/users.kdl", &conflict(USERS, &with_phone()));
    says(&sandbox.exits(78, &["rebase", "add-notes"]), &["schema/users.kdl:1", "conflict"]);
    assert_eq!((plans(&sandbox), sandbox.read("plans/chain.kdl")), before);
    fs::remove_file(sandbox.path("plans/0002-add-notes.kdl")).expect("it is there");
    says(&sandbox.exits(4, &["rebase", "add-notes"]), &["0002-add-notes.kdl", "git checkout"]);
    drop(databases);
}
