//! A way through an HTTP proxy: CONNECT (<https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>), and what it means when
//! there is none. A proxy's refusals are told apart from those of the service behind it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::upgrade::{Parts, Upgraded};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::FailureKind;
use super::retry::AttemptError;
use super::tls;
use crate::settings::Proxy;

/// For asking a proxy why nothing gets through it.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks the proxy at the other end of `wire` for a tunnel to `authority`, such as `host:443`. What is returned is that
/// wire, at whose other end the service is now. The caller bounds the time.
///
/// # Errors
/// Why there is no tunnel, with the remedy.
pub(super) async fn tunnel<W>(wire: W, proxy: &Proxy, authority: &str) -> Result<W, AttemptError>
where
    W: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let no_proxy = |error: &dyn fmt::Display| {
        let variable = proxy.variable();
        failed(format!("what answers at {proxy} is not an HTTP proxy ({error}); check {variable}"))
    };
    let request = connect(proxy, authority).map_err(|error| no_proxy(&error))?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(wire)).await.map_err(|error| no_proxy(&error))?;
    let exchange = Box::pin(async move {
        let answer = sender.send_request(request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let upgraded = if status.is_success() { Some(hyper::upgrade::on(answer).await?) } else { None };
        Ok::<_, hyper::Error>((status, headers, upgraded))
    });
    // The connection is at its end once it has handed over what it ran on.
    let answered = match select(exchange, Box::pin(connection.with_upgrades())).await {
        Either::Left((answered, _)) => answered,
        Either::Right((_, exchange)) => exchange.await,
    };
    let (status, headers, upgraded) = answered.map_err(|error| no_proxy(&error))?;
    match upgraded {
        Some(upgraded) => taken_back(upgraded).ok_or_else(|| no_proxy(&"it spoke before it was spoken to")),
        None => Err(refusal(proxy, authority, status, &headers)),
    }
}

fn connect(proxy: &Proxy, authority: &str) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let mut request = Request::connect(authority).header(HOST, authority);
    if let Some(authorization) = proxy.authorization() {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request.body(Empty::new())
}

/// The wire below; `None` if something came over it already, for which no service has a reason.
fn taken_back<W: AsyncRead + AsyncWrite + Send + Unpin + 'static>(upgraded: Upgraded) -> Option<W> {
    let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<W>>().ok()?;
    read_buf.is_empty().then(|| io.into_inner())
}

fn failed(message: impl fmt::Display) -> AttemptError {
    AttemptError::not_sent(FailureKind::Proxy, message)
}

/// No connection to the proxy itself.
pub(super) fn unreachable(proxy: &Proxy, error: &dyn fmt::Display) -> AttemptError {
    failed(format!("the proxy {proxy} cannot be reached ({error}); check {}, or the proxy", proxy.variable()))
}

/// What it means that the proxy answered with this status in the place of the service at `authority`.
pub(super) fn refusal(proxy: &Proxy, authority: &str, status: StatusCode, headers: &HeaderMap) -> AttemptError {
    let variable = proxy.variable();
    failed(match status {
        // Some proxies answer wrong credentials as a service does.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => match others_than_basic(headers) {
            Some(schemes) => format!(
                "the proxy {proxy} takes {schemes} alone for signing in, which txgen does not know (407); let the proxy take \
                 Basic, or let {authority} through without signing in"
            ),
            None if proxy.authorization().is_some() => {
                format!(
                    "the proxy {proxy} refuses the user name and password in {variable} ({}); correct them there",
                    status.as_u16()
                )
            }
            None => format!(
                "the proxy {proxy} asks for a user name and a password (407); write them into {variable}, as in \
                 http://USER:PASSWORD@{}:{}",
                proxy.host(),
                proxy.port()
            ),
        },
        status if status.is_server_error() => format!(
            "the proxy {proxy} cannot reach {authority} ({status}); check that name, and that the proxy gets there"
        ),
        status if status.is_client_error() => format!(
            "the proxy {proxy} does not let txgen through to {authority} ({status}); have that host and port allowed \
             there, or reach it directly with NO_PROXY={}",
            host(authority)
        ),
        status => format!("the proxy {proxy} answered {status}, and opened no way to {authority}; check {variable}"),
    })
}

/// It refused the tunnel, and the client does not say why.
pub(super) fn no_tunnel(proxy: &Proxy, authority: &str) -> AttemptError {
    failed(format!(
        "the proxy {proxy} opens no way to {authority}; check that it allows that host and port, and gets there, or reach it \
         directly with NO_PROXY={}",
        host(authority)
    ))
}

/// The ways of signing in that a proxy offers, where Basic is none of them.
fn others_than_basic(headers: &HeaderMap) -> Option<String> {
    let scheme = |value: &HeaderValue| Some(value.to_str().ok()?.split_whitespace().next()?.to_owned());
    let schemes: Vec<_> = headers.get_all(PROXY_AUTHENTICATE).iter().filter_map(scheme).collect();
    let has_basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    (!schemes.is_empty() && !has_basic).then(|| schemes.join(" and "))
}

