//! There and back: one database becomes the other through files, a saved plan and the executor, and returns.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use setpoint::apply::{self, Allow, Goal, Options, Silent, Target};
use setpoint::catalog::{Session, Version};
use setpoint::diff::{self, Comparison};
use setpoint::model::{Class, Error, State};
use setpoint::plan::against::against;
use setpoint::plan::aid::{Aid, Built};
use setpoint::plan::beyond;
use setpoint::plan::chain::Chain;
use setpoint::plan::{Plan, Step};
use setpoint::project::Manage;
use setpoint::prove::Workshop;
use setpoint::sameness::memo::Known;
use setpoint::{introspect, load};

use crate::observing;
use crate::support::{TempDir, TestDb, wait};

/// The words of the kinds of which a journey created, altered and dropped objects, and which it wrote to files.
#[derive(Debug, Default)]
pub struct Seen {
    pub created: BTreeSet<&'static str>,
    pub altered: BTreeSet<&'static str>,
    pub dropped: BTreeSet<&'static str>,
    pub written: BTreeSet<&'static str>,
    /// What steps did that they do not claim, or claim and did not do, each on rows, down and up.
    pub unlike_claims: Vec<String>,
    /// How many steps were looked at.
    pub looked_at: usize,
    /// What was asked for.
    pub answers: Vec<String>,
}

/// Why a journey did not arrive.
#[derive(Debug)]
pub enum Failure {
    /// PostgreSQL itself refuses the SQL that a database is to be made with.
    Sql(String),
    /// The planner knows no way without loss.
    NoWay(String),
    /// Something is wrong.
    Wrong(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Sql(text) => write!(f, "the SQL of the case fails: {text}"),
            Failure::NoWay(text) => write!(f, "no plan: {text}"),
            Failure::Wrong(text) => f.write_str(text),
        }
    }
}

/// Roles that every case may use; roles belong to the server, so that they are made once.
pub fn roles() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        TestDb::with("CREATE ROLE keeper; CREATE ROLE reader; CREATE ROLE writer; CREATE ROLE \"Odd \"\"Role\"");
    });
}

/// Helps comparisons with one more throwaway server, which all journeys share; nothing is remembered.
pub struct Bench;

impl Aid for Bench {
    async fn recall(&self, _: &[String]) -> setpoint::model::Result<Known> {
        Ok(Known::default())
    }

    async fn build(&self, state: &State, then: &[Step], server: Version) -> setpoint::model::Result<Built> {
        static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
        WORKSHOP.get_or_init(Workshop::default).build(state, then, server).await
    }
}

/// Makes two databases, leads the first to the schema of the second, back, and there again.
pub fn travel(before: &str, after: &str) -> Result<Seen, Failure> {
    go(before, after, &Watch::Nothing)
}

/// As `travel`, and holds what the steps claim against what they do.
pub fn travel_observed(before: &str, after: &str) -> Result<Seen, Failure> {
    go(before, after, &Watch::Claims)
}

/// As `travel_observed`; asks what a query finds in the database at the end of the journey, and runs statements before it looks at steps.
pub fn travel_asked(before: &str, after: &str, query: &str, then: &str) -> Result<Seen, Failure> {
    go(before, after, &Watch::Asked(query, then))
}

/// What is looked at besides schemas.
enum Watch<'a> {
    Nothing,
    Claims,
    Asked(&'a str, &'a str),
}

fn go(before: &str, after: &str, watch: &Watch<'_>) -> Result<Seen, Failure> {
    roles();
    let (here, there) = (TestDb::new(), TestDb::new());
    here.try_execute(before).map_err(|error| Failure::Sql(format!("before: {error}")))?;
    there.try_execute(after).map_err(|error| Failure::Sql(format!("after: {error}")))?;
    wait(run(&here, &there, watch))
}

