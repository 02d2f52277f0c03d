//! `txgen verify`: reads a finished run back from both services and reconciles it with its data, row by row.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::reading::Reading;
use super::signals::Signals;
use super::standard_output::print;
use super::{CliError, FAILED, INTERRUPTED};
use crate::observers::notice;
use crate::observers::standard_output::Colours;
use crate::service::ServiceName;
use crate::service::key_vault::KeyVault;
use crate::settings::{self, EventHubTransport, Incomplete, Listener, RunFlags, Settings, SettingsFile, Sources};
use crate::verify::read::{Job, VerifyError, verify};
use crate::verify::subject::{Part, Subject};

/// What `txgen verify` takes.
#[derive(Debug, Args)]
#[command(
    long_about = "Read a run back from both services and reconcile it with its data, row by row\n\n\
        Reads every event since the run's start and every document of the run, and finds rows that are missing, \
        duplicated, different from the data, on the wrong partition, or with the wrong ttl. Duplicates after a send whose \
        answer was lost are told apart from those without. Sends nothing.",
    after_help = "Reading takes the Listen right, which the policy of a run usually lacks. Put the connection \
        string of a policy that has it into EVENT_HUB_1_LISTEN_CONNECTION_STRING (_2_, _3_), in the environment or in \
        appsettings.json.\n\n\
        Examples:\n  \
        txgen verify --summary summary.json\n  \
        txgen verify --summary summary.json --summary replay.json     a run and the replay of its dead letters\n  \
        txgen verify --summary shard-0.json --summary shard-1.json    a run in several processes\n  \
        txgen verify --summary dead-letters/run.json                  a run that was killed\n  \
        txgen verify --summary summary.json --table lake/transactions    what was landed of a run\n  \
        txgen verify --summary summary.json --table lake/documents --only cosmos-db    by the change feed\n\n\
        Exit codes:\n  \
        0      every row is there, as it was sent, where it belongs; duplicates after an ambiguous send are allowed\n  \
        1      rows are missing, duplicated without a reason, different, misplaced, unexpected, or have a wrong ttl\n  \
        2      the summary, the settings or the data cannot be used\n  \
        3      a service could not be reached or does not let txgen read\n  \
        130    interrupted"
)]
pub(super) struct VerifyArgs {
    /// Summary of the run (`txgen run --summary-file`); several for the shards and replays of one run
    #[arg(long = "summary", value_name = "FILE", required = true, num_args = 1..)]
    summaries: Vec<PathBuf>,
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Data of the run, if it is not where the summary says
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Verify only one of the services
    #[arg(long, value_name = "SERVICE", value_enum)]
    only: Option<Only>,
    /// Verify this Delta table, which `txgen land` wrote, instead of the services
    #[arg(long, value_name = "PLACE")]
    table: Option<String>,
    /// Consumer group to read event hubs with
    #[arg(long, value_name = "NAME", default_value = "$Default")]
    consumer_group: String,
    /// Transport of AMQP
    #[arg(long, value_name = "TRANSPORT", value_enum, default_value_t)]
    event_hub_transport: EventHubTransport,
    /// Regions to read documents from, the best one first [default: where the account takes writes]
    #[arg(long, value_name = "REGION", value_delimiter = ',', value_parser = crate::settings::region)]
    preferred_regions: Vec<String>,
    /// List the first N rows of each kind of finding, 10000 at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = crate::settings::findings_listed)]
    first: u16,
    /// Output format
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
    let job = tokio::select! {
        job = prepare(&args, &interrupted) => job?,
        () = signals.next() => return Ok(interrupted_with_notice()),
    };
    let progress = Reading::start();
    let verified = tokio::select! {
        verified = verify(job, &progress, interrupted.clone()) => Some(verified?),
        () = signals.next() => None,
    };
    drop(progress);
    interrupted.cancel();
    let Some(verification) = verified else { return Ok(interrupted_with_notice()) };
    let text = match args.output {
        VerifyFormat::Text => verification.to_text(),
        VerifyFormat::Json => verification.to_json(),
    };
    print(&text, Colours::Never)?;
    Ok(if verification.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn interrupted_with_notice() -> ExitCode {
    notice("Interrupted: the run was not verified.");
    ExitCode::from(INTERRUPTED)
}

/// Everything that verifying takes, from the files that the command line names.
async fn prepare(args: &VerifyArgs, cancel: &CancellationToken) -> Result<Job, CliError> {
    let subject = read_subject(&args.summaries)?;
    let services: Vec<ServiceName> = subject.services().into_iter().filter(|service| args.wants(*service)).collect();
    if services.is_empty() {
        return Err(CliError::usage(anyhow!("--only: the run did not write to that service")));
    }
    let file = SettingsFile::of_flag(args.settings.clone());
    if let Some(table) = &args.table {
        return of_table(args, subject, services, table);
    }
    if let Some(part) = subject.parts.iter().find(|part| part.with_emulator) {
        return Err(CliError::usage(anyhow!(
            "{} is of a run with --emulator: the local services ended with it, and with them what they held; start `txgen \
             emulator` beside the run to read it back",
            part.name
        )));
    }
    let vaults = KeyVault::new(cancel.clone());
    let (settings, listeners) =
        settings::read(&file, &vaults, |sources| read_settings(sources, &services, &args.preferred_regions))
            .await
            .map_err(CliError::settings)?;
    Ok(Job {
        subject,
        services,
        settings: Some(settings),
        listeners,
        data: args.data.clone(),
        consumer_group: args.consumer_group.clone(),
        transport: args.event_hub_transport,
        listed: args.first.into(),
        #[cfg(feature = "lake")]
        table: None,
    })
}

/// A table was landed from one service: from the event hub unless `--only` says otherwise, or the run had none.
#[cfg(feature = "lake")]
fn of_table(args: &VerifyArgs, subject: Subject, services: Vec<ServiceName>, table: &str) -> Result<Job, CliError> {
    let usage = |error| CliError::usage(anyhow::Error::new(error).context("--table"));
    let location = txgen_lake::Location::parse(table).map_err(usage)?;
    if location.as_folder().is_some_and(|folder| !folder.exists()) {
        return Err(CliError::usage(anyhow!("--table: there is no folder {location}")));
    }
    let store = location.store(super::land::variables()).map_err(usage)?;
    Ok(Job {
        subject,
        services: services.into_iter().take(1).collect(),
        settings: None,
        listeners: Vec::new(),
        data: args.data.clone(),
        consumer_group: args.consumer_group.clone(),
        transport: args.event_hub_transport,
        listed: args.first.into(),
        table: Some(crate::verify::table::Table { location, store }),
    })
}

#[cfg(not(feature = "lake"))]
fn of_table(_: &VerifyArgs, _: Subject, _: Vec<ServiceName>, _: &str) -> Result<Job, CliError> {
    Err(super::land::missing())
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Unusable(error) => Self::usage(error),
            VerifyError::NotConnected(error) => Self::not_connected(error),
            #[cfg(feature = "lake")]
            VerifyError::Table(error @ (txgen_lake::LakeError::NoTable(_) | txgen_lake::LakeError::Foreign(_))) => {
                Self::usage(error)
            }
            #[cfg(feature = "lake")]
            VerifyError::Table(_) => Self::failed(error),
            VerifyError::Thread => Self::failed(error),
        }
    }
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

fn read_settings(
    sources: &Sources<'_>,
    services: &[ServiceName],
    preferred_regions: &[String],
) -> Result<(Settings, Vec<Listener>), Incomplete> {
    let flags = RunFlags {
        preferred_regions: preferred_regions.to_vec(),
        only_cosmos: !services.contains(&ServiceName::EventHubs),
        only_event_hubs: !services.contains(&ServiceName::CosmosDb),
        ..RunFlags::default()
    };
    let listeners = if flags.only_cosmos { Ok(Vec::new()) } else { sources.listeners() };
    match sources.load(&flags, None) {
        Ok(loaded) => Ok((loaded.settings, listeners?)),
        Err(incomplete) => Err(incomplete.and(listeners.err())),
    }
}
