//! The Event Hubs service over sockets, with both of its clients, against the local Event Hubs.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::HANG;
use crate::support::proxy::Proxy;
use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use txgen::identity::RunId;
use txgen::service::event_hubs::{EventHubs, Options, Timeouts};
use txgen::service::{Attempts, Counters, Failure, FailureKind, Service as _};
use txgen::settings::{
    ConnectionString, DEFAULT_RETRY_FOR, EventHubClient, EventHubTransport, EventHubsSettings, HubCredential, Proxies,
};
use txgen::transaction::Transaction;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

/// Runs each of these with both clients.
macro_rules! with_both_clients {
    ($($name:ident)*) => {
        mod native {
            $(#[tokio::test] async fn $name() { super::$name(super::EventHubClient::Native).await })*
        }
        mod sdk {
            $(#[tokio::test] async fn $name() { super::$name(super::EventHubClient::Sdk).await })*
        }
    };
}

with_both_clients! {
    every_transaction_arrives_once_under_its_key_with_its_bytes
    every_one_of_three_hubs_gets_every_transaction
    the_hubs_are_described_for_the_start_of_a_run
    a_missing_hub_is_an_error_that_names_it
    an_unreachable_host_is_an_error_that_names_it
    a_refused_token_is_an_error_that_says_what_to_check
    a_cancelled_connect_ends_at_once
    nothing_is_lost_when_the_connections_break
    nothing_is_lost_when_the_network_swallows_everything
    a_busy_service_is_waited_out_and_counted
    a_service_that_stays_busy_fails_transactions_as_throttled
    a_transaction_that_is_too_large_fails_alone
    a_transaction_that_was_given_up_may_have_been_stored
    closing_leaves_no_connection_open
}

const COUNTRIES: [&str; 7] = ["us", "ca", "gb", "au", "fr", "de", "unk"];

fn transactions(count: u64) -> Vec<Transaction> {
    let run = RunId::random();
    let transaction = |row: u64| {
        let id = run.transaction_id(row);
        let key = COUNTRIES[row as usize % COUNTRIES.len()];
        let body = Bytes::from(format!(r#"{{"id":"{id}","ipCountryCode":"{key}"}}"#));
        Transaction::new(row, id, key.into(), body)
    };
    (1..=count).map(transaction).collect()
}

/// Of so large ones a throughput unit takes two in a second.
fn large_transactions(count: u64) -> Vec<Transaction> {
    let mut transactions = transactions(count);
    for transaction in &mut transactions {
        transaction.body = Bytes::from(transaction.id.to_string().repeat(22_000));
    }
    transactions
}

async fn emulator(options: EventHubsEmulatorOptions) -> EventHubsEmulator {
    EventHubsEmulator::start(options).await.unwrap()
}

fn hub(emulator: &EventHubsEmulator, policy: &str, name: &str) -> ConnectionString {
    let text = emulator.connection_string(policy, name).unwrap();
    ConnectionString::parse(text.secret()).unwrap()
}

fn settings(client: EventHubClient, hubs: Vec<ConnectionString>) -> EventHubsSettings {
    EventHubsSettings {
        hubs,
        client,
        transport: EventHubTransport::Tcp,
        connections: NonZeroUsize::new(2).unwrap(),
        // The SDK's client opens so many connections, up to its own limit.
        max_in_flight: NonZeroUsize::new(if client == EventHubClient::Sdk { 8 } else { 1_000 }).unwrap(),
        proxies: Proxies::default(),
        retry_for: DEFAULT_RETRY_FOR,
    }
}

fn timeouts(timeouts: Timeouts) -> Options {
    Options { timeouts, ..Options::default() }
}

async fn connect(settings: &EventHubsSettings, options: &Options) -> EventHubs {
    EventHubs::connect_with(settings, options, CancellationToken::new()).await.unwrap()
}

async fn refusal(settings: &EventHubsSettings, options: &Options) -> String {
    let error = EventHubs::connect_with(settings, options, CancellationToken::new()).await.unwrap_err();
    assert!(error.message.lines().count() == 1 && !error.message.contains("SharedAccessKey="), "{error}");
    error.to_string()
}

/// Sends all at once; the failures, and what happened on the way.
async fn send_all(service: &EventHubs, transactions: &[Transaction]) -> (Vec<Failure>, Counters) {
    let counters = Counters::default();
    let sends: FuturesUnordered<_> = transactions
        .iter()
        .map(|transaction| {
            let counters = &counters;
            async move { service.send(transaction, &Attempts::new(counters)).await }
        })
        .collect();
    let results: Vec<_> = sends.collect().await;
    (results.into_iter().filter_map(Result::err).collect(), counters)
}

/// How often each body was stored under each key.
fn stored(emulator: &EventHubsEmulator, hub: &str) -> HashMap<(String, Vec<u8>), usize> {
    let mut counts = HashMap::new();
    for partition in 0..10 {
        for event in emulator.events(hub, partition) {
            *counts.entry((event.partition_key.unwrap(), event.body)).or_default() += 1;
        }
    }
    counts
}

fn assert_all_stored(emulator: &EventHubsEmulator, hub: &str, transactions: &[Transaction]) {
    let stored = stored(emulator, hub);
    assert_eq!(stored.len(), transactions.len());
    for transaction in transactions {
        assert!(stored.contains_key(&(transaction.partition_key.to_string(), transaction.body.to_vec())));
    }
}

fn assert_stored_once(emulator: &EventHubsEmulator, hub: &str, transactions: &[Transaction]) {
    assert_all_stored(emulator, hub, transactions);
    assert_eq!(stored(emulator, hub).values().sum::<usize>(), transactions.len());
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(HANG, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

async fn every_transaction_arrives_once_under_its_key_with_its_bytes(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { credit: 50, ..Default::default() }).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let transactions = transactions(1_000);
    let (failures, counters) = send_all(&service, &transactions).await;
    assert_eq!(failures, []);
    assert_eq!((counters.throttled(), counters.ambiguous(), counters.resent()), (0, 0, 0));
    assert_stored_once(&emulator, "transactions", &transactions);
}

async fn every_one_of_three_hubs_gets_every_transaction(client: EventHubClient) {
    let names = ["one", "two", "three"];
    let hubs = names.map(str::to_owned).to_vec();
    let emulator = emulator(EventHubsEmulatorOptions { hubs, ..Default::default() }).await;
    let hubs = names.map(|name| hub(&emulator, "Sender", name)).to_vec();
    let service = connect(&settings(client, hubs), &Options::default()).await;
    let transactions = transactions(100);
    let (failures, _) = send_all(&service, &transactions).await;
    assert_eq!(failures, []);
    for name in names {
        assert_stored_once(&emulator, name, &transactions);
    }
}

async fn the_hubs_are_described_for_the_start_of_a_run(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { partitions: 4, ..Default::default() }).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let [info] = service.hubs() else { panic!("one hub") };
    assert_eq!(info.namespace, emulator.local_addr().to_string());
    assert_eq!((info.hub.as_str(), info.partitions, info.client), ("transactions", Some(4), client));
    assert!(!info.tls);
    let authentication = match client {
        EventHubClient::Native => "shared access key of policy Sender",
        EventHubClient::Sdk => "emulator",
    };
    assert_eq!(info.authentication.to_string(), authentication);
}

async fn a_missing_hub_is_an_error_that_names_it(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let error = refusal(&settings(client, vec![hub(&emulator, "Sender", "orders")]), &Options::default()).await;
    assert!(error.contains("event hub `orders`") && error.contains("does not exist"), "{error}");
    assert!(error.contains("EntityPath"), "{error}");
}

async fn an_unreachable_host_is_an_error_that_names_it(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let hub = hub(&emulator, "Sender", "transactions");
    let address = emulator.local_addr().to_string();
    emulator.stop().await;
    drop(emulator);
    let error = refusal(&settings(client, vec![hub]), &Options::default()).await;
    assert!(error.contains("cannot be reached") && error.contains(&address), "{error}");
}

async fn a_refused_token_is_an_error_that_says_what_to_check(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { accept_entra_tokens: false, ..Default::default() }).await;
    let mut hub = hub(&emulator, "Sender", "transactions");
    hub.credential = HubCredential::SharedAccessKey { policy: "Sender".into(), key: Secret::new("d3Jvbmc=") };
    let error = refusal(&settings(client, vec![hub]), &Options::default()).await;
    assert!(error.contains("refuses the policy `Sender`") && error.contains("401"), "{error}");
    assert!(!error.contains("d3Jvbmc="), "{error}");
}

async fn a_cancelled_connect_ends_at_once(client: EventHubClient) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "Endpoint=sb://{};SharedAccessKeyName=Sender;SharedAccessKey=a2V5;UseDevelopmentEmulator=true",
        silent.local_addr().unwrap()
    );
    let hub = ConnectionString::parse(&text).unwrap();
    let cancel = CancellationToken::new();
    let settings = settings(client, vec![hub]);
    let connect = EventHubs::connect(&settings, cancel.clone());
    let (result, ()) = tokio::join!(connect, async {
        silent.accept().await.unwrap();
        cancel.cancel();
    });
    assert!(result.unwrap_err().message.contains("interrupted"));
}

/// Sends while `trouble` happens, once some of it has arrived.
async fn send_through(
    service: &EventHubs,
    emulator: &EventHubsEmulator,
    transactions: &[Transaction],
    trouble: impl FnOnce(),
) -> (Vec<Failure>, Counters) {
    let trouble = async {
        until("a third has arrived", || emulator.counts().events() as usize * 3 > transactions.len()).await;
        trouble();
    };
    tokio::join!(send_all(service, transactions), trouble).0
}

async fn nothing_is_lost_when_the_connections_break(client: EventHubClient) {
    let latency = Duration::from_millis(5);
    let emulator = emulator(EventHubsEmulatorOptions { latency, credit: 50, ..Default::default() }).await;
    // A send of the SDK's hangs when its connection breaks: the time-out is what ends it.
    let options = timeouts(Timeouts { attempt: Duration::from_secs(1), ..Timeouts::default() });
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &options).await;
    let transactions = transactions(1_000);
    let (failures, counters) = send_through(&service, &emulator, &transactions, || emulator.drop_connections()).await;
    assert_eq!(failures, []);
    assert!(counters.ambiguous() > 0, "{counters:?}");
    assert_eq!(counters.resent(), counters.ambiguous());
    assert_all_stored(&emulator, "transactions", &transactions);
}

