//! The HTTP side: connections, bodies, time-outs, and limits on all three.
//!
//! HTTP/1.1, and HTTP/2 for clients that begin with it at once (RFC 9113, section 3.3), as Azure's client for Rust does,
//! or that agree on it in TLS.
//!
//! Nothing that a client does or fails to do may take the server down or fill its memory: connections are counted,
//! headers and bodies have a largest size, large bodies share a budget, and a peer that neither sends nor reads is given up.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::call::{Call, Resource};
use super::catalog::{Account, Counters};
use super::explorer::{self, Explorer};
use super::failure::Failure;
use super::routes;
use super::trouble::{Hangup, Line, Outgoing};
use crate::faults::{Fault, FaultPlan, Strike};
use crate::health;
use crate::serving::Serving;
use crate::write_timeout::WriteTimeout;

/// Bytes of a request's line and headers at most.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How long a connection may take to send its next headers. It covers the time between requests too, so it is longer
/// than the 90 seconds for which clients keep connections in their pools: the server must not be the first to close.
const HEADER_TIMEOUT: Duration = Duration::from_secs(130);
/// How long a request may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to read some bytes of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest body: the largest document and some slack, so that the error for a document that is just too large names its size.
const MAX_BODY_BYTES: usize = routes::MAX_DOCUMENT_BYTES + 64 * 1024;
/// How much of an unwanted body is read nevertheless, so that its sender gets to read the answer.
const MAX_DRAINED_BYTES: usize = 4 * MAX_BODY_BYTES;
/// Bytes of all bodies that are being received; more are refused. Counted in units, so that the count is small.
const BODY_BUDGET: usize = 256 * 1024 * 1024 / BODY_UNIT;
const BODY_UNIT: usize = 16 * 1024;
/// Units that are kept for bodies of a single one: who sends large ones slowly must not keep out the small ones.
const SMALL_BODIES: usize = BODY_BUDGET / 4;
/// How long the service took, in milliseconds.
const DURATION: HeaderName = HeaderName::from_static("x-ms-request-duration-ms");
/// What an HTTP/2 connection starts with.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests in flight on one HTTP/2 connection at most.
const MAX_STREAMS: u32 = 256;
/// After so much silence an HTTP/2 connection is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How long a request waits that is never answered, unless its sender gives up before.
const NEVER: Duration = Duration::from_secs(600);
/// How often expired documents are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// How many are removed while a container is locked.
const EXPIRY_BATCH: usize = 500;

/// What all connections share.
pub(super) struct Shared {
    account: Arc<Account>,
    latency: Duration,
    faults: Arc<FaultPlan>,
    tls: Option<TlsAcceptor>,
    bodies: Semaphore,
    explorer: Explorer,
}

/// Listens and serves.
pub(super) async fn start(listen: SocketAddr, shared: Shared) -> io::Result<Serving> {
    let shared = Arc::new(shared);
    let account = Arc::clone(&shared.account);
    let serving = Serving::start(listen, move |stream, stop| converse(stream, Arc::clone(&shared), stop)).await?;
    serving.beside(|stop| expire(account, stop));
    Ok(serving)
}

/// Gives back the memory of expired documents, a bounded number at a time, and the disk of what is kept in vain.
async fn expire(account: Arc<Account>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EXPIRY_INTERVAL)).await.is_some() {
        account.expire(EXPIRY_BATCH).await;
        if account.is_mostly_dead() {
            let account = Arc::clone(&account);
            // What went wrong has been logged, and is tried again when the log has grown.
            let _ = spawn_blocking(move || account.keeper()?.rewrite(&account).err()).await;
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    let hangup = Hangup::default();
    let opened = timeout(HEADER_TIMEOUT, async {
        let Some(tls) = &shared.tls else {
            let is_http2 = begins_with_preface(&stream).await?;
            return Ok((Transport::Plain(WriteTimeout::new(hangup.control(stream), WRITE_TIMEOUT)), is_http2));
        };
        let stream = tls.accept(WriteTimeout::new(hangup.control(stream), WRITE_TIMEOUT)).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Transport::Tls(Box::new(stream)), is_http2))
    });
    let ended = match opened.await {
        Ok(Ok((Transport::Plain(stream), is_http2))) => speak(stream, is_http2, shared, &stop, &hangup).await,
        Ok(Ok((Transport::Tls(stream), is_http2))) => speak(stream, is_http2, shared, &stop, &hangup).await,
        Ok(Err(error)) => {
            let error: io::Error = error;
            debug!(%error, "a connection did not get as far as HTTP");
            return;
        }
        Err(_) => return,
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended in an error");
    }
}

