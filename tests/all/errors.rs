//! Bad input through the program: the exit code, the words that help, and nothing changed.

use std::sync::Arc;

use insta::assert_snapshot;
use setpoint::scratch::{self, Server};

use crate::shown::shown;
use crate::support::{Outcome, Sandbox, TestDb, block_on, default_major};

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

/// Each with the words that its message must have. All of them need no server.
const BAD_FILES: &[(&str, &str, &[&str])] = &[
    ("malformed", "table orders {\n    column id bigint\n", &["app.kdl"]),
    ("unclosed_string", "table orders {\n    comment \"never ends\n}\n", &["app.kdl"]),
    ("unknown_node", "tabel orders\n", &["app.kdl:1:1", "tabel", "table"]),
    ("unknown_inside", "table orders {\n    colum id bigint\n}\n", &["app.kdl:2:5", "column"]),
    ("unknown_property", "table orders {\n    column id bigint not-nul=#true\n}\n", &["not-null"]),
    (
        "twice_the_property",
        "table orders {\n    column id bigint default=\"1\" default=\"2\"\n}\n",
        &["default", "twice"],
    ),
    ("twice_the_table", "table orders\ntable orders\n", &["orders", "app.kdl:2"]),
    ("table_and_view", "table orders\nview orders {\n    sql \"SELECT 1 AS a\"\n}\n", &["orders"]),
    ("twice_the_column", "table orders {\n    column id bigint\n    column id int\n}\n", &["id"]),
    ("twice_the_value", "enum mood sad happy sad\n", &["sad", "app.kdl:1:21"]),
    (
        "no_such_table",
        "table orders {\n    column id bigint\n    foreign-key id { references customers id }\n}\n",
        &["customers"],
    ),
    ("no_such_column", "table orders {\n    column id bigint\n    primary-key ident\n}\n", &["ident"]),
    ("no_name", "table\n", &["table"]),
    ("no_type", "table orders {\n    column id\n}\n", &["type"]),
    ("null_as_a_name", "table #null\n", &["app.kdl:1"]),
    ("number_as_a_name", "table 42\n", &["app.kdl:1"]),
    (
        "two_primary_keys",
        "table orders {\n    column id bigint\n    primary-key id\n    primary-key id name=other\n}\n",
        &["primary-key"],
    ),
    ("several_at_once", "tabel a\ntable b {\n    colum c int\n}\nviev d\n", &["app.kdl:1", "app.kdl:3", "app.kdl:5"]),
];

#[test]
fn schema_files() {
    for (name, text, words) in BAD_FILES {
        let sandbox = project(text);
        let outcome = sandbox.run(&["check"]);
        assert_eq!(outcome.code, 78, "{name}: {}", outcome.stderr);
        says(&outcome, words);
        assert_snapshot!(format!("file_{name}"), shown(&sandbox, None, &outcome));
    }
    let long = "x".repeat(64);
    for text in
        [format!("table {long}\n"), format!("table a {{\n    column {long} int\n}}\n"), format!("enum {long} a\n")]
    {
        says(&project(&text).exits(78, &["check"]), &["63 bytes"]);
    }
    says(&project(&format!("enum a {long}\n")).exits(78, &["check"]), &["63 bytes"]);
    let deep = "a { ".repeat(100_000);
    project(&deep).exits(78, &["check"]);
    let sandbox = project("");
    std::fs::write(sandbox.path("schema/bytes.kdl"), b"table \xff\xfe\n").expect("can be written");
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
    std::fs::remove_file(sandbox.path("plans/0001-notes.kdl")).expect("it is there");
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
    db.execute(&format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
    let mut sandbox = Sandbox::new(&db);
    sandbox.write("schema/all.kdl", "table notes {\n    column body text\n    column extra int\n}\n");
    sandbox.ok(&["plan", "--save", "extra"]);
    sandbox.set(
        "DATABASE_URL",
        &db.url().replacen("postgres@", &format!("{role}@"), 1).replacen("user=postgres", &format!("user={role}"), 1),
    );
    assert_ne!(db.url(), db.url().replacen("postgres", "", 1), "the address names the user");
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
