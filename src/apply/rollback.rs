//! `rollback`: runs the recorded inverse steps, newest first, and unwinds an unfinished run.

use std::cell::Cell;

use crate::catalog::{Connect, Session};
use crate::introspect;
use crate::ledger::{self, Direction, Headed, How, Ledger, NewRun, Pen, Revision, Run};
use crate::model::{Class, Error, Result, State};
use crate::plan::{Hazard, Plan, Step, file};

use super::aim::{self, Target};
use super::executor::{Executor, Unit};
use super::fill;
use super::lent::Lender;
use super::lost;
use super::trip::{Doubt, Trip, Witness, rollback_to};
use super::{
    Meant, Opened, Options, Progress, Summary, alone, label, lineage, refuse_remaining, rights, stale, under_way,
};

/// A plan that is to be rolled back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The plan as it was recorded.
    pub plan: Plan,
    /// Its text in the ledger.
    pub text: String,
    /// How many of its steps were done.
    pub top: usize,
    /// True if it is a recorded revision; false: an unfinished run.
    pub recorded: bool,
    /// The inverse steps that are done: the index of the plan's step, and the index in its inverse.
    pub done: Vec<(usize, usize)>,
}

impl Undo {
    /// The remaining inverse steps, in the order in which they run.
    pub fn steps(&self) -> Vec<Step> {
        self.to_come().map(|unit| Step { transaction: unit.group, ..unit.step.clone() }).collect()
    }

    fn to_come(&self) -> impl Iterator<Item = Unit<'_>> {
        self.units().into_iter().filter(|unit| !self.done.contains(&(unit.index, unit.sub)))
    }

    /// The first step without an inverse that the rollback has not passed yet.
    fn without_inverse(&self) -> Option<&Step> {
        let passed = self.done.iter().map(|(index, _)| *index).min().unwrap_or(self.top);
        let mut steps = self.plan.steps.iter().enumerate().take(self.top.min(passed));
        steps.find(|(at, _)| self.plan.is_one_way(*at)).map(|(_, step)| step)
    }

    /// The inverse steps with the index of their step, in the order in which they run.
    fn units(&self) -> Vec<Unit<'_>> {
        let steps = self.plan.steps.iter().enumerate().take(self.top).rev();
        steps
            .flat_map(|(index, step)| {
                let inverse = step.inverse.iter().enumerate();
                inverse.map(move |(sub, inverse)| Unit { index, sub, step: inverse, group: step.transaction })
            })
            .collect()
    }
}

/// What a rollback will do, and the revision at which it has to stop because it never ran here.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Newest first.
    pub undo: Vec<Undo>,
    /// The revision that was asked for.
    pub asked: u32,
    /// Where it ends.
    pub goal: u32,
    /// The floor, if it is above the target.
    pub floor: Option<Revision>,
}

impl Way {
    /// This way and no longer one, whatever happens before the lock is taken.
    pub fn seen(&self) -> Target {
        let newest = self.undo.first().map(|undo| (undo.plan.number, undo.plan.hash()));
        Target::Seen { goal: self.asked, newest }
    }

    /// Refuses to take back what came after the command was given.
    fn refuse_newer(&self, target: Target) -> Result<()> {
        let Target::Seen { goal, newest } = target else { return Ok(()) };
        let known = |undo: &Undo| match newest {
            Some((number, hash)) => undo.plan.number < number || undo.plan.number == number && undo.plan.hash() == hash,
            None => false,
        };
        match self.undo.first().filter(|undo| !known(undo)) {
            None => Ok(()),
            Some(undo) => Err(Error::stale("the database went on while this command waited")
                .detail(format!(
                    "{} was applied meanwhile; nothing was taken back",
                    label(undo.plan.number, &undo.plan.name)
                ))
                .remedy(format!("if that is to be taken back, too, run {}", rollback_to(goal)))),
        }
    }
}

