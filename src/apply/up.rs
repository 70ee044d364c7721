//! `apply`: runs the pending plans in order, and resumes an unfinished run.

use std::cell::Cell;

use crate::catalog::{Connect, Session};
use crate::introspect;
use crate::ledger::{self, Direction, EventTriggers, Headed, How, Ledger, NewRevision, NewRun, Pen, Run};
use crate::model::{Class, Error, ObjectId, Result, State};
use crate::plan::chain::{Chain, Link};
use crate::plan::{Hazard, Plan, Step};
use crate::project::Manage;

use super::aim::{self, Goal, pending};
use super::executor::{Executor, Unit};
use super::fill;
use super::lent::Lender;
use super::lost;
use super::trip::{Doubt, Trip, Witness, rollback_to};
use super::{
    Meant, Opened, Options, Progress, Summary, label, last_snapshot, refuse_remaining, rights, stale, under_way,
};

/// Applies the pending plans. The ledger and the live state are read once the lock is held, so of several that start at once
/// one does the work, and the others find nothing left to do.
///
/// # Errors
/// `Busy`, `Stale`, `Refused` for hazards, and whatever the server reports; what was done stays done and is in the journal.
pub async fn run(
    connect: &Connect,
    chain: &Chain,
    goal: Goal,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let trip = Trip::new(Direction::Up);
    let (goal, mut all) = (Cell::new(goal), Summary::default());
    let before = async |session: &Session| {
        goal.set(aim::up(session, chain, goal.get()).await?);
        Ok(())
    };
    lost::through(connect, &trip, options, progress, before, async |opened, progress| {
        let result = apply(opened, chain, goal.get(), &trip, options, &mut all, progress).await;
        if let (Some(absolute), Goal::Head) = (trip.goal.get(), goal.get()) {
            goal.set(Goal::To(absolute));
        }
        result.map_err(|error| trip.advise(error))
    })
    .await?;
    Ok(all)
}

/// Refuses names that would bind to what somebody else made since the plan was saved.
async fn refuse_captured(session: &Session, ledger: &Ledger, plans: &[Plan]) -> Result<Meant> {
    let steps: Vec<&Step> = plans.iter().flat_map(|plan| &plan.steps).collect();
    super::refuse_captured(session, &steps, ledger.current()).await
}

async fn apply(
    opened: &Opened,
    chain: &Chain,
    asked: Goal,
    trip: &Trip,
    options: &Options,
    summary: &mut Summary,
    progress: &mut dyn Progress,
) -> Result<()> {
    let session = &opened.session;
    let mut ledger = Ledger::read(session).await?;
    let links = pending(&ledger, chain, asked)?;
    let goal = links.last().map_or(ledger.current(), |link| link.number);
    let goes_on = trip.goal.replace(Some(goal)).is_some();
    if let Goal::Seen { goal, from } = asked
        && links.is_empty()
        && from < goal
        && !goes_on
    {
        progress.note(&format!("revision {goal} was reached while this command waited: nothing remains to be done"));
    }
    trip.before.set(ledger.current());
    summary.current = ledger.current();
    if ledger.run.is_none() && ledger.headed.is_none() && links.is_empty() {
        return Ok(());
    }
    let pen = ledger.pen(session)?;
    ledger.warning().iter().for_each(|warning| progress.warning(warning));
    let mut under_way = unfinished(pen, &mut ledger, &links).await?;
    if links.is_empty() {
        return arrived(pen, &ledger, asked, goes_on, progress).await;
    }
    let read = links.iter().map(|link| chain.plan_and_text(link)).collect::<Result<Vec<_>>>()?;
    let (mut plans, texts): (Vec<Plan>, Vec<String>) = read.into_iter().unzip();
    let remaining = plans.iter().map(|plan| (to_come(under_way.as_ref(), plan).collect(), plan.steps.as_slice()));
    refuse_remaining(&remaining.collect::<Vec<_>>(), &options.allow)?;
    let meant = refuse_captured(session, &ledger, &plans).await?;
    let steps: Vec<&Step> = plans.iter().flat_map(|plan| to_come(under_way.as_ref(), plan)).collect();
    Lender::new(session).await?.refuse(&steps, &options.allow).await?;
    rights::check(session, ledger.exists, steps.iter().copied()).await?;
    fill::check(session, &steps, &options.fills).await?;
    let runs: Vec<NewRun<'_>> = links
        .iter()
        .zip(&texts)
        .map(|(link, text)| NewRun {
            number: link.number,
            name: &link.name,
            direction: Direction::Up,
            plan_hash: link.hash,
            plan: text,
            goal,
            top: 0,
        })
        .collect();
    summary.resumed |= under_way.is_some();
    // The live state before the plan, and what the ledger holds of it.
    let (mut before, mut snapshot): (Option<State>, Option<State>) = (None, None);
    let mut started = false;
    for (at, (plan, new)) in plans.iter().zip(&runs).enumerate() {
        let next = runs.get(at + 1);
        let resumed = under_way.take();
        trip.before.set(summary.current);
        if resumed.is_some() {
            snapshot = last_snapshot(session, &ledger).await?;
        } else if let Err(error) = check(opened, &ledger, plan, &options.manage, (&mut before, &mut snapshot)).await {
            if started {
                ledger::cancel_run(pen, plan.number).await?;
            }
            return Err(if at == 0 { trip.not_begun(error) } else { error });
        }
        if at == 0 {
            begin(pen, &ledger, asked, goal, resumed.is_none().then_some(new), options).await?;
        }
        let run = resumed.unwrap_or_else(|| begun(new));
        let executor = Executor { session, pen, watch: &opened.watch, options, trip, meant: &meant };
        let label = label(plan.number, &plan.name);
        if let Err(error) = executor.run(&label, &run, &units(plan), progress).await {
            return Err(forget_if_undone(session, trip, plan.number, error).await);
        }
        let live = match next {
            Some(_) => super::reading(session, introspect::read(session)).await.map(|live| (live, None)),
            None => super::reading(session, introspect::read_to_keep(session)).await,
        };
        let (live, reading) = live.map_err(|error| not_recorded(&label, error))?;
        let live = live.state;
        stale::reached(plan, &live, before.as_ref(), &options.manage).map_err(|error| error.remedy(trip.remedy()))?;
        if let Some(before) = &before {
            let others = stale::elsewhere(plan, before, &live);
            tell_elsewhere(others.into_iter().filter(|id| options.manage.covers(id)).collect(), progress);
        }
        let recorded = recorded(options, plan, snapshot.as_ref(), &live);
        finish(pen, trip, new, &recorded, next).await?;
        if let Some(reading) = reading {
            let _ = ledger::keep(pen, &reading).await; // it only saves time later
        }
        progress.end(&label, Direction::Up);
        started = next.is_some();
        summary.plans.push((plan.number, plan.name.clone()));
        summary.current = plan.number;
        before = Some(live);
        snapshot = Some(recorded);
    }
    if matches!(asked, Goal::Seen { .. }) || ledger.headed.is_some() {
        let _ = ledger::arrived(pen).await; // if it stays, the next relative command only finds out that nothing is left
    }
    summary.reached = plans.pop().zip(before);
    Ok(())
}

