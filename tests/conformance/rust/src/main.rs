//! Holds the local Event Hubs against the newest of Azure's Event Hubs clients for Rust, the first one that takes
//! connection strings. `../run` starts it; like the other scripts it prints a line for each check, and its exit code says
//! whether all held.
//!
//! This client ignores `UseDevelopmentEmulator=true` and the port of the endpoint; `with_custom_endpoint` says both.

use std::error::Error;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azure_messaging_eventhubs::{
    BufferedProducerClient, ConsumerClient, EnqueueEventOptions, EventDataBatchOptions, OpenReceiverOptions,
    ProducerClient, RetryOptions, SendEventOptions, StartLocation, StartPosition,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

type Checked = Result<(), Box<dyn Error + Send + Sync>>;
type Check = fn(Arc<Emulator>) -> Pin<Box<dyn Future<Output = Checked> + Send>>;

/// Bounds what hangs.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The exit code when a check did not hold, told apart from what ends a program otherwise.
const FAILED: u8 = 3;
/// The hub that is this script's own.
const HUB: &str = "rust";

/// The `ready` line of the emulator that `../run` has started.
struct Emulator {
    ready: Value,
}

impl Emulator {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        Ok(Self { ready: serde_json::from_str(&std::env::var("TXGEN_MAIN")?)? })
    }

    /// A policy's connection string, with this script's hub in place of the first one.
    fn connection_string(&self, policy: &str) -> String {
        let string = self.ready["event_hubs"]["connection_strings"][policy].as_str().unwrap_or_default();
        let (rest, _) = string.split_once("EntityPath=").unwrap_or((string, ""));
        format!("{rest}EntityPath={HUB}")
    }

    fn endpoint(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.ready["event_hubs"]["port"])
    }

    async fn producer(&self, connection_string: &str) -> azure_messaging_eventhubs::Result<ProducerClient> {
        ProducerClient::builder()
            .with_custom_endpoint(self.endpoint())
            .with_retry_options(no_retries())
            .open_with_connection_string(connection_string, None)
            .await
    }

    async fn consumer(&self) -> azure_messaging_eventhubs::Result<ConsumerClient> {
        ConsumerClient::builder()
            .with_custom_endpoint(self.endpoint())
            .with_retry_options(no_retries())
            .open_with_connection_string(&self.connection_string("Listener"), None)
            .await
    }

    /// The bodies of so many events of a partition, from this one on.
    async fn read(
        &self,
        partition: &str,
        location: StartLocation,
        inclusive: bool,
        count: usize,
    ) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
        let consumer = self.consumer().await?;
        let start_position = Some(StartPosition { location, inclusive });
        let options = OpenReceiverOptions { start_position, ..OpenReceiverOptions::default() };
        let receiver = consumer.open_receiver_on_partition(partition.to_owned(), Some(options)).await?;
        let events: Vec<_> = receiver.stream_events().take(count).try_collect().await?;
        receiver.close().await?;
        consumer.close().await?;
        let text = |body: Option<&[u8]>| String::from_utf8_lossy(body.unwrap_or_default()).into_owned();
        Ok(events.iter().map(|event| text(event.event_data().body())).collect())
    }
}

fn no_retries() -> RetryOptions {
    RetryOptions { max_retries: 0, ..Default::default() }
}

fn to(partition: &str) -> Option<SendEventOptions> {
    Some(SendEventOptions { partition_id: Some(partition.to_owned()) })
}

fn equal<T: PartialEq + std::fmt::Debug>(actual: &T, expected: &T, what: &str) -> Checked {
    if actual == expected { Ok(()) } else { Err(format!("{what} is {actual:?}, and should be {expected:?}").into()) }
}

/// Fails unless the failure speaks of one of these words.
fn refused<T>(outcome: azure_messaging_eventhubs::Result<T>, words: &[&str]) -> Checked {
    let Err(error) = outcome else { return Err("was let through".into()) };
    let text = format!("{error:?}").to_ascii_lowercase();
    if words.iter().any(|word| text.contains(word)) {
        Ok(())
    } else {
        Err(format!("the error should speak of one of {words:?}: {text}").into())
    }
}

async fn events_come_back(emulator: Arc<Emulator>) -> Checked {
    let producer = emulator.producer(&emulator.connection_string("Sender")).await?;
    producer.send_event("first", to("3")).await?;
    producer.send_event("second", to("3")).await?;
    let options = EventDataBatchOptions { partition_id: Some("3".to_owned()), ..Default::default() };
    let batch = producer.create_batch(Some(options)).await?;
    for body in ["third", "fourth"] {
        equal(&batch.try_add_event_data(body, None)?, &true, "the room in the batch")?;
    }
    producer.send_batch(batch, None).await?;
    producer.close().await?;
    let all = emulator.read("3", StartLocation::Earliest, false, 4).await?;
    equal(&all, &["first", "second", "third", "fourth"].map(String::from).to_vec(), "what was read")?;
    let after = emulator.read("3", StartLocation::SequenceNumber(1), false, 2).await?;
    equal(&after, &["third", "fourth"].map(String::from).to_vec(), "what was read after the second")?;
    let from = emulator.read("3", StartLocation::SequenceNumber(1), true, 1).await?;
    equal(&from, &vec!["second".to_owned()], "what was read from the second on")
}

