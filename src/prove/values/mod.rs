//! Reads what the tables of a database hold: every value as text, and the position of each sequence.

mod alike;
mod kept;
mod lost;

pub use kept::{Ends, compare, renamed, renames, reshaped};
pub use lost::Lost;

use crate::catalog::{Row, Session};
use crate::model::{Ident, Result, Text};
use crate::sql;

/// A table (or a partitioned one with the rows of its partitions) with its rows.
#[derive(Debug)]
pub struct Table {
    pub oid: u32,
    pub schema: Text,
    pub name: Text,
    pub partitioned: bool,
    /// True if row security holds for its owner.
    pub forced: bool,
    /// Whose columns it has: parents, and theirs, as schema and name.
    pub ancestors: Vec<(Text, Text)>,
    pub columns: Vec<Column>,
    /// The rows, each with a text per column; nothing if they could not be read.
    pub rows: Vec<Vec<Option<Text>>>,
    /// Why they could not be read.
    pub unread: Option<String>,
}

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    pub number: i32,
    pub name: Text,
    /// Its type as SQL.
    pub sql_type: Text,
    /// The one built-in type that its values are made of, in whatever domain, array or range; empty if there are several or none.
    pub leaf: Text,
    /// The user-defined types that its values go through, as schema and name.
    pub types: Vec<(Text, Text)>,
    pub generated: bool,
}

/// The position of a sequence.
#[derive(Debug)]
pub struct Place {
    pub oid: u32,
    pub schema: Text,
    pub name: Text,
    /// The column that it belongs to: its table, and its number.
    pub owner: Option<(u32, i32)>,
    pub increment: i64,
    /// The last value that it gave; `None` if it gave none yet.
    pub last: Option<i64>,
}

/// Everything that must be kept.
#[derive(Debug, Default)]
pub struct Values {
    pub tables: Vec<Table>,
    pub places: Vec<Place>,
}

impl Table {
    /// `public.orders`.
    pub fn shown(&self) -> String {
        format!("{}.{}", name(&self.schema), name(&self.name))
    }

    fn path(&self) -> String {
        // Rows of partitions and of children are read with these.
        let only = if self.partitioned { "" } else { "ONLY " };
        format!("{only}{}", self.shown())
    }
}

impl Column {
    /// `column public.orders.total`.
    pub fn shown(&self, table: &Table) -> String {
        format!("column {}.{}", table.shown(), name(&self.name))
    }
}

/// A name as SQL has it.
fn name(text: &str) -> String {
    sql::name(&Ident::from(text)).to_string()
}

impl Values {
    /// Reads what is in the tables that have rows, and in those that `also` names.
    ///
    /// # Errors
    /// The server's. A table that cannot be read is missing here, with the reason.
    pub async fn read(session: &Session, also: &[u32]) -> Result<Self> {
        let mut tables = tables(session, also).await?;
        for table in &mut tables {
            let columns: Vec<String> = table.columns.iter().map(|c| format!("{}::text", name(&c.name))).collect();
            let list = if columns.is_empty() { "NULL::text".to_owned() } else { columns.join(", ") };
            let query = format!("SELECT {list} FROM {}", table.path());
            match read(session, table, &query).await {
                Ok(rows) => {
                    let width = table.columns.len();
                    table.rows = rows.into_iter().map(|mut row| (0..width).map(|_| row.text_opt()).collect()).collect();
                }
                Err(error) => table.unread = Some(error.message),
            }
        }
        Ok(Self { tables, places: places(session).await? })
    }

    /// The OIDs of the tables.
    pub fn oids(&self) -> Vec<u32> {
        self.tables.iter().map(|table| table.oid).collect()
    }
}

/// Reads rows, also where row security holds for the owner.
async fn read(session: &Session, table: &Table, query: &str) -> Result<Vec<Row>> {
    if !table.forced {
        return session.rows(query, &[]).await;
    }
    let off = format!("BEGIN; ALTER TABLE ONLY {} NO FORCE ROW LEVEL SECURITY", table.shown());
    let rows = match session.batch(&off).await {
        Ok(()) => session.rows(query, &[]).await,
        Err(error) => Err(error),
    };
    session.batch("ROLLBACK").await?;
    rows
}

/// User-defined relations, not those of extensions.
const OURS: &str = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend d \
     WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')";

