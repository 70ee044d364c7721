//! Checks, before the first step, whether the role that runs a plan has the privileges that its steps need. Otherwise a privilege missing at
//! the second step would only be noticed once the first has been committed.

use std::collections::BTreeSet;

use crate::catalog::Session;
use crate::kinds::{self, LockMode, Need, held};
use crate::model::{Address, Error, Ident, Result, Within, grantor};
use crate::plan::{Action, Step};
use crate::sql;

use super::stale;

/// An object as its text names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    /// The catalog that stores its owner.
    catalog: &'static str,
    /// Empty for what is in no schema.
    schema: String,
    name: String,
    /// A routine's or an operator's types.
    signature: String,
    /// For people.
    shown: String,
}

/// A privilege that a role needs on something that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// `owner`, `dropper`, `grantor`, `trigger`, `references`, `usage`, `create-in`, `create-here`, `trusted`, `superuser`.
    need: &'static str,
    on: Target,
}

/// What is missing: one row per need that is not met, with its number. What does not exist (yet) has no owner.
fn missing() -> String {
    format!(
        "WITH wanted AS (SELECT u.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
             WITH ORDINALITY AS u (need, catalog, schema, name, signature, at)), \
         owned AS ({owners}) \
         SELECT at::int4, pg_get_userbyid(owner)::text, (SELECT rolsuper FROM pg_roles WHERE oid = owned.owner) FROM owned WHERE CASE need \
             WHEN 'owner' THEN NOT pg_has_role(owner, 'USAGE') \
             WHEN 'dropper' THEN NOT pg_has_role(owner, 'USAGE') AND NOT COALESCE(pg_has_role(schema_owner, 'USAGE'), false) \
             WHEN 'grantor' THEN NOT pg_has_role(owner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(acl) a \
                 WHERE a.is_grantable AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))) \
                 AND NOT EXISTS (SELECT FROM pg_attribute c, aclexplode(c.attacl) a WHERE c.attrelid = owned.oid AND a.is_grantable \
                     AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))) \
             WHEN 'trigger' THEN NOT has_table_privilege(oid, 'TRIGGER') \
             WHEN 'references' THEN NOT has_any_column_privilege(oid, 'REFERENCES') \
             WHEN 'usage' THEN NOT has_server_privilege(oid, 'USAGE') \
             WHEN 'create-in' THEN NOT has_schema_privilege(oid, 'CREATE') \
             ELSE false END \
         UNION ALL SELECT at::int4, '', false FROM wanted WHERE CASE need \
             WHEN 'superuser' THEN true \
             WHEN 'create-here' THEN NOT has_database_privilege(current_database(), 'CREATE') \
             WHEN 'trusted' THEN EXISTS (SELECT FROM pg_available_extension_versions v JOIN pg_available_extensions e \
                 ON e.name = v.name AND e.default_version = v.version WHERE v.name = wanted.name::name \
                 AND v.superuser AND NOT (v.trusted AND has_database_privilege(current_database(), 'CREATE'))) \
             ELSE false END \
         ORDER BY 1",
        owners = held::owners_query()
    )
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
    let mut wanted = wanted(steps, &session.user);
    if !ledger {
        wanted.insert(Wanted { need: "create-here", on: Target::default() });
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Wanted> = wanted.into_iter().collect();
    let column = |of: fn(&Wanted) -> &str| -> Vec<&str> { wanted.iter().map(of).collect() };
    let (needs, catalogs) = (column(|w| w.need), column(|w| w.on.catalog));
    let (schemas, names) = (column(|w| &w.on.schema), column(|w| &w.on.name));
    let signatures = column(|w| &w.on.signature);
    let rows = session.rows(&missing(), &[&needs, &catalogs, &schemas, &names, &signatures]).await?;
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
    let shown = &wanted.on.shown;
    match wanted.need {
        "create-in" => format!("CREATE on schema {shown} is missing: GRANT CREATE ON SCHEMA {shown} TO {role}"),
        "create-here" => {
            format!("CREATE on database {database} is missing: GRANT CREATE ON DATABASE {database} TO {role}")
        }
        "trigger" => format!("TRIGGER on {shown} is missing: GRANT TRIGGER ON {shown} TO {role}"),
        "references" => format!("REFERENCES on {shown} is missing: GRANT REFERENCES ON {shown} TO {role}"),
        "usage" => format!("USAGE on {shown} is missing: GRANT USAGE ON FOREIGN SERVER {shown} TO {role}"),
        "superuser" | "trusted" => format!("{shown}: only a superuser may create, alter or drop it"),
        _ if is_super => {
            format!(
                "{shown} belongs to {owner}, a superuser: connect as {owner}, or have {owner} make {role} its owner"
            )
        }
        _ => format!("{shown} belongs to {owner}: GRANT {owner} TO {role}"),
    }
}

