//! `txgen emulator` in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `txgen emulator` on free ports, which has written an appsettings.json into its directory.
pub struct Emulator {
    pub process: Child,
    lines: BufReader<ChildStdout>,
    pub ready: Value,
}

impl Emulator {
    /// Starts one that writes its settings to `appsettings.json` in `directory`.
    pub fn start(directory: &Path, flags: &[&str]) -> Self {
        let mut process = command(directory, flags)
            .args(["--output", "json", "--settings-out", "appsettings.json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        let ready =
            serde_json::from_str(&ready).unwrap_or_else(|_| panic!("not ready: {}", rest_of_stderr(&mut process)));
        Self { process, lines, ready }
    }

    /// Ends it as Ctrl-C does; gives its summary and what it said on standard error.
    pub fn end(mut self) -> (Value, String) {
        super::signal(self.process.id(), "INT");
        let mut summary = String::new();
        self.lines.read_to_string(&mut summary).unwrap();
        let said = rest_of_stderr(&mut self.process);
        assert!(self.process.wait().unwrap().success(), "{said}");
        (serde_json::from_str(&summary).unwrap(), said)
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

fn rest_of_stderr(process: &mut Child) -> String {
    let mut text = String::new();
    process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// `txgen emulator` on free ports.
pub fn command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = super::txgen(directory);
    command.args(["emulator", "--event-hubs-port", "0", "--cosmos-port", "0"]).args(flags);
    command
}
