//! Checks whether schema `setpoint` is exactly the ledger that this tool makes, and who could have written to it.
//!
//! Any role that may create schemas can make one with this name before we do, and the owner of a table can attach code to it that runs with
//! the privileges of whoever uses the table. So the catalog is checked before anything in that schema is read: its relations must be exactly
//! ours. They are plain tables with columns of built-in types and their primary keys; they depend on nothing but the schema, and nothing
//! depends on them except what belongs to such a table (views elsewhere and publications do no harm). Members of `pg_write_all_data` count as
//! writers: they can put a plan into the ledger, which `rollback` would run with another role's privileges.

use crate::catalog::{Session, may_become};
use crate::model::{Error, Ident, Result};
use crate::sql;

use super::copy;
use super::layout::{self, READINGS, SEQUENCE, TABLES};

/// One row per relation (what it is like), per thing that is not part of a ledger, and per role that could have written to it and has
/// fewer privileges than the session's user. What depends on the schema is asked of `pg_depend`, which has an index for that. Catalogs go by
/// their OIDs, which never change: 1247 `pg_type`, 1259 `pg_class`, 1260 `pg_authid`, 2606 `pg_constraint`, 2615 `pg_namespace`, 2618
/// `pg_rewrite`, 6106 `pg_publication_rel`, 6237 `pg_publication_namespace`; 403 is the access method `btree`.
const QUERY: &str = "
WITH s AS MATERIALIZED (SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = 'setpoint'),
d AS MATERIALIZED (SELECT d.classid, d.objid FROM s JOIN pg_depend d ON d.refclassid = 2615 AND d.refobjid = s.oid),
c AS MATERIALIZED (SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relam, c.relrowsecurity, c.relforcerowsecurity, c.relowner,
  c.relacl FROM d JOIN pg_class c ON d.classid = 1259 AND c.oid = d.objid),
odd AS MATERIALIZED (
  SELECT d.classid, d.objid, 0 AS objsubid FROM d WHERE d.classid NOT IN (1259, 6237)
  UNION SELECT d.classid, d.objid, d.objsubid FROM c JOIN pg_depend d ON d.refclassid = 1259 AND d.refobjid = c.oid WHERE NOT (
    d.classid = 1247 AND d.deptype = 'i' OR d.classid = 1259 AND d.deptype = 'i'
    OR d.classid = 2606 AND EXISTS (SELECT FROM pg_constraint o WHERE o.oid = d.objid AND o.conrelid = c.oid AND o.contype IN ('p', 'n'))
    OR d.classid = 2618 AND EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.ev_class <> c.oid)
    OR d.classid = 6106)
  UNION SELECT d.refclassid, d.refobjid, d.refobjsubid FROM c JOIN pg_depend d ON d.classid = 1259 AND d.objid = c.oid
    WHERE NOT (d.refclassid = 2615 AND d.deptype = 'n' OR d.refclassid = 1259 AND d.deptype = 'i' AND c.relkind = 'S')
    AND NOT EXISTS (SELECT FROM s WHERE d.refclassid = 2615 AND d.refobjid = s.oid)),
may AS MATERIALIZED (
  SELECT nspowner AS role, true AS maker, 'owns schema setpoint' AS why FROM s
  UNION SELECT relowner, true, 'owns setpoint.' || relname FROM c
  UNION SELECT a.grantee, true, 'may create in schema setpoint' FROM s, aclexplode(s.nspacl) a WHERE a.privilege_type = 'CREATE'
  UNION SELECT a.grantee, a.privilege_type = 'TRIGGER', 'may write to setpoint.' || relname FROM c, aclexplode(c.relacl) a
    WHERE a.privilege_type NOT IN ('SELECT', 'MAINTAIN')
  UNION SELECT a.grantee, false, 'may write to setpoint.' || c.relname FROM c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
    WHERE a.privilege_type <> 'SELECT'
  UNION SELECT m.member, false, 'is a member of pg_write_all_data' FROM s, pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid
    WHERE r.rolname = 'pg_write_all_data'),
