//! Detects a connection pooler between us and the server before anything is set, because settings would leak into other clients' sessions.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::model::{Error, Result};

use super::Connect;
use super::dial::Line;
use super::failure::server_error;
use super::place::Place;

/// How long a pooler may take to find a server for each of two sessions.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the two sessions are asked.
const ROUNDS: usize = 3;

/// Supabase's pooler in transaction mode.
const SUPABASE_PORT: u16 = 6543;

/// Makes sure that a session keeps its server process, by asking it and a second one in turn: in transaction mode two
/// sessions are given one process, or one session two.
///
/// # Errors
/// `Refused`, naming the server's own address where it can be known.
pub(super) async fn refuse_transaction_mode(line: &Line, second: &Line, target: &Connect) -> Result<()> {
    let ask = async {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            seen.push((pid(&line.client).await?, pid(&second.client).await?));
        }
        Ok::<bool, Error>(seen.iter().all(|pids| pids.0 != pids.1 && Some(pids) == seen.first()))
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(transaction_mode(target, own_port(&line.client).await)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::refused("the pooler does not provide two sessions at once")
            .detail("setpoint needs a second one, to watch what the first one does")
            .detail(format!("connected to {}", target.described()))
            .remedy("connect to PostgreSQL itself, or raise the pool's size")),
    }
}

async fn pid(client: &Client) -> Result<String> {
    value(client, "SELECT pg_catalog.pg_backend_pid()").await
}

/// The port on which the server itself listens.
async fn own_port(client: &Client) -> Option<u16> {
    value(client, "SELECT pg_catalog.current_setting('port')").await.ok()?.parse().ok()
}

async fn value(client: &Client, query: &str) -> Result<String> {
    let messages = client.simple_query(query).await.map_err(|error| server_error(&error))?;
    let row = messages.iter().find_map(|one| if let SimpleQueryMessage::Row(row) = one { Some(row) } else { None });
    Ok(row.and_then(|row| row.get(0)).unwrap_or_default().to_owned())
}

/// The refusal of a pooler in transaction mode. `port` is the server's own, where it is known.
pub fn transaction_mode(target: &Connect, port: Option<u16>) -> Error {
    let error = Error::refused("the connection goes through a pooler in transaction mode")
        .detail("each transaction may run on another server process: locks and settings would leak into other clients' sessions")
        .detail(format!("connected to {}", target.described()));
    error.remedy(way_around(target, port))
}

fn way_around(target: &Connect, port: Option<u16>) -> String {
    if let Some(variable) = target.direct_variable() {
        return format!(
            "{variable} holds the server's own address: name it in setpoint.kdl, `env direct url-from=\"{variable}\"`, and \
             use --env direct"
        );
    }
    let places = target.order();
    let (host, ours) = places.first().map_or(("", 0), |place| (place.host.as_str(), place.port));
    if ours == SUPABASE_PORT && port.is_none_or(|port| port == 5432) || host.contains("supabase.") {
        return format!(
            "use port 5432, where sessions are kept: {}. Keep that address in DATABASE_URL_DIRECT, and name it in \
             setpoint.kdl: `env direct url-from=\"DATABASE_URL_DIRECT\"`",
            target.with_port(5432)
        );
    }
    if host.contains("-pooler.") {
        return format!("use the host without -pooler: {}", target.with_host(&host.replacen("-pooler.", ".", 1)));
    }
    match port.filter(|port| *port != ours) {
        Some(port) => {
            let there = target.with_port(port);
            format!(
                "connect to PostgreSQL itself, which says that it listens on port {port}: if it runs on the same host, {there}"
            )
        }
        None => "connect to PostgreSQL itself, usually at port 5432, past the pooler".to_owned(),
    }
}

/// `PgBouncer` takes no `options`, and ours say nothing that it would have to know: these are the user's.
pub(super) fn no_options(message: &str, place: &Place) -> Error {
    let error = Error::refused(format!("the pooler at {place} does not take what PGOPTIONS or options= says"));
    error.detail(format!("PgBouncer says: {message}")).remedy(
        "connect to PostgreSQL itself, usually at port 5432; or unset PGOPTIONS and leave options out of the address",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(url: &str, port: Option<u16>) -> String {
        let target = Connect::resolve(Some(url), &|_| None).expect("resolves");
        transaction_mode(&target, port).remedy.unwrap_or_default()
    }

    #[test]
    fn the_way_around_is_named() {
        assert_eq!(
            remedy("postgresql://postgres.abc:secret@aws-0-eu.pooler.supabase.com:6543/postgres", Some(5432)),
            "use port 5432, where sessions are kept: postgresql://postgres.abc@aws-0-eu.pooler.supabase.com/postgres. Keep that \
             address in DATABASE_URL_DIRECT, and name it in setpoint.kdl: `env direct url-from=\"DATABASE_URL_DIRECT\"`"
        );
        assert_eq!(
            remedy("postgresql://me@ep-cool-1-pooler.eu.neon.tech/db", Some(5432)),
            "use the host without -pooler: postgresql://me@ep-cool-1.eu.neon.tech/db"
        );
        assert_eq!(
            remedy("postgresql://me@db:6432/app", Some(5433)),
            "connect to PostgreSQL itself, which says that it listens on port 5433: if it runs on the same host, \
             postgresql://me@db:5433/app"
        );
        assert_eq!(
            remedy("postgresql://me@db/app", Some(5432)),
            "connect to PostgreSQL itself, usually at port 5432, past the pooler"
        );
    }
}
