//! From an address to a byte stream that carries AMQP: TCP, then TLS, then perhaps WebSockets.

use std::fmt;
use std::io;
use std::sync::Arc;

use fe2o3_amqp_ws::WebSocketStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::address::Address;
use super::super::setback::Setback;
use super::line::{Line, Pulse};
use crate::service::FailureKind;
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
}

impl Dialer {
    /// Prepares to dial this address.
    ///
    /// # Errors
    /// When TLS is needed and the operating system's trust store cannot be read.
    pub(super) fn new(address: Address) -> Result<Self, Setback> {
        let tls = if address.tls { Some(verified_tls()?) } else { None };
        Ok(Self { address, tls })
    }

    /// Where this dials to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a stream. The caller bounds the time.
    pub(super) async fn dial(&self) -> Result<(BoxedWire, Arc<Pulse>), Setback> {
        let Address { host, port, .. } = &self.address;
        let unreachable = |error: io::Error| unreachable(&self.address, &error);
        let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
        let (line, pulse) = Line::new(socket).map_err(unreachable)?;
        let wire: BoxedWire = match &self.tls {
            Some(tls) => Box::new(self.encrypt(tls, line).await?),
            None => Box::new(line),
        };
        let wire = match self.address.transport {
            EventHubTransport::Tcp => wire,
            EventHubTransport::Websocket => self.upgrade(wire).await?,
        };
        Ok((wire, pulse))
    }

    async fn encrypt(&self, tls: &TlsConnector, line: Line) -> Result<impl Wire + use<>, Setback> {
        let refused = |error: &dyn fmt::Display| {
            Setback::not_sent(FailureKind::Connection, format!("no TLS with {}: {error}", self.address.authority()))
        };
        let name = ServerName::try_from(self.address.host.clone()).map_err(|error| refused(&error))?;
        tls.connect(name, line).await.map_err(|error| refused(&error))
    }

    async fn upgrade(&self, wire: BoxedWire) -> Result<BoxedWire, Setback> {
        let url = self.address.websocket_url();
        match WebSocketStream::connect_with_stream(&url, wire).await {
            Ok(websocket) => Ok(Box::new(websocket)),
            Err(error) => {
                Err(Setback::not_sent(FailureKind::Connection, format!("no AMQP over WebSockets at {url}: {error}")))
            }
        }
    }
}

fn unreachable(address: &Address, error: &io::Error) -> Setback {
    Setback::not_sent(FailureKind::Connection, format!("cannot reach {}: {error}", address.authority()))
}

/// TLS whose certificates are always verified, by the rules and the roots of the operating system.
fn verified_tls() -> Result<TlsConnector, Setback> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| {
            let message = format!("the operating system's trusted certificates cannot be used: {error}");
            Setback::impossible(FailureKind::Connection, message)
        })?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
