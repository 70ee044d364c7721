//! Rows for the tables of a throwaway database: they satisfy every constraint, and sit at the edges of their types.
//!
//! PostgreSQL solves it. The catalog says what there is (`columns`, `types`), each type has its edges (`values`, `scalars`), constants
//! in constraints have values that follow from them (`literals`, `patterns`), the server judges them (`server`), and what it lets pass is
//! joined (`solve`) and inserted (`insert`).

mod columns;
mod conditions;
mod dice;
mod insert;
mod literals;
mod patterns;
mod pools;
mod quiet;
mod scalars;
mod server;
mod solve;
mod types;
mod values;

use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::{PIN_PATH, Session};
use crate::kinds::{schema, table};
use crate::model::{ObjectId, Result};
use crate::sql;

use columns::{Facts, Table};
use conditions::{Condition, Leaf};
use dice::Dice;
use insert::{Maker, Put};
use pools::Pools;
use server::{Desk, Given, Source, Violation};
use solve::{Solver, Unsolved};
use types::Shape;
use values::Values;

/// How many partitions get a row of their own.
const PARTITIONS: usize = 256;

/// What is to be filled, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which tables; `None` for all ordinary ones. Those that they refer to are filled too.
    pub tables: Option<Vec<ObjectId>>,
    /// Rows per table. A partitioned one gets at least one per partition, where its keys allow it.
    pub rows: usize,
    /// The same seed gives the same rows.
    pub seed: u64,
    /// How long one table may take.
    pub budget: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { tables: None, rows: 8, seed: 0, budget: Duration::from_millis(300) }
    }
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Filled {
    /// Each table that was wanted or needed, by schema and name.
    pub tables: Vec<FilledTable>,
}

/// A table after it was filled.
#[derive(Debug, Clone)]
pub struct FilledTable {
    /// Which one.
    pub table: ObjectId,
    /// How many rows it holds now, those of partitions included.
    pub rows: u64,
    /// Why it holds none.
    pub resisted: Option<Resisted>,
}

/// What kept a table from being filled.
#[derive(Debug, Clone)]
pub struct Resisted {
    /// The constraint, or the domain's, where one is to blame.
    pub constraint: Option<String>,
    /// A sentence.
    pub reason: String,
}

/// Why a table did not take one more row.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The constraint, where the server named one.
    pub constraint: Option<String>,
    /// What the server said.
    pub message: String,
    /// The SQLSTATE; empty where no row could be made at all.
    pub sqlstate: String,
    /// False if it may only be that no value was found that is new, or satisfies everything.
    pub certain: bool,
}

/// Fills tables of a throwaway database, in a transaction per table. Triggers, rules and forced row security do not take part, and are
/// afterwards as they were.
///
/// # Errors
/// The server's, where it has nothing to do with a single table.
pub async fn fill(session: &Session, wanted: &Wanted) -> Result<Filled> {
    session.batch(PIN_PATH).await?;
    let names = wanted.tables.as_ref().map(|list| list.iter().map(names_of).collect::<Vec<_>>());
    let facts = columns::read(session, names.as_deref()).await?;
    let desk = Desk { session, budget: wanted.budget };
    desk.set_up().await?;
    let domains = domains(&desk, &facts, wanted.seed).await?;
    let mut filler = Filler { desk: &desk, facts: &facts, domains, wanted, outcome: FxHashMap::default() };
    for at in order(&facts) {
        filler.table(at).await?;
    }
    let outcome = filler.outcome;
    desk.clear().await?;
    session.batch(PIN_PATH).await?;
    let mut tables = Vec::new();
    for table in &facts.tables {
        let (rows, resisted) = outcome.get(&table.oid).cloned().unwrap_or_default();
        tables.push(FilledTable { table: id(table), rows, resisted });
    }
    Ok(Filled { tables })
}

