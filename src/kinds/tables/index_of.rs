//! What replica identity and clustering share: facets of a table that point to one of its indexes, possibly that of a key.

use crate::catalog::Book;
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Room, constraint, find, generic, meant};
use crate::model::{Ident, Key, ObjectId};

/// The index or key that the facet points to.
pub const INDEX: Key<ObjectId> = Key::new("index");

/// Reads a facet once all indexes have their names. `take` finds the index in the node, which keeps the rest, or says what is wrong.
pub fn parse(
    room: &'static dyn Room,
    node: &Node,
    scope: &mut Scope<'_>,
    take: fn(&mut Node) -> Result<Option<Arg>, Problem>,
) {
    if scope.put_off(Turn::NamedReference, room, node) {
        return;
    }
    let Some(table) = scope.parent.clone() else { return };
    let mut rest = node.clone();
    let index = match take(&mut rest) {
        Ok(said) => said.and_then(|arg| named(&arg, &table, scope)),
        Err(problem) => return scope.problem(problem),
    };
    if let Some(object) = generic::parse_as(ObjectId::facet(room.kind(), table), &rest, 0, scope) {
        object.attrs.set(INDEX, index);
    }
}

/// The index or key of that name. Indexes that partitions have from their parent are not objects; they are called by their names.
fn named(arg: &Arg, table: &ObjectId, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let name = generic::name_of(arg, scope)?;
    let keys = scope.load.keys.get(table).into_iter().flatten();
    if let Some(key) = keys.clone().find(|key| *key.name() == name) {
        return Some(key.clone());
    }
    if !constraint::parents(&scope.load.state, table).is_empty() {
        return unknown(table, name);
    }
    let mut problem =
        Problem::new(arg.span, format!("{table} has no index `{}`", name.as_str())).label("unknown index");
    if let Some(near) = meant::nearest(name.as_str(), keys.map(|key| key.name().as_str())) {
        problem = problem.help(format!("did you mean `{near}`?"));
    }
    scope.problem(problem);
    None
}

/// The same from the catalog.
pub fn stored(oid: u32, name: impl Into<Ident>, table: &ObjectId, book: &Book) -> Option<ObjectId> {
    book.relation(oid).cloned().or_else(|| unknown(table, name.into()))
}

fn unknown(table: &ObjectId, name: Ident) -> Option<ObjectId> {
    Some(ObjectId::new(find("index")?.kind(), Some(table.clone()), name))
}
