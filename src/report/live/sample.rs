//! A run in its course, for the tests of what shows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::description::{self, RunDescription};
use crate::run::Expected;
use crate::run::monitor::Moment;
use crate::service::ServiceName;
use crate::stats::{Counts, Latencies, Percentiles, Point, Series, ServicePoint, ServiceSnapshot, Snapshot};

/// Fourteen seconds into a run of about 20,000 rows.
pub(crate) fn moment() -> Moment {
    Moment {
        snapshot: snapshot(),
        expected: Expected::About(20_000),
        rejected_rows: 2,
        lead_left: Duration::ZERO,
        stopping: false,
    }
}

pub(crate) fn description() -> Arc<RunDescription> {
    Arc::new(description::sample())
}

fn snapshot() -> Snapshot {
    Snapshot {
        elapsed: Duration::from_secs(14),
        requested: 10_000,
        all_requested: false,
        services: vec![
            service(ServiceName::EventHubs, (9274, 726, 0, 0), 0.0),
            service(ServiceName::CosmosDb, (836, 128, 9035, 128), 12_640.0),
        ],
        busiest_keys: [("us", 5034), ("gb", 1211), ("ca", 633), ("unk", 404)]
            .map(|(key, count)| (key.into(), count))
            .into(),
        series: Series { interval_seconds: 1.0, points: (1..=14).map(point).collect() },
    }
}

fn service(
    service: ServiceName,
    (succeeded, in_flight, queued, throttled): (u64, u64, u64, u64),
    request_units: f64,
) -> ServiceSnapshot {
    let mut latencies = Latencies::default();
    (1..=succeeded).for_each(|number| latencies.record(Duration::from_millis(1 + number % 50)));
    ServiceSnapshot {
        service,
        counts: Counts {
            requested: 10_000,
            succeeded,
            failed: 10_000 - succeeded - in_flight - queued,
            pending: in_flight + queued,
            queued,
            in_flight,
            throttled,
            ..Counts::default()
        },
        elapsed: Duration::from_secs(14),
        request_units,
        failures: BTreeMap::new(),
        failure_examples: Vec::new(),
        latest_failures: Vec::new(),
        service_time: latencies.clone(),
        response_time: latencies,
        server_time: None,
    }
}

/// Event Hubs gets faster, Cosmos DB stays where it is and piles up.
fn point(second: u32) -> Point {
    let second = f64::from(second);
    let figures = |succeeded: f64, pending: f64, ms: f64, request_units: f64| ServicePoint {
        succeeded: succeeded as u64,
        pending: pending as u64,
        request_units,
        service_time_ms: Some(Percentiles {
            p50: ms,
            p90: ms * 2.0,
            p99: ms * 4.0,
            p999: ms * 5.0,
            max: ms * 6.0,
            mean: ms,
        }),
        ..ServicePoint::default()
    };
    Point {
        elapsed_seconds: second,
        seconds: 1.0,
        requested: 700,
        services: BTreeMap::from([
            (ServiceName::EventHubs, figures(100.0 * second, 726.0, 5.0, 0.0)),
            (ServiceName::CosmosDb, figures(60.0, 650.0 * second, 30.0 + second, 900.0)),
        ]),
    }
}
