//! CREATE AGGREGATE.

use crate::kinds::routine::{ARG_NAME, ARG_TYPE, ARGS};
use crate::kinds::{key_parts, support};
use crate::model::{Attrs, Ident, Key, Object, ObjectId, SqlType, Text};
use crate::sql;

use super::attributes::{FUNCTIONS, ORDER_BY, SORTOP};
use super::{KIND, is_variadic, list};

/// The statement that creates the aggregate, or replaces it.
pub(super) fn definition(verb: &str, id: &ObjectId, object: &Object) -> String {
    let arguments = |key| list(key, object).into_iter().map(argument).collect::<Vec<_>>().join(", ");
    let (direct, sorted) = (arguments(ARGS), arguments(ORDER_BY));
    let arguments = match (direct.as_str(), sorted.as_str()) {
        ("", "") => "*".to_string(),
        (direct, "") => direct.to_string(),
        ("", sorted) => format!("ORDER BY {sorted}"),
        (direct, sorted) => format!("{direct} ORDER BY {sorted}"),
    };
    let word = |name: &str| name.replace('-', "_").to_uppercase();
    let mut parts: Vec<String> = Vec::new();
    for attr in KIND.attrs {
        let key = |key: &'static str| attr.name == key;
        let function = FUNCTIONS.iter().find(|f| key(f.name)).and_then(|f| object.get(*f));
        let value = match function {
            Some(function) => Some(support::name(function)),
            None => match attr.name {
                "stype" | "mstype" => object.get(Key::<SqlType>::new(attr.name)).map(|t| t.as_str().to_string()),
                "sspace" | "msspace" => object.get(Key::<i64>::new(attr.name)).map(|n| n.to_string()),
                "initcond" | "minitcond" => object.get(Key::<Text>::new(attr.name)).map(|t| sql::literal(t)),
                "finalfunc-modify" | "mfinalfunc-modify" | "parallel" => {
                    object.get(Key::<Text>::new(attr.name)).map(|t| word(t))
                }
                "sortop" => object.get(SORTOP).map(|operator| key_parts::operator_sql(operator)),
                "hypothetical" | "finalfunc-extra" | "mfinalfunc-extra" if object.is(Key::new(attr.name)) => {
                    parts.push(word(attr.name));
                    None
                }
                _ => None,
            },
        };
        parts.extend(value.map(|value| format!("{} = {value}", word(attr.name))));
    }
    format!("{verb} AGGREGATE {}({arguments}) (\n    {}\n)", sql::schema_path(id, id.name()), parts.join(",\n    "))
}

fn argument(arg: &Attrs) -> String {
    let variadic = if is_variadic(arg) { "VARIADIC " } else { "" };
    let name = arg.get(ARG_NAME).map_or_else(String::new, |n| format!("{} ", sql::name(&Ident::new(n.clone()))));
    format!("{variadic}{name}{}", arg.get(ARG_TYPE).map_or("", |t| t.as_str()))
}
