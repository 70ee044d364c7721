//! A state as bytes: JSON, compressed. Ids are a table of their own, so that parents and references are numbers.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json, json};

use crate::catalog::Version;
use crate::kinds;
use crate::model::{Attr, Attrs, Error, Expr, Object, ObjectId, Options, Result, Shape, SqlType, State, Text, Value};

/// The version of this encoding and of the model behind it.
const MODEL: u64 = 1;

/// Turns a state into bytes.
///
/// # Errors
/// None in practice: the compressor's.
pub fn encode(state: &State, server: Version) -> Result<Vec<u8>> {
    let mut ids = Ids::default();
    let objects: Vec<Json> =
        state.iter().map(|(id, object)| json!([ids.index(id), record(&object.attrs, &mut ids)])).collect();
    let whole = json!({ "model": MODEL, "tool": env!("CARGO_PKG_VERSION"), "server": server.0, "ids": ids.rows, "objects": objects });
    let text = serde_json::to_vec(&whole).map_err(|e| Error::failed(format!("the snapshot cannot be written: {e}")))?;
    zstd::encode_all(text.as_slice(), 3).map_err(|e| Error::failed(format!("the snapshot cannot be compressed: {e}")))
}

/// Turns bytes back into a state.
///
/// # Errors
/// Bytes that are no snapshot, or one that speaks of kinds and attributes that this tool does not know.
pub fn decode(bytes: &[u8]) -> Result<State> {
    let text = zstd::decode_all(bytes).map_err(|e| broken(&e.to_string()))?;
    let whole: Json = serde_json::from_slice(&text).map_err(|e| broken(&e.to_string()))?;
    match whole["model"].as_u64() {
        Some(model) if model <= MODEL => {}
        _ => return Err(newer("its model")),
    }
    let mut ids: Vec<ObjectId> = Vec::new();
    for row in whole["ids"].as_array().ok_or_else(|| broken("no ids"))? {
        let word = row[0].as_str().ok_or_else(|| broken("an id without a kind"))?;
        let kind = kinds::find(word).ok_or_else(|| newer(&format!("the kind `{word}`")))?.kind();
        let parent = match row[1].as_u64() {
            Some(index) => Some(id_at(&ids, index)?),
            None => None,
        };
        let name = row[2].as_str().ok_or_else(|| broken("an id without a name"))?;
        ids.push(match row[3].as_str() {
            Some(signature) => ObjectId::routine(kind, parent, name, signature),
            None => ObjectId::new(kind, parent, name),
        });
    }
    let mut state = State::default();
    for row in whole["objects"].as_array().ok_or_else(|| broken("no objects"))? {
        let id = id_at(&ids, row[0].as_u64().ok_or_else(|| broken("an object without an id"))?)?;
        let attrs = attrs(&row[1], id.kind().attrs, &ids)?;
        state.put(id, Object::new(attrs));
    }
    Ok(state)
}

/// The ids of a snapshot, each with its row.
#[derive(Default)]
struct Ids {
    index: FxHashMap<ObjectId, usize>,
    rows: Vec<Json>,
}

impl Ids {
    /// The number of an id; its parents get smaller ones.
    fn index(&mut self, id: &ObjectId) -> usize {
        if let Some(index) = self.index.get(id) {
            return *index;
        }
        let parent = id.parent().map(|parent| self.index(parent));
        let mut row = vec![json!(id.kind().word), json!(parent), json!(id.name().as_str())];
        row.extend(id.signature().map(|signature| json!(&**signature)));
        self.rows.push(Json::Array(row));
        self.index.insert(id.clone(), self.rows.len() - 1);
        self.rows.len() - 1
    }
}

fn record(attrs: &Attrs, ids: &mut Ids) -> Json {
    Json::Object(attrs.iter().map(|(name, value)| (name.to_string(), json(value, ids))).collect())
}

fn json(value: &Value, ids: &mut Ids) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Text(t) => json!(&**t),
        Value::Type(t) => json!({ "t": t.as_str() }),
        Value::Expr(e) => json!({ "e": e.as_str() }),
        Value::Ref(id) => json!({ "r": ids.index(id) }),
        Value::List(list) => Json::Array(list.iter().map(|v| json(v, ids)).collect()),
        Value::Options(options) => json!(options.0.iter().map(|t| &**t).collect::<Vec<_>>()),
        Value::Record(attrs) => {
            let mut map = Map::new();
            map.insert("o".into(), record(attrs, ids));
            Json::Object(map)
        }
    }
}

fn attrs(json: &Json, table: &'static [Attr], ids: &[ObjectId]) -> Result<Attrs> {
    let mut attrs = Attrs::new();
    for (name, json) in json.as_object().ok_or_else(|| broken("attributes are wanted"))? {
        let attr =
            table.iter().find(|attr| attr.name == name).ok_or_else(|| newer(&format!("the attribute `{name}`")))?;
        attrs.put(attr.name, value(json, &attr.shape, ids)?);
    }
    Ok(attrs)
}

