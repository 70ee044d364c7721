//! The roles that a state names: finding them, leaving them out, renaming them.

use rustc_hash::FxHashMap;

use crate::kinds::{foreign_options, user_mapping};
use crate::model::{Ident, KindRef, ObjectId, State, Text, Value};

use super::{default_privileges, grant, owner, policy, revoke};

/// Every role that a state names as owner, grantee, grantor or creator, or for whom a policy is: a missing one is an error that
/// names it.
pub fn named(state: &State) -> Vec<(Ident, ObjectId)> {
    let mut out: Vec<(Ident, ObjectId)> = Vec::new();
    for (id, object) in state.iter() {
        let mut named = if id.is(&owner::KIND) {
            owner::role(object).into_iter().collect()
        } else if id.is(&policy::KIND) {
            object.get(policy::TO).unwrap_or_default()
        } else if named_after_role(id.kind()) {
            vec![id.name().clone()]
        } else {
            Vec::new()
        };
        named.retain(|role| role.as_str() != "public");
        named.extend(id.signature().filter(|_| id.is(&grant::KIND)).map(|grantor| Ident::new(grantor.clone())));
        for role in named {
            if !out.iter().any(|(known, _)| *known == role) {
                out.push((role, id.clone()));
            }
        }
    }
    out
}

/// True for objects whose name is a role's.
fn named_after_role(kind: KindRef) -> bool {
    [&grant::KIND, &revoke::KIND, &default_privileges::KIND, &user_mapping::KIND].contains(&kind)
}

/// A state without owners, privileges, user mappings, secrets and the roles of policies: for a server that has none of the roles.
pub fn without(state: &State) -> State {
    let mut out = State::default();
    for (id, object) in state.iter() {
        let about_roles =
            [id].into_iter().chain(id.parent()).any(|id| id.is(&owner::KIND) || named_after_role(id.kind()));
        if !about_roles {
            let mut object = object.clone();
            object.attrs.remove(foreign_options::SECRET.name);
            if id.is(&policy::KIND) {
                object.attrs.remove(policy::TO.name);
            }
            out.put(id.clone(), object);
        }
    }
    out
}

/// Gives roles their names in an environment. Where two of them become one, it has the privileges of both.
pub fn map(state: &State, names: &FxHashMap<Ident, Ident>) -> State {
    let map = |role: &Ident| names.get(role).cloned().unwrap_or_else(|| role.clone());
    let mut out = State::default();
    for (id, object) in state.iter() {
        let mut object = object.clone();
        if id.is(&owner::KIND) {
            for (_, value) in object.attrs.iter_mut() {
                if let Value::Text(text) = value {
                    *text = Text::from(map(&Ident::new(text.clone())).as_str());
                }
            }
        }
        if let Some(roles) = object.get(policy::TO).filter(|_| id.is(&policy::KIND)) {
            object.attrs.set(policy::TO, policy::settled(roles.iter().map(map).collect()));
        }
        let is_right = id.is(&grant::KIND) || id.is(&revoke::KIND);
        let own = if named_after_role(id.kind()) { id.renamed(map(id.name())) } else { id.clone() };
        let own = match own.signature().filter(|_| own.is(&grant::KIND)) {
            Some(grantor) => own.with_signature(Some(map(&Ident::new(grantor.clone())).text())),
            None => own,
        };
        let own = match own.parent().filter(|p| is_right && p.is(&default_privileges::KIND)) {
            Some(parent) => own.moved(Some(parent.renamed(map(parent.name())))),
            None => own,
        };
        let object = match out.get(&own).filter(|_| is_right) {
            Some(other) => grant::together(other, &object),
            None => object,
        };
        out.put(own, object);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Version;
    use crate::kinds::acl::PRIVILEGES;
    use crate::kinds::manage::tests::{right, table};
    use crate::kinds::manage::{Managed, settle};
    use crate::kinds::scope::schema_id;
    use crate::model::{Attrs, Object};

    #[test]
    fn grantors_are_roles_and_the_owner_is_none() {
        let orders = table("orders");
        let (id, object) = right(&orders, "reader", &["select"]);
        let by = id.with_signature(Some("admin".into()));
        let mut state = State::default();
        state.put(orders.clone(), Object::default());
        state.put(id.clone(), right(&orders, "reader", &["insert"]).1);
        state.put(by, object);
        let found: Vec<Ident> = named(&state).into_iter().map(|(role, _)| role).collect();
        assert_eq!(found, [Ident::from("reader"), Ident::from("admin")]);
        let names = [(Ident::from("admin"), Ident::from("prod_admin"))].into_iter().collect();
        let mut mapped = map(&state, &names);
        let prod = id.with_signature(Some("prod_admin".into()));
        assert!(mapped.has(&prod));
        let (owner, role) = owner::owned(&orders, &"prod_admin".into());
        mapped.put(owner, role);
        settle(&State::default(), &mut mapped, Version(150_000), &Managed::default());
        assert!(!mapped.has(&prod));
        assert_eq!(mapped.get(&id).and_then(|o| o.get(PRIVILEGES)).map(|l| l.len()), Some(2));
    }

    #[test]
    fn roles_have_their_names_everywhere() {
        let orders = table("orders");
        let policy = ObjectId::new(&policy::KIND, Some(orders.clone()), "own_rows");
        let mapping = ObjectId::new(&user_mapping::KIND, Some(schema_id("remote")), "app");
        let defaults = default_privileges::id(&"app".into(), "tables", Some("public"));
        let mut state = State::default();
        let to = |roles: &[&str]| roles.iter().map(|role| Ident::from(*role)).collect::<Vec<_>>();
        state.put(policy.clone(), Object::new(Attrs::new().with(policy::TO, to(&["admin", "app", "guest"]))));
        state.put(mapping, Object::default());
        state.put(defaults.clone(), Object::default());
        for (id, object) in [right(&orders, "app", &["select"]), right(&orders, "admin", &["insert"])] {
            state.put(id, object);
        }
        let (id, object) = right(&defaults, "app", &["select"]);
        state.put(id, object);
        let names = ["app", "admin"].map(|role| (Ident::from(role), Ident::from("prod"))).into_iter().collect();
        let mapped = map(&state, &names);
        assert_eq!(mapped.get(&policy).and_then(|p| p.get(policy::TO)), Some(to(&["guest", "prod"])));
        let found: Vec<Ident> = named(&mapped).into_iter().map(|(role, _)| role).collect();
        assert_eq!(found, to(&["guest", "prod"]));
        let there = right(&default_privileges::id(&"prod".into(), "tables", Some("public")), "prod", &[]).0;
        assert!(mapped.has(&there));
        let both = mapped.get(&right(&orders, "prod", &[]).0).and_then(|grant| grant.get(PRIVILEGES));
        assert_eq!(both, Some(["select", "insert"].map(Text::from).iter().collect()));
    }
}
