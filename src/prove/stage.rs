//! Which part of a state must exist for a plan to run: what it touches, what depends on that, and what these need.

use std::cell::OnceCell;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::apply::stale;
use crate::diff::lineage;
use crate::kinds::{extension, inheritance, owner, schema};
use crate::model::{Address, Edges, Ident, Namespace, Object, ObjectId, State, Value};
use crate::plan::{Action, Names, Plan};

/// How many partitions are built of a table that is only needed by others.
const PARTITIONS: usize = 4;

/// A state, and what a plan makes of it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The state that the plan starts from, under the names of then.
    pub start: &'a State,
    /// Its dependencies.
    pub edges: &'a Edges,
    /// The state that the plan leads to.
    pub end: &'a State,
    /// Who runs the plan: the role that builds stands in for it.
    pub creator: &'a Ident,
}

/// The part of the state that the plan starts from which has to be built before it can run.
pub fn of(scene: &Scene<'_>, plan: &Plan) -> State {
    let mut seeds = Vec::new();
    let renames = plan.steps.iter().any(|step| step.action == Action::Rename);
    // Plans speak of objects by the names that these have once the renames are done.
    let renamed = renames.then(|| stale::renamed(scene.start, plan));
    let shown = renamed.as_deref().unwrap_or(scene.start);
    let before: FxHashMap<&ObjectId, &ObjectId> = if renames {
        shown.iter().map(|(id, _)| id).zip(scene.start.iter().map(|(id, _)| id)).collect()
    } else {
        FxHashMap::default()
    };
    let as_before = |id: &ObjectId| {
        // A new object is in something that may have had another name.
        let known = std::iter::once(id).chain(id.ancestors()).find_map(|own| Some((own, *before.get(own)?)));
        known.and_then(|(own, was)| id.rebased(own, was)).unwrap_or_else(|| id.clone())
    };
    let there = stale::in_footprint(plan, shown);
    seeds.extend(there.iter().map(|(id, _)| as_before(id)));
    // A new object may need what no footprint names: another table, a type, a function.
    let made = stale::in_footprint(plan, scene.end);
    let touched = touched(plan, there.iter().chain(&made).map(|(id, _)| *id));
    seeds.extend(dependents(scene, touched.into_iter().map(&as_before).collect()));
    if !made.is_empty() {
        let names = Names::new(scene.end);
        for (id, object) in made {
            seeds.extend(keys_referred_to(object, scene.start));
            let needs = names.needs(id, object);
            let named = names.in_bodies(id, object);
            seeds.extend([needs.hard, needs.soft, needs.called, named].concat().iter().map(as_before));
        }
    }
    seeds.extend(of_parents(&Scene { start: shown, ..*scene }, plan).iter().map(&as_before));
    // What extensions provide is not in the state, and what needs it is not known.
    seeds.extend(scene.start.iter().map(|(id, _)| id).filter(|id| id.is(&extension::KIND)).cloned());
    closure(scene, seeds)
}

/// The keys of a table of which a foreign key does not say which one it needs: files do not know the keys of what they do not declare.
fn keys_referred_to(object: &Object, start: &State) -> Vec<ObjectId> {
    let Some(Value::Ref(table)) = object.value("references").filter(|_| object.value("key").is_none()) else {
        return Vec::new();
    };
    let unique = |id: &ObjectId| {
        matches!(id.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey)
            || id.kind().address == Address::Beside && id.kind().namespace == Namespace::Relation
    };
    let inside = start.iter().map(|(id, _)| id).filter(|id| id.parent() == Some(table) && unique(id));
    inside.cloned().collect()
}

