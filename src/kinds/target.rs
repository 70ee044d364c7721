//! How statements name an object that has a name of its own only in its state: an identity is addressed by its sequence.

use crate::kinds::{Context, numbering};
use crate::model::ObjectId;
use crate::sql;

/// As `sql::target`, but for what has another object behind it.
pub fn target(id: &ObjectId, cx: &Context<'_>) -> String {
    behind(id, cx).map_or_else(|| sql::target(id), |path| format!("SEQUENCE {path}"))
}

/// As `sql::path`.
pub fn path(id: &ObjectId, cx: &Context<'_>) -> String {
    behind(id, cx).unwrap_or_else(|| sql::path(id))
}

fn behind(id: &ObjectId, cx: &Context<'_>) -> Option<String> {
    let name = numbering::name_for_now(id, cx)?;
    Some(sql::schema_path(id, &name))
}
