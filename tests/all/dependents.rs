//! Dependents of what a plan changes: a plan passes its rehearsal if and only if it can be applied to the whole database with rows. A rehearsal
//! builds a part of it, and whatever the server looks at beyond that part would make the two differ.
//!
//! `SETPOINT_TEST_CHANGES` says how many changes, `SETPOINT_TEST_SEED` which.

use std::time::Instant;

use setpoint::apply::{self, Allow, Goal, Options, Silent, Target};
use setpoint::introspect;
use setpoint::model::{Error, ObjectId};
use setpoint::plan::chain::Chain;
use setpoint::plan::proof::Verdict;
use setpoint::plan::{Hazard, Step};
use setpoint::prove::rows::{self, Wanted};

use crate::journey::roles;
use crate::spoil::{Dice, made, number};
use crate::support::{TempDir, TestDb, default_major, wait};

/// How many changes a usual run makes.
const CHANGES: u64 = 12;
const SEED: u64 = 20_261_202;

/// What a schema is made of: each place has one of several forms. The first ones change, the others depend on them.
const CHANGING: &[&[&str]] = &[
    &[
        "CREATE TYPE addr AS (street text, zip text)",
        "CREATE TYPE addr AS (street text, zip integer)",
        "CREATE TYPE addr AS (street text, zip text, city text)",
        "CREATE TYPE addr AS (street text)",
        "CREATE TYPE addr AS (road text, zip text)",
    ],
    &[
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')",
        "CREATE TYPE mood AS ENUM ('ok', 'sad')",
    ],
    &[
        "CREATE DOMAIN code AS text",
        "CREATE DOMAIN code AS varchar(200)",
        "CREATE DOMAIN code AS text CHECK (length(VALUE) < 1000)",
        "CREATE DOMAIN code AS text NOT NULL",
    ],
    &["CREATE TYPE span AS RANGE (subtype = integer)", "CREATE TYPE span AS RANGE (subtype = bigint)"],
    &[
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, name text, m mood)",
        "CREATE TABLE base (id integer PRIMARY KEY, n bigint, name text, m mood)",
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, name varchar(300), m mood)",
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, name text, m mood, more integer DEFAULT 7)",
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, name text, m mood, more code)",
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, name text)",
        "CREATE TABLE base (id integer PRIMARY KEY, n integer, m mood)",
        "CREATE TABLE base (id integer UNIQUE, n integer, name text, m mood)",
        "CREATE TABLE base (id bigint PRIMARY KEY, n integer, name text, m mood)",
    ],
    &[
        "CREATE TABLE parted (id integer, k integer, note text) PARTITION BY LIST (k)",
        "CREATE TABLE parted (id integer, k integer, note varchar(200)) PARTITION BY LIST (k)",
        "CREATE TABLE parted (id bigint, k integer, note text) PARTITION BY LIST (k)",
        "CREATE TABLE parted (id integer, k integer) PARTITION BY LIST (k)",
    ],
];

