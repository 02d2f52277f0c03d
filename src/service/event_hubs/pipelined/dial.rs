//! From an address to a byte stream that carries AMQP: TCP, then TLS, then perhaps WebSockets.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp_ws::WebSocketStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::address::Address;
use super::socket::{Liveness, Socket};
use crate::service::FailureKind;
use crate::service::retry::AttemptError;
use crate::settings::EventHubTransport;

/// What the AMQP library asks of a stream, as one trait, so that one compiled engine serves all kinds of streams.
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
    /// For the TCP connection.
    limit: Duration,
}

impl Dialer {
    /// Prepares to dial this address; the TCP connection may take as long as `limit`.
    ///
    /// # Errors
    /// When TLS is needed and the operating system's trust store cannot be read.
    pub(super) fn new(address: Address, limit: Duration) -> Result<Self, AttemptError> {
        let tls = if address.tls { Some(verified_tls()?) } else { None };
        Ok(Self { address, tls, limit })
    }

    /// Where this dials to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a stream. The caller bounds the time.
    pub(super) async fn dial(&self) -> Result<(BoxedWire, Arc<Liveness>), AttemptError> {
        let Address { host, port, .. } = &self.address;
        let unreachable = |error: io::Error| unreachable(&self.address, &error);
        let connected = timeout(self.limit, TcpStream::connect((host.as_str(), *port))).await;
        let socket = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        let (socket, liveness) = Socket::new(socket).map_err(unreachable)?;
        let wire: BoxedWire = match &self.tls {
            Some(tls) => Box::new(self.encrypt(tls, socket).await?),
            None => Box::new(socket),
        };
        let wire = match self.address.transport {
            EventHubTransport::Tcp => wire,
            EventHubTransport::Websocket => self.upgrade(wire).await?,
        };
        Ok((wire, liveness))
    }

    async fn encrypt(&self, tls: &TlsConnector, socket: Socket) -> Result<impl Wire + use<>, AttemptError> {
        let refused = |error: &dyn fmt::Display| {
            AttemptError::not_sent(
                FailureKind::Connection,
                format!("no TLS with {}: {error}", self.address.authority()),
            )
        };
        let name = ServerName::try_from(self.address.host.trim_end_matches('.').to_owned())
            .map_err(|error| refused(&error))?;
        tls.connect(name, socket).await.map_err(|error| refused(&error))
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

/// TLS whose certificates are always verified, by the rules and the roots of the operating system.
fn verified_tls() -> Result<TlsConnector, AttemptError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| {
            let message = format!("the operating system's trusted certificates cannot be used: {error}");
            AttemptError::impossible(FailureKind::Connection, message)
        })?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
