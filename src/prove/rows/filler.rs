//! Fills one table: collects what its columns may hold, finds combinations that fit together, and inserts rows.

use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::catalog::Session;
use crate::model::{Error, Result};
use crate::sql;

use super::columns::{Facts, Table};
use super::conditions::{self, Condition, Leaf};
use super::dice::Dice;
use super::insert::{Maker, Put};
use super::pools::{self, Pools};
use super::quiet::{self, Quiet};
use super::references::referred;
use super::server::{Desk, Violation};
use super::solve::{Solver, Unsolved};
use super::values::Values;
use super::{Refusal, Resisted, Wanted};

/// How many partitions get their own row.
const PARTITIONS: usize = 256;

pub(super) struct Filler<'a> {
    pub session: &'a Session,
    pub facts: &'a Facts,
    pub domains: FxHashMap<u32, Values>,
    pub quiet: FxHashMap<u32, Quiet>,
    pub wanted: &'a Wanted,
    /// By OID: how many rows a table has, and why none.
    pub outcome: FxHashMap<u32, (u64, Option<Resisted>)>,
}

impl Filler<'_> {
    /// Fills one table; what the server says about it alone is its own.
    pub async fn table(&mut self, at: usize) -> Result<()> {
        let facts = self.facts;
        let Some(table) = facts.tables.get(at) else { return Ok(()) };
        if table.root.is_some() {
            return Ok(());
        }
        let session = self.session;
        let (off, back) = quiet::around(&self.quiet, table);
        let limit = self.wanted.budget.as_millis() * 10;
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL search_path TO {}; SET CONSTRAINTS ALL IMMEDIATE",
            self.path(table)
        );
        session.batch(&begin).await?;
        let outcome = async {
            for statement in &off {
                session.batch(statement).await?;
            }
            let outcome = self.rows(table).await?;
            for statement in &back {
                session.batch(statement).await?;
            }
            Ok(outcome)
        };
        let outcome = match outcome.await {
            Ok(outcome) => {
                session.batch("COMMIT").await?;
                outcome
            }
            Err(error) => {
                session.batch("ROLLBACK").await?;
                let error: Error = error;
                (0, Some(Resisted { constraint: None, reason: error.message }))
            }
        };
        self.outcome.insert(table.oid, outcome);
        self.partitions(table).await
    }

    /// Where what is called in a table's constraints looks for names.
    pub fn path(&self, table: &Table) -> String {
        let own =
            std::iter::once(&table.schema).chain(self.facts.schemas.iter().filter(|name| name.as_str() == "public"));
        let others = self.facts.schemas.iter().filter(|name| name.as_str() != "public" && **name != table.schema);
        let all: Vec<String> = own.chain(others).map(|name| sql::name(name).to_string()).collect();
        format!("pg_catalog, {}", all.join(", "))
    }

    /// Counts the rows of a table's partitions, which it filled.
    async fn partitions(&mut self, root: &Table) -> Result<()> {
        for table in self.facts.tables.iter().filter(|table| root.leaves.is_some() && table.root == Some(root.oid)) {
            let query = format!("SELECT count(*) FROM {}", table.path());
            let rows = self.session.rows(&query, &[]).await?.into_iter().next().map_or(0, |mut row| row.next::<i64>());
            let rows = u64::try_from(rows).unwrap_or(0);
            let reason = "none of its parent's rows belong to it".to_owned();
            let resisted = (rows == 0).then_some(Resisted { constraint: None, reason });
            self.outcome.insert(table.oid, (rows, resisted));
        }
        Ok(())
    }

    async fn rows(&self, table: &Table) -> Result<(u64, Option<Resisted>)> {
        if table.leaves == Some(0) {
            let reason = "it has no partition that accepts a row".to_owned();
            return Ok((0, Some(Resisted { constraint: None, reason })));
        }
        let wanted = self.wanted.rows.max(table.leaves.unwrap_or(0).max(table.asked).min(PARTITIONS));
        let own = table.references.iter().any(|reference| reference.target == table.oid);
        // A table that refers to itself is filled twice: the second half chooses from the first.
        let halves: &[usize] = if own { &[wanted.div_ceil(2), wanted / 2] } else { &[wanted] };
        let (mut rows, mut resisted) = (0, None);
        for (half, wanted) in halves.iter().enumerate() {
            match self.some(table, *wanted, half as u64, None).await? {
                Ok(put) => {
                    rows += put.rows;
                    resisted = (put.rows == 0).then(|| worst(&put));
                }
                Err(why) => resisted = Some(why),
            }
            if rows == 0 {
                break;
            }
        }
        Ok((rows, if rows > 0 { None } else { resisted }))
    }

    /// One more row; `all` leaves all defaults to the server, else only those of sequences.
    pub async fn one(&self, table: &Table, all: bool) -> Result<Option<Refusal>> {
        let left_out = table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_none());
        let left_out = left_out.filter(|(_, column)| column.next(table).is_some() || all && column.default.is_some());
        let left_out: Vec<usize> = left_out.map(|(at, _)| at).collect();
        let put = match self.some(table, 1, 7, Some(left_out)).await? {
            Ok(put) => put,
            Err(Resisted { constraint, reason }) => {
                return Ok(Some(Refusal { constraint, message: reason, sqlstate: String::new(), certain: false }));
            }
        };
        if put.rows > 0 && put.out_of_place.is_none() {
            return Ok(None);
        }
        let most = put.refusals.values().max_by_key(|(count, _)| *count).and_then(|(_, violation)| violation.clone());
        let certain = put.out_of_place.is_some();
        Ok(Some(match put.out_of_place.or(most) {
            None => Refusal {
                constraint: None,
                message: "no row could be generated".to_owned(),
                sqlstate: String::new(),
                certain: false,
            },
            Some(Violation { state, constraint, message }) => {
                // What no value of ours can be blamed for.
                let certain = certain || !state.starts_with("22") && !state.starts_with("23");
                Refusal {
                    constraint: Some(constraint).filter(|name| !name.is_empty()),
                    message,
                    sqlstate: state,
                    certain,
                }
            }
        }))
    }

    async fn some(
        &self,
        table: &Table,
        wanted: usize,
        round: u64,
        left_out: Option<Vec<usize>>,
    ) -> Result<Result<Put, Resisted>> {
        let deadline = Instant::now() + self.wanted.budget;
        let seed = self.wanted.seed.wrapping_add(round);
        let dice = |purpose: &str| Dice::new(seed, &format!("{purpose} {}", table.path()));
        let mut leaves: Vec<&Leaf> = Vec::new();
        table.conditions.iter().for_each(|condition| condition.tree.leaves(&mut leaves));
        let numbers = if left_out.is_some() { None } else { Some(wanted) };
        let desk = Desk { session: self.session, deadline };
        let mut pools =
            pools::gather(&desk, self.facts, table, &self.domains, &leaves, numbers, &mut dice("values")).await?;
        for reference in &table.references {
            if let Some(dangling) = referred(&desk, table, reference, &mut pools).await? {
                let reason = format!("{}, which it refers to, has no rows", dangling.target);
                return Ok(Err(Resisted { constraint: Some(dangling.constraint), reason }));
            }
        }
        let more = equal(table, &pools);
        let mut solver = Solver::new(&desk, table, pools, dice("solving"), deadline);
        let conditions: Vec<&Condition> = table.conditions.iter().chain(&more).collect();
        let groups = match solver.solve(&conditions, wanted).await? {
            Ok(groups) => groups,
            Err(Unsolved { constraint, reason }) => return Ok(Err(Resisted { constraint, reason })),
        };
        let mut maker = Maker::new(table, &solver.pools, groups, &solver.turns, dice("rows"));
        let deadline = deadline + self.wanted.budget;
        Ok(Ok(match left_out {
            None => maker.put(&desk, wanted, deadline).await?,
            Some(left_out) => maker.one(&desk, left_out, deadline).await?,
        }))
    }
}

/// Conditions that a row that is its own parent needs.
fn equal(table: &Table, pools: &Pools) -> Vec<Condition> {
    let name = |at: usize| table.columns.get(at).map(|column| sql::name(&column.name).to_string());
    let pairs = pools.own.iter().filter_map(|(one, other)| Some(format!("{} = {}", name(*one)?, name(*other)?)));
    pairs.map(|text| Condition { name: None, tree: conditions::tree(&text, &table.columns) }).collect()
}

/// The constraint that refused most rows.
fn worst(put: &Put) -> Resisted {
    let most = put.refusals.values().max_by_key(|(count, _)| *count).and_then(|(_, violation)| violation.clone());
    match most {
        Some(violation) => {
            let constraint = Some(violation.constraint).filter(|name| !name.is_empty());
            Resisted { constraint, reason: format!("{} (SQLSTATE {})", violation.message, violation.state) }
        }
        None => Resisted { constraint: None, reason: "no row could be generated".to_owned() },
    }
}
