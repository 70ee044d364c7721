//! The rows that a rehearsal carries along: which tables they go into, and whether another row can still be inserted.

use crate::apply::stale;
use crate::catalog::Session;
use crate::kinds::{schema, table};
use crate::model::{ObjectId, Result, Text};
use crate::plan::{Action, Plan};

use super::rows::{self, Refusal, Resisted, Wanted};
use super::values::{self, Values};

/// How many rows each table gets.
const ROWS: usize = 12;

/// What rows were put in.
#[derive(Debug, Default)]
pub struct Load {
    pub count: u64,
    pub tables: u64,
    /// Tables that could not be filled, and why, one line each.
    pub without: Vec<String>,
    /// The tables into which a further row could be put.
    pub open: Vec<ObjectId>,
}

/// The tables of a plan's footprint, by the names that they have after it.
pub fn of_plan(plan: &Plan) -> Vec<[String; 2]> {
    let tables = plan.footprint.iter().filter(|expected| expected.object.starts_with("table "));
    let pair = |names: Vec<String>| <[String; 2]>::try_from(names).ok();
    tables.filter_map(|expected| pair(stale::names(&expected.object)?)).collect()
}

/// The name that a table has before the plan's renames.
pub fn before(plan: &Plan, table: &[String; 2]) -> [String; 2] {
    let renames = values::renames(plan.steps.iter()).into_iter().rev();
    renamed(table, &renames.map(|(from, to)| (to, from)).collect::<Vec<_>>())
}

/// The name that a table has after them.
pub fn after(plan: &Plan, table: &[String; 2]) -> [String; 2] {
    renamed(table, &values::renames(plan.steps.iter()))
}

fn renamed(table: &[String; 2], renames: &[(Vec<Text>, Vec<Text>)]) -> [String; 2] {
    let path = values::renamed(table.iter().map(|name| Text::from(name.as_str())).collect(), renames);
    let mut names = path.into_iter().map(|name| name.to_string());
    [names.next().unwrap_or_default(), names.next().unwrap_or_default()]
}

/// The types of a plan's footprint, by all names that they have.
fn types(plan: &Plan) -> Vec<[String; 2]> {
    let renames = plan.steps.iter().filter(|step| step.action == Action::Rename);
    let names =
        plan.footprint.iter().map(|expected| &expected.object).chain(renames.filter_map(|step| step.with.first()));
    let typed =
        names.filter(|object| ["type ", "enum ", "domain ", "range "].iter().any(|word| object.starts_with(word)));
    typed.filter_map(|object| <[String; 2]>::try_from(stale::names(object)?).ok()).collect()
}

/// The tables of these names, what inherits from them or refers to them, and what has values of their rows or of the plan's types; and the
/// tables that all these refer to. Not those that are to stay empty, nor what refers to them.
///
/// # Errors
/// The server's.
pub async fn tables(
    session: &Session,
    plan: &Plan,
    names: &[[String; 2]],
    but: &[[String; 2]],
) -> Result<Vec<ObjectId>> {
    let split = |list: &[[String; 2]]| -> [Vec<String>; 2] {
        [0, 1].map(|at| list.iter().filter_map(|pair| pair.get(at)).cloned().collect())
    };
    let ([schemas, tables], [other_schemas, others]) = (split(names), split(but));
    let [type_schemas, types] = split(&types(plan));
    let found = |parameters: &str, from: &str| {
        format!(
            "SELECT {from} FROM unnest({parameters}) w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema::name"
        )
    };
    let relations = |parameters: &str, oid: &str| {
        let from = found(parameters, oid);
        format!("{from} JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name::name")
    };
    let multirange = if session.version.at_least(14) {
        "UNION ALL SELECT r.rngmultitypid FROM pg_range r WHERE r.rngtypid = t.oid"
    } else {
        ""
    };
    let query = format!(
        "WITH RECURSIVE types (oid) AS ({} JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = w.name::name UNION {} WHERE c.reltype <> 0 \
           UNION SELECT m.oid FROM types t, LATERAL (SELECT y.oid FROM pg_type y WHERE y.typelem = t.oid OR y.typbasetype = t.oid \
             UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = t.oid {multirange} \
             UNION ALL SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
               WHERE a.atttypid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'c') m (oid)), \
         named (oid) AS ({}), \
         below (oid) AS (SELECT oid FROM named UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid), \
         needed (oid) AS (SELECT oid FROM below \
           UNION SELECT f.conrelid FROM named n JOIN pg_constraint f ON f.confrelid = n.oid AND f.contype = 'f' \
           UNION SELECT a.attrelid FROM types t JOIN pg_attribute a ON a.atttypid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped \
           UNION SELECT f.confrelid FROM needed w JOIN pg_constraint f ON f.conrelid = w.oid AND f.contype = 'f'), \
         empty (oid) AS ({} UNION SELECT f.conrelid FROM empty e JOIN pg_constraint f ON f.confrelid = e.oid AND f.contype = 'f') \
         SELECT n.nspname::text, c.relname::text FROM needed w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM empty) ORDER BY c.oid",
        found("$5::text[], $6::text[]", "t.oid"),
        relations("$1::text[], $2::text[]", "c.reltype"),
        relations("$1::text[], $2::text[]", "c.oid"),
        relations("$3::text[], $4::text[]", "c.oid")
    );
    let rows = session.rows(&query, &[&schemas, &tables, &other_schemas, &others, &type_schemas, &types]).await?;
    Ok(rows.into_iter().map(|mut row| table(&row.text(), &row.text())).collect())
}

