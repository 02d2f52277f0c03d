//! Reads a hub back: every event of every partition from a moment on, up to what was there when the reading began.
//!
//! All partitions are read at once, each over a link of its own, on one connection. When that is lost, another one goes on
//! where it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp_types::definitions::SenderSettleMode;
use fe2o3_amqp_types::messaging::annotations::OwnedKey;
use fe2o3_amqp_types::messaging::{Body, Message, Source};
use fe2o3_amqp_types::primitives::{Symbol, Value};
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::connection::{Open, Target};
use super::errors;
use crate::service::FailureKind;
use crate::service::event_hubs::ReadFrom;
use crate::service::event_hubs::timeouts::Timeouts;
use crate::service::event_hubs::tokens::TokenSource;
use crate::service::retry::{AttemptError, Verdict};
use crate::settings::{ConnectionString, EventHubTransport, Proxies};

/// The filter that says where a reader starts, by name and by the descriptor that Microsoft's clients use.
const SELECTOR: &str = "apache.org:selector-filter:string";
/// Events that a link may be ahead of its reader; filled up by half.
const CREDIT: u32 = 1_000;
/// How long a partition may be silent that is known to have more.
const SILENCE: Duration = Duration::from_secs(30);
/// Connections in a row that bring nothing before the reading is given up.
const MOST_TRIES: u32 = 5;
/// Events that wait to be looked at.
const WAITING: usize = 4_096;

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
        let (events, mut arrived) = mpsc::channel(WAITING);
        let mut readers = JoinSet::new();
        let mut error = None;
        for (partition, stretch) in &left {
            let attached = timeout(connect, self.attach(&mut open, *partition, *stretch)).await;
            match attached.unwrap_or_else(|_| Err(late("attaching a receiver"))) {
                Ok(receiver) => drop(readers.spawn(read(receiver, *partition, stretch.last, events.clone()))),
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        if error.as_ref().is_some_and(|error| error.verdict == Verdict::GiveUp) {
            readers.abort_all();
        }
        // What the receivers before that one have brought counts: else a connection that is lost again and again while
        // receivers are attached would never bring anything.
        drop(events);
        while let Some(event) = arrived.recv().await {
            if let Some(stretch) = left.get_mut(&event.partition) {
                stretch.read = Some(event.sequence_number);
                if event.sequence_number >= stretch.last {
                    left.remove(&event.partition);
                }
            }
            take(event);
        }
        while let Some(ended) = readers.join_next().await {
            let ended = match ended {
                Err(error) if error.is_cancelled() => Ok(()),
                ended => ended.unwrap_or_else(|error| Err(AttemptError::lost(FailureKind::Internal, error))),
            };
            // The first one says most: those after it follow from it.
            error = error.or(ended.err());
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

    async fn attach(&self, open: &mut Open, partition: u32, stretch: Stretch) -> Result<Receiver, AttemptError> {
        let selector = match stretch.read {
            Some(read) => format!("amqp.annotation.x-opt-sequence-number > '{read}'"),
            None => format!("amqp.annotation.x-opt-enqueued-time > '{}'", self.since_unix_ms),
        };
        let filter = Described { descriptor: Descriptor::Name(Symbol::from(SELECTOR)), value: Value::String(selector) };
        let address = format!("{}/ConsumerGroups/{}/Partitions/{partition}", self.target.hub, self.consumer_group);
        let source = Source::builder().address(address).add_to_filter(SELECTOR, filter).build();
        let session: &mut SessionHandle<()> = open.session();
        let mut receiver = Receiver::builder()
            .name(format!("txgen-{}", Uuid::new_v4()))
            .source(source)
            .sender_settle_mode(SenderSettleMode::Settled)
            // Filled up by hand: the library counts deliveries that it settles itself, and these come settled.
            .credit_mode(CreditMode::Manual)
            // A service may put the filter back in a form of its own.
            .verify_incoming_source(false)
            .attach(session)
            .await
            .map_err(|error| errors::of_receiver_attach(&error))?;
        receiver
            .set_credit(CREDIT)
            .await
            .map_err(|error| AttemptError::lost(FailureKind::Connection, format!("the link was lost: {error:?}")))?;
        Ok(receiver)
    }
}

/// Reads one partition up to `last`.
async fn read(
    mut receiver: Receiver,
    partition: u32,
    last: i64,
    events: mpsc::Sender<StoredEvent>,
) -> Result<(), AttemptError> {
    let mut unfilled = 0;
    loop {
        let received = timeout(SILENCE, receiver.recv::<Body<Value>>()).await.map_err(|_| {
            let message = format!("partition {partition} has more events, but sent none for {SILENCE:?}");
            AttemptError::lost(FailureKind::Timeout, message)
        })?;
        let delivery = received.map_err(|error| errors::of_receive(&error))?;
        let Some(event) = stored_event(partition, delivery.into_message()) else { continue };
        let is_last = event.sequence_number >= last;
        if events.send(event).await.is_err() || is_last {
            return Ok(());
        }
        unfilled += 1;
        if unfilled >= CREDIT / 2 {
            unfilled = 0;
            let filled = receiver.set_credit(CREDIT).await;
            filled.map_err(|error| {
                AttemptError::lost(FailureKind::Connection, format!("the link was lost: {error:?}"))
            })?;
        }
    }
}

fn stored_event(partition: u32, message: Message<Body<Value>>) -> Option<StoredEvent> {
    let (mut sequence_number, mut partition_key) = (None, None);
    for (key, value) in message.message_annotations?.0 {
        let OwnedKey::Symbol(name) = key else { continue };
        match (name.as_str(), value) {
            ("x-opt-sequence-number", Value::Long(number)) => sequence_number = Some(number),
            ("x-opt-partition-key", Value::String(key)) => partition_key = Some(key),
            _ => {}
        }
    }
    let body = match message.body {
        Body::Data(sections) => sections.into_iter().flat_map(|section| section.0.into_vec()).collect(),
        // Somebody else's event, of a kind that txgen does not send.
        _ => Vec::new(),
    };
    Some(StoredEvent { partition, sequence_number: sequence_number?, partition_key, body })
}
