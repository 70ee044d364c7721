//! Collations that differ from the type's default: how columns, attributes, domains, ranges and parts of keys refer to them.

use crate::catalog::Row;
use crate::kinds::{find, schema};
use crate::model::{Attr, Form, Key, ObjectId, OnChange, Shape, attr};
use crate::sql;

/// The collation of something that has one.
pub const COLLATION: Key<ObjectId> = Key::new("collation");

/// The kind that is referred to; PostgreSQL's own collations go without a schema.
pub const KINDS: &[&str] = &["collation"];

/// The row of a table of attributes for `COLLATION`.
pub const fn collation_attr(on_change: OnChange) -> Attr {
    attr(
        COLLATION,
        Shape::Ref(KINDS),
        Form::Property,
        on_change,
        "The collation, if it differs from the type's default.",
    )
}

/// Two SQL expressions: schema and name of the collation with the OID `own`, NULL where it is the one of `of_type`.
pub fn columns(own: &str, of_type: &str) -> String {
    let one = |what: &str| {
        format!(
            "CASE WHEN {own} <> {of_type} THEN (SELECT {what}::text FROM pg_collation l \
             JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = {own}) END"
        )
    };
    format!("{}, {}", one("n.nspname"), one("l.collname"))
}

/// What those expressions gave.
pub fn read(row: &mut Row) -> Option<ObjectId> {
    let (schema, name) = (row.text_opt(), row.text_opt());
    id(&schema?, &name?)
}

/// The address of a collation.
pub fn id(schema: &str, name: &str) -> Option<ObjectId> {
    let kind = KINDS.iter().find_map(|word| find(word))?.kind();
    Some(ObjectId::new(kind, Some(schema::id(schema)), name))
}

/// ` COLLATE …`, nothing where the type's own collation is meant.
pub fn clause(collation: Option<&ObjectId>) -> String {
    collation.map_or_else(String::new, |id| format!(" COLLATE {}", name(id)))
}

/// Its name in SQL: what is in `pg_catalog` is found before all else.
pub fn name(id: &ObjectId) -> String {
    match id.schema().filter(|schema| schema.name().as_str() != "pg_catalog") {
        Some(_) => sql::path(id),
        None => sql::name(id.name()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_are_named_as_people_do() {
        assert_eq!(clause(id("pg_catalog", "C").as_ref()), " COLLATE \"C\"");
        assert_eq!(clause(id("app", "Odd").as_ref()), " COLLATE app.\"Odd\"");
        assert_eq!(clause(None), "");
    }
}
