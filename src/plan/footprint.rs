//! The footprint of a plan: what it touches, with what belongs to that and depends on it.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Address, Digest, Object, ObjectId, State};

use super::wanted::Wanted;
use super::{Expected, Step};

/// The touched objects, their siblings and what depends on them, with what they must be before and after.
pub(super) fn of(wanted: &Wanted<'_>, steps: &[(Vec<ObjectId>, Step)]) -> Vec<Expected> {
    let part = |id: &ObjectId| id.kind().address == Address::Part;
    let ids = steps.iter().flat_map(|(ids, _)| ids);
    let touched: FxHashSet<&ObjectId> =
        ids.flat_map(|id| std::iter::once(id).chain(id.parent().filter(|_| part(id)))).collect();
    let mut roots: FxHashSet<&ObjectId> = touched.iter().map(|id| id.root()).collect();
    for (id, needs) in wanted.edges {
        if needs.iter().any(|n| touched.contains(n)) {
            roots.insert(id.root());
        }
    }
    // What followed a rename, though it does not depend on what is renamed.
    let followed = wanted.before.into_iter().flat_map(|before| before.iter());
    roots.extend(followed.filter(|(id, object)| wanted.old.get(id) != Some(object)).map(|(id, _)| id.root()));
    let mut out = Vec::new();
    let inside = |id: &ObjectId| roots.contains(id.root());
    let mut add = |id: &ObjectId| {
        let real = |state: &'_ State, completed: &FxHashMap<ObjectId, Option<Object>>| match completed.get(id) {
            Some(object) => object.clone(),
            None => state.get(id).cloned(),
        };
        let before = real(wanted.before.unwrap_or(wanted.old), &wanted.completed.old)
            .map(|object| Digest::of_object(id, &object, false));
        let after = real(wanted.new, &wanted.completed.new).map(|object| Digest::of_object(id, &object, true));
        if before.is_some() || after.is_some() {
            out.push(Expected { object: id.to_string(), before, after });
        }
    };
    wanted.new.iter().map(|(id, _)| id).filter(|id| inside(id)).for_each(&mut add);
    wanted.old.iter().map(|(id, _)| id).filter(|id| inside(id) && !wanted.new.has(id)).for_each(&mut add);
    out
}
