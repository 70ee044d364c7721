//! The graph of a plan: one node per object and action, and an edge wherever one has to come before another.

mod defaults;
mod folding;
mod heirs;
mod node;
mod parts;
mod placeholders;
mod slots;

pub use node::{Act, Node, Placeholder, Side};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diff::{lineage, rename, swap};
use crate::kinds::{self, room};
use crate::model::{Address, Edges, Namespace, ObjectId, State, Within};

use super::needs::Needs;
use super::wanted::Wanted;

/// The position of a node if nothing else decides: renames, objects that are dropped to be recreated, the rest by kind and place, drops.
pub type Priority = (u8, usize, usize, usize, usize);

/// Nodes with arrows.
pub struct Graph {
    pub nodes: Vec<Node>,
    pub priority: Vec<Priority>,
    /// Node → nodes that must come after it.
    pub hard: Vec<Vec<usize>>,
    /// Node → nodes that should come after it, unless that makes a cycle.
    pub soft: Vec<Vec<usize>>,
    /// Node → nodes with texts that name what it makes; PostgreSQL parses these texts. Each arrow to another one is a soft
    /// one, too.
    pub named: Vec<Vec<usize>>,
    /// For drops: the drop that this one vanishes with.
    pub into: Vec<Option<usize>>,
    /// For creates: the create that this one may fold into.
    pub under: Vec<Option<usize>>,
    creates: FxHashMap<ObjectId, usize>,
    drops: FxHashMap<ObjectId, usize>,
    alters: FxHashMap<ObjectId, usize>,
    renames: Vec<usize>,
}

impl Graph {
    /// Builds the graph; `needs` says what a created or altered object needs in the new state.
    pub fn new(nodes: Vec<Node>, wanted: &Wanted<'_>, needs: &dyn Fn(&ObjectId) -> Needs) -> Self {
        let (old, new, edges) = (wanted.old, wanted.new, wanted.edges);
        let count = nodes.len();
        let mut graph = Self {
            priority: nodes.iter().map(|n| priority(n, old, new)).collect(),
            nodes,
            hard: vec![Vec::new(); count],
            soft: vec![Vec::new(); count],
            named: vec![Vec::new(); count],
            into: vec![None; count],
            under: vec![None; count],
            creates: FxHashMap::default(),
            drops: FxHashMap::default(),
            alters: FxHashMap::default(),
            renames: Vec::new(),
        };
        for (i, node) in graph.nodes.iter().enumerate() {
            match node.act {
                Act::Create => graph.creates.insert(node.id.clone(), i),
                Act::Drop => graph.drops.insert(node.id.clone(), i),
                Act::Alter(_) | Act::Rebuild(_) => graph.alters.insert(node.id.clone(), i),
                Act::Rename(_) => {
                    graph.renames.push(i);
                    None
                }
            };
        }
        graph.drops(old, edges);
        graph.makes(edges, needs);
        graph.slots(old, new);
        graph.hand_over(old, new);
        graph.order_renames();
        graph.providers();
        graph.unnamed();
        graph.siblings(wanted.outdated);
        graph.partitions(old, new);
        graph.constraints_of_wholes(old, new, edges, needs);
        graph.heirs(old, new);
        graph.wholes();
        graph.facets(old);
        graph.defaults(old, new);
        graph.changes(old, new, edges, needs);
        graph
    }

    /// True if the plan creates the object.
    pub fn created(&self, id: &ObjectId) -> bool {
        self.creates.contains_key(id)
    }

    /// True if something has that name during the plan only: neither state has it.
    pub fn is_meanwhile(&self, id: &ObjectId, old: &State, new: &State) -> bool {
        self.renames.iter().any(|node| self.nodes[*node].id == *id) && ![old, new].iter().any(|s| rename::has(s, id))
    }

    fn before(&mut self, first: usize, then: usize) {
        if first != then {
            self.hard[first].push(then);
        }
    }

    fn rather_before(&mut self, first: usize, then: usize) {
        if first != then {
            self.soft[first].push(then);
        }
    }

