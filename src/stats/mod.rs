//! Statistics: outcomes and a clock's readings in, batch figures and totals out.
//!
//! Pure: nothing here reads a clock, prints or waits, so a whole run's figures can be checked without running it.
//! A batch is what happens between two printed blocks. It is due at every 1,000 transactions requested; once all are
//! requested, at every 1,000 settled; and after 10 seconds without one.

mod batch;
pub mod cost;
mod latency;
mod summary;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use batch::{Batch, Counts, ServiceBatch};
pub use latency::{Latencies, Percentiles};
pub use summary::{Conclusion, RequestUnits, ServiceSummary, StopReason, Summary};
pub use window::Processing;
use window::Window;

use crate::service::{Failure, FailureKind, Receipt, ServiceName, Turbulence};

/// How many transactions make a batch due: requested, or settled once all are requested.
const BATCH: u64 = 1000;
/// A batch is due after this long at the latest, so that a throttled service is never silent.
const LONGEST_BATCH: Duration = Duration::from_secs(10);

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
    lateness: Latencies,
    all_requested: bool,
    services: Vec<ServiceStats>,
    batch_number: u64,
    batch_started: Instant,
    /// What counts towards the next batch: requested, or settled once all are requested.
    towards_batch: u64,
    /// Whether anything was requested or settled since the last batch.
    eventful: bool,
}

/// One service's part.
#[derive(Debug)]
struct ServiceStats {
    name: ServiceName,
    turbulence: Arc<Turbulence>,
    succeeded: u64,
    failed: u64,
    not_sent: u64,
    request_units: f64,
    failures: BTreeMap<FailureKind, u64>,
    service_time: Latencies,
    response_time: Latencies,
    first_sent: Option<Instant>,
    last_settled: Option<Instant>,
    window: Window,
    batch: OpenBatch,
}

/// What one service did since the last block.
#[derive(Debug, Default)]
struct OpenBatch {
    succeeded: u64,
    failed: u64,
    request_units: f64,
    service_time: Latencies,
    response_time: Latencies,
}

impl Stats {
    /// Statistics of a run that starts now, of these services.
    pub fn new(services: impl IntoIterator<Item = (ServiceName, Arc<Turbulence>)>, now: Instant) -> Self {
        Self {
            started: now,
            requested: 0,
            lateness: Latencies::default(),
            all_requested: false,
            services: services.into_iter().map(|(name, turbulence)| ServiceStats::new(name, turbulence)).collect(),
            batch_number: 0,
            batch_started: now,
            towards_batch: 0,
            eventful: false,
        }
    }

    /// The clock starts here: what came before (waiting to start) is not part of the run.
    pub fn begin(&mut self, now: Instant) {
        self.started = now;
        self.batch_started = now;
    }

    /// A transaction is handed to every service now; it was meant to be at `intended`.
    pub fn requested(&mut self, intended: Instant, now: Instant) {
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

    /// A transaction's end is known at this service.
    pub fn settled(&mut self, service: ServiceName, outcome: &Outcome) {
        if self.all_requested {
            self.towards_batch += 1;
        }
        self.eventful = true;
        if let Some(stats) = self.services.iter_mut().find(|stats| stats.name == service) {
            stats.settled(outcome);
        }
    }

    /// This many transactions left the service's queue unsent.
    pub fn not_sent(&mut self, service: ServiceName, count: u64) {
        if let Some(stats) = self.services.iter_mut().find(|stats| stats.name == service) {
            stats.not_sent += count;
            self.eventful |= count > 0;
        }
    }

    /// Whether a batch is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.towards_batch >= BATCH || now.saturating_duration_since(self.batch_started) >= LONGEST_BATCH
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
        self.batch_started = now;
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

    /// The totals, once everything is settled or given up.
    #[must_use]
    pub fn summary(&mut self, conclusion: Conclusion, now: Instant) -> Summary {
        let requested = self.requested;
        let services = self.services.iter_mut().map(|service| (service.name, service.summary(requested))).collect();
        let wall = now.saturating_duration_since(self.started);
        Summary::new(conclusion, requested, wall, &self.lateness, services)
    }
}

impl ServiceStats {
    fn new(name: ServiceName, turbulence: Arc<Turbulence>) -> Self {
        Self {
            name,
            turbulence,
            succeeded: 0,
            failed: 0,
            not_sent: 0,
            request_units: 0.0,
            failures: BTreeMap::new(),
            service_time: Latencies::default(),
            response_time: Latencies::default(),
            first_sent: None,
            last_settled: None,
            window: Window::default(),
            batch: OpenBatch::default(),
        }
    }

    fn settled(&mut self, outcome: &Outcome) {
        let first_sent = *self.first_sent.get_or_insert(outcome.admitted);
        let first_sent = first_sent.min(outcome.admitted);
        self.first_sent = Some(first_sent);
        self.last_settled = Some(self.last_settled.map_or(outcome.settled, |last| last.max(outcome.settled)));
        self.window.settled(first_sent, outcome.settled);
        match &outcome.result {
            Ok(receipt) => {
                self.succeeded += 1;
                self.request_units += receipt.request_units;
                self.batch.succeeded += 1;
                self.batch.request_units += receipt.request_units;
                self.batch.service_time.record(outcome.service_time());
                self.batch.response_time.record(outcome.response_time());
            }
            Err(failure) => {
                self.failed += 1;
                self.batch.failed += 1;
                *self.failures.entry(failure.kind).or_default() += 1;
            }
        }
    }

    fn elapsed(&self) -> Duration {
        match (self.first_sent, self.last_settled) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    fn counts(&self, requested: u64) -> Counts {
        Counts {
            requested,
            succeeded: self.succeeded,
            failed: self.failed,
            not_sent: self.not_sent,
            pending: requested.saturating_sub(self.succeeded + self.failed + self.not_sent),
            throttled: self.turbulence.throttled(),
            ambiguous: self.turbulence.ambiguous(),
            resent: self.turbulence.resent(),
        }
    }

    fn close_batch(&mut self, requested: u64, wall: Duration) -> ServiceBatch {
        self.merge_batch();
        let figures = ServiceBatch {
            service: self.name,
            succeeded: self.batch.succeeded,
            failed: self.batch.failed,
            request_units: self.batch.request_units,
            wall,
            service_time: self.batch.service_time.percentiles(),
            response_time: self.batch.response_time.percentiles(),
            processing: self.window.processing(),
            elapsed: self.elapsed(),
            total: self.counts(requested),
        };
        self.batch.reset();
        figures
    }

    /// Adds the open batch's distributions to the run's: only batches are recorded into, one histogram an outcome.
    fn merge_batch(&mut self) {
        self.service_time.add(&self.batch.service_time);
        self.response_time.add(&self.batch.response_time);
    }

    fn summary(&mut self, requested: u64) -> ServiceSummary {
        self.merge_batch();
        self.batch.reset();
        ServiceSummary::new(
            self.name,
            self.counts(requested),
            self.elapsed(),
            self.request_units,
            self.service_time.percentiles(),
            self.response_time.percentiles(),
            self.failures.clone(),
        )
    }
}

impl OpenBatch {
    fn reset(&mut self) {
        self.succeeded = 0;
        self.failed = 0;
        self.request_units = 0.0;
        self.service_time.clear();
        self.response_time.clear();
    }
}

/// Events in this time as a rate per second; 0 where no time has passed.
fn per_second(events: f64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { events / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests;
