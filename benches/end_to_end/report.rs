//! What was measured, as text and as JSON, each figure beside what it must be.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Args;
use crate::compare::{Bounds, Comparison, Side};
use crate::growth::{Curve, Growth};
use crate::memory::Memory;
use crate::paced::Paced;
use crate::protocols::Protocols;
use crate::start::Start;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    cpus: usize,
    rounds: usize,
    pub(crate) event_hubs: Option<Comparison>,
    pub(crate) cosmos_db: Option<Comparison>,
    pub(crate) protocols: Option<Protocols>,
    pub(crate) paced: Option<Vec<Paced>>,
    pub(crate) memory: Option<Memory>,
    pub(crate) start: Option<Start>,
    pub(crate) growth: Option<Growth>,
}

/// One figure and its bound.
struct Check {
    what: String,
    is: f64,
    at_least: bool,
    bound: f64,
    unit: &'static str,
}

impl Check {
    fn at_least(what: impl Into<String>, is: f64, bound: f64) -> Self {
        Self { what: what.into(), is, at_least: true, bound, unit: "" }
    }

    fn at_most(what: impl Into<String>, is: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), is, at_least: false, bound, unit }
    }

    fn to_line(&self) -> String {
        let (sign, holds) = if self.at_least { ("≥", self.is >= self.bound) } else { ("≤", self.is <= self.bound) };
        let verdict = if holds { "reached" } else { "MISSED" };
        format!("  {:<58}{:>9.2}{:<4}{sign}{:>7.2}   {verdict}\n", self.what, self.is, self.unit, self.bound)
    }
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(args: &Args) -> Self {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let (version, rounds) = (env!("CARGO_PKG_VERSION"), args.rounds.max(1));
        Self {
            version,
            cpus,
            rounds,
            event_hubs: None,
            cosmos_db: None,
            protocols: None,
            paced: None,
            memory: None,
            start: None,
            growth: None,
        }
    }

    /// The tables.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("txgen {} on {} CPUs, medians of {} rounds\n", self.version, self.cpus, self.rounds);
        if let Some(comparison) = &self.event_hubs {
            text += "\nEvent Hubs alone, acknowledged after 5 ms\n";
            text += &compared(comparison);
        }
        if let Some(comparison) = &self.cosmos_db {
            text += "\nCosmos DB alone, answered after 10 ms\n";
            text += &compared(comparison);
        }
        if let Some(protocols) = &self.protocols {
            text += "\nCosmos DB by bare hyper loops, answered after 10 ms\n";
            text += &table(protocols.rows, protocols.max_in_flight, &protocols.sides);
        }
        if let Some(paced) = &self.paced {
            text += "\nBoth services at 5,000 transactions per second\n";
            text += &pace(paced);
        }
        if let Some(memory) = &self.memory {
            text += "\nResident memory at its peak\n";
            text += &remembered(memory);
        }
        if let Some(start) = &self.start {
            text += "\nFrom the start of the process, with the database there\n";
            text += &Check::at_most("first event on the wire", start.first_event_ms, 150.0, " ms").to_line();
            text += &Check::at_most("first document on the wire", start.first_document_ms, 150.0, " ms").to_line();
        }
        if let Some(growth) = &self.growth {
            text += &grown("Event Hubs, acknowledged after 5 ms, 2 connections", &growth.event_hubs_by_limit);
            text += &grown("Cosmos DB, answered after 10 ms", &growth.cosmos_db_by_limit);
            let (at_3000, best) = (growth.cosmos_db_by_limit.at(3000), growth.cosmos_db_by_limit.best());
            text += &Check::at_least("3,000 in flight over the best", at_3000 / best, 0.9).to_line();
            text += &grown("Cosmos DB, answered after 10 ms, Azure's client", &growth.cosmos_db_sdk_by_limit);
            text += &grown("Event Hubs, acknowledged after 5 ms, 1,000 in flight", &growth.event_hubs_by_connections);
            text += &grown("Event Hubs, 1,000 in flight, 2 connections", &growth.event_hubs_by_latency);
            text += &grown("Cosmos DB, 128 in flight", &growth.cosmos_db_by_latency);
        }
        text
    }
}

fn table(rows: u64, max_in_flight: usize, sides: &[Side]) -> String {
    let heading = format!("{rows} rows, {max_in_flight} in flight");
    let mut text =
        format!("  {heading:<33}{:>10}{:>19}{:>23}\n", "per second", "CPU s per 100,000", "the emulator's CPU s");
    for side in sides {
        let figures = side.median;
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "  {:<33}{:>10.0}{:>19.2}{:>23.2}",
            side.name, figures.per_second, figures.cpu_seconds_per_100000, figures.emulator_cpu_seconds_per_100000
        );
    }
    text
}

