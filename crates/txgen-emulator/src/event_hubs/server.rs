//! The sockets: one task a connection, which is all that ever touches it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use txgen_amqp::performative::AmqpError;
use uuid::Uuid;

use super::bell::Bell;
use super::connection::Connection;
use super::http;
use super::kafka::{self, Broker};
use super::namespace::{Namespace, Now};

/// How much is read at once, in bytes.
const READ_SIZE: usize = 64 * 1024;
/// How often retention is looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long to wait when the operating system gives no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// A client that has not said by then what it speaks, or has not come through TLS, is not one.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How TLS begins: a record of a handshake (RFC 8446, section 5.1). No other protocol here does.
const TLS_HANDSHAKE: u8 = 22;

/// How connections end from the emulator's side.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// With a close.
    pub(super) stop: CancellationToken,
    /// Without a word.
    pub(super) cut: CancellationToken,
}

/// What is spoken at a port, with and without TLS.
#[derive(Clone, Debug)]
pub(super) enum Speaks {
    /// AMQP, and HTTP: events by POST, and AMQP over WebSockets.
    Amqp,
    /// Kafka.
    Kafka(Arc<Broker>),
}

/// What all ports share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) namespace: Arc<Namespace>,
    /// TLS, where there is a certificate.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Looks after the retention, and after the log of what is kept, until the emulator stops.
pub(super) async fn keep_house(broker: Arc<Broker>, namespace: Arc<Namespace>, stop: CancellationToken) {
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(housekeeping.tick()).await.is_some() {
        namespace.expire(Now::read());
        if namespace.is_mostly_dead() {
            let (broker, namespace) = (Arc::clone(&broker), Arc::clone(&namespace));
            let rewriting = spawn_blocking(move || {
                let keeper = namespace.keeper()?;
                keeper.rewrite(namespace.hubs(), |keeper| broker.keep(keeper)).err()
            });
            // What went wrong has been logged, and is tried again when the log has grown.
            let _ = rewriting.await;
        }
    }
}

/// Accepts connections until the emulator stops; `cut` gives the token that cuts new connections.
pub(super) async fn accept(listener: TcpListener, speaks: Speaks, shared: Shared, cut: impl Fn() -> CancellationToken) {
    let Shared { namespace, tls, tasks, stop } = shared;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        if namespace.open_connections.load(Ordering::Relaxed) >= namespace.options.max_connections {
            tracing::debug!(limit = namespace.options.max_connections, "connection refused: too many");
            continue;
        }
        namespace.connections.fetch_add(1, Ordering::Relaxed);
        namespace.open_connections.fetch_add(1, Ordering::Relaxed);
        let open = Open(Arc::clone(&namespace));
        let ends = Ends { stop: stop.clone(), cut: cut() };
        let (speaks, tls) = (speaks.clone(), tls.clone());
        tasks.spawn(async move {
            if let Err(error) = welcome(socket, tls, &speaks, &open.0, ends).await {
                tracing::debug!(%error, "connection lost");
            }
        });
    }
}

