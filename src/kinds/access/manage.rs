//! Which owners and privileges are managed: files may leave owners out, `all` differs between versions, and some projects leave either to
//! somebody else.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Version;
use crate::kinds::scope::schema_id;
use crate::kinds::{
    Context, Statement, column, default, domain, event_trigger, identity, publication, publication_schema, room,
    sequence, table, toast,
};
use crate::model::{Ident, Key, KindRef, Object, ObjectId, Result, State, Text};
use crate::sql::types;

use super::acl::{self, On, PRIVILEGES};
use super::{default_privileges, grant, owner, revoke};

/// What a project says about owners and privileges.
#[derive(Debug, Clone, Copy)]
pub struct Managed<'a> {
    /// The owner of everything that names no other; `None`: such owners are left as they are.
    pub owner: Option<&'a Ident>,
    /// False: no owner is ever changed.
    pub owners: bool,
    /// False: no access right is ever changed.
    pub grants: bool,
}

impl Default for Managed<'_> {
    fn default() -> Self {
        Self { owner: None, owners: true, grants: true }
    }
}

/// Completes the desired state by what the live one decides, so that the two can be compared: owners that the files leave out,
/// `all` as the server's version means it, privileges that are not managed. Renames have to be applied to `live` before.
/// Objects that are put back although that was not requested keep their owners this way, too.
pub fn settle(live: &State, desired: &mut State, server: Version, managed: &Managed<'_>) {
    settle_sequences(live, desired);
    settle_logging(live, desired, server);
    settle_nulls(live, desired);
    settle_tags(live, desired);
    toast::settle(live, desired);
    settle_owners(live, desired, managed);
    settle_rights(live, desired, server, managed);
}

/// Privileges and comments on the sequence of an identity name it, whatever it is called.
fn settle_sequences(live: &State, desired: &mut State) {
    for (id, object) in desired.objects_mut().iter_mut().filter(|(id, _)| id.is(&identity::KIND)) {
        let name = live.get(id).and_then(|theirs| theirs.get(identity::SEQUENCE_NAME));
        if object.get(identity::SEQUENCE_NAME).is_none() {
            object.attrs.set(identity::SEQUENCE_NAME, name);
        }
    }
}

/// A partitioned table has no rows: whether it is logged means nothing, is never altered, and from 18 on cannot even be said. The sequence
/// of a serial column is logged as its table is (from 15 on).
fn settle_logging(live: &State, desired: &mut State, server: Version) {
    for (id, table) in desired.objects_mut().iter_mut().filter(|(_, object)| object.get(table::PARTITION_BY).is_some())
    {
        let theirs = live.get(id).map(|theirs| theirs.is(table::UNLOGGED));
        let unlogged = theirs.unwrap_or_else(|| table.is(table::UNLOGGED) && !server.at_least(18));
        table.attrs.set(table::UNLOGGED, unlogged);
    }
    if !server.at_least(15) {
        return;
    }
    let of_unlogged = |id: &ObjectId| {
        let column = room(id.kind()).vanishes_with(id, desired)?;
        desired.get(column.parent()?).filter(|table| table.is(table::UNLOGGED))
    };
    let serial = desired.iter().filter(|(_, object)| object.unnamed).map(|(id, _)| id);
    let unlogged: Vec<ObjectId> = serial.filter(|id| of_unlogged(id).is_some()).cloned().collect();
    for id in unlogged {
        desired.objects_mut().entry(id).and_modify(|object| _ = object.attrs.set(sequence::UNLOGGED, true));
    }
}

/// A default that is NULL is none, unless the database holds it or would keep it, or the column would have its parent's.
fn settle_nulls(live: &State, desired: &mut State) {
    let null = |object: &Object| object.get(default::VALUE).is_some_and(default::is_null);
    let held = |id: &ObjectId| live.get(id).is_some_and(null);
    let none = |id: &ObjectId, object: &Object| {
        let column = id.parent().and_then(|column| desired.get(column));
        let sql_type = column.and_then(|column| column.get(column::TYPE)).map(|t| types::parse(t.as_str()));
        let (Some(value), Some(Ok(sql_type))) = (object.get(default::VALUE), sql_type) else { return false };
        let domain = |schema: &String| {
            desired.has(&ObjectId::new(&domain::KIND, Some(schema_id(schema.as_str())), sql_type.name.as_str()))
        };
        default::is_none(value, &sql_type, sql_type.schema.as_ref().is_some_and(domain))
    };
    let takes_away = |id: &ObjectId| !room(id.kind()).inherited_from(id, desired).is_empty();
    let nulls = desired.iter().filter(|(id, object)| id.is(&default::KIND) && none(id, object) && !held(id));
    let nulls = nulls.filter(|(id, _)| !takes_away(id));
    let gone: Vec<ObjectId> = nulls.map(|(id, _)| id.clone()).collect();
    gone.iter().for_each(|id| _ = desired.objects_mut().shift_remove(id));
}

