//! Both services at a set pace: whether both keep up, how late transactions are, and whether one service notices that the
//! other one stalls.

use std::path::Path;

use serde::Serialize;

use crate::process::Emulator;
use crate::txgen::Run;

/// Transactions per second.
const RATE: f64 = 5000.0;
const SECONDS: f64 = 10.0;

/// One run of both services.
#[derive(Debug, Serialize)]
pub(crate) struct Paced {
    /// What was done to the services.
    pub(crate) fault: Option<&'static str>,
    pub(crate) requested: f64,
    /// How late transactions were requested, ms.
    pub(crate) lateness_p99_ms: f64,
    pub(crate) event_hubs: Service,
    pub(crate) cosmos_db: Service,
}

/// One service's part.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) succeeded: f64,
    pub(crate) service_time_p50_ms: f64,
    pub(crate) service_time_p99_ms: f64,
    pub(crate) response_time_p50_ms: f64,
}

/// An undisturbed run, then one with each of the services stalled.
pub(crate) fn measure(data: &Path) -> anyhow::Result<Vec<Paced>> {
    [None, Some("cosmos_db:never:100%"), Some("event_hubs:never:100%")]
        .into_iter()
        .map(|fault| paced(data, fault))
        .collect()
}

fn paced(data: &Path, fault: Option<&'static str>) -> anyhow::Result<Paced> {
    let mut flags: Vec<String> = vec!["--no-throughput-limit".to_owned()];
    flags.extend(fault.iter().flat_map(|fault| ["--fault".to_owned(), (*fault).to_owned()]));
    let emulator = Emulator::start(&flags)?;
    let (rate, seconds) = (RATE.to_string(), SECONDS.to_string());
    // What a stalled service has in flight will not be settled: it is not waited for.
    let flags = ["--rate", &rate, "--seconds-to-run", &seconds, "--loop", "--drain-timeout", "100ms"];
    let run = Run::of(&emulator, data, &flags)?;
    let service = |name: &str| {
        let figure = |pointer: &str| run.figure(&format!("/services/{name}/{pointer}"));
        anyhow::Ok(Service {
            succeeded: figure("succeeded")?,
            service_time_p50_ms: figure("service_time_ms/p50")?,
            service_time_p99_ms: figure("service_time_ms/p99")?,
            response_time_p50_ms: figure("response_time_ms/p50")?,
        })
    };
    Ok(Paced {
        fault,
        requested: run.figure("/requested")?,
        lateness_p99_ms: run.figure("/lateness_ms/p99")?,
        event_hubs: service("event_hubs")?,
        cosmos_db: service("cosmos_db")?,
    })
}

impl Service {
    /// How much longer transactions take from the moment meant than from the first attempt, ms at the median.
    pub(crate) fn wait_p50_ms(&self) -> f64 {
        self.response_time_p50_ms - self.service_time_p50_ms
    }

    /// The share of what was requested that was stored by the end of the time.
    pub(crate) fn kept_up(&self, requested: f64) -> f64 {
        self.succeeded / requested
    }
}