/// The object that an object's text is about: that whose comment, owner or privileges it is, else itself.
fn bearer(object: &str) -> &str {
    let word = object.split(' ').next().unwrap_or_default();
    let facet = kinds::find(word).is_some_and(|room| room.kind().address == Address::Facet);
    let mut quoted = false;
    let on = object.char_indices().find(|(at, c)| {
        quoted ^= *c == '"';
        !quoted && object.get(*at..).is_some_and(|rest| rest.starts_with(" on "))
    });
    match on.filter(|_| facet) {
        Some((at, _)) => bearer(object.get(at + 4..).unwrap_or_default()),
        None => object,
    }
}

/// What has an owner: the objects that a text may be a part of, or that it names. Most have one; a check may be a table's or a domain's.
fn targets(object: &str) -> Vec<Target> {
    let object = bearer(object);
    let Some((word, path)) = object.split_once(' ') else { return Vec::new() };
    if kinds::find(word).is_some_and(|room| room.need() == Need::OneType) {
        return own_type(&signature(path)).into_iter().collect();
    }
    let (Some(kind), Some(names)) = (kinds::find(word).map(|room| room.kind()), stale::names(object)) else {
        return Vec::new();
    };
    let part = matches!(kind.address, Address::Beside | Address::MemberOf | Address::NamedOn | Address::Part);
    let words: Vec<&'static str> = match kind.within {
        Within::Of(words) if part => words.to_vec(),
        _ => vec![kind.word],
    };
    let mut out: Vec<Target> = Vec::new();
    for held in words.into_iter().filter_map(held::held_by) {
        let (schema, name) = match (held.in_schema, names.as_slice()) {
            (true, [schema, name, ..]) => (schema.clone(), name.clone()),
            (false, [name, ..]) => (String::new(), name.clone()),
            _ => continue,
        };
        let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
        let signature = if part { String::new() } else { signature(path) };
        let mut shown = if held.in_schema { format!("{}.{}", quoted(&schema), quoted(&name)) } else { quoted(&name) };
        if matches!(kind.address, Address::Routine) {
            shown = format!("{shown}({signature})");
        }
        let target = Target { catalog: held.catalog, schema, name, signature, shown };
        if !out.contains(&target) {
            out.push(target);
        }
    }
    out
}

/// The only one among some types that is not built in. If there are several, one of them is enough, and the server decides.
fn own_type(signature: &str) -> Option<Target> {
    let types = sql::signature::split(signature);
    let mut own = types.iter().filter_map(|text| sql::reference::split(text).ok().filter(|names| names.len() == 2));
    let (names, None) = (own.next()?, own.next()) else { return None };
    let (schema, name) = (names.first()?.to_string(), names.last()?.to_string());
    let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
    let shown = format!("{}.{}", quoted(&schema), quoted(&name));
    Some(Target { catalog: "pg_type", schema, name, shown, ..Target::default() })
}

/// The types of a routine's text.
fn signature(path: &str) -> String {
    let mut quoted = false;
    let start = path.find(|c| {
        quoted ^= c == '"';
        c == '(' && !quoted
    });
    let inside = start.and_then(|at| path.get(at + 1..)).and_then(|rest| rest.strip_suffix(')'));
    inside.unwrap_or_default().to_string()
}

fn schema(name: &str) -> Target {
    let shown = sql::name(&Ident::from(name)).to_string();
    Target { catalog: "pg_namespace", name: name.into(), shown, ..Target::default() }
}

