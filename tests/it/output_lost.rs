//! Output that cannot be written, through the built binary: every command says so and fails, and a closed pipe is no
//! failure to speak of.

use crate::support;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{signal, stderr};

const ROWS: &str = "transactionID,accountID,ipCountryCode\nT1,A1,us\nT2,A2,de\n";

/// Commands that print a result, in a directory with what they read.
fn commands(directory: &Path) -> Vec<Vec<&'static str>> {
    std::fs::write(directory.join("rows.csv"), ROWS).unwrap();
    let run = ["run", "--emulator", "--quiet", "--data", "rows.csv", "--summary-file", "s.json"];
    assert!(support::txgen(directory).args(run).output().unwrap().status.success());
    let endpoint = "http://127.0.0.1:1/";
    [
        &["run", "--emulator", "--data", "rows.csv"][..],
        &["run", "--emulator", "--data", "rows.csv", "--quiet"],
        &["run", "--emulator", "--data", "rows.csv", "--output", "table"],
        &["run", "--emulator", "--data", "rows.csv", "--output", "json"],
        &["run", "--emulator", "--data", "rows.csv", "--dry-run"],
        &["check", "--only-cosmos", "--cosmos-endpoint", endpoint],
        &["data", "check", "rows.csv"],
        &["data", "generate", "--rows", "5"],
        &["emulator", "--event-hubs-port", "0", "--cosmos-port", "0"],
        &["report", "s.json", "-o", "-"],
        &["report", "compare", "s.json", "s.json"],
        &["completions", "bash"],
    ]
    .map(<[&str]>::to_vec)
    .to_vec()
}

fn fails_and_says(directory: &Path, arguments: &[&str], stdout: File, why: &str) {
    let output = support::txgen(directory).args(arguments).stdout(stdout).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("cannot write to standard output") && said.contains(why), "{arguments:?}: {said}");
    assert!(output.status.code().is_some_and(|code| code != 0), "{arguments:?}: {said}");
    if arguments.first() == Some(&"run") && !arguments.contains(&"--dry-run") {
        let is_total = |line: &str| line.starts_with("requested ") || line.starts_with("{\"type\":\"summary\"");
        assert!(said.lines().any(is_total), "the totals are not lost: {arguments:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_by_every_command_and_the_totals_are_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in commands(directory.path()) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        fails_and_says(directory.path(), &arguments, full, "No space left on device");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_open_for_reading_alone_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in commands(directory.path()) {
        fails_and_says(directory.path(), &arguments, File::open("/dev/null").unwrap(), "Bad file descriptor");
    }
}

#[test]
fn a_reader_that_has_seen_enough_gets_no_error() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in commands(directory.path()).into_iter().filter(|arguments| arguments[0] != "emulator") {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = support::txgen(directory.path()).args(&arguments).stdout(writer).output().unwrap();
        assert!(!stderr(&output).contains("standard output"), "{arguments:?}: {}", stderr(&output));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_goes_away_ends_a_run_as_a_request_to_terminate_does() {
    let directory = tempfile::tempdir().unwrap();
    let slow = |command: &mut Command| {
        let data = support::shipped_data();
        command.args(["run", "--emulator", "--rate", "20", "--output", "json", "--data"]).arg(data);
        let mut child =
            command.current_dir(directory.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // The opening is printed once the run has begun.
        stdout.read_exact(&mut [0; 20]).unwrap();
        signal(child.id(), "HUP");
        (child, stdout)
    };
    let binary = env!("CARGO_BIN_EXE_txgen");
    // The tests themselves may run under nohup, which children inherit.
    let (mut child, mut stdout) = slow(Command::new("env").arg("--default-signal=HUP").arg(binary));
    let mut message = String::new();
    stdout.read_to_string(&mut message).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(message.lines().last().unwrap().contains("\"stop_reason\":\"interrupted\""), "{message}");

    // Under nohup it goes on.
    let (mut child, _stdout) = slow(Command::new("nohup").arg(binary));
    signal(child.id(), "HUP");
    assert!(child.try_wait().unwrap().is_none());
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
