//! Runs steps: sends each transaction in one batch, retries after lock timeouts, and commits the journal together with the steps.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use crate::catalog::{PIN_PATH, Pipeline, Session, interrupt};
use crate::kinds::{Mode, foreign_options};
use crate::ledger::{Journal, Pen, Run};
use crate::model::{Class, Error, Ident, Result, grantor};
use crate::plan::{self, Step};
use crate::sql;

use super::fill;
use super::lent::{self, Judged, Lender, Way};
use super::locks::{self, Claims};
use super::trip::{Doubt, Trip, Witness};
use super::{Meant, Options, Progress, alone, blockers, secrets};

/// One statement to run: a plan's step, or a step of its inverse.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Index of the plan's step.
    pub index: usize,
    /// Index in the step's inverse; 0 on the way up.
    pub sub: usize,
    /// The statement.
    pub step: &'a Step,
    /// Units in a row with the same number share a transaction.
    pub group: u32,
}

/// What running steps requires.
pub struct Executor<'a> {
    /// The session that holds the lock; everything runs here.
    pub session: &'a Session,
    /// What writes the journal.
    pub pen: Pen<'a>,
    /// A second session that finds out who is blocking.
    pub watch: &'a Session,
    /// Timeouts and time limits.
    pub options: &'a Options,
    /// The command that this is part of.
    pub trip: &'a Trip,
    /// What names in its steps mean.
    pub meant: &'a Meant,
}

/// Why a transaction did not commit.
struct Failure {
    error: tokio_postgres::Error,
    at: At,
    /// The role that the unit ran as, if that is not the session's own.
    ran_as: Option<Ident>,
}

/// A part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// BEGIN, settings, the journal or COMMIT.
    Frame,
    /// That one of the claims.
    Lock(usize),
    /// That unit.
    Unit(usize),
}

impl At {
    const fn unit(self) -> Option<usize> {
        match self {
            Self::Unit(at) => Some(at),
            Self::Frame | Self::Lock(_) => None,
        }
    }
}

