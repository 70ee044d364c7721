//! Names that mean what a stranger made: people write `lower(a)` with `public` in the path, and whoever may create there can have
//! a function of that name which fits better.

use rustc_hash::FxHashSet;

use crate::catalog::Session;
use crate::kinds::{self, scope};
use crate::model::{Error, Ident, ObjectId, Result};
use crate::sql::{self, names, operators};

use super::Step;

/// A routine or an operator that a name in a step may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The name as people write it.
    pub name: String,
    /// What it may mean.
    pub id: ObjectId,
    /// Whose it is.
    pub owner: String,
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

/// What unqualified names in the steps may mean of what is neither built in, nor an extension's, a superuser's or this user's own.
///
/// # Errors
/// What the server reports.
pub async fn find<'a>(session: &Session, steps: impl Iterator<Item = &'a Step>) -> Result<Vec<Captured>> {
    let (mut calls, mut signs, mut schemas) = (FxHashSet::default(), FxHashSet::default(), FxHashSet::default());
    for step in steps.filter(|step| !step.path.is_empty()) {
        let bare = |name: &names::Name| name.parts.len() == 1;
        calls.extend(
            names::find(&step.sql).into_iter().filter(|name| name.call && bare(name)).map(|n| n.last().to_owned()),
        );
        signs.extend(operators::find(&step.sql).into_iter().filter(bare).map(|n| n.last().to_owned()));
        schemas.extend(step.path.iter().map(ToString::to_string));
    }
    if calls.is_empty() && signs.is_empty() {
        return Ok(Vec::new());
    }
    let [calls, schemas, signs] = [calls, schemas, signs].map(|set| set.into_iter().collect::<Vec<String>>());
    let rows = session.rows(ROUTINES, &[&calls, &schemas, &signs]).await?;
    let mut found = Vec::new();
    for mut row in rows {
        let (kind, schema, name, types, owner) = (row.text(), row.text(), row.text(), row.text(), row.text());
        let Some(room) = kinds::find(&kind) else { continue };
        let schema = scope::schema_id(schema);
        let id = ObjectId::routine(room.kind(), Some(schema), Ident::new(name.clone()), types.to_string());
        found.push(Captured { name: name.to_string(), id, owner: owner.to_string() });
    }
    Ok(found)
}

/// Refuses what is not declared.
///
/// # Errors
/// `Refused`, with each of them and its owner.
pub fn refuse(found: Vec<Captured>, is_declared: impl Fn(&ObjectId) -> bool) -> Result<()> {
    let strangers: Vec<Captured> = found.into_iter().filter(|captured| !is_declared(&captured.id)).collect();
    let Some(first) = strangers.first() else { return Ok(()) };
    let mut error = Error::refused(format!(
        "`{}` may mean {} of {}, which no file declares",
        first.name,
        first.id,
        sql::role(&Ident::from(first.owner.as_str()))
    ));
    for other in strangers.iter().skip(1).take(20) {
        error = error.detail(format!("`{}` may mean {} of {}", other.name, other.id, other.owner));
    }
    let error = error.detail("it would run with the rights of whoever uses the object that names it");
    Err(error.remedy(
        "name the schema of what you mean (`pg_catalog.lower(…)`), or declare what you mean, or drop the other",
    ))
}
