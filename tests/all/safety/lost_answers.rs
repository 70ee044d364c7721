//! The answer to a COMMIT, or to anything else, is lost: running the command that the message names, or the same command again, ends where an
//! undisturbed run ends, with the same revisions and all rows.

use std::time::{Duration, Instant};

use setpoint::catalog::Session;

use crate::cutter::{Cut, Cutter};
use crate::support::{Outcome, Sandbox, TestDb, block_on};

/// Messages at the end of a run that are tried more often: the last COMMITs are among them.
const LAST: usize = 11;

/// A project with revisions 1 to 3 of one table each, with rows, a plan 4 of several transactions (an enum that grows
/// has to be committed, and each table has its own), and a plan 5.
struct Bench {
    db: TestDb,
    sandbox: Sandbox,
    cutter: Cutter,
}

const FOURTH: &str = "enum e x y\ntable a {\n    column id int not-null\n    column v e default=\"'y'\"\n}\n\
                      table b {\n    column id int not-null\n}\ntable c {\n    column id int not-null\n}\n";

impl Bench {
    /// At that revision, which is 3 or 4.
    fn at(revision: &str) -> Self {
        let bench = Self::new();
        bench.sandbox.ok(&["rollback", "--to", revision, "--auto-approve", "--allow", "all"]);
        bench
    }

    fn new() -> Self {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        let tables = [
            "enum e x\ntable a {\n    column id int\n    column v e\n}\n",
            "table b {\n    column id int\n}\n",
            "table c {\n    column id int\n}\n",
        ];
        for (at, name) in ["one", "two", "three"].iter().enumerate() {
            sandbox.write("schema/a.kdl", &tables[..=at].concat());
            sandbox.ok(&["plan", "--save", name]);
            sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        }
        db.execute("INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)");
        sandbox.write("schema/a.kdl", FOURTH);
        sandbox.ok(&["plan", "--save", "four"]);
        sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        sandbox.write("schema/a.kdl", &format!("{FOURTH}table d {{\n    column id int\n}}\n"));
        sandbox.ok(&["plan", "--save", "five"]);
        let cutter = Cutter::start(&db);
        Self { db, sandbox, cutter }
    }

    /// Two revisions of a table with rows; the second one builds an index outside of transactions, and drops it so on the way back.
    fn alone() -> Self {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        let table = "table a {\n    column id int\n}\n";
        sandbox.write("schema/a.kdl", table);
        sandbox.ok(&["push", "one", "--auto-approve"]);
        db.execute("INSERT INTO a SELECT generate_series(1, 1000)");
        sandbox.write("schema/a.kdl", &table.replace("int\n", "int\n    index a_id id\n"));
        sandbox.ok(&["plan", "--save", "two"]);
        let file = "plans/0002-two.kdl";
        let text = sandbox.read(file).replace("transaction=1", "transaction=1 run=alone");
        let text = text
            .replace("CREATE INDEX ", "CREATE INDEX CONCURRENTLY ")
            .replace("DROP INDEX ", "DROP INDEX CONCURRENTLY ");
        sandbox.write(file, &text);
        sandbox.ok(&["seal", "2"]);
        assert!(sandbox.ok(&["show", "2", "--sql"]).contains("CREATE INDEX CONCURRENTLY"), "{text}");
        let cutter = Cutter::start(&db);
        Self { db, sandbox, cutter }
    }

    /// Places all along a command, and all of them in its second half with SETPOINT_TEST_CUTS=all.
    fn along(&self, command: &[&str]) -> Vec<(Cut, bool)> {
        let seen = self.count(command);
        let all = std::env::var("SETPOINT_TEST_CUTS").is_ok_and(|value| value == "all");
        let chosen = |at: &usize, of: usize| *at > of / 2 && (all || at.is_multiple_of(11));
        let backend = (1..=seen.backend).filter(|at| chosen(at, seen.backend)).map(Cut::Backend);
        let frontend = (1..=seen.frontend).filter(|at| chosen(at, seen.frontend)).map(Cut::AfterFrontend);
        backend.chain(frontend).enumerate().map(|(at, cut)| (cut, at.is_multiple_of(2))).collect()
    }

