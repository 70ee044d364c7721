//! Builds objects about which the target server cannot be asked in a separate database, so that stored text is compared with stored text.

use rustc_hash::FxHashSet;

use crate::catalog::Version;
use crate::diff::Open;
use crate::model::{Result, State, Value};
use crate::sameness::{Unverified, same_text};

use super::aid::{Aid, Built};

/// The outcome for questions that were unverified.
pub struct Opinion {
    /// The values mean the same.
    pub same: FxHashSet<Open>,
    /// Still not known.
    pub unverified: Vec<Unverified>,
}

/// Asks about each of them. `old` is the live state under its new names, `new` the desired one.
///
/// # Errors
/// Only failures of the tool itself: if nothing can be built, the questions stay unverified.
pub async fn ask(
    aid: &impl Aid,
    old: &State,
    new: &State,
    questions: Vec<Unverified>,
    server: Version,
) -> Result<Opinion> {
    let mut opinion = Opinion { same: FxHashSet::default(), unverified: Vec::new() };
    if questions.is_empty() {
        return Ok(opinion);
    }
    let ours = match aid.build(new, &[], server).await {
        Ok(built) => built,
        Err(error) => {
            opinion.unverified = questions.into_iter().map(|q| add(q, &error.message)).collect();
            return Ok(opinion);
        }
    };
    let mut open = Vec::new();
    for question in questions {
        match (value(old, &question), value(&ours.state, &question)) {
            (Some(stored), Some(built)) if same_text(stored, built) => _ = opinion.same.insert(asked(&question)),
            (Some(_), Some(_)) => open.push(question),
            _ => {
                let reason = failure(&ours, &question);
                opinion.unverified.push(add(question, &reason));
            }
        }
    }
    if open.is_empty() {
        return Ok(opinion);
    }
    // Storing a text again may spell it differently, so both the stored and the written text are stored once more.
    let theirs = aid.build(&with_values(new, old, &open), &[], server).await?.state;
    let again = aid.build(&with_values(new, &ours.state, &open), &[], server).await?.state;
    for question in open {
        let [live, built, theirs, again] = [old, &ours.state, &theirs, &again].map(|state| value(state, &question));
        let equal = |a: Option<&Value>, b: Option<&Value>| matches!((a, b), (Some(a), Some(b)) if same_text(a, b));
        if equal(built, theirs) || equal(live, again) || equal(theirs, again) {
            opinion.same.insert(asked(&question));
        }
        // A difference here is a real one, and so is stored text that has no meaning in the desired state.
    }
    Ok(opinion)
}

fn asked(question: &Unverified) -> Open {
    Open { id: question.id.clone(), attr: question.attr }
}

fn value<'a>(state: &'a State, question: &Unverified) -> Option<&'a Value> {
    state.get(&question.id)?.value(question.attr)
}

/// The state with the values that another one has for the questions.
fn with_values(state: &State, other: &State, questions: &[Unverified]) -> State {
    let mut out = state.clone();
    for question in questions {
        let Some(value) = value(other, question) else { continue };
        if let Some(object) = out.objects_mut().get_mut(&question.id) {
            object.attrs.put(question.attr, value.clone());
        }
    }
    out
}

fn failure(built: &Built, question: &Unverified) -> String {
    let own = question.id.to_string();
    let own = built.failed.iter().find(|(object, _)| *object == own);
    own.or(built.failed.first()).map_or_else(|| "it was not built".into(), |(object, why)| format!("{object}: {why}"))
}

fn add(mut question: Unverified, reason: &str) -> Unverified {
    question.reason = format!("{}; on a scratch database: {reason}", question.reason);
    question
}
