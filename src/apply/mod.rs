//! Applies saved plans to a database, and rolls them back.

mod aim;
mod alone;
mod blockers;
mod executor;
mod fill;
mod learn;
mod lent;
pub mod lineage;
mod locks;
mod lost;
mod rights;
mod rollback;
mod secrets;
pub mod stale;
mod trip;
mod up;

use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::catalog::{Connect, Session, interrupt};
use crate::ledger::{self, Direction, Ledger, Run, lock};
use crate::model::{Class, Error, Result, State};
use crate::plan::chain::Chain;
use crate::plan::{Finding, Hazard, Plan, Step, beyond, captured};
use crate::project::Manage;

pub use aim::{Goal, Target, pending};
pub use fill::Fill;
pub use learn::learn;
pub use lent::evaluates;
pub use locks::claimed;
pub use rights::check as check_rights;
pub use rollback::{Undo, Way, preview, rollback};
pub use trip::{apply_to, revision, rollback_to};
pub use up::{has_begun, run, to_come};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to wait for another setpoint to finish.
    pub wait: Duration,
    /// How long a statement may wait for a lock, and others behind it.
    pub lock_timeout: Duration,
    /// How long a transaction is tried again when locks cannot be acquired.
    pub lock_budget: Duration,
    /// How long a concurrent index build may wait for others.
    pub concurrent_budget: Duration,
    /// How long a statement may take; none: as long as it needs.
    pub statement_timeout: Option<Duration>,
    /// The hazards that are allowed.
    pub allow: Allow,
    /// The values for new columns that rows need a value for.
    pub fills: Vec<Fill>,
    /// The project's plans: what a ledger holds that others may have written to is run only if it is one of them.
    pub plans: Chain,
    /// Which part of the database belongs to the project; the rest is not recorded.
    pub manage: Manage,
    /// Nobody else uses the database: use one transaction where PostgreSQL allows it.
    pub offline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wait: Duration::ZERO,
            lock_timeout: Duration::from_secs(3),
            lock_budget: Duration::from_secs(60),
            concurrent_budget: Duration::from_secs(600),
            statement_timeout: None,
            allow: Allow::default(),
            fills: Vec::new(),
            plans: Chain::default(),
            manage: Manage::default(),
            offline: false,
        }
    }
}

/// The hazards that a person allowed.
#[derive(Debug, Clone, Default)]
pub struct Allow {
    /// Every one of them.
    pub all: bool,
    /// These.
    pub hazards: Vec<Hazard>,
}

impl Allow {
    /// True if the hazard may be taken.
    pub fn covers(&self, hazard: Hazard) -> bool {
        self.all || self.hazards.contains(&hazard)
    }
}

/// Receives reports on the progress of a run.
pub trait Progress {
    /// A plan begins, or continues after `done` of its `total` statements.
    fn begin(&mut self, _label: &str, _direction: Direction, _total: usize, _done: usize) {}
    /// A statement was run; inside a transaction it may yet be undone.
    fn step(&mut self, _number: usize, _step: &Step) {}
    /// Something has to be waited for.
    fn waiting(&mut self, _message: &str) {}
    /// Something that a person should know.
    fn note(&mut self, _message: &str) {}
    /// Something that a person must know, even with `--quiet`.
    fn warning(&mut self, _message: &str) {}
    /// A plan is done.
    fn end(&mut self, _label: &str, _direction: Direction) {}
}

/// Reports nothing.
pub struct Silent;

impl Progress for Silent {}

/// What was done.
#[derive(Debug, Default)]
pub struct Summary {
    /// Numbers and names of the plans that were applied or rolled back, in that order.
    pub plans: Vec<(u32, String)>,
    /// True if an unfinished run was resumed.
    pub resumed: bool,
    /// The revision that the database is at now.
    pub current: u32,
    /// The last plan that was applied, and what the catalog held then.
    pub reached: Option<(Plan, State)>,
}

/// The executor's two sessions, with the lock held.
struct Opened {
    session: Session,
    watch: Session,
}

/// Opens the sessions and takes the lock, `before` which something can be read.
async fn open(
    connect: &Connect,
    purpose: &str,
    options: &Options,
    progress: &mut dyn Progress,
    before: impl AsyncFnOnce(&Session) -> Result<()>,
) -> Result<Opened> {
    let session = Session::open(connect, purpose).await?;
    if session.standby {
        return Err(Error::refused("the server is a standby, which is read-only").remedy("connect to the primary"));
    }
    if session.read_only {
        return Err(Error::refused("the database is read-only: default_transaction_read_only is on")
            .detail(format!("connected to {}", session.target()))
            .remedy("turn it off for this database or role first"));
    }
    let session = session.unlisted();
    let watch = session.another(&format!("{purpose} (watching)")).await?.unlisted();
    lock::refuse_pooler(&session, &watch).await?;
    before(&session).await?;
    lock::take(&session, options.wait, &mut |message| progress.waiting(message)).await?;
    Ok(Opened { session, watch })
}

