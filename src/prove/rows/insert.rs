//! Turns solutions into rows, and inserts them into the table.

use std::collections::BTreeMap;
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::Result;
use crate::sql;

use super::columns::Table;
use super::dice::Dice;
use super::pools::Pool;
use super::server::{Desk, Given, Violation};
use super::solve::Solved;

/// How often rows are generated again for those that were refused.
const BATCHES: usize = 8;

/// Where the values of a column come from.
enum Origin {
    /// A group of columns that was solved together, and the place in it.
    Group(usize, usize),
    Alone(Vec<u32>),
}

pub(super) struct Maker<'a> {
    table: &'a Table,
    pools: &'a [Pool],
    groups: Vec<Solved>,
    columns: Vec<(usize, Origin)>,
    dice: Dice,
    taken: FxHashSet<(usize, Vec<u32>)>,
    made: usize,
    /// How many rows are wanted.
    window: usize,
    /// Columns that are left to their defaults.
    left_out: Vec<usize>,
}

/// The result.
#[derive(Default)]
pub(super) struct Put {
    pub rows: u64,
    /// How often each refusal was met.
    pub refusals: BTreeMap<(String, String), (usize, Option<Violation>)>,
    /// A key that a sequence did not keep apart.
    pub out_of_place: Option<Violation>,
}

