//! Answers for a rehearsal when rows need a value for a new column (`--fill`): what the column held before, if it existed, otherwise
//! something of its type.

use std::cmp::Reverse;

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{Ident, Result, Text};
use crate::plan::Step;
use crate::sql;

use super::values::{Table, Values};

/// A column's table, its type, what the type allows (an expression with the number of the row as `n`, and one that is the same for all
/// rows), and the tables whose rows are filled: its own, and those that inherit from it.
const COLUMN: &str = "SELECT CASE b.typcategory WHEN 'N' THEN 'r.n' WHEN 'S' THEN 'r.n::text' \
     WHEN 'D' THEN CASE WHEN b.typname IN ('time', 'timetz') THEN '''00:00''::time + r.n * interval ''1 second''' \
       ELSE '''2000-01-01''::date + r.n::int' END \
     WHEN 'T' THEN 'r.n * interval ''1 day''' WHEN 'B' THEN 'r.n % 2 = 0' WHEN 'I' THEN '''10.0.0.0''::inet + r.n' \
     WHEN 'U' THEN CASE b.typname WHEN 'uuid' THEN 'lpad(r.n::text, 32, ''0'')' WHEN 'jsonb' THEN 'to_jsonb(r.n)' \
       WHEN 'json' THEN 'to_json(r.n)' WHEN 'bytea' THEN 'convert_to(r.n::text, ''UTF8'')' END \
     WHEN 'A' THEN CASE WHEN e.typcategory IN ('N', 'S') THEN 'ARRAY[r.n]' END END, \
     CASE WHEN b.typcategory = 'R' THEN '''empty''' WHEN b.typname IN ('json', 'jsonb') OR b.typcategory = 'A' THEN '''{}''' \
       WHEN b.typcategory = 'N' THEN '0' WHEN b.typcategory = 'V' THEN '''0''' \
       WHEN b.typcategory = 'E' THEN (SELECT quote_literal(l.enumlabel) FROM pg_enum l WHERE l.enumtypid = b.oid ORDER BY l.enumsortorder LIMIT 1) \
       WHEN b.typcategory = 'C' THEN (SELECT quote_literal('(' || repeat(',', count(*)::int - 1) || ')') FROM pg_attribute f \
         WHERE f.attrelid = b.typrelid AND f.attnum > 0 AND NOT f.attisdropped) ELSE '''''' END, \
     format_type(a.atttypid, a.atttypmod), \
     ARRAY(WITH RECURSIVE below (oid) AS (SELECT c.oid UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid) \
       SELECT oid FROM below) \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace s ON s.oid = c.relnamespace, \
     LATERAL (WITH RECURSIVE base (oid) AS (SELECT a.atttypid UNION SELECT y.typbasetype FROM base JOIN pg_type y ON y.oid = base.oid \
       WHERE y.typtype = 'd') SELECT y.* FROM base JOIN pg_type y ON y.oid = base.oid WHERE y.typtype <> 'd') b \
     LEFT JOIN pg_type e ON e.oid = b.typelem \
     WHERE s.nspname = $1::text::name AND c.relname = $2::text::name AND a.attname = $3::text::name AND a.attnum > 0 AND NOT a.attisdropped";

/// The column that is filled.
struct Column {
    name: Text,
    sql_type: Text,
    path: String,
}

