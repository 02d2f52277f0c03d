//! Statistics: outcomes and a clock's readings in, batch figures and totals out.
//!
//! Pure: nothing here reads a clock, prints or waits, so a whole run's figures can be checked without running it.
//! A batch is what happens between two printed blocks. It is due at every 1,000 transactions requested; once all are
//! requested, at every 1,000 settled; and after 10 seconds without one.

mod batch;
pub mod cost;
mod keys;
mod latency;
pub mod merge;
mod rows;
mod series;
mod service;
mod snapshot;
mod summary;
mod verdict;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use batch::{Batch, Counts, ServiceBatch};
pub use latency::{InvalidHistogram, Latencies, Percentiles};
pub use rows::Rows;
pub use series::{Point, Series, ServicePoint};
pub use snapshot::{LatestFailure, ServiceSnapshot, Snapshot};
pub use summary::{
    Conclusion, ContainerTarget, DataFile, FailureExample, Figures, Histograms, HubTarget, RequestUnits,
    ServiceSummary, Setting, StopReason, Summary, Target,
};
pub use verdict::Verdict;
pub use window::Processing;

use crate::service::{Counters, Failure, Receipt, ServiceName};
use crate::transaction::Transaction;
use keys::PartitionKeys;
use series::{Recorded, Recording};
use service::ServiceStats;

/// How many transactions make a batch due: requested, or settled once all are requested.
const BATCH: u64 = 1000;
/// A batch is due after this long at the latest, so that a throttled service is never silent.
const LONGEST_BATCH: Duration = Duration::from_secs(10);
/// Partition keys in a snapshot.
const BUSIEST_KEYS: usize = 10;

/// How one transaction ended at one service.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Stored, or why not.
    pub result: Result<Receipt, Failure>,
    /// When the transaction was meant to be sent.
    pub intended: Instant,
    /// When it left the queue for its first attempt.
    pub admitted: Instant,
    /// When its end was known.
    pub settled: Instant,
    /// Whether an answer to it was lost on the way: it may have been stored more often than the result says.
    pub ambiguous: bool,
}

impl Outcome {
    /// From the first attempt to the settlement.
    #[must_use]
    pub fn service_time(&self) -> Duration {
        self.settled.saturating_duration_since(self.admitted)
    }

    /// From the moment it was meant to be sent to the settlement, so that queueing counts.
    #[must_use]
    pub fn response_time(&self) -> Duration {
        self.settled.saturating_duration_since(self.intended)
    }
}

/// The running statistics of one run.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    requested: u64,
    /// The numbers of the first and the last row requested.
    rows: Option<(u64, u64)>,
    lateness: Latencies,
    partition_keys: PartitionKeys,
    all_requested: bool,
    services: Vec<ServiceStats>,
    batch_number: u64,
    batch_started: Instant,
    /// When it is due at the latest. Kept, because it is looked at for every outcome.
    batch_due: Instant,
    /// What counts towards the next batch: requested, or settled once all are requested.
    towards_batch: u64,
    /// Whether anything was requested or settled since the last batch.
    eventful: bool,
    series: Recording,
    point_started: Instant,
    /// When it is due, likewise.
    point_due: Instant,
    requested_before_point: u64,
}

impl Stats {
    /// Statistics of a run that starts now, of these services.
    pub fn new(services: impl IntoIterator<Item = (ServiceName, Arc<Counters>)>, now: Instant) -> Self {
        Self {
            started: now,
            requested: 0,
            rows: None,
            lateness: Latencies::default(),
            partition_keys: PartitionKeys::default(),
            all_requested: false,
            services: services.into_iter().map(|(name, counters)| ServiceStats::new(name, counters)).collect(),
            batch_number: 0,
            batch_started: now,
            batch_due: now + LONGEST_BATCH,
            towards_batch: 0,
            eventful: false,
            series: Recording::default(),
            point_started: now,
            point_due: now + Recording::default().interval(),
            requested_before_point: 0,
        }
    }

    /// The clock starts here: what came before (waiting to start) is not part of the run.
    pub fn begin(&mut self, now: Instant) {
        self.started = now;
        self.start_batch(now);
        self.start_point(now);
    }

