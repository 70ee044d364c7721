//! What people write, against what PostgreSQL stores: other spellings plan to nothing, near misses to one change each.
//!
//! `fixtures/sameness/*.md` holds the cases: a heading (with the oldest version that supports it, as `[14]`), the SQL that creates the
//! database, and the files. Each case has a schema of its own, named after its heading, and `public` with `shared.sql` after it.

use std::collections::{BTreeMap, BTreeSet};

use setpoint::model::{Expr, Value};
use setpoint::{introspect, load};

use crate::sameness::hold_expressions;
use crate::support::{Sandbox, TestDb, block_on, default_major, installed, repository};

struct Case {
    /// Its schema.
    name: String,
    title: String,
    /// The oldest version that knows what it is about.
    since: u32,
    sql: String,
    kdl: String,
}

/// The cases of a file that this version knows.
fn cases(file: &str, major: u32) -> Vec<Case> {
    let path = repository().join("fixtures/sameness").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases = text.split("\n## ").skip(1).map(|case| {
        let (title, rest) = case.split_once('\n').unwrap_or((case, ""));
        let fenced = |language: &str| {
            let block = rest.split_once(&format!("\n```{language}\n")).and_then(|(_, rest)| rest.split_once("\n```"));
            block.unwrap_or_else(|| panic!("{file}: no {language} in `{title}`")).0.to_string()
        };
        let (title, since) = match title.trim().strip_suffix(']').and_then(|title| title.split_once(" [")) {
            Some((title, since)) => (title, since.parse().expect("a major version")),
            None => (title.trim(), 0),
        };
        let name = title.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "_");
        Case { name, title: format!("{file}: {title}"), since, sql: fenced("sql"), kdl: fenced("kdl") }
    });
    cases.filter(|case| case.since <= major).collect()
}

