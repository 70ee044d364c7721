//! Plans that somebody spoiled: a rehearsal finds that a step no longer does what the plan says, and reports nothing about those that nobody
//! touched.
//!
//! `SETPOINT_TEST_CORPUS=DIR[:DIR…]` takes plans from folders that hold `before.sql` and `after.sql`, or versions of a schema as `0001.sql`,
//! `0002.sql` …; `SETPOINT_TEST_PLANS` says how many, `SETPOINT_TEST_SEED` which ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use setpoint::introspect;
use setpoint::load;
use setpoint::model::{Class, Ident, ObjectId, State};
use setpoint::plan::against::{Difference, against};
use setpoint::plan::chain::Chain;
use setpoint::plan::proof::Verdict;
use setpoint::plan::{Action, Hazard, Plan, Step};
use setpoint::project::Manage;
use setpoint::prove::{Prover, Rehearsal, Scene};
use setpoint::scratch::Author;
use setpoint::sql;

use crate::journey::{Bench, roles};
use crate::property::schema;
use crate::support::{TempDir, TestDb, default_major, wait};

/// How many plans a usual run spoils.
const PLANS: usize = 5;
const SEED: u64 = 20_261_130;

/// Two schemas, as SQL.
pub struct Pair {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// A few numbers that look like chance.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below the end.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Pairs of generated schemas.
fn generated(seed: u64, count: usize) -> Vec<Pair> {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let pair = |at| {
        let (before, after) = (schema(), schema()).new_tree(&mut runner).expect("a schema can be made").current();
        Pair { name: format!("generated {at}"), before: keyed(&before.to_string()), after: keyed(&after.to_string()) }
    };
    (0..count).map(pair).collect()
}

/// The schema with one kind of key: what becomes of the values when that changes is no matter of spoiling.
fn keyed(schema: &str) -> String {
    let identity = "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY";
    schema.replace("id bigserial PRIMARY KEY", identity).replace("id bigint PRIMARY KEY", identity)
}

/// The pairs of folders, in an order that the seed decides.
fn corpus(folders: &str, dice: &mut Dice) -> Vec<Pair> {
    let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut open: Vec<PathBuf> = folders.split(':').map(PathBuf::from).collect();
    while let Some(dir) = open.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        let versions: Vec<&PathBuf> = entries.iter().filter(|path| is_version(path)).collect();
        found.extend(versions.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        let (before, after) = (dir.join("before.sql"), dir.join("after.sql"));
        if before.is_file() && after.is_file() {
            found.push((before, after));
        }
        open.extend(entries.into_iter().filter(|path| path.is_dir()));
    }
    for at in (1..found.len()).rev() {
        found.swap(at, dice.below(at + 1));
    }
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let pair = |(before, after): (PathBuf, PathBuf)| Pair {
        name: format!("{}", after.display()),
        before: read(&before),
        after: read(&after),
    };
    found.into_iter().map(pair).collect()
}

fn is_version(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(".sql").is_some_and(|digits| digits.len() == 4 && digits.chars().all(|c| c.is_ascii_digit()))
}

/// The server on which everything is rehearsed.
pub fn prover() -> &'static Prover {
    static PROVER: OnceLock<Prover> = OnceLock::new();
    PROVER.get_or_init(|| {
        Prover::start_as(&Ident::from("postgres"), default_major(), Author::Stranger)
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A plan, and what it was made from.
pub struct Made {
    pub plan: Plan,
    pub difference: Difference,
}

/// The plan from a database to a state, as it is saved; `None` if there is none, or it is refused at a place in the files.
pub async fn made(here: &TestDb, wanted: &State) -> Option<Made> {
    let session = here.session().await;
    let difference = match against(&session, wanted, &Manage::default(), &Bench).await {
        Ok(difference) => difference,
        Err(error) if error.class == Class::Refused || error.in_files.is_some() => return None,
        Err(error) => panic!("{error}"),
    };
    let version = session.version.major();
    session.close().await;
    if difference.made.steps.is_empty() || !difference.unverified.is_empty() {
        return None;
    }
    let dir = TempDir::new();
    let chain = Chain::read(dir.path()).expect("there is no chain yet");
    let plan = Plan::new(&chain, "change", load::files_hash(wanted), version, difference.made.clone());
    Some(Made { plan, difference })
}

impl Made {
    pub async fn rehearse(&self, plan: &Plan) -> Rehearsal {
        let Difference { live, edges, end, .. } = &self.difference;
        let creator = Ident::from("postgres");
        let scene = Scene { start: live, edges, end, creator: &creator };
        prover().rehearse(plan, &scene).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// One way to spoil a plan.
struct Spoiled {
    kind: &'static str,
    plan: Plan,
    what: String,
}

fn name(text: &str) -> String {
    sql::name(&Ident::from(text)).to_string()
}

/// Tables that are there before and after, under their names, and that rows went into.
fn lasting<'a>(made: &'a Made, honest: &Rehearsal) -> Vec<&'a ObjectId> {
    let Difference { live, end, .. } = &made.difference;
    let without = honest.proof.rows.iter().flat_map(|rows| &rows.without).cloned().collect::<Vec<_>>().join("\n");
    let touched: Vec<&str> = made.plan.footprint.iter().map(|expected| expected.object.as_str()).collect();
    let lost = |id: &ObjectId| {
        let text = id.to_string();
        made.plan.steps.iter().any(|step| {
            let hazard = step.hazards.iter().any(|f| matches!(f.hazard, Hazard::DataLoss | Hazard::Irreversible));
            hazard && (step.object == text || step.with.contains(&text))
        })
    };
    let tables = live.iter().filter(|(id, object)| {
        id.kind().word == "table"
            && end.has(id)
            && object.value("partition-by").is_none()
            && touched.contains(&id.to_string().as_str())
            && !without.contains(&id.to_string())
            && !lost(id)
    });
    tables.map(|(id, _)| id).collect()
}

/// All that can be spoiled of a plan.
fn spoils(made: &Made, honest: &Rehearsal) -> Vec<Spoiled> {
    let mut out = Vec::new();
    let Difference { live, end, .. } = &made.difference;
    let plan = &made.plan;
    let steps = &plan.steps;
    let old = |object: &str| live.iter().any(|(id, _)| id.to_string() == object);
    let change = |at: usize, edit: &dyn Fn(&mut Step)| {
        let mut plan = plan.clone();
        plan.steps.get_mut(at).into_iter().for_each(edit);
        plan
    };
    for (at, step) in steps.iter().enumerate() {
        let what = format!("{} {}", step.action.word(), step.object);
        let mut put = |kind, plan| out.push(Spoiled { kind, plan, what: what.clone() });
        // What goes with a column or a table that the plan made goes anyway.
        let alone = steps.iter().filter(|other| other.action != Action::Drop).count() == 1
            || step.action == Action::Alter && old(&step.object);
        if !step.inverse.is_empty() && alone {
            put("an inverse left out", change(at, &|step| step.inverse.clear()));
        }
        if step.action == Action::Alter && step.object.starts_with("column ") && step.sql.contains(" TYPE ") {
            let id = end.iter().map(|(id, _)| id).find(|id| id.to_string() == step.object);
            let column = id.map(|id| name(id.name().as_str())).unwrap_or_default();
            if step.inverse.iter().any(|inverse| inverse.sql.contains(" TYPE ")) {
                put(
                    "an inverse changed",
                    change(at, &|step| {
                        for inverse in step.inverse.iter_mut().filter(|inverse| inverse.sql.contains(" TYPE ")) {
                            let begin = inverse.sql.find(" TYPE ").unwrap_or(0);
                            let other = if inverse.sql.contains(" TYPE text") { "varchar(999)" } else { "text" };
                            inverse.sql = format!("{} TYPE {other} USING {column}::{other}", &inverse.sql[..begin]);
                        }
                    }),
                );
            }
            let announced = step.hazards.iter().any(|f| f.hazard == Hazard::DataLoss);
            let kind = id.and_then(|id| end.get(id)).and_then(|object| object.value("type")).map(|v| format!("{v:?}"));
            let cut = match kind.as_deref().unwrap_or_default() {
                text if text.contains("char") || text.contains("text") => Some(format!("left({column}::text, 1)")),
                number if number.contains("numeric") || number.contains("bigint") => Some(format!("({column} / 10)")),
                _ => None,
            };
            if let (Some(cut), false) = (cut, announced) {
                let bare = step.sql.split(" USING ").next().unwrap_or_default().to_owned();
                put("a cast that cuts", change(at, &|step| step.sql = format!("{bare} USING {cut}")));
            }
        }
        let clause = |text: &str| step.sql.contains(text);
        if matches!(step.action, Action::Create)
            && clause(" NOT NULL")
            && !clause("PRIMARY KEY")
            && !clause("GENERATED")
        {
            put("NOT NULL left out", change(at, &|step| step.sql = step.sql.replace(" NOT NULL", "")));
        }
        if clause(" SET NOT NULL") {
            put("NOT NULL left out", change(at, &|step| step.sql = "SELECT 1".into()));
        }
        if clause(" SET DEFAULT ") {
            put("a default left out", change(at, &|step| step.sql = "SELECT 1".into()));
        }
    }
    let renames = steps.iter().any(|step| step.action == Action::Rename);
    let usual = |step: &Step| step.mode == setpoint::kinds::Mode::Normal && !step.sql.is_empty();
    let places: Vec<usize> = (0..steps.len()).filter(|at| usual(&steps[*at])).collect();
    for table in lasting(made, honest).into_iter().filter(|_| !renames && !places.is_empty()) {
        let path = sql::path(table);
        let what = table.to_string();
        let mut beside = |kind, statement: &str, back: bool, all: &[usize]| {
            let at = all[what.len() % all.len()];
            let plan = change(at, &|step| match back {
                false => step.sql = format!("{statement}; {}", step.sql),
                true => step.inverse.iter_mut().take(1).for_each(|i| i.sql = format!("{statement}; {}", i.sql)),
            });
            out.push(Spoiled { kind, plan, what: format!("{what}: {statement}{}", if back { " (back)" } else { "" }) });
        };
        let first = &places[..1];
        beside(
            "rows deleted",
            &format!("DELETE FROM {path} WHERE ctid = (SELECT min(ctid) FROM {path})"),
            false,
            &places,
        );
        let back: Vec<usize> =
            places.iter().copied().filter(|at| steps[*at].inverse.first().is_some_and(usual)).collect();
        if let Some(last) = back.first() {
            beside("rows deleted", &format!("TRUNCATE {path} CASCADE"), true, &[*last]);
        }
        let named = |id: &ObjectId| {
            let text = id.to_string();
            steps.iter().any(|s| {
                s.object == text
                    || s.with.contains(&text)
                    || s.inverse.iter().any(|i| i.object == text || i.with.contains(&text))
            })
        };
        for (id, object) in live.iter().filter(|(id, _)| id.parent() == Some(table) && id.kind().word == "column") {
            let keyed = live.iter().any(|(other, object)| {
                other.parent() == Some(table)
                    && format!("{:?}", object.attrs).contains(id.name().as_str())
                    && other != id
            });
            let plain = object.value("not-null").is_none() && object.value("generated").is_none();
            if plain && !keyed && end.get(id) == Some(object) && !named(id) {
                let update = format!("UPDATE {path} SET {} = NULL", name(id.name().as_str()));
                beside("values set to NULL", &update, false, first);
            }
            let identity = live.iter().find(|(other, _)| other.parent() == Some(id) && other.kind().word == "identity");
            if let Some((identity, own)) = identity
                && end.get(identity) == Some(own)
            {
                let literal = |text: &str| sql::literal(text);
                let set = format!(
                    "SELECT setval(pg_get_serial_sequence({}, {}), 1, false)",
                    literal(&path),
                    literal(id.name().as_str())
                );
                beside("a sequence set back", &set, false, first);
            }
        }
    }
    out
}

/// What came of spoiling.
#[derive(Default)]
struct Tally {
    plans: usize,
    found: BTreeMap<&'static str, (usize, usize)>,
    alarms: usize,
    unproved: usize,
}

async fn spoil(pair: &Pair, dice: &mut Dice, tally: &mut Tally) {
    let (here, there) = (TestDb::new(), TestDb::new());
    // A database with a subscription cannot be dropped.
    if pair.before.contains("SUBSCRIPTION") || pair.after.contains("SUBSCRIPTION") {
        return;
    }
    if here.try_execute(&pair.before).is_err() || there.try_execute(&pair.after).is_err() {
        return;
    }
    let session = there.session().await;
    let wanted = introspect::read(&session).await.unwrap_or_else(|error| panic!("{error}")).state;
    session.close().await;
    let Some(made) = made(&here, &wanted).await else { return };
    let honest = made.rehearse(&made.plan).await;
    let lines = |rehearsal: &Rehearsal| {
        let legs = rehearsal.proof.legs().into_iter();
        legs.flat_map(|(name, leg)| leg.lines().into_iter().map(move |line| format!("{name}: {line}")))
            .collect::<Vec<_>>()
            .join("\n    ")
    };
    match honest.proof.verdict() {
        Verdict::Failed => {
            tally.plans += 1;
            tally.alarms += 1;
            return println!("blamed: {}\n    {}", pair.name, lines(&honest));
        }
        Verdict::Unproved => {
            tally.unproved += 1;
            return println!("not rehearsed: {}: {}", pair.name, lines(&honest));
        }
        Verdict::Proved | Verdict::InPart => {}
    }
    let all = spoils(&made, &honest);
    let kinds: Vec<&'static str> = {
        let mut kinds: Vec<&'static str> = all.iter().map(|spoiled| spoiled.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    if kinds.is_empty() {
        return;
    }
    tally.plans += 1;
    let kind = kinds[dice.below(kinds.len())];
    let of_kind: Vec<&Spoiled> = all.iter().filter(|spoiled| spoiled.kind == kind).collect();
    let spoiled = of_kind[dice.below(of_kind.len())];
    let rehearsal = made.rehearse(&spoiled.plan).await;
    let count = tally.found.entry(kind).or_default();
    count.1 += 1;
    match rehearsal.proof.verdict() {
        Verdict::Failed => count.0 += 1,
        _ => println!("missed: {}: {kind}: {}", pair.name, spoiled.what),
    }
}

#[test]
fn a_spoiled_plan_is_found_and_no_other_is_blamed() {
    let begin = Instant::now();
    let (seed, plans) = (number("SETPOINT_TEST_SEED", SEED), number("SETPOINT_TEST_PLANS", PLANS as u64) as usize);
    let mut dice = Dice::new(seed);
    let pairs = match std::env::var("SETPOINT_TEST_CORPUS") {
        Ok(folders) => corpus(&folders, &mut dice),
        Err(_) => generated(seed, plans * 3),
    };
    roles();
    let mut tally = Tally::default();
    for pair in &pairs {
        if tally.plans >= plans {
            break;
        }
        wait(spoil(pair, &mut dice, &mut tally));
    }
    let (found, all) = tally.found.values().fold((0, 0), |(f, a), (found, all)| (f + found, a + all));
    println!(
        "seed {seed}: {} plans in {:.0?}, {found} of {all} spoiled ones found, {} not rehearsed",
        tally.plans,
        begin.elapsed(),
        tally.unproved
    );
    for (kind, (found, all)) in &tally.found {
        println!("  {kind}: {found} of {all}");
    }
    assert!(all > 0 && found * 100 >= all * 95, "{found} of {all} spoiled plans found");
    assert!(tally.alarms == 0, "{} plans that nobody spoiled failed", tally.alarms);
}
