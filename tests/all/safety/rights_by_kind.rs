//! What a role may not do is reported before the first step, for steps on every kind: everything that the server would refuse, and nothing
//! else.

use std::collections::BTreeSet;

use setpoint::apply;
use setpoint::catalog::{Connect, Session};
use setpoint::kinds::Mode;
use setpoint::model::Result;
use setpoint::plan::Step;

use crate::fixtures::{self, Case};
use crate::journey;
use crate::support::{TestDb, default_major, wait};

/// Owns nothing and may make nothing; may make things in every schema; has the rights of the superuser who owns all, without being one.
const ROLES: [&str; 3] = ["rights_stranger", "rights_maker", "rights_heir"];

/// What only the server knows: a part of the step's object or statement, a part of the message, and why it is left to the server.
const LATE: &[(&str, &str, &str)] = &[
    ("OWNER TO", "must be", "plans do not say apart from their SQL who the new owner is"),
    ("function", "leakproof", "nor that a function is leakproof"),
    ("FOR ALL TABLES", "must be superuser", "nor that a publication has all tables"),
    ("statistics", "must be owner of table", "nor which table statistics are about"),
    ("materialized-view", "permission denied for table", "what a query reads is known to the server alone"),
    ("CREATE TYPE", "permission denied for schema", "a type that is rebuilt has gone out of the way before"),
];

const LEND: &str = "DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP \
     EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO rights_maker, rights_heir; GRANT USAGE ON SCHEMA %I TO rights_stranger', s, s); END LOOP; END $$";

/// What was tried, and what was wrong about it.
#[derive(Default)]
struct Found {
    refused: BTreeSet<String>,
    allowed: usize,
    problems: Vec<String>,
}

#[test]
fn whatever_the_server_refuses_is_named_before_the_first_step() {
    journey::roles();
    let server = TestDb::new();
    for role in ROLES {
        server.execute(&format!("CREATE ROLE {role} LOGIN"));
    }
    server.execute(&format!("GRANT {} TO rights_heir", server.connect.user()));
    let mut found = Found::default();
    let mut kinds = BTreeSet::new();
    for case in fixtures::cases() {
        let usable = case.fails.is_empty() && case.since <= default_major() && !case.after.is_empty();
        if usable && kinds.insert(case.kind.clone()) {
            walk(&case, &mut found);
        }
    }
    assert!(found.problems.is_empty(), "{}:\n{}", found.problems.len(), found.problems.join("\n"));
    let all = std::env::var_os("SETPOINT_CASE").is_none();
    let enough = kinds.len() > 30 && found.refused.len() > 30 && found.allowed > 30;
    assert!(!all || enough, "{} {} {:?}", kinds.len(), found.allowed, found.refused);
}

fn walk(case: &Case, found: &mut Found) {
    let (here, there) = (TestDb::with(&case.before), TestDb::with(&case.after));
    let steps =
        wait(journey::steps(&here, &there)).unwrap_or_else(|failure| panic!("{}/{}: {failure}", case.kind, case.name));
    let back: Vec<Step> = steps.iter().rev().flat_map(|step| step.inverse.clone()).collect();
    wait(async {
        let boss = here.session().await;
        let mut roles = Vec::new();
        for role in ROLES {
            let url = here.url().replacen(&format!("//{}@", here.connect.user()), &format!("//{role}@"), 1);
            let connect = Connect::parse(&url).unwrap_or_else(|error| panic!("{error}"));
            roles.push((role, Session::open(&connect, "test").await.unwrap_or_else(|error| panic!("{error}"))));
        }
        let mut before: Option<&Step> = None;
        for step in steps.iter().chain(&back) {
            // What goes on with an object that the same role has just made is tried by nobody else.
            let goes_on = before.is_some_and(|before| before.object == step.object && before.action == step.action);
            before = Some(step);
            boss.batch(LEND).await.unwrap_or_else(|error| panic!("{error}"));
            let mut done = false;
            for (role, session) in &roles {
                if !done && !goes_on {
                    done = attempt(case, role, session, step, found).await;
                }
            }
            // What needs more than this session has (a variable) ends the case.
            if !done && send(&boss, step, "COMMIT").await.is_err() {
                break;
            }
        }
    });
}

/// Compares what is named with what the server says, which undoes what it allows. True if that was impossible.
async fn attempt(case: &Case, role: &str, session: &Session, step: &Step, found: &mut Found) -> bool {
    let named = apply::check_rights(session, true, std::iter::once(step)).await.err();
    let said = send(session, step, "ROLLBACK").await;
    let place = format!(
        "{}/{} {role}: {} {}: {}",
        case.kind,
        case.name,
        step.action.word(),
        step.object,
        step.sql.lines().next().unwrap_or_default()
    );
    let refused =
        said.as_ref().err().filter(|error| error.sqlstate.as_deref() == Some("42501")).map(ToString::to_string);
    match (&named, &refused) {
        (None, Some(why)) => {
            let known = LATE
                .iter()
                .any(|(on, message, _)| (step.object.contains(on) || step.sql.contains(on)) && why.contains(message));
            if !known {
                found.problems.push(format!("late: {place}: {}", why.lines().next().unwrap_or_default()));
            }
        }
        (Some(named), None) if said.is_ok() => found.problems.push(format!("needless: {place}: {:?}", named.details)),
        (Some(_), Some(_)) => {
            found.refused.insert(format!(
                "{} {}",
                step.action.word(),
                step.object.split(' ').next().unwrap_or_default()
            ));
        }
        _ => found.allowed += usize::from(said.is_ok()),
    }
    step.mode == Mode::Alone && said.is_ok()
}

/// Sends a step, in a transaction that ends so where it may have one.
async fn send(session: &Session, step: &Step, end: &str) -> Result<()> {
    session.batch(&format!("SET search_path = {}", step.search_path())).await?;
    let result = if step.mode == Mode::Alone {
        session.batch(&step.sql).await
    } else {
        session.batch("BEGIN").await?;
        let result = session.batch(&step.sql).await;
        session.batch(if result.is_ok() { end } else { "ROLLBACK" }).await?;
        result
    };
    session.batch("SET search_path = pg_catalog").await?;
    result
}
