//! The Cosmos DB service, with both of its clients, against the emulator, over sockets: what it finds and makes, what it
//! waits out, and what it says when it cannot go on.

// Clippy's leave for tests covers test functions, not the helpers beside them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::closed_port::ClosedPort;
use crate::support::proxy::Proxy;
use azure_core::credentials::Secret;
use azure_data_cosmos::models::{ContainerProperties, ThroughputProperties, TimeToLive};
use azure_data_cosmos::options::{BinaryEncodingOptions, ConnectionPoolOptions, CreateContainerOptions};
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, ContainerClient, CosmosClient, CosmosRuntime, DatabaseClient, RoutingStrategy,
};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use txgen::identity::RunId;
use txgen::service::cosmos::{CosmosDb, DefaultTtl, Scope, Throughput};
use txgen::service::{Attempts, ConnectError, Counters, Failure, FailureKind, Receipt, Service as _};
use txgen::settings::{CosmosDbClient, CosmosDbSettings, DEFAULT_RETRY_FOR, Proxies};
use txgen::transaction::Transaction;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use url::Url;

/// Runs each of these with both clients.
macro_rules! with_both_clients {
    ($($name:ident)*) => {
        mod native {
            $(#[tokio::test] async fn $name() { super::$name(super::CosmosDbClient::Native).await })*
        }
        mod sdk {
            $(#[tokio::test] async fn $name() { super::$name(super::CosmosDbClient::Sdk).await })*
        }
    };
}

with_both_clients! {
    the_first_run_creates_database_and_container_and_the_second_finds_them
    documents_arrive_as_they_are_and_are_charged_for
    a_document_that_is_there_is_a_conflict
    throttling_is_waited_out_and_counted
    throttling_past_the_budget_is_a_failure
    a_transaction_whose_answer_is_lost_is_sent_again_and_stored_once
    an_answer_that_is_lost_once_is_one_ambiguous_attempt
    a_container_that_is_gone_fails_the_transaction_as_not_found
    a_service_that_is_gone_is_a_connection_failure_at_the_end_of_the_budget
    a_wrong_key_is_reported_with_the_remedy_and_without_the_key
    a_port_where_nothing_listens_is_reported_as_such
    a_server_of_another_kind_is_reported_as_such
    connecting_hears_cancellation
    a_container_with_another_partition_key_is_refused
    a_container_with_its_own_throughput_and_without_time_to_live_is_seen_as_it_is
}

pub(super) async fn emulator() -> CosmosEmulator {
    CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap()
}

fn settings_of(emulator: &CosmosEmulator, client: CosmosDbClient) -> CosmosDbSettings {
    settings_at(emulator.endpoint(), emulator.key().clone(), client)
}

pub(super) fn settings_at(endpoint: Url, key: Secret, client: CosmosDbClient) -> CosmosDbSettings {
    CosmosDbSettings {
        endpoint,
        auth_key: Some(key),
        database: CosmosDbSettings::DEFAULT_DATABASE.to_owned(),
        container: CosmosDbSettings::DEFAULT_CONTAINER.to_owned(),
        throughput: CosmosDbSettings::DEFAULT_THROUGHPUT,
        client,
        preferred_regions: Vec::new(),
        max_in_flight: CosmosDbSettings::DEFAULT_MAX_IN_FLIGHT,
        retry_for: DEFAULT_RETRY_FOR,
        proxies: Proxies::default(),
    }
}

pub(super) fn url_of(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).unwrap()
}

pub(super) async fn connect(settings: &CosmosDbSettings) -> Result<CosmosDb, ConnectError> {
    CosmosDb::connect(settings, CancellationToken::new()).await
}

/// What connecting says when it fails.
async fn refusal(settings: &CosmosDbSettings) -> String {
    connect(settings).await.map(|_| ()).unwrap_err().to_string()
}

fn transaction(run: RunId, row: u64) -> Transaction {
    let id = run.transaction_id(row);
    let body = format!(r#"{{"id":"{id}","transactionAmountUSD":12.50,"ipCountryCode":"us","ttl":60}}"#);
    Transaction::new(row, id, "us".into(), body.into())
}

pub(super) async fn send(
    cosmos: &CosmosDb,
    transaction: &Transaction,
    counters: &Counters,
) -> Result<Receipt, Failure> {
    let attempts = Attempts::new(counters);
    cosmos.send(transaction, &attempts).await
}

/// Sends this many transactions at once.
async fn send_all(cosmos: &CosmosDb, count: u64, counters: &Counters) -> Vec<Result<Receipt, Failure>> {
    let run = RunId::random();
    let transactions: Vec<_> = (1..=count).map(|row| transaction(run, row)).collect();
    join_all(transactions.iter().map(|transaction| send(cosmos, transaction, counters))).await
}

/// Azure's client as anybody else would use it.
async fn somebody_else(emulator: &CosmosEmulator) -> CosmosClient {
    let endpoint = AccountEndpoint::from(emulator.endpoint());
    let account = AccountReference::with_authentication_key(endpoint, emulator.key().clone());
    // The emulator speaks HTTP/1.1.
    let pool = ConnectionPoolOptions::builder().with_is_http2_allowed(false).build().unwrap();
    let runtime = CosmosRuntime::builder().with_connection_pool(pool).build().await.unwrap();
    CosmosClient::builder()
        .with_runtime(runtime)
        .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false))
        .build(account, RoutingStrategy::PreferredRegions(Vec::new()))
        .await
        .unwrap()
}

