//! `txgen verify`: reads a finished run back from both services and reconciles it with its data, row by row.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::output::tell;
use super::reading::{Progress, Step};
use super::signals::Signals;
use super::{CliError, FAILED, INTERRUPTED};
use crate::report::counted;
use crate::service::cosmos::{Document, Reader};
use crate::service::event_hubs::{self, StoredEvent};
use crate::service::{ConnectError, ServiceName};
use crate::settings::{CosmosDbSettings, EventHubTransport, Listener, RunFlags, Settings, SettingsFile, listeners};
use crate::source::{RowError, Source, SourceOptions, fingerprint, input};
use crate::stats::{Rows, Target};
use crate::verify::document::Stored;
use crate::verify::expected::Expected;
use crate::verify::reconcile::{Findings, Item, Reconciler};
use crate::verify::report::Verification;
use crate::verify::subject::{Part, Subject};

/// Clocks differ, and a run's first events may look older than the run: reading starts so much earlier.
const SLACK: time::Duration = time::Duration::minutes(5);
/// Before everything that a hub holds.
const FIRST_EVENT: i64 = 0;

/// What `txgen verify` takes.
#[derive(Debug, Args)]
#[command(
    long_about = "Read a run back from both services and reconcile it with its data, row by row\n\n\
        Reads every event since the run's start and every document of the run, and finds rows that are missing, \
        duplicated, different from the data, on the wrong partition, or with the wrong ttl. Duplicates after a send whose \
        answer was lost are told apart from those without. Sends nothing.",
    after_help = "Reading takes the Listen right, which the policy of a run does not have as a rule. Put the connection \
        string of a policy that has it into EVENT_HUB_1_LISTEN_CONNECTION_STRING (_2_, _3_), in the environment or in \
        appsettings.json.\n\n\
        Examples:\n  \
        txgen verify --summary summary.json\n  \
        txgen verify --summary summary.json --summary replay.json     a run and the replay of its dead letters\n  \
        txgen verify --summary shard-0.json --summary shard-1.json    a run in several processes\n  \
        txgen verify --summary dead-letters/run.json                  a run that was killed\n\n\
        Exit codes:\n  \
        0      every row is there, as it was sent, where it belongs; duplicates after an ambiguous send are allowed\n  \
        1      rows are missing, duplicated without a reason, different, misplaced, unexpected, or have a wrong ttl\n  \
        2      the summary, the settings or the data cannot be used\n  \
        3      a service could not be reached or does not let txgen read\n  \
        130    interrupted"
)]
pub(super) struct VerifyArgs {
    /// The summary of the run (`txgen run --summary-file`); several tell of the same run: shards, replays
    #[arg(long = "summary", value_name = "FILE", required = true, num_args = 1..)]
    summaries: Vec<PathBuf>,
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The data of the run, where it is not where the summary says
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Verify Event Hubs or Cosmos DB alone
    #[arg(long, value_name = "SERVICE", value_enum)]
    only: Option<Only>,
    /// The consumer group to read event hubs as
    #[arg(long, value_name = "NAME", default_value = "$Default")]
    consumer_group: String,
    /// What carries AMQP
    #[arg(long, value_name = "TRANSPORT", value_enum, default_value_t)]
    event_hub_transport: EventHubTransport,
    /// Tell the first N rows of each kind of finding one by one, 10000 at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    first: u16,
    /// How to show what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: VerifyFormat,
}

/// One of the services, as one types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    EventHubs,
    CosmosDb,
}

