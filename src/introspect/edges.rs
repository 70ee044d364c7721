//! Live dependency edges, from `pg_depend`. Read only where there is something to plan.

use crate::catalog::{Book, Row, Session, server_error};
use crate::model::{Edges, Result, State};

/// Normal, automatic, internal and partition dependencies between user objects; pinned ones are not recorded.
const DEPENDS: &str = "SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid FROM pg_depend \
    WHERE deptype IN ('n', 'a', 'i', 'P', 'S') AND objid >= 16384 AND refobjid >= 16384";

/// Object → what it depends on, lifted to objects of the state, without an object's own parts and parents.
///
/// # Errors
/// What the server reports.
pub async fn edges(session: &Session, book: &Book, state: &State) -> Result<Edges> {
    let rows = session.client.query(DEPENDS, &[]).await.map_err(|error| server_error(&error))?;
    let mut edges = Edges::default();
    for row in rows {
        let mut row = Row::new(row);
        let from = super::object(book, row.oid(), row.oid(), row.next());
        let to = super::object(book, row.oid(), row.oid(), row.next());
        let (Some(from), Some(to)) = (from, to) else { continue };
        let lift =
            |id: &crate::model::ObjectId| std::iter::once(id).chain(id.ancestors()).find(|i| state.has(i)).cloned();
        let (Some(from), Some(to)) = (lift(from), lift(to)) else { continue };
        if from == to || from.ancestors().any(|a| *a == to) || to.ancestors().any(|a| *a == from) {
            continue;
        }
        let list = edges.entry(from).or_default();
        if !list.contains(&to) {
            list.push(to);
        }
    }
    Ok(edges)
}