/// The container as somebody else reaches it.
async fn container_of(emulator: &CosmosEmulator) -> ContainerClient {
    let client = somebody_else(emulator).await;
    client.database_client("Woodgrove").container_client("transactions", None).await.unwrap()
}

/// A database without throughput, as somebody else might have made it.
async fn database_of_somebody_else(emulator: &CosmosEmulator) -> DatabaseClient {
    let client = somebody_else(emulator).await;
    client.create_database("Woodgrove", None).await.unwrap();
    client.database_client("Woodgrove")
}

async fn the_first_run_creates_database_and_container_and_the_second_finds_them(client: CosmosDbClient) {
    let emulator = emulator().await;
    let first = connect(&settings_of(&emulator, client)).await.unwrap().provision().clone();
    assert!(first.created_database && first.created_container);
    assert_eq!(first.throughput, Throughput::Manual { request_units_per_second: 15_000, scope: Scope::Database });
    assert_eq!((first.default_ttl, first.physical_partitions), (DefaultTtl::NoDefault, Some(2)));
    let way = match client {
        CosmosDbClient::Native => "native, gateway, HTTP/1.1",
        CosmosDbClient::Sdk => "Azure's client, gateway, HTTP/1.1",
    };
    assert_eq!(first.way().as_deref(), Some(way));
    assert_eq!(first.warnings, Vec::<String>::new());

    let second = connect(&CosmosDbSettings { throughput: 400, ..settings_of(&emulator, client) }).await.unwrap();
    assert!(!second.provision().created_database && !second.provision().created_container);
    assert_eq!(second.provision().throughput, first.throughput);
}

async fn documents_arrive_as_they_are_and_are_charged_for(client: CosmosDbClient) {
    let emulator = emulator().await;
    let cosmos = connect(&settings_of(&emulator, client)).await.unwrap();
    let sent = transaction(RunId::random(), 1);
    let receipt = send(&cosmos, &sent, &Counters::default()).await.unwrap();
    assert!(receipt.request_units > 5.0, "{receipt:?}");
    assert_eq!(emulator.counts().created, 1);

    let answer = container_of(&emulator).await.read_item("us", &sent.id.to_string(), None).await.unwrap();
    let read: serde_json::Value = answer.into_model().unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
}

async fn a_document_that_is_there_is_a_conflict(client: CosmosDbClient) {
    let emulator = emulator().await;
    let cosmos = connect(&settings_of(&emulator, client)).await.unwrap();
    let (transaction, counters) = (transaction(RunId::random(), 1), Counters::default());
    send(&cosmos, &transaction, &counters).await.unwrap();
    let failure = send(&cosmos, &transaction, &counters).await.unwrap_err();
    assert_eq!((failure.kind, failure.status.as_deref()), (FailureKind::Conflict, Some("409")));
    assert!(!failure.ambiguous);
}

