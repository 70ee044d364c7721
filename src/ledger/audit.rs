//! Checks whether a ledger is consistent: its numbers, its run, its journal, and the plans that it recorded.

use crate::model::{Digest, Error, Result};
use crate::plan::chain::Chain;
use crate::plan::{Plan, file};

use super::{Direction, Entry, Event, How, Ledger, Revision, Run};

/// How to repair a ledger.
pub(super) const REMEDY: &str = "`setpoint stamp N`, with the number of the plan that the database is at, rewrites the ledger from plans/ and runs nothing \
     (`setpoint stamp base` if it is at none)";

/// Hands the run its lines of the journal; what belongs to no run is a problem.
pub(super) fn journal(ledger: &mut Ledger, entries: Vec<(u32, Entry)>) {
    let number = ledger.run.as_ref().map(|run| run.number);
    let (mut own, other): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(n, _)| Some(*n) == number);
    own.sort_by_key(|(_, entry)| (entry.direction == Direction::Down, entry.step, entry.sub));
    if let Some((stray, _)) = other.first() {
        ledger.problems.push(format!("setpoint.journal has lines of plan {stray}, which is not being run"));
    }
    let recorded = number.is_some_and(|number| ledger.revision(number).is_some());
    if let Some(run) = &mut ledger.run {
        run.entries = own.into_iter().map(|(_, entry)| entry).collect();
        run.recorded = recorded;
    }
}

/// Finds what contradicts itself in what was read: revisions follow each other from 1, and a run follows the last of them.
pub(super) fn ledger(ledger: &mut Ledger) {
    let mut problems = Vec::new();
    for (revision, wanted) in ledger.revisions.iter().zip(1..) {
        if revision.number != wanted {
            problems
                .push(format!("setpoint.revision has no revision {wanted}, and continues with {}", revision.number));
            break;
        }
    }
    if let Some(run) = &ledger.run {
        problems.extend(run_problems(run, ledger.current()).into_iter().map(|what| format!("setpoint.run: {what}")));
    }
    ledger.problems.extend(problems);
}

/// Compares recorded texts with the rows that they belong to. A text that a file in plans/ has, too, is not read: the file's hash is the
/// row's, the hash before it is that of the row before, and a plan is large.
pub(super) fn texts(ledger: &mut Ledger, texts: Vec<(u32, String)>, plans: &Chain) {
    for (number, text) in texts {
        let Some(revision) = ledger.revision(number) else { continue };
        let before = number.wrapping_sub(1);
        let same_before = ledger.revision(before).map(|r| r.plan_hash) == plans.link(before).map(|link| link.hash);
        if same_before && plans.has_text(number, &revision.name, revision.plan_hash, &text) {
            continue;
        }
        if let Err(what) = ledger.follows(revision, &text) {
            let what = format!("setpoint.revision: {what}");
            if !ledger.problems.contains(&what) {
                ledger.problems.push(what);
            }
        }
    }
}

/// Compares revisions with the events that recorded them.
pub(super) fn events(ledger: &mut Ledger, events: &[Event]) {
    let mut problems = Vec::new();
    for revision in &ledger.revisions {
        let last = events.iter().rev().find(|event| event.number == revision.number);
        match last.filter(|event| How::of(&event.what).is_some()) {
            Some(event) if event.plan_hash == revision.plan_hash => {}
            Some(event) => problems.push(format!(
                "setpoint.event: plan {} {} was {} with the hash {}, and setpoint.revision has {}",
                event.number, event.name, event.what, event.plan_hash, revision.plan_hash
            )),
            None => problems.push(format!(
                "setpoint.event does not know how revision {} {} came to be",
                revision.number, revision.name
            )),
        }
    }
    ledger.problems.extend(problems);
}

fn run_problems(run: &Run, current: u32) -> Vec<String> {
    let mut out = Vec::new();
    let plan = match recorded(run.number, &run.name, run.plan_hash, &run.plan) {
        Ok(plan) => plan,
        Err(why) => return vec![why],
    };
    let next = current.saturating_add(1);
    match run.direction {
        Direction::Up if run.number != next || run.goal < run.number => {
            out.push(format!(
                "plan {} is being applied on the way to {}, and the database is at {current}",
                run.number, run.goal
            ));
        }
        Direction::Down if run.goal >= run.number || run.number != if run.recorded { current } else { next } => {
            out.push(format!(
                "plan {} is being rolled back on the way to {}, and the database is at {current}",
                run.number, run.goal
            ));
        }
        _ => {}
    }
    let steps = plan.steps.len();
    if run.top > steps || run.direction == Direction::Down && run.recorded && run.top != steps {
        out.push(format!("plan {} has {steps} steps, and {} of them are to be rolled back", run.number, run.top));
    }
    let fits = |entry: &&Entry| match (plan.steps.get(entry.step), entry.direction) {
        (None, _) => false,
        (Some(_), Direction::Up) => entry.sub == 0,
        (Some(step), Direction::Down) => {
            run.direction == Direction::Down && entry.step < run.top && entry.sub < step.inverse.len().max(1)
        }
    };
    if let Some(entry) = run.entries.iter().find(|entry| !fits(entry)) {
        out.push(format!(
            "the journal speaks of step {}, {}, which plan {} does not have",
            entry.step, entry.sub, run.number
        ));
    }
    out
}

/// The plan of a text that the ledger recorded, or why it is not the plan that its row names.
fn recorded(number: u32, name: &str, hash: Digest, text: &str) -> Result<Plan, String> {
    let of = format!("plan {number} {name}");
    let plan = file::read(&of, text)
        .map_err(|error| format!("the recorded text of {of} is not a complete plan ({})", error.message))?;
    if (plan.number, plan.name.as_str()) != (number, name) {
        return Err(format!("the row says {of}, and the recorded text is plan {} {}", plan.number, plan.name));
    }
    let own = plan.hash();
    if own != hash {
        return Err(format!("{of}: its row has the hash {hash}, and the recorded text {own}"));
    }
    Ok(plan)
}

impl Ledger {
    /// The plan of a revision, if its text is what its row says, and follows the revision before.
    ///
    /// # Errors
    /// `Stale` if they disagree.
    pub fn plan(&self, revision: &Revision, text: &str) -> Result<Plan> {
        self.follows(revision, text).map_err(|what| {
            let error = Error::stale("this database's ledger is inconsistent; nothing in it was run");
            error.detail(format!("setpoint.revision: {what}")).remedy(REMEDY)
        })
    }

    fn follows(&self, revision: &Revision, text: &str) -> Result<Plan, String> {
        let plan = recorded(revision.number, &revision.name, revision.plan_hash, text)?;
        let before = revision.number.checked_sub(1).and_then(|number| self.revision(number)).map(|r| r.plan_hash);
        if plan.after == before {
            return Ok(plan);
        }
        let told = |hash: Option<Digest>| hash.map_or_else(|| "nothing".to_owned(), |hash| hash.to_string());
        let (number, name) = (plan.number, &plan.name);
        Err(format!("plan {number} {name} was made to follow {}, and follows {}", told(plan.after), told(before)))
    }
}
