//! Edits as people make them, a few at a time and some of them renames, on schemas whose tables have rows: the plan is rehearsed, applied and
//! rolled back, and the rows are what the plan said they would be.
//!
//! `SETPOINT_TEST_EDITS` says how many edits, `SETPOINT_TEST_SEED` which ones, `SETPOINT_TEST_AT_ONCE` how many at most make one plan.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use setpoint::apply::{self, Allow, Goal, Options, Silent, Target};
use setpoint::catalog::Session;
use setpoint::introspect;
use setpoint::kinds::inheritance;
use setpoint::model::{Error, Ident, ObjectId, State, Value};
use setpoint::plan::chain::Chain;
use setpoint::plan::proof::Verdict;
use setpoint::plan::{Hazard, Plan, Step};
use setpoint::prove::rows::{self, Wanted};
use setpoint::sql;

use crate::journey::roles;
use crate::property::schema;
use crate::spoil::{Dice, made, number};
use crate::support::{TempDir, TestDb, wait};

/// How many edits a usual run makes.
const EDITS: u64 = 8;
const SEED: u64 = 20_261_201;

/// How many kinds of edits there are.
const KINDS: u64 = 30;

/// How many edits at most make one plan.
const AT_ONCE: u64 = 4;

/// How many edits are made before one looks again at what there is.
const UNSEEN: usize = 3;

/// Fails where a default is no value of its column, as after a change of its type: no INSERT could use it.
const DEFAULTS_FIT: &str = "DO $$ DECLARE d record; BEGIN
    FOR d IN SELECT pg_get_expr(f.adbin, f.adrelid) AS value, format_type(a.atttypid, a.atttypmod) AS type
        FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        WHERE a.attgenerated = '' AND f.adrelid IN (SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace) LOOP
        EXECUTE format('CREATE TEMP TABLE fits (c %s)', d.type);
        EXECUTE 'INSERT INTO fits SELECT ' || d.value;
        DROP TABLE fits;
    END LOOP; END $$";

/// A rename that an edit made: the kind, the path of what has it, the old name and the new one.
type Rename = (&'static str, String, String, String);

/// Makes a few edits in a database; those that PostgreSQL refuses are none. Gives their statements, and the renames.
async fn edit(session: &Session, dice: &mut Dice) -> (Vec<String>, Vec<Rename>) {
    let (mut made, mut renames) = (Vec::new(), Vec::new());
    let wanted = 1 + dice.below(number("SETPOINT_TEST_AT_ONCE", AT_ONCE) as usize);
    let (mut state, mut unseen) = (State::default(), UNSEEN);
    for attempt in 0..wanted * 4 {
        if made.len() == wanted {
            break;
        }
        if unseen == UNSEEN {
            state = introspect::read(session).await.unwrap_or_else(|error| panic!("{error}")).state;
            unseen = 0;
        }
        unseen += 1;
        let Some((statement, rename)) = one(&state, dice, attempt) else { continue };
        let run = format!("BEGIN; SET LOCAL search_path = public; {statement}; {DEFAULTS_FIT}; COMMIT");
        if session.batch(&run).await.is_err() {
            session.batch("ROLLBACK").await.unwrap_or_else(|error| panic!("{error}"));
            continue;
        }
        made.push(statement);
        renames.extend(rename);
    }
    (made, renames)
}

fn pick<'a, T>(list: &'a [T], dice: &mut Dice) -> Option<&'a T> {
    list.get(dice.below(list.len()))
}

