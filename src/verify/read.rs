//! Reads a run back from what it was written to, and holds it against its data: the edge around this module's pure parts.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

use super::document::Stored;
use super::expected::Expected;
use super::progress::{Progress, Step};
use super::reconcile::{Findings, Item, Reconciler};
use super::remarks::remarks;
use super::report::Verification;
use super::subject::{Part, Subject};
use crate::description::{HubTarget, Target};
use crate::service::cosmos::{Document, Reader};
use crate::service::event_hubs::{self, ReadFrom, StoredEvent};
use crate::service::{ConnectError, ServiceName};
use crate::settings::{CosmosDbSettings, EventHubTransport, Listener, Settings};
use crate::source::{RowError, Source, SourceOptions, fingerprint, input};

/// Clocks differ, and a run's first events may look older than the run: reading starts so much earlier.
const SLACK: time::Duration = time::Duration::minutes(5);
/// Before everything that a hub holds.
const FIRST_EVENT: i64 = 0;

/// What to verify, and how to read it.
#[derive(Debug)]
pub struct Job {
    /// The run.
    pub subject: Subject,
    /// The services to read, each of which the run wrote to.
    pub services: Vec<ServiceName>,
    /// Where they are; not needed where a table is read.
    pub settings: Option<Settings>,
    /// How to read the event hubs, in the order of the settings.
    pub listeners: Vec<Listener>,
    /// The data, where it is not where the run says.
    pub data: Option<PathBuf>,
    /// The consumer group to read event hubs as.
    pub consumer_group: String,
    /// What carries AMQP.
    pub transport: EventHubTransport,
    /// So many rows of each kind of finding are listed one by one.
    pub listed: usize,
    /// The table to read in the place of the services.
    #[cfg(feature = "lake")]
    pub table: Option<super::table::Table>,
}

/// Why a run cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The settings or the data do not belong to the run.
    #[error(transparent)]
    Unusable(anyhow::Error),
    /// A service could not be reached or refuses to be read.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// The table cannot be read.
    #[cfg(feature = "lake")]
    #[error(transparent)]
    Table(#[from] txgen_lake::LakeError),
    /// A thread of this process ended.
    #[error("the thread that reads the data ended unexpectedly")]
    Thread,
}

/// Reads everything and says what was found; `progress` is called with how far it is.
///
/// # Errors
/// [`VerifyError`].
pub async fn verify(job: Job, progress: &dyn Progress, cancel: CancellationToken) -> Result<Verification, VerifyError> {
    check_targets(&job).map_err(VerifyError::Unusable)?;
    progress.next(Step { place: "The data".to_owned(), counted: "rows of the run read", ..Step::default() });
    let job = Arc::new(job);
    let (of_data, counter) = (job.clone(), progress.counter());
    let expected = tokio::task::spawn_blocking(move || expect(&of_data, &counter))
        .await
        .map_err(|_| VerifyError::Thread)?
        .map_err(VerifyError::Unusable)?;
    let reading = Reading { job: &job, expected: &expected, progress };
    let mut found = BTreeMap::new();
    for service in &job.services {
        found.insert(*service, reading.places(*service, cancel.clone()).await?);
    }
    let subject = &job.subject;
    let remarks = remarks(subject, &found, time::OffsetDateTime::now_utc());
    Ok(Verification::new(subject.run, data_files(&job), found, remarks))
}

/// Each file of data once.
fn data_files(job: &Job) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for part in &job.subject.parts {
        let name = job.data_of(part).display().to_string();
        if !files.contains(&name) {
            files.push(name);
        }
    }
    files
}

impl Job {
    fn data_of<'a>(&'a self, part: &'a Part) -> &'a Path {
        self.data.as_deref().unwrap_or(Path::new(&part.data.file))
    }
}

