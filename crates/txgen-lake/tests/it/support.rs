//! A hub that is a list, a store that fails on purpose, and a table's contents.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::arrow::array::AsArray as _;
use deltalake_core::arrow::datatypes::{Int32Type, Int64Type};
use deltalake_core::datafile::reader::ParquetTableReader;
use deltalake_core::datafile::{DeltaDataReader as _, ReadOptions};
use deltalake_core::logstore::{StorageConfig, default_logstore};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use txgen_lake::{Appender, Event, LakeError, Options, Source, Store};
use url::Url;

/// The event of this number: each seventh one is no transaction.
pub(crate) fn event(partition: u32, sequence_number: i64) -> Event {
    let body = match sequence_number % 7 {
        3 => format!("event {sequence_number} is no JSON"),
        _ => format!(
            r#"{{"id":"{partition}-{sequence_number}","transactionID":"t","accountID":"a","ipCountryCode":"{}","localHour":{}}}"#,
            ["us", "de", "in"][sequence_number as usize % 3],
            sequence_number % 24,
        ),
    };
    Event {
        partition,
        sequence_number,
        offset: Some((sequence_number * 512).to_string()),
        enqueued_unix_us: Some(1_700_000_000_000_000 + sequence_number),
        partition_key: Some("us".to_owned()),
        properties: None,
        body: body.into(),
    }
}

pub(crate) fn is_transaction(sequence_number: i64) -> bool {
    sequence_number % 7 != 3
}

pub(crate) fn source() -> Source {
    Source::event_hub("ns.example", "transactions", 1_700_000_000_000, "$Default")
}

pub(crate) fn options(lander: &str) -> Options {
    Options {
        table: "t".to_owned(),
        lander: lander.to_owned(),
        partition_by: None,
        retry_for: Duration::from_millis(100),
        pause: Duration::from_millis(1),
    }
}

pub(crate) fn table_url() -> Url {
    Url::parse("memory:///lake/t").unwrap()
}

pub(crate) fn rejected_url() -> Url {
    Url::parse("memory:///lake/t_rejected").unwrap()
}

pub(crate) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

pub(crate) async fn open(
    root: &Arc<dyn ObjectStore>,
    partitions: impl IntoIterator<Item = u32>,
    lander: &str,
) -> std::result::Result<Appender, LakeError> {
    open_with(root, partitions, options(lander)).await
}

pub(crate) async fn open_with(
    root: &Arc<dyn ObjectStore>,
    partitions: impl IntoIterator<Item = u32>,
    options: Options,
) -> std::result::Result<Appender, LakeError> {
    let (table, rejected) = (Store::new(root.clone(), table_url()), Store::new(root.clone(), rejected_url()));
    Appender::open(source(), partitions, table, rejected, options).await
}

pub(crate) async fn load(root: Arc<dyn ObjectStore>, url: &Url) -> Option<DeltaTable> {
    let config = StorageConfig::default();
    let prefixed: Arc<dyn ObjectStore> = Arc::from(config.decorate_store(root.clone(), url).unwrap());
    let mut table = DeltaTable::new(default_logstore(prefixed, root, url, &config));
    table.load().await.ok().map(|()| table)
}

/// How often each event is in the table, by partition and sequence number.
pub(crate) async fn contents(root: Arc<dyn ObjectStore>, url: &Url) -> BTreeMap<(u32, i64), u32> {
    let mut counts = BTreeMap::new();
    let Some(table) = load(root, url).await else { return counts };
    let mut batches = ParquetTableReader::try_new(&table).await.unwrap().read(ReadOptions::default()).await.unwrap();
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        let partitions = batch.column_by_name("_partition").unwrap().as_primitive::<Int32Type>();
        let numbers = batch.column_by_name("_sequenceNumber").unwrap().as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            *counts.entry((partitions.value(row) as u32, numbers.value(row))).or_default() += 1;
        }
    }
    counts
}

/// Asserts that both tables together hold each of the first `events` of these partitions once.
pub(crate) async fn assert_exactly_once(root: Arc<dyn ObjectStore>, partitions: &[u32], events: i64, seed: u64) {
    for (url, of_transactions) in [(table_url(), true), (rejected_url(), false)] {
        let found = contents(root.clone(), &url).await;
        let all = partitions.iter().flat_map(|partition| (0..events).map(move |number| (*partition, number)));
        let wanted: BTreeMap<(u32, i64), u32> =
            all.filter(|(_, number)| is_transaction(*number) == of_transactions).map(|event| (event, 1)).collect();
        assert!(found == wanted, "seed {seed}: {url} is not what was sent: {:?}", first_difference(&wanted, &found));
    }
}

