//! Values whose type changes: every pair of scalar types of the server, with values at their edges, as a column, an array, a domain, an array
//! of a domain and a range, there and back by the program's own steps. Any change to a value is named `data-loss`, or fails.
//!
//! A usual run takes a sample; `SETPOINT_PAIRS=all` takes all of them, `SETPOINT_PAIRS=2000` that many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use setpoint::catalog::Session;
use setpoint::diff::{self, Answers};
use setpoint::load;
use setpoint::model::{Class, Edges, State};
use setpoint::plan::{self, Hazard, Step, Wanted};
use setpoint::report::summary;

use crate::support::{TestDb, wait};

/// Types with modifiers, beside the bare ones that the server has.
const WITH_MODIFIERS: &str = "numeric(12,2); numeric(12,0); numeric(4,2); numeric(20,4); varchar(3); varchar(10); char(1); char(3); char(10); bit(3); bit(8); \
    varbit(3); varbit(8); time(0); time(3); timestamp(0); timestamp(3); timestamptz(0); timetz(0); interval(0); interval year to month; \
    interval day to second; interval second(3)";

/// Values at the edges; each type gets those that it takes.
const EDGES: &str = concat!(
    r##"|0|-0|1|-1|42|007| 42 |151|100|32767|-32768|32768|2147483647|-2147483648|2147483648|16777217|9007199254740993|9223372036854775807|"##,
    r##"-9223372036854775808|4294967295|1.5|1.25|1.00|0.1|0.1234567890123456789|0.123456789012|9999999999.99|99.99|1e30|NaN|Infinity|"##,
    r##"-Infinity|infinity|-infinity|t|f|true|a|a |abc|abc    |abcdef|é|A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11|"##,
    r##"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop|2024-01-02|"##,
    r##"2024-03-31 02:30:00.123456|2024-10-27 02:30:00|2024-01-02 00:00:00|2024-01-02T03:04:05Z|2024-03-31 01:00:00.123456+02|01/02/2024|"##,
    r##"4713-01-01 BC|5874897-12-31|294276-12-31|00:00:00|12:34:56.789|24:00:00|12:34:56+02|24:00:00-15:59|1 day|1 mon|30 days|"##,
    r##"1 year 2 mons 3 days 04:05:06.789|1 year 2 mons|10.0.0.1|10.0.0.1/8|10.0.0.0/8|::1|::/0|08:00:2b:01:02:03|08:00:2b:ff:fe:01:02:03|"##,
    r##"08:00:2b:01:02:03:04:05|101|000|10101010|0101010101|\x00ff|\x3432|{"a":1,"a":2}|{"a": 1}|[1,  2]|null|"x"|{}|$.a|<a/>|"##,
    r##"<?xml version="1.0"?><a/>|'a' 'b':2|a & b|$1.25|(1,2)|((0,0),(1,1))|<(0,0),1>|{1,2,3}|[(0,0),(1,1)]|16/B374D848|(0,1)|10:20:10,14|"##,
    r##"pg_class|integer|[1,5)|[1.5,2]|empty|[2024-01-01,2024-01-05)|{a,b}|{[1,5)}|sad|123456|20240102|20240102123456|1234567890123456|"##,
    r##"12345678901234567890123456789012"##,
);

/// How many pairs a usual run takes besides.
const SAMPLE: usize = 100;
/// How many of them run at the same time.
const LANES: usize = 2;

/// Fills the table with what it takes and keeps what it then holds; leaves in it what passes the steps alone.
const HELPERS: &str = "
    CREATE FUNCTION pg_temp.fill(list text[]) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
      FOR i IN 1 .. coalesce(array_length(list, 1), 0) LOOP
        BEGIN EXECUTE format('INSERT INTO public.t VALUES (%s, %s)', i, list[i]); EXCEPTION WHEN OTHERS THEN NULL; END;
      END LOOP;
      DROP TABLE IF EXISTS pg_temp.kept;
      CREATE TEMP TABLE kept AS SELECT id, v::text COLLATE \"C\" AS was FROM public.t;
      RETURN (SELECT count(*) FROM pg_temp.kept);
    END $$;
    CREATE FUNCTION pg_temp.passing(steps text) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE one int; failing int[] := '{}';
    BEGIN
      FOREACH one IN ARRAY ARRAY(SELECT id FROM pg_temp.kept) LOOP
        BEGIN
          DELETE FROM public.t WHERE id <> one;
          EXECUTE steps;
          RAISE EXCEPTION 'it passes';
        EXCEPTION WHEN OTHERS THEN
          IF SQLERRM <> 'it passes' THEN failing := failing || one; END IF;
        END;
      END LOOP;
      DELETE FROM public.t WHERE id = ANY (failing);
      RETURN (SELECT count(*) FROM public.t);
    END $$";

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Column,
    Array,
    Domain,
    ArrayOfDomain,
    Range,
}

