//! Reads a hub back: every event of every partition from a moment on, up to what was there when the reading began.
//!
//! All partitions are read at once, each over a link of its own, on one connection. When that is lost, another one goes on
//! where it ended.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use txgen_amqp::client::Link;
use uuid::Uuid;

use super::connection::{Open, Target};
use super::errors;
use super::received::{Received, SELECTOR, receiver};
use crate::service::FailureKind;
use crate::service::event_hubs::ReadFrom;
use crate::service::event_hubs::timeouts::Timeouts;
use crate::service::event_hubs::tokens::TokenSource;
use crate::service::retry::{AttemptError, Verdict};
use crate::settings::{ConnectionString, EventHubTransport, Proxies};

/// Events that a link may be ahead of its reader; filled up by half.
const CREDIT: u32 = 1_000;
/// How long a partition may be silent that is known to have more.
const SILENCE: Duration = Duration::from_secs(30);
/// Connections in a row that bring nothing before the reading is given up.
const MOST_TRIES: u32 = 5;

/// An event that was read back.
#[derive(Debug)]
pub struct StoredEvent {
    /// The partition that holds it.
    pub partition: u32,
    /// Its number there.
    pub sequence_number: i64,
    /// The partition key that it was sent with, if any.
    pub partition_key: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// From where and up to where one partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// The last one read.
    read: Option<i64>,
    /// The last one that is there.
    last: i64,
}

/// Reads every event that `from` asks for, in the order of its partition. `take` is given each of them.
pub(in crate::service::event_hubs) async fn read_back(
    hub: &ConnectionString,
    transport: EventHubTransport,
    proxies: &Proxies,
    tokens: TokenSource,
    timeouts: Timeouts,
    ReadFrom { consumer_group, since_unix_ms }: ReadFrom<'_>,
    take: &mut (dyn FnMut(StoredEvent) + Send),
) -> Result<(), AttemptError> {
    let target = super::reading_target(hub, transport, proxies, tokens, timeouts)?;
    let mut reading = Reading { target, consumer_group: consumer_group.to_owned(), since_unix_ms, left: None };
    let mut tries = 0;
    loop {
        let before = reading.left.clone();
        match reading.go_on(take).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                let is_stuck = reading.left == before;
                tries = if is_stuck { tries + 1 } else { 1 };
                if matches!(error.verdict, Verdict::GiveUp | Verdict::RetryRefusal) || tries >= MOST_TRIES {
                    return Err(error);
                }
                tracing::debug!(hub = reading.target.hub, %error, "reading goes on over another connection");
                sleep(Duration::from_millis(200) * tries).await;
            }
        }
    }
}

struct Reading {
    target: Target,
    consumer_group: String,
    since_unix_ms: i64,
    /// The partitions that are not read to their ends; unknown before the first connection.
    left: Option<BTreeMap<u32, Stretch>>,
}