/// What the plan has created so far, which belongs to the role that runs it.
#[derive(Default)]
struct Made(BTreeSet<(&'static str, String, String)>);

impl Made {
    fn add(&mut self, on: &Target) {
        self.0.insert((on.catalog, on.schema.clone(), on.name.clone()));
    }

    fn has(&self, on: &Target) -> bool {
        self.0.contains(&(on.catalog, on.schema.clone(), on.name.clone()))
            || self.0.contains(&("pg_namespace", String::new(), on.schema.clone()))
    }
}

/// What the steps need of what exists. After a step written by hand, anything may have changed.
fn wanted<'a>(steps: impl Iterator<Item = &'a Step>, user: &str) -> BTreeSet<Wanted> {
    let (mut wanted, mut made) = (BTreeSet::new(), Made::default());
    for step in steps {
        let Some(room) = step.object.split(' ').next().and_then(kinds::find) else { break };
        if step.action == Action::Manual {
            break;
        }
        if room.need() == Need::Unknown {
            continue;
        }
        // A rename names the old object apart.
        let object = step.with.first().filter(|_| step.action == Action::Rename).unwrap_or(&step.object);
        let (kind, on) = (room.kind(), targets(object));
        let itself = matches!(kind.address, Address::Schema | Address::Global | Address::Qualified | Address::Routine);
        let makes = step.action == Action::Create && itself;
        let mut here = on_itself(room.need(), step, &on, makes, user);
        let names = stale::names(object).unwrap_or_default();
        if makes {
            match (kind.address, names.as_slice()) {
                (Address::Schema, _) => here.push(("create-here", Target::default())),
                (Address::Qualified | Address::Routine, [name, ..]) => here.push(("create-in", schema(name))),
                _ => {}
            }
        }
        let lets = room.need() == Need::Grantor || room.need() == Need::Given && step.action == Action::Create;
        if !lets {
            here.extend(on_tables(room.need(), step, kind.address));
        }
        wanted.extend(here.into_iter().filter(|(_, on)| !made.has(on)).map(|(need, on)| Wanted { need, on }));
        if makes && held::held_by(kind.word).is_some() {
            on.iter().for_each(|on| made.add(on));
        }
    }
    wanted
}

/// What a step needs on its object, or on what that is a part of.
fn on_itself(need: Need, step: &Step, on: &[Target], makes: bool, user: &str) -> Vec<(&'static str, Target)> {
    let all = |need: &'static str| on.iter().map(|on| (need, on.clone())).collect::<Vec<_>>();
    let this = |need: &'static str| {
        let names = stale::names(&step.object).unwrap_or_default();
        vec![(
            need,
            Target { name: names.last().cloned().unwrap_or_default(), shown: step.object.clone(), ..Target::default() },
        )]
    };
    let own = || stale::names(&step.object).is_some_and(|names| names.last().is_some_and(|name| name == user));
    let address = kinds::find(step.object.split(' ').next().unwrap_or_default()).map(|room| room.kind().address);
    let in_schema = matches!(address, Some(Address::Qualified | Address::Routine | Address::Beside));
    let bears = kinds::find(bearer(&step.object).split(' ').next().unwrap_or_default()).map(|room| room.need());
    match (need, step.action) {
        (Need::Given, Action::Create) => Vec::new(),
        (Need::OneType, _) => all("owner"),
        (Need::Superuser, Action::Create | Action::Alter) | (Need::SuperuserToMake, Action::Create) => {
            this("superuser")
        }
        (Need::Superuser, _) if on.is_empty() => {
            let names = stale::names(&step.object).unwrap_or_default();
            names.first().map(|name| ("owner", schema(name))).into_iter().collect()
        }
        (Need::Owner, _) if on.is_empty() && bears == Some(Need::Superuser) => this("superuser"),
        (Need::Trusted, Action::Create) => this("trusted"),
        (Need::Database, Action::Create) => vec![("create-here", Target::default())],
        (Need::Trigger, Action::Create) => Vec::new(), // it is on the table that is locked
        (Need::Own, _) if own() => all("usage"),
        // Some of it may be given by others than the owner.
        (Need::Grantor, _) if grantor(&step.object).is_some() => Vec::new(),
        (Need::Grantor, _) => all("grantor"),
        _ if makes => Vec::new(),
        // The owner of a schema may drop what is in it.
        (_, Action::Drop) if in_schema => all("dropper"),
        _ => all("owner"),
    }
}

/// What a step needs on the tables that it locks.
fn on_tables(need: Need, step: &Step, address: Address) -> Vec<(&'static str, Target)> {
    let need = match (need, step.action) {
        (Need::Trigger, Action::Create) => "trigger",
        (_, Action::Drop) if matches!(address, Address::Qualified | Address::Beside) => "dropper",
        _ => "owner",
    };
    let claimed = step.lock.iter().filter(|(mode, _)| *mode >= LockMode::ShareUpdateExclusive);
    let claimed = claimed.flat_map(|(_, on)| targets(on)).map(|on| (need, on));
    let reached = step.locks.iter().filter(|_| step.action == Action::Create);
    claimed.chain(reached.flat_map(|(_, on)| targets(on)).map(|on| ("references", on))).collect()
}