async fn nothing_is_lost_when_the_network_swallows_everything(client: EventHubClient) {
    let latency = Duration::from_millis(5);
    let emulator = emulator(EventHubsEmulatorOptions { latency, credit: 50, ..Default::default() }).await;
    let proxy = Proxy::to(emulator.local_addr()).await;
    let mut hub = hub(&emulator, "Sender", "transactions");
    hub.port = Some(proxy.port());
    let options = timeouts(Timeouts { attempt: Duration::from_millis(400), ..Timeouts::default() });
    let service = connect(&settings(client, vec![hub]), &options).await;
    let transactions = transactions(1_000);
    let (failures, counters) = send_through(&service, &emulator, &transactions, || proxy.swallow()).await;
    assert_eq!(failures, []);
    assert!(counters.ambiguous() > 0, "{counters:?}");
    assert_all_stored(&emulator, "transactions", &transactions);
}

async fn a_busy_service_is_waited_out_and_counted(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { throughput_units: Some(1), ..Default::default() }).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let transactions = large_transactions(6);
    let (failures, counters) = send_all(&service, &transactions).await;
    assert_eq!(failures, []);
    assert_eq!(counters.throttled(), emulator.counts().hubs[0].throttled);
    assert!(counters.throttled() > 0 && counters.resent() == 0, "{counters:?}");
    assert_stored_once(&emulator, "transactions", &transactions);
}

