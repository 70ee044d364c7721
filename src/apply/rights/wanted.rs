//! The privileges that steps need on what exists: their own objects, the tables that they lock, and what their rooms name. What earlier steps
//! create or grant is not needed any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Version;
use crate::kinds::rights::Right;
use crate::kinds::{self, LockMode, Need, held};
use crate::model::{Address, Ident, Namespace, Within, grantor};
use crate::plan::{Action, Step};
use crate::sql;

use super::super::stale;

/// An object as its text names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The catalog that stores its owner.
    pub catalog: &'static str,
    /// Empty for objects outside schemas.
    pub schema: String,
    pub name: String,
    /// A routine's or an operator's types.
    pub signature: String,
    /// As messages show it.
    pub shown: String,
}

/// A privilege that a role needs on something that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// One of the words in `missing`.
    pub need: &'static str,
    pub on: Target,
    /// The role that it is about, if that is not the session's own.
    pub role: String,
}

impl Wanted {
    pub fn new(need: &'static str, on: Target) -> Self {
        Self { need, on, role: String::new() }
    }

    fn of(need: &'static str, on: Target, role: &str) -> Self {
        Self { need, on, role: role.into() }
    }
}

/// What the plan has changed so far.
#[derive(Default)]
struct Made {
    /// The objects that it has created, which belong to the role that runs it.
    made: BTreeSet<Key>,
    /// The objects that it has given to others.
    given: BTreeMap<Key, String>,
    /// The objects on which it has granted privileges.
    granted: BTreeSet<Key>,
}

type Key = (&'static str, String, String, String);

fn key(on: &Target) -> Key {
    (on.catalog, on.schema.clone(), on.name.clone(), on.signature.clone())
}

impl Made {
    fn has(&self, on: &Target) -> bool {
        // A relation is a type, too.
        let row = || self.made.contains(&("pg_class", on.schema.clone(), on.name.clone(), String::new()));
        self.made.contains(&key(on))
            || on.catalog == "pg_type" && row()
            || self.made.contains(&key(&schema(&on.schema)))
    }

    /// The privileges that are still needed, after the steps so far.
    fn settled(&self, wanted: Wanted, user: &str) -> Option<Wanted> {
        let Wanted { need, on, role } = wanted;
        let by_grant = !matches!(
            need,
            "owner" | "heirs" | "of-type" | "dropper" | "giver" | "give" | "role" | "defaults" | "superuser"
        );
        if by_grant
            && (self.granted.contains(&key(&on)) || need == "holds" && self.granted.contains(&key(&schema(&on.schema))))
        {
            return None;
        }
        match (need, self.given.get(&key(&on))) {
            ("owner" | "heirs" | "dropper" | "grantor" | "giver", Some(to)) if role.is_empty() || need == "giver" => {
                return Some(Wanted::of("acts", on, to));
            }
            // On an object that it created and gave away, it has only the privileges that everybody has.
            (_, Some(to)) if self.has(&on) && matches!(on.catalog, "pg_namespace" | "pg_class") && role.is_empty() => {
                return Some(Wanted::of("acts", on, to));
            }
            _ => {}
        }
        if !self.has(&on) {
            return Some(Wanted { need, on, role });
        }
        match need {
            "give" if role != user => Some(Wanted { need: "role", on, role }),
            "holds" if role != user && !on.schema.is_empty() => {
                let home = schema(&on.schema);
                let known = self.has(&home) || self.granted.contains(&key(&home));
                (!known).then(|| Wanted::of("holds-in", home, &role))
            }
            _ => None,
        }
    }
}

/// The privileges that the steps need on existing objects. After a step written by hand, anything may have changed.
pub fn wanted<'a>(steps: impl Iterator<Item = &'a Step>, user: &str, server: Version) -> BTreeSet<Wanted> {
    let (mut wanted, mut made) = (BTreeSet::new(), Made::default());
    for step in steps {
        let Some(room) = step.object.split(' ').next().and_then(kinds::find) else { break };
        if step.action == Action::Manual {
            break;
        }
        // A rename names the old object separately.
        let object = step.with.first().filter(|_| step.action == Action::Rename).unwrap_or(&step.object);
        let (kind, on) = (room.kind(), targets(object));
        let itself = matches!(
            kind.address,
            Address::Schema | Address::Global | Address::Qualified | Address::Routine | Address::PerMethod
        );
        let makes = step.action == Action::Create && itself;
        let mut here = on_itself(room.need(), step, &on, makes, user);
        here.extend(places(step, object));
        let lets = room.need() == Need::Grantor || room.need() == Need::Given && step.action == Action::Create;
        if !lets {
            here.extend(on_tables(room.need(), step, kind.address));
            here.extend(on_heirs(step, room.needs_heirs(step.action == Action::Drop, server)));
        }
        let locked = step.lock.iter().chain(&step.locks).flat_map(|(_, on)| targets(on));
        // Without USAGE on its schema, the role that creates an object cannot use it.
        here.extend(on.iter().cloned().chain(locked).flat_map(|on| looked_into(&on)));
        if matches!(kind.address, Address::Qualified) {
            let names = stale::names(object).unwrap_or_default();
            here.extend(names.first().map(|name| Wanted::new("usage", schema(name))));
        }
        here.extend(step.rights.iter().flat_map(|(right, to)| demanded(*right, to, room.need(), step, &on)));
        wanted.extend(here.into_iter().filter_map(|wanted| made.settled(wanted, user)));
        if makes && held::held_by(kind.word).is_some() {
            made.made.extend(on.iter().map(key));
        } else if room.need() == Need::Given {
            let to = step.rights.iter().find(|(right, _)| *right == Right::Role);
            made.given.extend(to.into_iter().flat_map(|(_, to)| on.iter().map(|on| (key(on), to.clone()))));
        } else if room.need() == Need::Grantor {
            made.granted.extend(on.iter().map(key));
        }
    }
    wanted
}

