//! Steps that people write: what `seal` makes of their text, held against what the server shows when it runs them.

mod statements;

use setpoint::catalog::Session;
use setpoint::kinds::{LockMode, Mode};
use setpoint::plan::{Action, Finding, Hazard, Plan, Step, by_hand};
use setpoint::prove::Watch;
use setpoint::prove::claims::Observer;
use setpoint::sql::statement::{self, Reading};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::support::{Sandbox, TestDb, default_major, installed, wait};
use crate::teams::says;
use statements::STATEMENTS;

/// What statements find: tables with rows, a client's view, a trigger, a function that writes.
const BASE: &str = "CREATE TABLE o (id int PRIMARY KEY, name text); \
    CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(9), c text DEFAULT 'x', o int REFERENCES o ON DELETE CASCADE, u int); \
    CREATE INDEX t_a ON t (a); CREATE UNIQUE INDEX t_u ON t (u); CREATE VIEW v AS SELECT id, a FROM t; \
    CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t; CREATE UNIQUE INDEX m_id ON m (id); CREATE SEQUENCE s; \
    CREATE TABLE p (id int, k int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); \
    ALTER TABLE t ADD CONSTRAINT a_small CHECK (a < 1000) NOT VALID; CREATE TYPE mood AS ENUM ('sad', 'ok'); \
    CREATE FUNCTION wipes() RETURNS int LANGUAGE sql AS 'DELETE FROM t; SELECT 1'; \
    CREATE FUNCTION loud(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; \
    CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); \
    CREATE VIEW hides AS SELECT wipes() AS n; CREATE VIEW outer_view AS SELECT n FROM hides; \
    CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM t'; \
    INSERT INTO o VALUES (1, 'one'), (2, 'two'), (3, 'three'); \
    INSERT INTO t SELECT n, n, 'b' || n, 'c', 1 + n % 2, n FROM generate_series(1, 20) n; INSERT INTO p SELECT n, n FROM generate_series(1, 20) n; \
    REFRESH MATERIALIZED VIEW m; CREATE TABLE empty (id int)";

/// How many of the statements tell what they do.
const LEAST_READ: usize = 161;

fn step(sql: &str) -> Step {
    Step {
        object: String::new(),
        action: Action::Manual,
        with: Vec::new(),
        about: Vec::new(),
        sql: sql.to_owned(),
        mode: Mode::Normal,
        transaction: 1,
        path: vec!["public".into()],
        lock: None,
        locks: Vec::new(),
        rights: Vec::new(),
        secrets: Vec::new(),
        fill: None,
        hazards: Vec::new(),
        inverse: Vec::new(),
    }
}

fn plan(sql: &str) -> Plan {
    Plan {
        number: 2,
        name: "by-hand".into(),
        files: setpoint::model::Digest::of_bytes(b""),
        after: None,
        server: default_major(),
        tool: String::new(),
        sealed: true,
        footprint: Vec::new(),
        steps: vec![step(sql)],
        proof: None,
    }
}

/// What the text alone claims.
async fn claimed(session: &Session, sql: &str) -> Step {
    let mut plan = plan(sql);
    by_hand::split(&mut plan).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let known = by_hand::ask(session, &plan).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    by_hand::claim(&mut plan, &known);
    assert_eq!(plan.steps.len(), 1, "{sql}");
    plan.steps.remove(0)
}

fn names(step: &Step, hazard: Hazard) -> bool {
    step.hazards.iter().any(|Finding { hazard: known, .. }| *known == hazard)
}

/// How many rows were changed or deleted in tables that were there before, so far in this session's transaction.
const CHANGED: &str = "SELECT coalesce(sum(pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)), 0)::int8 \
    FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relnamespace = 'public'::regnamespace";

async fn changed(session: &Session) -> i64 {
    session.rows(CHANGED, &[]).await.expect("the counters are read").remove(0).next()
}