const PLACES: [Place; 5] = [Place::Column, Place::Array, Place::Domain, Place::ArrayOfDomain, Place::Range];

impl Place {
    /// A table whose column has values of the type there.
    fn files(self, sql_type: &str) -> String {
        let mood = "enum mood sad \"42\" t\n";
        let quoted = sql_type.replace('"', "\\\"");
        let (types, column) = match self {
            Self::Column => (String::new(), quoted),
            Self::Array => (String::new(), format!("{quoted}[]")),
            Self::Domain => (format!("domain d \"{quoted}\"\n"), "d".into()),
            Self::ArrayOfDomain => (format!("domain d \"{quoted}\"\n"), "d[]".into()),
            Self::Range => (format!("range d \"{quoted}\"\n"), "d".into()),
        };
        format!(
            "{mood}{types}table t {{\n    column id int not-null\n    column v \"{column}\"\n    primary-key id\n}}\n"
        )
    }

    /// The type of the column.
    fn column(self, sql_type: &str) -> String {
        match self {
            Self::Column => in_sql(sql_type),
            Self::Array => format!("{}[]", in_sql(sql_type)),
            Self::Domain | Self::Range => "public.d".into(),
            Self::ArrayOfDomain => "public.d[]".into(),
        }
    }

    /// A value there.
    fn value(self, text: &str, sql_type: &str) -> String {
        let one = format!("{}::{}", literal(text), in_sql(sql_type));
        match self {
            Self::Column | Self::Domain => one,
            Self::Array => format!("ARRAY[[{one}, {one}]]"),
            Self::ArrayOfDomain => format!("ARRAY[{one}, NULL]::public.d[]"),
            Self::Range => format!("public.d({one}, NULL)"),
        }
    }
}

/// What a pair did that it must not do.
type Problems = Vec<String>;

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The type's name where no schema is looked in.
fn in_sql(sql_type: &str) -> String {
    if sql_type == "mood" { "public.mood".into() } else { sql_type.into() }
}

/// A server's types with values of each, and a session on it.
struct Bench {
    session: Session,
    types: BTreeMap<String, Vec<&'static str>>,
    /// Plans, runs and changed values seen, so that a test that sees nothing fails.
    seen: [usize; 4],
}

fn state(text: &str) -> State {
    load::load_texts(&[(PathBuf::from("schema.kdl"), text.to_string())])
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .state
}

/// The steps from one to the other; the column needs the type that it has.
fn steps(bench: &Bench, old: &State, new: &State) -> setpoint::model::Result<Vec<Step>> {
    let changes = diff::changes(&diff::compare(old, new), &Answers::default(), old, new);
    let ids: Vec<_> = old.iter().map(|(id, _)| id.clone()).collect();
    let declared = ids.iter().filter(|id| ["domain", "range"].contains(&id.kind().word)).cloned().collect::<Vec<_>>();
    let mut edges = Edges::default();
    for column in ids.iter().filter(|id| id.kind().word == "column" && id.name().as_str() == "v") {
        edges.insert(column.clone(), declared.clone());
    }
    Ok(plan::plan(&Wanted::new(old, new, &edges, changes, bench.session.version))?.steps)
}

fn named(steps: &[Step], hazard: Hazard) -> bool {
    steps.iter().flat_map(|step| &step.hazards).any(|finding| finding.hazard == hazard)
}

