//! `--metrics`: an HTTP server for Prometheus, as long as the run goes on.
//!
//! Scrapers can neither hold the run up nor fill its memory: connections are counted, serve one request each, and
//! end after a few seconds; heads of requests have a largest size, and bodies are not read.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::report::metrics::{Exposition, Scrape};

/// Where metrics are served unless the user says otherwise; exporters' ports begin at 9100, and OpenTelemetry's
/// Prometheus exporter has this one.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";
/// Connections at a time; more of them wait.
const MAX_CONNECTIONS: usize = 16;
/// Bytes of a request's line and headers at most; hyper takes no less.
const MAX_HEAD_BYTES: usize = 8192;
/// How long a connection lives: scrapers give up after 10 seconds by default.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the operating system has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Reads `--metrics`: an address with a port, or a port alone.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let on_loopback = |port: &str| port.parse().ok().map(|port| SocketAddr::new(loopback, port));
    text.parse()
        .ok()
        .or_else(|| on_loopback(text.strip_prefix("localhost:").unwrap_or(text)))
        .ok_or_else(|| format!("write an IP address and a port, such as {DEFAULT_ADDRESS}, or a port alone"))
}

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub(super) struct MetricsListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsListener {
    /// Listens at this address; port 0 takes a free one.
    pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let refused =
            || format!("--metrics: cannot listen on {address}; name another address, or port 0 for a free one");
        let listener = TcpListener::bind(address).await.with_context(refused)?;
        let address = listener.local_addr().with_context(refused)?;
        Ok(Self { listener, address })
    }

    /// Where the metrics are, and a warning where others than this machine can read them.
    pub(super) fn announcement(&self) -> String {
        let url = format!("Metrics    http://{}/metrics", self.address);
        match self.address.ip().is_loopback() {
            true => url,
            false => format!("{url} (not only for this machine: anyone who reaches it can read the run's figures)"),
        }
    }

    /// Answers with what `scrape` returns, until what is returned is dropped.
    pub(super) fn serve(self, scrape: impl Fn() -> Option<Scrape> + Send + Sync + 'static) -> DropGuard {
        let stop = CancellationToken::new();
        let serving = accept(self.listener, Arc::new(scrape), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        stop.drop_guard()
    }
}

async fn accept(
    listener: TcpListener,
    scrape: Arc<impl Fn() -> Option<Scrape> + Send + Sync + 'static>,
    stop: CancellationToken,
) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so there is always a place in the end.
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let conversation = converse(stream, Arc::clone(&scrape));
                tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                    let _place = place;
                    let _ = timeout(CONNECTION_TIMEOUT, conversation).await;
                }));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a scraper's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, scrape: Arc<impl Fn() -> Option<Scrape>>) {
    let answer = service_fn(|request| {
        let response = answer(&request, &*scrape);
        async { Ok::<_, Infallible>(response) }
    });
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a scraper's connection ended in an error");
    }
}

fn answer<B>(request: &Request<B>, scrape: &impl Fn() -> Option<Scrape>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => metrics(request, scrape),
        "/" => text(StatusCode::OK, "txgen's metrics are at /metrics\n"),
        _ => text(StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n"),
    }
}

fn metrics<B>(request: &Request<B>, scrape: &impl Fn() -> Option<Scrape>) -> Response<Full<Bytes>> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let exposition = Exposition::accepted(accept);
    let Some(scrape) = scrape() else { return text(StatusCode::SERVICE_UNAVAILABLE, "the run is over\n") };
    match scrape.expose(exposition) {
        Ok(body) => {
            let mut response = Response::new(Full::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition.content_type()));
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Whether a port is taken by another program.
#[cfg(test)]
fn is_in_use(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_alone_and_is_loopback_unless_told_otherwise() {
        let cases = [
            ("9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:80", "[::1]:80"),
        ];
        for (text, address) in cases {
            assert_eq!(parse_address(text).unwrap().to_string(), address);
        }
        for text in ["", "metrics", "127.0.0.1", "example.org:9464", "70000"] {
            assert!(parse_address(text).unwrap_err().contains("127.0.0.1:9464"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_refused_with_a_remedy() {
        let first = MetricsListener::bind(parse_address("0").unwrap()).await.unwrap();
        let error = MetricsListener::bind(first.address).await.unwrap_err();
        assert!(is_in_use(&error) && error.to_string().contains("port 0"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_others_reach_is_announced_with_a_warning() {
        let everywhere = MetricsListener::bind(parse_address("0.0.0.0:0").unwrap()).await.unwrap();
        assert!(everywhere.announcement().contains("not only for this machine"));
        let here = MetricsListener::bind(parse_address("0").unwrap()).await.unwrap();
        assert!(here.announcement().ends_with("/metrics"));
    }
}
