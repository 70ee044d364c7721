//! Reads a connection string: a URL, `key=value` pairs or the name of a database. No error repeats any part of it that may hold a password.

use crate::model::{Error, Result};

/// What a connection string says, in its order. Values are bytes: passwords need not be UTF-8.
pub(super) type Pairs = Vec<(String, Vec<u8>)>;

/// Reads a connection string.
///
/// # Errors
/// `Config`, without repeating any of it.
pub(super) fn read(text: &str) -> Result<Pairs> {
    let text = text.trim();
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    let is_scheme = |scheme: &str| scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b));
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        let base = scheme.split('+').next().unwrap_or(scheme);
        return if matches!(base, "postgres" | "postgresql") {
            url(rest)
        } else {
            Err(Error::config(format!("“{scheme}://” is not the address of a PostgreSQL database"))
                .remedy("write postgresql://USER@HOST:PORT/DATABASE"))
        };
    }
    if text.contains('=') {
        return pairs(text);
    }
    if text.contains(['/', ':', '@', '?']) || text.contains(char::is_whitespace) {
        return Err(Error::config("the connection string is neither a URL nor the name of a database")
            .detail("it is not repeated here, because it may hold a password")
            .remedy("begin a URL with postgresql://; a database with an odd name is dbname='NAME'"));
    }
    Ok(vec![("dbname".to_owned(), text.as_bytes().to_vec())])
}

fn malformed(what: &str) -> Error {
    Error::config(format!("the connection string is malformed: {what}"))
        .remedy("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded")
}

/// What follows `postgresql://`.
fn url(rest: &str) -> Result<Pairs> {
    let mut found = Vec::new();
    let rest = match credentials(rest)? {
        Some((user, password, rest)) => {
            found.push(("user".to_owned(), decode(user)?));
            if let Some(password) = password {
                found.push(("password".to_owned(), decode(password)?));
            }
            rest
        }
        None => rest,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in authority.split(',') {
        let (host, port) = match part.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(|| malformed("a “[” has no “]”"))?;
                let port = after.strip_prefix(':').or(after.is_empty().then_some(""));
                (host, port.ok_or_else(|| malformed("a “]” must be followed by “:” and a port, or by “/”"))?)
            }
            None => part.split_once(':').unwrap_or((part, "")),
        };
        hosts.push(decode(host)?);
        ports.push(decode(port)?);
    }
    found.push(("host".to_owned(), hosts.join(&b',')));
    found.push(("port".to_owned(), ports.join(&b',')));
    found.push(("dbname".to_owned(), decode(database)?));
    // As in libpq, what a URL leaves empty is left open: but for a list, only where all of it is.
    found.retain(|(_, value)| value.iter().any(|byte| *byte != b','));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| malformed("a parameter after “?” has no value"))?;
        found.push((text(decode(key)?)?, decode(value)?));
    }
    Ok(found)
}

/// User, password and what follows the `@`: the last one before the first `/` separates. (Where one precedes a `?`, it is
/// the last of those.) An `@` in a password is common, and libpq would take what follows it for a host.
fn credentials(rest: &str) -> Result<Option<(&str, Option<&str>, &str)>> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let before_query = authority.split_once('?').map(|(before, _)| before).filter(|before| before.contains('@'));
    let Some(at) = before_query.unwrap_or(authority).rfind('@') else {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        return if path.contains('@') && !authority.contains('?') {
            Err(malformed(
                "its first “@” follows a “/”: a “/” in a password is written %2F, an “@” in a database's name %40",
            ))
        } else {
            Ok(None)
        };
    };
    let (info, rest) = rest.split_at(at);
    let (user, password) = info.split_once(':').map_or((info, None), |(user, password)| (user, Some(password)));
    Ok(Some((user, password, rest.strip_prefix('@').unwrap_or(rest))))
}

fn decode(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(0), Some(0)) => return Err(malformed("%00 is not allowed")),
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(malformed("“%” must be followed by two hexadecimal digits (a plain “%” is written %25)")),
        }
    }
    Ok(bytes)
}

/// Bytes as text.
pub(super) fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| malformed("only a password may have bytes that are not UTF-8"))
}

/// `key=value` pairs, separated by whitespace.
fn pairs(text: &str) -> Result<Pairs> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let after = after.trim_start().strip_prefix('=').ok_or_else(|| {
            malformed(
                "“=” is missing after a key; write key=value, and quote a value that has a space in it: password='…'",
            )
        })?;
        let (value, after) = pair_value(after.trim_start())?;
        found.push((key.to_owned(), value.into_bytes()));
        rest = after.trim_start();
    }
    Ok(found)
}

/// One value of a `key=value` pair (quoted by `'`, escaped by `\`) and what follows it.
fn pair_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut chars = quoted.unwrap_or(text).chars();
    let mut value = String::new();
    loop {
        let before = chars.as_str();
        match chars.next() {
            Some('\\') => value.extend(chars.next()),
            Some('\'') if quoted.is_some() => return Ok((value, chars.as_str())),
            Some(c) if quoted.is_none() && c.is_ascii_whitespace() => return Ok((value, before)),
            Some(c) => value.push(c),
            None if quoted.is_some() => return Err(malformed("a quoted value has no end")),
            None => return Ok((value, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let pairs = read(text).expect("is read").into_iter();
        pairs.map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(&value))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_at_before_the_first_slash_separates() {
        assert_eq!(shown("postgresql://app:SECRET@A/app@B"), "user=app password=SECRET host=A dbname=app@B");
        assert_eq!(shown("postgres://u:p@ss@h/d?schema=a@b"), "user=u password=p@ss host=h dbname=d schema=a@b");
        assert_eq!(shown("postgres://u@h?application_name=a@b"), "user=u host=h application_name=a@b");
        assert_eq!(shown("postgres://u:p?x@h/d"), "user=u password=p?x host=h dbname=d");
        assert_eq!(shown("postgres://h?host=/tmp&user=a@b"), "host=h host=/tmp user=a@b");
        assert_eq!(shown("postgres://u:a:b@[::1]:5,c/d"), "user=u password=a:b host=::1,c port=5, dbname=d");
        assert_eq!(shown("postgres:///d"), "dbname=d");
        assert!(read("postgres://u:pa/ss@h/d").is_err());
        assert!(read("postgres://[::1]5/d").is_err());
    }

    #[test]
    fn errors_repeat_nothing() {
        for text in [
            "mysql://u:SECRET@h/d",
            "u:SECRET@h/d",
            "u:SECRET@h://d",
            "u:SEC=RET@h/d",
            "name SECRET",
            "postgres://u:SECRET%zz@h/d",
            "postgres://u:SECRET/x@h/d",
            "postgres://u:SECRET@h/d?SECRET",
            "host=h password='SECRET",
            "host=h password=a SECRET sslmode=require",
            "host=h password=a SECRET",
        ] {
            let error = read(text).err().map_or_else(String::new, |error| error.to_string());
            assert!(!error.contains("SEC") && !error.contains("RET"), "{text}: {error}");
        }
    }

    #[test]
    fn pairs_are_quoted_and_escaped() {
        assert_eq!(shown("host=h user = 'a b' password='it\\'s'port=1"), "host=h user=a b password=it's port=1");
        assert_eq!(shown("password=a\\ b\\\\ host="), "password=a b\\ host=");
        assert_eq!(shown("app"), "dbname=app");
    }
}
