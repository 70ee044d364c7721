//! What text search objects share: their functions, and the names of PostgreSQL's own ones.

use crate::catalog::{Book, Row};
use crate::kdl::{Arg, Node, Problem};
use crate::model::{Key, Object, ObjectId, Text};
use crate::sql;

use super::scope::{Scope, Turn};
use super::{Room, Statement, find, generic, schema, support};

/// A function of an object: its attribute, its word in SQL, its input types.
pub type Function = (Key<ObjectId>, &'static str, &'static [&'static str]);

/// Reads an object that consists of functions; those of the first `needed` are not optional.
pub fn parse(room: &'static dyn Room, functions: &[Function], needed: usize, node: &Node, scope: &mut Scope<'_>) {
    // Functions are known once everything is read.
    if scope.put_off(Turn::NamedReference, room, node) {
        return;
    }
    let mut rest = node.clone();
    let said = support::take(&mut rest, &functions.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
    for (key, ..) in functions.iter().take(needed).filter(|(key, ..)| node.get_prop(key.name).is_none()) {
        let problem = Problem::new(node.name_span, format!("this {} has no function `{}`", node.name, key.name));
        scope.problem(problem.help(format!("write `{}=…`", key.name)));
    }
    generic::parse(room.kind(), &rest, scope);
    let Some(id) = node.args.first().and_then(Arg::as_text).map(|name| scope.id(room, name.clone())) else { return };
    for (key, _, takes) in functions {
        let Some(prop) = said.iter().find(|prop| &*prop.name == key.name) else { continue };
        let function = support::resolve(&prop.value, &types(takes), scope);
        if let Some(object) = scope.load.state.objects.get_mut(&id) {
            object.attrs.set(*key, function);
        }
    }
}

fn types(takes: &[&str]) -> Vec<Text> {
    takes.iter().map(|t| Text::from(*t)).collect()
}

/// Writes such an object.
pub fn write(functions: &[Function], id: &ObjectId, object: &Object, inner: Vec<Node>) -> Node {
    let mut node = generic::write(id, object, inner);
    let keys: Vec<Key<ObjectId>> = functions.iter().map(|(key, ..)| *key).collect();
    let takes = |key: Key<ObjectId>| {
        functions.iter().find(|(other, ..)| other.name == key.name).map_or_else(Vec::new, |(_, _, takes)| types(takes))
    };
    support::write(&mut node, id, object, &keys, takes);
    node
}

/// The columns of such an object's functions.
pub fn read(functions: &[Function], row: &mut Row, book: &Book) -> Object {
    let mut object = Object::default();
    for (key, ..) in functions {
        object.attrs.set(*key, support::read(row, book));
    }
    object
}

/// Creates such an object.
pub fn create(functions: &[Function], id: &ObjectId, object: &Object) -> Vec<Statement> {
    let said = functions.iter().filter_map(|(key, word, _)| Some((word, object.get(*key)?)));
    let parts: Vec<String> = said.map(|(word, function)| format!("{word} = {}", support::name(function))).collect();
    vec![Statement::new(format!("CREATE {} ({})", sql::target(id), parts.join(", ")))]
}

/// The address of an object of that kind, if there is such a kind.
pub fn id(word: &str, home: &str, name: &str) -> Option<ObjectId> {
    Some(ObjectId::new(find(word)?.kind(), Some(schema::id(home)), name))
}

/// Its name in SQL: what is in `pg_catalog` is found before all else.
pub fn name(id: &ObjectId) -> String {
    match id.schema().filter(|schema| schema.name().as_str() != "pg_catalog") {
        Some(_) => sql::path(id),
        None => sql::name(id.name()).to_string(),
    }
}
