//! What declared types consist of, and which columns hold values of them, directly or through other types.

use crate::kinds::scope::schema_id;
use crate::kinds::{Holds, IS_TYPE, inheritance, room};
use crate::model::{ObjectId, SqlType, State, Value};
use crate::sql::conversion::Stands;
use crate::sql::types::{self, Parsed};

/// The limit for types within types, whatever a state contains.
const DEEPEST: usize = 64;

/// What the values of a type are in that state. A type that nothing declares is a built-in one, or an extension's.
pub fn stands(state: &State, sql_type: &SqlType) -> Stands {
    follow(state, sql_type, 0, &mut |_| {})
}

/// The declared types that values of a type go through: its domains, what they are domains of, bounds, attributes.
pub fn through(state: &State, sql_type: &SqlType) -> Vec<ObjectId> {
    let mut found = Vec::new();
    follow(state, sql_type, 0, &mut |id| found.push(id.clone()));
    found
}

/// The columns of tables whose values go through a declared type, or have their type from one of its attributes.
pub fn columns_of<'a>(state: &'a State, declared: &ObjectId) -> Vec<&'a ObjectId> {
    let holds = |(id, object): &(&ObjectId, &crate::model::Object)| {
        if id.parent().is_none_or(|table| table.kind().word != "table") {
            return false;
        }
        match object.value("type") {
            Some(Value::Type(sql_type)) => through(state, sql_type).contains(declared),
            _ => false,
        }
    };
    let mut found: Vec<&ObjectId> = state.iter().filter(holds).map(|(id, _)| id).collect();
    // Tables of a composite type have no columns of their own.
    let typed = state.iter().filter(|(id, object)| {
        let attribute = id.parent().filter(|_| id.kind().word == "attribute");
        let sql_type = match object.value("type") {
            Some(Value::Type(sql_type)) => sql_type,
            _ => return false,
        };
        attribute.is_some_and(|of| {
            (of == declared || through(state, sql_type).contains(declared))
                && inheritance::tables_of(state, of).next().is_some()
        })
    });
    found.extend(typed.map(|(id, _)| id));
    found
}

fn follow(state: &State, sql_type: &SqlType, depth: usize, seen: &mut dyn FnMut(&ObjectId)) -> Stands {
    let Ok(parsed) = types::parse(sql_type.as_str()) else {
        let name = sql_type.as_str().to_string();
        return Stands::Scalar(Parsed { schema: None, name, modifier: None, suffix: "", array: false });
    };
    let array = parsed.array;
    let element = one(state, Parsed { array: false, ..parsed }, depth, seen);
    if array { Stands::List(Box::new(element)) } else { element }
}

/// What a type that is not an array consists of.
fn one(state: &State, parsed: Parsed, depth: usize, seen: &mut dyn FnMut(&ObjectId)) -> Stands {
    let (Some(schema), true) = (parsed.schema.as_deref(), depth < DEEPEST) else { return Stands::Scalar(parsed) };
    let named = |word: &&str| {
        let kind = crate::kinds::find(word)?.kind();
        Some(ObjectId::new(kind, Some(schema_id(schema)), parsed.name.as_str())).filter(|id| state.has(id))
    };
    let Some(id) = IS_TYPE.iter().find_map(named) else { return multirange(state, parsed, depth, seen) };
    seen(&id);
    let object = state.get(&id).cloned().unwrap_or_default();
    match room(id.kind()).holds(&id, &object, state) {
        Some(Holds::As(base)) => follow(state, &base, depth + 1, seen),
        Some(Holds::Words(words)) => Stands::Words(id, words),
        Some(Holds::Bounds(bound)) => Stands::Range(id, Box::new(follow(state, &bound, depth + 1, seen))),
        Some(Holds::Fields(fields)) => {
            let fields = fields.into_iter().map(|(name, field)| (name, follow(state, &field, depth + 1, seen)));
            Stands::Fields(id, fields.collect())
        }
        None => Stands::Scalar(parsed),
    }
}

/// A type that comes with another one: a multirange.
fn multirange(state: &State, parsed: Parsed, depth: usize, seen: &mut dyn FnMut(&ObjectId)) -> Stands {
    let is_it = |other: &ObjectId| {
        other.name().as_str() == parsed.name && other.schema().map(|s| s.name().as_str()) == parsed.schema.as_deref()
    };
    let found = IS_TYPE.iter().flat_map(|word| state.of_kind(word)).find_map(|(id, object)| {
        let room = room(id.kind());
        let other = room.other_type(id, object).filter(&is_it)?;
        match room.holds(id, object, state)? {
            Holds::Bounds(bound) => Some((id, other, bound)),
            _ => None,
        }
    });
    let Some((range, multirange, bound)) = found else { return Stands::Scalar(parsed) };
    seen(range);
    Stands::Range(multirange, Box::new(follow(state, &bound, depth + 1, seen)))
}
