//! How statements name an object that has a name of its own only in its state: an identity is its sequence there.

use crate::model::{ObjectId, State};
use crate::sql;

use super::room;

/// As `sql::target`, but for what has another object behind it.
pub fn target(id: &ObjectId, state: &State) -> String {
    behind(id, state).map_or_else(|| sql::target(id), |path| format!("SEQUENCE {path}"))
}

/// As `sql::path`.
pub fn path(id: &ObjectId, state: &State) -> String {
    behind(id, state).unwrap_or_else(|| sql::path(id))
}

fn behind(id: &ObjectId, state: &State) -> Option<String> {
    let name = state.get(id).and_then(|object| room(id.kind()).takes(id, object))?;
    Some(sql::schema_path(id, &name))
}