/// What carries HTTP.
enum Transport {
    Plain(WriteTimeout<Line>),
    Tls(Box<TlsStream<WriteTimeout<Line>>>),
}

/// HTTP, to the end of the connection.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    is_http2: bool,
    shared: Arc<Shared>,
    stop: &CancellationToken,
    hangup: &Hangup,
) -> hyper::Result<()> {
    let io = TokioIo::new(stream);
    let service = service_fn(|request| {
        let (shared, hangup) = (Arc::clone(&shared), hangup.clone());
        async move { Ok::<_, Infallible>(shared.serve(request, &hangup).await) }
    });
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .max_concurrent_streams(MAX_STREAMS)
            // Cannot be truncated: 64 KiB.
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .serve_connection(io, service);
        until_done(connection, |connection| connection.graceful_shutdown(), stop, hangup).await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_header_size(MAX_HEADER_BYTES)
            .serve_connection(io, service);
        until_done(connection, |connection| connection.graceful_shutdown(), stop, hangup).await
    }
}

/// Serves a connection to its end, which is soon when the server stops.
async fn until_done<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    stop: &CancellationToken,
    hangup: &Hangup,
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = hangup.ended() => Ok(()),
        () = stop.cancelled() => {
            shut_down(connection.as_mut());
            connection.await
        }
    }
}

/// Whether a connection starts as HTTP/2 connections do. Nothing is taken from it.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !HTTP2_PREFACE.starts_with(&start[..length]) {
            return Ok(false);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // What is there already would be seen again at once.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Shared {
    /// `latency` is added to every answer about documents, and `faults` strike those alone.
    pub(super) fn new(
        account: Arc<Account>,
        latency: Duration,
        faults: Arc<FaultPlan>,
        tls: Option<TlsAcceptor>,
        explorer: Explorer,
    ) -> Self {
        Self { account, latency, faults, tls, bodies: Semaphore::new(BODY_BUDGET), explorer }
    }

    async fn serve(&self, request: Request<Incoming>, hangup: &Hangup) -> Response<Outgoing> {
        let account = &self.account;
        let started = Instant::now();
        let (head, body) = request.into_parts();
        if health::is_asked(&head.method, head.uri.path()) {
            return health::answer();
        }
        if explorer::is_asked(&head.uri) {
            return self.explorer.answer(account, &head.method, &head.uri, &head.headers).await;
        }
        Counters::count(&account.counters.requests);
        let call = Call::new(head.method, &head.uri, head.headers);
        let activity_id = match call.header("x-ms-activity-id") {
            Some(id) if Uuid::try_parse(id).is_ok() => id.to_owned(),
            _ => Uuid::new_v4().to_string(),
        };
        let is_about_documents = matches!(call.resource(), Resource::Documents(..) | Resource::Document(..));
        let strike = if is_about_documents { self.faults.strike() } else { None };
        if strike.is_some_and(|strike| strike.fault == Fault::Gone) {
            delete_container(account, &call);
        }
        let answer = match self.receive(&call, body).await {
            Ok(body) => match strike {
                Some(strike) if !strike.late && !matches!(strike.fault, Fault::Delay(_)) => Err(failure_of(strike)),
                _ => routes::answer(account, &call, body).await,
            },
            Err(failure) => Err(failure),
        };
        let answer = match strike {
            Some(strike) if strike.late && strike.fault == Fault::Timeout => Err(failure_of(strike)),
            _ => answer,
        };
        if is_about_documents && !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let mut response = match answer {
            Ok(answer) => answer.finish(&activity_id),
            Err(failure) => {
                if failure.status == StatusCode::TOO_MANY_REQUESTS {
                    Counters::count(&account.counters.throttled);
                }
                failure.answer(&activity_id).finish(&activity_id)
            }
        };
        if let Ok(took) = HeaderValue::from_str(&format!("{:.3}", started.elapsed().as_secs_f64() * 1000.0)) {
            response.headers_mut().insert(DURATION, took);
        }
        debug!(%call.method, path = head.uri.path(), status = response.status().as_u16(), activity_id, "answered");
        if response.status() == StatusCode::REQUEST_TIMEOUT {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match strike {
            Some(strike) => make_trouble(strike.fault, response, hangup).await,
            None => response,
        }
    }

    /// The body of a request whose signature is right.
    async fn receive(&self, call: &Call, body: Incoming) -> Result<Bytes, Failure> {
        let received = timeout(BODY_TIMEOUT, async {
            match routes::authorize(&self.account, call) {
                Ok(()) => self.read(body).await,
                Err(failure) => {
                    drain(body).await;
                    Err(failure)
                }
            }
        });
        received.await.unwrap_or_else(|_| {
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "The body of the request did not come in time."))
        })
    }

    async fn read(&self, mut body: Incoming) -> Result<Bytes, Failure> {
        if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
            drain(body).await;
            return Err(Failure::too_large());
        }
        let mut room = Room { bodies: &self.bodies, taken: None };
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Failure::bad_request("The body of the request broke off."))?.into_data()
            else {
                continue;
            };
            let size = whole.len() + first.len() + data.len();
            if size > MAX_BODY_BYTES {
                drain(body).await;
                return Err(Failure::too_large());
            }
            if !room.fits(size) {
                drain(body).await;
                return Err(Failure::too_many_bodies());
            }
            // Most bodies come in one piece, which then need not be copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