fn compared(comparison: &Comparison) -> String {
    let mut text = table(comparison.rows, comparison.max_in_flight, &comparison.sides);
    for ratio in &comparison.ratios {
        let Bounds { least_rate, most_cpu } = ratio.bounds;
        text += &Check::at_least(format!("rate, over {}", ratio.against), ratio.rate, least_rate).to_line();
        text += &Check::at_most(format!("CPU, over {}", ratio.against), ratio.cpu, most_cpu, "").to_line();
    }
    text
}

fn pace(paced: &[Paced]) -> String {
    let heading = "ms";
    let mut text =
        format!("  {heading:<30}{:>10}{:>14}{:>14}{:>14}\n", "requested", "service p50", "service p99", "response p50");
    for run in paced {
        for (name, service) in [("Event Hubs", &run.event_hubs), ("Cosmos DB", &run.cosmos_db)] {
            let _ = writeln!(
                text,
                "  {:<30}{:>10}{:>14.1}{:>14.1}{:>14.1}",
                run.fault.map_or(name.to_owned(), |fault| format!("{name}, {}", stalled(fault))),
                run.requested,
                service.service_time_p50_ms,
                service.service_time_p99_ms,
                service.response_time_p50_ms
            );
        }
    }
    let [calm, rest @ ..] = paced else { return text };
    for (name, service) in [("Event Hubs", &calm.event_hubs), ("Cosmos DB", &calm.cosmos_db)] {
        text +=
            &Check::at_least(format!("{name}: stored of what was requested"), service.kept_up(calm.requested), 0.99)
                .to_line();
        text +=
            &Check::at_most(format!("{name}: response over service time at p50"), service.wait_p50_ms(), 2.0, " ms")
                .to_line();
    }
    text += &Check::at_most("lateness at p99", calm.lateness_p99_ms, 10.0, " ms").to_line();
    for run in rest {
        let stalled = stalled(run.fault.unwrap_or_default());
        let (name, before, now) = match run.fault {
            Some(fault) if fault.starts_with("cosmos_db") => ("Event Hubs", &calm.event_hubs, &run.event_hubs),
            _ => ("Cosmos DB", &calm.cosmos_db, &run.cosmos_db),
        };
        let p50 = now.service_time_p50_ms - before.service_time_p50_ms;
        let p99 = now.service_time_p99_ms - before.service_time_p99_ms;
        text += &Check::at_most(format!("{name}: p50 more, {stalled}"), p50, 1.0, " ms").to_line();
        text += &Check::at_most(format!("{name}: p99 more, {stalled}"), p99, 5.0, " ms").to_line();
        text += &Check::at_most(format!("lateness at p99, {stalled}"), run.lateness_p99_ms, 10.0, " ms").to_line();
    }
    text
}

fn stalled(fault: &str) -> &'static str {
    if fault.starts_with("cosmos_db") { "Cosmos DB stalled" } else { "Event Hubs stalled" }
}

fn remembered(memory: &Memory) -> String {
    let mut text = Check::at_most(format!("{} rows", memory.rows), memory.short_mb, 100.0, " MB").to_line();
    if let Some(long) = memory.long_mb {
        text += &Check::at_most("5,000,000 rows", long, memory.short_mb + 10.0, " MB").to_line();
    }
    text += &format!("  {:<58}{:>9.2} MB\n", "both services, 1,000 pending at one of them", memory.few_pending_mb);
    let most = memory.few_pending_mb + 120.0;
    text += &Check::at_most("the same with 100,000 pending", memory.pending_mb, most, " MB").to_line();
    text += &format!("  {:<58}{:>9.2} MB\n", "Cosmos DB, 100 in flight", memory.cosmos_db_100_mb);
    let most = memory.cosmos_db_100_mb + 60.0;
    text += &Check::at_most("Cosmos DB, 3,000 in flight", memory.cosmos_db_3000_mb, most, " MB").to_line();
    text
}

fn grown(title: &str, curve: &Curve) -> String {
    let mut text =
        format!("\n{title}\n  {:<30}{:>10}{:>22}{:>16}\n", curve.by, "per second", "limit / latency", "service p50");
    for point in &curve.points {
        let line = point.limit_over_latency.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let _ = writeln!(
            text,
            "  {:<30}{:>10.0}{line:>22}{:>13.1} ms",
            point.at, point.per_second, point.service_time_p50_ms
        );
    }
    text
}
