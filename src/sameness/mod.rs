//! Decides whether two expressions are the same: if the texts differ, the server stores one on scratch objects, and what it makes of it
//! decides.
//!
//! Text from files is parsed as its author meant it: with the object's own schema and `public` in the search path. The result is printed with
//! `pg_catalog` alone, as the catalog's own text is. Everything happens in one transaction that is rolled back.

mod columns;
mod conversation;
pub mod memo;
mod partitions;
mod probe;
mod replacing;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Session;
use crate::diff::Open;
use crate::model::{Object, ObjectId, Result, State, Value};

use columns::Tables;
use conversation::{Conversation, Reply};
use partitions::PartitionKey;
use probe::{Leaf, Probe};

pub use probe::mentions;

const PARTITION_BY: &str = "partition-by";

/// A difference in text that could not be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The object.
    pub id: ObjectId,
    /// Its attribute.
    pub attr: &'static str,
    /// Why the server could not be asked, or what it said.
    pub reason: String,
}

/// The answers; whatever is in neither list certainly differs.
#[derive(Debug, Default)]
pub struct Settled {
    /// The same, although the texts differ.
    pub same: FxHashSet<Open>,
    /// Not to be known.
    pub unverified: Vec<Unverified>,
    /// Queries of views that are different, but keep the view's columns, perhaps with more behind them.
    pub in_place: FxHashSet<Open>,
    /// Those of them that have the same columns: the old query can take their place, too.
    pub and_back: FxHashSet<Open>,
}

/// What is known of one piece of text.
enum Verdict {
    Same,
    Different,
    Unknown(String),
}

/// Asks all open questions in one batch: a round trip where they turn out to be the same, up to three more for the others. `old` is the live state under its new names, `new` the desired one. The session must
/// not be in a transaction.
///
/// # Errors
/// Failures of the conversation itself; errors about single texts become `unverified`.
pub async fn settle(session: &Session, old: &State, new: &State, questions: &[Open]) -> Result<Settled> {
    let mut settled = Settled::default();
    if questions.is_empty() {
        return Ok(settled);
    }
    let mut conversation = Conversation::new(session);
    let outcome = answer(&mut conversation, old, new, questions).await;
    let outcome = match outcome {
        Ok(verdicts) => {
            let differs = questions.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Different));
            let differs: Vec<&Open> = differs.map(|(question, _)| question).collect();
            replacing::columns(&mut conversation, old, new, &differs, &mut settled).await.map(|()| verdicts)
        }
        Err(error) => Err(error),
    };
    conversation.end().await;
    let verdicts = outcome?;
    for (question, verdict) in questions.iter().zip(verdicts) {
        match verdict {
            Verdict::Same => _ = settled.same.insert(question.clone()),
            Verdict::Different => {}
            Verdict::Unknown(reason) => {
                settled.unverified.push(Unverified { id: question.id.clone(), attr: question.attr, reason });
            }
        }
    }
    Ok(settled)
}

/// A piece of text on its way through the rounds.
struct Case {
    question: usize,
    leaf: Leaf,
    verdict: Option<Verdict>,
    /// What the server made of the written text.
    printed: Option<String>,
}

async fn answer(
    conversation: &mut Conversation<'_>,
    old: &State,
    new: &State,
    questions: &[Open],
) -> Result<Vec<Verdict>> {
    let (was, is) = (Tables::new(old), Tables::new(new));
    let mut cases = Vec::new();
    for (at, question) in questions.iter().enumerate() {
        let (Some(before), Some(after)) = (old.get(&question.id), new.get(&question.id)) else { continue };
        for leaf in leaves(question, before, after) {
            cases.push(Case { question: at, leaf, verdict: None, printed: None });
        }
    }
    // What was written, as the server prints it.
    let context = probe::Context { old, new, was: &was, is: &is, server: conversation.server() };
    let replies = conversation.ask(cases.iter().map(|c| probe::of(&context, &c.leaf, &c.leaf.written, false))).await?;
    let unborn = unborn(old, new);
    for (case, reply) in cases.iter_mut().zip(replies) {
        match reply {
            Reply::Text(text) if probe::prints_alike(&text, &case.leaf.stored) => case.verdict = Some(Verdict::Same),
            Reply::Text(text) => case.printed = Some(text),
            Reply::Missing(reason) => {
                // What names something that only the plan will make cannot be what the catalog holds.
                let new_name = unborn.iter().any(|name| probe::mentions(&case.leaf.written, name));
                case.verdict = Some(if new_name { Verdict::Different } else { Verdict::Unknown(reason) });
            }
            Reply::Refused(reason) => case.verdict = Some(Verdict::Unknown(reason)),
        }
    }
    // The stored text is sent to the server again, since it is not a fixed point; and so is its answer.
    let undecided = cases.iter().enumerate().filter(|(_, case)| case.verdict.is_none());
    let open: Vec<usize> = undecided.map(|(at, _)| at).collect();
    let again = open.iter().filter_map(|i| cases.get(*i)).flat_map(|case| {
        let stored = probe::of(&context, &case.leaf, &case.leaf.stored, false);
        let renamed = probe::of(&context, &case.leaf, &case.leaf.stored, true);
        let printed = probe::of(&context, &case.leaf, case.printed.as_deref().unwrap_or_default(), false);
        [stored, renamed, printed]
    });
    let probes: Vec<Result<Probe, String>> = again.collect();
    let mut replies = conversation.ask(probes.into_iter()).await?.into_iter();
    for at in open {
        let answers: Vec<Option<String>> = replies.by_ref().take(3).map(Reply::text).collect();
        let Some(case) = cases.get_mut(at) else { continue };
        let [stored, renamed, second] = answers.as_slice() else { continue };
        let ours = [&case.printed, second];
        let theirs = [stored, renamed];
        let equal = ours.iter().filter_map(|o| o.as_deref()).any(|ours| {
            probe::prints_alike(ours, &case.leaf.stored) || theirs.iter().any(|theirs| theirs.as_deref() == Some(ours))
        });
        case.verdict = Some(if equal { Verdict::Same } else { Verdict::Different });
    }
    let mut verdicts: Vec<Verdict> = questions.iter().map(|_| Verdict::Same).collect();
    for case in cases {
        let Some(slot) = verdicts.get_mut(case.question) else { continue };
        match (&slot, case.verdict) {
            (_, Some(Verdict::Different)) => *slot = Verdict::Different,
            (Verdict::Same, Some(unknown @ Verdict::Unknown(_))) => *slot = unknown,
            _ => {}
        }
    }
    Ok(verdicts)
}