    /// A copy of the database, under a name of its own.
    fn copy(&self) -> Copy<'_> {
        let name = format!("{}_copy", self.db.connect.database());
        let copy = Copy { bench: self, name };
        copy.drop();
        copy.admin(&format!("CREATE DATABASE {} TEMPLATE {}", copy.name, self.db.connect.database()));
        copy
    }

    /// Cuts at each of these places; afterwards `again` finds out which command to run, and the end has to be the same.
    fn cut(&self, command: &[&str], cuts: &[(Cut, bool)], again: impl Fn(&Outcome) -> Vec<String>) {
        let undisturbed = self.copy();
        self.cutter.arm(Cut::Never, false);
        self.run(command, &self.cutter.url(&undisturbed.name), 0);
        let wanted = undisturbed.look();
        drop(undisturbed);
        for (cut, deaf) in cuts {
            let copy = self.copy();
            self.cutter.arm(*cut, *deaf);
            let url = self.cutter.url(&copy.name);
            let arguments: Vec<&str> = command.iter().copied().chain(["--url", &url]).collect();
            let outcome = self.sandbox.run(&arguments);
            if outcome.code != 0 {
                let next = again(&outcome);
                let next: Vec<&str> = next.iter().map(String::as_str).collect();
                self.run(&next, &copy.url(), 0);
            }
            let got = copy.look();
            assert_eq!(got, wanted, "{cut:?}, deaf: {deaf}\nexit {}\n{}", outcome.code, outcome.stderr);
        }
    }

    /// Runs a command until nobody is in its way any more: the server may not know yet that the client is gone.
    fn run(&self, command: &[&str], url: &str, code: i32) -> Outcome {
        let begun = Instant::now();
        loop {
            let arguments: Vec<&str> = command.iter().copied().chain(["--url", url]).collect();
            let outcome = self.sandbox.run(&arguments);
            if outcome.code == 5 && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            assert_eq!(outcome.code, code, "setpoint {}\n{}", command.join(" "), outcome.stderr);
            return outcome;
        }
    }

    /// How many messages an undisturbed run takes.
    fn count(&self, command: &[&str]) -> crate::cutter::Seen {
        let copy = self.copy();
        self.cutter.arm(Cut::Never, false);
        self.run(command, &self.cutter.url(&copy.name), 0);
        self.cutter.seen()
    }

    /// The places to cut at: a sample, or all of them with SETPOINT_TEST_CUTS=all.
    fn places(&self, command: &[&str], seed: usize) -> Vec<(Cut, bool)> {
        let seen = self.count(command);
        let all = std::env::var("SETPOINT_TEST_CUTS").is_ok_and(|value| value == "all");
        let chosen = |at: &usize, of: usize| {
            all || of - at < LAST && (at + seed).is_multiple_of(5) || (at + seed).is_multiple_of(97)
        };
        let backend = (1..=seen.backend).filter(|at| chosen(at, seen.backend)).map(Cut::Backend);
        let frontend = (1..=seen.frontend).filter(|at| chosen(at, seen.frontend)).map(Cut::AfterFrontend);
        let deaf = |(at, cut): (usize, Cut)| (cut, at.is_multiple_of(4));
        let mut places: Vec<_> = backend.chain(frontend).enumerate().map(deaf).collect();
        if all {
            let others: Vec<_> = places.iter().map(|(cut, deaf)| (*cut, !deaf)).collect();
            places.extend(others);
        }
        places
    }
}

struct Copy<'a> {
    bench: &'a Bench,
    name: String,
}

