//! Reads columns from `pg_attribute`: which of them are objects of their own, and which attributes they have.

use crate::catalog::{Row, Version};
use crate::kinds::collated;
use crate::model::{Attrs, Expr, Object, Options, SqlType, Text};

use super::*;

/// The query for all columns.
pub fn query(server: Version) -> String {
    let (compression, how) = (compression(server), how(server));
    let collation = collated::columns("a.attcollation", "t.typcollation");
    let generated = expression("a", "d.adrelid");
    // Debian's builds keep a version of theirs among the options, which pg_dump leaves out as well.
    format!(
        "SELECT a.attrelid, a.attnum, a.attname, {how}, \
         format_type(a.atttypid, a.atttypmod), a.attnotnull, \
         {collation}, \
         a.attgenerated, CASE WHEN a.attgenerated <> '' THEN {generated} END, \
         CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END, {compression}, nullif(a.attstattarget, -1)::int8, \
         CASE WHEN cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%' THEN a.attoptions END, a.attfdwoptions \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
         ORDER BY a.attrelid, a.attnum"
    )
}

/// Reads a row of it.
pub fn read(row: &mut Row) -> Option<Object> {
    let how = row.text();
    if &*how == "inherited" {
        return None;
    }
    let mut attrs = Attrs::new();
    let sql_type = row.text();
    attrs.set(TYPE, (&*how != "override").then(|| SqlType::new(sql_type)));
    attrs.set(NOT_NULL, row.next::<bool>());
    attrs.set(COLLATION, collated::read(row).filter(|_| &*how != "override"));
    let generated = row.char();
    let expression = row.text_opt().map(Expr::new);
    if &*how != "override" {
        attrs.set(GENERATED, expression);
        attrs.set(VIRTUAL, generated == 'v');
    }
    let storage = row.next_opt::<i8>().map(|c| match c as u8 {
        b'p' => "plain",
        b'e' => "external",
        b'm' => "main",
        _ => "extended",
    });
    attrs.set(STORAGE, storage.map(Text::from));
    attrs.set(COMPRESSION, row.next_opt::<i8>().map(|c| Text::from(if c as u8 == b'l' { "lz4" } else { "pglz" })));
    attrs.set(STATISTICS, row.next_opt::<i64>());
    let options = row.next::<Vec<String>>().into_iter().filter(|o| !o.starts_with("pg_attver="));
    attrs.set(WITH, Options::some(options));
    attrs.set(OPTIONS, Options::some(row.next::<Vec<String>>()));
    Some(Object::new(attrs))
}

/// Whether a column is a separate object: an inherited one, or a view's, is one only if it has attributes or facets of its own.
fn how(server: Version) -> String {
    let (own, theirs, compression) = (expression("a", "0"), expression("p", "0"), compression(server));
    // What is not inherited does not make a column unlike its parent's.
    let not_null = match server.at_least(18) {
        true => {
            "(p.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conrelid = p.attrelid AND n.contype = 'n' \
                 AND n.conkey[1] = p.attnum AND n.connoinherit))"
        }
        false => "p.attnotnull",
    };
    format!(
        "CASE WHEN a.attinhcount = 0 AND c.relkind NOT IN ('v', 'm') AND c.reloftype = 0 THEN 'own' WHEN a.attislocal AND a.attinhcount > 0 AND NOT c.relispartition THEN 'merged' \
              WHEN a.attinhcount > 0 AND EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname \
                   WHERE i.inhrelid = a.attrelid AND ({not_null} <> a.attnotnull OR p.atthasdef <> a.atthasdef OR CASE WHEN a.atthasdef AND a.attgenerated = '' AND p.attgenerated = '' THEN \
                         {theirs} <> {own} END)) THEN 'override' \
              WHEN a.attacl IS NOT NULL OR a.attfdwoptions IS NOT NULL OR (c.relkind IN ('v', 'm') OR c.reloftype <> 0) AND (a.atthasdef OR a.attnotnull OR nullif(a.attstattarget, -1) IS NOT NULL \
                   OR cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%' OR a.attstorage <> t.typstorage OR {compression} IS NOT NULL) \
                   OR EXISTS (SELECT FROM pg_description d WHERE d.classoid = 1259 AND d.objoid = a.attrelid AND d.objsubid = a.attnum) THEN 'override' \
              ELSE 'inherited' END"
    )
}

fn expression(of: &str, relation: &str) -> String {
    format!(
        "(SELECT pg_get_expr(d.adbin, {relation}) FROM pg_attrdef d WHERE d.adrelid = {of}.attrelid AND d.adnum = {of}.attnum)"
    )
}

fn compression(server: Version) -> &'static str {
    if server.at_least(14) { "nullif(a.attcompression, '')" } else { "NULL::\"char\"" }
}

/// A query for what no object represents: class, OID, schema and name of columns that are only inherited, and have settings of their own.
/// A new heir is stored as its parent is, but has no statistics target and no options: neither is named where it is so. Parents' columns
/// are looked up in a hash table and, for the few that have more, by name: a join would take the square of their number where the server
/// never analysed its catalogs.
pub fn unlike_parent(server: Version) -> String {
    let compression = |of: &str| if server.at_least(14) { format!(", {of}.attcompression") } else { String::new() };
    let stored = |of: &str| format!("{of}.attname, {of}.attstorage{}", compression(of));
    let (own, theirs, how) = (stored("a"), stored("p"), how(server));
    let parent = "p.attrelid = i.inhparent AND p.attname = a.attname";
    format!(
        "SELECT 1259::oid, c.oid, c.relnamespace, (pg_identify_object(1259, c.oid, a.attnum)).identity \
         FROM (SELECT DISTINCT a.attrelid, a.attnum FROM pg_inherits i JOIN pg_attribute a ON a.attrelid = i.inhrelid \
               WHERE a.attnum > 0 AND a.attinhcount > 0 AND ((i.inhparent, {own}) NOT IN (SELECT p.attrelid, {theirs} FROM pg_attribute p \
                     WHERE p.attnum > 0 AND p.attrelid IN (SELECT h.inhparent FROM pg_inherits h)) AND EXISTS (SELECT FROM pg_attribute p WHERE {parent}) \
               OR nullif(a.attstattarget, -1) IS NOT NULL AND EXISTS (SELECT FROM pg_attribute p WHERE {parent} AND p.attstattarget IS DISTINCT FROM a.attstattarget) \
               OR a.attoptions IS NOT NULL AND (cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%') AND EXISTS (SELECT FROM pg_attribute p, unnest(a.attoptions) o \
                     WHERE {parent} AND o NOT LIKE 'pg\\_attver=%' AND o <> ALL (coalesce(p.attoptions, '{{}}'))))) u \
         JOIN pg_attribute a ON a.attrelid = u.attrelid AND a.attnum = u.attnum JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND {how} = 'inherited'"
    )
}
