//! A resolved connection target: which server, which database, as whom, how protected.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, Config, LoadBalanceHosts, TargetSessionAttrs};

use crate::model::{Error, Result};

use super::account;
use super::parameters::{self, Lookup, Parameters};

/// Where servers put their sockets: Debian's place, then PostgreSQL's own default.
const SOCKET_DIRS: &[&str] = &["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// A server that does not answer is given up after this, unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How much protection the connection must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// No TLS unless the server insists.
    Allow,
    /// TLS where the server offers it.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, with a certificate that a trusted authority signed.
    VerifyCa,
    /// TLS, with a trusted certificate for this very host.
    VerifyFull,
}

/// A connection target. Its text forms never hold the password.
#[derive(Clone)]
pub struct Connect {
    hosts: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<u16>,
    user: String,
    database: String,
    password: Option<String>,
    ssl_mode: SslMode,
    config: Config,
}

impl Connect {
    /// What a connection string says, completed by the service file, libpq's variables and `.pgpass`. Accepts URLs (of
    /// SQLAlchemy's and JDBC's kind too), `key=value` pairs and a bare database name.
    pub fn parse(text: &str) -> Result<Self> {
        Self::resolve(Some(text), &|name| std::env::var(name).ok())
    }

    /// What libpq's variables say.
    pub fn from_environment() -> Result<Self> {
        Self::resolve(None, &|name| std::env::var(name).ok())
    }

    /// As `parse`, with the environment as a function.
    pub fn resolve(text: Option<&str>, env: Lookup<'_>) -> Result<Self> {
        Self::from_parameters(&parameters::resolve(text, env)?, env)
    }

    /// True if the connection string itself holds a password, where process lists and shell histories show it.
    pub fn holds_password(text: &str) -> bool {
        parameters::parse(text).is_ok_and(|found| found.contains_key("password"))
    }

    fn from_parameters(found: &Parameters, env: Lookup<'_>) -> Result<Self> {
        let get = |key: &str| found.get(key).map(String::as_str);
        let list = |key: &str| -> Vec<String> {
            get(key).map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect())
        };
        let addresses = list("hostaddr");
        let mut hosts = list("host");
        if hosts.is_empty() && addresses.is_empty() {
            hosts.push(String::new());
        }
        let ports = ports(&list("port"), hosts.len().max(addresses.len()))?;
        for (index, host) in hosts.iter_mut().enumerate().filter(|(_, host)| host.is_empty()) {
            *host = default_host(ports.get(index).copied().unwrap_or(5432));
        }
        let user =
            get("user").map(str::to_owned).or_else(account::current_name).unwrap_or_else(|| "postgres".to_owned());
        let database = get("dbname").map_or_else(|| user.clone(), str::to_owned);
        let ssl_mode = ssl_mode(get("sslmode"))?;
        let password = get("password").map(str::to_owned).or_else(|| {
            let known: Vec<(String, u16)> = (if hosts.is_empty() { &addresses } else { &hosts })
                .iter()
                .cloned()
                .zip(ports.iter().copied())
                .collect();
            stored_password(get("passfile"), env, &known, &database, &user)
        });