impl Copy<'_> {
    fn url(&self) -> String {
        self.bench.db.url().replace(self.bench.db.connect.database(), &self.name)
    }

    fn drop(&self) {
        self.admin(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }

    fn admin(&self, sql: &str) {
        let url = self.bench.db.url().replace(self.bench.db.connect.database(), "postgres");
        block_on(async {
            let connect = setpoint::catalog::Connect::parse(&url).expect("an address");
            let session = Session::open(&connect, "test").await.expect("connects");
            session.batch(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
            session.close().await;
        });
    }

    /// Revisions, what is left of runs, and all tables with their rows.
    fn look(&self) -> Vec<String> {
        block_on(async {
            let connect = setpoint::catalog::Connect::parse(&self.url()).expect("an address");
            let session = Session::open(&connect, "test").await.expect("connects");
            let mut out = Vec::new();
            for query in [
                "SELECT 'revision ' || number FROM setpoint.revision ORDER BY number",
                "SELECT 'run ' || number FROM setpoint.run UNION ALL SELECT 'journal ' || number FROM setpoint.journal",
                "SELECT c.relname || '.' || a.attname || ' ' || a.attnotnull FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                 WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT attisdropped ORDER BY 1",
                "SELECT 'enum ' || enumlabel FROM pg_enum ORDER BY 1",
                "SELECT 'index ' || indexrelid::regclass || ' ' || indisvalid FROM pg_index WHERE indrelid >= 16384 \
                 AND indrelid::regclass::text NOT LIKE 'setpoint.%' ORDER BY 1",
                "SELECT relname || ' ' || query_to_xml('SELECT * FROM public.' || relname, true, false, '')::text \
                 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
            ] {
                let rows = session.rows(query, &[]).await.unwrap_or_else(|error| panic!("{error}"));
                out.extend(rows.into_iter().map(|mut row| row.text().to_string()));
            }
            session.close().await;
            out
        })
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        Copy::drop(self);
    }
}

/// The last command that a message names which changes the database: `setpoint apply --to 4`.
fn named(outcome: &Outcome) -> Vec<String> {
    let help = outcome.stderr.rsplit("help:").next().unwrap_or_default();
    let command = help.split('`').find_map(|part| part.strip_prefix("setpoint "));
    let command = command.unwrap_or_else(|| panic!("no command is named:\n{}", outcome.stderr));
    let relative = command.contains("-1") || command.contains("+1");
    assert!(!relative, "`{command}` goes further each time:\n{}", outcome.stderr);
    command.split(' ').map(String::from).chain(["--auto-approve", "--allow", "all"].map(String::from)).collect()
}

/// That, or nothing had begun yet and no command is named: then the same one.
fn named_or(command: &[&str]) -> impl Fn(&Outcome) -> Vec<String> {
    let same: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    move |outcome| if outcome.stderr.contains("`setpoint ") { named(outcome) } else { same.clone() }
}

fn same(command: &[&str]) -> impl Fn(&Outcome) -> Vec<String> {
    let same: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    move |_| same.clone()
}

const BACK: &[&str] = &["rollback", "-1", "--auto-approve", "--allow", "all"];
const UP: &[&str] = &["apply", "+1", "--auto-approve", "--allow", "all"];

#[test]
fn the_command_that_the_message_names_takes_back_no_more() {
    let bench = Bench::at("4");
    bench.cut(BACK, &bench.places(BACK, 0), named_or(BACK));
}

#[test]
fn the_same_command_takes_back_no_more() {
    let bench = Bench::at("4");
    bench.cut(BACK, &bench.places(BACK, 1), same(BACK));
}

#[test]
fn the_command_that_the_message_names_applies_no_more() {
    let bench = Bench::at("3");
    bench.cut(UP, &bench.places(UP, 0), named_or(UP));
}

#[test]
fn the_same_command_applies_no_more() {
    let bench = Bench::at("3");
    bench.cut(UP, &bench.places(UP, 1), same(UP));
}

/// A step outside of transactions is noted before and after: the catalog says whether it happened.
#[test]
fn an_index_that_is_built_outside_of_transactions_is_built_once() {
    let bench = Bench::alone();
    bench.cut(UP, &bench.along(UP), named_or(UP));
}

#[test]
fn an_index_that_is_dropped_outside_of_transactions_is_dropped_once() {
    let bench = Bench::alone();
    bench.sandbox.ok(UP);
    bench.cut(BACK, &bench.along(BACK), named_or(BACK));
}
