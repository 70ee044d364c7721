//! libpq's parameters: knows every one of them, and what it does here.

use std::collections::BTreeMap;

use crate::model::{Error, Result};

use super::conninfo::{self, Pairs};

/// Parameter names as libpq spells them, and their values; the password is kept apart.
pub type Parameters = BTreeMap<String, String>;

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a parameter does here.
pub(super) enum Does {
    /// The same as in libpq.
    Works,
    /// Nothing: it does not change which server is connected to, nor how protected the connection is.
    Nothing,
    /// Nothing that would be harmless, but for these values.
    Harm(&'static [&'static str], &'static str),
}

use Does::{Harm, Nothing, Works};

/// libpq's parameters, their variables, and what they do here.
pub(super) const LIBPQ: &[(&str, Option<&str>, Does)] = &[
    ("service", Some("PGSERVICE"), Works),
    ("servicefile", Some("PGSERVICEFILE"), Works),
    ("user", Some("PGUSER"), Works),
    ("password", Some("PGPASSWORD"), Works),
    ("passfile", Some("PGPASSFILE"), Works),
    ("channel_binding", Some("PGCHANNELBINDING"), Works),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT"), Works),
    ("dbname", Some("PGDATABASE"), Works),
    ("host", Some("PGHOST"), Works),
    ("hostaddr", Some("PGHOSTADDR"), Works),
    ("port", Some("PGPORT"), Works),
    ("options", Some("PGOPTIONS"), Works),
    ("keepalives", None, Works),
    ("keepalives_idle", None, Works),
    ("keepalives_interval", None, Works),
    ("keepalives_count", None, Works),
    ("tcp_user_timeout", None, Works),
    ("sslmode", Some("PGSSLMODE"), Works),
    ("sslnegotiation", Some("PGSSLNEGOTIATION"), Works),
    ("sslcert", Some("PGSSLCERT"), Works),
    ("sslkey", Some("PGSSLKEY"), Works),
    ("sslcertmode", Some("PGSSLCERTMODE"), Works),
    ("sslpassword", None, Works),
    ("sslrootcert", Some("PGSSLROOTCERT"), Works),
    ("sslcrl", Some("PGSSLCRL"), Works),
    ("sslcrldir", Some("PGSSLCRLDIR"), Works),
    ("sslsni", Some("PGSSLSNI"), Works),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION"), Works),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), Works),
    ("requirepeer", Some("PGREQUIREPEER"), Works),
    ("require_auth", Some("PGREQUIREAUTH"), Works),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS"), Works),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), Works),
    // Sessions of ours have their own name and encoding.
    ("application_name", Some("PGAPPNAME"), Nothing),
    ("fallback_application_name", None, Nothing),
    ("client_encoding", Some("PGCLIENTENCODING"), Nothing),
    // TLS is never compressed.
    ("sslcompression", Some("PGSSLCOMPRESSION"), Nothing),
    // Keys are never written down.
    ("sslkeylogfile", None, Nothing),
    ("krbsrvname", Some("PGKRBSRVNAME"), Nothing),
    ("gsslib", Some("PGGSSLIB"), Nothing),
    ("gssdelegation", Some("PGGSSDELEGATION"), Nothing),
    (
        "gssencmode",
        Some("PGGSSENCMODE"),
        Harm(&["disable", "prefer"], "connections are encrypted by TLS alone: sslmode"),
    ),
    // Version 3.0 is spoken, and all servers know it.
    ("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), Nothing),
    ("min_protocol_version", Some("PGMINPROTOCOLVERSION"), Harm(&["3.0"], "version 3.0 of the protocol is spoken")),
    (
        "replication",
        None,
        Harm(&["false", "off", "no", "0"], "setpoint reads catalogs, which such a connection cannot"),
    ),
    ("scram_client_key", None, Harm(&[], "log in with the password: PGPASSWORD or ~/.pgpass")),
    ("scram_server_key", None, Harm(&[], "log in with the password: PGPASSWORD or ~/.pgpass")),
    // A server that asks for a token is told that we have none.
    ("oauth_issuer", None, Nothing),
    ("oauth_client_id", None, Nothing),
    ("oauth_client_secret", None, Nothing),
    ("oauth_scope", None, Nothing),
    // Of earlier versions, without effect in those of today.
    ("authtype", None, Nothing),
    ("tty", None, Nothing),
];

/// Parameters of drivers that share a `DATABASE_URL` with us; they do not change what is connected to.
const DRIVERS: &[&str] = &[
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

/// What is known about a connection once every source was consulted.
pub struct Resolved {
    /// The parameters; an empty value counts as none.
    pub parameters: Parameters,
    /// The password, which need not be UTF-8.
    pub password: Option<Vec<u8>>,
    /// Where the password comes from, if it was not written with the rest.
    pub password_from: Option<String>,
    /// True if a file of the project says to which address a host's name leads: then the address counts in `.pgpass`.
    pub by_address: bool,
    /// A password that was given for another place.
    pub withheld: Option<String>,
    /// Variables of `.env` that do not count, because the process says where to connect to.
    pub passed_over: Vec<String>,
}

/// True for libpq's names of parameters.
pub(super) fn is_libpq(key: &str) -> bool {
    LIBPQ.iter().any(|(name, ..)| *name == key)
}

/// Resolves what was written, completed by what the process's environment says.
#[cfg(test)]
fn resolve(text: Option<&str>, env: Lookup<'_>) -> Result<Resolved> {
    super::sources::Sources::of_process(text, env).resolve()
}

/// True if a connection string holds a password itself.
pub(super) fn holds_password(text: &str) -> bool {
    let secret = |key: &str| matches!(key, "password" | "sslpassword");
    conninfo::read(text).is_ok_and(|pairs| pairs.iter().any(|(key, value)| secret(key) && !value.is_empty()))
}

pub(super) fn serve(name: &str, value: &str, harmless: &[&str], instead: &str) -> Result<()> {
    if value.is_empty() || harmless.contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("what the connection parameter {name} asks for is not supported"))
        .detail(instead)
        .remedy(format!("leave {name} out")))
}

