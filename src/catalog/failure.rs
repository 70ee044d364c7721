//! What the server or the network reports, as errors with causes and remedies.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::ErrorPosition;

use crate::model::{Class, Error};

use super::Connect;

/// An error of the driver in our terms.
pub fn server_error(error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        return from_db(db);
    }
    if error.is_closed() {
        return closed();
    }
    match error.source() {
        Some(source) => {
            // The driver's own message only names the layer; the source says what happened.
            let message = match source.downcast_ref::<io::Error>() {
                Some(io) => return from_io(io),
                None => source.to_string(),
            };
            Error::failed(format!("{error}")).detail(message)
        }
        None => Error::failed(error.to_string()),
    }
}

/// As `server_error`, with the place in the statement that the server points at.
pub fn statement_error(error: &tokio_postgres::Error, sql: &str) -> Error {
    let ours = server_error(error);
    match error.as_db_error().and_then(|db| db.position()) {
        Some(ErrorPosition::Original(position)) => {
            let before: String = sql.chars().take((*position as usize).saturating_sub(1)).collect();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            ours.detail(format!("at line {line}, column {column} of the statement"))
        }
        _ => ours,
    }
}

/// Why a connection could not be opened.
pub(super) fn connect_error(error: &tokio_postgres::Error, target: &Connect) -> Error {
    let mut ours = server_error(error);
    let place = format!("connecting to {target}");
    if let Some(db) = error.as_db_error() {
        ours.remedy = connect_remedy(db.code().code(), db.message(), target).or(ours.remedy);
        return ours.detail(place);
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let host = target.hosts().join(", ");
    let (message, remedy) = match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => (
            format!("no server accepts connections at {host}"),
            "check that PostgreSQL runs there and listens on that port, and that host and port are right",
        ),
        Some(io::ErrorKind::NotFound) if host.starts_with('/') => (
            format!("no server listens on a socket in {host}"),
            "check that PostgreSQL runs and that the port is right, or name a host: postgresql://USER@HOST/DATABASE",
        ),
        Some(io::ErrorKind::TimedOut) => (
            format!("{host} does not answer"),
            "check the address and the firewalls on the way; connect_timeout=SECONDS waits longer",
        ),
        Some(io::ErrorKind::PermissionDenied) => {
            (format!("access to {host} is denied"), "check the rights on the socket's directory")
        }
        _ if error.to_string().contains("timed out") => (
            format!("{host} does not answer"),
            "check the address and the firewalls on the way; connect_timeout=SECONDS waits longer",
        ),
        _ if is_lookup_failure(io) => {
            (format!("the host name {host} cannot be resolved"), "check its spelling, DNS and the network")
        }
        _ if !target.has_password() && error.to_string().contains("invalid configuration") => (
            format!("the server asks {} for a password, and none was given", target.user()),
            "set PGPASSWORD, add a line to ~/.pgpass, or put the password into the URL that DATABASE_URL holds",
        ),
        _ => return ours.detail(place),
    };
    ours.message = message;
    ours.remedy = Some(remedy.to_owned());
    ours.detail(place)
}

fn is_lookup_failure(io: Option<&io::Error>) -> bool {
    io.is_some_and(|io| io.to_string().contains("lookup address") || io.to_string().contains("Name or service"))
}

fn connect_remedy(code: &str, message: &str, target: &Connect) -> Option<String> {
    let remedy = match code {
        "28P01" => format!("check the password of {} (DATABASE_URL, PGPASSWORD or ~/.pgpass)", target.user()),
        "28000" if message.contains("no encryption") || message.contains("SSL off") => {
            "the server accepts this connection only with TLS, which this version cannot speak yet; connect through a tunnel or a socket".to_owned()
        }
        "28000" => "check the user's name and the server's pg_hba.conf".to_owned(),
        "3D000" => format!("create it: CREATE DATABASE \"{}\"; or check the name", target.database().replace('"', "\"\"")),
        _ => return None,
    };
    Some(remedy)
}

fn from_db(db: &tokio_postgres::error::DbError) -> Error {
    let code = db.code().code();
    let class = match code {
        "55P03" | "40P01" | "40001" | "53300" => Class::Busy,
        _ => Class::Failed,
    };
    let mut error = Error::new(class, db.message()).sqlstate(code);
    if let Some(detail) = db.detail() {
        error = error.detail(format!("detail: {detail}"));
    }
    if let Some(hint) = db.hint() {
        error = error.detail(format!("hint: {hint}"));
    }
    if let Some(context) = db.where_().and_then(|context| context.lines().next()) {
        error = error.detail(format!("in {context}"));
    }
    error = error.detail(format!("SQLSTATE {code}"));
    match remedy(code) {
        Some(text) => error.remedy(text),
        None => error,
    }
}

fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "25006" => "the server or session is read-only: connect to the primary, or clear default_transaction_read_only",
        "42501" => "connect as the owner of the objects, or have the right granted",
        "53100" => "free space on the server's disk, then run the same command again",
        "53200" => "raise max_locks_per_transaction on the server (or its memory), then run the same command again",
        "53300" => "wait for connections to end, or raise max_connections; then run the same command again",
        "55P03" => {
            "another session holds the lock: wait for it, or raise --lock-timeout; then run the same command again"
        }
        "40P01" | "40001" => "run the same command again",
        "57014" => "the statement ran into a timeout or was cancelled; raise --statement-timeout if it needs longer",
        "57P01" | "57P02" | "57P03" => {
            "the server stops or starts: run the same command again when it accepts connections"
        }
        _ => return None,
    })
}

fn from_io(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => closed(),
        _ => Error::failed(format!("the connection failed: {error}")),
    }
}

fn closed() -> Error {
    Error::failed("the server closed the connection")
        .remedy("look into the server's log, then run the same command again")
}