/// What one statement does, and does not claim.
async fn faults(session: &Session, sql: &str) -> Vec<String> {
    let step = claimed(session, sql).await;
    let unread = names(&step, Hazard::UnreadSql);
    let mut faults = Vec::new();
    let mut observer = Observer::default();
    session.batch("BEGIN; SET LOCAL search_path = public").await.expect("a transaction begins");
    observer.begins(&[]);
    observer.before(session, &step).await.expect("a look before");
    let before = changed(session).await;
    let ran = session.batch(&step.sql).await;
    match &ran {
        Err(error) if error.sqlstate.as_deref() == Some("25001") => {
            if step.mode != Mode::Alone && !unread {
                faults.push(format!("{sql}: it runs alone, which was not claimed"));
            }
        }
        Err(error) => faults.push(format!("{sql}: {error}")),
        Ok(_) => {
            if step.mode == Mode::Alone {
                faults.push(format!("{sql}: it runs in a transaction, too"));
            }
            let lost = changed(session).await > before;
            if lost && !unread && !names(&step, Hazard::DataLoss) {
                faults.push(format!("{sql}: it changes rows, and names no data-loss"));
            }
            observer.after(session, &step).await.expect("a look after");
        }
    }
    session.batch("ROLLBACK").await.expect("it goes back");
    for seen in observer.of_people() {
        for (mode, [schema, name]) in &seen.locks {
            let on = |known: &str| known.split(' ').nth(1) == Some(&format!("{schema}.{name}"));
            let claim = step.lock.iter().chain(&step.locks).filter(|(_, known)| on(known)).map(|(mode, _)| *mode).max();
            // What the text does not name, a run shows.
            let named = setpoint::sql::names::find(sql).iter().any(|known| known.last() == name);
            if claim.is_none_or(|claim| claim < *mode) && named && !unread && *mode > LockMode::RowExclusive {
                faults.push(format!("{sql}: it takes {} on {name}, and claims {claim:?}", mode.words()));
            }
        }
        for finding in seen.findings {
            let covered = finding.hazard == Hazard::BlocksWrites && names(&step, Hazard::BlocksReads);
            if !names(&step, finding.hazard) && !covered && !unread {
                faults.push(format!("{sql}: {}, and does not name {}", finding.reason, finding.hazard.word()));
            }
        }
    }
    faults
}

#[test]
fn every_text_claims_at_least_what_the_server_shows() {
    let unparsed = STATEMENTS.iter().filter(|(sql, _)| Parser::parse_sql(&PostgreSqlDialect {}, sql).is_err()).count();
    assert!(
        STATEMENTS.len() >= 150 && unparsed >= 40,
        "{} statements, {unparsed} that the parser refuses",
        STATEMENTS.len()
    );
    // A reader that gives up on everything would claim enough: what it reads must not become less.
    let read = STATEMENTS.iter().filter(|(sql, _)| matches!(statement::read(sql), Reading::Read(_))).count();
    assert!(read >= LEAST_READ, "{read} statements are read");
    for major in installed().into_iter().map(|binaries| binaries.major) {
        let db = TestDb::on(major);
        db.execute(BASE);
        let all = wait(async {
            let session = db.session().await;
            let mut all = Vec::new();
            for (sql, _) in STATEMENTS.iter().filter(|(_, since)| *since <= major) {
                all.extend(faults(&session, sql).await);
            }
            all
        });
        assert!(all.is_empty(), "on {major}:\n{}", all.join("\n"));
    }
}

/// The hazards that a text alone names, for those where more would be a false alarm.
#[test]
fn a_text_that_does_no_harm_asks_for_nothing() {
    let db = TestDb::with(BASE);
    let harmless = [
        "SELECT count(*) FROM t WHERE a > 3 AND b LIKE 'x%'",
        "SELECT lower(b), coalesce(a, 0), now() FROM t JOIN o ON t.o = o.id ORDER BY 1",
        "SET LOCAL work_mem = '64MB'",
        "COMMENT ON TABLE t IS 'rows'",
        "ANALYZE t",
        "VACUUM t",
        "LOCK TABLE t IN SHARE MODE",
        "ALTER TABLE t ADD COLUMN z int",
        "ALTER TABLE t ADD CONSTRAINT z CHECK (a > 0) NOT VALID",
        "CREATE TABLE fresh (id int PRIMARY KEY, made timestamptz DEFAULT now())",
    ];
    wait(async {
        let session = db.session().await;
        for sql in harmless {
            let step = claimed(&session, sql).await;
            assert!(step.hazards.is_empty(), "{sql}: {:?}", step.hazards);
        }
    });
}

