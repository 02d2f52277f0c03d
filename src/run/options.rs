//! What the user asks of a run.

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::anyhow;

use super::RunError;
use crate::identity::RunId;
use crate::service::ServiceName;
use crate::settings::{Loaded, RunFlags, Settings};
use crate::shard::Shard;
use crate::threshold::Threshold;

/// What the user asks of a run, before anything of it is looked at.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub flags: RunFlags,
    /// The settings file; `None` is `./appsettings.json`, if it is there.
    pub settings: Option<PathBuf>,
    /// The CSV file of transactions, or of dead letters.
    pub data: PathBuf,
    /// Whether local services are brought up and written to.
    pub emulator: bool,
    /// Whether rows with unreadable cells are rejected.
    pub strict: bool,
    pub shard: Shard,
    /// The run's id, where the user has named one.
    pub run_id: Option<RunId>,
    /// The folder for dead letters, where they are wanted.
    pub dead_letters: Option<PathBuf>,
    pub criteria: Criteria,
    /// Whether the summary has the SHA-256 of the data; a large file takes seconds to hash.
    pub hash_data: bool,
}

impl RunOptions {
    /// The run's id: a random one unless the user has named one, which a run of several processes needs.
    pub(super) fn run_id(&self) -> Result<RunId, RunError> {
        match (self.run_id, self.shard) {
            (Some(run_id), _) => Ok(run_id),
            (None, shard) if shard.is_part() => Err(RunError::usage(anyhow!(
                "--shard {shard}: needs --run-id, the same for all {} processes, or each would be a run of its own; \
                 a fresh one is --run-id {}",
                shard.count(),
                RunId::random(),
            ))),
            (None, _) => Ok(RunId::random()),
        }
    }

    /// Notes the flags that are settings of the run, but of none of its services.
    pub(super) fn note_flags(&self, loaded: &mut Loaded) {
        loaded.note_flag("--strict", self.strict, self.strict);
        for threshold in &self.criteria.thresholds {
            loaded.note_flag("--fail-on", threshold, true);
        }
        if let Some(most) = self.criteria.max_failures {
            loaded.note_flag("--max-failures", most, true);
        }
    }
}

/// When a run has failed.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// Conditions on the figures of the summary under which it has failed.
    pub thresholds: Vec<Threshold>,
    /// Failed transactions that end it early, both services together.
    pub max_failures: Option<NonZeroU64>,
}

impl Criteria {
    /// Refuses conditions on a service that is not written to.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), RunError> {
        for threshold in &self.thresholds {
            let is_written = match threshold.service() {
                Some(ServiceName::EventHubs) => settings.event_hubs.is_some(),
                Some(ServiceName::CosmosDb) => settings.cosmos_db.is_some(),
                None => true,
            };
            if let Some(service) = threshold.service().filter(|_| !is_written) {
                return Err(RunError::usage(anyhow!(
                    "--fail-on {threshold}: this run does not write to {service}; leave the threshold out"
                )));
            }
        }
        Ok(())
    }
}