    /// Dependents are dropped before what they depend on; children vanish with their parents.
    fn drops(&mut self, old: &State, edges: &Edges) {
        let drops: Vec<(ObjectId, usize)> = self.drops.iter().map(|(id, i)| (id.clone(), *i)).collect();
        // Foreign keys are dropped before new keys are created, so that on the way back they are created without those, and depend on the old ones.
        let made = keys(&self.creates);
        for (id, node) in drops.iter().filter(|(id, _)| id.kind().namespace == Namespace::Constraint) {
            let tables: FxHashSet<&ObjectId> = edges.get(id).into_iter().flatten().map(ObjectId::root).collect();
            let keys = tables.into_iter().filter_map(|table| made.get(table)).flatten();
            keys.for_each(|key| self.rather_before(*node, *key));
        }
        for (id, node) in &drops {
            let with = room(id.kind()).vanishes_with(id, old);
            let parent = id.parent().filter(|_| id.kind().within != Within::Schema);
            // A column that is inherited, or that belongs to a view, is not dropped when its own attributes go. These are dropped
            // separately, and before the column that it comes from.
            let origins = parent.map(|column| lineage::completed_by(column, old)).unwrap_or_default();
            let from_elsewhere: Vec<usize> = origins.iter().filter_map(|o| self.drops.get(o).copied()).collect();
            from_elsewhere.into_iter().for_each(|origin| self.before(*node, origin));
            let stays = |column: &&ObjectId| !origins.is_empty() || lineage::is_only_described(column, old);
            let parent = if parent.as_ref().is_some_and(stays) { parent.and_then(ObjectId::parent) } else { parent };
            let into = with.iter().chain(parent).find_map(|p| self.drops.get(p).copied());
            match into {
                Some(parent) if room(id.kind()).goes_first() => self.before(*node, parent),
                into => self.into[*node] = into,
            }
        }
        for (id, node) in drops {
            if let Some(schema) =
                id.parent().filter(|_| id.kind().within == Within::Schema).and_then(|s| self.drops.get(s)).copied()
            {
                self.before(node, schema);
            }
            for ancestor in changes_with(&id) {
                if let Some(alter) = self.alters.get(ancestor).copied() {
                    self.before(node, alter); // a default goes before its column's type changes
                }
            }
            for needed in edges.get(&id).into_iter().flatten() {
                if let Some(other) = self.drops.get(needed).copied() {
                    let within = |n: usize| std::iter::successors(self.into[n], |n| self.into[*n]);
                    // Whatever vanishes with the other is not in its way, and neither, as a rule, is what vanishes with the same third object.
                    if within(other).any(|m| m == node) {
                        continue; // they need each other
                    }
                    if within(node).any(|n| within(other).any(|m| m == n)) {
                        self.rather_before(node, other);
                    } else if !within(node).any(|n| n == other) {
                        self.before(node, other);
                    }
                }
                // Its table may have to be detached first.
                let apart = |touched: &&ObjectId| stays_apart(&id) && id.parent() == Some(touched);
                for touched in std::iter::once(needed).chain(needed.ancestors()).filter(|touched| !apart(touched)) {
                    if let Some(other) = self.alters.get(touched).copied() {
                        self.before(node, other);
                    }
                }
            }
        }
    }

