//! What the tests of dead letters, replay and `txgen verify` share: runs against a `txgen emulator`, and what is found.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::emulator::Emulator;
use super::{HANG, stderr, stdout};

/// A `txgen emulator` without limits on free ports, whose appsettings.json is in the directory.
pub fn emulator(directory: &Path, flags: &[&str]) -> Emulator {
    Emulator::start(directory, &[&["--no-throughput-limit"], flags].concat())
}

pub fn txgen(directory: &Path, arguments: &[&str]) -> Output {
    super::txgen(directory).args(arguments).output().unwrap()
}

pub fn run_of(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = super::txgen(directory);
    command.args(["run", "--quiet", "--data"]).arg(super::shipped_data()).args(arguments);
    command
}

pub fn run(directory: &Path, arguments: &[&str]) -> Output {
    run_of(directory, arguments).output().unwrap()
}

/// The exit code and the JSON of `txgen verify --summary`.
pub fn verify(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = txgen(directory, &[&["verify", "--output", "json", "--summary"], arguments].concat());
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", stderr(&output)));
    (output.status.code(), json)
}

/// The same as text.
pub fn verify_text(directory: &Path, arguments: &[&str]) -> String {
    stdout(&txgen(directory, &[&["verify", "--summary"], arguments].concat()))
}

pub fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
}

/// Counts of findings by name, a finding's or a plain one.
pub fn counts(findings: &Value, names: &[&str]) -> Vec<u64> {
    let count = |name: &&str| findings[*name]["count"].as_u64().or(findings[*name].as_u64());
    names.iter().map(|name| count(name).unwrap_or_else(|| panic!("{name}: {findings}"))).collect()
}

/// Polls until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}
