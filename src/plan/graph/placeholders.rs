//! Breaks cycles among the objects to create, or to drop: one object of each cycle becomes a temporary placeholder, created before the others
//! and dropped after them.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::ops::ControlFlow;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::room;
use crate::model::{Object, ObjectId, State};
use crate::plan::circles::components;
use crate::plan::needs::Names;

use super::{Act, Graph, Node, Placeholder, Side};

/// A node that may be created in two steps.
struct Candidate {
    node: usize,
    object: Object,
    /// What the placeholder needs, too.
    kept: FxHashSet<ObjectId>,
}

impl Graph {
    /// Breaks cycles of certain needs and of texts that PostgreSQL parses, as far as there are placeholders.
    pub fn break_circles(&mut self, old: &State, new: &State, names: &Names<'_>) {
        if !(0..self.nodes.len()).any(|node| self.placeholder_of(node, old, new).is_some()) {
            return;
        }
        let before = OnceCell::new();
        let mut open = self.circles(0..self.nodes.len());
        while let Some(circle) = open.pop() {
            let altered = circle.iter().copied().filter(|node| self.is_altered(*node));
            let altered: Vec<usize> = altered.collect();
            let same = altered.iter().copied().filter(|node| self.same_shape(*node, old, new));
            let same: Vec<usize> = same.collect();
            let again = if self.give_way(&circle, &same) {
                circle
            } else if let Some(candidate) = self.candidate(&circle, [old, new], names, &before) {
                let rest = circle.iter().copied().filter(|node| *node != candidate.node).collect();
                self.split(candidate, &circle, old, new);
                rest
            } else if self.give_way(&circle, &altered) {
                circle
            } else {
                continue;
            };
            open.extend(self.circles(again));
        }
    }

    /// What can stand in for the object that the node makes or drops.
    fn placeholder_of(&self, node: usize, old: &State, new: &State) -> Option<Object> {
        let Node { id, act, placeholder, .. } = &self.nodes[node];
        let object = match act {
            Act::Create => new.get(id),
            Act::Drop if self.into[node].is_none() => old.get(id),
            _ => None,
        };
        object.filter(|_| placeholder.is_none()).and_then(|object| room(id.kind()).placeholder(object))
    }

    fn is_altered(&self, node: usize) -> bool {
        matches!(self.nodes[node].act, Act::Alter(_)) && self.nodes[node].placeholder.is_none()
    }

    /// True for an object whose alteration makes no difference to the objects that need it.
    fn same_shape(&self, node: usize, old: &State, new: &State) -> bool {
        let id = &self.nodes[node].id;
        let shape = |state: &State| state.get(id).and_then(|object| room(id.kind()).placeholder(object));
        shape(old).is_some_and(|before| shape(new).is_some_and(|after| before.attrs == after.attrs))
    }

    /// The cycles among these nodes.
    fn circles(&self, among: impl IntoIterator<Item = usize>) -> Vec<Vec<usize>> {
        let mut starts: Vec<usize> = Vec::new();
        let mut arrows: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        for node in among {
            starts.push(node);
            arrows.insert(node, self.needing(node).collect());
        }
        let mut found = Vec::new();
        let next = |node: usize| arrows.get(&node).map_or(&[][..], Vec::as_slice);
        components(starts, &next, &|node| !arrows.contains_key(&node), &mut |circle| {
            let itself = |node: &usize| arrows.get(node).is_some_and(|arrows| arrows.contains(node));
            found.extend(Some(circle).filter(|circle| circle.len() > 1 || circle.iter().any(itself)));
            ControlFlow::Continue(())
        });
        found
    }

    /// An object that is altered already exists: if that is enough, others of the cycle are created before it is altered, and
    /// dropped after it. False if that changes nothing.
    fn give_way(&mut self, circle: &[usize], altered: &[usize]) -> bool {
        let mut changed = false;
        for node in altered.iter().copied() {
            for other in circle {
                changed |= match self.nodes[*other].act {
                    Act::Drop => self.take_away(*other, node),
                    Act::Create => self.take_away(node, *other),
                    _ => false,
                };
            }
        }
        changed
    }