/// The steps that lead one database to the schema of another.
pub async fn steps(here: &TestDb, there: &TestDb) -> Result<Vec<Step>, Failure> {
    let (session, other) = (open(here).await?, open(there).await?);
    let wanted = read(&other).await?;
    let difference = against(&session, &wanted, &Manage::default(), &Bench).await.map_err(wrong("planning"))?;
    Ok(difference.made.steps)
}

async fn run(here: &TestDb, there: &TestDb, watch: &Watch<'_>) -> Result<Seen, Failure> {
    let (session, other) = (open(here).await?, open(there).await?);
    let start = read(&session).await?;
    let wanted = read(&other).await?;
    files(&session, &start).await?;
    let desired = files(&other, &wanted).await?;
    let comparison = diff::compare(&start, &wanted);
    let mut seen = seen(&comparison, &start, &wanted);
    let difference =
        against(&session, &desired, &Manage::default(), &Bench).await.map_err(|error| match error.class {
            Class::Refused => Failure::NoWay(error.to_string()),
            _ => wrong("planning")(error),
        })?;
    if let Some(unverified) = difference.unverified.first() {
        return Err(Failure::Wrong(format!(
            "unverified: {} {}: {}",
            unverified.id, unverified.attr, unverified.reason
        )));
    }
    if difference.made.steps.is_empty() && !comparison.is_empty() {
        return Err(Failure::Wrong(format!("no steps, though this differs:\n{}", shown(&comparison, &start, &wanted))));
    }
    if difference.made.steps.is_empty() {
        return Ok(seen);
    }
    let dir = TempDir::new();
    let mut chain = Chain::read(&dir.path().join("plans")).map_err(wrong("the chain"))?;
    let plan = Plan::new(&chain, "journey", load::files_hash(&desired), session.version.major(), difference.made);
    let steps = plan.steps.iter().flat_map(|step| std::iter::once(step).chain(&step.inverse));
    let edited: Vec<String> = steps
        .filter(|step| !beyond::agrees(step))
        .map(|step| format!("{} {}: {}", step.action.word(), step.object, step.sql))
        .collect();
    if !edited.is_empty() {
        return Err(Failure::Wrong(format!("taken for edited: {}", edited.join("\n"))));
    }
    let path = chain.append(&plan).map_err(wrong("saving"))?;
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Wrong(error.to_string()))?;
    let options = Options { allow: Allow { all: true, hazards: vec![] }, ..Options::default() };
    let stage = |what: &'static str| {
        let text = &text;
        move |error: Error| Failure::Wrong(format!("{what}: {error}\n{text}"))
    };
    let same = async |what: &'static str, expected: &State| -> Result<(), Failure> {
        let is = read(&session).await?;
        let comparison = diff::compare(expected, &is);
        if same_for(&session, &comparison, expected).await? {
            return Ok(());
        }
        Err(Failure::Wrong(format!("{what}:\n{}\n{text}", shown(&comparison, expected, &is))))
    };
    apply::run(&here.connect, &chain, Goal::Head, &options, &mut Silent).await.map_err(stage("up"))?;
    same("after the way up", &wanted).await?;
    let next = against(&session, &desired, &Manage::default(), &Bench).await.map_err(stage("planning again"))?;
    if !next.is_empty() {
        let steps: String = next.made.steps.iter().map(|step| format!("{};\n", step.sql)).collect();
        return Err(Failure::Wrong(format!("the next plan is not empty:\n{steps}{:?}\n{text}", next.unverified)));
    }
    apply::rollback(&here.connect, Target::To(0), &options, &mut Silent).await.map_err(stage("down"))?;
    same("after the way down", &start).await?;
    apply::run(&here.connect, &chain, Goal::Head, &options, &mut Silent).await.map_err(stage("up again"))?;
    same("after the second way up", &wanted).await?;
    if let Watch::Asked(query, then) = watch {
        let rows = session.rows(query, &[]).await.map_err(stage("asked"))?;
        seen.answers = rows.into_iter().map(|mut row| row.text().to_string()).collect();
        session.batch(then).await.map_err(stage("after asking"))?;
    }
    if !matches!(watch, Watch::Nothing) {
        (seen.unlike_claims, seen.looked_at) =
            observing::down_and_up(&session, &plan).await.map_err(stage("observed"))?;
    }
    Ok(seen)
}