impl Bench {
    async fn new(db: &TestDb) -> Self {
        let session = db.session().await;
        session.batch("CREATE TYPE public.mood AS ENUM ('sad', '42', 't')").await.expect("an enum");
        let mut bench = Self { session, types: BTreeMap::new(), seen: [0; 4] };
        let found = bench
            .rows("SELECT format_type(oid, NULL) FROM pg_type WHERE typtype = 'b' AND typcategory NOT IN ('A', 'Z') AND typnamespace = 'pg_catalog'::regnamespace")
            .await;
        let types =
            found.into_iter().chain(WITH_MODIFIERS.split("; ").map(ToString::to_string)).chain(["mood".to_string()]);
        let types: Vec<String> =
            types.chain((bench.session.version.major() >= 15).then(|| "numeric(5,-2)".to_string())).collect();
        bench
            .run(
                "CREATE FUNCTION pg_temp.taken(types text[], edges text[]) RETURNS TABLE (hit text) LANGUAGE plpgsql AS $$
                 DECLARE t text; BEGIN FOREACH t IN ARRAY types LOOP
                   BEGIN EXECUTE format('CREATE TEMP TABLE x (v %s)', t); EXCEPTION WHEN OTHERS THEN CONTINUE; END;
                   FOR i IN 1 .. array_length(edges, 1) LOOP
                     BEGIN EXECUTE format('INSERT INTO x VALUES (%L)', edges[i]); hit := i - 1 || ' ' || t; RETURN NEXT;
                     EXCEPTION WHEN OTHERS THEN NULL; END;
                   END LOOP;
                   DROP TABLE x;
                 END LOOP; END $$",
            )
            .await
            .expect("a function");
        bench.run(HELPERS).await.expect("functions");
        let list = |texts: Vec<String>| texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ");
        let edges = list(EDGES.split('|').map(ToString::to_string).collect());
        let names = list(types.iter().map(|name| in_sql(name)).collect());
        for line in bench.rows(&format!("SELECT pg_temp.taken(ARRAY[{names}], ARRAY[{edges}])")).await {
            let (at, name) = line.split_once(' ').expect("a number and a type");
            let name = name.trim_start_matches("public.").to_string();
            let edge = EDGES.split('|').nth(at.parse().expect("a number")).expect("an edge");
            bench.types.entry(name).or_default().push(edge);
        }
        bench
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    async fn try_rows(&self, sql: &str) -> Result<Vec<String>, String> {
        let messages =
            self.session.client.simple_query(sql).await.map_err(|error| self.session.error(&error).to_string())?;
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_string()),
            _ => None,
        });
        Ok(rows.collect())
    }

    async fn run(&self, sql: &str) -> Result<(), String> {
        self.session.batch(sql).await.map_err(|error| error.to_string())
    }

    /// Runs steps; all or none.
    async fn steps<'s>(&self, steps: impl IntoIterator<Item = &'s Step>) -> Result<(), String> {
        let sql: Vec<&str> = steps.into_iter().map(|step| step.sql.as_str()).collect();
        self.run("SAVEPOINT steps").await?;
        match self.run(&sql.join(";\n")).await {
            Ok(()) => self.run("RELEASE steps").await,
            Err(error) => {
                self.run("ROLLBACK TO steps; RELEASE steps").await?;
                Err(error)
            }
        }
    }

    async fn steps_alone(&self, steps: &[Step]) {
        for step in steps {
            self.run(&step.sql).await.unwrap_or_else(|error| panic!("{error}\n{}", step.sql));
        }
    }

    /// The rows whose values are not what `kept` says. Digits behind the point that are zero do not count.
    async fn changed(&self, column: &str, number: bool) -> Vec<String> {
        let differs = if number { format!("t.v IS DISTINCT FROM k.was::{column}") } else { "true".into() };
        self.rows(&format!(
            "SELECT k.was || ' -> ' || coalesce(t.v::text, 'NULL') FROM kept k JOIN public.t t USING (id) WHERE t.v::text COLLATE \"C\" IS DISTINCT FROM k.was AND {differs}"
        ))
        .await
    }

    /// One pair at one place: the table is made, filled, led to the new type and back, all in a transaction that is taken back.
    async fn pair(&mut self, old: &str, new: &str, place: Place, problems: &mut Problems) {
        let (before, after) = (state(&place.files(old)), state(&place.files(new)));
        let what = format!("{old} -> {new} as {place:?}");
        let made = match steps(self, &before, &after) {
            Ok(made) => made,
            Err(error) => {
                assert_eq!(error.class, Class::Refused, "{what}: {error}");
                self.seen[0] += 1;
                self.never(old, new, &what, problems).await;
                return self.never(new, old, &what, problems).await;
            }
        };
        self.run("BEGIN").await.expect("a transaction");
        let start = steps(self, &state("enum mood sad \"42\" t\n"), &before).expect("a table can be planned");
        let end = steps(self, &state("enum mood sad \"42\" t\n"), &after).expect("a table can be planned");
        self.run("SAVEPOINT start").await.expect("a savepoint");
        let both = self.steps(&end).await.is_ok();
        self.run("ROLLBACK TO start").await.expect("a way out");
        if !both || self.steps(&start).await.is_err() {
            return self.run("ROLLBACK").await.expect("a way out"); // no operator class for a range
        }
        self.forward((old, new), place, &what, &made, problems).await;
        self.run("ROLLBACK TO rows").await.expect("a way out");
        self.back((old, new), place, &what, &made, problems).await;
        self.run("ROLLBACK").await.expect("a way out");
    }

    /// Refused pairs: not one value gets there.
    async fn never(&self, old: &str, new: &str, what: &str, problems: &mut Problems) {
        for text in &self.types[old] {
            let (value, new) = (format!("{}::{}", literal(text), in_sql(old)), in_sql(new));
            for route in ["", "::text"] {
                if self.run(&format!("SELECT {value}{route}::{new}")).await.is_ok() {
                    problems.push(format!("{what}: refused, but {value}{route}::{new} works"));
                }
            }
        }
    }

    /// Values of a type at their place: those that the other type takes as well, and some that it does not. How many there are.
    async fn fill(&self, sql_type: &str, other: &str, place: Place) -> usize {
        let (both, own): (Vec<&str>, Vec<&str>) =
            self.types[sql_type].iter().partition(|text| self.types[other].contains(text));
        let values = both.iter().take(10).chain(own.iter().take(4)).map(|text| literal(&place.value(text, sql_type)));
        let values: Vec<String> = values.collect();
        let filled = self.rows(&format!("SELECT pg_temp.fill(ARRAY[{}]::text[])", values.join(", "))).await;
        filled[0].parse().expect("a number")
    }

    /// Deletes rows that keep the steps from running, and says how many are left.
    async fn only_those_that_pass(&self, steps: &[&Step]) -> usize {
        let sql: Vec<&str> = steps.iter().map(|step| step.sql.as_str()).collect();
        let left = self.rows(&format!("SELECT pg_temp.passing({})", literal(&sql.join(";\n")))).await;
        left[0].parse().expect("a number")
    }

    async fn forward(
        &mut self,
        (old, new): (&str, &str),
        place: Place,
        what: &str,
        made: &[Step],
        problems: &mut Problems,
    ) {
        self.run("SAVEPOINT rows").await.expect("a savepoint");
        if self.fill(old, new, place).await == 0 {
            return;
        }
        let (loss, fails) = (named(made, Hazard::DataLoss), named(made, Hazard::MayFailOnData));
        let up: Vec<&Step> = made.iter().collect();
        let down: Vec<&Step> = made.iter().rev().flat_map(|step| &step.inverse).collect();
        self.seen[1] += 1;
        if let Err(error) = self.steps(up.iter().copied()).await {
            if !fails {
                problems.push(format!("{what}: fails, and no hazard says so: {error}"));
            }
            if self.only_those_that_pass(&up).await == 0 {
                self.seen[2] += 1;
                return;
            }
            if let Err(error) = self.steps(up.iter().copied()).await {
                return problems.push(format!("{what}: each row passes, but not all: {error}"));
            }
        }
        if loss {
            return;
        }
        if let Err(error) = self.steps(down.iter().copied()).await {
            return problems.push(format!("{what}: what went there without loss does not come back: {error}"));
        }
        let changed = self.changed(&place.column(old), is_number(old)).await;
        if let Some(first) = changed.first() {
            problems.push(format!("{what}: {} values change, and no hazard says so: {first}", changed.len()));
        }
    }

    async fn back(
        &mut self,
        (old, new): (&str, &str),
        place: Place,
        what: &str,
        made: &[Step],
        problems: &mut Problems,
    ) {
        let down: Vec<&Step> = made.iter().rev().flat_map(|step| &step.inverse).collect();
        let loss = down.iter().flat_map(|step| &step.hazards).any(|finding| finding.hazard == Hazard::DataLoss);
        let whole = summary::way_back(made).lost.is_empty();
        // What goes back as it came: only its zone was a guess.
        let guess = loss && named(made, Hazard::DataLoss) && !named(made, Hazard::Irreversible);
        if loss && whole && !guess {
            problems.push(format!("{what}: going back loses values, but the way back is called whole"));
        }
        if loss {
            return;
        }
        if let Err(error) = self.steps(made).await {
            return problems.push(format!("{what}: fails on an empty table: {error}"));
        }
        if self.fill(new, old, place).await == 0 {
            return;
        }
        if self.steps(down.iter().copied()).await.is_err()
            && (self.only_those_that_pass(&down).await == 0 || self.steps(down.iter().copied()).await.is_err())
        {
            return;
        }
        self.seen[3] += 1;
        if self.steps(made).await.is_err() {
            return problems.push(format!("{what}: what went back without loss does not come again"));
        }
        let changed = self.changed(&place.column(new), is_number(new)).await;
        if let Some(first) = changed.first() {
            problems.push(format!(
                "{what}: {} values change on the way back, and no hazard says so: {first}",
                changed.len()
            ));
        }
    }
}

