//! Tables that gain or lose a parent (a table or a type): the columns that they get from it are not objects of their own, but have to become
//! objects on both sides to be compared with the columns that the tables declare themselves.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::rename;
use crate::kinds::{choose_name, inheritance, room};
use crate::model::{Address, Edges, Ident, Namespace, Object, ObjectId, OnChange, State};

/// The objects that completed two states, each with what it was before, if it existed.
#[derive(Debug, Default)]
pub struct Completed {
    pub old: FxHashMap<ObjectId, Option<Object>>,
    pub new: FxHashMap<ObjectId, Option<Object>>,
}

impl Completed {
    /// True if nothing was added or changed.
    pub fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

/// The names that a partitioned table's keys and indexes have in its partitions: the partition and the key → the name.
pub type Attached = FxHashMap<(ObjectId, ObjectId), Ident>;

/// The partitions that leave their partitioned table.
pub fn leaving<'s>(old: &'s State, new: &'s State) -> Vec<&'s ObjectId> {
    let leaves = |(id, after): &(&ObjectId, &Object)| {
        moves(id, old, after) && old.get(id).is_some_and(|before| room(id.kind()).shares_parts_of(before).is_some())
    };
    new.iter().filter(leaves).map(|(id, _)| id).collect()
}

/// Completes two states with the parts that tables inherit in one of them and declare in the other. `edges` are the dependencies of the first
/// state: an added part depends on the same parts of its table as its origin does on those of its own table.
pub fn complete(old: &mut State, new: &mut State, attached: &Attached, edges: &mut Edges) -> Completed {
    let mut done = Completed::default();
    // Most schemas have no inheritance; for them, this costs one look at each table.
    if !has_heirs(old) && !has_heirs(new) {
        return done;
    }
    let tables: Vec<ObjectId> =
        new.iter().filter(|(id, after)| moves(id, old, after)).map(|(id, _)| id.clone()).collect();
    let mut parts: FxHashSet<ObjectId> = move_along(old, new).chain(move_along(new, old)).cloned().collect();
    if tables.is_empty() && parts.is_empty() {
        return done;
    }
    for table in &tables {
        [&*old, &*new].iter().for_each(|state| parts.extend(inheritance::parts(state, table)));
    }
    let mut parts: Vec<ObjectId> = parts.into_iter().collect();
    parts.sort();
    let mut put: [Vec<(ObjectId, Object)>; 2] = Default::default();
    let mut origins: Vec<(ObjectId, ObjectId)> = Vec::new();
    for id in parts {
        let from = [&*old, &*new].map(|state| room(id.kind()).inherited_from(&id, state));
        let inherited = from.each_ref().map(|origins| !origins.is_empty());
        // A column stays when its table changes parents. A constraint goes with the old parent, and comes with the new one.
        let exchanged = id.kind().address == Address::MemberOf && from[0] != from[1];
        if inherited[0] != inherited[1] || exchanged {
            origins.extend(room(id.kind()).inherited_from(&id, old).into_iter().next().map(|from| (from, id.clone())));
            let whole = [&*old, &*new].map(|state| whole(state, &id));
            for (side, object) in whole.into_iter().enumerate().filter(|(side, _)| inherited[*side]) {
                let state = if side == 0 { &*old } else { &*new };
                let facets = facets(state, &id);
                let from = |facet: &ObjectId| room(facet.kind()).inherited_from(facet, old).into_iter().next();
                origins.extend(facets.iter().filter_map(|(facet, _)| Some((from(facet)?, facet.clone()))));
                put[side].extend(facets);
                put[side].extend(object.map(|object| (id.clone(), object)));
            }
        }
    }
    for table in &tables {
        for (key, id, object) in left_behind(table, old, new, attached) {
            origins.push((key, id.clone()));
            put[0].push((id, object));
        }
        let theirs = left_behind(table, new, old, &Attached::default());
        put[1].extend(theirs.into_iter().map(|(_, id, object)| (id, object)));
    }
    origins.iter().for_each(|(from, to)| depend_alike(edges, from, to));
    depend_on(edges, &origins);
    let [before, after] = put;
    for (state, list, was) in [(old, before, &mut done.old), (new, after, &mut done.new)] {
        for (id, object) in list {
            let before = state.put(id.clone(), object);
            was.entry(id).or_insert(before);
        }
    }
    done
}

/// Gives an added part the dependencies of its origin, on the same parts of its own table.
fn depend_alike(edges: &mut Edges, origin: &ObjectId, id: &ObjectId) {
    let (Some(theirs), Some(table)) = (origin.parent(), id.parent()) else { return };
    let Some(list) = edges.get(origin).filter(|_| !edges.contains_key(id)) else { return };
    // Not on the table itself: what stays behind is dropped after the table has left.
    let list = list.iter().filter(|needed| *needed != theirs);
    let list = list.map(|needed| needed.rebased(theirs, table).unwrap_or_else(|| needed.clone())).collect();
    edges.insert(id.clone(), list);
}

/// Makes the parts of a table depend on its own columns where they depend on the columns these come from.
fn depend_on(edges: &mut Edges, origins: &[(ObjectId, ObjectId)]) {
    let columns = origins.iter().filter(|(_, to)| to.kind().address == Address::MemberOf);
    let mut completed: FxHashMap<&ObjectId, Vec<&ObjectId>> = FxHashMap::default();
    columns.for_each(|(from, to)| completed.entry(from).or_default().push(to));
    for (id, list) in edges.iter_mut() {
        let theirs = list.iter().filter_map(|needed| completed.get(needed)).flatten();
        let own = theirs.filter(|column| column.parent() == id.parent() && **column != id && !list.contains(column));
        let own: Vec<ObjectId> = own.map(|column| (*column).clone()).collect();
        list.extend(own);
    }
}

/// Columns that tables declare in one state and inherit in the other. PostgreSQL merges them with the parent's, and separates them again.
fn move_along<'s>(here: &'s State, there: &'s State) -> impl Iterator<Item = &'s ObjectId> {
    let column = |id: &ObjectId| id.kind().address == Address::MemberOf && id.parent().is_some_and(|t| there.has(t));
    let gone =
        here.iter().filter(move |(id, object)| says_all(object) && !there.get(id).is_some_and(says_all) && column(id));
    let own = |id: &ObjectId| room(id.kind()).inherited_from(id, here).is_empty();
    gone.map(|(id, _)| id).filter(move |id| own(id) && !room(id.kind()).inherited_from(id, there).is_empty())
}

/// True if a table of the state gets columns from elsewhere.
fn has_heirs(state: &State) -> bool {
    let mut tables = state.iter().filter(|(id, _)| id.kind().address == Address::Qualified);
    tables.any(|(_, table)| !inheritance::parents(table).is_empty())
}

/// True if a table that stays gets its columns from elsewhere than before. A recreated table is created in its final form.
fn moves(id: &ObjectId, old: &State, after: &Object) -> bool {
    let before = (id.kind().address == Address::Qualified).then(|| old.get(id)).flatten();
    let Some(before) = before else { return false };
    let replaced = |object: &Object| {
        let differs = id.kind().attrs.iter().filter(|attr| before.value(attr.name) != object.value(attr.name));
        differs.into_iter().any(|attr| room(id.kind()).on_change(attr, before, object) == OnChange::Replace)
    };
    inheritance::parents(before) != inheritance::parents(after) && !replaced(after)
}

/// What a column without attributes of its own inherits: its default.
fn facets(state: &State, id: &ObjectId) -> Vec<(ObjectId, Object)> {
    let origins = room(id.kind()).inherited_from(id, state);
    let Some(origin) = origins.first().filter(|_| !state.has(id)) else { return Vec::new() };
    let folded = state.inside(origin).filter(|(facet, _)| facet.kind().folds);
    let own = folded.map(|(facet, object)| (facet.moved(Some(id.clone())), object.clone()));
    // An identity numbers the column of one table only.
    own.filter(|(facet, _)| !room(facet.kind()).inherited_from(facet, state).is_empty()).collect()
}

/// A column or constraint with everything that it inherits.
fn whole(state: &State, id: &ObjectId) -> Option<Object> {
    let own = state.get(id);
    let Some(origin) = completed_by(id, state).into_iter().next() else { return own.cloned() };
    let mut object = whole(state, &origin)?;
    let Some(own) = own else { return Some(object) };
    object.attrs.remove("not-null");
    own.attrs.iter().for_each(|(name, value)| object.attrs.put(name, value.clone()));
    Some(object)
}

/// An object of both states, before and after, in the form in which the two are compared. A column that a table declares in one state and only
/// inherits in the other is completed in both. PostgreSQL records which it is, and has no command to change that.
pub fn alike<'a>(id: &ObjectId, objects: [&'a Object; 2], old: &State, new: &State) -> Option<[Cow<'a, Object>; 2]> {
    let says = objects.map(says_all);
    let inherited = |state: &State| !room(id.kind()).inherited_from(id, state).is_empty();
    if id.kind().address != Address::MemberOf || says[0] == says[1] || !inherited(old) || !inherited(new) {
        return Some(objects.map(Cow::Borrowed));
    }
    let [before, after] = objects.map(Cow::Borrowed);
    Some(match says[0] {
        true => [before, Cow::Owned(whole(new, id)?)],
        false => [Cow::Owned(whole(old, id)?), after],
    })
}

