//! txgen's own publisher: thousands of events in flight over a few connections.
//!
//! A hub has one to eight connections, each with a few sender links, because a link's credit (a few hundred) bounds what
//! is in flight on it. Each link belongs to a task of its own ([`lane`]), each connection to another ([`connection`]),
//! which opens it again when it is lost, and renews its token. A transaction takes the link with the least on it
//! ([`pool`]) and waits for its own outcome.
//!
//! The order of events with one partition key is not kept across links; a run does not need it.

mod authorise;
mod connection;
mod dial;
mod lane;
mod line;
mod management;
mod message;
mod pool;
pub(super) mod read_back;
mod trouble;

use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::connection::{Keeper, Target};
use self::dial::Dialer;
use self::lane::{Delivery, Job};
use self::message::Event;
use self::pool::Pool;
use super::Publisher;
use super::address::Address;
use super::patience::Patience;
use super::persist::persist;
use super::setback::Setback;
use super::tokens::TokenSource;
use crate::service::{Attempts, Failure, FailureKind};
use crate::settings::{ConnectionString, EventHubsSettings};
use crate::transaction::Transaction;

/// Unsettled events that one link is planned for. Azure gives 300 credits or so, and fills them up in portions.
const PER_LINK: usize = 250;
/// Links on one connection, at most: beyond, the connection itself is the bottleneck.
const MOST_LINKS: usize = 16;

/// The publisher of one hub.
pub(super) struct Pipelined {
    pool: Arc<Pool>,
    patience: Patience,
    keepers: TaskTracker,
    stop: CancellationToken,
    /// Ends the connections of a publisher that is dropped without having been closed.
    _stop_on_drop: DropGuard,
}

/// What settled one attempt.
enum Settled {
    /// The service's answer.
    Answer(Result<(), Setback>),
    /// The request did not leave.
    NotSent(Setback),
    /// The request left, and the answer will not come.
    Lost(Setback),
}

impl Pipelined {
    /// Opens and authorises all connections at once, and reads how many partitions the hub has, if the service tells.
    pub(super) async fn connect(
        hub: &ConnectionString,
        settings: &EventHubsSettings,
        tokens: TokenSource,
        patience: Patience,
    ) -> Result<(Self, Option<u32>), Setback> {
        let connections = settings.connections.get();
        let target = Arc::new(Target {
            hub: hub.hub.clone(),
            resource: format!("sb://{}/{}", hub.host, hub.hub),
            dialer: Dialer::new(Address::of(hub, settings.transport))?,
            tokens,
            lanes: settings.max_in_flight.get().div_ceil(connections).div_ceil(PER_LINK).clamp(1, MOST_LINKS),
            patience,
        });
        let opens = try_join_all((0..connections).map(|nth| {
            let target = &target;
            async move {
                let mut open = target.open().await?;
                let partitions = if nth == 0 { open.partitions(&target.hub).await? } else { None };
                Ok((open, partitions))
            }
        }))
        .await?;

        let stop = CancellationToken::new();
        let publisher = Self {
            pool: Arc::new(Pool::new()),
            patience,
            keepers: TaskTracker::new(),
            stop: stop.clone(),
            _stop_on_drop: stop.drop_guard(),
        };
        let mut partitions = None;
        for (open, found) in opens {
            partitions = partitions.or(found);
            let keeper =
                Keeper { target: target.clone(), pool: publisher.pool.clone(), stop: publisher.stop.child_token() };
            publisher.keepers.spawn(keeper.keep(open));
        }
        Ok((publisher, partitions))
    }

    async fn attempt(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Setback> {
        let deadline = Instant::now() + self.patience.attempt;
        loop {
            let place = timeout_at(deadline, self.pool.enter(&|why| attempts.setback(why)))
                .await
                .unwrap_or_else(|_| Err(self.no_lane()))?;
            let reserved = timeout_at(deadline, place.reserve()).await;
            let Some(permit) = reserved.map_err(|_| Setback::not_sent(FailureKind::Timeout, "no credit in time"))?
            else {
                continue;
            };
            let began = Instant::now();
            let (reply, left) = oneshot::channel();
            // From here on the link's owner may send it at any moment.
            attempts.sent();
            permit.send(Job { event: Event::of(transaction), reply });
            return match timeout_at(deadline, settle(left)).await {
                Ok(Settled::Answer(answer)) => {
                    attempts.answered();
                    answer
                }
                Ok(Settled::NotSent(setback)) => {
                    attempts.answered();
                    Err(setback)
                }
                Ok(Settled::Lost(setback)) => {
                    attempts.ambiguous();
                    Err(setback)
                }
                Err(_) => {
                    attempts.ambiguous();
                    if !place.pulse().heard_since(began) {
                        // Nothing at all came back: everything else on this connection waits in vain, too.
                        place.pulse().cut();
                    }
                    let message = format!("no answer within {:?}", self.patience.attempt);
                    Err(Setback::unanswered(FailureKind::Timeout, message))
                }
            };
        }
    }

    fn no_lane(&self) -> Setback {
        let reason =
            self.pool.trouble().map_or_else(|| "the connection is being opened again".into(), |t| t.to_string());
        Setback::not_sent(
            FailureKind::Connection,
            format!("no connection within {:?}: {reason}", self.patience.attempt),
        )
    }
}

impl Publisher for Pipelined {
    async fn publish(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Failure> {
        persist(&self.patience, attempts, || self.attempt(transaction, attempts)).await
    }

    async fn close(&self) {
        self.stop.cancel();
        self.pool.tell(Setback::impossible(FailureKind::Abandoned, "the publisher is closed"));
        self.keepers.close();
        // Each keeper bounds its own politeness; this is for one that does not come back at all.
        let _ = timeout(self.patience.close * 2, self.keepers.wait()).await;
    }
}

async fn settle(left: oneshot::Receiver<Result<Delivery, Setback>>) -> Settled {
    match left.await {
        Ok(Ok(delivery)) => match delivery.await {
            Ok(outcome) => Settled::Answer(trouble::of_outcome(outcome)),
            Err(error) => Settled::Lost(trouble::of_lost_delivery(&error)),
        },
        Ok(Err(setback)) => Settled::NotSent(setback),
        Err(_) => Settled::Lost(Setback::unanswered(FailureKind::Internal, "the link's owner is gone")),
    }
}
