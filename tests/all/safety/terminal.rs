//! What a terminal, Markdown or HTML would obey is made visible, wherever other people's text comes in and in every form it goes out.

use setpoint::model::is_obeyed;

use crate::safety::fake::{Fake, Says};
use crate::support::{Outcome, Sandbox, TestDb};

/// All that a name may hold, in portions that fit into one.
fn portions() -> Vec<String> {
    // Of the tags and selectors of the last range, some.
    let codes = (1..0xe_0000).chain((0xe_0000..0xe_1000).step_by(499));
    let odd: Vec<char> = codes.filter_map(char::from_u32).filter(|c| is_obeyed(*c)).chain(['\n', '\t']).collect();
    odd.chunks(14).map(|chunk| chunk.iter().collect()).collect()
}

fn is_harmless(outcome: &Outcome, what: &str) {
    for (name, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        // How lines end on Windows.
        let text = text.replace("\r\n", "\n");
        if let Some(at) = text.find(is_obeyed) {
            let before = text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<String>();
            let c = text[at..].chars().next().map_or(0, u32::from);
            panic!("{what}: {name} has U+{c:04X} after “{before}”");
        }
    }
}

fn all(sandbox: &Sandbox, commands: &[&[&str]]) {
    for command in commands {
        is_harmless(&sandbox.run(command), &command.join(" "));
    }
}

#[test]
fn nothing_is_obeyed_in_any_form() {
    let quoted = |text: &str, quote: &str| format!("{quote}{}{quote}", text.replace(quote, &quote.repeat(2)));
    let mut sql = String::new();
    let portions = portions();
    for (i, odd) in portions.iter().enumerate() {
        let (table, column) = (quoted(&format!("t{i}{odd}"), "\""), quoted(&format!("c{odd}"), "\""));
        let text = quoted(odd, "'");
        sql.push_str(&format!(
            "CREATE TABLE {table} (id int, {column} text DEFAULT {text});\nCOMMENT ON TABLE {table} IS {text};\n\
             CREATE FUNCTION f{i}() RETURNS text LANGUAGE sql AS $x$ SELECT {text} -- {}\n$x$;\n",
            odd.replace('\n', "")
        ));
    }
    let db = TestDb::with(&sql);
    let mut sandbox = Sandbox::new(&db);
    let shown: &[&[&str]] = &[
        &["show", "1"],
        &["show", "1", "--json"],
        &["show", "1", "--markdown"],
        &["show", "1", "--sql"],
        &["history", "-v"],
        &["history", "--json"],
        &["status"],
        &["status", "--json"],
        &["drift"],
        &["drift", "--json"],
        &["check"],
        &["sql"],
        &["plan"],
        &["plan", "-v"],
        &["plan", "--json"],
        &["plan", "--markdown"],
        &["plan", "--sql"],
    ];
    is_harmless(&sandbox.exits(0, &["baseline", "--auto-approve"]), "baseline");
    all(&sandbox, shown);
    let json = sandbox.ok(&["show", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
    let statements = json["steps"].to_string();
    let first: String = serde_json::to_string(&portions[3]).expect("is text");
    assert!(statements.contains(first.trim_matches('"')), "JSON says what it is");
    // The script means the same.
    let script = sandbox.ok(&["show", "1", "--sql"]);
    let by_script = TestDb::with(&script);
    sandbox.point_to(&by_script);
    let plan = sandbox.exits(0, &["plan", "--exit-code"]);
    assert!(plan.stdout.starts_with("Nothing to do"), "{}", plan.stdout);

    // On the way to and from another database.
    let other = TestDb::new();
    sandbox.point_to(&other);
    all(&sandbox, &shown[12..]);
    all(&sandbox, &[&["apply", "-v", "--auto-approve", "--allow", "all"]]);
    for (i, odd) in portions.iter().enumerate() {
        other.execute(&format!("ALTER TABLE {} ADD COLUMN other int", quoted(&format!("t{i}{odd}"), "\"")));
    }
    all(&sandbox, shown);
    all(
        &sandbox,
        &[
            &["apply", "--auto-approve"],
            &["rollback", "-1", "--auto-approve", "-v"],
            &["pull"],
            &["push", "--auto-approve"],
        ],
    );
}

#[test]
fn files_and_arguments_are_not_obeyed() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let odd = "x\u{1b}[2J\u{202e}\u{9b}y";
    for text in [
        format!("table t {{\n    column a {odd}\n}}\n"),
        format!("table \"{odd}\" {{\n    colum a int\n}}\n"),
        format!("nonsense a=\"{odd}\""),
    ] {
        sandbox.write(&format!("schema/{odd}.kdl"), &text);
        for command in [&["plan"][..], &["check"], &["fmt"], &["fmt", "--check"], &["sql"]] {
            let outcome = sandbox.run(command);
            assert!(outcome.code != 0, "{command:?}");
            is_harmless(&outcome, &command.join(" "));
        }
    }
    sandbox.write(&format!("schema/{odd}.kdl"), "table   t {\n    column a int\n}\n");
    all(
        &sandbox,
        &[
            &["fmt", "--check"],
            &["fmt"],
            &["plan", "--save", odd],
            &["--env", odd, "plan"],
            &[odd],
            &["plan", odd, "postgresql://a:b@c"],
        ],
    );
    sandbox.write("plans/chain.kdl", &format!("plan 1 \"{odd}\"\n"));
    all(&sandbox, &[&["plan"], &["check"], &["status"], &["history"]]);
    let said = sandbox.run(&["plan", "postgresql://me:SESAME@host/db"]);
    assert!(!format!("{said:?}").contains("SESAME"), "{}", said.stderr);
}

#[test]
fn servers_are_not_obeyed() {
    let odd = "\u{1b}]0;owned\u{7}\u{1b}[31mfine\u{202e}\u{2028}\r\nerror: forged";
    for fields in
        [format!("SFATAL\0VFATAL\0C28P01\0M{odd}\0D{odd}\0H{odd}\0W{odd}\0\0"), format!("SFATAL\0C{odd}\0M{odd}\0\0")]
    {
        let bytes =
            [&b"E"[..], &u32::try_from(fields.len() + 4).expect("fits").to_be_bytes(), fields.as_bytes()].concat();
        let server = Fake::on_port(Says::Bytes(bytes));
        let mut sandbox = Sandbox::empty();
        sandbox.write("setpoint.kdl", "");
        sandbox.write("schema/.keep", "");
        sandbox.set(
            "DATABASE_URL",
            &format!("postgresql://me@127.0.0.1:{}/{odd}?sslmode=disable", server.port).replace('%', "%25"),
        );
        let outcome = sandbox.run(&["plan"]);
        assert!(outcome.stderr.contains("fine"), "{}", outcome.stderr);
        is_harmless(&outcome, "plan");
        assert!(!outcome.stderr.lines().any(|line| line.starts_with("error: forged")), "{}", outcome.stderr);
        is_harmless(&sandbox.run(&["apply", "--auto-approve", "--wait", "1s"]), "apply --wait");
    }
}

#[test]
fn a_ledger_is_not_obeyed() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/t.kdl", "table t {\n    column a int\n}\n");
    sandbox.exits(0, &["push", "--auto-approve"]);
    db.execute(
        "UPDATE setpoint.revision SET name = E'x\\u001b[2J\\u202e', by_role = E'y\\u009b\\u2028', tool = E'\\u200b'",
    );
    all(
        &sandbox,
        &[
            &["status"],
            &["history", "-v"],
            &["history", "--json"],
            &["show", "1"],
            &["drift"],
            &["plan"],
            &["rollback", "-1", "--auto-approve"],
        ],
    );
}