/// `host` of `host:443`.
fn host(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// `host:port` of an endpoint.
pub(super) fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
}

/// Why nothing gets through this proxy to `url`, found out with a connection of its own: other clients tell nothing of a
/// proxy's answer. `None` where it leads there.
pub(super) async fn trouble(proxy: &Proxy, url: &Url) -> Option<AttemptError> {
    timeout(LIMIT, look(proxy, url))
        .await
        .unwrap_or_else(|_| Err(unreachable(proxy, &format_args!("no answer within {LIMIT:?}"))))
        .err()
}

async fn look(proxy: &Proxy, url: &Url) -> Result<(), AttemptError> {
    let socket = TcpStream::connect((proxy.host(), proxy.port())).await;
    let socket = socket.map_err(|error| unreachable(proxy, &error))?;
    // Requests without TLS are handed to the proxy as they are, which may forbid CONNECT.
    if url.scheme() == "http" {
        return Ok(());
    }
    let authority = authority(url);
    if proxy.uses_tls() {
        let wire = encrypt(&tls::verified()?, proxy, socket).await?;
        tunnel(wire, proxy, &authority).await.map(|_| ())
    } else {
        tunnel(socket, proxy, &authority).await.map(|_| ())
    }
}

/// TLS to the proxy itself.
pub(super) async fn encrypt<W>(
    tls: &tokio_rustls::TlsConnector,
    proxy: &Proxy,
    wire: W,
) -> Result<tokio_rustls::client::TlsStream<W>, AttemptError>
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(proxy.host().to_owned());
    let name = name.map_err(|error| unreachable(proxy, &error))?;
    tls.connect(name, wire).await.map_err(|error| unreachable(proxy, &format_args!("no TLS: {error}")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::settings::proxies;

    fn proxy(value: &str) -> Proxy {
        let proxies = proxies(&[("HTTPS_PROXY", value)]);
        proxies.to(&"https://ns.servicebus.windows.net/".parse().unwrap()).unwrap().unwrap()
    }

    /// What comes of CONNECT when the proxy answers this, and what the proxy was asked.
    async fn answered(value: &str, answer: &str) -> (Result<DuplexStream, AttemptError>, String) {
        let (near, mut far) = duplex(4096);
        let answer = answer.to_owned();
        let served = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(far.read_u8().await.unwrap());
            }
            far.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains("200") {
                let byte = far.read_u8().await.unwrap();
                far.write_u8(byte).await.unwrap();
            }
            String::from_utf8(request).unwrap()
        });
        let mut wire = tunnel(near, &proxy(value), "ns.servicebus.windows.net:443").await;
        if let Ok(wire) = &mut wire {
            wire.write_u8(7).await.unwrap();
            assert_eq!(wire.read_u8().await.unwrap(), 7, "what is sent goes through");
        }
        (wire, served.await.unwrap())
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_with_the_credentials_and_is_the_wire_itself() {
        let (wire, request) =
            answered("http://user:hush@proxy:3128", "HTTP/1.1 200 Connection established\r\n\r\n").await;
        assert!(wire.is_ok());
        assert!(request.starts_with("CONNECT ns.servicebus.windows.net:443 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("proxy-authorization: Basic dXNlcjpodXNo\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_refusal_names_the_proxy_the_cause_and_the_remedy() {
        let name = "the proxy http://proxy:3128 (HTTPS_PROXY)";
        let (plain, signed) = ("http://proxy:3128", "http://user:hush@proxy:3128");
        for (value, answer, message) in [
            (
                plain,
                "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"",
                "asks for a user name and a password (407); write them into HTTPS_PROXY, as in \
                 http://USER:PASSWORD@proxy:3128",
            ),
            (
                signed,
                "407 Proxy Authentication Required",
                "refuses the user name and password in HTTPS_PROXY (407); correct them there",
            ),
            (
                signed,
                "407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM",
                "takes Negotiate and NTLM alone for signing in, which txgen does not know (407); let the proxy take Basic, \
                 or let ns.servicebus.windows.net:443 through without signing in",
            ),
            (
                plain,
                "403 Filtered",
                "does not let txgen through to ns.servicebus.windows.net:443 (403 Forbidden); have that host and port \
                 allowed there, or reach it directly with NO_PROXY=ns.servicebus.windows.net",
            ),
            (
                plain,
                "502 Bad Gateway",
                "cannot reach ns.servicebus.windows.net:443 (502 Bad Gateway); check that name, and that the proxy gets \
                 there",
            ),
        ] {
            let (wire, _) = answered(value, &format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n")).await;
            let error = wire.unwrap_err();
            assert_eq!((error.kind, error.message), (FailureKind::Proxy, format!("{name} {message}")));
        }
    }

    #[tokio::test]
    async fn what_is_no_proxy_is_named_so() {
        let (wire, _) = answered("http://proxy:3128", "SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        let error = wire.unwrap_err();
        assert!(
            error.message.starts_with("what answers at http://proxy:3128 (HTTPS_PROXY) is not an HTTP proxy"),
            "{error}"
        );
    }
}
