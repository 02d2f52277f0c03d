//! Files that cannot be written, and files that only their owner may read.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use crate::common;
use crate::stage::{Ended, GRACE, Stage};

/// A device that is always full.
const FULL: &str = "/dev/full";

fn limited(stage: &Stage, flags: &[&str]) -> Result<Ended, String> {
    let mut command = common::txgen(stage.path());
    command.args(["run", "--limit", "50", "--seconds-to-run", "20", "--drain-timeout", "2s", "--data"]);
    command.arg(common::shipped_data()).args(flags);
    stage.start(&mut command).end_within(Duration::from_secs(22) + GRACE)
}

#[test]
fn a_full_disk_under_the_summary_is_told_and_the_totals_are_printed_all_the_same() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&[]);
    let ended = limited(&stage, &["--output", "json", "--summary-file", FULL]).unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--summary-file: cannot write to `/dev/full`"), "{}", ended.stderr);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["services"]["cosmos_db"]["succeeded"]), (&"summary".into(), &50.into()));
}

#[test]
fn what_a_run_writes_is_its_owners_to_read() {
    let stage = Stage::new();
    let _emulator = stage.emulator(&[]);
    let ended = limited(&stage, &["--summary-file", "summary.json"]).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for name in ["summary.json", "appsettings.json"] {
        let mode = std::fs::metadata(stage.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name} can be read by others: {mode:o}");
    }
}
