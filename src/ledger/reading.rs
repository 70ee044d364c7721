//! Keeps the last reading of the catalog: while the catalog is unchanged, it need not be read again.

use crate::catalog::{Session, server_error};
use crate::introspect::{self, Fingerprint, Stored};
use crate::model::Result;

use super::Pen;
use super::layout::FORMAT;
use super::read::as_i64;
use super::trust;

/// The reading that was kept for this user; none in a database without a ledger, with one of an older layout, or with one that
/// another role may have written to.
///
/// # Errors
/// The server's.
pub async fn reading(session: &Session) -> Result<Option<Stored>> {
    let standing = trust::look(session).await?;
    if !standing.believed() || standing.layout != Some(FORMAT) {
        return Ok(None);
    }
    let query = "SELECT digest, next, reading FROM setpoint.reading WHERE by_role = session_user";
    let row = session.client.query_opt(query, &[]).await.map_err(|e| server_error(&e))?;
    let stored = |row: tokio_postgres::Row| {
        let next = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default();
        Ok(Stored { fingerprint: Fingerprint { digest: row.try_get(0)?, next }, reading: row.try_get(2)? })
    };
    row.map(stored).transpose().map_err(|e: tokio_postgres::Error| server_error(&e))
}

/// Keeps a reading in place of the previous one. If another role can write to it, it is not trusted.
///
/// # Errors
/// The server's.
pub async fn keep(pen: Pen<'_>, stored: &Stored) -> Result<()> {
    if pen.is_careful() {
        return Ok(());
    }
    let insert = "INSERT INTO setpoint.reading (by_role, digest, next, reading) VALUES (session_user, $1, $2, $3) \
                  ON CONFLICT (by_role) DO UPDATE SET digest = EXCLUDED.digest, next = EXCLUDED.next, \
                  reading = EXCLUDED.reading";
    let next = as_i64(stored.fingerprint.next)?;
    pen.execute(insert, &[&stored.fingerprint.digest, &next, &stored.reading]).await
}

/// The same for a reading that is older than the ledger, which the session's transaction has just made: nothing else may have
/// changed since.
///
/// # Errors
/// The server's.
pub(super) async fn keep_with(pen: Pen<'_>, stored: &Stored, made: &str) -> Result<()> {
    match introspect::fingerprint(pen.session, Some(made)).await? {
        Some(prints) if prints.others.is_still(&stored.fingerprint) => {
            keep(pen, &Stored { fingerprint: prints.all, ..stored.clone() }).await
        }
        _ => Ok(()),
    }
}
