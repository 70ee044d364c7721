//! Decides which steps share a transaction: one per existing table, one for all new objects, one for what is dropped and recreated, and
//! whatever decides who may do what with an object goes with it.

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
    /// The object is missing, or only its placeholder exists, until another block of the object.
    pub opens: bool,
    /// It continues with what another block of the object began.
    pub goes_on: bool,
    /// The object that it makes or alters, or whose owner, privileges or comment it is about.
    pub whose: Option<&'a ObjectId>,
    /// The column that it supplies with values, which never lacks a source.
    pub fills: Option<ObjectId>,
    /// It lets people see rows of a table that the plan creates: until then they see none, so it may come later.
    pub guards_new: bool,
    /// It gives or takes a name that something has only while names are exchanged: nobody sees them half exchanged.
    pub exchanges: bool,
}

/// How a block belongs to the transaction of the block before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bond {
    /// Not at all.
    Free,
    /// As long as there is room for the locks.
    Rather,
    /// Whatever comes.
    Must,
}

/// A transaction number per block, counting from 1.
pub fn assign(blocks: &[Block<'_>], old: &State) -> Vec<u32> {
    let together = windows(blocks);
    let mut numbers = Vec::with_capacity(blocks.len());
    let mut number = 0;
    let mut touched: FxHashSet<&ObjectId> = FxHashSet::default();
    let mut made = 0;
    let (mut closed, mut scanned) = (true, false);
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
        let full = made + block.makes > NEW_OBJECTS;
        // A long look at tables that lets others write continues without what keeps them waiting.
        let scans = block.statements.iter().any(|statement| statement.scans);
        let parts = match together[i] {
            Bond::Free => {
                let locked = !touched.is_empty() || !existing.is_empty();
                other_table || full || scans && locked || scanned && !existing.is_empty()
            }
            Bond::Rather => full,
            Bond::Must => false,
        };
        if closed || alone || parts {
            number += 1;
            touched.clear();
            made = 0;
        }
        touched.extend(existing);
        made += block.makes;
        scanned = scans || scanned && !parts && !closed && !alone;
        closed = alone || block.statements.iter().any(|s| s.mode == Mode::CommitAfter);
        numbers.push(number);
    }
    numbers
}

/// How many of the remaining steps, given by their transactions' numbers and modes, go into the next transaction; one if
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

/// Which blocks belong to the transaction of the block before them: between a drop and the create that puts the object, or
/// what hung on it, back; as long as an object is a placeholder; while a column gets its values from something else; and from the first that decides who may do what with an object to
/// the last.
fn windows(blocks: &[Block<'_>]) -> Vec<Bond> {
    let mut first: FxHashMap<&ObjectId, usize> = FxHashMap::default();
    let mut seen: FxHashMap<&ObjectId, usize> = FxHashMap::default();
    let mut filled: FxHashMap<&ObjectId, usize> = FxHashMap::default();
    let mut together = vec![Bond::Free; blocks.len()];
    let exchanges = |block: &Block<'_>| block.exchanges;
    if let (Some(first), Some(last)) = (blocks.iter().position(exchanges), blocks.iter().rposition(exchanges)) {
        together[first + 1..=last].fill(Bond::Must);
    }
    for (i, block) in blocks.iter().enumerate() {
        let own = block.goes_on.then(|| first.get(block.id)).flatten();
        let around = || block.id.ancestors().filter(|_| !block.drops).find_map(|id| first.get(id));
        if let Some(start) = own.or_else(around) {
            together[start + 1..=i].fill(Bond::Must);
        }
        if let Some(whose) = block.whose {
            let bond = if block.guards_new { Bond::Rather } else { Bond::Must };
            let last = *seen.get(whose).unwrap_or(&i);
            together[last + 1..=i].iter_mut().for_each(|between| *between = bond.max(*between));
            // A block that may come later does not tie together the blocks around it.
            if !block.guards_new {
                seen.insert(whose, i);
            }
        }
        if let Some(column) = &block.fills {
            let last = filled.insert(column, i).unwrap_or(i);
            together[last + 1..=i].fill(Bond::Must);
        }
        if block.opens {
            first.entry(block.id).or_insert(i);
        }
    }
    together
}

/// Moves blocks that end a transaction, or read a table for long, out of the span in which something is dropped: each from its place to
/// the earlier one before the drop, unless something there has to come before it (`needs`: must the first block come before the second?).
pub fn moves(blocks: &[Block<'_>], needs: &dyn Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let together = windows(blocks);
    let mut moves = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        let ends = |s: &Statement| s.mode == Mode::CommitAfter || s.scans && s.lock.is_some();
        if !block.statements.iter().any(ends) || together[i] == Bond::Free {
            continue;
        }
        let start = (0..i).rev().find(|at| together[*at] == Bond::Free).unwrap_or(0);
        if !(start..i).any(|earlier| needs(earlier, i)) {
            moves.push((i, start));
        }
    }
    moves
}
