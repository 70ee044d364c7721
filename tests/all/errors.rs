//! Bad input through the program: the exit code, the words that help, and that nothing changed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use insta::assert_snapshot;
use setpoint::scratch::{self, Server};

use crate::shown::shown;
use crate::support::{Outcome, Sandbox, TestDb, block_on, default_major, files, repository};

/// A project without a server, whose one file is `text`.
fn project(text: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/app.kdl", text);
    sandbox
}

fn says(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stderr.contains(word), "no “{word}” in:\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

/// What a database holds, as one text that any change would change.
fn fingerprint(db: &TestDb) -> String {
    db.query(
        "SELECT 'r', oid, xmin, relname FROM pg_class UNION ALL SELECT 'n', oid, xmin, nspname FROM pg_namespace \
         UNION ALL SELECT 'a', attrelid, xmin, attname FROM pg_attribute WHERE attrelid >= 16384 ORDER BY 1, 2, 4",
    )
    .join("\n")
}

#[test]
fn the_command_line() {
    let sandbox = Sandbox::empty();
    for arguments in [
        &["plann"][..],
        &["plan", "--nonsense"],
        &["show"],
        &["show", "x"],
        &["plan", "--empty"],
        &["apply", "--wait", "soon"],
    ] {
        sandbox.exits(64, arguments);
    }
    let sandbox = project("");
    for arguments in [&["rollback"][..], &["rollback", "1"], &["apply", "--to", "x"], &["plan", "--save", "a b"]] {
        sandbox.exits(64, &[&["--url", "postgresql:///nowhere?host=/nonexistent"][..], arguments].concat());
    }
    assert_eq!(sandbox.run(&["--help"]).code, 0);
    assert!(sandbox.ok(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_project_and_bad_projects() {
    let sandbox = Sandbox::empty();
    let outcome = sandbox.exits(78, &["plan"]);
    assert_snapshot!("no_project", shown(&sandbox, None, &outcome));
    sandbox.write("setpoint.kdl", "manage {\n    schemas public\n}\nowner app\nowner other\n");
    let outcome = sandbox.exits(78, &["plan"]);
    assert_snapshot!("bad_project", shown(&sandbox, None, &outcome));
    sandbox.write("setpoint.kdl", "");
    says(&sandbox.exits(78, &["plan"]), &["no directory", "setpoint init"]);
    sandbox.write("schema/app.kdl", "");
    says(&sandbox.exits(78, &["--env", "moon", "plan"]), &["moon"]);
    sandbox.exits(78, &["--config", "nowhere.kdl", "plan"]);
    says(&sandbox.exits(78, &["--url", "mysql://host/db", "plan"]), &["mysql"]);
}

/// Every wrong file (or folder of files) of `fixtures/errors` gives exactly the message that stands beside it.
/// `SETPOINT_UPDATE_DOCS=1` writes the messages; each has to be read by somebody: would a person know what to do?
#[test]
fn wrong_schema_files() {
    let root = repository().join("fixtures/errors");
    let mut cases: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    for file in files(&root, ".kdl") {
        let folder = file.parent().expect("a file stands in a folder");
        // Several files of one case stand in a folder of their own, two levels down.
        let case = if folder.parent() == Some(&root) { file.with_extension("") } else { folder.to_path_buf() };
        match cases.last_mut().filter(|(last, _)| *last == case) {
            Some((_, files)) => files.push(file),
            None => cases.push((case, vec![file])),
        }
    }
    assert!(cases.len() >= 80, "only {} cases were found", cases.len());
    let (update, mut wrong) = (std::env::var_os("SETPOINT_UPDATE_DOCS").is_some(), Vec::new());
    for (case, files) in &cases {
        let sandbox = project("");
        fs::remove_file(sandbox.path("schema/app.kdl")).expect("it is there");
        for file in files {
            let name = file.file_name().expect("it has one").to_string_lossy().into_owned();
            sandbox.write(&format!("schema/{name}"), &fs::read_to_string(file).expect("it can be read"));
        }
        let outcome = sandbox.run(&["check"]);
        let name = case.strip_prefix(&root).expect("it is below").display().to_string();
        let expected = PathBuf::from(format!("{}.txt", case.display()));
        if update && outcome.code == 78 {
            fs::write(&expected, &outcome.stderr).expect("it can be written");
        } else if outcome.code != 78 || fs::read_to_string(&expected).ok().as_ref() != Some(&outcome.stderr) {
            wrong.push(format!("{name}: exit {}\n{}", outcome.code, outcome.stderr));
        }
    }
    let known: Vec<PathBuf> = cases.iter().map(|(case, _)| PathBuf::from(format!("{}.txt", case.display()))).collect();
    for text in files(&root, ".txt").into_iter().filter(|text| !known.contains(text)) {
        wrong.push(format!("{}: no file gives this message", text.display()));
    }
    assert!(wrong.is_empty(), "{} cases say something else:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn schema_files_of_bytes() {
    let deep = "a { ".repeat(100_000);
    project(&deep).exits(78, &["check"]);
    let sandbox = project("");
    fs::write(sandbox.path("schema/bytes.kdl"), b"table \xff\xfe\n").expect("can be written");
    says(&sandbox.exits(78, &["check"]), &["bytes.kdl", "UTF-8"]);
}

#[test]
fn plan_files_that_were_cut_short() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/all.kdl", "table notes {\n    column body text\n}\n");
    sandbox.ok(&["plan", "--save", "notes"]);
    let (plan, chain) = (sandbox.read("plans/0001-notes.kdl"), sandbox.read("plans/chain.kdl"));
    let before = fingerprint(&db);
    for part in [0, 1, 2, 3] {
        sandbox.write("plans/0001-notes.kdl", &plan[..plan.len() * part / 4]);
        for command in [&["apply", "--auto-approve"][..], &["check"], &["show", "1"]] {
            says(&sandbox.exits(4, command), &["0001-notes.kdl"]);
        }
    }
    fs::remove_file(sandbox.path("plans/0001-notes.kdl")).expect("it is there");
    says(&sandbox.exits(4, &["apply", "--auto-approve"]), &["0001-notes.kdl", "version control"]);
    sandbox.write("plans/0001-notes.kdl", &plan);
    sandbox.write("plans/chain.kdl", &chain[..chain.len() / 2]);
    sandbox.exits(78, &["apply", "--auto-approve"]);
    sandbox.write("plans/chain.kdl", &format!("{chain}{chain}"));
    says(&sandbox.exits(78, &["apply", "--auto-approve"]), &["chain.kdl"]);
    assert_eq!(fingerprint(&db), before);
    sandbox.write("plans/chain.kdl", &chain);
    sandbox.ok(&["apply", "--auto-approve"]);
}

#[test]
fn a_ledger_of_a_newer_version() {
    let db = TestDb::with("CREATE TABLE notes (body text)");
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    db.execute("UPDATE setpoint.meta SET value = '999' WHERE key = 'format'");
    let before = fingerprint(&db);
    for command in
        [&["apply", "--auto-approve"][..], &["plan"], &["rollback", "-1", "--auto-approve"], &["status"], &["drift"]]
    {
        let outcome = sandbox.run(command);
        assert_ne!(outcome.code, 0, "{command:?}");
        says(&outcome, &["newer"]);
    }
    assert_eq!(fingerprint(&db), before);
}

#[test]
fn a_server_that_is_gone() {
    let binaries = scratch::find(Some(default_major())).unwrap_or_else(|error| panic!("{error}"));
    let server = Arc::new(Server::start(&binaries).unwrap_or_else(|error| panic!("{error}")));
    let connect = block_on(server.fresh_database("gone")).unwrap_or_else(|error| panic!("{error}"));
    let mut sandbox = project("table notes {\n    column body text\n}\n");
    sandbox.set("DATABASE_URL", &connect.to_string());
    sandbox.ok(&["plan", "--save", "notes"]);
    drop(server);
    for command in [&["plan"][..], &["apply", "--auto-approve"], &["status"], &["drift"], &["pull"]] {
        let outcome = sandbox.exits(1, command);
        says(&outcome, &["no server listens", "help:"]);
    }
    sandbox.ok(&["check"]);
}

#[test]
fn databases_that_cannot_be_written_to() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/all.kdl", "table notes {\n    column body text\n}\n");
    sandbox.ok(&["plan", "--save", "notes"]);
    db.execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.connect.database()));
    let before = fingerprint(&db);
    let outcome = sandbox.exits(3, &["apply", "--auto-approve"]);
    says(&outcome, &["read-only", "help:"]);
    assert_eq!(fingerprint(&db), before);
    assert_eq!(sandbox.run(&["plan"]).code, 0);
}

#[test]
fn rights_that_are_missing() {
    let db = TestDb::with("CREATE TABLE notes (body text)");
    let name = db.connect.database();
    let role = format!("guest_{name}");
    let mut sandbox = Sandbox::new(&db);
    sandbox.write("schema/all.kdl", "table notes {\n    column body text\n    column extra int\n}\n");
    sandbox.ok(&["plan", "--save", "extra"]);
    // Before PostgreSQL 15 everybody may create in schema public.
    db.execute(&format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
    let guest =
        db.url().replacen("postgres@", &format!("{role}@"), 1).replacen("user=postgres", &format!("user={role}"), 1);
    assert_ne!(db.url(), guest, "the address names the user");
    sandbox.set("DATABASE_URL", &guest);
    let outcome = sandbox.exits(1, &["apply", "--auto-approve"]);
    says(&outcome, &["permission denied", "help:"]);
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'extra'"), "0");
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn passwords_are_never_shown() {
    let sandbox = project("");
    let outcome = sandbox.exits(1, &["--url", "postgresql://me:hunter2@127.0.0.1:1/db", "plan"]);
    says(&outcome, &["warning", "DATABASE_URL"]);
    assert!(!outcome.stderr.contains("hunter2") && !outcome.stdout.contains("hunter2"), "{outcome:?}");
}
