//! One service's part of the statistics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::rows::Rows;
use super::series::{RecordedService, ServicePoint, reported};
use super::summary::ServiceFigures;
use super::window::Window;
use super::{Counts, FailureExample, Latencies, LatestFailure, Outcome, ServiceBatch, ServiceSnapshot};
use crate::service::{Counters, Failure, FailureKind, ServiceName};

/// Failures of one kind that are kept whole, as examples.
pub(super) const EXAMPLES: u64 = 5;

/// Failures that are kept whole because they are the latest.
const LATEST: usize = 10;

/// What one service did since the run's start.
#[derive(Debug)]
pub(super) struct ServiceStats {
    pub(super) name: ServiceName,
    counters: Arc<Counters>,
    succeeded: u64,
    failed: u64,
    not_sent: u64,
    request_units: f64,
    failures: BTreeMap<FailureKind, u64>,
    examples: Vec<FailureExample>,
    latest_failures: VecDeque<LatestFailure>,
    ambiguous_rows: Rows,
    /// Of all points that are closed.
    service_time: Latencies,
    response_time: Latencies,
    /// Of all transactions; `None` while none gave one.
    server_time: Option<Latencies>,
    first_sent: Option<Instant>,
    last_settled: Option<Instant>,
    window: Window,
    batch_server_time: Option<Latencies>,
    batch: Tally,
    point: Tally,
    throttled_before_point: u64,
}

/// What one service did in some time.
#[derive(Debug, Default)]
struct Tally {
    succeeded: u64,
    failed: u64,
    request_units: f64,
    service_time: Latencies,
    response_time: Latencies,
}

impl Tally {
    fn succeeded(&mut self, request_units: f64, service_time: Duration, response_time: Duration) {
        self.succeeded += 1;
        self.request_units += request_units;
        self.service_time.record(service_time);
        self.response_time.record(response_time);
    }

    fn reset(&mut self) {
        self.succeeded = 0;
        self.failed = 0;
        self.request_units = 0.0;
        self.service_time.clear();
        self.response_time.clear();
    }
}

impl ServiceStats {
    pub(super) fn new(name: ServiceName, counters: Arc<Counters>) -> Self {
        Self {
            name,
            counters,
            succeeded: 0,
            failed: 0,
            not_sent: 0,
            request_units: 0.0,
            failures: BTreeMap::new(),
            examples: Vec::new(),
            latest_failures: VecDeque::new(),
            ambiguous_rows: Rows::default(),
            service_time: Latencies::default(),
            response_time: Latencies::default(),
            server_time: None,
            batch_server_time: None,
            first_sent: None,
            last_settled: None,
            window: Window::default(),
            batch: Tally::default(),
            point: Tally::default(),
            throttled_before_point: 0,
        }
    }

    /// Counts an ending; of a failure, returns how many of its kind there are now.
    pub(super) fn settled(&mut self, row: u64, outcome: &Outcome) -> Option<u64> {
        let first_sent = *self.first_sent.get_or_insert(outcome.admitted);
        let first_sent = first_sent.min(outcome.admitted);
        self.first_sent = Some(first_sent);
        self.last_settled = Some(self.last_settled.map_or(outcome.settled, |last| last.max(outcome.settled)));
        self.window.settled(first_sent, outcome.settled);
        if outcome.ambiguous {
            self.ambiguous_rows.insert(row);
        }
        match &outcome.result {
            Ok(receipt) => {
                self.succeeded += 1;
                self.request_units += receipt.request_units;
                let (service_time, response_time) = (outcome.service_time(), outcome.response_time());
                for tally in [&mut self.batch, &mut self.point] {
                    tally.succeeded(receipt.request_units, service_time, response_time);
                }
                if let Some(server_time) = receipt.server_time {
                    for latencies in [&mut self.server_time, &mut self.batch_server_time] {
                        latencies.get_or_insert_default().record(server_time);
                    }
                }
                None
            }
            Err(failure) => Some(self.failed(row, outcome.settled, failure)),
        }
    }

