//! What the tests of the built binary share.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its own part of this"
)]

pub mod bridge;
#[path = "../../../crates/txgen-emulator/tests/it/cosmos/client.rs"]
pub mod client;
pub mod closed_port;
pub mod documents;
pub mod emulator;
pub mod forward;
pub mod proxy;
pub mod scripted;
pub mod terminal;
pub mod verified;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use txgen::settings::Key;

/// After this, what a test waits for will not come. Far more than a loaded machine needs.
pub const HANG: Duration = Duration::from_secs(300);

/// The built binary, to be run in an empty directory with nothing set.
pub fn txgen(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_txgen"));
    command.current_dir(directory);
    // A developer's own settings must not reach the tests.
    for key in Key::ALL.into_iter().chain(Key::LISTENERS) {
        command.env_remove(key.name());
    }
    command.env_remove("RUST_LOG");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command
}

/// The data that ships with the project.
pub fn shipped_data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/Untagged_Transactions.csv")
}

/// libfaketime, which stands between a process and the system's clock, where it is installed (Debian: `faketime`).
pub fn faketime() -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"];
    places.iter().map(|place| PathBuf::from(place).join("libfaketimeMT.so.1")).find(|path| path.exists())
}

/// Real rows, which are there in the workshop's own checkout only.
pub fn real_rows() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/untagged_transactions_1000.csv");
    path.exists().then_some(path)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The newline-delimited JSON of `--output json`.
pub fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends a process this signal, such as `INT`.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(sent.success());
}
