//! `txgen check`: what a run would use and what it would find, without a run: the settings with their sources, and each
//! service for itself, so that all that is wrong is reported at once.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::standard_output::print;
use super::{CliError, INTERRUPTED, signals};
use crate::description::Setting;
use crate::observers::standard_output::Colours;
use crate::report::check::{CosmosDbFinding, Findings, HubFinding};
use crate::run::Stop;
use crate::service::cosmos::{CosmosDb, Found};
use crate::service::event_hubs::EventHubs;
use crate::service::key_vault::KeyVault;
use crate::settings::{CosmosDbSettings, EventHubsSettings, Key, Loaded, Provenance, RunFlags, load_with_environment};

/// What `txgen check` takes.
#[derive(Debug, Args)]
#[command(
    long_about = "Check the settings and both services, without sending or creating anything\n\n\
        Says where each value comes from, connects to every event hub and to Cosmos DB, authenticates, and reads what \
        they are like. An event hub says whether txgen may send; Cosmos DB shows that only when something is written.",
    after_help = "Examples:\n  \
        txgen check                                    what a run would use and find\n  \
        txgen check --settings production.json\n  \
        txgen check --only-cosmos --database Test      with the flags of the run to come\n  \
        txgen check --output json                      for scripts\n\n\
        Exit codes:\n  \
        0      a run could begin\n  \
        2      the settings are wrong, or something is missing\n  \
        3      a service or a key vault could not be reached or refused txgen\n  \
        130    interrupted"
)]
pub(super) struct CheckArgs {
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: CheckFormat,

    #[command(flatten)]
    flags: RunFlags,
}

/// How findings are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Looks, and shows what was found.
pub(super) async fn execute(args: CheckArgs) -> Result<ExitCode, CliError> {
    let stop = Stop::default();
    let listener =
        signals::listen(stop.clone(), |_| {}).context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let vaults = KeyVault::new(stop.token());
    let loaded = match load_with_environment(&args.flags, args.settings.clone(), None, &vaults).await {
        Ok(loaded) => loaded,
        Err(_) if stop.is_requested() => return Ok(ExitCode::from(INTERRUPTED)),
        Err(error) => {
            let findings = Findings { problems: error.problems.clone(), ..Findings::default() };
            // In text the error itself is all there is to say.
            if args.output == CheckFormat::Json {
                show(&findings, args.output)?;
            }
            return Err(CliError::settings(error));
        }
    };
    let findings = look(&loaded, stop.token()).await;
    listener.abort();
    if stop.is_requested() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    show(&findings, args.output)?;
    match (findings.failed(), findings.checked()) {
        (0, _) => Ok(ExitCode::SUCCESS),
        (wrong, all) => Err(CliError::not_connected(anyhow!("{wrong} of {all} checks failed"))),
    }
}

async fn look(loaded: &Loaded, cancel: CancellationToken) -> Findings {
    let event_hubs = async {
        match &loaded.settings.event_hubs {
            Some(hubs) => look_at_hubs(hubs, &loaded.origins, cancel.clone()).await,
            None => Vec::new(),
        }
    };
    let cosmos_db = async {
        match &loaded.settings.cosmos_db {
            Some(cosmos_db) => Some(look_at_cosmos_db(cosmos_db, cancel.clone()).await),
            None => None,
        }
    };
    let (event_hubs, cosmos_db) = tokio::join!(event_hubs, cosmos_db);
    let mut notes: Vec<String> = loaded.warnings.iter().chain(&loaded.notes).cloned().collect();
    if let Some(Ok(Found::Container(provision))) = cosmos_db.as_ref().map(|cosmos_db| &cosmos_db.found) {
        notes.extend(provision.warnings.iter().cloned());
    }
    Findings { settings: Setting::all(loaded), problems: Vec::new(), notes, event_hubs, cosmos_db }
}

async fn look_at_hubs(hubs: &EventHubsSettings, origins: &[Provenance], cancel: CancellationToken) -> Vec<HubFinding> {
    let keys = origins.iter().map(|provenance| provenance.key).filter(|key| Key::EVENT_HUBS.contains(key));
    let looks = keys.zip(&hubs.hubs).map(|(key, hub)| {
        let look = EventHubs::inspect(hub, hubs, cancel.clone());
        async move {
            let (found, took) = timed(look).await;
            HubFinding { key: key.name(), found, took }
        }
    });
    futures_util::future::join_all(looks).await
}

async fn look_at_cosmos_db(settings: &CosmosDbSettings, cancel: CancellationToken) -> CosmosDbFinding {
    let (found, took) = timed(CosmosDb::inspect(settings, cancel)).await;
    CosmosDbFinding {
        endpoint: settings.endpoint.to_string(),
        database: settings.database.clone(),
        container: settings.container.clone(),
        throughput_if_created: settings.throughput,
        authentication: settings.authentication(),
        found: found.map_err(|error| error.message),
        took,
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed())
}

fn show(findings: &Findings, format: CheckFormat) -> Result<(), CliError> {
    match format {
        CheckFormat::Text => print(&findings.to_text(), Colours::Auto),
        CheckFormat::Json => print(&findings.to_json(), Colours::Never),
    }
}
