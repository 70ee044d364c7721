//! Tells whether a catalog has changed, by counting the rows that each transaction left in it.
//!
//! Every change of a catalog leaves rows with the number of its transaction (`xmin`) and removes rows of earlier ones. If a snapshot shows,
//! for every transaction, as many rows as an earlier one did, both show the same rows: a row added since has the number of a transaction that
//! was not visible then, and nothing can replace one that was removed. Numbers recur after 2^32 transactions; a fingerprint is valid only for
//! half as many. In-place updates (src/backend/access/heap/heapam.c, `heap_inplace_update`) are not part of the model, except for the
//! validity of indexes before PostgreSQL 14, which is counted.

use crate::catalog::{Row, Session};
use crate::kinds;
use crate::model::{Digest, Result};
use crate::sql;

use super::{PRELUDES, unmodelled};

/// To be raised when a room reads other objects out of the same rows.
const READING: u32 = 1;

/// The catalogs that readings look at, and the first version that has them.
const CATALOGS: &[(&str, u32)] = &[
    ("pg_aggregate", 0),
    ("pg_am", 0),
    ("pg_amop", 0),
    ("pg_amproc", 0),
    ("pg_attrdef", 0),
    ("pg_attribute", 0),
    ("pg_cast", 0),
    ("pg_class", 0),
    ("pg_collation", 0),
    ("pg_constraint", 0),
    ("pg_conversion", 0),
    ("pg_default_acl", 0),
    ("pg_depend", 0),
    ("pg_description", 0),
    ("pg_enum", 0),
    ("pg_event_trigger", 0),
    ("pg_extension", 0),
    ("pg_foreign_data_wrapper", 0),
    ("pg_foreign_server", 0),
    ("pg_foreign_table", 0),
    ("pg_index", 0),
    ("pg_inherits", 0),
    ("pg_init_privs", 0),
    ("pg_language", 0),
    ("pg_namespace", 0),
    ("pg_opclass", 0),
    ("pg_operator", 0),
    ("pg_opfamily", 0),
    ("pg_partitioned_table", 0),
    ("pg_policy", 0),
    ("pg_proc", 0),
    ("pg_publication", 0),
    ("pg_publication_namespace", 15),
    ("pg_publication_rel", 0),
    ("pg_range", 0),
    ("pg_rewrite", 0),
    ("pg_seclabel", 0),
    ("pg_sequence", 0),
    ("pg_statistic_ext", 0),
    ("pg_tablespace", 0),
    ("pg_transform", 0),
    ("pg_trigger", 0),
    ("pg_ts_config", 0),
    ("pg_ts_config_map", 0),
    ("pg_ts_dict", 0),
    ("pg_ts_parser", 0),
    ("pg_ts_template", 0),
    ("pg_type", 0),
];

/// Catalogs that only a superuser may look at whole.
const CLOSED: &[&str] = &["pg_subscription", "pg_user_mapping"];

/// The fingerprint of a catalog, as far as one user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The same for the same rows, tool, server, database and user.
    pub digest: String,
    /// The number that the next transaction had.
    pub next: u64,
}

impl Fingerprint {
    /// True if the catalog has not changed since `earlier` was taken.
    pub fn is_still(&self, earlier: &Self) -> bool {
        self.digest == earlier.digest && self.next.wrapping_sub(earlier.next) < 1 << 31
    }
}

/// Two fingerprints of one moment: of all rows, and of those that were not left by one transaction.
#[derive(Debug, Clone)]
pub struct Prints {
    /// Of all of them.
    pub all: Fingerprint,
    /// Without those of that transaction; the same where none was named.
    pub others: Fingerprint,
}

/// Takes the fingerprints of what the session's transaction sees, with and without the rows that the transaction `without` left;
/// `None` if the user may not see all that counts.
///
/// # Errors
/// What the server reports.
pub async fn take(session: &Session, without: Option<&str>) -> Result<Option<Prints>> {
    let Some(query) = query(session, without) else { return Ok(None) };
    Ok(read(session, session.rows(&query, &[]).await?))
}

