//! Remembers, after an apply, what PostgreSQL stored for each text in the files, so that the next comparison need not ask the server.

use rustc_hash::FxHashSet;

use crate::catalog::Session;
use crate::diff::{self, Open};
use crate::ledger;
use crate::model::{Result, State};
use crate::plan::{Action, Plan};
use crate::project::Manage;
use crate::sameness::{self, memo};

/// Learns what the database stored for the texts, after `plan` has brought it to `desired`: `live` is what it held then. What the plan
/// created is the stored form of its text; for the rest, the server says whether it means the same.
///
/// # Errors
/// What the server reports.
pub async fn learn(session: &Session, live: State, desired: &State, manage: &Manage, plan: &Plan) -> Result<()> {
    let live_state = manage.apply(live, desired);
    let files = diff::signature::settle(&live_state, desired);
    let new = manage.desired(&files, &live_state, session.version);
    let open = diff::compare(&live_state, &new).open;
    let facts = memo::facts(session, &live_state, &new, &open).await?;
    let keys: Vec<String> = facts.iter().map(|fact| fact.key.clone()).collect();
    let known = memo::same(&facts, &ledger::recall(session, &keys).await?);
    let made: FxHashSet<&str> = if plan.sealed {
        FxHashSet::default() // a person's hand was in it
    } else {
        let creates = plan.steps.iter().filter(|step| step.action == Action::Create);
        creates.flat_map(|step| std::iter::once(&step.object).chain(&step.with)).map(String::as_str).collect()
    };
    let is_made = |open: &Open| made.contains(open.id.to_string().as_str());
    let asked: Vec<Open> = open.into_iter().filter(|open| !known.contains(open) && !is_made(open)).collect();
    let same = sameness::settle(session, &live_state, &new, &asked).await?.same;
    let learnt: Vec<(String, String)> = facts
        .into_iter()
        .filter(|fact| !known.contains(&fact.open) && (same.contains(&fact.open) || is_made(&fact.open)))
        .map(|fact| (fact.key, fact.stored))
        .collect();
    ledger::learn(session, &learnt).await
}
