//! Keeps what people hung onto a table from running while it is filled: triggers, rules, row security, each put back as it was.

use crate::catalog::Session;
use crate::model::{Ident, Result};
use crate::sql;

/// What turns everything off for one table, and what puts it back.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    pub off: Vec<String>,
    pub back: Vec<String>,
}

/// `F`: row security that holds for the owner; `T` a trigger, `R` a rule that inserting fires. Partitions come after their parents, since
/// older servers hand a parent's state down even where only the parent is meant.
const QUERY: &str = "SELECT n.nspname, c.relname, x.kind, x.name, x.state FROM (\
     SELECT r.relid::oid AS oid, r.level FROM pg_partition_tree($1::oid::regclass) r UNION SELECT $1::oid, 0) AS w JOIN pg_class c ON c.oid = w.oid \
     JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (\
     SELECT 'F'::\"char\", ''::name, 'O'::\"char\" WHERE c.relforcerowsecurity UNION ALL \
     SELECT 'T', t.tgname, t.tgenabled FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal UNION ALL \
     SELECT 'R', r.rulename, r.ev_enabled FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3') AS x(kind, name, state) \
     ORDER BY w.level, c.oid, x.kind, x.name";

/// Of a table and its partitions.
///
/// # Errors
/// The server's.
pub(super) async fn of(session: &Session, table: u32) -> Result<Quiet> {
    let mut quiet = Quiet::default();
    for mut row in session.rows(QUERY, &[&table]).await? {
        let (schema, relation) = (Ident::new(row.text()), Ident::new(row.text()));
        let (kind, name, state) = (row.char(), Ident::new(row.text()), row.char());
        let alter = format!("ALTER TABLE ONLY {}.{}", sql::name(&schema), sql::name(&relation));
        let word = match kind {
            'F' => {
                quiet.off.push(format!("{alter} NO FORCE ROW LEVEL SECURITY"));
                quiet.back.push(format!("{alter} FORCE ROW LEVEL SECURITY"));
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
    if quiet.off.is_empty() {
        quiet.back.clear();
    }
    Ok(quiet)
}
