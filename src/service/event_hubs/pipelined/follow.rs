//! Follows a hub: every event of its partitions from a position on, for as long as one likes.
//!
//! Each partition is read over a link of its own with an epoch: the service lets no other reader with a lower one in, and a
//! later one with the same takes the partition over. When the connection is lost, another one goes on where it ended.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use txgen_amqp::client::{Link, NewReceiver};
use uuid::Uuid;

use super::connection::{Open, Target};
use super::errors;
use super::received::{Received, SELECTOR, receiver};
use crate::service::FailureKind;
use crate::service::event_hubs::timeouts::Timeouts;
use crate::service::retry::{AttemptError, MOST_REFUSALS, Verdict};

/// The link property that carries the epoch.
const EPOCH: &str = "com.microsoft:epoch";
/// The epoch of all of txgen's readers: the one that comes last has the partition.
const OUR_EPOCH: i64 = 0;
/// What the service says to a reader whose partition another one has taken.
const STOLEN: &str = "amqp:link:stolen";
/// Events that a link may be ahead of its reader; filled up by half.
const CREDIT: u32 = 2_000;
/// Events that are taken before they are handed over, at most.
const BATCH: usize = 256;

/// An event of a hub, with all that the service says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct HubEvent {
    /// The partition that holds it.
    pub partition: u32,
    /// Its number there.
    pub sequence_number: i64,
    /// Its place there.
    pub offset: Option<String>,
    /// When it was enqueued, in milliseconds since 1970-01-01 UTC.
    pub enqueued_unix_ms: Option<i64>,
    /// The partition key that it was sent with.
    pub partition_key: Option<String>,
    /// The properties that it was sent with, as a JSON object.
    pub properties: Option<String>,
    /// Its body. One that is an AMQP value is its text, or its JSON.
    pub body: Vec<u8>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The number of its first event, or of the next one where it is empty.
    pub first_sequence_number: i64,
    /// The number of its last event, or of the last one that it had; -1 where it never had any.
    pub last_sequence_number: i64,
}

/// What a hub is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubState {
    /// When it was created, in milliseconds since 1970-01-01 UTC.
    pub created_unix_ms: i64,
    /// Its partitions, by their number.
    pub partitions: BTreeMap<u32, PartitionState>,
}

/// Reads what the hub is and what its partitions hold.
pub(in crate::service::event_hubs) async fn look(target: &Target) -> Result<HubState, AttemptError> {
    let mut open = target.open().await?;
    let Timeouts { connect, close, .. } = target.timeouts;
    let untold =
        |what: &str| AttemptError::impossible(FailureKind::Unauthorized, format!("the hub does not tell {what}"));
    let looked = timeout(connect, async {
        let count = open.partitions(&target.hub).await?.ok_or_else(|| untold("how many partitions it has"))?;
        let created = open.created_unix_ms(&target.hub).await?.ok_or_else(|| untold("when it was created"))?;
        let partitions = (0..).zip(open.each_partition(&target.hub, count).await?);
        let state = |partition: super::management::Partition| PartitionState {
            first_sequence_number: if partition.is_empty {
                partition.last_sequence_number + 1
            } else {
                partition.first_sequence_number
            },
            last_sequence_number: partition.last_sequence_number,
        };
        Ok(HubState {
            created_unix_ms: created,
            partitions: partitions.map(|(number, partition)| (number, state(partition))).collect(),
        })
    });
    let looked = looked.await.unwrap_or_else(|_| {
        let message = format!("reading the partitions' properties took longer than {connect:?}");
        Err(AttemptError::lost(FailureKind::Timeout, message))
    });
    let _ = timeout(close, open.close()).await;
    looked
}

/// Reads the partitions after the given sequence numbers, `None` meaning from their beginning, and hands the events over in
/// the order of their partition. Returns once that does not help any more, once `cancel` says so, or once the
/// events are taken no longer.
pub(in crate::service::event_hubs) async fn follow(
    target: Target,
    consumer_group: String,
    mut after: BTreeMap<u32, Option<i64>>,
    events: mpsc::Sender<Vec<HubEvent>>,
    cancel: CancellationToken,
) -> Result<(), AttemptError> {
    let mut backoff = target.policy.reconnecting();
    let mut troubled_since: Option<Instant> = None;
    let mut refusals = 0;
    loop {
        let before = after.clone();
        let following = Following { target: &target, consumer_group: &consumer_group };
        let ended = cancel.run_until_cancelled(following.go_on(&mut after, &events)).await;
        let Some(Err(error)) = ended else { return Ok(()) };
        refusals = if error.verdict == Verdict::RetryRefusal { refusals + 1 } else { 0 };
        if error.verdict == Verdict::GiveUp || refusals >= MOST_REFUSALS || is_stolen(&error) {
            return Err(error);
        }
        if after != before {
            (backoff, troubled_since) = (target.policy.reconnecting(), None);
        }
        let since = *troubled_since.get_or_insert_with(Instant::now);
        if since.elapsed() > target.policy.budget {
            return Err(error);
        }
        tracing::warn!(hub = target.hub, %error, "reading goes on over another connection");
        let wait = backoff.next(&mut rand::rng());
        if cancel.run_until_cancelled(sleep(wait)).await.is_none() {
            return Ok(());
        }
    }
}

/// Whether another reader has taken the partition over.
pub(in crate::service::event_hubs) fn is_stolen(error: &AttemptError) -> bool {
    error.status.as_deref() == Some(STOLEN)
}

