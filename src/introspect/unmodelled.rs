//! Lists objects that no room covers, so that nothing is skipped silently.

use crate::catalog::{Row, Version};
use crate::kinds::column;
use crate::model::{Ident, Text};
use crate::sql;

/// Something that the model does not cover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmodelled {
    /// The word that its kind has, or would have, in files.
    pub kind: &'static str,
    /// The schema that it is in, if it is in one.
    pub schema: Option<Ident>,
    /// As SQL names it, qualified.
    pub name: Text,
}

/// Where something uncovered is found.
struct Entry {
    /// The word that its kind would have in files; for a trait of a kind that has a room, its description.
    kind: &'static str,
    /// For a trait of a kind that has a room: that kind.
    of: Option<&'static str>,
    /// The first major version that has it.
    since: u32,
    /// A query for class, OID, schema and (NULL: as the server identifies the row) name.
    query: &'static str,
}

const fn kind(kind: &'static str, query: &'static str) -> Entry {
    Entry { kind, of: None, since: 0, query }
}

const fn part(of: &'static str, kind: &'static str, query: &'static str) -> Entry {
    Entry { kind, of: Some(of), since: 0, query }
}

const ENTRIES: &[Entry] = &[
    kind(
        "base-type",
        "SELECT 1247::oid, t.oid, t.typnamespace, NULL::text FROM pg_type t \
         WHERE t.oid >= 16384 AND (t.typtype = 'b' OR NOT t.typisdefined) AND (t.typelem = 0 OR NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid))",
    ),
    kind("conversion", "SELECT 2607::oid, oid, connamespace, NULL::text FROM pg_conversion"),
    kind(
        "subscription",
        "SELECT 6100::oid, s.oid, 0::oid, s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()",
    ),
    kind("language", "SELECT 2612::oid, oid, 0::oid, NULL::text FROM pg_language"),
    kind("transform", "SELECT 3576::oid, oid, 0::oid, NULL::text FROM pg_transform"),
    kind("access-method", "SELECT 2601::oid, oid, 0::oid, NULL::text FROM pg_am"),
    kind(
        "security-label",
        "SELECT l.classoid, l.objoid, 0::oid, l.provider || ' on ' || (pg_identify_object(l.classoid, l.objoid, l.objsubid)).identity FROM pg_seclabel l",
    ),
    part(
        "table",
        "inherits a foreign table",
        "SELECT 1259::oid, c.oid, c.relnamespace, NULL::text FROM pg_class c WHERE c.relkind IN ('r', 'p') AND EXISTS \
         (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent WHERE i.inhrelid = c.oid AND p.relkind = 'f')",
    ),
    part("column", UNLIKE_PARENT, ""),
    part(
        "trigger",
        "fires differently from its parent's",
        "SELECT 2620::oid, t.oid, c.relnamespace, NULL::text FROM pg_trigger t JOIN pg_trigger p ON p.oid = t.tgparentid \
         JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgenabled <> p.tgenabled AND NOT p.tgisinternal",
    ),
    part(
        "index",
        "attached to an index that not all partitions have",
        "SELECT 1259::oid, c.oid, c.relnamespace, NULL::text FROM pg_index i JOIN pg_inherits h ON h.inhparent = i.indexrelid \
         JOIN pg_class c ON c.oid = h.inhrelid WHERE NOT i.indisvalid",
    ),
    part(
        "primary-key",
        "not all partitions have it",
        "SELECT 2606::oid, n.oid, n.connamespace, NULL::text FROM pg_index i JOIN pg_constraint n ON n.conindid = i.indexrelid \
         JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND c.relkind = 'I' AND n.contype = 'p'",
    ),
    part(
        "unique",
        "not all partitions have it",
        "SELECT 2606::oid, n.oid, n.connamespace, NULL::text FROM pg_index i JOIN pg_constraint n ON n.conindid = i.indexrelid \
         JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND c.relkind = 'I' AND n.contype = 'u'",
    ),
    part(
        "foreign-key",
        "its triggers were disabled or enabled by hand",
        "SELECT DISTINCT 2606::oid, n.oid, n.connamespace, NULL::text FROM pg_trigger t JOIN pg_constraint n ON n.oid = t.tgconstraint \
         WHERE t.tgisinternal AND t.tgenabled <> 'O' AND n.contype = 'f'",
    ),
    kind(
        "extension-dependency",
        "SELECT d.classid, d.objid, 0::oid, (pg_identify_object(d.classid, d.objid, 0)).identity || ' depends on ' || quote_ident(e.extname) \
         FROM pg_extension e JOIN pg_depend d ON d.refclassid = 3079 AND d.refobjid = e.oid WHERE d.deptype = 'x'",
    ),
    Entry {
        kind: "identity-sequence",
        of: None,
        since: 15,
        query: "SELECT 1259::oid, s.oid, s.relnamespace, s.oid::regclass || CASE s.relpersistence WHEN 'u' THEN ' is unlogged, its table is not' \
                ELSE ' is logged, its table is not' END FROM pg_class s JOIN pg_depend d ON d.classid = 1259 AND d.objid = s.oid \
                AND d.refclassid = 1259 AND d.deptype = 'i' JOIN pg_class c ON c.oid = d.refobjid \
                WHERE s.relkind = 'S' AND s.relpersistence <> c.relpersistence",
    },
    part(
        "range",
        "multirange",
        "SELECT 1247::oid, t.oid, t.typnamespace, NULL::text FROM pg_type t WHERE t.typtype = 'm' AND (t.typacl IS NOT NULL \
         OR EXISTS (SELECT FROM pg_description d WHERE d.classoid = 1247 AND d.objoid = t.oid))",
    ),
    Entry {
        kind: "not-null-constraint",
        of: None,
        since: 18,
        query: "SELECT 2606::oid, n.oid, n.connamespace, NULL::text FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid \
                JOIN pg_attribute a ON a.attrelid = n.conrelid AND a.attnum = n.conkey[1] WHERE n.contype = 'n' \
                AND (NOT n.convalidated OR n.connoinherit \
                OR n.conislocal AND n.coninhcount = 0 AND right(n.conname::text, 9) <> '_not_null')",
    },
];