/// The steps of a plan that are still to come.
pub fn to_come<'a>(run: Option<&Run>, plan: &'a Plan) -> impl Iterator<Item = &'a Step> {
    let run = run.filter(|run| run.number == plan.number && run.direction == Direction::Up);
    let done = move |at: usize| run.is_some_and(|run| run.entry(Direction::Up, at, 0) == Some(true));
    plan.steps.iter().enumerate().filter(move |(at, _)| !done(*at)).map(|(_, step)| step)
}

/// True if a part of a plan was applied, or may have been.
pub fn has_begun(ledger: &Ledger, number: u32) -> bool {
    let run = ledger.run.as_ref().filter(|run| run.number == number);
    ledger.revision(number).is_some() || run.is_some_and(|run| !run.entries.is_empty())
}

fn units(plan: &Plan) -> Vec<Unit<'_>> {
    let steps = plan.steps.iter().enumerate();
    steps.map(|(index, step)| Unit { index, sub: 0, step, group: step.transaction }).collect()
}

/// Nothing is pending: an earlier relative command has reached its goal without learning of it.
async fn arrived(pen: Pen<'_>, ledger: &Ledger, asked: Goal, goes_on: bool, progress: &mut dyn Progress) -> Result<()> {
    let Some(noted) = ledger.headed else { return Ok(()) };
    if !goes_on
        && matches!(asked, Goal::Seen { .. })
        && noted.direction == Direction::Up
        && noted.goal == ledger.current()
    {
        progress.note(&format!(
            "an earlier apply to revision {} was cut off before it learned that it had finished: nothing remains to be done",
            noted.goal
        ));
    }
    ledger::arrived(pen).await
}

/// Records that the first plan begins, and the goal of a relative command, so that it goes no further after a fault.
async fn begin(
    pen: Pen<'_>,
    ledger: &Ledger,
    asked: Goal,
    goal: u32,
    new: Option<&NewRun<'_>>,
    options: &Options,
) -> Result<()> {
    if new.is_some() {
        let allowed = options.allow.covers(Hazard::RunsAsYou);
        ledger::create(pen, if allowed { EventTriggers::Allowed } else { EventTriggers::Refused }).await?;
    }
    let ours = Headed { direction: Direction::Up, goal };
    match (asked, ledger.headed) {
        (Goal::Seen { .. }, _) => ledger::head_for(pen, ours).await?,
        // Going on after the connection was lost: the command is still the relative one.
        (_, Some(noted)) if noted != ours => ledger::arrived(pen).await?,
        _ => {}
    }
    match new {
        Some(new) => ledger::start(pen, new).await,
        None => Ok(()),
    }
}