fn wrong(what: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure::Wrong(format!("{what}: {error}"))
}

fn seen(comparison: &Comparison, start: &State, wanted: &State) -> Seen {
    let Comparison { created, dropped, changed, open } = comparison;
    Seen {
        created: created.iter().map(|id| id.kind().word).collect(),
        dropped: dropped.iter().map(|id| id.kind().word).collect(),
        altered: changed.iter().map(|(id, _)| id).chain(open.iter().map(|o| &o.id)).map(|id| id.kind().word).collect(),
        written: start.iter().chain(wanted.iter()).map(|(id, _)| id.kind().word).collect(),
        unlike_claims: Vec::new(),
        looked_at: 0,
        answers: Vec::new(),
    }
}

async fn open(db: &TestDb) -> Result<Session, Failure> {
    Session::open(&db.connect, "test").await.map_err(wrong("connecting"))
}

/// True if nothing differs. Stored text is not a fixed point, and names of types may be written in several ways: where only
/// such text differs, the server decides.
async fn same_for(session: &Session, comparison: &Comparison, desired: &State) -> Result<bool, Failure> {
    let Comparison { created, dropped, changed, open } = comparison;
    if !(created.is_empty() && dropped.is_empty() && changed.is_empty()) || open.is_empty() {
        return Ok(comparison.is_empty());
    }
    let difference = against(session, desired, &Manage::default(), &Bench).await.map_err(wrong("comparing"))?;
    Ok(difference.is_empty())
}

/// What a database holds; all of it has to be modelled.
async fn read(session: &Session) -> Result<State, Failure> {
    let live = introspect::read(session).await.map_err(wrong("reading"))?;
    match live.unmodelled.first() {
        Some(first) => Err(Failure::Wrong(format!("not modelled: {first}"))),
        None => Ok(live.state),
    }
}

/// The state of a database, written to files and read back: the same, and written the same way again.
async fn files(session: &Session, state: &State) -> Result<State, Failure> {
    let files: Vec<(PathBuf, String)> = load::write::files(state);
    let text: String = files.iter().map(|(_, text)| text.as_str()).collect();
    let loaded = load::load_texts(&files).map_err(|error| Failure::Wrong(format!("files: {error}\n{text}")))?;
    let comparison = diff::compare(state, &loaded.state);
    if !same_for(session, &comparison, &loaded.state).await? {
        return Err(Failure::Wrong(format!("files:\n{}\n{text}", shown(&comparison, state, &loaded.state))));
    }
    let again = load::write::files(&loaded.state);
    if again != files {
        let again: String = again.into_iter().map(|(_, text)| text).collect();
        return Err(Failure::Wrong(format!("written a second time, the files differ:\n{text}\n--- again\n{again}")));
    }
    Ok(loaded.state)
}

/// What differs, with values.
fn shown(comparison: &Comparison, old: &State, new: &State) -> String {
    let Comparison { created, dropped, changed, open } = comparison;
    let mut out = String::new();
    for (word, ids, state) in [("only there", created, new), ("only here", dropped, old)] {
        for id in ids {
            let _ = writeln!(out, "{word}: {id} {:?}", state.get(id).map(|object| &object.attrs));
        }
    }
    let attrs = changed.iter().flat_map(|(id, attrs)| attrs.iter().map(move |attr| (id, *attr)));
    for (id, attr) in attrs.chain(open.iter().map(|open| (&open.id, open.attr))) {
        let value = |state: &State| format!("{:?}", state.get(id).and_then(|object| object.value(attr)));
        let _ = writeln!(out, "{id}, {attr}:\n  {}\n  {}", value(old), value(new));
    }
    out
}
