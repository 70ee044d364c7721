//! Orders changes to parts of a parent and to the same parts of its heirs, because PostgreSQL applies the former to the latter.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diff::lineage;
use crate::kinds::{inheritance, room};
use crate::model::{Address, Namespace, ObjectId, State};

use super::{Act, Graph, is_inheritable};

impl Graph {
    /// A part that heirs lose is dropped before the parent gets it, so that the two do not merge. A part that they gain is created after the
    /// parent has lost it.
    pub(super) fn heirs(&mut self, old: &State, new: &State) {
        let mut by_table: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| !matches!(node.act, Act::Rename(_))) {
            let part = inheritable(&node.id);
            if let Some(table) = part.parent().filter(|_| is_inheritable(part)) {
                by_table.entry(table.clone()).or_default().push(i);
            }
        }
        self.types_of_heirs(old, new);
        if by_table.is_empty() {
            return;
        }
        let heirs = [old, new].map(inheritance::heirs);
        let mut found = Vec::new();
        for (table, nodes) in &by_table {
            let below: FxHashSet<&ObjectId> = heirs.iter().filter_map(|heirs| heirs.get(table)).flatten().collect();
            for theirs in below.into_iter().filter_map(|heir| by_table.get(heir)) {
                found.extend(nodes.iter().flat_map(|whole| theirs.iter().map(|part| (*whole, *part))));
            }
        }
        found.sort_unstable();
        // An heir is dropped before anything is done to the parent: that would be done to the heir too, or would fail.
        let parents = |id: &ObjectId| old.get(id).map(inheritance::parents).unwrap_or_default();
        let gone = self.drops.iter().filter(|(id, _)| !is_inheritable(id));
        let mut gone: Vec<(usize, usize)> = gone
            .flat_map(|(heir, node)| {
                parents(heir).into_iter().filter_map(|parent| Some((*node, by_table.get(parent)?)))
            })
            .flat_map(|(heir, nodes)| nodes.iter().map(move |node| (heir, *node)))
            .collect();
        gone.sort_unstable();
        for (whole, part) in found {
            let Some((part_first, same)) = self.part_first(whole, part, old, new) else { continue };
            let (first, then) = if part_first { (part, whole) } else { (whole, part) };
            if part_first {
                self.hard[whole].retain(|node| *node != part);
            }
            if same { self.before(first, then) } else { self.rather_before(first, then) }
        }
        for (heir, node) in gone {
            self.rather_before(heir, node);
        }
    }

    /// A type is recreated while no column of it is inherited: after its table leaves its parent, and before it gets one.
    fn types_of_heirs(&mut self, old: &State, new: &State) {
        let mut found = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let Act::Rebuild(columns) = &node.act else { continue };
            for column in columns {
                let Some(table) = column.parent().and_then(|table| self.alters.get(table)) else { continue };
                let inherited = |state: &State| !room(column.kind()).inherited_from(column, state).is_empty();
                match (inherited(old), inherited(new)) {
                    (true, false) => found.push((*table, i)),
                    (false, true) => found.push((i, *table)),
                    _ => {}
                }
            }
        }
        for (first, then) in found {
            self.before(first, then);
        }
    }

    /// Whether the heir is changed before the parent, and whether both changes concern the same part; `None` if the order does not
    /// matter.
    fn part_first(&self, whole: usize, part: usize, old: &State, new: &State) -> Option<(bool, bool)> {
        let (above, below) = (&self.nodes[whole], &self.nodes[part]);
        let [outer, inner] = [&above.id, &below.id].map(inheritable);
        let alike = above.id.kind() == below.id.kind();
        let same = alike && outer.kind() == inner.kind() && outer.name() == inner.name();
        let constraint = alike && below.id.kind().namespace == Namespace::Constraint;
        // Whatever is created with its table is created after the parent.
        if !same && !constraint || self.created(above.id.root()) || self.created(below.id.root()) {
            return None;
        }
        let part_first = match (&above.act, &below.act) {
            (Act::Drop, Act::Drop) if constraint && same => !lineage::repeats(&below.id, old),
            (Act::Drop, Act::Drop) => return None,
            (_, Act::Drop) => true,
            (Act::Create, Act::Create) => lineage::repeats(&below.id, new),
            // A column has the parent's type before it is merged with the parent's.
            (Act::Create, _) => below.id == *inner,
            _ => false,
        };
        Some((part_first, same))
    }
}

/// What is inherited: a column with all that belongs to it, or a constraint, trigger and the like.
fn inheritable(id: &ObjectId) -> &ObjectId {
    id.parent().filter(|part| part.kind().address == Address::MemberOf && id.kind().folds).unwrap_or(id)
}
