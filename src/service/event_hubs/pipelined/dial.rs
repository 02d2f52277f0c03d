//! From an address to a byte stream that carries AMQP: TCP, perhaps a tunnel through a proxy, then TLS, then perhaps
//! WebSockets.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp_ws::WebSocketStream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::address::Address;
use super::socket::{Liveness, Socket};
use crate::service::retry::AttemptError;
use crate::service::{FailureKind, proxy, tls};
use crate::settings::{EventHubTransport, Proxy};

/// What a line asks of a stream, as one trait, so that one compiled line serves all kinds of streams.
pub(super) trait Wire: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Wire for T {}

/// A dialled stream.
pub(super) type BoxedWire = Box<dyn Wire>;

/// Opens streams.
#[derive(Clone)]
pub(super) struct Dialer {
    address: Address,
    /// Absent for emulators.
    tls: Option<TlsConnector>,
    /// What leads there, if anything does, and TLS to that, if it wants it.
    proxy: Option<(Proxy, Option<TlsConnector>)>,
    /// For the TCP connection.
    limit: Duration,
}

impl Dialer {
    /// Prepares to dial this address; the TCP connection may take as long as `limit`.
    ///
    /// # Errors
    /// When TLS is needed and the operating system's trust store cannot be read.
    pub(super) fn new(address: Address, proxy: Option<Proxy>, limit: Duration) -> Result<Self, AttemptError> {
        let tls = |is_needed: bool| if is_needed { tls::verified().map(Some) } else { Ok(None) };
        let proxy = match proxy {
            Some(proxy) => {
                let tls = tls(proxy.uses_tls())?;
                Some((proxy, tls))
            }
            None => None,
        };
        Ok(Self { tls: tls(address.tls)?, address, proxy, limit })
    }

    /// Where this dials to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a stream. The caller bounds the time.
    pub(super) async fn dial(&self) -> Result<(BoxedWire, Arc<Liveness>), AttemptError> {
        let (wire, liveness) = match &self.proxy {
            Some((proxy, tls)) => self.tunnel(proxy, tls.as_ref()).await?,
            None => {
                let Address { host, port, .. } = &self.address;
                let (socket, liveness) =
                    self.connect(host, *port).await.map_err(|error| unreachable(&self.address, &error))?;
                let wire: BoxedWire = Box::new(socket);
                (wire, liveness)
            }
        };
        let wire: BoxedWire = match &self.tls {
            Some(tls) => Box::new(self.encrypt(tls, wire).await?),
            None => wire,
        };
        let wire = match self.address.transport {
            EventHubTransport::Tcp => wire,
            EventHubTransport::Websocket => self.upgrade(wire).await?,
        };
        Ok((wire, liveness))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<(Socket, Arc<Liveness>)> {
        let connected = timeout(self.limit, TcpStream::connect((host, port))).await;
        Socket::new(connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    async fn tunnel(
        &self,
        proxy: &Proxy,
        tls: Option<&TlsConnector>,
    ) -> Result<(BoxedWire, Arc<Liveness>), AttemptError> {
        let connected = self.connect(proxy.host(), proxy.port()).await;
        let (socket, liveness) = connected.map_err(|error| proxy::unreachable(proxy, &error))?;
        let wire: BoxedWire = match tls {
            Some(tls) => Box::new(proxy::encrypt(tls, proxy, socket).await?),
            None => Box::new(socket),
        };
        Ok((proxy::tunnel(wire, proxy, &self.address.authority()).await?, liveness))
    }

    async fn encrypt(&self, tls: &TlsConnector, wire: BoxedWire) -> Result<impl Wire + use<>, AttemptError> {
        let refused = |error: &dyn fmt::Display| {
            AttemptError::not_sent(
                FailureKind::Connection,
                format!("no TLS with {}: {error}", self.address.authority()),
            )
        };
        let name = ServerName::try_from(self.address.host.trim_end_matches('.').to_owned())
            .map_err(|error| refused(&error))?;
        tls.connect(name, wire).await.map_err(|error| refused(&error))
    }

    async fn upgrade(&self, wire: BoxedWire) -> Result<BoxedWire, AttemptError> {
        let url = self.address.websocket_url();
        match WebSocketStream::connect_with_stream(&url, wire).await {
            Ok(websocket) => Ok(Box::new(websocket)),
            Err(error) => Err(AttemptError::not_sent(
                FailureKind::Connection,
                format!("no AMQP over WebSockets at {url}: {error}"),
            )),
        }
    }
}

fn unreachable(address: &Address, error: &io::Error) -> AttemptError {
    AttemptError::not_sent(FailureKind::Connection, format!("cannot reach {}: {error}", address.authority()))
}