me AS MATERIALIZED (SELECT oid, rolsuper FROM pg_roles WHERE rolname = session_user)
SELECT 'schema', pg_get_userbyid(s.nspowner)::text, '', false FROM s
UNION ALL SELECT 'relation', c.relname::text,
  concat_ws(' ', c.relkind, c.relpersistence, c.relam, c.relrowsecurity, c.relforcerowsecurity,
  (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid, a.attnotnull, coalesce(nullif(a.attidentity::text || a.attgenerated::text, ''), '-')), ' ' ORDER BY a.attnum)
   FROM pg_attribute a WHERE c.relkind <> 'S' AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg(concat_ws(' ', CASE WHEN i.indisprimary AND i.indisunique AND i.indisvalid AND i.indimmediate AND x.relam = 403
   AND i.indexprs IS NULL AND i.indpred IS NULL THEN 'key' ELSE 'index ' || x.relname END, i.indkey, i.indclass), ' ' ORDER BY i.indisprimary DESC)
   FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid),
  (SELECT concat_ws(' ', q.seqtypid, q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcache, q.seqcycle, t.relname, d.refobjsubid)
   FROM pg_sequence q JOIN pg_depend d ON d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'i' JOIN pg_class t ON t.oid = d.refobjid
   WHERE q.seqrelid = c.oid)), false FROM c
UNION ALL SELECT 'odd', pg_describe_object(classid, objid, objsubid), '', false FROM odd
UNION ALL SELECT 'writer', CASE WHEN may.role = 0 THEN '' ELSE pg_get_userbyid(may.role)::text END, min(may.why), bool_or(may.maker)
  FROM me, may LEFT JOIN pg_roles w ON w.oid = may.role
  WHERE may.role <> me.oid AND (may.role = 0 OR NOT w.rolsuper) AND (may.role = 0 OR me.rolsuper OR EXISTS (
    SELECT FROM pg_roles x WHERE pg_has_role(me.oid, x.oid, 'MEMBER') AND NOT MAY_BECOME
    AND (x.oid < 16384 OR x.rolcreaterole OR x.rolcreatedb OR x.rolreplication OR x.rolbypassrls
    OR EXISTS (SELECT FROM pg_shdepend h WHERE h.refclassid = 1260 AND h.refobjid = x.oid))))
  GROUP BY may.role";

/// A role that could have written to the ledger, and lacks some privileges of the role that reads it.
#[derive(Debug, Clone)]
pub struct Other {
    /// The role; `None` is PUBLIC.
    pub role: Option<String>,
    /// `owns schema setpoint`.
    pub why: String,
    /// True if it could make more than rows: triggers, tables of the same names.
    pub maker: bool,
}

impl Other {
    /// The role as SQL has it.
    pub fn name(&self) -> String {
        self.role
            .as_ref()
            .map_or_else(|| "PUBLIC".to_owned(), |role| sql::name(&Ident::from(role.as_str())).to_string())
    }
}

/// What there is of a ledger.
pub(super) struct Standing {
    /// True if there is a schema `setpoint`.
    pub schema: bool,
    /// The layout of its tables; `None`: there are none.
    pub layout: Option<i32>,
    /// Who could have written to it.
    pub others: Vec<Other>,
}

impl Standing {
    /// Who could hang code onto what we read.
    pub fn maker(&self) -> Option<&Other> {
        maker(&self.others)
    }

    /// True if there is one, and no other role could have written to it.
    pub fn believed(&self) -> bool {
        self.layout.is_some() && self.others.is_empty()
    }

    /// Checks that no other role could attach code to it.
    pub fn ours(&self, session: &Session) -> Result<()> {
        self.maker().map_or(Ok(()), |other| Err(not_writable(other, session)))
    }
}

/// Who could hang code onto the ledger.
pub(super) fn maker(others: &[Other]) -> Option<&Other> {
    others.iter().find(|other| other.maker)
}

/// The error where that role's code could run.
pub(super) fn not_writable(other: &Other, session: &Session) -> Error {
    let remedy = match &other.role {
        Some(_) => format!(
            "connect as {name}, or as a role that is a member of it and has no privileges of its own; or make the ledger yours: \
                 ALTER SCHEMA setpoint OWNER TO CURRENT_USER, and ALTER TABLE … OWNER TO CURRENT_USER for each of its tables",
            name = other.name()
        ),
        None => {
            "revoke that privilege: REVOKE ALL ON SCHEMA setpoint, ALL TABLES IN SCHEMA setpoint FROM PUBLIC".into()
        }
    };
    Error::refused(
        "this database's ledger is another role's, and writing to it could run that role's code with your privileges",
    )
    .detail(format!("{} {}; you are connected as {}", other.name(), other.why, session.user))
    .remedy(remedy)
}

