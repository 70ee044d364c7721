//! Which steps share a transaction: one per existing table touched, new objects together, what is taken down and put back in one.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::{Mode, Statement};
use crate::model::{ObjectId, State};

/// New relations per transaction: each holds locks until the commit, and the lock table has room for about
/// max_locks_per_transaction × max_connections (64 × 100 by default).
const NEW_OBJECTS: usize = 1000;

/// What one turn of the plan does, as far as transactions care.
pub struct Block<'a> {
    pub id: &'a ObjectId,
    pub statements: &'a [Statement],
    /// Number of objects that it makes.
    pub makes: usize,
    pub drops: bool,
    /// The object is missing, or only its placeholder is there, until another block of the object.
    pub opens: bool,
    /// It goes on with what another block of the object began.
    pub goes_on: bool,
}

/// A transaction number per block, counting from 1.
pub fn assign(blocks: &[Block<'_>], old: &State) -> Vec<u32> {
    let together = windows(blocks);
    let mut numbers = Vec::with_capacity(blocks.len());
    let mut number = 0;
    let mut touched: FxHashSet<&ObjectId> = FxHashSet::default();
    let mut made = 0;
    let mut closed = true;
    for (i, block) in blocks.iter().enumerate() {
        let alone = block.statements.iter().any(|s| s.mode == Mode::Alone);
        let existing: Vec<&ObjectId> = block
            .statements
            .iter()
            .filter_map(|s| s.lock.as_ref())
            .map(|(_, on)| on.root())
            .filter(|on| old.has(on))
            .collect();
        let other_table = existing.iter().any(|table| !touched.contains(table)) && !touched.is_empty();
        if closed || alone || (!together[i] && (other_table || made + block.makes > NEW_OBJECTS)) {
            number += 1;
            touched.clear();
            made = 0;
        }
        touched.extend(existing);
        made += block.makes;
        closed = alone || block.statements.iter().any(|s| s.mode == Mode::CommitAfter);
        numbers.push(number);
    }
    numbers
}

/// How many of the steps that are still to run, said by their transactions' numbers and modes, go into the next transaction; one where
/// that step runs outside of any.
pub fn next(steps: impl IntoIterator<Item = (u32, Mode)>) -> usize {
    let mut size = 0;
    let mut open = None;
    for (number, mode) in steps {
        if size > 0 && (mode == Mode::Alone || open != Some(number)) {
            break;
        }
        size += 1;
        open = Some(number);
        if mode != Mode::Normal {
            break;
        }
    }
    size
}

/// True for blocks that belong to the transaction of the block before them: between a drop and the create that puts the object, or
/// what hung on it, back; and as long as an object is a placeholder.
fn windows(blocks: &[Block<'_>]) -> Vec<bool> {
    let mut first: FxHashMap<&ObjectId, usize> = FxHashMap::default();
    let mut together = vec![false; blocks.len()];
    for (i, block) in blocks.iter().enumerate() {
        let own = block.goes_on.then(|| first.get(block.id)).flatten();
        let around = || block.id.ancestors().filter(|_| !block.drops).find_map(|id| first.get(id));
        if let Some(start) = own.or_else(around) {
            together[start + 1..=i].fill(true);
        }
        if block.opens {
            first.entry(block.id).or_insert(i);
        }
    }
    together
}

/// Moves of blocks that end a transaction out of the time in which something is taken down: each from its place to the earlier one
/// before the drop, unless something there has to come before it (`needs`: must the first block come before the second?).
pub fn moves(blocks: &[Block<'_>], needs: &dyn Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let together = windows(blocks);
    let mut moves = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        let ends = block.statements.iter().any(|s| s.mode == Mode::CommitAfter);
        if !ends || !together[i] {
            continue;
        }
        let start = (0..i).rev().find(|at| !together[*at]).unwrap_or(0);
        if !(start..i).any(|earlier| needs(earlier, i)) {
            moves.push((i, start));
        }
    }
    moves
}