/// The order of an event trigger's tags means nothing, and the database's is kept.
fn settle_tags(live: &State, desired: &mut State) {
    for (id, object) in desired.objects_mut().iter_mut().filter(|(id, _)| id.is(&event_trigger::KIND)) {
        if let Some(theirs) = live.get(id) {
            event_trigger::settle_tags(theirs, object);
        }
    }
}

fn settle_owners(live: &State, desired: &mut State, managed: &Managed<'_>) {
    if !managed.owners {
        desired.objects_mut().retain(|id, _| !id.is(&owner::KIND));
    }
    let project = managed.owner.filter(|_| managed.owners);
    let mut missing = Vec::new();
    for (id, _) in desired.iter() {
        let facet = ObjectId::facet(&owner::KIND, id.clone());
        // A sequence of a column has its table's owner, even if it had a separate one until now.
        if desired.has(&facet) || room(id.kind()).vanishes_with(id, desired).is_some() {
            continue;
        }
        match (live.get(&facet), project) {
            // The owner of schema public is initdb's choice, unless the files say something else.
            (Some(theirs), project) if project.is_none() || acl::is_initial(id) || is_superusers(id, desired) => {
                missing.push((facet, theirs.clone()))
            }
            (Some(_), Some(role)) => missing.push(owner::owned(id, role)),
            (None, Some(role)) if has_owner(id, desired) && !live.has(id) => missing.push(owner::owned(id, role)),
            _ => {}
        }
    }
    for (id, object) in missing {
        desired.put(id, object);
    }
}

/// True if PostgreSQL lets only superusers own it: the project's owner hardly is one, so that it has one only where files say so.
fn is_superusers(id: &ObjectId, state: &State) -> bool {
    match id.kind().word {
        "event-trigger" => true,
        "publication" => {
            state.get(id).is_some_and(|p| p.is(publication::ALL_TABLES))
                || state.parts(id, publication_schema::KIND.word).next().is_some()
        }
        _ => false,
    }
}

/// True if the object has its own owner: parts share the owner of what they are part of, and so do sequences of columns.
fn has_owner(id: &ObjectId, state: &State) -> bool {
    let own = room(id.kind()).held().is_some_and(|held| held.owners.is_some());
    own && !acl::is_initial(id) && !is_superusers(id, state) && room(id.kind()).vanishes_with(id, state).is_none()
}

fn settle_rights(live: &State, desired: &mut State, server: Version, managed: &Managed<'_>) {
    let is_right = |kind: KindRef| kind == &grant::KIND || kind == &revoke::KIND;
    if !managed.grants {
        let defaults = |id: &ObjectId| id.is(&default_privileges::KIND);
        desired.objects_mut().retain(|id, _| !is_right(id.kind()) && !defaults(id));
        let stays = |id: &ObjectId| {
            defaults(id) || is_right(id.kind()) && id.parent().is_some_and(|p| desired.has(p) || defaults(p))
        };
        let theirs: Vec<(ObjectId, Object)> =
            live.iter().filter(|(id, _)| stays(id)).map(|(id, object)| (id.clone(), object.clone())).collect();
        theirs.into_iter().for_each(|(id, object)| _ = desired.put(id, object));
        return;
    }
    let owners: FxHashMap<ObjectId, Option<Ident>> = desired
        .iter()
        .filter(|(id, _)| id.is(&owner::KIND))
        .filter_map(|(id, object)| Some((id.parent()?.clone(), owner::role(object))))
        .collect();
    // A grant that the files attribute to the owner by name is the same as one by the owner.
    let by_owner: Vec<ObjectId> = desired
        .iter()
        .filter(|(id, _)| id.is(&grant::KIND) && id.signature().is_some())
        .filter(|(id, _)| {
            let owner = id.parent().map(|p| acl::owned_with(grant::whole(p))).and_then(|p| owners.get(p));
            owner.and_then(Option::as_ref).map(Ident::as_str) == id.signature().map(|s| &**s)
        })
        .map(|(id, _)| id.clone())
        .collect();
    for id in by_owner {
        let Some(object) = desired.objects_mut().shift_remove(&id) else { continue };
        let own = id.with_signature(None);
        let both = match desired.get(&own) {
            Some(other) => grant::together(other, &object),
            None => object,
        };
        desired.put(own, both);
    }
    let mut settled = Vec::new();
    for (id, object) in desired.iter().filter(|(id, _)| is_right(id.kind())) {
        let to_owner = id
            .parent()
            .filter(|_| id.signature().is_none())
            .and_then(|p| owners.get(acl::owned_with(p)))
            .is_some_and(|owner| owner.as_ref() == Some(id.name()));
        settled.push(match id.is(&grant::KIND) {
            // An owner has every right already.
            true if to_owner && !grant::is_more_than_rights(object) => (id.clone(), None),
            true => (id.clone(), grant::settled(id, object, server)),
            false => (id.clone(), revoke::settled(id, object, server)),
        });
    }
    for (id, object) in settled {
        match object {
            Some(object) => _ = desired.put(id, object),
            None => _ = desired.objects_mut().shift_remove(&id),
        }
    }
}