    /// Removes the edges from one node to another; false if there are none.
    fn take_away(&mut self, from: usize, to: usize) -> bool {
        let lists = [&mut self.hard[from], &mut self.soft[from], &mut self.named[from]];
        let mut changed = false;
        for list in lists {
            let before = list.len();
            list.retain(|other| *other != to);
            changed |= list.len() != before;
        }
        changed
    }

    /// The node whose placeholder breaks most of the cycle.
    fn candidate<'a>(
        &self,
        circle: &[usize],
        [old, new]: [&'a State; 2],
        names: &Names<'_>,
        before: &OnceCell<Names<'a>>,
    ) -> Option<Candidate> {
        // What is computed for existing rows needs the real object.
        let rows = |node: &Node| node.act != Act::Drop && node.id.root() != &node.id && old.has(node.id.root());
        if circle.iter().any(|node| rows(&self.nodes[*node])) {
            return None;
        }
        let inside: FxHashSet<usize> = circle.iter().copied().collect();
        let mut into: FxHashMap<usize, usize> = FxHashMap::default();
        for other in circle.iter().flat_map(|node| self.needing(*node)).filter(|other| inside.contains(other)) {
            *into.entry(other).or_default() += 1;
        }
        let usable = |node: usize| {
            let object = self.placeholder_of(node, old, new)?;
            let id = &self.nodes[node].id;
            let names = if self.nodes[node].act == Act::Drop { before.get_or_init(|| Names::new(old)) } else { names };
            let needs = names.needs(id, &object);
            let needed = needs.hard.iter().chain(&needs.soft).flat_map(|id| std::iter::once(id).chain(id.ancestors()));
            let kept: FxHashSet<ObjectId> = needed.chain(id.ancestors()).cloned().collect();
            let free = circle.iter().all(|other| !kept.contains(&self.nodes[*other].id));
            free.then_some(Candidate { node, object, kept })
        };
        let weight = |node: usize| {
            let from = self.needing(node).filter(|other| inside.contains(other)).count();
            from * into.get(&node).copied().unwrap_or_default()
        };
        let mut best: Vec<usize> = circle.to_vec();
        best.sort_by_key(|node| (Reverse(weight(*node)), self.priority[*node], *node));
        best.into_iter().find_map(usable)
    }

    /// Makes two steps of one: what is created becomes a placeholder, and itself after the others of the cycle; what is dropped
    /// becomes a placeholder before the others are dropped.
    fn split(&mut self, candidate: Candidate, circle: &[usize], old: &State, new: &State) {
        let Candidate { node, object, kept } = candidate;
        let Node { id, act, replaced, .. } = self.nodes[node].clone();
        let made = act == Act::Create;
        let own = if made { new.get(&id) } else { old.get(&id) };
        let attrs = id.kind().attrs.iter().map(|attr| attr.name);
        let attrs = attrs.filter(|name| own.and_then(|own| own.value(name)) != object.value(name)).collect();
        let mut others: Vec<usize> = circle.iter().copied().filter(|other| *other != node).collect();
        others.sort_by_key(|other| (!self.meet(node, *other), self.priority[*other]));
        let others: Vec<ObjectId> = others.iter().map(|other| self.nodes[*other].id.clone()).collect();
        let placeholder = |side| Some(Placeholder { object: object.clone(), side, circle: others.clone() });
        let (first, second) = (placeholder(Side::After), placeholder(Side::Before));
        let (own, other) = if made { (first, second) } else { (second, first) };
        self.nodes[node].placeholder = own;
        self.nodes.push(Node { placeholder: other, ..Node::new(id, Act::Alter(attrs), replaced) });
        self.priority.push(self.priority[node]);
        [&mut self.hard, &mut self.soft, &mut self.named].into_iter().for_each(|lists| lists.push(Vec::new()));
        [&mut self.into, &mut self.under].into_iter().for_each(|list| list.push(None));
        let (added, inside) = (self.nodes.len() - 1, circle.iter().copied().collect());
        let before = self.outside(&inside, added);
        if made {
            self.make_first(node, added, &kept, &inside, &before);
            self.in_one_go(node, node, &inside, &before);
        } else {
            self.drop_last(node, added, &kept);
            self.in_one_go(added, node, &inside, &before);
        }
    }

