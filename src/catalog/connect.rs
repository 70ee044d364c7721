//! A resolved connection target: which server and database, as which user, with what protection.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, Config};

use crate::model::Result;

use super::account;
use super::methods::Methods;
use super::parameters::{self, Lookup, Parameters, Resolved};
use super::passfile::{self, Passfile};
use super::place::{self, Place, invalid};
use super::sources::Sources;
use super::tls::{SslMode, TlsSettings};
use super::wanted::Wanted;

/// How long to wait for a server, unless `connect_timeout` says otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeout {
    /// For the network to get there.
    pub(super) reach: Option<Duration>,
    /// For all of it: some logins wait for a person to confirm them.
    pub(super) login: Option<Duration>,
}

impl Timeout {
    fn of(time: Duration) -> Self {
        Self { reach: Some(time), login: Some(time) }
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self { reach: Some(Duration::from_secs(15)), login: Some(Duration::from_secs(60)) }
    }
}

/// A connection target. Its text forms never hold the password.
#[derive(Clone)]
pub struct Connect {
    hosts: Vec<String>,
    places: Vec<Place>,
    user: String,
    database: String,
    tls: Arc<TlsSettings>,
    wanted: Wanted,
    random: bool,
    timeout: Timeout,
    config: Config,
    methods: Methods,
    peer: Option<String>,
    password_from: Option<String>,
    open_passfile: Option<String>,
    withheld: Option<String>,
    passed_over: Vec<String>,
    said_by: Option<String>,
    direct_in: Option<String>,
    startup: Option<Startup>,
    unwatched: bool,
    untested: bool,
}

/// What the startup message says besides what people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Startup {
    /// Nothing: somebody in between refuses it.
    Bare,
    /// Where names are looked up.
    Pinned,
    /// That, and that no event triggers fire.
    Quiet,
}

impl Connect {
    /// What a connection string says, completed by the service file, libpq's variables and `.pgpass`. Accepts URLs (of
    /// SQLAlchemy's and JDBC's kind too), `key=value` pairs and a bare database name.
    pub fn parse(text: &str) -> Result<Self> {
        Self::resolve(Some(text), &|name| std::env::var(name).ok())
    }

    /// As `parse`, with the environment as a function.
    pub fn resolve(text: Option<&str>, env: Lookup<'_>) -> Result<Self> {
        Self::from_sources(&Sources::of_process(text, env))
    }

    /// The same where files of a project have a say.
    ///
    /// # Errors
    /// `Config` for what cannot be understood or honoured.
    pub fn from_sources(sources: &Sources<'_>) -> Result<Self> {
        Self::from_parameters(sources.resolve()?, sources.process)
    }

    /// True if the connection string itself holds a password, where process lists and shell histories show it.
    pub fn holds_password(text: &str) -> bool {
        parameters::holds_password(text)
    }

    fn from_parameters(resolved: Resolved, env: Lookup<'_>) -> Result<Self> {
        let Resolved { parameters: found, password, mut password_from, by_address, withheld, passed_over } = resolved;
        let get = |key: &str| found.get(key).map(String::as_str);
        let mut places = place::places(&found)?;
        let user =
            get("user").map(str::to_owned).or_else(account::current_name).unwrap_or_else(|| "postgres".to_owned());
        let database = get("dbname").map_or_else(|| user.clone(), str::to_owned);
        let home = env("HOME").filter(|home| !home.is_empty());
        let mut open_passfile = None;
        if let Some(password) = password {
            places.iter_mut().for_each(|place| place.password = Some(password.clone()));
        } else {
            match Passfile::find(get("passfile"), home.as_deref()) {
                Passfile::Missing => {}
                Passfile::Open(file) => open_passfile = Some(file.display().to_string()),
                Passfile::Read(file, text) => {
                    for place in &mut places {
                        let address = place.address.filter(|_| by_address).map(|address| address.to_string());
                        let host = address.as_deref().unwrap_or(place.in_passfile());
                        place.password = passfile::pgpass(&text, host, place.port, &database, &user)
                            .filter(|password| !password.is_empty());
                    }
                    if places.iter().any(|place| place.password.is_some()) {
                        password_from = Some(file.display().to_string());
                    }
                }
            }
        }
        let wanted = Wanted::named(get("target_session_attrs"))?;
        let random = match get("load_balance_hosts") {
            None | Some("disable") => false,
            Some("random") => true,
            Some(_) => return Err(invalid("load_balance_hosts", "disable or random")),
        };
        let timeout = match get("connect_timeout").map(|text| number("connect_timeout", text)).transpose()? {
            None => Timeout::default(),
            Some(0) => Timeout { reach: None, login: None },
            // As in libpq: no less than two seconds.
            Some(seconds) => Timeout::of(Duration::from_secs(seconds.max(2))),
        };
        let mut config = driver_settings(&found)?;
        config.user(&user).dbname(&database);
        let tls = Arc::new(TlsSettings::from_parameters(&found, home.as_deref())?);
        let mut target = Self::assemble(places, user, database, tls, config);
        (target.wanted, target.random, target.timeout) = (wanted, random, timeout);
        target.methods = get("require_auth").map(Methods::parse).transpose()?.unwrap_or_default();
        target.peer = get("requirepeer").map(str::to_owned);
        (target.password_from, target.open_passfile) = (password_from, open_passfile);
        (target.withheld, target.passed_over) = (withheld, passed_over);
        Ok(target)
    }