/// Finds out what a rollback will do.
///
/// # Errors
/// `Usage` for a target that does not exist, and the server's.
pub async fn preview(session: &Session, ledger: &Ledger, target: Target) -> Result<Way> {
    let asked = aim::revision(ledger, target)?;
    let goal = asked;
    let floor = ledger.revisions.iter().rev().find(|revision| revision.how != How::Applied && revision.number > goal);
    let goal = floor.map_or(goal, |floor| floor.number);
    let mut undo = Vec::new();
    if let Some(run) = ledger.run.as_ref().filter(|run| run.number > goal) {
        let plan = read(run.number, &run.name, &run.plan)?;
        let entries = |direction| run.entries.iter().filter(move |entry| entry.direction == direction);
        let top = match run.direction {
            Direction::Down => run.top,
            Direction::Up => entries(Direction::Up).map(|entry| entry.step + 1).max().unwrap_or(0),
        };
        let done = entries(Direction::Down).filter(|entry| entry.done).map(|entry| (entry.step, entry.sub)).collect();
        undo.push(Undo { plan, text: run.plan.clone(), top, recorded: run.recorded, done });
    }
    let running = ledger.run.as_ref().map(|run| run.number);
    for revision in ledger.revisions.iter().rev().filter(|r| r.number > goal && Some(r.number) != running) {
        let text = ledger::plan_text(session, revision.number).await?.unwrap_or_default();
        let plan = ledger.plan(revision, &text)?;
        undo.push(Undo { top: plan.steps.len(), plan, text, recorded: true, done: Vec::new() });
    }
    Ok(Way { undo, asked, goal, floor: floor.cloned() })
}

fn read(number: u32, name: &str, text: &str) -> Result<Plan> {
    file::read(&format!("the ledger's {}", file::file_name(number, name)), text)
}

/// Rolls plans back. Each is recorded in the journal like an apply, and can be resumed like one.
///
/// # Errors
/// `Busy`, `Stale`, `Refused` for hazards and at the floor, and whatever the server reports.
pub async fn rollback(
    connect: &Connect,
    target: Target,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let trip = Trip::new(Direction::Down);
    let (target, mut all) = (Cell::new(target), Summary::default());
    let before = async |session: &Session| {
        target.set(aim::back(session, target.get()).await?);
        Ok(())
    };
    lost::through(connect, &trip, options, progress, before, async |opened, progress| {
        let result = take_back(opened, target.get(), &trip, options, &mut all, progress).await;
        result.map_err(|error| trip.advise(error))
    })
    .await?;
    Ok(all)
}

