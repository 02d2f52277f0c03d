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

    /// The key of a shared access policy.
    pub(crate) fn shared_access_key(&self, policy: &str) -> anyhow::Result<&str> {
        let string = self.ready["event_hubs"]["connection_strings"][policy].as_str().context("no such policy")?;
        let key = string.split(';').find_map(|part| part.strip_prefix("SharedAccessKey="));
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

    fn of(process: &str) -> anyhow::Result<Self> {
        // Linux gives /proc times in hundredths of a second on every architecture that txgen is built for.
        const TICK: Duration = Duration::from_millis(10);
        const PAGE: u64 = 4096;
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; this benchmark needs Linux"))
        };
        let (stat, statm) = (read("stat")?, read("statm")?);
        // The second field, the name in brackets, may hold blanks; utime and stime are the 14th and 15th.
        let Some((_, fields)) = stat.rsplit_once(')') else { bail!("/proc/{process}/stat has another form") };
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        let pages: u64 = statm.split_whitespace().nth(1).context("no resident size")?.parse()?;
        Ok(Self { cpu: TICK * ticks, resident: pages * PAGE })
    }
}