/// The schemas on which USAGE is needed to find an object: its own, and those of its types.
fn looked_into(on: &Target) -> Vec<Wanted> {
    let types = sql::signature::split(&on.signature).into_iter().filter_map(|text| sql::reference::split(text).ok());
    let homes = types.filter(|names| names.len() == 2).filter_map(|names| Some(names.first()?.to_string()));
    let all = std::iter::once(on.schema.clone()).chain(homes).filter(|home| !home.is_empty());
    all.map(|home| Wanted::new("usage", schema(&home))).collect()
}

/// Resolves a privilege that a step needs on another object than its own.
fn demanded(right: Right, to: &str, need: Need, step: &Step, on: &[Target]) -> Vec<Wanted> {
    let all = |need: &'static str| beyond(to).into_iter().map(move |on| Wanted::new(need, on));
    let found =
        |need: &'static str| all(need).flat_map(|w| looked_into(&w.on).into_iter().chain([w]).collect::<Vec<_>>());
    match right {
        Right::Superuser => vec![Wanted::new("superuser", shown(step))],
        Right::Role if need == Need::Given => {
            let words = ["giver", "give", "holds"].into_iter();
            words.flat_map(|need| on.iter().map(move |on| Wanted::of(need, on.clone(), to))).collect()
        }
        Right::Role => vec![Wanted::of("role", shown(step), to)],
        Right::Usage => {
            found("usage").chain(all("trusted-language").filter(|w| w.on.catalog == "pg_language")).collect()
        }
        Right::Execute => found("execute").collect(),
        Right::Trigger => found("trigger").collect(),
        Right::Owner => found("owner").collect(),
        Right::Create => all("create-in")
            .map(|w| if w.on.catalog == "pg_tablespace" { Wanted { need: "create-on", ..w } } else { w })
            .collect(),
    }
}

/// The object of a privilege, whose kind may not be modelled.
fn beyond(on: &str) -> Vec<Target> {
    let Some((word, _)) = on.split_once(' ') else { return Vec::new() };
    let found = held::meant_by(word).zip(stale::names(on)).map(|(held, names)| {
        let (schema, name) = match names.as_slice() {
            [schema, name, ..] if held.in_schema => (schema.clone(), name.clone()),
            [name, ..] => (String::new(), name.clone()),
            [] => Default::default(),
        };
        let shown = if held.in_schema { format!("{}.{}", quoted(&schema), quoted(&name)) } else { quoted(&name) };
        Target { catalog: held.catalog, schema, name, shown, ..Target::default() }
    });
    found.map_or_else(|| targets(on), |target| vec![target])
}

