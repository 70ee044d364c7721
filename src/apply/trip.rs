//! Keeps track of where a command is going, and of what it has sent without knowing yet whether it was committed.

use std::cell::{Cell, RefCell};

use crate::ledger::{Direction, Ledger};
use crate::model::{Class, Error, SAME_COMMAND};
use crate::plan::Step;

/// One `apply` or `rollback`, across all its connections.
pub struct Trip {
    /// The direction.
    pub direction: Direction,
    /// The target revision, once that is known: relative targets are made absolute before anything runs, so that resuming
    /// after a fault never goes further.
    pub goal: Cell<Option<u32>>,
    /// The revision before the plan that is under way.
    pub before: Cell<u32>,
    /// What was sent and not answered.
    pub doubt: RefCell<Option<Doubt>>,
}

/// Something whose COMMIT was sent and not answered.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// The plan's number.
    pub number: u32,
    /// For messages: `step 3 of plan 2 (add-email)`.
    pub what: String,
    /// How the ledger tells.
    pub by: Witness,
}

/// Where to look up whether something was committed.
#[derive(Debug, Clone)]
pub enum Witness {
    /// The journal's row of that step (with the index in its inverse), which the step's transaction wrote.
    Journal(usize, usize),
    /// The catalog: the step cannot run in a transaction.
    Catalog(Box<Step>, usize, usize),
    /// The revision: it is recorded, or no longer is.
    Revision,
}

impl Trip {
    /// A command that has not begun.
    pub fn new(direction: Direction) -> Self {
        Self { direction, goal: Cell::new(None), before: Cell::new(0), doubt: RefCell::new(None) }
    }

    /// Something is sent whose outcome is not known until its answer arrives.
    pub fn sent(&self, doubt: Doubt) {
        *self.doubt.borrow_mut() = Some(doubt);
    }

    /// The answer has arrived.
    pub fn answered(&self) {
        *self.doubt.borrow_mut() = None;
    }

    /// The command that resumes this one. It is absolute: running it twice does no more than running it once.
    pub fn again(&self) -> String {
        match (self.direction, self.goal.get()) {
            (Direction::Up, Some(goal)) => apply_to(goal),
            (Direction::Down, Some(goal)) => rollback_to(goal),
            // Nothing has run yet.
            (_, None) => SAME_COMMAND.to_owned(),
        }
    }

    /// What to do about a failure after which what was done stays done.
    pub fn remedy(&self) -> String {
        let again = self.again();
        match self.direction {
            Direction::Up => format!(
                "what is done is kept: fix the cause and run {again}, or roll it back with {}",
                rollback_to(self.before.get())
            ),
            Direction::Down => format!("what is done is kept: fix the cause and run {again}"),
        }
    }

    /// The command that resumes what was stopped, and the one that rolls it back.
    pub fn go_on(&self) -> String {
        let again = self.again();
        match self.direction {
            Direction::Up => format!("{again} continues, {} rolls it back", rollback_to(self.before.get())),
            Direction::Down => format!("{again} continues"),
        }
    }

    /// The message of a command that was stopped before its first statement.
    pub fn not_begun(&self, error: Error) -> Error {
        if error.class != Class::Interrupted {
            return error;
        }
        error.detail("nothing was changed in the database").remedy(format!("{} starts it over", self.again()))
    }

    /// Puts the command that resumes into an error where it says to run "the same command", or nothing. Before the goal is known nothing was
    /// done, and the caller of the command knows which one it was.
    pub fn advise(&self, error: Error) -> Error {
        if self.goal.get().is_none() {
            return error;
        }
        let again = self.again();
        if error.class == Class::Interrupted && error.remedy.is_none() {
            return error.remedy(self.go_on());
        }
        let mut error = error.naming(&again);
        error.remedy.get_or_insert_with(|| format!("fix the cause and run {again}"));
        error
    }
}

impl Doubt {
    /// True if the ledger says that it was committed; `None` if only the catalog can tell.
    pub fn committed(&self, direction: Direction, ledger: &Ledger) -> Option<bool> {
        let run = ledger.run.as_ref().filter(|run| run.number == self.number && run.direction == direction);
        match &self.by {
            Witness::Journal(step, sub) => Some(run.and_then(|run| run.entry(direction, *step, *sub)) == Some(true)),
            Witness::Catalog(_, step, sub) => match run.and_then(|run| run.entry(direction, *step, *sub)) {
                Some(false) => None,
                done => Some(done == Some(true)),
            },
            Witness::Revision => match direction {
                Direction::Up => Some(run.is_none() && ledger.revision(self.number).is_some()),
                Direction::Down => Some(run.is_none() && ledger.revision(self.number).is_none()),
            },
        }
    }
}

/// The command that applies plans as far as that one.
pub fn apply_to(number: u32) -> String {
    format!("`setpoint apply --to {number}`")
}

/// The command that rolls back to that revision.
pub fn rollback_to(number: u32) -> String {
    format!("`setpoint rollback --to {}`", revision(number))
}

/// A revision as an argument of a command.
pub fn revision(number: u32) -> String {
    match number {
        0 => "base".to_owned(),
        number => number.to_string(),
    }
}
