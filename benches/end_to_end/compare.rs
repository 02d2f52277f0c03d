//! txgen beside bare loops with the same limits: rate, and CPU for each message.

use std::path::Path;

use serde::Serialize;

use crate::Args;
use crate::bare::{self, Loop, Took};
use crate::process::Emulator;
use crate::txgen::Run;

/// One side's figures: of one round, or the medians of all.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    /// Settled per second, from the first send to the last settlement.
    pub(crate) per_second: f64,
    /// CPU seconds for 100,000. Of txgen: those of the whole process, from its start to its end.
    pub(crate) cpu_seconds_per_100000: f64,
    /// The emulator's CPU seconds for 100,000.
    pub(crate) emulator_cpu_seconds_per_100000: f64,
}

/// One side.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) median: Figures,
    pub(crate) rounds: Vec<Figures>,
}

/// txgen against one of the bare loops: medians of the ratios of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) against: &'static str,
    /// txgen's rate over the loop's.
    pub(crate) rate: f64,
    /// txgen's CPU for each message over the loop's.
    pub(crate) cpu: f64,
    pub(crate) bounds: Bounds,
}

/// What the ratios must be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Bounds {
    pub(crate) least_rate: f64,
    pub(crate) most_cpu: f64,
}

/// The bare loops and txgen, the latter last: first with its default client, to which the ratios belong.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) rows: u64,
    pub(crate) max_in_flight: usize,
    pub(crate) sides: Vec<Side>,
    pub(crate) ratios: Vec<Ratio>,
}

/// Event Hubs alone, acknowledged after 5 ms.
pub(crate) fn event_hubs(args: &Args, data: &Path) -> anyhow::Result<Comparison> {
    let (connections, limit) = (args.connections.to_string(), args.max_in_flight_event_hubs.to_string());
    let against = Against {
        emulator: &["--event-hubs-latency", "5ms"],
        loops: &[(Loop::EventHubs, "bare loop", Bounds { least_rate: 0.8, most_cpu: 1.5 })],
        clients: &[("txgen", &[])],
        service: "event_hubs",
        flags: &["--only-event-hubs", "--event-hub-connections", &connections, "--max-in-flight-event-hubs", &limit],
        rows: args.rows,
        connections: args.connections,
        max_in_flight: args.max_in_flight_event_hubs,
    };
    against.rounds(args.rounds, data)
}

/// Cosmos DB alone, answered after 10 ms, without a limit on RU/s.
pub(crate) fn cosmos_db(args: &Args, data: &Path) -> anyhow::Result<Comparison> {
    let limit = args.max_in_flight_cosmos.to_string();
    let against = Against {
        loops: &[
            (Loop::CosmosDb, "bare loop, SDK as it comes", Bounds { least_rate: 0.97, most_cpu: 0.35 }),
            (Loop::CosmosDbAsSet, "bare loop, txgen's settings", Bounds { least_rate: 0.97, most_cpu: 0.4 }),
            (Loop::Hyper, "bare loop, hyper", Bounds { least_rate: 0.9, most_cpu: 1.3 }),
        ],
        clients: &[("txgen, native", &["--cosmos-client", "native"]), ("txgen, sdk", &["--cosmos-client", "sdk"])],
        flags: &["--only-cosmos", "--max-in-flight-cosmos", &limit],
        ..Against::cosmos_db(args, 0)
    };
    against.rounds(args.rounds, data)
}

/// What is compared, and how.
pub(crate) struct Against<'a> {
    emulator: &'a [&'a str],
    loops: &'a [(Loop, &'static str, Bounds)],
    /// txgen's clients, and the flags that choose them.
    clients: &'a [(&'static str, &'a [&'a str])],
    service: &'static str,
    flags: &'a [&'a str],
    rows: u64,
    /// To Event Hubs; of HTTP/2, how many requests share one.
    connections: usize,
    max_in_flight: usize,
}

impl Against<'_> {
    /// Documents, so many on a connection, without anything that sends them yet.
    pub(crate) fn cosmos_db(args: &Args, connections: usize) -> Self {
        Self {
            emulator: &["--no-throughput-limit", "--cosmos-latency", "10ms"],
            loops: &[],
            clients: &[],
            service: "cosmos_db",
            flags: &[],
            rows: args.cosmos_rows,
            connections,
            max_in_flight: args.max_in_flight_cosmos,
        }
    }

    fn rounds(&self, rounds: usize, data: &Path) -> anyhow::Result<Comparison> {
        let mut loops = vec![Vec::new(); self.loops.len()];
        let mut runs = vec![Vec::new(); self.clients.len()];
        for _ in 0..rounds.max(1) {
            for ((which, ..), figures) in self.loops.iter().zip(&mut loops) {
                figures.push(self.bare(*which, data)?);
            }
            for ((_, flags), figures) in self.clients.iter().zip(&mut runs) {
                figures.push(self.txgen(data, flags)?);
            }
        }
        let of_default = runs.first().map_or(&[][..], Vec::as_slice);
        let ratios = self.loops.iter().zip(&loops).map(|((_, against, bounds), rounds)| {
            let of = |figure: fn(&Figures) -> f64| {
                median(of_default.iter().zip(rounds).map(|(run, bare)| figure(run) / figure(bare)).collect())
            };
            Ratio { against, rate: of(|f| f.per_second), cpu: of(|f| f.cpu_seconds_per_100000), bounds: *bounds }
        });
        let ratios = ratios.collect();
        let names = self.loops.iter().map(|(_, name, _)| *name).chain(self.clients.iter().map(|(name, _)| *name));
        let sides = names.zip(loops.into_iter().chain(runs)).map(|(name, rounds)| Side::of(name, rounds)).collect();
        Ok(Comparison { rows: self.rows, max_in_flight: self.max_in_flight, sides, ratios })
    }

    pub(crate) fn bare(&self, which: Loop, data: &Path) -> anyhow::Result<Figures> {
        let emulator = Emulator::start(&self.emulator.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())?;
        let took = bare::start(which, &emulator, data, self.rows, self.connections, self.max_in_flight)?;
        self.figures(&emulator, took)
    }

    fn txgen(&self, data: &Path, client: &[&str]) -> anyhow::Result<Figures> {
        let emulator = Emulator::start(&self.emulator.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())?;
        let limit = self.rows.to_string();
        let run = Run::of(&emulator, data, &[self.flags, client, &["--limit", &limit]].concat())?;
        run.all_stored(self.service, self.rows)?;
        let seconds = run.figure(&format!("/services/{}/elapsed_seconds", self.service))?;
        self.figures(&emulator, Took { seconds, cpu_seconds: run.cpu.as_secs_f64() })
    }

    fn figures(&self, emulator: &Emulator, took: Took) -> anyhow::Result<Figures> {
        let per_100000 = 100_000.0 / self.rows as f64;
        Ok(Figures {
            per_second: self.rows as f64 / took.seconds,
            cpu_seconds_per_100000: took.cpu_seconds * per_100000,
            emulator_cpu_seconds_per_100000: emulator.usage()?.cpu.as_secs_f64() * per_100000,
        })
    }
}

impl Side {
    pub(crate) fn of(name: &'static str, rounds: Vec<Figures>) -> Self {
        let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
        let median = Figures {
            per_second: of(|figures| figures.per_second),
            cpu_seconds_per_100000: of(|figures| figures.cpu_seconds_per_100000),
            emulator_cpu_seconds_per_100000: of(|figures| figures.emulator_cpu_seconds_per_100000),
        };
        Self { name, median, rounds }
    }
}

/// The middle one; of an even number, the upper of the two in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