/// Counts a connection as open as long as its task lives.
struct Open(Arc<Namespace>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Finds out what a client speaks by how it begins, and speaks it.
async fn welcome(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    speaks: &Speaks,
    namespace: &Arc<Namespace>,
    ends: Ends,
) -> io::Result<()> {
    // Without it an answer waits up to 40 ms for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    let local = socket.local_addr()?;
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout(HANDSHAKE, socket.peek(&mut first)) => peeked,
        () = ends.stop.cancelled() => return Ok(()),
        () = ends.cut.cancelled() => return Ok(()),
    };
    let Ok(peeked) = peeked else { return Ok(()) };
    if peeked? == 0 {
        return Ok(());
    }
    if let Some(tls) = tls.filter(|_| first[0] == TLS_HANDSHAKE) {
        let accepted = tokio::select! {
            accepted = timeout(HANDSHAKE, tls.accept(socket)) => accepted,
            () = ends.stop.cancelled() => return Ok(()),
            () = ends.cut.cancelled() => return Ok(()),
        };
        let Ok(accepted) = accepted else { return Ok(()) };
        // Boxed, as what follows: most connections are plain AMQP, and their tasks are to stay small.
        return Box::pin(speak(accepted?, speaks, namespace, local, ends)).await;
    }
    match speaks {
        Speaks::Amqp if !http::begins_with(first[0]) => {
            let mut socket = socket;
            let (reader, writer) = socket.split();
            // What is written to a socket is on its way.
            serve(reader, writer, BytesMut::with_capacity(READ_SIZE), false, namespace, ends).await
        }
        _ => Box::pin(speak(socket, speaks, namespace, local, ends)).await,
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut stream: S,
    speaks: &Speaks,
    namespace: &Arc<Namespace>,
    local: SocketAddr,
    ends: Ends,
) -> io::Result<()> {
    if let Speaks::Kafka(broker) = speaks {
        return kafka::serve(stream, broker, local, &ends).await;
    }
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let read = tokio::select! {
        read = timeout(HANDSHAKE, stream.read_buf(&mut input)) => read,
        () = ends.stop.cancelled() => return Ok(()),
        () = ends.cut.cancelled() => return Ok(()),
    };
    let Ok(read) = read else { return Ok(()) };
    if read? == 0 {
        return Ok(());
    }
    if input.first().is_some_and(|first| http::begins_with(*first)) {
        return http::serve(stream, input, namespace, ends).await;
    }
    serve_stream(stream, input, namespace, ends).await
}

/// AMQP over a stream that keeps back what is written until it is flushed.
pub(super) async fn serve_stream<S: AsyncRead + AsyncWrite>(
    stream: S,
    input: BytesMut,
    namespace: &Arc<Namespace>,
    ends: Ends,
) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    serve(reader, writer, input, true, namespace, ends).await
}

/// Writes some of the output; flushes, and gives 0, when there is none.
async fn push<W: AsyncWrite + Unpin>(writer: &mut W, output: &[u8]) -> io::Result<usize> {
    if output.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(output).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// AMQP. `input` has come already; `must_flush` says whether what is written is kept back until it is flushed.
async fn serve<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut reader: R,
    mut writer: W,
    mut input: BytesMut,
    must_flush: bool,
    namespace: &Arc<Namespace>,
    ends: Ends,
) -> io::Result<()> {
    let bell = Arc::new(Bell::default());
    let container = format!("{}_G0", Uuid::new_v4().simple());
    let mut connection = Connection::new(Arc::clone(namespace), Arc::clone(&bell), container, Now::read());
    let (mut stopping, mut unflushed) = (false, false);
    if !input.is_empty() {
        let used = connection.receive(&input, Now::read());
        input.advance(used);
    }
    let timer = sleep_until(connection.deadline());
    tokio::pin!(timer);
    loop {
        if connection.is_closed() && connection.output().is_empty() {
            // Shows the peer that nothing more comes, without taking back what it has not read yet.
            return writer.shutdown().await;
        }
        let deadline = connection.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        input.reserve(READ_SIZE);
        tokio::select! {
            () = ends.cut.cancelled() => return Ok(()),
            () = ends.stop.cancelled(), if !stopping => {
                stopping = true;
                connection.close(&AmqpError::new("amqp:connection:forced", "The emulator is stopping."), Now::read());
            }
            written = push(&mut writer, connection.output()), if unflushed || !connection.output().is_empty() => {
                match written? {
                    0 => unflushed = false,
                    count => {
                        let now = Now::read();
                        connection.sent(count, now);
                        connection.tick(now);
                        unflushed = must_flush;
                    }
                }
            }
            read = reader.read_buf(&mut input), if connection.wants_input() => {
                if read? == 0 {
                    return Ok(());
                }
                let used = connection.receive(&input, Now::read());
                input.advance(used);
            }
            () = bell.heard() => connection.tick(Now::read()),
            () = &mut timer => connection.tick(Now::read()),
        }
    }
}
