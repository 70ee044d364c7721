//! Rows that a rehearsal fills tables with: they are there, they sit at the edges of their types, and filling leaves no other trace.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use setpoint::prove::rows::{self, Filled, Wanted};

use crate::support::{TestDb, default_major, files, installed, wait};

fn fill(db: &TestDb, wanted: &Wanted) -> Filled {
    wait(async {
        let session = db.session().await;
        let filled = rows::fill(&session, wanted).await.unwrap_or_else(|error| panic!("{error}"));
        session.close().await;
        filled
    })
}

fn psql(url: &str, file: &Path) {
    let psql = std::env::var("SETPOINT_PSQL").unwrap_or_else(|_| "psql".to_owned());
    Command::new(psql).args(["-X", "-q", "-f"]).arg(file).arg(url).output().expect("psql runs");
}

/// How many tables of real schemas can be filled, and what the others have that resists:
/// `SETPOINT_TEST_CORPUS=DIR cargo test --test all -- --ignored --nocapture filling::a_corpus`. A file `roles.sql` above `DIR` makes roles.
#[test]
#[ignore = "it measures, on schemas that are not part of this project"]
fn a_corpus() {
    let corpus = std::env::var("SETPOINT_TEST_CORPUS").expect("SETPOINT_TEST_CORPUS is a folder of SQL files");
    let only = std::env::var("SETPOINT_TEST_ONLY").unwrap_or_default();
    let (mut all, mut filled) = (0, 0);
    for file in files(Path::new(&corpus), ".sql").iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let db = TestDb::new();
        let roles = Path::new(&corpus).join("../roles.sql");
        if roles.is_file() {
            psql(&db.url(), &roles);
        }
        psql(&db.url(), file);
        let began = Instant::now();
        let outcome = fill(&db, &Wanted::default());
        let seconds = began.elapsed().as_secs_f64();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let good = outcome.tables.iter().filter(|table| table.resisted.is_none()).count();
        println!("{name}: {good} of {} tables in {seconds:.2} s", outcome.tables.len());
        for table in &outcome.tables {
            if let Some(resisted) = &table.resisted {
                println!("    {}: {}: {}", table.table, resisted.constraint.as_deref().unwrap_or("-"), resisted.reason);
            }
        }
        (all, filled) = (all + outcome.tables.len(), filled + good);
    }
    println!("{filled} of {all} tables: {:.1} %", 100.0 * filled as f64 / all.max(1) as f64);
}

/// One of everything that hangs onto tables, and columns of all types.
const SHOP: &str = "
    CREATE DOMAIN short AS text CHECK (char_length(VALUE) BETWEEN 2 AND 5);
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE kinds (b bool, i2 int2, i4 int4, i8 int8, n numeric(6,2), t text, v varchar(7), c char(3), d date, ts timestamp,
        tz timestamptz, iv interval, u uuid, j json, jb jsonb, by bytea, r int4range, m mood, p pair, a int[], dom short, doms short[]);
    CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE CHECK (email ~ '^[^@ ]+@[a-z]+[.](com|org)$'),
        boss bigint REFERENCES customers, name varchar(20) NOT NULL);
    CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, total numeric(8,2) NOT NULL CHECK (total > 0),
        placed date NOT NULL, shipped date CHECK (shipped >= placed), code char(6) NOT NULL CHECK (code SIMILAR TO '[A-Z]{2}[0-9]{4}'),
        double numeric GENERATED ALWAYS AS (total * 2) STORED, EXCLUDE USING gist (int4range(id, id + 1) WITH &&));
    CREATE TABLE lines (customer bigint, number int CHECK (number BETWEEN 10 AND 12), PRIMARY KEY (customer, number), \"odd name\" text NOT NULL CHECK (\"odd name\" LIKE 'x\\_%'));
    CREATE TABLE notes (customer bigint NOT NULL, number int NOT NULL, FOREIGN KEY (customer, number) REFERENCES lines, body jsonb CHECK (body ? 'text'));
    CREATE TABLE parts (at date NOT NULL, region text NOT NULL, n int) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (region);
    CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES IN ('north', 'south');
    CREATE TABLE parts_2b PARTITION OF parts_2 FOR VALUES IN ('east');
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;
    CREATE TRIGGER plain BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER always BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER replica BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER off BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE orders ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica, DISABLE TRIGGER off;
    CREATE TRIGGER below AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE parts_1 DISABLE TRIGGER below;
    CREATE RULE nothing AS ON INSERT TO customers DO INSTEAD NOTHING;
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
";

const TRACES: &str = "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger UNION ALL \
    SELECT ev_class::regclass::text, rulename, ev_enabled::text FROM pg_rewrite WHERE ev_class >= 16384 UNION ALL \
    SELECT oid::regclass::text, relname, relforcerowsecurity::text FROM pg_class WHERE oid >= 16384 UNION ALL \
    SELECT oid::text, proname, prokind::text FROM pg_proc WHERE oid >= 16384 ORDER BY 1, 2";

fn none_resists(filled: &Filled) {
    let resisting: Vec<_> = filled.tables.iter().filter(|table| table.resisted.is_some()).collect();
    assert!(resisting.is_empty(), "{resisting:#?}");
}

#[test]
fn all_is_filled_and_nothing_else_is_changed() {
    for major in [default_major(), 13, 18] {
        if !installed().iter().any(|binaries| binaries.major == major) {
            continue;
        }
        let db = TestDb::on(major);
        db.execute(SHOP);
        let state = || {
            wait(async {
                let session = db.session().await;
                let live = setpoint::introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}"));
                (live.state, db.query(TRACES))
            })
        };
        let before = state();
        let filled = fill(&db, &Wanted::default());
        none_resists(&filled);
        let after = state();
        assert!(setpoint::diff::compare(&before.0, &after.0).is_empty(), "the model differs on {major}");
        assert_eq!(before.1, after.1, "on {major}");
        for partition in ["parts_1", "parts_2a", "parts_2b"] {
            assert_ne!(db.value(&format!("SELECT count(*) FROM {partition}")), "0", "{partition} is empty on {major}");
        }
        assert_ne!(db.value("SELECT count(*) FROM customers WHERE boss IS NOT NULL"), "0");
    }
}