fn is_number(sql_type: &str) -> bool {
    ["numeric", "real", "double precision"].iter().any(|name| sql_type.starts_with(name))
}

/// Pairs at places in an order that has nothing to do with their names, the same in every run.
fn in_some_order(types: &BTreeSet<String>) -> Vec<(String, String, Place)> {
    let all = types.iter().flat_map(|old| types.iter().map(move |new| (old, new))).filter(|(old, new)| old != new);
    let mut all: Vec<(u64, (String, String, Place))> = all
        .flat_map(|(old, new)| PLACES.map(|place| (old.clone(), new.clone(), place)))
        .map(|case| {
            let text = format!("{case:?}");
            let hash = text
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
            (hash ^ (hash >> 29), case)
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, case)| case).collect()
}

/// Pairs that lost values once, and such as people write most; a usual run has all of them.
const FIRST: &str = "varchar(10) > varchar(3); numeric(12,2) > numeric(12,0); timestamp with time zone > timestamp without time zone; \
    double precision > real; json > jsonb; integer > numeric(5,-2); char(10) > text; text > char(3); bigint > integer; \
    numeric > integer; double precision > integer; text > varchar(3); timestamp without time zone > date; integer > uuid; text > mood; \
    text > name; text > integer; text > uuid; text > bytea; inet > cidr; interval > interval year to month; double precision > numeric; \
    timestamp without time zone > timestamp(0); bit(8) > bit(3); mood > varchar(3); integer > boolean; numeric(4,2) > char(3); \
    cidr > char(1); char(3) > boolean; bit(3) > char(1); regtype > char(3); char(10) > bit; char(10) > varbit(3); bit(8) > char(10); \
    regclass > char(3)";

