//! Reading and writing nodes by a kind's table of attributes: the default for every room.

mod read;
mod value;
mod write;

pub use read::{parse, parse_as, record, take_name};
pub use value::name_of;
pub use write::{arg_of, dotted, reference_text, type_text, write, write_record};

use crate::model::{Attr, Attrs, Expr, Kind, Shape, Value};

/// The annotation of a name that contains a dot and does not begin with a schema.
const NAME: &str = "name";

/// True if the value is the one that is never stored.
pub fn is_default(attr: &Attr, value: &Value) -> bool {
    match (value, attr.default) {
        (Value::Bool(b), None) => !b,
        (Value::List(list), None) => list.is_empty(),
        (Value::Options(list), None) => list.0.is_empty(),
        (Value::Int(i), Some(default)) => default.parse() == Ok(*i),
        (Value::Text(t), Some(default)) => &**t == default,
        (Value::Type(t), Some(default)) => t.as_str() == default,
        _ => false,
    }
}

/// Takes the values that are defaults out of attributes that a room read from the catalog, and the white space around SQL
/// off, which files do not have (a CASE is printed with a line break before it).
pub fn drop_defaults(kind: &'static Kind, attrs: &mut Attrs) {
    for (name, value) in attrs.iter_mut() {
        let Value::Expr(text) = value else { continue };
        let sql = kind.attr(name).is_some_and(|a| matches!(a.shape, Shape::Expr | Shape::Query));
        if sql && text.as_str().trim().len() < text.as_str().len() {
            *text = Expr::new(text.as_str().trim());
        }
    }
    for attr in kind.attrs {
        if attrs.value(attr.name).is_some_and(|v| is_default(attr, v)) {
            attrs.remove(attr.name);
        }
    }
}
