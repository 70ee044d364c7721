//! Rehearses a plan with rows: repeats the trip in identical databases until the outcome is clear.

use crate::apply::stale;
use crate::catalog::Session;
use crate::diff;
use crate::kinds::{extension, schema};
use crate::model::{Digest, Edges, Error, Object, Result, State};
use crate::plan::proof::{Leg, Proof, Rows};
use crate::plan::{self, Action, Hazard, Plan, Step, Wanted};
use crate::scratch::{Author, Site};

use super::claims::Observation;
use super::routines::quoted;
use super::runner::{self, Failure, Stop};
use super::stage::{self, Scene};
use super::trip::{Cargo, From, Travel, Trip, Way};
use super::{Prover, load};

/// How often a plan is tried before its tables stay empty.
const TRIES: usize = 9;

/// The largest state that is built completely if a part of it was not enough.
const WHOLE: usize = 4000;

/// Why a plan was not rehearsed, or what was seen.
pub struct Rehearsal {
    pub proof: Proof,
    /// The step that failed, if one did.
    pub step: Option<Step>,
    /// True if the plan needs more privileges than its author has here.
    pub untrusted: bool,
}

/// What stopped a plan, and what steps that people wrote were seen to do.
pub(super) type Outcome = (Option<(Way, Stop)>, Vec<Observation>);

impl Rehearsal {
    /// What was seen, and what stopped it.
    pub(super) fn new(proof: Proof, stop: Option<(Way, Stop)>) -> Self {
        let (step, untrusted) = match stop {
            Some((_, Stop::Failed(failure))) if !matches!(proof.up, Leg::Unproved(_)) => {
                (failure.step.map(|(_, step)| step), false)
            }
            Some((_, Stop::Untrusted(_))) => (None, true),
            _ => (None, false),
        };
        Self { proof, step, untrusted }
    }
}

/// Where the databases for a rehearsal come from.
pub(super) enum Source<'a> {
    /// They are copies of one that has no connections.
    Copies(&'a Site),
    /// They are built.
    Built(&'a Prover, &'a State),
}

/// What a plan is rehearsed with.
pub(super) struct Pattern<'a> {
    pub source: Source<'a>,
    /// True if `pg_dump` should compare too.
    pub witness: bool,
    /// True if a name is known although the database does not have it.
    pub known: &'a dyn Fn(&str) -> bool,
    /// What the plan leads to, where that is known.
    pub end: Option<&'a State>,
}

impl Pattern<'_> {
    /// Rehearses a plan, and writes into the proof what was seen. Gives what stopped it and where, and what steps that people wrote were
    /// seen to do.
    ///
    /// # Errors
    /// Failures unrelated to the plan.
    pub async fn rehearse(&self, plan: &Plan, proof: &mut Proof) -> Result<Outcome> {
        let (mut cargo, mut without, mut observed) = (Cargo::first(), Vec::new(), Vec::new());
        for attempt in 1.. {
            let trip = match self.trip(plan, &cargo).await? {
                Ok(trip) => trip,
                Err(stop) => {
                    let lines = stop.lines().join("; ");
                    proof.up = Leg::Unproved(format!("what it starts from was not built: {lines}"));
                    return Ok((Some((Way::Up, stop)), observed));
                }
            };
            observed.extend(trip.observed.iter().cloned());
            if let Some(other) = another(plan, &trip, &mut without).filter(|_| attempt < TRIES) {
                // What rows keep from running may still run without any.
                cargo = if attempt + 1 < TRIES { other } else { Cargo::Nothing };
                continue;
            }
            let mut rows = Rows { count: trip.load.count, tables: trip.load.tables, without };
            rows.without.extend(trip.load.without.iter().cloned());
            proof.rows = Some(rows);
            (proof.up, proof.down, proof.again) = (trip.up, trip.down, trip.again);
            return Ok((trip.stop, observed));
        }
        Ok((None, observed))
    }

    async fn trip(&self, plan: &Plan, cargo: &Cargo) -> Result<Result<Trip, Stop>> {
        let site = match &self.source {
            Source::Copies(site) => site.copy("trip").await?,
            Source::Built(prover, _) => prover.site("trip").await?,
        };
        let session = site.session("prove").await?;
        let built = match &self.source {
            Source::Copies(_) => Ok(()),
            Source::Built(_, state) => build(&site, &session, state).await,
        };
        let trip = match built {
            Ok(()) => {
                let Self { witness, known, end, .. } = *self;
                Travel { plan, site: &site, session: &session, witness, known, end }.go(cargo).await.map(Ok)
            }
            Err(stop) => Ok(Err(stop)),
        };
        session.close().await;
        match self.source {
            Source::Copies(_) => site.drop().await?,
            Source::Built(prover, _) => prover.leave(site),
        }
        trip
    }
}

