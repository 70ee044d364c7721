//! A signal at any moment of any command: the exit code says so, no statement, throwaway server or half-finished change stays behind, and
//! commands that change a database name the command that resumes.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Outcome, Sandbox, TestDb, files, program};

/// A database and a project for one command.
struct Case {
    db: TestDb,
    sandbox: Sandbox,
}

type Files = BTreeMap<String, String>;

impl Case {
    fn project(db: TestDb) -> Self {
        let sandbox = Sandbox::new(&db);
        Self { db, sandbox }
    }

    /// Two revisions of a table and a view, with rows, and files that say something else.
    fn built() -> Self {
        let case = Self::project(TestDb::new());
        let table = "table a {\n    column id int\n}\n";
        case.sandbox.write("schema/a.kdl", table);
        case.sandbox.ok(&["push", "one", "--auto-approve"]);
        let view = "view v {\n    sql \"SELECT a.id FROM public.a\"\n}\n";
        case.sandbox.write("schema/a.kdl", &format!("{table}table b {{\n    column id int\n}}\n{view}"));
        case.sandbox.ok(&["push", "two", "--auto-approve"]);
        case.db.execute("INSERT INTO a VALUES (1)");
        case.sandbox.write(
            "schema/b.kdl",
            "table c {\n    column id int\n}\nfunction f returns=int language=sql {\n    body \"SELECT 1\"\n}\n",
        );
        case
    }

    fn saved() -> Self {
        let case = Self::built();
        std::fs::remove_file(case.sandbox.path("schema/b.kdl")).expect("it is there");
        case.sandbox.write("schema/c.kdl", "table c {\n    column id int\n}\n");
        case.sandbox.ok(&["plan", "--save", "three"]);
        case
    }

    fn by_hand() -> Self {
        Self::project(TestDb::with(
            "CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE VIEW v AS SELECT id FROM a; INSERT INTO a VALUES (1)",
        ))
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(program())
            .args(arguments)
            .current_dir(self.sandbox.path("."))
            .env("DATABASE_URL", self.db.url())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// The project's files, temporary ones too.
    fn files(&self) -> Files {
        let root = self.sandbox.path(".");
        let read = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            (path.strip_prefix(&root).expect("it is below").display().to_string(), text)
        };
        files(&root, "").into_iter().map(read).collect()
    }

    /// Revisions, runs, and what the database holds.
    fn database(&self) -> Vec<String> {
        let mut out = self
            .db
            .query("SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1");
        out.extend(self.db.query("SELECT 'row', id FROM a"));
        if self.db.value("SELECT to_regclass('setpoint.revision') IS NOT NULL") == "t" {
            out.extend(self.db.query("SELECT number, name FROM setpoint.revision ORDER BY 1"));
            out.extend(self.db.query("SELECT 'run', number FROM setpoint.run"));
        }
        out
    }

    /// Sessions of the tool on this database.
    fn sessions(&self) -> Vec<String> {
        self.db.query("SELECT application_name, state, query FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'setpoint %' AND pid <> pg_backend_pid() AND application_name <> 'setpoint test'")
    }
}