    /// Whatever an object needs is created before it; whatever an altered object needed is dropped after it.
    fn makes(&mut self, edges: &Edges, needs: &dyn Fn(&ObjectId) -> Needs) {
        // A foreign key created while doomed keys still exist could come to depend on one of them.
        let gone = keys(&self.drops);
        // Another routine with the same name would make a call ambiguous, too.
        let mut overloads: FxHashMap<(Option<&ObjectId>, &str), Vec<usize>> = FxHashMap::default();
        let drops = self.drops.clone();
        for (id, node) in drops.iter().filter(|(id, _)| id.kind().namespace == Namespace::Routine) {
            overloads.entry((id.schema(), id.name().as_str())).or_default().push(*node);
        }
        let makes: Vec<(ObjectId, usize)> =
            self.creates.iter().chain(&self.alters).map(|(id, i)| (id.clone(), *i)).collect();
        for (id, node) in makes {
            let create = matches!(self.nodes[node].act, Act::Create);
            if create {
                for ancestor in id.ancestors() {
                    let altered =
                        self.alters.get(ancestor).filter(|_| changes_with(&id).any(|outer| outer == ancestor));
                    let made = [self.creates.get(ancestor), altered].into_iter().flatten().copied();
                    made.collect::<Vec<_>>().into_iter().for_each(|other| self.before(other, node));
                }
                self.under[node] = id.parent().filter(|_| id.kind().folds).and_then(|p| self.creates.get(p)).copied();
            } else {
                for needed in edges.get(&id).into_iter().flatten() {
                    if let Some(other) = self.drops.get(needed).copied()
                        && !self.creates.contains_key(needed)
                    {
                        self.before(node, other);
                    }
                }
            }
            // An object that is recreated because something it needs changes is recreated after that change.
            let changing = edges.get(&id).filter(|_| create && self.nodes[node].replaced).into_iter().flatten();
            let changing: Vec<usize> = changing.filter_map(|needed| self.alters.get(needed).copied()).collect();
            changing.into_iter().for_each(|alter| self.rather_before(alter, node));
            let needs = needs(&id);
            self.named[node].extend((create && needs.itself).then_some(node));
            if create && id.kind().namespace == Namespace::Constraint {
                let roots = needs.hard.iter().map(ObjectId::root);
                let keys: Vec<usize> = roots.filter_map(|table| gone.get(table)).flatten().copied().collect();
                keys.into_iter().for_each(|key| self.rather_before(key, node));
            }
            let all = needs.hard.iter().chain(&needs.soft).chain(&needs.called);
            for routine in all.filter(|n| create && n.kind().namespace == Namespace::Routine) {
                let others = overloads.get(&(routine.schema(), routine.name().as_str())).into_iter().flatten();
                others.for_each(|other| self.rather_before(*other, node));
            }
            for (list, certain, parsed) in
                [(needs.hard, true, true), (needs.soft, false, true), (needs.called, false, false)]
            {
                for needed in list {
                    let around = self.around(&id, &needed);
                    for other in around {
                        if certain && (create || matches!(self.nodes[other].act, Act::Create)) {
                            self.before(other, node);
                        } else {
                            self.rather_before(other, node);
                            self.named[other].extend(parsed.then_some(node));
                        }
                    }
                }
            }
        }
    }

    /// The nodes that create or alter what the object needs, or what contains that.
    fn around(&self, id: &ObjectId, needed: &ObjectId) -> Vec<usize> {
        // The change decides whether it is created before its own table changes.
        let decided = |outer: &ObjectId| stays_apart(id) && Some(outer) == id.parent();
        let made = |n: &ObjectId| [self.creates.get(n), self.alters.get(n).filter(|_| !decided(n))];
        std::iter::once(needed).chain(needed.ancestors()).flat_map(made).flatten().copied().collect()
    }

    /// True if one of the nodes has to come before one of the others.
    pub fn needs(&self, before: &[usize], after: &[usize]) -> bool {
        before.iter().any(|b| self.hard[*b].iter().chain(&self.soft[*b]).any(|n| after.contains(n)))
    }

    /// Renames come first: all other steps use the new names, and so do their inverses. Only steps that free a name come before them.
    fn order_renames(&mut self) {
        // Their order frees names before they are used.
        let names: Vec<(usize, ObjectId, ObjectId)> = self
            .renames
            .iter()
            .filter_map(|node| match &self.nodes[*node].act {
                Act::Rename(from) => Some((*node, from.clone(), self.nodes[*node].id.clone())),
                _ => None,
            })
            .collect();
        for (at, (first, from, to)) in names.iter().enumerate() {
            for (then, _, _) in names
                .iter()
                .skip(at + 1)
                .filter(|(_, other, taken)| swap::shares_name(taken, from) || swap::shares_name(other, to))
            {
                self.before(*first, *then);
            }
        }
        for rename in self.renames.clone() {
            let to = self.nodes[rename].id.clone();
            for i in 0..self.nodes.len() {
                let node = &self.nodes[i];
                let inside = node.id == to || node.id.ancestors().any(|a| *a == to);
                match &node.act {
                    Act::Rename(_) if inside && i != rename => self.before(rename, i),
                    Act::Rename(_) => {}
                    Act::Drop if !inside => self.rather_before(rename, i),
                    _ => self.before(rename, i),
                }
            }
        }
    }

