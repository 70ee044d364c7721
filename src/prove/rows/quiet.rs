//! Keeps what people attached to a table (triggers, rules, row security) from running while it is filled, and restores it afterwards.

use rustc_hash::FxHashMap;

use crate::catalog::Session;
use crate::model::{Ident, Result};
use crate::sql;

use super::columns::Table;

/// The statements that turn everything off for one table, and those that restore it.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    off: Vec<String>,
    back: Vec<String>,
    /// Row security alone: what refers to the table has to see its rows, too.
    unforced: Vec<String>,
    forced: Vec<String>,
}

/// The statements that turn off what would interfere with inserting rows, and those that restore it.
pub(super) fn around(all: &FxHashMap<u32, Quiet>, table: &Table) -> (Vec<String>, Vec<String>) {
    let (mut off, mut back) = (Vec::new(), Vec::new());
    let mut targets: Vec<u32> = table.references.iter().map(|reference| reference.target).chain([table.oid]).collect();
    targets.sort_unstable();
    targets.dedup();
    for quiet in targets.iter().filter_map(|target| all.get(target)) {
        off.extend(quiet.unforced.iter().cloned());
        back.extend(quiet.forced.iter().cloned());
    }
    // Where nothing is on, nothing has to be put back.
    if let Some(quiet) = all.get(&table.oid).filter(|quiet| !quiet.off.is_empty()) {
        off.extend(quiet.off.iter().cloned());
        back.extend(quiet.back.iter().cloned());
    }
    (off, back)
}

/// `F`: row security that holds for the owner; `T` a trigger, `R` a rule that inserting fires. Partitions come after their parents, since
/// older servers hand a parent's state down even where only the parent is meant.
const QUERY: &str = "SELECT w.root, n.nspname, c.relname, x.kind, x.name, x.state FROM (\
     SELECT o.oid AS root, r.relid::oid AS oid, r.level FROM unnest($1::oid[]) AS o(oid), pg_partition_tree(o.oid::regclass) r \
     UNION SELECT o.oid, o.oid, 0 FROM unnest($1::oid[]) AS o(oid)) AS w JOIN pg_class c ON c.oid = w.oid \
     JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (\
     SELECT 'F'::\"char\", ''::name, 'O'::\"char\" WHERE c.relforcerowsecurity UNION ALL \
     SELECT 'T', t.tgname, t.tgenabled FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal UNION ALL \
     SELECT 'R', r.rulename, r.ev_enabled FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3') AS x(kind, name, state) \
     ORDER BY w.level, c.oid, x.kind, x.name";

/// Of tables and their partitions, by the tables' OID.
///
/// # Errors
/// The server's.
pub(super) async fn of(session: &Session, tables: &[u32]) -> Result<FxHashMap<u32, Quiet>> {
    let mut all: FxHashMap<u32, Quiet> = FxHashMap::default();
    for mut row in session.rows(QUERY, &[&tables]).await? {
        let quiet = all.entry(row.oid()).or_default();
        let (schema, relation) = (Ident::new(row.text()), Ident::new(row.text()));
        let (kind, name, state) = (row.char(), Ident::new(row.text()), row.char());
        let alter = format!("ALTER TABLE ONLY {}.{}", sql::name(&schema), sql::name(&relation));
        let word = match kind {
            'F' => {
                quiet.unforced.push(format!("{alter} NO FORCE ROW LEVEL SECURITY"));
                quiet.forced.push(format!("{alter} FORCE ROW LEVEL SECURITY"));
                continue;
            }
            'T' => "TRIGGER",
            _ => "RULE",
        };
        let name = sql::name(&name);
        let again = match state {
            'A' => "ENABLE ALWAYS",
            'R' => "ENABLE REPLICA",
            'D' => "DISABLE",
            _ => "ENABLE",
        };
        if state != 'D' {
            quiet.off.push(format!("{alter} DISABLE {word} {name}"));
        }
        // Also for one that is off: it may hang below one that is not.
        quiet.back.push(format!("{alter} {again} {word} {name}"));
    }
    Ok(all)
}
