//! From an endpoint to a byte stream: TCP, perhaps through a proxy, then TLS.

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::{Host, Url};

use crate::service::retry::{AttemptError, shown};
use crate::service::{FailureKind, proxy, tls};
use crate::settings::{Proxies, Proxy, is_loopback};

/// How long opening a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream to the service or, through TLS or not, to a proxy.
type Hop = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A stream to the service.
pub(super) type Stream = Either<Hop, Box<TlsStream<Hop>>>;

/// Opens streams to one endpoint.
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What leads there, the address that it is asked for, and TLS to the proxy itself, where it wants that.
    proxy: Option<(Proxy, String, Option<TlsConnector>)>,
}

/// An endpoint that cannot be dialled, whatever the network does.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadEndpoint {
    #[error("{0} has no host")]
    WithoutHost(Url),
    #[error("{0} is no name that a certificate can have")]
    BadName(String),
    #[error("{0}")]
    Untrusted(AttemptError),
    #[error("{0}")]
    BadProxy(String),
}

impl Dialer {
    /// Prepares to dial this endpoint. The certificate of a service on this machine, which is an emulator, is not verified.
    pub(super) fn new(endpoint: &Url, proxies: &Proxies) -> Result<Self, BadEndpoint> {
        let host = match endpoint.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(BadEndpoint::WithoutHost(endpoint.clone())),
        };
        let tls = if endpoint.scheme() == "https" {
            let name = ServerName::try_from(host.clone()).map_err(|_| BadEndpoint::BadName(host.clone()))?;
            Some((tls::for_http1(is_loopback(endpoint)).map_err(BadEndpoint::Untrusted)?, name))
        } else {
            None
        };
        let proxy = match proxies.to(endpoint).map_err(BadEndpoint::BadProxy)? {
            None => None,
            Some(proxy) if proxy.uses_tls() => {
                let connector = tls::verified().map_err(BadEndpoint::Untrusted)?;
                Some((proxy, proxy::authority(endpoint), Some(connector)))
            }
            Some(proxy) => Some((proxy, proxy::authority(endpoint), None)),
        };
        let port = endpoint.port_or_known_default().unwrap_or(443);
        Ok(Self { host, port, tls, proxy })
    }

    /// The proxy to which requests without TLS are handed as they are.
    pub(super) fn plain_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.tls.is_none()).map(|(proxy, ..)| proxy)
    }

    /// Opens a stream, within 5 s and before the deadline.
    pub(super) async fn dial(&self, deadline: Instant) -> Result<Stream, AttemptError> {
        let begun = Instant::now();
        let deadline = deadline.min(begun + CONNECT_TIMEOUT);
        timeout_at(deadline, self.open()).await.unwrap_or_else(|_| {
            let message = format!("no connection within {}", shown(begun.elapsed()));
            Err(AttemptError::not_sent(FailureKind::Connection, message))
        })
    }

    async fn open(&self) -> Result<Stream, AttemptError> {
        let unreachable = |error: io::Error| AttemptError::not_sent(FailureKind::Connection, error);
        let hop = match &self.proxy {
            None => Either::Left(reach(&self.host, self.port).await.map_err(unreachable)?),
            Some((proxy, authority, tls)) => self.through(proxy, authority, tls.as_ref()).await?,
        };
        match &self.tls {
            None => Ok(Either::Left(hop)),
            Some((connector, name)) => {
                Ok(Either::Right(Box::new(connector.connect(name.clone(), hop).await.map_err(unreachable)?)))
            }
        }
    }

    async fn through(&self, proxy: &Proxy, authority: &str, tls: Option<&TlsConnector>) -> Result<Hop, AttemptError> {
        let socket = reach(proxy.host(), proxy.port()).await.map_err(|error| proxy::unreachable(proxy, &error))?;
        let hop = match tls {
            None => Either::Left(socket),
            Some(tls) => Either::Right(Box::new(proxy::encrypt(tls, proxy, socket).await?)),
        };
        if self.tls.is_some() { proxy::tunnel(hop, proxy, authority).await } else { Ok(hop) }
    }
}

/// A TCP connection to this host.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((host, port)).await?;
    // A request is one segment or two: waiting to fill one would cost 40 ms.
    socket.set_nodelay(true)?;
    Ok(socket)
}
