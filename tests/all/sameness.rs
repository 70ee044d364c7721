//! The server is asked whether two spellings are the same: every pair of written and stored text, and texts that do differ.

use std::sync::atomic::Ordering;

use setpoint::catalog::Session;
use setpoint::diff::{self, Open};
use setpoint::introspect;
use setpoint::model::{Expr, Object, ObjectId, SqlType, State, Value};
use setpoint::sameness::{self, Settled};

use crate::support::{TestDb, block_on, installed};

const STATEMENTS: &str = include_str!("../../fixtures/expressions/expressions.sql");
const PAIRS: &str = include_str!("../../fixtures/expressions/expressions.tsv");

/// The live state, and the open questions against the state that `edit` makes of it.
fn ask(db: &TestDb, mut edit: impl FnMut(&mut State) + Send) -> (Vec<Open>, Settled) {
    block_on(async {
        let session = db.session().await;
        let live = introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}")).state;
        let mut desired = live.clone();
        edit(&mut desired);
        let open = diff::compare(&live, &desired).open;
        let settled =
            sameness::settle(&session, &live, &desired, &open).await.unwrap_or_else(|error| panic!("{error}"));
        // Nothing stays behind, and the session is usable.
        let mut rows = session
            .rows("SELECT count(*) FROM pg_class WHERE relname ~ 'setpoint_scratch'", &[])
            .await
            .expect("answers");
        assert_eq!(rows.first_mut().map(|row| row.next::<i64>()), Some(0));
        (open, settled)
    })
}

fn set(object: &mut Object, attr: &'static str, text: &str) {
    object.attrs.put(attr, Value::Expr(Expr::new(text)));
}

/// The place of a pair: a default or a generated column by the column's name, a check by its own.
fn place(id: &ObjectId, object: &Object, kind: &str, name: &str) -> Option<&'static str> {
    let word = id.kind().word;
    let column = id.parent().map_or("", |p| p.name().as_str());
    match kind {
        "default" if word == "default" && column == name => Some("value"),
        "check" if word == "check" && id.name().as_str() == name => Some("expression"),
        "gen" if word == "column" && id.name().as_str() == name && object.value("generated").is_some() => {
            Some("generated")
        }
        _ => None,
    }
}

/// Runs the statements that the pairs are about. A version refuses those that it does not know, and all of them refuse one: an
/// expression that is not immutable.
pub fn hold_expressions(db: &TestDb, major: u32) {
    let refused: Vec<&str> =
        STATEMENTS.split("\n;;\n").filter(|statement| db.try_execute(statement).is_err()).collect();
    let expected = match major {
        13 => 19,
        14 => 8,
        15 => 7,
        16 => 5,
        17 => 3,
        _ => 1,
    };
    assert_eq!(refused.len(), expected, "on {major}: {refused:#?}");
}

#[test]
fn every_spelling_of_an_expression_is_recognised() {
    for binaries in installed() {
        let db = TestDb::on(binaries.major);
        hold_expressions(&db, binaries.major);
        let pairs: Vec<(&str, &str, &str)> = PAIRS
            .lines()
            .skip(1)
            .filter_map(|line| {
                let mut fields = line.split('\t');
                Some((fields.next()?, fields.next()?, fields.next()?))
            })
            .collect();
        let mut places = 0;
        let (open, settled) = ask(&db, |state| {
            for (id, object) in state.objects_mut() {
                for (kind, name, written) in &pairs {
                    if let Some(attr) = place(id, object, kind, name) {
                        set(object, attr, written);
                        places += 1;
                    }
                }
            }
        });
        // One check of these needs subscripts of jsonb, which 13 has not.
        assert_eq!(places, pairs.len() - usize::from(binaries.major == 13), "on {}", binaries.major);
        assert!(open.len() > 110, "only {} questions on {}", open.len(), binaries.major);
        let missed: Vec<&Open> = open.iter().filter(|o| !settled.same.contains(o)).collect();
        assert!(missed.is_empty(), "on {}: {missed:?} {:?}", binaries.major, settled.unverified);
    }
}

const TABLES: &str = "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE SCHEMA app; \
    CREATE DOMAIN positive AS integer CHECK (VALUE > 0) DEFAULT 1; \
    CREATE FUNCTION twice(n integer DEFAULT 1 + 1) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n'; \
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
    CREATE TABLE app.accounts (id bigint PRIMARY KEY, email citext NOT NULL, mood mood DEFAULT 'happy'); \
    CREATE TABLE app.orders (id bigint PRIMARY KEY, account bigint REFERENCES app.accounts, total numeric(12,2) NOT NULL DEFAULT 0, \
        placed timestamptz NOT NULL DEFAULT now(), body json, state text CHECK (state IN ('open', 'done'))) PARTITION BY RANGE (id); \
    CREATE TABLE app.orders_1 PARTITION OF app.orders FOR VALUES FROM (1) TO (1000); \
    CREATE INDEX by_email ON app.accounts (lower(email::text)) WHERE mood = 'happy'; \
    CREATE VIEW app.open AS SELECT id, total FROM app.orders WHERE state = 'open'; \
    CREATE MATERIALIZED VIEW app.sums AS SELECT account, sum(total) AS total FROM app.orders GROUP BY account; \
    CREATE TRIGGER note BEFORE UPDATE ON app.accounts FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION note(); \
    ALTER TABLE app.accounts ENABLE ROW LEVEL SECURITY; \
    CREATE POLICY own ON app.accounts FOR SELECT USING (id IN (SELECT account FROM app.orders WHERE orders.account = accounts.id))";

