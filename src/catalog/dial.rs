//! Opens a connection to one server: tries its addresses in turn, with or without TLS as `sslmode` says, in libpq's order.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_postgres::config::{Config, SslMode as Negotiate, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, NoTls};

use crate::model::Error;

use super::connect::{Connect, Startup};
use super::failure::server_error;
use super::guard::{Guarded, Guarding, Rules};
use super::neighbour;
use super::pins;
use super::place::Place;
use super::refusal::{Failure, connect_error, unbindable};
use super::refused;
use super::stream::Tls;
use super::tls::SslMode;
use super::wire::Wire;

/// A setting that only a direct session can have: sessions that a pooler hands out were started without it.
pub(super) const MARK: &str = "setpoint.session";

/// A connection, and how it was made.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) task: JoinHandle<()>,
    pub(super) last_words: LastWords,
    /// What cancelling needs, too.
    pub(super) tls: Option<Tls>,
    /// Where it leads to: the place with the address that answered.
    pub(super) place: Place,
    /// What it began with.
    pub(super) startup: Startup,
    /// The value of `MARK` that was sent, unless somebody in between refused it.
    pub(super) mark: Option<String>,
}

/// Why the connection ended: its task hears the server's reason, the client only that it is over.
pub(super) type LastWords = Arc<Mutex<Option<Error>>>;

/// Why a server cannot be used.
pub(super) struct Refused {
    pub(super) error: Error,
    /// True if the next one may be tried: as in libpq, not after one that answered and refused.
    pub(super) next: bool,
}

/// One way of connecting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// TLS if the server offers it, plain if it does not.
    Offered,
    Tls,
}

/// Opens a connection to one of the target's servers.
pub(super) async fn dial(target: &Connect, place: &Place, purpose: &str) -> Result<Line, Refused> {
    let refused = |failure: &Failure| Refused {
        error: connect_error(failure, target, place),
        next: failure.is_unreachable() || failure.code() == Some("57P03"),
    };
    let addresses = match addresses(place).await {
        Ok(addresses) => addresses,
        Err(error) => return Err(refused(&Failure::Lookup(error))),
    };
    let mut last = Failure::Lookup(io::ErrorKind::NotFound.into());
    for address in addresses {
        let place = Place { address, ..place.clone() };
        match protected(target, &place, purpose).await {
            Ok(line) => return Ok(line),
            Err(failure) if failure.is_unreachable() => last = failure,
            Err(failure) => return Err(refused(&failure)),
        }
    }
    Err(refused(&last))
}

/// The addresses of a host; a socket has none.
async fn addresses(place: &Place) -> io::Result<Vec<Option<IpAddr>>> {
    if place.address.is_some() || place.is_socket() {
        return Ok(vec![place.address]);
    }
    if let Ok(address) = place.host.parse() {
        return Ok(vec![Some(address)]);
    }
    let found = tokio::net::lookup_host((place.host.as_str(), place.port)).await?;
    Ok(found.map(|address| Some(address.ip())).collect())
}

/// Tries what `sslmode` allows, in its order.
async fn protected(target: &Connect, place: &Place, purpose: &str) -> Result<Line, Failure> {
    let ways: &[Way] = match target.tls().mode() {
        // A certificate can only be shown in TLS.
        _ if target.tls().must_ask() && place.is_socket() => return Err(Failure::Ours(no_certificate())),
        SslMode::Allow | SslMode::Prefer if target.tls().must_ask() => &[Way::Tls],
        _ if place.is_socket() => &[Way::Plain],
        SslMode::Disable => &[Way::Plain],
        SslMode::Allow => &[Way::Plain, Way::Tls],
        SslMode::Prefer => &[Way::Offered, Way::Plain],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Way::Tls],
    };
    let mut earlier: Option<Failure> = None;
    for way in ways {
        let tls = match way {
            Way::Plain => None,
            Way::Offered | Way::Tls => Some(target.tls().connector(place).map_err(Failure::Ours)?),
        };
        let failure = match marked(target, place, purpose, *way, tls.as_ref()).await {
            Ok(line) => return Ok(line),
            Err(failure) => failure,
        };
        let over = failure.is_unreachable() || (*way == Way::Offered && tls.is_some_and(|tls| !tls.begun()));
        earlier = Some(match earlier {
            None => failure,
            Some(first) => first.or_rather(failure, *way == Way::Tls),
        });
        if over {
            break;
        }
    }
    Err(earlier.unwrap_or_else(|| Failure::Ours(Error::failed("no way to connect is left"))))
}

/// Connects with the full startup message, and with a shorter one if the full one is refused.
async fn marked(target: &Connect, place: &Place, purpose: &str, way: Way, tls: Option<&Tls>) -> Result<Line, Failure> {
    let config = configured(target, place, purpose, way);
    let pinned = target.is_unwatched() || refused::lately(target, place);
    let mut startup = target.startup().unwrap_or(if pinned { Startup::Pinned } else { Startup::Quiet });
    let mark = target.startup().is_none().then(fresh_mark);
    loop {
        let refused = match attempt(target, place, &config, tls, startup, mark.as_ref()).await {
            Err(failure) if target.startup().is_none() => failure,
            outcome => return outcome,
        };
        startup = match startup {
            Startup::Quiet if refused.is_about_event_triggers() => {
                refused::note(target, place, refused.is_about_an_older_server());
                Startup::Pinned
            }
            Startup::Quiet | Startup::Pinned if refused.is_about_options() => Startup::Bare,
            _ => return Err(refused),
        };
    }
}

