//! The totals of a run, as they are printed at its end and written to the summary file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Counts, Latencies, Percentiles, per_second};
use crate::identity::RunId;
use crate::service::{FailureKind, ServiceName};

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// Nobody reads the output any more.
    OutputClosed,
    /// The data could not be read any further.
    DataFailed,
}

/// What the statistics cannot know of how a run went.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// The run's id.
    pub run_id: RunId,
    /// Why it ended.
    pub reason: StopReason,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Cells that were empty or unreadable and became 0 or false, by column.
    pub unreadable_cells: BTreeMap<String, u64>,
    /// The pace asked for, in transactions per second.
    pub rate: Option<f64>,
}

/// The totals of a run. Serialises as the summary document (`"type": "summary"`).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    /// The run's id: the first three groups of every transaction's id.
    pub run_id: String,
    /// Whether the run was interrupted by the user.
    pub interrupted: bool,
    /// Why the run ended.
    pub stop_reason: StopReason,
    /// Transactions requested.
    pub requested: u64,
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
    /// By service: `event_hubs`, `cosmos_db`.
    pub services: BTreeMap<ServiceName, ServiceSummary>,
}

/// One service's totals.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceSummary {
    /// Where its transactions ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// From the first send to the last settlement, in seconds.
    pub elapsed_seconds: f64,
    /// Transactions stored per second of that time.
    pub writes_per_second: f64,
    /// From the first attempt to the settlement, of what was stored, ms.
    pub service_time_ms: Percentiles,
    /// From the moment meant to the settlement, of what was stored, ms.
    pub response_time_ms: Percentiles,
    /// Failed transactions by kind.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Request units charged; Cosmos DB only.
    #[serde(flatten)]
    pub request_units: Option<RequestUnits>,
}

/// Request units charged over a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RequestUnits {
    /// All together.
    pub request_units: f64,
    /// Per second from the first send to the last settlement.
    pub request_units_per_second: f64,
}

impl Summary {
    pub(super) fn new(
        conclusion: Conclusion,
        requested: u64,
        wall: Duration,
        lateness: &Latencies,
        services: BTreeMap<ServiceName, ServiceSummary>,
    ) -> Self {
        Self {
            kind: "summary",
            version: env!("CARGO_PKG_VERSION"),
            run_id: conclusion.run_id.to_string(),
            interrupted: conclusion.reason == StopReason::Interrupted,
            stop_reason: conclusion.reason,
            requested,
            rejected_rows: conclusion.rejected_rows,
            unreadable_cells: conclusion.unreadable_cells,
            wall_seconds: round(wall.as_secs_f64()),
            rate: conclusion.rate,
            lateness_ms: lateness.percentiles(),
            services,
        }
    }

    /// Whether every transaction requested is confirmed by every service.
    #[must_use]
    pub fn all_succeeded(&self) -> bool {
        self.services.values().all(|service| service.counts.succeeded == service.counts.requested)
    }
}

impl ServiceSummary {
    pub(super) fn new(
        name: ServiceName,
        counts: Counts,
        elapsed: Duration,
        request_units: f64,
        service_time_ms: Percentiles,
        response_time_ms: Percentiles,
        failures: BTreeMap<FailureKind, u64>,
    ) -> Self {
        Self {
            counts,
            elapsed_seconds: round(elapsed.as_secs_f64()),
            writes_per_second: round(per_second(counts.succeeded as f64, elapsed)),
            service_time_ms,
            response_time_ms,
            failures,
            request_units: (name == ServiceName::CosmosDb).then(|| RequestUnits {
                request_units: round(request_units),
                request_units_per_second: round(per_second(request_units, elapsed)),
            }),
        }
    }
}

/// To three decimals: sums of charges carry the noise of binary fractions, which would look like precision.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
