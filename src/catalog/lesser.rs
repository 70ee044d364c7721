//! Roles that may do less than the session's user: what they wrote must not run with that user's rights.

use super::Version;

/// SQL that is true if `role` may become `other`, or acts with its rights anyway; both are expressions for a role's OID or name. From
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
