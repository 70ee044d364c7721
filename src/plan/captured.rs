//! Names that another role's object could capture: people write `lower(a)` and `FROM orders` with `public` in the search path, and anyone who
//! may create objects there can add a function of that name that matches better, or a relation that is found first.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Session;
use crate::kinds::{self, scope};
use crate::model::{Error, Ident, ObjectId, Result, Text};
use crate::sql::{self, names, operators, places};

use super::Step;

/// What a name in a step may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The name as people write it.
    pub name: String,
    /// What it may mean.
    pub id: ObjectId,
    /// What it means instead if a file declares one of these: objects that come earlier in the path.
    pub rather: Vec<ObjectId>,
    /// Its owner.
    pub owner: String,
    /// The object whose statement uses the name; empty for a step by hand.
    pub object: String,
    /// The line of the statement.
    pub text: String,
}

/// True for what belongs neither to this user, a superuser, nor an extension. `ROLE` is its row in pg_roles, `CLASS` its catalog.
const STRANGE: &str = "(NOT r.rolsuper AND r.rolname NOT IN (CURRENT_USER, SESSION_USER) AND NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = CLASS AND d.objid = OID AND d.refclassid = 3079 AND d.deptype = 'e'))";

/// Which routine or operator of a name is meant depends on its arguments: any that belongs to another role may be.
const ROUTINES: &str = "SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, \
    n.nspname::text, p.proname::text, oidvectortypes(p.proargtypes), r.rolname::text \
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner \
    WHERE p.oid >= 16384 AND p.proname::text = ANY ($1) AND n.nspname::text = ANY ($2) AND STRANGE(1255, p.oid) \
    UNION ALL SELECT 'operator', n.nspname::text, o.oprname::text, concat_ws(', ', CASE o.oprleft WHEN 0 THEN 'NONE' ELSE \
    format_type(o.oprleft, NULL) END, format_type(o.oprright, NULL)), r.rolname::text \
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace JOIN pg_roles r ON r.oid = o.oprowner \
    WHERE o.oid >= 16384 AND o.oprname::text = ANY ($3) AND n.nspname::text = ANY ($2) AND STRANGE(2617, o.oid) \
    ORDER BY 1, 2, 3, 4";

/// Of objects identified by their name alone, the first in the path is meant; PostgreSQL's own always comes first. The first column is the place
/// of the names among the parameters.
const NAMED: &str = "SELECT 1, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized-view' WHEN 'f' THEN 'foreign-table' \
    WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, r.rolname::text, STRANGE(1259, c.oid) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner \
    WHERE c.relname::text = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname::text = ANY ($5) \
    UNION ALL SELECT 2, CASE WHEN c.relkind IN ('r', 'p') THEN 'table' WHEN c.relkind = 'v' THEN 'view' \
    WHEN c.relkind = 'm' THEN 'materialized-view' WHEN c.relkind = 'f' THEN 'foreign-table' WHEN t.typtype = 'd' THEN 'domain' \
    WHEN t.typtype = 'e' THEN 'enum' WHEN t.typtype = 'r' THEN 'range' ELSE 'type' END, \
    n.nspname::text, t.typname::text, r.rolname::text, STRANGE(1247, t.oid) \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_roles r ON r.oid = t.typowner \
    LEFT JOIN pg_class c ON c.oid = t.typrelid \
    WHERE t.typname::text = ANY ($2) AND t.typelem = 0 AND n.nspname::text = ANY ($5) \
    UNION ALL SELECT 3, 'collation', n.nspname::text, l.collname::text, r.rolname::text, STRANGE(3456, l.oid) \
    FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace JOIN pg_roles r ON r.oid = l.collowner \
    WHERE l.collname::text = ANY ($3) AND n.nspname::text = ANY ($5) \
    UNION ALL SELECT 4, 'text-search-configuration', n.nspname::text, f.cfgname::text, r.rolname::text, STRANGE(3602, f.oid) \
    FROM pg_ts_config f JOIN pg_namespace n ON n.oid = f.cfgnamespace JOIN pg_roles r ON r.oid = f.cfgowner \
    WHERE f.cfgname::text = ANY ($4) AND n.nspname::text = ANY ($5) \
    UNION ALL SELECT 4, 'text-search-dictionary', n.nspname::text, f.dictname::text, r.rolname::text, STRANGE(3600, f.oid) \
    FROM pg_ts_dict f JOIN pg_namespace n ON n.oid = f.dictnamespace JOIN pg_roles r ON r.oid = f.dictowner \
    WHERE f.dictname::text = ANY ($4) AND n.nspname::text = ANY ($5) ORDER BY 1, 2, 3, 4";

