//! The clock of the machine jumps: an hour ahead, and back again, in the middle of a run.
//!
//! libfaketime stands between the process and the system's clock (Debian: `faketime`). Where it is not installed there is
//! nothing to test with, and the test says so.

use std::time::Duration;

use crate::proof::prove;
use crate::stage::{GRACE, Stage, reconcile};
use crate::support::faketime;

#[test]
fn a_clock_that_jumps_changes_neither_the_length_of_a_run_nor_its_counts() {
    let Some(library) = faketime() else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let stage = Stage::new();
    let mut emulator = stage.emulator(&[]);
    let offset = stage.path().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    let mut command =
        stage.run(&["--rate", "100", "--limit", "300", "--seconds-to-run", "20", "--drain-timeout", "2s"]);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &offset)
        .env("FAKETIME_NO_CACHE", "1")
        // The clock that only counts on does not jump on real machines either.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut run = stage.start(&mut command);
    run.wait_for_output("\"type\":\"start\"");
    for jump in ["+3600\n", "-3600\n"] {
        std::fs::write(&offset, jump).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    std::fs::write(&offset, "+0\n").unwrap();
    let ended = run.end_within(Duration::from_secs(22) + GRACE).unwrap();
    prove(&stage, &mut emulator, &ended, &[], &[]).unwrap();
    let (stored, _) = emulator.end();
    let wall = ended.summary["wall_seconds"].as_f64().unwrap();
    assert!((2.9..22.0).contains(&wall), "{wall} s by the run's own clock");
    for (service, there) in
        [("event_hubs", &stored["event_hubs"]["events"]), ("cosmos_db", &stored["cosmos_db"]["documents"])]
    {
        reconcile(&ended, service, there.as_u64()).unwrap();
    }
    assert_eq!(ended.count("event_hubs", "succeeded"), 300, "{}", ended.stderr);
}
