//! The local Event Hubs over sockets, seen by the AMQP library that the publisher uses.
// Clippy knows a test by its attribute, not the helpers that tests share.

mod hostile;
mod sdk;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use azure_core::credentials::Secret;
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::{CreditMode, LinkStateError, ReceiverAttachError, RecvError, SendError, SenderAttachError};
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{ErrorCondition, Fields};
use fe2o3_amqp::types::messaging::annotations::{AnnotationKey, OwnedKey};
use fe2o3_amqp::types::messaging::{Body, Data, Message, MessageAnnotations, Outcome, Source};
use fe2o3_amqp::types::primitives::Value;
use fe2o3_amqp::{Connection, Receiver, Sender, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use futures_util::future::join_all;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use serde_bytes::ByteBuf;
use tokio::net::TcpStream;
use tokio::time::timeout;
use txgen_azure::event_hubs::shared_access;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

const SAS: &str = "servicebus.windows.net:sastoken";
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The key of a policy, from its connection string.
fn key(emulator: &EventHubsEmulator, policy: &str) -> Secret {
    let text = emulator.connection_string(policy, "transactions").unwrap();
    let (_, key) = text.secret().split_once(";SharedAccessKey=").unwrap();
    Secret::new(key.split(';').next().unwrap().to_owned())
}

struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

impl Client {
    async fn connect(emulator: &EventHubsEmulator) -> Self {
        let socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut connection = Connection::builder()
            .container_id("test")
            .scheme("amqp")
            .sasl_profile(SaslProfile::Anonymous)
            .open_with_stream(socket)
            .await
            .unwrap();
        let session = Session::builder()
            .incoming_window(u32::MAX)
            .outgoing_window(u32::MAX)
            .begin(&mut connection)
            .await
            .unwrap();
        Self { connection, session }
    }

    /// Connected, and with a token of this policy for this hub.
    async fn enter(emulator: &EventHubsEmulator, policy: &str, hub: &str) -> Self {
        let mut client = Self::connect(emulator).await;
        client.put_token(emulator, policy, &key(emulator, policy), hub).await.unwrap();
        client
    }

    async fn put_token(
        &mut self,
        emulator: &EventHubsEmulator,
        policy: &str,
        key: &Secret,
        hub: &str,
    ) -> Result<(), fe2o3_amqp_management::error::Error> {
        let audience = format!("sb://{}/{hub}", emulator.local_addr());
        let token = shared_access::sign(&audience, policy, key, 4_000_000_000);
        let mut cbs = CbsClient::attach(&mut self.session).await.unwrap();
        let answer = cbs.put_token(audience, CbsToken::new(token.secret(), SAS, None)).await;
        cbs.close().await.unwrap();
        answer
    }

    async fn sender(&mut self, address: &str) -> Result<Sender, SenderAttachError> {
        Sender::attach(&mut self.session, format!("to {address}"), address).await
    }

    async fn close(mut self) {
        self.session.end().await.unwrap();
        self.connection.close().await.unwrap();
    }
}

fn message(key: Option<&str>, body: impl Into<Vec<u8>>) -> Message<Data> {
    let mut message = Message::builder().data(ByteBuf::from(body.into())).build();
    if let Some(key) = key {
        let mut annotations = MessageAnnotations::default();
        annotations.insert(OwnedKey::from("x-opt-partition-key"), Value::from(key.to_owned()));
        message.message_annotations = Some(annotations);
    }
    message
}

async fn start(options: EventHubsEmulatorOptions) -> EventHubsEmulator {
    EventHubsEmulator::start(options).await.unwrap()
}

fn text(condition: &ErrorCondition) -> String {
    match serde_amqp::to_value(condition) {
        Ok(Value::Symbol(symbol)) => symbol.0,
        other => panic!("a condition is a symbol, not {other:?}"),
    }
}

#[tokio::test]
async fn a_thousand_events_in_flight_are_all_accepted_and_stored_under_their_keys() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    let mut outcomes = Vec::new();
    for number in 0..1000 {
        let key = ["us", "gb", "fr", "de"][number % 4];
        outcomes.push(sender.send_batchable(message(Some(key), format!("{key} {number}"))).await.unwrap());
    }
    for outcome in timeout(TIME_LIMIT, join_all(outcomes)).await.unwrap() {
        assert!(matches!(outcome, Ok(Outcome::Accepted(_))));
    }
    sender.close().await.unwrap();
    client.close().await;

    assert_eq!(emulator.counts().events(), 1000);
    for partition in 0..10 {
        let events = emulator.events("transactions", partition);
        assert!(events.iter().zip(0..).all(|(event, number)| event.sequence_number == number));
        for event in events {
            let key = event.partition_key.unwrap();
            assert!(event.body.starts_with(key.as_bytes()));
        }
    }
    emulator.stop().await;
}

