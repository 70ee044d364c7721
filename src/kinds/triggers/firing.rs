//! What triggers, event triggers and rules share: the sessions in which they fire, and the function that they call.

use crate::kinds::scope::Scope;
use crate::kinds::support_function;
use crate::model::{Attr, Form, Key, Object, ObjectId, OnChange, Shape, Span, Text, attr};

/// In which sessions it fires.
pub const ENABLED: Key<Text> = Key::new("enabled");

/// The row of a table of attributes for `ENABLED`.
pub const fn enabled_attr() -> Attr {
    let shape = Shape::Word(&["origin", "disabled", "replica", "always"]);
    attr(ENABLED, shape, Form::Property, OnChange::Alter, "In which sessions it fires.").default("origin")
}

/// What the catalog's letter means; the default is left out.
pub fn enabled(letter: char) -> Option<Text> {
    match letter {
        'D' => Some("disabled".into()),
        'R' => Some("replica".into()),
        'A' => Some("always".into()),
        _ => None,
    }
}

/// `DISABLE`, `ENABLE REPLICA` …
pub fn enable(object: &Object) -> &'static str {
    match object.get(ENABLED).map(|e| &**e) {
        Some("disabled") => "DISABLE",
        Some("replica") => "ENABLE REPLICA",
        Some("always") => "ENABLE ALWAYS",
        _ => "ENABLE",
    }
}

/// A trigger's function takes no arguments, whatever the trigger passes to it.
const NO_ARGUMENTS: &str = "";

/// Functions for triggers that every database has.
const BUILT_IN: &[&str] =
    &["suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"];

/// The function of a trigger, by its schema and name.
pub fn function_id(schema: ObjectId, name: Text) -> Option<ObjectId> {
    support_function::id(schema, name, NO_ARGUMENTS)
}

/// A trigger's function by the name that a file gives it.
pub fn function_of(text: &str, span: Span, scope: &mut Scope<'_>) -> Option<ObjectId> {
    support_function::resolve(text, NO_ARGUMENTS, BUILT_IN, span, scope)
}