async fn take_back(
    opened: &Opened,
    target: Target,
    trip: &Trip,
    options: &Options,
    summary: &mut Summary,
    progress: &mut dyn Progress,
) -> Result<()> {
    let session = &opened.session;
    let mut ledger = Ledger::read_closely(session, &options.plans).await?;
    let pen = ledger.pen(session)?;
    ledger.warning().iter().for_each(|warning| progress.warning(warning));
    if let Some(mut run) = ledger.run.take_if(|run| run.direction == Direction::Up) {
        // It may drop an index that the run left invalid.
        lineage::own(&ledger, &read(run.number, &run.name, &run.plan)?, &options.plans)?;
        settle(opened, pen, options, trip, &mut run).await?;
        ledger.run = Some(run);
    }
    let mut way = preview(session, &ledger, target).await?;
    way.undo.iter().try_for_each(|undo| lineage::own(&ledger, &undo.plan, &options.plans))?;
    let goes_on = trip.goal.replace(Some(way.asked)).is_some();
    way.refuse_newer(target)?;
    allowed(&way, options)?;
    let to_come: Vec<Unit<'_>> = way.undo.iter().flat_map(Undo::to_come).collect();
    let to_come: Vec<&Step> = to_come.iter().map(|unit| unit.step).collect();
    Lender::new(session).await?.refuse(&to_come, &options.allow).await?;
    rights::check(session, true, to_come.iter().copied()).await?;
    fill::check(session, &to_come, &options.fills).await?;
    let meant = super::refuse_captured(session, &to_come, ledger.current()).await?;
    let run = ledger.run.take();
    summary.resumed |= run.is_some();
    summary.current = ledger.current();
    refuse_other_way(run.as_ref(), &way)?;
    match target {
        // After the connection was lost: the command is still the same one.
        _ if goes_on => {}
        Target::To(_) if ledger.headed.is_some() => ledger::arrived(pen).await?,
        Target::To(_) => {}
        Target::Back(_) | Target::Seen { .. } => head(pen, &ledger, target, &way, progress).await?,
    }
    if let Some(run) = run.as_ref().filter(|run| run.direction == Direction::Up && run.number > way.goal) {
        let top = way.undo.first().map_or(0, |undo| undo.top);
        ledger::turn_down(pen, run.number, top, way.goal).await?;
    }
    let mut current = run.map(|run| Run { direction: Direction::Down, ..run });
    let undo = std::mem::take(&mut way.undo);
    for (at, one) in undo.iter().enumerate() {
        let before = ledger.revisions.iter().rev().map(|r| r.number).find(|number| *number < one.plan.number);
        trip.before.set(before.unwrap_or(0));
        let taken_up = current.take().filter(|run| run.number == one.plan.number);
        let fresh = one.recorded
            && taken_up.as_ref().is_none_or(|run| !run.entries.iter().any(|e| e.direction == Direction::Down));
        if fresh {
            let snapshot = ledger::snapshot_of(session, one.plan.number).await?;
            let live = super::reading(session, introspect::read(session)).await;
            let live = live.map_err(|error| if at == 0 { trip.not_begun(error) } else { error })?.state;
            if let Err(error) = stale::check_back(&one.plan, &live, snapshot.as_ref(), &options.manage) {
                if at > 0 || taken_up.is_some() {
                    ledger::cancel_run(pen, one.plan.number).await?;
                }
                return Err(error);
            }
        }
        let new = new_run(one, way.goal);
        if at == 0 && taken_up.is_none() {
            ledger::start(pen, &new).await?;
        }
        let run = taken_up.unwrap_or_else(|| super::up::begun(&new));
        let executor = Executor { session, pen, watch: &opened.watch, options, trip, meant: &meant };
        let label = label(one.plan.number, &one.plan.name);
        executor.run(&label, &run, &one.units(), progress).await?;
        let next = undo.get(at + 1).map(|next| new_run(next, way.goal));
        finish(pen, trip, one, &new, before, next.as_ref(), options).await?;
        progress.end(&label, Direction::Down);
        summary.plans.push((one.plan.number, one.plan.name.clone()));
        summary.current = before.unwrap_or(0);
    }
    if !matches!(target, Target::To(_)) || ledger.headed.is_some() {
        let _ = ledger::arrived(pen).await; // if it stays, the next relative command only finds out that nothing is left
    }
    way.floor.map_or(Ok(()), |floor| Err(never_ran(&floor)))
}

fn never_ran(floor: &Revision) -> Error {
    let (how, by, at) = (floor.how.word(), &floor.by, &floor.at);
    Error::refused(format!("revision {} ({}) never ran on this database", floor.number, floor.name))
        .detail(format!("it was {how} by {by} at {at}, so there is nothing to roll back"))
        .remedy(format!("the database is at revision {} now; drop by hand what you no longer want", floor.number))
}

/// Checks that rolling a plan back led to where it came from, and records that it is gone.
async fn finish(
    pen: Pen<'_>,
    trip: &Trip,
    one: &Undo,
    run: &NewRun<'_>,
    before: Option<u32>,
    next: Option<&NewRun<'_>>,
    options: &Options,
) -> Result<()> {
    let session = pen.session;
    let live = super::reading(session, introspect::read(session)).await?.state;
    let snapshot = match before {
        Some(number) => known_snapshot(session, number).await?,
        None => None,
    };
    stale::reached_back(&one.plan, &live, snapshot.as_ref(), &options.manage)
        .map_err(|error| error.remedy(trip.remedy()))?;
    if let Some(number) = before {
        let again = match &snapshot {
            Some(snapshot) => stale::put_back(&one.plan, &live, snapshot),
            None => options.manage.apply(live, &State::default()),
        };
        ledger::refresh_snapshot(pen, number, &again).await?;
    }
    let what = format!("the record that {} was rolled back", label(one.plan.number, &one.plan.name));
    trip.sent(Doubt { number: one.plan.number, what, by: Witness::Revision });
    ledger::finish_down(pen, run, one.recorded, next).await?;
    trip.answered();
    Ok(())
}