    fn start_batch(&mut self, now: Instant) {
        self.batch_started = now;
        self.batch_due = now + LONGEST_BATCH;
    }

    fn start_point(&mut self, now: Instant) {
        self.point_started = now;
        self.point_due = now + self.series.interval();
    }

    /// A transaction is handed to every service now; it was meant to be at `intended`.
    pub fn requested(&mut self, transaction: &Transaction, intended: Instant, now: Instant) {
        self.close_due_point(now);
        let row = transaction.row;
        self.rows = Some(self.rows.map_or((row, row), |(first, last)| (first.min(row), last.max(row))));
        self.partition_keys.requested(&transaction.partition_key);
        self.requested += 1;
        self.towards_batch += 1;
        self.eventful = true;
        self.lateness.record(now.saturating_duration_since(intended));
    }

    /// No more transactions will be requested: from now on settlements make batches due.
    pub fn all_requested(&mut self) {
        self.all_requested = true;
        self.towards_batch = 0;
    }

    /// The end of the transaction with this row number is known at this service. Of a failure, returns how many of its
    /// kind the service has now.
    pub fn settled(&mut self, service: ServiceName, row: u64, outcome: &Outcome) -> Option<u64> {
        self.close_due_point(outcome.settled);
        if self.all_requested {
            self.towards_batch += 1;
        }
        self.eventful = true;
        self.services.iter_mut().find(|stats| stats.name == service)?.settled(row, outcome)
    }

    /// This many transactions left the service's queue unsent.
    pub fn not_sent(&mut self, service: ServiceName, count: u64) {
        if let Some(stats) = self.services.iter_mut().find(|stats| stats.name == service) {
            stats.not_sent(count);
            self.eventful |= count > 0;
        }
    }

    /// Whether a batch is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.towards_batch >= BATCH || now >= self.batch_due
    }

    /// Whether anything was requested or settled since the last batch.
    #[must_use]
    pub fn is_eventful(&self) -> bool {
        self.eventful
    }

    /// Closes the batch and opens the next one.
    pub fn close_batch(&mut self, now: Instant) -> Batch {
        let wall = now.saturating_duration_since(self.batch_started);
        self.batch_number += 1;
        self.start_batch(now);
        self.towards_batch = 0;
        self.eventful = false;
        let requested = self.requested;
        Batch {
            number: self.batch_number,
            requested,
            wall,
            elapsed: now.saturating_duration_since(self.started),
            services: self.services.iter_mut().map(|service| service.close_batch(requested, wall)).collect(),
        }
    }

    /// Time passed: closes the point of the series that is due.
    pub fn tick(&mut self, now: Instant) {
        self.close_due_point(now);
    }

    fn close_due_point(&mut self, now: Instant) {
        if now >= self.point_due {
            self.close_point(now);
        }
    }

    fn close_point(&mut self, now: Instant) {
        let requested = self.requested;
        self.series.push(Recorded {
            end: now.saturating_duration_since(self.started),
            length: now.saturating_duration_since(self.point_started),
            requested: requested - self.requested_before_point,
            services: self.services.iter_mut().map(|service| service.close_point(requested)).collect(),
        });
        self.start_point(now);
        self.requested_before_point = requested;
    }

    /// Where the run stands now.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        Snapshot {
            elapsed: now.saturating_duration_since(self.started),
            requested: self.requested,
            all_requested: self.all_requested,
            services: self.services.iter().map(|service| service.snapshot(self.requested)).collect(),
            busiest_keys: self.partition_keys.busiest(BUSIEST_KEYS),
            series: self.series.report(),
        }
    }

    /// The final figures, once everything is settled or given up.
    #[must_use]
    pub fn finish(&mut self, now: Instant) -> Figures {
        self.close_point(now);
        let requested = self.requested;
        Figures {
            requested,
            rows: self.rows,
            wall: now.saturating_duration_since(self.started),
            lateness: self.lateness.clone(),
            partition_keys: self.partition_keys.report(),
            services: self.services.iter().map(|service| service.figures(requested, self.started)).collect(),
            series: self.series.report(),
        }
    }
}

/// Events in this time as a rate per second; 0 where no time has passed.
fn per_second(events: f64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { events / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests;