struct Following<'a> {
    target: &'a Target,
    consumer_group: &'a str,
}

/// A link that is read.
struct Reader {
    partition: u32,
    /// Messages that have come since it was given credit.
    unfilled: u32,
}

/// Events that are handed over together, by their partitions.
type Batches = BTreeMap<u32, Vec<HubEvent>>;

impl Following<'_> {
    /// Reads over one connection until it fails; `Ok` once the events are taken no longer.
    async fn go_on(
        &self,
        after: &mut BTreeMap<u32, Option<i64>>,
        events: &mpsc::Sender<Vec<HubEvent>>,
    ) -> Result<(), AttemptError> {
        let mut open = self.target.open().await?;
        let Timeouts { connect, close, .. } = self.target.timeouts;
        let mut readers = HashMap::new();
        for (partition, position) in after.iter() {
            let attached = timeout(connect, self.attach(&mut open, *partition, *position)).await.unwrap_or_else(|_| {
                let message = format!("attaching a receiver took longer than {connect:?}");
                Err(AttemptError::lost(FailureKind::Timeout, message))
            });
            readers.insert(attached?, Reader { partition: *partition, unfilled: 0 });
        }
        let ended = self.read(&mut open, &mut readers, after, events).await;
        let _ = timeout(close, open.close()).await;
        ended
    }

    async fn read(
        &self,
        open: &mut Open,
        readers: &mut HashMap<Link, Reader>,
        after: &mut BTreeMap<u32, Option<i64>>,
        events: &mpsc::Sender<Vec<HubEvent>>,
    ) -> Result<(), AttemptError> {
        let connect = self.target.timeouts.connect;
        let renewal = |open: &Open| open.renew_in().map(|wait| Instant::now() + wait);
        let mut renew_at = renewal(open);
        loop {
            tokio::select! {
                message = open.message() => {
                    let first = message?;
                    let batches = gather(open, readers, first)?;
                    for (partition, batch) in batches {
                        let last = batch.last().map(|event| event.sequence_number);
                        if !hand_over(open, events, batch).await? {
                            return Ok(());
                        }
                        if last.is_some() {
                            after.insert(partition, last);
                        }
                    }
                }
                () = events.closed() => return Ok(()),
                () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => {
                    match timeout(connect, open.renew(self.target)).await {
                        Ok(Ok(())) => renew_at = renewal(open),
                        // Until the token expires nothing is lost, and then opening the connection again shows why.
                        refused => {
                            tracing::warn!(hub = self.target.hub, ?refused, "the token was not renewed");
                            renew_at = Some(Instant::now() + Duration::from_secs(10));
                        }
                    }
                }
            }
        }
    }

    async fn attach(&self, open: &mut Open, partition: u32, after: Option<i64>) -> Result<Link, AttemptError> {
        let selector = match after {
            Some(after @ 0..) => format!("amqp.annotation.x-opt-sequence-number > '{after}'"),
            _ => "amqp.annotation.x-opt-offset > '-1'".to_owned(),
        };
        let address = format!("{}/ConsumerGroups/{}/Partitions/{partition}", self.target.hub, self.consumer_group);
        let name = format!("txgen-{}", Uuid::new_v4());
        let filters = [(SELECTOR, selector.as_str())];
        let receiver = NewReceiver { properties: &[(EPOCH, OUR_EPOCH)], ..receiver(&name, &address, &filters) };
        open.receive_from(&receiver, CREDIT).await
    }
}

/// Takes what has arrived without waiting, so that a slow hub's events are handed over at once.
fn gather(
    open: &mut Open,
    readers: &mut HashMap<Link, Reader>,
    first: (Link, Vec<u8>),
) -> Result<Batches, AttemptError> {
    let mut batches = Batches::new();
    let mut next = Some(first);
    let mut count = 0;
    while let Some((link, message)) = next {
        if let Some(reader) = readers.get_mut(&link) {
            let batch = batches.entry(reader.partition).or_default();
            batch.extend(hub_event(reader.partition, &message)?);
            reader.unfilled += 1;
            if reader.unfilled >= CREDIT / 2 {
                reader.unfilled = 0;
                open.line.amqp().grant(link, CREDIT);
            }
        }
        count += 1;
        next = if count < BATCH { open.arrived() } else { None };
    }
    Ok(batches)
}

/// Hands a batch over, and keeps the connection up while that takes time. `false` when the events are taken no longer.
async fn hand_over(
    open: &mut Open,
    events: &mpsc::Sender<Vec<HubEvent>>,
    batch: Vec<HubEvent>,
) -> Result<bool, AttemptError> {
    if batch.is_empty() {
        return Ok(true);
    }
    tokio::select! {
        biased;
        sent = events.send(batch) => Ok(sent.is_ok()),
        cut = open.line.hold() => Err(errors::of_cut(cut)),
    }
}

fn hub_event(partition: u32, message: &[u8]) -> Result<Option<HubEvent>, AttemptError> {
    let received = Received::read(message).map_err(|error| errors::undecodable(&error))?;
    Ok(received.sequence_number.map(|sequence_number| HubEvent {
        partition,
        sequence_number,
        offset: received.offset,
        enqueued_unix_ms: received.enqueued_unix_ms,
        partition_key: received.partition_key,
        properties: received.properties,
        body: received.body,
    }))
}
