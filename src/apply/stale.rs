//! Checks the footprint: is the database in the state that the plan was made for, and did it reach the state that the plan leads to?

use std::borrow::Cow;

use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::diff::{lineage, rename};
use crate::kinds::{self, owner};
use crate::model::{Address, Digest, Edges, Error, Object, ObjectId, Result, State, Within};
use crate::plan::{Action, Expected, Plan};
use crate::project::Manage;
use crate::sql::reference;

/// How many differences an error names.
const SHOWN: usize = 20;

/// What is reported about an object that the plan was to create.
const EXISTS: &str = "exists already";

/// Refuses a plan whose footprint is not what it was made for. What the last revision's snapshot holds in the same form counts
/// as unchanged: this server may spell an expression differently from the one that the plan was made on.
///
/// # Errors
/// `Stale`, naming what differs.
pub fn check(plan: &Plan, live: &State, snapshot: Option<&State>, manage: &Manage) -> Result<()> {
    let live = renamed(live, plan);
    let snapshot = snapshot.map(|state| renamed(state, plan));
    let recorded = |id: &ObjectId| snapshot.as_ref().and_then(|state| state.get(id));
    let found = find(&plan.footprint, &live, manage, |e| e.before);
    let mut problems = Vec::new();
    let made: FxHashSet<&str> =
        plan.footprint.iter().filter(|e| e.before.is_none()).map(|e| e.object.as_str()).collect();
    for (expected, object) in &found.known {
        match (expected.before, object) {
            // The contents of something that should not exist itself need not be reported.
            (None, Some((id, _))) if id.root() != *id && made.contains(id.root().to_string().as_str()) => {}
            (None, Some(_)) => problems.push(format!("{} {EXISTS}", expected.object)),
            (Some(_), None) => problems.push(format!("{} is gone", expected.object)),
            (Some(before), Some((id, object))) => {
                if Digest::of_object(id, object, false) != before && recorded(id) != Some(object) && readable(object) {
                    problems.push(format!("{} was changed", expected.object));
                }
            }
            (None, None) => {}
        }
    }
    for id in found.strangers {
        if recorded(id).is_none() || recorded(id) != live.get(id) {
            problems.push(format!("{id} was added"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::stale(format!("the database is not what plan {} ({}) was made for", plan.number, plan.name));
    if snapshot.is_none() && problems.iter().any(|problem| problem.ends_with(EXISTS)) {
        return Err(listed(error, problems).detail("it has no revision yet: somebody made these by hand, or another tool did").remedy(format!(
            "if they are what the plan makes, record that with `setpoint stamp {}`; to adopt the database as it is, `setpoint \
             baseline` in a new project",
            plan.number
        )));
    }
    Err(listed(error, problems).remedy(
        "undo these changes in the database, or pull them and make the plan again (after a restore, which respells expressions: \
         `setpoint stamp` with the current revision)",
    ))
}

/// False for what the role that runs a plan may not read: that cannot be known then.
fn readable(object: &Object) -> bool {
    object.value("unreadable").is_none()
}

/// Refuses to roll back a plan whose result was changed since.
///
/// # Errors
/// `Stale`, naming what differs.
pub fn check_back(plan: &Plan, live: &State, snapshot: Option<&State>, manage: &Manage) -> Result<()> {
    let found = find(&plan.footprint, live, manage, |e| e.after);
    let recorded = |id: &ObjectId| snapshot.and_then(|state| state.get(id));
    let mut problems = Vec::new();
    for (expected, object) in &found.known {
        match (expected.after, object) {
            (None, Some((id, object))) if recorded(id) != Some(object) => {
                problems.push(format!("{} exists again", expected.object));
            }
            (Some(_), None) => problems.push(format!("{} is gone", expected.object)),
            (Some(after), Some((id, object))) => {
                let same = match recorded(id) {
                    Some(recorded) => recorded == *object,
                    None => Digest::of_object(id, object, true) == after,
                };
                if !same && readable(object) {
                    problems.push(format!("{} was changed", expected.object));
                }
            }
            _ => {}
        }
    }
    for id in found.strangers {
        if recorded(id).is_none() || recorded(id) != live.get(id) {
            problems.push(format!("{id} was added"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::stale(format!("the database is not what revision {} ({}) left", plan.number, plan.name));
    Err(listed(error, problems).remedy(format!(
        "undo these changes in the database first; `setpoint drift` shows them (after a restore, which respells expressions: \
         `setpoint stamp {}`)",
        plan.number
    )))
}

/// Checks that the plan led where it should; `before` is the state before it ran, if that is known.
///
/// # Errors
/// `Failed`, naming what differs.
pub fn reached(plan: &Plan, live: &State, before: Option<&State>, manage: &Manage) -> Result<()> {
    let mut problems = differs(&plan.footprint, live, manage);
    if let Some(before) = before {
        problems.extend(unforeseen(plan, live, &renamed(before, plan), manage));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::failed(format!(
        "all steps of plan {} ({}) ran, but the database is not what the plan leads to",
        plan.number, plan.name
    ));
    Err(listed(error, problems))
}

/// What is in the plan's tables now, although it is neither in the plan nor in the state before.
fn unforeseen(plan: &Plan, live: &State, before: &State, manage: &Manage) -> Vec<String> {
    let strangers = find(&plan.footprint, live, manage, |e| e.after.or(e.before)).strangers.into_iter();
    strangers.filter(|id| !before.has(id)).map(|id| format!("{id} also exists")).collect()
}

/// How the live state differs from where these plans lead, one after the other; one line per object.
pub fn not_reached(plans: &[Plan], live: &State, manage: &Manage) -> Vec<String> {
    let mut last: IndexMap<&str, &Expected> = IndexMap::new();
    for plan in plans {
        last.extend(plan.footprint.iter().map(|expected| (expected.object.as_str(), expected)));
    }
    let footprint: Vec<Expected> = last.into_values().cloned().collect();
    differs(&footprint, live, manage)
}

fn differs(footprint: &[Expected], live: &State, manage: &Manage) -> Vec<String> {
    let one = |(expected, object): (&Expected, Option<(&ObjectId, &Object)>)| match (expected.after, object) {
        (None, Some(_)) => Some(format!("{} is still there", expected.object)),
        (Some(_), None) => Some(format!("{} is not there", expected.object)),
        (Some(after), Some((id, object))) if !is(id, object, live, after) && readable(object) => {
            Some(format!("{} is not what the plan says", expected.object))
        }
        _ => None,
    };
    find(footprint, live, manage, |e| e.after).known.into_iter().filter_map(one).collect()
}

/// True if the object is what the plan leads to. A column that a table declared by itself stays one that it declares where it inherits it.
fn is(id: &ObjectId, object: &Object, live: &State, after: Digest) -> bool {
    let digest = |object: &Object| Digest::of_object(id, object, true) == after;
    digest(object) || lineage::reduced(id, live).is_some_and(|reduced| digest(&reduced))
}

/// Checks that rolling the plan back led to where it came from; `before` is the snapshot of the revision before.
///
/// # Errors
/// `Failed`, naming what differs.
pub fn reached_back(plan: &Plan, live: &State, before: Option<&State>, manage: &Manage) -> Result<()> {
    let live = renamed(live, plan);
    let before = before.map(|state| renamed(state, plan));
    let mut problems = Vec::new();
    for (expected, object) in find(&plan.footprint, &live, manage, |e| e.before).known {
        match (expected.before, object) {
            (None, Some(_)) => problems.push(format!("{} is still there", expected.object)),
            (Some(_), None) => problems.push(format!("{} is not there", expected.object)),
            (Some(digest), Some((id, object))) => {
                let shape = |object| Digest::of_object(id, object, true);
                let same = Digest::of_object(id, object, false) == digest
                    || before.as_ref().and_then(|state| state.get(id)).is_none_or(|old| shape(old) == shape(object));
                if !same && readable(object) {
                    problems.push(format!("{} is not what it was", expected.object));
                }
            }
            (None, None) => {}
        }
    }
    if let Some(before) = &before {
        problems.extend(unforeseen(plan, &live, before, manage));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::failed(format!(
        "plan {} ({}) was rolled back, but the database is not what it was before",
        plan.number, plan.name
    ));
    Err(listed(error, problems))
}

/// The snapshot of the revision before a plan that was rolled back, with the plan's footprint as it is now: what was restored may
/// be spelled differently than before.
pub fn put_back(plan: &Plan, live: &State, before: &State) -> State {
    let expected = texts(plan);
    let mut state = before.clone();
    // Renaming keeps the order, so the two go side by side.
    let shown = renamed(live, plan);
    for ((id, object), (shown, _)) in live.iter().zip(shown.iter()) {
        if state.has(id) && expected.contains(shown.to_string().as_str()) {
            state.put(id.clone(), object.clone());
        }
    }
    state
}

/// What changed outside the tables of the footprint while the plan ran, made by somebody else.
pub fn elsewhere(plan: &Plan, before: &State, after: &State) -> Vec<ObjectId> {
    let before = renamed(before, plan);
    let touched = in_footprint(plan, &before).into_iter().chain(in_footprint(plan, after));
    let touched: FxHashSet<&ObjectId> = touched.map(|(id, _)| id).collect();
    let roots: FxHashSet<&ObjectId> = touched.iter().map(|id| id.root()).collect();
    // A schema is not the root of anything, but the owner of one that the plan created came with it.
    let facet = |id: &ObjectId| id.kind().address == Address::Facet;
    let ours = |id: &ObjectId| {
        roots.contains(id.root()) || facet(id) && id.parent().is_some_and(|parent| touched.contains(parent))
    };
    let differs = after.iter().filter(|(id, object)| before.get(id) != Some(object)).map(|(id, _)| id);
    let gone = before.iter().filter(|(id, _)| !after.has(id)).map(|(id, _)| id);
    differs.chain(gone).filter(|id| !ours(id)).cloned().collect()
}

/// The objects of a state that the plan mentions.
pub fn in_footprint<'a>(plan: &Plan, state: &'a State) -> Vec<(&'a ObjectId, &'a Object)> {
    let expected = texts(plan);
    state.iter().filter(|(id, _)| expected.contains(id.to_string().as_str())).collect()
}

/// What a plan has on objects that are not managed, and of tables whose partitions others create: that is managed.
pub fn declared(plan: &Plan, live: &State, manage: &Manage) -> State {
    let mut out = State::default();
    let others = |id: &ObjectId| manage.external_partitions || !manage.covers(id) || live.is_apart(id);
    for (id, object) in in_footprint(plan, live).into_iter().filter(|(id, _)| others(id)) {
        out.put(id.clone(), object.clone());
    }
    out
}

fn texts(plan: &Plan) -> FxHashSet<&str> {
    plan.footprint.iter().map(|expected| expected.object.as_str()).collect()
}

/// The state with the names after the plan's renames, which are those that a plan uses.
pub fn renamed<'a>(state: &'a State, plan: &Plan) -> Cow<'a, State> {
    let mut out = Cow::Borrowed(state);
    for step in plan.steps.iter().filter(|step| step.action == Action::Rename) {
        let Some(from) = step.with.first() else { continue };
        let Some(id) = find_id(from, &out) else { continue };
        let Some(name) = own_name(&step.object) else { continue };
        let to = id.renamed(name);
        if !rename::has(&out, &to) {
            out = Cow::Owned(rename::follow(out.into_owned(), Edges::default(), &id, &to).0);
        }
    }
    out
}

/// The id of that text, if the state has such an object, or such a part of an object.
fn find_id(text: &str, state: &State) -> Option<ObjectId> {
    let mut ids = state.iter().map(|(id, _)| id);
    let kind = kinds::find(text.split(' ').next()?)?.kind();
    let Within::Of(wholes) = kind.within else { return ids.find(|id| id.to_string() == text).cloned() };
    if kind.address != Address::Part {
        return ids.find(|id| id.to_string() == text).cloned();
    }
    let name = own_name(text)?;
    let mut parts = ids
        .filter(|id| wholes.contains(&id.kind().word))
        .map(|whole| ObjectId::new(kind, Some(whole.clone()), name.as_str()));
    parts.find(|id| id.to_string() == text && rename::has(state, id))
}

/// The last name of an object's text: `total` of `column public.orders.total`.
pub(super) fn own_name(object: &str) -> Option<String> {
    names(object)?.pop()
}

/// The names of an object's text, from the schema inwards; a routine's types are left out.
pub fn names(object: &str) -> Option<Vec<String>> {
    let (_, path) = object.split_once(' ')?;
    // The types of a routine are in parentheses, which an unquoted name never contains.
    let mut quoted = false;
    let end = path.find(|c| {
        quoted ^= c == '"';
        c == '(' && !quoted
    });
    let path = end.and_then(|end| path.get(..end)).unwrap_or(path);
    Some(reference::split(path).ok()?.iter().map(ToString::to_string).collect())
}

/// The objects of a footprint, found in a state.
struct Found<'a> {
    known: Vec<(&'a Expected, Option<(&'a ObjectId, &'a Object)>)>,
    /// Objects inside the same tables, that the footprint does not know.
    strangers: Vec<&'a ObjectId>,
}

/// `digest` says which one the state should show. What the project leaves to others may change at any time.
fn find<'a>(
    footprint: &'a [Expected],
    state: &'a State,
    manage: &Manage,
    digest: fn(&Expected) -> Option<Digest>,
) -> Found<'a> {
    let kind = |expected: &&Expected| !manage.leaves(expected.object.split(' ').next().unwrap_or_default());
    let footprint: Vec<&Expected> = footprint.iter().filter(kind).collect();
    let wanted = |at: usize| footprint.get(at).copied().and_then(digest).is_some();
    let mut known: Vec<_> = footprint.iter().map(|expected| (*expected, None)).collect();
    let index: FxHashMap<&str, usize> = footprint.iter().enumerate().map(|(i, e)| (e.object.as_str(), i)).collect();
    let mut roots: FxHashSet<&ObjectId> = FxHashSet::default();
    let mut others = Vec::new();
    for (id, object) in state.iter().filter(|(id, _)| !manage.leaves(id.kind().word)) {
        if lineage::repeats(id, state) && index.get(id.to_string().as_str()).is_none_or(|at| !wanted(*at)) {
            continue; // it has that anyway
        }
        match index.get(id.to_string().as_str()).and_then(|at| known.get_mut(*at)) {
            Some(slot) => {
                slot.1 = Some((id, object));
                roots.insert(id.root());
            }
            // Of an object that is not managed, only what the plan mentions counts.
            None if !manage.covers(id) || state.is_apart(id) => {}
            None => others.push(id),
        }
    }
    // Plans leave out the owner that is the role that runs them anyway.
    let strangers = others.into_iter().filter(|id| roots.contains(id.root()) && !id.is(&owner::KIND)).collect();
    Found { known, strangers }
}

fn listed(mut error: Error, problems: Vec<String>) -> Error {
    let more = problems.len().saturating_sub(SHOWN);
    error.details.extend(problems.into_iter().take(SHOWN));
    if more > 0 {
        error.details.push(format!("… and {more} more"));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_texts() {
        let found = |text| names(text).unwrap().join("|");
        assert_eq!(found("column public.orders.total"), "public|orders|total");
        assert_eq!(found("function public.f(integer, app.t)"), "public|f");
        assert_eq!(found("index public.\"a.b\".\"x(\"\"y\""), "public|a.b|x(\"y");
    }
}
