//! Compares the code of others that a step claims to run (`apply::evaluates`) with what really runs: the fixtures of all kinds, with
//! functions in every expression that tables and domains can have, which report who runs them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use setpoint::catalog::Session;
use setpoint::kinds::Evaluates;
use setpoint::plan::Step;
use setpoint::plan::against::against;
use setpoint::project::Manage;
use setpoint::{apply, introspect, load};

use crate::fixtures::{Case, cases};
use crate::journey::{Bench, roles};
use crate::support::{TestDb, default_major, wait};

const LANES: usize = 4;

/// Functions of a role of its own, which note what calls them as anybody else: `constant` and `number` are called with constants.
const WITNESSES: &str = "
    CREATE SCHEMA w; GRANT USAGE, CREATE ON SCHEMA w TO PUBLIC; CREATE TABLE w.log (place text); CREATE TABLE w.armed (yes bool);
    GRANT ALL ON w.log, w.armed TO PUBLIC; SET ROLE keeper;
    CREATE FUNCTION w.tell(place text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF current_user <> 'keeper' AND EXISTS (SELECT FROM w.armed) THEN INSERT INTO w.log VALUES (place); END IF; RETURN true; END $$;
    CREATE FUNCTION w.constant(place text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN w.tell(''constant: '' || place); END';
    CREATE FUNCTION w.number(place text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM w.tell(''constant: '' || place); RETURN 1; END';
    CREATE FUNCTION w.row(place text, i oid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN w.tell(''row: '' || place); END';
    CREATE FUNCTION w.value(place text) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM w.tell(''row: '' || place); RETURN 1; END';
    CREATE FUNCTION w.parsed(i text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN w.tell(''parsed: '' || i); END';
    CREATE DOMAIN w.word AS text CHECK (w.parsed(VALUE)); RESET ROLE;
";

/// Puts the witnesses wherever they can stand, and hands everything to their owner.
const PLACED: &str = r"
DO $$
DECLARE
    t record; what text; wheres text[];
    theirs constant text := 'n.nspname NOT LIKE ''pg\_%'' AND n.nspname NOT IN (''information_schema'', ''w'')';
BEGIN
    FOR t IN EXECUTE 'SELECT c.oid::regclass AS name, c.relkind AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN (''r'', ''p'', ''f'', ''m'') AND NOT c.relispartition AND ' || theirs || ' ORDER BY c.oid'
    LOOP
        wheres := ARRAY[
            'ALTER TABLE %s ADD CONSTRAINT w_constant CHECK (w.constant(''check''))',
            'ALTER TABLE %s ADD CONSTRAINT w_row CHECK (w.row(''check'', tableoid))',
            'ALTER TABLE %s ADD COLUMN w_value int DEFAULT w.value(''default'')',
            'ALTER TABLE %s ADD COLUMN w_words w.word[] DEFAULT ''{default}''',
            'CREATE INDEX ON %s ((w.number(''index''))) WHERE w.constant(''predicate'')',
            'CREATE STATISTICS w.w_' || t.name::oid || ' ON (w.number(''statistics'')) FROM %s',
            'CREATE POLICY w_policy ON %s USING (w.constant(''policy''))',
            'CREATE RULE w_rule AS ON UPDATE TO %s WHERE w.constant(''rule'') DO ALSO NOTHING'];
        FOREACH what IN ARRAY wheres LOOP
            BEGIN EXECUTE format(what, t.name); EXCEPTION WHEN OTHERS THEN NULL; END;
        END LOOP;
    END LOOP;
    FOR t IN EXECUTE 'SELECT y.oid::regtype AS name FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.typtype = ''d'' AND '
        || theirs || ' ORDER BY y.oid'
    LOOP
        EXECUTE format('ALTER DOMAIN %s ADD CONSTRAINT w_constant CHECK (w.constant(''domain''))', t.name);
    END LOOP;
    FOR t IN EXECUTE 'SELECT format(''%s %s'', CASE c.relkind WHEN ''v'' THEN ''VIEW'' WHEN ''m'' THEN ''MATERIALIZED VIEW'' WHEN ''S'' THEN
            ''SEQUENCE'' WHEN ''f'' THEN ''FOREIGN TABLE'' WHEN ''c'' THEN ''TYPE'' ELSE ''TABLE'' END, c.oid::regclass) AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN (''r'', ''p'', ''f'', ''m'', ''v'', ''S'', ''c'') AND ' || theirs
        || ' UNION ALL SELECT format(''ROUTINE %s'', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            JOIN pg_language l ON l.oid = p.prolang WHERE (l.lanpltrusted OR l.lanname = ''internal'') AND ' || theirs
        || ' UNION ALL SELECT format(''TYPE %s'', y.oid::regtype) FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace
            WHERE y.typtype IN (''d'', ''e'', ''r'') AND ' || theirs
        || ' UNION ALL SELECT format(''SCHEMA %I'', n.nspname) FROM pg_namespace n WHERE ' || theirs
    LOOP
        BEGIN EXECUTE format('ALTER %s OWNER TO keeper', t.name); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END $$";

/// What a case did: steps, those that ran something as whoever ran them, and what is wrong.
#[derive(Default)]
struct Told {
    steps: usize,
    ran: usize,
    wrong: Vec<String>,
}

async fn open(db: &TestDb) -> Result<Session, String> {
    Session::open(&db.connect, "test").await.map_err(|error| error.to_string())
}

fn prepared(sql: &str) -> Result<TestDb, String> {
    let db = TestDb::new();
    for sql in [WITNESSES, sql, PLACED] {
        db.try_execute(sql).map_err(|error| error.to_string())?;
    }
    Ok(db)
}

/// Runs each step of a case as it is, there and back, and compares what it ran with what it says. An error: the case has no plan with witnesses.
async fn look(case: &Case) -> Result<Told, String> {
    let text = |error: setpoint::model::Error| error.to_string();
    let (here, there) = (prepared(&case.before)?, prepared(&case.after)?);
    let (session, other) = (open(&here).await?, open(&there).await?);
    let wanted = introspect::read(&other).await.map_err(text)?.state;
    let desired = load::load_texts(&load::write::files(&wanted)).map_err(text)?.state;
    let made = against(&session, &desired, &Manage::default(), &Bench).await.map_err(text)?.made;
    session.batch("INSERT INTO w.armed VALUES (true)").await.map_err(text)?;
    let mut told = Told::default();
    let back = made.steps.iter().rev().flat_map(|step| &step.inverse);
    for step in made.steps.iter().chain(back) {
        run(&session, step, &mut told).await.map_err(|error| format!("{}: {error}\n{}", step.object, step.sql))?;
    }
    Ok(told)
}

async fn run(session: &Session, step: &Step, told: &mut Told) -> Result<(), String> {
    let text = |error: setpoint::model::Error| error.to_string();
    session.batch("SET check_function_bodies = off").await.map_err(text)?;
    session.batch(&format!("SET search_path TO {}", step.search_path())).await.map_err(text)?;
    session.batch(&step.sql).await.map_err(text)?;
    session.batch("SET search_path TO pg_catalog").await.map_err(text)?;
    let rows = session.rows("SELECT DISTINCT place FROM w.log ORDER BY 1", &[]).await.map_err(text)?;
    session.batch("TRUNCATE w.log").await.map_err(text)?;
    let places: Vec<String> = rows.into_iter().map(|mut row| row.text().to_string()).collect();
    told.steps += 1;
    told.ran += usize::from(!places.is_empty());
    let says = apply::evaluates(step);
    for place in places {
        let within = match says {
            Evaluates::Nothing | Evaluates::Options => false,
            Evaluates::Parses => place.starts_with("parsed: "),
            Evaluates::Constants => !place.starts_with("row: "),
            // Whatever ran was not the owner's: the table is that of whoever runs the step.
            Evaluates::AsOwner | Evaluates::Rows | Evaluates::Script | Evaluates::Query => true,
        };
        if !within {
            told.wrong.push(format!(
                "{} {}: {place}, though it says {says:?}\n    {}",
                step.action.word(),
                step.object,
                step.sql
            ));
        }
    }
    Ok(())
}

/// One case of each kind, that with the longest text; all of them if `SETPOINT_TEST_FIXTURES` is `all`.
fn chosen() -> Vec<Case> {
    let known = cases().into_iter().filter(|case| case.fails.is_empty() && case.since <= default_major());
    if std::env::var("SETPOINT_TEST_FIXTURES").is_ok_and(|which| which == "all") {
        return known.collect();
    }
    let mut longest: BTreeMap<String, Case> = BTreeMap::new();
    for case in known {
        let length = |case: &Case| case.before.len() + case.after.len();
        if longest.get(&case.kind).is_none_or(|other| length(other) < length(&case)) {
            longest.insert(case.kind.clone(), case);
        }
    }
    longest.into_values().collect()
}

#[test]
fn steps_run_no_more_of_others_than_they_say() {
    roles();
    let cases = chosen();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Told, String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((at, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    let told = wait(look(case));
                    results.lock().expect("no lane panicked").push((at, told));
                }
            });
        }
    });
    let (mut sum, mut without) = (Told::default(), Vec::new());
    for (at, told) in results.into_inner().expect("no lane panicked") {
        let Some(name) = cases.get(at).map(|case| format!("{}/{}", case.kind, case.name)) else { continue };
        match told {
            Ok(told) => {
                sum.steps += told.steps;
                sum.ran += told.ran;
                sum.wrong.extend(told.wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
            }
            Err(error) => without.push(format!("{name}: {error}")),
        }
    }
    println!("{} cases, {} steps, {} of them ran what others wrote", cases.len(), sum.steps, sum.ran);
    without.iter().for_each(|case| println!("not run with witnesses: {case}"));
    assert!(sum.wrong.is_empty(), "{}", sum.wrong.join("\n"));
    assert!(sum.ran > cases.len() / 4, "the witnesses tell nothing: {} of {} steps", sum.ran, sum.steps);
    assert!(
        without.len() * 4 < cases.len(),
        "{} of {} cases did not run:\n{}",
        without.len(),
        cases.len(),
        without.join("\n")
    );
}