fn signal(child: &Child, name: &str) {
    // Where the command is done already, there is nobody to tell.
    let _ = Command::new("kill")
        .args([name, &child.id().to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("there is kill");
}

/// True once the program catches the signal. Where the system does not tell, it is taken not to.
fn listens(child: &Child, name: &str) -> bool {
    let bit = if name == "-INT" { 2 } else { 15 } - 1;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask") >> bit & 1 == 1)
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ended(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("it ends");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Folders of throwaway servers that this process made.
fn throwaway(process: u32) -> Vec<String> {
    let mark = format!("setpoint-{process}-");
    let all = [std::env::temp_dir(), "/tmp".into(), "/dev/shm".into()];
    let all = all.iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    all.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with(&mark)).collect()
}

/// The command that the message names, or the same one.
fn next(outcome: &Outcome, arguments: &[&str]) -> Vec<String> {
    let (_, help) = outcome.stderr.split_once("help: ").unwrap_or_else(|| panic!("no way on is named: {outcome:?}"));
    let named = help.split('`').find_map(|part| part.strip_prefix("setpoint "));
    match named {
        Some(named) => named.split(' ').chain(["--auto-approve", "--allow", "all"]).map(String::from).collect(),
        None => {
            assert!(
                help.contains("the same command again") && outcome.stderr.contains("nothing was changed"),
                "{outcome:?}"
            );
            arguments.iter().map(|word| (*word).to_owned()).collect()
        }
    }
}

/// Signals at several moments of a command, once and twice. `changes`: it changes the database.
fn at_every_moment(arguments: &[&str], changes: bool, case: fn() -> Case) {
    let undisturbed = case();
    let begun = Instant::now();
    let whole = ended(undisturbed.start(arguments));
    let (took, wanted, there) = (begun.elapsed(), undisturbed.files(), undisturbed.database());
    assert!([0, 2].contains(&whole.code), "{whole:?}");
    drop(undisturbed);
    let mut stopped = 0;
    for (at, (moment, name)) in
        [(0, "-INT"), (10, "-TERM"), (25, "-INT"), (40, "-INT"), (55, "-TERM"), (70, "-INT"), (85, "-TERM")]
            .into_iter()
            .enumerate()
    {
        let twice = at % 3 == 2;
        let case = case();
        let before = case.files();
        let data = case.database();
        let child = case.start(arguments);
        let process = child.id();
        std::thread::sleep((took * moment / 100).max(Duration::from_millis(5)));
        let listened = listens(&child, name);
        signal(&child, name);
        if twice {
            std::thread::sleep(Duration::from_millis(15));
            signal(&child, name);
        }
        let told = Instant::now();
        let outcome = ended(child);
        let what = format!("{arguments:?}, {name} after {moment} %, twice: {twice}: {outcome:?}");
        assert!(told.elapsed() < Duration::from_secs(20), "{:?}, {what}", told.elapsed());
        until(&format!("a throwaway server stays: {what}"), || throwaway(process).is_empty());
        until(&format!("a session stays: {what}"), || case.sessions().is_empty());
        let now = case.files();
        assert!(!now.keys().any(|name| name.ends_with(".new")), "{:?}: {what}", now.keys());
        // Before the program listens, it ends as every program does.
        if outcome.code == -1 {
            assert!(!listened && now == before && case.database() == data, "{what}");
            continue;
        }
        if outcome.code != 130 {
            assert_eq!(outcome.code, whole.code, "{what}");
            assert_eq!(now.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
            assert_eq!(case.database(), there, "{what}");
            continue;
        }
        stopped += 1;
        if !changes {
            assert!(now == before || now.keys().eq(wanted.keys()), "{what}");
            assert_eq!(case.database(), data, "{what}");
            continue;
        }
        if twice {
            continue;
        }
        assert!(outcome.stderr.contains("interrupted"), "{what}");
        let again = next(&outcome, arguments);
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        let again = case.sandbox.run(&again);
        assert_eq!(again.code, 0, "{what}\n{again:?}");
        assert_eq!(case.database(), there, "{what}\n{again:?}");
        assert_eq!(case.files().keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
    }
    assert!(stopped > 0, "{arguments:?}: only {stopped} runs were stopped, of {took:?}");
}

#[test]
fn plan_at_every_moment() {
    at_every_moment(&["plan", "--save", "more"], false, Case::built);
}

#[test]
fn pull_at_every_moment() {
    at_every_moment(&["pull", "--force"], false, Case::built);
}

#[test]
fn drift_at_every_moment() {
    at_every_moment(&["drift"], false, Case::built);
}

#[test]
fn prove_at_every_moment() {
    at_every_moment(&["prove"], false, Case::saved);
}

#[test]
fn baseline_at_every_moment() {
    at_every_moment(&["baseline", "--auto-approve"], true, Case::by_hand);
}

#[test]
fn apply_at_every_moment() {
    at_every_moment(&["apply", "--auto-approve"], true, Case::saved);
}

#[test]
fn rollback_at_every_moment() {
    at_every_moment(&["rollback", "-1", "--auto-approve", "--allow", "all"], true, Case::built);
}

#[test]
fn push_at_every_moment() {
    at_every_moment(&["push", "--auto-approve"], true, Case::built);
}

/// Reading a view waits for whoever locked its table: the wait ends on the server, too.
#[test]
fn a_statement_that_waits_is_cancelled() {
    for (arguments, case) in [
        (&["plan"][..], Case::built as fn() -> Case),
        (&["pull"], Case::built),
        (&["pull", "--force"], Case::built),
        (&["baseline", "--auto-approve"], Case::by_hand),
        (&["apply", "--auto-approve"], Case::saved),
        (&["stamp", "2", "--auto-approve"], Case::built),
    ] {
        let case = case();
        // What is known from the last reading is not read again.
        case.db.execute("COMMENT ON TABLE a IS 'changed'");
        crate::support::block_on(async {
            let session = case.db.session().await;
            session.batch("BEGIN; LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
            let child = case.start(arguments);
            let before = case.files();
            let waits = || {
                case.db.query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'setpoint %' AND wait_event_type = 'Lock'")
            };
            until(&format!("it never waited: {arguments:?}"), || !waits().is_empty());
            signal(&child, "-INT");
            let told = Instant::now();
            let outcome = ended(child);
            assert!(told.elapsed() < Duration::from_secs(10), "{arguments:?}: {:?}", told.elapsed());
            assert_eq!(outcome.code, 130, "{arguments:?}: {outcome:?}");
            assert!(waits().is_empty(), "{arguments:?}: {outcome:?}");
            assert_eq!(case.files(), before, "{arguments:?}: {outcome:?}");
            if arguments.contains(&"--auto-approve") {
                next(&outcome, arguments);
            }
            session.close().await;
        });
    }
}

/// Nobody answers at that address: the command stops while it connects.
#[test]
fn connecting_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for arguments in
        [&["apply", "--auto-approve"][..], &["plan"], &["rollback", "-1"], &["push"], &["baseline"], &["stamp", "1"]]
    {
        let case = if arguments[0] == "baseline" { Case::by_hand() } else { Case::saved() };
        if arguments[0] == "push" {
            std::fs::remove_dir_all(case.sandbox.path("plans")).expect("it is there");
        }
        let url = format!("postgresql://nobody@127.0.0.1:{port}/nothing?sslmode=disable");
        let all: Vec<&str> = arguments.iter().copied().chain(["--url", &url]).collect();
        let child = case.start(&all);
        let (_silent, _) = listener.accept().expect("it connects");
        std::thread::sleep(Duration::from_millis(50));
        signal(&child, "-INT");
        let told = Instant::now();
        let outcome = ended(child);
        assert!(told.elapsed() < Duration::from_secs(3), "{arguments:?}: {:?}", told.elapsed());
        assert_eq!(outcome.code, 130, "{arguments:?}: {outcome:?}");
        if arguments[0] != "plan" {
            assert!(outcome.stderr.contains("nothing was changed in the database"), "{outcome:?}");
            assert!(outcome.stderr.contains("the same command again"), "{outcome:?}");
        }
    }
}
