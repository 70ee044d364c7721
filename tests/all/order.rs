//! Objects that exist only in files are created in an order that works, wherever the files declare them: the files are shuffled.

use setpoint::catalog::Version;
use setpoint::diff::{self, Answers};
use setpoint::model::{Edges, State};
use setpoint::plan::{Step, Wanted, plan};
use setpoint::{introspect, load};

use crate::support::{Sandbox, TestDb, block_on, installed, repository};

/// The pieces of a file of `fixtures/order`, between empty lines.
fn pieces(file: &str) -> Vec<String> {
    let path = repository().join("fixtures/order").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n\n").map(str::to_string).collect()
}

/// Another order for every seed, the same one in every run (Fisher and Yates, with Knuth's multiplier).
fn shuffled(mut pieces: Vec<String>, seed: u64) -> Vec<String> {
    let mut number = seed;
    for at in (1..pieces.len()).rev() {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        pieces.swap(at, (number >> 33) as usize % (at + 1));
    }
    pieces
}

fn state(db: &TestDb) -> State {
    block_on(async { introspect::read(&db.session().await).await }).unwrap_or_else(|error| panic!("{error}")).state
}

/// Makes everything in an empty database, finds nothing left to do, and takes it all back.
fn there_and_back(major: u32, pieces: &[String], seed: u64) {
    let db = TestDb::on(major);
    let before = state(&db);
    let sandbox = Sandbox::new(&db);
    for (at, pieces) in pieces.chunks(7).enumerate() {
        sandbox.write(&format!("schema/{at}.kdl"), &pieces.join("\n\n"));
    }
    let run = |arguments: &[&str]| {
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.code, 0, "on {major}, seed {seed}: {}\n{}", outcome.stdout, outcome.stderr);
    };
    run(&["push", "--auto-approve", "--allow", "all", "everything"]);
    run(&["plan", "--exit-code"]);
    run(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    let after = state(&db);
    let left: Vec<String> = after.iter().filter(|(id, _)| !before.has(id)).map(|(id, _)| id.to_string()).collect();
    assert!(left.is_empty(), "on {major}, seed {seed}, left behind: {left:?}");
    assert_eq!(before.len(), after.len());
    run(&["apply", "--auto-approve", "--allow", "all"]);
}

#[test]
fn the_order_of_files_means_nothing() {
    for binaries in installed() {
        let mut all = pieces("files.kdl");
        if binaries.major >= 14 {
            all.extend(pieces("since-14.kdl"));
        }
        // As it stands, backwards, and shuffled: not everywhere, since what differs by version is not the order.
        there_and_back(binaries.major, &all, 0);
        if binaries.major == crate::support::default_major() {
            all.reverse();
            there_and_back(binaries.major, &all, 1);
            for seed in 2..6 {
                there_and_back(binaries.major, &shuffled(all.clone(), seed), seed);
            }
        }
    }
}

/// The steps that make everything in a file.
fn steps(file: &str) -> Vec<Step> {
    let (old, new) = (State::default(), load::load_texts(&[("all.kdl".into(), file.into())]).expect("it loads").state);
    let changes = diff::changes(&diff::compare(&old, &new), &Answers::default(), &old, &new);
    let mut made =
        plan(&Wanted::new(&old, &new, &Edges::default(), changes, Version(150_000))).expect("there is a plan");
    made.steps.retain(|step| step.object != "schema public");
    made.steps
}

fn shown(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| format!("{} {}", step.action.word(), step.object)).collect()
}

const ROUTINE: &str = "returns=integer language=sql";

#[test]
fn placeholders_are_for_circles_alone() {
    let function = |name: &str, body: &str, calls: &str| {
        format!("function {name} {ROUTINE} {{ {body} \"SELECT {calls}\"; revoke execute from=public }}\n")
    };
    let of = |body: &str, routines: &[(&str, &str)]| {
        let files: String = routines.iter().map(|(name, calls)| function(name, body, calls)).collect();
        steps(&files)
    };
    // Bodies that are strings, and those that call each other in one direction only.
    assert_eq!(of("body", &[("a", "b() + a()"), ("b", "a()")]).len(), 4);
    assert_eq!(of("sql-body", &[("a", "b()"), ("b", "c() + c()"), ("c", "1")]).len(), 6);
    // One placeholder breaks all circles that go through one routine.
    let star = of("sql-body", &[("a", "m()"), ("b", "m()"), ("m", "a() + b() + y()"), ("y", "m()"), ("z", "y()")]);
    let public = |name: &str| format!("function public.{name}()");
    let revoked = |name: &str| format!("create revoke public on {}", public(name));
    assert_eq!(star.iter().filter(|step| step.action.word() == "alter").count(), 1, "{:?}", shown(&star));
    assert_eq!(shown(&star)[0], format!("create {}", public("m")));
    let at = |what: String| {
        shown(&star).iter().position(|step| *step == what).unwrap_or_else(|| panic!("no {what}: {:?}", shown(&star)))
    };
    let whole = at(format!("alter {}", public("m")));
    assert!(whole < at(format!("create {}", public("z"))), "whoever is not in the circle comes after it");
    assert!(whole < at(revoked("m")), "nobody is given a placeholder");
    let why = "a temporary placeholder, because it, function public.a() and 2 more need each other";
    assert_eq!(star.iter().filter(|step| step.about == [why]).count(), 2);
    assert!(star.iter().all(|step| step.transaction == star[0].transaction));
    let own = of("sql-body", &[("a", "a()")]);
    assert_eq!(own[0].about, ["a temporary placeholder, because it names itself"]);
}