/// Keeps the parameters that work, refuses those that are unknown or cannot be honoured, and takes the password out.
pub(super) fn known(pairs: Pairs) -> Result<(Parameters, Option<Vec<u8>>)> {
    let (mut parameters, mut password) = (Parameters::new(), None);
    for (position, (key, value)) in pairs.into_iter().enumerate() {
        let key = match key.to_ascii_lowercase().as_str() {
            "ssl" => "sslmode".to_owned(),
            "database" => "dbname".to_owned(),
            other => other.to_owned(),
        };
        if key == "password" {
            password = Some(value);
            continue;
        }
        let Some((_, _, does)) = LIBPQ.iter().find(|(name, ..)| *name == key) else {
            if DRIVERS.contains(&key.as_str()) {
                continue;
            }
            return Err(unknown(&key, position + 1));
        };
        let value = conninfo::text(value)?;
        let value = match (key.as_str(), value.as_str()) {
            ("sslmode", "true") => "require".to_owned(),
            ("sslmode", "false") => "disable".to_owned(),
            _ => value,
        };
        if let Harm(harmless, instead) = does {
            serve(&key, &value, harmless, instead)?;
        }
        if !matches!(does, Nothing) {
            parameters.insert(key, value);
        }
    }
    Ok((parameters, password))
}

/// The name itself is repeated only if it is nearly one that exists: it may be the second word of a password.
fn unknown(key: &str, position: usize) -> Error {
    const LIST: &str =
        "use libpq's parameters: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS";
    let squeezed = |text: &str| text.replace(['_', '-'], "");
    let near = |name: &str| {
        let (a, b) = (squeezed(name), squeezed(key));
        let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
        let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
        b.len() >= 4 && same + end + 1 >= a.len().max(b.len())
    };
    match LIBPQ.iter().map(|(name, ..)| *name).find(|name| near(name)) {
        Some(name) => Error::config(format!("the connection string has an unknown parameter “{key}”"))
            .remedy(format!("write {name} if that is meant; {LIST}")),
        None => Error::config(format!("the connection string has an unknown parameter (number {position})"))
            .detail("it is not repeated here, because it may be a part of a password")
            .remedy(format!("quote values with spaces: password='…'; {LIST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        shown_with(text, &|_| None)
    }

    fn shown_with(text: &str, env: Lookup<'_>) -> String {
        let found = resolve(Some(text), env).expect("resolves");
        let mut words: Vec<String> = found.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
        words.extend(found.password.map(|password| format!("password={}", String::from_utf8_lossy(&password))));
        words.join(" ")
    }

    #[test]
    fn urls() {
        assert_eq!(shown("postgres://u:p%40ss@h:5433/d"), "dbname=d host=h port=5433 user=u password=p@ss");
        assert_eq!(shown("postgresql+asyncpg://u@h/d?ssl=require"), "dbname=d host=h sslmode=require user=u");
        assert_eq!(shown("postgres:///d?host=/tmp/x&port=1"), "dbname=d host=/tmp/x port=1");
        assert_eq!(shown("postgres://u@%2Ftmp%2Fx/d"), "dbname=d host=/tmp/x user=u");
        assert_eq!(shown("postgres://[::1]:5/d"), "dbname=d host=::1 port=5");
        assert_eq!(shown("postgres://a:1,b/d"), "dbname=d host=a,b port=1,");
        assert_eq!(shown("postgres://u:p@ss@h/d?schema=public"), "dbname=d host=h user=u password=p@ss");
    }

    #[test]
    fn what_is_written_wins_over_variables() {
        let env = |name: &str| match name {
            "PGHOST" => Some("other".to_owned()),
            "PGUSER" => Some("me".to_owned()),
            "PGREQUIRESSL" => Some("1".to_owned()),
            _ => None,
        };
        assert_eq!(shown_with("postgres://h/d", &env), "dbname=d host=h sslmode=require user=me");
        assert_eq!(shown_with("host='' sslmode=prefer", &env), "sslmode=prefer user=me");
    }

    #[test]
    fn protections_that_are_not_to_be_had_are_refused() {
        for text in ["host=h gssencmode=require", "host=h min_protocol_version=3.2", "host=h replication=database"] {
            assert!(resolve(Some(text), &|_| None).is_err(), "{text}");
        }
        assert_eq!(shown("host=h gssencmode=prefer require_auth=''"), "gssencmode=prefer host=h");
        let env = |name: &str| (name == "PGGSSENCMODE").then(|| "require".to_owned());
        assert!(resolve(Some("host=h"), &env).is_err());
        assert_eq!(shown_with("host=h gssencmode=disable", &env), "gssencmode=disable host=h");
    }

    #[test]
    fn unknown_names_are_repeated_only_where_they_are_slips() {
        let said = |text: &str| resolve(Some(text), &|_| None).err().expect("is refused").to_string();
        assert!(said("host=h sslmod=require").contains("“sslmod”"));
        assert!(said("host=h ssl_root_cert=x").contains("write sslrootcert"));
        assert!(!said("host=h SECRETWORD=x").contains("SECRET"));
        assert!(!said("dbname=postgres://u:SECRET@h/d").contains("SECRET"));
    }
}