/// The privileges on the places where a step creates something, or renames it.
fn places(step: &Step, object: &str) -> Vec<Wanted> {
    let here = || Wanted::new("create-here", Target::default());
    let mut out = Vec::new();
    let with = step.with.iter().map(String::as_str).filter(|_| step.action == Action::Create);
    for text in std::iter::once(object).chain(with) {
        let Some(room) = text.split(' ').next().and_then(kinds::find) else { continue };
        let (kind, names) = (room.kind(), stale::names(text).unwrap_or_default());
        let key = matches!(kind.namespace, Namespace::IndexConstraint | Namespace::PrimaryKey);
        match (step.action, kind.address, names.as_slice()) {
            (Action::Create | Action::Rename, Address::Schema, _) => out.push(here()),
            (Action::Rename, Address::Global, _) if room.need() == Need::Database => out.push(here()),
            // Types may be renamed where they could not be made (src/backend/commands/typecmds.c, RenameType).
            (Action::Rename, Address::Qualified, _) if matches!(kind.sql, "TYPE" | "DOMAIN") => {}
            (
                Action::Create | Action::Rename,
                Address::Qualified | Address::Routine | Address::PerMethod | Address::Beside,
                [name, ..],
            ) => out.push(Wanted::new("create-in", schema(name))),
            (Action::Create, Address::NamedOn | Address::Facet, [name, ..]) if key => {
                out.push(Wanted::new("create-in", schema(name)));
            }
            _ => {}
        }
    }
    out
}

fn quoted(name: &str) -> String {
    sql::name(&Ident::from(name)).to_string()
}

/// The step's object as messages show it.
fn shown(step: &Step) -> Target {
    let names = stale::names(&step.object).unwrap_or_default();
    Target { name: names.last().cloned().unwrap_or_default(), shown: step.object.clone(), ..Target::default() }
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

/// The objects with an owner that a text may be a part of, or that it names. Usually that is one; a check may belong to a table or a domain.
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
        let signature = if part { String::new() } else { signature(path) };
        let mut shown = if held.in_schema { format!("{}.{}", quoted(&schema), quoted(&name)) } else { quoted(&name) };
        match kind.address {
            Address::Routine => shown = format!("{shown}({signature})"),
            Address::PerMethod => shown = format!("{shown} USING {signature}"),
            _ => {}
        }
        let target = Target { catalog: held.catalog, schema, name, signature, shown };
        if !out.contains(&target) {
            out.push(target);
        }
    }
    out
}

/// The only one among some types that is not built in; any of them, if all are, since they have one owner. If there are several, one of them is
/// enough, and the server decides.
fn own_type(signature: &str) -> Option<Target> {
    let types = sql::signature::split(signature);
    let mut own = types.iter().filter_map(|text| sql::reference::split(text).ok().filter(|names| names.len() == 2));
    let (schema, name) = match (own.next(), own.next()) {
        (Some(names), None) => (names.first()?.to_string(), names.last()?.to_string()),
        (None, _) => ("pg_catalog".to_string(), "bool".to_string()),
        _ => return None,
    };
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
    Target { catalog: "pg_namespace", name: name.into(), shown: quoted(name), ..Target::default() }
}