/// Makes the objects of the cases as people at psql would.
fn make(db: &TestDb, cases: &[&Case]) {
    let mut wrong = Vec::new();
    block_on(async {
        let session = db.session().await;
        for case in cases {
            let Case { name, title, sql, .. } = case;
            let sql = format!("CREATE SCHEMA \"{name}\"; SET search_path = \"{name}\", public; {sql}");
            if let Err(error) = session.batch(&sql).await {
                wrong.push(format!("{title}: {error}\n{sql}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A project with the shared objects and the files of the cases.
fn project(shared: &TestDb, cases: &[&Case]) -> Sandbox {
    let sandbox = Sandbox::new(shared);
    sandbox.ok(&["pull"]);
    for Case { name, kdl, .. } in cases {
        sandbox.write(&format!("schema/{name}.kdl"), &format!("schema {name} {{\n{kdl}\n}}\n"));
    }
    sandbox
}

/// What `plan` finds: the objects that change with their statements, and what it could not verify.
struct Found {
    changes: Vec<(String, String)>,
    unverified: Vec<String>,
}

fn plan(sandbox: &Sandbox) -> Found {
    let json = sandbox.run(&["plan", "--json"]);
    let value: serde_json::Value =
        serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}\n{}{}", json.stdout, json.stderr));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    Found {
        changes: list("steps").iter().map(|step| (text(&step["object"]), text(&step["sql"]))).collect(),
        unverified: list("unverified").iter().map(text).collect(),
    }
}

impl Found {
    fn nothing(&self, when: &str) -> Vec<String> {
        let changes =
            self.changes.iter().map(|(object, sql)| format!("{when}: {object}\n    {}", sql.replace('\n', "\n    ")));
        changes.chain(self.unverified.iter().map(|line| format!("{when}, unverified: {line}"))).collect()
    }

    /// What is not as it should be: the cases of `near` change one object each, and nothing else changes.
    fn one_each(mut self, near: &[Case]) -> Vec<String> {
        let mut problems = Vec::new();
        for case in near {
            let (own, others) = self.changes.into_iter().partition(|(object, _)| of(object, case));
            self.changes = others;
            let own: Vec<(String, String)> = own;
            let objects: BTreeSet<&String> = own.iter().map(|(object, _)| object).collect();
            if objects.len() != 1 {
                problems.push(format!("{}: {} changes: {own:#?}", case.title, objects.len()));
            }
        }
        problems.extend(self.nothing("at first"));
        problems
    }
}

/// True if an object, as messages name it, is in the case's schema.
fn of(object: &str, case: &Case) -> bool {
    object.contains(&format!(" {}.", case.name))
}

/// The versions that the cases are tried on: 13, 15, 17 and 18 where they are installed, and always the usual one.
fn versions() -> Vec<u32> {
    let installed = installed().into_iter().map(|binaries| binaries.major);
    installed.filter(|major| [13, 15, 17, 18].contains(major) || *major == default_major()).collect()
}

/// Runs it on all versions at the same time, and fails with all that was found.
fn on_all(run: impl Fn(u32) -> Vec<String> + Sync) {
    let problems: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = versions()
            .into_iter()
            .map(|major| {
                let run = &run;
                (major, scope.spawn(move || run(major)))
            })
            .collect();
        let found = running.into_iter().flat_map(|(major, thread)| {
            let found = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            found.into_iter().map(move |problem| format!("on {major}: {problem}"))
        });
        found.collect()
    });
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn spellings_are_no_changes_and_near_misses_are_one() {
    let shared = std::fs::read_to_string(repository().join("fixtures/sameness/shared.sql")).expect("it is there");
    on_all(|major| {
        let same: Vec<Case> =
            ["queries.md", "tables.md", "others.md"].iter().flat_map(|file| cases(file, major)).collect();
        let near = cases("near-misses.md", major);
        let all: Vec<&Case> = same.iter().chain(&near).collect();
        let names: BTreeMap<&str, &str> = all.iter().map(|case| (case.name.as_str(), case.title.as_str())).collect();
        assert_eq!(names.len(), all.len(), "two cases have one name");
        // What was made by hand is what the files say, but for the near misses; and once they are applied, so are those.
        let db = TestDb::on(major);
        db.execute(&shared);
        let sandbox = project(&db, &all);
        make(&db, &all);
        let mut problems = plan(&sandbox).one_each(&near);
        if problems.is_empty() {
            sandbox.ok(&["push", "--auto-approve", "--allow", "all", "near-misses"]);
            problems.extend(plan(&sandbox).nothing("after they were applied"));
            // What the files alone made of an empty database is what they say, too.
            let empty = TestDb::on(major);
            empty.execute(&shared);
            let sandbox = project(&empty, &all);
            sandbox.ok(&["push", "--auto-approve", "--allow", "all", "everything"]);
            problems.extend(plan(&sandbox).nothing("in an empty database"));
        }
        problems
    });
}

const PAIRS: &str = include_str!("../../fixtures/expressions/expressions.tsv");

#[test]
fn every_written_expression_is_what_the_database_holds() {
    let pairs: Vec<(&str, &str, &str)> = PAIRS.lines().skip(1).filter_map(fields).collect();
    on_all(|major| {
        let db = TestDb::on(major);
        hold_expressions(&db, major);
        let mut state = block_on(async { introspect::read(&db.session().await).await }).expect("it can be read").state;
        let mut written = 0;
        for (id, object) in state.objects_mut() {
            let column = id.parent().map_or("", |parent| parent.name().as_str());
            for (kind, name, text) in &pairs {
                let attr = match (*kind, id.kind().word) {
                    ("default", "default") if column == *name => "value",
                    ("check", "check") if id.name().as_str() == *name => "expression",
                    ("gen", "column") if id.name().as_str() == *name && object.value("generated").is_some() => {
                        "generated"
                    }
                    _ => continue,
                };
                written += 1;
                object.attrs.put(attr, Value::Expr(Expr::new(*text)));
            }
        }
        assert_eq!(written, pairs.len() - usize::from(major == 13), "on {major}");
        let sandbox = Sandbox::new(&db);
        for (path, text) in load::write::files(&state) {
            sandbox.write(&format!("schema/{}", path.display()), &text);
        }
        let mut problems = plan(&sandbox).nothing("at first");
        sandbox.write("schema/more.kdl", "table one_more {\n    column id integer\n}\n");
        sandbox.ok(&["push", "--auto-approve", "--allow", "all", "one-more"]);
        problems.extend(plan(&sandbox).nothing("after it was applied"));
        problems
    });
}

fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let mut fields = line.split('\t');
    Some((fields.next()?, fields.next()?, fields.next()?))
}
