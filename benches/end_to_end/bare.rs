//! The bare loops: the same libraries, messages and limits as txgen's, and nothing else. No file is read, nothing is
//! written, and the only thing that is counted is whether all were taken.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use azure_data_cosmos::clients::ContainerClient;
use azure_data_cosmos::{AccountEndpoint, AccountReference, CosmosClient, RoutingStrategy};
use bytes::Bytes;
use clap::ValueEnum;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::{Connection, Sender, Session};
use fe2o3_amqp_types::definitions::SenderSettleMode;
use fe2o3_amqp_types::messaging::{Data, Message, MessageAnnotations, Outcome};
use fe2o3_amqp_types::primitives::Binary;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use txgen::identity::RunId;
use txgen::service::cosmos::CosmosDb;
use txgen::settings::{CosmosDbClient, CosmosDbSettings, DEFAULT_RETRY_FOR, Proxies};
use txgen::source::{Source, SourceOptions};
use txgen::transaction::Transaction;
use txgen_azure::cosmos::authorization::{AccountKey, Signed};

use crate::process::{Emulator, Usage};

/// As many links on each connection as txgen opens: a link's credit, a few hundred, bounds what is in flight on it.
const PER_LINK: usize = 250;
const JOB: &str = "TXGEN_BENCH_JOB";

/// One of the bare loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Loop {
    /// `send_batchable` of fe2o3-amqp
    EventHubs,
    /// `create_item` of azure_data_cosmos as it comes
    CosmosDb,
    /// The same with txgen's settings
    CosmosDbAsSet,
    /// The same requests through hyper alone
    Hyper,
    /// The same by HTTP/2
    Http2,
}

/// What a loop is to do.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) rows: u64,
    pub(crate) data: std::path::PathBuf,
    /// To Event Hubs; of HTTP/2, how many requests share one.
    pub(crate) connections: usize,
    pub(crate) max_in_flight: usize,
    address: String,
    user: String,
    key: String,
}

/// What it took.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Took {
    /// From the first send to the last settlement.
    pub(crate) seconds: f64,
    /// CPU seconds of the loop alone, without what came before.
    pub(crate) cpu_seconds: f64,
}

/// Runs a loop in a process of its own against this emulator.
pub(crate) fn start(
    which: Loop,
    emulator: &Emulator,
    data: &Path,
    rows: u64,
    connections: usize,
    max_in_flight: usize,
) -> anyhow::Result<Took> {
    const POLICY: &str = "RootManageSharedAccessKey";
    let (address, user, key) = match which {
        Loop::EventHubs => (emulator.event_hubs()?, POLICY, emulator.shared_access_key(POLICY)?),
        Loop::CosmosDb | Loop::CosmosDbAsSet | Loop::Hyper | Loop::Http2 => {
            let (address, key) = emulator.cosmos_db()?;
            (address, "", key)
        }
    };
    let (user, key) = (user.to_owned(), key.to_owned());
    let job = Job { rows, data: data.to_owned(), connections, max_in_flight, address, user, key };
    let name = which.to_possible_value().context("no such loop")?;
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["--bare", name.get_name()])
        .env(JOB, serde_json::to_string(&job)?)
        .env_remove("RUST_BACKTRACE")
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the bare loop ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the bare loop prints no figures")
}

/// The other end of [`start`]: is the loop, and prints its figures.
pub(crate) fn run(which: Loop) -> anyhow::Result<()> {
    let job: Job = serde_json::from_str(&std::env::var(JOB).context("a bare loop is started by the benchmark")?)?;
    let options = SourceOptions { repeat: true, ..SourceOptions::new(RunId::random(), 5_184_000) };
    let rows = usize::try_from(job.rows)?;
    let transactions: Vec<Transaction> = Source::open(&job.data, options)?.take(rows).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let took = runtime.block_on(async {
        match which {
            Loop::EventHubs => event_hubs(&job, Arc::new(transactions)).await,
            Loop::CosmosDb => cosmos_db::<Value>(&job, container_as_it_comes(&job).await?, transactions).await,
            Loop::CosmosDbAsSet => cosmos_db::<Box<RawValue>>(&job, container_as_set(&job).await?, transactions).await,
            Loop::Hyper => hyper_alone(&job, transactions).await,
            Loop::Http2 => http2(&job, transactions).await,
        }
    })?;
    print!("{}", serde_json::to_string(&took)?);
    // Connections are ended by the end of the process.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(())
}

/// The clock and the counter from here on.
struct Watch(Instant, Usage);

impl Watch {
    fn start() -> anyhow::Result<Self> {
        Ok(Self(Instant::now(), Usage::own()?))
    }

