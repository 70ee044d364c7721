//! Whether whoever runs a plan may do what its steps do, looked at before the first of them: a right that is missing at the second step
//! is found when the first has been committed.

use std::collections::BTreeSet;

use crate::catalog::Session;
use crate::kinds::{self, LockMode, Need};
use crate::model::{Address, Error, Ident, Result};
use crate::plan::{Action, Step};
use crate::sql;

use super::stale;

/// What somebody has to have on something that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// `owner`, `dropper`, `trigger`, `references`, `type-owner`, `create-in`, `create-here`.
    need: &'static str,
    schema: String,
    name: String,
}

/// What is missing: one row per need that is not met. What does not exist (yet) is nobody's.
const MISSING: &str = "WITH wanted (need, schema, name) AS ( \
         SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), \
             pg_catalog.unnest($3::pg_catalog.text[])) AS n), \
     relation AS ( \
         SELECT w.need, w.schema, w.name, c.oid, c.relowner, s.nspowner FROM wanted w \
         JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) w.schema::pg_catalog.name \
         JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) s.oid AND c.relname OPERATOR(pg_catalog.=) w.name::pg_catalog.name) \
     SELECT need, schema, name, pg_catalog.pg_get_userbyid(relowner)::pg_catalog.text FROM relation WHERE \
         need OPERATOR(pg_catalog.=) 'owner' AND NOT pg_catalog.pg_has_role(relowner, 'USAGE') \
         OR need OPERATOR(pg_catalog.=) 'dropper' AND NOT pg_catalog.pg_has_role(relowner, 'USAGE') AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE') \
         OR need OPERATOR(pg_catalog.=) 'trigger' AND NOT pg_catalog.has_table_privilege(oid, 'TRIGGER') \
         OR need OPERATOR(pg_catalog.=) 'references' AND NOT pg_catalog.has_any_column_privilege(oid, 'REFERENCES') \
     UNION ALL \
     SELECT w.need, w.schema, w.name, pg_catalog.pg_get_userbyid(t.typowner)::pg_catalog.text FROM wanted w \
         JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) w.schema::pg_catalog.name \
         JOIN pg_catalog.pg_type t ON t.typnamespace OPERATOR(pg_catalog.=) s.oid AND t.typname OPERATOR(pg_catalog.=) w.name::pg_catalog.name \
         WHERE w.need OPERATOR(pg_catalog.=) 'type-owner' AND NOT pg_catalog.pg_has_role(t.typowner, 'USAGE') \
     UNION ALL \
     SELECT w.need, w.schema, '', pg_catalog.pg_get_userbyid(s.nspowner)::pg_catalog.text FROM wanted w \
         JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) w.schema::pg_catalog.name \
         WHERE w.need OPERATOR(pg_catalog.=) 'create-in' AND NOT pg_catalog.has_schema_privilege(s.oid, 'CREATE') \
     UNION ALL \
     SELECT w.need, pg_catalog.current_database()::pg_catalog.text, '', '' FROM wanted w \
         WHERE w.need OPERATOR(pg_catalog.=) 'create-here' \
         AND NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') \
     ORDER BY 1, 2, 3";

