//! A TCP proxy that can go bad.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Forwards connections to one address, until it goes bad.
pub(crate) struct Proxy {
    port: u16,
    swallow: Arc<Mutex<CancellationToken>>,
    _stop: tokio_util::sync::DropGuard,
}

impl Proxy {
    /// A proxy in front of `target`, on a free loopback port.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallow = Arc::new(Mutex::new(CancellationToken::new()));
        let stop = CancellationToken::new();
        let accept = {
            let swallow = swallow.clone();
            async move {
                while let Ok((near, _)) = listener.accept().await {
                    let far = TcpStream::connect(target).await.unwrap();
                    let swallow = swallow.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::spawn(pump(near_read, far_write, swallow.clone()));
                    tokio::spawn(pump(far_read, near_write, swallow));
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Self { port, swallow, _stop: stop.drop_guard() }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Open connections stay open, and nothing comes through them any more; new ones work.
    pub(crate) fn swallow(&self) {
        std::mem::take(&mut *self.swallow.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: CancellationToken) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = swallow.cancelled() => {
                // Neither reads nor ends: as a host does that lost its power.
                std::future::pending::<()>().await;
                return;
            }
        };
        match read {
            Ok(count) if count > 0 => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