    /// Extensions bring objects that the model does not know, so they are created before everything that may use them, and dropped after it.
    fn providers(&mut self) {
        let provider =
            |node: &Node| node.id.kind().address == Address::Global && room(node.id.kind()).provides_unknown();
        let schema = |node: &Node| node.id.kind().address == Address::Schema;
        let all: Vec<usize> = (0..self.nodes.len()).filter(|i| provider(&self.nodes[*i])).collect();
        for p in all {
            for i in 0..self.nodes.len() {
                let node = &self.nodes[i];
                if schema(node) || provider(node) || node.id.ancestors().any(|a| *a == self.nodes[p].id) {
                    continue;
                }
                match (&self.nodes[p].act, &node.act) {
                    (Act::Drop, Act::Drop | Act::Alter(_)) => self.rather_before(i, p),
                    (Act::Create, Act::Create | Act::Alter(_)) => self.rather_before(p, i),
                    _ => {}
                }
            }
        }
    }

    /// Objects that others use without naming them are created before all objects of later kinds, and dropped after them.
    fn unnamed(&mut self) {
        let serves = |node: &Node| room(node.id.kind()).serves_unnamed();
        let all: Vec<usize> = (0..self.nodes.len()).filter(|i| serves(&self.nodes[*i])).collect();
        for p in all {
            let rank = kinds::rank(self.nodes[p].id.kind());
            for i in 0..self.nodes.len() {
                let node = &self.nodes[i];
                if kinds::rank(node.id.root().kind()) <= rank {
                    continue;
                }
                match (&self.nodes[p].act, &node.act) {
                    (Act::Drop, Act::Drop) => self.rather_before(i, p),
                    (Act::Drop, Act::Alter(_)) if !self.nodes[p].replaced => self.rather_before(i, p),
                    (Act::Create, Act::Create | Act::Alter(_)) => self.rather_before(p, i),
                    _ => {}
                }
            }
        }
    }
}

/// Table → its keys and indexes among the nodes: those that a foreign key to it may depend on.
fn keys(nodes: &FxHashMap<ObjectId, usize>) -> FxHashMap<ObjectId, Vec<usize>> {
    let mut keys: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
    for (id, node) in nodes {
        let key = matches!(id.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey);
        if key || id.kind().address == Address::Beside {
            keys.entry(id.root().clone()).or_default().push(*node);
        }
    }
    keys
}

/// The ancestors that an object is created after, if they are altered, and dropped before. For parts that a table may inherit, `changes`
/// decides whether they come before or after the change of their table.
fn changes_with(id: &ObjectId) -> impl Iterator<Item = &ObjectId> {
    let mut stop = stays_apart(id);
    id.ancestors().take_while(move |ancestor| !std::mem::replace(&mut stop, is_inheritable(ancestor)))
}

/// True for parts that a table may inherit, or share with its partitioned table.
fn stays_apart(id: &ObjectId) -> bool {
    is_inheritable(id) || id.kind().address == Address::Beside
}

fn is_inheritable(id: &ObjectId) -> bool {
    matches!(id.kind().address, Address::MemberOf | Address::NamedOn)
}

fn priority(node: &Node, old: &State, new: &State) -> Priority {
    let place = |id: &ObjectId| new.position(id).or_else(|| old.position(id)).unwrap_or(usize::MAX);
    let phase = match node.act {
        Act::Rename(_) => 0,
        Act::Drop if node.replaced => 1,
        Act::Drop => 3,
        _ => 2,
    };
    // Parts of the schema itself are dropped with it.
    let schema = |id: &&ObjectId| id.kind().address == Address::Schema;
    let root =
        node.id.parent().filter(|_| node.id.kind().address == Address::Facet).filter(schema).unwrap_or(node.id.root());
    (phase, kinds::rank(root.kind()), place(root), kinds::rank(node.id.kind()), place(&node.id))
}
