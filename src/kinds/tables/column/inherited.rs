//! Columns that tables have from parents, and what goes on in them when a parent's column does.

use rustc_hash::FxHashSet;

use super::{NOT_NULL, TYPE, alter_table};
use crate::kinds::{Context, LockMode, Statement, constraint, find, inheritance};
use crate::model::{ObjectId, State};
use crate::sql;

/// Columns of files that leave out what they inherit. They are NOT NULL where a parent's is, since PostgreSQL allows nothing else; one of
/// which nothing else is said is not a separate object.
pub fn settle(state: &mut State) {
    let described: FxHashSet<ObjectId> = state.iter().filter_map(|(id, _)| id.parent()).cloned().collect();
    let bare = |state: &State, id: &ObjectId| {
        let object = state.get(id).filter(|object| object.get(TYPE).is_none());
        id.is(&super::KIND) && object.is_some() && !inheritance::origins(state, id).is_empty()
    };
    let ids = state.iter().map(|(id, _)| id).filter(|id| bare(state, id));
    let found: Vec<(ObjectId, bool)> = ids.map(|id| (id.clone(), constraint::inherits_not_null(state, id))).collect();
    if found.is_empty() {
        return;
    }
    let objects = state.objects_mut();
    for (id, not_null) in found {
        let Some(object) = objects.get_mut(&id) else { continue };
        if not_null {
            object.attrs.set(NOT_NULL, true);
        }
        let says = object.attrs.iter().any(|(name, _)| name != NOT_NULL.name) || object.is(NOT_NULL) != not_null;
        if !says && object.was.is_none() && !described.contains(&id) {
            objects.shift_remove(&id);
        }
    }
}

/// Drops a column of a table. Where heirs have it by themselves afterwards, it stays there with its values.
pub fn drop(id: &ObjectId, cx: &Context<'_>) -> Vec<Statement> {
    let name = sql::name(id.name());
    let plain = |id: &ObjectId| vec![alter_table(id, &format!("DROP COLUMN {name}"))];
    let Some(table) = id.parent() else { return plain(id) };
    let after = cx.across().filter(|after| after.has(table) && keeps(id, cx.state, after));
    let Some(after) = after else { return plain(id) };
    let only = |what: String| {
        let sql = format!("ALTER {} ONLY {} {what}", table.kind().sql, sql::path(table));
        Statement::new(sql).locks(LockMode::AccessExclusive, table)
    };
    let mut out = Vec::new();
    // Otherwise the heirs' NOT NULL is taken for one that is inherited for ever (as of 18.4).
    if cx.server.at_least(18) && cx.state.get(id).is_some_and(|column| column.is(NOT_NULL)) {
        let identity = find("identity").map(|room| ObjectId::facet(room.kind(), id.clone()));
        let numbered = identity.is_some_and(|identity| cx.state.has(&identity));
        out.extend(numbered.then(|| only(format!("ALTER COLUMN {name} DROP IDENTITY"))));
        out.push(only(format!("ALTER COLUMN {name} DROP NOT NULL")));
    }
    out.push(only(format!("DROP COLUMN {name}")));
    for heir in children(table, cx.state) {
        let column = id.moved(Some(heir.clone()));
        let elsewhere = !inheritance::origins(after, &column).is_empty();
        if !is_own(&column, after) && !elsewhere && !inheritance::origins(cx.state, &column).is_empty() {
            out.extend(drop(&column, cx));
        }
    }
    out
}

/// True if an heir of the column's table has the column without this one. A partition has it only once it is no longer a partition: PostgreSQL
/// drops no column of a partitioned table alone.
fn keeps(id: &ObjectId, before: &State, after: &State) -> bool {
    let Some(table) = id.parent() else { return false };
    children(table, before).into_iter().any(|heir| {
        let column = id.moved(Some(heir.clone()));
        let left = |heir| inheritance::partition_of(heir).is_some_and(|(whole, _)| whole == table);
        let left = before.get(heir).is_some_and(left);
        after.has(heir) && !left && (is_own(&column, after) || keeps(&column, before, after))
    })
}

fn is_own(column: &ObjectId, state: &State) -> bool {
    state.get(column).is_some_and(|own| own.get(TYPE).is_some())
}

fn children<'s>(table: &ObjectId, state: &'s State) -> Vec<&'s ObjectId> {
    inheritance::children(state, table).collect()
}
