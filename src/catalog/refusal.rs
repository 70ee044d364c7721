//! Explains why a connection could not be opened, and what to do about it.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

use crate::model::{Class, Error};

use super::Connect;
use super::failure::server_error;
use super::guard::Breach;
use super::place::Place;
use super::pooler;
use super::tls::SslMode;
use super::verdict::{self, Refusal};

const HBA: &str = "check user, database and address; the server's pg_hba.conf says who may connect from where";

/// What it may mean if a server disagrees with us about the connection that the login is bound to.
const BETWEEN: &str = "the answer may come from somebody between you and the server: do not continue before you know. \
                       sslmode=verify-full sslrootcert=FILE verifies who answers";

/// The server's message if no entry of pg_hba.conf matches.
const NO_ENTRY: &str = "no pg_hba.conf entry";

/// How that message continues, without TLS and with it; the second forms are those of PostgreSQL 13.
const PLAIN: &[&str] = &["no encryption", "SSL off"];
const ENCRYPTED: &[&str] = &["SSL encryption", "SSL on"];

/// What happened to an attempt.
pub(super) enum Failure {
    /// The host's name has no address.
    Lookup(io::Error),
    /// There is no route to it.
    Unreached(io::Error),
    /// No answer came in time.
    TimedOut,
    /// What the driver or the server says.
    Driver(tokio_postgres::Error),
    /// Something of ours, such as a file that is missing.
    Ours(Error),
    /// Two attempts failed, one with TLS and one without: the one that tells more, and the other's message.
    Both(Box<Failure>, String),
}

impl Failure {
    /// True if no server was reached: another address or host may do better.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Lookup(_) | Self::Unreached(_) | Self::TimedOut => true,
            Self::Driver(_) | Self::Ours(_) => false,
            Self::Both(main, _) => main.is_unreachable(),
        }
    }

    fn answer(&self) -> Option<&DbError> {
        match self {
            Self::Driver(error) => error.as_db_error(),
            Self::Both(main, _) => main.answer(),
            _ => None,
        }
    }

    /// The SQLSTATE, if the server answered.
    pub(super) fn code(&self) -> Option<&str> {
        self.answer().map(|db| db.code().code())
    }

    /// True if somebody in between takes no `options`.
    pub(super) fn is_about_options(&self) -> bool {
        // One that does not know what to do with them may just hang up.
        let hung_up = matches!(self, Self::Driver(error) if error.is_closed() || is_cut_off(error));
        hung_up
            || self.answer().is_some_and(|db| {
                db.code().code().starts_with("0A")
                    || ["startup parameter", "option"].iter().any(|word| db.message().contains(word))
            })
    }

    /// True if the server has no such setting, or the user may not set it.
    pub(super) fn is_about_event_triggers(&self) -> bool {
        // By their codes: a database or a role may have that name, too.
        let codes = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_OBJECT];
        self.answer().is_some_and(|db| codes.contains(db.code()) && db.message().contains("event_triggers"))
    }

    /// True if the server has no setting of that name: it is older than 17.
    pub(super) fn is_about_an_older_server(&self) -> bool {
        self.is_about_event_triggers() && self.answer().is_some_and(|db| *db.code() == SqlState::UNDEFINED_OBJECT)
    }

    /// Puts the failures of two attempts together; `later` was made with TLS, or without.
    pub(super) fn or_rather(self, later: Self, later_with_tls: bool) -> Self {
        let (first, second) = (self.short(), later.short());
        let turned_away = |failure: &Self| failure.answer().is_some_and(|db| db.message().starts_with(NO_ENTRY));
        let (with, without) = ("with TLS", "without TLS");
        match (turned_away(&self), turned_away(&later)) {
            // The two messages differ in one word.
            (true, true) => later,
            // That pg_hba.conf turns one of them away tells less than what the other one met.
            (false, true) => {
                let way = if later_with_tls { with } else { without };
                Self::Both(Box::new(self), format!("{way}: {second}"))
            }
            _ if first == second => later,
            _ => {
                let way = if later_with_tls { without } else { with };
                Self::Both(Box::new(later), format!("{way}: {first}"))
            }
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Lookup(error) | Self::Unreached(error) => error.to_string(),
            Self::TimedOut => "no answer".to_owned(),
            Self::Driver(error) => match (error.as_db_error(), tls_error(error)) {
                (Some(db), _) => db.message().to_owned(),
                (None, Some(tls)) => match verdict::refusal(tls) {
                    Some(refusal) => format!("the server's certificate {refusal}"),
                    None => tls.to_string(),
                },
                (None, None) => server_error(error).message,
            },
            Self::Ours(error) => error.message.clone(),
            Self::Both(main, _) => main.short(),
        }
    }
}

