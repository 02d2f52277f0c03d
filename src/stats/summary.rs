//! The totals of a run: printed at its end, written to the summary file, and read from there to be merged, compared,
//! verified and drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::merge::Merged;
use super::rows::Rows;
use super::verdict::Verdict;
use super::{Counts, Latencies, Percentiles, Series, ServiceSnapshot, per_second};
use crate::description::RunDescription;
pub use crate::description::{ContainerTarget, HubTarget, Setting, Target};
use crate::identity::RunId;
use crate::service::cosmos::SessionToken;
use crate::service::{Failure, FailureKind, ServiceName};
use crate::shard::Shard;
pub use crate::source::DataFile;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Every row was requested, and everything settled.
    DataEnded,
    /// `--limit` transactions were requested, and everything settled.
    LimitReached,
    /// The seconds to run were over.
    TimeUp,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// `--max-failures` transactions failed.
    TooManyFailures,
    /// Standard output was closed.
    OutputClosed,
    /// The data could not be read any further.
    DataFailed,
}

/// What the statistics cannot know of how a run went.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// When it started, by the wall clock.
    pub started_at: OffsetDateTime,
    /// Why it ended.
    pub reason: StopReason,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Cells that were empty or unreadable and became 0 or false, by column.
    pub unreadable_cells: BTreeMap<String, u64>,
    /// What file the data was, where that is known.
    pub data: Option<DataFile>,
    /// How far Cosmos DB's container was at its answers.
    pub session_token: Option<SessionToken>,
}

/// The totals of a run: the summary document (`"type": "summary"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// The version of txgen that ran.
    pub version: String,
    /// The run's id: the first three groups of every transaction's id.
    pub run_id: RunId,
    /// Which part of the run this is; `null` where one process did it all.
    pub shard: Option<Shard>,
    /// How it was added up of the shards of a run; `null` where it was not.
    pub merged: Option<Merged>,
    /// When it started, by the wall clock: RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Whether the run was interrupted by the user.
    pub interrupted: bool,
    /// Why the run ended.
    pub stop_reason: StopReason,
    /// Transactions requested.
    pub requested: u64,
    /// The number of the first row requested; `null` when none was.
    pub first_row: Option<u64>,
    /// The number of the last row requested.
    pub last_row: Option<u64>,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Cells that became 0 or false for want of a readable value, by column.
    pub unreadable_cells: BTreeMap<String, u64>,
    /// From the first request to the end, in seconds.
    pub wall_seconds: f64,
    /// The pace asked for, in transactions per second; `null` follows the faster service.
    pub rate: Option<f64>,
    /// How much later than meant the transactions were requested, ms.
    pub lateness_ms: Percentiles,
    /// The same, whole.
    pub lateness_histogram: Latencies,
    /// The data that was sent; `null` where that is not known.
    pub data: Option<DataFile>,
    /// The settings of the run, and where each came from. No secrets get in here.
    pub settings: Vec<Setting>,
    /// Requests by partition key: the busiest 256.
    pub partition_keys: BTreeMap<String, u64>,
    /// Requests with any other partition key.
    pub other_partition_keys: u64,
    /// By service: `event_hubs`, `cosmos_db`.
    pub services: BTreeMap<ServiceName, ServiceSummary>,
    /// The course of the run.
    pub series: Series,
    /// What became of the thresholds; empty where none were set.
    pub thresholds: Vec<Verdict>,
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Summary,
}

/// One service's totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// Where its transactions ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// From the run's start to the first send, in seconds; `null` where nothing was settled.
    pub first_sent_seconds: Option<f64>,
    /// From the first send to the last settlement, in seconds.
    pub elapsed_seconds: f64,
    /// Transactions stored per second of that time.
    pub writes_per_second: f64,
    /// From the first attempt to the settlement, of what was stored, ms.
    pub service_time_ms: Percentiles,
    /// From the moment meant to the settlement, of what was stored, ms.
    pub response_time_ms: Percentiles,
    /// How long the service worked on what was stored, by its own account, ms; not there where it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time_ms: Option<Percentiles>,
    /// The same, whole.
    pub histograms: Histograms,
    /// Failed transactions by kind.
    pub failures: BTreeMap<FailureKind, u64>,
    /// The first failures of each kind.
    pub failure_examples: Vec<FailureExample>,
    /// Rows that may have been stored more than once, or although they failed: an answer to them was lost.
    pub ambiguous_rows: Rows,
    /// Request units charged; Cosmos DB only.
    #[serde(flatten)]
    pub request_units: Option<RequestUnits>,
    /// How far the container was at its answers, for reads that are to show them; Cosmos DB only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SessionToken>,
    /// What was written to; `null` where that is not known.
    pub target: Option<Target>,
}

/// Distributions of latencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histograms {
    /// Service times.
    pub service_time: Latencies,
    /// Response times.
    pub response_time: Latencies,
    /// Server times, where the service gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<Latencies>,
}

/// A transaction that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureExample {
    /// Its row number.
    pub row: u64,
    /// The class of the failure.
    pub kind: FailureKind,
    /// The service's own code.
    pub status: Option<String>,
    /// One line for a human.
    pub message: String,
    /// Whether the transaction may have been stored all the same.
    pub ambiguous: bool,
}