/// Puts one more row into a table, in whatever transaction is open: sequences and, where that works, other defaults give what they give.
///
/// # Errors
/// The server's, where it has nothing to do with the row.
pub async fn one_more(session: &Session, table: &ObjectId) -> Result<Result<(), Refusal>> {
    session.batch(PIN_PATH).await?;
    let wanted = Wanted { tables: Some(vec![table.clone()]), rows: 1, seed: 1, ..Wanted::default() };
    let facts = columns::read(session, Some(&[names_of(table)])).await?;
    let found = facts.tables.iter().find(|found| id(found) == *table).map(|found| found.root.unwrap_or(found.oid));
    let Some(found) = facts.tables.iter().find(|table| Some(table.oid) == found) else {
        let message = format!("{table} is not there");
        return Ok(Err(Refusal { constraint: None, message, sqlstate: String::new(), certain: true }));
    };
    let desk = Desk { session, budget: wanted.budget };
    desk.set_up().await?;
    let domains = domains(&desk, &facts, wanted.seed).await?;
    let filler = Filler { desk: &desk, facts: &facts, domains, wanted: &wanted, outcome: FxHashMap::default() };
    let quiet = quiet::of(session, found.oid).await?;
    session.batch(&format!("SET search_path TO {}", filler.path(found))).await?;
    for statement in &quiet.off {
        session.batch(statement).await?;
    }
    let mut refused = None;
    for all in [true, false] {
        refused = filler.one(found, all).await?;
        if refused.is_none() {
            break;
        }
    }
    for statement in &quiet.back {
        session.batch(statement).await?;
    }
    desk.clear().await?;
    session.batch(PIN_PATH).await?;
    Ok(refused.map_or(Ok(()), Err))
}

fn id(table: &Table) -> ObjectId {
    ObjectId::new(&table::KIND, Some(schema::id(table.schema.text())), table.name.clone())
}

fn names_of(id: &ObjectId) -> (String, String) {
    let schema = id.schema().map_or("public", |schema| schema.name().as_str());
    (schema.to_owned(), id.name().as_str().to_owned())
}

/// Tables after those that they refer to, as far as that goes: where keys form a circle, one that may be NULL is left for later.
fn order(facts: &Facts) -> Vec<usize> {
    let places: FxHashMap<u32, usize> = facts.tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
    let mut open: Vec<usize> = (0..facts.tables.len()).collect();
    let mut done: FxHashSet<usize> = FxHashSet::default();
    let mut out = Vec::new();
    while !open.is_empty() {
        let waits = |at: usize, needed: bool| {
            facts.tables.get(at).is_some_and(|table| {
                let mut references = table.references.iter().filter(|reference| !needed || table.needs(reference));
                references.any(|reference| {
                    places.get(&reference.target).is_some_and(|target| *target != at && !done.contains(target))
                })
            })
        };
        let next =
            open.iter().position(|at| !waits(*at, false)).or_else(|| open.iter().position(|at| !waits(*at, true)));
        let at = open.remove(next.unwrap_or(0));
        done.insert(at);
        out.push(at);
    }
    out
}

/// What each domain takes, so that arrays, ranges and rows of it hold nothing else.
async fn domains(desk: &Desk<'_>, facts: &Facts, seed: u64) -> Result<FxHashMap<u32, Values>> {
    let mut found = FxHashMap::default();
    for (kind, domain) in facts.types.domains() {
        let Shape::Domain { base_sql, checks, bodies, .. } = &domain.shape else { continue };
        let mut dice = Dice::new(seed, &domain.name);
        let mut list = values::values(&facts.types, kind, -1, &|_| None, &mut dice);
        let mut constants = literals::Constants::default();
        checks.iter().map(|(_, text)| text).chain(bodies).for_each(|text| constants.add(text));
        let more = constants.values(&facts.types, kind, -1, &list, &mut dice);
        list.plain.splice(0..0, more);
        let source = Source {
            alias: "setpoint_d".to_owned(),
            columns: vec![Given { name: "setpoint_v".to_owned(), sql: base_sql.clone() }],
            generated: Vec::new(),
        };
        let all: Vec<String> = checks
            .iter()
            .map(|(_, text)| format!("({}) IS NOT FALSE", conditions::of_value(text, "setpoint_v")))
            .collect();
        let all = if all.is_empty() { vec!["true".to_owned()] } else { vec![all.join(" AND ")] };
        let keep = async |texts: &mut Vec<String>| -> Result<()> {
            let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|text| vec![Some(text.as_str())]).collect();
            let answers = desk.ask(&source, &all, &rows).await?;
            let mut passed =
                answers.iter().map(|row| row.first().is_some_and(|answer| answer.as_deref() == Some("true")));
            texts.retain(|_| passed.next().unwrap_or(false));
            Ok(())
        };
        keep(&mut list.edges).await?;
        keep(&mut list.plain).await?;
        found.insert(kind, list);
    }
    Ok(found)
}

struct Filler<'a> {
    desk: &'a Desk<'a>,
    facts: &'a Facts,
    domains: FxHashMap<u32, Values>,
    wanted: &'a Wanted,
    outcome: FxHashMap<u32, (u64, Option<Resisted>)>,
}

