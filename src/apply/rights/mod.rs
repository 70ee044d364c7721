//! Checks, before the first step, whether the role that runs a plan has the privileges that its steps need. Otherwise a privilege missing at
//! the second step would only be noticed once the first has been committed.

mod wanted;

use crate::catalog::Session;
use crate::kinds::held;
use crate::model::{Error, Ident, Result};
use crate::plan::Step;
use crate::sql;

use wanted::{Target, Wanted, wanted};

/// What is missing: one row per need that is not met, with its number. What does not exist (yet) has no owner. `set` is what lets a role
/// act as another, `defaults` what lets it say what the other's objects are open to (src/backend/catalog/aclchk.c,
/// ExecAlterDefaultPrivilegesStmt).
fn missing(session: &Session) -> String {
    let (set, defaults) = if session.version.at_least(16) { ("SET", "USAGE") } else { ("MEMBER", "MEMBER") };
    format!(
        "WITH wanted AS (SELECT u.*, r.oid AS who, r.rolsuper AS super, n.oid AS home \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) \
             WITH ORDINALITY AS u (need, catalog, schema, name, signature, role, at) \
             LEFT JOIN pg_roles r ON r.rolname = u.role LEFT JOIN pg_namespace n ON n.nspname = u.schema), \
         owned AS ({owners}) \
         SELECT o.at::int4, pg_get_userbyid(h.holder)::text, COALESCE(w.super, (SELECT rolsuper FROM pg_roles WHERE oid = h.holder)) \
         FROM owned o JOIN wanted w ON w.at = o.at CROSS JOIN LATERAL (SELECT CASE \
             WHEN w.need = 'heirs' THEN (WITH RECURSIVE below (oid) AS (SELECT inhrelid FROM pg_inherits WHERE inhparent = o.oid \
                 UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid) \
                 SELECT min(c.relowner::int8)::oid FROM below JOIN pg_class c ON c.oid = below.oid WHERE NOT pg_has_role(c.relowner, 'USAGE')) \
             WHEN (SELECT rolname FROM pg_roles WHERE oid = o.owner) = 'pg_database_owner' THEN (SELECT datdba FROM pg_database WHERE datname = current_database()) \
             ELSE o.owner END AS holder) h WHERE CASE w.need \
             WHEN 'owner' THEN NOT pg_has_role(owner, 'USAGE') \
             WHEN 'heirs' THEN h.holder IS NOT NULL \
             WHEN 'of-type' THEN NOT pg_has_role(owner, 'USAGE') AND NOT pg_has_role((SELECT typowner FROM pg_type WHERE oid = 16), 'USAGE') \
             WHEN 'giver' THEN (owner <> w.who OR w.catalog = 'pg_class' AND (SELECT relkind FROM pg_class c WHERE c.oid = o.oid) <> 'c') AND NOT pg_has_role(owner, 'USAGE') \
             WHEN 'give' THEN owner <> w.who AND NOT pg_has_role(w.who, '{set}') \
             WHEN 'holds' THEN w.catalog = 'pg_foreign_data_wrapper' OR owner <> w.who AND CASE w.catalog \
                 WHEN 'pg_namespace' THEN NOT has_database_privilege(current_database(), 'CREATE') \
                 WHEN 'pg_publication' THEN NOT has_database_privilege(w.who, current_database(), 'CREATE') \
                 WHEN 'pg_event_trigger' THEN NOT w.super \
                 WHEN 'pg_foreign_server' THEN NOT has_foreign_data_wrapper_privilege(w.who, \
                     (SELECT srvfdw FROM pg_foreign_server WHERE oid = o.oid), 'USAGE') \
                 ELSE w.home IS NOT NULL AND NOT has_schema_privilege(w.who, w.home, 'CREATE') END \
             WHEN 'holds-in' THEN NOT has_schema_privilege(w.who, o.oid, 'CREATE') \
             WHEN 'dropper' THEN NOT pg_has_role(owner, 'USAGE') AND NOT COALESCE(pg_has_role(schema_owner, 'USAGE'), false) \
             WHEN 'grantor' THEN NOT pg_has_role(giver, owner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(acl) a \
                 WHERE a.is_grantable AND (a.grantee = 0 OR pg_has_role(giver, a.grantee, 'USAGE'))) \
                 AND NOT EXISTS (SELECT FROM pg_attribute c, aclexplode(c.attacl) a WHERE c.attrelid = o.oid AND a.is_grantable \
                     AND (a.grantee = 0 OR pg_has_role(giver, a.grantee, 'USAGE'))) \
             WHEN 'trigger' THEN NOT has_table_privilege(o.oid, 'TRIGGER') \
             WHEN 'references' THEN NOT has_any_column_privilege(o.oid, 'REFERENCES') \
             WHEN 'execute' THEN NOT has_function_privilege(o.oid, 'EXECUTE') \
             WHEN 'usage' THEN CASE w.catalog \
                 WHEN 'pg_type' THEN NOT has_type_privilege(o.oid, 'USAGE') \
                 WHEN 'pg_language' THEN NOT has_language_privilege(o.oid, 'USAGE') \
                 WHEN 'pg_namespace' THEN NOT has_schema_privilege(o.oid, 'USAGE') \
                 WHEN 'pg_foreign_data_wrapper' THEN NOT has_foreign_data_wrapper_privilege(o.oid, 'USAGE') \
                 WHEN 'pg_foreign_server' THEN NOT has_server_privilege(o.oid, 'USAGE') ELSE false END \
             WHEN 'trusted-language' THEN NOT (SELECT lanpltrusted FROM pg_language WHERE oid = o.oid) \
             WHEN 'create-in' THEN NOT has_schema_privilege(o.oid, 'CREATE') \
             WHEN 'create-on' THEN o.oid <> (SELECT dattablespace FROM pg_database WHERE datname = current_database()) \
                 AND NOT has_tablespace_privilege(o.oid, 'CREATE') \
             ELSE false END \
         UNION ALL SELECT at::int4, '', super FROM wanted WHERE CASE need \
             WHEN 'superuser' THEN true \
             WHEN 'role' THEN NOT pg_has_role(who, '{set}') \
             WHEN 'acts' THEN NOT pg_has_role(who, 'USAGE') \
             WHEN 'defaults' THEN NOT pg_has_role(who, '{defaults}') \
             WHEN 'create-here' THEN NOT has_database_privilege(current_database(), 'CREATE') \
             WHEN 'trusted' THEN EXISTS (SELECT FROM pg_available_extension_versions v JOIN pg_available_extensions e \
                 ON e.name = v.name AND e.default_version = v.version WHERE v.name = wanted.name::name \
                 AND v.superuser AND NOT (v.trusted AND has_database_privilege(current_database(), 'CREATE'))) \
             ELSE false END \
         ORDER BY 1",
        owners = held::owners_query()
    )
    .replace("giver,", "COALESCE(w.who, (SELECT oid FROM pg_roles WHERE rolname = current_user)),")
}

