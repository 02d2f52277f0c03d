//! How fast `txgen land` gets an event hub into a local Delta table, and what CPU and memory that costs it.
//!
//! `cargo bench --features lake --bench land` prints a table; `-- --json FILE` writes the same figures, `-- --help` shows the
//! rest. The emulator holds all events before landing begins; it and the lander are processes of their own on the same
//! machine. Every round starts a new emulator, and medians are shown. A round with a tenth of the events goes before them:
//! memory ought not to depend on the length.

#![allow(clippy::print_stdout, reason = "a benchmark shows what it measured")]
// Counts here are far below the limits of the types they are put into.
#![allow(clippy::cast_precision_loss)]

#[allow(dead_code, reason = "not every benchmark looks at everything")]
#[path = "../support/process.rs"]
mod process;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use serde::Serialize;
use serde_json::Value;

use process::{Emulator, Usage, peak_memory};

/// Measures `txgen land` from an emulator into a folder.
#[derive(Debug, Parser)]
#[command(name = "land")]
struct Args {
    /// Events of each round
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that sending or landing may take before the benchmark gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    give_up_after: u64,
    /// Flags of `txgen land` besides, such as --commit-bytes=16MB
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    land: Vec<String>,
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
    /// Events in the table per second, connecting and the last commit included.
    events_per_second: f64,
    /// CPU seconds of the lander for 100,000 events.
    cpu_seconds_per_100000: f64,
    /// The most resident memory of the lander, in bytes.
    peak_bytes: u64,
    /// CPU seconds of the emulator for 100,000 events.
    emulator_cpu_seconds_per_100000: f64,
    /// Bytes of the table's files for each event.
    bytes_each: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    count: u64,
    /// Processes that wanted a processor when it began, on average over a minute.
    load: f64,
    /// The round with a tenth of the events.
    tenth: Figures,
    median: Figures,
    rounds: Vec<Figures>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().context("no load")?.parse()?;
    let tenth = round(&args, args.count / 10)?;
    let rounds = (0..args.rounds.max(1)).map(|_| round(&args, args.count)).collect::<Result<Vec<_>, _>>()?;
    let report = Report { count: args.count, load, tenth, median: median(&rounds), rounds };
    print!("{}", table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn round(args: &Args, count: u64) -> anyhow::Result<Figures> {
    let limit = Duration::from_secs(args.give_up_after);
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("appsettings.json");
    let flags = ["--no-throughput-limit", "--settings-out", &settings.display().to_string()].map(str::to_owned);
    let emulator = Emulator::start(&flags)?;
    fill(&settings, count, limit)?;
    let before = (Usage::of_ended_children()?, emulator.usage()?.cpu);
    let (end, peak_bytes) = land(folder.path(), &settings, &args.land, limit)?;
    let lander = Usage::of_ended_children()?.saturating_sub(before.0);
    let emulator = emulator.usage()?.cpu.saturating_sub(before.1);
    let number = |name: &str| end[name].as_f64().with_context(|| format!("no {name} in {end}"));
    ensure!(end["transactions"] == count, "not all events were landed: {end}");
    let per_100000 = |cpu: Duration| cpu.as_secs_f64() * 1e5 / count as f64;
    Ok(Figures {
        events_per_second: number("events_per_second")?,
        cpu_seconds_per_100000: per_100000(lander),
        peak_bytes,
        emulator_cpu_seconds_per_100000: per_100000(emulator),
        bytes_each: number("bytes")? / count as f64,
    })
}

/// Sends the shipped transactions to the emulator's event hub, again and again.
fn fill(settings: &Path, count: u64, limit: Duration) -> anyhow::Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/Untagged_Transactions.csv");
    let mut sending = Command::new(env!("CARGO_BIN_EXE_txgen"))
        .args(["run", "--only-event-hubs", "--loop", "--seconds-to-run", "0", "--quiet", "--limit", &count.to_string()])
        .arg("--settings")
        .arg(settings)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::null())
        .spawn()?;
    let sent = wait(&mut sending, limit, || {}).context("sending the events")?;
    ensure!(sent.success(), "the events were not sent: {sent}");
    Ok(())
}

/// Lands all, and gives back the last line of JSON and the most memory that it took.
fn land(folder: &Path, settings: &Path, flags: &[String], limit: Duration) -> anyhow::Result<(Value, u64)> {
    let mut lander = Command::new(env!("CARGO_BIN_EXE_txgen"))
        .args(["land", "--until-caught-up", "--output", "json", "--to"])
        .arg(folder.join("lake/transactions"))
        .arg("--settings")
        .arg(settings)
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()?;
    let id = lander.id();
    let stdout = lander.stdout.take().context("no standard output")?;
    let lines = std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).last());
    let mut peak = 0;
    // A process that has just ended has no memory any more.
    let landed = wait(&mut lander, limit, || peak = peak_memory(id).unwrap_or(0).max(peak)).context("landing")?;
    ensure!(landed.success(), "the events were not landed: {landed}");
    let last = lines.join().ok().flatten().context("the lander said nothing")?;
    Ok((serde_json::from_str(&last)?, peak))
}

/// Waits for the end of a process, and looks at it all the time; one that takes too long is killed.
fn wait(process: &mut Child, limit: Duration, mut look: impl FnMut()) -> anyhow::Result<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if began.elapsed() > limit {
            process.kill()?;
            process.wait()?;
            bail!("it took longer than {limit:?}; --give-up-after allows more");
        }
        look();
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn median(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut peaks: Vec<u64> = rounds.iter().map(|round| round.peak_bytes).collect();
    peaks.sort_unstable();
    Figures {
        events_per_second: of(|round| round.events_per_second),
        cpu_seconds_per_100000: of(|round| round.cpu_seconds_per_100000),
        peak_bytes: peaks[peaks.len() / 2],
        emulator_cpu_seconds_per_100000: of(|round| round.emulator_cpu_seconds_per_100000),
        bytes_each: of(|round| round.bytes_each),
    }
}

fn table(report: &Report) -> String {
    let (median, tenth) = (report.median, report.tenth);
    format!(
        "{} events, median of {} rounds; load {}\n\
         {:37}{:>10}{:>16}\n\
         events/s                             {:>10.0}       ≥ 100,000\n\
         CPU s per 100,000 events             {:>10.2}           ≤ 1.5\n\
         peak memory, MB                      {:>10.0}           ≤ 300\n\
         peak memory with a tenth of them, MB {:>10.0}\n\
         emulator's CPU s per 100,000 events  {:>10.2}\n\
         bytes of files per event             {:>10.1}\n",
        report.count,
        report.rounds.len(),
        report.load,
        "",
        "measured",
        "goal",
        median.events_per_second,
        median.cpu_seconds_per_100000,
        median.peak_bytes as f64 / 1e6,
        tenth.peak_bytes as f64 / 1e6,
        median.emulator_cpu_seconds_per_100000,
        median.bytes_each,
    )
}
