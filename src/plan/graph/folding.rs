//! Preferences that let children fold into their parents: what a child needs should exist before its parent is created.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Graph;

impl Graph {
    /// Prefers that what children need comes before their parents, unless it needs the parents itself.
    pub fn wish_to_fold(&mut self) {
        let depths = self.depths();
        let mut known: FxHashMap<(usize, usize), bool> = FxHashMap::default();
        let mut wishes = Vec::new();
        for node in 0..self.nodes.len() {
            for after in self.needing(node) {
                for parent in std::iter::successors(self.under[after], |parent| self.under[*parent]) {
                    let mut waits =
                        || *known.entry((parent, node)).or_insert_with(|| self.leads(parent, node, &depths));
                    if !self.inside(node, parent) && !waits() {
                        wishes.push((node, parent));
                    }
                }
            }
        }
        wishes.into_iter().for_each(|(node, parent)| self.rather_before(node, parent));
    }

    /// The nodes that need this one.
    pub(super) fn needing(&self, node: usize) -> impl Iterator<Item = usize> {
        self.hard[node].iter().chain(&self.named[node]).copied()
    }

    fn inside(&self, node: usize, parent: usize) -> bool {
        node == parent || std::iter::successors(self.under[node], |n| self.under[*n]).any(|n| n == parent)
    }

    /// How many nodes have to come one after the other before each node; nodes in cycles have no depth.
    fn depths(&self) -> Vec<usize> {
        let mut before = vec![0; self.nodes.len()];
        (0..before.len()).flat_map(|node| self.needing(node)).for_each(|after| before[after] += 1);
        let mut open: Vec<usize> = (0..before.len()).filter(|node| before[*node] == 0).collect();
        let mut depths = vec![0; before.len()];
        while let Some(node) = open.pop() {
            for after in self.needing(node) {
                depths[after] = depths[after].max(depths[node] + 1);
                before[after] -= 1;
                open.extend((before[after] == 0).then_some(after));
            }
        }
        before.iter().zip(depths).map(|(open, depth)| if *open == 0 { depth } else { usize::MAX }).collect()
    }

    /// True if one node has to come before the other.
    fn leads(&self, from: usize, to: usize, depths: &[usize]) -> bool {
        let mut seen: FxHashSet<usize> = FxHashSet::default();
        let mut open = vec![from];
        while let Some(node) = open.pop() {
            if node == to {
                return true;
            }
            if depths[node] < depths[to] && seen.insert(node) {
                open.extend(self.needing(node));
            }
        }
        false
    }
}
