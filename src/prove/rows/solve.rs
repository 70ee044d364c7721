//! Finds values for the columns of a row that satisfy all conditions together.
//!
//! Conditions on one column reduce its candidates. Columns that conditions or keys connect are solved together: one branch of each OR is
//! chosen, candidates are joined column by column, and partial rows that can no longer succeed are dropped as soon as the server can tell.

use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::Result;

use super::columns::Table;
use super::conditions::{Condition, Leaf, Tree};
use super::dice::Dice;
use super::join::BEAM;
use super::pools::{Pool, Pools, Tuples, source};
use super::server::Desk;

/// How many ways through the ORs are tried.
const WAYS: usize = 24;

/// Columns that belong together, and values for all of them that do.
pub(super) struct Solved {
    pub columns: Vec<usize>,
    pub rows: Vec<Vec<u32>>,
}

/// What cannot be satisfied.
pub(super) struct Unsolved {
    pub constraint: Option<String>,
    pub reason: String,
}

pub(super) struct Solver<'a> {
    pub desk: &'a Desk<'a>,
    pub table: &'a Table,
    pub pools: Vec<Pool>,
    pub tuples: Vec<Tuples>,
    pub dice: Dice,
    pub deadline: Instant,
    /// How many half-made rows are kept.
    pub beam: usize,
    /// For each leaf on one column, which of its candidates pass.
    verdicts: FxHashMap<Leaf, Vec<bool>>,
    /// For columns on which an OR stands, a candidate for each of its arms.
    pub turns: FxHashMap<usize, Vec<u32>>,
}

impl<'a> Solver<'a> {
    pub fn new(desk: &'a Desk<'a>, table: &'a Table, pools: Pools, dice: Dice, deadline: Instant) -> Self {
        Self {
            desk,
            table,
            pools: pools.pools,
            tuples: pools.tuples,
            dice,
            deadline,
            beam: BEAM,
            verdicts: FxHashMap::default(),
            turns: FxHashMap::default(),
        }
    }

    /// Solves all columns; unconnected ones are left to the code that makes rows.
    ///
    /// # Errors
    /// The server's.
    pub async fn solve(&mut self, conditions: &[&Condition], wanted: usize) -> Result<Result<Vec<Solved>, Unsolved>> {
        let mut trees: Vec<(Option<&str>, &Tree)> = Vec::new();
        for condition in conditions {
            parts(condition.name.as_deref(), &condition.tree, &mut trees);
        }
        let table = self.table;
        let mut all = trees.clone();
        all.extend(table.offers.iter().map(|tree| (None, tree)));
        self.judge_alone(&all).await?;
        if let Some(unsolved) = self.thin_out(&trees) {
            return Ok(Err(unsolved));
        }
        self.take_turns(&trees);
        trees.retain(|(_, tree)| tree.columns().len() > 1);
        let mut solved = Vec::new();
        for columns in self.components(&trees) {
            let own: Vec<(Option<&str>, &Tree)> = trees
                .iter()
                .copied()
                .filter(|(_, tree)| tree.columns().iter().any(|at| columns.contains(at)))
                .collect();
            let rows = self.component(&columns, &own, wanted).await?;
            if rows.is_empty() {
                let constraint = own.iter().find_map(|(name, _)| *name).map(str::to_owned);
                let constraint = constraint.or_else(|| self.tuples.first().map(|tuples| tuples.name.clone()));
                let reason = "no combination of values that was tried satisfies it".to_owned();
                return Ok(Err(Unsolved { constraint, reason }));
            }
            solved.push(Solved { columns, rows });
        }
        Ok(Ok(solved))
    }

