//! Applying plans and rolling them back on real servers: resuming, locks, staleness, races.

use std::time::Duration;

use setpoint::apply::{self, Goal, Options, Silent, Target};
use setpoint::catalog::{Connect, Session};
use setpoint::diff;
use setpoint::introspect;
use setpoint::kinds::Mode;
use setpoint::ledger::{self, Direction, Ledger};
use setpoint::model::{Class, Digest, Result, State};
use setpoint::plan::chain::Chain;
use setpoint::plan::{self, Plan, Wanted};

use crate::support::{TempDir, TestDb};

const BEFORE: &str = "CREATE TABLE t (id int, name text DEFAULT 'x'); CREATE VIEW v AS SELECT id FROM t; \
    COMMENT ON TABLE t IS 'a table'; CREATE TYPE mood AS ENUM ('sad', 'happy'); \
    INSERT INTO t SELECT g, 'n' || g FROM generate_series(1, 50) g";
const AFTER: &str = "CREATE TYPE mood AS ENUM ('sad', 'fine', 'happy'); \
    CREATE TABLE t (id int, name text DEFAULT 'y', mood mood DEFAULT 'fine'); CREATE VIEW v AS SELECT id, name FROM t; \
    CREATE INDEX t_name ON t (name); CREATE UNIQUE INDEX t_id ON t (id); CREATE TABLE n (a int, b text); \
    COMMENT ON TABLE n IS 'new'";

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn options() -> Options {
    Options { allow: apply::Allow { all: true, hazards: vec![] }, ..Options::default() }
}

async fn live(connect: &Connect) -> State {
    let session = Session::open(connect, "test").await.unwrap();
    introspect::read(&session).await.unwrap().state
}

/// A chain of plans, each leading from one database's schema to the next one's.
fn chain(dir: &TempDir, schemas: &[&str], edit: impl Fn(&mut Plan)) -> Chain {
    let databases: Vec<TestDb> = schemas.iter().map(|sql| TestDb::with(sql)).collect();
    let mut chain = Chain::read(&dir.path().join("plans")).unwrap();
    for (at, pair) in databases.windows(2).enumerate() {
        let made = wait(async {
            let session = Session::open(&pair[0].connect, "test").await.unwrap();
            let old = introspect::begin(&session, None).await.unwrap();
            let edges = introspect::edges(&session, &old.dependencies, &old.state).await.unwrap();
            let new = live(&pair[1].connect).await;
            let changes = diff::changes(&diff::compare(&old.state, &new), &diff::Answers::default(), &old.state, &new);
            plan::plan(&Wanted::new(&old.state, &new, &edges, changes, session.version)).unwrap()
        });
        let mut plan = Plan {
            number: at as u32 + 1,
            name: format!("step-{}", at + 1),
            files: Digest::of_bytes(b""),
            after: chain.head().map(|link| link.hash),
            server: 15,
            tool: "test".into(),
            sealed: false,
            footprint: made.footprint,
            steps: made.steps,
            proof: None,
        };
        edit(&mut plan);
        chain.append(&plan).unwrap();
    }
    chain
}

/// Builds indexes as people want them built on live systems.
fn concurrently(plan: &mut Plan) {
    for step in plan.steps.iter_mut().filter(|step| step.object.starts_with("index")) {
        step.sql = step.sql.replacen(" INDEX ", " INDEX CONCURRENTLY ", 1);
        step.mode = Mode::Alone;
        step.inverse.iter_mut().for_each(|inverse| {
            inverse.sql = inverse.sql.replacen(" INDEX ", " INDEX CONCURRENTLY ", 1);
            inverse.mode = Mode::Alone;
        });
    }
}

fn up(db: &TestDb, chain: &Chain) -> Result<apply::Summary> {
    wait(apply::run(&db.connect, chain, Goal::Head, &options(), &mut Silent))
}

fn back(db: &TestDb, target: Target) -> Result<apply::Summary> {
    wait(apply::rollback(&db.connect, target, &options(), &mut Silent))
}

fn ledger_of(db: &TestDb) -> Ledger {
    wait(async { Ledger::read(&Session::open(&db.connect, "test").await.unwrap()).await.unwrap() })
}

fn assert_same(db: &TestDb, sql: &str) {
    let wanted = TestDb::with(sql);
    let (is, wanted) = wait(async { (live(&db.connect).await, live(&wanted.connect).await) });
    let comparison = diff::compare(&wanted, &is);
    assert!(comparison.is_empty(), "{comparison:#?}");
}

#[test]
fn there_and_back_again() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER, "CREATE TABLE other (a int)"], concurrently);
    let db = TestDb::with(BEFORE);
    assert!(!ledger_of(&db).exists);
    let summary = wait(apply::run(&db.connect, &chain, Goal::Plus(1), &options(), &mut Silent)).unwrap();
    assert_eq!((summary.plans.len(), summary.current, summary.resumed), (1, 1, false));
    assert_same(&db, AFTER);
    assert_eq!(db.value("SELECT count(*) FROM t"), "50");
    assert_eq!(up(&db, &chain).unwrap().current, 2);
    assert_eq!(up(&db, &chain).unwrap().plans, []);
    assert_same(&db, "CREATE TABLE other (a int)");
    assert_eq!(back(&db, Target::Back(1)).unwrap().current, 1);
    assert_same(&db, AFTER);
    assert_eq!(up(&db, &chain).unwrap().plans.len(), 1);
    assert_eq!(back(&db, Target::To(0)).unwrap().plans.len(), 2);
    assert_same(&db, BEFORE);
    assert_eq!(back(&db, Target::To(0)).unwrap().plans, []);
    assert_eq!(back(&db, Target::Back(1)).unwrap_err().class, Class::Usage);
    let session = wait(async { ledger::events(&Session::open(&db.connect, "test").await.unwrap()).await.unwrap() });
    let what: Vec<&str> = session.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["applied", "applied", "rolled back", "applied", "rolled back", "rolled back"]);
}

