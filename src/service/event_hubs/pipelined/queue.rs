//! The way from transactions to one connection.
//!
//! A connection is used by one task alone, so transactions reach it through a bounded queue. The task only writes them:
//! each transaction waits for its own outcome, in the task of its own that the bulkhead gave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::message::Event;
use super::socket::Liveness;
use crate::service::retry::AttemptError;

/// Transactions that wait for a link, at most, for each link of the connection. The link's credit, a few hundred, is what
/// really bounds it.
const PER_LINK: usize = 256;

/// What settled one attempt other than by storing the event. Boxed where it is used: it is rare, and large.
#[derive(Debug)]
pub(super) enum Unstored {
    /// The service's answer.
    Refused(AttemptError),
    /// The request did not leave.
    NotSent(AttemptError),
    /// The request left, and the answer will not come.
    Lost(AttemptError),
}

/// Hears what became of a transaction. Nobody listens where it was given up.
pub(super) type Reply = oneshot::Sender<Result<(), Box<Unstored>>>;

/// One transaction on its way to a link.
pub(super) struct Request {
    pub(super) event: Event,
    pub(super) reply: Reply,
}

/// A connection, as those see it who send over it.
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    load: AtomicUsize,
    liveness: Arc<Liveness>,
}

impl Queue {
    /// The queue of a connection with so many links, and its end that belongs to the connection's owner.
    pub(super) fn new(links: usize, liveness: Arc<Liveness>) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (requests, end) = mpsc::channel(PER_LINK * links.max(1));
        (Arc::new(Self { requests, load: AtomicUsize::new(0), liveness }), end)
    }

    /// Transactions that are on this connection now, waiting or unsettled.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Enters the queue; leaving is dropping what this gives.
    pub(super) fn enter(self: &Arc<Self>) -> Slot {
        self.load.fetch_add(1, Ordering::Relaxed);
        Slot(self.clone())
    }
}

/// One transaction's place on a connection.
pub(super) struct Slot(Arc<Queue>);

impl Slot {
    /// Waits for a place in the queue; `None` when the connection is gone.
    pub(super) async fn reserve(&self) -> Option<mpsc::Permit<'_, Request>> {
        self.0.requests.reserve().await.ok()
    }

    /// The liveness of the connection.
    pub(super) fn liveness(&self) -> &Liveness {
        &self.0.liveness
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}