/// The id of a table.
pub fn table(schema: &str, name: &str) -> ObjectId {
    ObjectId::new(&table::KIND, Some(schema::id(schema)), name)
}

/// Fills the tables (`only`: not those that they refer to), and looks into which of those that the plan is about (the others are only referred to) a further row goes.
///
/// # Errors
/// The server's, but for rows that it refuses.
pub async fn fill(
    session: &Session,
    tables: Vec<ObjectId>,
    about: &[[String; 2]],
    (seed, plain, only): (u64, bool, bool),
) -> Result<Load> {
    let wanted = Wanted { tables: Some(tables), only, rows: ROWS, seed, edges: !plain, ..Wanted::default() };
    let mut load = Load::default();
    for filled in rows::fill(session, &wanted).await?.tables {
        if let Some(Resisted { constraint, reason }) = &filled.resisted {
            let constraint = constraint.as_ref().map_or_else(String::new, |name| format!(" {name}:"));
            load.without.push(format!("{} resisted:{constraint} {reason}", filled.table));
        }
        if filled.rows > 0 {
            load.count += filled.rows;
            load.tables += 1;
            let ours = |id: &ObjectId| about.iter().any(|[schema, name]| table(schema, name) == *id);
            if ours(&filled.table) {
                load.open.push(filled.table);
            }
        }
    }
    let mut refusals = next(session, &load.open).await?.into_iter();
    load.open.retain(|_| refusals.next().flatten().is_none());
    Ok(load)
}

/// What is to be said of the next insert into each of the tables that took one before, and are still there.
///
/// # Errors
/// The server's, but for rows that it refuses.
pub async fn refused(session: &Session, open: &[ObjectId], then: &Values, now: &Values) -> Result<Vec<String>> {
    let now = |was: &ObjectId| {
        let before = then.tables.iter().find(|other| table(&other.schema, &other.name) == *was)?;
        let after = now.tables.iter().find(|table| table.oid == before.oid)?;
        Some(table(&after.schema, &after.name))
    };
    let tables: Vec<ObjectId> = open.iter().filter_map(now).collect();
    let refusals = next(session, &tables).await?.into_iter();
    let line =
        |(id, refusal): (&ObjectId, Option<String>)| Some(format!("the next insert into {id} fails: {}", refusal?));
    Ok(tables.iter().zip(refusals).filter_map(line).collect())
}

/// Why tables take no further row, where they take none whatever the row.
async fn next(session: &Session, tables: &[ObjectId]) -> Result<Vec<Option<String>>> {
    let tried = rows::one_more(session, tables).await?.into_iter();
    let refusal = |tried: Option<Result<(), Refusal>>| tried?.err().filter(|refusal| refusal.certain);
    Ok(tried.map(|tried| refusal(tried).map(|refusal| refusal.message)).collect())
}
