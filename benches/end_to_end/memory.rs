//! Resident memory: of runs of different lengths, and of a run with as much pending as is allowed.

use std::path::Path;

use serde::Serialize;

use crate::process::Emulator;
use crate::txgen::Run;
use crate::{Args, generate};

const LONG: u64 = 5_000_000;
/// The default of `--max-pending`, and hardly any beside it.
const PENDING: u64 = 100_000;
const FEW_PENDING: u64 = 1_000;

/// Peaks of the resident memory, in MB (a million bytes).
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) rows: u64,
    pub(crate) short_mb: f64,
    /// With 5,000,000 rows, if that was asked for.
    pub(crate) long_mb: Option<f64>,
    /// Of both services, with 1,000 and with 100,000 transactions pending at one of them.
    pub(crate) few_pending_mb: f64,
    pub(crate) pending_mb: f64,
    /// Of Cosmos DB alone, with so many in flight.
    pub(crate) cosmos_db_100_mb: f64,
    pub(crate) cosmos_db_3000_mb: f64,
}

/// Runs to Event Hubs; then two of both services, of which Cosmos DB does not answer.
pub(crate) fn measure(args: &Args, folder: &Path, data: &Path) -> anyhow::Result<Memory> {
    let short_mb = peak(data, args.rows)?;
    let long_mb = match args.long {
        true => {
            let data = generate(folder, LONG)?;
            Some(peak(&data, LONG)?)
        }
        false => None,
    };
    let (few_pending_mb, pending_mb) = (pending(data, FEW_PENDING)?, pending(data, PENDING)?);
    let (cosmos_db_100_mb, cosmos_db_3000_mb) = (in_flight(data, 100)?, in_flight(data, 3000)?);
    Ok(Memory { rows: args.rows, short_mb, long_mb, few_pending_mb, pending_mb, cosmos_db_100_mb, cosmos_db_3000_mb })
}

fn peak(data: &Path, rows: u64) -> anyhow::Result<f64> {
    // Kept no longer than it takes: the emulator's memory is not what is measured.
    let emulator = Emulator::start(&["--retention", "1s"].map(str::to_owned))?;
    let limit = rows.to_string();
    let run = Run::of(&emulator, data, &["--only-event-hubs", "--seconds-to-run", "0", "--limit", &limit])?;
    run.all_stored("event_hubs", rows)?;
    Ok(run.peak_memory as f64 / 1e6)
}

/// As many as are allowed are in flight, because each is answered late.
fn in_flight(data: &Path, most: usize) -> anyhow::Result<f64> {
    let emulator = Emulator::start(&["--no-throughput-limit", "--cosmos-latency", "500ms"].map(str::to_owned))?;
    let (most, limit) = (most.to_string(), (most * 8).to_string());
    let flags = ["--only-cosmos", "--loop", "--limit", &limit, "--max-in-flight-cosmos", &most];
    Ok(Run::of(&emulator, data, &flags)?.peak_memory as f64 / 1e6)
}

fn pending(data: &Path, most: u64) -> anyhow::Result<f64> {
    let emulator = Emulator::start(&["--fault", "cosmos_db:never:100%"].map(str::to_owned))?;
    let limit = most.to_string();
    let flags = ["--loop", "--seconds-to-run", "8", "--drain-timeout", "100ms", "--max-pending", &limit];
    let run = Run::of(&emulator, data, &flags)?;
    let requested = run.figure("/requested")? as u64;
    anyhow::ensure!(requested == most, "{requested} requested, not {most}");
    Ok(run.peak_memory as f64 / 1e6)
}
