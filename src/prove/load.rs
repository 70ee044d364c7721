//! The rows that a rehearsal carries along: which tables they go into, and whether another row can still be inserted.

use crate::apply::stale;
use crate::catalog::Session;
use crate::kinds::{schema, table};
use crate::model::{ObjectId, Result, Text};
use crate::plan::Plan;

use super::rows::{self, Resisted, Wanted};
use super::values::{self, Table, Values};

/// How many rows each table gets.
const ROWS: usize = 12;

/// What rows were put in.
#[derive(Debug, Default)]
pub struct Load {
    pub count: u64,
    pub tables: u64,
    /// Tables that could not be filled, and why, a line each.
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
    let mut path: Vec<Text> = table.iter().map(|name| Text::from(name.as_str())).collect();
    for (from, to) in values::renames(plan.steps.iter()).into_iter().rev() {
        if path.starts_with(&to) {
            path.splice(..to.len(), from);
        }
    }
    let mut names = path.into_iter().map(|name| name.to_string());
    [names.next().unwrap_or_default(), names.next().unwrap_or_default()]
}

/// The tables of these names, and those that they refer to; not those that are to stay empty, nor what refers to them.
///
/// # Errors
/// The server's.
pub async fn tables(session: &Session, names: &[[String; 2]], but: &[[String; 2]]) -> Result<Vec<ObjectId>> {
    let split = |list: &[[String; 2]]| -> [Vec<String>; 2] {
        [0, 1].map(|at| list.iter().filter_map(|pair| pair.get(at)).cloned().collect())
    };
    let ([schemas, tables], [other_schemas, others]) = (split(names), split(but));
    let found = |parameters: &str| {
        format!(
            "SELECT c.oid FROM unnest({parameters}) w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema::name \
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name::name"
        )
    };
    let query = format!(
        "WITH RECURSIVE named (oid) AS ({} UNION SELECT f.confrelid FROM named w \
           JOIN pg_constraint f ON f.conrelid = w.oid AND f.contype = 'f'), \
         empty (oid) AS ({} UNION SELECT f.conrelid FROM empty e JOIN pg_constraint f ON f.confrelid = e.oid AND f.contype = 'f') \
         SELECT n.nspname::text, c.relname::text FROM named w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM empty) ORDER BY c.oid",
        found("$1::text[], $2::text[]"),
        found("$3::text[], $4::text[]")
    );
    let rows = session.rows(&query, &[&schemas, &tables, &other_schemas, &others]).await?;
    Ok(rows.into_iter().map(|mut row| table(&row.text(), &row.text())).collect())
}

fn table(schema: &str, name: &str) -> ObjectId {
    ObjectId::new(&table::KIND, Some(schema::id(schema)), name)
}

/// Fills the tables, and looks into which of those that the plan is about (the others are only referred to) a further row goes.
///
/// # Errors
/// The server's, but for rows that it refuses.
pub async fn fill(session: &Session, tables: Vec<ObjectId>, about: &[[String; 2]], seed: u64) -> Result<Load> {
    let wanted = Wanted { tables: Some(tables), rows: ROWS, seed, ..Wanted::default() };
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
            if ours(&filled.table) && next(session, &filled.table).await?.is_none() {
                load.open.push(filled.table);
            }
        }
    }
    Ok(load)
}

/// What is to be said of the next insert into each of the tables that took one before, and are still there.
///
/// # Errors
/// The server's, but for rows that it refuses.
pub async fn refused(session: &Session, open: &[ObjectId], then: &Values, now: &Values) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for was in open {
        let named = |other: &&Table| table(&other.schema, &other.name) == *was;
        let Some(before) = then.tables.iter().find(named) else { continue };
        let Some(after) = now.tables.iter().find(|table| table.oid == before.oid) else { continue };
        let id = table(&after.schema, &after.name);
        if let Some(reason) = next(session, &id).await? {
            lines.push(format!("the next insert into {id} fails: {reason}"));
        }
    }
    Ok(lines)
}

/// Why the table takes no further row, if it takes none whatever the row.
async fn next(session: &Session, table: &ObjectId) -> Result<Option<String>> {
    // What is put off until the commit would keep triggers from being put back.
    session.batch("BEGIN; SET CONSTRAINTS ALL IMMEDIATE").await?;
    let tried = rows::one_more(session, table).await;
    session.batch("ROLLBACK").await?;
    let refusal = match tried {
        Ok(tried) => tried.err().filter(|refusal| refusal.certain),
        // The server had something against the asking, not against the row.
        Err(error) if error.sqlstate.is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(refusal.map(|refusal| refusal.message))
}