async fn throttling_is_waited_out_and_counted(client: CosmosDbClient) {
    let emulator = emulator().await;
    let cosmos = connect(&CosmosDbSettings { throughput: 400, ..settings_of(&emulator, client) }).await.unwrap();
    let counters = Counters::default();
    let settled = send_all(&cosmos, 80, &counters).await;
    assert_eq!(settled.iter().filter(|settled| settled.is_ok()).count(), 80);
    assert!(counters.throttled() > 0);
    assert_eq!((counters.ambiguous(), counters.resent()), (0, 0));
    assert_eq!(counters.throttled(), emulator.counts().throttled);
}

async fn throttling_past_the_budget_is_a_failure(client: CosmosDbClient) {
    let emulator = emulator().await;
    let settings = CosmosDbSettings { throughput: 400, retry_for: Duration::ZERO, ..settings_of(&emulator, client) };
    let cosmos = connect(&settings).await.unwrap();
    let counters = Counters::default();
    let failures: Vec<_> = send_all(&cosmos, 400, &counters).await.into_iter().filter_map(Result::err).collect();
    assert!(!failures.is_empty());
    assert!(failures.iter().all(|failure| failure.kind == FailureKind::Throttled && !failure.ambiguous));
    assert_eq!(counters.throttled(), failures.len() as u64);
}

async fn a_transaction_whose_answer_is_lost_is_sent_again_and_stored_once(client: CosmosDbClient) {
    let emulator = emulator().await;
    let trouble = Troublemaker::start(&emulator).await;
    let cosmos = connect(&settings_at(trouble.endpoint.clone(), emulator.key().clone(), client)).await.unwrap();
    let counters = Counters::default();
    trouble.lose_answers(2);
    send(&cosmos, &transaction(RunId::random(), 1), &counters).await.unwrap();
    assert_eq!((counters.ambiguous(), counters.resent(), counters.throttled()), (2, 2, 0));
    assert_eq!(emulator.counts().created, 1);
}

async fn an_answer_that_is_lost_once_is_one_ambiguous_attempt(client: CosmosDbClient) {
    let emulator = emulator().await;
    let trouble = Troublemaker::start(&emulator).await;
    let cosmos = connect(&settings_at(trouble.endpoint.clone(), emulator.key().clone(), client)).await.unwrap();
    let counters = Counters::default();
    trouble.lose_answers(1);
    send(&cosmos, &transaction(RunId::random(), 1), &counters).await.unwrap();
    assert_eq!((counters.ambiguous(), counters.resent()), (1, 1));
    assert_eq!(emulator.counts().created, 1);
}

