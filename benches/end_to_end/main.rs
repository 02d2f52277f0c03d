//! What txgen costs beside the services that it measures: whole runs against `txgen emulator`, side by side with bare loops
//! on the same libraries.
//!
//! `cargo bench --bench end_to_end` prints a table; `-- --json FILE` writes the same figures, `-- --help` shows the rest.
//! Emulator, bare loop and txgen are processes of their own on one machine. Each measurement gets a fresh emulator; sides
//! that are compared run in turn, round after round, and what is shown are medians, and medians of the rounds' ratios.

#![allow(clippy::print_stdout, reason = "a benchmark shows what it measured")]
// Lengths and counts here are far below the limits of the types they are put into.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod bare;
mod chart;
mod compare;
mod growth;
mod memory;
mod paced;
#[allow(dead_code, reason = "not every benchmark looks at everything")]
#[path = "../support/process.rs"]
mod process;
mod protocols;
mod report;
mod start;
mod txgen;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use bare::Loop;
use report::Report;

/// Compares txgen with bare loops, and measures its pace, memory, start and growth.
#[derive(Debug, Parser)]
#[command(name = "end_to_end")]
struct Args {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rows that are sent to Event Hubs in each round
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Rows that are sent to Cosmos DB in each round
    #[arg(long, default_value_t = 50_000)]
    cosmos_rows: u64,
    /// Rounds of each comparison
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Connections to Event Hubs
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Events in flight at most
    #[arg(long, default_value_t = 1000)]
    max_in_flight_event_hubs: usize,
    /// Documents in flight at most
    #[arg(long, default_value_t = 128)]
    max_in_flight_cosmos: usize,
    /// Measure the memory of 5,000,000 rows as well: needs 1 GB of disk and several minutes
    #[arg(long)]
    long: bool,
    /// Write the figures to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the growth into this SVG file
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Be a bare loop, for the process that measures it
    #[arg(long, value_enum, hide = true)]
    bare: Option<Loop>,
    /// What `cargo bench` passes on its own account
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Event Hubs alone, against a bare loop
    EventHubs,
    /// Cosmos DB alone, against bare loops
    CosmosDb,
    /// HTTP/1.1 and HTTP/2 for Cosmos DB, by bare loops
    Protocols,
    /// Both services at 5,000 transactions per second, and with one of them stalled
    Paced,
    /// Resident memory
    Memory,
    /// From the start of the process to the first request
    Start,
    /// Rate against limits, connections and latency
    Growth,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(which) = args.bare {
        return bare::run(which);
    }
    let folder = tempfile::tempdir()?;
    let data = generate(folder.path(), args.rows.max(args.cosmos_rows))?;
    let mut report = Report::new(&args);
    if args.wants(Part::EventHubs) {
        report.event_hubs = Some(compare::event_hubs(&args, &data).context("Event Hubs alone")?);
    }
    if args.wants(Part::CosmosDb) {
        report.cosmos_db = Some(compare::cosmos_db(&args, &data).context("Cosmos DB alone")?);
    }
    if args.wants(Part::Protocols) {
        report.protocols = Some(protocols::measure(&args, &data).context("protocols")?);
    }
    if args.wants(Part::Paced) {
        report.paced = Some(paced::measure(args.rounds, &data).context("at a set pace")?);
    }
    if args.wants(Part::Memory) {
        report.memory = Some(memory::measure(&args, folder.path(), &data).context("memory")?);
    }
    if args.wants(Part::Start) {
        report.start = Some(start::measure(&args, &data).context("start")?);
    }
    if args.wants(Part::Growth) {
        report.growth = Some(growth::measure(&data).context("growth")?);
    }
    print!("{}", report.to_text());
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    if let (Some(path), Some(growth)) = (&args.chart, &report.growth) {
        chart::draw(path, growth).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A file of so many rows.
fn generate(folder: &Path, rows: u64) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{rows}.csv"));
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_txgen"))
        .args(["data", "generate", "--seed", "1", "--rows"])
        .arg(rows.to_string())
        .arg("--output")
        .arg(&path)
        .stderr(std::process::Stdio::null())
        .status()
        .context("cannot start txgen data generate")?;
    anyhow::ensure!(status.success(), "txgen data generate: {status}");
    Ok(path)
}
