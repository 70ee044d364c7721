//! What triggers, event triggers and rules share: the sessions in which they fire, and the function that they call.

use crate::model::{Attr, Form, Key, Object, ObjectId, OnChange, Shape, Span, Text, attr};
use crate::sql;

use super::find;
use super::scope::Scope;

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

/// Functions for triggers that every database has.
const BUILT_IN: &[&str] =
    &["suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"];

/// The function of a trigger, by its schema and name.
pub fn function_id(schema: ObjectId, name: Text) -> Option<ObjectId> {
    // It takes no arguments, whatever the trigger passes to it.
    Some(ObjectId::routine(find("function")?.kind(), Some(schema), name, ""))
}

/// A function by its name: declared, built in, or an extension's in a schema that is said or `public`.
pub fn function_of(text: &str, span: Span, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let declared = |schema: &Text, name: &Text| {
        scope.load.declared.get(&(schema.clone(), name.clone())).is_some_and(|words| words.contains(&"function"))
    };
    let has_extensions = || scope.load.declared.values().any(|words| words.contains(&"extension"));
    let own = scope.schema.name().text();
    let public = Text::from("public");
    let parts = sql::reference::split(text).unwrap_or_default();
    let home = match parts.as_slice() {
        [name] if declared(&own, name) => Some(own),
        [name] if declared(&public, name) => Some(public),
        [name] if BUILT_IN.contains(&&**name) => Some("pg_catalog".into()),
        [_] if has_extensions() => Some(public),
        [schema, name] if declared(schema, name) || has_extensions() || &**schema == "pg_catalog" => {
            Some(schema.clone())
        }
        _ => None,
    };
    match (home, parts.last()) {
        (Some(home), Some(name)) => function_id(ObjectId::new(find("schema")?.kind(), None, home), name.clone()),
        _ => {
            scope.resolve(&["function"], text, span).and_then(|id| function_id(id.parent()?.clone(), id.name().text()))
        }
    }
}
