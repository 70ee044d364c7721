//! Lists what the catalog of a server newer than all tested versions has that no tested version has.

use rustc_hash::FxHashMap;

use crate::catalog::Session;
use crate::model::Result;

/// The tables of `pg_catalog` and their columns, of all versions that were tested; a test compares them with the servers.
const KNOWN: &str = include_str!("catalogs.txt");

/// The tables of the catalog that this tool does not know, and the columns of those that it does.
///
/// # Errors
/// What the server reports.
pub async fn unread(session: &Session) -> Result<Vec<String>> {
    let known: FxHashMap<&str, Vec<&str>> = KNOWN
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(table, columns)| (table, columns.split(' ').collect()))
        .collect();
    let query = "SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 WHERE c.relnamespace = 11 AND c.relkind = 'r' GROUP BY 1 ORDER BY 1";
    let mut unread = Vec::new();
    for mut row in session.rows(query, &[]).await? {
        let (table, columns) = (row.text(), row.next::<Vec<String>>());
        match known.get(&*table) {
            None => unread.push(format!("catalog {table}")),
            Some(known) => {
                let new = columns.iter().filter(|column| !known.contains(&column.as_str()));
                unread.extend(new.map(|column| format!("column {table}.{column}")));
            }
        }
    }
    Ok(unread)
}