async fn a_service_that_stays_busy_fails_transactions_as_throttled(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { throughput_units: Some(1), ..Default::default() }).await;
    let hubs = vec![hub(&emulator, "Sender", "transactions")];
    let settings = EventHubsSettings { retry_for: Duration::ZERO, ..settings(client, hubs) };
    let service = connect(&settings, &Options::default()).await;
    let (failures, counters) = send_all(&service, &large_transactions(8)).await;
    assert!(!failures.is_empty());
    assert_eq!(counters.throttled(), failures.len() as u64);
    for failure in failures {
        assert_eq!((failure.kind, failure.ambiguous), (FailureKind::Throttled, false));
        assert_eq!(failure.status.as_deref(), Some("com.microsoft:server-busy"));
        assert!(failure.message.starts_with("transactions: "), "{failure}");
    }
}

async fn a_transaction_that_is_too_large_fails_alone(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let mut transactions = transactions(20);
    transactions[7].body = Bytes::from(vec![b' '; 2 << 20]);
    let (failures, counters) = send_all(&service, &transactions).await;
    let [failure] = &failures[..] else { panic!("one failure, not {failures:?}") };
    assert_eq!(failure.kind, FailureKind::TooLarge);
    assert_eq!(counters.resent(), 0);
    transactions.remove(7);
    assert_stored_once(&emulator, "transactions", &transactions);
}