/// Object (as messages name it), attribute, written text, and whether that is what is stored.
const WRITTEN: &[(&str, &str, &str, bool)] = &[
    ("default on column app.orders.placed", "value", "CURRENT_TIMESTAMP", false),
    ("default on column app.orders.placed", "value", "pg_catalog.now()", true),
    ("default on column app.orders.total", "value", "'0.00'", false),
    ("default on column app.accounts.mood", "value", "'happy'", true),
    ("default on column app.accounts.mood", "value", "'sad'", false),
    ("check app.orders.orders_state_check", "expression", "orders.state = ANY (ARRAY['open','done'])", true),
    ("check app.orders.orders_state_check", "expression", "state IN ('open', 'gone')", false),
    ("check public.positive.positive_check", "expression", "VALUE > 0", true),
    ("check public.positive.positive_check", "expression", "VALUE >= 1", false),
    ("view app.open", "sql", "select id, total from orders where state = 'open';", true),
    ("view app.open", "sql", "select id, total from orders where state = 'done'", false),
    (
        "materialized-view app.sums",
        "sql",
        "SELECT o.account, sum(o.total) AS total FROM app.orders o GROUP BY 1",
        false,
    ),
    ("materialized-view app.sums", "sql", "SELECT account, sum(total) total FROM app.orders GROUP BY account", true),
    ("policy app.accounts.own", "using", "id IN (SELECT o.account FROM orders o WHERE o.account = accounts.id)", false),
    (
        "policy app.accounts.own",
        "using",
        "accounts.id IN (SELECT account FROM orders WHERE orders.account = accounts.id)",
        true,
    ),
    ("index app.accounts.by_email", "where", "mood='happy'", true),
    ("index app.accounts.by_email", "where", "mood='sad'", false),
    ("trigger app.accounts.note", "when", "old.email is distinct from new.email", true),
    ("trigger app.accounts.note", "when", "old.email <> new.email", false),
    ("trigger app.accounts.note", "when", "NEW.email IS DISTINCT FROM old.email", false),
    ("table app.orders", "partition-by", "range (id)", true),
    ("domain public.positive", "default", "2 - 1", false),
    ("domain public.positive", "default", "(1)", true),
    // A column that another change of the same plan adds cannot be what the catalog holds.
    ("check app.orders.orders_state_check", "expression", "state = any (array['open', 'done']) and total > 0", false),
];

#[cfg(unix)]
#[test]
fn one_question_is_one_round_trip_and_a_thousand_are_no_more() {
    let columns: Vec<String> = (0..1000).map(|i| format!("c{i} integer DEFAULT {i} + 1")).collect();
    let db = TestDb::with(&format!("CREATE TABLE many ({})", columns.join(", ")));
    let (connect, trips) = crate::trips::counted(&db.connect);
    block_on(async {
        let session = Session::open(&connect, "test").await.unwrap_or_else(|error| panic!("{error}"));
        let live = introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}")).state;
        for (asked, written, same) in [(1, "1+", true), (1000, "1+", true), (1, "2+", false), (1000, "2+", false)] {
            let mut desired = live.clone();
            let defaults = desired.objects_mut().iter_mut().filter(|(id, _)| id.kind().word == "default").take(asked);
            for (number, (_, object)) in defaults.enumerate() {
                // The columns come in their order: `0 + 1`, `1 + 1`, …
                set(object, "value", &format!("{number}+{}", &written[..1]));
            }
            let open = diff::compare(&live, &desired).open;
            assert_eq!(open.len(), asked);
            let before = trips.load(Ordering::SeqCst);
            let settled =
                sameness::settle(&session, &live, &desired, &open).await.unwrap_or_else(|error| panic!("{error}"));
            // The last one takes everything back, and nobody waits for it.
            tokio::time::sleep(8 * crate::trips::SILENCE).await;
            let needed = trips.load(Ordering::SeqCst) - before - 1;
            assert_eq!(settled.same.len() == asked, same, "{:?}", settled.unverified);
            assert_eq!(needed, if same { 1 } else { 2 }, "for {asked}");
        }
    });
}

#[test]
fn only_what_means_the_same_is_the_same() {
    for binaries in installed() {
        let db = TestDb::on(binaries.major);
        db.execute(TABLES);
        for (object, attr, written, same) in WRITTEN {
            let (open, settled) = ask(&db, |state| {
                let found = state.objects_mut().iter_mut().find(|(id, _)| id.to_string() == *object);
                let (_, found) = found.unwrap_or_else(|| panic!("no {object}"));
                set(found, attr, written);
            });
            assert!(!open.is_empty(), "{object}: {written} is the very text that is stored");
            assert!(settled.unverified.is_empty(), "{object}: {:?}", settled.unverified);
            assert_eq!(settled.same.len() == open.len(), *same, "{object}: {written}, on {}", binaries.major);
        }
    }
}

