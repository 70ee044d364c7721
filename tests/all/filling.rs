//! The rows that a rehearsal fills tables with: they exist, they sit at the edges of their types, and filling leaves no other trace.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use setpoint::prove::rows::{self, Filled, Wanted};
use setpoint::scratch::{Author, Server, Site};

use crate::support::{TestDb, default_major, files, installed, server, wait};

fn fill(db: &TestDb, wanted: &Wanted) -> Filled {
    wait(async {
        let session = db.session().await;
        let filled = rows::fill(&session, wanted).await.unwrap_or_else(|error| panic!("{error}"));
        session.close().await;
        filled
    })
}

/// Enough time for a machine that has other things to do.
fn patient() -> Wanted {
    Wanted { budget: Duration::from_secs(10), ..Wanted::default() }
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
    CREATE RULE nothing AS ON INSERT TO customers DO INSTEAD NOTHING;
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
";

/// Before 15, the triggers that partitions have from their parent are internal ones: only a superuser may turn them off.
const BELOW: &str = "
    CREATE TRIGGER below AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE parts_1 DISABLE TRIGGER below;
";

/// A database with all of that on a server of this version.
fn shop(major: u32) -> TestDb {
    let db = TestDb::on(major);
    db.execute(SHOP);
    if major >= 15 {
        db.execute(BELOW);
    }
    db
}

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
        let db = shop(major);
        let state = || {
            wait(async {
                let session = db.session().await;
                let live = setpoint::introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}"));
                (live.state, db.query(TRACES))
            })
        };
        let before = state();
        let filled = fill(&db, &patient());
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

/// What a partition needs, the table that its parent refers to has to offer.
#[test]
fn each_partition_gets_a_row_that_refers_to_something() {
    let partitions: Vec<String> = (0..60)
        .map(|at| {
            format!("CREATE TABLE p{at} PARTITION OF p FOR VALUES FROM ({}) TO ({})", at * 1000 + 7, at * 1000 + 9)
        })
        .collect();
    let db = TestDb::with(&format!(
        "CREATE TABLE items (id int PRIMARY KEY, item int NOT NULL UNIQUE, label text NOT NULL UNIQUE);
         CREATE TABLE p (item int NOT NULL REFERENCES items (item), note text) PARTITION BY RANGE (item);
         {}",
        partitions.join(";")
    ));
    none_resists(&fill(&db, &patient()));
    assert_eq!(db.value("SELECT count(DISTINCT tableoid) FROM p"), "60");
}