/// Two types from a list of them, `OLD > NEW; …`.
fn pairs_of(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    list.split("; ").map(|pair| pair.split_once(" > ").unwrap_or_else(|| panic!("{pair} is no pair")))
}

/// Every `LANES`th pair on a database of its own; what was seen and what is wrong.
fn lane(number: usize, wanted: usize) -> ([usize; 4], Problems) {
    let db = TestDb::new();
    wait(async {
        let mut bench = Bench::new(&db).await;
        let types: BTreeSet<String> = bench.types.keys().cloned().collect();
        let known = |(old, new): &(&str, &str)| types.contains(*old) && types.contains(*new);
        let first =
            pairs_of(FIRST).filter(known).flat_map(|(old, new)| PLACES.map(|place| (old.into(), new.into(), place)));
        let others = in_some_order(&types);
        if number == 0 {
            println!(
                "{} of {} pairs of {} types at {} places",
                wanted.min(others.len()),
                others.len(),
                types.len(),
                PLACES.len()
            );
        }
        let mut problems = Problems::new();
        let all: Vec<(String, String, Place)> = first.chain(others.into_iter().take(wanted)).collect();
        for (old, new, place) in all.iter().skip(number).step_by(LANES) {
            bench.pair(old, new, *place, &mut problems).await;
        }
        (bench.seen, problems)
    })
}

