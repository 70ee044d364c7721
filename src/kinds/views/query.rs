//! What views and materialized views share, the text of their query and the addresses of their rows; and how the server prints rules.

use crate::catalog::{Book, Row, class};
use crate::model::{Expr, KindRef, ObjectId};

/// A rule's definition from its condition or `DO` on, as an expression over `pg_rewrite r`, its relation `c` and schema `n`.
/// What precedes it is the same for all rules (src/backend/utils/adt/ruleutils.c, make_ruledef).
pub const RULE: &str = "substr(pg_get_ruledef(r.oid), length('CREATE RULE ' || quote_ident(r.rulename) || E' AS\\n    ON ' || \
    CASE r.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' WHEN '4' THEN 'DELETE' ELSE 'SELECT' END || ' TO ' || \
    quote_ident(n.nspname) || '.' || quote_ident(c.relname)) + 1)";

/// The query as `pg_get_viewdef` prints it, without what only makes a script of it.
pub fn stored(definition: &str) -> Expr {
    Expr::new(definition.trim().trim_end_matches(';').trim_end())
}

/// A query as written, without final semicolons, so that something may follow it.
pub fn trimmed(query: &Expr) -> &str {
    query.as_str().trim_end_matches(|c: char| c == ';' || c.is_whitespace()).trim_start()
}

/// Names a row that begins with the OIDs of relation, `_RETURN` rule, row type, its array and schema, and the name.
/// Dependencies are on any of them: a view needs what its rule needs.
pub fn name(kind: KindRef, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
    let (oid, rule, row_type, array) = (row.oid(), row.oid(), row.oid(), row.oid());
    let (schema, name) = (row.oid(), row.text());
    if book.is_member(class::PG_CLASS, oid) {
        return None;
    }
    let id = ObjectId::new(kind, Some(book.schema(schema)?.clone()), name);
    for (class, oid) in
        [(class::PG_CLASS, oid), (class::PG_REWRITE, rule), (class::PG_TYPE, row_type), (class::PG_TYPE, array)]
    {
        book.add(class, oid, id.clone());
    }
    Some(id)
}
