//! Finds roles with fewer privileges than the session's user: code that they wrote must not run with that user's privileges.

use crate::model::Result;

use super::{Session, Version};

/// SQL that is true if `role` may become `other`, or acts with its privileges anyway; both are expressions for a role's OID or name. From
/// PostgreSQL 16 on, being a member alone gives neither. Who may only grant himself such a membership does not count.
pub fn may_become(server: Version, role: &str, other: &str) -> String {
    match server.at_least(16) {
        true => format!("(pg_has_role({role}, {other}, 'USAGE') OR pg_has_role({role}, {other}, 'SET'))"),
        false => format!("pg_has_role({role}, {other}, 'MEMBER')"),
    }
}

/// SQL that is true if `role`, an expression for its OID, can become neither the session's user nor a superuser.
pub fn is_lesser(server: Version, role: &str) -> String {
    format!(
        "(NOT {} AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles boss WHERE boss.rolsuper AND {}))",
        may_become(server, role, "session_user"),
        may_become(server, role, "boss.oid")
    )
}

/// Functions of lesser roles that event triggers of these modes (`pg_event_trigger.evtenabled`) call, as texts like `m.f(), which mallory
/// owns, of event trigger watch`.
///
/// # Errors
/// The server's.
pub async fn event_triggers_of_lesser_roles(session: &Session, modes: &[&str]) -> Result<Vec<String>> {
    let lesser = is_lesser(session.version, "r.oid");
    let query = format!(
        "WITH lesser AS (SELECT r.oid FROM pg_catalog.pg_roles r WHERE {lesser}) \
         SELECT format('%s, which %s owns, of event trigger %I', p.oid::regprocedure, \
         pg_get_userbyid(CASE WHEN p.proowner IN (TABLE lesser) THEN p.proowner ELSE e.evtowner END), e.evtname) \
         FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid \
         WHERE e.evtenabled = ANY ($1::text[]::\"char\"[]) AND (p.proowner IN (TABLE lesser) OR e.evtowner IN (TABLE lesser)) \
         AND COALESCE(current_setting('event_triggers', true), 'on') = 'on' ORDER BY e.evtname"
    );
    Ok(session.rows(&query, &[&modes]).await?.into_iter().map(|mut row| row.text().to_string()).collect())
}