/// Reading from another place than was written to would find everything missing.
fn check_targets(Job { subject, services, settings, .. }: &Job) -> anyhow::Result<()> {
    let Some(settings) = settings else { return Ok(()) };
    let mut differences = Vec::new();
    let mut compare = |what: &str, run: String, here: String| {
        if !run.eq_ignore_ascii_case(&here) {
            differences.push(format!("the run wrote to {what} {run}, but the settings name {here}"));
        }
    };
    for service in services {
        match (subject.target(*service), &settings.event_hubs, &settings.cosmos_db) {
            (Some(Target::EventHubs(hubs)), Some(settings), _) => {
                let here = Target::EventHubs(settings.hubs.iter().map(HubTarget::from).collect());
                compare("the event hubs", Target::EventHubs(hubs.clone()).to_string(), here.to_string());
            }
            (Some(Target::Container(container)), _, Some(settings)) => {
                compare("the container", container.to_string(), settings.place());
            }
            _ => {}
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(anyhow!("{}; give the settings of that run with --settings", differences.join("; ")))
}

/// Reads the data of every part. Blocks.
fn expect(job: &Job, counter: &AtomicU64) -> anyhow::Result<Expected> {
    let subject = &job.subject;
    let mut expected = Expected::new(subject.run, subject.ttl_seconds());
    for part in &subject.parts {
        let path = job.data_of(part);
        if input::is_standard_input(path) && job.data.is_none() {
            return Err(anyhow!("{} is of a run that read standard input; name the same data with --data", part.name));
        }
        check_data(part, path)?;
        let services = part.services.keys().copied().collect();
        let options = SourceOptions {
            run: subject.run,
            ttl_seconds: subject.ttl_seconds(),
            strict: part.strict,
            repeat: part.repeat,
            shard: part.shard,
            keep_records: false,
        };
        let mut source = Source::open(path, options).with_context(|| format!("the data of {}", part.name))?;
        if source.run() != subject.run {
            return Err(anyhow!(
                "{} holds the dead letters of run {}, not of {}",
                path.display(),
                source.run(),
                subject.run
            ));
        }
        let mut left = part.requested.unwrap_or(u64::MAX);
        while left > 0 {
            match source.next() {
                None => break,
                Some(Ok(transaction)) => {
                    expected.add(&transaction, &services)?;
                    counter.fetch_add(1, Ordering::Relaxed);
                    left -= 1;
                }
                Some(Err(RowError::Rejected(_))) => {}
                Some(Err(RowError::Fatal(error))) => return Err(error.into()),
            }
        }
        if left > 0 && part.requested.is_some() && !part.is_limit && !part.repeat && part.data.sha256.is_some() {
            return Err(anyhow!("{} has {left} rows fewer than the run sent", path.display()));
        }
    }
    Ok(expected)
}

/// Whether the file is the one that was sent; with another one every row would look different.
fn check_data(part: &Part, path: &Path) -> anyhow::Result<()> {
    let Some(bytes) = part.data.bytes else { return Ok(()) };
    let found = fingerprint(path, || part.data.sha256.is_some());
    let now = found.bytes.or_else(|| input::size(path).ok().flatten());
    let has_changed = now != Some(bytes) || (part.data.sha256.is_some() && found.sha256 != part.data.sha256);
    match now {
        Some(now) if has_changed => Err(anyhow!(
            "{} is not the data that the run sent: it has {now} bytes, where the run read {bytes}{}; name that file with \
             --data",
            path.display(),
            if now == bytes { ", with another content" } else { "" },
        )),
        // A missing file is reported when it is opened.
        _ => Ok(()),
    }
}

/// An event hub to read, and how often the run wrote every transaction to it.
struct Place<'a> {
    listener: &'a Listener,
    copies: u8,
}

/// Each hub once, however many keys name it.
fn distinct(listeners: &[Listener]) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for listener in listeners {
        match places.iter_mut().find(|place| place.listener.hub.resource() == listener.hub.resource()) {
            Some(place) => place.copies += 1,
            None => places.push(Place { listener, copies: 1 }),
        }
    }
    places
}

/// What every place is read with.
pub(super) struct Reading<'a> {
    pub(super) job: &'a Job,
    pub(super) expected: &'a Expected,
    pub(super) progress: &'a dyn Progress,
}