/// An unfinished rollback of a revision that this one would keep has to finish first.
fn refuse_other_way(run: Option<&Run>, way: &Way) -> Result<()> {
    match run.filter(|run| run.direction == Direction::Down && run.number <= way.goal && run.recorded) {
        Some(run) => Err(Error::refused("a rollback of that revision has not finished")
            .detail(under_way(run))
            .remedy(format!("finish it with {}, then apply again", rollback_to(run.goal)))),
        None => Ok(()),
    }
}

/// Records the goal of a relative command, so that the same command goes no further after a fault; or says why there is nothing to do.
async fn head(pen: Pen<'_>, ledger: &Ledger, target: Target, way: &Way, progress: &mut dyn Progress) -> Result<()> {
    if !way.undo.is_empty() {
        return ledger::head_for(pen, Headed { direction: Direction::Down, goal: way.asked }).await;
    }
    if ledger.headed.is_some() {
        progress.note(&format!(
            "an earlier rollback to revision {} was cut off before it learned that it had finished: nothing remains to be done",
            way.goal
        ));
    } else if matches!(target, Target::Seen { newest: Some((newest, _)), .. } if newest > way.goal) {
        progress.note(&format!(
            "another rollback led to revision {} while this one waited: nothing remains to be done",
            way.goal
        ));
    }
    Ok(())
}

/// The snapshot of a revision that a rollback leads to; none if it cannot be read, or was not known when it was recorded: the
/// database itself is read then.
async fn known_snapshot(session: &Session, number: u32) -> Result<Option<State>> {
    match ledger::snapshot_of(session, number).await {
        Ok(snapshot) => Ok(snapshot.filter(|state| !state.is_empty())),
        Err(error) if error.class == Class::Failed && error.sqlstate.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

fn new_run(undo: &Undo, goal: u32) -> NewRun<'_> {
    NewRun {
        number: undo.plan.number,
        name: &undo.plan.name,
        direction: Direction::Down,
        plan_hash: undo.plan.hash(),
        plan: &undo.text,
        goal,
        top: undo.top,
    }
}

/// Finds out about steps of the way up that were begun outside transactions with unknown outcome.
async fn settle(opened: &Opened, pen: Pen<'_>, options: &Options, trip: &Trip, run: &mut Run) -> Result<()> {
    let plan = read(run.number, &run.name, &run.plan)?;
    let meant = Meant::default();
    let executor = Executor { session: &opened.session, pen, watch: &opened.watch, options, trip, meant: &meant };
    let journal = ledger::Journal::open(&opened.session, run.number, Direction::Up).await?;
    let mut kept = Vec::new();
    for mut entry in std::mem::take(&mut run.entries) {
        let open = entry.direction == Direction::Up && !entry.done;
        let step = plan.steps.get(entry.step).filter(|_| open);
        if let Some(step) = step {
            if alone::settle(&executor, step).await? {
                journal.done_alone(pen, entry.step, entry.sub).await?;
                entry.done = true;
            } else {
                journal.not_begun(pen, entry.step, entry.sub).await?;
                continue;
            }
        }
        kept.push(entry);
    }
    run.entries = kept;
    Ok(())
}

/// Refuses hazards of the remaining inverse steps, whoever started the run, and steps by hand without an inverse.
fn allowed(way: &Way, options: &Options) -> Result<()> {
    for undo in &way.undo {
        if let Some(step) = undo.without_inverse().filter(|_| !options.allow.covers(Hazard::Irreversible)) {
            let label = label(undo.plan.number, &undo.plan.name);
            let mut error = Error::refused(format!("{label} has a step without an inverse"));
            error.details.extend(step.sql.lines().take(5).map(|line| format!("    {line}")));
            return Err(error.remedy("undo it by hand if necessary, then add `--allow irreversible` to go past it"));
        }
    }
    let remaining = way.undo.iter().map(|undo| {
        let steps: Vec<&Step> = undo.to_come().map(|unit| unit.step).collect();
        (steps, undo.plan.steps.as_slice())
    });
    refuse_remaining(&remaining.collect::<Vec<_>>(), &options.allow)
}