/// Fills the column of a step in all rows, inside the open transaction. `kept` is what tables held when the column was there, if it was.
///
/// # Errors
/// The server's, if it takes no value.
pub(super) async fn fill(session: &Session, step: &Step, column: &str, kept: Option<&Values>) -> Result<()> {
    let Some([schema, table, name]) = stale::names(column).and_then(|names| <[String; 3]>::try_from(names).ok()) else {
        return session.batch(&step.sql).await;
    };
    // The question is ours, not the step's.
    session.batch("SET LOCAL search_path TO pg_catalog, pg_temp").await?;
    let row = session.rows(COLUMN, &[&schema, &table, &name]).await?.into_iter().next();
    let Some(mut row) = row else { return session.batch(&step.sql).await };
    let expressions = [row.text_opt(), row.text_opt()];
    let (sql_type, tables) = (row.text(), row.next::<Vec<u32>>());
    // Triggers look for names where they do when the step itself runs.
    let path = format!("{}.{}", quoted(&schema), quoted(&table));
    let find = format!("SET LOCAL search_path TO {}", step.search_path());
    let column = Column { name: Text::from(name), sql_type, path };
    for table in kept.iter().flat_map(|kept| &kept.tables).filter(|t| !t.partitioned && tables.contains(&t.oid)) {
        put_back(session, &column, table, &find).await?;
    }
    session.batch(&find).await?;
    let (name, sql_type, path) = (quoted(&column.name), &column.sql_type, &column.path);
    let mut outcome = Ok(());
    for expression in expressions.into_iter().flatten() {
        // Each row with another value, or all with one, whatever works.
        let update = format!(
            "UPDATE {path} t SET {name} = ({expression})::{sql_type} FROM (SELECT ctid AS at, tableoid AS of, row_number() OVER () AS n \
             FROM {path}) r WHERE t.ctid = r.at AND t.tableoid = r.of AND t.{name} IS NULL"
        );
        session.batch("SAVEPOINT answer; SET CONSTRAINTS ALL IMMEDIATE").await?;
        let update = session.batch(&update).await;
        outcome = settled(session, update).await?;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Gives the rows of a table what those held that are most like them. A value that the server does not take is left to others.
async fn put_back(session: &Session, column: &Column, kept: &Table, find: &str) -> Result<()> {
    let Some(place) = kept.columns.iter().position(|old| old.name == column.name && !old.generated) else {
        return Ok(());
    };
    let query = "SELECT a.attname::text, a.attrelid::regclass::text FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";
    let (mut names, mut path) = (Vec::new(), String::new());
    for mut row in session.rows(query, &[&kept.oid]).await? {
        names.push(row.text());
        // It may have had another name.
        path = format!("ONLY {}", row.text());
    }
    let position = |name: &Text| kept.columns.iter().position(|old| old.name == *name);
    let shared: Vec<(&Text, usize)> =
        names.iter().filter_map(|name| Some((name, position(name)?))).filter(|(_, at)| *at != place).collect();
    let list: Vec<String> =
        std::iter::once("ctid".to_owned()).chain(shared.iter().map(|(name, _)| quoted(name))).collect();
    let list: Vec<String> = list.into_iter().map(|name| format!("{name}::text")).collect();
    let query = format!("SELECT {} FROM {path} WHERE {} IS NULL", list.join(", "), quoted(&column.name));
    let mut old: Vec<Option<&Vec<Option<Text>>>> = kept.rows.iter().map(Some).collect();
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for mut row in session.rows(&query, &[]).await? {
        let at = row.text().to_string();
        let now: Vec<Option<Text>> = shared.iter().map(|_| row.text_opt()).collect();
        let alike = |old: &Vec<Option<Text>>| {
            shared.iter().zip(&now).filter(|((_, at), now)| old.get(*at) == Some(now)).count()
        };
        // The first of those that are most alike: rows mostly keep their order.
        let count = |at: usize| old.get(at).copied().flatten().map(alike);
        let best = (0..old.len()).filter_map(|at| Some((count(at)?, Reverse(at)))).max();
        let Some((_, Reverse(best))) = best else { break };
        let taken = old.get_mut(best).and_then(Option::take);
        if let Some(value) = taken.and_then(|old| old.get(place).cloned().flatten()) {
            rows.push(at);
            values.push(value.to_string());
        }
    }
    let update = format!(
        "UPDATE {path} t SET {} = v.value::{} FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) AS v (at, value) \
         WHERE t.ctid = v.at::tid",
        quoted(&column.name),
        column.sql_type
    );
    session.batch(&format!("SAVEPOINT answer; SET CONSTRAINTS ALL IMMEDIATE; {find}")).await?;
    let outcome = session.rows(&update, &[&rows, &values]).await;
    // What it took before it need not take now.
    let _ = settled(session, outcome.map(drop)).await?;
    session.batch("SET LOCAL search_path TO pg_catalog, pg_temp").await?;
    Ok(())
}

/// Leaves the transaction as it was where a statement failed.
async fn settled(session: &Session, outcome: Result<()>) -> Result<Result<()>> {
    session.batch(if outcome.is_ok() { "RELEASE answer" } else { "ROLLBACK TO answer" }).await?;
    Ok(outcome)
}

fn quoted(name: &str) -> String {
    sql::name(&Ident::from(name)).to_string()
}