impl Reading {
    /// Reads over one connection until everything is read, or the connection fails.
    async fn go_on(&mut self, take: &mut (dyn FnMut(StoredEvent) + Send)) -> Result<(), AttemptError> {
        let mut open = self.target.open().await?;
        let Timeouts { connect, close, .. } = self.target.timeouts;
        let late =
            |what: &str| AttemptError::lost(FailureKind::Timeout, format!("{what} took longer than {connect:?}"));
        let mut left = match self.left.take() {
            Some(left) => left,
            None => {
                let found = timeout(connect, self.find_partitions(&mut open)).await;
                found.unwrap_or_else(|_| Err(late("reading the partitions' properties")))?
            }
        };
        let mut readers = HashMap::new();
        let mut error = None;
        for (partition, stretch) in &left {
            let attached = timeout(connect, self.attach(&mut open, *partition, *stretch)).await;
            match attached.unwrap_or_else(|_| Err(late("attaching a receiver"))) {
                Ok(link) => {
                    readers.insert(link, Reader { partition: *partition, unfilled: 0, heard: Instant::now() });
                }
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        // What the receivers before that one bring counts: else a connection that is lost again and again while receivers
        // are attached would never bring anything.
        if error.as_ref().is_none_or(|error| error.verdict != Verdict::GiveUp) {
            // The first error says most: those after it follow from it.
            error = error.or(read(&mut open, readers, &mut left, take).await.err());
        }
        let is_done = left.is_empty();
        self.left = Some(left);
        let _ = timeout(close, open.close()).await;
        match error {
            Some(error) if !is_done => Err(error),
            _ => Ok(()),
        }
    }

    /// Which partitions hold anything that is new enough, and up to where.
    async fn find_partitions(&self, open: &mut Open) -> Result<BTreeMap<u32, Stretch>, AttemptError> {
        let hub = &self.target.hub;
        let count = open.partitions(hub).await?.ok_or_else(|| {
            AttemptError::impossible(FailureKind::Unauthorized, "the hub does not say how many partitions it has")
        })?;
        let mut left = BTreeMap::new();
        for (partition, found) in (0..).zip(open.each_partition(hub, count).await?) {
            let is_new = !found.is_empty && found.last_enqueued_unix_ms > self.since_unix_ms;
            if is_new {
                left.insert(partition, Stretch { read: None, last: found.last_sequence_number });
            }
        }
        Ok(left)
    }

    async fn attach(&self, open: &mut Open, partition: u32, stretch: Stretch) -> Result<Link, AttemptError> {
        let selector = match stretch.read {
            Some(read) => format!("amqp.annotation.x-opt-sequence-number > '{read}'"),
            None => format!("amqp.annotation.x-opt-enqueued-time > '{}'", self.since_unix_ms),
        };
        let address = format!("{}/ConsumerGroups/{}/Partitions/{partition}", self.target.hub, self.consumer_group);
        let name = format!("txgen-{}", Uuid::new_v4());
        let filters = [(SELECTOR, selector.as_str())];
        open.receive_from(&receiver(&name, &address, &filters), CREDIT).await
    }
}

/// A link that is read.
struct Reader {
    partition: u32,
    /// Messages that have come since it was given credit.
    unfilled: u32,
    /// When the latest one came.
    heard: Instant,
}

/// Reads these links up to the ends of their partitions.
async fn read(
    open: &mut Open,
    mut readers: HashMap<Link, Reader>,
    left: &mut BTreeMap<u32, Stretch>,
    take: &mut (dyn FnMut(StoredEvent) + Send),
) -> Result<(), AttemptError> {
    while let Some((silent, since)) =
        readers.values().map(|reader| (reader.partition, reader.heard)).min_by_key(|(_, heard)| *heard)
    {
        let received = timeout_at(since + SILENCE, open.message()).await.map_err(|_| {
            let message = format!("partition {silent} has more events, but sent none for {SILENCE:?}");
            AttemptError::lost(FailureKind::Timeout, message)
        })?;
        let mut next = Some(received?);
        while let Some((link, message)) = next {
            if let Some(reader) = readers.get_mut(&link) {
                reader.heard = Instant::now();
                let event = stored_event(reader.partition, &message)?;
                let is_read = event.is_some_and(|event| has_ended(left, event, take));
                reader.unfilled += 1;
                if is_read {
                    readers.remove(&link);
                } else if reader.unfilled >= CREDIT / 2 {
                    reader.unfilled = 0;
                    open.line.amqp().grant(link, CREDIT);
                }
            }
            next = open.arrived();
        }
    }
    Ok(())
}

/// Takes an event; whether its partition is read to the end.
fn has_ended(
    left: &mut BTreeMap<u32, Stretch>,
    event: StoredEvent,
    take: &mut (dyn FnMut(StoredEvent) + Send),
) -> bool {
    let Some(stretch) = left.get_mut(&event.partition) else { return true };
    stretch.read = Some(event.sequence_number);
    let has_ended = event.sequence_number >= stretch.last;
    if has_ended {
        left.remove(&event.partition);
    }
    take(event);
    has_ended
}

fn stored_event(partition: u32, message: &[u8]) -> Result<Option<StoredEvent>, AttemptError> {
    let received = Received::read(message).map_err(|error| errors::undecodable(&error))?;
    let Some(sequence_number) = received.sequence_number else { return Ok(None) };
    // Somebody else's event may be of a kind that txgen does not send.
    let body = if received.is_data { received.body } else { Vec::new() };
    Ok(Some(StoredEvent { partition, sequence_number, partition_key: received.partition_key, body }))
}