const DEPENDING: &[&str] = &[
    "CREATE TYPE place AS (a addr, n integer)",
    "CREATE DOMAIN home AS addr CHECK ((VALUE).street <> 'nowhere')",
    "CREATE TABLE child (extra integer) INHERITS (base)",
    "CREATE TABLE grandchild (further integer) INHERITS (child)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE parted_2 PARTITION OF parted DEFAULT",
    "CREATE TABLE of_addr (id integer, a addr)",
    "CREATE TABLE of_addrs (a addr[])",
    "CREATE TABLE of_place (p place)",
    "CREATE TABLE of_home (h home)",
    "CREATE TABLE of_code (c code, d code DEFAULT 'x')",
    "CREATE TABLE of_codes (c code[])",
    "CREATE TABLE of_mood (m mood DEFAULT 'sad', CHECK (m <> 'ok'))",
    "CREATE TABLE of_moods (m mood[])",
    "CREATE TABLE of_span (s span)",
    "CREATE TABLE of_base (b base)",
    "CREATE TABLE of_bases (b base[])",
    "CREATE TABLE typed OF addr",
    "CREATE TABLE kids (base integer REFERENCES base (id))",
    "CREATE VIEW v_base AS SELECT id, name FROM base",
    "CREATE VIEW v_whole AS SELECT b AS whole FROM base b",
    "CREATE VIEW v_over AS SELECT name FROM v_base",
    "CREATE VIEW v_child AS SELECT name, n FROM child",
    "CREATE VIEW v_part AS SELECT note, id FROM parted_1",
    "CREATE VIEW v_addr AS SELECT (a).zip FROM of_addr",
    "CREATE MATERIALIZED VIEW mv_base AS SELECT n FROM base",
    "CREATE FUNCTION f_base(base) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$",
    "CREATE FUNCTION f_addr(addr) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$; CREATE INDEX i_addr ON of_addr (f_addr(a))",
    "CREATE FUNCTION f_out() RETURNS SETOF base LANGUAGE sql AS $$ SELECT * FROM public.base $$",
    "CREATE TABLE guarded (id integer); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON guarded USING (id IN (SELECT n FROM base))",
    "CREATE TABLE noted (id integer); CREATE RULE also AS ON DELETE TO noted DO ALSO UPDATE base SET n = n",
    "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
     CREATE TRIGGER fires BEFORE UPDATE OF name ON base FOR EACH ROW WHEN (NEW.n > 0) EXECUTE FUNCTION fire()",
    "CREATE INDEX i_base ON base (lower(name))",
    "CREATE INDEX i_part ON parted_1 (note)",
    "ALTER TABLE child ADD CHECK (n IS NULL OR n > -2000000000)",
    "CREATE STATISTICS s_base ON n, id FROM base",
    "CREATE PUBLICATION pub FOR TABLE base",
];

/// The schema with those forms, and those that depend on them, as far as PostgreSQL takes them.
struct Draft {
    forms: Vec<usize>,
    depending: Vec<usize>,
}

impl Draft {
    fn new(dice: &mut Dice) -> Self {
        let forms = CHANGING.iter().map(|forms| if dice.below(3) == 0 { dice.below(forms.len()) } else { 0 }).collect();
        Self { forms, depending: (0..DEPENDING.len()).filter(|_| dice.below(4) == 0).collect() }
    }

    fn changed(&self, dice: &mut Dice) -> Self {
        let mut forms = self.forms.clone();
        for _ in 0..1 + dice.below(2) {
            let place = dice.below(forms.len());
            forms[place] = dice.below(CHANGING[place].len());
        }
        Self { forms, depending: self.depending.clone() }
    }

    /// Builds it in an empty database. What PostgreSQL does not take is left out; gives what it took.
    fn build(&self, db: &TestDb) -> Vec<&'static str> {
        let forms = CHANGING.iter().zip(&self.forms).map(|(forms, at)| forms[*at]);
        let all = forms.chain(self.depending.iter().map(|at| DEPENDING[*at]));
        all.filter(|sql| db.try_execute(sql).is_ok()).collect()
    }
}

#[derive(Default)]
struct Tally {
    plans: usize,
    accepted: usize,
    refused: usize,
    on_data: usize,
    unproved: Vec<String>,
}