/// What is in the parents that tables leave or join: they take it along, must have it, or share it from then on.
fn of_parents(scene: &Scene<'_>, plan: &Plan) -> Vec<ObjectId> {
    let tables = touched(plan, scene.end.iter().map(|(id, _)| id).filter(|id| id.kind().address == Address::Qualified));
    let parents = |state: &State, table: &ObjectId| -> Vec<ObjectId> {
        state.get(table).map(inheritance::parents).unwrap_or_default().into_iter().cloned().collect()
    };
    let mut open = Vec::new();
    for table in tables.into_iter().filter(|table| scene.start.has(table)) {
        let [before, after] = [scene.start, scene.end].map(|state| parents(state, table));
        if before != after {
            open.extend(before.into_iter().chain(after));
        }
    }
    let mut wholes = FxHashSet::default();
    while let Some(table) = open.pop() {
        open.extend(parents(scene.start, &table).into_iter().filter(|parent| !wholes.contains(parent)));
        wholes.insert(table);
    }
    let inside = scene.start.iter().map(|(id, _)| id).filter(|id| id.parent().is_some_and(|p| wholes.contains(p)));
    inside.filter(|id| id.kind().address != Address::Facet).cloned().collect()
}

/// The objects that steps are about, among those of the footprint.
fn touched<'a>(plan: &Plan, all: impl Iterator<Item = &'a ObjectId>) -> FxHashSet<&'a ObjectId> {
    let steps = plan.steps.iter().flat_map(|step| std::iter::once(step).chain(&step.inverse));
    let texts: FxHashSet<&str> =
        steps.flat_map(|step| std::iter::once(&step.object).chain(&step.with)).map(String::as_str).collect();
    all.filter(|id| texts.contains(id.to_string().as_str())).collect()
}

/// What depends on objects that change: the server looks at it, refuses the change because of it, or changes it along.
fn dependents(scene: &Scene<'_>, touched: Vec<ObjectId>) -> Vec<ObjectId> {
    let start = scene.start;
    let mut users: FxHashMap<&ObjectId, Vec<&ObjectId>> = FxHashMap::default();
    for (id, needs) in scene.edges {
        needs.iter().for_each(|needed| users.entry(needed).or_default().push(id));
    }
    let children = start.children();
    // What changes, or is a whole of which a part changes: then its rows, where they are values of others.
    let mut seen: FxHashSet<(ObjectId, bool)> = FxHashSet::default();
    let mut open: Vec<(ObjectId, bool)> = Vec::new();
    for id in touched {
        let wholes = id.ancestors().filter(|whole| whole.kind().address == Address::Qualified);
        open.extend(wholes.map(|whole| (whole.clone(), true)));
        open.push((id, false));
    }
    let mut found = Vec::new();
    while let Some((id, is_whole)) = open.pop() {
        if !seen.insert((id.clone(), is_whole)) {
            continue;
        }
        if !is_whole {
            open.extend(children.get(&id).into_iter().flatten().map(|child| ((*child).clone(), false)));
        }
        for user in users.get(&id).into_iter().flatten() {
            let root = user.root();
            let holds = root == *user || user.kind().address == Address::MemberOf;
            if is_whole && !holds || is_plain_partition(user, &children, &users, start) {
                continue;
            }
            found.push((*user).clone());
            // What consists of it, or inherits from it, changes with it.
            if holds && matches!(root.kind().namespace, Namespace::Relation | Namespace::Type) {
                open.push((root.clone(), true));
            }
        }
    }
    found
}

/// True for a partition that has nothing of its own: it is like its siblings, of which some are there.
fn is_plain_partition(
    id: &ObjectId,
    children: &FxHashMap<&ObjectId, Vec<&ObjectId>>,
    users: &FxHashMap<&ObjectId, Vec<&ObjectId>>,
    state: &State,
) -> bool {
    let own = |child: &ObjectId| child.kind().address != Address::Facet && !lineage::repeats(child, state);
    state.get(id).is_some_and(|object| inheritance::partition_of(object).is_some())
        && !users.contains_key(id)
        && !children.get(id).into_iter().flatten().any(|child| own(child) || users.contains_key(child))
}