    /// What comes directly before the nodes of a cycle without being one of them.
    fn outside(&self, inside: &FxHashSet<usize>, count: usize) -> Vec<usize> {
        let leads = |node: &usize| self.needing(*node).any(|after| inside.contains(&after));
        (0..count).filter(|node| !inside.contains(node)).filter(leads).collect()
    }

    /// `node` makes the placeholder, `whole` what it stands for.
    fn make_first(
        &mut self,
        node: usize,
        whole: usize,
        kept: &FxHashSet<ObjectId>,
        inside: &FxHashSet<usize>,
        before: &[usize],
    ) {
        self.named[node].retain(|to| *to != node);
        // The placeholder does not need what only the whole needs.
        for other in 0..whole {
            let Node { id, act, .. } = &self.nodes[other];
            let needed = matches!(act, Act::Create | Act::Alter(_)) && self.needing(other).any(|to| to == node);
            if needed && !kept.contains(id) {
                for list in [&mut self.hard[other], &mut self.soft[other], &mut self.named[other]] {
                    list.iter_mut().filter(|to| **to == node).for_each(|to| *to = whole);
                }
            }
        }
        // Objects outside that need it need the whole, unless the cycle needs them.
        let mut leading = vec![Vec::new(); self.nodes.len()];
        for (from, to) in (0..whole).flat_map(|from| self.needing(from).map(move |to| (from, to))) {
            leading[to].push(from);
        }
        let mut stay = inside.clone();
        let mut open = before.to_vec();
        while let Some(next) = open.pop() {
            if stay.insert(next) {
                open.extend(&leading[next]);
            }
        }
        for lists in [&mut self.hard, &mut self.soft, &mut self.named] {
            let (stay, moved) = std::mem::take(&mut lists[node]).into_iter().partition(|to| stay.contains(to));
            lists[node] = stay;
            lists[whole] = moved;
        }
        self.before(node, whole);
    }

    /// `node` drops the placeholder that `emptied` makes of the object.
    fn drop_last(&mut self, node: usize, emptied: usize, kept: &FxHashSet<ObjectId>) {
        let stays = |to: &usize| match self.nodes[*to].act {
            Act::Drop | Act::Alter(_) => kept.contains(&self.nodes[*to].id),
            _ => true,
        };
        let (stay, moved) = self.hard[node].iter().copied().partition(stays);
        self.hard[node] = stay;
        self.hard[emptied] = moved;
        self.before(emptied, node);
    }

    /// Everything that a cycle waits for comes before its first node, and the rest of the cycle directly after it, so that the
    /// placeholder does not exist for long.
    fn in_one_go(&mut self, begin: usize, node: usize, inside: &FxHashSet<usize>, before: &[usize]) {
        self.priority[begin] = inside.iter().map(|n| self.priority[*n]).max().unwrap_or(self.priority[begin]);
        for other in before.iter().copied() {
            if matches!(self.nodes[other].act, Act::Rename(_)) && self.hard[other].contains(&node) {
                self.before(other, begin);
            } else if !self.needing(begin).any(|to| to == other) {
                self.rather_before(other, begin);
            }
        }
    }

    /// True if one of the two needs the other.
    fn meet(&self, node: usize, other: usize) -> bool {
        self.needing(node).any(|n| n == other) || self.needing(other).any(|n| n == node)
    }
}