    /// Asks for each leaf on a single column which candidates pass.
    async fn judge_alone(&mut self, trees: &[(Option<&str>, &Tree)]) -> Result<()> {
        let mut by_column: FxHashMap<usize, Vec<&Leaf>> = FxHashMap::default();
        for (_, tree) in trees {
            let mut leaves = Vec::new();
            tree.leaves(&mut leaves);
            for leaf in leaves {
                if let ([column], false) = (&leaf.columns[..], leaf.whole) {
                    let list = by_column.entry(*column).or_default();
                    if !list.contains(&leaf) {
                        list.push(leaf);
                    }
                }
            }
        }
        for (column, leaves) in by_column {
            let Some(pool) = self.pools.get(column) else { continue };
            let texts: Vec<&str> = leaves.iter().map(|leaf| leaf.text.as_str()).collect();
            let rows: Vec<Vec<Option<&str>>> = pool.entries.iter().map(|entry| vec![entry.text.as_deref()]).collect();
            let expressions: Vec<String> = texts.iter().map(|text| format!("({text}) IS NOT FALSE")).collect();
            let answers = self.desk.ask(&source(self.table, &[column], &texts), &expressions, &rows).await?;
            for (at, leaf) in leaves.into_iter().enumerate() {
                let passed =
                    answers.iter().map(|row| row.get(at).is_some_and(|answer| answer.as_deref() == Some("true")));
                self.verdicts.insert(leaf.clone(), passed.collect());
            }
        }
        Ok(())
    }