fn value(json: &Json, shape: &Shape, ids: &[ObjectId]) -> Result<Value> {
    Ok(match json {
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::Int(n.as_i64().ok_or_else(|| broken("a number is too large"))?),
        Json::String(t) => Value::Text(t.as_str().into()),
        Json::Array(list) if matches!(shape, Shape::Options) => {
            let texts: Option<Vec<Text>> = list.iter().map(|v| v.as_str().map(Text::from)).collect();
            Value::Options(Options(texts.ok_or_else(|| broken("an option is no text"))?))
        }
        Json::Array(list) => Value::List(list.iter().map(|v| value(v, shape, ids)).collect::<Result<_>>()?),
        Json::Object(map) => match (map.get("t"), map.get("e"), map.get("r"), map.get("o"), shape) {
            (Some(Json::String(t)), ..) => Value::Type(SqlType::new(t.as_str())),
            (_, Some(Json::String(e)), ..) => Value::Expr(Expr::new(e.as_str())),
            (_, _, Some(index), ..) => {
                Value::Ref(id_at(ids, index.as_u64().ok_or_else(|| broken("a reference is no number"))?)?)
            }
            (_, _, _, Some(inner), Shape::Record(table) | Shape::Records(table)) => {
                Value::Record(attrs(inner, table, ids)?)
            }
            _ => return Err(newer("a value")),
        },
        Json::Null => return Err(broken("a value is missing")),
    })
}

fn id_at(ids: &[ObjectId], index: u64) -> Result<ObjectId> {
    usize::try_from(index).ok().and_then(|index| ids.get(index)).cloned().ok_or_else(|| broken("an id is missing"))
}

fn broken(why: &str) -> Error {
    Error::failed("a snapshot in the ledger cannot be read").detail(why.to_string())
}

fn newer(what: &str) -> Error {
    Error::refused("a snapshot in the ledger was written by a newer version of setpoint")
        .detail(format!("this version does not know {what}"))
        .remedy("upgrade setpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Form, Key, OnChange, Text, attr};

    #[test]
    fn a_state_comes_back_as_it_was() {
        let schema = kinds::schema::id("public");
        let kind = |word: &str| kinds::find(word).unwrap().kind();
        let table = ObjectId::new(kind("table"), Some(schema.clone()), "Odd \"name\"");
        let column = ObjectId::new(kind("column"), Some(table.clone()), "id");
        let mut state = State::default();
        state.put(schema, Object::default());
        state.put(table.clone(), Object::default());
        let mut attrs = Attrs::new();
        attrs.put("type", Value::Type(SqlType::new("numeric(12,2)")));
        attrs.put("not-null", Value::Bool(true));
        state.put(column.clone(), Object::new(attrs));
        let default = ObjectId::facet(kind("default"), column);
        state.put(default, Object::new(Attrs::new().with(Key::<Expr>::new("value"), Expr::new("now()"))));
        let comment = ObjectId::facet(kind("comment"), table);
        state.put(comment, Object::new(Attrs::new().with(Key::<Text>::new("text"), Text::from("数据 \u{1F600}"))));
        let back = decode(&encode(&state, Version(150_018)).unwrap()).unwrap();
        assert_eq!(back.len(), state.len());
        for ((id, object), (back_id, back_object)) in state.iter().zip(back.iter()) {
            assert_eq!((id, object), (back_id, back_object));
        }
    }

    #[test]
    fn every_shape_of_value_comes_back() {
        static INNER: [Attr; 1] =
            [attr(Key::<i64>::new("n"), Shape::Int, Form::Property, OnChange::Alter, "A number.")];
        static TABLE: [Attr; 3] = [
            attr(Key::<Attrs>::new("one"), Shape::Record(&INNER), Form::Child, OnChange::Alter, "One."),
            attr(Key::<Vec<Attrs>>::new("many"), Shape::Records(&INNER), Form::Repeated, OnChange::Alter, "Many."),
            attr(
                Key::<Vec<ObjectId>>::new("refs"),
                Shape::Refs(&["schema"]),
                Form::Child,
                OnChange::Alter,
                "References.",
            ),
        ];
        let inner = |n| Attrs::new().with(Key::<i64>::new("n"), n);
        let mut all = Attrs::new();
        all.put("one", Value::Record(inner(-7)));
        all.put("many", Value::List(vec![Value::Record(inner(1)), Value::Record(inner(i64::MAX))]));
        let schema = kinds::schema::id("a.b");
        all.put("refs", Value::List(vec![Value::Ref(schema.clone()), Value::Ref(schema)]));
        let mut ids = Ids::default();
        let json = record(&all, &mut ids);
        assert_eq!(ids.rows.len(), 1);
        assert_eq!(attrs(&json, &TABLE, &[kinds::schema::id("a.b")]).unwrap(), all);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(decode(b"nonsense").is_err());
        let whole = json!({ "model": 1, "ids": [["no-such-kind", null, "x"]], "objects": [] });
        let bytes = zstd::encode_all(whole.to_string().as_bytes(), 1).unwrap();
        assert!(decode(&bytes).unwrap_err().to_string().contains("no-such-kind"));
    }
}