/// How findings are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum VerifyFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Reads back, reconciles, and shows what was found.
pub(super) async fn execute(args: VerifyArgs) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new().context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let interrupted = CancellationToken::new();
    let verified = tokio::select! {
        verified = verify(&args, interrupted.clone()) => Some(verified?),
        () = signals.next() => None,
    };
    interrupted.cancel();
    let Some(verification) = verified else {
        tell("Interrupted: the run was not verified.");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let text = match args.output {
        VerifyFormat::Text => verification.to_text(),
        VerifyFormat::Json => verification.to_json(),
    };
    let mut stdout = AutoStream::new(std::io::stdout(), ColorChoice::Never);
    // Whoever closes standard output early has seen enough.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Ok(if verification.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn verify(args: &VerifyArgs, cancel: CancellationToken) -> Result<Verification, CliError> {
    let subject = read_subject(&args.summaries)?;
    let services: Vec<ServiceName> = subject.services().into_iter().filter(|service| args.wants(*service)).collect();
    if services.is_empty() {
        return Err(CliError::usage(anyhow!("--only: the run did not write to that service")));
    }
    let file = SettingsFile::of_flag(args.settings.clone());
    let settings = load_settings(&file, &services)?;
    let listeners = if services.contains(&ServiceName::EventHubs) {
        let env = |name: &str| std::env::var(name).ok();
        listeners(&file, &env).map_err(CliError::usage)?
    } else {
        Vec::new()
    };
    check_targets(&subject, &settings, &services).map_err(CliError::usage)?;

    let progress =
        Progress::start(Step { place: "The data".to_owned(), counted: "rows of the run read", ..Step::default() });
    let (for_data, subject) = (args.data.clone(), Arc::new(subject));
    let (of_data, counter) = (subject.clone(), progress.counter());
    let expected = tokio::task::spawn_blocking(move || expect(&of_data, for_data.as_deref(), &counter))
        .await
        .map_err(|_| CliError::failed(anyhow!("the thread that reads the data ended unexpectedly")))?
        .map_err(CliError::usage)?;

    let mut found = BTreeMap::new();
    for service in services {
        let ambiguous = subject.ambiguous(service);
        let places = match (service, &settings.cosmos_db) {
            (ServiceName::EventHubs, _) => {
                read_event_hubs(args, &subject, &expected, &listeners, &ambiguous, &progress).await
            }
            (ServiceName::CosmosDb, Some(settings)) => {
                read_cosmos_db(args, settings, &expected, &ambiguous, &progress, cancel.clone())
                    .await
                    .map(|found| vec![found])
            }
            (ServiceName::CosmosDb, None) => Ok(Vec::new()),
        };
        found.insert(service, places.map_err(CliError::not_connected)?);
    }
    drop(progress);
    let remarks = remarks(&subject, &found);
    let mut data: Vec<String> = Vec::new();
    for part in &subject.parts {
        let name = args.data.as_ref().map_or_else(|| part.data.file.clone(), |path| path.display().to_string());
        if !data.contains(&name) {
            data.push(name);
        }
    }
    Ok(Verification::new(subject.run.to_string(), data, found, remarks))
}

impl VerifyArgs {
    fn wants(&self, service: ServiceName) -> bool {
        match self.only {
            None => true,
            Some(Only::EventHubs) => service == ServiceName::EventHubs,
            Some(Only::CosmosDb) => service == ServiceName::CosmosDb,
        }
    }
}

fn read_subject(files: &[PathBuf]) -> Result<Subject, CliError> {
    let part = |path: &PathBuf| {
        let name = path.display().to_string();
        let text =
            std::fs::read(path).with_context(|| format!("--summary: cannot read `{name}`")).map_err(CliError::usage)?;
        Part::read(&name, &text).map_err(CliError::usage)
    };
    let parts = files.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Subject::new(parts).map_err(CliError::usage)
}

fn load_settings(file: &SettingsFile, services: &[ServiceName]) -> Result<Settings, CliError> {
    let flags = RunFlags {
        only_cosmos: !services.contains(&ServiceName::EventHubs),
        only_event_hubs: !services.contains(&ServiceName::CosmosDb),
        ..RunFlags::default()
    };
    let env = |name: &str| std::env::var(name).ok();
    Ok(crate::settings::load(&flags, file, &env, None).map_err(CliError::usage)?.settings)
}