/// A column that a table both declares and inherits, as it would be if the table only inherited it.
pub fn reduced(id: &ObjectId, state: &State) -> Option<Object> {
    let own = state.get(id).filter(|own| id.kind().address == Address::MemberOf && says_all(own))?;
    let origin = room(id.kind()).inherited_from(id, state).into_iter().next()?;
    let theirs = whole(state, &origin)?;
    let mut out = own.clone();
    for name in ["type", "collation", "generated", "virtual"] {
        if own.value(name) != theirs.value(name) {
            return None;
        }
        out.attrs.remove(name);
    }
    Some(out)
}

/// True for a column that inherits nothing.
fn says_all(object: &Object) -> bool {
    object.value("type").is_some()
}

/// True for a column that comes from a parent, a type or a view's query: the state holds only its additional attributes.
pub fn is_only_described(id: &ObjectId, state: &State) -> bool {
    id.kind().address == Address::MemberOf && state.get(id).is_some_and(|own| !says_all(own))
}

/// The objects from which a part of a table inherits what it does not declare. None if it declares everything, as a column with a type does.
pub fn completed_by(id: &ObjectId, state: &State) -> Vec<ObjectId> {
    let declares = |own: &Object| says_all(own) || id.kind().address != Address::MemberOf;
    if state.get(id).is_some_and(declares) { Vec::new() } else { room(id.kind()).inherited_from(id, state) }
}