    /// Drops candidates that a condition on their column alone forbids.
    fn thin_out(&mut self, trees: &[(Option<&str>, &Tree)]) -> Option<Unsolved> {
        for (at, column) in self.table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_none()) {
            let own: Vec<_> = trees.iter().filter(|(_, tree)| tree.columns() == [at]).collect();
            let Some(pool) = self.pools.get(at) else { continue };
            let size = pool.entries.len();
            let mut keep = vec![true; size];
            for (value, keep) in keep.iter_mut().enumerate() {
                let null = pool.entries.get(value).is_some_and(|entry| entry.text.is_none());
                let passes = |leaf: &Leaf| {
                    leaf.whole || self.verdicts.get(leaf).is_none_or(|list| list.get(value) == Some(&true))
                };
                *keep = !(null && column.not_null) && own.iter().all(|(_, tree)| tree.passes(&passes));
            }
            if !keep.contains(&true) {
                let constraint = own.iter().find_map(|(name, _)| *name).map(str::to_owned);
                let reason = format!("none of {size} values tried for column {} satisfies it", column.name.as_str());
                return Some(Unsolved { constraint, reason });
            }
            if keep.contains(&false) {
                // Verdicts and tuples speak of places, so places stay.
                if let Some(pool) = self.pools.get_mut(at) {
                    pool.forbid(&keep);
                }
            }
        }
        None
    }

    /// Finds a candidate for each arm of an OR on a single column: for each partition one that goes there. What others ask for comes first.
    fn take_turns(&mut self, trees: &[(Option<&str>, &Tree)]) {
        let offers: Vec<&Tree> = self.table.offers.iter().collect();
        for tree in offers.iter().copied().chain(trees.iter().map(|(_, tree)| *tree)) {
            let [at] = &tree.columns()[..] else { continue };
            let arms = match tree {
                Tree::Any(arms) => &arms[..],
                one if offers.iter().any(|offer| std::ptr::eq(*offer, one)) => std::slice::from_ref(one),
                _ => continue,
            };
            let Some(pool) = self.pools.get(*at) else { continue };
            let mut found: Vec<u32> = Vec::new();
            for arm in arms {
                let passes = |value: &u32| {
                    let leaf = |leaf: &Leaf| {
                        self.verdicts.get(leaf).is_none_or(|list| list.get(*value as usize) == Some(&true))
                    };
                    !found.contains(value) && arm.passes(&leaf)
                };
                found.extend(pool.allowed().find(passes));
            }
            self.turns.entry(*at).or_default().extend(found);
        }
    }

    /// Columns that have to be solved together.
    fn components(&self, trees: &[(Option<&str>, &Tree)]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let connected =
            trees.iter().map(|(_, tree)| tree.columns()).chain(self.tuples.iter().map(|tuples| tuples.columns.clone()));
        for columns in connected {
            let (mut joined, rest): (Vec<_>, Vec<_>) =
                groups.into_iter().partition(|group| group.iter().any(|at| columns.contains(at)));
            joined.push(columns);
            let mut all: Vec<usize> = joined.into_iter().flatten().collect();
            all.sort_unstable();
            all.dedup();
            groups = rest;
            groups.push(all);
        }
        groups
    }

    async fn component(
        &mut self,
        columns: &[usize],
        trees: &[(Option<&str>, &Tree)],
        wanted: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let mut found: Vec<std::vec::IntoIter<Vec<u32>>> = Vec::new();
        let mut seen = FxHashSet::default();
        let widest = trees.iter().map(|(_, tree)| arms(tree)).max().unwrap_or(0);
        let ways = WAYS.max(widest.min(wanted * 2));
        self.beam = BEAM;
        let each = (wanted * 4).div_ceil(widest.clamp(1, WAYS)).max(4);
        for way in 0..ways {
            // Where there is one way only, a second look brings other values.
            let enough = way >= widest && (seen.len() >= wanted * 4 || widest == 0 && way > 2 && !seen.is_empty());
            if enough || way > 5 && widest == 0 || Instant::now() > self.deadline {
                break;
            }
            let Some(leaves) = self.way(trees, way) else { continue };
            let mut rows = self.join(columns, &leaves).await?;
            if rows.is_empty() {
                // What is rare needs a wider net.
                self.beam = (self.beam * 2).min(BEAM * 16);
            }
            rows.retain(|row| seen.insert(row.clone()));
            rows.truncate(each);
            found.push(rows.into_iter());
        }
        // In turn, so that the first rows are not all alike.
        let mut out = Vec::new();
        while !found.is_empty() {
            found.retain_mut(|rows| rows.next().map(|row| out.push(row)).is_some());
        }
        Ok(out)
    }

    /// One arm of each OR, so that every column still has candidates. The largest OR takes its arms in turn.
    fn way<'t>(&mut self, trees: &[(Option<&str>, &'t Tree)], way: usize) -> Option<Vec<&'t Leaf>> {
        let widest = trees.iter().map(|(_, tree)| arms(tree)).max().unwrap_or(0);
        for _ in 0..40 {
            let mut leaves = Vec::new();
            for (_, tree) in trees {
                let mut first = arms(tree) == widest;
                let dice = &mut self.dice;
                let mut choose = |count: usize| match std::mem::take(&mut first) {
                    true => way % count.max(1),
                    false => dice.below(count),
                };
                tree.one_way(&mut choose, &mut leaves);
            }
            let alone: Vec<&Leaf> = leaves.iter().copied().filter(|leaf| leaf.columns.len() == 1).collect();
            let possible = alone.iter().all(|leaf| leaf.columns.iter().all(|at| !self.allowed(*at, &alone).is_empty()));
            if possible {
                return Some(leaves);
            }
        }
        None
    }

    /// The candidates of a column that pass those leaves.
    pub(super) fn allowed(&self, column: usize, leaves: &[&Leaf]) -> Vec<u32> {
        let own: Vec<&Vec<bool>> =
            leaves.iter().filter(|leaf| leaf.columns == [column]).filter_map(|leaf| self.verdicts.get(*leaf)).collect();
        let Some(pool) = self.pools.get(column) else { return Vec::new() };
        let passes = |at: &u32| own.iter().all(|list| list.get(*at as usize).is_none_or(|passed| *passed));
        pool.allowed().filter(passes).collect()
    }
}

fn arms(tree: &Tree) -> usize {
    match tree {
        Tree::Any(arms) => arms.len(),
        _ => 0,
    }
}

/// The conditions that have to hold each by itself.
fn parts<'t>(name: Option<&'t str>, tree: &'t Tree, out: &mut Vec<(Option<&'t str>, &'t Tree)>) {
    match tree {
        Tree::All(list) => list.iter().for_each(|part| parts(name, part, out)),
        other => out.push((name, other)),
    }
}