/// The state without the extensions that a server does not have. What needs them fails when it is built.
pub fn without_extensions(state: &State, available: &[String]) -> State {
    let there = |id: &ObjectId| {
        let own = std::iter::once(id).chain(id.ancestors()).find(|id| id.is(&extension::KIND));
        own.is_none_or(|extension| available.iter().any(|name| name == extension.name().as_str()))
    };
    let mut out = State::default();
    for (id, object) in state.iter().filter(|(id, _)| there(id)) {
        out.put(id.clone(), object.clone());
    }
    out
}

/// True if the plan gives or takes rights on objects of extensions.
pub fn has_guests(scene: &Scene<'_>, plan: &Plan) -> bool {
    let apart = |state: &State| stale::in_footprint(plan, state).iter().any(|(id, _)| state.is_apart(id));
    apart(scene.start) || apart(scene.end)
}

/// The state without rights on objects of extensions, which only their owners may give: they matter where the plan has to do with them.
pub fn whole(state: &State, plan: &Plan) -> State {
    let said = |id: &ObjectId| plan.footprint.iter().any(|expected| expected.object == id.to_string());
    let mut out = State::default();
    for (id, object) in state.iter().filter(|(id, _)| !state.is_apart(id) || said(id)) {
        out.put(id.clone(), object.clone());
    }
    out
}

/// The state without owners that the role that builds stands in for: a plan does not name them, and what it creates belongs to whoever runs it.
pub fn left_to_creator(state: &State, creator: &Ident, plan: &Plan) -> State {
    let said = |id: &ObjectId| plan.footprint.iter().any(|expected| expected.object == id.to_string());
    let ours = |id: &ObjectId, object: &Object| {
        id.is(&owner::KIND) && owner::role(object).as_ref() == Some(creator) && !said(id)
    };
    let mut out = State::default();
    for (id, object) in state.iter().filter(|(id, object)| !ours(id, object)) {
        out.put(id.clone(), object.clone());
    }
    out
}

/// The objects of the state, and everything that they need.
fn closure(scene: &Scene<'_>, seeds: Vec<ObjectId>) -> State {
    let (start, children) = (scene.start, scene.start.children());
    let names: OnceCell<Names<'_>> = OnceCell::new();
    let mut there: FxHashSet<ObjectId> = FxHashSet::default();
    let mut open = seeds;
    while let Some(id) = open.pop() {
        // An inherited column is its table's.
        let Some(id) = std::iter::once(&id).chain(id.ancestors()).find(|id| start.has(id)).cloned() else { continue };
        if !there.insert(id.clone()) {
            continue;
        }
        open.extend(id.ancestors().filter(|ancestor| start.has(ancestor)).cloned());
        open.extend(scene.edges.get(&id).into_iter().flatten().cloned());
        let parts = children.get(&id).into_iter().flatten();
        // A table is only one with its columns; whose it is, and who may do what with it, goes along.
        let along = |child: &&&ObjectId| matches!(child.kind().address, Address::MemberOf | Address::Facet);
        open.extend(parts.filter(along).map(|child| (*child).clone()));
        let Some(object) = start.get(&id) else { continue };
        if id.kind().namespace == Namespace::Routine {
            // What is called may run: what its body names has to be there, even if nothing depends on it.
            let names = names.get_or_init(|| Names::new(start));
            let needs = names.needs(&id, object);
            open.extend([needs.soft, needs.called, names.in_bodies(&id, object)].concat());
        }
        if object.value("partition-by").is_some() {
            let own = inheritance::own_partitions(start, &id).take(PARTITIONS);
            open.extend(own.cloned());
        }
    }
    // Every new database has it: where nothing of it is needed, it stays as it is there, without its owner and privileges.
    let public = schema::id("public");
    let mut out = State::default();
    for (id, object) in start.iter().filter(|(id, _)| there.contains(*id) || **id == public) {
        out.put(id.clone(), object.clone());
    }
    out
}