/// The failure as an error with its remedy.
pub(super) fn connect_error(failure: &Failure, target: &Connect, place: &Place) -> Error {
    let error = match failure {
        Failure::Lookup(_) => lookup(place),
        Failure::Unreached(error) => unreached(error, place),
        Failure::TimedOut => silent(place),
        Failure::Ours(error) => error.clone(),
        Failure::Both(main, other) => {
            let mut error = connect_error(main, target, place);
            error.details.insert(0, other.clone());
            return error;
        }
        Failure::Driver(error) => match (error.as_db_error(), tls_error(error)) {
            (Some(db), _) => answered(error, db, target, place),
            (None, Some(tls)) => untrusted(tls, target, place),
            (None, None) => match breach(error) {
                Some(breach) => broke_rules(breach, target, place),
                None => broken(error, target, place),
            },
        },
    };
    error.detail(format!("connecting to {}", target.described()))
}

/// The login was to be bound to a certificate that has no digest for that; the server could not do so either.
pub(super) fn unbindable(error: &tokio_postgres::Error) -> Error {
    let mut ours = server_error(error);
    ours.message =
        "the login cannot be bound to the server's certificate: its signature algorithm (Ed25519, say) has no digest"
            .to_owned();
    if let Some(db) = error.as_db_error() {
        ours = ours.detail(format!("the server says: {}", verdict::harmless(db.message())));
    }
    ours.remedy("use a certificate signed with RSA or ECDSA on the server; or trust its certificate (sslmode=verify-full) and leave the login unbound: channel_binding=disable")
}

fn lookup(place: &Place) -> Error {
    let host = &place.host;
    let error = Error::failed(format!("the host name {host} cannot be resolved"));
    if host.contains('.') || host == "localhost" {
        return error.remedy("check its spelling, DNS and the network");
    }
    error.remedy(format!(
        "check its spelling; if {host} is a container, its name is known only inside of its network: from outside, use \
         localhost and the port that it publishes"
    ))
}

fn silent(place: &Place) -> Error {
    Error::failed(format!("{place} does not answer"))
        .remedy("check the address and the firewalls on the way; connect_timeout=SECONDS waits longer")
}

/// The server answered, and refused.
fn answered(error: &tokio_postgres::Error, db: &DbError, target: &Connect, place: &Place) -> Error {
    let mut ours = server_error(error);
    let (user, message) = (target.user(), db.message());
    let mode = target.tls().mode();
    let remedy = match db.code().code() {
        _ if message.contains("startup parameter") => return pooler::no_options(message, place),
        // Supavisor, which Supabase puts before its servers.
        _ if message.contains("Tenant or user not found") || message.starts_with("tenant/user") => format!(
            "the pooler needs to know the project as well: its user is {user}.PROJECT; or connect to the server itself"
        ),
        _ if message.starts_with("no such database") => {
            format!("PgBouncer serves what its [databases] name: check the name {}", target.database())
        }
        "28P01" => wrong_password(target),
        "08P01" if message.contains("authentication failed") => wrong_password(target),
        "28000" if message.contains("client certificate") => match target.tls().certificate() {
            Some(file) if !file.exists() => {
                format!("name your certificate: sslcert=FILE sslkey=FILE; there is none in {}", file.display())
            }
            _ => "the server expects another certificate than the one in sslcert".to_owned(),
        },
        "28000"
            if PLAIN.iter().any(|words| message.ends_with(words)) && mode == SslMode::Disable && !place.is_socket() =>
        {
            "the server may insist on TLS: leave sslmode=disable out".to_owned()
        }
        "28000" if ENCRYPTED.iter().any(|words| message.ends_with(words)) && !weak(mode) => {
            format!("the server may take no TLS from here: try sslmode=prefer. Else {HBA}")
        }
        "28000" if message.contains("does not exist") => {
            format!("check the user's name; PGUSER or the address says {user}")
        }
        "28000" if message.contains("Peer authentication failed") => {
            format!(
                "the socket admits only the operating-system user {user}: connect to localhost with a password instead"
            )
        }
        "28000" if message.starts_with("SCRAM channel binding") => BETWEEN.to_owned(),
        "28000" => HBA.to_owned(),
        "08P01" | "3D000" if message.ends_with("does not exist") => {
            format!("create it: CREATE DATABASE \"{}\"; or check the name", target.database().replace('"', "\"\""))
        }
        _ => return ours,
    };
    ours.remedy = Some(remedy);
    ours
}