fn first_difference(
    wanted: &BTreeMap<(u32, i64), u32>,
    found: &BTreeMap<(u32, i64), u32>,
) -> Option<((u32, i64), u32, u32)> {
    let keys = wanted.keys().chain(found.keys());
    let count = |map: &BTreeMap<(u32, i64), u32>, key: &(u32, i64)| map.get(key).copied().unwrap_or_default();
    keys.map(|key| (*key, count(wanted, key), count(found, key))).find(|(_, wanted, found)| wanted != found)
}

/// What a request may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// 500 or 503: refused, and not done.
    Refused,
    /// No answer in time, though it was done.
    Unanswered,
    /// No answer in time, and done only later.
    Late,
    /// The process is killed before the request leaves.
    KilledBefore,
    /// The process is killed after the request was done.
    KilledAfter,
}

/// A store in memory whose requests fail at random, as a seed says.
#[derive(Clone)]
pub(crate) struct Weather {
    inner: Arc<InMemory>,
    random: Arc<Mutex<ChaCha8Rng>>,
    /// Requests in a thousand that do not go well.
    bad: u32,
    /// Of these, those in a hundred that are kills.
    kills: u32,
    calm: Arc<AtomicBool>,
    pub(crate) faults: Arc<AtomicU64>,
    pub(crate) killed: Arc<AtomicU64>,
    death: Arc<Notify>,
    over: CancellationToken,
}

impl Weather {
    pub(crate) fn new(seed: u64, bad: u32, kills: u32) -> Self {
        Self {
            inner: Arc::new(InMemory::new()),
            random: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
            bad,
            kills,
            calm: Arc::default(),
            faults: Arc::default(),
            killed: Arc::default(),
            death: Arc::default(),
            over: CancellationToken::new(),
        }
    }

    /// From now on nothing fails.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// The store without the weather.
    pub(crate) fn within(&self) -> Arc<dyn ObjectStore> {
        self.inner.clone()
    }

    /// Waits until a request kills the process.
    pub(crate) async fn death(&self) {
        self.death.notified().await;
    }

    pub(crate) fn number(&self, range: std::ops::Range<u32>) -> u32 {
        self.random.lock().unwrap().random_range(range)
    }

    fn fate(&self, may_be_late: bool) -> Fate {
        if self.calm.load(Ordering::SeqCst) || self.number(0..1000) >= self.bad {
            return Fate::Done;
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        if self.number(0..100) < self.kills {
            self.killed.fetch_add(1, Ordering::SeqCst);
            return [Fate::KilledBefore, Fate::KilledAfter][self.number(0..2) as usize];
        }
        match self.number(0..3) {
            0 => Fate::Refused,
            1 if may_be_late => Fate::Late,
            _ => Fate::Unanswered,
        }
    }

    async fn meet<T, F: Future<Output = Result<T>> + Send + 'static>(&self, may_be_late: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
    {
        let error = |source: &'static str| Error::Generic { store: "Weather", source: source.into() };
        match self.fate(may_be_late) {
            Fate::Done => work.await,
            Fate::Refused => Err(error("503 Service Unavailable")),
            Fate::Unanswered => {
                let _ = work.await;
                Err(error("operation timed out"))
            }
            Fate::Late => {
                let wait = Duration::from_millis(u64::from(self.number(0..8)));
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = work.await;
                });
                Err(error("operation timed out"))
            }
            Fate::KilledBefore => self.die().await,
            Fate::KilledAfter => {
                let _ = work.await;
                self.die().await
            }
        }
    }

    /// No request of a killed process is answered any more; the library's threads that wait for it end with the test.
    async fn die<T>(&self) -> Result<T> {
        self.death.notify_one();
        self.over.cancelled().await;
        Err(Error::Generic { store: "Weather", source: "killed".into() })
    }

    /// Lets what waits for a killed process's requests go.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weather").field("bad", &self.bad).field("kills", &self.kills).finish_non_exhaustive()
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Weather {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (inner, location) = (self.inner.clone(), location.clone());
        self.meet(true, async move { inner.put_opts(&location, payload, options).await }).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (inner, location) = (self.inner.clone(), location.clone());
        self.meet(false, async move { inner.put_multipart_opts(&location, options).await }).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (inner, location) = (self.inner.clone(), location.clone());
        self.meet(false, async move { inner.get_opts(&location, options).await }).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if matches!(self.fate(false), Fate::Done | Fate::KilledAfter | Fate::KilledBefore) {
            return self.inner.list(prefix);
        }
        let error = Error::Generic { store: "Weather", source: "500 Internal Server Error".into() };
        futures_util::stream::once(async { Err(error) }).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
