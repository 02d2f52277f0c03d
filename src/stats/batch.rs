//! What happened between two printed blocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Percentiles, Processing, per_second};
use crate::service::ServiceName;

/// Seconds in a month of 30 days, for figures "at this rate".
const SECONDS_PER_MONTH: f64 = 30.0 * 24.0 * 3600.0;

/// The figures of one block.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Counted from 1.
    pub number: u64,
    /// Transactions requested so far in the run.
    pub requested: u64,
    /// The time since the block before, or since the start.
    pub wall: Duration,
    /// The time since the start.
    pub elapsed: Duration,
    /// One entry for each service that is written to.
    pub services: Vec<ServiceBatch>,
}

/// One service's figures in one block.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceBatch {
    /// Which one.
    pub service: ServiceName,
    /// Transactions stored in this batch.
    pub succeeded: u64,
    /// Transactions that failed in this batch.
    pub failed: u64,
    /// Request units charged in this batch.
    pub request_units: f64,
    /// The batch's wall time.
    pub wall: Duration,
    /// Service times of the transactions stored in this batch, ms.
    pub service_time: Percentiles,
    /// Their response times, ms.
    pub response_time: Percentiles,
    /// How long the service worked on them, by its own account, ms; `None` where it did not say.
    pub server_time: Option<Percentiles>,
    /// The time for the latest 1,000 settlements; `None` before the first one.
    pub processing: Option<Processing>,
    /// From the first send to the latest settlement of the run.
    pub elapsed: Duration,
    /// The run's counts so far.
    pub total: Counts,
}

/// Where a service's transactions are: requested = succeeded + failed + pending + not sent, at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Handed to the service by the fan-out.
    pub requested: u64,
    /// Confirmed by the service.
    pub succeeded: u64,
    /// Refused, or not confirmed in time.
    pub failed: u64,
    /// Still queued when the run was stopped.
    pub not_sent: u64,
    /// Queued or in flight.
    pub pending: u64,
    /// Waiting for the bulkhead.
    pub queued: u64,
    /// Admitted by the bulkhead, not yet settled.
    pub in_flight: u64,
    /// Attempts answered 429 or server-busy.
    pub throttled: u64,
    /// Attempts whose answer never came.
    pub ambiguous: u64,
    /// Requests sent again for another reason than throttling.
    pub resent: u64,
}

impl Batch {
    /// The service that was faster by this measure: lower is faster. `None` unless both have one and they differ.
    fn faster_by(&self, measure: impl Fn(&ServiceBatch) -> Option<f64>) -> Option<ServiceName> {
        let [first, second] = self.services.as_slice() else { return None };
        let (a, b) = (measure(first)?, measure(second)?);
        match a.partial_cmp(&b)? {
            std::cmp::Ordering::Less => Some(first.service),
            std::cmp::Ordering::Greater => Some(second.service),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Which service took less time for its latest 1,000 settlements; `None` until both have settled so many.
    #[must_use]
    pub fn faster_processing(&self) -> Option<ServiceName> {
        self.faster_by(|service| service.processing.filter(Processing::is_full).map(|p| p.time.as_secs_f64()))
    }

    /// Which service took less elapsed time for each transaction that it has settled; with as many settled at both,
    /// that is the one with the shorter total elapsed time.
    #[must_use]
    pub fn faster_elapsed(&self) -> Option<ServiceName> {
        self.faster_by(|service| {
            let settled = service.total.succeeded + service.total.failed;
            (settled > 0).then(|| service.elapsed.as_secs_f64() / settled as f64)
        })
    }
}

impl ServiceBatch {
    /// Transactions stored per second of this batch.
    #[must_use]
    pub fn writes_per_second(&self) -> f64 {
        per_second(self.succeeded as f64, self.wall)
    }

    /// Request units charged per second of this batch.
    #[must_use]
    pub fn request_units_per_second(&self) -> f64 {
        per_second(self.request_units, self.wall)
    }

    /// How many would be stored in a month of 30 days at this batch's rate.
    #[must_use]
    pub fn writes_per_month(&self) -> f64 {
        self.writes_per_second() * SECONDS_PER_MONTH
    }
}
