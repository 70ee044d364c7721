//! What has a type follows the type's rename.

use crate::model::{Address, Edges, ObjectId, SqlType, State, Text, Value};
use crate::sql::{signature, types};

use super::rename::rebase;

/// The state where the type `from` (or all types of that schema) is called `to` wherever something is of that type. Routines are told apart by types.
pub(super) fn retype(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let mut state = State::default();
    let mut moved: Vec<(ObjectId, ObjectId)> = Vec::new();
    for (id, mut object) in old.into_objects() {
        object.attrs.iter_mut().for_each(|(_, value)| retype_value(value, from, to));
        if let Some(signature) = id.types().filter(|signature| signature.contains(from.name().as_str())) {
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

/// The text of a type, if it is the one that is renamed, or is of the schema that is.
fn retyped(text: &str, from: &ObjectId, to: &ObjectId) -> Option<Text> {
    if !text.contains(from.name().as_str()) {
        return None;
    }
    let (set, text) = text.strip_prefix("SETOF ").map_or(("", text), |text| ("SETOF ", text));
    let parsed = types::parse(text).ok()?;
    let to = if from.kind().address == Address::Schema {
        let home = parsed.schema.as_deref().filter(|home| *home == from.name().as_str());
        types::Parsed { schema: home.map(|_| to.name().as_str().to_string()), ..parsed.clone() }
    } else {
        let home = from.schema()?.name().as_str();
        let ours = parsed.schema.as_deref() == Some(home) && parsed.name == from.name().as_str();
        let schema = to.schema().filter(|_| ours).map(|schema| schema.name().as_str().to_string());
        types::Parsed { schema, name: to.name().as_str().to_string(), ..parsed.clone() }
    };
    if parsed.schema.is_none() || to.schema.is_none() {
        return None;
    }
    Some(format!("{set}{}", to.normalised(|_| None)).into())
}