#[tokio::test]
async fn a_request_that_meets_a_connection_being_closed_is_sent_again_and_is_not_ambiguous() {
    let emulator = emulator().await;
    let trouble = Troublemaker::start(&emulator).await;
    let settings = settings_at(trouble.endpoint.clone(), emulator.key().clone(), CosmosDbClient::Native);
    let cosmos = connect(&settings).await.unwrap();
    let counters = Counters::default();
    trouble.close_unread(1);
    send(&cosmos, &transaction(RunId::random(), 1), &counters).await.unwrap();
    assert_eq!((counters.ambiguous(), counters.resent()), (0, 1));
    assert_eq!(emulator.counts().created, 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_is_not_used() {
    let emulator = emulator().await;
    let proxy = Proxy::to(emulator.endpoint().socket_addrs(|| None).unwrap()[0]).await;
    let endpoint = url_of(([127, 0, 0, 1], proxy.port()).into());
    let cosmos = connect(&settings_at(endpoint, emulator.key().clone(), CosmosDbClient::Native)).await.unwrap();
    let counters = Counters::default();
    let run = RunId::random();
    for row in 1..=5 {
        send(&cosmos, &transaction(run, row), &counters).await.unwrap();
        proxy.cut_all();
    }
    assert_eq!(counters.ambiguous(), 0);
    assert_eq!(emulator.counts().created, 5);
}

#[tokio::test]
async fn writes_follow_the_account_to_the_region_that_takes_them() {
    let emulator = emulator().await;
    let (first, second) = (Troublemaker::start(&emulator).await, Troublemaker::start(&emulator).await);
    let settings = settings_at(first.endpoint.clone(), emulator.key().clone(), CosmosDbClient::Native);
    let cosmos = connect(&settings).await.unwrap();
    let (run, counters) = (RunId::random(), Counters::default());
    send(&cosmos, &transaction(run, 1), &counters).await.unwrap();
    assert_eq!((first.creates(), second.creates()), (1, 0));
    first.hand_over_to(&second);
    send(&cosmos, &transaction(run, 2), &counters).await.unwrap();
    send(&cosmos, &transaction(run, 3), &counters).await.unwrap();
    assert_eq!(second.creates(), 2);
    assert_eq!((counters.ambiguous(), emulator.counts().created), (0, 3));
}

async fn a_container_that_is_gone_fails_the_transaction_as_not_found(client: CosmosDbClient) {
    let emulator = emulator().await;
    let cosmos = connect(&settings_of(&emulator, client)).await.unwrap();
    container_of(&emulator).await.delete(None).await.unwrap();
    let failure = send(&cosmos, &transaction(RunId::random(), 1), &Counters::default()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound, "{failure}");
}

async fn a_service_that_is_gone_is_a_connection_failure_at_the_end_of_the_budget(client: CosmosDbClient) {
    let emulator = emulator().await;
    let cosmos = connect(&settings_of(&emulator, client)).await.unwrap();
    drop(emulator);
    // Nothing answers any more: only the waits between the repeats are left, and they need not be sat out.
    tokio::time::pause();
    let counters = Counters::default();
    let failure = send(&cosmos, &transaction(RunId::random(), 1), &counters).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connection, "{failure}");
    assert!(failure.message.contains("(given up after 1"), "{failure}");
}

async fn a_wrong_key_is_reported_with_the_remedy_and_without_the_key(client: CosmosDbClient) {
    let emulator = emulator().await;
    let settings = settings_at(emulator.endpoint(), Secret::new("d3Jvbmc="), client);
    assert_eq!(
        refusal(&settings).await,
        format!(
            "Cosmos DB: {}: refused COSMOS_DB_AUTH_KEY (401); copy PRIMARY KEY of this account (Keys > Read-write \
             Keys) again",
            emulator.endpoint()
        )
    );
}

async fn a_port_where_nothing_listens_is_reported_as_such(client: CosmosDbClient) {
    let closed = ClosedPort::free();
    let address = closed.address();
    let refusal = refusal(&settings_at(url_of(address), Secret::new("a2V5"), client)).await;
    assert!(refusal.starts_with(&format!("Cosmos DB: http://{address}/: cannot be reached (")), "{refusal}");
    assert!(refusal.ends_with("); check COSMOS_DB_ENDPOINT, the account's firewall and the network"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_is_given_up_in_time() {
    let client = CosmosDbClient::default();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let start = tokio::time::Instant::now();
    let refusal = refusal(&settings_at(url_of(silent.local_addr().unwrap()), Secret::new("a2V5"), client)).await;
    assert!(refusal.contains("check COSMOS_DB_ENDPOINT"), "{refusal}");
    assert!(start.elapsed() <= Duration::from_secs(15), "{:?}", start.elapsed());
}

async fn a_server_of_another_kind_is_reported_as_such(client: CosmosDbClient) {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
        }
    });
    assert_eq!(
        refusal(&settings_at(url_of(address), Secret::new("a2V5"), client)).await,
        format!("Cosmos DB: http://{address}/: does not answer like Cosmos DB; check COSMOS_DB_ENDPOINT")
    );
}

async fn connecting_hears_cancellation(client: CosmosDbClient) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let settings = settings_at(url_of(silent.local_addr().unwrap()), Secret::new("a2V5"), client);
    let refused = CosmosDb::connect(&settings, cancel).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "Cosmos DB: interrupted while connecting");
}

async fn a_container_with_another_partition_key_is_refused(client: CosmosDbClient) {
    let emulator = emulator().await;
    let database = database_of_somebody_else(&emulator).await;
    database.create_container(ContainerProperties::new("transactions", "/id".into()), None).await.unwrap();
    let refusal = refusal(&settings_of(&emulator, client)).await;
    assert!(refusal.contains("container transactions has the partition key /id, but transactions need"), "{refusal}");
}

