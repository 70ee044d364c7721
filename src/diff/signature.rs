//! Resolves argument types that a file names without their schema in routines, operators and casts: if an extension provides the type, only
//! the database knows its schema. Without this, such a routine would have two addresses.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::model::{Attrs, ObjectId, State, Text, Value};
use crate::sql::{signature, types};

/// Gives the routines of `desired` the signatures that `live` has for them.
pub fn settle<'a>(live: &State, desired: &'a State) -> Cow<'a, State> {
    let missing: Vec<_> = desired.iter().filter(|(id, _)| has_types(id) && !live.has(id)).collect();
    if missing.is_empty() {
        return Cow::Borrowed(desired);
    }
    let mut by_name: FxHashMap<ObjectId, Vec<&ObjectId>> = FxHashMap::default();
    for (id, _) in live.iter().filter(|(id, _)| has_types(id) && !desired.has(id)) {
        by_name.entry(id.with_signature(None)).or_default().push(id);
    }
    let mut moved: FxHashMap<ObjectId, ObjectId> = FxHashMap::default();
    for (id, object) in missing {
        let own = Some(id.with_signature(None));
        let old = object.was.clone().map(|name| id.renamed(name).with_signature(None));
        let candidates = [own, old].into_iter().flatten().filter_map(|name| by_name.get(&name)).flatten();
        let mut same = candidates.filter_map(|other| other.signature().filter(|s| same_types(id, s)));
        if let (Some(found), None) = (same.next(), same.next()) {
            moved.insert(id.clone(), id.with_signature(Some(found.clone())));
        }
    }
    if moved.is_empty() {
        return Cow::Borrowed(desired);
    }
    let mut out = State::default();
    for (id, object) in desired.iter() {
        let mut object = object.clone();
        refer(&mut object.attrs, &moved);
        out.put(place(id, &moved).unwrap_or_else(|| id.clone()), object);
    }
    Cow::Owned(out)
}

fn has_types(id: &ObjectId) -> bool {
    id.types().is_some()
}

/// True if the types are the same but for schemas that the written ones leave out.
fn same_types(written: &ObjectId, stored: &Text) -> bool {
    let (written, stored) = (signature::split(written.signature().map_or("", |s| s)), signature::split(stored));
    written.len() == stored.len()
        && written.iter().zip(&stored).all(|(written, stored)| {
            written == stored
                || match (types::parse(written), types::parse(stored)) {
                    (Ok(w), Ok(s)) => w.schema.is_none() && w == types::Parsed { schema: None, ..s },
                    _ => false,
                }
        })
}

fn place(id: &ObjectId, moved: &FxHashMap<ObjectId, ObjectId>) -> Option<ObjectId> {
    moved.get(id).cloned().or_else(|| Some(id.moved(Some(place(id.parent()?, moved)?))))
}

fn refer(attrs: &mut Attrs, moved: &FxHashMap<ObjectId, ObjectId>) {
    attrs.iter_mut().for_each(|(_, value)| refer_value(value, moved));
}

fn refer_value(value: &mut Value, moved: &FxHashMap<ObjectId, ObjectId>) {
    match value {
        Value::Ref(id) => {
            if let Some(to) = place(id, moved) {
                *id = to;
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| refer_value(v, moved)),
        Value::Record(record) => refer(record, moved),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Ident, Object};

    fn function(name: &str, signature: &str) -> ObjectId {
        ObjectId::routine(find("function").unwrap().kind(), Some(schema::id("public")), name, signature)
    }

    fn state(ids: &[&ObjectId]) -> State {
        let mut state = State::default();
        ids.iter().for_each(|id| {
            state.put((*id).clone(), Object::default());
        });
        state
    }

    #[test]
    fn a_schema_that_is_left_out_is_the_one_that_the_database_has() {
        let (written, stored) = (function("f", "citext, integer"), function("f", "public.citext, integer"));
        let comment = |on: &ObjectId| ObjectId::facet(find("comment").unwrap().kind(), on.clone());
        let files = state(&[&written, &comment(&written)]);
        let desired = settle(&state(&[&stored]), &files);
        assert!(desired.has(&stored) && desired.has(&comment(&stored)) && desired.len() == 2);
    }

    #[test]
    fn other_types_are_other_routines() {
        let live = state(&[&function("f", "public.citext"), &function("g", "a.x"), &function("g", "b.x")]);
        for written in
            [function("f", "hstore"), function("f", "app.citext"), function("g", "x"), function("h", "citext")]
        {
            assert!(settle(&live, &state(&[&written])).has(&written), "{written}");
        }
    }

    #[test]
    fn renamed_routines_are_found_under_their_old_name() {
        let mut desired = state(&[&function("new", "citext")]);
        desired.objects_mut()[0].was = Some(Ident::from("old"));
        assert!(settle(&state(&[&function("old", "public.citext")]), &desired).has(&function("new", "public.citext")));
    }
}
