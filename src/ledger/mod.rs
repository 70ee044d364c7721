//! The ledger of a database, in schema `setpoint`: which revisions it is at, which run is under way, and what the server stored for
//! expressions.

mod adopt;
mod audit;
mod copy;
mod headed;
mod layout;
pub mod lock;
mod memo;
mod pen;
mod read;
mod reading;
pub mod snapshot;
mod trust;
mod write;

use crate::catalog::Session;
use crate::model::{Digest, Result};

pub use adopt::{Adoption, stamp};
pub use headed::{Headed, arrived, head_for};
pub use layout::{EventTriggers, FORMAT, create};
pub use memo::{learn, recall};
pub use pen::Pen;
pub use read::{events, events_and_odd, plan_text, snapshot_of};
pub use reading::{keep, reading};
pub use trust::Other;
pub use write::{Journal, NewRevision, NewRun, cancel_run, finish_down, finish_up, refresh_snapshot, start, turn_down};

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A plan is applied.
    Up,
    /// A plan is rolled back.
    Down,
}

impl Direction {
    /// The word in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Up, Self::Down].into_iter().find(|direction| direction.word() == word)
    }
}

/// How a revision came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Its plan ran on this database.
    Applied,
    /// The database was there before; its plan never ran here.
    Baselined,
    /// Somebody stated that the database is at that revision.
    Stamped,
}

impl How {
    /// The word in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Baselined => "baselined",
            Self::Stamped => "stamped",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Applied, Self::Baselined, Self::Stamped].into_iter().find(|how| how.word() == word)
    }
}

/// A plan that the database has.
#[derive(Debug, Clone)]
pub struct Revision {
    /// The plan's number.
    pub number: u32,
    /// The plan's name.
    pub name: String,
    /// The plan's hash.
    pub plan_hash: Digest,
    /// How it came to be.
    pub how: How,
    /// The role that recorded it.
    pub by: String,
    /// When, in UTC: `2026-01-31T12:00:00Z`.
    pub at: String,
    /// The version of the tool.
    pub tool: String,
}

/// Something that once happened to a revision; also those that were rolled back since.
#[derive(Debug, Clone)]
pub struct Event {
    /// The plan's number.
    pub number: u32,
    /// The plan's name.
    pub name: String,
    /// The plan's hash.
    pub plan_hash: Digest,
    /// `applied`, `baselined`, `stamped`, `rolled back`, `unwound` (a run that had not ended), `unstamped`.
    pub what: String,
    /// The role.
    pub by: String,
    /// When, in UTC.
    pub at: String,
    /// The version of the tool.
    pub tool: String,
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// The plan's number.
    pub number: u32,
    /// The plan's name.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// The plan's hash.
    pub plan_hash: Digest,
    /// The plan as text.
    pub plan: String,
    /// The revision that the command was going to.
    pub goal: u32,
    /// For `Down`: how many of the plan's steps were done when taking back began.
    pub top: usize,
    /// True if a revision of this plan is recorded: all of it had been applied.
    pub recorded: bool,
    /// The role that began it.
    pub by: String,
    /// When, in UTC.
    pub at: String,
    /// What the journal knows of its steps.
    pub entries: Vec<Entry>,
}

impl Run {
    /// What the journal says of one step: `Some(true)` done, `Some(false)` begun outside a transaction, with unknown outcome.
    pub fn entry(&self, direction: Direction, step: usize, sub: usize) -> Option<bool> {
        self.entries.iter().find(|e| (e.direction, e.step, e.sub) == (direction, step, sub)).map(|e| e.done)
    }
}

/// A line of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which way.
    pub direction: Direction,
    /// Index of the plan's step.
    pub step: usize,
    /// Index in the step's inverse; 0 on the way up.
    pub sub: usize,
    /// False: it was begun outside a transaction, and its end was not recorded.
    pub done: bool,
}

/// What the ledger says now.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// False: the database has no ledger yet.
    pub exists: bool,
    /// The revisions that the database has, oldest first.
    pub revisions: Vec<Revision>,
    /// The run that has not ended.
    pub run: Option<Run>,
    /// A relative command that has not learned that it finished.
    pub headed: Option<Headed>,
    /// Roles that could have written to it, and lack some privileges of the role that reads it.
    pub others: Vec<Other>,
    /// Where it contradicts itself.
    pub problems: Vec<String>,
}

impl Ledger {
    /// The number of the newest revision, 0 for none.
    pub fn current(&self) -> u32 {
        self.revisions.last().map_or(0, |revision| revision.number)
    }

    /// Writes to it without running anybody else's code.
    ///
    /// # Errors
    /// `Refused`, with the role to connect as.
    pub fn pen<'a>(&self, session: &'a Session) -> Result<Pen<'a>> {
        Pen::new(&self.others, session)
    }

    /// What a person should know before believing what it says.
    pub fn warning(&self) -> Option<String> {
        let other = self.others.iter().find(|other| other.maker).or_else(|| self.others.first())?;
        Some(format!(
            "this database's ledger is not yours alone: {} {}. Its contents are shown, but run only if plans/ has the same plan",
            other.name(),
            other.why
        ))
    }

    /// The revision of that number.
    pub fn revision(&self, number: u32) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }
}