/// The partitioned tables above a partition, nearest first. None unless it is a partition `here` and a table of its own `there`.
fn wholes(table: &ObjectId, here: &State, there: &State) -> Vec<ObjectId> {
    let whole = |state: &State, table: &ObjectId| {
        state.get(table).and_then(|object| room(table.kind()).shares_parts_of(object))
    };
    let wholes: Vec<ObjectId> = std::iter::successors(whole(here, table), |above| whole(here, above)).collect();
    if whole(there, table).is_some() { Vec::new() } else { wholes }
}

fn is_key(id: &ObjectId) -> bool {
    id.kind().address == Address::Beside
        || matches!(id.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey)
}

/// The keys and indexes that a partition has as parts of its partitioned table's (`here`), each after that one. When the partition leaves, PostgreSQL
/// leaves them to it; when it joins, PostgreSQL attaches the partition's own.
fn left_behind(
    table: &ObjectId,
    here: &State,
    there: &State,
    attached: &Attached,
) -> Vec<(ObjectId, ObjectId, Object)> {
    let mut out: Vec<(ObjectId, ObjectId, Object)> = Vec::new();
    for above in wholes(table, here, there) {
        for (key, object) in here.inside(&above).filter(|(key, _)| is_key(key)) {
            let object = rename::moved(object, &above, table);
            let known = |name: &Ident| ObjectId::new(key.kind(), Some(table.clone()), name.clone());
            let free = |id: &ObjectId| !here.has(id) && out.iter().all(|(_, other, _)| other != id);
            let wanted = there.inside(table).find(|(id, own)| id.kind() == key.kind() && **own == object && free(id));
            let named = attached.get(&(table.clone(), key.clone())).map(known);
            let id = named.or_else(|| wanted.map(|(id, _)| id.clone())).or_else(|| {
                let naming = room(key.kind()).named_after(key, &object, here)?;
                let taken = |name: &str| !free(&known(&Ident::from(name)));
                let addition = naming.addition.as_deref();
                Some(known(&choose_name::choose(table.name().as_str(), addition, naming.label, taken)))
            });
            out.extend(id.filter(free).map(|id| (key.clone(), id, object)));
        }
    }
    out
}

/// True if a table declares what it also inherits, in both states. PostgreSQL records that, and has no command to change it.
pub fn said_again(id: &ObjectId, here: &State, there: &State) -> bool {
    repeats(id, here) && !room(id.kind()).inherited_from(id, there).is_empty()
}

/// True if a table declares exactly what it inherits.
pub fn repeats(id: &ObjectId, state: &State) -> bool {
    let origins = room(id.kind()).inherited_from(id, state);
    state.get(id).is_some_and(|own| origins.first().and_then(|origin| state.get(origin)) == Some(own))
}
