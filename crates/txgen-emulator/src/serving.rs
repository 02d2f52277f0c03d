//! Listening for HTTP: connections up to a number, each a task of its own, and an end in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

/// Connections at most; more of them wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// How long connections may take to finish when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A running server. Dropping it ends its connections without ceremony.
pub(crate) struct Serving {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Serving {
    /// Listens, and hands each connection to `converse`, with a token that is cancelled when the server stops.
    pub(crate) async fn start<C, F>(listen: SocketAddr, converse: C) -> io::Result<Self>
    where
        C: Fn(TcpStream, CancellationToken) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (tasks, stop, kill) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        tasks.spawn(accept(listener, converse, tasks.clone(), stop.clone(), kill.clone()));
        Ok(Self { address, tasks, stop, kill })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does something else until the server stops: `work` is given a token that is cancelled then.
    pub(crate) fn beside<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(CancellationToken) -> F) {
        self.tasks.spawn(work(self.stop.clone()));
    }

    /// Accepts no more, lets requests in flight finish for a short while, and ends.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            self.kill.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}

async fn accept<C, F>(
    listener: TcpListener,
    converse: C,
    tasks: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
) where
    C: Fn(TcpStream, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let next = async || {
        // Never closed, so there is always a place in the end.
        let place = Arc::clone(&places).acquire_owned().await;
        (listener.accept().await, place)
    };
    while let Some((accepted, place)) = stop.run_until_cancelled(next()).await {
        match accepted {
            Ok((stream, _)) => {
                // Without it the kernel holds small answers back for up to 40 ms.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "cannot set TCP_NODELAY");
                }
                let (conversation, kill) = (converse(stream, stop.clone()), kill.clone());
                tasks.spawn(async move {
                    let _place = place;
                    kill.run_until_cancelled(conversation).await;
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some connections must end first.
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
