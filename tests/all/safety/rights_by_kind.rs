//! What a role may not do is reported before the first step, for steps on every kind: everything that the server would refuse, and nothing
//! else.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use setpoint::apply;
use setpoint::catalog::{Connect, Session};
use setpoint::kinds::Mode;
use setpoint::model::{Error, Result};
use setpoint::plan::Step;

use crate::fixtures::{self, Case};
use crate::journey;
use crate::support::{TestDb, default_major, wait};

/// Owns nothing and may make nothing; may make things in every schema; has the rights of the superuser who owns all, without being one.
const ROLES: [&str; 3] = ["rights_stranger", "rights_maker", "rights_heir"];

/// Has no rights that the others have.
const OTHER: &str = "rights_other";
/// Who owns what in the fixtures.
const OWNERS: [&str; 4] = ["keeper", "reader", "writer", "\"Odd \"\"Role\""];
/// How many cases are tried at the same time.
const LANES: usize = 4;

/// What only the server knows: a part of the step's object or statement, a part of the message, and why it is left to the server.
const LATE: &[(&str, &str, &str)] = &[
    ("MATERIALIZED VIEW", "permission denied for table", "what a query reads is known to the server alone"),
    ("CREATE VIEW", "permission denied for type", "so are the types of its columns"),
    ("MATERIALIZED VIEW", "permission denied for type", "so are the types of its columns"),
    ("::regconfig", "permission denied for schema", "so is what a literal stands for"),
    (
        "setval",
        "permission denied for sequence",
        "who owns a sequence has its rights, unless he took them from himself",
    ),
    (
        "DETACH PARTITION",
        "permission denied for table",
        "the tables that refer to a partition are read, if there are any",
    ),
    ("USER MAPPING", "is superuser-only", "what options mean is known to the wrapper's validator alone"),
    ("CREATE OPERATOR", "must be owner of operator", "an operator that another names is half made, by the same plan"),
];

/// The rights of those who come to own something.
const LEND_OWNERS: &str = "DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP \
     EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO keeper, reader, writer, \"Odd \"\"Role\"', s); END LOOP; END $$";

/// Every right that somebody may be without: what it is, and the statement that takes it. Who owns something is said by the catalogs alone.
const TAKEN: &str = "\
    SELECT 'usage on type ' || t.oid::regtype, format('REVOKE ALL ON TYPE %s FROM PUBLIC, %I', t.oid::regtype, pg_get_userbyid(typowner)) \
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.oid >= 16384 AND (typtype IN ('e', 'd', 'r') OR c.relkind = 'c') \
    UNION ALL SELECT 'execute on ' || oid::regprocedure, format('REVOKE ALL ON ROUTINE %s FROM PUBLIC, %I', oid::regprocedure, pg_get_userbyid(proowner)) \
    FROM pg_proc p WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 1255 AND objid = p.oid AND deptype = 'e') \
    UNION ALL SELECT r || ' on schema ' || nspname, format('REVOKE %s ON SCHEMA %I FROM PUBLIC, %I, rights_heir, keeper, reader, writer, %I', \
        r, nspname, pg_get_userbyid(nspowner), 'Odd \"Role') FROM pg_namespace, unnest(ARRAY['USAGE', 'CREATE']) AS r \
    WHERE nspname !~ '^pg_|^information_schema$' \
    UNION ALL SELECT 'owners'' create on schema ' || nspname, format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, keeper, reader, writer, %I', nspname, 'Odd \"Role') \
    FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' \
    UNION ALL SELECT 'usage on language ' || lanname, format('REVOKE ALL ON LANGUAGE %I FROM PUBLIC, %I', lanname, pg_get_userbyid(lanowner)) \
    FROM pg_language WHERE lanpltrusted \
    UNION ALL SELECT 'usage on server ' || srvname, format('REVOKE ALL ON FOREIGN SERVER %I FROM PUBLIC, %I', srvname, pg_get_userbyid(srvowner)) \
    FROM pg_foreign_server \
    UNION ALL SELECT 'usage on wrapper ' || fdwname, format('REVOKE ALL ON FOREIGN DATA WRAPPER %I FROM PUBLIC, %I', fdwname, pg_get_userbyid(fdwowner)) \
    FROM pg_foreign_data_wrapper \
    UNION ALL SELECT 'create on the database', format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I', datname, pg_get_userbyid(datdba)) \
    FROM pg_database WHERE datname = current_database() \
    UNION ALL SELECT 'all on ' || oid::regclass, format('REVOKE ALL ON TABLE %s FROM PUBLIC, %I', oid::regclass, pg_get_userbyid(relowner)) \
    FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace <> 'pg_toast'::regnamespace \
    UNION ALL SELECT 'membership in ' || r, format('REVOKE %I FROM rights_heir', r) FROM unnest(ARRAY['keeper', 'reader', 'writer', 'Odd \"Role']) AS r \
    UNION ALL SELECT 'ownership of ' || what, format('SET LOCAL allow_system_table_mods = on; UPDATE pg_catalog.%I SET %I = \
        (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ''rights_other'') WHERE oid = %s', catalog, owner, oid) FROM ( \
        SELECT 'pg_class' AS catalog, 'relowner' AS owner, oid, oid::regclass::text AS what FROM pg_class \
            WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relnamespace <> 'pg_toast'::regnamespace \
        UNION ALL SELECT 'pg_type', 'typowner', oid, oid::regtype::text FROM pg_type WHERE oid >= 16384 AND typtype IN ('e', 'd', 'r') \
        UNION ALL SELECT 'pg_proc', 'proowner', oid, oid::regprocedure::text FROM pg_proc WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_operator', 'oprowner', oid, oid::regoperator::text FROM pg_operator WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_collation', 'collowner', oid, collname::text FROM pg_collation WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_ts_dict', 'dictowner', oid, dictname::text FROM pg_ts_dict WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_ts_config', 'cfgowner', oid, cfgname::text FROM pg_ts_config WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_statistic_ext', 'stxowner', oid, stxname::text FROM pg_statistic_ext \
        UNION ALL SELECT 'pg_foreign_server', 'srvowner', oid, srvname::text FROM pg_foreign_server \
        UNION ALL SELECT 'pg_foreign_data_wrapper', 'fdwowner', oid, fdwname::text FROM pg_foreign_data_wrapper \
        UNION ALL SELECT 'pg_publication', 'pubowner', oid, pubname::text FROM pg_publication \
        UNION ALL SELECT 'pg_event_trigger', 'evtowner', oid, evtname::text FROM pg_event_trigger \
        UNION ALL SELECT 'pg_extension', 'extowner', oid, extname::text FROM pg_extension WHERE oid >= 16384 \
        UNION ALL SELECT 'pg_namespace', 'nspowner', oid, nspname::text FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' \
    ) AS owned WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = owned.oid AND d.deptype IN ('e', 'i') AND d.classid = catalog::regclass)";

