//! `txgen run` as a process of its own: started, watched, and asked for its summary.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::process::{Emulator, Usage, peak_memory};

/// How often the peak of the memory is looked at. The kernel keeps the peak; only what comes after the last look is lost.
const LOOK: Duration = Duration::from_millis(20);

/// A run that has ended.
pub(crate) struct Run {
    /// Its summary document.
    pub(crate) summary: Value,
    /// CPU time of the whole process.
    pub(crate) cpu: Duration,
    /// The most memory that was resident at a time, in bytes.
    pub(crate) peak_memory: u64,
}

/// `txgen run` with the settings of this emulator.
pub(crate) fn command(emulator: &Emulator, data: &Path, flags: &[&str]) -> anyhow::Result<Command> {
    let (address, key) = emulator.cosmos_db()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_txgen"));
    command
        .arg("run")
        .arg("--data")
        .arg(data)
        .args(flags)
        .env("EVENT_HUB_1_CONNECTION_STRING", emulator.connection_string("Sender")?)
        .env("COSMOS_DB_ENDPOINT", format!("http://{address}/"))
        .env("COSMOS_DB_AUTH_KEY", key)
        .env_remove("RUST_BACKTRACE")
        // Where no settings file lies about.
        .current_dir(data.parent().unwrap_or(Path::new("/")));
    Ok(command)
}

impl Run {
    /// Runs it to its end. Everything that it prints goes into a file.
    pub(crate) fn of(emulator: &Emulator, data: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (printed, log) = (folder.path().join("printed"), folder.path().join("log"));
        let summary = folder.path().join("summary.json");
        let before = Usage::of_ended_children()?;
        let mut process = command(emulator, data, flags)?
            .arg("--summary-file")
            .arg(&summary)
            .stdout(File::create(&printed)?)
            .stderr(File::create(&log)?)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start txgen run")?;
        let mut peak = 0;
        while process.try_wait()?.is_none() {
            peak = peak.max(peak_memory(process.id()).unwrap_or(0));
            thread::sleep(LOOK);
        }
        let cpu = Usage::of_ended_children()? - before;
        let text = std::fs::read(&summary).unwrap_or_default();
        ensure!(!text.is_empty(), "txgen run left no summary: {}", std::fs::read_to_string(&log)?);
        Ok(Self { summary: serde_json::from_slice(&text)?, cpu, peak_memory: peak })
    }

    /// A figure of the summary, by its JSON pointer.
    pub(crate) fn figure(&self, pointer: &str) -> anyhow::Result<f64> {
        let value = self.summary.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("the summary has no {pointer}"))
    }

    /// Fails unless a service has stored everything that was requested.
    pub(crate) fn all_stored(&self, service: &str, count: u64) -> anyhow::Result<()> {
        let stored = self.figure(&format!("/services/{service}/succeeded"))?;
        ensure!(stored as u64 == count, "{service} stored {stored} of {count}: {}", self.summary);
        Ok(())
    }
}
