//! The grantor of a privilege, if that is not the owner: in files, in SQL, and the privileges that the grant depends on.

use crate::kdl::{Node, Problem};
use crate::kinds::generic;
use crate::kinds::scope::Scope;

use super::*;

/// Who granted the privileges, if the node says that it was not the owner; the outer `None` is a problem that was reported.
pub fn parse(node: &Node, parent: &ObjectId, scope: &mut Scope<'_>) -> Option<Option<Text>> {
    let Some(arg) = node.get_prop("by") else { return Some(None) };
    let grantor = generic::name_of(arg, scope)?;
    if parent.kind().word == "default-privileges" {
        let problem = Problem::new(arg.span, "only the role itself can grant privileges on what it will create");
        scope.problem(problem.label("not in default privileges"));
        return None;
    }
    if grantor.as_str() == "public" {
        scope.problem(Problem::new(arg.span, "PUBLIC cannot grant privileges").label("must be a role"));
        return None;
    }
    Some(Some(grantor.text()))
}

/// PostgreSQL uses the current role as the grantor, or the owner if that role is the owner or a superuser
/// (src/backend/utils/adt/acl.c, select_best_grantor). LOCAL: a transaction that fails leaves nothing behind.
pub fn in_the_name_of(id: &ObjectId, statements: Vec<Statement>) -> Vec<Statement> {
    let Some(grantor) = id.signature().filter(|_| !statements.is_empty()) else { return statements };
    let mut out = vec![Statement::new(format!("SET LOCAL ROLE {}", sql::name(&Ident::new(grantor.clone()))))];
    out.extend(statements);
    out.push(Statement::new("RESET ROLE"));
    out
}

/// The grants that let the grantor of this one grant its privileges. One by the owner comes first: if it is enough, no other one counts.
pub fn givers(id: &ObjectId, object: &Object, state: &State) -> Vec<ObjectId> {
    let Some((grantor, parent)) = id.signature().map(|g| Ident::new(g.clone())).zip(id.parent()) else { return vec![] };
    let Some(on) = On::of(parent) else { return vec![] };
    let newest = Version(u32::MAX);
    let mut left = acl::expanded(&list(object, PRIVILEGES), on, newest);
    // Who may give privileges on a table may give them on its columns.
    let whole = parent.parent().filter(|_| on == On::Column);
    let places: Vec<&ObjectId> = std::iter::once(parent).chain(whole).collect();
    let own = places.iter().map(|place| ObjectId::new(&KIND, Some((*place).clone()), grantor.clone()));
    let mut out = Vec::new();
    let mut look = |giver: &ObjectId, found: &Object, left: &mut Vec<Text>| {
        let on = giver.parent().and_then(On::of).unwrap_or(on);
        let may = acl::expanded(&list(found, GRANT_OPTION), on, newest);
        let before = left.len();
        left.retain(|right| !may.contains(right));
        if left.len() < before {
            out.push(giver.clone());
        }
    };
    for giver in own {
        if let Some(found) = state.get(&giver) {
            look(&giver, found, &mut left);
        }
    }
    if !left.is_empty() {
        let here = places.iter().flat_map(|place| state.parts(place, KIND.word));
        let others = here.filter(|(other, _)| *other.name() == grantor && other.signature().is_some() && *other != id);
        let mut others: Vec<_> = others.collect();
        others.sort_by_key(|(other, _)| state.position(other));
        for (giver, found) in others {
            let mut open = acl::expanded(&list(object, PRIVILEGES), on, newest);
            open.retain(|right| left.contains(right));
            look(giver, found, &mut open);
        }
    }
    out
}

/// Whether a change only gives, only takes, or does both.
pub fn direction(id: &ObjectId, old: &Object, new: &Object) -> Direction {
    let Some(on) = id.parent().and_then(On::of) else { return Direction::Any };
    let more = |a: &Object, b: &Object| {
        [PRIVILEGES, GRANT_OPTION]
            .into_iter()
            .any(|key| !acl::without(&list(a, key), &list(b, key), on, Version(u32::MAX)).is_empty())
    };
    match (more(old, new), more(new, old)) {
        (true, true) => Direction::Both,
        (true, false) => Direction::Takes,
        _ => Direction::Any,
    }
}
