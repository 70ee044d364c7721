//! The ledger's tables, and how they come to be.

use crate::catalog::{Session, server_error};
use crate::model::{Error, Result};

/// The version of the ledger's own layout.
pub const FORMAT: i32 = 3;

/// Every table has a primary key: publications FOR ALL TABLES exist, and would refuse updates without one. What is large is not
/// compressed by the server: bytes are already, and a plan of a thousand tables would cost more time than its megabytes are worth.
/// A reading can be had again, so that an older layout's need not be kept.
const TABLES: &str = "
CREATE SCHEMA IF NOT EXISTS setpoint;
COMMENT ON SCHEMA setpoint IS 'The ledger of setpoint: which revisions of its schema this database has. Made by the tool; leave it alone.';
CREATE TABLE IF NOT EXISTS setpoint.meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS setpoint.revision (
    number integer PRIMARY KEY, name text NOT NULL, plan_hash text NOT NULL, how text NOT NULL, by_role text NOT NULL,
    at timestamptz NOT NULL, tool text NOT NULL, plan text NOT NULL, snapshot bytea NOT NULL);
CREATE TABLE IF NOT EXISTS setpoint.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number integer NOT NULL, name text NOT NULL, plan_hash text NOT NULL,
    what text NOT NULL, by_role text NOT NULL, at timestamptz NOT NULL, tool text NOT NULL, plan text NOT NULL);
CREATE TABLE IF NOT EXISTS setpoint.run (
    number integer PRIMARY KEY, name text NOT NULL, direction text NOT NULL, plan_hash text NOT NULL, plan text NOT NULL,
    goal integer NOT NULL, top integer NOT NULL, by_role text NOT NULL, at timestamptz NOT NULL, tool text NOT NULL);
CREATE TABLE IF NOT EXISTS setpoint.journal (
    number integer, direction text, step integer, sub integer, done boolean NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (number, direction, step, sub));
CREATE TABLE IF NOT EXISTS setpoint.memo (key text PRIMARY KEY, stored text[] NOT NULL);
DROP TABLE IF EXISTS setpoint.reading;
CREATE TABLE setpoint.reading (by_role text PRIMARY KEY, digest text NOT NULL, next bigint NOT NULL, reading bytea NOT NULL);
ALTER TABLE setpoint.reading ALTER COLUMN reading SET STORAGE EXTERNAL;
ALTER TABLE setpoint.revision ALTER COLUMN plan SET STORAGE EXTERNAL, ALTER COLUMN snapshot SET STORAGE EXTERNAL;
ALTER TABLE setpoint.run ALTER COLUMN plan SET STORAGE EXTERNAL;
ALTER TABLE setpoint.event ALTER COLUMN plan SET STORAGE EXTERNAL;
";

/// Makes the ledger where there is none, and brings an older one up to date. To be called under the lock only.
///
/// # Errors
/// The server's, and a ledger of a newer layout.
pub async fn create(session: &Session) -> Result<()> {
    super::write::transaction(session, async || create_within(session).await.map(drop)).await
}

/// The same in the session's transaction, with the number of that transaction if anything had to be done.
pub(super) async fn create_within(session: &Session) -> Result<Option<String>> {
    if exists(session).await? && check_format(session).await? == FORMAT {
        return Ok(None);
    }
    session.batch("SET LOCAL client_min_messages = warning").await?;
    session.batch(TABLES).await?;
    let insert = "INSERT INTO setpoint.meta (key, value) VALUES ('format', $1) \
                  ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value \
                  RETURNING (pg_catalog.pg_current_xact_id()::text::numeric % 4294967296)::text";
    let row = session.client.query_one(insert, &[&FORMAT.to_string()]).await.map_err(|e| server_error(&e))?;
    row.try_get(0).map(Some).map_err(|e| server_error(&e))
}

/// True if the database has a ledger.
pub(super) async fn exists(session: &Session) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = 'setpoint' AND c.relname = 'meta')";
    let row = session.client.query_one(query, &[]).await.map_err(|e| server_error(&e))?;
    row.try_get(0).map_err(|e| server_error(&e))
}

/// The ledger's layout; one that a newer tool has written is refused.
pub(super) async fn check_format(session: &Session) -> Result<i32> {
    let query = "SELECT value FROM setpoint.meta WHERE key = 'format'";
    let row = session.client.query_opt(query, &[]).await.map_err(|e| server_error(&e))?;
    let format: String = match row {
        Some(row) => row.try_get(0).map_err(|e| server_error(&e))?,
        None => String::new(),
    };
    match format.parse::<i32>() {
        Ok(format) if format <= FORMAT => Ok(format),
        Ok(format) => Err(Error::refused("this database's ledger was written by a newer version of setpoint")
            .detail(format!("schema setpoint has layout {format}, this tool knows {FORMAT}"))
            .remedy("upgrade setpoint")),
        Err(_) => Err(Error::failed("schema setpoint is not a ledger of this tool")
            .detail(format!("setpoint.meta says that its format is `{format}`"))
            .remedy("rename the schema if it is yours")),
    }
}
