//! Reads live dependency edges from `pg_depend`, and only if there is something to plan.

use crate::catalog::{Book, Row, Session, server_error};
use crate::kinds::{inheritance, room};
use crate::model::{Address, Edges, ObjectId, Result, State, Value};

/// Normal, automatic, internal and partition dependencies between user objects; pinned ones are not recorded. That a sequence
/// belongs to a column is an object of its own, and a reference of that one.
pub(super) const DEPENDS: &str = "SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid FROM pg_depend \
    LEFT JOIN pg_sequence ON classid = 1259 AND seqrelid = objid AND deptype = 'a' AND refobjsubid > 0 \
    WHERE deptype IN ('n', 'a', 'i', 'P', 'S') AND objid >= 16384 AND refobjid >= 16384 AND seqrelid IS NULL";

/// The dependencies recorded in the catalog.
#[derive(Debug)]
pub enum Dependencies {
    /// Not asked for yet; where the rows of the reading are.
    Unread(Box<Book>),
    /// Kept with an earlier reading.
    Known(Vec<(ObjectId, ObjectId)>),
}

/// Object → what it depends on, lifted to objects of the state, without an object's own parts and parents.
///
/// # Errors
/// What the server reports.
pub async fn edges(session: &Session, dependencies: &Dependencies, state: &State) -> Result<Edges> {
    let mut edges = Edges::default();
    match dependencies {
        Dependencies::Known(depends) => depends.iter().for_each(|(from, to)| add(&mut edges, state, from, to)),
        Dependencies::Unread(book) => {
            let rows = session.client.query_typed(DEPENDS, &[]).await.map_err(|error| server_error(&error))?;
            for (from, to) in named(book, rows.into_iter().map(Row::new)) {
                add(&mut edges, state, from, to);
            }
        }
    }
    for (id, object) in state.iter() {
        for (_, value) in object.iter() {
            if let Value::Ref(to) = value {
                add(&mut edges, state, id, to);
            }
        }
        for to in room(id.kind()).rests_on(id, object, state) {
            add(&mut edges, state, id, &to);
        }
    }
    Ok(edges)
}

/// The objects that the rows of `DEPENDS` speak of. An object's own parts and parents say nothing.
pub(super) fn named(book: &Book, rows: impl Iterator<Item = Row>) -> impl Iterator<Item = (&ObjectId, &ObjectId)> {
    let within = |inner: &ObjectId, outer: &ObjectId| inner.ancestors().any(|ancestor| ancestor == outer);
    rows.filter_map(|mut row| {
        let from = super::object(book, row.oid(), row.oid(), row.next());
        from.zip(super::object(book, row.oid(), row.oid(), row.next()))
    })
    .filter(move |(from, to)| from != to && !within(from, to) && !within(to, from))
}

fn add(edges: &mut Edges, state: &State, from: &ObjectId, to: &ObjectId) {
    let lift = |id: &ObjectId| std::iter::once(id).chain(id.ancestors()).find(|i| state.has(i)).cloned();
    // What is inherited needs what the parent's needs; the table that inherits it does not.
    let heir = |id: &ObjectId| !state.has(id) && !room(id.kind()).inherited_from(id, state).is_empty();
    if heir(from) {
        if from.root() == to.root() {
            return;
        }
        return room(from.kind()).inherited_from(from, state).iter().for_each(|origin| add(edges, state, origin, to));
    }
    let Some(from) = lift(from) else { return };
    // An inherited column is dropped with the parent's, even if it has attributes of its own.
    let own =
        state.get(to).is_some_and(|object| to.kind().address != Address::MemberOf || object.value("type").is_some());
    let inherited = if own { Vec::new() } else { inheritance::origins(state, to) };
    for to in lift(to).into_iter().chain(inherited) {
        if from == to || from.ancestors().any(|a| *a == to) || to.ancestors().any(|a| *a == from) {
            continue;
        }
        let list = edges.entry(from.clone()).or_default();
        if !list.contains(&to) {
            list.push(to);
        }
    }
}
