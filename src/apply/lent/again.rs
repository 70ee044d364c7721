//! Judges the steps of a transaction again while it runs: an earlier step, or another session, may have put other people's code where a later
//! step runs it.

use std::time::{Duration, Instant};

use crate::kinds::Evaluates;
use crate::model::{Error, Result};
use crate::plan::{Action, Finding, Hazard, Step};

use super::super::{Allow, Meant, refuse_hazards};
use super::facts::Question;
use super::{Lender, Way, gives_away, way};

/// How many steps that only parse, and so take no time, are sent without another look between them.
const AT_ONCE: usize = 20;

/// How long a judgement remains valid while other sessions keep changing things.
const FRESH: Duration = Duration::from_millis(50);

/// The steps of a transaction, and how to send each of them, as far as that is known.
pub struct Judged<'a> {
    steps: &'a [&'a Step],
    /// The questions to ask, and about which steps.
    questions: Vec<(usize, Evaluates, Question)>,
    /// What each step may run.
    says: Vec<Evaluates>,
    ways: Vec<Way>,
    /// The first step that was sent after the last look.
    since: usize,
    /// The transactions that had ended at the last look.
    ended: String,
    /// When steps were judged again, and the first that was not.
    fresh: Option<(Instant, usize)>,
    /// True if some role has fewer privileges than the session's user.
    asks: bool,
    /// True if something changed since the first look, so that its judgement of later steps is out of date.
    changed: bool,
}

impl Judged<'_> {
    /// How to send the step.
    pub fn way(&self, at: usize) -> &Way {
        self.ways.get(at).unwrap_or(&Way::Plain)
    }

    /// True if the step may run other people's code, and what was sent since the last look may have taken time or run such code.
    pub fn is_due(&self, at: usize) -> bool {
        self.due(self.since, at)
    }

    fn due(&self, since: usize, at: usize) -> bool {
        let says = |at: usize| self.says.get(at).copied().unwrap_or(Evaluates::Nothing);
        let takes_time =
            |at: usize| *self.way(at) != Way::Plain || !matches!(says(at), Evaluates::Nothing | Evaluates::Parses);
        let matters = says(at) != Evaluates::Nothing || self.steps.get(at).is_some_and(|step| binds(step));
        self.asks && matters && (at >= since + AT_ONCE || (since..at).any(takes_time))
    }
}

impl Lender<'_> {
    /// How to send each step of a transaction. Asked once the transaction holds its locks.
    ///
    /// # Errors
    /// `Refused` with the place of the step that would run as the session's user without permission, or whose names mean something else
    /// by now; the server's.
    pub async fn ways<'a>(
        &self,
        steps: &'a [&'a Step],
        allow: &Allow,
        meant: &Meant,
    ) -> Result<Judged<'a>, (Option<usize>, Error)> {
        let nobody = |error| (None, error);
        let questions = if self.above_others { super::questions(steps) } else { Vec::new() };
        let ways = steps.iter().map(|_| Way::Plain).collect();
        let mut says: Vec<Evaluates> = steps.iter().map(|_| Evaluates::Nothing).collect();
        for (at, evaluates, _) in &questions {
            if let Some(slot) = says.get_mut(*at) {
                *slot = *evaluates;
            }
        }
        let asks = self.above_others && (!questions.is_empty() || steps.iter().any(|step| binds(step)));
        let mut judged =
            Judged { steps, questions, says, ways, since: 0, ended: String::new(), fresh: None, changed: false, asks };
        if !asks {
            return Ok(judged);
        }
        judged.ended = self.ended().await.map_err(nobody)?;
        meant.refuse(self.session, steps).await.map_err(nobody)?;
        let answers = self.ask(&judged.questions, steps).await.map_err(nobody)?;
        for (at, says, facts) in answers {
            let Some(step) = steps.get(at) else { continue };
            settle(&mut judged, at, way(step, says, facts, gives_away(steps, at)), allow)?;
        }
        Ok(judged)
    }

    /// Identifies the transactions that have ended: while the answer stays the same, no other session has changed anything.
    ///
    /// # Errors
    /// The server's.
    pub async fn ended(&self) -> Result<String> {
        let query = "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text";
        let rows = self.session.client.query_typed(query, &[]).await.map_err(|error| self.session.error(&error))?;
        Ok(rows.first().map_or_else(String::new, |row| row.get(0)))
    }

    /// Judges that step again before it is sent, and those that will be sent without another look. `ended` is the current answer of `ended`.
    ///
    /// # Errors
    /// Those of `ways`.
    pub async fn again(
        &self,
        judged: &mut Judged<'_>,
        at: usize,
        ended: String,
        (allow, meant): (&Allow, &Meant),
    ) -> Result<(), (Option<usize>, Error)> {
        let here = |error| (Some(at), error);
        let others_ran = (judged.since..at).any(|before| *judged.way(before) != Way::Plain);
        let queries = judged.says.get(judged.since..at).is_some_and(|says| says.contains(&Evaluates::Query));
        let ran = others_ran || queries;
        judged.changed |= ran || ended != judged.ended;
        judged.ended = ended;
        judged.since = at;
        let is_fresh = |(since, end): (Instant, usize)| !ran && at < end && since.elapsed() < FRESH;
        if !judged.changed || judged.fresh.is_some_and(is_fresh) {
            return Ok(());
        }
        let count = judged.steps.len();
        let end = (at + 1..count).find(|next| judged.due(at, *next)).unwrap_or(count);
        let end = if ran { end } else { end.max(count.min(at + AT_ONCE)) };
        judged.fresh = Some((Instant::now(), end));
        meant.refuse(self.session, judged.steps.get(at..end).unwrap_or_default()).await.map_err(here)?;
        let now: Vec<_> = judged.questions.iter().filter(|(asked, ..)| (at..end).contains(asked)).cloned().collect();
        let answers = self.ask(&now, judged.steps).await.map_err(here)?;
        // If no such code was found, the first judgement stands: it does not depend on what others are doing.
        for (at, says, facts) in answers.into_iter().filter(|(.., facts)| !facts.found.is_empty()) {
            let Some(step) = judged.steps.get(at) else { continue };
            settle(judged, at, way(step, says, facts, false), allow)?;
        }
        Ok(())
    }
}

/// Notes how a step is to be sent.
fn settle(
    judged: &mut Judged<'_>,
    at: usize,
    way: Result<Way, Finding>,
    allow: &Allow,
) -> Result<(), (Option<usize>, Error)> {
    let way = match way {
        Ok(way) => way,
        Err(_) if allow.covers(Hazard::RunsAsYou) => Way::Trusting,
        Err(finding) => {
            let object = judged.steps.get(at).map_or("", |step| step.object.as_str());
            let refused = refuse_hazards(std::iter::once((object, &finding)), allow);
            return Err((Some(at), refused.err().unwrap_or_else(|| Error::refused(finding.reason))));
        }
    };
    if let Some(slot) = judged.ways.get_mut(at) {
        *slot = way;
    }
    Ok(())
}

/// True if names in the step are looked up along `search_path`.
fn binds(step: &Step) -> bool {
    !step.path.is_empty() && step.action != Action::Drop
}