        let mut config = Config::new();
        config.user(&user).dbname(&database);
        for host in &hosts {
            config.host(host);
        }
        for address in &addresses {
            config.hostaddr(address.parse().map_err(|_| invalid("hostaddr", address, "an IP address"))?);
        }
        for port in &ports {
            config.port(*port);
        }
        if let Some(password) = &password {
            config.password(password);
        }
        if let Some(options) = get("options") {
            config.options(options);
        }
        let timeout = match get("connect_timeout") {
            Some(text) => Duration::from_secs(number("connect_timeout", text)?),
            None => CONNECT_TIMEOUT,
        };
        if !timeout.is_zero() {
            config.connect_timeout(timeout);
        }
        if let Some(text) = get("tcp_user_timeout") {
            config.tcp_user_timeout(Duration::from_millis(number("tcp_user_timeout", text)?));
        }
        config.keepalives(get("keepalives") != Some("0"));
        if let Some(text) = get("keepalives_idle") {
            config.keepalives_idle(Duration::from_secs(number("keepalives_idle", text)?));
        }
        if let Some(text) = get("keepalives_interval") {
            config.keepalives_interval(Duration::from_secs(number("keepalives_interval", text)?));
        }
        if let Some(text) = get("keepalives_count") {
            let count = text.parse().map_err(|_| invalid("keepalives_count", text, "a whole number"))?;
            config.keepalives_retries(count);
        }
        match get("target_session_attrs") {
            None | Some("any") => {}
            Some("read-write" | "primary") => _ = config.target_session_attrs(TargetSessionAttrs::ReadWrite),
            Some("read-only" | "standby") => _ = config.target_session_attrs(TargetSessionAttrs::ReadOnly),
            Some(other) => {
                return Err(invalid("target_session_attrs", other, "any, read-write, read-only, primary or standby"));
            }
        }
        match get("channel_binding") {
            None | Some("prefer") => {}
            Some("disable") => _ = config.channel_binding(ChannelBinding::Disable),
            Some("require") => _ = config.channel_binding(ChannelBinding::Require),
            Some(other) => return Err(invalid("channel_binding", other, "disable, prefer or require")),
        }
        match get("load_balance_hosts") {
            None | Some("disable") => {}
            Some("random") => _ = config.load_balance_hosts(LoadBalanceHosts::Random),
            Some(other) => return Err(invalid("load_balance_hosts", other, "disable or random")),
        }
        Ok(Self { hosts, addresses, ports, user, database, password, ssl_mode, config })
    }

    /// A database of a server that listens on a socket in that directory.
    pub fn socket(directory: &Path, port: u16, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.user(user).dbname(database).host_path(directory).port(port).connect_timeout(CONNECT_TIMEOUT);
        Self {
            hosts: vec![directory.display().to_string()],
            addresses: Vec::new(),
            ports: vec![port],
            user: user.to_owned(),
            database: database.to_owned(),
            password: None,
            ssl_mode: SslMode::Disable,
            config,
        }
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        database.clone_into(&mut other.database);
        other.config.dbname(database);
        other
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The hosts, as people name them: names, addresses or socket directories.
    pub fn hosts(&self) -> &[String] {
        if self.hosts.is_empty() { &self.addresses } else { &self.hosts }
    }

    /// The protection asked for. A socket needs none: `Disable`.
    pub fn ssl_mode(&self) -> SslMode {
        let sockets_only = !self.hosts.is_empty() && self.hosts.iter().all(|host| host.starts_with('/'));
        if sockets_only { SslMode::Disable } else { self.ssl_mode }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The target as a URL for another process's environment. It holds the password: never to be shown.
    pub fn secret_url(&self) -> String {
        self.url(self.password.as_deref())
    }

    fn url(&self, password: Option<&str>) -> String {
        let mut url = format!("postgresql://{}", encode(&self.user));
        if let Some(password) = password {
            url.push(':');
            url.push_str(&encode(password));
        }
        url.push('@');
        for (index, host) in self.hosts().iter().enumerate() {
            if index > 0 {
                url.push(',');
            }
            if host.contains(':') {
                url.push_str(&format!("[{host}]"));
            } else {
                url.push_str(&encode(host));
            }
            if let Some(port) = self.ports.get(index).filter(|port| **port != 5432) {
                url.push_str(&format!(":{port}"));
            }
        }
        url.push('/');
        url.push_str(&encode(&self.database));
        url
    }
}

/// The target as a URL without password.
impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url(None))
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connect({self})")
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn invalid(key: &str, value: &str, wanted: &str) -> Error {
    Error::config(format!("the connection parameter {key}={value} is not valid")).remedy(format!("{key} is {wanted}"))
}