/// The privileges that a step needs on its object, or on the object that contains it.
fn on_itself(need: Need, step: &Step, on: &[Target], makes: bool, user: &str) -> Vec<Wanted> {
    let all = |need: &'static str| on.iter().map(|on| Wanted::new(need, on.clone())).collect::<Vec<_>>();
    let this = |need: &'static str| vec![Wanted::new(need, shown(step))];
    let names = || stale::names(&step.object).unwrap_or_default();
    let own = || names().last().is_some_and(|name| name == user);
    let address = kinds::find(step.object.split(' ').next().unwrap_or_default()).map(|room| room.kind().address);
    let in_schema =
        matches!(address, Some(Address::Qualified | Address::Routine | Address::PerMethod | Address::Beside));
    let bearer = bearer(&step.object);
    let bears = kinds::find(bearer.split(' ').next().unwrap_or_default()).map(|room| room.need());
    if bears == Some(Need::Its) {
        let role = stale::names(bearer).unwrap_or_default().pop().unwrap_or_default();
        return vec![Wanted::of("defaults", shown(step), &role)];
    }
    if bears == Some(Need::OneType) {
        return all("of-type");
    }
    match (need, step.action) {
        (Need::Given, Action::Create) => Vec::new(),
        (Need::Superuser, Action::Create | Action::Alter) | (Need::SuperuserToMake, Action::Create) => {
            this("superuser")
        }
        (Need::Superuser, _) if on.is_empty() => {
            names().first().map(|name| Wanted::new("owner", schema(name))).into_iter().collect()
        }
        (Need::Owner, _) if on.is_empty() && bears == Some(Need::Superuser) => this("superuser"),
        (Need::Trusted, Action::Create) => this("trusted"),
        (Need::Database, Action::Create) => vec![Wanted::new("create-here", Target::default())],
        (Need::Trigger, Action::Create) => Vec::new(), // it is on the table that is locked
        (Need::Own, _) if own() => all("usage"),
        // Other roles than the owner may have granted some of it.
        (Need::Grantor, _) => match grantor(&step.object) {
            Some(by) => {
                let gives = on.iter().map(|on| Wanted::of("grantor", on.clone(), by.as_str()));
                gives.chain([Wanted::of("role", shown(step), by.as_str())]).collect()
            }
            None => all("grantor"),
        },
        _ if makes => Vec::new(),
        // The owner of a schema may drop the objects in it.
        (_, Action::Drop) if in_schema => all("dropper"),
        _ => all("owner"),
    }
}

/// The text of a statement before its first string, without quoted names.
fn unquoted(sql: &str) -> String {
    let outside: String = sql.split('"').step_by(2).collect();
    outside.split('\'').next().unwrap_or_default().to_owned()
}

/// A change to a table applies to those that inherit from it, and PostgreSQL requires ownership of these, too. Inheriting from a table requires
/// its ownership; ceasing to inherit does not.
fn on_heirs(step: &Step, reaches: bool) -> Vec<Wanted> {
    let all = |need: &'static str, locks: &[(LockMode, String)]| -> Vec<Wanted> {
        let tables = locks.iter().flat_map(|(_, on)| targets(on));
        tables.map(|on| Wanted::new(need, on)).collect()
    };
    let head = unquoted(&step.sql);
    let says = |words: &str| head.contains(words);
    match step.lock.as_slice() {
        _ if says(" INHERIT ") && !says(" NO INHERIT ") => all("owner", &step.locks),
        own if reaches && !says(" ONLY ") => all("heirs", own),
        _ => Vec::new(),
    }
}

/// The privileges that a step needs on the tables that it locks.
fn on_tables(need: Need, step: &Step, address: Address) -> Vec<Wanted> {
    let need = match (need, step.action) {
        (Need::Trigger, Action::Create) => "trigger",
        (_, Action::Drop) if matches!(address, Address::Qualified | Address::Beside) => "dropper",
        _ => "owner",
    };
    // Dropping a table from a publication locks the table, and a partition locks the whole: neither is what the step changes.
    let more = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '"');
    let is_own = |on: &str| {
        let (_, path) = on.split_once(' ').unwrap_or_default();
        step.object.split(path).skip(1).any(|rest| !rest.starts_with(more))
    };
    let claimed = step.lock.iter().filter(|(mode, _)| *mode >= LockMode::ShareUpdateExclusive);
    let claimed = claimed.filter(|(_, on)| step.action != Action::Drop || is_own(on));
    let claimed = claimed.flat_map(|(_, on)| targets(on)).map(|on| Wanted::new(need, on));
    // A new partition takes over foreign keys that are there already.
    let refers = step.action == Action::Create && step.lock.as_ref().is_none_or(|(_, on)| is_own(on));
    let reached = step.locks.iter().filter(|_| refers);
    claimed.chain(reached.flat_map(|(_, on)| targets(on)).map(|on| Wanted::new("references", on))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_and_strings_do_not_count() {
        assert_eq!(unquoted("ALTER TABLE a.\"T\" INHERIT b.\"it's ONLY\""), "ALTER TABLE a. INHERIT b.");
        assert_eq!(unquoted("ALTER TABLE t ADD CHECK (v <> ' ONLY ')"), "ALTER TABLE t ADD CHECK (v <> ");
    }
}