async fn case(dice: &mut Dice, tally: &mut Tally) -> Result<(), String> {
    let (here, there) = (TestDb::new(), TestDb::new());
    let before = Draft::new(dice);
    let after = before.changed(dice);
    if before.forms == after.forms {
        return Ok(());
    }
    let (was, is) = (before.build(&here), after.build(&there));
    let (session, other) = (here.session().await, there.session().await);
    let live = introspect::read(&session).await.map_err(shown)?.state;
    let tables: Vec<ObjectId> = live.iter().map(|(id, _)| id).filter(|id| id.kind().word == "table").cloned().collect();
    let wanted = Wanted { tables: Some(tables), seed: dice.below(1 << 30) as u64, edges: false, ..Wanted::default() };
    rows::fill(&session, &wanted).await.map_err(shown)?;
    let wanted = introspect::read(&other).await.map_err(shown)?.state;
    let Some(made) = made(&here, &wanted).await else { return Ok(()) };
    let plan = &made.plan;
    let told = |what: String| format!("{what}\n--- before\n{}\n--- after\n{}\n", was.join(";\n"), is.join(";\n"));
    let rehearsal = made.rehearse(plan).await;
    let legs = rehearsal.proof.legs();
    let lines: Vec<String> = legs.iter().flat_map(|(_, leg)| leg.lines()).map(str::to_owned).collect();
    let verdict = rehearsal.proof.verdict();
    tally.plans += 1;
    let dir = TempDir::new();
    let mut chain = Chain::read(dir.path()).map_err(shown)?;
    chain.append(plan).map_err(shown)?;
    let options = Options { allow: Allow { all: true, hazards: vec![] }, ..Options::default() };
    let live = async {
        apply::run(&here.connect, &chain, Goal::Head, &options, &mut Silent).await.map(drop)?;
        apply::rollback(&here.connect, Target::To(0), &options, &mut Silent).await.map(drop)?;
        apply::run(&here.connect, &chain, Goal::Head, &options, &mut Silent).await.map(drop)
    };
    let live: Result<(), Error> = live.await;
    let says =
        |step: &Step| step.hazards.iter().any(|f| matches!(f.hazard, Hazard::MayFailOnData | Hazard::Irreversible));
    let said = plan.steps.iter().any(|step| says(step) || step.inverse.iter().any(says));
    let on_data = live.as_ref().err().is_some_and(|error| error.details.iter().any(|line| line.contains("SQLSTATE 2")));
    let asked = live.as_ref().err().is_some_and(|error| error.message.starts_with("existing rows need a value"));
    match (verdict, live) {
        (Verdict::Unproved, _) => tally.unproved.push(told(lines.join("; "))),
        (_, Err(_)) if on_data && said || asked => tally.on_data += 1,
        (Verdict::Failed, Err(_)) => tally.refused += 1,
        (Verdict::Failed, Ok(())) => return Err(told(format!("only the rehearsal fails: {}", lines.join("; ")))),
        (_, Err(error)) => {
            return Err(told(format!("accepted, and cannot be applied: {error} {}", error.details.join("; "))));
        }
        (_, Ok(())) => tally.accepted += 1,
    }
    Ok(())
}

fn shown(error: Error) -> String {
    error.to_string()
}

#[test]
fn what_passes_its_rehearsal_can_be_applied_to_all_that_depends_on_it() {
    let begin = Instant::now();
    let (seed, changes) = (number("SETPOINT_TEST_SEED", SEED), number("SETPOINT_TEST_CHANGES", CHANGES) as usize);
    let mut dice = Dice::new(seed);
    roles();
    let (mut tally, mut problems) = (Tally::default(), Vec::new());
    while tally.plans < changes && problems.len() < 10 {
        if let Err(problem) = wait(case(&mut dice, &mut tally)) {
            println!("=== {problem}");
            problems.push(problem);
        }
    }
    let Tally { plans, accepted, refused, on_data, unproved } = &tally;
    println!(
        "seed {seed}, PostgreSQL {}: {plans} plans in {:.0?}; {accepted} run in both places, {refused} in none, {on_data} failed on data, as \
         they said, or ask for a value; {} not rehearsed",
        default_major(),
        begin.elapsed(),
        unproved.len()
    );
    unproved.iter().take(5).for_each(|line| println!("not rehearsed: {line}"));
    assert!(problems.is_empty(), "{} plans:\n{}", problems.len(), problems.join("\n"));
    assert!(*accepted > 0 && *refused > 0 && unproved.len() * 4 <= *plans, "one side was hardly tried");
}
