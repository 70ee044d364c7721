//! Orders the nodes of the graph; children fold into their parent's CREATE and vanish with their parent's DROP.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rustc_hash::FxHashMap;

use crate::model::{Error, Result};

use super::circles::components;
use super::graph::{Act, Graph};

/// A node, and the nodes that are done together with it (outer ones before inner ones).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub node: usize,
    pub with: Vec<usize>,
}

impl Turn {
    /// The node and those that are done with it.
    pub fn nodes(&self) -> Vec<usize> {
        std::iter::once(self.node).chain(self.with.iter().copied()).collect()
    }
}

/// Orders the nodes. `can_fold` says whether a child has a form that fits into its parent's CREATE.
///
/// # Errors
/// If certain edges form a cycle, which is a bug in the decomposition and is reported as such.
pub fn order(graph: &Graph, can_fold: &dyn Fn(usize) -> bool) -> Result<Vec<Turn>> {
    let count = graph.nodes.len();
    let mut run = Run {
        graph,
        hard: vec![0; count],
        soft: vec![0; count],
        named: vec![0; count],
        absorb: vec![0; count],
        children: vec![Vec::new(); count],
        done: vec![false; count],
        lazy: BTreeSet::new(),
        ready: BTreeSet::new(),
        waiting: BTreeSet::new(),
        waits: vec![None; count],
        before: vec![Vec::new(); count],
        last: None,
    };
    for node in 0..count {
        for after in &graph.hard[node] {
            run.hard[*after] += 1;
            run.before[*after].push(node);
        }
        for after in &graph.soft[node] {
            run.soft[*after] += 1;
            run.before[*after].push(node);
        }
        graph.named[node].iter().for_each(|after| run.named[*after] += 1);
        if let Some(into) = graph.into[node] {
            run.absorb[into] += 1;
        }
        if let Some(parent) = graph.under[node].or(graph.into[node]) {
            run.children[parent].push(node);
        }
    }
    for list in &mut run.children {
        list.sort_by_key(|n| graph.priority[*n]);
    }
    (0..count).for_each(|n| run.place(n));
    let mut turns = Vec::new();
    let mut left = count;
    while left > 0 {
        let Some(node) = run.choose() else {
            let stuck: Vec<String> =
                (0..count).filter(|n| !run.done[*n]).take(8).map(|n| graph.nodes[n].id.to_string()).collect();
            return Err(Error::failed("these objects depend on each other in a cycle, and no order was found")
                .detail(stuck.join(", "))
                .remedy("this is a bug in setpoint: please report it with the schema; meanwhile split the change in two plans"));
        };
        let mut with = Vec::new();
        match graph.nodes[node].act {
            Act::Create => run.fold(node, can_fold, &mut with, &mut FxHashMap::default()),
            Act::Drop => run.absorb(node, &mut with),
            _ => {}
        }
        left -= 1 + with.len();
        for n in std::iter::once(node).chain(with.iter().copied()) {
            run.finish(n);
        }
        run.last = Some(node);
        turns.push(Turn { node, with });
    }
    Ok(turns)
}

struct Run<'a> {
    graph: &'a Graph,
    /// Certain predecessors that are not done.
    hard: Vec<usize>,
    /// Preferred predecessors that are not done.
    soft: Vec<usize>,
    /// The preferred ones that it names.
    named: Vec<usize>,
    /// Drops inside this one that cannot vanish yet.
    absorb: Vec<usize>,
    children: Vec<Vec<usize>>,
    done: Vec<bool>,
    /// Drops that could vanish with their parent's.
    lazy: BTreeSet<(super::graph::Priority, usize)>,
    /// Nothing has to come before them.
    ready: BTreeSet<(super::graph::Priority, usize)>,
    /// Only preferences come before them.
    waiting: BTreeSet<(usize, super::graph::Priority, usize)>,
    /// The number of preferences under which a node is listed in `waiting`.
    waits: Vec<Option<usize>>,
    /// Node → nodes that come, or should come, before it.
    before: Vec<Vec<usize>>,
    /// The node that came last.
    last: Option<usize>,
}

