//! Everything that a run needs before it connects: settings, data, the folder for dead letters. A wrong setting or path
//! fails here, before anything is provisioned or sent.

use std::path::Path;

use anyhow::anyhow;
use azure_core::credentials::Secret;
use tokio_util::sync::CancellationToken;
use txgen_emulator::Emulators;

use super::dead_letters::{self, Folder, Recovered};
use super::observer::Observer;
use super::options::{Criteria, RunOptions};
use super::{RunError, Stop, local};
use crate::description::{Assignment, RunDescription, Services};
use crate::identity::RunId;
use crate::service::ServiceName;
use crate::service::key_vault::KeyVault;
use crate::settings::{Loaded, Preset, Settings, load_with_environment};
use crate::source::{Source, SourceOptions};

/// A run that can connect.
#[derive(Debug)]
pub struct Prepared {
    pub(super) assignment: Assignment,
    pub(super) loaded: Loaded,
    pub(super) source: Source,
    pub(super) folder: Option<Folder>,
    pub(super) criteria: Criteria,
    pub(super) hash_data: bool,
    pub(super) emulators: Option<Emulators>,
    pub(super) stop: Stop,
}

/// Reads the settings and opens the data.
///
/// # Errors
/// What the user has to put right first.
pub async fn prepare(options: RunOptions, observer: &impl Observer, stop: Stop) -> Result<Prepared, RunError> {
    let run_id = options.run_id()?;
    let emulators = if options.emulator { Some(local::start().await?) } else { None };
    let preset = emulators.as_ref().map(local::preset);
    let loaded = match load(&options, preset, stop.token()).await {
        Err(_) if stop.is_requested() => return Err(RunError::Interrupted),
        loaded => loaded?,
    };
    complete_dead_letters(&options.data, observer).await?;
    let source = open_source(&options, run_id, &loaded.settings).await?;
    let folder = options.dead_letters.as_deref().map(|folder| take_folder(folder, &options.data)).transpose()?;
    let assignment = assignment(&options, &source);
    let RunOptions { criteria, hash_data, .. } = options;
    Ok(Prepared { assignment, loaded, source, folder, criteria, hash_data, emulators, stop })
}

impl Prepared {
    /// How the local event hub is read, where the run has local services.
    #[must_use]
    pub fn local_listener(&self) -> Option<Secret> {
        self.emulators.as_ref().and_then(local::listener)
    }
}

/// A run that will not connect: what it would be, and its transactions.
#[derive(Debug)]
pub struct Rehearsal {
    pub description: RunDescription,
    pub source: Source,
}

/// Prepares a dry run, which connects to neither service.
///
/// # Errors
/// What would keep a run from connecting.
pub async fn rehearse(options: &RunOptions) -> Result<Rehearsal, RunError> {
    /// Where the local services would be.
    const FREE_PORT: &str = "127.0.0.1, a free port (--emulator)";

    let run_id = options.run_id()?;
    let loaded = load(options, options.emulator.then(local::dry_preset), CancellationToken::new()).await?;
    let source = open_source(options, run_id, &loaded.settings).await?;
    let services = Services::not_connected(&loaded.settings);
    let mut description = RunDescription::new(assignment(options, &source), &loaded, services);
    if options.emulator {
        description.event_hubs.iter_mut().flat_map(|event_hubs| &mut event_hubs.hubs).for_each(|hub| {
            FREE_PORT.clone_into(&mut hub.namespace);
        });
        if let Some(cosmos_db) = &mut description.cosmos_db {
            FREE_PORT.clone_into(&mut cosmos_db.target.endpoint);
        }
    }
    Ok(Rehearsal { description, source })
}

async fn load(options: &RunOptions, preset: Option<Preset>, cancel: CancellationToken) -> Result<Loaded, RunError> {
    let vaults = KeyVault::new(cancel);
    let loaded = load_with_environment(&options.flags, options.settings.clone(), preset.as_ref(), &vaults).await;
    let mut loaded = loaded.map_err(RunError::of_settings)?;
    options.criteria.check(&loaded.settings)?;
    options.note_flags(&mut loaded);
    // What is meant for the run as a whole becomes this process's part.
    let (run, shard) = (&mut loaded.settings.run, options.shard);
    run.limit = run.limit.map(|limit| shard.part_of(limit));
    run.rate = run.rate.map(|rate| shard.part_of_rate(rate));
    Ok(loaded)
}

fn assignment(options: &RunOptions, source: &Source) -> Assignment {
    Assignment {
        // A replay of dead letters keeps their ids, and with them the run that they come from.
        run_id: source.run(),
        shard: options.shard,
        data: options.data.display().to_string(),
        strict: options.strict,
        warnings: source.foreseen().to_vec(),
    }
}

async fn open_source(options: &RunOptions, run: RunId, settings: &Settings) -> Result<Source, RunError> {
    let source_options = SourceOptions {
        run,
        ttl_seconds: settings.run.ttl_seconds,
        strict: options.strict,
        repeat: settings.run.repeat,
        shard: options.shard,
        keep_records: options.dead_letters.is_some(),
    };
    let path = options.data.clone();
    // Opening reads the heading, and reading blocks.
    let source = tokio::task::spawn_blocking(move || Source::open(&path, source_options).map(Source::looking_ahead))
        .await
        .map_err(|_| RunError::failed(anyhow!("the thread that opens the data ended unexpectedly")))?
        .map_err(RunError::usage)?;
    if source.is_replay() && settings.run.repeat {
        let name = source.name();
        return Err(RunError::usage(anyhow!("--loop: {name} holds dead letters, which are replayed once")));
    }
    if let Some(named) = options.run_id.filter(|named| source.is_replay() && *named != source.run()) {
        let (name, run) = (source.name(), source.run());
        return Err(RunError::usage(anyhow!(
            "--run-id: {name} holds dead letters of run {run}, which keep their ids; they cannot become those of {named}"
        )));
    }
    Ok(source)
}

/// Completes the data if they are the dead letters of a run that was killed, and says so.
async fn complete_dead_letters(data: &Path, observer: &impl Observer) -> Result<(), RunError> {
    let data = data.to_owned();
    let completed = tokio::task::spawn_blocking(move || dead_letters::complete(&data)).await;
    let recovered = completed
        .map_err(|_| RunError::failed(anyhow!("the thread that completes dead letters ended unexpectedly")))?
        .map_err(RunError::usage)?;
    if let Some(Recovered { run_id, data, added }) = recovered {
        let added: Vec<String> = added.iter().map(|(service, added)| format!("{added} of {service}")).collect();
        observer.notice(&format!(
            "Run {run_id} was killed. The transactions that it had not settled were added to its dead letters from {data}: {}.",
            added.join(", ")
        ));
    }
    Ok(())
}

/// Takes the folder of `--dead-letters`.
fn take_folder(folder: &Path, data: &Path) -> Result<Folder, RunError> {
    let canonical = |path: &Path| path.canonicalize().ok();
    let data_folder = canonical(data).and_then(|data| data.parent().map(Path::to_owned));
    let is_letters = |service| canonical(data) == canonical(&folder.join(dead_letters::file_name(service)));
    if data_folder.is_some() && data_folder == canonical(folder) && ServiceName::ALL.into_iter().any(is_letters) {
        return Err(RunError::usage(anyhow!(
            "--dead-letters: `{}` is read from that very folder; name another one",
            data.display()
        )));
    }
    Folder::take(folder).map_err(RunError::usage)
}
