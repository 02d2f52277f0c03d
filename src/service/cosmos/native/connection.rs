//! One HTTP/1.1 connection, driven by the request that uses it.
//!
//! hyper wants a connection to be polled while a request is under way. Here the request's own task does that: a task of
//! the connection's own would have to be woken on another thread, which would cost a request a fifth of its time.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest body that is read of an answer, in bytes: the service ends a page at 4 MB, but for a last document of 2 MB.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-request-limits>
const LARGEST_BODY: usize = 8 << 20;

pub(super) type Outgoing = Request<Full<Bytes>>;

/// What the service answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: Parts,
    /// The body, or why it could not be read to its end.
    pub(super) body: Result<Bytes, String>,
}

/// Why an exchange has no answer, by how far it got.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// No byte of the request has left.
    NothingSent(String),
    /// The request has left, at least in part; no byte of an answer has come.
    NothingReceived(String),
    /// The answer broke off in its head.
    Halfway(String),
}

/// A connection between two requests, or during one.
pub(super) struct Connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver<S>,
    traffic: Arc<Traffic>,
}

/// What has passed since the latest request began.
#[derive(Debug, Default)]
struct Traffic {
    sent: AtomicBool,
    received: AtomicBool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    /// Begins to speak HTTP/1.1 over a stream.
    pub(super) async fn begin(stream: S) -> hyper::Result<Self> {
        let traffic = Arc::new(Traffic::default());
        let stream = Tracked { stream, traffic: Arc::clone(&traffic) };
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Driver { connection: Box::pin(connection), ended: false }, traffic })
    }

    /// Whether a request may be sent: the other side has not closed the connection, as far as is known here.
    pub(super) fn is_open(&mut self) -> bool {
        self.driver.poll(&mut Context::from_waker(Waker::noop()));
        !self.driver.ended && self.sender.is_ready()
    }

    /// Sends a request and reads its whole answer.
    ///
    /// Dropping the future leaves the connection in the middle of an exchange: it must then be dropped as well.
    pub(super) async fn exchange(&mut self, request: Outgoing) -> Result<Answered, Interrupted> {
        self.traffic.begin();
        let answer = self.driver.drive(self.sender.send_request(request)).await;
        let (head, body) = answer.map_err(|error| self.traffic.interrupted(describe(&error)))?.into_parts();
        Ok(Answered { head, body: self.read(body).await })
    }

    async fn read(&mut self, body: Incoming) -> Result<Bytes, String> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let whole = self.driver.drive(Limited::new(body, LARGEST_BODY).collect()).await;
        Ok(whole.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes())
    }
}

type Http1<S> = http1::Connection<TokioIo<Tracked<S>>, Full<Bytes>>;

/// The machinery of a connection.
struct Driver<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    connection: Pin<Box<Http1<S>>>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Driver<S> {
    /// Reads and writes what can be read and written now. What goes wrong ends the request.
    fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.ended && self.connection.as_mut().poll(cx).is_ready() {
            self.ended = true;
        }
    }

    /// Keeps the connection going until this is done.
    async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }
}

impl Traffic {
    fn begin(&self) {
        self.sent.store(false, Ordering::Relaxed);
        self.received.store(false, Ordering::Relaxed);
    }

    fn interrupted(&self, reason: String) -> Interrupted {
        match (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed)) {
            (_, true) => Interrupted::Halfway(reason),
            (true, false) => Interrupted::NothingReceived(reason),
            (false, false) => Interrupted::NothingSent(reason),
        }
    }
}

/// A stream that notes whether bytes pass. Those of TLS itself do not count.
struct Tracked<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S> Tracked<S> {
    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        // After an error something of these bytes has not left, so that the request is not whole.
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.traffic.sent.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.traffic.received.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// hyper's words, with the cause that they leave out.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn an_answer_with_a_long_head_and_a_body_beyond_the_buffer_is_read_whole() {
        let (client, mut server) = tokio::io::duplex(64 << 10);
        let mut connection = Connection::begin(client).await.unwrap();
        let (head, body) = ("t".repeat(3 << 10), "b".repeat(20 << 10));
        let answer = format!("HTTP/1.1 200 OK\r\nx-long: {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let serving = tokio::spawn(async move {
            assert!(server.read(&mut [0; 1024]).await.unwrap() > 0);
            server.write_all(answer.as_bytes()).await.unwrap();
            server
        });
        let answered = connection.exchange(Request::new(Full::default())).await.unwrap();
        assert_eq!(answered.head.headers["x-long"].len(), head.len());
        assert_eq!(answered.body.as_deref(), Ok(body.as_bytes()));
        drop(serving.await.unwrap());
    }
}
