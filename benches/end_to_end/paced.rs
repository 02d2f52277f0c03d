//! Both services at a set pace: whether both keep up, how late transactions are, and whether one service notices that the
//! other one stalls.

use std::path::Path;

use serde::Serialize;

use crate::compare::median;
use crate::process::Emulator;
use crate::txgen::Run;

/// Transactions per second.
const RATE: f64 = 5000.0;
const SECONDS: f64 = 5.0;

/// What is done to the services.
const FAULTS: [Option<&str>; 3] = [None, Some("cosmos_db:never:100%"), Some("event_hubs:never:100%")];

/// Runs of both services, figure by figure at their median.
#[derive(Clone, Copy, Debug, Serialize)]
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
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) succeeded: f64,
    pub(crate) service_time_p50_ms: f64,
    pub(crate) service_time_p99_ms: f64,
    pub(crate) response_time_p50_ms: f64,
}

/// In each round an undisturbed run, then one with each of the services stalled.
pub(crate) fn measure(rounds: usize, data: &Path) -> anyhow::Result<Vec<Paced>> {
    let mut runs = [(); FAULTS.len()].map(|()| Vec::new());
    for _ in 0..rounds.max(1) {
        for (runs, fault) in runs.iter_mut().zip(FAULTS) {
            runs.push(paced(data, fault)?);
        }
    }
    Ok(runs.iter().zip(FAULTS).map(|(runs, fault)| Paced::median(fault, runs)).collect())
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

impl Paced {
    fn median(fault: Option<&'static str>, runs: &[Self]) -> Self {
        let of = |figure: &dyn Fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        let service = |part: fn(&Self) -> &Service| Service {
            succeeded: of(&|run| part(run).succeeded),
            service_time_p50_ms: of(&|run| part(run).service_time_p50_ms),
            service_time_p99_ms: of(&|run| part(run).service_time_p99_ms),
            response_time_p50_ms: of(&|run| part(run).response_time_p50_ms),
        };
        Self {
            fault,
            requested: of(&|run| run.requested),
            lateness_p99_ms: of(&|run| run.lateness_p99_ms),
            event_hubs: service(|run| &run.event_hubs),
            cosmos_db: service(|run| &run.cosmos_db),
        }
    }
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