async fn a_container_with_its_own_throughput_and_without_time_to_live_is_seen_as_it_is(client: CosmosDbClient) {
    let emulator = emulator().await;
    let database = database_of_somebody_else(&emulator).await;
    let options = CreateContainerOptions::default().with_throughput(ThroughputProperties::autoscale(4_000, None));
    let properties = ContainerProperties::new("transactions", "/ipCountryCode".into());
    assert_eq!(properties.default_ttl, TimeToLive::Forever);
    database.create_container(properties, Some(options)).await.unwrap();

    let cosmos = connect(&settings_of(&emulator, client)).await.unwrap();
    let provision = cosmos.provision();
    assert!(!provision.created_database && !provision.created_container);
    let own = Throughput::Autoscale { max_request_units_per_second: 4_000, scope: Scope::Container };
    assert_eq!((provision.throughput, provision.default_ttl), (own, DefaultTtl::Off));
    assert_eq!(provision.warnings.len(), 1);
}

/// A proxy in front of the emulator, and what can go wrong with creates there.
struct Troublemaker {
    endpoint: Url,
    trouble: Arc<Trouble>,
}

struct Trouble {
    upstream: SocketAddr,
    /// Creates that are stored without an answer, from now on.
    to_lose: AtomicUsize,
    /// Creates that end the connection and are not read, from now on.
    to_leave_unread: AtomicUsize,
    creates: AtomicUsize,
    /// Where the account takes writes.
    writable: Mutex<SocketAddr>,
    own: SocketAddr,
}

impl Troublemaker {
    async fn start(emulator: &CosmosEmulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let trouble = Arc::new(Trouble {
            upstream: emulator.endpoint().socket_addrs(|| None).unwrap()[0],
            to_lose: AtomicUsize::new(0),
            to_leave_unread: AtomicUsize::new(0),
            creates: AtomicUsize::new(0),
            writable: Mutex::new(own),
            own,
        });
        let shared = Arc::clone(&trouble);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let trouble = Arc::clone(&shared);
                tokio::spawn(async move { trouble.forward(client).await });
            }
        });
        Self { endpoint: url_of(own), trouble }
    }

    fn lose_answers(&self, count: usize) {
        self.trouble.to_lose.store(count, Ordering::SeqCst);
    }

    fn close_unread(&self, count: usize) {
        self.trouble.to_leave_unread.store(count, Ordering::SeqCst);
    }

    /// This region takes no writes any more, and says that the other one does.
    fn hand_over_to(&self, other: &Self) {
        *self.trouble.writable.lock().unwrap() = other.trouble.own;
    }

    /// Creates that were passed on.
    fn creates(&self) -> usize {
        self.trouble.creates.load(Ordering::SeqCst)
    }
}

impl Trouble {
    /// Forwards one connection until either side ends it, or something goes wrong.
    async fn forward(&self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.upstream).await else { return };
        let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
        let strikes = |left: &AtomicUsize| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        };
        let mut is_create = false;
        loop {
            tokio::select! {
                read = client.read(&mut request) => {
                    let Ok(length @ 1..) = read else { return };
                    let writable = *self.writable.lock().unwrap();
                    if request.starts_with(b"POST ") {
                        let line = request[..length].split(|byte| *byte == b'\r').next().unwrap_or_default();
                        is_create = String::from_utf8_lossy(line).contains("/docs");
                        if is_create && writable != self.own {
                            let refusal = b"HTTP/1.1 403 Forbidden\r\nx-ms-substatus: 3\r\ncontent-length: 0\r\n\r\n";
                            if client.write_all(refusal).await.is_err() { return }
                            continue;
                        }
                        if is_create && strikes(&self.to_leave_unread) { return }
                        self.creates.fetch_add(usize::from(is_create), Ordering::SeqCst);
                    }
                    if server.write_all(&request[..length]).await.is_err() { return }
                }
                read = server.read(&mut answer) => {
                    let Ok(length @ 1..) = read else { return };
                    if is_create && strikes(&self.to_lose) { return }
                    // The account document names the endpoint by which the client came, and clients follow it.
                    let writable = *self.writable.lock().unwrap();
                    for address in [self.upstream, self.own] {
                        replace(&mut answer[..length], &address.to_string(), &writable.to_string());
                    }
                    if client.write_all(&answer[..length]).await.is_err() { return }
                }
            }
        }
    }
}

/// Both have the same length, so that the answer keeps its own.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    for start in 0..(bytes.len() + 1).saturating_sub(from.len()) {
        if bytes[start..].starts_with(from.as_bytes()) {
            bytes[start..start + to.len()].copy_from_slice(to.as_bytes());
        }
    }
}