#[test]
fn a_view_that_calls_what_people_wrote_hides_nothing() {
    let db = TestDb::with(BASE);
    wait(async {
        let session = db.session().await;
        for (sql, hides) in [("TABLE hides", true), ("SELECT n FROM o, outer_view", true), ("SELECT id FROM v", false)]
        {
            let step = claimed(&session, sql).await;
            assert_eq!(names(&step, Hazard::UnreadSql), hides, "{sql}: {:?}", step.hazards);
        }
    });
}

#[test]
fn a_new_column_that_is_filled_loses_nothing() {
    let mut plan = plan("UPDATE public.t SET z = a, y = 1");
    let add =
        |name: &str| Step { action: Action::Create, object: format!("column public.t.{name}"), ..step("ALTER …") };
    plan.steps.splice(0..0, [add("z"), add("y")]);
    by_hand::claim(&mut plan, &by_hand::Known::Nothing);
    assert!(!names(&plan.steps[2], Hazard::DataLoss) && names(&plan.steps[2], Hazard::MayFailOnData));
    plan.steps.remove(0);
    by_hand::claim(&mut plan, &by_hand::Known::Nothing);
    assert!(names(&plan.steps[1], Hazard::DataLoss));
}

/// Writes steps into an empty plan.
fn write(sandbox: &Sandbox, steps: &str) {
    sandbox.ok(&["plan", "--save", "by-hand", "--empty"]);
    let path = "plans/0002-by-hand.kdl";
    let text = sandbox.read(path);
    let (head, tail) = text.split_once("\n}\n").expect("the plan ends");
    sandbox.write(path, &format!("{head}\n{steps}}}\n{tail}"));
}

#[test]
fn seal_claims_what_a_step_does_and_apply_asks_leave() {
    let db = TestDb::with(BASE);
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.ok(&["baseline", "--auto-approve"]);
    // One statement says so; what the other deletes besides, only a run shows.
    write(
        &sandbox,
        "    step manual transaction=1 {\n        path public\n        sql \"DELETE FROM o WHERE id = 1; INSERT INTO o VALUES (1, 'one')\"\n        \
         inverse manual transaction=1 {\n            path public\n            sql \"SELECT wipes()\"\n        }\n    }\n",
    );
    sandbox.ok(&["seal", "2"]);
    let plan = sandbox.read("plans/0002-by-hand.kdl");
    let lines = [
        "hazard data-loss \"it deletes rows from table public.o\"",
        "lock \"ROW EXCLUSIVE\" \"table public.o\"",
        "lock-too \"ROW EXCLUSIVE\" \"table public.t\"",
        "sql \"INSERT INTO o VALUES (1, 'one')\"",
        "hazard unread-sql",
    ];
    for line in lines {
        assert!(plan.contains(line), "no {line} in:\n{plan}");
    }
    says(&sandbox.exits(3, &["apply", "--auto-approve"]), &["data-loss"]);
    assert_eq!(db.value("SELECT count(*) FROM t"), "20");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "data-loss,may-fail-on-data"]);
    assert_eq!(db.value("SELECT count(*) FROM o"), "3");
    says(&sandbox.exits(3, &["rollback", "-1", "--auto-approve"]), &["unread-sql"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
}

#[test]
fn transactions_and_roles_are_not_for_steps() {
    let db = TestDb::with(BASE);
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    write(
        &sandbox,
        "    step manual transaction=1 {\n        path public\n        sql \"SELECT 1; COMMIT; SELECT 2\"\n    }\n",
    );
    says(&sandbox.exits(3, &["seal", "2"]), &["says COMMIT", "remove the statement"]);
    assert!(matches!(statement::read("SET ROLE admin"), Reading::Control(_)));
}
