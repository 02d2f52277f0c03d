//! How fast the emulators take events and documents, and what CPU and memory that costs them: a generator should never
//! have to wait for them. The clients here do as little as they can, so that what is seen are the emulators.
//!
//! `cargo bench --bench emulator` prints a table; `-- --json FILE` writes the same figures, `-- --help` shows the rest. The
//! emulator is a process of its own on the same machine; every round starts a new one, and medians are shown.

#![allow(clippy::print_stdout, reason = "a benchmark shows what it measured")]
// Lengths and counts here are far below the limits of the types they are put into.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]

mod cosmos_db;
mod event_hubs;
#[allow(dead_code, reason = "not every benchmark looks at everything")]
#[path = "../support/process.rs"]
mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;
use txgen::identity::RunId;
use txgen::source::{Source, SourceOptions};
use txgen::transaction::Transaction;

use cosmos_db::CosmosDb;
use event_hubs::EventHubs;
use process::{Emulator, Usage};

/// Measures `txgen emulator` with clients that do as little as they can.
#[derive(Debug, Parser)]
#[command(name = "emulator")]
struct Args {
    /// Events, and documents, of each round
    #[arg(long, default_value_t = 200_000)]
    count: usize,
    /// Rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Connections to Event Hubs
    #[arg(long, default_value_t = 2)]
    event_hubs_connections: usize,
    /// Links on each of them; each has a few hundred events in flight at most
    #[arg(long, default_value_t = 4)]
    links: u32,
    /// Connections to Cosmos DB, each with one request in flight
    #[arg(long, default_value_t = 64)]
    cosmos_connections: usize,
    /// What the emulator adds to each answer of Event Hubs
    #[arg(long, default_value = "0ms")]
    event_hubs_latency: String,
    /// What the emulator adds to each answer of Cosmos DB
    #[arg(long, default_value = "0ms")]
    cosmos_latency: String,
    /// Write the figures to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What `cargo bench` passes on its own account
    #[arg(long, hide = true)]
    bench: bool,
}

/// One round, or the median of all.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    /// Accepted events or documents per second.
    per_second: f64,
    /// CPU seconds of the emulator for 100,000 of them.
    cpu_seconds_per_100000: f64,
    /// CPU seconds of the client for 100,000 of them.
    client_cpu_seconds_per_100000: f64,
    /// Growth of the emulator's resident memory for each of them.
    bytes_each: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    count: usize,
    body_bytes: f64,
    event_hubs: Side,
    cosmos_db: Side,
}

/// One service.
#[derive(Debug, Serialize)]
struct Side {
    median: Figures,
    rounds: Vec<Figures>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let transactions = Arc::new(transactions(args.count)?);
    let bytes: usize = transactions.iter().map(|transaction| transaction.body.len()).sum();
    let (mut events, mut documents) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds.max(1) {
        events.push(event_hubs_round(&args, &transactions).await.context("Event Hubs")?);
        documents.push(cosmos_db_round(&args, &transactions).await.context("Cosmos DB")?);
    }
    let report = Report {
        count: args.count,
        body_bytes: bytes as f64 / transactions.len().max(1) as f64,
        event_hubs: Side { median: median(&events), rounds: events },
        cosmos_db: Side { median: median(&documents), rounds: documents },
    };
    print!("{}", table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The shipped transactions, again and again.
fn transactions(count: usize) -> anyhow::Result<Vec<Transaction>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/Untagged_Transactions.csv");
    let options = SourceOptions { repeat: true, ..SourceOptions::new(RunId::random(), 5_184_000) };
    Ok(Source::open(&path, options)?.take(count).collect::<Result<_, _>>()?)
}

async fn event_hubs_round(args: &Args, transactions: &Arc<Vec<Transaction>>) -> anyhow::Result<Figures> {
    let emulator = Emulator::start(&["--event-hubs-latency".to_owned(), args.event_hubs_latency.clone()])?;
    let (address, key) = (emulator.event_hubs()?, emulator.shared_access_key(EventHubs::policy())?);
    let (connections, links) = (args.event_hubs_connections.max(1), args.links.clamp(1, 255));
    let hubs = EventHubs::connect(&address, key, connections, links).await?;
    let watch = Watch::start(&emulator)?;
    hubs.send(transactions).await?;
    watch.stop(transactions.len())
}

async fn cosmos_db_round(args: &Args, transactions: &Arc<Vec<Transaction>>) -> anyhow::Result<Figures> {
    let flags = ["--no-throughput-limit", "--cosmos-latency", &args.cosmos_latency];
    let emulator = Emulator::start(&flags.map(str::to_owned))?;
    let (address, key) = emulator.cosmos_db()?;
    let mut cosmos_db = CosmosDb::connect(&address, key, args.cosmos_connections).await?;
    let watch = Watch::start(&emulator)?;
    cosmos_db.create(transactions).await?;
    watch.stop(transactions.len())
}

/// Clock and counters before a round.
struct Watch<'e> {
    emulator: &'e Emulator,
    start: Instant,
    before: Usage,
    own: Usage,
}

impl<'e> Watch<'e> {
    fn start(emulator: &'e Emulator) -> anyhow::Result<Self> {
        Ok(Self { emulator, before: emulator.usage()?, own: Usage::own()?, start: Instant::now() })
    }

    /// What the round took for each of `count`.
    fn stop(self, count: usize) -> anyhow::Result<Figures> {
        let (wall, after, own) = (self.start.elapsed(), self.emulator.usage()?, Usage::own()?);
        let per_100000 = |cpu: Duration| cpu.as_secs_f64() * 100_000.0 / count as f64;
        Ok(Figures {
            per_second: count as f64 / wall.as_secs_f64(),
            cpu_seconds_per_100000: per_100000(after.cpu - self.before.cpu),
            client_cpu_seconds_per_100000: per_100000(own.cpu - self.own.cpu),
            bytes_each: after.resident.saturating_sub(self.before.resident) as f64 / count as f64,
        })
    }
}

/// Figure by figure.
fn median(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut sorted: Vec<f64> = rounds.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Figures {
        per_second: of(|figures| figures.per_second),
        cpu_seconds_per_100000: of(|figures| figures.cpu_seconds_per_100000),
        client_cpu_seconds_per_100000: of(|figures| figures.client_cpu_seconds_per_100000),
        bytes_each: of(|figures| figures.bytes_each),
    }
}

fn table(report: &Report) -> String {
    let row = |name: &str, figure: fn(&Figures) -> f64, decimals: usize| {
        let (events, documents) = (figure(&report.event_hubs.median), figure(&report.cosmos_db.median));
        format!("{name:<36}{events:>12.decimals$}{documents:>12.decimals$}\n")
    };
    let rounds = report.event_hubs.rounds.len();
    let head = format!(
        "{} of {:.0} bytes each, medians of {rounds} rounds\n{:<36}{:>12}{:>12}\n",
        report.count, report.body_bytes, "", "Event Hubs", "Cosmos DB"
    );
    head + &row("accepted per second", |figures| figures.per_second, 0)
        + &row("emulator's CPU seconds per 100,000", |figures| figures.cpu_seconds_per_100000, 2)
        + &row("client's CPU seconds per 100,000", |figures| figures.client_cpu_seconds_per_100000, 2)
        + &row("emulator's memory in bytes each", |figures| figures.bytes_each, 0)
}
