//! Connects to one server, over the network or through a socket on this machine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::Config;

use super::place::Place;

/// An open connection that nothing was sent over yet.
pub(super) enum Wire {
    /// To an address.
    Network(TcpStream),
    /// To a socket of this machine.
    Local(UnixStream),
}

impl Wire {
    /// Connects to a place, whose host is an address or a folder by now.
    ///
    /// # Errors
    /// What the operating system reports, or that the time is up.
    pub(super) async fn open(place: &Place, config: &Config, patience: Option<Duration>) -> io::Result<Self> {
        let opened = async {
            match place.address {
                _ if place.is_socket() => Ok(Self::Local(UnixStream::connect(place.socket_file()).await?)),
                Some(address) => network(TcpStream::connect((address, place.port)).await?, config),
                None => network(TcpStream::connect((place.host.as_str(), place.port)).await?, config),
            }
        };
        match patience {
            Some(time) => {
                tokio::time::timeout(time, opened).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            None => opened.await,
        }
    }

    /// The user whose process listens at the other end, if it is on this machine.
    pub(super) fn peer(&self) -> Option<io::Result<u32>> {
        match self {
            Self::Network(_) => None,
            Self::Local(stream) => Some(stream.peer_cred().map(|peer| peer.uid())),
        }
    }
}

fn network(stream: TcpStream, config: &Config) -> io::Result<Wire> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    #[cfg(target_os = "linux")]
    if let Some(time) = config.get_tcp_user_timeout() {
        socket.set_tcp_user_timeout(Some(*time))?;
    }
    if config.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = config.get_keepalives_retries() {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(Wire::Network(stream))
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