/// Records the revision that a plan led to.
async fn finish(pen: Pen<'_>, trip: &Trip, new: &NewRun<'_>, state: &State, next: Option<&NewRun<'_>>) -> Result<()> {
    let revision = NewRevision {
        number: new.number,
        name: new.name,
        plan_hash: new.plan_hash,
        plan: new.plan,
        how: How::Applied,
        state,
    };
    let what = format!("revision {} ({})", new.number, new.name);
    trip.sent(Doubt { number: new.number, what, by: Witness::Revision });
    ledger::finish_up(pen, &revision, next).await?;
    trip.answered();
    Ok(())
}

/// The run to resume. One that has not done anything is discarded.
async fn unfinished(pen: Pen<'_>, ledger: &mut Ledger, links: &[&Link]) -> Result<Option<Run>> {
    let Some(run) = ledger.run.take() else { return Ok(None) };
    if run.direction == Direction::Down {
        return Err(Error::refused("a rollback has not finished")
            .detail(under_way(&run))
            .remedy(format!("finish it with {}", rollback_to(run.goal))));
    }
    if run.entries.is_empty() {
        ledger::cancel_run(pen, run.number).await?;
        return Ok(None);
    }
    match links.first() {
        Some(link) if link.number == run.number && link.hash == run.plan_hash => Ok(Some(run)),
        _ => Err(Error::stale("an unfinished run used a different plan than the project has now")
            .detail(under_way(&run))
            .remedy(format!(
                "restore the plan from version control and apply again, or take the run back with {}",
                rollback_to(ledger.current())
            ))),
    }
}

/// A run that failed before anything was committed is not resumed.
async fn forget_if_undone(session: &Session, trip: &Trip, number: u32, error: Error) -> Error {
    let undone =
        |ledger: &Ledger| ledger.run.as_ref().is_some_and(|run| run.number == number && run.entries.is_empty());
    let forgotten = match Ledger::read(session).await {
        Ok(ledger) if undone(&ledger) => match ledger.pen(session) {
            Ok(pen) => ledger::cancel_run(pen, number).await.is_ok(),
            Err(_) => false,
        },
        _ => false,
    };
    if forgotten {
        if error.class == Class::Interrupted {
            return error.remedy(format!("no part of this plan was applied: {} starts it over", trip.again()));
        }
        return error.remedy(format!("no part of this plan was applied: fix the cause and run {}", trip.again()));
    }
    error
}

/// The message of a command that was stopped between a plan's last statement and its revision.
fn not_recorded(label: &str, error: Error) -> Error {
    match error.class {
        Class::Interrupted => {
            error.detail(format!("all statements of {label} are done, but its revision is not recorded yet"))
        }
        _ => error,
    }
}

/// Checks that the plan fits the database. The live state and the snapshot are read now if they are not known yet.
async fn check(
    opened: &Opened,
    ledger: &Ledger,
    plan: &Plan,
    manage: &Manage,
    (before, snapshot): (&mut Option<State>, &mut Option<State>),
) -> Result<()> {
    if let Some(live) = before {
        return stale::check(plan, live, Some(live), manage);
    }
    *snapshot = last_snapshot(&opened.session, ledger).await?;
    let live = before.insert(super::reading(&opened.session, introspect::read(&opened.session)).await?.state);
    stale::check(plan, live, snapshot.as_ref(), manage)
}

/// A run that has just begun.
pub(super) fn begun(new: &NewRun<'_>) -> Run {
    Run {
        number: new.number,
        name: new.name.into(),
        direction: new.direction,
        plan_hash: new.plan_hash,
        plan: String::new(),
        goal: new.goal,
        top: new.top,
        recorded: false,
        by: String::new(),
        at: String::new(),
        entries: Vec::new(),
    }
}

/// The part of the live state that goes into the snapshot: what the project manages. Partitions that others create, and what is on objects
/// that are not managed, are managed if the plan or the one before it mentions them.
fn recorded(options: &Options, plan: &Plan, before: Option<&State>, live: &State) -> State {
    let manage = &options.manage;
    let mut declared = stale::declared(plan, live, manage);
    for (id, object) in before.into_iter().flat_map(State::iter) {
        if manage.external_partitions || !manage.covers(id) || before.is_some_and(|before| before.is_apart(id)) {
            declared.put(id.clone(), object.clone());
        }
    }
    manage.apply(live.clone(), &declared)
}

fn tell_elsewhere(objects: Vec<ObjectId>, progress: &mut dyn Progress) {
    if let Some(first) = objects.first() {
        let more = objects.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        progress.note(&format!("changed by somebody else in the meantime: {first}{more}; see `setpoint drift`"));
    }
}
