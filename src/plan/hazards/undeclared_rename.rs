//! Suggests `was=` where an object that holds rows goes and one that looks like it comes: it may have been renamed.

use rustc_hash::FxHashMap;

use crate::model::{Object, ObjectId, State, Value};

/// More candidates than this say nothing.
const MAX_CANDIDATES: usize = 3;

/// What can be renamed, and how one that goes is compared with one that comes.
const LIKE: [(&str, Like); 3] = [("column", same_type), ("attribute", same_type), ("table", same_columns)];

type Like = fn(&ObjectId, &ObjectId, &State, &State) -> bool;

/// What a plan creates that may be something else under a new name.
pub struct Arrivals<'a> {
    before: &'a State,
    after: &'a State,
    /// By what it is in, and its kind.
    new: FxHashMap<(&'a ObjectId, &'static str), Vec<&'a ObjectId>>,
}

impl<'a> Arrivals<'a> {
    /// Those of a plan between these states.
    pub fn new(before: &'a State, after: &'a State) -> Self {
        let mut new: FxHashMap<(&ObjectId, &'static str), Vec<&ObjectId>> = FxHashMap::default();
        for (id, _) in LIKE.iter().flat_map(|(word, _)| after.of_kind(word)).filter(|(id, _)| !before.has(id)) {
            new.entry((id.parent().unwrap_or(id), id.kind().word)).or_default().push(id);
        }
        Self { before, after, new }
    }

    /// What to add to the reason why dropping `id` loses data; `None` unless something like it is created in its place.
    pub fn hint(&self, id: &ObjectId) -> Option<String> {
        let (_, like) = LIKE.iter().find(|(word, _)| *word == id.kind().word)?;
        let created = self.new.get(&(id.parent()?, id.kind().word)).into_iter().flatten();
        let created = created.filter(|other| like(id, other, self.before, self.after));
        let names: Vec<String> = created.take(MAX_CANDIDATES + 1).map(ToString::to_string).collect();
        if names.is_empty() || names.len() > MAX_CANDIDATES {
            return None;
        }
        let names = names.join(" or ");
        Some(format!("; if {names} is its new name, write `was={}` there", id.name().as_str()))
    }
}

fn same_type(old: &ObjectId, new: &ObjectId, before: &State, after: &State) -> bool {
    let held = |object: &Object| match object.value("generated") {
        None => object.value("type").cloned(),
        Some(_) => None,
    };
    let (old, new) = (before.get(old).and_then(held), after.get(new).and_then(held));
    old.is_some() && old == new
}

/// True if the new table has at least half of the old one's columns.
fn same_columns(old: &ObjectId, new: &ObjectId, before: &State, after: &State) -> bool {
    let old = columns(old, before);
    let new = columns(new, after);
    let shared = old.iter().filter(|column| new.contains(column)).count();
    shared > 0 && shared * 2 >= old.len()
}

fn columns<'s>(table: &ObjectId, state: &'s State) -> Vec<(&'s str, Option<&'s Value>)> {
    state.parts(table, "column").map(|(id, object)| (id.name().as_str(), object.value("type"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Attrs, Key, SqlType};

    const TYPE: Key<SqlType> = Key::new("type");

    fn table(name: &str) -> ObjectId {
        ObjectId::new(find("table").unwrap().kind(), Some(schema::id("public")), name)
    }

    fn column(table: &ObjectId, name: &str) -> ObjectId {
        ObjectId::new(find("column").unwrap().kind(), Some(table.clone()), name)
    }

    fn state(tables: &[(&str, &[(&str, &str)])]) -> State {
        let mut state = State::default();
        for (name, columns) in tables {
            state.put(table(name), Object::default());
            for (name, sql_type) in *columns {
                let object = Object::new(Attrs::new().with(TYPE, SqlType::new(*sql_type)));
                state.put(column(state.iter().last().map(|(id, _)| id.root().clone()).as_ref().unwrap(), name), object);
            }
        }
        state
    }

    #[test]
    fn columns_of_one_type_may_be_one() {
        let before = state(&[("t", &[("mail", "text"), ("n", "integer")])]);
        let after = state(&[("t", &[("email", "text")])]);
        let hint = |name: &str| Arrivals::new(&before, &after).hint(&column(&table("t"), name));
        let said = "; if column public.t.email is its new name, write `was=mail` there";
        assert_eq!(hint("mail").as_deref(), Some(said));
        assert_eq!(hint("n"), None);
    }

    #[test]
    fn tables_with_the_same_columns_may_be_one() {
        let before = state(&[("orders", &[("id", "bigint"), ("total", "numeric")]), ("other", &[("x", "text")])]);
        let after = state(&[("sales", &[("id", "bigint"), ("sum", "numeric")])]);
        let hint = |name: &str| Arrivals::new(&before, &after).hint(&table(name));
        assert_eq!(
            hint("orders").as_deref(),
            Some("; if table public.sales is its new name, write `was=orders` there")
        );
        assert_eq!(hint("other"), None);
    }
}
