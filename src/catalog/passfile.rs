//! Finds passwords in `.pgpass`, read as libpq reads it: as bytes, line by line, and the first match wins.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A password file that was read, or why it was not.
pub(super) enum Passfile {
    /// There is none.
    Missing,
    /// Others may read it, or it is not a plain file: ignored, as libpq does.
    Open(PathBuf),
    /// What it holds.
    Read(PathBuf, Vec<u8>),
}

impl Passfile {
    /// The file that is named, else `.pgpass` in the home directory.
    pub(super) fn find(named: Option<&str>, home: Option<&str>) -> Self {
        let Some(file) = named.map(PathBuf::from).or_else(|| home.map(|home| Path::new(home).join(".pgpass"))) else {
            return Self::Missing;
        };
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() && meta.mode() & 0o077 != 0 => Self::Open(file),
            Ok(meta) if meta.is_file() => fs::read(&file).map_or(Self::Missing, |text| Self::Read(file, text)),
            _ => Self::Missing,
        }
    }
}

/// The password of the first matching line; it may be empty, and no other line counts then.
pub(super) fn pgpass(text: &[u8], host: &str, port: u16, database: &str, user: &str) -> Option<Vec<u8>> {
    let port = port.to_string();
    text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).find_map(|line| {
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        // Where C's strings end.
        let line = line.get(..end)?.split(|byte| *byte == 0).next()?;
        let fields = [host, &port, database, user];
        let rest = fields.into_iter().try_fold(line, |line, field| after(line, field.as_bytes()))?;
        Some(password(rest))
    })
}

/// What follows a field and its colon, if the field is a star or that value.
fn after<'a>(line: &'a [u8], value: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let (mut rest, mut value) = (line, value);
    loop {
        rest = match (rest, value) {
            ([b':', rest @ ..], []) => return Some(rest),
            ([b'\\', rest @ ..], _) => rest,
            _ => rest,
        };
        let ([found, later @ ..], [wanted, others @ ..]) = (rest, value) else { return None };
        if found != wanted {
            return None;
        }
        (rest, value) = (later, others);
    }
}

/// Up to the next colon, with what is escaped by `\` taken as it is.
fn password(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let [first, later @ ..] = rest {
        (rest, _) = match (first, later) {
            (b':', _) => break,
            (b'\\', [escaped, later @ ..]) => (later, out.push(*escaped)),
            _ => (later, out.push(*first)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str) -> Option<String> {
        pgpass(text.as_bytes(), host, 5432, "d", "u").map(|bytes| String::from_utf8(bytes).expect("is UTF-8"))
    }

    #[test]
    fn lines_are_tried_in_order() {
        let text = "# comment\nh:5432:*:u:pa\\:ss\r\n*:*:*:*:other";
        assert_eq!(found(text, "h").as_deref(), Some("pa:ss"));
        assert_eq!(found(text, "x").as_deref(), Some("other"));
        assert_eq!(found("h:1:d:u:p", "x"), None);
        assert_eq!(found("h:5432:d:u:\n*:*:*:*:other", "h").as_deref(), Some(""));
    }

    #[test]
    fn passwords_end_at_a_colon() {
        assert_eq!(found("h:5432:d:u:one:two", "h").as_deref(), Some("one"));
        assert_eq!(found("h:5432:d:u:a\\\\b\\", "h").as_deref(), Some("a\\b\\"));
        assert_eq!(pgpass(b"h:5432:d:u:\xff", "h", 5432, "d", "u"), Some(vec![0xff]));
        assert_eq!(found("\\h:5432:d:u:p", "h").as_deref(), Some("p"));
        assert_eq!(found("\\*:5432:d:u:p", "h"), None);
    }
}
