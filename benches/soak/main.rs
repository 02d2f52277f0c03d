//! Half an hour of steady load with a fault now and then: does anything grow, drift or get lost?
//!
//! `cargo bench --bench soak` runs `txgen run --rate 3000 --loop` against a `txgen emulator` that makes trouble, looks at
//! the run's process every five seconds (proc(5): memory, file descriptors, threads; its metrics: tasks) and at the
//! emulator's totals at the end, and fails with what is not as it should be. `-- --minutes 1` tries it, `-- --help` shows the rest.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark shows what it measured")]
// Counts here are far below 2^52.
#![allow(clippy::cast_precision_loss)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde::Serialize;
use serde_json::{Value, json};

/// How often the run is looked at.
const GLANCE: Duration = Duration::from_secs(5);
/// How much of the time, at the start and at the end, is compared.
const WINDOW: f64 = 0.2;
/// How much more memory the run may have at the end than at the start, in bytes: arenas and caches fill up.
const MEMORY_SLACK: f64 = 16.0 * 1024.0 * 1024.0;
/// File descriptors that the run must fall back to between bursts: the pool keeps a connection for each of the 128 requests
/// that may be in flight to Cosmos DB, and some are in use or something else. It opens more when many are in flight, and
/// closes those that are idle for long, so their number comes and goes; what leaks one at each fault that breaks a
/// connection stays above this after half an hour.
const MOST_FILE_DESCRIPTORS: u64 = 128 + 64;
/// Tasks, likewise: one for each connection, and one for each request in flight.
const MOST_TASKS: u64 = MOST_FILE_DESCRIPTORS + 128;
/// Trouble, each about once in a quarter of a minute to a minute at 3,000 transactions a second.
const FAULTS: [&str; 12] = [
    "event_hubs:close:0.0005%",
    "event_hubs:drop:0.0005%",
    "event_hubs:half:0.0005%",
    "event_hubs:detach:0.0005%",
    "event_hubs:end-session:0.0005%",
    "event_hubs:expired-token:0.0005%",
    "event_hubs:server-busy:0.05%",
    "cosmos_db:close:0.001%",
    "cosmos_db:drop:0.001%",
    "cosmos_db:half:0.001%",
    "cosmos_db:429:0.05%",
    "cosmos_db:503:0.005%",
];

/// Runs txgen for a long time and looks for what grows, drifts or gets lost.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Args {
    /// How long
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Transactions per second
    #[arg(long, default_value_t = 3_000.0)]
    rate: f64,
    /// Write the samples and the verdict to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Another binary than the one that was built with this
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_txgen"))]
    txgen: PathBuf,
    /// What `cargo bench` passes on its own account
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the run took at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    seconds: f64,
    resident_bytes: u64,
    file_descriptors: u64,
    threads: u64,
    tasks: u64,
}

