//! `txgen run`: the job.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::criteria::CriteriaArgs;
use super::dead_letters::DeadLetterArgs;
use super::dead_letters::{self, Planned};
use super::documents::Documents;
use super::facts::Facts;
use super::output::Show;
use super::output::{Output, OutputFormat, tell};
use super::sharing::SharingArgs;
use super::watch::{self, RowCount, WatchArgs, Watching};
use super::{CliError, FAILED, INTERRUPTED, dry_run, next_steps, signals};
use crate::dead_letters::Keeper;
use crate::identity::RunId;
use crate::report::counted;
use crate::report::opening::{CosmosDbOpening, HubOpening, Opening};
use crate::run::feed::{Feed, Row, Rows};
use crate::run::recorder::Recorder;
use crate::run::witness::Witness;
use crate::run::{Run, Stop};
use crate::service::cosmos::{CosmosDb, Provision};
use crate::service::event_hubs::{EventHubs, HubInfo};
use crate::service::{ConnectError, Counters, Service as _, ServiceName};
use crate::settings::{
    CosmosDbSettings, EventHubClient, EventHubTransport, Loaded, Origin, Preset, Provenance, RunFlags, Settings,
};
use crate::source::input::default_data;
use crate::source::{RowError, Source, SourceOptions};
use crate::stats::{DataFile, Stats, StopReason, Summary};
use txgen_azure::event_hubs::connection_string::DEFAULT_HUB;
use txgen_emulator::Emulators;

/// What `txgen run` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  txgen run --emulator                    try it, without an Azure account\n  \
    txgen run --seconds-to-run 600          both services, as appsettings.json says\n  \
    txgen run --only-cosmos --limit 2000    2,000 documents\n  \
    txgen run --rate 500 --loop             500 transactions per second, repeating the data\n  \
    txgen run --dry-run                     what would be sent where, without sending it")]
pub(super) struct RunArgs {
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Read the transactions from this CSV file [default: data/Untagged_Transactions.csv, or the same data made in memory
    /// where it is not there]
    #[arg(long, value_name = "FILE", default_value = default_data(), hide_default_value = true)]
    pub(super) data: PathBuf,
    /// Bring up local Event Hubs and Cosmos DB in this process, and write to them
    #[arg(long)]
    pub(super) emulator: bool,
    /// Reject rows with empty or unreadable numbers, dates and booleans, instead of sending 0 or false
    #[arg(long)]
    pub(super) strict: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, help_heading = "Output")]
    pub(super) output: OutputFormat,
    /// Print only the totals
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    /// Write the totals to this file as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    summary_file: Option<PathBuf>,
    /// Show the first N transactions as they would be sent, and where to, without connecting [default: 3]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Output")]
    dry_run: Option<u64>,
    /// Write the run as an HTML page to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    pub(super) flags: RunFlags,

    #[command(flatten)]
    pub(super) criteria: CriteriaArgs,

    #[command(flatten)]
    pub(super) sharing: SharingArgs,

    #[command(flatten)]
    pub(super) dead_letters: DeadLetterArgs,
}

impl RunArgs {
    /// What the output shows.
    pub(super) fn show(&self) -> Show {
        self.watch.show(self.output, self.quiet)
    }
}

