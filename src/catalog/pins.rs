//! The settings that every session pins, and the first query to a server. Nothing here is looked up by `search_path`: the owner of the
//! database may have set it, and created operators of their own.

use crate::model::Ident;
use crate::sql;

use super::dial::MARK;

/// The search path for our own names. Temporary objects come last: if not listed, they would come first.
pub(super) const PATH: &str = "pg_catalog, pg_temp";

/// Restores that search path after statements with another one.
pub const PIN_PATH: &str = "SET search_path TO pg_catalog, pg_temp";

/// What every session sets, regardless of what the server, the database or the role have set. Those that a server does not know
/// are skipped.
const PINNED: &[(&str, &str)] = &[
    ("search_path", PATH),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "warning"),
    ("TimeZone", "UTC"),
    ("timezone_abbreviations", "Default"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("escape_string_warning", "off"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_tablespace", ""),
    ("temp_tablespaces", ""),
    ("default_table_access_method", "heap"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("check_function_bodies", "off"),
    ("row_security", "on"),
    ("restrict_nonsystem_relation_kind", ""),
    ("icu_validation_level", "warning"),
    ("exit_on_error", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    // With a large `work_mem`, a large factor makes the server ask for 24 GB for a dozen rows.
    ("recursive_worktable_factor", "10"),
    ("statement_timeout", "0"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// What only a superuser may set: triggers of all kinds fire as they would for anybody.
const PINNED_BY_SUPERUSERS: &[(&str, &str)] = &[("session_replication_role", "origin"), ("event_triggers", "on")];

/// What the startup message says, which comes before anything that a role or a database has set: no name is ever looked up
/// elsewhere, and nothing delays the login or is loaded for it.
pub(super) const AT_STARTUP: &str =
    "-c search_path=pg_catalog,pg_temp -c post_auth_delay=0 -c local_preload_libraries=";

/// Keeps the login triggers of others from running as the superuser who connects, where that is what we are.
pub(super) const QUIETLY: &str = "-c event_triggers=off";

/// A row if everybody in this database gets a role that is not the user's own choice.
pub(super) const ROLE_OF_THE_DATABASE: &str = "SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, \
     unnest(s.setconfig) AS c WHERE d.datname = current_database() AND s.setrole = 0 AND c LIKE 'role=%' \
     AND NOT EXISTS (SELECT FROM pg_db_role_setting u JOIN pg_roles r ON r.oid = u.setrole, unnest(u.setconfig) AS own \
     WHERE r.rolname = SESSION_USER AND u.setdatabase IN (0, d.oid) AND own LIKE 'role=%')";

/// Sets whatever differs from what it should be; `ours` is a condition.
fn pin(ours: &str) -> String {
    let list = |pins: &[(&str, &str)]| {
        let rows: Vec<String> = pins.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
        rows.join(", ")
    };
    let set = |rows: &str, who: &str| {
        format!(
            "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {rows}) AS pinned (name, value) \
             WHERE pg_catalog.current_setting(name, true) OPERATOR(pg_catalog.<>) value AND {who}{ours}"
        )
    };
    let superuser = "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' AND ";
    format!("{}; {}", set(&list(PINNED), ""), set(&list(PINNED_BY_SUPERUSERS), superuser))
}

/// The first question: the facts about the server, then all settings. With a mark: nothing is set unless the server knows it.
/// Without, the path comes first, as a statement that looks nothing up.
pub(super) fn greeting(mark: Option<&str>) -> String {
    let ours = match mark {
        Some(mark) => {
            format!("pg_catalog.current_setting('{MARK}', true) OPERATOR(pg_catalog.=) '{mark}'")
        }
        None => "true".to_owned(),
    };
    let path = if mark.is_some() { String::new() } else { format!("SET search_path TO {PATH}; ") };
    format!(
        "{path}SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_backend_pid(), \
         pg_catalog.current_database(), CURRENT_USER, pg_catalog.current_setting('is_superuser'), \
         pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'), {ours}, SESSION_USER; \
         {}",
        pin(&ours)
    )
}

/// Sets everything again after statements that others wrote; `role` is the one whose privileges apply, if it is not the one that
/// logged in.
pub(super) fn again(role: Option<&Ident>) -> String {
    let role = role.map_or_else(|| "NONE".into(), |role| sql::name(role).to_string());
    format!("RESET SESSION AUTHORIZATION; SET ROLE {role}; SET search_path TO {PATH}; {}", pin("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_looked_up_by_the_path() {
        for text in [greeting(None), greeting(Some("s1")), again(None)] {
            let text = text.replace("OPERATOR(pg_catalog.=)", "").replace("OPERATOR(pg_catalog.<>)", "");
            // What is left are statements that look nothing up, values, and functions by their full names.
            assert!(
                !["=", "<", ">", "||", "::", " IN ", " ANY", "~", "LIKE"].iter().any(|word| text.contains(word)),
                "{text}"
            );
            let calls = text.match_indices('(').filter_map(|(at, _)| text[..at].split([' ', '(']).next_back());
            let calls = calls.filter(|call| !call.is_empty() && !matches!(*call, "pinned"));
            assert!(calls.clone().count() >= 5 && calls.clone().all(|call| call.starts_with("pg_catalog.")), "{text}");
        }
    }
}
