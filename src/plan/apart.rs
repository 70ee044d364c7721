//! What is declared on objects that are not managed: whose it is, and whether it can be declared there.

use rustc_hash::FxHashSet;

use crate::model::{Address, Error, Namespace, ObjectId, Result, State};

/// What the files declare, and what the last revision has on objects that are not managed: that is ours, even if no file says it any more.
pub fn declared(desired: &State, recorded: &State) -> State {
    let mut out = desired.clone();
    for (id, object) in recorded.iter().filter(|(id, _)| recorded.is_apart(id) && !desired.has(id)) {
        out.put(id.clone(), object.clone());
    }
    out
}

/// Lends both ends of a plan the objects on which something is declared, with all that is theirs: what is done there locks them, and concerns
/// their rows. These are what was lent; nothing is done to them, and they are none of the plan's business.
pub fn lend(old: &mut State, new: &mut State, around: &State) -> FxHashSet<ObjectId> {
    let mut tops: FxHashSet<ObjectId> = FxHashSet::default();
    for state in [&*old, &*new] {
        let apart = state.iter().map(|(id, _)| id).filter(|id| state.is_apart(id));
        tops.extend(apart.flat_map(|id| std::iter::once(id.top()).chain(id.top().schema())).cloned());
    }
    let mut lent = FxHashSet::default();
    if tops.is_empty() {
        return lent;
    }
    for (id, object) in around.iter().filter(|(id, _)| tops.contains(id.top())) {
        if !old.has(id) && !new.has(id) {
            old.put(id.clone(), object.clone());
            new.put(id.clone(), object.clone());
            lent.insert(id.clone());
        }
    }
    lent
}

/// Two parts of a database as one.
pub fn together(one: &State, other: &State) -> State {
    let mut out = one.clone();
    for (id, object) in other.iter() {
        out.put(id.clone(), object.clone());
    }
    out
}

/// Refuses what is declared on an object of another kind, or on one that the project manages: without a declaration, it would be dropped.
///
/// # Errors
/// `Config`, with the way to say it.
pub fn check(managed: &State, around: &State, desired: &State) -> Result<()> {
    for (id, _) in desired.iter().filter(|(id, _)| desired.is_apart(id)) {
        let top = id.top();
        if managed.has(top) {
            let error = Error::config(format!("{id}: {top} is managed, and no file declares it"));
            return Err(error.remedy(format!(
                "declare it (`setpoint pull` writes what is there), or leave it out: `manage {{ exclude \"{}\" }}` in setpoint.kdl",
                top.path()
            )));
        }
        if !around.has(top)
            && let Some(other) = namesake(around, top).or_else(|| namesake(managed, top))
        {
            let (name, kind) = (top.path(), other.kind().word);
            let error = Error::config(format!("{id}: {name} is not a {}, but a {kind}", top.kind().word));
            return Err(error.remedy(format!("write `on {kind} {name} {{ … }}`")));
        }
    }
    Ok(())
}

/// The object that has the name of another one, which is of another kind.
fn namesake<'a>(live: &'a State, id: &ObjectId) -> Option<&'a ObjectId> {
    let relation =
        |id: &ObjectId| id.kind().address == Address::Qualified && id.kind().namespace == Namespace::Relation;
    let mut all = live.iter().map(|(id, _)| id).filter(|other| relation(other) && relation(id));
    all.find(|other| other.name() == id.name() && other.schema() == id.schema())
}