async fn attempt(
    target: &Connect,
    place: &Place,
    config: &Config,
    tls: Option<&Tls>,
    startup: Startup,
    mark: Option<&String>,
) -> Result<Line, Failure> {
    let (mut config, mark) = (config.clone(), mark.filter(|_| startup != Startup::Bare));
    if startup != Startup::Bare {
        let mut options: Vec<String> = config.get_options().map(Into::into).into_iter().collect();
        options.push(pins::AT_STARTUP.into());
        options.extend(mark.map(|mark| format!("-c {MARK}={mark}")));
        options.extend((startup == Startup::Quiet).then(|| pins::QUIETLY.into()));
        config.options(options.join(" "));
    }
    timed(target, place, &config, tls, startup, mark).await
}

fn configured(target: &Connect, place: &Place, purpose: &str, way: Way) -> Config {
    let mut config = target.config().clone();
    config.application_name(format!("setpoint {purpose}"));
    if let Some(password) = &place.password {
        config.password(password);
    }
    config.ssl_mode(match way {
        Way::Plain => Negotiate::Disable,
        Way::Offered => Negotiate::Prefer,
        Way::Tls => Negotiate::Require,
    });
    if target.tls().direct() && way == Way::Tls {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config
}

/// The time for reaching the server ends with the TCP connection; one that then keeps silent must not hold us forever.
async fn timed(
    target: &Connect,
    place: &Place,
    config: &Config,
    tls: Option<&Tls>,
    startup: Startup,
    mark: Option<&String>,
) -> Result<Line, Failure> {
    let opened = async {
        let (wire, rules) = reach(target, place, tls).await?;
        let asked = tls.is_some() && config.get_ssl_negotiation() == SslNegotiation::Postgres;
        let stream = Guarded::new(wire, Arc::new(rules), asked);
        match tls {
            // The driver needs a name for TLS, even if there is none and nothing checks it.
            Some(tls) => log_in(config, stream, begin(tls, &place.host).map_err(Failure::Unreached)?).await,
            None => log_in(config, stream, NoTls).await,
        }
        .map_err(|error| {
            // Servers have no better word for it than an internal error.
            let internal = error.code().is_some_and(|code| *code == SqlState::INTERNAL_ERROR);
            if internal && tls.is_some_and(Tls::unbindable) {
                Failure::Ours(unbindable(&error))
            } else {
                Failure::Driver(error)
            }
        })
    };
    let (client, task, last_words) = match target.timeout().login {
        Some(timeout) => tokio::time::timeout(timeout, opened).await.map_err(|_| Failure::TimedOut)??,
        None => opened.await?,
    };
    Ok(Line { client, task, last_words, tls: tls.cloned(), place: place.clone(), startup, mark: mark.cloned() })
}

/// Connects to the server, and determines what it may request.
async fn reach(target: &Connect, place: &Place, tls: Option<&Tls>) -> Result<(Wire, Rules), Failure> {
    if place.is_socket() && place.unnamed {
        neighbour::vet(place).map_err(Failure::Ours)?;
    }
    let opened = Wire::open(place, target.config(), target.timeout().reach).await;
    let wire = opened.map_err(Failure::Unreached)?;
    let stranger = match wire.peer() {
        None => None,
        Some(Err(error)) => return Err(Failure::Unreached(error)),
        Some(Ok(peer)) => neighbour::check(place, peer, target.required_peer()).map_err(Failure::Ours)?,
    };
    let stranger = stranger.filter(|_| place.password.is_some());
    let handshake = tls.filter(|_| target.tls().must_ask()).map(Tls::seen);
    Ok((wire, Rules { methods: target.methods().clone(), stranger, handshake }))
}

fn no_certificate() -> Error {
    Error::config("a socket has no TLS, so no certificate can be presented (sslcertmode=require)")
        .remedy("connect to a host, or leave sslcertmode (PGSSLCERTMODE) out")
}

fn begin(tls: &Tls, host: &str) -> io::Result<Guarding<<Tls as MakeTlsConnect<Wire>>::TlsConnect>> {
    MakeTlsConnect::<Wire>::make_tls_connect(&mut tls.clone(), host).map(Guarding).map_err(io::Error::other)
}

async fn log_in<T>(
    config: &Config,
    stream: Guarded<Wire>,
    tls: T,
) -> Result<(Client, JoinHandle<()>, LastWords), tokio_postgres::Error>
where
    T: TlsConnect<Guarded<Wire>>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    let last_words = LastWords::default();
    let hears = Arc::clone(&last_words);
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            hears.lock().unwrap_or_else(PoisonError::into_inner).replace(server_error(&error));
        }
    });
    Ok((client, task, last_words))
}

/// Asks the server to cancel what a session runs, over a separate connection.
pub(super) async fn cancel(
    target: &Connect,
    place: &Place,
    token: &CancelToken,
    tls: Option<&Tls>,
) -> Result<(), Error> {
    let failed = |failure: Failure| connect_error(&failure, target, place);
    let wire = Wire::open(place, target.config(), target.timeout().reach).await;
    let wire = wire.map_err(|error| failed(Failure::Unreached(error)))?;
    let asked = match tls {
        Some(tls) => {
            let tls = MakeTlsConnect::<Wire>::make_tls_connect(&mut tls.clone(), &place.host);
            token
                .cancel_query_raw(wire, tls.map_err(|error| failed(Failure::Unreached(io::Error::other(error))))?)
                .await
        }
        None => token.cancel_query_raw(wire, NoTls).await,
    };
    asked.map_err(|error| failed(Failure::Driver(error)))
}

/// A value that no other session has.
fn fresh_mark() -> String {
    use std::hash::{BuildHasher, Hasher};
    format!("s{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}
