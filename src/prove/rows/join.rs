//! Joins the candidates of several columns into rows that satisfy the conditions on all of them.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::Result;

use super::conditions::{Leaf, mentioned};
use super::pools::{Tuples, around, sides, source};
use super::solve::Solver;

/// How many partial rows are kept while columns are joined.
pub(super) const BEAM: usize = 240;
/// A column without a value so far.
const FREE: u32 = u32::MAX;

impl Solver<'_> {
    /// Joins candidates column by column.
    pub(super) async fn join(&mut self, columns: &[usize], leaves: &[&Leaf]) -> Result<Vec<Vec<u32>>> {
        let together: Vec<&Leaf> =
            leaves.iter().copied().filter(|leaf| leaf.columns.len() > 1 && !leaf.whole).collect();
        let mut lists: FxHashMap<usize, Vec<u32>> = columns.iter().map(|at| (*at, self.allowed(*at, leaves))).collect();
        let mut bound: Vec<usize> = Vec::new();
        let mut partial: Vec<Vec<u32>> = vec![vec![FREE; columns.len()]];
        while bound.len() < columns.len() {
            let next = self.next(columns, &bound, &together, &lists);
            let before = bound.clone();
            match next {
                Next::Column(column) => {
                    let list = lists.entry(column).or_default();
                    self.dice.shuffle(list);
                    let list = list.clone();
                    partial = self.extend(columns, column, &list, &bound, &together, partial).await?;
                    bound.push(column);
                }
                Next::Tuples(at) => {
                    partial = self.extend_tuples(columns, at, &lists, partial);
                    bound.extend(self.tuples.get(at).into_iter().flat_map(|tuples| tuples.columns.iter().copied()));
                    bound.sort_unstable();
                    bound.dedup();
                }
            }
            let is_new = |leaf: &&&Leaf| {
                leaf.columns.iter().all(|at| bound.contains(at)) && !leaf.columns.iter().all(|at| before.contains(at))
            };
            let complete: Vec<&Leaf> = together.iter().filter(is_new).copied().collect();
            partial = self.judge(columns, &complete, partial).await?;
            if partial.is_empty() {
                break;
            }
        }
        self.dice.shuffle(&mut partial);
        Ok(partial)
    }

    fn next(&self, columns: &[usize], bound: &[usize], leaves: &[&Leaf], lists: &FxHashMap<usize, Vec<u32>>) -> Next {
        let open = |tuples: &Tuples| tuples.columns.iter().any(|at| columns.contains(at) && !bound.contains(at));
        if let Some(at) = self.tuples.iter().position(open) {
            return Next::Tuples(at);
        }
        let score = |column: usize| {
            let completes = |leaf: &&&Leaf| {
                leaf.columns.contains(&column) && leaf.columns.iter().all(|at| *at == column || bound.contains(at))
            };
            let complete = leaves.iter().filter(completes).count();
            let touches = leaves
                .iter()
                .filter(|leaf| leaf.columns.contains(&column) && leaf.columns.iter().any(|at| bound.contains(at)))
                .count();
            let size = lists.get(&column).map_or(0, Vec::len);
            (complete, touches, usize::MAX - size)
        };
        let best = columns.iter().copied().filter(|at| !bound.contains(at)).max_by_key(|at| score(*at));
        Next::Column(best.unwrap_or(0))
    }

    async fn extend(
        &mut self,
        columns: &[usize],
        column: usize,
        list: &[u32],
        bound: &[usize],
        leaves: &[&Leaf],
        partial: Vec<Vec<u32>>,
    ) -> Result<Vec<Vec<u32>>> {
        let Some(place) = columns.iter().position(|at| *at == column) else { return Ok(partial) };
        let follows = self.follow(columns, column, bound, leaves, &partial).await?;
        let each = (self.beam / partial.len().max(1)).max(2);
        let mut out = Vec::new();
        let mut start = 0;
        for (row, follows) in partial.into_iter().zip(follows) {
            let sampled = (0..each.min(list.len())).filter_map(|step| list.get((start + step) % list.len())).copied();
            let chosen: Vec<u32> = follows.into_iter().chain(sampled).collect();
            start += each;
            for value in chosen {
                let mut new = row.clone();
                if let Some(slot) = new.get_mut(place) {
                    *slot = value;
                }
                out.push(new);
            }
        }
        self.dice.shuffle(&mut out);
        out.truncate(self.beam * 2);
        Ok(out)
    }

    /// What a column is compared with, for each half-made row, and what is beside that.
    async fn follow(
        &mut self,
        columns: &[usize],
        column: usize,
        bound: &[usize],
        leaves: &[&Leaf],
        partial: &[Vec<u32>],
    ) -> Result<Vec<Vec<u32>>> {
        let table = self.table;
        let base = table.columns.get(column).map_or("", |column| column.base.as_str());
        let mut expressions = Vec::new();
        for leaf in leaves.iter().filter(|leaf| leaf.columns.contains(&column)) {
            for (side, other) in sides(&leaf.text, &table.columns) {
                let needed = mentioned(other, &table.columns);
                if side == column && !needed.is_empty() && needed.iter().all(|at| bound.contains(at)) {
                    expressions.extend(around(other, base));
                }
            }
        }
        if expressions.is_empty() {
            return Ok(vec![Vec::new(); partial.len()]);
        }
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let rows = self.texts(columns, bound, partial);
        let answers = self.desk.ask(&source(table, bound, &texts), &expressions, &rows).await?;
        let Some(pool) = self.pools.get_mut(column) else { return Ok(vec![Vec::new(); partial.len()]) };
        let mut out = Vec::new();
        for row in answers {
            let found: FxHashSet<u32> = row.into_iter().flatten().map(|text| pool.intern(Some(text), true)).collect();
            let mut found: Vec<u32> = found.into_iter().filter(|at| pool.is_allowed(*at)).collect();
            found.sort_unstable();
            out.push(found);
        }
        Ok(out)
    }

    fn extend_tuples(
        &mut self,
        columns: &[usize],
        at: usize,
        lists: &FxHashMap<usize, Vec<u32>>,
        partial: Vec<Vec<u32>>,
    ) -> Vec<Vec<u32>> {
        let Some(tuples) = self.tuples.get(at) else { return partial };
        let places: Vec<Option<usize>> =
            tuples.columns.iter().map(|at| columns.iter().position(|column| column == at)).collect();
        let mut out = Vec::new();
        for row in &partial {
            for tuple in &tuples.rows {
                let mut new = row.clone();
                let mut fits = true;
                for ((place, value), column) in places.iter().zip(tuple).zip(&tuples.columns) {
                    let Some(slot) = place.and_then(|place| new.get_mut(place)) else { continue };
                    let list = lists.get(column).map_or(&[][..], Vec::as_slice);
                    let value = if *value == FREE {
                        if *slot == FREE { self.dice.pick(list).copied().unwrap_or(FREE) } else { *slot }
                    } else {
                        *value
                    };
                    fits &= (*slot == FREE || *slot == value) && list.contains(&value);
                    *slot = value;
                }
                if fits {
                    out.push(new);
                }
            }
        }
        self.dice.shuffle(&mut out);
        out.truncate(self.beam);
        out
    }

    /// Keeps the partial rows that pass.
    async fn judge(&mut self, columns: &[usize], leaves: &[&Leaf], partial: Vec<Vec<u32>>) -> Result<Vec<Vec<u32>>> {
        if leaves.is_empty() {
            return Ok(partial);
        }
        let mut needed: Vec<usize> = leaves.iter().flat_map(|leaf| leaf.columns.iter().copied()).collect();
        needed.sort_unstable();
        needed.dedup();
        let texts: Vec<&str> = leaves.iter().map(|leaf| leaf.text.as_str()).collect();
        let all: Vec<String> = texts.iter().map(|text| format!("({text}) IS NOT FALSE")).collect();
        let expression = all.join(" AND ");
        let rows = self.texts(columns, &needed, &partial);
        let answers = self.desk.ask(&source(self.table, &needed, &texts), &[expression], &rows).await?;
        let passed = answers.iter().map(|row| row.first().is_some_and(|answer| answer.as_deref() == Some("true")));
        Ok(partial.iter().zip(passed).filter(|(_, passed)| *passed).map(|(row, _)| row.clone()).collect())
    }

    /// The texts of some columns of half-made rows.
    fn texts<'s>(&'s self, columns: &[usize], needed: &[usize], partial: &[Vec<u32>]) -> Vec<Vec<Option<&'s str>>> {
        let text = |row: &Vec<u32>, column: &usize| {
            let place = columns.iter().position(|at| at == column)?;
            self.pools.get(*column)?.text(*row.get(place)?)
        };
        partial.iter().map(|row| needed.iter().map(|column| text(row, column)).collect()).collect()
    }
}

enum Next {
    Column(usize),
    Tuples(usize),
}