#[tokio::test]
async fn the_disposition_comes_after_the_latency() {
    let latency = Duration::from_millis(50);
    let emulator = start(EventHubsEmulatorOptions { latency, ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    let started = tokio::time::Instant::now();
    let mut outcomes = Vec::new();
    for number in 0..200 {
        outcomes.push(sender.send_batchable(message(None, number.to_string())).await.unwrap());
    }
    for outcome in timeout(TIME_LIMIT, join_all(outcomes)).await.unwrap() {
        assert!(matches!(outcome, Ok(Outcome::Accepted(_))));
    }
    assert!(started.elapsed() >= latency);
}

#[tokio::test]
async fn events_without_a_key_are_spread_and_a_named_partition_is_obeyed() {
    let emulator = start(EventHubsEmulatorOptions { partitions: 4, ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    for _ in 0..8 {
        sender.send(message(None, "x")).await.unwrap();
    }
    let partitions = |emulator: &EventHubsEmulator| {
        emulator.counts().hubs[0].partitions.iter().map(|partition| partition.events).collect::<Vec<_>>()
    };
    assert_eq!(partitions(&emulator), [2, 2, 2, 2]);
    let url = format!("amqps://{}/transactions/Partitions/3", emulator.local_addr());
    let mut sender = client.sender(&url).await.unwrap();
    sender.send(message(Some("us"), "x")).await.unwrap();
    assert_eq!(partitions(&emulator), [2, 2, 2, 3]);
}

#[tokio::test]
async fn a_message_of_many_frames_arrives_whole_and_one_over_a_mebibyte_is_refused() {
    let emulator = start(EventHubsEmulatorOptions { partitions: 1, ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    let body: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    sender.send(message(None, body.clone())).await.unwrap();
    assert_eq!(emulator.events("transactions", 0)[0].body, body);

    // The client itself knows the link's max-message-size.
    let refused = timeout(TIME_LIMIT, sender.send(message(None, vec![0; 1_100_000]))).await.unwrap();
    assert!(matches!(refused, Err(SendError::MessageSizeExceeded(_))));
    assert_eq!(emulator.counts().events(), 1);
}

#[tokio::test]
async fn a_key_over_128_characters_is_rejected() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    assert!(matches!(sender.send(message(Some(&"é".repeat(128)), "x")).await, Ok(Outcome::Accepted(_))));
    assert!(matches!(sender.send(message(Some(&"k".repeat(129)), "x")).await, Ok(Outcome::Rejected(_))));
    assert_eq!((emulator.counts().events(), emulator.counts().hubs[0].rejected), (1, 1));
}

#[tokio::test]
async fn a_wrong_key_is_answered_with_401() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut client = Client::connect(&emulator).await;
    let answer = client.put_token(&emulator, "Sender", &Secret::new("d3Jvbmc="), "transactions").await;
    let Err(fe2o3_amqp_management::error::Error::Status(status)) = answer else { panic!("{answer:?}") };
    assert_eq!(status.code.0.get(), 401);
}

#[tokio::test]
async fn links_are_refused_with_the_services_conditions() {
    let emulator =
        start(EventHubsEmulatorOptions { hubs: vec!["transactions".into(), "other".into()], ..Default::default() })
            .await;
    for (policy, audience, address, expected) in [
        ("Listener", "transactions", "transactions", "amqp:unauthorized-access"),
        ("Sender", "other", "transactions", "amqp:unauthorized-access"),
        ("Sender", "", "missing", "amqp:not-found"),
        ("Sender", "transactions", "transactions/Partitions/10", "com.microsoft:argument-out-of-range"),
    ] {
        let mut client = Client::enter(&emulator, policy, audience).await;
        let refused = timeout(TIME_LIMIT, client.sender(address)).await.unwrap();
        let Err(SenderAttachError::RemoteClosedWithError(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(text(&error.condition), expected, "{policy} {audience} {address}");
    }
}

#[tokio::test]
async fn plain_gives_the_policys_rights_without_a_token() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
    let profile = |key: &str| SaslProfile::Plain { username: "Sender".into(), password: key.into() };
    let mut connection = Connection::builder()
        .container_id("test")
        .scheme("amqp")
        .sasl_profile(profile(key(&emulator, "Sender").secret()))
        .open_with_stream(socket)
        .await
        .unwrap();
    let mut session = Session::begin(&mut connection).await.unwrap();
    let mut sender = Sender::attach(&mut session, "link", "transactions").await.unwrap();
    assert!(matches!(sender.send(message(None, "x")).await, Ok(Outcome::Accepted(_))));

    let socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
    let denied = Connection::builder()
        .container_id("test")
        .scheme("amqp")
        .sasl_profile(profile("wrong"))
        .open_with_stream(socket)
        .await;
    assert!(denied.is_err());
}

#[tokio::test]
async fn a_connection_that_is_dropped_is_noticed_and_a_new_one_is_taken() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    emulator.drop_connections();
    timeout(TIME_LIMIT, client.connection.on_close()).await.unwrap().ok();
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    client.sender("transactions").await.unwrap();
    assert_eq!(emulator.counts().connections, 2);
}

fn source(partition: u32, selector: Option<&str>) -> Source {
    let address = format!("transactions/ConsumerGroups/$Default/Partitions/{partition}");
    let mut source = Source::builder().address(address);
    if let Some(selector) = selector {
        let key = "apache.org:selector-filter:string";
        let filter = Described { descriptor: Descriptor::Name(key.into()), value: Value::from(selector.to_owned()) };
        source = source.add_to_filter(key, filter);
    }
    source.build()
}

async fn receiver(client: &mut Client, source: Source) -> Result<Receiver, ReceiverAttachError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("receiver {}", COUNT.fetch_add(1, Ordering::Relaxed));
    Receiver::builder().name(name).source(source).attach(&mut client.session).await
}

#[tokio::test]
async fn a_receiver_starts_where_its_filter_says_and_is_woken_by_new_events() {
    let emulator = start(EventHubsEmulatorOptions { partitions: 1, ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "RootManageSharedAccessKey", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    for number in 0..5 {
        sender.send(message(Some("us"), number.to_string())).await.unwrap();
    }
    for (selector, first) in [
        (None, "0"),
        (Some("amqp.annotation.x-opt-offset > '-1'"), "0"),
        (Some("amqp.annotation.x-opt-sequence-number > '2'"), "3"),
        (Some("amqp.annotation.x-opt-sequence-number >= '2'"), "2"),
        (Some("amqp.annotation.x-opt-enqueued-time >= '0'"), "0"),
    ] {
        let mut receiver = receiver(&mut client, source(0, selector)).await.unwrap();
        let delivery = timeout(TIME_LIMIT, receiver.recv::<Body<Value>>()).await.unwrap().unwrap();
        let Body::Data(data) = delivery.body() else { panic!("data") };
        assert_eq!(data[0].0.as_slice(), first.as_bytes(), "{selector:?}");
        let annotations = delivery.message().message_annotations.as_ref().unwrap();
        let annotation = |name: &str| annotations.get(&name as &dyn AnnotationKey).cloned();
        assert_eq!(annotation("x-opt-sequence-number"), Some(Value::Long(first.parse().unwrap())));
        assert_eq!(annotation("x-opt-partition-key"), Some(Value::from("us".to_owned())));
        assert!(matches!(annotation("x-opt-offset"), Some(Value::String(_))));
        assert!(matches!(annotation("x-opt-enqueued-time"), Some(Value::Timestamp(_))));
        receiver.close().await.unwrap();
    }
    let latest = source(0, Some("amqp.annotation.x-opt-offset > '@latest'"));
    let mut receiver = receiver(&mut client, latest).await.unwrap();
    let (delivery, _) =
        tokio::join!(timeout(TIME_LIMIT, receiver.recv::<Body<Value>>()), sender.send(message(None, "new")));
    let delivery = delivery.unwrap().unwrap();
    let Body::Data(data) = delivery.body() else { panic!("data") };
    assert_eq!(data[0].0.as_slice(), b"new");
}

fn epoch(level: i64) -> Fields {
    let mut properties = Fields::default();
    properties.insert("com.microsoft:epoch".into(), Value::from(level));
    properties
}

#[tokio::test]
async fn a_receiver_of_a_higher_epoch_takes_the_partition_from_another_connection() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut one = Client::enter(&emulator, "Listener", "transactions").await;
    let mut two = Client::enter(&emulator, "Listener", "transactions").await;
    let attach = async |client: &mut Client, level| {
        let builder = Receiver::builder().name("link").source(source(0, None)).properties(epoch(level));
        timeout(TIME_LIMIT, builder.attach(&mut client.session)).await.unwrap()
    };
    let mut first = attach(&mut one, 1).await.unwrap();
    let second = attach(&mut two, 2).await.unwrap();
    let lost = timeout(TIME_LIMIT, first.recv::<Body<Value>>()).await.unwrap();
    let Err(RecvError::LinkStateError(LinkStateError::RemoteClosedWithError(error))) = lost else { panic!("{lost:?}") };
    assert_eq!(text(&error.condition), "amqp:link:stolen");
    assert_eq!(emulator.counts().hubs[0].receivers, 1);

    let refused = attach(&mut one, 1).await;
    let Err(ReceiverAttachError::RemoteClosedWithError(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(text(&error.condition), "amqp:link:stolen");
    second.close().await.unwrap();
    assert_eq!(emulator.counts().hubs[0].receivers, 0);
}

#[tokio::test]
async fn receivers_are_refused_with_the_services_conditions() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let other_group = Source::builder().address("transactions/ConsumerGroups/other/Partitions/0").build();
    for (policy, source, expected) in [
        ("Sender", source(0, None), "amqp:unauthorized-access"),
        ("Listener", other_group, "amqp:not-found"),
        ("Listener", source(10, None), "com.microsoft:argument-out-of-range"),
        ("Listener", source(0, Some("colour = 'red'")), "com.microsoft:argument-error"),
        ("Listener", source(0, Some("amqp.annotation.x-opt-offset > '5'")), "com.microsoft:argument-error"),
    ] {
        let mut client = Client::enter(&emulator, policy, "transactions").await;
        let refused = timeout(TIME_LIMIT, receiver(&mut client, source)).await.unwrap();
        let Err(ReceiverAttachError::RemoteClosedWithError(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(text(&error.condition), expected);
    }
}

#[tokio::test]
async fn a_receiver_gets_no_more_than_its_credit_and_a_drain_takes_the_rest_back() {
    let emulator = start(EventHubsEmulatorOptions { partitions: 1, ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "RootManageSharedAccessKey", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    for number in 0..5 {
        sender.send(message(None, number.to_string())).await.unwrap();
    }
    let builder = Receiver::builder().name("link").source(source(0, None)).credit_mode(CreditMode::Manual);
    let mut receiver = builder.attach(&mut client.session).await.unwrap();
    receiver.set_credit(3).await.unwrap();
    for number in 0..3_i64 {
        let delivery = timeout(TIME_LIMIT, receiver.recv::<Body<Value>>()).await.unwrap().unwrap();
        let annotations = delivery.message().message_annotations.as_ref().unwrap();
        assert_eq!(annotations.get(&"x-opt-sequence-number" as &dyn AnnotationKey), Some(&Value::Long(number)));
    }
    receiver.set_credit(10).await.unwrap();
    for _ in 0..2 {
        timeout(TIME_LIMIT, receiver.recv::<Body<Value>>()).await.unwrap().unwrap();
    }
    receiver.drain().await.unwrap();
    sender.send(message(None, "after the drain")).await.unwrap();
    receiver.set_credit(1).await.unwrap();
    timeout(TIME_LIMIT, receiver.recv::<Body<Value>>()).await.unwrap().unwrap();
}

#[tokio::test]
async fn throughput_units_answer_server_busy_and_count_it_apart() {
    let emulator = start(EventHubsEmulatorOptions { throughput_units: Some(1), ..Default::default() }).await;
    let mut client = Client::enter(&emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..4_000 {
        outcomes.push(sender.send_batchable(message(None, "x")).await.unwrap());
    }
    let outcomes = timeout(TIME_LIMIT, join_all(outcomes)).await.unwrap();
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Rejected(_)))).count() as u64;
    let counts = emulator.counts();
    assert!(busy > 0);
    assert_eq!((counts.hubs[0].throttled, counts.hubs[0].rejected), (busy, 0));
    assert_eq!(counts.events(), 4_000 - busy);
}
