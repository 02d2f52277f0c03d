//! Files that cannot be written, and files that only their owner may read.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use crate::stage::{Ended, GRACE, Stage};
use crate::support;

/// A device that is always full.
const FULL: &str = "/dev/full";

fn limited(stage: &Stage, flags: &[&str]) -> Result<Ended, String> {
    let mut command = support::txgen(stage.path());
    command.args(["run", "--limit", "50", "--seconds-to-run", "20", "--drain-timeout", "2s", "--data"]);
    command.arg(support::shipped_data()).args(flags);
    stage.start(&mut command).end_within(Duration::from_secs(22) + GRACE)
}

#[test]
fn a_full_disk_under_the_summary_is_reported_and_the_totals_are_printed_all_the_same() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&[]);
    let ended = limited(&stage, &["--output", "json", "--summary-file", FULL]).unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--summary-file: cannot write to `/dev/full`"), "{}", ended.stderr);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["services"]["cosmos_db"]["succeeded"]), (&"summary".into(), &50.into()));
}

#[test]
fn a_full_disk_under_the_report_is_reported_and_the_totals_are_printed_all_the_same() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&[]);
    let ended = limited(&stage, &["--output", "json", "--report", FULL, "--summary-file", "summary.json"]).unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--report: cannot write to `/dev/full`"), "{}", ended.stderr);
    assert_eq!(ended.count("cosmos_db", "succeeded"), 50, "{}", ended.summary);
}

/// A limit on the size of files stands in for the disk: the kernel refuses to write on, just so.
#[test]
fn a_full_disk_under_the_dead_letters_is_reported_and_the_totals_are_printed_all_the_same() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&["--fault", "event_hubs:gone:@10"]);
    let mut command = std::process::Command::new("bash");
    command.current_dir(stage.path()).args(["-c", r#"ulimit -f 4; trap "" XFSZ; exec "$@""#, "bash"]);
    command.arg(env!("CARGO_BIN_EXE_txgen")).args(["run", "--limit", "200", "--seconds-to-run", "20", "--quiet"]);
    command.args(["--drain-timeout", "2s", "--dead-letters", "letters", "--data"]).arg(support::shipped_data());
    let output = command.output().unwrap();
    let (said, figures) = (support::stderr(&output), support::stdout(&output));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("dead letters could not be written") && said.contains("File too large"), "{said}");
    assert!(figures.contains("200 transactions requested"), "{figures}");
}

#[test]
fn what_a_run_writes_is_its_owners_to_read() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&[]);
    let flags = ["--summary-file", "summary.json", "--report", "run.html", "--dead-letters", "letters"];
    let ended = limited(&stage, &flags).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let letters = std::fs::read_dir(stage.path().join("letters")).into_iter().flatten();
    let letters: Vec<_> = letters.map(|entry| format!("letters/{}", entry.unwrap().file_name().display())).collect();
    let others = ["summary.json", "run.html", "appsettings.json"].map(str::to_owned);
    for name in others.into_iter().chain(letters) {
        let mode = std::fs::metadata(stage.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name} can be read by others: {mode:o}");
    }
}