    fn stop(&self) -> anyhow::Result<Took> {
        let seconds = self.0.elapsed().as_secs_f64();
        Ok(Took { seconds, cpu_seconds: (Usage::own()?.cpu - self.1.cpu).as_secs_f64() })
    }
}

async fn event_hubs(job: &Job, transactions: Arc<Vec<Transaction>>) -> anyhow::Result<Took> {
    let links = job.max_in_flight.div_ceil(job.connections).div_ceil(PER_LINK).clamp(1, 16);
    let lanes = job.connections * links;
    let (mut connections, mut sessions, mut senders) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..job.connections {
        let mut connection = Connection::builder()
            .container_id(format!("bare-{nth}"))
            .sasl_profile(SaslProfile::Plain { username: job.user.clone(), password: job.key.clone() })
            .open(format!("amqp://{}", job.address).as_str())
            .await?;
        let mut session =
            Session::builder().incoming_window(u32::MAX).outgoing_window(u32::MAX).begin(&mut connection).await?;
        for link in 0..links {
            let sender = Sender::builder()
                .name(format!("bare-{nth}-{link}"))
                .target("transactions")
                .sender_settle_mode(SenderSettleMode::Unsettled)
                .attach(&mut session)
                .await?;
            senders.push(sender);
        }
        connections.push(connection);
        sessions.push(session);
    }
    let watch = Watch::start()?;
    let mut tasks = JoinSet::new();
    for (lane, sender) in senders.into_iter().enumerate() {
        let limit = job.max_in_flight / lanes + usize::from(lane < job.max_in_flight % lanes);
        let transactions = transactions.clone();
        // A lane without a place in flight would send nothing, and what is its share with it.
        tasks.spawn(async move { send_share(sender, &transactions, lane, lanes, limit.max(1)).await });
    }
    all_ended(tasks).await?;
    watch.stop()
}

/// Waits for all tasks; the first that fails is the end.
async fn all_ended(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn send_share(
    mut sender: Sender,
    transactions: &[Transaction],
    lane: usize,
    lanes: usize,
    limit: usize,
) -> anyhow::Result<()> {
    let mut unsettled = FuturesUnordered::new();
    for transaction in transactions.iter().skip(lane).step_by(lanes) {
        if unsettled.len() >= limit {
            accepted(unsettled.next().await.context("nothing is unsettled")??)?;
        }
        unsettled.push(sender.send_batchable(message(transaction)).await?);
    }
    while let Some(outcome) = unsettled.next().await {
        accepted(outcome?)?;
    }
    sender.close().await?;
    Ok(())
}

fn message(transaction: &Transaction) -> Message<Data> {
    let annotations = MessageAnnotations::builder().insert("x-opt-partition-key", &*transaction.partition_key).build();
    Message::builder().message_annotations(annotations).data(Binary::from(transaction.body.to_vec())).build()
}

fn accepted(outcome: Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Accepted(_) => Ok(()),
        other => bail!("an event was not accepted: {other:?}"),
    }
}

async fn container_as_it_comes(job: &Job) -> anyhow::Result<ContainerClient> {
    // Database and container are made on the way.
    drop(container_as_set(job).await?);
    let endpoint: AccountEndpoint = format!("http://{}/", job.address).parse()?;
    let account = AccountReference::with_authentication_key(endpoint, job.key.clone());
    let client = CosmosClient::builder().build(account, RoutingStrategy::PreferredRegions(Vec::new())).await?;
    Ok(client.database_client("Woodgrove").container_client("transactions", None).await?)
}

async fn container_as_set(job: &Job) -> anyhow::Result<ContainerClient> {
    let settings = CosmosDbSettings {
        endpoint: format!("http://{}/", job.address).parse()?,
        auth_key: Some(job.key.clone().into()),
        database: "Woodgrove".to_owned(),
        container: "transactions".to_owned(),
        throughput: CosmosDbSettings::DEFAULT_THROUGHPUT,
        client: CosmosDbClient::Sdk,
        preferred_regions: Vec::new(),
        max_in_flight: job.max_in_flight.try_into()?,
        retry_for: DEFAULT_RETRY_FOR,
        proxies: Proxies::default(),
    };
    let service = CosmosDb::connect(&settings, CancellationToken::new()).await?;
    service.container().cloned().context("Azure's client is the one that was asked for")
}

