//! Live dependency edges, from `pg_depend`. Read only where there is something to plan.

use crate::catalog::{Row, Session, server_error};
use crate::kinds::{inheritance, room};
use crate::model::{Edges, ObjectId, Result, State, Value};

use super::Addresses;

/// Normal, automatic, internal and partition dependencies between user objects; pinned ones are not recorded. That a sequence
/// belongs to a column is an object of its own, and a reference of that one.
const DEPENDS: &str = "SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid FROM pg_depend \
    LEFT JOIN pg_sequence ON classid = 1259 AND seqrelid = objid AND deptype = 'a' AND refobjsubid > 0 \
    WHERE deptype IN ('n', 'a', 'i', 'P', 'S') AND objid >= 16384 AND refobjid >= 16384 AND seqrelid IS NULL";

/// Object → what it depends on, lifted to objects of the state, without an object's own parts and parents.
///
/// # Errors
/// What the server reports.
pub async fn edges(session: &Session, addresses: &Addresses, state: &State) -> Result<Edges> {
    let book = &*addresses.book(session.version)?;
    let rows = session.client.query(DEPENDS, &[]).await.map_err(|error| server_error(&error))?;
    let mut edges = Edges::default();
    for row in rows {
        let mut row = Row::new(row);
        let from = super::object(book, row.oid(), row.oid(), row.next());
        let to = super::object(book, row.oid(), row.oid(), row.next());
        let (Some(from), Some(to)) = (from, to) else { continue };
        add(&mut edges, state, from, to);
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

fn add(edges: &mut Edges, state: &State, from: &ObjectId, to: &ObjectId) {
    let lift = |id: &ObjectId| std::iter::once(id).chain(id.ancestors()).find(|i| state.has(i)).cloned();
    let Some(from) = lift(from) else { return };
    // An inherited column goes with the parent's.
    let inherited = if state.has(to) { Vec::new() } else { inheritance::origins(state, to) };
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
