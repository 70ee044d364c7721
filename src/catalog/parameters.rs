//! Connection strings and libpq's variables and files, resolved to one set of parameters.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::model::{Error, Result};

/// Parameter names as libpq spells them, and their values.
pub type Parameters = BTreeMap<String, String>;

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The parameters that mean something here, and libpq's variable for each.
const MEANT: &[(&str, Option<&str>)] = &[
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("port", Some("PGPORT")),
    ("dbname", Some("PGDATABASE")),
    ("user", Some("PGUSER")),
    ("password", Some("PGPASSWORD")),
    ("passfile", Some("PGPASSFILE")),
    ("service", Some("PGSERVICE")),
    ("servicefile", Some("PGSERVICEFILE")),
    ("options", Some("PGOPTIONS")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslkey", Some("PGSSLKEY")),
    ("sslcrl", Some("PGSSLCRL")),
    ("sslsni", Some("PGSSLSNI")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("tcp_user_timeout", None),
    ("keepalives", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("keepalives_count", None),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("channel_binding", Some("PGCHANNELBINDING")),
];

/// Parameters of libpq and of drivers that share a `DATABASE_URL` with us; they do not change what is connected to.
const OTHERS: &[&str] = &[
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "gsslib",
    "gssdelegation",
    "krbsrvname",
    "sslcompression",
    "sslpassword",
    "max_protocol_version",
    "min_protocol_version",
    "schema",
    "currentschema",
    "connection_limit",
    "pool_timeout",
    "pool_size",
    "max_overflow",
    "pgbouncer",
    "statement_cache_size",
    "statement_cache_capacity",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "socket_timeout",
    "command_timeout",
    "timeout",
    "serverversion",
    "charset",
    "encoding",
    "reconnect",
    "pool",
    "prepared_statements",
    "uselibpqcompat",
];

/// Parameters that ask for a protection which is not to be had here, and the values that ask for none. Leaving them
/// unheeded would be a lie.
const UNSERVED: &[(&str, &str, &[&str])] = &[
    ("gssencmode", "PGGSSENCMODE", &["disable", "prefer"]),
    ("require_auth", "PGREQUIREAUTH", &[]),
    ("requirepeer", "PGREQUIREPEER", &[]),
    ("sslcrldir", "PGSSLCRLDIR", &[]),
];

/// What is known about a connection once every source was asked.
pub struct Resolved {
    /// The parameters.
    pub parameters: Parameters,
    /// Where the password comes from, if it was not written with the rest.
    pub password_from: Option<String>,
}

/// Resolves what was written (a URL, `key=value` pairs, a database name, or nothing), then the service file, then libpq's
/// variables, each filling in what those before it left open.
pub fn resolve(text: Option<&str>, env: Lookup<'_>) -> Result<Resolved> {
    let mut parameters = text.map_or_else(|| Ok(Parameters::new()), parse)?;
    let mut password_from = None;
    if let Some(service) = parameters.get("service").cloned().or_else(|| set(env("PGSERVICE"))) {
        for (key, value) in service_parameters(&service, parameters.get("servicefile").cloned(), env)? {
            if key == "password" && !parameters.contains_key("password") {
                password_from = Some(format!("the connection service “{service}”"));
            }
            parameters.entry(key).or_insert(value);
        }
    }
    for (key, variable) in MEANT {
        if let Some(value) = variable.and_then(|name| set(env(name))) {
            if *key == "password" && !parameters.contains_key("password") {
                password_from = Some("PGPASSWORD".to_owned());
            }
            parameters.entry((*key).to_owned()).or_insert(value);
        }
    }
    for (_, variable, harmless) in UNSERVED {
        serve(variable, &env(variable).unwrap_or_default(), harmless)?;
    }
    Ok(Resolved { parameters, password_from })
}

fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

fn serve(name: &str, value: &str, harmless: &[&str]) -> Result<()> {
    if value.is_empty() || harmless.contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("the connection parameter {name} is not supported"))
        .detail("ignoring it would leave the connection less protected than was asked for")
        .remedy(format!("leave {name} out; sslmode, sslrootcert and channel_binding protect a connection")))
}

/// Reads one connection string. Its text is never repeated in an error: it may hold a password.
pub fn parse(text: &str) -> Result<Parameters> {
    let text = text.trim();
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    let raw = if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| !scheme.contains(['=', ' '])) {
        let base = scheme.split('+').next().unwrap_or(scheme);
        if !matches!(base, "postgres" | "postgresql") {
            return Err(Error::config(format!("“{scheme}://” is not the address of a PostgreSQL database"))
                .remedy("write postgresql://USER@HOST:PORT/DATABASE"));
        }
        parse_url(rest)?
    } else if text.contains('=') {
        parse_pairs(text)?
    } else {
        vec![("dbname".to_owned(), text.to_owned())]
    };
    known(raw)
}

