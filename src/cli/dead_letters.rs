//! `--dead-letters`, and the replay of what is in such a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::CliError;
use super::facts::Facts;
use super::output::tell;
use crate::dead_letters::{Folder, Keeper, Kept, Plan, PlannedService, Recovered};
use crate::identity::RunId;
use crate::report::counted;
use crate::service::ServiceName;
use crate::settings::RunSettings;
use crate::shard::Shard;
use crate::source::{Source, input};
use crate::stats::DataFile;

/// Where transactions go that were not stored.
#[derive(Args, Clone, Debug)]
pub(super) struct DeadLetterArgs {
    /// Write every transaction that failed or was not sent to this folder, as data to send again
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    dead_letters: Option<PathBuf>,
}

impl DeadLetterArgs {
    /// Whether dead letters are wanted.
    pub(super) fn are_kept(&self) -> bool {
        self.dead_letters.is_some()
    }

    /// Takes the folder, before anything is sent.
    pub(super) fn take(&self, data: &Path) -> Result<Option<Folder>, CliError> {
        let Some(path) = &self.dead_letters else { return Ok(None) };
        let canonical = |path: &Path| path.canonicalize().ok();
        let data_folder = canonical(data).and_then(|data| data.parent().map(Path::to_owned));
        if data_folder.is_some()
            && data_folder == canonical(path)
            && ServiceName::ALL.into_iter().any(|service| canonical(data) == canonical(&path.join(csv(service))))
        {
            return Err(CliError::usage(anyhow!(
                "--dead-letters: `{}` is read from that very folder; name another one",
                data.display()
            )));
        }
        Folder::take(path).map(Some).map_err(CliError::usage)
    }
}

fn csv(service: ServiceName) -> String {
    format!("{}.csv", service.key())
}

/// Completes the data if they are the dead letters of a run that was killed, and says so.
pub(super) async fn complete(data: &Path) -> Result<(), CliError> {
    let data = data.to_owned();
    let completing = tokio::task::spawn_blocking(move || crate::dead_letters::complete(&data)).await;
    let recovered = completing
        .map_err(|_| CliError::failed(anyhow!("the thread that completes dead letters ended unexpectedly")))?
        .map_err(CliError::usage)?;
    if let Some(Recovered { run_id, data, added }) = recovered {
        let added: Vec<String> = added.iter().map(|(service, added)| format!("{added} of {service}")).collect();
        tell(&format!(
            "Run {run_id} was killed. What it had not settled is added to its dead letters from {data}: {}.",
            added.join(", ")
        ));
    }
    Ok(())
}

/// What a run is to send.
pub(super) struct Planned<'a> {
    pub(super) run_id: RunId,
    pub(super) data: &'a Path,
    pub(super) shard: Shard,
    pub(super) strict: bool,
    pub(super) run: &'a RunSettings,
}

/// Starts to keep the dead letters of a run.
pub(super) fn keep(folder: Folder, planned: Planned<'_>, facts: &Facts, source: &Source) -> Result<Keeper, CliError> {
    // The full path, for whoever replays may be somewhere else.
    let path = if input::is_built_in(planned.data) { None } else { std::path::absolute(planned.data).ok() };
    let path = path.unwrap_or_else(|| planned.data.to_owned());
    let bytes = input::size(&path).ok().flatten();
    let data = DataFile { file: path.display().to_string(), bytes, sha256: None };
    let service = |(name, target): &(ServiceName, _)| {
        (*name, PlannedService { target: Some(Clone::clone(target)), ..PlannedService::default() })
    };
    let mut plan = Plan::new(planned.run_id, data);
    plan.shard = planned.shard.is_part().then_some(planned.shard);
    plan.ttl_seconds = planned.run.ttl_seconds;
    plan.strict = planned.strict;
    plan.limit = planned.run.limit;
    plan.repeat = planned.run.repeat;
    plan.settings = facts.settings().to_vec();
    plan.services = facts.targets().iter().map(service).collect();
    Keeper::start(folder, plan, source.heading(), planned.run.max_pending.get(), |trouble| {
        tell(&format!("Warning: {trouble}"));
    })
    .context("--dead-letters")
    .map_err(CliError::usage)
}

/// Waits until all dead letters are written.
pub(super) async fn finish(keeper: Option<Keeper>) -> Option<Kept> {
    let keeper = keeper?;
    let finished = tokio::task::spawn_blocking(move || keeper.finish()).await;
    Some(finished.unwrap_or_else(|error| Kept { problem: Some(error.to_string()), ..Kept::default() }))
}

/// The remark below the totals, with how to send the dead letters again.
pub(super) fn remark(remark: Option<String>, kept: Option<&Kept>) -> Option<String> {
    let mut lines: Vec<String> = remark.into_iter().collect();
    for (service, letters) in kept.into_iter().flat_map(|kept| &kept.letters).filter(|(_, letters)| **letters > 0) {
        let folder = kept.map(|kept| kept.folder.display().to_string()).unwrap_or_default();
        let only = match service {
            ServiceName::EventHubs => "--only-event-hubs",
            ServiceName::CosmosDb => "--only-cosmos",
        };
        lines.push(format!(
            "{} of {service}; to send them again: txgen run --data {folder}/{} {only}",
            counted(*letters, "dead letter"),
            csv(*service),
        ));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Why not every dead letter is in its file.
pub(super) fn problem(kept: Kept) -> Option<anyhow::Error> {
    let problem = kept.problem?;
    Some(match kept.lost {
        0 => anyhow!("--dead-letters: {problem}"),
        lost => anyhow!("--dead-letters: {} could not be written: {problem}", counted(lost, "dead letter")),
    })
}
