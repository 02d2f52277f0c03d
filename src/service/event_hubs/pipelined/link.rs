//! One sender link and the task that owns it.
//!
//! A link is used by one task alone, so transactions reach it through a bounded queue. The task only hands them to the
//! library: each transaction waits for its own outcome, in the task of its own that the bulkhead gave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fe2o3_amqp::Sender;
use fe2o3_amqp::link::SendError;
use fe2o3_amqp::link::delivery::DeliveryFut;
use fe2o3_amqp_types::messaging::Outcome;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::errors;
use super::message::Event;
use super::socket::Liveness;
use crate::service::FailureKind;
use crate::service::retry::AttemptError;

/// Transactions that wait for a link, at most. The link's credit, a few hundred, is what really bounds it.
const QUEUE: usize = 256;
/// Transactions taken from the queue at once.
const BATCH: usize = 64;

/// The outcome of a delivery, to come.
pub(super) type Delivery = DeliveryFut<Result<Outcome, SendError>>;

/// One transaction on its way to a link.
pub(super) struct Request {
    pub(super) event: Event,
    /// Hears that the request left, or why it did not.
    pub(super) reply: oneshot::Sender<Result<Delivery, AttemptError>>,
}

/// A link, as those see it who send over it.
pub(super) struct Link {
    requests: mpsc::Sender<Request>,
    load: AtomicUsize,
    /// Of the connection below.
    liveness: Arc<Liveness>,
}

impl Link {
    /// A link over the connection with this liveness, and the end of its queue that belongs to the link's owner.
    pub(super) fn new(liveness: Arc<Liveness>) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (requests, queue) = mpsc::channel(QUEUE);
        (Arc::new(Self { requests, load: AtomicUsize::new(0), liveness }), queue)
    }

    /// Transactions that are on this link now, waiting or unsettled.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Enters the link; leaving is dropping what this gives.
    pub(super) fn enter(self: &Arc<Self>) -> Slot {
        self.load.fetch_add(1, Ordering::Relaxed);
        Slot(self.clone())
    }
}

/// One transaction's place on a link.
pub(super) struct Slot(Arc<Link>);

impl Slot {
    /// Waits for a place in the queue; `None` when the link is gone.
    pub(super) async fn reserve(&self) -> Option<mpsc::Permit<'_, Request>> {
        self.0.requests.reserve().await.ok()
    }

    /// The liveness of the connection below.
    pub(super) fn liveness(&self) -> &Liveness {
        &self.0.liveness
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Owns the link: sends what the queue brings until the link is gone, or `stop` is cancelled; then calls `leave`, upon
/// which nothing enters the link any more.
///
/// When it returns, everything in the queue has been reported as not sent, and whatever was unsettled resolves,
/// because the library's end of the link is dropped.
pub(super) async fn own(
    mut sender: Sender,
    mut queue: mpsc::Receiver<Request>,
    stop: CancellationToken,
    leave: impl FnOnce(),
) -> AttemptError {
    let end = tokio::select! {
        end = send_all(&mut sender, &mut queue) => end,
        () = stop.cancelled() => AttemptError::not_sent(FailureKind::Connection, "the connection is being closed"),
    };
    leave();
    queue.close();
    while let Some(request) = queue.recv().await {
        // Nobody listens where the transaction was given up.
        let _ = request.reply.send(Err(elsewhere(&end)));
    }
    end
}

async fn send_all(sender: &mut Sender, queue: &mut mpsc::Receiver<Request>) -> AttemptError {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            error = sender.on_detach() => return errors::of_detach(&error),
            count = queue.recv_many(&mut batch, BATCH) => if count == 0 {
                return AttemptError::not_sent(FailureKind::Connection, "the link was given up");
            },
        }
        let mut requests = batch.drain(..);
        while let Some(request) = requests.next() {
            if let Err(end) = send(sender, request).await {
                for request in requests {
                    let _ = request.reply.send(Err(elsewhere(&end)));
                }
                return end;
            }
        }
    }
}

/// Hands one transaction to the link; an error is one of the link's.
async fn send(sender: &mut Sender, request: Request) -> Result<(), AttemptError> {
    let Request { event, reply } = request;
    if reply.is_closed() {
        return Ok(());
    }
    match sender.send_batchable(event.into_message()).await {
        Ok(delivery) => {
            let _ = reply.send(Ok(delivery));
            Ok(())
        }
        Err(error @ (SendError::MessageSizeExceeded(_) | SendError::MessageEncodeError)) => {
            let _ = reply.send(Err(errors::of_send(&error)));
            Ok(())
        }
        Err(error) => {
            let end = errors::of_send(&error);
            let _ = reply.send(Err(elsewhere(&end)));
            Err(end)
        }
    }
}

/// What a transaction hears that was still in the queue: it can take another link.
fn elsewhere(end: &AttemptError) -> AttemptError {
    AttemptError::not_sent(FailureKind::Connection, end)
}
