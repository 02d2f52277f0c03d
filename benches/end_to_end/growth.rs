//! How the rate grows with the limit of what is in flight, with connections, and with the service's latency.

use std::path::Path;

use serde::Serialize;

use crate::process::Emulator;
use crate::txgen::Run;

/// Seconds of each run.
const SECONDS: &str = "2";
/// Fewer, for the client that is not the default.
const FEW_LIMITS: [usize; 3] = [100, 1000, 3000];
/// Limits on what is in flight.
const LIMITS: [usize; 12] = [1, 3, 10, 30, 64, 100, 128, 200, 300, 1000, 3000, 10_000];
/// Connections to Event Hubs.
const CONNECTIONS: [usize; 5] = [1, 2, 4, 6, 8];
/// Latencies of the service, ms.
const LATENCIES: [usize; 7] = [0, 1, 5, 10, 20, 50, 100];

/// Three curves, and those of both services where there is no third thing to vary.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) event_hubs_by_limit: Curve,
    pub(crate) cosmos_db_by_limit: Curve,
    pub(crate) cosmos_db_sdk_by_limit: Curve,
    pub(crate) event_hubs_by_connections: Curve,
    pub(crate) event_hubs_by_latency: Curve,
    pub(crate) cosmos_db_by_latency: Curve,
}

/// Rates by one figure.
#[derive(Debug, Serialize)]
pub(crate) struct Curve {
    /// What was varied.
    pub(crate) by: &'static str,
    pub(crate) points: Vec<Point>,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Point {
    /// The figure that was varied.
    pub(crate) at: usize,
    /// Stored per second.
    pub(crate) per_second: f64,
    /// The median of the service time, ms.
    pub(crate) service_time_p50_ms: f64,
    /// What Little's law gives: what may be in flight over the latency that the service adds; `None` without latency.
    pub(crate) limit_over_latency: Option<f64>,
}

/// One point's settings.
#[derive(Clone, Copy)]
struct Setting {
    service: &'static str,
    max_in_flight: usize,
    connections: usize,
    latency_ms: usize,
    cosmos_client: &'static str,
}

const EVENT_HUBS: Setting =
    Setting { service: "event_hubs", max_in_flight: 1000, connections: 2, latency_ms: 5, cosmos_client: "native" };
const COSMOS_DB: Setting =
    Setting { service: "cosmos_db", max_in_flight: 128, connections: 0, latency_ms: 10, ..EVENT_HUBS };

/// Runs of two seconds each.
pub(crate) fn measure(data: &Path) -> anyhow::Result<Growth> {
    let curve = |by: &'static str, values: &[usize], setting: &dyn Fn(usize) -> Setting| {
        let points = values.iter().map(|&at| setting(at).measure(data, at)).collect::<anyhow::Result<_>>()?;
        anyhow::Ok(Curve { by, points })
    };
    Ok(Growth {
        event_hubs_by_limit: curve("events in flight at most", &LIMITS, &|limit| Setting {
            max_in_flight: limit,
            ..EVENT_HUBS
        })?,
        cosmos_db_by_limit: curve("documents in flight at most", &LIMITS, &|limit| Setting {
            max_in_flight: limit,
            ..COSMOS_DB
        })?,
        cosmos_db_sdk_by_limit: curve("documents in flight at most", &FEW_LIMITS, &|limit| Setting {
            max_in_flight: limit,
            cosmos_client: "sdk",
            ..COSMOS_DB
        })?,
        event_hubs_by_connections: curve("connections", &CONNECTIONS, &|connections| Setting {
            connections,
            ..EVENT_HUBS
        })?,
        event_hubs_by_latency: curve("latency, ms", &LATENCIES, &|latency_ms| Setting { latency_ms, ..EVENT_HUBS })?,
        cosmos_db_by_latency: curve("latency, ms", &LATENCIES, &|latency_ms| Setting { latency_ms, ..COSMOS_DB })?,
    })
}

impl Curve {
    /// The rate at this point; 0 where it is none.
    pub(crate) fn at(&self, at: usize) -> f64 {
        self.points.iter().find(|point| point.at == at).map_or(0.0, |point| point.per_second)
    }

    pub(crate) fn best(&self) -> f64 {
        self.points.iter().map(|point| point.per_second).fold(0.0, f64::max)
    }
}

impl Setting {
    fn measure(self, data: &Path, at: usize) -> anyhow::Result<Point> {
        let latency = format!("{}ms", self.latency_ms);
        let emulator = Emulator::start(
            &["--no-throughput-limit", "--event-hubs-latency", &latency, "--cosmos-latency", &latency]
                .map(str::to_owned),
        )?;
        let (limit, connections) = (self.max_in_flight.to_string(), self.connections.to_string());
        let mut flags = vec!["--loop", "--seconds-to-run", SECONDS];
        if self.service == "event_hubs" {
            flags.extend(["--only-event-hubs", "--max-in-flight-event-hubs", &limit]);
            flags.extend(["--event-hub-connections", &connections]);
        } else {
            flags.extend(["--only-cosmos", "--max-in-flight-cosmos", &limit]);
            flags.extend(["--cosmos-client", self.cosmos_client]);
        }
        let run = Run::of(&emulator, data, &flags)?;
        let figure = |pointer: &str| run.figure(&format!("/services/{}/{pointer}", self.service));
        Ok(Point {
            at,
            per_second: figure("writes_per_second")?,
            service_time_p50_ms: figure("service_time_ms/p50")?,
            limit_over_latency: (self.latency_ms > 0)
                .then(|| self.max_in_flight as f64 * 1000.0 / self.latency_ms as f64),
        })
    }
}