async fn a_transaction_that_was_given_up_may_have_been_stored(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions { latency: Duration::from_secs(60), ..Default::default() }).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let (transactions, counters) = (transactions(1), Counters::default());
    let attempts = Attempts::new(&counters);
    assert!(!attempts.may_be_stored());
    tokio::select! {
        _ = service.send(&transactions[0], &attempts) => panic!("nothing was settled"),
        () = until("it is stored", || emulator.counts().events() == 1) => {}
    }
    assert!(attempts.may_be_stored());
    assert_eq!(counters.ambiguous(), 1);
}

async fn closing_leaves_no_connection_open(client: EventHubClient) {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let service = connect(&settings(client, vec![hub(&emulator, "Sender", "transactions")]), &Options::default()).await;
    let (failures, _) = send_all(&service, &transactions(10)).await;
    assert_eq!(failures, []);
    assert!(emulator.counts().open_connections > 0);
    service.close().await;
    until("every connection is closed", || emulator.counts().open_connections == 0).await;
}

#[tokio::test]
async fn a_policy_without_the_send_right_is_refused_before_the_run() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let hub = hub(&emulator, "Listener", "transactions");
    let error = refusal(&settings(EventHubClient::Native, vec![hub]), &Options::default()).await;
    assert!(error.contains("policy `Listener`") && error.contains("has the Send right"), "{error}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "Endpoint=sb://{};SharedAccessKeyName=Sender;SharedAccessKey=a2V5;UseDevelopmentEmulator=true",
        silent.local_addr().unwrap()
    );
    let hub = ConnectionString::parse(&text).unwrap();
    let options = timeouts(Timeouts { connect: Duration::from_millis(100), ..Timeouts::default() });
    let error = refusal(&settings(EventHubClient::Native, vec![hub]), &options).await;
    assert!(error.contains("100ms"), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_speak_tls_is_told_apart() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let mut hub = hub(&emulator, "Sender", "transactions");
    hub.development_emulator = false;
    let error = refusal(&settings(EventHubClient::Native, vec![hub]), &Options::default()).await;
    assert!(error.contains("no TLS with"), "{error}");
}

#[tokio::test]
async fn one_hub_that_fails_fails_the_transaction_and_is_named() {
    let hubs = vec!["one".to_owned(), "two".to_owned()];
    let good = emulator(EventHubsEmulatorOptions { hubs: hubs.clone(), ..Default::default() }).await;
    let full = emulator(EventHubsEmulatorOptions { hubs, memory_limit: Some(0), ..Default::default() }).await;
    let hubs = vec![hub(&good, "Sender", "one"), hub(&full, "Sender", "two")];
    let service = connect(&settings(EventHubClient::Native, hubs), &Options::default()).await;
    let transactions = transactions(3);
    let (failures, _) = send_all(&service, &transactions).await;
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(|failure| failure.message.starts_with("two: ")), "{failures:?}");
    assert!(failures.iter().all(|failure| failure.kind == FailureKind::QuotaExceeded), "{failures:?}");
    assert_stored_once(&good, "one", &transactions);
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_heard_is_opened_again_though_nothing_is_sent() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let proxy = Proxy::to(emulator.local_addr()).await;
    let mut hub = hub(&emulator, "Sender", "transactions");
    hub.port = Some(proxy.port());
    let options = timeouts(Timeouts { idle: Duration::from_millis(400), ..Timeouts::default() });
    let service = connect(&settings(EventHubClient::Native, vec![hub]), &options).await;
    assert_eq!(emulator.counts().connections, 2);
    proxy.swallow();
    until("both are opened again", || emulator.counts().connections == 4).await;
    let (failures, counters) = send_all(&service, &transactions(10)).await;
    assert_eq!((failures, counters.ambiguous()), (vec![], 0));
}