const LEND: &str = "DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP \
     EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO rights_maker, rights_heir; GRANT USAGE ON SCHEMA %I TO rights_stranger', s, s); END LOOP; END $$";

/// What was tried, and what was wrong about it.
#[derive(Default)]
struct Found {
    refused: BTreeSet<String>,
    allowed: usize,
    /// Forms of steps that were tried without each right, and how often that was one too few.
    forms: BTreeSet<String>,
    taken: usize,
    problems: Vec<String>,
}

#[test]
fn whatever_the_server_refuses_is_named_before_the_first_step() {
    journey::roles();
    let server = TestDb::new();
    for role in ROLES.iter().chain(&[OTHER]) {
        server.execute(&format!("CREATE ROLE {role} LOGIN"));
    }
    server.execute(&format!("GRANT {}, {} TO rights_heir", server.connect.user(), OWNERS.join(", ")));
    let cases = some_of_each_kind();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    walk(case, &found);
                }
            });
        }
    });
    let found = found.into_inner().expect("no lane panicked");
    assert!(found.problems.is_empty(), "{}:\n{}", found.problems.len(), found.problems.join("\n"));
    println!("{} cases, {} forms of steps, {} tried without one right", cases.len(), found.forms.len(), found.taken);
    let all = std::env::var_os("SETPOINT_CASE").is_none();
    let enough = found.refused.len() > 30 && found.allowed > 30 && found.forms.len() > 200 && found.taken > 500;
    assert!(!all || enough, "{} {} {} {:?}", found.allowed, found.forms.len(), found.taken, found.refused);
}

/// The first case of each kind, and the first that alters something.
fn some_of_each_kind() -> Vec<Case> {
    let mut seen = BTreeSet::new();
    let usable = |case: &Case| case.fails.is_empty() && case.since <= default_major() && !case.after.is_empty();
    let new = |case: &Case| seen.insert((case.kind.clone(), case.before.is_empty()));
    fixtures::cases().into_iter().filter(usable).filter(new).collect()
}

