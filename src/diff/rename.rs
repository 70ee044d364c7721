//! Renames are said (`was=old`), never guessed: the first state under its new names.

use crate::kinds::{IS_TYPE, room};
use crate::model::{Attrs, Change, Edges, Expr, ObjectId, SqlType, State, Text, Value};
use crate::sql::{signature, types};

/// The first state (and its edges) as it is once the renames that the second state asks for are done, and these renames.
/// A `was` whose old object is gone, or whose new name is taken, did its work and means nothing.
pub fn apply(mut old: State, mut edges: Edges, new: &State) -> (State, Edges, Vec<Change>) {
    let mut changes = Vec::new();
    let mut wanted: Vec<(ObjectId, ObjectId)> =
        new.iter().filter_map(|(id, object)| Some((id.renamed(object.was.clone()?), id.clone()))).collect();
    // Outer objects first: the old id of a column is that of its table's new name.
    wanted.sort_by_key(|(_, to)| to.ancestors().count());
    for (from, to) in wanted {
        if !old.has(&from) || old.has(&to) || new.has(&from) {
            continue;
        }
        (old, edges) = follow(old, edges, &from, &to);
        changes.push(Change::Rename(from, to));
    }
    // A type that comes with an object of another name may get a new one by itself.
    let other = |id: &ObjectId, state: &State| room(id.kind()).other_type(id, state.get(id)?);
    let renamed: Vec<_> = new.iter().filter_map(|(id, _)| Some((other(id, &old)?, other(id, new)?))).collect();
    for (from, to) in renamed.into_iter().filter(|(from, to)| from != to) {
        (old, edges) = retype(old, edges, &from, &to);
    }
    (old, edges, changes)
}

/// The state and its edges once `from` is called `to`; what is of that type is of the renamed one.
pub fn follow(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let others = old.get(from).map(|object| {
        let room = room(from.kind());
        (room.other_type(from, object), room.other_type(to, object))
    });
    let (mut old, mut edges) = rebase(old, edges, from, to);
    if IS_TYPE.contains(&from.kind().word) {
        (old, edges) = retype(old, edges, from, to);
    }
    match others {
        Some((Some(from), Some(to))) => retype(old, edges, &from, &to),
        _ => (old, edges),
    }
}

/// The state where the type `from` is called `to` wherever something is of that type. Routines are told apart by types.
fn retype(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let mut state = State::default();
    let mut moved: Vec<(ObjectId, ObjectId)> = Vec::new();
    for (id, mut object) in old.objects {
        object.attrs.iter_mut().for_each(|(_, value)| retype_value(value, from, to));
        if let Some(signature) = id.signature().filter(|signature| signature.contains(from.name().as_str())) {
            let list = signature::split(signature).into_iter();
            let types: Vec<Text> = list.map(|t| retyped(t, from, to).unwrap_or_else(|| t.into())).collect();
            let with = id.with_signature(Some(types.join(", ").into()));
            if with != id {
                moved.push((id.clone(), with));
            }
        }
        state.put(id, object);
    }
    moved.into_iter().fold((state, edges), |(state, edges), (from, to)| rebase(state, edges, &from, &to))
}

fn retype_value(value: &mut Value, from: &ObjectId, to: &ObjectId) {
    match value {
        Value::Type(sql_type) => {
            if let Some(text) = retyped(sql_type.as_str(), from, to) {
                *sql_type = SqlType::new(text);
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| retype_value(v, from, to)),
        Value::Record(record) => record.iter_mut().for_each(|(_, v)| retype_value(v, from, to)),
        _ => {}
    }
}

/// The text of a type, if it is the one that is renamed.
fn retyped(text: &str, from: &ObjectId, to: &ObjectId) -> Option<Text> {
    if !text.contains(from.name().as_str()) {
        return None;
    }
    let (set, text) = text.strip_prefix("SETOF ").map_or(("", text), |text| ("SETOF ", text));
    let parsed = types::parse(text).ok()?;
    let home = from.schema()?.name().as_str();
    if parsed.schema.as_deref() != Some(home) || parsed.name != from.name().as_str() {
        return None;
    }
    let schema = to.schema().map(|schema| schema.name().as_str().to_string());
    let to = types::Parsed { schema, name: to.name().as_str().to_string(), ..parsed };
    Some(format!("{set}{}", to.normalised(|_| None)).into())
}

/// The state and its edges with `from`, and everything inside it, under its new address.
fn rebase(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let id = |id: ObjectId| id.rebased(from, to).unwrap_or(id);
    let mut state = State::default();
    for (key, mut object) in old.objects {
        attrs(&mut object.attrs, from, to);
        state.put(id(key), object);
    }
    let edges = edges.into_iter().map(|(key, list)| (id(key), list.into_iter().map(id).collect())).collect();
    (state, edges)
}

fn attrs(attrs: &mut Attrs, from: &ObjectId, to: &ObjectId) {
    attrs.iter_mut().for_each(|(_, v)| value(v, from, to));
}

fn value(v: &mut Value, from: &ObjectId, to: &ObjectId) {
    match v {
        Value::Ref(id) => {
            if let Some(new) = id.rebased(from, to) {
                *id = new;
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| value(v, from, to)),
        Value::Record(record) => attrs(record, from, to),
        // Stored text follows a rename by itself; text alone cannot say how, so the names in it are exchanged and the
        // comparison asks the server where that is not what it finds.
        Value::Expr(expr) => *expr = Expr::new(expr.as_str()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Ident, Key, Object};

    const TYPE: Key<SqlType> = Key::new("type");

    #[test]
    fn what_is_of_a_type_follows_its_rename() {
        let home = || Some(schema::id("app"));
        let id = |word: &str, name: &str| ObjectId::new(find(word).unwrap().kind(), home(), name);
        let function = |types: &str| ObjectId::routine(find("function").unwrap().kind(), home(), "f", types);
        let column = ObjectId::new(find("column").unwrap().kind(), Some(id("table", "t")), "c");
        let of = |name: &str| Object::new(Attrs::new().with(TYPE, SqlType::new(name)));
        let mut old = State::default();
        old.put(id("range", "arange"), Object::default());
        old.put(column.clone(), of("app.amultirange[]"));
        old.put(function("integer, app.arange"), Object::default());
        let mut new = State::default();
        new.put(id("range", "brange"), Object { was: Some(Ident::from("arange")), ..Object::default() });
        let edges = [(column.clone(), vec![id("range", "arange")])].into_iter().collect();
        let (state, edges, changes) = apply(old, edges, &new);
        assert_eq!(changes.len(), 1);
        assert_eq!(state.get(&column), Some(&of("app.bmultirange[]")));
        assert!(state.has(&function("integer, app.brange")) && state.len() == 3);
        assert_eq!(edges.get(&column), Some(&vec![id("range", "brange")]));
    }
}
