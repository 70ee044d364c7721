//! Suggests `was=` where an object that holds rows goes and one that looks like it comes: it may have been renamed.

use crate::model::{Object, ObjectId, State, Value};

/// More candidates than this say nothing.
const MAX_CANDIDATES: usize = 3;

/// What to add to the reason why dropping `id` loses data; `None` unless something like it is created in its place.
pub fn hint(id: &ObjectId, before: &State, after: &State) -> Option<String> {
    let like: fn(&ObjectId, &ObjectId, &State, &State) -> bool = match id.kind().word {
        "column" | "attribute" => same_type,
        "table" => same_columns,
        _ => return None,
    };
    let created = after.iter().map(|(other, _)| other).filter(|other| {
        other.kind() == id.kind()
            && other.parent() == id.parent()
            && !before.has(other)
            && like(id, other, before, after)
    });
    let created: Vec<&ObjectId> = created.take(MAX_CANDIDATES + 1).collect();
    if created.is_empty() || created.len() > MAX_CANDIDATES {
        return None;
    }
    let names: Vec<String> = created.iter().map(ToString::to_string).collect();
    let names = names.join(" or ");
    Some(format!("; if {names} is its new name, write `was={}` there", id.name().as_str()))
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
    let own = state.iter().filter(|(id, _)| id.kind().word == "column" && id.parent() == Some(table));
    own.map(|(id, object)| (id.name().as_str(), object.value("type"))).collect()
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
        let hint = |name: &str| hint(&column(&table("t"), name), &before, &after);
        let said = "; if column public.t.email is its new name, write `was=mail` there";
        assert_eq!(hint("mail").as_deref(), Some(said));
        assert_eq!(hint("n"), None);
    }

    #[test]
    fn tables_with_the_same_columns_may_be_one() {
        let before = state(&[("orders", &[("id", "bigint"), ("total", "numeric")]), ("other", &[("x", "text")])]);
        let after = state(&[("sales", &[("id", "bigint"), ("sum", "numeric")])]);
        let hint = |name: &str| hint(&table(name), &before, &after);
        assert_eq!(
            hint("orders").as_deref(),
            Some("; if table public.sales is its new name, write `was=orders` there")
        );
        assert_eq!(hint("other"), None);
    }
}