/// True if the connection may do without TLS.
fn weak(mode: SslMode) -> bool {
    matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer)
}

fn wrong_password(target: &Connect) -> String {
    let place = match target.password_source() {
        Some(source) => format!("; it comes from {source}"),
        None => String::new(),
    };
    format!(
        "check the password of {}{place}. A server in a container keeps the password that its volume was first started with",
        target.user()
    )
}

/// True if the other side ended the conversation.
fn is_cut_off(error: &tokio_postgres::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    io.is_some_and(|io| tls_error(error).is_none() && ends.contains(&io.kind()))
}

/// The error of the TLS layer, if it was that.
fn tls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// The handshake failed.
fn untrusted(tls: &rustls::Error, target: &Connect, place: &Place) -> Error {
    let settings = target.tls();
    let mode = settings.mode();
    let trusted = format!("trusted are {} (sslmode={})", settings.trusted(), mode.word());
    match verdict::refusal(tls) {
        Some(Refusal::UnknownAuthority { subject, issuer }) => {
            let who = if subject == issuer { "itself".to_owned() } else { format!("“{issuer}”") };
            Error::failed(format!("the certificate of {place} is signed by {who}, which is not a trusted authority"))
                .detail(trusted)
                .remedy(
                    "ask the server's administrator for its authority's certificate, and name that file: sslrootcert=FILE; \
                     public ones are in sslrootcert=system",
                )
        }
        Some(Refusal::OtherHost { host, names }) => {
            let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
            Error::failed(format!("the certificate of {place} is for {names}, not for {host}"))
                .detail("sslmode=verify-full compares the names")
                .remedy(
                    "connect by a name that the certificate has (hostaddr=ADDRESS says where that is); or let sslmode=verify-ca \
                     accept every server of this authority",
                )
        }
        Some(Refusal::Expired { since }) => Error::failed(format!("the certificate of {place} expired on {since}"))
            .detail(trusted)
            .remedy("have the server's certificate renewed; check this machine's clock, too"),
        Some(Refusal::NotYet { from }) => {
            Error::failed(format!("the certificate of {place} is not valid before {from}"))
                .detail(trusted)
                .remedy("check this machine's clock")
        }
        Some(Refusal::Revoked) => Error::failed(format!("the certificate of {place} was revoked by its authority"))
            .detail(trusted)
            .remedy("do not trust this server; ask its administrator for a new certificate"),
        Some(Refusal::Unfit { why }) => Error::failed(format!("the certificate of {place} cannot be trusted: {why}"))
            .detail(trusted)
            .remedy("have the server's certificate reissued; sslmode=require encrypts without checking it"),
        None => Error::failed(format!("no TLS with {place}: {}", alert(tls)))
            .remedy("check TLS on the server (its log says more), and ssl_min_protocol_version on both sides"),
    }
}

fn alert(tls: &rustls::Error) -> String {
    match tls {
        rustls::Error::AlertReceived(alert) => format!("it ended the handshake ({alert:?})"),
        other => other.to_string(),
    }
}

/// What the server did that it must not do before the login is complete.
fn breach(error: &tokio_postgres::Error) -> Option<&Breach> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