/// The pieces of text in which two values of an attribute differ.
fn leaves(question: &Open, before: &Object, after: &Object) -> Vec<Leaf> {
    let mut out = Vec::new();
    if let (Some(stored), Some(written)) = (before.value(question.attr), after.value(question.attr)) {
        walk(question, question.attr, stored, written, &mut out);
    }
    out
}

fn walk(question: &Open, name: &'static str, stored: &Value, written: &Value, out: &mut Vec<Leaf>) {
    if let (PARTITION_BY, Value::Expr(a), Value::Expr(b)) = (name, stored, written) {
        // Expressions are asked about one by one: a partitioned table would evaluate them.
        let keys = (PartitionKey::parse(a.as_str()), PartitionKey::parse(b.as_str()));
        if let Some(pairs) = keys.0.as_ref().zip(keys.1.as_ref()).and_then(|(a, b)| a.expressions(b))
            && keys.0.as_ref().is_some_and(|key| key.columns().is_none())
        {
            let (id, attr) = (&question.id, question.attr);
            out.extend(pairs.into_iter().map(|(stored, written)| Leaf {
                id: id.clone(),
                attr,
                name: probe::KEY_PART,
                is_type: false,
                stored: stored.into(),
                written: written.into(),
            }));
            return;
        }
    }
    let (stored, written, is_type) = match (stored, written) {
        (a, b) if a == b => return,
        (Value::Expr(a), Value::Expr(b)) => (&a.0, &b.0, false),
        (Value::Type(a), Value::Type(b)) => (&a.0, &b.0, true),
        (Value::List(a), Value::List(b)) => {
            a.iter().zip(b).for_each(|(a, b)| walk(question, name, a, b, out));
            return;
        }
        (Value::Record(a), Value::Record(b)) => {
            for (name, value) in a.iter() {
                if let Some(other) = b.value(name) {
                    walk(question, name, value, other, out);
                }
            }
            return;
        }
        _ => return,
    };
    let (id, attr) = (question.id.clone(), question.attr);
    out.push(Leaf { id, attr, name, is_type, stored: stored.clone(), written: written.clone() });
}

/// True if two values are the same but for the space and the parentheses around their texts.
pub fn same_text(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Expr(a), Value::Expr(b)) => probe::prints_alike(a.as_str(), b.as_str()),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_text(a, b)),
        (Value::Record(a), Value::Record(b)) => {
            a.iter().count() == b.iter().count()
                && a.iter().all(|(name, value)| b.value(name).is_some_and(|other| same_text(value, other)))
        }
        _ => a == b,
    }
}

/// Names that the live database does not have yet.
fn unborn(old: &State, new: &State) -> FxHashSet<String> {
    let known: FxHashMap<&str, ()> = old.iter().map(|(id, _)| (id.name().as_str(), ())).collect();
    let fresh = new.iter().filter(|(id, object)| !old.has(id) || object.was.is_some());
    let names = fresh.map(|(id, object)| (id.name().as_str(), object.was.is_some()));
    let names = names.filter(|(name, renamed)| !name.is_empty() && (*renamed || !known.contains_key(name)));
    names.map(|(name, _)| name.to_string()).collect()
}