/// Lines of a log that a CI system obeys.
fn commands(outcome: &Outcome) -> Vec<String> {
    let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
    all.lines().filter(|line| line.trim_start().starts_with("::")).map(str::to_owned).collect()
}

/// A name, a comment or a body with the end of a line in it begins no line that a CI system would obey.
#[test]
fn no_line_is_a_command_to_a_ci_system() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let odd = sandbox.path("schema/a\n::stop-commands::x\n::error title=fake::b.kdl");
    std::fs::write(&odd, "bogus 1\n").expect("such names are possible");
    for command in [&["check"][..], &["plan"], &["fmt"], &["sql"], &["plan", "--json"], &["push", "--auto-approve"]] {
        let outcome = sandbox.exits(78, command);
        assert_eq!(commands(&outcome), [""; 0], "{command:?}");
    }
    std::fs::remove_file(&odd).expect("it is there");
    let names = "table \"x\\n::error::y\" {\n    column \"a\\n::stop-commands::z\" integer\n    comment \"k\\n::error::c\"\n    \
                 check \"c\\n::error::d\" \"\\\"a\\n::stop-commands::z\\\" > 0\"\n}\n\
                 function f \"\" returns=int language=sql {\n    body \"SELECT 1\\n  ::error::int\"\n}\n";
    sandbox.write("schema/a.kdl", names);
    for command in [
        &["check"][..],
        &["plan"],
        &["plan", "--verbose"],
        &["plan", "--markdown"],
        &["plan", "--json"],
        &["sql"],
        &["plan", "--save", "x\n::error::p"],
        &["plan", "--save", "x"],
        &["show", "1"],
        &["show", "1", "--sql"],
        &["apply", "--auto-approve"],
        &["status"],
        &["history"],
        &["drift"],
        &["rollback", "-1", "--auto-approve"],
    ] {
        let outcome = sandbox.run(command);
        assert_eq!(commands(&outcome), [""; 0], "{command:?}: {outcome:?}");
    }
    // The script does what the files say.
    sandbox.write("schema/a.kdl", names.split("function").next().unwrap_or_default());
    let script = sandbox.ok(&["sql"]);
    assert!(script.contains("U&\"x\\000A::error::y\""), "{script}");
    db.execute(&script);
    assert_eq!(db.query("SELECT attname FROM pg_attribute WHERE attrelid = (SELECT oid FROM pg_class WHERE relname = E'x\\n::error::y') AND attnum > 0").len(), 1);
    assert_eq!(
        db.value("SELECT obj_description(oid) FROM pg_class WHERE relname = E'x\\n::error::y'"),
        "k\n::error::c"
    );
}