/// Takes out of a state that becomes files what a file need not say: owners that are the project's, or the connected role's
/// where the project names none, and the owner that initdb gave schema `public`.
pub fn leave_out_owners(state: &mut State, server: Version, project_owner: Option<&Ident>, connected: &Ident) {
    let usual = project_owner.unwrap_or(connected);
    state.objects_mut().retain(|id, object| {
        if !id.is(&owner::KIND) {
            return true;
        }
        let role = owner::role(object);
        // Before 15, the bootstrap superuser owns schema public; initdb calls it as it likes, so any owner may be that one. Since
        // then only the database's owner is meant, and the role that runs a plan does not create the schema.
        if id.parent().is_some_and(acl::is_initial) {
            return server.at_least(15) && role.is_some_and(|role| role.as_str() != "pg_database_owner");
        }
        role.as_ref() != Some(usual)
    });
}

/// Takes out of both ends of a plan the owners that were not requested and that the connected role is anyway: whoever runs the plan,
/// there or on another database, makes its objects and owns them.
pub fn leave_to_creator(old: &mut State, new: &mut State, desired: &State, connected: &Ident) {
    let unsaid: FxHashSet<ObjectId> = old
        .iter()
        .filter(|(id, object)| {
            id.is(&owner::KIND)
                && !desired.has(id)
                && owner::role(object).as_ref() == Some(connected)
                && new.get(id).is_none_or(|wanted| wanted == *object)
        })
        .map(|(id, _)| id.clone())
        .collect();
    old.objects_mut().retain(|id, _| !unsaid.contains(id));
    new.objects_mut().retain(|id, _| !unsaid.contains(id));
}

/// The statements that revoke what default privileges grant to an object that was just created, beyond what the object's own
/// grants say. `defaults` hold the default privileges that may be in force at that moment, those from
/// before the plan and those after it; taking a right that is not there does no harm.
///
/// # Errors
/// What the rooms report.
pub fn after_create(id: &ObjectId, defaults: [&State; 2], cx: &Context<'_>) -> Result<Vec<Statement>> {
    let mut out: Vec<Statement> = Vec::new();
    let Some(creator) = cx.creator else { return Ok(out) };
    let Some(word) = takes_defaults(id) else { return Ok(out) };
    let schema = id.schema().filter(|schema| *schema != id).map(|schema| schema.name().clone());
    let places = [None, schema.as_ref()].map(|schema| default_privileges::id(creator, word, schema.map(Ident::as_str)));
    for state in defaults {
        let mut given: Vec<_> = places.iter().flat_map(|place| state.inside(place)).collect();
        given.sort_by_key(|(facet, _)| state.position(facet));
        given.dedup_by_key(|(facet, _)| *facet);
        for (facet, unasked) in given {
            let own = facet.moved(Some(id.clone()));
            let room = room(own.kind());
            let statements = match cx.state.get(&own) {
                Some(wanted) => room.alter(&own, unasked, wanted, &[PRIVILEGES.name], cx)?,
                None => room.drop(&own, unasked, cx)?,
            };
            for statement in statements {
                if !out.iter().any(|s| s.sql == statement.sql) {
                    out.push(statement);
                }
            }
        }
    }
    Ok(out)
}

