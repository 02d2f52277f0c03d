//! The flags that say when a run has failed.

use std::num::NonZeroU64;

use clap::Args;

use super::CliError;
use crate::settings::{Settings, limit};
use crate::stats::{Setting, Summary, Verdict};
use crate::threshold::{self, Threshold};

/// When a run has failed.
#[derive(Args, Clone, Debug)]
pub(super) struct CriteriaArgs {
    /// Fail the run (exit code 1) when this holds for a figure of its summary; can be repeated
    ///
    /// FIGURE is a path in the summary, such as failed (of either service), cosmos_db.response_time_ms.p95,
    /// event_hubs.writes_per_second, rejected_rows; the comparisons are < <= > >= == !=. Without a threshold on failed or
    /// not_sent, any such transaction fails the run.
    #[arg(long, value_name = "FIGURE>NUMBER", help_heading = "When a run has failed")]
    fail_on: Vec<Threshold>,
    /// End the run early once this many transactions have failed, both services together
    #[arg(long, value_name = "N", value_parser = limit, help_heading = "When a run has failed", hide_short_help = true)]
    pub(super) max_failures: Option<NonZeroU64>,
}

impl CriteriaArgs {
    /// Refuses what this run cannot tell.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), CliError> {
        use crate::service::ServiceName::{CosmosDb, EventHubs};
        for threshold in &self.fail_on {
            let is_written = match threshold.service() {
                Some(EventHubs) => settings.event_hubs.is_some(),
                Some(CosmosDb) => settings.cosmos_db.is_some(),
                None => true,
            };
            if let Some(service) = threshold.service().filter(|_| !is_written) {
                return Err(CliError::usage(anyhow::anyhow!(
                    "--fail-on {threshold}: this run does not write to {service}; leave the threshold out"
                )));
            }
        }
        Ok(())
    }

    /// Writes the verdicts into the summary, and tells whether the run was good.
    pub(super) fn judge(&self, summary: &mut Summary) -> bool {
        summary.thresholds = verdicts(&self.fail_on, summary);
        threshold::passed(&self.fail_on, summary)
    }

    /// As the summary lists them.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting> {
        let tell = |flag: &str, value: String| Setting { key: flag.to_owned(), value, source: flag.to_owned() };
        let thresholds = self.fail_on.iter().map(move |threshold| tell("--fail-on", threshold.to_string()));
        thresholds.chain(self.max_failures.map(|most| tell("--max-failures", most.to_string())))
    }
}

/// What becomes of these thresholds.
pub(super) fn verdicts(thresholds: &[Threshold], summary: &Summary) -> Vec<Verdict> {
    thresholds.iter().flat_map(|threshold| threshold.judge(summary)).collect()
}
