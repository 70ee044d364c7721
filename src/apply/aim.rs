//! How far a command goes. A relative target is resolved against the ledger before the command waits for the lock, so that two
//! overlapping commands go to the same revision.

use crate::catalog::Session;
use crate::ledger::{Direction, Ledger};
use crate::model::{Class, Digest, Error, Result};
use crate::plan::chain::{Chain, Link};

use super::lineage;
use super::trip::apply_to;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Goal {
    /// The newest plan.
    #[default]
    Head,
    /// That revision.
    To(u32),
    /// That many plans.
    Plus(u32),
    /// A relative target, resolved against the ledger before the lock was taken: to `goal`, from the revision then or a later one.
    Seen {
        /// The revision that it leads to.
        goal: u32,
        /// The revision that the database was at.
        from: u32,
    },
}

/// How far to roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To that revision; 0 is the empty database.
    To(u32),
    /// That many revisions; an unfinished run counts as one.
    Back(u32),
    /// A relative target, resolved against the ledger before the lock was taken: to `goal`, rolling back nothing newer than `newest`.
    Seen {
        /// The revision that it leads to.
        goal: u32,
        /// The number and hash of the newest plan that could be rolled back then.
        newest: Option<(u32, Digest)>,
    },
}

/// The saved plans up to the goal that the database does not have. Those that it has must be the same ones.
///
/// # Errors
/// `Stale` if a revision is not one of the project's plans, `Usage` for a goal that cannot be reached.
pub fn pending<'a>(ledger: &Ledger, chain: &'a Chain, asked: Goal) -> Result<Vec<&'a Link>> {
    lineage::check(ledger, chain)?;
    let current = ledger.current();
    let head = chain.head().map_or(0, |link| link.number);
    if let Goal::Seen { goal, from } = asked
        && current < from
    {
        return Err(Error::stale("the database was rolled back while this command waited")
            .detail(format!("it was at revision {from}, and is at revision {current} now; nothing was applied"))
            .remedy(format!("if it is to go forward again, run {}", apply_to(goal))));
    }
    let goal = match (asked, &ledger.run) {
        (Goal::Head, _) => head,
        // A run that was interrupted knows where its command was going, and so does a command that has not heard of its end.
        (Goal::Plus(_), Some(run)) if run.direction == Direction::Up => run.goal.min(head),
        (Goal::Plus(count), _) => headed_up(ledger).unwrap_or_else(|| current.saturating_add(count)).min(head),
        (Goal::To(number) | Goal::Seen { goal: number, .. }, _) => number,
    };
    if goal > head && goal > current {
        return Err(Error::new(Class::Usage, format!("there is no plan {goal}"))
            .detail(format!("the newest plan is {head}"))
            .remedy("`setpoint status` lists the plans that are pending"));
    }
    if goal < current && goal < head && !matches!(asked, Goal::Seen { .. }) {
        return Err(Error::new(Class::Usage, format!("the database is at revision {current} already"))
            .remedy(format!("to go back, use `setpoint rollback --to {goal}`")));
    }
    Ok(chain.links.iter().filter(|link| link.number > current && link.number <= goal).collect())
}

/// The goal of an earlier relative command that has not learned that it finished.
fn headed_up(ledger: &Ledger) -> Option<u32> {
    ledger.headed.filter(|headed| headed.direction == Direction::Up).map(|headed| headed.goal.max(ledger.current()))
}

/// Resolves a relative goal against the ledger before the wait for the lock, so that overlapping commands mean the same revision.
pub(super) async fn up(session: &Session, chain: &Chain, goal: Goal) -> Result<Goal> {
    let Goal::Plus(_) = goal else { return Ok(goal) };
    session.may_change()?;
    let ledger = Ledger::read(session).await?;
    let (links, from) = (pending(&ledger, chain, goal)?, ledger.current());
    Ok(Goal::Seen { goal: links.last().map_or(from, |link| link.number), from })
}

/// The revision that the target means.
pub(super) fn revision(ledger: &Ledger, target: Target) -> Result<u32> {
    let usage = |message: String| {
        Error::new(Class::Usage, message).remedy("`setpoint history` lists the revisions that this database has")
    };
    let mut stack: Vec<u32> = std::iter::once(0).chain(ledger.revisions.iter().map(|r| r.number)).collect();
    let run = ledger.run.as_ref();
    stack.extend(run.filter(|run| !run.recorded).map(|run| run.number));
    match (target, run) {
        // A rollback that was interrupted knows where its command was going.
        (Target::Back(_), Some(run)) if run.direction == Direction::Down => Ok(run.goal),
        (Target::Back(_), _) if headed_down(ledger).is_some() => Ok(headed_down(ledger).unwrap_or_default()),
        (Target::Back(count), _) => {
            let kept = stack.len().checked_sub(count as usize).filter(|kept| *kept > 0);
            let goal = kept.and_then(|kept| stack.get(kept - 1)).copied();
            goal.ok_or_else(|| usage(format!("this database has only {} revisions", stack.len() - 1)))
        }
        (Target::To(number) | Target::Seen { goal: number, .. }, _)
            if number == 0 || ledger.revision(number).is_some() =>
        {
            Ok(number)
        }
        (Target::To(number) | Target::Seen { goal: number, .. }, _) => {
            Err(usage(format!("this database has no revision {number}")))
        }
    }
}

/// The goal of an earlier relative command that has not learned that it finished.
fn headed_down(ledger: &Ledger) -> Option<u32> {
    let headed = ledger.headed.filter(|headed| headed.direction == Direction::Down)?;
    let known = headed.goal == 0 || ledger.revision(headed.goal).is_some();
    known.then_some(headed.goal)
}

/// Resolves a relative target against the ledger before the wait for the lock, so that overlapping commands mean the same revision.
pub(super) async fn back(session: &Session, target: Target) -> Result<Target> {
    let Target::Back(_) = target else { return Ok(target) };
    session.may_change()?;
    let ledger = Ledger::read(session).await?;
    let revisions = ledger.revisions.iter().map(|revision| (revision.number, revision.plan_hash));
    let newest = revisions.chain(ledger.run.iter().map(|run| (run.number, run.plan_hash))).max_by_key(|one| one.0);
    Ok(Target::Seen { goal: revision(&ledger, target)?, newest })
}
