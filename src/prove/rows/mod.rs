//! Rows for the tables of a throwaway database: they satisfy every constraint, and sit at the edges of their types.
//!
//! PostgreSQL solves it. The catalog says what there is (`columns`, `types`), each type has its edges (`values`, `scalars`), constants in
//! constraints suggest further values (`literals`, `patterns`), the server judges them (`server`), and those that it accepts are joined
//! (`solve`) and inserted (`insert`).

mod columns;
mod conditions;
mod dice;
mod domains;
mod filler;
mod insert;
mod join;
mod literals;
mod patterns;
mod pools;
mod quiet;
mod references;
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

use columns::{Facts, Table};
use filler::Filler;
use server::Desk;

/// What to fill, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which tables; `None` for all ordinary ones. Those that they refer to are filled too.
    pub tables: Option<Vec<ObjectId>>,
    /// Whether those that they refer to are left as they are, since they hold rows already.
    pub only: bool,
    /// Rows per table. A partitioned one gets at least one per partition, where its keys allow it.
    pub rows: usize,
    /// The same seed gives the same rows.
    pub seed: u64,
    /// Whether values sit at the edges of their types; else they are ordinary ones, for what stumbles over the edges rightly.
    pub edges: bool,
    /// How long one table may take. Nothing else keeps the same seed from giving the same rows.
    pub budget: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { tables: None, only: false, rows: 8, seed: 0, edges: true, budget: Duration::from_millis(300) }
    }
}

/// The result.
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
    /// How many rows were put in; for a partition, how many it holds.
    pub rows: u64,
    /// Why it holds none.
    pub resisted: Option<Resisted>,
}

/// What kept a table from being filled.
#[derive(Debug, Clone)]
pub struct Resisted {
    /// The constraint, or the domain's, if one is to blame.
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
    /// The SQLSTATE; empty where no row could be generated at all.
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
    let mut facts = columns::read(session, names.as_deref()).await?;
    facts.edges = wanted.edges;
    server::set_up(session).await?;
    let mut filler = filler(session, &facts, wanted).await?;
    let meant = |table: &Table| !wanted.only || wanted.tables.as_ref().is_none_or(|tables| tables.contains(&id(table)));
    for at in order(&facts) {
        if facts.tables.get(at).is_some_and(meant) {
            filler.table(at).await?;
        }
    }
    let outcome = filler.outcome;
    server::clear(session).await?;
    session.batch(PIN_PATH).await?;
    let mut tables = Vec::new();
    for table in facts.tables.iter().filter(|table| meant(table)) {
        let (rows, resisted) = outcome.get(&table.oid).cloned().unwrap_or_default();
        tables.push(FilledTable { table: id(table), rows, resisted });
    }
    Ok(Filled { tables })
}

/// Tries to put one more row into each of some tables, in transactions that are rolled back: sequences and, where that works, other
/// defaults give what they give. Nothing is said of a table where the server had something against the asking, not against the row.
///
/// # Errors
/// The server's, where it has nothing to do with a table.
pub async fn one_more(session: &Session, tables: &[ObjectId]) -> Result<Vec<Option<Result<(), Refusal>>>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    session.batch(PIN_PATH).await?;
    let wanted = Wanted { tables: Some(tables.to_vec()), rows: 1, seed: 1, ..Wanted::default() };
    let names: Vec<_> = tables.iter().map(names_of).collect();
    let facts = columns::read(session, Some(&names)).await?;
    server::set_up(session).await?;
    let filler = filler(session, &facts, &wanted).await?;
    let mut outcomes = Vec::new();
    for wanted in tables {
        // What is put off until the commit would keep triggers from being put back.
        session.batch("BEGIN; SET CONSTRAINTS ALL IMMEDIATE").await?;
        let tried = another(session, &filler, wanted).await;
        session.batch("ROLLBACK").await?;
        outcomes.push(match tried {
            Ok(refused) => Some(refused.map_or(Ok(()), Err)),
            Err(error) if error.sqlstate.is_some() => None,
            Err(error) => return Err(error),
        });
    }
    server::clear(session).await?;
    session.batch(PIN_PATH).await?;
    Ok(outcomes)
}

/// Puts one more row into a table, or into the one that it is a partition of.
async fn another(session: &Session, filler: &Filler<'_>, wanted: &ObjectId) -> Result<Option<Refusal>> {
    let tables = &filler.facts.tables;
    let root = tables.iter().find(|table| id(table) == *wanted).map(|table| table.root.unwrap_or(table.oid));
    let Some(table) = tables.iter().find(|table| Some(table.oid) == root) else {
        let message = format!("{wanted} is not there");
        return Ok(Some(Refusal { constraint: None, message, sqlstate: String::new(), certain: true }));
    };
    session.batch(&format!("SET LOCAL search_path TO {}", filler.path(table))).await?;
    for statement in &quiet::around(&filler.quiet, table).0 {
        session.batch(statement).await?;
    }
    let mut refused = None;
    for all in [true, false] {
        refused = filler.one(table, all).await?;
        if refused.is_none() {
            break;
        }
    }
    Ok(refused)
}

async fn filler<'a>(session: &'a Session, facts: &'a Facts, wanted: &'a Wanted) -> Result<Filler<'a>> {
    let desk = Desk { session, deadline: Instant::now() + wanted.budget };
    let domains = domains::domains(&desk, facts, wanted.seed).await?;
    let tables: Vec<u32> = facts.tables.iter().map(|table| table.oid).collect();
    let quiet = quiet::of(session, &tables).await?;
    Ok(Filler { session, facts, domains, quiet, wanted, outcome: FxHashMap::default() })
}

fn id(table: &Table) -> ObjectId {
    ObjectId::new(&table::KIND, Some(schema::id(table.schema.text())), table.name.clone())
}

fn names_of(id: &ObjectId) -> (String, String) {
    let schema = id.schema().map_or("public", |schema| schema.name().as_str());
    (schema.to_owned(), id.name().as_str().to_owned())
}

/// Tables after those that they refer to, as far as that goes: where keys form a cycle, one that may be NULL is left for later.
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
