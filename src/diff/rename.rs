//! Renames are said (`was=old`), never guessed: the first state under its new names.

use crate::model::{Attrs, Change, Edges, Expr, ObjectId, State, Value};

/// The first state (and its edges) as it is once the renames that the second state asks for are done, and these renames.
/// A `was` whose old object is gone, or whose new name is taken, did its work and means nothing.
pub fn apply(mut old: State, mut edges: Edges, new: &State) -> (State, Edges, Vec<Change>) {
    let mut changes = Vec::new();
    let mut wanted: Vec<(ObjectId, ObjectId)> =
        new.iter().filter_map(|(id, object)| Some((id.renamed(object.was.clone()?), id.clone()))).collect();
    // Outer objects first: the old id of a column is that of its table's new name.
    wanted.sort_by_key(|(_, to)| to.ancestors().count());
    for (from, to) in wanted {
        if !old.has(&from) || old.has(&to) || new.has(&from) {
            continue;
        }
        (old, edges) = rebase(old, edges, &from, &to);
        changes.push(Change::Rename(from, to));
    }
    (old, edges, changes)
}

/// The state and its edges with `from`, and everything inside it, under its new address.
pub fn rebase(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let id = |id: ObjectId| id.rebased(from, to).unwrap_or(id);
    let mut state = State::default();
    for (key, mut object) in old.objects {
        attrs(&mut object.attrs, from, to);
        state.put(id(key), object);
    }
    let edges = edges.into_iter().map(|(key, list)| (id(key), list.into_iter().map(id).collect())).collect();
    (state, edges)
}

fn attrs(attrs: &mut Attrs, from: &ObjectId, to: &ObjectId) {
    attrs.iter_mut().for_each(|(_, v)| value(v, from, to));
}

fn value(v: &mut Value, from: &ObjectId, to: &ObjectId) {
    match v {
        Value::Ref(id) => {
            if let Some(new) = id.rebased(from, to) {
                *id = new;
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| value(v, from, to)),
        Value::Record(record) => attrs(record, from, to),
        // Stored text follows a rename by itself; text alone cannot say how, so the names in it are exchanged and the
        // comparison asks the server where that is not what it finds.
        Value::Expr(expr) => *expr = Expr::new(expr.as_str()),
        _ => {}
    }
}
