//! Collations that are not their type's: how columns, attributes and domains read and say them.

use crate::model::{Ident, Text};
use crate::sql;

/// An SQL expression: the quoted name of the collation with the OID `own`, NULL where it is the one of `of_type`.
pub fn column(own: &str, of_type: &str) -> String {
    format!(
        "CASE WHEN {own} <> {of_type} THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) \
         FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = {own}) END"
    )
}

/// What that expression gave, as the model keeps it: PostgreSQL's own collations go without a schema.
pub fn stored(text: Option<Text>) -> Option<Text> {
    text.map(|name| name.strip_prefix("pg_catalog.").map_or_else(|| name.clone(), unquoted))
}

/// A collation without a schema is kept verbatim if it has no dot.
fn unquoted(name: &str) -> Text {
    match sql::reference::split(name) {
        Ok(parts) if parts.len() == 1 && parts.iter().all(|p| !p.contains(['.', '"'])) => parts.concat().into(),
        _ => name.into(),
    }
}

/// ` COLLATE …`, nothing where the type's own collation is meant.
pub fn clause(collation: Option<&Text>) -> String {
    let Some(collation) = collation else { return String::new() };
    let name = match sql::reference::split(collation) {
        Ok(parts) => parts.iter().map(|p| sql::name(&Ident::new(p.clone())).to_string()).collect::<Vec<_>>().join("."),
        Err(_) => sql::name(&Ident::new(collation.clone())).to_string(),
    };
    format!(" COLLATE {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_are_named_as_people_do() {
        assert_eq!(stored(Some("pg_catalog.\"C\"".into())).as_deref(), Some("C"));
        assert_eq!(stored(Some("app.\"Odd\"".into())).as_deref(), Some("app.\"Odd\""));
        assert_eq!(clause(Some(&"C".into())), " COLLATE \"C\"");
        assert_eq!(clause(Some(&"app.\"Odd\"".into())), " COLLATE app.\"Odd\"");
        assert_eq!(clause(None), "");
    }
}