/// Makes sure that the session's role may do what these steps do, as far as that is certain: what is in doubt is left to the server.
/// `ledger`: false if it has to be made, too.
///
/// # Errors
/// `Failed`, naming each right that is missing and what gives it.
pub(super) async fn check<'a>(session: &Session, ledger: bool, steps: impl Iterator<Item = &'a Step>) -> Result<()> {
    if session.superuser {
        return Ok(());
    }
    let mut wanted = wanted(steps);
    if !ledger {
        wanted.insert(Wanted { need: "create-here", schema: String::new(), name: String::new() });
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Wanted) -> &str| -> Vec<&str> { wanted.iter().map(of).collect() };
    let (needs, schemas, names) = (column(|w| w.need), column(|w| &w.schema), column(|w| &w.name));
    let rows = session.rows(MISSING, &[&needs, &schemas, &names]).await?;
    let role = sql::name(&Ident::from(session.user.as_str())).to_string();
    let lines: Vec<String> = rows
        .into_iter()
        .map(|mut row| {
            let (need, schema, name, owner) = (row.text(), row.text(), row.text(), row.text());
            line(&need, &schema, &name, &owner, &role)
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut error =
        Error::failed(format!("permission denied: {role} lacks rights that these steps need, and nothing was run"));
    error.details = lines;
    Err(error.remedy("have them granted, or connect as a role that has them").sqlstate("42501"))
}

fn line(need: &str, schema: &str, name: &str, owner: &str, role: &str) -> String {
    let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
    let (path, owner) = (format!("{}.{}", quoted(schema), quoted(name)), quoted(owner));
    match need {
        "create-in" => {
            let schema = quoted(schema);
            format!("CREATE on schema {schema} is missing: GRANT CREATE ON SCHEMA {schema} TO {role}")
        }
        "create-here" => {
            let database = quoted(schema);
            format!("CREATE on database {database} is missing: GRANT CREATE ON DATABASE {database} TO {role}")
        }
        "trigger" => format!("TRIGGER on {path} is missing: GRANT TRIGGER ON {path} TO {role}"),
        "references" => format!("REFERENCES on {path} is missing: GRANT REFERENCES ON {path} TO {role}"),
        _ => format!("{path} belongs to {owner}: GRANT {owner} TO {role}"),
    }
}

/// What the steps need of what exists. From a step on that somebody wrote by hand anything may have changed.
fn wanted<'a>(steps: impl Iterator<Item = &'a Step>) -> BTreeSet<Wanted> {
    let mut wanted = BTreeSet::new();
    let mut made: BTreeSet<String> = BTreeSet::new();
    for step in steps {
        let Some(kind) = step.object.split(' ').next().and_then(kinds::find).map(|room| (room, room.kind())) else {
            break;
        };
        let (room, kind) = kind;
        if step.action == Action::Manual {
            break;
        }
        if room.need() == Need::Unknown {
            continue;
        }
        let names = stale::names(&step.object).unwrap_or_default();
        let mut here: Vec<(&'static str, String, String)> = Vec::new();
        let mut want = |need: &'static str, schema: &str, name: &str| here.push((need, schema.into(), name.into()));
        let mut makes = None;
        match (step.action, kind.address, names.as_slice()) {
            (Action::Create, Address::Schema, [name]) => {
                want("create-here", "", "");
                makes = Some(name.clone());
            }
            (Action::Create, Address::Qualified | Address::Routine, [schema, name, ..]) => {
                want("create-in", schema, "");
                makes = Some(format!("{schema}\0{name}"));
            }
            (Action::Alter, Address::Qualified, [schema, name])
                if kinds::IS_TYPE.contains(&kind.word) && step.lock.is_none() =>
            {
                want("type-owner", schema, name);
            }
            _ => {}
        }
        let need = match (room.need(), step.action, kind.address) {
            (Need::Trigger, Action::Create, _) => "trigger",
            // Who owns a schema may drop what stands in it.
            (_, Action::Drop, Address::Qualified) => "dropper",
            _ => "owner",
        };
        let claimed = step.lock.iter().filter(|(mode, _)| *mode >= LockMode::ShareUpdateExclusive);
        for (_, on) in claimed {
            if let Some([schema, name]) = stale::names(on).as_deref() {
                want(need, schema, name);
            }
        }
        for (_, on) in step.locks.iter().filter(|_| step.action == Action::Create) {
            if let Some([schema, name]) = stale::names(on).as_deref() {
                want("references", schema, name);
            }
        }
        // What the plan makes is its own.
        let there = here
            .into_iter()
            .filter(|(_, schema, name)| !made.contains(schema) && !made.contains(&format!("{schema}\0{name}")));
        wanted.extend(there.map(|(need, schema, name)| Wanted { need, schema, name }));
        made.extend(makes);
    }
    wanted
}
