//! txgen's own publisher: thousands of events in flight over a few connections.
//!
//! A hub has one to eight connections, each with a few sender links, because a link's credit (a few hundred) bounds what
//! is in flight on it. One task owns a connection, its socket and the state of the protocol ([`serving`]); another one is
//! opened when it is lost ([`supervisor`]). A transaction takes the connection with the least on it ([`pool`]) and waits
//! for its own outcome.
//!
//! The order of events with one partition key is not kept across links; a run does not need it.

mod authorise;
mod connection;
mod dial;
mod errors;
pub(super) mod follow;
mod line;
mod management;
mod message;
mod pool;
mod queue;
pub(super) mod read_back;
mod received;
mod requests;
mod serving;
mod socket;
mod supervisor;

use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(super) use self::connection::Target;
use self::dial::Dialer;
use self::message::Event;
use self::pool::Pool;
use self::queue::{Request, Unstored};
use self::supervisor::Supervisor;
use super::Publisher;
use super::address::{self, Address};
use super::timeouts::Timeouts;
use super::tokens::TokenSource;
use crate::service::retry::{self, AttemptError, Retries, RetryPolicy};
use crate::service::{Attempts, Failure, FailureKind};
use crate::settings::{ConnectionString, DEFAULT_RETRY_FOR, EventHubTransport, EventHubsSettings, Proxies};
use crate::transaction::Transaction;

/// Unsettled events that one link is planned for. Azure gives 300 credits or so, and fills them up in portions.
const PER_LINK: usize = 250;
/// Links on one connection, at most: beyond, the connection itself is the bottleneck.
const MOST_LINKS: usize = 16;

/// The publisher of one hub.
pub(super) struct Pipelined {
    pool: Arc<Pool>,
    timeouts: Timeouts,
    policy: RetryPolicy,
    supervisors: TaskTracker,
    stop: CancellationToken,
    /// Ends the connections of a publisher that is dropped without having been closed.
    _stop_on_drop: DropGuard,
}

/// A hub to be read, over connections without links to send.
pub(super) fn reading_target(
    hub: &ConnectionString,
    transport: EventHubTransport,
    proxies: &Proxies,
    tokens: TokenSource,
    timeouts: Timeouts,
) -> Result<Target, AttemptError> {
    Ok(Target {
        hub: hub.hub.clone(),
        resource: format!("sb://{}/{}", hub.host, hub.hub),
        dialer: Dialer::new(Address::of(hub, transport), address::proxy(hub, transport, proxies)?, timeouts.dial)?,
        tokens,
        links: 0,
        timeouts,
        policy: RetryPolicy { budget: DEFAULT_RETRY_FOR, attempt: timeouts.attempt },
    })
}

impl Pipelined {
    /// Opens and authorises all connections at once, and reads how many partitions the hub has, if the service says so.
    pub(super) async fn connect(
        hub: &ConnectionString,
        settings: &EventHubsSettings,
        tokens: TokenSource,
        timeouts: Timeouts,
        policy: RetryPolicy,
    ) -> Result<(Self, Option<u32>), AttemptError> {
        let connections = settings.connections.get();
        let target = Arc::new(Target {
            hub: hub.hub.clone(),
            resource: format!("sb://{}/{}", hub.host, hub.hub),
            dialer: Dialer::new(
                Address::of(hub, settings.transport),
                address::proxy(hub, settings.transport, &settings.proxies)?,
                timeouts.dial,
            )?,
            tokens,
            links: settings.max_in_flight.get().div_ceil(connections).div_ceil(PER_LINK).clamp(1, MOST_LINKS),
            timeouts,
            policy,
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
            timeouts,
            policy,
            supervisors: TaskTracker::new(),
            stop: stop.clone(),
            _stop_on_drop: stop.drop_guard(),
        };
        let mut partitions = None;
        for (open, found) in opens {
            partitions = partitions.or(found);
            let supervisor =
                Supervisor { target: target.clone(), pool: publisher.pool.clone(), stop: publisher.stop.child_token() };
            publisher.supervisors.spawn(supervisor.keep(open));
        }
        Ok((publisher, partitions))
    }

    async fn attempt(
        &self,
        transaction: &Transaction,
        attempts: &Attempts<'_>,
        deadline: Instant,
    ) -> Result<(), AttemptError> {
        loop {
            let slot = timeout_at(deadline, self.pool.enter(&|why| attempts.failed(why)))
                .await
                .unwrap_or_else(|_| Err(self.no_link()))?;
            let reserved = timeout_at(deadline, slot.reserve()).await;
            let Some(permit) =
                reserved.map_err(|_| AttemptError::not_sent(FailureKind::Timeout, "no credit in time"))?
            else {
                continue;
            };
            let began = Instant::now();
            let (reply, outcome) = oneshot::channel();
            // From here on the connection's owner may send it at any moment.
            let attempt = attempts.send();
            permit.send(Request { event: Event::of(transaction), reply });
            return match timeout_at(deadline, outcome).await {
                Ok(Ok(Ok(()))) => {
                    retry::conclude(attempt, &Ok::<_, AttemptError>(()));
                    Ok(())
                }
                Ok(Ok(Err(unstored))) => match *unstored {
                    Unstored::Refused(error) => {
                        let answer = Err(error);
                        retry::conclude(attempt, &answer);
                        answer
                    }
                    Unstored::NotSent(error) => {
                        attempt.withdrawn();
                        Err(error)
                    }
                    Unstored::Lost(error) => {
                        attempt.lost();
                        Err(error)
                    }
                },
                // The task of the connection ended without a word; whether the event had left is not known.
                Ok(Err(_)) => {
                    attempt.lost();
                    Err(errors::lost("the connection was lost"))
                }
                Err(_) => {
                    attempt.lost();
                    if !slot.liveness().heard_since(began) {
                        // Nothing at all came back: everything else on this connection waits in vain, too.
                        slot.liveness().cut();
                    }
                    Err(AttemptError::timed_out(began.elapsed()))
                }
            };
        }
    }

    /// No connection came up in time, for the reason of the latest try to open one.
    fn no_link(&self) -> AttemptError {
        match self.pool.latest_error() {
            Some(error) => AttemptError::not_sent(error.kind, format_args!("no connection in time: {error}")),
            None => AttemptError::not_sent(FailureKind::Connection, "no connection in time: it is being opened again"),
        }
    }
}

impl Publisher for Pipelined {
    async fn publish(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Failure> {
        let mut retries = Retries::new(self.policy, attempts);
        loop {
            // The only await of an attempt: a second one would double the size of every transaction's future.
            match self.attempt(transaction, attempts, retries.deadline()).await {
                Ok(()) => return Ok(()),
                Err(error) => retries.wait(error).await?,
            }
        }
    }

    async fn close(&self) {
        self.stop.cancel();
        self.pool.report(AttemptError::impossible(FailureKind::Abandoned, "the publisher is closed"));
        self.supervisors.close();
        // Each supervisor bounds its own closing; this is for one that does not come back at all.
        let _ = timeout(self.timeouts.close * 2, self.supervisors.wait()).await;
    }
}