/// Keeps the parameters that mean something, and refuses those that nobody knows or that cannot be served.
fn known(raw: Vec<(String, String)>) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for (key, value) in raw {
        let key = match key.to_ascii_lowercase().as_str() {
            "ssl" => "sslmode".to_owned(),
            "database" => "dbname".to_owned(),
            other => other.to_owned(),
        };
        let value = match (key.as_str(), value.as_str()) {
            ("sslmode", "true") => "require".to_owned(),
            ("sslmode", "false") => "disable".to_owned(),
            _ => value,
        };
        if MEANT.iter().any(|(name, _)| *name == key) {
            if !value.is_empty() {
                parameters.insert(key, value);
            }
        } else if let Some((_, _, harmless)) = UNSERVED.iter().find(|(name, _, _)| *name == key) {
            serve(&key, &value, harmless)?;
        } else if !OTHERS.contains(&key.as_str()) {
            return Err(Error::config(format!("the connection string has an unknown parameter “{key}”")).remedy(
                "use libpq's parameters: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
            ));
        }
    }
    Ok(parameters)
}

fn malformed(what: &str) -> Error {
    Error::config(format!("the connection string is malformed: {what}"))
        .remedy("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded")
}

fn parse_url(rest: &str) -> Result<Vec<(String, String)>> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // An unescaped @ or / in a password is common; the last @ before the last slash is the one that separates.
    let (user_info, rest) = rest.rsplit_once('@').map_or((None, rest), |(info, rest)| (Some(info), rest));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let mut found = Vec::new();
    if let Some(info) = user_info {
        let (user, password) = info.split_once(':').map_or((info, None), |(user, password)| (user, Some(password)));
        found.push(("user".to_owned(), decode(user)?));
        if let Some(password) = password {
            found.push(("password".to_owned(), decode(password)?));
        }
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in authority.split(',').filter(|_| !authority.is_empty()) {
        let (host, port) = if let Some(bracketed) = part.strip_prefix('[') {
            let (host, after) = bracketed.split_once(']').ok_or_else(|| malformed("a “[” has no “]”"))?;
            (host, after.strip_prefix(':').unwrap_or(""))
        } else {
            part.rsplit_once(':').unwrap_or((part, ""))
        };
        hosts.push(decode(host)?);
        ports.push(decode(port)?);
    }
    found.push(("host".to_owned(), join(&hosts)));
    found.push(("port".to_owned(), join(&ports)));
    found.push(("dbname".to_owned(), decode(database)?));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| malformed("a parameter after “?” has no value"))?;
        found.push((decode(key)?, decode(value)?));
    }
    Ok(found)
}

fn join(parts: &[String]) -> String {
    if parts.iter().all(String::is_empty) { String::new() } else { parts.join(",") }
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(malformed("“%” must be followed by two hexadecimal digits (a plain “%” is written %25)")),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("its percent-encoded bytes are not UTF-8"))
}

