//! The socket under a connection, with a liveness and a switch.
//!
//! A transaction whose answer does not come must know whether anything came at all: if not, everything else on the connection
//! waits in vain, too. So it can see when something was last heard, and cut.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A TCP socket that remembers when it last heard something.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    liveness: Arc<Liveness>,
}

/// What is known of a socket without owning it.
#[derive(Debug)]
pub(super) struct Liveness {
    opened: Instant,
    /// Milliseconds after `opened`.
    last_heard: AtomicU64,
    /// The same socket once more: shutting it down wakes the task that waits on the other one.
    switch: std::net::TcpStream,
}

impl Socket {
    /// Takes over a connected socket. Must be called within a tokio runtime. Small frames leave at once: Nagle's algorithm would hold them back for an
    /// acknowledgement.
    pub(super) fn new(socket: TcpStream) -> io::Result<(Self, Arc<Liveness>)> {
        socket.set_nodelay(true)?;
        let socket = socket.into_std()?;
        let switch = socket.try_clone()?;
        let liveness = Arc::new(Liveness { opened: Instant::now(), last_heard: AtomicU64::new(0), switch });
        Ok((Self { stream: TcpStream::from_std(socket)?, liveness: liveness.clone() }, liveness))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The switch would keep it open.
        self.liveness.cut();
    }
}

impl Liveness {
    fn beat(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_heard.store(millis, Ordering::Relaxed);
    }

    fn last_heard(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_heard.load(Ordering::Relaxed))
    }

    /// How long nothing has been heard.
    pub(super) fn silence(&self) -> Duration {
        self.last_heard().elapsed()
    }

    /// Whether anything was heard after `instant`.
    pub(super) fn heard_since(&self, instant: Instant) -> bool {
        self.last_heard() > instant
    }

    /// Ends the connection while it is in use. Cutting twice does no harm.
    pub(super) fn cut(&self) {
        // It fails where the peer was faster; then there is nothing left to cut.
        let _ = self.switch.shutdown(Shutdown::Both);
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.liveness.beat();
        }
        poll
    }
}

impl AsyncWrite for Socket {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, Arc<Liveness>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (line, liveness) = Socket::new(near.unwrap()).unwrap();
        (line, liveness, far.unwrap().0)
    }

    #[tokio::test]
    async fn cutting_wakes_a_writer_whose_peer_reads_nothing() {
        let (mut line, liveness, _far) = pair().await;
        let writer = tokio::spawn(async move { line.write_all(&vec![0; 64 << 20]).await });
        tokio::task::yield_now().await;
        liveness.cut();
        assert!(writer.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn dropping_the_line_tells_the_peer_though_the_pulse_is_kept() {
        let (line, _pulse, mut far) = pair().await;
        drop(line);
        assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_pulse_beats_when_something_is_heard() {
        let (mut line, liveness, mut far) = pair().await;
        let before = Instant::now();
        while !liveness.heard_since(before) {
            far.write_all(b"x").await.unwrap();
            line.read_exact(&mut [0; 1]).await.unwrap();
        }
        assert!(liveness.silence() <= before.elapsed());
    }
}
