//! Passwords from `.pgpass`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A password file that was read, or why it was not.
pub(super) enum Passfile {
    /// There is none.
    Missing,
    /// Others may read it: ignored, as libpq does.
    Open(PathBuf),
    /// Its text.
    Read(PathBuf, String),
}

impl Passfile {
    /// The file that is named, else `.pgpass` in the home directory.
    pub(super) fn find(named: Option<&str>, home: Option<&str>) -> Self {
        let Some(file) = named.map(PathBuf::from).or_else(|| home.map(|home| Path::new(home).join(".pgpass"))) else {
            return Self::Missing;
        };
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() && meta.mode() & 0o077 != 0 => Self::Open(file),
            Ok(meta) if meta.is_file() => {
                fs::read_to_string(&file).map_or(Self::Missing, |text| Self::Read(file, text))
            }
            _ => Self::Missing,
        }
    }
}

/// The password that a `.pgpass` file has for a server; a socket is `localhost` there, unless a line names its directory.
pub(super) fn pgpass(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let named = |line: &str| line.starts_with(host);
    let host = if host.starts_with('/') && !text.lines().any(named) { "localhost" } else { host };
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = pgpass_fields(line);
        let [h, p, d, u, password] = fields.as_slice() else { return None };
        let fits = |field: &str, value: &str| field == "*" || field == value;
        (fits(h, host) && fits(p, &port) && fits(d, database) && fits(u, user)).then(|| password.clone())
    })
}

fn pgpass_fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => field.extend(chars.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tried_in_order() {
        let text = "# comment\nh:5432:*:u:pa\\:ss\n*:*:*:*:other";
        assert_eq!(pgpass(text, "h", 5432, "d", "u").as_deref(), Some("pa:ss"));
        assert_eq!(pgpass(text, "x", 1, "d", "u").as_deref(), Some("other"));
        assert_eq!(pgpass("h:1:d:u:p", "x", 1, "d", "u"), None);
    }

    #[test]
    fn a_socket_goes_by_localhost_or_by_its_directory() {
        assert_eq!(pgpass("localhost:1:d:u:p", "/run/pg", 1, "d", "u").as_deref(), Some("p"));
        assert_eq!(pgpass("localhost:1:d:u:p\n/run/pg:1:d:u:q", "/run/pg", 1, "d", "u").as_deref(), Some("q"));
    }
}