/// The word of the default privileges that an object gets when it is made: `tables`.
pub fn takes_defaults(id: &ObjectId) -> Option<&'static str> {
    let on = On::of(id).filter(|on| *on != On::Column)?;
    acl::PLURALS.iter().find(|(plural, ..)| *plural == on).map(|(_, word, _)| *word)
}

/// The word of default privileges, and of a right in them: `tables`.
pub fn gives_defaults(id: &ObjectId) -> Option<&str> {
    let own = std::iter::once(id).chain(id.parent()).find(|id| id.is(&default_privileges::KIND))?;
    acl::default_scope(own).map(|(word, _)| word)
}

/// Whether a right in default privileges that changes leaves less than before; `None` for anything else.
pub fn default_takes(id: &ObjectId, before: &Object, after: &Object) -> Option<bool> {
    let on = On::of_plural(gives_defaults(id)?)?;
    let (from, to) = if id.is(&revoke::KIND) { (after, before) } else { (before, after) };
    let list = |object: &Object, key: Key<Vec<Text>>| -> Vec<Text> {
        object.get(key).unwrap_or_default().into_iter().cloned().collect()
    };
    let lost = |key| !acl::without(&list(from, key), &list(to, key), on, Version(u32::MAX)).is_empty();
    Some(lost(PRIVILEGES) || lost(grant::GRANT_OPTION))
}

/// The default privileges of a state, with their grants and revocations.
pub fn defaults(state: &State) -> State {
    let mut out = State::default();
    for (id, object) in state.iter().filter(|(id, _)| gives_defaults(id).is_some()) {
        out.put(id.clone(), object.clone());
    }
    out
}

#[cfg(test)]
pub(in crate::kinds) mod tests {
    use super::*;
    use crate::kinds::{find, scope::schema_id};
    use crate::model::{Attrs, Text};

    /// A table of `public`.
    pub fn table(name: &str) -> ObjectId {
        ObjectId::new(find("table").unwrap().kind(), Some(schema_id("public")), name)
    }

    /// What somebody may do with an object.
    pub fn right(parent: &ObjectId, to: &str, rights: &[&str]) -> (ObjectId, Object) {
        let rights: Vec<Text> = rights.iter().map(|r| Text::from(*r)).collect();
        (ObjectId::new(&grant::KIND, Some(parent.clone()), to), Object::new(Attrs::new().with(PRIVILEGES, rights)))
    }

    #[test]
    fn an_omitted_owner_is_the_projects_or_stays() {
        let (orders, items) = (table("orders"), table("items"));
        let (facet, theirs) = owner::owned(&orders, &"alice".into());
        let mut live = State::default();
        live.put(orders.clone(), Object::default());
        live.put(facet.clone(), theirs.clone());
        let mut desired = State::default();
        desired.put(orders.clone(), Object::default());
        desired.put(items.clone(), Object::default());
        let mut left = desired.clone();
        settle(&live, &mut left, Version(150_000), &Managed::default());
        assert_eq!(left.get(&facet), Some(&theirs));
        assert_eq!(left.len(), 3);
        let app = Ident::from("app");
        settle(&live, &mut desired, Version(150_000), &Managed { owner: Some(&app), ..Managed::default() });
        assert_eq!(desired.get(&facet).and_then(owner::role), Some(app.clone()));
        assert_eq!(desired.get(&owner::owned(&items, &app).0).and_then(owner::role), Some(app));
    }

    #[test]
    fn what_default_privileges_add_is_taken_back() {
        let orders = table("orders");
        let defaults = default_privileges::id(&"app".into(), "tables", Some("public"));
        let mut before = State::default();
        for (id, object) in
            [right(&defaults, "reporting", &["select", "insert"]), right(&defaults, "other", &["select"])]
        {
            before.put(id, object);
        }
        let mut target = State::default();
        let (id, object) = right(&orders, "reporting", &["select"]);
        target.put(id, object);
        let (app, alice) = ("app".into(), "alice".into());
        let by = |creator| Context { creator: Some(creator), ..Context::new(Version(150_000), &target) };
        let sql: Vec<String> =
            after_create(&orders, [&before, &target], &by(&app)).unwrap().into_iter().map(|s| s.sql).collect();
        assert_eq!(
            sql,
            ["REVOKE INSERT ON TABLE public.orders FROM reporting", "REVOKE SELECT ON TABLE public.orders FROM other"]
        );
        assert!(after_create(&orders, [&before, &target], &by(&alice)).unwrap().is_empty());
    }
}
