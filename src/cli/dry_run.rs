//! `txgen run --dry-run`: reads the settings and the first rows as a run does, and shows what it would send and where
//! to. It opens no connection.

use std::io::Write as _;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use azure_core::credentials::Secret;

use super::facts::settings;
use super::output::{OutputFormat, tell};
use super::run::RunArgs;
use super::{CliError, FAILED};
use crate::identity::RunId;
use crate::report::dry_run::{ContainerPlace, DryRun, HubPlace};
use crate::settings::{ConnectionString, Loaded, Preset};
use crate::source::{RowError, Source};
use txgen_azure::event_hubs::connection_string::DEFAULT_HUB;

/// Rejected rows that are told one by one.
const REJECTED_TOLD: u64 = 20;

/// Where the emulators of `--emulator` would be.
const FREE_PORT: &str = "127.0.0.1, a free port (--emulator)";

/// Settings as the emulators of `--emulator` would give them: a run brings those up, a dry run does not.
pub(super) fn preset() -> Preset {
    let hub = format!("Endpoint=sb://127.0.0.1;UseDevelopmentEmulator=true;EntityPath={DEFAULT_HUB}");
    Preset {
        event_hub_connection_strings: vec![Secret::new(hub)],
        cosmos_endpoint: "http://127.0.0.1/".to_owned(),
        // Nothing is signed with it.
        cosmos_auth_key: Secret::new("bm9uZQ=="),
    }
}

/// Shows the first `count` transactions of the source.
pub(super) fn execute(
    args: &RunArgs,
    run_id: RunId,
    loaded: &Loaded,
    source: Source,
    count: u64,
) -> Result<ExitCode, CliError> {
    let dry_run = describe(args, run_id, loaded, &source);
    let count = count.min(loaded.settings.run.limit.unwrap_or(u64::MAX));
    let json = args.output == OutputFormat::Json;
    let colours = if json { ColorChoice::Never } else { AutoStream::choice(&std::io::stdout()) };
    let mut stdout = AutoStream::new(std::io::stdout(), colours);
    let mut print = |text: String| stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    // A reader that has seen enough (`| head`) is no failure.
    if print(if json { dry_run.to_json() } else { dry_run.to_text() }).is_err() {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut shown, mut rejected) = (0, 0);
    for row in source {
        match row {
            Ok(transaction) => {
                shown += 1;
                let text = if json {
                    dry_run.transaction_json(&transaction).map_err(CliError::failed)?
                } else {
                    dry_run.transaction_text(&transaction)
                };
                if print(text).is_err() {
                    break;
                }
            }
            Err(RowError::Rejected(row)) => {
                rejected += 1;
                if rejected <= REJECTED_TOLD {
                    tell(&format!("Data: line {} rejected: {}", row.line, row.reason));
                }
            }
            Err(RowError::Fatal(error)) => return Err(CliError::failed(error)),
        }
        if shown == count {
            break;
        }
    }
    if rejected > REJECTED_TOLD {
        tell(&format!("Data: {} more rows rejected", rejected - REJECTED_TOLD));
    }
    Ok(if shown == 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn describe(args: &RunArgs, run_id: RunId, loaded: &Loaded, source: &Source) -> DryRun {
    let settings_of_run = &loaded.settings;
    let at = |place: String| if args.emulator { FREE_PORT.to_owned() } else { place };
    let namespace = |hub: &ConnectionString| match hub.port {
        Some(port) => format!("{}:{port}", hub.host),
        None => hub.host.clone(),
    };
    let hubs = settings_of_run.event_hubs.iter().flat_map(|hubs| &hubs.hubs);
    DryRun {
        run_id,
        shard: args.sharing.shard(),
        data: args.data.display().to_string(),
        settings: settings(&args.flags, Some(args.strict), loaded),
        sources: super::run::sources(&loaded.origins),
        event_hubs: hubs.map(|hub| HubPlace { namespace: at(namespace(hub)), hub: hub.hub.clone() }).collect(),
        cosmos_db: settings_of_run.cosmos_db.as_ref().map(|cosmos_db| ContainerPlace {
            endpoint: at(cosmos_db.endpoint.to_string()),
            database: cosmos_db.database.clone(),
            container: cosmos_db.container.clone(),
            ttl_seconds: settings_of_run.run.ttl_seconds,
        }),
        plan: super::run::plan(settings_of_run, args.sharing),
        warnings: loaded.warnings.iter().chain(&loaded.notes).chain(source.foreseen()).cloned().collect(),
    }
}
