//! Follows a hub: every event of its partitions from a position on, for as long as one likes.
//!
//! Each partition is read over a link of its own with an epoch: the service lets no other reader with a lower one in, and a
//! later one with the same takes the partition over. When the connection is lost, another one goes on where it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp_types::definitions::{Fields, SenderSettleMode};
use fe2o3_amqp_types::messaging::annotations::OwnedKey;
use fe2o3_amqp_types::messaging::{Body, Message, Source};
use fe2o3_amqp_types::primitives::{SimpleValue, Symbol, Value};
use futures_util::FutureExt as _;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connection::{Open, Target};
use super::errors;
use crate::service::FailureKind;
use crate::service::event_hubs::timeouts::Timeouts;
use crate::service::retry::{AttemptError, MOST_REFUSALS, Verdict};

/// The filter that says where a reader starts, by name and by the descriptor that Microsoft's clients use.
const SELECTOR: &str = "apache.org:selector-filter:string";
/// The link property that carries the epoch.
const EPOCH: &str = "com.microsoft:epoch";
/// The epoch of all of txgen's readers: the one that comes last has the partition.
const OUR_EPOCH: i64 = 0;
/// What the service says to a reader whose partition another one has taken.
const STOLEN: &str = "amqp:link:stolen";
/// Events that a link may be ahead of its reader; filled up by half.
const CREDIT: u32 = 2_000;
/// Events that are handed over at once, at most.
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

impl Following<'_> {
    /// Reads over one connection until it fails; `Ok` once the events are taken no longer.
    async fn go_on(
        &self,
        after: &mut BTreeMap<u32, Option<i64>>,
        events: &mpsc::Sender<Vec<HubEvent>>,
    ) -> Result<(), AttemptError> {
        let mut open = self.target.open().await?;
        let mut readers = JoinSet::new();
        let (read, mut arrived) = mpsc::channel(8);
        let Timeouts { connect, close, idle, .. } = self.target.timeouts;
        for (partition, position) in after.iter() {
            let attached = timeout(connect, self.attach(&mut open, *partition, *position)).await.unwrap_or_else(|_| {
                let message = format!("attaching a receiver took longer than {connect:?}");
                Err(AttemptError::lost(FailureKind::Timeout, message))
            });
            readers.spawn(receive(attached?, *partition, read.clone()));
        }
        drop(read);
        let renewal = |open: &Open| open.renew_in().map(|wait| Instant::now() + wait);
        let mut renew_at = renewal(&open);
        let error = loop {
            tokio::select! {
                Some(ended) = readers.join_next() => match ended {
                    Ok(error) => break error,
                    Err(error) => break AttemptError::lost(FailureKind::Internal, error),
                },
                Some(batch) = arrived.recv() => {
                    let batch: Vec<HubEvent> = batch;
                    if let Some(last) = batch.last() {
                        after.insert(last.partition, Some(last.sequence_number));
                    }
                    if events.send(batch).await.is_err() {
                        readers.shutdown().await;
                        let _ = timeout(close, open.close()).await;
                        return Ok(());
                    }
                }
                error = open.end(idle) => break error,
                () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => {
                    match timeout(connect, open.renew(self.target)).await {
                        Ok(Ok(())) => renew_at = renewal(&open),
                        // Until the token expires nothing is lost, and then opening the connection again shows why.
                        refused => {
                            tracing::warn!(hub = self.target.hub, ?refused, "the token was not renewed");
                            renew_at = Some(Instant::now() + Duration::from_secs(10));
                        }
                    }
                }
            }
        };
        readers.shutdown().await;
        // What has arrived is read: else a connection that is lost again and again would never bring anything.
        while let Ok(batch) = arrived.try_recv() {
            if let Some(last) = batch.last() {
                after.insert(last.partition, Some(last.sequence_number));
            }
            if events.send(batch).await.is_err() {
                break;
            }
        }
        let _ = timeout(close, open.close()).await;
        Err(error)
    }

    async fn attach(&self, open: &mut Open, partition: u32, after: Option<i64>) -> Result<Receiver, AttemptError> {
        let selector = match after {
            Some(after @ 0..) => format!("amqp.annotation.x-opt-sequence-number > '{after}'"),
            _ => "amqp.annotation.x-opt-offset > '-1'".to_owned(),
        };
        let filter = Described { descriptor: Descriptor::Name(Symbol::from(SELECTOR)), value: Value::String(selector) };
        let address = format!("{}/ConsumerGroups/{}/Partitions/{partition}", self.target.hub, self.consumer_group);
        let source = Source::builder().address(address).add_to_filter(SELECTOR, filter).build();
        let mut properties = Fields::new();
        properties.insert(Symbol::from(EPOCH), Value::Long(OUR_EPOCH));
        let mut receiver = Receiver::builder()
            .name(format!("txgen-{}", Uuid::new_v4()))
            .source(source)
            .properties(properties)
            .sender_settle_mode(SenderSettleMode::Settled)
            // Filled up by hand: the library counts deliveries that it settles itself, and these come settled.
            .credit_mode(CreditMode::Manual)
            // A service may put the filter back in a form of its own.
            .verify_incoming_source(false)
            .attach(open.session())
            .await
            .map_err(|error| errors::of_receiver_attach(&error))?;
        let credited = receiver.set_credit(CREDIT).await;
        credited
            .map_err(|error| AttemptError::lost(FailureKind::Connection, format!("the link was lost: {error:?}")))?;
        Ok(receiver)
    }
}

