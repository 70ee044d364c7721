//! `rollback`: runs the recorded inverse steps, newest first; unwinds a run that has not ended.

use crate::catalog::{Connect, Session};
use crate::introspect;
use crate::ledger::{self, Direction, How, Ledger, NewRun, Revision, Run};
use crate::model::{Class, Error, Result};
use crate::plan::{Action, Hazard, Plan, Step, file};

use super::executor::{Executor, Unit};
use super::{Opened, Options, Progress, Summary, alone, label, open, refuse_hazards, stale};

/// How far to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To that revision; 0 is the empty database.
    To(u32),
    /// So many revisions; a run that has not ended counts as one.
    Back(u32),
}

/// A plan that is to be taken back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The plan as it was recorded.
    pub plan: Plan,
    /// Its text in the ledger.
    pub text: String,
    /// How many of its steps were done.
    pub top: usize,
    /// True if it is a recorded revision; false: a run that has not ended.
    pub recorded: bool,
    /// True if taking it back was begun already.
    pub begun: bool,
}

impl Undo {
    /// The inverse steps, in the order in which they run.
    pub fn steps(&self) -> Vec<Step> {
        self.units().into_iter().map(|unit| Step { transaction: unit.group, ..unit.step.clone() }).collect()
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
    /// Where it ends.
    pub goal: u32,
    /// The floor, where it is above the target.
    pub floor: Option<Revision>,
}

/// Finds out what a rollback will do.
///
/// # Errors
/// `Usage` for a target that does not exist, and the server's.
pub async fn preview(session: &Session, ledger: &Ledger, target: Target) -> Result<Way> {
    let goal = goal(ledger, target)?;
    let floor = ledger.revisions.iter().rev().find(|revision| revision.how != How::Applied && revision.number > goal);
    let goal = floor.map_or(goal, |floor| floor.number);
    let mut undo = Vec::new();
    if let Some(run) = ledger.run.as_ref().filter(|run| run.number > goal) {
        let plan = read(run.number, &run.name, &run.plan)?;
        let begun = run.direction == Direction::Down;
        let done = run.entries.iter().filter(|e| e.direction == Direction::Up).map(|e| e.step + 1).max().unwrap_or(0);
        let top = if begun { run.top } else { done };
        undo.push(Undo { plan, text: run.plan.clone(), top, recorded: run.recorded, begun });
    }
    let running = ledger.run.as_ref().map(|run| run.number);
    for revision in ledger.revisions.iter().rev().filter(|r| r.number > goal && Some(r.number) != running) {
        let text = ledger::plan_text(session, revision.number).await?.unwrap_or_default();
        let plan = read(revision.number, &revision.name, &text)?;
        undo.push(Undo { top: plan.steps.len(), plan, text, recorded: true, begun: false });
    }
    Ok(Way { undo, goal, floor: floor.cloned() })
}

fn read(number: u32, name: &str, text: &str) -> Result<Plan> {
    file::read(&format!("the ledger's {}", file::file_name(number, name)), text)
}

/// The revision that the target means.
fn goal(ledger: &Ledger, target: Target) -> Result<u32> {
    let usage = |message: String| {
        Error::new(Class::Usage, message).remedy("`setpoint history` lists the revisions that this database has")
    };
    let mut stack: Vec<u32> = std::iter::once(0).chain(ledger.revisions.iter().map(|r| r.number)).collect();
    let run = ledger.run.as_ref();
    stack.extend(run.filter(|run| !run.recorded).map(|run| run.number));
    match (target, run) {
        // A rollback that was interrupted knows where its command was going.
        (Target::Back(_), Some(run)) if run.direction == Direction::Down => Ok(run.goal),
        (Target::Back(count), _) => {
            let kept = stack.len().checked_sub(count as usize).filter(|kept| *kept > 0);
            let goal = kept.and_then(|kept| stack.get(kept - 1)).copied();
            goal.ok_or_else(|| usage(format!("this database has only {} revisions", stack.len() - 1)))
        }
        (Target::To(number), _) if number == 0 || ledger.revision(number).is_some() => Ok(number),
        (Target::To(number), _) => Err(usage(format!("this database has no revision {number}"))),
    }
}

/// Takes plans back. Each is recorded in the journal like an apply, and can be taken up again like one.
///
/// # Errors
/// `Busy`, `Stale`, `Refused` for hazards and at the floor, and whatever the server reports.
pub async fn rollback(
    connect: &Connect,
    target: Target,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let opened = open(connect, "rollback", options, progress).await?;
    let result = take_back(&opened, target, options, progress).await;
    opened.close().await;
    result
}

async fn take_back(opened: &Opened, target: Target, options: &Options, progress: &mut dyn Progress) -> Result<Summary> {
    let session = &opened.session;
    let mut ledger = Ledger::read(session).await?;
    if let Some(run) = ledger.run.as_mut().filter(|run| run.direction == Direction::Up) {
        settle(opened, options, run).await?;
    }
    let mut way = preview(session, &ledger, target).await?;
    allowed(&way, options)?;
    let run = ledger.run.take();
    let mut summary = Summary { resumed: run.is_some(), current: ledger.current(), ..Summary::default() };
    if let Some(run) = run.as_ref().filter(|run| run.direction == Direction::Up && run.number > way.goal) {
        let top = way.undo.first().map_or(0, |undo| undo.top);
        ledger::turn_down(session, run.number, top, way.goal).await?;
    }
    let mut current = run.map(|run| Run { direction: Direction::Down, ..run });
    let undo = std::mem::take(&mut way.undo);
    for (at, one) in undo.iter().enumerate() {
        let taken_up = current.take().filter(|run| run.number == one.plan.number);
        let fresh = one.recorded
            && taken_up.as_ref().is_none_or(|run| !run.entries.iter().any(|e| e.direction == Direction::Down));
        if fresh {
            let snapshot = ledger::snapshot_of(session, one.plan.number).await?;
            let live = introspect::read(session).await?.state;
            if let Err(error) = stale::check_back(&one.plan, &live, snapshot.as_ref()) {
                if at > 0 || taken_up.is_some() {
                    ledger::cancel_run(session, one.plan.number).await?;
                }
                return Err(error);
            }
        }
        let new = new_run(one, way.goal);
        if at == 0 && taken_up.is_none() {
            ledger::start(session, &new).await?;
        }
        let run = taken_up.unwrap_or_else(|| super::up::begun(&new));
        let executor = Executor { session, watch: &opened.watch, options };
        let label = label(one.plan.number, &one.plan.name);
        executor.run(&label, &run, &one.units(), progress).await?;
        let live = introspect::read(session).await?.state;
        let before = ledger.revisions.iter().rev().map(|r| r.number).find(|number| *number < one.plan.number);
        let snapshot = match before {
            Some(number) => ledger::snapshot_of(session, number).await?,
            None => None,
        };
        stale::reached_back(&one.plan, &live, snapshot.as_ref())?;
        let next = undo.get(at + 1).map(|next| new_run(next, way.goal));
        if let (Some(number), Some(snapshot)) = (before, &snapshot) {
            ledger::refresh_snapshot(session, number, &stale::put_back(&one.plan, &live, snapshot)).await?;
        }
        ledger::finish_down(session, &new, one.recorded, next.as_ref()).await?;
        progress.end(&label, Direction::Down);
        summary.plans.push((one.plan.number, one.plan.name.clone()));
        summary.current = before.unwrap_or(0);
    }
    match way.floor {
        Some(floor) => {
            Err(Error::refused(format!("revision {} ({}) never ran on this database", floor.number, floor.name))
                .detail(format!(
                    "it was {} by {} at {}, so there is nothing to take back",
                    floor.how.word(),
                    floor.by,
                    floor.at
                ))
                .remedy(format!("the database is at revision {} now; drop by hand what should go", floor.number)))
        }
        None => Ok(summary),
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
async fn settle(opened: &Opened, options: &Options, run: &mut Run) -> Result<()> {
    let plan = read(run.number, &run.name, &run.plan)?;
    let executor = Executor { session: &opened.session, watch: &opened.watch, options };
    let journal = ledger::Journal::open(&opened.session, run.number, Direction::Up).await?;
    let mut kept = Vec::new();
    for mut entry in std::mem::take(&mut run.entries) {
        let open = entry.direction == Direction::Up && !entry.done;
        let step = plan.steps.get(entry.step).filter(|_| open);
        if let Some(step) = step {
            if alone::settle(&executor, step).await? {
                journal.done_alone(&opened.session, entry.step, entry.sub).await?;
                entry.done = true;
            } else {
                journal.not_begun(&opened.session, entry.step, entry.sub).await?;
                continue;
            }
        }
        kept.push(entry);
    }
    run.entries = kept;
    Ok(())
}

/// Refuses hazards of the inverse steps, and steps by hand that nobody wrote an inverse for.
fn allowed(way: &Way, options: &Options) -> Result<()> {
    for undo in way.undo.iter().filter(|undo| !undo.begun) {
        let by_hand = |step: &&crate::plan::Step| step.action == Action::Manual && step.inverse.is_empty();
        let lost = undo.plan.steps.iter().take(undo.top).find(by_hand);
        if let Some(step) = lost.filter(|_| !options.allow.covers(Hazard::Irreversible)) {
            let label = label(undo.plan.number, &undo.plan.name);
            let mut error = Error::refused(format!("{label} has a step that nobody wrote an inverse for"));
            error.details.extend(step.sql.lines().take(5).map(|line| format!("    {line}")));
            return Err(error.remedy("take it back by hand if need be, then add `--allow irreversible` to go past it"));
        }
    }
    let units: Vec<Unit<'_>> = way.undo.iter().filter(|undo| !undo.begun).flat_map(Undo::units).collect();
    let findings =
        units.iter().flat_map(|unit| unit.step.hazards.iter().map(|finding| (unit.step.object.as_str(), finding)));
    refuse_hazards(findings, &options.allow)
}
