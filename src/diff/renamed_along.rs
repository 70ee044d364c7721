//! Finds constraints and indexes that only get another name: they keep their definition, or their table or column was renamed.
//!
//! Their names carry no data, so calling one by the new name is the same as dropping it and creating it again, without reading a row.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Address, Change, Namespace, Object, ObjectId, State};

use super::records_alike;

/// Pairs of an old and a new address. `renames` are the declared ones, which the old state has followed already.
pub fn pairs(old: &State, new: &State, renames: &[Change]) -> Vec<(ObjectId, ObjectId)> {
    let mut gone: FxHashMap<(&ObjectId, &str), Vec<&ObjectId>> = FxHashMap::default();
    for id in old.iter().map(|(id, _)| id).filter(|id| is_named_freely(id) && !new.has(id)) {
        if let Some(table) = id.parent() {
            gone.entry((table, id.kind().word)).or_default().push(id);
        }
    }
    let mut taken: FxHashSet<&ObjectId> = FxHashSet::default();
    let mut out = Vec::new();
    for (to, object) in new.iter().filter(|(id, object)| object.was.is_none() && !old.has(id)) {
        let Some(theirs) = to.parent().and_then(|table| gone.get(&(table, to.kind().word))) else { continue };
        let left = || theirs.iter().copied().filter(|from| !taken.contains(from));
        let is =
            |from: &ObjectId, same: fn(&Object, &Object) -> bool| old.get(from).is_some_and(|was| same(was, object));
        let equal = || left().find(|from| is(from, |was, object| was.attrs == object.attrs));
        // What is written and what is stored differ in spelling; the name then says that the two belong together.
        let follows = || {
            left().find(|from| {
                is(from, |was, object| records_alike(&was.attrs, &object.attrs))
                    && following(from, renames) == to.name().as_str()
            })
        };
        if let Some(from) = equal().or_else(follows) {
            taken.insert(from);
            out.push((from.clone(), to.clone()));
        }
    }
    out
}

/// True for objects inside a table whose name means nothing to the rows.
fn is_named_freely(id: &ObjectId) -> bool {
    let kind = id.kind();
    kind.address == Address::Beside
        || matches!(kind.namespace, Namespace::Constraint | Namespace::IndexConstraint | Namespace::PrimaryKey)
}

/// The name that PostgreSQL would have given if the table and its columns had always been called what they are called now: `a_b_key` is
/// made of the names of the table and its columns.
fn following(id: &ObjectId, renames: &[Change]) -> String {
    let mut name = id.name().as_str().to_owned();
    let renamed = renames.iter().filter_map(|change| match change {
        Change::Rename(from, to) => Some((from, to)),
        _ => None,
    });
    for (from, to) in renamed {
        let (was, is) = (from.name().as_str(), to.name().as_str());
        if Some(to) == id.parent() {
            if let Some(rest) = name.strip_prefix(was).filter(|rest| rest.starts_with('_')) {
                name = format!("{is}{rest}");
            }
        } else if to.parent() == id.parent() {
            name = name.replacen(&format!("_{was}_"), &format!("_{is}_"), 1);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Attrs, Expr, Key};

    const EXPRESSION: Key<Expr> = Key::new("expression");

    fn table(name: &str) -> ObjectId {
        ObjectId::new(find("table").unwrap().kind(), Some(schema::id("public")), name)
    }

    fn state(table: &ObjectId, checks: &[(&str, &str)]) -> State {
        let mut state = State::default();
        for (name, text) in checks {
            let id = ObjectId::new(find("check").unwrap().kind(), Some(table.clone()), *name);
            state.put(id, Object::new(Attrs::new().with(EXPRESSION, Expr::new(*text))));
        }
        state
    }

    fn found(old: &[(&str, &str)], new: &[(&str, &str)], renames: &[Change]) -> Vec<String> {
        let table = table("client");
        let pairs = pairs(&state(&table, old), &state(&table, new), renames);
        pairs.iter().map(|(from, to)| format!("{} {}", from.name().as_str(), to.name().as_str())).collect()
    }

    #[test]
    fn the_same_definition_is_the_same_constraint() {
        assert_eq!(found(&[("a", "x"), ("b", "y")], &[("c", "y"), ("d", "z")], &[]), ["b c"]);
        assert_eq!(found(&[("a", "x")], &[("b", "x"), ("c", "x")], &[]), ["a b"]);
    }

    #[test]
    fn names_follow_tables_and_columns() {
        let column = |name: &str| ObjectId::new(find("column").unwrap().kind(), Some(table("client")), name);
        let renames =
            [Change::Rename(table("customer"), table("client")), Change::Rename(column("mail"), column("email"))];
        let old = [("customer_mail_check", "(mail <> ''::text)"), ("customer_check", "(a > b)"), ("odd", "(a = 1)")];
        let new = [("client_email_check", "email <> ''"), ("client_check", "a > b"), ("even", "a = 1")];
        assert_eq!(
            found(&old, &new, &renames),
            ["customer_mail_check client_email_check", "customer_check client_check"]
        );
        assert_eq!(found(&old, &new, &[]), [] as [&str; 0]);
    }
}