/// Reading from another place than was written to would find everything missing.
fn check_targets(subject: &Subject, settings: &Settings, services: &[ServiceName]) -> anyhow::Result<()> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, run: String, here: String| {
        if !run.eq_ignore_ascii_case(&here) {
            differences.push(format!("the run wrote to {what} {run}, but the settings name {here}"));
        }
    };
    for service in services {
        match (subject.target(*service), &settings.event_hubs, &settings.cosmos_db) {
            (Some(Target::EventHubs(hubs)), Some(settings), _) => {
                let run = hubs.iter().map(|hub| format!("{} at {}", hub.hub, hub.namespace)).collect::<Vec<_>>();
                let here = settings.hubs.iter().map(|hub| {
                    let port = hub.port.map(|port| format!(":{port}")).unwrap_or_default();
                    format!("{} at {}{port}", hub.hub, hub.host)
                });
                compare("the event hubs", run.join(", "), here.collect::<Vec<_>>().join(", "));
            }
            (Some(Target::Container(container)), _, Some(settings)) => {
                let name =
                    |endpoint: &str, database: &str, container: &str| format!("{database}/{container} at {endpoint}");
                compare(
                    "the container",
                    name(&container.endpoint, &container.database, &container.container),
                    name(settings.endpoint.as_str(), &settings.database, &settings.container),
                );
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
fn expect(subject: &Subject, data: Option<&Path>, counter: &AtomicU64) -> anyhow::Result<Expected> {
    let mut expected = Expected::new(subject.run, subject.ttl_seconds());
    for part in &subject.parts {
        let path = data.unwrap_or(Path::new(&part.data.file));
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
        // That there is no such file is told when it is opened.
        _ => Ok(()),
    }
}

async fn read_event_hubs(
    args: &VerifyArgs,
    subject: &Subject,
    expected: &Expected,
    listeners: &[Listener],
    ambiguous: &Rows,
    progress: &Progress,
) -> Result<Vec<Findings>, ConnectError> {
    let since = subject.started_at.saturating_sub(SLACK);
    let since = i64::try_from(since.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let mut found = Vec::new();
    for Listener { hub, key } in listeners {
        let port = hub.port.map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{} at {}{port}", hub.hub, hub.host);
        let mut reconciler;
        let mut since = since;
        loop {
            progress.next(Step {
                place: ServiceName::EventHubs.to_string(),
                counted: "events of the run read",
                expected: Some(expected.count(ServiceName::EventHubs)),
                detail: place.clone(),
            });
            reconciler = Reconciler::new(expected, ServiceName::EventHubs, args.first.into());
            let mut take = |event: StoredEvent| {
                if let Some(stored) = Stored::of_json(&event.body, subject.run) {
                    let key = event.partition_key.as_deref();
                    reconciler.take(&Item { stored, key, partition: Some(event.partition) });
                    progress.count(reconciler.read());
                }
            };
            let start = (args.consumer_group.as_str(), since);
            event_hubs::read_back(hub, args.event_hub_transport, start, key.name(), &mut take).await?;
            if since == FIRST_EVENT || reconciler.missing() <= subject.not_stored(ServiceName::EventHubs) {
                break;
            }
            // The run's clock may have been wrong by more than the slack: before any event is called lost, all of the
            // hub is looked through.
            since = FIRST_EVENT;
        }
        found.push(reconciler.finish(place, ambiguous));
    }
    Ok(found)
}

async fn read_cosmos_db(
    args: &VerifyArgs,
    settings: &CosmosDbSettings,
    expected: &Expected,
    ambiguous: &Rows,
    progress: &Progress,
    cancel: CancellationToken,
) -> Result<Findings, ConnectError> {
    let place = format!("{}/{} at {}", settings.database, settings.container, settings.endpoint);
    progress.next(Step {
        place: ServiceName::CosmosDb.to_string(),
        counted: "documents of the run read",
        expected: Some(expected.count(ServiceName::CosmosDb)),
        detail: place.clone(),
    });
    let reader = Reader::connect(settings, cancel).await?;
    let run = expected.run();
    let mut reconciler = Reconciler::new(expected, ServiceName::CosmosDb, args.first.into());
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
    Ok(reconciler.finish(place, ambiguous))
}

fn remarks(subject: &Subject, found: &BTreeMap<ServiceName, Vec<Findings>>) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(part) = subject.parts.iter().find(|part| part.is_unfinished) {
        let folder = Path::new(&part.name).parent().unwrap_or(Path::new(".")).display().to_string();
        remarks.push(format!(
            "The run was killed, and its dead letters were not sent again: txgen run --data {folder}/cosmos_db.csv \
             --only-cosmos, and likewise event_hubs.csv."
        ));
    }
    for (service, places) in found {
        let missing = places.iter().map(|findings| findings.missing.count).max().unwrap_or_default();
        let not_stored = subject.not_stored(*service);
        if missing > not_stored && !subject.parts.iter().any(|part| part.is_unfinished) {
            remarks.push(format!(
                "{service}: {} missing that the run said it had stored.",
                counted(missing - not_stored, "row")
            ));
        } else if missing > 0 && not_stored > 0 {
            remarks.push(format!("{service}: the run itself tells of {not_stored} that it did not store."));
        }
        let expires = subject.started_at.saturating_add(time::Duration::seconds(subject.ttl_seconds().into()));
        if *service == ServiceName::CosmosDb && missing > 0 && expires < time::OffsetDateTime::now_utc() {
            remarks.push(format!("{service}: the documents of the run have expired since {expires}."));
        }
    }
    remarks
}
