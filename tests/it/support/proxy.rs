//! A TCP proxy that can go bad.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Forwards connections to one address, until it goes bad.
pub(crate) struct Proxy {
    port: u16,
    target: Arc<Mutex<SocketAddr>>,
    swallow: Arc<Mutex<CancellationToken>>,
    cuts: Arc<Cuts>,
    cut: Arc<Mutex<CancellationToken>>,
    _stop: tokio_util::sync::DropGuard,
}

/// Connections that are still to be cut, and after how many bytes from the target each of them is.
#[derive(Default)]
struct Cuts {
    left: AtomicU64,
    after: AtomicU64,
    made: AtomicU64,
}

impl Cuts {
    /// Whether a connection that has brought so many bytes is cut now.
    fn is_due(&self, bytes: u64) -> bool {
        let is_due = bytes >= self.after.load(Ordering::Relaxed)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        self.made.fetch_add(u64::from(is_due), Ordering::Relaxed);
        is_due
    }
}

impl Proxy {
    /// A proxy in front of `target`, on a free loopback port.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new(target));
        let swallow = Arc::new(Mutex::new(CancellationToken::new()));
        let cuts = Arc::new(Cuts::default());
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let stop = CancellationToken::new();
        let accept = {
            let (target, swallow) = (target.clone(), swallow.clone());
            let (cuts, cut) = (cuts.clone(), cut.clone());
            async move {
                while let Ok((near, _)) = listener.accept().await {
                    let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
                    // A target that is away looks from here as if it hung up.
                    let Ok(far) = TcpStream::connect(target).await else { continue };
                    let swallow = swallow.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    // All end when that is asked for, and one without the others.
                    let cut = cut.lock().unwrap_or_else(PoisonError::into_inner).child_token();
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::spawn(pump(near_read, far_write, swallow.clone(), cut.clone(), None));
                    tokio::spawn(pump(far_read, near_write, swallow, cut, Some(cuts.clone())));
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Self { port, target, swallow, cuts, cut, _stop: stop.drop_guard() }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// New connections go elsewhere.
    pub(crate) fn redirect(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// From now on, so many connections are cut, each when so many bytes came through it from the target.
    pub(crate) fn cut(&self, times: u64, after_bytes: u64) {
        self.cuts.after.store(after_bytes, Ordering::Relaxed);
        self.cuts.left.store(times, Ordering::Relaxed);
    }

    /// How many connections were cut.
    pub(crate) fn cuts_made(&self) -> u64 {
        self.cuts.made.load(Ordering::Relaxed)
    }

    /// Open connections stay open, and nothing comes through them any more; new ones work.
    pub(crate) fn swallow(&self) {
        std::mem::take(&mut *self.swallow.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
    }

    /// Open connections end; new ones work.
    #[allow(dead_code, reason = "not every test binary cuts")]
    pub(crate) fn cut_all(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    swallow: CancellationToken,
    cut: CancellationToken,
    cuts: Option<Arc<Cuts>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut bytes = 0;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = cut.cancelled() => return,
            () = swallow.cancelled() => {
                // Neither reads nor ends: as a host does that lost its power.
                cut.cancelled().await;
                return;
            }
        };
        match read {
            Ok(count) if count > 0 => {
                bytes += count as u64;
                if cuts.as_ref().is_some_and(|cuts| cuts.is_due(bytes)) {
                    cut.cancel();
                    return;
                }
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