impl Filler<'_> {
    /// Fills one table; what the server says about it alone is its own.
    async fn table(&mut self, at: usize) -> Result<()> {
        let facts = self.facts;
        let Some(table) = facts.tables.get(at) else { return Ok(()) };
        if table.root.is_some() {
            return Ok(());
        }
        let session = self.desk.session;
        let quiet = quiet::of(session, table.oid).await?;
        let limit = self.wanted.budget.as_millis() * 10;
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL search_path TO {}; SET CONSTRAINTS ALL IMMEDIATE",
            self.path(table)
        );
        session.batch(&begin).await?;
        let outcome = async {
            for statement in &quiet.off {
                session.batch(statement).await?;
            }
            let outcome = self.rows(table).await?;
            for statement in &quiet.back {
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
                let error: crate::model::Error = error;
                (0, Some(Resisted { constraint: None, reason: error.message }))
            }
        };
        self.outcome.insert(table.oid, outcome);
        self.partitions(table).await
    }

    /// Where what is called in a table's constraints looks for names.
    fn path(&self, table: &Table) -> String {
        let own =
            std::iter::once(&table.schema).chain(self.facts.schemas.iter().filter(|name| name.as_str() == "public"));
        let others = self.facts.schemas.iter().filter(|name| name.as_str() != "public" && **name != table.schema);
        let all: Vec<String> = own.chain(others).map(|name| sql::name(name).to_string()).collect();
        format!("pg_catalog, {}", all.join(", "))
    }

    /// Counts the rows of a table's partitions, which it filled.
    async fn partitions(&mut self, root: &Table) -> Result<()> {
        for table in self.facts.tables.iter().filter(|table| table.root == Some(root.oid)) {
            let query = format!("SELECT count(*) FROM {}", table.path());
            let rows =
                self.desk.session.rows(&query, &[]).await?.into_iter().next().map_or(0, |mut row| row.next::<i64>());
            let rows = u64::try_from(rows).unwrap_or(0);
            let reason = "no row that its parent took belongs to it".to_owned();
            let resisted = (rows == 0).then_some(Resisted { constraint: None, reason });
            self.outcome.insert(table.oid, (rows, resisted));
        }
        Ok(())
    }

    async fn rows(&self, table: &Table) -> Result<(u64, Option<Resisted>)> {
        if table.leaves == Some(0) {
            let reason = "it has no partition that could take a row".to_owned();
            return Ok((0, Some(Resisted { constraint: None, reason })));
        }
        let wanted = self.wanted.rows.max(table.leaves.unwrap_or(0).min(PARTITIONS));
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
    async fn one(&self, table: &Table, all: bool) -> Result<Option<Refusal>> {
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
                message: "no row could be made".to_owned(),
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
        let pools = pools::gather(
            self.desk,
            self.facts,
            table,
            &self.domains,
            &leaves,
            if left_out.is_some() { None } else { Some(wanted) },
            &mut dice("values"),
        )
        .await?;
        let pools = match pools {
            Ok(pools) => pools,
            Err(dangling) => {
                let reason = format!("{}, which it refers to, has no rows", dangling.target);
                return Ok(Err(Resisted { constraint: Some(dangling.constraint), reason }));
            }
        };
        let more = equal(table, &pools);
        let mut solver = Solver::new(self.desk, table, pools, dice("solving"), deadline);
        let conditions: Vec<&Condition> = table.conditions.iter().chain(&more).collect();
        let groups = match solver.solve(&conditions, wanted).await? {
            Ok(groups) => groups,
            Err(Unsolved { constraint, reason }) => return Ok(Err(Resisted { constraint, reason })),
        };
        let mut maker = Maker::new(table, &solver.pools, groups, &solver.turns, dice("rows"));
        let deadline = deadline + self.wanted.budget;
        Ok(Ok(match left_out {
            None => maker.put(self.desk, wanted, deadline).await?,
            Some(left_out) => maker.one(self.desk, left_out, deadline).await?,
        }))
    }
}

/// Conditions that a row that is its own parent needs.
fn equal(table: &Table, pools: &Pools) -> Vec<Condition> {
    let name = |at: usize| table.columns.get(at).map(|column| sql::name(&column.name).to_string());
    let pairs = pools.own.iter().filter_map(|(one, other)| Some(format!("{} = {}", name(*one)?, name(*other)?)));
    pairs.map(|text| Condition { name: None, tree: conditions::tree(&text, &table.columns) }).collect()
}

/// What refused most rows.
fn worst(put: &Put) -> Resisted {
    let most = put.refusals.values().max_by_key(|(count, _)| *count).and_then(|(_, violation)| violation.clone());
    match most {
        Some(violation) => {
            let constraint = Some(violation.constraint).filter(|name| !name.is_empty());
            Resisted { constraint, reason: format!("{} (SQLSTATE {})", violation.message, violation.state) }
        }
        None => Resisted { constraint: None, reason: "no row could be made".to_owned() },
    }
}
