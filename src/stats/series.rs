//! A run over time, in bounded memory however long it is: one point a second at first; when there are more than 300,
//! neighbours are merged, latencies and all, and the interval doubles.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::Packed;
use super::{Latencies, Percentiles};
use crate::service::ServiceName;

/// Points that are kept at most.
pub(super) const POINTS: usize = 300;
/// The time of one point at first.
const INTERVAL: Duration = Duration::from_secs(1);

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The time between two points, in seconds; a point that had to wait for something to happen took longer.
    pub interval_seconds: f64,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// What happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The interval's end, in seconds from the run's start.
    pub elapsed_seconds: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Transactions requested in it.
    pub requested: u64,
    /// By service.
    pub services: BTreeMap<ServiceName, ServicePoint>,
}

/// What one service did in one interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePoint {
    /// Transactions stored.
    pub succeeded: u64,
    /// Transactions that failed.
    pub failed: u64,
    /// Attempts answered 429 or server-busy.
    pub throttled: u64,
    /// Transactions queued or in flight at its end.
    pub pending: u64,
    /// Request units charged; 0 on Event Hubs.
    pub request_units: f64,
    /// From the first attempt to the settlement, of what was stored, ms; `null` where nothing was, and where runs were
    /// merged: percentiles cannot be added.
    pub service_time_ms: Option<Percentiles>,
    /// From the moment meant to the settlement, likewise.
    pub response_time_ms: Option<Percentiles>,
}

/// The points of a run that goes on.
#[derive(Debug)]
pub(super) struct Recording {
    interval: Duration,
    points: Vec<Recorded>,
}

/// A point, with its latencies in a form that can be merged.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) end: Duration,
    pub(super) length: Duration,
    pub(super) requested: u64,
    pub(super) services: Vec<RecordedService>,
}

/// One service's part of a point.
#[derive(Debug)]
pub(super) struct RecordedService {
    pub(super) name: ServiceName,
    pub(super) figures: ServicePoint,
    pub(super) service_time: Packed,
    pub(super) response_time: Packed,
}

impl Default for Recording {
    fn default() -> Self {
        Self { interval: INTERVAL, points: Vec::new() }
    }
}

impl Recording {
    /// The time after which a point is closed.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Adds a point; merges neighbours when there are too many.
    pub(super) fn push(&mut self, point: Recorded) {
        self.points.push(point);
        if self.points.len() > POINTS {
            self.interval *= 2;
            self.halve();
        }
    }

    fn halve(&mut self) {
        let mut points = std::mem::take(&mut self.points).into_iter();
        while let Some(mut point) = points.next() {
            if let Some(next) = points.next() {
                point.merge(next);
            }
            self.points.push(point);
        }
    }

    /// The points so far, as they are reported.
    pub(super) fn report(&self) -> Series {
        Series {
            interval_seconds: self.interval.as_secs_f64(),
            points: self.points.iter().map(Recorded::report).collect(),
        }
    }
}

impl Recorded {
    fn merge(&mut self, next: Self) {
        self.end = next.end;
        self.length += next.length;
        self.requested += next.requested;
        for (service, next) in self.services.iter_mut().zip(next.services) {
            service.merge(&next);
        }
    }

    fn report(&self) -> Point {
        Point {
            elapsed_seconds: millis(self.end),
            seconds: millis(self.length),
            requested: self.requested,
            services: self.services.iter().map(|service| (service.name, service.figures.clone())).collect(),
        }
    }
}

impl RecordedService {
    fn merge(&mut self, next: &Self) {
        self.figures.succeeded += next.figures.succeeded;
        self.figures.failed += next.figures.failed;
        self.figures.throttled += next.figures.throttled;
        self.figures.pending = next.figures.pending;
        self.figures.request_units += next.figures.request_units;
        let merged = |packed: &mut Packed, next: &Packed| {
            let mut latencies = Latencies::default();
            latencies.add_packed(packed);
            latencies.add_packed(next);
            *packed = latencies.pack();
            reported(&latencies)
        };
        self.figures.service_time_ms = merged(&mut self.service_time, &next.service_time);
        self.figures.response_time_ms = merged(&mut self.response_time, &next.response_time);
    }
}

/// The figures of a distribution; `None` when nothing was counted.
pub(super) fn reported(latencies: &Latencies) -> Option<Percentiles> {
    (latencies.count() > 0).then(|| latencies.percentiles())
}

/// Seconds to the millisecond: more would look like precision.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: u64) -> Recorded {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(second));
        Recorded {
            end: Duration::from_secs(second),
            length: Duration::from_secs(1),
            requested: 10,
            services: vec![RecordedService {
                name: ServiceName::CosmosDb,
                figures: ServicePoint {
                    succeeded: 1,
                    failed: 2,
                    throttled: 3,
                    pending: second,
                    request_units: 14.5,
                    service_time_ms: reported(&latencies),
                    response_time_ms: reported(&latencies),
                },
                service_time: latencies.pack(),
                response_time: latencies.pack(),
            }],
        }
    }

    #[test]
    fn the_series_of_a_long_run_stays_small_and_loses_nothing() {
        let mut recording = Recording::default();
        let seconds = 700;
        let mut open: Option<Recorded> = None;
        for second in 1..=seconds {
            match &mut open {
                Some(open) => open.merge(point(second)),
                None => open = Some(point(second)),
            }
            open.take_if(|open| open.length >= recording.interval()).into_iter().for_each(|full| recording.push(full));
        }
        open.into_iter().for_each(|rest| recording.push(rest));
        let series = recording.report();
        assert!(series.points.len() <= POINTS, "{}", series.points.len());
        assert_eq!(series.interval_seconds, 4.0);
        assert_eq!(series.points.iter().map(|point| point.requested).sum::<u64>(), 10 * seconds);
        assert_eq!(series.points.iter().map(|point| point.seconds).sum::<f64>(), seconds as f64);
        let services: Vec<_> = series.points.iter().map(|point| &point.services[&ServiceName::CosmosDb]).collect();
        assert_eq!(services.iter().map(|service| service.succeeded).sum::<u64>(), seconds);
        assert_eq!(services.iter().map(|service| service.throttled).sum::<u64>(), 3 * seconds);
        assert_eq!(services.last().unwrap().pending, seconds);
    }

    #[test]
    fn the_percentiles_of_merged_points_are_those_of_all_their_latencies() {
        let mut one = point(1);
        (2..=100).for_each(|second| one.merge(point(second)));
        let figures = one.services[0].figures.service_time_ms.unwrap();
        assert_eq!((figures.max, figures.p50.round(), figures.p99.round()), (100.0, 50.0, 99.0));
    }
}
