//! Settings of routines: `name=value` as `pg_proc.proconfig` keeps them, and as `SET name TO value` prints them.

use crate::model::{Ident, Text};
use crate::sql;

/// Settings that are lists of quoted names (GUC_LIST_QUOTE; src/bin/pg_dump/dumputils.c, variable_is_guc_list_quote).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `SET search_path TO 'app', 'pg_temp'`.
pub fn clause(setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    let value = match is_list(name).then(|| split(value)).flatten() {
        Some(parts) if !parts.is_empty() => parts.iter().map(|p| sql::literal(p)).collect::<Vec<_>>().join(", "),
        _ => sql::literal(value),
    };
    let name: Vec<String> = name.split('.').map(|part| sql::name(&Ident::from(part)).to_string()).collect();
    format!("SET {} TO {value}", name.join("."))
}

/// A list as PostgreSQL keeps it: a comma and a space between names that are quoted where they need it.
pub fn normalise(setting: &str) -> Text {
    let Some((name, value)) = setting.split_once('=') else { return setting.into() };
    match is_list(name).then(|| split(value)).flatten() {
        Some(parts) if parts.is_empty() => format!("{name}=\"\"").into(),
        Some(parts) => {
            let parts: Vec<String> = parts.into_iter().map(|p| sql::name(&Ident::from(p)).to_string()).collect();
            format!("{name}={}", parts.join(", ")).into()
        }
        None => setting.into(),
    }
}

fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

/// The names of a list, without their quotes; `None` if it is not a list.
fn split(value: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (part, after) = closing(quoted)?;
                (part, after.trim_start())
            }
            None => {
                let (part, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (part.trim().to_string(), after)
            }
        };
        parts.push(part);
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() => break,
            None => return None,
        }
    }
    Some(parts)
}

/// What precedes the closing quote, doubled quotes made single, and what follows it.
fn closing(quoted: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_print_as_pg_dump_prints_them() {
        assert_eq!(clause("search_path=app, pg_temp"), "SET search_path TO 'app', 'pg_temp'");
        assert_eq!(clause("search_path=\"$user\", \"a\"\"b\""), "SET search_path TO '$user', 'a\"b'");
        assert_eq!(clause("search_path=\"\""), "SET search_path TO ''");
        assert_eq!(clause("work_mem=64MB"), "SET work_mem TO '64MB'");
        assert_eq!(clause("my.Setting=it's"), "SET my.\"Setting\" TO 'it''s'");
    }

    #[test]
    fn lists_have_one_form() {
        for written in ["search_path=app,pg_temp", "search_path=\"app\" , pg_temp", "search_path=app, pg_temp"] {
            assert_eq!(&*normalise(written), "search_path=app, pg_temp");
        }
        assert_eq!(&*normalise("search_path="), "search_path=\"\"");
        assert_eq!(&*normalise("search_path=$user"), "search_path=\"$user\"");
        assert_eq!(&*normalise("datestyle=ISO, DMY"), "datestyle=ISO, DMY");
    }
}
