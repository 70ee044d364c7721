//! Limits what a server may say until the login is done: how much it sends, and which way of authenticating it requests.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::methods::{Method, Methods};
use super::stream::Seen;

/// The longest message about authentication, as in libpq.
const MAX_AUTHENTICATION: u32 = 2000;

/// The longest of all other messages before the login is done, as in libpq.
const MAX_MESSAGE: u32 = 30_000;

/// The most that a server may say before the login is done.
const MAX_TOTAL: usize = 1 << 20;

/// What a server may request.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The ways of logging in that `require_auth` leaves.
    pub(super) methods: Methods,
    /// Who is at the other end, if no password may go there.
    pub(super) stranger: Option<String>,
    /// The handshake, if the server must have asked for our certificate in it.
    pub(super) handshake: Option<Arc<Seen>>,
}

/// Why a server is not listened to any longer.
#[derive(Debug, Clone)]
pub(super) enum Breach {
    /// One message, or all of them, are longer than any login needs.
    TooLong,
    /// That is not an answer to a request for TLS.
    NoAnswer,
    /// `require_auth` does not allow what the server asks for, or that it asks for nothing.
    Method(Option<Method>),
    /// `sslcertmode=require`, and the server did not ask for a certificate, or got none that it can read.
    Certificate { asked: bool },
    /// The server asks for a password, and is run by somebody who may not have it.
    Stranger(String),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the server sends more than a login needs"),
            Self::NoAnswer => f.write_str("the server does not answer a request for TLS as PostgreSQL does"),
            Self::Method(Some(method)) => write!(f, "the server asks for {}", method.shown()),
            Self::Method(None) => f.write_str("the server lets us in without completing authentication"),
            Self::Certificate { asked: false } => f.write_str("the server does not ask for a certificate"),
            Self::Certificate { asked: true } => f.write_str("the server accepts no certificate of our kind"),
            Self::Stranger(who) => write!(f, "the server is run by {who}"),
        }
    }
}

impl std::error::Error for Breach {}

impl From<Breach> for io::Error {
    fn from(breach: Breach) -> Self {
        Self::other(breach)
    }
}

/// Where in the conversation we are.
enum Stage {
    /// The server is to answer, by one letter, whether it speaks TLS.
    Answer,
    /// In the head of a message: its type and length, so far as they came.
    Head(Vec<u8>),
    /// In the body of a message.
    Body { kind: u8, left: usize, code: Vec<u8> },
    /// Logged in.
    Open,
}

/// A stream whose server is watched until the login is done.
pub(super) struct Guarded<S> {
    inner: S,
    rules: Arc<Rules>,
    stage: Stage,
    total: usize,
    /// True once a method was gone through that `require_auth` may ask for.
    proved: bool,
}

impl<S> Guarded<S> {
    /// Watches a stream. `asked`: the server was asked whether it speaks TLS.
    pub(super) fn new(inner: S, rules: Arc<Rules>, asked: bool) -> Self {
        let stage = if asked { Stage::Answer } else { Stage::Head(Vec::new()) };
        Self { inner, rules, stage, total: 0, proved: false }
    }

    /// Checks what arrived.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Breach> {
        if matches!(self.stage, Stage::Open) {
            return Ok(());
        }
        self.total += bytes.len();
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.stage {
                Stage::Open => return Ok(()),
                Stage::Answer => {
                    if !matches!(first, b'S' | b'N') {
                        return Err(Breach::NoAnswer);
                    }
                    (self.stage, bytes) = (Stage::Head(Vec::new()), rest);
                }
                Stage::Head(head) => {
                    head.push(*first);
                    bytes = rest;
                    if let [kind, a, b, c, d] = head.as_slice() {
                        let (kind, length) = (*kind, u32::from_be_bytes([*a, *b, *c, *d]));
                        let most = if matches!(kind, b'R' | b'v') { MAX_AUTHENTICATION } else { MAX_MESSAGE };
                        if length > most || self.total > MAX_TOTAL {
                            return Err(Breach::TooLong);
                        }
                        let left = usize::try_from(length.saturating_sub(4)).unwrap_or(usize::MAX);
                        self.stage = match (kind, left) {
                            (b'Z', _) => Stage::Open,
                            (_, 0) => Stage::Head(Vec::new()),
                            _ => Stage::Body { kind, left, code: Vec::new() },
                        };
                    }
                }
                Stage::Body { kind, left, code } => {
                    let (here, later) = bytes.split_at(bytes.len().min(*left));
                    *left -= here.len();
                    bytes = later;
                    let mut complete = None;
                    if *kind == b'R' && code.len() < 4 {
                        code.extend(here.iter().take(4 - code.len()));
                        if let [a, b, c, d] = code.as_slice() {
                            complete = Some(u32::from_be_bytes([*a, *b, *c, *d]));
                        }
                    }
                    if *left == 0 {
                        self.stage = Stage::Head(Vec::new());
                    }
                    if let Some(code) = complete {
                        self.asked(code)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The server asks for something: `AuthenticationRequest`'s code.
    fn asked(&mut self, code: u32) -> Result<(), Breach> {
        // libpq looks at this when the login is done: before it, nothing has been given away.
        if let Some(seen) = self.rules.handshake.as_ref().filter(|seen| !seen.shown()) {
            return Err(Breach::Certificate { asked: seen.asked() });
        }
        let method = match code {
            0 if self.rules.methods.demands() && !self.proved => return Err(Breach::Method(None)),
            0 => return Ok(()),
            3 => Method::Password,
            5 => Method::Md5,
            7 | 8 => Method::Gss,
            9 => Method::Sspi,
            10..=12 => Method::Scram,
            // The driver knows no other one either.
            _ => return Ok(()),
        };
        if !self.rules.methods.allows(method) {
            return Err(Breach::Method(Some(method)));
        }
        if let Some(who) = &self.rules.stranger {
            return Err(Breach::Stranger(who.clone()));
        }
        // SCRAM is over with the server's proof; the other methods with our answer.
        self.proved |= !matches!(code, 10 | 11);
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(())))
            && let Some(came) = buf.filled().get(before..)
            && let Err(breach) = this.look(came)
        {
            return Poll::Ready(Err(breach.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Begins TLS on the stream itself, and watches what comes out of it.
pub(super) struct Guarding<T>(pub(super) T);

impl<S, T> TlsConnect<Guarded<S>> for Guarding<T>
where
    T: TlsConnect<S>,
    T::Stream: Unpin,
    T::Future: Send + 'static,
{
    type Stream = Guarded<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: Guarded<S>) -> Self::Future {
        let rules = Arc::clone(&stream.rules);
        let handshake = self.0.connect(stream.inner);
        Box::pin(async move { Ok(Guarded::new(handshake.await?, rules, false)) })
    }
}
