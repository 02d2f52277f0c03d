//! Where a run stands at one moment, for observers that look by themselves: progress, metrics, the terminal view.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Counts, FailureExample, Latencies, Series};
use crate::service::{Failure, FailureKind, ServiceName};

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time since the run's start.
    pub elapsed: Duration,
    /// Transactions requested so far.
    pub requested: u64,
    /// Whether no more will be requested.
    pub all_requested: bool,
    /// One entry for each service that is written to.
    pub services: Vec<ServiceSnapshot>,
    /// The busiest partition keys, the busiest first, with how often they were requested.
    pub busiest_keys: Vec<(Arc<str>, u64)>,
    /// The course of the run up to the last full interval.
    pub series: Series,
}

/// Where one service stands.
#[derive(Clone, Debug)]
pub struct ServiceSnapshot {
    /// Which one.
    pub service: ServiceName,
    /// Where its transactions are.
    pub counts: Counts,
    /// From the first send to the latest settlement.
    pub elapsed: Duration,
    /// Request units charged so far.
    pub request_units: f64,
    /// Failed transactions by kind.
    pub failures: BTreeMap<FailureKind, u64>,
    /// The first failures of each kind.
    pub failure_examples: Vec<FailureExample>,
    /// The latest few failures, whatever their kind, the latest last.
    pub latest_failures: Vec<LatestFailure>,
    /// Service times of all that was stored.
    pub service_time: Latencies,
    /// Response times of all that was stored.
    pub response_time: Latencies,
    /// How long the service worked on what was stored, by its own account; `None` where it did not say.
    pub server_time: Option<Latencies>,
}

/// A transaction that failed a moment ago.
#[derive(Clone, Debug)]
pub struct LatestFailure {
    /// When that was known.
    pub at: Instant,
    /// Its row number.
    pub row: u64,
    /// Why.
    pub failure: Failure,
}
