//! The indexes of a state: what is in an object, what is of a kind, what refers to an object. Each is made when somebody first asks, and
//! thrown away with the first change to the state.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use super::{Object, ObjectId, State, Value};

/// Positions in the state, in its order.
type Places<K> = OnceLock<FxHashMap<K, Vec<usize>>>;

/// What was made so far.
#[derive(Default)]
pub(super) struct Indexes {
    kinds: Places<&'static str>,
    /// Parent → what is in it.
    inside: Places<ObjectId>,
    /// Parent and kind → what of that kind is in it.
    parts: Places<(ObjectId, &'static str)>,
    /// An object and the name of an attribute → what refers to the object there.
    referring: Places<(ObjectId, &'static str)>,
    /// What others find out of the whole state.
    others: Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

/// A copy of a state is about to change.
impl Clone for Indexes {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Indexes")
    }
}

impl State {
    /// What is of that kind, in the order of the state.
    pub fn of_kind<'a>(&'a self, word: &'static str) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> + use<'a> {
        let kinds = self.indexes.kinds.get_or_init(|| self.index(|id, _, add| add(id.kind().word)));
        self.at(kinds.get(word))
    }

    /// What is directly in an object, in the order of the state.
    pub fn inside<'a>(&'a self, parent: &ObjectId) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> + use<'a> {
        let made =
            |id: &ObjectId, _: &Object, add: &mut dyn FnMut(ObjectId)| id.parent().cloned().into_iter().for_each(add);
        self.at(self.indexes.inside.get_or_init(|| self.index(made)).get(parent))
    }

    /// What of that kind is directly in an object, in the order of the state.
    pub fn parts<'a>(
        &'a self,
        parent: &ObjectId,
        word: &'static str,
    ) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> + use<'a> {
        let parts = self.indexes.parts.get_or_init(|| {
            self.index(|id, _, add| id.parent().into_iter().for_each(|parent| add((parent.clone(), id.kind().word))))
        });
        self.at(parts.get(&(parent.clone(), word)))
    }

    /// What refers to an object in one of those attributes, or within its value; in the order of the state.
    pub fn referring<'a>(
        &'a self,
        target: &ObjectId,
        attrs: &[&'static str],
    ) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> + use<'a> {
        let referring = self.indexes.referring.get_or_init(|| {
            self.index(|_, object, add| {
                object.attrs.iter().for_each(|(name, value)| refer(value, &mut |to| add((to.clone(), name))));
            })
        });
        let of = |name: &&'static str| referring.get(&(target.clone(), *name));
        let mut places: Vec<usize> = attrs.iter().filter_map(of).flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|at| self.objects.get_index(at)).inspect(|_| visited())
    }

    /// What somebody finds out of the whole state, as long as it does not change.
    pub fn once<T: Any + Send + Sync>(&self, find: impl FnOnce(&Self) -> T) -> Arc<T> {
        let others = || self.indexes.others.lock().unwrap_or_else(PoisonError::into_inner);
        let known = others().iter().find(|(own, _)| *own == TypeId::of::<T>()).map(|(_, known)| Arc::clone(known));
        if let Some(known) = known.and_then(|known| known.downcast::<T>().ok()) {
            return known;
        }
        let found = Arc::new(find(self));
        others().push((TypeId::of::<T>(), found.clone()));
        found
    }

    /// Where an object stands in the order of the state.
    pub fn position(&self, id: &ObjectId) -> Option<usize> {
        self.objects.get_index_of(id)
    }

    fn at<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> + use<'a> {
        places.into_iter().flatten().filter_map(|at| self.objects.get_index(*at)).inspect(|_| visited())
    }

    /// The places of all objects by the keys that they have.
    fn index<K: Eq + std::hash::Hash>(
        &self,
        keys: impl Fn(&ObjectId, &Object, &mut dyn FnMut(K)),
    ) -> FxHashMap<K, Vec<usize>> {
        let mut map: FxHashMap<K, Vec<usize>> = FxHashMap::default();
        for (at, (id, object)) in self.iter().enumerate() {
            keys(id, object, &mut |key| {
                let places = map.entry(key).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            });
        }
        map
    }
}

fn refer(value: &Value, found: &mut dyn FnMut(&ObjectId)) {
    match value {
        Value::Ref(id) => found(id),
        Value::List(list) => list.iter().for_each(|value| refer(value, found)),
        Value::Record(record) => record.iter().for_each(|(_, value)| refer(value, found)),
        _ => {}
    }
}

/// Counts an object that somebody looks at, in tests of how much work there is.
#[cfg(not(test))]
pub(super) const fn visited() {}

#[cfg(test)]
pub(super) use work::visited;

/// How many objects of states were looked at.
#[cfg(test)]
pub mod work {
    use std::cell::Cell;

    thread_local! {
        static VISITED: Cell<u64> = const { Cell::new(0) };
    }

    pub(in crate::model) fn visited() {
        VISITED.with(|count| count.set(count.get() + 1));
    }

    /// How many this thread looks at while it does something.
    pub fn of<T>(something: impl FnOnce() -> T) -> (T, u64) {
        let before = VISITED.with(Cell::get);
        let done = something();
        (done, VISITED.with(Cell::get) - before)
    }
}
