//! Finds columns for which existing rows need a value that nothing supplies: NOT NULL, without a default, added to an existing table.

use crate::kinds::scope::schema_id;
use crate::kinds::{Folded, find};
use crate::model::{Expr, Key, Namespace, Object, ObjectId, SqlType, State};
use crate::sql::types;

use super::inheritance;

const TYPE: Key<SqlType> = Key::new("type");
const NOT_NULL: Key<bool> = Key::new("not-null");
const GENERATED: Key<Expr> = Key::new("generated");

/// True if somebody has to supply a value for existing rows when the column is added. `state` is the one with the column; `folded`
/// are the parts that come with it.
pub fn lacks_value(column: &ObjectId, object: &Object, folded: &[Folded], state: &State) -> bool {
    let rows = column.parent().is_some_and(|table| table.kind().word == "table");
    let said =
        folded.iter().any(|child| child.id.kind().namespace == Namespace::ColumnValue) || has_value(column, state);
    let wanted = object.is(NOT_NULL) || base_of(object, state).is_some();
    rows && wanted && !said && object.get(GENERATED).is_none() && !domain_default(object, state)
}

/// True if the column has a default, or an identity that numbers the rows when it is added.
fn has_value(column: &ObjectId, state: &State) -> bool {
    let facet = |word: &str| find(word).is_some_and(|room| state.has(&ObjectId::facet(room.kind(), column.clone())));
    facet("default") || facet("identity") && !above_heirs(column, state)
}

/// True for a column of a table from which others inherit: an identity is that of one table.
pub fn above_heirs(column: &ObjectId, state: &State) -> bool {
    let table = column.parent().and_then(|table| Some((table, state.get(table)?)));
    table.is_some_and(|(table, object)| {
        object.value("partition-by").is_none() && inheritance::children(state, table).next().is_some()
    })
}

/// The type under a column's domain that refuses NULL: a column of it can be added first.
pub fn base_of(object: &Object, state: &State) -> Option<SqlType> {
    let (mut found, mut sql_type) = (None, object.get(TYPE)?);
    // Domains over domains end somewhere; whatever continues for longer is none.
    for _ in 0..16 {
        let Some(domain) = domain(sql_type, state) else { break };
        sql_type = domain.get(TYPE)?;
        if domain.is(NOT_NULL) {
            found = Some(sql_type.clone());
        }
    }
    found
}

fn domain_default(object: &Object, state: &State) -> bool {
    let own = object.get(TYPE).and_then(|sql_type| domain(sql_type, state));
    own.is_some_and(|domain| domain.value("default").is_some())
}

fn domain<'a>(sql_type: &SqlType, state: &'a State) -> Option<&'a Object> {
    let parsed = types::parse(sql_type.as_str()).ok().filter(|parsed| !parsed.array)?;
    state.get(&ObjectId::new(find("domain")?.kind(), Some(schema_id(parsed.schema?)), parsed.name))
}