/// The tables with their columns, without rows.
async fn tables(session: &Session, also: &[u32]) -> Result<Vec<Table>> {
    let multirange =
        if session.version.at_least(14) { "y.oid IN (r.rngtypid, r.rngmultitypid)" } else { "y.oid = r.rngtypid" };
    let query = format!(
        "WITH RECURSIVE filled (oid) AS (SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND pg_relation_size(c.oid) > 0 \
           UNION SELECT i.inhparent FROM filled f JOIN pg_inherits i ON i.inhrelid = f.oid JOIN pg_class p ON p.oid = i.inhparent \
           WHERE p.relkind = 'p') \
         SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p', c.relforcerowsecurity, up.schemas, up.names, a.attnum::int4, a.attname::text, \
           format_type(a.atttypid, a.atttypmod), made.leaf, made.schemas, made.names, a.attgenerated <> '' \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped, \
         LATERAL (WITH RECURSIVE above (oid) AS (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid \
             UNION SELECT i.inhparent FROM above b JOIN pg_inherits i ON i.inhrelid = b.oid) \
           SELECT coalesce(array_agg(m.nspname::text ORDER BY p.oid), '{{}}') AS schemas, \
             coalesce(array_agg(p.relname::text ORDER BY p.oid), '{{}}') AS names \
           FROM above b JOIN pg_class p ON p.oid = b.oid JOIN pg_namespace m ON m.oid = p.relnamespace) up, \
         LATERAL (WITH RECURSIVE inside (oid) AS (SELECT a.atttypid UNION SELECT x.oid FROM inside s JOIN pg_type y ON y.oid = s.oid, \
             LATERAL (SELECT y.typbasetype WHERE y.typtype = 'd' UNION ALL SELECT y.typelem WHERE y.typelem <> 0 AND y.typlen = -1 \
               UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE {multirange} \
               UNION ALL SELECT b.atttypid FROM pg_attribute b WHERE b.attrelid = y.typrelid AND y.typtype = 'c' AND b.attnum > 0 \
                 AND NOT b.attisdropped) AS x (oid)) \
           SELECT CASE WHEN count(*) FILTER (WHERE y.typtype = 'b' AND NOT (y.typelem <> 0 AND y.typlen = -1)) = 1 \
               THEN min(y.typname::text) FILTER (WHERE y.typtype = 'b' AND NOT (y.typelem <> 0 AND y.typlen = -1) \
                 AND t.nspname = 'pg_catalog') END AS leaf, \
             coalesce(array_agg(t.nspname::text ORDER BY y.oid) FILTER (WHERE t.nspname <> 'pg_catalog'), '{{}}') AS schemas, \
             coalesce(array_agg(y.typname::text ORDER BY y.oid) FILTER (WHERE t.nspname <> 'pg_catalog'), '{{}}') AS names \
           FROM inside s JOIN pg_type y ON y.oid = s.oid JOIN pg_namespace t ON t.oid = y.typnamespace) made \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {OURS} \
           AND (c.oid IN (SELECT oid FROM filled) OR c.oid = ANY ($1::oid[])) ORDER BY c.oid, a.attnum"
    );
    let mut tables: Vec<Table> = Vec::new();
    for mut row in session.rows(&query, &[&also]).await? {
        let (oid, schema, relation, partitioned) = (row.oid(), row.text(), row.text(), row.next());
        let forced = row.next();
        let ancestors = pairs(row.next(), row.next());
        if tables.last().is_none_or(|table| table.oid != oid) {
            let (columns, rows) = (Vec::new(), Vec::new());
            tables.push(Table {
                oid,
                schema,
                name: relation,
                partitioned,
                forced,
                ancestors,
                columns,
                rows,
                unread: None,
            });
        }
        let (number, column) = (row.next_opt::<i32>(), row.text());
        let (sql_type, leaf) = (row.text(), row.text());
        let types = pairs(row.next(), row.next());
        if let (Some(number), Some(table)) = (number, tables.last_mut()) {
            table.columns.push(Column { number, name: column, sql_type, leaf, types, generated: row.next() });
        }
    }
    Ok(tables)
}

fn pairs(schemas: Vec<String>, names: Vec<String>) -> Vec<(Text, Text)> {
    schemas.into_iter().zip(names).map(|(schema, name)| (schema.into(), name.into())).collect()
}

async fn places(session: &Session) -> Result<Vec<Place>> {
    let query = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, o.refobjid, o.refobjsubid, s.seqincrement, pg_sequence_last_value(c.oid) \
         FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_depend o ON o.classid = 1259 AND o.objid = c.oid AND o.objsubid = 0 AND o.refclassid = 1259 \
           AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i') \
         WHERE c.relpersistence <> 't' AND {OURS}"
    );
    let place = |mut row: Row| Place {
        oid: row.oid(),
        schema: row.text(),
        name: row.text(),
        owner: row.next_opt::<u32>().zip(row.next_opt::<i32>()),
        increment: row.next(),
        last: row.next_opt(),
    };
    Ok(session.rows(&query, &[]).await?.into_iter().map(place).collect())
}
