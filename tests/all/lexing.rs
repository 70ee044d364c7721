//! SQL text ends its strings, comments and statements where PostgreSQL's lexer ends them: random texts are split by both.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use setpoint::sql::statement;
use tokio_postgres::SimpleQueryMessage;

use crate::support::{TestDb, block_on};

/// What may stand between two tokens.
const GAPS: &[&str] =
    &["", " ", "\n", "\r", "\t", "\u{c}", " -- it's; \n", "--;\r", "--\r\n", "/* ;' */", "/* /* ;' */ */", "\u{a0}"];

/// Values, and parts that continue the string before them, or do not.
const VALUES: &[&str] = &[
    "'a;'",
    "'b\\'",
    "'it''s;'",
    "E'a;'",
    "E'\\';'",
    "E'\\\\'",
    "e'a''b\\';'",
    "N'a;'",
    "U&'\\0061;'",
    "B'01'",
    "x'1f'",
    "$$;'$$",
    "$t$ $$ ;' $t$",
    "1",
    "1.5e3",
    "1e",
    "1E'\\';'",
    "0x1f",
    "1 AS a$b$",
    "1 AS \"a;\"\"'\"",
    "1 AS é",
    "-1",
    "2*/* ; */3",
    "(1)",
    "';'::text",
    ";",
    ",",
];

/// A script of such values.
fn scripts() -> impl Strategy<Value = String> {
    let value = (select(VALUES), select(GAPS), any::<Index>())
        .prop_map(|(value, gap, link)| format!("{value}{gap}{}", [",", "; SELECT ", "", ""][link.index(4)]));
    prop::collection::vec(value, 1..7).prop_map(|values| format!("SELECT {} 1", values.concat()))
}

#[test]
fn statements_end_where_postgresql_ends_them() {
    let db = TestDb::new();
    let mut runner =
        TestRunner::new(Config { rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..Config::default() });
    let mut ran = 0;
    block_on(async {
        let session = db.session().await;
        for _ in 0..6000 {
            let script = scripts().new_tree(&mut runner).expect("a script").current();
            // What it does not accept runs nothing.
            let Ok(answers) = session.client.simple_query(&script).await else { continue };
            let ends = answers.iter().filter(|one| matches!(one, SimpleQueryMessage::CommandComplete(_))).count();
            assert_eq!(statement::split(&script).len(), ends, "{script:?}");
            ran += 1;
        }
        session.close().await;
    });
    assert!(ran > 500, "only {ran} scripts ran");
    println!("{ran} scripts ran");
}
