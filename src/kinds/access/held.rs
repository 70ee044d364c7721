//! Where the catalog stores the owner and the privileges of objects that have an owner.

use crate::kinds::{find, rooms};

/// Objects of one catalog.
#[derive(Debug)]
pub struct Held {
    /// The catalog's own OID.
    pub class: u32,
    /// The catalog.
    pub catalog: &'static str,
    /// The beginning of the names of its columns.
    pub prefix: &'static str,
    /// True if they are in schemas.
    pub in_schema: bool,
    /// SQL for what tells those of one name apart, as `ObjectId` writes it.
    pub signature: &'static str,
    /// SQL for the privileges.
    pub acl: &'static str,
    /// Which rows have an owner of their own; `None` if their owner cannot be changed.
    pub owners: Option<&'static str>,
}

const NO_ACL: &str = "NULL::aclitem[]";
/// What people have made.
const THEIRS: &str = "o.oid >= 16384";

impl Held {
    /// A catalog of objects in schemas, without privileges.
    pub const fn in_schema(class: u32, catalog: &'static str, prefix: &'static str) -> Self {
        Self { class, catalog, prefix, in_schema: true, signature: "''", acl: NO_ACL, owners: Some(THEIRS) }
    }

    /// A catalog of objects outside of schemas, without privileges.
    pub const fn global(class: u32, catalog: &'static str, prefix: &'static str) -> Self {
        Self { in_schema: false, ..Self::in_schema(class, catalog, prefix) }
    }
}

/// Relations. Sequences of columns follow their table, and composite types have their owner in `pg_type`, too.
pub static PG_CLASS: Held = Held {
    acl: "o.relacl",
    owners: Some(
        "o.oid >= 16384 AND o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND o.relpersistence <> 't' \
         AND NOT (o.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 1259 AND d.objid = o.oid AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')))",
    ),
    ..Held::in_schema(1259, "pg_class", "rel")
};

/// Types. Row types follow their relation.
pub static PG_TYPE: Held = Held {
    acl: "o.typacl",
    owners: Some(
        "o.oid >= 16384 AND o.typtype IN ('b', 'c', 'd', 'e', 'r') AND (o.typtype <> 'b' OR o.typcategory <> 'A') \
         AND (o.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))",
    ),
    ..Held::in_schema(1247, "pg_type", "typ")
};

/// Routines.
pub static PG_PROC: Held =
    Held { signature: "oidvectortypes(o.proargtypes)", acl: "o.proacl", ..Held::in_schema(1255, "pg_proc", "pro") };

/// What is of no kind of ours, but has privileges that our objects need.
static PG_LANGUAGE: Held = Held { acl: "o.lanacl", owners: None, ..Held::global(2612, "pg_language", "lan") };
static PG_TABLESPACE: Held = Held { acl: "o.spcacl", owners: None, ..Held::global(1213, "pg_tablespace", "spc") };

/// The catalog of a kind's objects, by the kind's word; `None` if they have no owner of their own.
pub fn held_by(word: &str) -> Option<&'static Held> {
    match word {
        "language" => Some(&PG_LANGUAGE),
        "tablespace" => Some(&PG_TABLESPACE),
        _ => find(word)?.held(),
    }
}

/// The catalog of what a right is on, where that need not be one of ours: a type of any kind, a language, a tablespace.
pub fn meant_by(word: &str) -> Option<&'static Held> {
    if word == "type" {
        return Some(&PG_TYPE);
    }
    held_by(word).filter(|held| matches!(held.catalog, "pg_type" | "pg_language" | "pg_tablespace"))
}

/// The catalogs of all kinds.
pub fn of_kinds() -> Vec<&'static Held> {
    let mut out: Vec<&'static Held> = Vec::new();
    for held in rooms().iter().filter_map(|room| room.held()) {
        if !out.iter().any(|known| known.class == held.class) {
            out.push(held);
        }
    }
    out
}

/// One SELECT for all catalogs, for a CTE `wanted` with the columns `at`, `need`, `catalog`, `schema`, `name` and `signature`: `at`,
/// `need`, the object's OID, its owner, the owner of its schema, its privileges.
pub fn owners_query() -> String {
    let parts: Vec<String> = of_kinds()
        .into_iter()
        .chain([&PG_LANGUAGE, &PG_TABLESPACE])
        .map(|Held { catalog, prefix, in_schema, signature, acl, .. }| {
            let (join, schema_owner) = match in_schema {
                true => (
                    format!("JOIN pg_namespace s ON s.oid = o.{prefix}namespace AND s.nspname = w.schema::name"),
                    "s.nspowner",
                ),
                false => (String::new(), "NULL::oid"),
            };
            format!(
                "SELECT w.at, w.need, o.oid, o.{prefix}owner AS owner, {schema_owner} AS schema_owner, {acl} AS acl \
                 FROM wanted w JOIN {catalog} o ON o.{prefix}name = w.name::name {join} \
                 WHERE w.catalog = '{catalog}' AND {signature} = w.signature"
            )
        })
        .collect();
    parts.join(" UNION ALL ")
}
