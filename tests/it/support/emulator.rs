//! `txgen emulator` in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

/// A running `txgen emulator` on free ports, which has written an appsettings.json into its directory.
pub struct Emulator {
    pub process: Child,
    lines: BufReader<ChildStdout>,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
    pub ready: Value,
}

/// What it has said on standard error so far. A thread reads along, so that it can never be held up by a full pipe.
#[derive(Default)]
struct Said {
    text: Mutex<String>,
    more: Condvar,
}

impl Said {
    fn listen(self: Arc<Self>, stderr: ChildStderr) -> JoinHandle<()> {
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = line.unwrap();
                let mut text = self.text.lock().unwrap();
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
                self.more.notify_all();
            }
        })
    }
}

impl Emulator {
    /// Starts one that writes its settings to `appsettings.json` in `directory`.
    pub fn start(directory: &Path, flags: &[&str]) -> Self {
        Self::of(command(directory, flags).args(["--output", "json", "--settings-out", "appsettings.json"]))
    }

    /// Starts the one of this command, whose output is JSON.
    pub fn of(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Said::default());
        let reader = said.clone().listen(process.stderr.take().unwrap());
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        let mut emulator = Self { process, lines, said, reader: Some(reader), ready: Value::Null };
        emulator.ready =
            serde_json::from_str(&ready).unwrap_or_else(|_| panic!("not ready: {}", emulator.last_words()));
        emulator
    }

    /// Ends it as Ctrl-C does; gives its summary and what it said on standard error.
    pub fn end(mut self) -> (Value, String) {
        super::signal(self.process.id(), "INT");
        let mut summary = String::new();
        self.lines.read_to_string(&mut summary).unwrap();
        let said = self.last_words();
        assert!(self.process.wait().unwrap().success(), "{said}");
        (serde_json::from_str(&summary).unwrap(), said)
    }

    /// Ends the trouble that it makes on purpose, and waits until it has.
    pub fn end_trouble(&mut self) {
        super::signal(self.process.id(), "USR1");
        let text = self.said.text.lock().unwrap();
        let goes_on = |text: &mut String| !text.contains("The trouble is over");
        let (text, waited) = self.said.more.wait_timeout_while(text, super::HANG, goes_on).unwrap();
        assert!(!waited.timed_out(), "the trouble does not end: {text}");
    }

    /// Waits for its end, and gives all that it said on standard error.
    fn last_words(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.said.text.lock().unwrap().clone()
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `txgen emulator` on free ports.
pub fn command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = super::txgen(directory);
    command.args(["emulator", "--event-hubs-port", "0", "--cosmos-port", "0"]).args(flags);
    command
}