impl Opened {
    /// Releases the lock and closes both sessions, so that the next command finds neither.
    async fn close(self) {
        lock::release(&self.session).await;
        self.session.close().await;
        self.watch.close().await;
    }
}

/// Reads from the session of the executor, which signals do not cancel otherwise.
///
/// # Errors
/// Those of the work; `Interrupted` where it was cancelled.
async fn reading<T>(session: &Session, work: impl Future<Output = Result<T>>) -> Result<T> {
    let stop = async {
        interrupt::asked().await;
        loop {
            // One that came between two statements did nothing.
            let _ = tokio::time::timeout(interrupt::AGAIN, session.canceller().cancel()).await;
            tokio::time::sleep(interrupt::AGAIN).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = stop => Err(interrupt::error()),
    };
    done.map_err(|error| if interrupt::is_asked() { interrupt::error() } else { error })
}

/// The snapshot of the newest revision, if there is one.
async fn last_snapshot(session: &Session, ledger: &Ledger) -> Result<Option<State>> {
    match ledger.current() {
        0 => Ok(None),
        number => ledger::snapshot_of(session, number).await,
    }
}

/// What the names in the steps of a command may mean of what others made: what was there when it began, and what its steps make.
#[derive(Default)]
pub struct Meant(FxHashSet<String>);

impl Meant {
    /// Refuses names in the steps that would bind to anything else by now.
    ///
    /// # Errors
    /// `Refused`; the server's.
    pub async fn refuse(&self, session: &Session, steps: &[&Step]) -> Result<()> {
        let found = captured::find(session, steps.iter().copied()).await?;
        captured::refuse(found, |id| self.0.contains(&id.to_string()))
    }
}

/// Refuses names in the steps that would bind to what somebody else made. Objects of the revision's state, or made by the steps, are meant.
async fn refuse_captured(session: &Session, steps: &[&Step], revision: u32) -> Result<Meant> {
    let made = steps.iter().flat_map(|step| std::iter::once(&step.object).chain(&step.with)).cloned();
    let mut meant = Meant(made.collect());
    let found = captured::find(session, steps.iter().copied()).await?;
    if found.is_empty() {
        return Ok(meant);
    }
    let recorded = match revision {
        0 => None,
        // One that cannot be read declares nothing.
        number => ledger::snapshot_of(session, number).await.ok().flatten(),
    };
    let there: Vec<String> = found.iter().map(|captured| captured.id.to_string()).collect();
    captured::refuse(found, |id| {
        recorded.as_ref().is_some_and(|state| state.has(id)) || meant.0.contains(&id.to_string())
    })?;
    meant.0.extend(there);
    Ok(meant)
}

/// How messages refer to a plan.
fn label(number: u32, name: &str) -> String {
    format!("plan {number} ({name})")
}

/// A description of a run under way, on one line.
fn under_way(run: &Run) -> String {
    let what = if run.direction == Direction::Up { "applying" } else { "rolling back" };
    format!("{what} {} was begun by {} at {} and has not finished", label(run.number, &run.name), run.by, run.at)
}

/// Refuses hazards of steps to come that were not allowed, whether the steps name them or their texts tell. Each plan's come with all of it.
fn refuse_remaining(remaining: &[(Vec<&Step>, &[Step])], allow: &Allow) -> Result<()> {
    let unnamed: Vec<(&str, Finding)> =
        remaining.iter().flat_map(|(steps, all)| beyond::findings(steps.iter().copied(), all)).collect();
    let named = remaining.iter().flat_map(|(steps, _)| steps);
    let named = named.flat_map(|step| step.hazards.iter().map(|finding| (step.object.as_str(), finding)));
    refuse_hazards(named.chain(unnamed.iter().map(|(object, finding)| (*object, finding))), allow)
}

/// Refuses hazards that were not allowed.
fn refuse_hazards<'a>(findings: impl Iterator<Item = (&'a str, &'a Finding)>, allow: &Allow) -> Result<()> {
    let mut words: Vec<&str> = Vec::new();
    let mut details: Vec<String> = Vec::new();
    for (object, finding) in findings.filter(|(_, finding)| !allow.covers(finding.hazard)) {
        let word = finding.hazard.word();
        if !words.contains(&word) {
            words.push(word);
        }
        let object = if object.is_empty() { "a step written by hand" } else { object };
        let line = format!("{word}: {object}: {}", finding.reason);
        if !details.contains(&line) {
            details.push(line);
        }
    }
    if words.is_empty() {
        return Ok(());
    }
    let mut error = Error::new(Class::Refused, "hazards must be allowed first");
    error.details = details;
    Err(error.remedy(format!("review each of them, then add `--allow {}`", words.join(","))))
}
