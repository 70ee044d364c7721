//! TLS below the driver: the handshake, its outcome, and the resulting stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::binding;

/// Makes connections use TLS, and remembers the outcome.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    seen: Arc<Seen>,
}

/// The outcome of the handshakes.
#[derive(Debug, Default)]
pub(super) struct Seen {
    begun: AtomicBool,
    unbindable: AtomicBool,
    asked: AtomicBool,
    shown: AtomicBool,
}

impl Seen {
    /// True if the server asked for a certificate of ours.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// True if it got one.
    pub(super) fn shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }
}

/// Notes whether the server asks for our certificate, and whether it gets one.
#[derive(Debug)]
struct Noting {
    own: Arc<dyn ResolvesClientCert>,
    seen: Arc<Seen>,
}

impl ResolvesClientCert for Noting {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.seen.asked.store(true, Ordering::Relaxed);
        let own = self.own.resolve(issuers, schemes).filter(|own| own.key.choose_scheme(schemes).is_some());
        self.seen.shown.store(own.is_some(), Ordering::Relaxed);
        own
    }

    fn has_certs(&self) -> bool {
        self.own.has_certs()
    }
}

impl Tls {
    /// For connections of that kind.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let (mut config, seen) = (config.clone(), Arc::<Seen>::default());
        config.client_auth_cert_resolver =
            Arc::new(Noting { own: config.client_auth_cert_resolver, seen: Arc::clone(&seen) });
        Self { config: Arc::new(config), seen }
    }

    /// The outcome of the last handshake.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    /// True if the server offered TLS and the handshake was begun.
    pub(super) fn begun(&self) -> bool {
        self.seen.begun.load(Ordering::Relaxed)
    }

    /// True if a login was to be bound to a certificate whose signature algorithm has no digest for that.
    pub(super) fn unbindable(&self) -> bool {
        self.seen.unbindable.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        Ok(Handshake { domain: domain.to_owned(), tls: self.clone() })
    }
}

/// A future handshake.
pub(super) struct Handshake {
    domain: String,
    tls: Tls,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let Self { domain, tls } = self;
        tls.seen.begun.store(true, Ordering::Relaxed);
        tls.seen.asked.store(false, Ordering::Relaxed);
        tls.seen.shown.store(false, Ordering::Relaxed);
        Box::pin(async move {
            let name =
                ServerName::try_from(domain).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let inner = TlsConnector::from(tls.config).connect(name, stream).await?;
            Ok(Stream { inner, seen: tls.seen })
        })
    }
}

/// A connection with TLS.
pub(super) struct Stream<S> {
    inner: tokio_rustls::client::TlsStream<S>,
    seen: Arc<Seen>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.inner.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first).map_or(&[][..], AsRef::as_ref);
        let (digest, bindable) = binding::end_point(certificate);
        self.seen.unbindable.store(!bindable, Ordering::Relaxed);
        ChannelBinding::tls_server_end_point(digest)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