#[test]
fn both_ends_of_each_type_are_used() {
    let ends = [
        ("int2", "-32768", "32767"),
        ("int4", "-2147483648", "2147483647"),
        ("int8", "-9223372036854775808", "9223372036854775807"),
        ("float4", "-3.4028235e38", "3.4028235e38"),
        ("float8", "-1.7976931348623157e308", "1.7976931348623157e308"),
        ("numeric(5,2)", "-999.99", "999.99"),
        ("numeric(3,3)", "-0.999", "0.999"),
        ("money", "-92233720368547758.08", "92233720368547758.07"),
        ("varchar(5)", "", "xxxxx"),
        ("text", "", "a  "),
        ("date", "4714-11-24 BC", "5874897-12-31"),
        ("timestamp", "4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999"),
        ("timestamp(0)", "4714-11-24 00:00:00 BC", "294276-12-31 23:59:59"),
        ("timestamptz", "4714-11-24 00:00:00+00 BC", "infinity"),
        ("time", "00:00:00", "24:00:00"),
        ("interval", "-178000000 years", "178000000 years"),
        ("uuid", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("bit(4)", "0000", "1111"),
        ("bytea", "\\x", "\\x00"),
        ("bool", "f", "t"),
        ("inet", "0.0.0.0/0", "255.255.255.255"),
        ("macaddr", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"),
        ("int[]", "{}", "{-2147483648,NULL,2147483647}"),
        ("int4range", "empty", "(,)"),
        ("jsonb", "{}", "null"),
        ("mood", "sad", "happy"),
    ];
    let columns: Vec<String> = ends.iter().enumerate().map(|(at, (kind, ..))| format!("c{at} {kind}")).collect();
    let db = TestDb::with(&format!(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TABLE ends (id int, {})",
        columns.join(", ")
    ));
    none_resists(&fill(&db, &patient()));
    for (at, (kind, low, high)) in ends.iter().enumerate() {
        for end in [format!("= '{low}'::{kind}"), format!("= '{high}'::{kind}"), "IS NULL".to_owned()] {
            let query = format!("SELECT count(*) > 0 FROM ends WHERE c{at} {end}");
            assert_eq!(db.value(&query), "t", "no {kind} {end}: {:?}", db.query(&format!("SELECT c{at} FROM ends")));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_rows() {
    let rows = |seed: u64| {
        let db = shop(default_major());
        // Time is what makes runs differ.
        none_resists(&fill(&db, &Wanted { seed, ..patient() }));
        let tables = ["kinds", "customers", "orders", "lines", "notes", "parts"];
        tables.map(|table| db.query(&format!("SELECT t.*::text FROM {table} t ORDER BY 1")))
    };
    let first = rows(3);
    assert_eq!(first, rows(3));
    assert_ne!(first, rows(4));
}

#[test]
fn one_more_row_fits_unless_a_sequence_lost_its_place() {
    let db = shop(default_major());
    let filled = fill(&db, &patient());
    wait(async {
        let session = db.session().await;
        let tables: Vec<_> = filled.tables.iter().map(|table| table.table.clone()).collect();
        let outcomes = rows::one_more(&session, &tables).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(!tables.is_empty() && outcomes.len() == tables.len());
        for (table, outcome) in tables.iter().zip(outcomes) {
            assert!(matches!(outcome, Some(Ok(()))), "{table}: {outcome:?}");
        }
        for (set_back, constraint) in [
            ("ALTER TABLE public.customers ALTER COLUMN id RESTART WITH 2", "customers_pkey"),
            ("SELECT setval('public.orders_id_seq', 1)", "orders_pkey"),
        ] {
            session.batch(set_back).await.expect("it runs");
            let table = filled.tables.iter().find(|table| constraint.starts_with(table.table.name().as_str()));
            let table = table.expect("it is there").table.clone();
            let outcomes = rows::one_more(&session, &[table]).await.unwrap_or_else(|error| panic!("{error}"));
            let outcome = outcomes.into_iter().next().flatten().expect("it was asked");
            let refusal = outcome.expect_err("the next number is taken");
            assert_eq!((refusal.constraint.as_deref(), refusal.certain), (Some(constraint), true), "{refusal:?}");
        }
        session.close().await;
    });
}

#[test]
fn a_check_that_takes_forever_costs_a_bounded_time() {
    let db = TestDb::with(
        "CREATE FUNCTION slow(a int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN a = 77777; END $$;
         CREATE TABLE slow (a int NOT NULL, b text CHECK (length(b) = 3), CHECK (slow(a)));
         CREATE TABLE quick (a int NOT NULL)",
    );
    let began = Instant::now();
    let filled = fill(&db, &Wanted { budget: Duration::from_millis(100), ..Wanted::default() });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let resisted: Vec<bool> = filled.tables.iter().map(|table| table.resisted.is_some()).collect();
    assert_eq!(resisted, [true, false], "{filled:?}");
}

#[test]
fn whoever_builds_on_a_closed_server_can_fill() {
    let server = Server::start_closed(&server().binaries).unwrap_or_else(|error| panic!("{error}"));
    let server = std::sync::Arc::new(server);
    wait(async {
        let site = Site::new(&server, "fill", Author::Stranger).await.unwrap_or_else(|error| panic!("{error}"));
        site.make_role(&"app".into()).await.unwrap_or_else(|error| panic!("{error}"));
        let session = site.session("test").await.unwrap_or_else(|error| panic!("{error}"));
        let build = format!(
            "SET search_path TO public; {SHOP} ALTER TABLE customers OWNER TO app; ALTER TABLE orders OWNER TO app"
        );
        session.batch(&build).await.unwrap_or_else(|error| panic!("{error}"));
        let filled = rows::fill(&session, &patient()).await.unwrap_or_else(|error| panic!("{error}"));
        none_resists(&filled);
        session.close().await;
        site.drop().await.unwrap_or_else(|error| panic!("{error}"));
    });
}

/// Checks that are found in the wild, on columns `t` (text), `n` (integer), `d` and `e` (dates), `j` (jsonb), `a` (text[]), `x` (numeric).
const CHECKS: &[&str] = &[
    r"t ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'",
    r"t ~ '^\d{3}-\d{2}-\d{4}$'",
    r"t ~* '^[A-Z0-9._%+-]+@[A-Z0-9.-]+\.[A-Z]{2,}$'",
    r"t ~ '^(\w+)-\1$'",
    r"t ~ '^#([[:xdigit:]]{6}|[[:xdigit:]]{3})$'",
    r"t ~ '^(?=.*[0-9])(?:ab|cd)+[0-9]$'",
    r"t ~ '^https?://[^/\s]+(/.*)?$' AND length(t) < 40",
    r"t ~ '^[^[:space:]]+$' AND t !~ '[A-Z]' AND t = lower(t)",
    r"t SIMILAR TO '(GB|DE)[0-9]{9}%'",
    r"t LIKE 'ab\_%' AND t NOT LIKE '%x'",
    r"t ~ '^\d+$' AND length(t) = 11",
    "length(t) = 32",
    "char_length(t) BETWEEN 3 AND 5 AND t = upper(t) AND t <> 'AAA'",
    "octet_length(t) > 200",
    "btrim(t) = t AND t <> ''",
    "t IN ('red', 'green', 'blue') AND t <> 'red'",
    "upper(t) = ANY (ARRAY['A', 'B'])",
    "t::json IS NOT NULL",
    "to_regclass(t) IS NOT NULL",
    "n > 41 AND n < 43",
    "n BETWEEN 1000 AND 1002 OR n = -7",
    "n % 7 = 3",
    "n IN (1, 2, 3) AND x > n",
    "x >= 0 AND x <= 0.05",
    "x = n * 2 AND n > 10",
    "(t = 'big') = (n > 100)",
    "CASE WHEN t = 'a' THEN n = 1 WHEN t = 'b' THEN n = 2 ELSE n = 3 END",
    "num_nonnulls(t, n, x, d) = 2",
    "num_nonnulls(t, n, x, d) = 4 AND e IS NULL AND j IS NULL",
    "t IS NULL OR (n IS NOT NULL AND n > 5 AND x < 5)",
    "d >= '2020-01-01' AND d < '2020-01-08' AND extract(isodow FROM d) = 3",
    "e > d AND e <= d + 3 AND d > '2010-06-01'",
    "e = (d + interval '1 month')::date",
    "d = date_trunc('month', d)::date AND d > '2023-12-31'",
    "d <= now() - interval '18 years' AND d > '1930-01-01'",
    "daterange(d, e) @> '2024-01-10'::date",
    "jsonb_typeof(j) = 'array' AND jsonb_array_length(j) = 3",
    "j ? 'name' AND j ->> 'name' <> ''",
    "j ->> 'kind' = 'circle' OR j ->> 'kind' = 'square'",
    "j @> '{\"a\": {\"b\": 1}}'",
    "(j -> 'size' ->> 'w')::int > 3",
    "array_length(a, 1) = 2 AND a <@ ARRAY['x', 'y', 'z']",
    "cardinality(a) BETWEEN 4 AND 6 AND NOT ('p' = ANY (a))",
    "'must' = ANY (a)",
    "coalesce(n, 0) + coalesce(x, 0) = 100 AND n IS NOT NULL",
    "least(n, 10) = 10 AND greatest(n, 20) = 20",
    "md5(t) < '8'",
    "t = 'n' || n",
];

/// Tables with one to three of them, keys, references and generated columns, as the seed says.
fn made_up(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    let mut sql = String::new();
    for number in 0..20 {
        let mut parts: Vec<String> = ["t text", "n int", "x numeric(10,2)", "d date", "e date", "j jsonb", "a text[]"]
            .iter()
            .map(|column| format!("{column}{}", if below(4) == 0 { " NOT NULL" } else { "" }))
            .collect();
        parts.push(
            ["id serial PRIMARY KEY", "id int PRIMARY KEY", "id uuid PRIMARY KEY DEFAULT gen_random_uuid()"][below(3)]
                .to_owned(),
        );
        let check = CHECKS[below(CHECKS.len())];
        parts.push(format!("CHECK ({check})"));
        // A second one about other columns, so that both can be true.
        let about = |check: &str| -> Vec<char> {
            let words = check.split(|c: char| !c.is_alphanumeric() && c != '\'');
            words
                .filter(|word| word.len() == 1)
                .filter_map(|word| word.chars().next())
                .filter(|c| "tnxdeja".contains(*c))
                .collect()
        };
        let other = CHECKS[below(CHECKS.len())];
        if !about(other).iter().any(|column| about(check).contains(column)) {
            parts.push(format!("CONSTRAINT second CHECK ({other})"));
        }
        if number > 0 && below(2) == 0 {
            parts.push(format!("self_{number} text GENERATED ALWAYS AS (upper(t) || n) STORED"));
        }
        if below(3) == 0 {
            parts.push("UNIQUE (n, t)".to_owned());
        }
        sql.push_str(&format!("CREATE TABLE made_{number} ({});\n", parts.join(", ")));
        if below(3) == 0 {
            sql.push_str(&format!("CREATE INDEX ON made_{number} ((lower(t)), n) WHERE n > 3;\n"));
        }
        if number > 0 && below(2) == 0 {
            let parent = below(number);
            sql.push_str(&format!(
                "CREATE UNIQUE INDEX two_{number} ON made_{parent} (n, id);
                 CREATE TABLE child_{number} AS SELECT n AS parent_n, id AS parent FROM made_{parent} WITH NO DATA;
                 ALTER TABLE child_{number} ADD own text NOT NULL CHECK (own ~ '^[a-c]{{2,3}}$'), ALTER parent SET NOT NULL,
                     ADD FOREIGN KEY (parent_n, parent) REFERENCES made_{parent} (n, id);\n"
            ));
        }
    }
    sql
}

/// Share of made-up tables that have to be filled: `SETPOINT_TEST_MADE_UP` says how many schemas.
#[test]
fn made_up_tables_are_filled() {
    let schemas = std::env::var("SETPOINT_TEST_MADE_UP").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (mut all, mut resisting) = (0, Vec::new());
    for seed in 1..=schemas {
        let db = TestDb::with(&made_up(seed));
        let filled = fill(&db, &Wanted { seed, ..patient() });
        all += filled.tables.len();
        resisting.extend(filled.tables.into_iter().filter(|table| table.resisted.is_some()).map(|table| (seed, table)));
    }
    assert!(resisting.len() * 100 <= all * 4, "{} of {all} tables resist: {resisting:#?}", resisting.len());
}

#[test]
fn each_check_by_itself_can_be_satisfied() {
    let columns = "t text NOT NULL, n int NOT NULL, x numeric(10,2) NOT NULL, d date NOT NULL, e date, j jsonb, a text[] NOT NULL";
    let tables: Vec<String> = CHECKS
        .iter()
        .enumerate()
        .map(|(at, check)| {
            // Where NULLs are counted, there have to be some.
            let columns = if check.contains("num_nonnulls") || check.contains("IS NULL OR") {
                columns.replace(" NOT NULL", "")
            } else {
                columns.replace("e date, j jsonb", "e date NOT NULL, j jsonb NOT NULL")
            };
            format!(
                "CREATE TABLE each_{at:02} ({columns}, CONSTRAINT {} CHECK ({check}))",
                format_args!("\"{}\"", check.replace('"', "'").chars().take(50).collect::<String>())
            )
        })
        .collect();
    let db = TestDb::with(&tables.join(";\n"));
    none_resists(&fill(&db, &patient()));
}