#[tokio::test]
async fn a_connection_that_takes_no_more_bytes_is_opened_again() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let proxy = Proxy::to(emulator.local_addr()).await;
    let hub = ConnectionString { port: Some(proxy.port()), ..hub(&emulator, "Sender", "transactions") };
    let options = timeouts(Timeouts { idle: Duration::from_millis(400), ..Timeouts::default() });
    let service = connect(&settings(EventHubClient::Native, vec![hub]), &options).await;
    proxy.swallow();
    // More than all the buffers on the way hold, so that the AMQP library waits to write, and watches nothing else.
    let transactions = large_transactions(40);
    let sent = timeout(HANG, send_all(&service, &transactions)).await;
    assert_eq!(sent.unwrap().0, []);
    assert_stored_once(&emulator, "transactions", &transactions);
}

#[tokio::test]
async fn closing_does_not_wait_for_a_network_that_swallows_everything() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let proxy = Proxy::to(emulator.local_addr()).await;
    let mut hub = hub(&emulator, "Sender", "transactions");
    hub.port = Some(proxy.port());
    let options = timeouts(Timeouts { close: Duration::from_millis(100), ..Timeouts::default() });
    let service = connect(&settings(EventHubClient::Native, vec![hub]), &options).await;
    proxy.swallow();
    timeout(HANG, service.close()).await.expect("closing is bounded");
}

#[tokio::test]
async fn transactions_wait_for_a_service_that_is_away_for_a_moment() {
    let options = EventHubsEmulatorOptions::default();
    let first = emulator(options.clone()).await;
    let proxy = Proxy::to(first.local_addr()).await;
    let hub = ConnectionString { port: Some(proxy.port()), ..hub(&first, "Sender", "transactions") };
    let service = connect(&settings(EventHubClient::Native, vec![hub]), &Options::default()).await;
    first.stop().await;
    let transactions = transactions(100);
    let (sent, second) = tokio::join!(send_all(&service, &transactions), async {
        until("the connections are lost", || first.counts().open_connections == 0).await;
        // The same namespace, with its keys, somewhere else.
        let second = emulator(options).await;
        proxy.redirect(second.local_addr());
        second
    });
    assert_eq!(sent.0, []);
    assert_stored_once(&second, "transactions", &transactions);
}

#[tokio::test]
async fn events_go_over_websockets() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let port = crate::support::bridge::to(emulator.local_addr(), None, true).await;
    let hub = ConnectionString { port: Some(port), ..hub(&emulator, "Sender", "transactions") };
    let settings =
        EventHubsSettings { transport: EventHubTransport::Websocket, ..settings(EventHubClient::Native, vec![hub]) };
    let service = connect(&settings, &Options::default()).await;
    let transactions = transactions(100);
    let (failures, _) = send_all(&service, &transactions).await;
    assert_eq!(failures, []);
    assert_stored_once(&emulator, "transactions", &transactions);
}

#[tokio::test]
async fn a_host_that_knows_no_websockets_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let text = format!(
        "Endpoint=sb://{host};SharedAccessKeyName=Sender;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;EntityPath=hub"
    );
    let error = refusal(&over_websockets(ConnectionString::parse(&text).unwrap()), &Options::default()).await;
    assert!(error.contains("no AMQP over WebSockets"), "{error}");
}

#[tokio::test]
async fn transactions_go_over_websockets() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let settings = over_websockets(hub(&emulator, "Sender", "transactions"));
    let service = connect(&settings, &Options::default()).await;
    let (failures, _) = send_all(&service, &transactions(100)).await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(emulator.counts().events(), 100);
}

fn over_websockets(hub: ConnectionString) -> EventHubsSettings {
    EventHubsSettings { transport: EventHubTransport::Websocket, ..settings(EventHubClient::Native, vec![hub]) }
}