/// Checks that the session's role may do what these steps do, as far as that is certain: doubtful cases are left to the server.
/// `ledger`: false if it has to be made, too.
///
/// # Errors
/// `Failed`, naming each missing privilege and the statement that grants it.
pub async fn check<'a>(session: &Session, ledger: bool, steps: impl Iterator<Item = &'a Step>) -> Result<()> {
    if session.superuser {
        return Ok(());
    }
    let mut wanted = wanted(steps, &session.user, session.version);
    if !ledger {
        wanted.insert(Wanted::new("create-here", Target::default()));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Wanted> = wanted.into_iter().collect();
    let column = |of: fn(&Wanted) -> &str| -> Vec<&str> { wanted.iter().map(of).collect() };
    let (needs, catalogs) = (column(|w| w.need), column(|w| w.on.catalog));
    let (schemas, names) = (column(|w| &w.on.schema), column(|w| &w.on.name));
    let (signatures, roles) = (column(|w| &w.on.signature), column(|w| &w.role));
    let asked = missing(session);
    let rows = session.rows(&asked, &[&needs, &catalogs, &schemas, &names, &signatures, &roles]).await?;
    let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
    let (role, database) = (quoted(&session.user), quoted(&session.database));
    let mut lines: Vec<String> = Vec::new();
    for mut row in rows {
        let (at, owner, is_super) = (row.next::<i32>(), row.text(), row.next::<Option<bool>>() == Some(true));
        let found = usize::try_from(at).ok().and_then(|at| wanted.get(at.checked_sub(1)?));
        let said = found.map(|wanted| line(wanted, (&quoted(&owner), is_super), &role, &database));
        lines.extend(said.filter(|said| !lines.contains(said)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let mut error =
        Error::failed(format!("permission denied: {role} lacks privileges that these steps need, and nothing was run"));
    error.details = lines;
    Err(error.remedy("have them granted, or connect as a role that has them").sqlstate("42501"))
}

/// One missing privilege and its remedy. Membership in a superuser's role would give far more than the step needs, so it is never advised.
fn line(wanted: &Wanted, (owner, is_super): (&str, bool), role: &str, database: &str) -> String {
    let Wanted { on, need, .. } = wanted;
    let shown = &on.shown;
    let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
    let (other, schema) = (quoted(&wanted.role), quoted(&on.schema));
    match *need {
        "create-in" => format!("CREATE on schema {shown} is missing: GRANT CREATE ON SCHEMA {shown} TO {role}"),
        "create-on" => format!("CREATE on tablespace {shown} is missing: GRANT CREATE ON TABLESPACE {shown} TO {role}"),
        "create-here" => {
            format!("CREATE on database {database} is missing: GRANT CREATE ON DATABASE {database} TO {role}")
        }
        "trigger" => format!("TRIGGER on {shown} is missing: GRANT TRIGGER ON {shown} TO {role}"),
        "references" => format!("REFERENCES on {shown} is missing: GRANT REFERENCES ON {shown} TO {role}"),
        "execute" => format!("EXECUTE on {shown} is missing: GRANT EXECUTE ON ROUTINE {shown} TO {role}"),
        "usage" => {
            let word = match on.catalog {
                "pg_type" => "TYPE",
                "pg_language" => "LANGUAGE",
                "pg_namespace" => "SCHEMA",
                "pg_foreign_data_wrapper" => "FOREIGN DATA WRAPPER",
                _ => "FOREIGN SERVER",
            };
            format!("USAGE on {shown} is missing: GRANT USAGE ON {word} {shown} TO {role}")
        }
        "trusted-language" => format!("{shown} is not a trusted language: only a superuser may create routines in it"),
        "superuser" | "trusted" => format!("{shown}: only a superuser may create, alter or drop it"),
        "holds" => match on.catalog {
            "pg_namespace" => line(&Wanted::new("create-here", on.clone()), (owner, is_super), role, database),
            "pg_publication" => format!(
                "{other} must be able to own {shown}, but lacks CREATE on database {database}: GRANT CREATE ON DATABASE {database} TO {other}"
            ),
            "pg_foreign_server" => {
                format!("{other} must be able to own {shown}, but lacks USAGE on its foreign-data wrapper")
            }
            "pg_foreign_data_wrapper" => format!("{shown}: only a superuser may give it an owner"),
            "pg_event_trigger" => format!("{other} cannot own {shown}, which only a superuser may own"),
            _ => holds(&other, shown, &schema),
        },
        "holds-in" => holds(&other, "something", shown),
        "role" | "give" | "acts" | "defaults" if is_super => {
            format!("{shown}: only a superuser may act as {other}, a superuser")
        }
        "role" | "give" | "acts" => format!("{shown}: {role} may not act as {other}: GRANT {other} TO {role}"),
        "defaults" => format!("{shown}: they are those of {other}: GRANT {other} TO {role}"),
        "heirs" if is_super => {
            format!("a table that inherits from {shown} belongs to {owner}, a superuser: connect as {owner}")
        }
        "heirs" => format!("a table that inherits from {shown} belongs to {owner}: GRANT {owner} TO {role}"),
        _ if on.catalog == "pg_type" && on.schema == "pg_catalog" => {
            "a cast between types of PostgreSQL's own: only a superuser may create or drop it".into()
        }
        _ if is_super => {
            format!(
                "{shown} belongs to {owner}, a superuser: connect as {owner}, or have {owner} make {role} its owner"
            )
        }
        _ => format!("{shown} belongs to {owner}: GRANT {owner} TO {role}"),
    }
}

fn holds(role: &str, what: &str, schema: &str) -> String {
    format!(
        "{role} must be able to own {what} in schema {schema}, but lacks CREATE there: GRANT CREATE ON SCHEMA {schema} TO {role}"
    )
}
