//! HTTP/1.1 at an AMQP port: events by POST, and the way to AMQP over WebSockets.
//!
//! Source of path and subprotocols: `TransportType.AmqpWebSockets` of Azure's clients, and
//! <https://docs.oasis-open.org/amqp-bindmap/amqp-wsb/v1.0/amqp-wsb-v1.0.html>.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::http_send::{self, Refused};
use super::incoming::MAX_MESSAGE_SIZE;
use super::namespace::{Namespace, Now};
use super::server::{Ends, serve_stream};
use super::websocket;
use crate::health;

/// How long a client may take for a request's header, and for the change to WebSockets.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// Where AMQP over WebSockets is.
const WEBSOCKET: &str = "/$servicebus/websocket";
/// What clients call AMQP among the subprotocols of WebSockets.
const SUBPROTOCOLS: [&str; 2] = ["amqp", "AMQPWSB10"];

/// Whether a byte begins an HTTP request: a method, which AMQP's header is not taken for.
pub(super) fn begins_with(first: u8) -> bool {
    first.is_ascii_uppercase() && first != b'A'
}

/// Answers requests, and speaks AMQP once the client has changed to WebSockets. `input` has come already.
///
/// # Errors
/// When the connection is lost, or what comes is not HTTP.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    input: BytesMut,
    namespace: &Arc<Namespace>,
    ends: Ends,
) -> io::Result<()> {
    let upgrade: Mutex<Option<OnUpgrade>> = Mutex::default();
    let service = service_fn(|request: Request<Incoming>| async {
        Ok::<_, Infallible>(if request.method() == Method::POST {
            post(request, namespace).await
        } else {
            answer(request, &upgrade)
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PEER_TIMEOUT)
        .serve_connection(TokioIo::new(Prefixed { input, stream }), service)
        .with_upgrades();
    tokio::select! {
        served = connection => served.map_err(io::Error::other)?,
        () = ends.stop.cancelled() => return Ok(()),
        () = ends.cut.cancelled() => return Ok(()),
    }
    let Some(upgrade) = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
    let Ok(upgraded) = timeout(PEER_TIMEOUT, upgrade).await else { return Ok(()) };
    let socket = websocket::over(TokioIo::new(upgraded.map_err(io::Error::other)?)).await;
    serve_stream(socket, BytesMut::new(), namespace, ends).await
}

async fn post(request: Request<Incoming>, namespace: &Namespace) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = match timeout(PEER_TIMEOUT, Limited::new(body, MAX_MESSAGE_SIZE).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return text(StatusCode::PAYLOAD_TOO_LARGE, format!("More than {MAX_MESSAGE_SIZE} bytes are not taken."));
        }
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "The body did not come."),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "The body did not come in time."),
    };
    match http_send::send(namespace, &parts.uri, &parts.headers, &body, Now::read()) {
        Ok(()) => {
            sleep(namespace.options.latency).await;
            match namespace.settled().await {
                Ok(()) => text(StatusCode::CREATED, ""),
                Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, error.description),
            }
        }
        Err(Refused(status, what)) => text(status, what),
    }
}

fn answer<B>(mut request: Request<B>, upgrade: &Mutex<Option<OnUpgrade>>) -> Response<Full<Bytes>> {
    if health::is_asked(request.method(), request.uri().path()) {
        return health::answer();
    }
    let is_websocket = request.uri().path().trim_end_matches('/').eq_ignore_ascii_case(WEBSOCKET);
    if request.method() != Method::GET || !is_websocket {
        let what = "Events are posted to /HUB/messages, and AMQP over WebSockets is at /$servicebus/websocket.";
        return text(StatusCode::NOT_FOUND, what);
    }
    let headers = request.headers();
    let names = |name: &hyper::header::HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| names(&UPGRADE, "websocket")).cloned();
    let subprotocol = SUBPROTOCOLS.into_iter().find(|subprotocol| names(&SEC_WEBSOCKET_PROTOCOL, subprotocol));
    let (Some(key), Some(subprotocol)) = (key, subprotocol) else {
        return text(StatusCode::BAD_REQUEST, "A WebSocket with the subprotocol amqp or AMQPWSB10 is spoken here.");
    };
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return text(StatusCode::BAD_REQUEST, "The Sec-WebSocket-Key is not one.");
    };
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// A stream of which the beginning has been read.
struct Prefixed<S> {
    input: BytesMut,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input[..length]);
        self.input.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, subprotocol: &str) -> (StatusCode, bool) {
        let upgrade = Mutex::default();
        let request = Request::get(path)
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .header(SEC_WEBSOCKET_PROTOCOL, subprotocol)
            .body(())
            .unwrap();
        let status = answer(request, &upgrade).status();
        (status, upgrade.into_inner().unwrap().is_some())
    }

    #[test]
    fn health_is_answered_without_a_key() {
        let request = Request::get("/health").body(()).unwrap();
        assert_eq!(answer(request, &Mutex::default()).status(), StatusCode::OK);
    }

    #[test]
    fn the_paths_and_subprotocols_of_the_clients_lead_to_a_websocket() {
        for (path, subprotocol) in [
            ("/$servicebus/websocket", "amqp"),
            ("/$servicebus/websocket/", "AMQPWSB10"),
            ("/$ServiceBus/WebSocket?x=1", "other, AMQPWSB10"),
        ] {
            assert_eq!(ask(path, subprotocol), (StatusCode::SWITCHING_PROTOCOLS, true), "{path} {subprotocol}");
        }
        assert_eq!(ask("/", "amqp"), (StatusCode::NOT_FOUND, false));
        assert_eq!(ask(WEBSOCKET, "mqtt"), (StatusCode::BAD_REQUEST, false));
    }
}