/// Runs the job and prints what happens.
pub(super) async fn execute(args: RunArgs) -> Result<ExitCode, CliError> {
    let run_id = args.sharing.run_id()?;
    if let Some(count) = args.dry_run {
        return rehearse(args, run_id, count).await;
    }
    let stop = Stop::default();
    let listener = signals::listen(stop.clone(), tell).context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    // The data and the files to write are opened before anything is sent or provisioned: a wrong path fails first.
    let emulators = if args.emulator { Some(start_emulators().await?) } else { None };
    let mut loaded = load_settings(&args, emulators.as_ref().map(preset))?;
    args.criteria.check(&loaded.settings)?;
    args.sharing.cut(&mut loaded.settings.run);
    dead_letters::complete(&args.data).await?;
    let source = open_source(&args, run_id, &loaded.settings).await?;
    // A replay of dead letters keeps the ids, and with them the run, that they come from.
    let run_id = source.run();
    let folder = args.dead_letters.take(&args.data)?;
    let documents = Documents::open(args.summary_file.as_deref(), args.report.as_deref()).map_err(CliError::usage)?;

    let metrics = args.watch.prepare().await.map_err(CliError::usage)?;

    let connecting = Services::connect(&loaded.settings, stop.token());
    let services = match connecting.await {
        Ok(services) => services,
        Err(_) if stop.is_requested() => return Ok(ExitCode::from(INTERRUPTED)),
        Err(error) => return Err(CliError::not_connected(error)),
    };

    let output = Output::new(args.show(), stop.clone());
    output.start(&opening(&args, &source, &loaded, &services));
    tracing::info!(run = %run_id, data = %args.data.display(), "the run begins");
    let facts = Facts::new(&args, &loaded, &services);
    let rows = RowCount::start(&args.data, &loaded.settings.run, args.sharing.shard());
    let throughput = services.cosmos_db.as_ref().map(|service| service.provision().throughput);
    let watching = Watching { plan: watch::plan(run_id, &loaded.settings.run, throughput), rows, metrics, output };
    let plan = Planned {
        run_id,
        data: &args.data,
        shard: args.sharing.shard(),
        strict: args.strict,
        run: &loaded.settings.run,
    };
    let dead_letters = folder.map(|folder| dead_letters::keep(folder, plan, &facts, &source)).transpose()?;
    let guards =
        Guards { witness: dead_letters.as_ref().map(Keeper::witness), max_failures: args.criteria.max_failures };
    let (mut summary, output) = play(run_id, loaded.settings, source, services, stop.clone(), watching, guards).await?;
    let kept = dead_letters::finish(dead_letters).await;
    tracing::info!(reason = ?summary.stop_reason, requested = summary.requested, "the run has ended");
    facts.complete(&mut summary, data_file(&args, &stop).await);
    let passed = args.criteria.judge(&mut summary);
    listener.abort();

    let remark = emulators.as_ref().map(|emulators| format!("The local services hold {}.", emulators.stored()));
    let remark = dead_letters::remark(remark, kept.as_ref());
    let remark =
        remark.into_iter().chain(next_steps::after(&args, &summary)).reduce(|above, below| above + "\n" + &below);
    output.finish(&summary, remark.as_deref());
    documents.write(&summary).map_err(CliError::failed)?;
    if let Some(emulators) = emulators {
        emulators.stop().await;
    }
    if let Some(problem) = kept.and_then(dead_letters::problem) {
        return Err(CliError::failed(problem));
    }
    Ok(exit_code(&summary, passed))
}

/// `--dry-run`: everything up to the first connection.
async fn rehearse(args: RunArgs, run_id: RunId, count: u64) -> Result<ExitCode, CliError> {
    let mut loaded = load_settings(&args, args.emulator.then(dry_run::preset))?;
    args.criteria.check(&loaded.settings)?;
    args.sharing.cut(&mut loaded.settings.run);
    let source = open_source(&args, run_id, &loaded.settings).await?;
    // Reading and printing block.
    tokio::task::spawn_blocking(move || dry_run::execute(&args, run_id, &loaded, source, count))
        .await
        .map_err(|_| CliError::failed(anyhow::anyhow!("the thread that reads the data ended unexpectedly")))?
}

/// The settings with which a run reaches the local services.
fn preset(emulators: &Emulators) -> Preset {
    Preset {
        event_hub_connection_strings: emulators
            .event_hubs()
            .connection_string("Sender", DEFAULT_HUB)
            .into_iter()
            .collect(),
        cosmos_endpoint: emulators.cosmos_db().endpoint().to_string(),
        cosmos_auth_key: emulators.cosmos_db().key().clone(),
    }
}

async fn start_emulators() -> Result<Emulators, CliError> {
    Emulators::start().await.context("cannot start the local services").map_err(CliError::failed)
}

fn load_settings(args: &RunArgs, preset: Option<Preset>) -> Result<Loaded, CliError> {
    super::settings::of_surroundings(&args.flags, args.settings.clone(), preset.as_ref()).map_err(CliError::usage)
}

async fn open_source(args: &RunArgs, run: RunId, settings: &Settings) -> Result<Source, CliError> {
    let options = SourceOptions {
        run,
        ttl_seconds: settings.run.ttl_seconds,
        strict: args.strict,
        repeat: settings.run.repeat,
        shard: args.sharing.shard(),
        keep_records: args.dead_letters.are_kept(),
    };
    let path = args.data.clone();
    // Opening reads the heading, and reading blocks.
    let source = tokio::task::spawn_blocking(move || Source::open(&path, options).map(Source::looking_ahead))
        .await
        .map_err(|_| CliError::failed(anyhow::anyhow!("the thread that opens the data ended unexpectedly")))?
        .map_err(CliError::usage)?;
    if source.is_replay() && options.repeat {
        let name = source.name();
        return Err(CliError::usage(anyhow::anyhow!("--loop: {name} holds dead letters, which are replayed once")));
    }
    if let Some(named) = args.sharing.named_run().filter(|named| source.is_replay() && *named != source.run()) {
        let (name, run) = (source.name(), source.run());
        return Err(CliError::usage(anyhow::anyhow!(
            "--run-id: {name} holds dead letters of run {run}, which keep their ids; they cannot become those of {named}"
        )));
    }
    Ok(source)
}