    fn failed(&mut self, row: u64, at: Instant, failure: &Failure) -> u64 {
        self.failed += 1;
        self.batch.failed += 1;
        self.point.failed += 1;
        if self.latest_failures.len() == LATEST {
            self.latest_failures.pop_front();
        }
        self.latest_failures.push_back(LatestFailure { at, row, failure: failure.clone() });
        let count = self.failures.entry(failure.kind).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            self.examples.push(FailureExample::new(row, failure));
        }
        *count
    }

    pub(super) fn not_sent(&mut self, count: u64) {
        self.not_sent += count;
    }

    fn elapsed(&self) -> Duration {
        match (self.first_sent, self.last_settled) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    fn counts(&self, requested: u64) -> Counts {
        let pending = requested.saturating_sub(self.succeeded + self.failed + self.not_sent);
        let in_flight = self.counters.admitted().saturating_sub(self.succeeded + self.failed).min(pending);
        Counts {
            requested,
            succeeded: self.succeeded,
            failed: self.failed,
            not_sent: self.not_sent,
            pending,
            queued: pending - in_flight,
            in_flight,
            throttled: self.counters.throttled(),
            ambiguous: self.counters.ambiguous(),
            resent: self.counters.resent(),
        }
    }

    pub(super) fn close_batch(&mut self, requested: u64, wall: Duration) -> ServiceBatch {
        let figures = ServiceBatch {
            service: self.name,
            succeeded: self.batch.succeeded,
            failed: self.batch.failed,
            request_units: self.batch.request_units,
            wall,
            service_time: self.batch.service_time.percentiles(),
            response_time: self.batch.response_time.percentiles(),
            server_time: self.batch_server_time.as_ref().and_then(reported),
            processing: self.window.processing(),
            elapsed: self.elapsed(),
            total: self.counts(requested),
        };
        self.batch.reset();
        if let Some(latencies) = &mut self.batch_server_time {
            latencies.clear();
        }
        figures
    }

    pub(super) fn close_point(&mut self, requested: u64) -> RecordedService {
        let counts = self.counts(requested);
        let throttled = counts.throttled - self.throttled_before_point;
        self.throttled_before_point = counts.throttled;
        self.service_time.add(&self.point.service_time);
        self.response_time.add(&self.point.response_time);
        let recorded = RecordedService {
            name: self.name,
            figures: ServicePoint {
                succeeded: self.point.succeeded,
                failed: self.point.failed,
                throttled,
                pending: counts.pending,
                request_units: super::summary::round(self.point.request_units),
                service_time_ms: reported(&self.point.service_time),
                response_time_ms: reported(&self.point.response_time),
            },
            service_time: self.point.service_time.pack(),
            response_time: self.point.response_time.pack(),
        };
        self.point.reset();
        recorded
    }

    /// Where it stands now.
    pub(super) fn snapshot(&self, requested: u64) -> ServiceSnapshot {
        let all = |closed: &Latencies, open: &Latencies| {
            let mut all = closed.clone();
            all.add(open);
            all
        };
        ServiceSnapshot {
            service: self.name,
            counts: self.counts(requested),
            elapsed: self.elapsed(),
            request_units: self.request_units,
            failures: self.failures.clone(),
            failure_examples: self.examples.clone(),
            latest_failures: self.latest_failures.iter().cloned().collect(),
            service_time: all(&self.service_time, &self.point.service_time),
            response_time: all(&self.response_time, &self.point.response_time),
            server_time: self.server_time.clone(),
        }
    }

    /// The final figures, once the last point is closed.
    pub(super) fn figures(&self, requested: u64, started: Instant) -> ServiceFigures {
        ServiceFigures {
            end: self.snapshot(requested),
            first_sent: self.first_sent.map(|first| first.saturating_duration_since(started)),
            ambiguous_rows: self.ambiguous_rows.clone(),
        }
    }
}
