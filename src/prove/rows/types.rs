//! The types of columns, and what they are composed of.

use rustc_hash::FxHashMap;

use crate::catalog::{Row, Session};
use crate::model::Result;

/// All types that columns have, and those inside of them.
pub(super) struct Types(FxHashMap<u32, Type>);

pub(super) struct Type {
    /// The name without its schema.
    pub name: String,
    /// How SQL calls it.
    pub sql: String,
    /// Between the elements of an array of it.
    pub delimiter: char,
    pub shape: Shape,
}

pub(super) enum Shape {
    Base,
    Enum(Vec<String>),
    /// Its elements' type.
    Array(u32),
    /// Its bounds' type, and whether it holds several.
    Range(u32, bool),
    /// Its parts' types and modifiers.
    Composite(Vec<(u32, i32)>),
    Domain {
        base: u32,
        modifier: i32,
        /// The type below all domains.
        base_sql: String,
        not_null: bool,
        checks: Vec<(String, String)>,
        /// The bodies of functions that its checks call.
        bodies: Vec<String>,
    },
}

/// `{multi}` is the column of `pg_range` that version 13 does not have.
const QUERY: &str = "WITH RECURSIVE w(oid) AS (SELECT DISTINCT unnest($1::oid[]) UNION \
     SELECT x.n FROM w JOIN pg_type y ON y.oid = w.oid, LATERAL (SELECT y.typbasetype UNION ALL \
       SELECT CASE WHEN y.typcategory = 'A' THEN y.typelem END UNION ALL \
       SELECT r.rngsubtype FROM pg_range r WHERE w.oid IN (r.rngtypid, {multi}) UNION ALL \
       SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS x(n) \
     WHERE x.n <> 0), \
     below(oid, base, modifier) AS (SELECT w.oid, w.oid, -1 FROM w UNION ALL SELECT b.oid, y.typbasetype, \
       CASE WHEN y.typtypmod >= 0 THEN y.typtypmod ELSE b.modifier END FROM below b JOIN pg_type y ON y.oid = b.base WHERE y.typtype = 'd') \
     SELECT w.oid, y.typname, format_type(w.oid, NULL), y.typdelim, y.typtype, y.typcategory, y.typelem, \
     y.typbasetype, y.typtypmod, y.typnotnull, (SELECT r.rngsubtype FROM pg_range r WHERE w.oid IN (r.rngtypid, {multi})), \
     ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = w.oid ORDER BY e.enumsortorder), \
     ARRAY(SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum), \
     ARRAY(SELECT a.atttypmod FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum), \
     ARRAY(SELECT c.conname::text FROM pg_constraint c WHERE c.contypid = w.oid AND c.contype = 'c' ORDER BY c.oid), \
     ARRAY(SELECT pg_get_expr(c.conbin, 0) FROM pg_constraint c WHERE c.contypid = w.oid AND c.contype = 'c' ORDER BY c.oid), \
     (SELECT format_type(b.base, b.modifier) FROM below b JOIN pg_type z ON z.oid = b.base WHERE b.oid = w.oid AND z.typtype <> 'd'), \
     ARRAY(SELECT p.prosrc FROM pg_constraint c JOIN pg_depend d ON d.classid = 2606 AND d.objid = c.oid AND d.refclassid = 1255 \
       JOIN pg_proc p ON p.oid = d.refobjid WHERE c.contypid = w.oid AND p.oid >= 16384) \
     FROM w JOIN pg_type y ON y.oid = w.oid";

impl Types {
    /// Reads those of that OID, and what they consist of.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(session: &Session, kinds: &[u32]) -> Result<Self> {
        let multi = if session.version.at_least(14) { "r.rngmultitypid" } else { "NULL" };
        let rows = session.rows(&QUERY.replace("{multi}", multi), &[&kinds]).await?;
        Ok(Self(rows.into_iter().map(|mut row| of_row(&mut row)).collect()))
    }

    pub fn get(&self, kind: u32) -> Option<&Type> {
        self.0.get(&kind)
    }

    pub fn shape(&self, kind: u32) -> Option<&Shape> {
        self.get(kind).map(|found| &found.shape)
    }

    /// All domains.
    pub fn domains(&self) -> impl Iterator<Item = (u32, &Type)> {
        self.0
            .iter()
            .filter(|(_, found)| matches!(found.shape, Shape::Domain { .. }))
            .map(|(kind, found)| (*kind, found))
    }
}

fn of_row(row: &mut Row) -> (u32, Type) {
    let (oid, name, sql) = (row.oid(), row.text().to_string(), row.text().to_string());
    let (delimiter, kind, category, element) = (row.char(), row.char(), row.char(), row.oid());
    let (base, modifier, not_null, bounds) = (row.oid(), row.next(), row.next(), row.next_opt::<u32>());
    let (labels, parts, modifiers) = (row.next::<Vec<String>>(), row.next::<Vec<u32>>(), row.next::<Vec<i32>>());
    let (names, texts) = (row.next::<Vec<String>>(), row.next::<Vec<Option<String>>>());
    let (base_sql, bodies) = (row.text().to_string(), row.next::<Vec<String>>());
    let shape = match (kind, bounds) {
        ('d', _) => {
            let checks = names.into_iter().zip(texts.into_iter().flatten()).collect();
            Shape::Domain { base, modifier, base_sql, not_null, checks, bodies }
        }
        ('e', _) => Shape::Enum(labels),
        ('c', _) => Shape::Composite(parts.into_iter().zip(modifiers).collect()),
        ('r', Some(bounds)) => Shape::Range(bounds, false),
        ('m', Some(bounds)) => Shape::Range(bounds, true),
        _ if category == 'A' && element != 0 && !name.ends_with("vector") => Shape::Array(element),
        _ => Shape::Base,
    };
    (oid, Type { name, sql, delimiter, shape })
}