/// One edit, as SQL.
fn one(state: &State, dice: &mut Dice, attempt: usize) -> Option<(String, Option<Rename>)> {
    let of =
        |word: &str| -> Vec<&ObjectId> { state.iter().map(|(id, _)| id).filter(|id| id.kind().word == word).collect() };
    let quoted = |id: &ObjectId| sql::name(id.name()).to_string();
    let tables = of("table");
    let table = *pick(&tables, dice)?;
    let path = sql::path(table);
    let columns: Vec<&ObjectId> = of("column").into_iter().filter(|id| id.parent() == Some(table)).collect();
    let column = *pick(&columns, dice)?;
    let (name, new) = (quoted(column), format!("n{attempt}_{}", dice.below(1000)));
    let alter = |what: String| Some((format!("ALTER TABLE {path} {what}"), None));
    let types = [
        "text",
        "varchar(80)",
        "varchar(3)",
        "integer",
        "bigint",
        "smallint",
        "numeric",
        "numeric(14,4)",
        "numeric(6,1)",
        "double precision",
        "real",
        "date",
        "timestamp",
        "timestamptz",
        "timestamptz(0)",
        "jsonb",
        "json",
        "boolean",
        "char(12)",
    ];
    let kind = pick(&types, dice)?;
    match dice.below(number("SETPOINT_TEST_KINDS", KINDS) as usize) {
        0..=2 => {
            let (was, whose) = (column.name().as_str().to_owned(), table.to_string());
            let rename = ("column", whose, was, new.clone());
            Some((format!("ALTER TABLE {path} RENAME COLUMN {name} TO {new}"), Some(rename)))
        }
        3 | 4 => {
            let rename = ("table", "schema public".to_owned(), table.name().as_str().to_owned(), new.clone());
            Some((format!("ALTER TABLE {path} RENAME TO {new}"), Some(rename)))
        }
        5 => alter(format!("ADD COLUMN {new} {kind}")),
        6 => alter(format!("ADD COLUMN {new} integer NOT NULL DEFAULT 7")),
        7 => alter(format!("ADD COLUMN {new} timestamptz NOT NULL DEFAULT now()")),
        8 => alter(format!("ADD COLUMN {new} integer GENERATED ALWAYS AS (length({name}::text)) STORED")),
        9 => alter(format!("DROP COLUMN {name} CASCADE")),
        10..=12 => alter(format!("ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}")),
        13 => alter(format!("ALTER COLUMN {name} SET NOT NULL")),
        14 => alter(format!("ALTER COLUMN {name} DROP NOT NULL")),
        15 => alter(format!("ALTER COLUMN {name} DROP DEFAULT")),
        16 => alter(format!("ADD CONSTRAINT {new} CHECK (length({name}::text) < 30)")),
        17 => Some((format!("CREATE INDEX {new} ON {path} ({name})"), None)),
        18 => {
            let labels = of("enum");
            let label = pick(&labels, dice)?;
            Some((format!("ALTER TYPE {} ADD VALUE 'more{attempt}'", sql::path(label)), None))
        }
        19 => {
            Some((format!("CREATE TABLE {new} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)"), None))
        }
        20 => Some((format!("DROP TABLE {path} CASCADE"), None)),
        21 => alter(format!("ADD COLUMN {new} bigint GENERATED BY DEFAULT AS IDENTITY")),
        22..=24 => {
            let words = ["unique", "primary-key", "check", "foreign-key", "index"];
            let named: Vec<(&'static str, &ObjectId)> =
                words.iter().flat_map(|word| of(word).into_iter().map(|id| (*word, id))).collect();
            let (word, id) = *pick(&named, dice)?;
            let (was, whose) = (quoted(id), id.parent()?);
            let statement = match word {
                "index" => format!("ALTER INDEX public.{was} RENAME TO {new}"),
                _ => format!("ALTER TABLE {} RENAME CONSTRAINT {was} TO {new}", sql::path(whose)),
            };
            // Not everybody says so.
            let rename = (word, whose.to_string(), id.name().as_str().to_owned(), new.clone());
            Some((statement, (dice.below(2) == 0).then_some(rename)))
        }
        _ => Some((moved(state, &tables, dice)?, None)),
    }
}

/// Something that a table gets instead of the one that it inherits from, or the other way round; or it leaves that one. The tables have no
/// rows there.
fn moved(state: &State, tables: &[&ObjectId], dice: &mut Dice) -> Option<String> {
    let parent = |heir: &ObjectId| inheritance::parents(state.get(heir)?).first().copied().cloned();
    let pairs: Vec<(&ObjectId, ObjectId)> = tables.iter().filter_map(|heir| Some((*heir, parent(heir)?))).collect();
    let (heir, parent) = pick(&pairs, dice)?;
    let [below, above] = [sql::path(heir), sql::path(parent)];
    let of = |word: &str, table: &ObjectId| -> Vec<&ObjectId> {
        state.iter().map(|(id, _)| id).filter(|id| id.kind().word == word && id.parent() == Some(table)).collect()
    };
    let text = |id: &ObjectId, name: &str| match state.get(id)?.value(name)? {
        Value::Type(held) => Some(held.as_str().to_owned()),
        Value::Expr(held) => Some(held.as_str().to_owned()),
        _ => None,
    };
    let up = dice.below(2) == 0;
    let (from, to, owner) = if up { (&below, &above, *heir) } else { (&above, &below, parent) };
    match dice.below(7) {
        0..=2 => {
            let column = *pick(&of("column", owner), dice)?;
            let (name, held) = (sql::name(column.name()).to_string(), text(column, "type")?);
            let add = format!("ADD COLUMN {name} {held}");
            Some(format!("ALTER TABLE {from} DROP COLUMN {name} CASCADE; ALTER TABLE {to} {add}"))
        }
        3 | 4 => {
            let check = *pick(&of("check", owner), dice)?;
            let (name, condition) = (sql::name(check.name()).to_string(), text(check, "expression")?);
            let add = format!("ADD CONSTRAINT {name} CHECK ({condition})");
            Some(format!("ALTER TABLE {from} DROP CONSTRAINT {name}; ALTER TABLE {to} {add}"))
        }
        5 => {
            let column = sql::name(pick(&of("column", parent), dice)?.name()).to_string();
            let what = *pick(&["SET NOT NULL", "SET DEFAULT NULL", "DROP NOT NULL", "DROP DEFAULT"], dice)?;
            Some(format!("ALTER TABLE {from} ALTER COLUMN {column} {what}"))
        }
        _ if state.get(heir)?.value("partition-of").is_some() => {
            Some(format!("ALTER TABLE {above} DETACH PARTITION {below}"))
        }
        _ => Some(format!("ALTER TABLE {below} NO INHERIT {above}")),
    }
}

/// The schema with tables that inherit from its own, and with a partitioned one.
fn with_heirs(before: &str, dice: &mut Dice) -> String {
    let mut out = before.to_owned();
    for table in ["t0", "t1", "t2"] {
        if before.contains(&format!("CREATE TABLE {table} ")) && dice.below(2) == 0 {
            out += &format!(
                "CREATE TABLE heir_{table} (extra integer DEFAULT 4, CONSTRAINT {table}_extra CHECK (extra < 100000)) INHERITS ({table});\n"
            );
        }
    }
    if dice.below(2) == 0 {
        out += "CREATE TABLE whole (k integer, v text, w integer CONSTRAINT w CHECK (w < 100000)) PARTITION BY LIST (k);\n\
                CREATE INDEX ON whole (v);\nCREATE TABLE part_1 PARTITION OF whole FOR VALUES IN (1);\n\
                CREATE TABLE part_2 PARTITION OF whole DEFAULT;\nCREATE INDEX ON part_2 (w);\n";
    }
    out
}

/// The address of a table of schema public.
fn address(table: &str) -> String {
    format!("table public.{}", sql::name(&Ident::from(table)))
}

/// The state with the old names that the renames say.
fn with_was(mut state: State, renames: &[Rename]) -> State {
    for (at, (word, whose, was, new)) in renames.iter().enumerate() {
        // Of several renames of one thing, the first name is the one that the other database knows.
        let first = renames.iter().rev().fold((whose.clone(), was.clone()), |(whose, was), (w, _, from, to)| {
            if w == word && *to == was { (whose, from.clone()) } else { (whose, was) }
        });
        // What it belongs to may have got another name since.
        let tables = renames.iter().skip(at + 1).filter(|(word, ..)| *word == "table");
        let whose = tables.fold(whose.clone(), |whose, (_, _, from, to)| match whose == address(from) {
            true => address(to),
            false => whose,
        });
        let theirs = |id: &ObjectId| id.parent().is_some_and(|parent| parent.to_string() == whose);
        let named = |id: &ObjectId| id.kind().word == *word && id.name().as_str() == new && theirs(id);
        if let Some((_, object)) = state.objects_mut().iter_mut().find(|(id, _)| named(id)) {
            object.was = Some(Ident::from(first.1.as_str()));
        }
    }
    state
}

/// The values of each column, in order: `t.c` → texts.
type Held = BTreeMap<(String, String), Vec<Option<String>>>;

async fn held(session: &Session) -> Held {
    let query = "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped";
    let mut out = Held::new();
    for mut row in session.rows(query, &[]).await.unwrap_or_else(|error| panic!("{error}")) {
        let (table, column) = (row.text().to_string(), row.text().to_string());
        let name = |text: &str| sql::name(&Ident::from(text)).to_string();
        let query = format!("SELECT {}::text FROM ONLY public.{}", name(&column), name(&table));
        let rows = session.rows(&query, &[]).await.unwrap_or_else(|error| panic!("{error}"));
        let mut texts: Vec<Option<String>> =
            rows.into_iter().map(|mut row| row.text_opt().map(|text| text.to_string())).collect();
        texts.sort();
        out.insert((table, column), texts);
    }
    out
}

/// True if the plan says that the values of a column may be lost.
fn said(steps: &[&Step], hazards: &[Hazard], names: &[(String, String)]) -> bool {
    let hazardous = steps.iter().filter(|step| step.hazards.iter().any(|f| hazards.contains(&f.hazard)));
    hazardous.flat_map(|step| std::iter::once(&step.object).chain(&step.with)).any(|object| {
        let word = object.split(' ').next().unwrap_or_default();
        names.iter().any(|(table, column)| match word {
            "table" => *object == address(table),
            "column" => {
                // A parent's goes from its heirs, too.
                object.ends_with(&format!(".{}", sql::name(&Ident::from(column.as_str()))))
            }
            "enum" | "domain" => true,
            _ => false,
        })
    })
}

#[derive(Default)]
struct Tally {
    edits: usize,
    plans: usize,
    rows: u64,
    failed_on_data: usize,
    /// Plans that ask a person for a value.
    asked: usize,
    unproved: Vec<String>,
}

/// What a column of before is called after the renames: what a table inherits is renamed in its parent, as long as that is its parent.
fn renamed((table, column): &(String, String), renames: &[Rename], after: &Held) -> (String, String) {
    let parent = table.strip_prefix("heir_").or_else(|| table.starts_with("part_").then_some("whole"));
    let called = |parent: Option<&str>| {
        let (mut table, mut column, mut parent) = (table.clone(), column.clone(), parent.map(str::to_owned));
        for (word, whose, was, new) in renames {
            let holds = |table: &String| *whose == address(table);
            match *word {
                "table" if *was == table => table.clone_from(new),
                "table" if parent.as_ref() == Some(was) => parent = Some(new.clone()),
                "column" if *was == column && (holds(&table) || parent.as_ref().is_some_and(holds)) => {
                    column.clone_from(new);
                }
                _ => {}
            }
        }
        (table, column)
    };
    let along = called(parent);
    if after.contains_key(&along) { along } else { called(None) }
}

/// What is wrong with the values after a way, if something is.
fn changed(before: &Held, after: &Held, plan: &Plan, renames: &[Rename], back: bool) -> Option<String> {
    let inverses = plan.steps.iter().flat_map(|step| &step.inverse);
    let (steps, hazards): (Vec<&Step>, &[Hazard]) = match back {
        true => (plan.steps.iter().chain(inverses).collect(), &[Hazard::DataLoss, Hazard::Irreversible]),
        false => (plan.steps.iter().collect(), &[Hazard::DataLoss]),
    };
    before.iter().find_map(|(name, texts)| {
        let new = renamed(name, renames, after);
        // What is dropped in the end is dropped under the name that it had, in a table that may have another.
        if said(&steps, hazards, &[name.clone(), new.clone(), (new.0.clone(), name.1.clone())]) {
            return None;
        }
        let now = after.get(if back { name } else { &new });
        // On the way up types may change, and with them the texts: the way back shows whether that was all.
        let same = now.is_some_and(|now| now == texts || !back && now.len() == texts.len());
        (!same).then(|| format!("{}.{}: {texts:?} became {now:?}", name.0, name.1))
    })
}

async fn case(before: &str, dice: &mut Dice, tally: &mut Tally) -> Result<(), String> {
    let before = &with_heirs(before, dice);
    let (here, there) = (TestDb::new(), TestDb::new());
    if here.try_execute(before).is_err() || there.try_execute(before).is_err() {
        return Ok(());
    }
    let (session, other) = (here.session().await, there.session().await);
    let tables = introspect::read(&session).await.map_err(shown)?.state;
    let tables: Vec<ObjectId> =
        tables.iter().map(|(id, _)| id).filter(|id| id.kind().word == "table").cloned().collect();
    let wanted = Wanted { tables: Some(tables), seed: dice.below(1 << 30) as u64, ..Wanted::default() };
    let filled = rows::fill(&session, &wanted).await.map_err(shown)?;
    let (edits, renames) = edit(&other, dice).await;
    let wanted = with_was(introspect::read(&other).await.map_err(shown)?.state, &renames);
    let Some(made) = made(&here, &wanted).await else { return Ok(()) };
    let plan = &made.plan;
    let told = |what: String| format!("{what}\n--- before\n{before}\n--- edits\n{}\n", edits.join(";\n"));
    let rehearsal = made.rehearse(plan).await;
    let lines: Vec<String> =
        rehearsal.proof.legs().iter().flat_map(|(_, leg)| leg.lines()).map(str::to_owned).collect();
    match rehearsal.proof.verdict() {
        Verdict::Failed => return Err(told(format!("the rehearsal failed: {}", lines.join("; ")))),
        Verdict::Unproved => tally.unproved.push(lines.join("; ")),
        Verdict::Proved | Verdict::InPart => {}
    }
    tally.edits += edits.len();
    tally.plans += 1;
    tally.rows += filled.tables.iter().map(|table| table.rows).sum::<u64>();
    let first = held(&session).await;
    let dir = TempDir::new();
    let mut chain = Chain::read(dir.path()).map_err(shown)?;
    chain.append(plan).map_err(shown)?;
    let options = Options { allow: Allow { all: true, hazards: vec![] }, ..Options::default() };
    let on_data = |error: &Error| {
        error.sqlstate.as_deref().is_some_and(|code| ["22", "23", "0A"].iter().any(|class| code.starts_with(class)))
    };
    let may = |hazards: &[Hazard], steps: &[Step]| {
        steps.iter().any(|step| step.hazards.iter().any(|f| hazards.contains(&f.hazard)))
    };
    let up = apply::run(&here.connect, &chain, Goal::Head, &options, &mut Silent).await;
    if up.as_ref().is_err_and(|error| error.message == "existing rows need a value for a new column") {
        tally.asked += 1;
        return Ok(());
    }
    let failed =
        up.as_ref().err().map(|error| on_data(error) || error.details.iter().any(|d| d.contains("SQLSTATE 2")));
    if let Err(error) = &up
        && !(failed == Some(true) && may(&[Hazard::MayFailOnData], &plan.steps))
    {
        return Err(told(format!("the way up: {error}")));
    }
    tally.failed_on_data += usize::from(up.is_err());
    let top = held(&session).await;
    if let (Ok(_), Some(what)) = (&up, changed(&first, &top, plan, &renames, false)) {
        return Err(told(format!("up: {what}")));
    }
    match apply::rollback(&here.connect, Target::To(0), &options, &mut Silent).await {
        Ok(_) => {}
        Err(error) if up.is_err() && error.message.contains("nothing") => {}
        Err(error) => {
            let back = plan.steps.iter().any(|step| may(&[Hazard::MayFailOnData], &step.inverse));
            let said = back || may(&[Hazard::Irreversible], &plan.steps);
            tally.failed_on_data += 1;
            return if said { Ok(()) } else { Err(told(format!("the way back: {error}"))) };
        }
    }
    let bottom = held(&session).await;
    match changed(&first, &bottom, plan, &renames, true) {
        Some(what) => Err(told(format!("back: {what}"))),
        None => Ok(()),
    }
}

fn shown(error: Error) -> String {
    error.to_string()
}

#[test]
fn edits_keep_what_they_do_not_say_that_they_lose() {
    let begin = Instant::now();
    let (seed, edits) = (number("SETPOINT_TEST_SEED", SEED), number("SETPOINT_TEST_EDITS", EDITS) as usize);
    let mut dice = Dice::new(seed);
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    roles();
    let (mut tally, mut problems) = (Tally::default(), Vec::new());
    while tally.edits < edits && problems.len() < 10 {
        let before = schema().new_tree(&mut runner).expect("a schema can be made").current().to_string();
        if let Err(problem) = wait(case(&before, &mut dice, &mut tally)) {
            println!("=== {problem}");
            problems.push(problem);
        }
    }
    println!(
        "seed {seed}: {} edits in {} plans on {} rows in {:.0?}; {} failed on data, as they said; {} ask for a value; {} \
         not rehearsed",
        tally.edits,
        tally.plans,
        tally.rows,
        begin.elapsed(),
        tally.failed_on_data,
        tally.asked,
        tally.unproved.len()
    );
    tally.unproved.iter().take(10).for_each(|line| println!("not rehearsed: {line}"));
    assert!(tally.rows > 0, "no table had rows");
    assert!(problems.is_empty(), "{} plans:\n{}", problems.len(), problems.join("\n"));
}