impl Run<'_> {
    fn key(&self, node: usize) -> (super::graph::Priority, usize) {
        (self.graph.priority[node], node)
    }

    /// Puts a node into the set where it now belongs.
    fn place(&mut self, node: usize) {
        if self.done[node] || self.hard[node] > 0 || self.absorb[node] > 0 {
            return;
        }
        let key = self.key(node);
        if let Some(into) = self.graph.into[node] {
            if self.lazy.insert(key) {
                self.absorb[into] -= 1;
                self.place(into);
            }
        } else if self.soft[node] == 0 {
            self.stop_waiting(node);
            self.ready.insert(key);
        } else {
            self.stop_waiting(node);
            self.waits[node] = Some(self.soft[node]);
            self.waiting.insert((self.soft[node], key.0, node));
        }
    }

    fn stop_waiting(&mut self, node: usize) {
        if let Some(wishes) = self.waits[node].take() {
            self.waiting.remove(&(wishes, self.graph.priority[node], node));
        }
    }

    /// The next node: a ready one; else one with the fewest open preferences; else a drop that could have vanished but blocks others.
    fn choose(&mut self) -> Option<usize> {
        if let Some((_, node)) = self.of_the_same().or_else(|| self.ready.first().copied()) {
            self.ready.remove(&self.key(node));
            return Some(node);
        }
        let blocks = |node: usize, what: &dyn Fn(usize) -> bool| {
            let mut after = self.graph.hard[node].iter().filter(|after| Some(**after) != self.graph.into[node]);
            after.any(|after| !self.done[*after] && what(*after))
        };
        let first = |what: &dyn Fn(usize) -> bool| self.lazy.iter().copied().find(|(_, node)| blocks(*node, what));
        // Creations also wait for the parent to vanish; drops may be what the parent waits for.
        let blocking =
            first(&|after| self.graph.nodes[after].act == super::graph::Act::Drop).or_else(|| first(&|_| true));
        if (self.waiting.is_empty() || blocking.is_some_and(|(_, n)| self.graph.nodes[n].replaced))
            && let Some(key) = blocking
        {
            self.lazy.remove(&key);
            return Some(key.1);
        }
        let (.., first) = self.waiting.first().copied()?;
        // A preference is ignored only inside a cycle that waits for nothing else, because nodes outside it can still have theirs. A
        // preference for what an object names is ignored last.
        let circle = self.circle(first);
        let best =
            circle.iter().filter_map(|node| Some((self.named[*node], self.waits[*node]?, self.key(*node)))).min();
        let node = best.map_or(first, |(.., (_, node))| node);
        self.stop_waiting(node);
        Some(node)
    }

    /// Nodes in a cycle of edges that no edge leads into; the node waits for it or is in it.
    fn circle(&self, node: usize) -> Vec<usize> {
        let mut first = Vec::new();
        components([node], &|node| &self.before[node], &|node| self.done[node], &mut |circle| {
            first = circle;
            ControlFlow::Break(())
        });
        first
    }

    /// A ready node of the same table (or other object) as the last one, so that what belongs together is read in one place.
    fn of_the_same(&self) -> Option<(super::graph::Priority, usize)> {
        let (phase, rank, root, ..) = self.graph.priority[self.last?];
        let (first, end) = ((phase, rank, root, 0, 0), (phase, rank, root, usize::MAX, usize::MAX));
        self.ready.range((first, 0)..=(end, usize::MAX)).next().copied()
    }

    /// Folds those children in that fit into the CREATE. `inner` counts the edges that come from inside.
    fn fold(
        &mut self,
        parent: usize,
        can_fold: &dyn Fn(usize) -> bool,
        with: &mut Vec<usize>,
        inner: &mut FxHashMap<usize, usize>,
    ) {
        for after in self.graph.hard[parent].iter().chain(&self.graph.soft[parent]) {
            *inner.entry(*after).or_default() += 1;
        }
        for child in self.children[parent].clone() {
            let open = self.hard[child] + self.soft[child];
            let within = inner.get(&child).copied().unwrap_or_default();
            if !self.done[child] && open <= within && can_fold(child) {
                with.push(child);
                self.fold(child, can_fold, with, inner);
            }
        }
    }

    fn absorb(&mut self, parent: usize, with: &mut Vec<usize>) {
        for child in self.children[parent].clone() {
            if !self.done[child] && self.graph.into[child] == Some(parent) {
                with.push(child);
                self.absorb(child, with);
            }
        }
    }

    fn finish(&mut self, node: usize) {
        self.done[node] = true;
        let key = self.key(node);
        self.ready.remove(&key);
        self.lazy.remove(&key);
        self.stop_waiting(node);
        for after in &self.graph.hard[node] {
            self.hard[*after] -= 1;
        }
        for after in &self.graph.soft[node] {
            self.soft[*after] -= 1;
        }
        for after in &self.graph.named[node] {
            self.named[*after] -= 1;
        }
        let after: Vec<usize> = self.graph.hard[node].iter().chain(&self.graph.soft[node]).copied().collect();
        after.into_iter().for_each(|n| self.place(n));
    }
}
