//! What a rehearsal says in the place of a person where rows need a value for a new column (`--fill`).

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{Ident, Result};
use crate::plan::Step;
use crate::sql;

/// An expression for a type, by its category and with the number of the row as `n`; and one that is the same for all rows.
const EXPRESSIONS: &str = "SELECT CASE b.typcategory WHEN 'N' THEN 'r.n' WHEN 'S' THEN 'r.n::text' WHEN 'D' THEN \
       CASE WHEN b.typname IN ('time', 'timetz') THEN '''00:00''::time + r.n * interval ''1 second''' ELSE '''2000-01-01''::date + r.n::int' END \
     WHEN 'T' THEN 'r.n * interval ''1 day''' WHEN 'B' THEN 'r.n % 2 = 0' END, \
     CASE WHEN b.typname = 'uuid' THEN '''00000000-0000-0000-0000-000000000001''' WHEN b.typname IN ('json', 'jsonb') THEN '''{}''' \
       WHEN b.typcategory = 'A' THEN '''{}''' WHEN b.typcategory = 'R' THEN '''empty''' WHEN b.typcategory = 'N' THEN '0' \
       WHEN b.typcategory = 'E' THEN (SELECT quote_literal(e.enumlabel) FROM pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder LIMIT 1) \
       ELSE '''''' END, format_type(a.atttypid, a.atttypmod) \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace s ON s.oid = c.relnamespace, \
     LATERAL (WITH RECURSIVE base (oid) AS (SELECT a.atttypid UNION SELECT y.typbasetype FROM base JOIN pg_type y ON y.oid = base.oid \
       WHERE y.typtype = 'd') SELECT y.* FROM base JOIN pg_type y ON y.oid = base.oid WHERE y.typtype <> 'd') b \
     WHERE s.nspname = $1::text::name AND c.relname = $2::text::name AND a.attname = $3::text::name AND a.attnum > 0 AND NOT a.attisdropped";

/// Fills the column of a step in all rows, inside the open transaction: each with another value, or all with one, whatever works.
///
/// # Errors
/// The server's, if it takes no value.
pub(super) async fn fill(session: &Session, step: &Step, column: &str) -> Result<()> {
    let Some([schema, table, name]) = stale::names(column).and_then(|names| <[String; 3]>::try_from(names).ok()) else {
        return session.batch(&step.sql).await;
    };
    // The question is ours, not the step's.
    session.batch("SET LOCAL search_path TO pg_catalog, pg_temp").await?;
    let row = session.rows(EXPRESSIONS, &[&schema, &table, &name]).await?.into_iter().next();
    let Some(mut row) = row else { return session.batch(&step.sql).await };
    let (each, same, sql_type) = (row.text_opt(), row.text_opt(), row.text());
    let [schema, table, name] = [schema, table, name].map(|name| sql::name(&Ident::from(name.as_str())).to_string());
    let path = format!("{schema}.{table}");
    let mut outcome = Ok(());
    for expression in [each, same].into_iter().flatten() {
        let update = format!(
            "UPDATE {path} t SET {name} = ({expression})::{sql_type} FROM (SELECT ctid AS at, tableoid AS of, row_number() OVER () AS n \
             FROM {path}) r WHERE t.ctid = r.at AND t.tableoid = r.of AND t.{name} IS NULL"
        );
        session.batch("SAVEPOINT answer").await?;
        outcome = session.batch(&update).await;
        if outcome.is_ok() {
            break;
        }
        session.batch("ROLLBACK TO answer").await?;
    }
    session.batch(&format!("SET LOCAL search_path TO {}", step.search_path())).await?;
    outcome
}