impl Executor<'_> {
    /// Runs what the journal does not say is done, in order. `label` names the plan in messages.
    pub async fn run(&self, label: &str, run: &Run, units: &[Unit<'_>], progress: &mut dyn Progress) -> Result<()> {
        let journal = Journal::open(self.session, run.number, run.direction).await?;
        let left = self.left(run, &journal, units).await?;
        progress.begin(label, run.direction, units.len(), units.len() - left.len());
        let secrets = secrets::Secrets::new(self.session, left.iter().map(|unit| unit.step), progress).await?;
        let lender = Lender::new(self.session).await?;
        let mut rest = left.as_slice();
        while let Some(first) = rest.first() {
            // If nobody can be blocked, everything that may goes into one transaction.
            let group = |unit: &Unit<'_>| if self.options.offline { 0 } else { unit.group };
            let size = plan::next_transaction(rest.iter().map(|unit| (group(unit), unit.step.mode)));
            let (now, later) = rest.split_at(size);
            let done = units.len() - rest.len();
            if interrupt::is_asked() {
                return Err(self.stopped(label, done, units.len()));
            }
            self.trip.sent(in_doubt(label, run.number, now, done));
            let lent = secrets.lend(self.session, now.iter().map(|unit| unit.step)).await?;
            let result = match first.step.mode {
                Mode::Alone => alone::run(self, (&lender, lent.as_ref()), &journal, *first, done + 1, progress).await,
                _ => self.transaction((&lender, lent.as_ref()), &journal, now, done, progress).await,
            };
            if let Some(lent) = lent {
                lent.take_back(self.session).await;
            }
            result.map_err(|(at, error)| {
                if error.class == Class::Interrupted {
                    return self.stopped(label, done, units.len());
                }
                let at = at.and_then(|at| now.get(at).map(|unit| (done + at + 1, unit)));
                let error = match at {
                    Some((_, unit)) => {
                        fill::advise(now.iter().map(|unit| unit.step), unit.step, &self.options.fills, error)
                    }
                    None => error,
                };
                explain(label, self.trip, at, units.len(), error)
            })?;
            self.trip.answered();
            rest = later;
        }
        Ok(())
    }

    /// The message of a run that was stopped.
    fn stopped(&self, label: &str, done: usize, total: usize) -> Error {
        interrupt::error()
            .detail(format!("{done} of the {total} statements of {label} are done, and stay done"))
            .detail("whatever was under way was cancelled, and left nothing behind")
            .remedy(self.trip.go_on())
    }

    /// The units that are not done; what was begun outside a transaction is looked up in the catalog.
    async fn left<'u>(&self, run: &Run, journal: &Journal, units: &[Unit<'u>]) -> Result<Vec<Unit<'u>>> {
        let mut left = Vec::new();
        for unit in units {
            let done = match run.entry(run.direction, unit.index, unit.sub) {
                Some(true) => true,
                Some(false) => {
                    let happened = alone::settle(self, unit.step).await?;
                    if happened {
                        journal.done_alone(self.pen, unit.index, unit.sub).await?;
                    }
                    happened
                }
                None => false,
            };
            if !done {
                left.push(*unit);
            }
        }
        Ok(left)
    }

    /// Runs units in one transaction, retrying while locks cannot be acquired and time is left.
    async fn transaction(
        &self,
        (lender, lent): (&Lender<'_>, Option<&secrets::Lent<'_>>),
        journal: &Journal,
        units: &[Unit<'_>],
        done: usize,
        progress: &mut dyn Progress,
    ) -> Result<(), (Option<usize>, Error)> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut refused: Option<String> = None;
        loop {
            let mut blocked = None;
            let claims = locks::claims(self, units, refused.as_deref()).await.map_err(|error| (None, error))?;
            let attempt = self.attempt((lender, lent), journal, units, &claims, done, progress);
            let look = (self.options.lock_timeout / 2).clamp(Duration::from_millis(20), Duration::from_secs(2));
            let result = blockers::watched(self, attempt, look, async |seen| {
                blocked = Some(seen);
                false
            })
            .await;
            let Err(failure) = result? else { return Ok(()) };
            let error = lent::explain(self.session.error(&failure.error), failure.ran_as.as_ref());
            let error = match lent {
                Some(lent) => lent.without(error),
                None => error,
            };
            if interrupt::is_asked() && !failure.error.is_closed() {
                return Err((None, interrupt::error()));
            }
            if !worth_another_try(failure.error.code()) {
                return Err((failure.at.unit(), error));
            }
            let mut error = error;
            error.details.extend(blocked.iter().map(|blocked| format!("in the way: {blocked}")));
            if begun.elapsed() + pause > self.options.lock_budget {
                error.class = Class::Busy;
                error.details.push(format!("tried for {} seconds", begun.elapsed().as_secs()));
                return Err((failure.at.unit(), error));
            }
            let blocked = blocked.unwrap_or_else(|| "other sessions".into());
            match failure.at {
                At::Lock(at) => {
                    refused = claims.tables.get(at).map(|claim| claim.table.clone());
                    let table = refused.as_deref().unwrap_or("a table");
                    progress.waiting(&format!(
                        "table {table} is in use by {blocked}; waiting for it before anything is done"
                    ));
                }
                at => {
                    let object = at.unit().and_then(|at| units.get(at)).map_or("a lock", |unit| subject(unit.step));
                    progress.waiting(&format!("{object} is in use by {blocked}; trying again"));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = interrupt::asked() => return Err((None, interrupt::error())),
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Sends one transaction as a whole, the journal's rows included.
    async fn attempt(
        &self,
        (lender, lent): (&Lender<'_>, Option<&secrets::Lent<'_>>),
        journal: &Journal,
        units: &[Unit<'_>],
        claims: &Claims,
        done: usize,
        progress: &mut dyn Progress,
    ) -> Result<Result<(), Failure>, (Option<usize>, Error)> {
        let mut pipeline = Pipeline::new(&self.session.client);
        let mut sent = self.open(&mut pipeline, claims).await;
        // Asked after taking the locks, which keep the tables as they are; what can still change is judged again further on.
        let steps: Vec<&Step> = units.iter().map(|unit| unit.step).collect();
        let judged = match lender.ways(&steps, &self.options.allow, self.meant).await {
            Ok(judged) => judged,
            Err(refused) => {
                // If the transaction did not get that far, that is what to report.
                let failed = first_failure(&mut pipeline, sent).await;
                let _ = self.session.batch("ROLLBACK").await;
                return failed.map_or(Err(refused), |failure| Ok(Err(failure)));
            }
        };
        let mut path = None;
        let mut shown = Shown { judged, units, done, last: None };
        for (at, unit) in units.iter().enumerate() {
            if shown.judged.is_due(at) {
                pipeline.batch(PIN_PATH).await;
                sent.push(At::Frame);
                path = None;
                // In one go: what is asked is sent before any answer is waited for.
                let answers = shown.answers(&mut pipeline, std::mem::take(&mut sent), progress);
                let (ended, failed) = futures_util::future::join(lender.ended(), answers).await;
                let known = (&self.options.allow, self.meant);
                let judged = match (failed, ended) {
                    (Some(failure), _) => Ok(Err(failure)),
                    (None, Err(error)) => Err((Some(at), error)),
                    (None, Ok(ended)) => lender.again(&mut shown.judged, at, ended, known).await.map(Ok),
                };
                if !matches!(judged, Ok(Ok(()))) {
                    let _ = self.session.batch("ROLLBACK").await;
                    return judged;
                }
            }
            let wanted = unit.step.search_path();
            if path.as_ref() != Some(&wanted) {
                pipeline.batch(format!("SET LOCAL search_path TO {wanted}")).await;
                sent.push(At::Unit(at));
                path = Some(wanted);
            }
            let way = shown.judged.way(at);
            if let Some(lent) = lent {
                sent.extend(vec![At::Unit(at); lent.give(&mut pipeline, unit.step).await]);
            }
            let filled = fill::filled(&steps, at, &self.options.fills);
            pipeline.batch(lent::sql(filled.as_ref().unwrap_or(unit.step), way, done + at)).await;
            sent.push(At::Unit(at));
            if let Some(lent) = lent {
                sent.extend(vec![At::Unit(at); lent.clear(&mut pipeline, unit.step).await]);
            }
            if let Some(check) = lender.afterwards(unit.step, way, &self.settings()) {
                pipeline.batch(check).await;
                sent.push(At::Unit(at));
                path = None;
            }
        }
        // The journal's statements are looked up by the path of the moment, also where they were prepared under another one.
        pipeline.batch(PIN_PATH).await;
        sent.push(At::Frame);
        if self.pen.is_careful() {
            let failure = shown.answers(&mut pipeline, std::mem::take(&mut sent), progress).await;
            let sealed = match failure {
                None => self.pen.seal().await.map_err(|error| (None, error)).map(Ok),
                Some(failure) => Ok(Err(failure)),
            };
            if !matches!(sealed, Ok(Ok(()))) {
                let _ = self.session.batch("ROLLBACK").await;
                return sealed;
            }
        }
        let rows: Vec<(usize, usize)> = units.iter().map(|unit| (unit.index, unit.sub)).collect();
        journal.done(&mut pipeline, &rows).await.map_err(|error| (None, error))?;
        pipeline.batch("COMMIT").await;
        sent.extend([At::Frame; 2]);
        Ok(shown.answers(&mut pipeline, sent, progress).await.map_or(Ok(()), Err))
    }

    /// Begins a transaction, and takes its table locks.
    async fn open(&self, pipeline: &mut Pipeline<'_>, claims: &Claims) -> Vec<At> {
        let mut sent: Vec<At> = vec![At::Frame];
        pipeline.batch(format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", self.settings())).await;
        if let Some(hold) = self.pen.hold() {
            pipeline.batch(hold).await;
            sent.push(At::Frame);
        }
        let statements = claims.statements(self.options.lock_timeout);
        if !statements.is_empty() {
            for (at, lock) in statements.into_iter().enumerate() {
                pipeline.batch(lock).await;
                sent.push(At::Lock(at));
            }
            let patience = claims.patience(self.options.lock_timeout).as_millis();
            pipeline.batch(format!("SET LOCAL lock_timeout = {patience}")).await;
            sent.push(At::Frame);
        }
        sent
    }

    /// The tool's own settings for a transaction.
    fn settings(&self) -> String {
        format!(
            "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; SET LOCAL check_function_bodies = off;",
            self.options.lock_timeout.as_millis(),
            self.options.statement_timeout.map_or(0, |timeout| timeout.as_millis())
        )
    }
}

/// How much of a transaction was shown.
struct Shown<'a> {
    judged: Judged<'a>,
    units: &'a [Unit<'a>],
    /// How many units of the run were done before.
    done: usize,
    /// The unit that was shown last.
    last: Option<usize>,
}

impl Shown<'_> {
    /// Waits for all answers, and shows the steps that are done. The first failure.
    async fn answers(
        &mut self,
        pipeline: &mut Pipeline<'_>,
        sent: Vec<At>,
        progress: &mut dyn Progress,
    ) -> Option<Failure> {
        let mut failure = None;
        let mut sent = sent.into_iter();
        while let Some(answer) = pipeline.next().await {
            let at = sent.next().unwrap_or(At::Frame);
            if failure.is_some() {
                continue; // the rest only says that the transaction is aborted, and COMMIT became ROLLBACK
            }
            match answer {
                Err(error) => {
                    let way = at.unit().map(|at| self.judged.way(at));
                    failure = Some(Failure { error, at, ran_as: way.and_then(Way::role).cloned() });
                }
                Ok(()) if at.unit().is_some() && at.unit() != self.last => {
                    self.last = at.unit();
                    if let Some((at, unit)) = self.last.and_then(|at| Some((at, self.units.get(at)?))) {
                        progress.step(self.done + at + 1, unit.step);
                    }
                }
                Ok(()) => {}
            }
        }
        failure
    }
}

/// The first failure among what was sent.
async fn first_failure(pipeline: &mut Pipeline<'_>, sent: Vec<At>) -> Option<Failure> {
    let mut failure = None;
    for at in sent {
        if let Some(Err(error)) = pipeline.next().await {
            failure = failure.or(Some(Failure { error, at, ran_as: None }));
        }
    }
    failure
}

/// True for transient failures: a lock timeout, a deadlock, a serialization failure.
fn worth_another_try(code: Option<&SqlState>) -> bool {
    code.is_some_and(|code| {
        [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE]
            .contains(code)
    })
}

/// What a step waits for.
pub(super) fn subject(step: &Step) -> &str {
    step.lock.as_ref().map_or(step.object.as_str(), |(_, on)| on.as_str())
}

/// What is not known to be committed until the answer to a transaction, or to a step outside of any, arrives.
fn in_doubt(label: &str, number: u32, units: &[Unit<'_>], done: usize) -> Doubt {
    let steps = match units.len() {
        1 => format!("step {} of {label}", done + 1),
        count => format!("the transaction of steps {} to {} of {label}", done + 1, done + count),
    };
    let by = match units.first() {
        Some(Unit { index, sub, step, .. }) if step.mode == Mode::Alone => {
            Witness::Catalog(Box::new((*step).clone()), *index, *sub)
        }
        Some(Unit { index, sub, .. }) => Witness::Journal(*index, *sub),
        None => Witness::Revision,
    };
    Doubt { number, what: steps, by }
}

/// The error of a step in its plan: which step, what it should have done, what the server said, what to do next.
fn explain(label: &str, trip: &Trip, at: Option<(usize, &Unit<'_>)>, total: usize, error: Error) -> Error {
    let Some((number, unit)) = at else {
        return error.detail(format!("while running {label}")).remedy(trip.remedy());
    };
    let step = unit.step;
    let what = if step.object.is_empty() { "a step written by hand" } else { &step.object };
    let mut out = Error::new(error.class, format!("{label}, step {number} of {total} failed: {what}"));
    out.details.push(error.message);
    out.details.extend(error.details);
    out.details.extend(foreign_options::shown(&step.sql).lines().take(40).map(|line| format!("    {line}")));
    out.details.extend(error.remedy);
    if let Some(role) = grantor(&step.object).filter(|_| error.sqlstate.as_deref() == Some("42501")) {
        let role = sql::name(&role);
        out.details.push(format!(
            "the privilege is granted in the name of {role}, which needs it with grant option, and USAGE on the schema; \
             the role that runs the plan must be a superuser or a member of {role}: GRANT {role} TO the role that runs it"
        ));
    }
    out.sqlstate = error.sqlstate;
    out.remedy(trip.remedy())
}