fn broke_rules(breach: &Breach, target: &Connect, place: &Place) -> Error {
    match breach {
        Breach::TooLong | Breach::NoAnswer => {
            Error::failed(format!("what answers at {place} is not a PostgreSQL server")).detail(breach.to_string()).remedy("check host and port")
        }
        Breach::Method(_) => Error::refused(format!("{breach}, and require_auth={} does not allow that", target.methods().said()))
            .detail(format!("the server at {place} got no password"))
            .remedy("have the server's pg_hba.conf ask for an allowed method, or allow another one in require_auth (PGREQUIREAUTH)"),
        Breach::Certificate { .. } => Error::refused(format!("{breach}, and sslcertmode=require requires one"))
            .detail(format!("the server at {place} got no password"))
            .remedy("set ssl_ca_file on the server, so that it asks for certificates; or leave sslcertmode (PGSSLCERTMODE) out"),
        Breach::Stranger(who) => Error::refused(format!("the server at {place} is run by {who}, and asks for a password"))
            .detail("it got none: the socket may have been put there by somebody else")
            .remedy("if it is the right server, say whose it is: requirepeer=USER (PGREQUIREPEER)"),
    }
}

/// No answer came.
fn unreached(error: &io::Error, place: &Place) -> Error {
    let refused = |message: String, remedy: &str| Error::failed(message).remedy(remedy);
    match error.kind() {
        io::ErrorKind::ConnectionRefused if place.is_socket() => refused(
            format!("no server listens on the socket {place}"),
            "start PostgreSQL: the socket is left over from a server that ended",
        ),
        io::ErrorKind::ConnectionRefused => refused(
            format!("no server accepts connections at {place}"),
            "check that PostgreSQL runs there and listens on that port (pg_isready tells), and that host and port are right",
        ),
        io::ErrorKind::NotFound if place.is_socket() => refused(
            format!("no server listens on a socket in {}", place.host),
            "check that PostgreSQL runs and that the port is right, or name a host: postgresql://USER@HOST/DATABASE",
        ),
        io::ErrorKind::PermissionDenied => {
            refused(format!("access to {place} is denied"), "check the permissions of the socket's directory")
        }
        io::ErrorKind::TimedOut => silent(place),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            refused(format!("there is no route to {place}"), "check the address, the network and the VPN")
        }
        _ => refused(format!("cannot connect to {place}: {error}"), "check the address and the network"),
    }
}

/// The conversation broke off.
fn broken(error: &tokio_postgres::Error, target: &Connect, place: &Place) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let cause = error.source().map_or_else(String::new, ToString::to_string);
    let mode = target.tls().mode();
    let insists = match target.tls().must_ask() && weak(mode) {
        true => "sslcertmode=require".to_owned(),
        false => format!("sslmode={}", mode.word()),
    };
    let refused = |message: String, remedy: &str| Error::failed(message).remedy(remedy);
    match (error.to_string().as_str(), io.map(io::Error::kind)) {
        (_, _) if cause.contains("server does not support TLS") => refused(
            format!("the server at {place} does not offer TLS, and {insists} requires it"),
            "turn it on there: ssl = on, ssl_cert_file and ssl_key_file in postgresql.conf; where the way to the server is \
             trusted, sslmode=prefer does without",
        ),
        (_, _) if cause.contains("channel binding") => refused(
            format!(
                "{place} logs in without binding the login to the TLS connection, and channel_binding=require requires it"
            ),
            "it takes TLS (sslmode=require) and a password stored as scram-sha-256; else leave channel_binding out",
        ),
        ("invalid configuration", _) if place.password.is_none() => {
            let error = refused(
                format!("the server asks {} for a password, and none was given", target.user()),
                "set PGPASSWORD, add a line to ~/.pgpass, or put the password into the URL that DATABASE_URL holds",
            );
            if let Some(password) = target.withheld() {
                return error
                    .detail(format!("{password} is not sent where a file of the project says to connect to"))
                    .remedy("let one place say both: the address by DATABASE_URL of the environment, or the password by .env or ~/.pgpass");
            }
            match target.ignored_passfile() {
                Some(file) => error
                    .detail(format!("{file} is ignored, because other users can read it"))
                    .remedy(format!("chmod 600 {file}")),
                None => error,
            }
        }
        (_, Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) => {
            refused(
                format!("{place} closed the connection before the login was done"),
                "check that a PostgreSQL server listens on that port, and look into its log",
            )
        }
        ("unexpected message from server" | "error parsing response from server", _) => {
            refused(format!("what answers at {place} is not a PostgreSQL server"), "check host and port")
        }
        _ => {
            let mut ours = server_error(error);
            ours.class = Class::Failed;
            ours
        }
    }
}
