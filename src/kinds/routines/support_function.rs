//! Functions with fixed argument types that serve another object, such as a trigger's function or a wrapper's handler. Files give only their
//! names.

use crate::kinds::scope::Scope;
use crate::kinds::{find, generic};
use crate::model::{Ident, ObjectId, Span, Text};
use crate::sql;

/// The address of a function.
pub fn id(schema: ObjectId, name: impl Into<Ident>, signature: &str) -> Option<ObjectId> {
    Some(ObjectId::routine(find("function")?.kind(), Some(schema), name, signature))
}

/// A function by its name: declared, built in, or an extension's in the given schema or `public`.
pub fn resolve(text: &str, signature: &str, built_in: &[&str], span: Span, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let declared = |schema: &Text, name: &Text| {
        scope.load.declared.get(&(schema.clone(), name.clone())).is_some_and(|words| words.contains(&"function"))
    };
    let own = scope.schema.name().text();
    let public = Text::from("public");
    let parts = sql::reference::split(text).unwrap_or_default();
    let home = match parts.as_slice() {
        [name] if declared(&own, name) => Some(own),
        [name] if declared(&public, name) => Some(public),
        [name] if built_in.contains(&&**name) => Some("pg_catalog".into()),
        [_] if scope.load.has_extensions() => Some(public),
        [schema, name] if declared(schema, name) || scope.load.has_extensions() || &**schema == "pg_catalog" => {
            Some(schema.clone())
        }
        _ => None,
    };
    match (home, parts.last()) {
        (Some(home), Some(name)) => id(ObjectId::new(find("schema")?.kind(), None, home), name.clone(), signature),
        _ => scope
            .resolve(&["function"], text, span)
            .and_then(|found| id(found.parent()?.clone(), found.name().text(), signature)),
    }
}

/// The name as files say it in an object of `schema`; what is in no schema sees `public` as its own.
pub fn text(function: &ObjectId, schema: Option<&ObjectId>) -> String {
    let public = crate::kinds::schema::id("public");
    generic::reference_text(&function.with_signature(None), Some(schema.unwrap_or(&public)))
}

/// The name in SQL.
pub fn path(function: &ObjectId) -> String {
    sql::schema_path(function, function.name())
}