fn parse_pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| malformed("a parameter has no “=”"))?;
        let (value, after) = pair_value(after.trim_start())?;
        found.push((key.trim().to_owned(), value));
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
            Some(c) if quoted.is_none() && c.is_whitespace() => return Ok((value, before)),
            Some(c) => value.push(c),
            None if quoted.is_some() => return Err(malformed("a quoted value has no end")),
            None => return Ok((value, "")),
        }
    }
}

fn service_parameters(name: &str, file: Option<String>, env: Lookup<'_>) -> Result<Parameters> {
    let mut files = Vec::new();
    match set(file).or_else(|| set(env("PGSERVICEFILE"))) {
        Some(file) => files.push(PathBuf::from(file)),
        None => files.extend(set(env("HOME")).map(|home| PathBuf::from(home).join(".pg_service.conf"))),
    }
    files.extend(set(env("PGSYSCONFDIR")).map(|dir| PathBuf::from(dir).join("pg_service.conf")));
    files.push(PathBuf::from("/etc/postgresql-common/pg_service.conf"));
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        if let Some(found) = section(&text, name) {
            return known(found).map_err(|error| error.detail(format!("in {}, service {name}", file.display())));
        }
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Err(Error::config(format!("the connection service “{name}” is not defined"))
        .detail(format!("looked in {}", looked.join(", ")))
        .remedy("define it there, or unset PGSERVICE"))
}

fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut found = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if found.is_some() {
                break;
            }
            found = (header == name).then(Vec::new);
        } else if let (Some(parameters), Some((key, value))) = (found.as_mut(), line.split_once('=')) {
            parameters.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let parameters = parse(text).expect("parses");
        parameters.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn urls() {
        assert_eq!(shown("postgres://u:p%40ss@h:5433/d"), "dbname=d host=h password=p@ss port=5433 user=u");
        assert_eq!(shown("postgresql+asyncpg://u@h/d?ssl=require"), "dbname=d host=h sslmode=require user=u");
        assert_eq!(shown("postgres:///d?host=/tmp/x&port=1"), "dbname=d host=/tmp/x port=1");
        assert_eq!(shown("postgres://u@%2Ftmp%2Fx/d"), "dbname=d host=/tmp/x user=u");
        assert_eq!(shown("postgres://[::1]:5/d"), "dbname=d host=::1 port=5");
        assert_eq!(shown("postgres://a:1,b/d"), "dbname=d host=a,b port=1,");
        assert_eq!(shown("postgres://u:p@ss@h/d?schema=public"), "dbname=d host=h password=p@ss user=u");
    }

    #[test]
    fn pairs_and_names() {
        assert_eq!(shown("host=h user = 'a b' password='it\\'s'"), "host=h password=it's user=a b");
        assert_eq!(shown("app"), "dbname=app");
    }

    #[test]
    fn errors_keep_the_password_to_themselves() {
        for text in [
            "mysql://u:secret@h/d",
            "postgres://u:secret%zz@h/d",
            "host=h password='secret",
            "postgres://u:secret@h/d?oops=1",
        ] {
            let error = parse(text).expect_err("is refused").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_written_wins_over_variables() {
        let env = |name: &str| match name {
            "PGHOST" => Some("other".to_owned()),
            "PGUSER" => Some("me".to_owned()),
            _ => None,
        };
        let parameters = resolve(Some("postgres://h/d"), &env).expect("resolves").parameters;
        assert_eq!(parameters["host"], "h");
        assert_eq!(parameters["user"], "me");
    }

    #[test]
    fn protections_that_are_not_to_be_had_are_refused() {
        for text in ["postgres://h/d?require_auth=scram-sha-256", "host=h gssencmode=require", "host=h sslcrldir=/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(shown("host=h gssencmode=prefer require_auth=''"), "host=h");
    }

    #[test]
    fn services() {
        let text = "[a]\nhost=x\n\n[b]\n# c\nhost=y\nport=7\n[c]\nhost=z";
        let found = known(section(text, "b").expect("is there")).expect("are known");
        assert_eq!((found["host"].as_str(), found["port"].as_str(), found.len()), ("y", "7", 2));
    }
}
