//! Secrets that statements need: lent to the session as settings, so that no statement holds one.

use crate::catalog::Session;
use crate::kinds::foreign_options::{PREFIX, setting};
use crate::model::Result;

/// Gives the session the variables that are there for this purpose, and nothing else of the environment.
///
/// # Errors
/// What the server reports.
pub async fn lend(session: &Session) -> Result<()> {
    let ours =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let named = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    for (name, value) in ours.filter(|(name, _)| name.len() > PREFIX.len() && name.starts_with(PREFIX) && named(name)) {
        // As parameters: neither the server's list of running queries nor an error shows them.
        session.rows("SELECT pg_catalog.set_config($1, $2, false)", &[&setting(&name), &value]).await?;
    }
    Ok(())
}