#[tokio::test]
async fn events_go_to_an_ipv6_address_in_brackets() {
    let listen = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    let options = EventHubsEmulatorOptions { listen, ..Default::default() };
    // Not every machine has IPv6.
    let Ok(emulator) = EventHubsEmulator::start(options).await else { return };
    let hub = ConnectionString { host: "[::1]".into(), ..hub(&emulator, "Sender", "transactions") };
    let service = connect(&settings(EventHubClient::Native, vec![hub]), &Options::default()).await;
    let transactions = transactions(10);
    let (failures, _) = send_all(&service, &transactions).await;
    assert_eq!(failures, []);
    assert_stored_once(&emulator, "transactions", &transactions);
}

/// Gives out unsigned tokens of this many seconds, at most so many.
#[derive(Debug)]
struct Tokens {
    life: u64,
    at_most: usize,
    asked: AtomicUsize,
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://eventhubs.azure.net/.default"]);
        if self.asked.fetch_add(1, Ordering::Relaxed) >= self.at_most {
            let kind = azure_core::error::ErrorKind::Credential;
            return Err(azure_core::Error::with_message(kind, "the account is locked"));
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + self.life;
        let expires = UNIX_EPOCH + Duration::from_secs(seconds);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{seconds}}}"#));
        Ok(AccessToken::new(format!("e30.{claims}.c2ln"), expires.into()))
    }
}

async fn entra(emulator: &EventHubsEmulator, tokens: &Arc<Tokens>) -> EventHubs {
    let mut hub = hub(emulator, "Sender", "transactions");
    hub.credential = HubCredential::EntraId;
    let settings = EventHubsSettings { connections: NonZeroUsize::MIN, ..settings(EventHubClient::Native, vec![hub]) };
    connect(&settings, &Options { credential: Some(tokens.clone()), ..Options::default() }).await
}

#[tokio::test]
async fn tokens_are_renewed_before_they_expire_and_nobody_notices() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let tokens = Arc::new(Tokens { life: 3, at_most: usize::MAX, asked: AtomicUsize::new(0) });
    let service = entra(&emulator, &tokens).await;
    let mut all = Vec::new();
    // The second renewal is past the first token's end.
    while tokens.asked.load(Ordering::Relaxed) < 3 {
        let transactions = transactions(5);
        let (failures, counters) = send_all(&service, &transactions).await;
        assert_eq!((failures, counters.ambiguous()), (vec![], 0));
        all.extend(transactions);
        sleep(Duration::from_millis(5)).await;
    }
    assert_stored_once(&emulator, "transactions", &all);
    assert_eq!(emulator.counts().connections, 1);
}

#[tokio::test]
async fn a_token_that_is_refused_once_on_the_way_back_fails_nothing() {
    let faults = vec!["refused-token:@3".parse().unwrap()];
    let emulator = emulator(EventHubsEmulatorOptions { faults, ..EventHubsEmulatorOptions::default() }).await;
    let hub = hub(&emulator, "Sender", "transactions");
    let settings = EventHubsSettings { connections: NonZeroUsize::MIN, ..settings(EventHubClient::Native, vec![hub]) };
    let service = connect(&settings, &Options::default()).await;
    let transactions = transactions(5);
    let cut = async {
        while emulator.faults().iter().all(|(_, happened)| *happened == 0) {
            tokio::task::yield_now().await;
        }
        // Whoever comes back now has to show a token first.
        emulator.drop_connections();
    };
    let ((failures, _), ()) = tokio::join!(send_all(&service, &transactions), cut);
    assert_eq!(failures, vec![]);
}

#[tokio::test]
async fn a_renewal_that_stays_refused_is_reported_by_the_transactions_that_it_fails() {
    let emulator = emulator(EventHubsEmulatorOptions::default()).await;
    let tokens = Arc::new(Tokens { life: 2, at_most: 1, asked: AtomicUsize::new(0) });
    let service = entra(&emulator, &tokens).await;
    let start = Instant::now();
    let failure = loop {
        let (failures, _) = send_all(&service, &transactions(1)).await;
        if let Some(failure) = failures.into_iter().next() {
            break failure;
        }
        assert!(start.elapsed() < HANG, "the token never expired");
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(failure.message.contains("the account is locked"), "{failure}");
}
