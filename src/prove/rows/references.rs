//! Foreign keys: their columns choose from the rows of the referenced table.

use rustc_hash::FxHashSet;

use crate::model::Result;
use crate::sql;

use super::columns::{Reference, Table};
use super::pools::{Dangling, Pool, Pools, Tuples};
use super::server::Desk;

/// How many rows of another table a foreign key chooses from.
const TARGETS: usize = 256;

/// Makes a foreign key's columns choose from existing rows.
pub(super) async fn referred(
    desk: &Desk<'_>,
    table: &Table,
    reference: &Reference,
    found: &mut Pools,
) -> Result<Option<Dangling>> {
    let list: Vec<String> = reference.theirs.iter().map(|name| format!("{}::text", sql::name(name))).collect();
    let order: Vec<String> = (1..=list.len()).map(|at| at.to_string()).collect();
    let query = format!(
        "SELECT json_agg(ARRAY[{}])::text FROM (SELECT {} FROM {} ORDER BY {} LIMIT {TARGETS}) AS t({})",
        names(list.len()).join(", "),
        list.join(", "),
        reference.target_path,
        order.join(", "),
        names(list.len()).join(", "),
    );
    let text = desk.session.rows(&query, &[]).await?.into_iter().next().and_then(|mut row| row.text_opt());
    let mut rows: Vec<Vec<Option<String>>> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    rows.retain(|row| row.iter().all(Option::is_some));
    let optional: Vec<usize> =
        reference.columns.iter().copied().filter(|at| table.columns.get(*at).is_some_and(|c| !c.not_null)).collect();
    if rows.is_empty() && optional.is_empty() {
        if reference.target != table.oid {
            return Ok(Some(Dangling { constraint: reference.name.clone(), target: reference.target_path.clone() }));
        }
        own_parent(table, reference, found);
        return Ok(None);
    }
    if let [one] = reference.columns[..] {
        let order: Vec<Option<String>> = rows.into_iter().flatten().collect();
        chosen_from(found, one, &order, !optional.is_empty());
        return Ok(None);
    }
    together(reference, &rows, &optional, found);
    Ok(None)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("c{at}")).collect()
}

/// Restricts a column to existing values. One that another key has already restricted is restricted further.
fn chosen_from(found: &mut Pools, column: usize, order: &[Option<String>], optional: bool) {
    let restricted = found.restricted.contains(&column);
    let Some(pool) = found.pools.get_mut(column) else { return };
    if restricted {
        let texts: FxHashSet<&Option<String>> = order.iter().collect();
        let old = pool.clone();
        pool.retain(|at| old.entries.get(at).is_some_and(|entry| entry.text.is_none() || texts.contains(&entry.text)));
        return;
    }
    found.restricted.push(column);
    let mut new = Pool::default();
    for text in order {
        new.intern(text.clone(), true);
    }
    if optional {
        new.intern(None, true);
    }
    *pool = new;
}

/// The first row of a table whose rows need a parent in it is its own.
fn own_parent(table: &Table, reference: &Reference, found: &mut Pools) {
    for (column, name) in reference.columns.iter().zip(&reference.theirs) {
        let Some(key) = table.columns.iter().position(|column| column.name == *name) else { continue };
        let values = found.pools.get(key).cloned().unwrap_or_default();
        if let Some(pool) = found.pools.get_mut(*column) {
            *pool = values;
        }
        found.own.push((*column, key));
    }
}

/// Several columns that choose a row.
fn together(reference: &Reference, rows: &[Vec<Option<String>>], optional: &[usize], found: &mut Pools) {
    let mut tuples = Tuples { name: reference.name.clone(), columns: reference.columns.clone(), rows: Vec::new() };
    for (place, column) in reference.columns.iter().enumerate() {
        if let Some(pool) = found.pools.get_mut(*column) {
            let nullable = optional.contains(column);
            if !found.restricted.contains(column) && (optional.is_empty() || nullable) {
                found.restricted.push(*column);
                *pool = Pool::default();
                if nullable {
                    pool.intern(None, true);
                }
            }
            rows.iter().filter_map(|row| row.get(place)).for_each(|text| _ = pool.intern(text.clone(), true));
        }
    }
    let mut place =
        |column: usize, text: Option<String>| found.pools.get_mut(column).map_or(0, |pool| pool.intern(text, true));
    for row in rows {
        tuples
            .rows
            .push(reference.columns.iter().zip(row).map(|(column, text)| place(*column, text.clone())).collect());
    }
    if !optional.is_empty() {
        // One NULL is enough for MATCH SIMPLE, all of them for MATCH FULL; the others are then free.
        let gone = |column: &usize| optional.contains(column);
        if !reference.full || optional.len() == reference.columns.len() {
            let row = reference.columns.iter().map(|column| if gone(column) { place(*column, None) } else { u32::MAX });
            tuples.rows.push(row.collect());
        }
    }
    found.tuples.push(tuples);
}