/// What the rows of `query` say.
pub(super) fn read(session: &Session, rows: Vec<Row>) -> Option<Prints> {
    let mut texts = vec![format!("{READING} {}", env!("CARGO_PKG_VERSION")), session.version.0.to_string()];
    texts.extend([session.database.clone(), session.user.clone()]);
    texts.extend(PRELUDES.iter().map(|query| (*query).to_owned()));
    texts.extend(kinds::rooms().iter().filter_map(|room| room.query(session.version)));
    texts.push(unmodelled::query(session.version));
    let mut others = texts.clone();
    let mut next = 0;
    for mut row in rows {
        let (what, of_all, of_others) = (row.text(), row.text(), row.text());
        match &*what {
            "next" => next = of_all.parse().unwrap_or_default(),
            "closed" if &*of_all != "0" => return None,
            _ => {
                texts.push(format!("{what} {of_all}"));
                others.push(format!("{what} {of_others}"));
            }
        }
    }
    let print =
        |texts: &[String]| Fingerprint { digest: Digest::of_texts(texts.iter().map(String::as_str)).to_string(), next };
    (next > 0).then(|| Prints { all: print(&texts), others: print(&others) })
}

/// One row per catalog: its rows, and a sum over the transactions that left them; then the same without one transaction. `None` if
/// the user may not see all that counts.
pub(super) fn query(session: &Session, without: Option<&str>) -> Option<String> {
    let (server, superuser) = (session.version, session.superuser);
    if !superuser && !server.at_least(14) {
        return None; // only superusers read `pg_subscription` there
    }
    let others = without.map_or_else(|| "true".into(), |number| format!("x::text <> {}", sql::literal(number)));
    let sums = |filter: &str| {
        format!(
            "sum(n) FILTER ({filter}) || ' ' || sum(hashint8extended((n << 32) + x::text::int8, 0)) FILTER ({filter})"
        )
    };
    let (all, others) = (sums("WHERE true"), sums(&format!("WHERE {others}")));
    let known = CATALOGS.iter().filter(|(_, since)| server.at_least(*since)).map(|(catalog, _)| *catalog);
    let mut parts: Vec<String> = known
        .chain(CLOSED.iter().copied().filter(|_| superuser))
        .map(|catalog| {
            format!(
                "SELECT '{catalog}', {all}, {others} FROM (SELECT xmin AS x, count(*) AS n FROM {catalog} GROUP BY 1) g"
            )
        })
        .collect();
    let both =
        |what: &str, value: &str, from: &str| format!("SELECT '{what}', v, v FROM (SELECT {value} AS v {from}) s");
    if !server.at_least(14) {
        let valid = "FROM pg_index WHERE indisvalid AND indisready AND indislive";
        let others = without.map_or_else(String::new, |number| format!(" AND xmin::text <> {}", sql::literal(number)));
        parts.push(format!("SELECT 'valid', (SELECT count(*)::text {valid}), (SELECT count(*)::text {valid}{others})"));
    }
    parts.push(both("roles", "md5(string_agg(oid || ' ' || rolname, ',' ORDER BY oid))", "FROM pg_roles"));
    parts.push(both("next", "pg_snapshot_xmax(pg_current_snapshot())::text", ""));
    if !superuser {
        parts.push(both("closed", "count(*)::text", "FROM pg_user_mappings"));
        let subscriptions = "string_agg(oid || ' ' || subname, ',' ORDER BY oid)";
        parts.push(both("subscriptions", subscriptions, "FROM pg_subscription"));
    }
    Some(parts.join(" UNION ALL "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Version;

    #[test]
    fn every_catalog_that_is_read_is_counted() {
        let server = Version(180_000);
        let mut queries: Vec<String> = kinds::rooms().iter().filter_map(|room| room.query(server)).collect();
        queries.extend(PRELUDES.iter().map(|query| (*query).to_owned()));
        queries.push(unmodelled::query(server));
        // Functions, columns' types and views whose tables are counted; roles are counted by themselves.
        let views = ["pg_roles", "pg_user_mappings", "pg_database", "pg_authid"];
        for query in &queries {
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let named = words.filter(|word| word.starts_with("pg_") && !query.contains(&format!("{word}(")));
            for word in
                named.filter(|word| !word.starts_with("pg_catalog") && !views.contains(word) && *word != "pg_attver")
            {
                let counted = CATALOGS.iter().any(|(catalog, _)| *catalog == word) || CLOSED.contains(&word);
                assert!(counted || word == "pg_", "{word} is read, and not counted: {query}");
            }
        }
    }

    #[test]
    fn numbers_come_back() {
        let print = |next| Fingerprint { digest: "a".into(), next };
        assert!(print(10).is_still(&print(10)) && print(1 << 30).is_still(&print(10)));
        assert!(!print(1 << 32).is_still(&print(10)) && !print(9).is_still(&print(10)));
    }
}