    /// A database of a server that listens on a socket in that directory.
    pub fn socket(directory: &Path, port: u16, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.user(user).dbname(database);
        let host = directory.display().to_string();
        let place = Place { host, nameless: false, unnamed: false, address: None, port, password: None };
        let tls = Arc::new(TlsSettings::none());
        let mut target = Self::assemble(vec![place], user.to_owned(), database.to_owned(), tls, config);
        // A server of our own, without anybody else's event triggers.
        target.unwatched = true;
        target
    }

    /// The same target with a password for each of its servers.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let mut other = self.clone();
        other.places.iter_mut().for_each(|place| place.password = Some(password.as_bytes().to_vec()));
        other
    }

    fn assemble(places: Vec<Place>, user: String, database: String, tls: Arc<TlsSettings>, config: Config) -> Self {
        Self {
            hosts: places.iter().map(|place| place.host.clone()).collect(),
            places,
            user,
            database,
            tls,
            wanted: Wanted::Any,
            random: false,
            timeout: Timeout::default(),
            config,
            methods: Methods::default(),
            peer: None,
            password_from: None,
            open_passfile: None,
            withheld: None,
            passed_over: Vec::new(),
            said_by: None,
            direct_in: None,
            startup: None,
            unwatched: false,
            untested: false,
        }
    }

    /// Says that servers newer than the newest that was tested may be changed, too.
    #[must_use]
    pub fn untested(mut self, may_be_changed: bool) -> Self {
        self.untested = may_be_changed;
        self
    }

    pub(super) fn may_be_untested(&self) -> bool {
        self.untested
    }

    /// Records where the target was named, for errors: `DATABASE_URL in .env`.
    #[must_use]
    pub fn said_by(mut self, source: impl Into<String>) -> Self {
        self.said_by = Some(source.into());
        self
    }

    /// Keeps the variable that holds the address of the server itself, in case that this one is a pooler's.
    #[must_use]
    pub fn direct_in(mut self, variable: Option<String>) -> Self {
        self.direct_in = variable;
        self
    }

    /// The one server that a session was opened on: the next one goes there too, and what was found out about it still holds.
    pub(super) fn settled(&self, place: &Place, startup: Startup) -> Self {
        let mut other = self.clone();
        other.hosts = vec![place.host.clone()];
        other.places = vec![place.clone()];
        (other.wanted, other.startup) = (Wanted::Any, Some(startup));
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
        &self.hosts
    }

    /// The protection asked for. A socket needs none: `Disable`.
    pub fn ssl_mode(&self) -> SslMode {
        if self.places.iter().all(Place::is_socket) { SslMode::Disable } else { self.tls.mode() }
    }

    /// The servers, in the order in which they are to be tried.
    pub(super) fn order(&self) -> Vec<&Place> {
        let mut places: Vec<&Place> = self.places.iter().collect();
        if self.random {
            place::shuffle(&mut places);
        }
        places
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    pub(super) fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// What the server's startup message takes, where that was found out.
    pub(super) fn startup(&self) -> Option<Startup> {
        self.startup
    }

    /// True if only we have event triggers there.
    pub(super) fn is_unwatched(&self) -> bool {
        self.unwatched
    }

    /// The ways of logging in that a server may ask for.
    pub(super) fn methods(&self) -> &Methods {
        &self.methods
    }

    /// The user who must run the server at a socket.
    pub(super) fn required_peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    pub(super) fn direct_variable(&self) -> Option<&str> {
        self.direct_in.as_deref()
    }

    /// Where to look for a wrong password.
    pub(super) fn password_source(&self) -> Option<&str> {
        self.password_from.as_deref().or(self.said_by.as_deref())
    }

    /// The password file that was passed over, since others may read it.
    pub(super) fn ignored_passfile(&self) -> Option<&str> {
        self.open_passfile.as_deref()
    }

    /// A password that is not for this place, because a project's file says where it is.
    pub(super) fn withheld(&self) -> Option<&str> {
        self.withheld.as_deref()
    }

    /// Variables of `.env` that do not count, because the process says where to connect to.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// The target and who named it, for errors.
    pub(super) fn described(&self) -> String {
        self.said_by.as_ref().map_or_else(|| self.to_string(), |source| format!("{self} (from {source})"))
    }

    /// The same address with another port.
    pub(super) fn with_port(&self, port: u16) -> Self {
        let mut other = self.clone();
        other.places.iter_mut().for_each(|place| place.port = port);
        other
    }

    /// The same address with another host.
    pub(super) fn with_host(&self, host: &str) -> Self {
        let mut other = self.clone();
        other.places.iter_mut().for_each(|place| host.clone_into(&mut place.host));
        other
    }
}