impl Reading<'_> {
    /// Everywhere that holds what the run wrote to the service.
    async fn places(&self, service: ServiceName, cancel: CancellationToken) -> Result<Vec<Findings>, VerifyError> {
        #[cfg(feature = "lake")]
        if let Some(table) = &self.job.table {
            return Ok(vec![self.table(service, table).await?]);
        }
        let cosmos_db = self.job.settings.as_ref().and_then(|settings| settings.cosmos_db.as_ref());
        Ok(match (service, cosmos_db) {
            (ServiceName::EventHubs, _) => self.event_hubs().await?,
            (ServiceName::CosmosDb, Some(settings)) => vec![self.cosmos_db(settings, cancel).await?],
            (ServiceName::CosmosDb, None) => Vec::new(),
        })
    }

    async fn event_hubs(&self) -> Result<Vec<Findings>, ConnectError> {
        let ambiguous = self.job.subject.ambiguous(ServiceName::EventHubs);
        let mut found = Vec::new();
        for place in distinct(&self.job.listeners) {
            let hub = &place.listener.hub;
            let mut name = HubTarget::from(hub).to_string();
            if place.copies > 1 {
                name.push_str(&format!(" ({} times in the settings, so every row is there {0} times)", place.copies));
            }
            found.push(self.event_hub(&place, &name).await?.finish(name, &ambiguous));
        }
        Ok(found)
    }

    async fn event_hub(&self, place: &Place<'_>, name: &str) -> Result<Reconciler<'_>, ConnectError> {
        let Listener { hub, key } = place.listener;
        let subject = &self.job.subject;
        let proxies = self.job.settings.as_ref().and_then(|settings| settings.event_hubs.as_ref());
        let proxies = proxies.map(|settings| settings.proxies.clone()).unwrap_or_default();
        let since = subject.started_at.saturating_sub(SLACK);
        let mut since_unix_ms = i64::try_from(since.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        loop {
            self.progress.next(Step {
                place: ServiceName::EventHubs.to_string(),
                counted: "events of the run read",
                expected: Some(self.expected.count(ServiceName::EventHubs) * u64::from(place.copies)),
                detail: name.to_owned(),
            });
            let mut reconciler =
                Reconciler::new(self.expected, ServiceName::EventHubs, self.job.listed).with_copies(place.copies);
            let mut take = |event: StoredEvent| {
                if let Some(stored) = Stored::of_json(&event.body, subject.run) {
                    let key = event.partition_key.as_deref();
                    reconciler.take(&Item { stored, key, partition: Some(event.partition) });
                    self.progress.count(reconciler.read());
                }
            };
            let from = ReadFrom { consumer_group: &self.job.consumer_group, since_unix_ms };
            event_hubs::read_back(hub, self.job.transport, &proxies, from, key.name(), &mut take).await?;
            if since_unix_ms == FIRST_EVENT || reconciler.missing() <= subject.not_stored(ServiceName::EventHubs) {
                return Ok(reconciler);
            }
            // The run's clock may have been wrong by more than the slack: before any event is called lost, all of the
            // hub is looked through.
            since_unix_ms = FIRST_EVENT;
        }
    }

    async fn cosmos_db(
        &self,
        settings: &CosmosDbSettings,
        cancel: CancellationToken,
    ) -> Result<Findings, ConnectError> {
        let Self { expected, progress, .. } = self;
        let place = settings.place();
        progress.next(Step {
            place: ServiceName::CosmosDb.to_string(),
            counted: "documents of the run read",
            expected: Some(expected.count(ServiceName::CosmosDb)),
            detail: place.clone(),
        });
        let session = self.job.subject.session_token(ServiceName::CosmosDb);
        let reader = Reader::connect(settings, session, cancel).await?;
        let run = expected.run();
        let mut reconciler = Reconciler::new(expected, ServiceName::CosmosDb, self.job.listed);
        let mut take = |key: &str, document: Document| {
            if let Some(stored) = Stored::of(&document, run) {
                reconciler.take(&Item { stored, key: Some(key), partition: None });
                progress.count(reconciler.read());
            }
        };
        reader.read_keys(&run.to_string(), expected.keys().map(str::to_owned), &mut take).await?;
        if reconciler.lacks_any() {
            // A document under a key that no row has is on the wrong partition, rather than missing.
            progress.next(Step {
                place: ServiceName::CosmosDb.to_string(),
                counted: "documents looked at for those under other keys",
                ..Step::default()
            });
            let looked_at = progress.counter();
            let keys: HashSet<&str> = expected.keys().collect();
            let mut take = |document: Document| {
                looked_at.fetch_add(1, Ordering::Relaxed);
                let key = document.get("ipCountryCode").and_then(serde_json::Value::as_str);
                if let Some(stored) = Stored::of(&document, run).filter(|_| key.is_none_or(|key| !keys.contains(key))) {
                    reconciler.take(&Item { stored, key, partition: None });
                }
            };
            reader.read_everywhere(&run.to_string(), &mut take).await?;
        }
        Ok(reconciler.finish(place, &self.job.subject.ambiguous(ServiceName::CosmosDb)))
    }
}
