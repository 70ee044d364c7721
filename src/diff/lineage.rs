//! Tables that gain or lose a parent (a table or a type): the columns that they get from it are not objects of their own, but have to become
//! objects on both sides to be compared with the columns that the tables declare themselves.

use rustc_hash::{FxHashMap, FxHashSet};

use super::rename;
use crate::kinds::{inheritance, room};
use crate::model::{Address, Namespace, Object, ObjectId, OnChange, State};

/// What two states were completed with: what they were before, if they were any.
#[derive(Debug, Default)]
pub struct Completed {
    pub old: FxHashMap<ObjectId, Option<Object>>,
    pub new: FxHashMap<ObjectId, Option<Object>>,
}

impl Completed {
    /// True if nothing was.
    pub fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

/// Completes two states with what tables have from elsewhere in one of them and by themselves in the other.
pub fn complete(old: &mut State, new: &mut State) -> Completed {
    let mut done = Completed::default();
    let tables: Vec<ObjectId> =
        new.iter().filter(|(id, after)| moves(id, old.get(id), after)).map(|(id, _)| id.clone()).collect();
    if tables.is_empty() {
        return done;
    }
    let mut parts: FxHashSet<ObjectId> = FxHashSet::default();
    for table in &tables {
        [&*old, &*new].iter().for_each(|state| parts.extend(inheritance::parts(state, table)));
    }
    let mut parts: Vec<ObjectId> = parts.into_iter().collect();
    parts.sort();
    let mut put: [Vec<(ObjectId, Object)>; 2] = Default::default();
    for id in parts {
        let inherited = [&*old, &*new].map(|state| !room(id.kind()).inherited_from(&id, state).is_empty());
        if inherited[0] != inherited[1] {
            let whole = [&*old, &*new].map(|state| whole(state, &id));
            for (side, object) in whole.into_iter().enumerate().filter(|(side, _)| inherited[*side]) {
                let state = if side == 0 { &*old } else { &*new };
                put[side].extend(facets(state, &id));
                put[side].extend(object.map(|object| (id.clone(), object)));
            }
        }
    }
    for table in &tables {
        for (side, [here, there]) in [[&*old, &*new], [&*new, &*old]].into_iter().enumerate() {
            put[side].extend(keys(table, here, there));
        }
    }
    let [before, after] = put;
    for (state, list, was) in [(old, before, &mut done.old), (new, after, &mut done.new)] {
        for (id, object) in list {
            let before = state.put(id.clone(), object);
            was.entry(id).or_insert(before);
        }
    }
    done
}

/// True if a table that stays gets its columns from elsewhere than before. A recreated table is created in its final form.
fn moves(id: &ObjectId, before: Option<&Object>, after: &Object) -> bool {
    let Some(before) = before.filter(|_| id.kind().address == Address::Qualified) else { return false };
    let replaced = |object: &Object| {
        let differs = id.kind().attrs.iter().filter(|attr| before.value(attr.name) != object.value(attr.name));
        differs.into_iter().any(|attr| room(id.kind()).on_change(attr, before, object) == OnChange::Replace)
    };
    inheritance::parents(before) != inheritance::parents(after) && !replaced(after)
}

/// What a column without attributes of its own gets from elsewhere: its default.
fn facets(state: &State, id: &ObjectId) -> Vec<(ObjectId, Object)> {
    let origins = room(id.kind()).inherited_from(id, state);
    let Some(origin) = origins.first().filter(|_| !state.has(id)) else { return Vec::new() };
    let folded = state.inside(origin).filter(|(facet, _)| facet.kind().folds);
    folded.map(|(facet, object)| (facet.moved(Some(id.clone())), object.clone())).collect()
}

/// A column or constraint with all that it has from elsewhere.
fn whole(state: &State, id: &ObjectId) -> Option<Object> {
    let own = state.get(id);
    let Some(origin) = completed_by(id, state).into_iter().next() else { return own.cloned() };
    let mut object = whole(state, &origin)?;
    let Some(own) = own else { return Some(object) };
    object.attrs.remove("not-null");
    own.attrs.iter().for_each(|(name, value)| object.attrs.put(name, value.clone()));
    Some(object)
}

/// Where a part of a table gets what it does not declare itself: nowhere, if it declares everything, as a column with a type does.
pub fn completed_by(id: &ObjectId, state: &State) -> Vec<ObjectId> {
    let says_all = |own: &Object| own.value("type").is_some() || id.kind().address != Address::MemberOf;
    if state.get(id).is_some_and(says_all) { Vec::new() } else { room(id.kind()).inherited_from(id, state) }
}

/// The keys and indexes that a table has by itself where it is on its own (`there`), and which are those of the table that it is
/// a partition of `here`: PostgreSQL takes them over when it joins, and leaves them when it leaves.
fn keys(table: &ObjectId, here: &State, there: &State) -> Vec<(ObjectId, Object)> {
    let whole = |state: &State, table: &ObjectId| {
        state.get(table).and_then(|object| room(table.kind()).shares_parts_of(object))
    };
    let wholes: Vec<ObjectId> = std::iter::successors(whole(here, table), |above| whole(here, above)).collect();
    if wholes.is_empty() || whole(there, table).is_some() {
        return Vec::new();
    }
    let is_key = |id: &ObjectId| {
        id.kind().address == Address::Beside
            || matches!(id.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey)
    };
    let theirs = |id: &ObjectId, object: &Object| {
        let same_kind =
            |above| here.parts(above, id.kind().word).any(|(_, key)| rename::moved(object, table, above) == *key);
        wholes.iter().any(same_kind)
    };
    let own = there.inside(table).filter(|(id, _)| is_key(id) && !here.has(id));
    own.filter(|(id, object)| theirs(id, object)).map(|(id, object)| (id.clone(), object.clone())).collect()
}

/// True if a table declares by itself what it inherits in both states: PostgreSQL keeps that in mind, and has no way to change it.
pub fn said_again(id: &ObjectId, here: &State, there: &State) -> bool {
    repeats(id, here) && !room(id.kind()).inherited_from(id, there).is_empty()
}

/// True if a table declares by itself just what it inherits.
pub fn repeats(id: &ObjectId, state: &State) -> bool {
    let origins = room(id.kind()).inherited_from(id, state);
    state.get(id).is_some_and(|own| origins.first().and_then(|origin| state.get(origin)) == Some(own))
}
