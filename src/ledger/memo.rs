//! The memo: what the server stored for each expression in the files.

use rustc_hash::FxHashMap;

use crate::catalog::{Session, server_error};
use crate::model::Result;

use super::trust;

/// The stored texts of each key that the memo knows. A database without a ledger knows none, and what another role may have written
/// is not believed.
///
/// # Errors
/// The server's.
pub async fn recall(session: &Session, keys: &[String]) -> Result<FxHashMap<String, Vec<String>>> {
    if keys.is_empty() || !trust::look(session).await?.believed() {
        return Ok(FxHashMap::default());
    }
    let query = "SELECT key, stored FROM setpoint.memo WHERE key = ANY ($1)";
    let rows = session.client.query(query, &[&keys]).await.map_err(|e| server_error(&e))?;
    let pair = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(pair).collect::<Result<_, tokio_postgres::Error>>().map_err(|e| server_error(&e))
}

/// Adds stored texts to their keys.
///
/// # Errors
/// The server's.
pub async fn learn(session: &Session, facts: &[(String, String)]) -> Result<()> {
    if facts.is_empty() || !trust::look(session).await?.believed() {
        return Ok(());
    }
    let insert = "INSERT INTO setpoint.memo AS m (key, stored) \
                  SELECT f.key, array_agg(DISTINCT f.stored) FROM unnest($1::text[], $2::text[]) AS f (key, stored) GROUP BY f.key \
                  ON CONFLICT (key) DO UPDATE SET stored = (SELECT array_agg(DISTINCT s) FROM unnest(m.stored || EXCLUDED.stored) AS s)";
    let (keys, stored): (Vec<&str>, Vec<&str>) = facts.iter().map(|(k, s)| (k.as_str(), s.as_str())).unzip();
    session.client.execute(insert, &[&keys, &stored]).await.map(drop).map_err(|e| server_error(&e))
}
