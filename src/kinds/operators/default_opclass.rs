//! Operator classes that are the default for the type that they index or order: saying them says nothing.

use crate::catalog::Row;
use crate::kinds::constraint;
use crate::kinds::key_parts::{self, KEY, USING};
use crate::kinds::values;
use crate::model::{Attrs, Key, Object, ObjectId, SqlType, State, Text, Value};
use crate::sql::conversion::Stands;
use crate::sql::types::{self, Parsed};

use super::operator_members::{CLASS, FOR_TYPE};

/// What orders the values of a range, and what they are.
const OF_RANGE: Key<Text> = Key::new("subtype-opclass");
const SUBTYPE: Key<SqlType> = Key::new("subtype");

/// What the files say about a class.
const IS_DEFAULT: Key<bool> = Key::new("default");

/// An operator class that an index method uses if none is said.
pub struct Default {
    method: Text,
    name: Text,
    sql_type: Parsed,
}

/// The query for all of them.
pub const QUERY: &str = "SELECT m.amname::text, n.nspname::text, c.opcname::text, format_type(c.opcintype, NULL) FROM pg_opclass c \
                         JOIN pg_am m ON m.oid = c.opcmethod JOIN pg_namespace n ON n.oid = c.opcnamespace WHERE c.opcdefault";

/// Reads a row of it.
pub fn read(mut row: Row) -> Option<Default> {
    let (method, schema, name) = (row.text(), row.text(), row.text());
    let sql_type = types::parse(&row.text()).ok()?;
    Some(Default { method, name: constraint::in_schema(&schema, &name), sql_type })
}

/// Those of a server, as they will be once the state is there: the files decide about the classes that they declare.
pub fn declared(server: Vec<Default>, state: &State) -> Vec<Default> {
    let mut out = Vec::new();
    let mut ours = Vec::new();
    for (id, object) in state.of_kind(CLASS) {
        let (Some(schema), Some(method)) = (id.schema(), id.signature()) else { continue };
        let name = constraint::in_schema(schema.name().as_str(), id.name().as_str());
        let sql_type = object.get(FOR_TYPE).and_then(|of| types::parse(of.as_str()).ok());
        if let Some(sql_type) = sql_type.filter(|_| object.is(IS_DEFAULT)) {
            out.push(Default { method: method.clone(), name: name.clone(), sql_type });
        }
        ours.push((method, name));
    }
    out.extend(server.into_iter().filter(|class| !ours.contains(&(&class.method, class.name.clone()))));
    out
}

/// True if an index, a constraint or a range of the state names an operator class.
pub fn are_named(state: &State) -> bool {
    let in_key = |object: &Object| object.get(KEY).unwrap_or_default().into_iter().any(key_parts::names_class);
    state.iter().any(|(_, object)| object.get(OF_RANGE).is_some() || in_key(object))
}

/// Takes out of a state the operator classes that the server would choose by itself, which the catalog does not tell from those that are
/// said.
pub fn leave_out(state: &mut State, defaults: &[Default]) {
    let plain: Vec<(ObjectId, Object)> =
        state.iter().filter_map(|(id, object)| Some((id.clone(), without(object, state, defaults)?))).collect();
    for (id, object) in plain {
        state.put(id, object);
    }
}

/// The object without them; `None` if it has none.
fn without(object: &Object, state: &State, defaults: &[Default]) -> Option<Object> {
    let mut out = object.clone();
    if let Some(class) = object.get(OF_RANGE) {
        let of = object.get(SUBTYPE).map(|subtype| values::stands(state, subtype));
        if is_default("btree", class, of.as_ref(), defaults) {
            out.attrs.remove(OF_RANGE.name);
        }
    }
    if let Some(key) = object.get(KEY) {
        let method = object.get(USING).map_or("btree", |method| &**method);
        let mut key: Vec<Attrs> = key.into_iter().cloned().collect();
        for part in key.iter_mut().filter(|part| key_parts::names_class(part)) {
            let of = key_parts::column(part).and_then(|column| stands(state, column));
            if key_parts::class(part).is_some_and(|class| is_default(method, class, of.as_ref(), defaults)) {
                key_parts::forget_class(part);
            }
        }
        out.attrs.set(KEY, key);
    }
    (out != *object).then_some(out)
}

/// What the values of a column are; `None` if nobody says.
fn stands(state: &State, column: &ObjectId) -> Option<Stands> {
    let declares = crate::kinds::room(column.kind()).inherited_from(column, state);
    let object = state.get(column).filter(|own| own.value("type").is_some());
    match object.or_else(|| state.get(declares.first()?))?.value("type")? {
        Value::Type(sql_type) => Some(values::stands(state, sql_type)),
        _ => None,
    }
}

/// A class that is the default for its own type is what a column of that type gets, and one of a type that has no default of its own: it
/// is the default of what the type is an array, an enum or another spelling of. What an expression returns is not known here: nobody
/// names another type's class for it unless its own type has none.
fn is_default(method: &str, class: &Text, of: Option<&Stands>, defaults: &[Default]) -> bool {
    let usual = |default: &&Default| *default.method == *method;
    if !defaults.iter().filter(usual).any(|default| default.name == *class) {
        return false;
    }
    let Some(Stands::Scalar(of)) = of else { return true };
    let own = |default: &&Default| same_type(&default.sql_type, of);
    defaults.iter().filter(usual).find(own).is_none_or(|default| default.name == *class)
}

fn same_type(default: &Parsed, of: &Parsed) -> bool {
    let plain = |parsed: &Parsed| (parsed.name.clone(), parsed.suffix);
    let schemas = default.schema.as_ref().zip(of.schema.as_ref()).is_none_or(|(a, b)| a == b);
    plain(default) == plain(of) && schemas && default.array == of.array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::load;

    fn default(method: &str, name: &str, sql_type: &str) -> Default {
        Default { method: method.into(), name: name.into(), sql_type: types::parse(sql_type).unwrap() }
    }

    #[test]
    fn what_is_not_the_default_stays() {
        let text = "table t {\n    column a text\n    column b citext\n    column c varchar\n    index a { key a opclass=text_ops }\n    \
                    index b { key b opclass=text_ops }\n    index c { key c opclass=text_pattern_ops }\n    index d { key c opclass=text_ops }\n    \
                    index e using=gin { key (sql)\"to_tsvector('simple', a)\" opclass=tsvector_ops }\n}\nextension citext";
        let (mut state, problems) = load(&text.replace("index a {", "index ia {").replace("index b {", "index ib {"));
        assert_eq!(problems, Vec::<String>::new());
        let defaults = [
            default("btree", "text_ops", "text"),
            default("btree", "citext_ops", "citext"),
            default("gin", "tsvector_ops", "tsvector"),
        ];
        assert!(are_named(&state));
        leave_out(&mut state, &defaults);
        let named = |id: &ObjectId| {
            let object = state.get(id).unwrap();
            object.get(KEY).unwrap_or_default().into_iter().any(key_parts::names_class)
        };
        let left: Vec<&str> =
            state.iter().map(|(id, _)| id).filter(|id| named(id)).map(|id| id.name().as_str()).collect();
        assert_eq!(left, ["ib", "c"]);
    }
}
