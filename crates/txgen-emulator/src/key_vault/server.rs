//! The HTTPS side: connections with their time-outs, and what each answer carries beside its body.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::answer::Answer;
use super::vault::{Asked, Vault};
use crate::serving::Serving;
use crate::write_timeout::WriteTimeout;

/// How long a connection may take for its handshake, and to send its next headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(130);
/// How long a client may take to read some bytes of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body is read, though it is of no use: its sender is to get as far as the answer.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bytes of a request's line and headers at most.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Where tokens come from, and what for, as the service says it.
const CHALLENGE: &str = "Bearer authorization=\"https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000\", \
                         resource=\"https://vault.azure.net\"";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const REGION: HeaderName = HeaderName::from_static("x-ms-keyvault-region");

pub(super) async fn start(listen: SocketAddr, vault: Arc<Vault>, tls: TlsAcceptor) -> io::Result<Serving> {
    Serving::start(listen, move |stream, stop| converse(stream, tls.clone(), Arc::clone(&vault), stop)).await
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, vault: Arc<Vault>, stop: CancellationToken) {
    let opened = timeout(HEADER_TIMEOUT, tls.accept(WriteTimeout::new(stream, WRITE_TIMEOUT)));
    let Some(Ok(Ok(stream))) = stop.run_until_cancelled(opened).await else {
        debug!("a connection did not get as far as HTTP");
        return;
    };
    let service = service_fn(|request| async { Ok::<_, Infallible>(serve(&vault, request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended in an error");
    }
}

async fn serve(vault: &Vault, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // What is refused is refused whatever its body.
    let _ = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let answer = vault.answer(Asked {
        method: &head.method,
        path: &path,
        query: head.uri.query().unwrap_or_default(),
        authorization: text(&head.headers, &AUTHORIZATION),
        base: &format!("https://{}/", text(&head.headers, &HOST).unwrap_or("localhost")),
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    });
    respond(answer, head.headers.get(&CLIENT_REQUEST_ID))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn respond(answer: Answer, client_request_id: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REGION, HeaderValue::from_static("local"));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(id) = client_request_id {
        headers.insert(CLIENT_REQUEST_ID, id.clone());
    }
    if answer.is_challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    response
}
