//! Turns what the server or the network reports into errors with causes and remedies.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::ErrorPosition;

use crate::model::{Class, Error};

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

fn from_db(db: &tokio_postgres::error::DbError) -> Error {
    let code = db.code().code();
    let class = match code {
        "55P03" | "40P01" | "40001" | "53300" => Class::Busy,
        _ => Class::Failed,
    };
    // What is not the first line must not look like one of ours.
    let mut error = Error::new(class, db.message().trim_end().replace('\n', "\n  ")).sqlstate(code);
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
        "42501" => "connect as the owner of the objects, or have the privilege granted",
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