/// The kinds that each place of `NAMED` may mean.
const KINDS: [&[&str]; 4] = [
    &["table", "view", "materialized-view", "foreign-table", "sequence"],
    &["domain", "enum", "range", "type", "table", "view", "materialized-view", "foreign-table"],
    &["collation"],
    &["text-search-configuration", "text-search-dictionary"],
];

/// The query with its condition.
fn query(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, call)) = rest.split_once("STRANGE(") {
        let (arguments, after) = call.split_once(')').unwrap_or((call, ""));
        let (class, oid) = arguments.split_once(", ").unwrap_or((arguments, ""));
        out.push_str(before);
        out.push_str(&STRANGE.replace("CLASS", class).replace("OID", oid));
        rest = after;
    }
    out + rest
}

/// The names of a kind that steps use, each with the first step that uses it with that path.
#[derive(Default)]
struct Uses<'a>(FxHashMap<String, Vec<&'a Step>>);

impl<'a> Uses<'a> {
    fn add(&mut self, step: &'a Step, found: impl IntoIterator<Item = names::Name>) {
        for name in found.into_iter().filter(|name| name.parts.len() == 1) {
            let steps = self.0.entry(name.last().to_owned()).or_default();
            if !steps.iter().any(|known| known.path == step.path) {
                steps.push(step);
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn steps(&self, name: &str) -> &[&'a Step] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn captured(step: &Step, name: &str, id: ObjectId, rather: Vec<ObjectId>, owner: &str) -> Captured {
    let written = |line: &&str| line.to_lowercase().contains(&name.to_lowercase());
    // `IN` uses an operator without naming it.
    let implied = |line: &&str| operators::find(line).iter().any(|operator| operator.last() == name);
    let line = step.sql.lines().find(written).or_else(|| step.sql.lines().find(implied));
    let text = line.unwrap_or_default().trim().chars().take(200).collect();
    Captured { name: name.to_owned(), id, rather, owner: owner.to_owned(), object: step.object.clone(), text }
}

/// The objects that unqualified names in the steps may mean and that are neither built in nor owned by an extension, a superuser or this user.
///
/// # Errors
/// What the server reports.
pub async fn find<'a>(session: &Session, steps: impl Iterator<Item = &'a Step>) -> Result<Vec<Captured>> {
    let (mut calls, mut signs) = (Uses::default(), Uses::default());
    let mut named: [Uses<'_>; 4] = Default::default();
    let mut schemas = FxHashSet::default();
    for step in steps.filter(|step| !step.path.is_empty()) {
        calls.add(step, names::find(&step.sql).into_iter().filter(|name| name.call));
        signs.add(step, operators::find(&step.sql));
        let [relations, types, collations, text_search] = &mut named;
        relations.add(step, places::relations(&step.sql));
        types.add(step, places::types(&step.sql));
        collations.add(step, places::collations(&step.sql));
        text_search.add(step, places::text_search(&step.sql, false));
        text_search.add(step, places::text_search(&step.sql, true));
        schemas.extend(step.path.iter().map(ToString::to_string));
    }
    let mut schemas: Vec<String> = schemas.into_iter().collect();
    let mut found = routines(session, &calls, &signs, &schemas).await?;
    schemas.push("pg_catalog".into());
    found.extend(by_name(session, &named, &schemas).await?);
    Ok(found)
}

async fn routines(session: &Session, calls: &Uses<'_>, signs: &Uses<'_>, schemas: &[String]) -> Result<Vec<Captured>> {
    let (called, signed) = (calls.names(), signs.names());
    let mut found = Vec::new();
    if called.is_empty() && signed.is_empty() {
        return Ok(found);
    }
    for mut row in session.rows(&query(ROUTINES), &[&called, &schemas, &signed]).await? {
        let (kind, schema, name, input, owner) = (row.text(), row.text(), row.text(), row.text(), row.text());
        let Some(room) = kinds::find(&kind) else { continue };
        let id =
            ObjectId::routine(room.kind(), Some(scope::schema_id(schema)), Ident::new(name.clone()), input.to_string());
        let uses = if &*kind == "operator" { signs } else { calls };
        let step = uses.steps(&name).first();
        found.extend(step.map(|step| captured(step, &name, id, Vec::new(), &owner)));
    }
    Ok(found)
}

/// An object that has one of the names.
struct There {
    schema: String,
    id: ObjectId,
    /// It belongs to another role.
    strange: bool,
    owner: String,
}

async fn by_name(session: &Session, named: &[Uses<'_>; 4], schemas: &[String]) -> Result<Vec<Captured>> {
    let [relations, types, collations, text_search] = named.each_ref().map(Uses::names);
    let mut found = Vec::new();
    if named.iter().all(|uses| uses.0.is_empty()) {
        return Ok(found);
    }
    let rows = session.rows(&query(NAMED), &[&relations, &types, &collations, &text_search, &schemas]).await?;
    let mut there: FxHashMap<(usize, String), Vec<There>> = FxHashMap::default();
    for mut row in rows {
        let place = usize::try_from(row.next::<i32>()).unwrap_or_default();
        let (kind, schema, name, owner) = (row.text(), row.text(), row.text(), row.text());
        let Some(room) = kinds::find(&kind) else { continue };
        let id = ObjectId::new(room.kind(), Some(scope::schema_id(schema.clone())), Ident::new(name.clone()));
        let (schema, strange, owner) = (schema.to_string(), row.next::<bool>(), owner.to_string());
        there.entry((place, name.to_string())).or_default().push(There { schema, id, strange, owner });
    }
    for ((place, name), known) in &there {
        let Some((uses, kinds)) = place.checked_sub(1).and_then(|at| named.get(at).zip(KINDS.get(at))) else {
            continue;
        };
        for step in uses.steps(name) {
            let path: Vec<&str> = std::iter::once("pg_catalog").chain(step.path.iter().map(String::as_str)).collect();
            let is_there = |schema: &&str| known.iter().any(|there| there.schema == **schema);
            let Some(at) = path.iter().position(is_there) else { continue };
            let (earlier, from) = path.split_at(at);
            let rather: Vec<ObjectId> = earlier.iter().flat_map(|schema| meant(kinds, schema, name)).collect();
            let found_in = |there: &&There| there.strange && from.first().is_some_and(|schema| there.schema == *schema);
            found.extend(
                known
                    .iter()
                    .filter(found_in)
                    .map(|there| captured(step, name, there.id.clone(), rather.clone(), &there.owner)),
            );
        }
    }
    found.sort_by_cached_key(|captured| captured.id.to_string());
    Ok(found)
}

/// The objects that a schema may have under that name.
fn meant(kinds: &[&str], schema: &str, name: &str) -> Vec<ObjectId> {
    let rooms = kinds.iter().filter_map(|word| kinds::find(word));
    let id = |kind| ObjectId::new(kind, Some(scope::schema_id(Text::from(schema))), Ident::from(name));
    rooms.map(|room| id(room.kind())).collect()
}

/// Refuses objects that no file declares.
///
/// # Errors
/// `Refused`, with each of them, its owner and what uses its name.
pub fn refuse(found: Vec<Captured>, is_declared: impl Fn(&ObjectId) -> bool) -> Result<()> {
    let is_meant = |captured: &Captured| is_declared(&captured.id) || captured.rather.iter().any(&is_declared);
    let strangers: Vec<Captured> = found.into_iter().filter(|captured| !is_meant(captured)).collect();
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
    Err(error.remedy(remedy(first)))
}

/// How to write what is meant.
fn remedy(captured: &Captured) -> String {
    let schema = captured.id.schema().map(|schema| sql::name(schema.name()).to_string()).unwrap_or_default();
    let (own, theirs) = (captured.name.as_str(), sql::name(captured.id.name()).to_string());
    match captured.id.kind().word {
        "operator" => format!("write `OPERATOR(pg_catalog.{own})`, or the schema of the operator that you mean"),
        "function" | "procedure" | "aggregate" => {
            format!("write `pg_catalog.{own}`, or the schema of the one that you mean; this one is `{schema}.{theirs}`")
        }
        _ => format!(
            "write the schema of the one that you mean, or declare it in schema/; this one is `{schema}.{theirs}`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_filled_in() {
        let text = query("SELECT STRANGE(1, a.oid) WHERE STRANGE(2, b.oid)");
        assert!(
            text.contains("d.classid = 1 AND d.objid = a.oid") && text.contains("d.classid = 2 AND d.objid = b.oid")
        );
        assert!([ROUTINES, NAMED].iter().all(|text| !query(text).contains("STRANGE")));
    }
}