fn walk(case: &Case, found: &Mutex<Found>) {
    let (here, there) = (TestDb::with(&case.before), TestDb::with(&case.after));
    let steps =
        wait(journey::steps(&here, &there)).unwrap_or_else(|failure| panic!("{}/{}: {failure}", case.kind, case.name));
    let back: Vec<Step> = steps.iter().rev().flat_map(|step| step.inverse.clone()).collect();
    wait(async {
        let (boss, mut heir) = (here.session().await, here.session().await);
        (heir.user, heir.superuser) = ("rights_heir".into(), false);
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
            let new = !goes_on && found.lock().expect("no lane panicked").forms.insert(form(step));
            for (role, session) in &roles {
                if new && !done {
                    done = attempt(case, role, session, step, found).await;
                }
            }
            if new && !done && step.mode != Mode::Alone {
                without_one_right(case, &boss, &heir, step, found).await;
            }
            // What needs more than this session has (a variable) ends the case.
            if !done && send(&boss, step, "COMMIT").await.is_err() {
                break;
            }
        }
    });
}

/// What is special about a step's statement: its object's kind, and its words without names and literals.
fn form(step: &Step) -> String {
    let mut words: Vec<&str> =
        step.sql.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_uppercase())).collect();
    words.truncate(8);
    let kind = step.object.split(' ').next().unwrap_or_default();
    format!(
        "{kind} {} {} {}",
        step.action.word(),
        words.join(" "),
        step.rights.iter().map(|(right, _)| right.word()).collect::<String>()
    )
}

/// Tries a step as a role that has every right, and then without each of them.
async fn without_one_right(case: &Case, boss: &Session, heir: &Session, step: &Step, found: &Mutex<Found>) {
    let place = format!(
        "{}/{}: {} {}: {}",
        case.kind,
        case.name,
        step.action.word(),
        step.object,
        step.sql.lines().next().unwrap_or_default()
    );
    let become_heir =
        format!("SET LOCAL SESSION AUTHORIZATION rights_heir; SET LOCAL search_path = {}", step.search_path());
    let try_without = async |taken: &str| {
        let said = heir.batch(&format!("BEGIN; {LEND_OWNERS}; {taken}; {become_heir}; {}", step.sql)).await;
        heir.batch("ROLLBACK").await.unwrap_or_else(|error| panic!("{error}"));
        said
    };
    let named = async |taken: &str| {
        heir.batch(&format!("BEGIN; {LEND_OWNERS}; {taken}; SET LOCAL SESSION AUTHORIZATION rights_heir"))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let named = apply::check_rights(heir, true, std::iter::once(step)).await.err();
        heir.batch("ROLLBACK").await.unwrap_or_else(|error| panic!("{error}"));
        named
    };
    match (try_without("").await, named("").await) {
        (Ok(()), Some(named)) if !is_silent(step) => {
            found.lock().expect("no lane panicked").problems.push(format!("needless: {place}: {:?}", named.details))
        }
        (Ok(()), _) => {}
        _ => return, // a superuser's
    }
    let taken = boss.rows(TAKEN, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    for (at, mut row) in taken.into_iter().enumerate() {
        let (what, taken) = (row.text().to_string(), row.text().to_string());
        let said = try_without(&taken).await;
        let refused = said.as_ref().err().filter(|error| error.sqlstate.as_deref() == Some("42501"));
        // What nobody misses is asked for now and then.
        let named = if refused.is_some() || said.is_ok() && at % 5 == 0 { named(&taken).await } else { continue };
        let mut found = found.lock().expect("no lane panicked");
        found.taken += usize::from(refused.is_some());
        match (refused, named) {
            (Some(why), None) if !late(step, &why.to_string()) => {
                found.problems.push(format!(
                    "late: {place} without {what}: {}",
                    why.to_string().lines().next().unwrap_or_default()
                ));
            }
            (None, Some(named)) if !is_silent(step) && !is_useless(&named) => {
                found.problems.push(format!("needless: {place} without {what}: {:?}", named.details))
            }
            _ => {}
        }
    }
}

/// Who gives or takes nothing is only warned.
fn is_silent(step: &Step) -> bool {
    step.object.starts_with("grant ") || step.object.starts_with("revoke ")
}

/// What is made in a schema that its maker may not look into is of no use to him.
fn is_useless(named: &Error) -> bool {
    named.details.iter().all(|line| line.starts_with("USAGE on ") && line.contains("ON SCHEMA"))
}

fn late(step: &Step, why: &str) -> bool {
    LATE.iter().any(|(on, message, _)| (step.object.contains(on) || step.sql.contains(on)) && why.contains(message))
}

/// Compares what is named with what the server says, which undoes what it allows. True if that was impossible.
async fn attempt(case: &Case, role: &str, session: &Session, step: &Step, found: &Mutex<Found>) -> bool {
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
    let mut found = found.lock().expect("no lane panicked");
    match (&named, &refused) {
        (None, Some(why)) => {
            if !late(step, why) {
                found.problems.push(format!("late: {place}: {}", why.lines().next().unwrap_or_default()));
            }
        }
        (Some(named), None) if said.is_ok() && !is_silent(step) => {
            found.problems.push(format!("needless: {place}: {:?}", named.details))
        }
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