/// Request units charged over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestUnits {
    /// All together.
    pub request_units: f64,
    /// Per second from the first send to the last settlement.
    pub request_units_per_second: f64,
}

/// The figures of a run that has ended.
#[derive(Clone, Debug)]
pub struct Figures {
    pub(super) requested: u64,
    pub(super) rows: Option<(u64, u64)>,
    pub(super) wall: Duration,
    pub(super) lateness: Latencies,
    pub(super) partition_keys: (BTreeMap<String, u64>, u64),
    pub(super) services: Vec<ServiceFigures>,
    pub(super) series: Series,
}

/// The figures of one service.
#[derive(Clone, Debug)]
pub(super) struct ServiceFigures {
    pub(super) end: ServiceSnapshot,
    /// From the run's start to the first send.
    pub(super) first_sent: Option<Duration>,
    pub(super) ambiguous_rows: Rows,
}

impl Summary {
    /// The whole document. `judge` finds the verdicts on its figures.
    pub fn new(
        description: &RunDescription,
        conclusion: Conclusion,
        figures: Figures,
        judge: impl FnOnce(&Self) -> Vec<Verdict>,
    ) -> Self {
        let (partition_keys, other_partition_keys) = figures.partition_keys;
        let mut targets = description.targets();
        let services = figures.services.into_iter().map(|service| {
            let name = service.end.service;
            (name, ServiceSummary::new(service, targets.remove(&name)))
        });
        let mut services: BTreeMap<_, _> = services.collect();
        if let Some(cosmos_db) = services.get_mut(&ServiceName::CosmosDb) {
            cosmos_db.session_token = conclusion.session_token;
        }
        let summary = Self {
            kind: Kind::Summary,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: description.run_id,
            shard: description.part(),
            merged: None,
            started_at: conclusion.started_at,
            interrupted: conclusion.reason == StopReason::Interrupted,
            stop_reason: conclusion.reason,
            requested: figures.requested,
            first_row: figures.rows.map(|(first, _)| first),
            last_row: figures.rows.map(|(_, last)| last),
            rejected_rows: conclusion.rejected_rows,
            unreadable_cells: conclusion.unreadable_cells,
            wall_seconds: round(figures.wall.as_secs_f64()),
            rate: description.run.rate,
            lateness_ms: figures.lateness.percentiles(),
            lateness_histogram: figures.lateness,
            data: conclusion.data,
            settings: description.settings.clone(),
            partition_keys,
            other_partition_keys,
            services,
            series: figures.series,
            thresholds: Vec::new(),
        };
        Self { thresholds: judge(&summary), ..summary }
    }

    /// The summary in a file: the document alone, or the log of a run with `--output json`, which ends with it. Lines of
    /// the log that are something else (batches, and what a container engine mixes in of standard error) do not matter.
    ///
    /// # Errors
    /// When there is no summary of this version in it: what the document lacks, or, of a log, the last summary.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        const MARK: &[u8] = b"\"type\":\"summary\"";
        let whole = match serde_json::from_slice(text) {
            Ok(summary) => return Ok(summary),
            Err(error) => error,
        };
        let is_summary = |line: &[u8]| line.starts_with(b"{") && line.windows(MARK.len()).any(|part| part == MARK);
        match text.split(|byte| *byte == b'\n').rfind(|line| is_summary(line)) {
            Some(line) => serde_json::from_slice(line),
            None => Err(whole),
        }
    }

    /// Whether every transaction requested is confirmed by every service, and no shard is missing.
    #[must_use]
    pub fn all_succeeded(&self) -> bool {
        self.merged.as_ref().is_none_or(|merged| merged.missing.is_empty())
            && self.services.values().all(|service| service.counts.succeeded == service.counts.requested)
    }
}

impl ServiceSummary {
    fn new(figures: ServiceFigures, target: Option<Target>) -> Self {
        let ServiceFigures { end, first_sent, ambiguous_rows } = figures;
        Self {
            counts: end.counts,
            first_sent_seconds: first_sent.map(|first| round(first.as_secs_f64())),
            elapsed_seconds: round(end.elapsed.as_secs_f64()),
            writes_per_second: round(per_second(end.counts.succeeded as f64, end.elapsed)),
            service_time_ms: end.service_time.percentiles(),
            response_time_ms: end.response_time.percentiles(),
            server_time_ms: end.server_time.as_ref().map(Latencies::percentiles),
            histograms: Histograms {
                service_time: end.service_time,
                response_time: end.response_time,
                server_time: end.server_time,
            },
            failures: end.failures,
            failure_examples: end.failure_examples,
            ambiguous_rows,
            request_units: (end.service == ServiceName::CosmosDb).then(|| RequestUnits {
                request_units: round(end.request_units),
                request_units_per_second: round(per_second(end.request_units, end.elapsed)),
            }),
            session_token: None,
            target,
        }
    }
}

impl FailureExample {
    pub(super) fn new(row: u64, failure: &Failure) -> Self {
        let Failure { kind, status, message, ambiguous } = failure.clone();
        Self { row, kind, status, message, ambiguous }
    }
}

/// To three decimals: sums of charges carry the noise of binary fractions, which would look like precision. What is too
/// large for that, as only a file can make it, stays a number that JSON has.
pub(super) fn round(value: f64) -> f64 {
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded.is_finite() { rounded } else { value.clamp(f64::MIN, f64::MAX) }
}