/// What to try next if rows kept a step from running, and the step says that it may fail on them.
fn another(plan: &Plan, trip: &Trip, without: &mut Vec<String>) -> Option<Cargo> {
    let Some((way, Stop::Failed(failure))) = &trip.stop else { return None };
    let Cargo::Rows { from, plain, but } = &trip.cargo else { return None };
    let failed = |leg: &Leg| matches!(leg, Leg::Failed(_));
    let before = match way {
        Way::Up => false,
        Way::Down => failed(&trip.up),
        Way::Again => failed(&trip.up) || failed(&trip.down),
    };
    // A difference in values counts, whatever comes after it.
    if before || !on_data(&failure.error) {
        return None;
    }
    if !may_fail(plan, *way, failure) && !answered(plan, *way, failure) {
        // What somebody computes for an index need not be possible at the edges of a type.
        let computes = failure.error.sqlstate.as_deref().is_some_and(|code| code.starts_with("22"))
            && failure.step.as_ref().is_some_and(|(_, step)| step.action == Action::Create);
        return (computes && !plain).then(|| Cargo::Rows { from: *from, plain: true, but: but.clone() });
    }
    // Rows that fit the new state may also fit the old one.
    if but.is_empty() && *from == From::Start && *way == Way::Up {
        return Some(Cargo::Rows { from: From::Top, plain: *plain, but: Vec::new() });
    }
    // The edge of one type is often beyond that of another.
    if !plain {
        return Some(Cargo::Rows { from: From::Start, plain: true, but: but.clone() });
    }
    let (_, step) = failure.step.as_ref()?;
    let table = table(plan, step);
    let shown = table.as_ref().map_or_else(|| step.object.clone(), |[schema, name]| format!("table {schema}.{name}"));
    without.push(format!("{shown}: no rows were found that fit before and after ({})", failure.error.message));
    match table {
        Some(table) if !but.contains(&table) => {
            let but = but.iter().cloned().chain([table]).collect();
            Some(Cargo::Rows { from: From::Start, plain: false, but })
        }
        _ => Some(Cargo::Nothing),
    }
}

/// True for what a server says of values and constraints. That NaN and infinity have no counterpart it calls a missing feature
/// (`numeric_int4`, numeric.c).
fn on_data(error: &Error) -> bool {
    let not_finite =
        || error.message.contains("cannot convert NaN") || error.message.contains("cannot convert infinity");
    error.sqlstate.as_deref().is_some_and(|code| {
        code.starts_with("22") || code.starts_with("23") || code == "P0001" || code == "0A000" && not_finite()
    })
}

/// True if the plan says that the step may fail on rows. What is declared for an object is at its first step; errors at commit are about
/// any step of its transaction.
fn may_fail(plan: &Plan, way: Way, failure: &Failure) -> bool {
    let Some((transaction, step)) = &failure.step else { return false };
    let names = |step: &Step, hazard| step.hazards.iter().any(|finding| finding.hazard == hazard);
    let says = |step: &Step| names(step, Hazard::MayFailOnData);
    let ours = |other: &Step| other.object == step.object;
    plan.steps.iter().any(|other| match way {
        // What is declared irreversible need not be restored with rows either.
        Way::Down => {
            let back = other.inverse.iter().any(|inverse| says(inverse) && ours(inverse));
            let lost = names(other, Hazard::Irreversible) && other.inverse.iter().any(ours);
            other.transaction == *transaction && (back || lost)
        }
        Way::Up | Way::Again => says(other) && (ours(other) || other.transaction == *transaction),
    })
}

/// True if the step looks at a table in which a person would have been asked for values: what was said instead may be wrong.
fn answered(plan: &Plan, way: Way, failure: &Failure) -> bool {
    let Some((_, step)) = &failure.step else { return false };
    let table = |object: &str| stale::names(object)?.get(..2).map(<[String]>::to_vec);
    let objects = std::iter::once(&step.object).chain(step.lock.iter().chain(&step.locks).map(|(_, on)| on));
    let tables: Vec<_> = objects.filter_map(|object| table(object)).collect();
    let filled = |step: &Step| step.fill.as_deref().and_then(table).is_some_and(|filled| tables.contains(&filled));
    plan.steps.iter().any(|step| match way {
        Way::Down => step.inverse.iter().any(filled),
        Way::Up | Way::Again => filled(step),
    })
}

/// The table that a step is about, under the name that it has before the plan.
fn table(plan: &Plan, step: &Step) -> Option<[String; 2]> {
    let mut objects = std::iter::once(step.object.as_str()).chain(step.lock.iter().map(|(_, on)| on.as_str()));
    let tables = load::of_plan(plan);
    let pair = |object| match stale::names(object)?.as_slice() {
        [schema, name, ..] => Some([schema.clone(), name.clone()]),
        _ => None,
    };
    let found = objects.find_map(|object| pair(object).filter(|pair| tables.contains(pair)))?;
    Some(load::before(plan, &found))
}

