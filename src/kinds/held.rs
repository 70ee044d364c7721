//! Where the catalog stores the owner and the privileges of each kind of object that has an owner.

/// Objects of one catalog.
#[derive(Debug)]
pub struct Held {
    /// The words of their kinds.
    pub words: &'static [&'static str],
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
}

const fn held(
    words: &'static [&'static str],
    catalog: &'static str,
    prefix: &'static str,
    in_schema: bool,
    acl: &'static str,
) -> Held {
    Held { words, catalog, prefix, in_schema, signature: "''", acl }
}

const NO_ACL: &str = "NULL::aclitem[]";
const OPERANDS: &str = "concat_ws(', ', CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END, \
     CASE WHEN o.oprright = 0 THEN 'NONE' ELSE format_type(o.oprright, NULL) END)";

static ALL: [Held; 16] = [
    held(
        &["table", "view", "materialized-view", "foreign-table", "sequence", "type"],
        "pg_class",
        "rel",
        true,
        "o.relacl",
    ),
    held(&["enum", "domain", "range"], "pg_type", "typ", true, "o.typacl"),
    Held {
        signature: "oidvectortypes(o.proargtypes)",
        ..held(&["function", "procedure", "aggregate"], "pg_proc", "pro", true, "o.proacl")
    },
    Held { signature: OPERANDS, ..held(&["operator"], "pg_operator", "opr", true, NO_ACL) },
    held(&["collation"], "pg_collation", "coll", true, NO_ACL),
    held(&["text-search-dictionary"], "pg_ts_dict", "dict", true, NO_ACL),
    held(&["text-search-configuration"], "pg_ts_config", "cfg", true, NO_ACL),
    held(&["statistics"], "pg_statistic_ext", "stx", true, NO_ACL),
    held(&["foreign-data-wrapper"], "pg_foreign_data_wrapper", "fdw", false, "o.fdwacl"),
    held(&["server"], "pg_foreign_server", "srv", false, "o.srvacl"),
    held(&["publication"], "pg_publication", "pub", false, NO_ACL),
    held(&["event-trigger"], "pg_event_trigger", "evt", false, NO_ACL),
    held(&["extension"], "pg_extension", "ext", false, NO_ACL),
    held(&["schema"], "pg_namespace", "nsp", false, "o.nspacl"),
    held(&["language"], "pg_language", "lan", false, "o.lanacl"),
    held(&["tablespace"], "pg_tablespace", "spc", false, "o.spcacl"),
];

/// The catalog of a kind's objects, by the kind's word; `None` if they have no owner of their own.
pub fn held_by(word: &str) -> Option<&'static Held> {
    ALL.iter().find(|held| held.words.contains(&word))
}

/// The catalog of what a right is on, where that need not be one of ours: a type of any kind, a language, a tablespace.
pub fn meant_by(word: &str) -> Option<&'static Held> {
    let word = if word == "type" { "enum" } else { word };
    held_by(word).filter(|held| matches!(held.catalog, "pg_type" | "pg_language" | "pg_tablespace"))
}

/// One SELECT for all catalogs, for a CTE `wanted` with the columns `at`, `need`, `catalog`, `schema`, `name` and `signature`: `at`,
/// `need`, the object's OID, its owner, the owner of its schema, its privileges.
pub fn owners_query() -> String {
    let parts: Vec<String> = ALL
        .iter()
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