#[test]
fn no_value_changes_without_its_hazard() {
    let wanted = match std::env::var("SETPOINT_PAIRS").as_deref() {
        Ok("all") => usize::MAX,
        Ok(number) => number.parse().expect("a number of pairs, or `all`"),
        Err(_) => SAMPLE,
    };
    let started = Instant::now();
    let lanes: Vec<_> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number, wanted))).collect();
        lanes.into_iter().map(|lane| lane.join().expect("a lane ends")).collect()
    });
    let [refused, run, nothing, back] = [0, 1, 2, 3].map(|at| lanes.iter().map(|(seen, _)| seen[at]).sum::<usize>());
    println!(
        "{:.1?}: {refused} refused, {run} run with rows ({nothing} of which let no row pass), {back} run back with rows of the new type",
        started.elapsed()
    );
    let problems: Vec<&str> = lanes.iter().flat_map(|(_, problems)| problems).map(String::as_str).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(refused > 0 && run > SAMPLE && back > SAMPLE / 2, "{refused} {run} {back}");
}

/// What DESIGN calls keeping: needs no leave at all, and changes nothing.
const KEEPING: &str = "smallint > integer; integer > bigint; smallint > bigint; bigint > numeric; integer > numeric; smallint > real; \
    smallint > double precision; integer > double precision; real > double precision; numeric(12,2) > numeric(20,4); \
    numeric(12,2) > numeric; varchar(3) > varchar(10); varchar(3) > text; time(0) > time(3); \
    timestamp(0) > timestamp without time zone; timestamptz(0) > timestamp with time zone; interval(0) > interval; bit(3) > varbit(3); \
    varbit(3) > varbit(8); cidr > inet; macaddr > macaddr8; jsonb > json; mood > text; char(3) > char(10); char(10) > text; \
    uuid > text";

#[test]
fn keeping_pairs_keep_and_ask_for_nothing() {
    let db = TestDb::new();
    wait(async {
        let mut bench = Bench::new(&db).await;
        let mut problems = Problems::new();
        for (old, new) in pairs_of(KEEPING) {
            for place in [Place::Column, Place::Array, Place::Domain] {
                let made = steps(&bench, &state(&place.files(old)), &state(&place.files(new))).expect("a plan");
                let asks = |hazard| named(&made, hazard);
                if asks(Hazard::DataLoss)
                    || asks(Hazard::Irreversible)
                    || place != Place::Domain && asks(Hazard::MayFailOnData)
                {
                    problems.push(format!(
                        "{old} -> {new} as {place:?} asks for leave: {:?}",
                        made.iter().flat_map(|s| &s.hazards).collect::<Vec<_>>()
                    ));
                }
                bench.pair(old, new, place, &mut problems).await;
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(bench.seen[1] > pairs_of(KEEPING).count(), "{:?}", bench.seen);
    });
}

#[test]
fn a_generated_column_made_plain_keeps_what_it_held() {
    let db = TestDb::with(
        "CREATE TABLE t (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO t VALUES (1), (2)",
    );
    wait(async {
        let session = db.session().await;
        let table = |how: &str| {
            state(&format!("table t {{\n    column id int not-null\n    column v int{how}\n    primary-key id\n}}\n"))
        };
        let (old, new) = (table(" generated=\"id * 2\""), table(""));
        let bench = Bench { session, types: BTreeMap::new(), seen: [0; 4] };
        let made = steps(&bench, &old, &new).expect("a plan");
        assert!(!named(&made, Hazard::DataLoss), "{made:?}");
        bench.steps_alone(&made).await;
        assert_eq!(bench.rows("SELECT v FROM public.t ORDER BY id").await, ["2", "4"]);
        bench.run("UPDATE public.t SET v = 7 WHERE id = 1").await.expect("a plain column");
        let back: Vec<Step> = made.iter().rev().flat_map(|step| step.inverse.clone()).collect();
        assert!(named(&back, Hazard::DataLoss) && !summary::way_back(&made).lost.is_empty(), "{back:?}");
        bench.steps_alone(&back).await;
        assert_eq!(bench.rows("SELECT v FROM public.t ORDER BY id").await, ["2", "4"]);
        let again = steps(&bench, &new, &old).expect("a plan");
        assert!(named(&again, Hazard::DataLoss), "{again:?}");
    });
}