impl Prover {
    /// Rehearses a plan that starts from a state, of which only what is needed is built.
    ///
    /// # Errors
    /// What has nothing to do with the plan: the server's end.
    pub async fn rehearse(&self, plan: &Plan, scene: &Scene<'_>) -> Result<Rehearsal> {
        if self.author != Author::Trusted && stage::has_guests(scene, plan) {
            // PostgreSQL does not refuse them to everybody who may not give them: it warns, and does nothing.
            let mut proof = self.blank(plan).await?;
            let why = "only the owner of an extension's objects gives rights on them, and that is a superuser here";
            proof.up = Leg::Unproved(why.into());
            return Ok(Rehearsal { proof, step: None, untrusted: true });
        }
        let part = stage::of(scene, plan);
        let rehearsal = self.on_stage(plan, &part, scene).await?;
        let lacks = rehearsal.step.is_some() && rehearsal.proof.up.lines().iter().any(|line| missing(line));
        if lacks && part.len() < scene.start.len() && scene.start.len() <= WHOLE {
            // Something is needed that cannot be determined.
            return self.on_stage(plan, &stage::whole(scene.start, plan), scene).await;
        }
        Ok(rehearsal)
    }

    async fn on_stage(&self, plan: &Plan, stage: &State, scene: &Scene<'_>) -> Result<Rehearsal> {
        // A superuser builds under a name other than that of the role that it stands in for.
        let left = (self.author == Author::Trusted).then(|| stage::left_to_creator(stage, scene.creator, plan));
        let stage = left.as_ref().unwrap_or(stage);
        let wants_any = stage.of_kind(extension::KIND.word).next().is_some();
        let available = if wants_any { self.extensions().await? } else { Vec::new() };
        let stage = stage::without_extensions(stage, &available);
        let stage = &stage;
        let mut proof = self.blank(plan).await?;
        let names = std::cell::OnceCell::new();
        let known = |name: &str| {
            let all = || -> rustc_hash::FxHashSet<String> {
                let ids = scene.start.iter().chain(scene.end.iter()).map(|(id, _)| id);
                ids.filter(|id| id.root() == *id).map(|id| id.name().as_str().to_owned()).collect()
            };
            names.get_or_init(all).contains(name)
        };
        let pattern =
            Pattern { source: Source::Built(self, stage), witness: false, known: &known, end: Some(scene.end) };
        let (stop, _) = pattern.rehearse(plan, &mut proof).await?;
        Ok(Rehearsal::new(proof, stop))
    }
}

/// Builds a state in an empty database.
async fn build(site: &Site, session: &Session, stage: &State) -> Result<(), Stop> {
    let mut empty = State::default();
    empty.put(schema::id("public"), Object::default());
    let comparison = diff::compare(&empty, stage);
    let changes = diff::changes(&comparison, &diff::Answers::default(), &empty, stage);
    let made = plan::plan(&Wanted::new(&empty, stage, &Edges::default(), changes, session.version))?;
    let build = Plan {
        number: 0,
        name: "stage".into(),
        files: Digest::of_bytes(b""),
        after: None,
        server: session.version.major(),
        tool: String::new(),
        sealed: false,
        footprint: Vec::new(),
        steps: made.steps,
        proof: None,
    };
    runner::up(site, session, &build, &mut ()).await
}

/// True if a step failed because something does not exist.
fn missing(line: &str) -> bool {
    line.ends_with(" does not exist") && quoted(line).is_some()
}

/// The error that refuses a plan that failed its rehearsal.
pub fn refusal(plan: &Plan, rehearsal: &Rehearsal) -> Error {
    let mut error =
        Error::refused(format!("plan {} ({}) failed its rehearsal on a throwaway server", plan.number, plan.name));
    for (name, leg) in rehearsal.proof.legs() {
        if let Leg::Failed(lines) = leg {
            let way = if name == "again" { "up again" } else { name };
            error.details.extend(lines.iter().map(|line| format!("{way}: {line}")));
        }
    }
    if let Some(step) = &rehearsal.step {
        error.details.push(format!("the step: {}", step.sql));
    }
    let by_hand = plan.steps.iter().any(|step| step.action == Action::Manual);
    error.remedy(if by_hand {
        "fix the step; or save the plan as it is, with --no-rehearsal"
    } else {
        "change schema/ so that the plan can run on rows, or write the step by hand (`setpoint plan --save NAME --empty`); to save the \
         plan as it is: --no-rehearsal"
    })
}
