//! One run in its own directory: started, watched until its end, and held against what the services stored.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::proof::LETTERS;
use crate::support;
use crate::support::emulator::Emulator;

/// How long a run may take beyond its time limit and its drain time-out.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How long connecting may take: it has a bound of its own.
const CONNECTING: Duration = Duration::from_secs(15);
/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// The clients for Cosmos DB, the default one first.
pub(crate) const COSMOS_CLIENTS: [&str; 2] = ["native", "sdk"];

/// A directory with an appsettings.json, for one emulator and one run.
pub(crate) struct Stage {
    pub(crate) directory: TempDir,
    cosmos_client: &'static str,
}

/// A run that was started.
pub(crate) struct Running {
    pub(crate) process: Child,
    started: Instant,
    directory: PathBuf,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What `--summary-file` got.
    pub(crate) summary: Value,
    pub(crate) took: Duration,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(COSMOS_CLIENTS[0])
    }

    /// For a run with this client for Cosmos DB.
    pub(crate) fn with(cosmos_client: &'static str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), cosmos_client }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// An emulator whose settings the run finds.
    pub(crate) fn emulator(&self, flags: &[&str]) -> Emulator {
        Emulator::start(self.path(), flags)
    }

    /// `txgen run` with these flags.
    pub(crate) fn run(&self, flags: &[&str]) -> Command {
        let mut command = support::txgen(self.path());
        command.args(["run", "--output", "json", "--summary-file", "summary.json", "--dead-letters", LETTERS]);
        command.args(["--cosmos-client", self.cosmos_client]);
        command.arg("--data").arg(support::shipped_data()).args(flags);
        command
    }

    /// Starts it, with its output in files.
    pub(crate) fn start(&self, command: &mut Command) -> Running {
        let file = |name: &str| Stdio::from(File::create(self.path().join(name)).unwrap());
        let process = command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { process, started: Instant::now(), directory: self.path().to_owned() }
    }
}

impl Running {
    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.directory.join("stdout")).unwrap_or_default()
    }

    /// Waits until it has printed so much.
    pub(crate) fn wait_for_output(&mut self, part: &str) {
        self.wait_until(|run| run.stdout().contains(part), part);
    }

    /// Waits until something is true of it.
    pub(crate) fn wait_until(&mut self, is_true: impl Fn(&Self) -> bool, what: &str) {
        while !is_true(self) {
            assert!(self.started.elapsed() < support::HANG, "never came: {what}");
            assert!(self.process.try_wait().unwrap().is_none(), "ended before: {what}");
            std::thread::sleep(GLANCE);
        }
    }

    /// Its command line, as everybody on the machine can read it.
    pub(crate) fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.process.id());
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Waits for its end, which must come within `limit` from its first request, or from its start if there is none.
    pub(crate) fn end_within(mut self, limit: Duration) -> Result<Ended, String> {
        let mut begun = None;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            if begun.is_none() && self.stdout().contains("\"type\":\"start\"") {
                begun = Some(Instant::now());
            }
            let too_late = match begun {
                Some(begun) => begun.elapsed() > limit,
                None => self.started.elapsed() > CONNECTING + limit,
            };
            if too_late {
                let _ = self.process.kill();
                let _ = self.process.wait();
                let said = std::fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
                return Err(format!("hangs: not ended after {limit:?}; it said: {said}"));
            }
            std::thread::sleep(GLANCE);
        };
        let took = self.started.elapsed();
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(self.directory.join(name)).unwrap_or_default()).into_owned()
        };
        let summary = serde_json::from_str(&read("summary.json")).unwrap_or(Value::Null);
        Ok(Ended { code: status.code(), stdout: read("stdout"), stderr: read("stderr"), summary, took })
    }
}

impl Ended {
    /// A count of a service; 0 where the service was not written.
    pub(crate) fn count(&self, service: &str, name: &str) -> u64 {
        self.summary["services"][service][name].as_u64().unwrap_or(0)
    }
}

/// Whether the counts of a run add up, and agree with how many events or documents its service holds.
pub(crate) fn reconcile(run: &Ended, service: &str, stored: Option<u64>) -> Result<(), String> {
    let count = |name| run.count(service, name);
    let (succeeded, failed, ambiguous) = (count("succeeded"), count("failed"), count("ambiguous"));
    let figures = || format!("{service}: {}", run.summary["services"][service]);
    if count("requested") != succeeded + failed + count("not_sent") || count("pending") != 0 {
        return Err(format!("the sum is wrong: {}", figures()));
    }
    let by_kind: u64 = run.summary["services"][service]["failures"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, n)| n.as_u64())
        .sum();
    if by_kind != failed {
        return Err(format!("the failures by kind are not all failures: {}", figures()));
    }
    let Some(stored) = stored else { return Ok(()) };
    // A document is there once, whatever was sent again; of an event each ambiguous attempt may have left one.
    let most = if service == "cosmos_db" { succeeded + failed.min(ambiguous) } else { succeeded + ambiguous };
    if stored < succeeded {
        return Err(format!("{stored} stored, and more were confirmed: {}", figures()));
    }
    if stored > most {
        return Err(format!("{stored} stored, more than was confirmed or called ambiguous: {}", figures()));
    }
    Ok(())
}