/// Puts another text where an attribute, however deep, has this one.
fn exchange(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Expr(expr) if expr.as_str() == from => *expr = Expr::new(to),
        Value::Type(t) if t.as_str() == from => *t = SqlType::new(to),
        Value::List(list) => list.iter_mut().for_each(|v| exchange(v, from, to)),
        Value::Record(record) => record.iter_mut().for_each(|(_, v)| exchange(v, from, to)),
        _ => {}
    }
}

#[test]
fn text_inside_of_records_and_types_is_asked_about_too() {
    let db = TestDb::with(TABLES);
    for (from, to, same) in [
        ("FOR VALUES FROM ('1') TO ('1000')", "for values from (1) to (1000)", true),
        ("FOR VALUES FROM ('1') TO ('1000')", "for values from (1) to (100)", false),
        ("lower((email)::text)", "lower(email::text)", true),
        ("lower((email)::text)", "upper(email::text)", false),
        ("(1 + 1)", "1+1", true),
        ("(1 + 1)", "2", false),
        ("public.citext", "citext", true),
        ("numeric(12,2)", "decimal(12,2)", true),
        ("numeric(12,2)", "numeric(12,3)", false),
    ] {
        let (open, settled) = ask(&db, |state| {
            state
                .objects_mut()
                .values_mut()
                .for_each(|object| object.attrs.iter_mut().for_each(|(_, v)| exchange(v, from, to)));
        });
        assert!(!open.is_empty(), "nobody has {from}");
        assert!(settled.unverified.is_empty(), "{to}: {:?}", settled.unverified);
        assert_eq!(settled.same.len() == open.len(), same, "{to}: {:?}", settled.same);
    }
}

#[test]
fn a_bound_that_would_be_evaluated_is_not_shown_to_the_database() {
    let db = TestDb::with(TABLES);
    let (open, settled) = ask(&db, |state| {
        state.objects_mut().values_mut().for_each(|object| {
            object.attrs.iter_mut().for_each(|(_, v)| {
                exchange(v, "FOR VALUES FROM ('1') TO ('1000')", "for values from (1) to (999 + 1)");
            });
        });
    });
    assert_eq!((open.len(), settled.unverified.len()), (1, 1), "{:?}", settled.same);
}

#[test]
fn a_renamed_column_does_not_change_its_expressions() {
    let db = TestDb::with(
        "CREATE TABLE t (id integer, total numeric CHECK (total >= 0)); CREATE INDEX i ON t ((total * 2))",
    );
    let (open, settled) = block_on(async {
        let session = db.session().await;
        let live = introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}")).state;
        let mut desired = State::default();
        for (id, object) in live.iter() {
            let mut object = object.clone();
            object.attrs.iter_mut().for_each(|(_, v)| {
                exchange(v, "(total >= (0)::numeric)", "amount >= 0");
                exchange(v, "(total * (2)::numeric)", "amount * 2");
            });
            if id.kind().word == "column" && id.name().as_str() == "total" {
                object.was = Some("total".into());
                desired.put(id.renamed("amount"), object);
            } else {
                desired.put(id.clone(), object);
            }
        }
        let (old, _, _) = diff::rename::apply(live, Default::default(), &desired, &[]).unwrap();
        let open = diff::compare(&old, &desired).open;
        let settled = sameness::settle(&session, &old, &desired, &open).await.unwrap_or_else(|error| panic!("{error}"));
        (open, settled)
    });
    assert_eq!(open.len(), 2);
    assert_eq!(settled.same.len(), 2, "{:?}", settled.unverified);
}

#[test]
fn what_cannot_be_asked_is_unverified() {
    let db = TestDb::with(
        "CREATE TABLE t (id integer DEFAULT 1); CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';",
    );
    let written = |text: &'static str| {
        move |state: &mut State| {
            let default =
                state.objects_mut().iter_mut().find(|(id, _)| id.kind().word == "default").expect("a default");
            set(default.1, "value", text);
        }
    };
    let (_, settled) = ask(&db, written("nowhere()"));
    assert_eq!(settled.unverified.len(), 1);
    let (_, settled) = ask(&db, written("1 +"));
    assert!(settled.unverified.first().is_some_and(|u| u.reason.contains("syntax error")), "{:?}", settled.unverified);
    // A superuser's scratch objects fire no ordinary event trigger; those that fire always forbid them.
    db.execute("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()");
    let (_, settled) = ask(&db, written("(1)"));
    assert_eq!(settled.same.len(), 1);
    db.execute("ALTER EVENT TRIGGER e ENABLE ALWAYS");
    let (_, settled) = ask(&db, written("(1)"));
    assert!(
        settled.unverified.first().is_some_and(|u| u.reason.contains("event triggers")),
        "{:?}",
        settled.unverified
    );
}