async fn properties_are_reported(emulator: Arc<Emulator>) -> Checked {
    let consumer = emulator.consumer().await?;
    let hub = consumer.get_eventhub_properties().await?;
    equal(&hub.name, &HUB.to_owned(), "the hub's name")?;
    equal(&hub.partition_ids.len(), &10, "the number of partitions")?;
    let partition = consumer.get_partition_properties("9").await?;
    equal(&partition.id, &"9".to_owned(), "the partition's id")?;
    Ok(consumer.close().await?)
}

async fn a_key_stays_on_its_partition(emulator: Arc<Emulator>) -> Checked {
    let producer = emulator.producer(&emulator.connection_string("Sender")).await?;
    for body in ["one", "two"] {
        let options = EventDataBatchOptions { partition_key: Some("us".to_owned()), ..Default::default() };
        let batch = producer.create_batch(Some(options)).await?;
        batch.try_add_event_data(body, None)?;
        producer.send_batch(batch, None).await?;
    }
    producer.close().await?;
    // `us` belongs to partition 1 of 10.
    let read = emulator.read("1", StartLocation::Earliest, false, 2).await?;
    equal(&read, &["one", "two"].map(String::from).to_vec(), "what partition 1 holds")
}

async fn the_buffered_producer_delivers(emulator: Arc<Emulator>) -> Checked {
    let (sent, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (sending, losing) = (Arc::clone(&sent), Arc::clone(&lost));
    let producer = BufferedProducerClient::builder()
        .with_custom_endpoint(emulator.endpoint())
        .with_on_send_succeeded(move |context| {
            sending.fetch_add(context.events.len(), Ordering::Relaxed);
            std::future::ready(())
        })
        .with_on_send_failed(move |context| {
            losing.fetch_add(context.events.len(), Ordering::Relaxed);
            std::future::ready(())
        })
        .open_with_connection_string(&emulator.connection_string("Sender"), None)
        .await?;
    for number in 0..500 {
        let options = EnqueueEventOptions { partition_id: Some("5".to_owned()), ..Default::default() };
        producer.enqueue_event(format!("buffered {number}"), Some(options)).await?;
    }
    producer.flush().await?;
    producer.close().await?;
    equal(&(sent.load(Ordering::Relaxed), lost.load(Ordering::Relaxed)), &(500, 0), "sent and lost")?;
    let read = emulator.read("5", StartLocation::Earliest, false, 500).await?;
    equal(&read.last().map(String::as_str), &Some("buffered 499"), "the last event")
}

async fn a_wrong_key_is_refused(emulator: Arc<Emulator>) -> Checked {
    let string = emulator.connection_string("Sender");
    let (before, rest) = string.split_once("SharedAccessKey=").unwrap_or((&string, ""));
    let (_, after) = rest.split_once(';').unwrap_or(("", ""));
    let wrong = format!("{before}SharedAccessKey=d3Jvbmcga2V5;{after}");
    let producer = emulator.producer(&wrong).await?;
    refused(producer.send_event("x", None).await, &["401", "unauthorized"])
}

async fn a_listener_may_not_send(emulator: Arc<Emulator>) -> Checked {
    let producer = emulator.producer(&emulator.connection_string("Listener")).await?;
    refused(producer.send_event("x", None).await, &["unauthorized"])
}

const CHECKS: [(&str, Check); 6] = [
    ("events sent one by one and in a batch come back in order", |e| Box::pin(events_come_back(e))),
    ("hub and partitions describe themselves", |e| Box::pin(properties_are_reported(e))),
    ("a partition key stays on its partition", |e| Box::pin(a_key_stays_on_its_partition(e))),
    ("the buffered producer delivers everything", |e| Box::pin(the_buffered_producer_delivers(e))),
    ("a wrong key is refused", |e| Box::pin(a_wrong_key_is_refused(e))),
    ("a Listener may not send", |e| Box::pin(a_listener_may_not_send(e))),
];

// On one thread: its AMQP library (fe2o3-amqp 0.16) drops a session while its last link still detaches, and with tasks on
// several threads it now and then takes the peer's answer to that for an error and closes the connection, or waits for ever.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let emulator = Arc::new(Emulator::from_environment()?);
    let only = std::env::args().nth(1).unwrap_or_default();
    let mut failed = false;
    for (name, check) in CHECKS.into_iter().filter(|(name, _)| name.contains(&only)) {
        let begin = Instant::now();
        let checked = tokio::time::timeout(TIME_LIMIT, check(Arc::clone(&emulator))).await;
        match checked.unwrap_or_else(|_| Err("it hangs".into())) {
            Ok(()) => println!("ok   rust event_hubs: {name} ({:.2} s)", begin.elapsed().as_secs_f64()),
            Err(error) => {
                failed = true;
                println!("FAIL rust event_hubs: {name}: {}", error.to_string().replace('\n', " "));
            }
        }
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