/// Creates every document, read beforehand into the form `D`: the SDK as it comes does not take raw JSON.
async fn cosmos_db<D>(job: &Job, container: ContainerClient, transactions: Vec<Transaction>) -> anyhow::Result<Took>
where
    D: DeserializeOwned + Serialize + Send + Sync + 'static,
{
    let documents = transactions.into_iter().map(|transaction| {
        let document: D = serde_json::from_slice(&transaction.body)?;
        anyhow::Ok((transaction.id.to_string(), transaction.partition_key.to_string(), document))
    });
    let documents: Arc<Vec<_>> = Arc::new(documents.collect::<Result<_, _>>()?);
    let next = Arc::new(AtomicUsize::new(0));
    let watch = Watch::start()?;
    let mut tasks = JoinSet::new();
    for _ in 0..job.max_in_flight {
        let (container, documents, next) = (container.clone(), documents.clone(), next.clone());
        tasks.spawn(async move {
            while let Some((id, key, document)) = documents.get(next.fetch_add(1, Ordering::Relaxed)) {
                container.create_item(key.clone(), id, document, None).await?;
            }
            anyhow::Ok(())
        });
    }
    all_ended(tasks).await?;
    watch.stop()
}

/// Creates every document with a connection and a task for each that may be in flight.
async fn hyper_alone(job: &Job, transactions: Vec<Transaction>) -> anyhow::Result<Took> {
    // Database and container are made on the way.
    drop(container_as_set(job).await?);
    let requests = Arc::new(Requests::of(job, "", transactions)?);
    let watch = Watch::start()?;
    let mut tasks = JoinSet::new();
    for _ in 0..job.max_in_flight {
        let (address, requests) = (job.address.clone(), requests.clone());
        tasks.spawn(async move {
            let (mut sender, connection) = http1::handshake(TokioIo::new(connect(&address).await?)).await?;
            tokio::spawn(connection);
            while let Some(request) = requests.next()? {
                sender.ready().await?;
                created(sender.send_request(request).await?).await?;
            }
            anyhow::Ok(())
        });
    }
    all_ended(tasks).await?;
    watch.stop()
}

/// The same by HTTP/2, so many tasks a connection.
async fn http2(job: &Job, transactions: Vec<Transaction>) -> anyhow::Result<Took> {
    drop(container_as_set(job).await?);
    // It wants the whole address; of HTTP/1.1 the path alone is written.
    let requests = Arc::new(Requests::of(job, &format!("http://{}", job.address), transactions)?);
    let watch = Watch::start()?;
    let mut tasks = JoinSet::new();
    for _ in 0..job.max_in_flight.div_ceil(job.connections) {
        let stream = TokioIo::new(connect(&job.address).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        for _ in 0..job.connections {
            let (mut sender, requests) = (sender.clone(), requests.clone());
            tasks.spawn(async move {
                while let Some(request) = requests.next()? {
                    sender.ready().await?;
                    created(sender.send_request(request).await?).await?;
                }
                anyhow::Ok(())
            });
        }
    }
    all_ended(tasks).await?;
    watch.stop()
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn created(answer: Response<Incoming>) -> anyhow::Result<()> {
    ensure!(answer.status() == StatusCode::CREATED, "answered {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}

/// The requests of all documents: the headers of txgen's own client, made and signed beforehand, and the documents' bytes.
struct Requests {
    uri: Uri,
    headers: HeaderMap,
    documents: Vec<(HeaderValue, Bytes)>,
    next: AtomicUsize,
}

impl Requests {
    /// With this before the path.
    fn of(job: &Job, origin: &str, transactions: Vec<Transaction>) -> anyhow::Result<Self> {
        let documents = transactions.into_iter().map(|transaction| {
            let key = HeaderValue::try_from(format!("[\"{}\"]", transaction.partition_key))?;
            anyhow::Ok((key, transaction.body))
        });
        let uri = format!("{origin}/dbs/Woodgrove/colls/transactions/docs").parse()?;
        let documents = documents.collect::<Result<_, _>>()?;
        Ok(Self { uri, headers: headers(job)?, documents, next: AtomicUsize::new(0) })
    }

    fn next(&self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        let Some((key, body)) = self.documents.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
            return Ok(None);
        };
        let mut request = Request::post(self.uri.clone()).body(Full::new(body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("x-ms-documentdb-partitionkey", key.clone());
        Ok(Some(request))
    }
}

fn headers(job: &Job) -> anyhow::Result<HeaderMap> {
    let date = OffsetDateTime::now_utc().format(format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    ))?;
    let key = AccountKey::parse(&job.key.clone().into()).context("the key is not base64")?;
    let link = "dbs/Woodgrove/colls/transactions";
    let authorization = key.sign(Signed { verb: "post", resource_type: "docs", resource_link: link }, &date);
    let headers = [
        ("host", job.address.as_str()),
        ("user-agent", concat!("txgen/", env!("CARGO_PKG_VERSION"))),
        ("x-ms-version", "2020-07-15"),
        ("content-type", "application/json"),
        ("prefer", "return=minimal"),
        ("authorization", &authorization),
        ("x-ms-date", &date),
    ];
    headers
        .into_iter()
        .map(|(name, value)| Ok((HeaderName::from_static(name), HeaderValue::try_from(value)?)))
        .collect()
}
