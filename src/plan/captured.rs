//! Names that mean what a stranger made: people write `lower(a)` with `public` in the path, and whoever may create there can have
//! a function of that name which fits better, or a type that is found earlier in the path.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Session;
use crate::kinds::{self, scope};
use crate::model::{Error, Ident, ObjectId, Result};
use crate::sql::{self, names, operators};

use super::Step;

/// A routine, an operator or a type that a name in a step may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The name as people write it.
    pub name: String,
    /// What it may mean.
    pub id: ObjectId,
    /// Whose it is.
    pub owner: String,
    /// The object whose statement uses the name; empty for a step by hand.
    pub object: String,
    /// The line of the statement.
    pub text: String,
}

const ROUTINES: &str = "SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, \
    n.nspname::text, p.proname::text, oidvectortypes(p.proargtypes), r.rolname::text \
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner \
    WHERE p.oid >= 16384 AND p.proname::text = ANY ($1) AND n.nspname::text = ANY ($2) \
    AND NOT r.rolsuper AND r.rolname NOT IN (CURRENT_USER, SESSION_USER) AND NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = 1255 AND d.objid = p.oid AND d.refclassid = 3079 AND d.deptype = 'e') \
    UNION ALL SELECT 'operator', n.nspname::text, o.oprname::text, concat_ws(', ', CASE o.oprleft WHEN 0 THEN 'NONE' ELSE \
    format_type(o.oprleft, NULL) END, format_type(o.oprright, NULL)), r.rolname::text \
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace JOIN pg_roles r ON r.oid = o.oprowner \
    WHERE o.oid >= 16384 AND o.oprname::text = ANY ($3) AND n.nspname::text = ANY ($2) \
    AND NOT r.rolsuper AND r.rolname NOT IN (CURRENT_USER, SESSION_USER) AND NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = 2617 AND d.objid = o.oid AND d.refclassid = 3079 AND d.deptype = 'e') ORDER BY 1, 2, 3, 4";

/// The places where types stand are looked at; built-in types of the same name always come first.
const TYPES: &str = "SELECT CASE t.typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range' ELSE 'type' END, \
    n.nspname::text, t.typname::text, r.rolname::text \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_roles r ON r.oid = t.typowner \
    WHERE t.oid >= 16384 AND t.typname::text = ANY ($1) AND n.nspname::text = ANY ($2) AND t.typelem = 0 \
    AND NOT r.rolsuper AND r.rolname NOT IN (CURRENT_USER, SESSION_USER) AND NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = 1247 AND d.objid = t.oid AND d.refclassid = 3079 AND d.deptype = 'e') \
    AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c') ORDER BY 1, 2, 3";

/// The names of a kind that steps use, each with the step that uses it first.
#[derive(Default)]
struct Uses<'a>(FxHashMap<String, &'a Step>);

impl<'a> Uses<'a> {
    fn add(&mut self, step: &'a Step, found: impl IntoIterator<Item = names::Name>) {
        for name in found.into_iter().filter(|name| name.parts.len() == 1) {
            self.0.entry(name.last().to_owned()).or_insert(step);
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn captured(&self, name: &str, id: ObjectId, owner: &str) -> Captured {
        let (object, text) = self.0.get(name).map_or_else(Default::default, |step| {
            let line = step.sql.lines().find(|line| line.to_lowercase().contains(&name.to_lowercase()));
            (step.object.clone(), line.unwrap_or_default().trim().chars().take(200).collect())
        });
        Captured { name: name.to_owned(), id, owner: owner.to_owned(), object, text }
    }
}

/// What unqualified names in the steps may mean of what is neither built in, nor an extension's, a superuser's or this user's own.
///
/// # Errors
/// What the server reports.
pub async fn find<'a>(session: &Session, steps: impl Iterator<Item = &'a Step>) -> Result<Vec<Captured>> {
    let (mut calls, mut signs, mut types) = (Uses::default(), Uses::default(), Uses::default());
    let mut schemas = FxHashSet::default();
    for step in steps.filter(|step| !step.path.is_empty()) {
        calls.add(step, names::find(&step.sql).into_iter().filter(|name| name.call));
        signs.add(step, operators::find(&step.sql));
        types.add(step, names::types(&step.sql));
        schemas.extend(step.path.iter().map(ToString::to_string));
    }
    let schemas: Vec<String> = schemas.into_iter().collect();
    let mut found = Vec::new();
    let (called, signed, typed) = (calls.names(), signs.names(), types.names());
    if !called.is_empty() || !signed.is_empty() {
        for mut row in session.rows(ROUTINES, &[&called, &schemas, &signed]).await? {
            let (kind, schema, name, input, owner) = (row.text(), row.text(), row.text(), row.text(), row.text());
            let Some(room) = kinds::find(&kind) else { continue };
            let schema = scope::schema_id(schema);
            let id = ObjectId::routine(room.kind(), Some(schema), Ident::new(name.clone()), input.to_string());
            let uses = if &*kind == "operator" { &signs } else { &calls };
            found.push(uses.captured(&name, id, &owner));
        }
    }
    if !typed.is_empty() {
        for mut row in session.rows(TYPES, &[&typed, &schemas]).await? {
            let (kind, schema, name, owner) = (row.text(), row.text(), row.text(), row.text());
            let Some(room) = kinds::find(&kind) else { continue };
            let id = ObjectId::new(room.kind(), Some(scope::schema_id(schema)), Ident::new(name.clone()));
            found.push(types.captured(&name, id, &owner));
        }
    }
    Ok(found)
}

/// Refuses what is not declared.
///
/// # Errors
/// `Refused`, with each of them, its owner and what uses its name.
pub fn refuse(found: Vec<Captured>, is_declared: impl Fn(&ObjectId) -> bool) -> Result<()> {
    let strangers: Vec<Captured> = found.into_iter().filter(|captured| !is_declared(&captured.id)).collect();
    let Some(first) = strangers.first() else { return Ok(()) };
    let owner = |captured: &Captured| sql::role(&Ident::from(captured.owner.as_str())).to_string();
    let mut error =
        Error::refused(format!("`{}` may mean {} of {}, which no file declares", first.name, first.id, owner(first)));
    for (at, captured) in strangers.iter().take(20).enumerate() {
        if at > 0 {
            let (name, id) = (&captured.name, &captured.id);
            error = error.detail(format!("`{name}` may mean {id} of {}", owner(captured)));
        }
        let object = if captured.object.is_empty() { "a step by hand" } else { &captured.object };
        error = error.detail(format!("used by {object}: {}", captured.text));
    }
    let error = error.detail("its code would run with the rights of whoever uses the object that names it");
    let schema = first.id.schema().map(|schema| sql::name(schema.name()).to_string()).unwrap_or_default();
    let (own, theirs) = (first.name.as_str(), sql::name(first.id.name()).to_string());
    let qualified = if first.id.kind().word == "operator" {
        format!("`OPERATOR(pg_catalog.{own})` for PostgreSQL's, `OPERATOR({schema}.{own})` for this one")
    } else {
        format!("`pg_catalog.{own}` for PostgreSQL's, `{schema}.{theirs}` for this one")
    };
    Err(error.remedy(format!(
        "write the schema of what you mean ({qualified}); or declare it in schema/; or drop the other"
    )))
}
