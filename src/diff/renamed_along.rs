//! Finds constraints and indexes that only get another name: they keep their definition, or their table or column was renamed.
//!
//! Their names carry no data, so calling one by the new name is the same as dropping it and creating it again, without reading a row.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::constraint::Naming;
use crate::kinds::{choose_name, room};
use crate::model::{Address, Change, Namespace, Object, ObjectId, State};

use super::records_alike;
use super::rename::before;

/// Pairs of an old and a new address. `renames` are those that are known, which `old` has followed already, and `first` has not followed yet.
pub fn pairs(first: &State, old: &State, new: &State, renames: &[Change]) -> Vec<(ObjectId, ObjectId)> {
    let names = Names { first, old, new, renames };
    let mut gone: FxHashMap<(&ObjectId, &str), Vec<&ObjectId>> = FxHashMap::default();
    for id in old.iter().map(|(id, _)| id).filter(|id| is_named_freely(id) && !new.has(id)) {
        if let Some(table) = id.parent() {
            gone.entry((table, id.kind().word)).or_default().push(id);
        }
    }
    if gone.is_empty() {
        return Vec::new();
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
            left()
                .find(|from| is(from, |was, object| records_alike(&was.attrs, &object.attrs)) && names.follow(from, to))
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

/// What PostgreSQL makes names of, before the renames and after them.
struct Names<'a> {
    /// The old state under its own names.
    first: &'a State,
    old: &'a State,
    new: &'a State,
    renames: &'a [Change],
}

impl Names<'_> {
    /// True if PostgreSQL chose the old name, and would have chosen the new one if the table and its columns had always been called what
    /// they are called now.
    fn follow(&self, from: &ObjectId, to: &ObjectId) -> bool {
        let was = before(from, self.renames);
        self.parts(&was, self.first).zip(self.parts(to, self.new)).is_some_and(|((parts, number), after)| {
            let column = parts.addition.as_deref().and_then(|name| self.renamed(from, name));
            let followed = self.old.get(from).and_then(|object| room(from.kind()).named_after(from, object, self.old));
            let addition = column.or(followed.and_then(|parts| parts.addition).filter(|_| parts.addition.is_some()));
            (addition, number) == (after.0.addition, after.1)
        })
    }

    /// What a name is made of, and the number in it.
    fn parts(&self, id: &ObjectId, state: &State) -> Option<(Naming<'static>, u32)> {
        let parts = room(id.kind()).named_after(id, state.get(id)?, state)?;
        let table = id.parent()?.name().as_str();
        let number = choose_name::number_in(id.name().as_str(), table, parts.addition.as_deref(), parts.label)?;
        Some((parts, number))
    }

    /// What the column of the object's table is called now.
    fn renamed(&self, id: &ObjectId, column: &str) -> Option<String> {
        // Names that go around have a third one meanwhile.
        let mut found: Option<&ObjectId> = None;
        for change in self.renames {
            let name = found.map_or(column, |found| found.name().as_str());
            if let Change::Rename(from, to) = change
                && to.parent() == id.parent()
                && from.name().as_str() == name
            {
                found = Some(to);
            }
        }
        found.filter(|to| to.kind().address == Address::MemberOf).map(|to| to.name().as_str().to_owned())
    }
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
        let is = table("client");
        let column =
            |table: &ObjectId, name: &str| ObjectId::new(find("column").unwrap().kind(), Some(table.clone()), name);
        let with_columns = |table: &ObjectId, checks: &[(&str, &str)], names: [&str; 3]| {
            let mut state = state(table, checks);
            state.put(table.clone(), Object::default());
            for name in names {
                state.put(column(table, name), Object::default());
            }
            state
        };
        let was = before(&is, renames);
        let pairs = pairs(
            &with_columns(&was, old, ["mail", "a", "b"]),
            &with_columns(&is, old, ["email", "a", "b"]),
            &with_columns(&is, new, ["email", "a", "b"]),
            renames,
        );
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
        let old = [("customer_mail_check", "(mail <> ''::text)"), ("customer_check", "(a > b)"), ("odd", "(b = 1)")];
        let new = [("client_email_check", "email <> ''"), ("client_check", "a > b"), ("even", "b = 1")];
        assert_eq!(
            found(&old, &new, &renames),
            ["customer_mail_check client_email_check", "customer_check client_check"]
        );
        assert_eq!(found(&old, &new, &[]), [] as [&str; 0]);
    }
}
