//! Connection services: finds and reads the files that define them, as libpq does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

use super::conninfo::Pairs;
use super::parameters::Lookup;

/// Longer lines are an error in libpq, too.
const MAX_LINE: usize = 1023;

/// The parameters of a service, each once, and the file that defines it. `named` is the file that the connection names.
///
/// # Errors
/// `Config` if no file defines the service, or the one that does is wrong.
pub(super) fn find(name: &str, named: Option<&str>, env: Lookup<'_>) -> Result<(Pairs, PathBuf)> {
    let mut files = Vec::new();
    match named.map(str::to_owned).or_else(|| env("PGSERVICEFILE").filter(|file| !file.is_empty())) {
        Some(file) => files.push((PathBuf::from(file), true)),
        None => {
            let home = env("HOME").filter(|home| !home.is_empty());
            files.extend(home.map(|home| (PathBuf::from(home).join(".pg_service.conf"), false)));
        }
    }
    let system = env("PGSYSCONFDIR").filter(|dir| !dir.is_empty());
    let system = system.unwrap_or_else(|| "/etc/postgresql-common".to_owned());
    files.push((PathBuf::from(system).join("pg_service.conf"), false));
    for (file, must) in &files {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if *must => {
                return Err(Error::config(format!("the service file {} cannot be read: {error}", file.display()))
                    .remedy("check servicefile and PGSERVICEFILE"));
            }
            Err(_) => continue,
        };
        if let Some(found) = section(&text, name, file)? {
            return Ok((found, file.clone()));
        }
    }
    let looked: Vec<String> = files.iter().map(|(file, _)| file.display().to_string()).collect();
    Err(Error::config(format!("the connection service “{name}” is not defined"))
        .detail(format!("looked in {}", looked.join(", ")))
        .remedy("define it there, or unset PGSERVICE"))
}

/// What a file says about a service: up to the next heading, the first of several values.
fn section(text: &[u8], name: &str, file: &Path) -> Result<Option<Pairs>> {
    let mut found: Option<Pairs> = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |what: &str| {
            Err(Error::config(format!("line {} of {} {what}", index + 1, file.display()))
                .remedy("each line of a service is NAME=VALUE, without spaces around the “=”"))
        };
        if line.len() > MAX_LINE {
            return wrong("is too long for a service file");
        }
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(heading) = line.strip_prefix(b"[") {
            if found.is_some() {
                break;
            }
            let ours = heading.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"]"));
            found = ours.then(Vec::new);
        } else if let Some(pairs) = found.as_mut() {
            // What a directory would say cannot be asked.
            if line.starts_with(b"ldap") {
                return wrong("refers to LDAP, which is not supported");
            }
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { return wrong("is not NAME=VALUE") };
            let (key, value) = line.split_at(at);
            let Ok(key) = std::str::from_utf8(key) else { return wrong("is not NAME=VALUE") };
            if matches!(key, "service" | "servicefile") {
                return wrong("refers to another service, which a service cannot do");
            }
            if !super::parameters::is_libpq(key) {
                return wrong("names a parameter that does not exist");
            }
            if pairs.iter().all(|(known, _)| known != key) {
                pairs.push((key.to_owned(), value.get(1..).unwrap_or_default().to_vec()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Pairs>> {
        section(text.as_bytes(), "b", Path::new("f"))
    }

    #[test]
    fn a_service_ends_at_the_next_heading() {
        let found = read("junk\n[a]\nhost=x\n\n[b] ours\n# c\n host=y \nport=7\nport=8\nuser= z\n[b]\nhost=z")
            .expect("is right");
        let found: Vec<String> = found
            .expect("is there")
            .iter()
            .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(found, ["host=y", "port=7", "user= z"]);
        assert_eq!(read("[bb]\nhost=x").expect("is right"), None);
    }

    #[test]
    fn what_libpq_refuses_is_refused() {
        let long = format!("# {}\n[b]\nhost=h", "x".repeat(2000));
        for text in ["[b]\njunk", "[b]\nservice=a", "[b]\nhost =h", "[b]\nnonsense=1", &long] {
            assert!(read(text).is_err(), "{text}");
        }
        let secret = read("[b]\npassword SECRET").expect_err("is refused").to_string();
        assert!(!secret.contains("SECRET"), "{secret}");
    }
}
