//! The emulator as a process of its own, looked at from outside: what it answers, what CPU and memory it takes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A running `txgen emulator`, which is killed when this is dropped.
pub(crate) struct Emulator {
    process: Child,
    ready: Value,
}

impl Emulator {
    /// Starts one on free ports, with these flags besides.
    pub(crate) fn start(flags: &[String]) -> anyhow::Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_txgen"))
            .args(["emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start txgen emulator")?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut emulator = Self { process, ready: Value::Null };
        emulator.ready = serde_json::from_str(&line).with_context(|| format!("not ready: {line}"))?;
        Ok(emulator)
    }

    /// Where Event Hubs listens.
    pub(crate) fn event_hubs(&self) -> anyhow::Result<String> {
        let port = self.ready["event_hubs"]["port"].as_u64().context("no port of Event Hubs")?;
        Ok(format!("127.0.0.1:{port}"))
    }

    /// The connection string of a shared access policy.
    pub(crate) fn connection_string(&self, policy: &str) -> anyhow::Result<&str> {
        self.ready["event_hubs"]["connection_strings"][policy].as_str().context("no such policy")
    }

    /// The key of a shared access policy.
    pub(crate) fn shared_access_key(&self, policy: &str) -> anyhow::Result<&str> {
        let key = self.connection_string(policy)?.split(';').find_map(|part| part.strip_prefix("SharedAccessKey="));
        key.context("no key in the connection string")
    }

    /// Where Cosmos DB listens, and the account key.
    pub(crate) fn cosmos_db(&self) -> anyhow::Result<(String, &str)> {
        let endpoint = self.ready["cosmos_db"]["endpoint"].as_str().context("no endpoint")?;
        let key = self.ready["cosmos_db"]["key"].as_str().context("no key")?;
        Ok((endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned(), key))
    }

    /// What the process has taken so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.process.id().to_string())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a process has taken, by the kernel's own count (proc(5)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time on the CPU, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// This process's own.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::of("self")
    }

    /// CPU time of all children of this process that have ended and were waited for.
    pub(crate) fn of_ended_children() -> anyhow::Result<Duration> {
        // cutime and cstime are the 16th and 17th field.
        cpu_time("self", 16)
    }

    fn of(process: &str) -> anyhow::Result<Self> {
        const PAGE: u64 = 4096;
        let statm = read(process, "statm")?;
        let pages: u64 = statm.split_whitespace().nth(1).context("no resident size")?.parse()?;
        // utime and stime are the 14th and 15th field.
        Ok(Self { cpu: cpu_time(process, 14)?, resident: pages * PAGE })
    }
}

/// The most memory that a running process had resident at a time, in bytes.
pub(crate) fn peak_memory(process: u32) -> anyhow::Result<u64> {
    let status = read(&process.to_string(), "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak of the memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
    Ok(kilobytes * 1024)
}

fn read(process: &str, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; this benchmark needs Linux"))
}

/// The sum of two neighbouring times in /proc/PROCESS/stat, the first of which is this field, counted from 1.
fn cpu_time(process: &str, field: usize) -> anyhow::Result<Duration> {
    // Linux gives /proc times in hundredths of a second on every architecture that txgen is built for.
    const TICK: Duration = Duration::from_millis(10);
    let stat = read(process, "stat")?;
    // The second field, the name in brackets, may hold blanks: fields are counted from the third on.
    let Some((_, fields)) = stat.rsplit_once(')') else { bail!("/proc/{process}/stat has another form") };
    let times = fields.split_whitespace().skip(field - 3).take(2);
    Ok(TICK * times.filter_map(|time| time.parse::<u32>().ok()).sum::<u32>())
}