fn number(key: &str, text: &str) -> Result<u64> {
    text.trim().parse().map_err(|_| invalid(key, text, "a whole number"))
}

/// One port for each host; a single one serves them all.
fn ports(texts: &[String], hosts: usize) -> Result<Vec<u16>> {
    let found = texts
        .iter()
        .map(|text| {
            if text.is_empty() {
                Ok(5432)
            } else {
                text.trim().parse().map_err(|_| invalid("port", text, "a number up to 65535"))
            }
        })
        .collect::<Result<Vec<u16>>>()?;
    match found.as_slice() {
        [] => Ok(vec![5432; hosts]),
        [one] => Ok(vec![*one; hosts]),
        _ if found.len() == hosts => Ok(found),
        _ => Err(Error::config(format!("the connection names {hosts} hosts and {} ports", found.len()))
            .remedy("name one port for all hosts, or one for each")),
    }
}

fn default_host(port: u16) -> String {
    SOCKET_DIRS
        .iter()
        .find(|dir| Path::new(dir).join(format!(".s.PGSQL.{port}")).exists())
        .map_or_else(|| "localhost".to_owned(), |dir| (*dir).to_owned())
}

fn ssl_mode(text: Option<&str>) -> Result<SslMode> {
    match text {
        None | Some("prefer") => Ok(SslMode::Prefer),
        Some("disable") => Ok(SslMode::Disable),
        Some("allow") => Ok(SslMode::Allow),
        Some("require" | "no-verify") => Ok(SslMode::Require),
        Some("verify-ca") => Ok(SslMode::VerifyCa),
        Some("verify-full") => Ok(SslMode::VerifyFull),
        Some(other) => Err(invalid("sslmode", other, "disable, allow, prefer, require, verify-ca or verify-full")),
    }
}

/// The password from `.pgpass`. A file that others can read is ignored, as libpq does.
fn stored_password(
    file: Option<&str>,
    env: Lookup<'_>,
    hosts: &[(String, u16)],
    database: &str,
    user: &str,
) -> Option<String> {
    let file = file.map(Into::into).or_else(|| env("HOME").map(|home| Path::new(&home).join(".pgpass")))?;
    let mode = fs::metadata(&file).ok()?.mode();
    if mode & 0o077 != 0 {
        return None;
    }
    parameters::pgpass(&fs::read_to_string(&file).ok()?, hosts, database, user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(text: &str) -> Connect {
        Connect::resolve(Some(text), &|_| None).expect("resolves")
    }

    #[test]
    fn shown_without_password() {
        let target = connect("postgresql+psycopg://me:s%3Acret@db.example:5433/app?sslmode=require");
        assert_eq!(target.to_string(), "postgresql://me@db.example:5433/app");
        assert_eq!(format!("{target:?}"), "Connect(postgresql://me@db.example:5433/app)");
        assert_eq!(target.secret_url(), "postgresql://me:s%3Acret@db.example:5433/app");
        assert_eq!(target.ssl_mode(), SslMode::Require);
    }

    #[test]
    fn sockets_need_no_tls() {
        let target = connect("host=/run/pg dbname=d user=u sslmode=verify-full");
        assert_eq!(target.ssl_mode(), SslMode::Disable);
        assert_eq!(target.to_string(), "postgresql://u@%2Frun%2Fpg/d");
        assert_eq!(connect(&target.to_string()).hosts(), ["/run/pg"]);
    }

    #[test]
    fn the_database_defaults_to_the_user() {
        assert_eq!(connect("postgres://me@h").database(), "me");
        assert_eq!(connect("postgres://me@h").with_database("other").to_string(), "postgresql://me@h/other");
    }

    #[test]
    fn wrong_values_are_named() {
        for text in ["port=x", "sslmode=maybe", "host=a,b,c port=1,2", "connect_timeout=soon"] {
            assert!(Connect::resolve(Some(text), &|_| None).is_err(), "{text}");
        }
    }
}
