//! The services of a run, connected, and the run on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use txgen_emulator::Emulators;

use super::conclude::Finished;
use super::dead_letters::{DeadLetterWriter, Folder, RunRecord};
use super::expected::RowCount;
use super::fan_out::FanOut;
use super::feed::Feed;
use super::monitor::Monitor;
use super::observer::Observer;
use super::options::Criteria;
use super::prepare::Prepared;
use super::recorder::{Event, Recorder};
use super::{RunError, Stop};
use crate::description::{self, RunDescription};
use crate::service::cosmos::CosmosDb;
use crate::service::event_hubs::EventHubs;
use crate::service::{ConnectError, Counters, Service as _, ServiceName};
use crate::settings::Settings;
use crate::source::{DataFile, Source, input};
use crate::stats::Stats;

/// Events that wait for the observer at most; the recorder copes with a full queue.
const EVENTS_WAITING: usize = 64;

/// A run that can begin.
#[expect(missing_debug_implementations, reason = "its connections have none")]
pub struct Connected {
    description: Arc<RunDescription>,
    settings: Settings,
    source: Source,
    services: Services,
    folder: Option<Folder>,
    criteria: Criteria,
    hash_data: bool,
    emulators: Option<Emulators>,
    stop: Stop,
}

impl Prepared {
    /// Connects to the services that the settings name, creates what Cosmos DB lacks, and describes the run.
    ///
    /// # Errors
    /// When a service cannot be reached or refuses, or the user stops the run meanwhile.
    pub async fn connect(self) -> Result<Connected, RunError> {
        let Self { assignment, loaded, source, folder, criteria, hash_data, emulators, stop } = self;
        let services = match Services::connect(&loaded.settings, stop.token()).await {
            Ok(services) => services,
            Err(_) if stop.is_requested() => return Err(RunError::Interrupted),
            Err(error) => return Err(RunError::NotConnected(error.into())),
        };
        let description = Arc::new(RunDescription::new(assignment, &loaded, services.description()));
        let settings = loaded.settings;
        Ok(Connected { description, settings, source, services, folder, criteria, hash_data, emulators, stop })
    }
}

impl Connected {
    /// Sends the transactions until the data ends or the run is stopped, and shows it all to the observer.
    ///
    /// # Errors
    /// When dead letters cannot be written, or the run cannot be shown.
    pub async fn run<O: Observer>(self, mut observer: O) -> Result<Finished<O>, RunError> {
        let Self { description, settings, source, services, folder, criteria, hash_data, emulators, stop } = self;
        observer.start(&description);
        tracing::info!(run = %description.run_id, data = description.data, "the run begins");
        let (events, shown) = mpsc::channel(EVENTS_WAITING);
        let letters =
            folder.map(|folder| write_dead_letters(folder, &description, &source, events.clone())).transpose()?;

        let counters: BTreeMap<ServiceName, Arc<Counters>> =
            description.services().map(|name| (name, Arc::default())).collect();
        let recorder = Recorder::new(Stats::new(counters.clone(), Instant::now()), events)
            .with_log(letters.as_ref().map(DeadLetterWriter::log));
        let recorder = Arc::new(recorder.with_max_failures(criteria.max_failures, stop.clone()));
        let rows = RowCount::start(Path::new(&description.data), &settings.run, description.shard);
        let monitor = Monitor::new(description.clone(), &recorder, rows, stop.clone());
        observer.follow(shown, monitor).map_err(RunError::Usage)?;

        let mut fan_out = FanOut::new(settings.run.clone(), Feed::start(source), recorder, stop.clone());
        services.join(&mut fan_out, &settings, counters);
        // On a thread that also runs the requests: each that is settled wakes the fan-out, and to wake another thread
        // costs as much as a request.
        let fan_out = tokio::spawn(fan_out.execute());
        // It ends, or it panics: nothing aborts it.
        let (mut conclusion, figures) =
            fan_out.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        conclusion.session_token = services.cosmos_db.as_ref().and_then(|service| service.session_token());
        services.close().await;
        tracing::info!(reason = ?conclusion.reason, "the run has ended");
        Ok(Finished { description, conclusion, figures, letters, criteria, hash_data, emulators, stop, observer })
    }
}

/// Starts to write the dead letters of a run. What cannot be written becomes an event.
fn write_dead_letters(
    folder: Folder,
    description: &RunDescription,
    source: &Source,
    events: mpsc::Sender<Event>,
) -> Result<DeadLetterWriter, RunError> {
    let path = Path::new(&description.data);
    // The full path: a replay may start somewhere else.
    let path = if input::is_built_in(path) { None } else { std::path::absolute(path).ok() };
    let path = path.unwrap_or_else(|| PathBuf::from(&description.data));
    let bytes = input::size(&path).ok().flatten();
    let data = DataFile { file: path.display().to_string(), bytes, sha256: None };
    let record = RunRecord::new(description, data);
    let max_pending = description.run.max_pending.get();
    let warn = move |trouble: &str| {
        // A full queue has no room for it; the end of the run reports it in any case.
        let _ = events.try_send(Event::Warning(trouble.to_owned()));
    };
    DeadLetterWriter::start(folder, record, source.heading(), max_pending, warn)
        .context("--dead-letters")
        .map_err(RunError::Usage)
}

/// The services that are written to.
struct Services {
    event_hubs: Option<Arc<EventHubs>>,
    cosmos_db: Option<Arc<CosmosDb>>,
}

impl Services {
    /// Connects to both at the same time.
    async fn connect(settings: &Settings, cancel: CancellationToken) -> Result<Self, ConnectError> {
        let event_hubs = async {
            match &settings.event_hubs {
                Some(settings) => EventHubs::connect(settings, cancel.clone()).await.map(|hubs| Some(Arc::new(hubs))),
                None => Ok(None),
            }
        };
        let cosmos_db = async {
            match &settings.cosmos_db {
                Some(settings) => CosmosDb::connect(settings, cancel.clone()).await.map(|db| Some(Arc::new(db))),
                None => Ok(None),
            }
        };
        let (event_hubs, cosmos_db) = tokio::try_join!(event_hubs, cosmos_db)?;
        Ok(Self { event_hubs, cosmos_db })
    }

    /// What they say of themselves.
    fn description(&self) -> description::Services {
        description::Services {
            hubs: self.event_hubs.iter().flat_map(|service| service.hubs()).cloned().collect(),
            container: self.cosmos_db.as_ref().map(|service| service.provision().clone()),
        }
    }

    /// Makes them the services of this fan-out.
    fn join(&self, fan_out: &mut FanOut, settings: &Settings, counters: BTreeMap<ServiceName, Arc<Counters>>) {
        for (name, counters) in counters {
            match name {
                ServiceName::EventHubs => {
                    if let (Some(service), Some(settings)) = (&self.event_hubs, &settings.event_hubs) {
                        fan_out.add_service(service.clone(), settings.max_in_flight, counters);
                    }
                }
                ServiceName::CosmosDb => {
                    if let (Some(service), Some(settings)) = (&self.cosmos_db, &settings.cosmos_db) {
                        fan_out.add_service(service.clone(), settings.max_in_flight, counters);
                    }
                }
            }
        }
    }

    async fn close(&self) {
        let event_hubs = async {
            if let Some(service) = &self.event_hubs {
                service.close().await;
            }
        };
        let cosmos_db = async {
            if let Some(service) = &self.cosmos_db {
                service.close().await;
            }
        };
        tokio::join!(event_hubs, cosmos_db);
    }
}
