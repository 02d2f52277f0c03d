//! The local Event Hubs, seen by Azure's own Event Hubs client for Rust.
// Clippy knows a test by its attribute, not the helpers that tests share.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use azure_messaging_eventhubs::models::EventData;
use azure_messaging_eventhubs::{
    ConsumerClient, EventDataBatchOptions, OpenReceiverOptions, ProducerClient, RetryOptions, SendEventOptions,
    StartLocation, StartPosition,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

use super::TIME_LIMIT;

#[derive(Debug)]
struct AnyToken;

impl TokenCredential for AnyToken {
    // What `async fn` in the trait, which is made by a macro, stands for.
    fn get_token<'s, 'l, 't, 'o, 'r>(
        &'s self,
        _: &'l [&'t str],
        _: Option<TokenRequestOptions<'o>>,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<AccessToken>> + Send + 'r>>
    where
        's: 'r,
        'l: 'r,
        't: 'r,
        'o: 'r,
        Self: 'r,
    {
        let expiry = OffsetDateTime::now_utc() + Duration::from_secs(3600);
        Box::pin(async move { Ok(AccessToken::new(Secret::new("any.bearer.token"), expiry)) })
    }
}

fn no_retries() -> RetryOptions {
    RetryOptions { max_retries: 0, ..Default::default() }
}

async fn producer(emulator: &EventHubsEmulator, hub: &str) -> ProducerClient {
    ProducerClient::builder()
        .with_custom_endpoint(format!("amqp://{}", emulator.local_addr()))
        .with_retry_options(no_retries())
        .open("namespace.example", hub, Arc::new(AnyToken))
        .await
        .unwrap()
}

async fn consumer(emulator: &EventHubsEmulator) -> ConsumerClient {
    ConsumerClient::builder()
        .with_custom_endpoint(format!("amqp://{}", emulator.local_addr()))
        .with_retry_options(no_retries())
        .open("namespace.example", "transactions".to_owned(), Arc::new(AnyToken))
        .await
        .unwrap()
}

fn from(location: StartLocation, inclusive: bool) -> Option<OpenReceiverOptions> {
    Some(OpenReceiverOptions {
        start_position: Some(StartPosition { location, inclusive }),
        ..OpenReceiverOptions::default()
    })
}

async fn bodies(
    consumer: &ConsumerClient,
    partition: &str,
    options: Option<OpenReceiverOptions>,
    count: usize,
) -> Vec<Vec<u8>> {
    let receiver = consumer.open_receiver_on_partition(partition.to_owned(), options).await.unwrap();
    let events = receiver.stream_events().take(count).try_collect::<Vec<_>>();
    let events = timeout(TIME_LIMIT, events).await.unwrap().unwrap();
    // The client keeps the link of a partition until it is asked not to.
    receiver.close().await.unwrap();
    events.iter().map(|event| event.event_data().body().unwrap().to_vec()).collect()
}

#[tokio::test]
async fn what_the_producer_sends_the_consumer_receives() {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let producer = producer(&emulator, "transactions").await;
    let properties = producer.get_eventhub_properties().await.unwrap();
    assert_eq!(properties.name, "transactions");
    assert_eq!(properties.partition_ids.len(), 10);

    let to_3 = || Some(SendEventOptions { partition_id: Some("3".to_owned()) });
    producer.send_event("first", to_3()).await.unwrap();
    producer.send_event(EventData::from("second"), to_3()).await.unwrap();
    let options = EventDataBatchOptions { partition_id: Some("3".to_owned()), ..Default::default() };
    let batch = producer.create_batch(Some(options)).await.unwrap();
    for body in ["third", "fourth"] {
        assert!(batch.try_add_event_data(body, None).unwrap());
    }
    producer.send_batch(batch, None).await.unwrap();
    let options = EventDataBatchOptions { partition_key: Some("us".to_owned()), ..Default::default() };
    let batch = producer.create_batch(Some(options)).await.unwrap();
    assert!(batch.try_add_event_data("keyed", None).unwrap());
    producer.send_batch(batch, None).await.unwrap();

    let partition = producer.get_partition_properties("3").await.unwrap();
    assert!(!partition.is_empty);
    assert_eq!((partition.beginning_sequence_number, partition.last_enqueued_sequence_number), (0, 3));
    // `us` belongs to partition 1 of 10.
    assert_eq!(emulator.events("transactions", 1)[0].partition_key.as_deref(), Some("us"));

    let consumer = consumer(&emulator).await;
    let all = bodies(&consumer, "3", from(StartLocation::Earliest, false), 4).await;
    assert_eq!(all, [&b"first"[..], b"second", b"third", b"fourth"]);
    let later = bodies(&consumer, "3", from(StartLocation::SequenceNumber(1), false), 2).await;
    assert_eq!(later, [b"third".to_vec(), b"fourth".to_vec()]);
    let from_one = bodies(&consumer, "3", from(StartLocation::SequenceNumber(1), true), 1).await;
    assert_eq!(from_one, [b"second".to_vec()]);
    producer.close().await.unwrap();
    consumer.close().await.unwrap();
    emulator.stop().await;
}

#[tokio::test]
async fn sending_to_a_hub_that_does_not_exist_fails() {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let producer = producer(&emulator, "missing").await;
    let error = timeout(TIME_LIMIT, producer.send_event("x", None)).await.unwrap().unwrap_err();
    // Already the token for it is refused.
    assert!(format!("{error:?}").contains("404"), "{error:?}");
}