impl<'a> Maker<'a> {
    pub fn new(
        table: &'a Table,
        pools: &'a [Pool],
        groups: Vec<Solved>,
        turns: &FxHashMap<usize, Vec<u32>>,
        dice: Dice,
    ) -> Self {
        let mut columns = Vec::new();
        for (at, _) in table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_none()) {
            let place = groups.iter().enumerate().find_map(|(group, solved)| {
                solved.columns.iter().position(|column| *column == at).map(|place| Origin::Group(group, place))
            });
            let alone = || {
                let mut list = turns.get(&at).cloned().unwrap_or_default();
                let rest: Vec<u32> = pools
                    .get(at)
                    .map(|pool| pool.allowed().filter(|value| !list.contains(value)).collect())
                    .unwrap_or_default();
                list.extend(rest);
                Origin::Alone(list)
            };
            columns.push((at, place.unwrap_or_else(alone)));
        }
        Self {
            table,
            pools,
            groups,
            columns,
            dice,
            taken: FxHashSet::default(),
            made: 0,
            window: 1,
            left_out: Vec::new(),
        }
    }

    /// One row, in which those columns are left to their defaults; ordinary values are enough.
    ///
    /// # Errors
    /// The server's.
    pub async fn one(&mut self, desk: &Desk<'_>, left_out: Vec<usize>, deadline: Instant) -> Result<Put> {
        self.left_out = left_out;
        self.made = 1;
        self.fill(desk, 1, deadline, 1).await
    }

    /// Puts rows in until there are so many, or nothing helps any more.
    ///
    /// # Errors
    /// The server's.
    pub async fn put(&mut self, desk: &Desk<'_>, wanted: usize, deadline: Instant) -> Result<Put> {
        self.fill(desk, wanted, deadline, 0).await
    }

    async fn fill(&mut self, desk: &Desk<'_>, wanted: usize, deadline: Instant, first: usize) -> Result<Put> {
        let mut put = Put::default();
        self.window = wanted;
        let given: Vec<Given> = self
            .columns
            .iter()
            .filter(|(at, _)| !self.left_out.contains(at))
            .filter_map(|(at, _)| self.table.columns.get(*at))
            .map(|column| Given { name: sql::name(&column.name).to_string(), sql: column.sql.clone() })
            .collect();
        for batch in first..BATCHES {
            let missing = wanted.saturating_sub(usize::try_from(put.rows).unwrap_or(wanted));
            if missing == 0 || (batch > first && Instant::now() > deadline) {
                break;
            }
            let rows: Vec<Vec<u32>> = (0..missing).filter_map(|_| self.row(batch)).collect();
            if rows.is_empty() {
                break;
            }
            let texts: Vec<Vec<Option<&str>>> = rows.iter().map(|row| self.texts(row)).collect();
            for violation in desk.put(&self.table.path(), &given, &texts).await? {
                match violation {
                    None => put.rows += 1,
                    Some(violation) => {
                        let key = (violation.constraint.clone(), violation.state.clone());
                        let slot = put.refusals.entry(key).or_insert((0, None));
                        slot.0 += 1;
                        if self.is_out_of_place(&violation) {
                            put.out_of_place = Some(violation.clone());
                        }
                        slot.1 = Some(violation);
                    }
                }
            }
            if put.out_of_place.is_some() {
                break;
            }
        }
        Ok(put)
    }

    /// True if the violation only means that a value given by a sequence already exists.
    fn is_out_of_place(&self, violation: &Violation) -> bool {
        let given = |at: &usize| {
            self.left_out.contains(at) && self.table.columns.get(*at).is_some_and(|c| c.next(self.table).is_some())
        };
        let key = self.table.keys.iter().find(|(name, _)| *name == violation.constraint);
        violation.state == "23505" && key.is_some_and(|(_, key)| key.iter().any(given))
    }

    fn texts(&self, row: &[u32]) -> Vec<Option<&'a str>> {
        let pools: &'a [Pool] = self.pools;
        let shown = self.columns.iter().zip(row).filter(|((at, _), _)| !self.left_out.contains(at));
        shown.map(|((at, _), value)| pools.get(*at).and_then(|pool| pool.text(*value))).collect()
    }

    /// A row that no unique key forbids. First each candidate has its turn; later batches are rather ordinary ones.
    fn row(&mut self, batch: usize) -> Option<Vec<u32>> {
        for attempt in 0..40 {
            let turn = (attempt == 0 && batch == 0).then_some(self.made);
            let plain = batch > 0 && attempt % 2 == 0;
            let row = self.candidate(turn, plain);
            let keys = self.keys(&row);
            if !keys.iter().any(|key| self.taken.contains(key)) {
                self.taken.extend(keys);
                self.made += 1;
                return Some(row);
            }
        }
        None
    }

    fn candidate(&mut self, turn: Option<usize>, plain: bool) -> Vec<u32> {
        let chosen: Vec<usize> = self
            .groups
            .iter()
            .map(|group| turn.map_or_else(|| self.dice.below(group.rows.len()), |turn| turn % group.rows.len().max(1)))
            .collect();
        let mut row = Vec::with_capacity(self.columns.len());
        for (at, origin) in &self.columns {
            row.push(match origin {
                Origin::Group(group, place) => {
                    let solved = self.groups.get(*group).and_then(|solved| solved.rows.get(*chosen.get(*group)?));
                    solved.and_then(|values| values.get(*place)).copied().unwrap_or(u32::MAX)
                }
                Origin::Alone(list) => {
                    let pool = self.pools.get(*at);
                    let is_plain = |value: &u32| {
                        pool.and_then(|pool| pool.entries.get(*value as usize)).is_some_and(|entry| entry.plain)
                    };
                    match turn {
                        // The first of each list come up once, but not all of them in the same row.
                        Some(turn) => list.get((turn + at) % self.window.min(list.len()).max(1)).copied(),
                        None if plain => {
                            let ordinary: Vec<u32> = list.iter().copied().filter(is_plain).collect();
                            self.dice.pick(if ordinary.is_empty() { list } else { &ordinary }).copied()
                        }
                        None => self.dice.pick(list).copied(),
                    }
                    .unwrap_or(u32::MAX)
                }
            });
        }
        row
    }

    /// The values of each unique key; one with a NULL is never taken.
    fn keys(&self, row: &[u32]) -> Vec<(usize, Vec<u32>)> {
        let value = |at: &usize| {
            let place = self.columns.iter().position(|(column, _)| column == at)?;
            let value = *row.get(place)?;
            self.pools.get(*at)?.text(value).map(|_| value)
        };
        let keys = self.table.keys.iter().enumerate();
        keys.filter_map(|(number, key)| Some((number, key.1.iter().map(value).collect::<Option<Vec<u32>>>()?)))
            .collect()
    }
}
