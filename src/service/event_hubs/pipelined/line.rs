//! A connection's byte stream and its state machine, in one hand.
//!
//! Whatever has gathered in the state machine's output leaves in one system call, and one read brings many outcomes: no
//! task, lock or channel lies between the socket and the protocol.
//!
//! It also sees to what must happen with time: heartbeats, and giving up on a peer that is silent.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use txgen_amqp::client::{Broken, Connection, Event, Settings};

use super::dial::BoxedWire;
use super::socket::Liveness;

/// Bytes that are read at once, at most.
const READ: usize = 64 * 1024;

/// Why a line is of no use any more.
#[derive(Debug)]
pub(super) enum Cut {
    /// The stream failed.
    Io(io::Error),
    /// The stream ended without AMQP's goodbye.
    Eof,
    /// What came over it is not what AMQP allows.
    Broken(Broken),
    /// Nothing was heard for so long.
    Silent(Duration),
}

impl From<Broken> for Cut {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// A stream that carries AMQP.
pub(super) struct Line<T> {
    amqp: Connection<T>,
    wire: BoxedWire,
    liveness: Arc<Liveness>,
    /// Silence that is borne.
    idle: Duration,
    watch: Pin<Box<Sleep>>,
    buffer: Box<[u8]>,
    is_flushed: bool,
}

impl<T> Line<T> {
    /// A line over a stream that is open.
    pub(super) fn new(wire: BoxedWire, liveness: Arc<Liveness>, settings: Settings) -> Self {
        let idle = settings.idle;
        let amqp = Connection::new(settings, Instant::now().into_std());
        let buffer = vec![0; READ].into_boxed_slice();
        Self { amqp, wire, liveness, idle, watch: Box::pin(sleep(idle / 4)), buffer, is_flushed: true }
    }

    /// The state machine.
    pub(super) fn amqp(&mut self) -> &mut Connection<T> {
        &mut self.amqp
    }

    /// The liveness of the stream.
    pub(super) fn liveness(&self) -> &Arc<Liveness> {
        &self.liveness
    }

    /// Ends the line at once; what was sent over it and not settled, and whether it may have left.
    pub(super) fn cut(self) -> impl Iterator<Item = (T, bool)> {
        self.liveness.cut();
        self.amqp.into_unsettled()
    }

    /// The next event that has arrived already.
    pub(super) fn arrived(&mut self) -> Result<Option<Event<T>>, Cut> {
        let event = self.amqp.next_event()?;
        if matches!(event, Some(Event::Ready)) {
            // From now on the peer may want to hear heartbeats.
            self.schedule();
        }
        Ok(event)
    }

    /// The next event. Nothing is lost where this is dropped.
    pub(super) async fn event(&mut self) -> Result<Event<T>, Cut> {
        loop {
            if let Some(event) = self.arrived()? {
                return Ok(event);
            }
            poll_fn(|cx| self.poll(cx)).await?;
        }
    }

    /// Writes what waits, and keeps the peer awake, for as long as nothing is to be read. Only an error ends it.
    pub(super) async fn hold(&mut self) -> Cut {
        poll_fn(|cx| {
            // The peer's silence is of this end's making.
            if let Poll::Ready(()) = self.watch.as_mut().poll(cx) {
                self.amqp.beat(Instant::now().into_std());
                self.schedule();
                let _ = self.watch.as_mut().poll(cx);
            }
            self.poll_write(cx).map(|written| match written {
                Ok(()) => Cut::Eof,
                Err(cut) => cut,
            })
        })
        .await
    }

    /// Writes what the stream takes, and reads what is there. Ready once something was read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        while let Poll::Ready(()) = self.watch.as_mut().poll(cx) {
            if self.liveness.silence() > self.idle {
                return Poll::Ready(Err(Cut::Silent(self.idle)));
            }
            self.amqp.beat(Instant::now().into_std());
            self.schedule();
        }
        if let Poll::Ready(Err(cut)) = self.poll_write(cx) {
            return Poll::Ready(Err(cut));
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Err(Cut::Eof)),
            Poll::Ready(Ok(())) => {
                self.amqp.receive(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Cut::Io(error))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes until nothing waits, or the stream takes no more. Never ready but with an error.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        while !self.amqp.output().is_empty() {
            match Pin::new(&mut self.wire).poll_write(cx, self.amqp.output()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Cut::Eof)),
                Poll::Ready(Ok(count)) => {
                    self.amqp.wrote(count, Instant::now().into_std());
                    self.is_flushed = false;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Cut::Io(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        // TLS and WebSockets keep something back.
        if !self.is_flushed {
            match Pin::new(&mut self.wire).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Cut::Io(error))),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Looks again at a fourth of the silence that is borne, or when a heartbeat is due.
    fn schedule(&mut self) {
        let now = Instant::now();
        let watch = now + self.idle / 4;
        // A heartbeat that cannot be written, because the stream takes nothing, is not tried in a tight loop.
        let soonest = now + Duration::from_millis(50);
        let heartbeat = self.amqp.heartbeat_at().map(|at| Instant::from_std(at).max(soonest));
        self.watch.as_mut().reset(heartbeat.map_or(watch, |at| at.min(watch)));
    }
}