/// Receives over one link until it fails.
async fn receive(mut receiver: Receiver, partition: u32, read: mpsc::Sender<Vec<HubEvent>>) -> AttemptError {
    let mut unfilled = 0;
    let mut batch = Vec::new();
    loop {
        // What waits in the link's own queue is taken without waiting, so that a slow hub's events are handed over at once.
        let received = if batch.is_empty() {
            Some(receiver.recv::<Body<Value>>().await)
        } else {
            receiver.recv::<Body<Value>>().now_or_never()
        };
        let is_drained = received.is_none();
        match received {
            Some(Ok(delivery)) => {
                unfilled += 1;
                batch.extend(hub_event(partition, delivery.into_message()));
            }
            Some(Err(error)) => {
                let _ = read.send(batch).await;
                return errors::of_receive(&error);
            }
            None => {}
        }
        if (is_drained || batch.len() >= BATCH) && read.send(std::mem::take(&mut batch)).await.is_err() {
            return AttemptError::impossible(FailureKind::Abandoned, "the events are taken no longer");
        }
        if unfilled >= CREDIT / 2 {
            unfilled = 0;
            if let Err(error) = receiver.set_credit(CREDIT).await {
                let _ = read.send(batch).await;
                return AttemptError::lost(FailureKind::Connection, format!("the link was lost: {error:?}"));
            }
        }
    }
}

fn hub_event(partition: u32, message: Message<Body<Value>>) -> Option<HubEvent> {
    let mut event = HubEvent {
        partition,
        sequence_number: -1,
        offset: None,
        enqueued_unix_ms: None,
        partition_key: None,
        properties: None,
        body: Vec::new(),
    };
    let mut is_numbered = false;
    for (key, value) in message.message_annotations?.0 {
        let OwnedKey::Symbol(name) = key else { continue };
        match (name.as_str(), value) {
            ("x-opt-sequence-number", Value::Long(number)) => (event.sequence_number, is_numbered) = (number, true),
            ("x-opt-offset", Value::String(offset)) => event.offset = Some(offset),
            ("x-opt-enqueued-time", Value::Timestamp(time)) => event.enqueued_unix_ms = Some(time.milliseconds()),
            ("x-opt-partition-key", Value::String(key)) => event.partition_key = Some(key),
            _ => {}
        }
    }
    if let Some(properties) = message.application_properties.filter(|properties| !properties.0.is_empty()) {
        let entries = properties.0.into_iter().map(|(name, value)| (name, json_of_simple(&value)));
        event.properties = serde_json::to_string(&entries.collect::<BTreeMap<_, _>>()).ok();
    }
    event.body = match message.body {
        Body::Data(sections) => {
            let mut sections = sections.into_iter();
            let mut body = sections.next().map(|section| section.0.into_vec()).unwrap_or_default();
            sections.for_each(|section| body.extend_from_slice(&section.0));
            body
        }
        Body::Value(value) => match value.0 {
            Value::String(text) => text.into_bytes(),
            Value::Binary(bytes) => bytes.into_vec(),
            value => json_of(&value).to_string().into_bytes(),
        },
        Body::Sequence(sections) => {
            let values = sections.iter().flat_map(|section| section.0.iter().map(json_of));
            serde_json::Value::from_iter(values).to_string().into_bytes()
        }
        Body::Empty => Vec::new(),
    };
    is_numbered.then_some(event)
}

/// The JSON of a property. What JSON has no type for is its text.
fn json_of_simple(value: &SimpleValue) -> serde_json::Value {
    json_of(&Value::from(value.clone()))
}

fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Ubyte(number) => (*number).into(),
        Value::Ushort(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Ulong(number) => (*number).into(),
        Value::Byte(number) => (*number).into(),
        Value::Short(number) => (*number).into(),
        Value::Int(number) => (*number).into(),
        Value::Long(number) => (*number).into(),
        Value::Float(number) => f64::from(number.0).into(),
        Value::Double(number) => number.0.into(),
        Value::String(text) => text.as_str().into(),
        Value::Symbol(symbol) => symbol.as_str().into(),
        Value::Timestamp(time) => time.milliseconds().into(),
        Value::Binary(bytes) => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
        Value::List(values) => values.iter().map(json_of).collect(),
        other => format!("{other:?}").into(),
    }
}