/// What a body takes of the budget, as it comes: what was only announced takes nothing.
struct Room<'a> {
    bodies: &'a Semaphore,
    taken: Option<SemaphorePermit<'a>>,
}

impl Room<'_> {
    /// Whether the body may have so many bytes; if so they are taken.
    fn fits(&mut self, bytes: usize) -> bool {
        let held = self.taken.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = bytes.div_ceil(BODY_UNIT).saturating_sub(held);
        if more == 0 {
            return true;
        }
        if held + more > 1 && self.bodies.available_permits() < more + SMALL_BODIES {
            return false;
        }
        let Ok(permit) = self.bodies.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
        true
    }
}

/// What the service would say of a request that it does not carry out, or says that it may not have.
fn failure_of(strike: Strike) -> Failure {
    match strike.fault {
        Fault::TooManyRequests => Failure::throttled(Duration::from_millis(10)),
        Fault::InternalError => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "Unknown server error on purpose."),
        Fault::Gone => Failure::owner_not_found(),
        Fault::Timeout => Failure::new(StatusCode::REQUEST_TIMEOUT, "The request timed out on purpose."),
        Fault::ExpiredToken => Failure::new(StatusCode::FORBIDDEN, "The authorization token has expired on purpose."),
        // What only the connection shows is never read.
        _ => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "The service is unavailable on purpose."),
    }
}

/// Deletes the container that a request about documents names.
fn delete_container(account: &Account, call: &Call) {
    if let Resource::Documents(database, container) | Resource::Document(database, container, _) = call.resource()
        && let Some(database) = account.database(database)
        && let Some(container) = database.container(container)
    {
        // Where that cannot be kept, the container stays, and what the request is about is there.
        let _ = account.delete_container(&database, &container);
    }
}

/// Keeps, cuts or delays an answer.
async fn make_trouble(fault: Fault, response: Response<Outgoing>, hangup: &Hangup) -> Response<Outgoing> {
    match fault {
        Fault::Delay(by) => tokio::time::sleep(by).await,
        Fault::HalfAnswer => return response.map(Outgoing::half),
        Fault::NeverAnswer => tokio::time::sleep(NEVER).await,
        Fault::Close | Fault::Drop => {
            hangup.end(fault == Fault::Close);
            // The connection ends at the next turn, and this future with it.
            tokio::time::sleep(NEVER).await;
        }
        _ => {}
    }
    response
}

/// Reads and forgets.
async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let bodies = Semaphore::new(BODY_BUDGET);
        let room = || Room { bodies: &bodies, taken: None };
        let mut large = Vec::new();
        loop {
            let mut body = room();
            if !body.fits(BODY_UNIT * 100) {
                break;
            }
            large.push(body);
        }
        assert_eq!(large.len(), (BODY_BUDGET - SMALL_BODIES) / 100);
        let mut small = room();
        assert!(small.fits(1) && small.fits(BODY_UNIT));
        assert!(!small.fits(BODY_UNIT * 100));
        drop(large.pop());
        assert!(small.fits(BODY_UNIT * 100));
        drop((large, small));
        assert_eq!(bodies.available_permits(), BODY_BUDGET);
    }
}
