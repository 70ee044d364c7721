//! Files that no person would write: too large, too deep, not text, not even files. Each is refused with a reason, and quickly.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Outcome, Sandbox};

fn project() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    fs::create_dir_all(sandbox.path("schema")).expect("schema/ can be made");
    sandbox
}

/// `check` has to refuse the project with those words, within seconds even in a slow build.
fn refused(sandbox: &Sandbox, words: &[&str]) -> Outcome {
    let begun = Instant::now();
    let outcome = sandbox.exits(78, &["check"]);
    for word in words {
        assert!(outcome.stderr.contains(word), "no “{word}” in:\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked") && outcome.stderr.len() < 100_000, "{}", outcome.stderr);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {}", begun.elapsed(), outcome.stderr);
    outcome
}

/// `check` has to read the file, soon as well; that no plan leads there is all that it may say.
fn read(text: &str) {
    let begun = Instant::now();
    let outcome = file(text).exits(1, &["check"]);
    assert!(
        outcome.stderr.contains("setpoint plan --save") || outcome.stderr.contains("setpoint fmt"),
        "{}",
        outcome.stderr
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

fn file(text: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = project();
    fs::write(sandbox.path("schema/x.kdl"), text).expect("can be written");
    sandbox
}

#[test]
fn large_files() {
    let sandbox = file("");
    let file_of_50_mb = fs::OpenOptions::new().write(true).open(sandbox.path("schema/x.kdl")).expect("it is there");
    file_of_50_mb.set_len(50 << 20).expect("it can grow");
    refused(&sandbox, &["schema/x.kdl has 50 MB; the limit is 32", "help: split it"]);
    refused(&file(format!("table a {{ comment \"{}", "x".repeat(4 << 20))), &["schema/x.kdl:1:"]);
    refused(&file("]\n".repeat(100_000)), &["schema/x.kdl:1:1"]);
    refused(&file("table a {\n".repeat(60) + &"b c=\n".repeat(20_000)), &["schema/x.kdl:"]);
}

#[test]
fn deep_files() {
    const MILLION: usize = 1_000_000;
    refused(&file("a {\n".repeat(MILLION)), &["64 levels deep"]);
    refused(&file("a {".repeat(MILLION)), &["64 levels deep"]);
    // Those that the fast reader gives up before the depth shows, so that the slow one is asked.
    refused(&file(format!("a ]\n{}", "a {\n".repeat(MILLION))), &["schema/x.kdl:1:3"]);
    for deep in ["/*", "/-a {", "/-", "(", "a (", "\"\"\"\n", "a=", "\\\n", "#"] {
        let all = deep.repeat(10_000);
        refused(&file(format!("a ]\n{all}")), &["schema/x.kdl:1:3"]);
        let outcome = file(all).run(&["check"]);
        assert!([0, 1, 78].contains(&outcome.code), "{deep:?}: {} {}", outcome.code, outcome.stderr);
    }
}

#[test]
fn bytes_that_are_no_text() {
    refused(
        &file(b"table a\n// caf\xe9\n"),
        &["schema/x.kdl is not UTF-8", "byte 0xE9 in line 2, 14 bytes into the file"],
    );
    refused(&file(b"\xff\xfet\0a\0b\0l\0e\0"), &["not UTF-8", "UTF-16", "save the file as UTF-8"]);
    file(b"\xff").exits(78, &["fmt"]);
    let nul = refused(&file("table a\u{0}b\n"), &["schema/x.kdl:1:8", "the character U+0000 is not allowed"]);
    assert!(!nul.stderr.contains('\0'), "{nul:?}");
    let escape = refused(&file("table \u{1b}[31mred\n"), &["schema/x.kdl:1:7", "U+001B"]);
    assert!(!escape.stderr.contains('\u{1b}'), "{escape:?}");
    refused(&file("table a { comment \"\u{202e}\" }\n"), &["U+202E"]);
    // A byte order mark is none of them.
    assert_eq!(file("\u{feff}table a\n").run(&["fmt", "--check"]).code, 1);
}

#[test]
fn two_files_that_say_the_same() {
    let sandbox = project();
    sandbox.write("schema/one.kdl", "table a {\n    column x int\n}\n");
    sandbox.write("schema/two/a.kdl", "\ntable a\n");
    let outcome = sandbox.exits(78, &["check"]);
    for words in
        ["table public.a is declared twice", "schema/two/a.kdl:2:7", "the first declaration is at schema/one.kdl:1:1"]
    {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn words_and_texts_without_end() {
    let endless = "x".repeat(1 << 20);
    refused(&file(format!("{endless} a\n")), &["schema/x.kdl:1:1"]);
    refused(&file(format!("table a {endless}=1 {{\n    {endless} b\n}}\n")), &["schema/x.kdl:1:9", "schema/x.kdl:2:5"]);
    let many: String = (0..20_000).map(|i| format!(" p{}=1", i % 19_999)).collect();
    refused(&file(format!("table a p0=1{many}\n")), &["`p0` is given twice"]);
    let casts = "::text".repeat(20_000);
    read(&format!("table a {{\n    column b text\n    index (sql)\"b{casts}\"\n}}\n"));
    // Each table inherits from both tables before it: there are 2^40 ways up.
    let mut tables = String::from("table t0 { column a int; }\ntable u0 { column a int; }\n");
    for i in 1..40 {
        let before = i - 1;
        tables.push_str(
            &["t", "u"].map(|t| format!("table {t}{i} {{ inherits t{before} u{before}; unique a; }}\n")).concat(),
        );
    }
    read(&tables);
    let chain: String = (1..5_000).map(|i| format!("table t{i} {{ inherits t{}; }}\n", i - 1)).collect();
    read(&format!("table t0 {{ column a int; }}\n{chain}"));
}

#[cfg(unix)]
#[test]
fn folders_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sandbox = project();
    // A folder may be called like a file.
    sandbox.write("schema/x.kdl/a.kdl", "table a\n");
    sandbox.ok(&["fmt", "--check"]);
    symlink(sandbox.path("schema"), sandbox.path("schema/x.kdl/circle")).expect("a link can be made");
    refused(&sandbox, &["schema/x.kdl/circle is a link to a directory that contains it", "remove the link"]);
    fs::remove_file(sandbox.path("schema/x.kdl/circle")).expect("it is there");
    symlink("self.kdl", sandbox.path("schema/self.kdl")).expect("a link can be made");
    refused(&sandbox, &["cannot read schema/self.kdl"]);
    fs::remove_file(sandbox.path("schema/self.kdl")).expect("it is there");
    symlink("gone", sandbox.path("schema/gone.kdl")).expect("a link can be made");
    refused(&sandbox, &["cannot read schema/gone.kdl", "if it is a link"]);
    fs::remove_file(sandbox.path("schema/gone.kdl")).expect("it is there");
    symlink("/dev/zero", sandbox.path("schema/zero.kdl")).expect("a link can be made");
    refused(&sandbox, &["schema/zero.kdl leads outside of the project", "a link to /dev/zero"]);
    fs::remove_file(sandbox.path("schema/zero.kdl")).expect("it is there");
    let socket = std::os::unix::net::UnixListener::bind(sandbox.path("schema/socket.kdl")).expect("it can be made");
    refused(&sandbox, &["schema/socket.kdl is not a regular file"]);
    drop(socket);
    fs::remove_file(sandbox.path("schema/socket.kdl")).expect("it is there");
    let closed = sandbox.path("schema/closed.kdl");
    fs::write(&closed, "table b\n").expect("can be written");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    // Whoever may read everything reads this, too.
    if fs::read(&closed).is_err() {
        refused(&sandbox, &["cannot read schema/closed.kdl", "permissions"]);
    } else {
        sandbox.ok(&["fmt", "--check"]);
    }
}
