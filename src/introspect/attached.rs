//! Reads what the parts of a partitioned table's keys and indexes are called in some partitions: they are not objects of the state.

use rustc_hash::FxHashMap;

use crate::catalog::Session;
use crate::model::{Ident, ObjectId, Result, State};

const QUERY: &str = "SELECT n.nspname::text, t.relname::text, w.relname::text, p.relname::text FROM pg_inherits h \
     JOIN pg_class p ON p.oid = h.inhrelid AND p.relkind IN ('i', 'I') JOIN pg_class w ON w.oid = h.inhparent \
     JOIN pg_index i ON i.indexrelid = p.oid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
     JOIN unnest($1::text[], $2::text[]) AS x (schema, name) ON x.schema = n.nspname AND x.name = t.relname";

/// The names, by the partition and the key or index of its parent. `state` has the partitions and keys; the server knows them under the
/// names that `live` gives.
///
/// # Errors
/// The server's.
pub async fn attached(
    session: &Session,
    partitions: &[&ObjectId],
    state: &State,
    live: &impl Fn(&ObjectId) -> ObjectId,
) -> Result<FxHashMap<(ObjectId, ObjectId), Ident>> {
    let mut out = FxHashMap::default();
    if partitions.is_empty() {
        return Ok(out);
    }
    let theirs: Vec<(String, String)> = partitions
        .iter()
        .map(|id| live(id))
        .map(|id| (id.schema().map_or_else(String::new, |s| s.name().as_str().into()), id.name().as_str().into()))
        .collect();
    let schemas: Vec<&str> = theirs.iter().map(|(schema, _)| schema.as_str()).collect();
    let names: Vec<&str> = theirs.iter().map(|(_, name)| name.as_str()).collect();
    for mut row in session.rows(QUERY, &[&schemas, &names]).await? {
        let (schema, table, whole, part) = (row.text(), row.text(), row.text(), Ident::new(row.text()));
        let place = theirs.iter().position(|(s, t)| **s == *schema && **t == *table);
        let Some(partition) = place.and_then(|place| partitions.get(place)) else { continue };
        let parents = state.get(partition).map(crate::kinds::inheritance::parents).unwrap_or_default();
        let keys = state.iter().map(|(id, _)| id).filter(|id| id.parent().is_some_and(|p| parents.contains(&p)));
        // Several kinds are indexes; none of the others is looked up under this name.
        for key in keys.filter(|key| live(key).name().as_str() == &*whole) {
            out.insert(((*partition).clone(), key.clone()), part.clone());
        }
    }
    Ok(out)
}
