//! What it takes to make trouble on purpose: connections that are cut, and answers that break off.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Lets a request end the connection that it came by.
#[derive(Clone, Default)]
pub(super) struct Hangup {
    ended: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Hangup {
    /// Ends the connection: politely, or without a word.
    pub(super) fn end(&self, politely: bool) {
        self.reset.store(!politely, Ordering::Relaxed);
        self.ended.cancel();
    }

    /// Waits until the connection has been ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The connection, under this control.
    pub(super) fn control(&self, stream: TcpStream) -> Line {
        Line { stream, reset: Arc::clone(&self.reset) }
    }
}

/// A connection that can be reset rather than closed.
pub(super) struct Line {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // With nothing left to linger for, the kernel sends a reset instead of a farewell. Where that fails, the
            // connection is merely closed.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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

/// The body of an answer: whole, or one that promises more than it gives.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    data: Bytes,
    promised: usize,
}

impl Outgoing {
    pub(super) fn whole(data: Bytes) -> Self {
        Self { promised: data.len(), data }
    }

    /// The first half, with the rest promised. An answer without a body promises some, too.
    pub(super) fn half(self) -> Self {
        let promised = self.data.len().max(2);
        Self { data: self.data.slice(..self.data.len() / 2), promised }
    }
}

impl From<Bytes> for Outgoing {
    fn from(data: Bytes) -> Self {
        Self::whole(data)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.data.is_empty() {
            self.promised -= self.data.len();
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        let broken = || io::Error::new(io::ErrorKind::BrokenPipe, "broken off on purpose");
        Poll::Ready((self.promised > 0).then(|| Err(broken())))
    }

    fn is_end_stream(&self) -> bool {
        self.promised == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised as u64)
    }
}
