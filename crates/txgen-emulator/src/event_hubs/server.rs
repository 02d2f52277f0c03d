//! The sockets: one task a connection, which is all that ever touches it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::bell::Bell;
use super::connection::Connection;
use super::namespace::{Namespace, Now};
use super::wire::performative::AmqpError;

/// How much is read at once, in bytes.
const READ_SIZE: usize = 64 * 1024;
/// How often retention is looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long to wait when the operating system gives no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// How connections end from the emulator's side.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// With a close.
    pub(super) stop: CancellationToken,
    /// Without a word.
    pub(super) cut: CancellationToken,
}

/// Accepts connections until `ends.stop`; `cut` tells the token that ends new connections without a word.
pub(super) async fn accept(
    listener: TcpListener,
    namespace: Arc<Namespace>,
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: impl Fn() -> CancellationToken,
) {
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            _ = housekeeping.tick() => {
                namespace.expire(Now::read());
                continue;
            }
            accepted = listener.accept() => accepted,
        };
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
        tasks.spawn(async move {
            if let Err(error) = serve(socket, &open.0, ends).await {
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

async fn serve(mut socket: TcpStream, namespace: &Arc<Namespace>, ends: Ends) -> io::Result<()> {
    // Without it an answer waits up to 40 ms for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    let bell = Arc::new(Bell::default());
    let container = format!("{}_G0", Uuid::new_v4().simple());
    let mut connection = Connection::new(Arc::clone(namespace), Arc::clone(&bell), container, Now::read());
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let (mut reader, mut writer) = socket.split();
    let mut stopping = false;
    let timer = sleep_until(connection.deadline());
    tokio::pin!(timer);
    loop {
        if connection.is_closed() && connection.output().is_empty() {
            // Tells the peer that nothing more comes, without taking back what it has not read yet.
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
            written = writer.write(connection.output()), if !connection.output().is_empty() => {
                let now = Now::read();
                connection.sent(written?, now);
                connection.tick(now);
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
