//! An independent witness: compares what `pg_dump` prints of two databases, object by object.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::model::{Error, Result};
use crate::scratch::{Binaries, Site};

/// What `pg_dump` prints for each object, with its heading (`Name: orders; Type: TABLE; …`).
pub type Dump = BTreeMap<String, Vec<String>>;

/// `pg_dump 15.18`, if it is installed beside the server's programs.
pub fn witness(binaries: &Binaries) -> Option<String> {
    binaries.dir.join("pg_dump").is_file().then(|| format!("pg_dump {}", binaries.version))
}

/// Dumps the schema of a database on a throwaway server, with the privileges of whoever built it.
///
/// # Errors
/// If `pg_dump` cannot be run, or fails.
pub async fn dump(site: &Site) -> Result<Dump> {
    let database = site.connect();
    let socket = database.hosts().first().cloned().unwrap_or_default();
    let mut command = site.binaries().command("pg_dump");
    command.envs(site.password().map(|password| ("PGPASSWORD", password)));
    command.args(["--schema-only", "--no-password", "-p", "5432", "-h", &socket, "-U", database.user()]);
    command.arg(database.database()).stdin(Stdio::null());
    // It takes a moment in which the server can be asked other things.
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.map_err(|error| Error::failed("pg_dump was not run").detail(error.to_string()))?;
    let output = output.map_err(|error| Error::failed("cannot run pg_dump").detail(error.to_string()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(complaint.lines().fold(Error::failed("pg_dump failed"), Error::detail));
    }
    Ok(sections(&String::from_utf8_lossy(&output.stdout)))
}

/// Cuts a dump at its headings. What precedes the first one says nothing about objects.
fn sections(text: &str) -> Dump {
    let mut out = Dump::new();
    let mut at: Option<String> = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("-- Name: ") {
            at = Some(format!("Name: {heading}"));
            continue;
        }
        let noise = line.trim().is_empty()
            || line.starts_with("--")
            || line.starts_with("SET default_")
            || line.starts_with("\\restrict")
            || line.starts_with("\\unrestrict");
        if let Some(heading) = at.as_ref().filter(|_| !noise) {
            out.entry(heading.clone()).or_default().push(line.to_string());
        }
    }
    for (heading, lines) in &mut out {
        // Only the order of columns is not restored, and that of privileges means nothing.
        if ["TABLE", "FOREIGN TABLE", "ACL", "DEFAULT ACL"]
            .iter()
            .any(|kind| heading.contains(&format!("; Type: {kind};")))
            || lines.first().is_some_and(|line| line.starts_with("CREATE TYPE") && line.ends_with("AS ("))
        {
            lines.iter_mut().for_each(|line| *line = line.trim_end_matches(',').to_string());
            lines.sort();
        }
    }
    out
}

/// How two dumps differ, a line per object; `known` says whether a difference of an object of that heading was settled already.
pub fn differences(before: &Dump, after: &Dump, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    for (heading, lines) in before {
        match after.get(heading) {
            None => out.push(format!("pg_dump: {} is gone", shown(heading))),
            Some(others) if others != lines && !known(heading) => {
                out.push(match first_difference(lines, others) {
                    ("", "") => format!("pg_dump: {} has its lines in another order", shown(heading)),
                    (was, is) => format!("pg_dump: {} was `{was}`, is `{is}`", shown(heading)),
                });
            }
            Some(_) => {}
        }
    }
    let new = after.keys().filter(|heading| !before.contains_key(*heading));
    out.extend(new.map(|heading| format!("pg_dump: {} also exists", shown(heading))));
    out
}

fn first_difference<'a>(before: &'a [String], after: &'a [String]) -> (&'a str, &'a str) {
    // A comma behind the last line but one is not a difference worth showing.
    let bare = |line: &'a String| line.trim().trim_end_matches(',');
    let only = |list: &'a [String], other: &'a [String]| {
        list.iter().map(bare).find(|line| !other.iter().any(|o| bare(o) == *line)).unwrap_or_default()
    };
    (only(before, after), only(after, before))
}

/// `TABLE orders in schema public` for `Name: orders; Type: TABLE; Schema: public; Owner: app`.
fn shown(heading: &str) -> String {
    let part = |name: &str| heading.split("; ").find_map(|part| part.strip_prefix(name)).unwrap_or_default();
    let (name, kind, schema) = (part("Name: "), part("Type: "), part("Schema: "));
    if schema == "-" || schema.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {name} in schema {schema}")
    }
}

/// True if the heading is of an object with that name in that schema, or of a part of it.
pub fn speaks_of(heading: &str, schema: &str, name: &str) -> bool {
    let part = |name: &str| heading.split("; ").find_map(|part| part.strip_prefix(name)).unwrap_or_default();
    part("Schema: ") == schema && part("Name: ").split([' ', '(']).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\\restrict abc\nSET x = 1;\n--\n-- Name: orders; Type: TABLE; Schema: public; Owner: postgres\n--\n\nCREATE TABLE \
                        public.orders (\n    id bigint,\n    note text\n);\n\n\n--\n-- Name: s; Type: TYPE; Schema: public; Owner: postgres\n--\n\n\
                        CREATE TYPE public.s AS ENUM (\n    'a',\n    'b'\n);\n";

    #[test]
    fn only_the_order_of_columns_may_differ() {
        let before = sections(DUMP);
        assert_eq!(before.len(), 2);
        let none = |_: &str| false;
        let swapped = sections(&DUMP.replace("    id bigint,\n    note text\n", "    note text,\n    id bigint\n"));
        assert_eq!(differences(&before, &swapped, &none), Vec::<String>::new());
        let other = sections(&DUMP.replace("note text", "note integer").replace("'a',\n    'b'", "'b',\n    'a'"));
        assert_eq!(
            differences(&before, &other, &none),
            [
                "pg_dump: TABLE orders in schema public was `note text`, is `note integer`",
                "pg_dump: TYPE s in schema public has its lines in another order"
            ]
        );
        let known = |heading: &str| speaks_of(heading, "public", "orders");
        assert_eq!(differences(&before, &other, &known).len(), 1);
        assert_eq!(differences(&before, &Dump::new(), &none).len(), 2);
        assert_eq!(differences(&Dump::new(), &before, &none)[0], "pg_dump: TABLE orders in schema public also exists");
    }
}
