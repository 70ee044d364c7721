//! Links in a project do not lead outside: no command reads, shows or writes a file that is not the project's.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Sandbox, TempDir, TestDb};

const SECRET: &str = "Zq8vTopsecret";

/// A project, and a folder of somebody else's with a secret.
fn bench() -> (TestDb, Sandbox, TempDir) {
    let db = TestDb::with("CREATE TABLE t (id int)");
    let (sandbox, outside) = (Sandbox::new(&db), TempDir::new());
    fs::write(outside.path().join("pgpass"), format!("db.test:5432:*:*:{SECRET}\n")).expect("it is ours");
    fs::write(outside.path().join("other.kdl"), "table   x  {\n}\n").expect("it is ours");
    (db, sandbox, outside)
}

/// Nobody follows that link, whatever the command.
fn refused(sandbox: &Sandbox, link: &str, outside: &TempDir) {
    let all = |outside: &TempDir| {
        let mut found: Vec<_> = fs::read_dir(outside.path()).expect("it is there").flatten().collect();
        found.sort_by_key(fs::DirEntry::file_name);
        let text = |entry: &fs::DirEntry| fs::read_to_string(entry.path()).unwrap_or_default();
        found.iter().map(|entry| (entry.file_name(), text(entry))).collect::<Vec<_>>()
    };
    let before = all(outside);
    for command in [
        &["check"][..],
        &["plan"],
        &["plan", "--save", "x"],
        &["sql"],
        &["fmt"],
        &["fmt", "schema/a.kdl"],
        &["pull"],
        &["pull", "--force"],
        &["baseline"],
        &["status"],
        &["apply", "--auto-approve"],
        &["push", "--auto-approve"],
        &["rebase", "x"],
    ] {
        let outcome = sandbox.run(command);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_ne!(outcome.code, 0, "{command:?}: {said}");
        assert!(!said.contains(SECRET), "{command:?}: {said}");
        let named = format!("{link} leads outside of the project");
        assert!(said.contains(&named) || command == ["fmt", "schema/a.kdl"], "{command:?}: {said}");
    }
    assert_eq!(all(outside), before, "{link}");
}

#[test]
fn a_file_that_is_a_link() {
    let (_db, sandbox, outside) = bench();
    for target in ["pgpass", "other.kdl"] {
        symlink(outside.path().join(target), sandbox.path("schema/a.kdl")).expect("a link can be made");
        refused(&sandbox, "schema/a.kdl", &outside);
        fs::remove_file(sandbox.path("schema/a.kdl")).expect("it is there");
    }
    symlink(outside.path().join("pgpass"), sandbox.path("plans/chain.kdl")).expect("a link can be made");
    refused(&sandbox, "plans/chain.kdl", &outside);
    fs::remove_file(sandbox.path("plans/chain.kdl")).expect("it is there");
    fs::remove_file(sandbox.path("setpoint.kdl")).expect("it is there");
    symlink(outside.path().join("pgpass"), sandbox.path("setpoint.kdl")).expect("a link can be made");
    refused(&sandbox, "setpoint.kdl", &outside);
}

#[test]
fn a_folder_that_is_a_link() {
    let (_db, sandbox, outside) = bench();
    symlink(outside.path(), sandbox.path("schema/public")).expect("a link can be made");
    refused(&sandbox, "schema/public", &outside);
    fs::remove_file(sandbox.path("schema/public")).expect("it is there");
    // By way of another folder of the project.
    fs::create_dir(sandbox.path("other")).expect("a folder can be made");
    symlink(outside.path().join("pgpass"), sandbox.path("other/a.kdl")).expect("a link can be made");
    symlink("../other", sandbox.path("schema/linked")).expect("a link can be made");
    refused(&sandbox, "schema/linked/a.kdl", &outside);
    fs::remove_file(sandbox.path("schema/linked")).expect("it is there");
    for folder in ["schema", "plans"] {
        fs::remove_dir(sandbox.path(folder)).expect("it is empty");
        symlink(outside.path(), sandbox.path(folder)).expect("a link can be made");
        refused(&sandbox, folder, &outside);
        fs::remove_file(sandbox.path(folder)).expect("it is there");
        fs::create_dir(sandbox.path(folder)).expect("a folder can be made");
    }
}

#[test]
fn links_within_the_project_work() {
    let (db, sandbox, _outside) = bench();
    db.execute("DROP TABLE t");
    fs::rename(sandbox.path("schema"), sandbox.path("declared")).expect("it is there");
    symlink("declared", sandbox.path("schema")).expect("a link can be made");
    sandbox.write("shared/a.kdl", "table t {\n    column id int\n}\n");
    symlink("../shared/a.kdl", sandbox.path("declared/a.kdl")).expect("a link can be made");
    sandbox.ok(&["push", "one", "--auto-approve"]);
    sandbox.ok(&["check"]);
    assert_eq!(db.query("SELECT * FROM t"), [""; 0]);
    sandbox.write("shared/a.kdl", "table   t {\n    column id int\n}\n");
    sandbox.ok(&["fmt"]);
    assert!(sandbox.read("shared/a.kdl").starts_with("table t {\n"));
    assert!(fs::symlink_metadata(sandbox.path("declared/a.kdl")).expect("it is there").is_symlink());
}