/// What file the data was, where that is to be written down: a large one takes a second or two to hash, which a second
/// Ctrl-C saves.
async fn data_file(args: &RunArgs, stop: &Stop) -> Option<DataFile> {
    if args.summary_file.is_none() && args.report.is_none() && args.output != OutputFormat::Json {
        return None;
    }
    let (path, stop) = (args.data.clone(), stop.clone());
    let hashing =
        tokio::task::spawn_blocking(move || crate::source::fingerprint(&path, || !stop.is_requested_at_once()));
    hashing.await.ok()
}

/// The services that are written to, connected.
pub(super) struct Services {
    pub(super) event_hubs: Option<Arc<EventHubs>>,
    pub(super) cosmos_db: Option<Arc<CosmosDb>>,
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

    fn names(&self) -> impl Iterator<Item = ServiceName> {
        let event_hubs = self.event_hubs.as_ref().map(|_| ServiceName::EventHubs);
        let cosmos_db = self.cosmos_db.as_ref().map(|_| ServiceName::CosmosDb);
        event_hubs.into_iter().chain(cosmos_db)
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

/// Who sees every transaction, and how many failures end the run.
struct Guards {
    witness: Option<Arc<dyn Witness>>,
    max_failures: Option<NonZeroU64>,
}

/// Runs with everything connected; gives back the totals, and the output once it has printed all batches.
async fn play(
    run_id: RunId,
    settings: Settings,
    source: Source,
    services: Services,
    stop: Stop,
    watching: Watching,
    guards: Guards,
) -> Result<(Summary, Output), CliError> {
    let counters: BTreeMap<ServiceName, Arc<Counters>> = services.names().map(|name| (name, Arc::default())).collect();
    let stats = Stats::new(counters.clone(), Instant::now());
    let (events, shown) = Output::queue();
    let recorder = Recorder::new(stats, events).with_witness(guards.witness);
    let recorder = Arc::new(recorder.with_max_failures(guards.max_failures, stop.clone()));
    let watched = watching.begin(shown, &recorder, stop.clone())?;
    let feed = Feed::start(SourceRows(source));
    let mut run = Run::new(run_id, settings.run, feed, recorder.clone(), stop);
    for (name, counters) in counters {
        match name {
            ServiceName::EventHubs => {
                if let (Some(service), Some(settings)) = (&services.event_hubs, &settings.event_hubs) {
                    run.add_service(service.clone(), settings.max_in_flight, counters);
                }
            }
            ServiceName::CosmosDb => {
                if let (Some(service), Some(settings)) = (&services.cosmos_db, &settings.cosmos_db) {
                    run.add_service(service.clone(), settings.max_in_flight, counters);
                }
            }
        }
    }
    let summary = run.execute().await;
    services.close().await;
    // The printing thread ends when the last recorder is gone; tasks that were given up may hold one a moment longer.
    drop(recorder);
    let output = tokio::task::spawn_blocking(move || watched.printing.join()).await;
    match output {
        Ok(Ok(output)) => Ok((summary, output)),
        _ => Err(CliError::failed(anyhow::anyhow!("the thread that prints ended unexpectedly"))),
    }
}

/// The source as the feed reads it.
struct SourceRows(Source);

impl Rows for SourceRows {
    fn next_row(&mut self) -> Option<Row> {
        Some(match self.0.next()? {
            Ok(transaction) => Row::Transaction(transaction),
            Err(RowError::Rejected(row)) => Row::Rejected { line: row.line, reason: row.reason },
            Err(error) => Row::Failed(error.to_string()),
        })
    }

    fn unreadable_cells(&self) -> BTreeMap<String, u64> {
        self.0
            .report()
            .cells
            .columns()
            .map(|(column, count)| (column.to_owned(), count.empty + count.unreadable))
            .collect()
    }
}

fn exit_code(summary: &Summary, passed: bool) -> ExitCode {
    match summary.stop_reason {
        StopReason::Interrupted => ExitCode::from(INTERRUPTED),
        StopReason::DataFailed | StopReason::OutputClosed | StopReason::TooManyFailures => ExitCode::from(FAILED),
        _ if summary.requested == 0 && summary.rejected_rows > 0 => ExitCode::from(FAILED),
        _ if passed => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    }
}

fn opening(args: &RunArgs, source: &Source, loaded: &Loaded, services: &Services) -> Opening {
    let settings = &loaded.settings;
    Opening {
        run_id: source.run(),
        shard: args.sharing.shard(),
        data: args.data.display().to_string(),
        settings: sources(&loaded.origins),
        event_hubs: services
            .event_hubs
            .iter()
            .flat_map(|hubs| hubs.hubs())
            .map(|hub| hub_opening(hub, settings))
            .collect(),
        max_in_flight_event_hubs: settings.event_hubs.as_ref().map_or(0, |hubs| hubs.max_in_flight.get()),
        cosmos_db: services
            .cosmos_db
            .as_deref()
            .zip(settings.cosmos_db.as_ref())
            .map(|(service, cosmos_db)| cosmos_db_opening(cosmos_db, service.provision(), settings.run.ttl_seconds)),
        plan: plan(settings, args.sharing),
        warnings: warnings(loaded, source, services),
    }
}

/// What the user should know before it starts: of the settings, and of what was found at the services.
fn warnings(loaded: &Loaded, source: &Source, services: &Services) -> Vec<String> {
    let found = services.cosmos_db.iter().flat_map(|db| &db.provision().warnings);
    loaded.warnings.iter().chain(&loaded.notes).chain(source.foreseen()).chain(found).cloned().collect()
}

fn hub_opening(hub: &HubInfo, settings: &Settings) -> HubOpening {
    let connections = settings.event_hubs.as_ref().map_or(0, |hubs| hubs.connections.get());
    let client = match hub.client {
        EventHubClient::Pipelined if connections == 1 => "pipelined over 1 connection".to_owned(),
        EventHubClient::Pipelined => format!("pipelined over {connections} connections"),
        EventHubClient::Sdk => "Azure's client".to_owned(),
    };
    let transport = match hub.transport {
        EventHubTransport::Tcp => "AMQP",
        EventHubTransport::Websocket => "AMQP over WebSockets",
    };
    let tls = if hub.tls { "with TLS" } else { "without TLS" };
    HubOpening {
        name: format!("{} at {}", hub.hub, hub.namespace),
        partitions: hub.partitions,
        how: format!("{client}, {transport} {tls}, {}", hub.authentication),
    }
}

fn cosmos_db_opening(settings: &CosmosDbSettings, found: &Provision, ttl_seconds: u32) -> CosmosDbOpening {
    let authentication = if settings.auth_key.is_some() { "account key" } else { "Microsoft Entra ID" };
    let transport = found.transport.map(|transport| format!("{transport}, ")).unwrap_or_default();
    CosmosDbOpening {
        name: format!("{}/{} at {}", settings.database, settings.container, settings.endpoint),
        how: format!("{transport}{authentication}, at most {} in flight", settings.max_in_flight),
        created: match (found.created_database, found.created_container) {
            (true, true) => Some("database and container created"),
            (true, false) => Some("database created"),
            (false, true) => Some("container created"),
            (false, false) => None,
        },
        throughput: found.throughput,
        ttl_seconds,
    }
}

/// Where the settings come from, the strongest first: `flags, environment, ./appsettings.json, defaults`.
pub(super) fn sources(origins: &[Provenance]) -> String {
    let mut sources = BTreeSet::new();
    for provenance in origins {
        sources.insert(match &provenance.origin {
            Origin::Flag(_) => (0, "flags".to_owned()),
            Origin::Emulator => (1, "--emulator".to_owned()),
            Origin::Environment => (2, "environment".to_owned()),
            Origin::File(place) => (3, place.path.display().to_string()),
            Origin::Default => (4, "defaults".to_owned()),
        });
    }
    let names: Vec<String> = sources.into_iter().map(|(_, name)| name).collect();
    names.join(", ")
}

/// The pace and the end of the run, in words.
pub(super) fn plan(settings: &Settings, sharing: SharingArgs) -> String {
    let run = &settings.run;
    let part = sharing.plan();
    let every_row = if part.is_some() { "each" } else { "every row" };
    let what = match run.limit {
        Some(limit) => counted(limit, "transaction") + " at most",
        None if run.repeat => format!("{every_row}, again and again"),
        None => format!("{every_row} once"),
    };
    let pace = match (run.rate, &settings.event_hubs, &settings.cosmos_db) {
        // A shard's part of a rate may have no end.
        (Some(rate), ..) => format!("{} per second", (rate * 1000.0).round() / 1000.0),
        (None, Some(_), Some(_)) => "as fast as the faster service takes them".to_owned(),
        (None, ..) => "as fast as the service takes them".to_owned(),
    };
    let part = part.map(|part| part + ": ").unwrap_or_default();
    let mut plan = format!("{part}{what}, {pace}");
    if !run.lead.is_zero() {
        plan.push_str(&format!(", starting in {}", humantime::format_duration(run.lead)));
    }
    if let Some(duration) = run.duration {
        plan.push_str(&format!(", for {} at most", humantime::format_duration(duration)));
    }
    plan
}