#[test]
fn a_run_that_failed_goes_on_or_back() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER], concurrently);
    for again in [true, false] {
        let db = TestDb::with(BEFORE);
        db.execute("INSERT INTO t VALUES (1)");
        let error = up(&db, &chain).unwrap_err();
        assert!(error.message.contains("index public.t.t_id"), "{error}");
        assert!(error.to_string().contains("Key (id)=(1) is duplicated"), "{error}");
        assert_eq!(db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
        assert_eq!(ledger_of(&db).run.unwrap().direction, Direction::Up);
        if again {
            db.execute("DELETE FROM t WHERE name = 'x' OR name = 'y'");
            let summary = up(&db, &chain).unwrap();
            assert!(summary.resumed);
            assert_same(&db, AFTER);
        } else {
            assert_eq!(back(&db, Target::Back(1)).unwrap().current, 0);
            assert_same(&db, BEFORE);
        }
        assert!(ledger_of(&db).run.is_none());
    }
}

#[test]
fn an_index_whose_building_was_interrupted_is_built_again() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER], concurrently);
    let db = TestDb::with(BEFORE);
    db.execute("INSERT INTO t VALUES (1)");
    up(&db, &chain).unwrap_err();
    // As if the program had died while the index was built: it is there, invalid, and the journal says "begun".
    assert!(db.try_execute("CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id)").is_err());
    assert_eq!(db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "1");
    let plan = chain.plan(&chain.links[0]).unwrap();
    let at = plan.steps.iter().position(|step| step.object == "index public.t.t_id").unwrap();
    db.execute(&format!("INSERT INTO setpoint.journal VALUES (1, 'up', {at}, 0, false, now())"));
    db.execute("DELETE FROM t WHERE name = 'x' OR name = 'y'");
    assert!(up(&db, &chain).unwrap().resumed);
    assert_eq!(db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
    assert_same(&db, AFTER);
}

#[test]
fn a_changed_database_is_stale() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER], |_| {});
    let db = TestDb::with(BEFORE);
    db.execute("ALTER TABLE t ADD COLUMN by_hand int; CREATE TABLE elsewhere (a int)");
    let error = up(&db, &chain).unwrap_err();
    assert_eq!(error.class, Class::Stale);
    assert_eq!(error.details, ["column public.t.by_hand was added"]);
    assert!(ledger_of(&db).run.is_none());
    db.execute("ALTER TABLE t DROP COLUMN by_hand");
    up(&db, &chain).unwrap();
    db.execute("ALTER TABLE t ALTER COLUMN name SET DEFAULT 'z'");
    let error = back(&db, Target::To(0)).unwrap_err();
    assert_eq!(error.class, Class::Stale);
    assert_eq!(error.details, ["default on column public.t.name was changed"]);
    assert!(ledger_of(&db).run.is_none());
}

#[test]
fn hazards_are_refused_before_anything_runs() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[AFTER, BEFORE], |_| {});
    let db = TestDb::with(AFTER);
    let error = wait(apply::run(&db.connect, &chain, Goal::Head, &Options::default(), &mut Silent)).unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.to_string().contains("data-loss"), "{error}");
    assert!(!ledger_of(&db).exists);
}

#[test]
fn locks_are_waited_for_a_little_and_their_holders_named() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER], |_| {});
    let db = TestDb::with(BEFORE);
    wait(async {
        let reader = Session::open(&db.connect, "reader").await.unwrap();
        reader.batch("BEGIN; SELECT count(*) FROM public.t").await.unwrap();
        let short = Duration::from_millis(100);
        let options = Options { lock_timeout: short, lock_budget: short * 5, ..options() };
        let error = apply::run(&db.connect, &chain, Goal::Head, &options, &mut Silent).await.unwrap_err();
        assert_eq!(error.class, Class::Busy, "{error}");
        assert!(error.to_string().contains("setpoint reader"), "{error}");
        let options = Options { lock_budget: Duration::from_secs(30), ..options };
        let mut silent = Silent;
        let run = apply::run(&db.connect, &chain, Goal::Head, &options, &mut silent);
        let release = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            reader.batch("COMMIT").await.unwrap();
        };
        let (done, ()) = futures_util::future::join(run, release).await;
        assert!(done.unwrap().resumed);
    });
    assert_same(&db, AFTER);
}

#[test]
fn of_several_at_once_one_does_the_work() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER], concurrently);
    let db = TestDb::with(BEFORE);
    let results: Vec<Result<apply::Summary>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| up(&db, &chain))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let applied =
        results.iter().filter(|result| result.as_ref().is_ok_and(|summary| !summary.plans.is_empty())).count();
    assert_eq!(applied, 1);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.class, Class::Busy, "{error}");
        assert!(error.to_string().contains("held by process"), "{error}");
    }
    assert_same(&db, AFTER);
}

#[test]
fn stamped_and_baselined_revisions_are_a_floor() {
    let dir = TempDir::new();
    let chain = chain(&dir, &[BEFORE, AFTER, BEFORE], |_| {});
    let db = TestDb::with(AFTER);
    let plan = chain.plan(&chain.links[0]).unwrap();
    wait(async {
        let session = Session::open(&db.connect, "test").await.unwrap();
        let live = live(&db.connect).await;
        ledger::stamp(&session, &[plan], &live).await.unwrap();
    });
    assert_eq!(up(&db, &chain).unwrap().current, 2);
    let error = back(&db, Target::To(0)).unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.message.contains("revision 1"), "{error}");
    assert_eq!(ledger_of(&db).current(), 1);
    assert_same(&db, AFTER);
}