/// Ended when it is dropped, whatever happens.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let directory = tempfile::tempdir()?;
    let (mut emulator, mut lines) = start_emulator(&args.txgen, directory.path())?;
    let samples = soak(&args, directory.path())?;
    let stored = end_emulator(&mut emulator, &mut lines)?;
    let summary: Value = serde_json::from_reader(File::open(directory.path().join("summary.json"))?)?;
    let problems = judge(&args, &samples, &summary, &stored);
    show(&samples, &summary, &stored);
    if let Some(path) = &args.json {
        let report = json!({ "samples": samples, "summary": summary, "stored": stored, "problems": problems });
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    for problem in &problems {
        println!("NOT AS IT SHOULD BE: {problem}");
    }
    println!("{}", if problems.is_empty() { "Nothing grew, drifted or got lost." } else { "See above." });
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start_emulator(txgen: &Path, directory: &Path) -> anyhow::Result<(Ends, impl BufRead + use<>)> {
    let mut command = Command::new(txgen);
    command.current_dir(directory).args(["emulator", "--output", "json", "--settings-out", "appsettings.json"]);
    // What is older has been counted and need not be kept.
    command.args(["--event-hubs-port", "0", "--cosmos-port", "0", "--retention", "1m", "--no-throughput-limit"]);
    command.args(FAULTS.iter().flat_map(|fault| ["--fault", fault]));
    let mut process = Ends(command.stdout(Stdio::piped()).spawn().context("cannot start txgen emulator")?);
    let mut lines = BufReader::new(process.0.stdout.take().context("no output")?);
    let mut ready = String::new();
    lines.read_line(&mut ready)?;
    ensure!(ready.contains("ready"), "the emulator is not ready: {ready}");
    Ok((process, lines))
}

fn end_emulator(emulator: &mut Ends, lines: &mut impl BufRead) -> anyhow::Result<Value> {
    Command::new("kill").args(["-INT", &emulator.0.id().to_string()]).status()?;
    let mut summary = String::new();
    lines.read_to_string(&mut summary)?;
    emulator.0.wait()?;
    serde_json::from_str(&summary).with_context(|| format!("no summary of the emulator: {summary}"))
}

/// Runs to the end, and looks at it on the way.
fn soak(args: &Args, directory: &Path) -> anyhow::Result<Vec<Sample>> {
    let seconds = args.minutes * 60.0;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/Untagged_Transactions.csv");
    let mut command = Command::new(&args.txgen);
    command.current_dir(directory).args(["run", "--loop", "--quiet", "--summary-file", "summary.json"]);
    command.args(["--rate", &args.rate.to_string(), "--seconds-to-run", &format!("{seconds:.0}"), "--ttl", "1m"]);
    command.args(["--metrics", "0"]).arg("--data").arg(data).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut run = Ends(command.spawn().context("cannot start txgen run")?);
    let process = PathBuf::from(format!("/proc/{}", run.0.id()));
    let metrics = metrics_address(run.0.stderr.take().context("no standard error")?)?;
    let mut samples = Vec::new();
    let latest = Duration::from_secs_f64(seconds + 60.0);
    while run.0.try_wait()?.is_none() {
        ensure!(started.elapsed() < latest, "the run does not end");
        std::thread::sleep(GLANCE);
        // It may end between the two.
        if let Ok(sample) = look(&process, &metrics, started) {
            samples.push(sample);
        }
    }
    Ok(samples)
}

/// Where the run serves its metrics, as it says itself; whatever else it says is passed on.
fn metrics_address(said: impl Read + Send + 'static) -> anyhow::Result<String> {
    let mut lines = BufReader::new(said).lines();
    let mut address = None;
    for line in lines.by_ref() {
        let line = line?;
        address = line.split_once("http://").and_then(|(_, rest)| Some(rest.strip_suffix("/metrics")?.to_owned()));
        if address.is_some() {
            break;
        }
        eprintln!("{line}");
    }
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
    address.context("the run does not say where its metrics are")
}

/// The value of a metric without labels.
fn metric(address: &str, name: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(GLANCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}

fn look(process: &Path, metrics: &str, started: Instant) -> anyhow::Result<Sample> {
    let status = std::fs::read_to_string(process.join("status"))?;
    let number = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    };
    Ok(Sample {
        seconds: started.elapsed().as_secs_f64(),
        resident_bytes: number("VmRSS:")? * 1024,
        file_descriptors: std::fs::read_dir(process.join("fd"))?.count() as u64,
        threads: number("Threads:")?,
        tasks: metric(metrics, "txgen_alive_tasks")?,
    })
}

/// The middle one of a figure in the first and the last part of the time. The very start, in which everything fills up,
/// is left out, and the very end, in which it is taken down.
fn start_and_end(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> (f64, f64) {
    let figures: Vec<u64> = samples.iter().map(figure).collect();
    let window = ((figures.len() as f64 * WINDOW) as usize).max(1);
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default() as f64
    };
    let settled = figures.get(figures.len().min(window / 2)..figures.len().saturating_sub(1)).unwrap_or_default();
    (median(&settled[..window.min(settled.len())]), median(&settled[settled.len().saturating_sub(window)..]))
}

/// The least of a figure in the last part of the time, without the very end.
fn least_at_the_end(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> u64 {
    let window = ((samples.len() as f64 * WINDOW) as usize).max(1);
    samples.iter().rev().skip(1).take(window).map(figure).min().unwrap_or_default()
}

fn judge(args: &Args, samples: &[Sample], summary: &Value, stored: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let (before, after) = start_and_end(samples, |sample| sample.resident_bytes);
    must(after <= before * 1.1 + MEMORY_SLACK, format!("memory grew from {before} to {after} bytes"));
    let descriptors = least_at_the_end(samples, |sample| sample.file_descriptors);
    must(descriptors <= MOST_FILE_DESCRIPTORS, format!("file descriptors do not fall below {descriptors} any more"));
    let (before, after) = start_and_end(samples, |sample| sample.threads);
    must(after <= before + 4.0, format!("threads grew from {before} to {after}"));
    let tasks = least_at_the_end(samples, |sample| sample.tasks);
    must(tasks <= MOST_TASKS, format!("tasks do not fall below {tasks} any more"));

    let requested = summary["requested"].as_f64().unwrap_or_default();
    let planned = args.rate * args.minutes * 60.0;
    must((requested - planned).abs() <= planned * 0.001, format!("{requested} requested, {planned} planned"));
    must(summary["stop_reason"] == "time_up", format!("stopped because of {}", summary["stop_reason"]));
    for (service, there) in
        [("event_hubs", &stored["event_hubs"]["events"]), ("cosmos_db", &stored["cosmos_db"]["created"])]
    {
        let figures = &summary["services"][service];
        let count = |name: &str| figures[name].as_u64().unwrap_or_default();
        let (succeeded, failed, ambiguous) = (count("succeeded"), count("failed"), count("ambiguous"));
        let sum = succeeded + failed + count("not_sent") + count("pending");
        must(count("requested") == sum, format!("{service}: the sum is wrong: {figures}"));
        must(failed == 0, format!("{service}: {failed} failed: {}", figures["failures"]));
        let there = there.as_u64().unwrap_or_default();
        let most = if service == "cosmos_db" { succeeded + failed.min(ambiguous) } else { succeeded + ambiguous };
        must((succeeded..=most).contains(&there), format!("{service}: {there} there, {succeeded} to {most} expected"));
    }
    problems
}

fn show(samples: &[Sample], summary: &Value, stored: &Value) {
    const MB: f64 = 1e6;
    let memory = start_and_end(samples, |sample| sample.resident_bytes);
    let descriptors = start_and_end(samples, |sample| sample.file_descriptors);
    let threads = start_and_end(samples, |sample| sample.threads);
    let tasks = start_and_end(samples, |sample| sample.tasks);
    let most = samples.iter().map(|sample| sample.resident_bytes).max().unwrap_or_default() as f64;
    println!("samples           {}", samples.len());
    println!(
        "memory            {:.1} MB at the start, {:.1} MB at the end, {:.1} MB at most",
        memory.0 / MB,
        memory.1 / MB,
        most / MB
    );
    println!("file descriptors  {} at the start, {} at the end", descriptors.0, descriptors.1);
    println!("threads           {} at the start, {} at the end", threads.0, threads.1);
    println!("tasks             {} at the start, {} at the end", tasks.0, tasks.1);
    println!(
        "requested         {} in {} s, late by at most {} ms (p99 {} ms)",
        summary["requested"], summary["wall_seconds"], summary["lateness_ms"]["max"], summary["lateness_ms"]["p99"]
    );
    for service in ["event_hubs", "cosmos_db"] {
        let figures = &summary["services"][service];
        println!(
            "{service:<17} succeeded {}, failed {}, not sent {}, throttled {}, ambiguous {}, resent {}",
            figures["succeeded"],
            figures["failed"],
            figures["not_sent"],
            figures["throttled"],
            figures["ambiguous"],
            figures["resent"]
        );
    }
    println!(
        "stored            {} events, {} documents",
        stored["event_hubs"]["events"], stored["cosmos_db"]["created"]
    );
    for fault in stored["faults"].as_array().into_iter().flatten() {
        println!("fault             {} {}x", fault["fault"].as_str().unwrap_or_default(), fault["happened"]);
    }
}
