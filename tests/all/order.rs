//! Objects that exist only in files are made in an order that works, wherever they stand: the files are shuffled.

use setpoint::introspect;
use setpoint::model::State;

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
