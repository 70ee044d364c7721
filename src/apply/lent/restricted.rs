//! Runs a statement as a table's owner, in a way that keeps anything it calls from getting back to the session's user.
//!
//! A SECURITY DEFINER function refuses RESET ROLE, but code that runs in it can leave work for later, when the session's user is back: a
//! deferred trigger that defers itself again (before 18), a cursor WITH HOLD, a prepared statement with a name that we use. PostgreSQL
//! refuses all of these in a security-restricted operation, and reverts settings at its end. One way to enter one is to build an index: its
//! expression runs as the owner of the table. So the statement becomes the body of a function in the expression of an index on a temporary
//! table with one row.

use crate::model::{Error, Ident};
use crate::sql;

/// The prefix of the names of temporary objects.
const PREFIX: &str = "setpoint_run_";

/// The statements that run `statement` as `owner`, names in it being looked up in `path`. They need a transaction.
pub fn wrap(statement: &str, path: &str, owner: &Ident, number: usize) -> String {
    let name = |what: &str| sql::name(&Ident::from(format!("{PREFIX}{what}_{number}").as_str())).to_string();
    let [table, outer, inner] = ["once", "outer", "inner"].map(name);
    let owner = sql::name(owner);
    let body = sql::literal(&format!("{statement}\n;SELECT 1"));
    let call = sql::literal(&format!("SELECT pg_temp.{inner}($1)"));
    let head = "(pg_catalog.int4) RETURNS pg_catalog.int4 LANGUAGE sql";
    // The outer function only seems immutable, as an index wants it.
    format!(
        "CREATE TEMPORARY TABLE {table} (one pg_catalog.int4); INSERT INTO pg_temp.{table} VALUES (1); \
         CREATE FUNCTION pg_temp.{inner}{head} VOLATILE SET search_path TO {path} AS {body}; \
         CREATE FUNCTION pg_temp.{outer}{head} IMMUTABLE AS {call}; \
         GRANT EXECUTE ON FUNCTION pg_temp.{inner}(pg_catalog.int4), pg_temp.{outer}(pg_catalog.int4) TO {owner}; \
         ALTER TABLE pg_temp.{table} OWNER TO {owner}; \
         CREATE INDEX ON pg_temp.{table} (pg_temp.{outer}(one)); \
         DROP TABLE pg_temp.{table}; DROP FUNCTION pg_temp.{outer}(pg_catalog.int4); \
         DROP FUNCTION pg_temp.{inner}(pg_catalog.int4)"
    )
}

/// The statement's own error, without what was only used to run it, and with what the owner lacks.
pub fn explain(mut error: Error, owner: &Ident) -> Error {
    let ours = format!("in SQL function \"{PREFIX}");
    error.details.retain(|detail| !detail.starts_with(&ours));
    error
        .details
        .push(format!("it ran as {}, who owns what it changes and has fewer privileges than you", sql::name(owner)));
    if error.sqlstate.as_deref() == Some("42501") {
        error.remedy =
            Some(format!("grant {} what the message says, then run the same command again", sql::name(owner)));
    }
    error
}