/// Looks at schema `setpoint` in the catalog, in one round trip.
///
/// # Errors
/// `Refused` if it is not exactly a ledger, or a newer one; the server's.
pub(super) async fn look(session: &Session) -> Result<Standing> {
    let mut standing = Standing { schema: false, layout: None, others: Vec::new() };
    let (mut owner, mut relations, mut odd) = (String::new(), Vec::new(), Vec::new());
    let query = QUERY.replace("MAY_BECOME", &may_become(session.version, "may.role", "x.oid"));
    for mut row in session.rows(&query, &[]).await? {
        let (kind, name, what, maker) = (row.text(), row.text(), row.text(), row.next::<bool>());
        match &*kind {
            "schema" => (standing.schema, owner) = (true, name.to_string()),
            "relation" => relations.push((name.to_string(), what.to_string())),
            "writer" => {
                let role = Some(name.to_string()).filter(|name| !name.is_empty());
                standing.others.push(Other { role, why: what.to_string(), maker });
            }
            _ => odd.push(name.to_string()),
        }
        if let Some(error) = row.error() {
            return Err(Error::failed("the catalog cannot be read").detail(error.to_owned()));
        }
    }
    if relations.is_empty() && odd.is_empty() {
        return Ok(standing);
    }
    let (layout, strange) = compared(&relations);
    if odd.is_empty() && strange.is_empty() {
        standing.layout = layout;
        return Ok(standing);
    }
    if relations
        .iter()
        .any(|(name, shape)| name == "meta" && TABLES.iter().any(|t| t.name == "meta" && t.shape() == *shape))
        && let Ok(meta) = copy::meta(session).await
        && let Some(newer) = layout::newer(meta.get("format").map(String::as_str))
    {
        return Err(newer);
    }
    Err(strangers(&owner, strange.into_iter().chain(odd).collect()))
}

/// The layout that the relations have, and which of them are not part of it.
fn compared(relations: &[(String, String)]) -> (Option<i32>, Vec<String>) {
    let shape = |name: &str| relations.iter().find(|(n, _)| n == name).map(|(_, shape)| shape.as_str());
    let mut strange = Vec::new();
    for table in TABLES {
        match shape(table.name) {
            Some(shape) if shape == table.shape() => {}
            Some(_) => strange.push(format!("setpoint.{} is not the table that belongs there", table.name)),
            None => strange.push(format!("setpoint.{} is missing", table.name)),
        }
    }
    match shape(SEQUENCE.0) {
        Some(shape) if shape == SEQUENCE.1 => {}
        _ => strange.push(format!("setpoint.{} is not the sequence of setpoint.event.id", SEQUENCE.0)),
    }
    let layout = match shape("reading") {
        None => Some(1),
        Some(shape) => READINGS.iter().find(|(_, table)| table.shape() == shape).map(|(layout, _)| *layout),
    };
    if layout.is_none() {
        strange.push("setpoint.reading is not the table that belongs there".to_owned());
    }
    let known = |name: &str| name == "reading" || name == SEQUENCE.0 || TABLES.iter().any(|table| table.name == name);
    let more = relations.iter().filter(|(name, _)| !known(name));
    strange.extend(more.map(|(name, _)| format!("{} is not part of a ledger", sql::name(&Ident::from(name.as_str())))));
    (layout, strange)
}

fn strangers(owner: &str, what: Vec<String>) -> Error {
    let error =
        Error::refused("schema setpoint of this database is not a ledger as setpoint makes it; nothing in it was read")
            .detail(format!("the schema belongs to {}", sql::name(&Ident::from(owner))));
    let more = what.len().saturating_sub(10);
    let mut error = what.into_iter().take(10).fold(error, Error::detail);
    if more > 0 {
        error = error.detail(format!("and {more} more"));
    }
    error.remedy(
        "if something was added to a ledger, remove what is named above; if somebody else made the schema, move it out of the \
         way: ALTER SCHEMA setpoint RENAME TO …",
    )
}