/// The target as a URL without password.
impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = format!("postgresql://{}@", encode(&self.user));
        for (index, place) in self.places.iter().enumerate() {
            if index > 0 {
                url.push(',');
            }
            if place.host.contains(':') {
                url.push_str(&format!("[{}]", place.host));
            } else {
                url.push_str(&encode(&place.host));
            }
            if place.port != 5432 {
                url.push_str(&format!(":{}", place.port));
            }
        }
        url.push('/');
        url.push_str(&encode(&self.database));
        f.write_str(&url)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connect({self})")
    }
}

fn encode(text: impl AsRef<[u8]>) -> String {
    let bytes = text.as_ref();
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The parameters that the driver itself handles.
fn driver_settings(found: &Parameters) -> Result<Config> {
    let get = |key: &str| found.get(key).map(String::as_str);
    let mut config = Config::new();
    if let Some(options) = get("options") {
        config.options(options);
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
        let count = text.parse().map_err(|_| invalid("keepalives_count", "a whole number"))?;
        config.keepalives_retries(count);
    }
    match get("channel_binding") {
        None | Some("prefer") => {}
        Some("disable") => _ = config.channel_binding(ChannelBinding::Disable),
        Some("require") => _ = config.channel_binding(ChannelBinding::Require),
        Some(_) => return Err(invalid("channel_binding", "disable, prefer or require")),
    }
    Ok(config)
}

fn number(key: &str, text: &str) -> Result<u64> {
    text.trim().parse().map_err(|_| invalid(key, "a whole number"))
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
    }

    #[test]
    fn each_server_has_its_port_and_password() {
        let target = connect("postgresql://me@a:1,b,c:3/d");
        assert_eq!(target.to_string(), "postgresql://me@a:1,b,c:3/d");
        assert_eq!(connect("user=u dbname=d host=a,b port=7").to_string(), "postgresql://u@a:7,b:7/d");
        assert_eq!(connect("user=u dbname=d host=a hostaddr=::1").to_string(), "postgresql://u@a/d");
        assert_eq!(connect("user=u dbname=d hostaddr=::1").to_string(), "postgresql://u@[::1]/d");
    }

    #[test]
    fn wrong_values_are_named() {
        for text in [
            "port=x",
            "sslmode=maybe",
            "host=a,b,c port=1,2",
            "host=a,b hostaddr=127.0.0.1",
            "hostaddr=name",
            "connect_timeout=soon",
            "target_session_attrs=best",
            "sslnegotiation=direct sslmode=prefer",
            "sslrootcert=system sslmode=require",
            "ssl_min_protocol_version=TLSv9",
        ] {
            assert!(Connect::resolve(Some(text), &|_| None).is_err(), "{text}");
        }
    }
}
