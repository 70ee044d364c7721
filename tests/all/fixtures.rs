//! Every kind of object: created, altered, dropped and written to files, each case on a real server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use setpoint::catalog::OLDEST;
use setpoint::kinds::rooms;
use setpoint::model::{Address, Kind, OnChange};

use crate::journey::{Failure, Seen, travel_observed};
use crate::support::{self, default_major, repository};

/// How many cases run at the same time.
const LANES: usize = 4;

/// `fixtures/kinds/<kind>/<case>/{before,after}.sql`; a file that is missing is an empty database. Where `fails.txt` stands, the
/// case is known not to work: its first line is a part of the message, behind `since 18: ` if older servers have no trouble; the rest says
/// why. It has to go as soon as it works. Where `since.txt` stands, older servers than the one that it names do not know the case's SQL: there the case is skipped, by name, and
/// the server has to refuse it.
pub struct Case {
    pub kind: String,
    pub name: String,
    pub before: String,
    pub after: String,
    pub fails: String,
    pub since: u32,
}

/// All cases, or those that `SETPOINT_CASE` names (a part of `kind/case`).
pub fn cases() -> Vec<Case> {
    let wanted = std::env::var("SETPOINT_CASE").unwrap_or_default();
    let mut cases = Vec::new();
    for kind in folders(&repository().join("fixtures/kinds")) {
        for case in folders(&kind) {
            let (kind, name) = (file_name(&kind), file_name(&case));
            let read = |file: &str| std::fs::read_to_string(case.join(file)).unwrap_or_default();
            if format!("{kind}/{name}").contains(&wanted) {
                let (before, after, fails) = (read("before.sql"), read("after.sql"), fails_here(&read("fails.txt")));
                let since = read("since.txt");
                let since = match since.trim() {
                    "" => OLDEST,
                    text => text.parse().unwrap_or_else(|_| panic!("{kind}/{name}/since.txt holds a major version")),
                };
                cases.push(Case { kind, name, before, after, fails, since });
            }
        }
    }
    assert!(!cases.is_empty(), "no case is called {wanted}");
    cases
}

/// A part of the message of a case that is known not to work on this server; nothing for one that works.
fn fails_here(text: &str) -> String {
    let Some((major, rest)) = text.strip_prefix("since ").and_then(|rest| rest.split_once(": ")) else {
        return text.to_string();
    };
    let major: u32 = major.parse().unwrap_or_else(|_| panic!("no major version: {major}"));
    if default_major() >= major { rest.to_string() } else { String::new() }
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Runs all cases, and gives what each of them did.
fn run(cases: &[Case]) -> Vec<Result<Seen, Failure>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, Result<Seen, Failure>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((at, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    let result = travel_observed(&case.before, &case.after);
                    results.lock().expect("no lane panicked").insert(at, result);
                }
            });
        }
    });
    results.into_inner().expect("no lane panicked").into_values().collect()
}

#[test]
fn every_kind_is_created_altered_dropped_and_written() {
    let cases = cases();
    let results = run(&cases);
    let mut problems = Vec::new();
    let mut skipped: Vec<&Case> = Vec::new();
    let mut covered: BTreeMap<&str, Seen> = BTreeMap::new();
    for (case, result) in cases.iter().zip(results) {
        let known = case.fails.lines().next();
        let older = default_major() < case.since;
        match result {
            Err(Failure::Sql(_)) if older => skipped.push(case),
            Ok(_) if older => problems.push(format!(
                "=== {}/{} works on {}: since.txt says {}",
                case.kind,
                case.name,
                default_major(),
                case.since
            )),
            Ok(_) if known.is_some() => {
                problems.push(format!("=== {}/{} works: remove fails.txt", case.kind, case.name))
            }
            Err(failure) if known.is_some_and(|known| failure.to_string().contains(known)) => {
                println!("{}/{} fails, as is known", case.kind, case.name);
            }
            Ok(seen) => {
                let Some(word) = rooms().iter().map(|room| room.kind().word).find(|word| *word == case.kind) else {
                    problems.push(format!("fixtures/kinds/{} is no kind's folder", case.kind));
                    continue;
                };
                if !seen.unlike_claims.is_empty() {
                    let lines = seen.unlike_claims.join("\n");
                    problems.push(format!("=== {}/{}: claims\n{lines}", case.kind, case.name));
                }
                let all = covered.entry(word).or_default();
                all.created.extend(seen.created);
                all.altered.extend(seen.altered);
                all.dropped.extend(seen.dropped);
                all.written.extend(seen.written);
            }
            Err(failure) => problems.push(format!("=== {}/{}\n{failure}", case.kind, case.name)),
        }
    }
    for case in &skipped {
        support::skipped(&format!("fixture {}/{}", case.kind, case.name), &format!("its SQL is new in {}", case.since));
    }
    if std::env::var_os("SETPOINT_CASE").is_none() {
        let whole = |kind: &Kind| !skipped.iter().any(|case| case.kind == kind.word);
        let kinds = rooms().iter().map(|room| room.kind()).filter(|kind| kind.address != Address::Part);
        for kind in kinds.filter(|kind| whole(kind)) {
            let none = Seen::default();
            let seen = covered.get(kind.word).unwrap_or(&none);
            let alterable = kind.attrs.iter().any(|attr| attr.on_change != OnChange::CreationOnly);
            let wanted = [
                ("created", true, &seen.created),
                ("altered", alterable, &seen.altered),
                ("dropped", true, &seen.dropped),
                ("written to files", true, &seen.written),
            ];
            for (what, needed, kinds) in wanted {
                if needed && !kinds.contains(kind.word) {
                    problems.push(format!("no good case in fixtures/kinds/{}: none of it is {what}", kind.word));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} of {} cases:\n{}", problems.len(), cases.len(), problems.join("\n\n"));
}