/// The description for columns whose room has the query.
const UNLIKE_PARENT: &str = "its storage, compression, statistics or options differ from its parent's";

/// Up to 13 only superusers read `pg_subscription`; its view does not say which database one belongs to, but its tables do.
const SUBSCRIPTIONS_OF_13: &str = "SELECT DISTINCT 6100::oid, s.subid, 0::oid, s.subname::text FROM pg_stat_subscription s \
                                   JOIN pg_subscription_rel r ON r.srsubid = s.subid";

/// The entries for a server of that version.
fn entries(server: Version) -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().filter(move |entry| server.at_least(entry.since))
}

/// The one query that finds everything: user-made, no part of an extension, outside of the system's schemas and ours.
pub fn query(server: Version) -> String {
    let unlike_parent = column::unlike_parent(server);
    let parts: Vec<String> = entries(server)
        .map(|entry| {
            let label = match entry.of {
                Some(of) => format!("{of} {}", entry.kind),
                None => entry.kind.to_string(),
            };
            let query = match entry.kind {
                UNLIKE_PARENT => &unlike_parent,
                "subscription" if !server.at_least(14) => SUBSCRIPTIONS_OF_13,
                _ => entry.query,
            };
            format!("SELECT {}, f.* FROM ({query}) f (class, oid, schema, name)", sql::literal(&label))
        })
        .collect();
    let parts = if parts.is_empty() {
        "SELECT '', 0::oid, 0::oid, 0::oid, NULL::text LIMIT 0".into()
    } else {
        parts.join(" UNION ALL ")
    };
    // What is left after the first look is little, which the server cannot know: it would read all dependencies to find members.
    format!(
        "SELECT u.kind, n.nspname::text, coalesce(u.name, (pg_identify_object(u.class, u.oid, 0)).identity) \
         FROM (SELECT u.* FROM ({parts}) u (kind, class, oid, schema, name) WHERE u.oid >= 16384 OFFSET 0) u \
         LEFT JOIN pg_namespace n ON n.oid = u.schema \
         WHERE (n.nspname IS NULL OR n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'setpoint')) \
         AND (SELECT count(*) FROM pg_depend d WHERE d.classid = u.class AND d.objid = u.oid AND d.deptype = 'e') = 0 ORDER BY 1, 2, 3"
    )
}

/// Reads the rows of `query`.
pub fn read(rows: Vec<Row>, server: Version) -> Vec<Unmodelled> {
    let mut out = Vec::with_capacity(rows.len());
    for mut row in rows {
        let (label, schema, name) = (row.text(), row.text_opt().map(Ident::new), row.text());
        let entry = entries(server).find(|entry| match entry.of {
            Some(of) => label.strip_prefix(of).and_then(|rest| rest.strip_prefix(' ')) == Some(entry.kind),
            None => *label == *entry.kind,
        });
        let Some(entry) = entry else { continue };
        out.push(match entry.of {
            Some(of) => Unmodelled { kind: of, schema, name: format!("{name} ({})", entry.kind).into() },
            None => Unmodelled { kind: entry.kind, schema, name },
        });
    }
    out
}

impl std::fmt::Display for Unmodelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn what_has_a_room_is_not_listed() {
        for entry in ENTRIES {
            let covered = match entry.of {
                Some(kind) => kinds::find(kind).is_none_or(|room| room.kind().attr(entry.kind).is_some()),
                None => kinds::find(entry.kind).is_some(),
            };
            assert!(!covered, "{}", entry.kind);
        }
        assert!(!query(Version(150_000)).contains("not-null-constraint"));
        assert!(query(Version(180_000)).contains("not-null-constraint"));
    }
}
