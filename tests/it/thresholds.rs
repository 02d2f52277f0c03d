//! `--fail-on` and `--max-failures` through the real binary: verdicts, exit codes, and what is refused before the run.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{read_json, stderr, stdout};
use serde_json::{Value, json};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(["run", "--summary-file", "summary.json", "--data"]).arg(support::shipped_data()).args(arguments);
    command
}

fn emulated(directory: &Path, arguments: &[&str]) -> Output {
    run(directory, &["--emulator", "--limit", "40"]).args(arguments).output().unwrap()
}

fn summary(directory: &Path) -> Value {
    read_json(&directory.join("summary.json"))
}

#[test]
fn thresholds_that_are_kept_leave_the_exit_code_alone_and_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let thresholds =
        ["--fail-on", "failed>0", "--fail-on", "cosmos_db.response_time_ms.p95 > 60000", "--fail-on", "requested<40"];
    let output = emulated(directory.path(), &thresholds);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let text = stdout(&output);
    for line in [
        "Threshold failed>0 is kept: event_hubs.failed is 0",
        "Threshold failed>0 is kept: cosmos_db.failed is 0",
        "Threshold cosmos_db.response_time_ms.p95>60000 is kept: cosmos_db.response_time_ms.p95 is ",
        "Threshold requested<40 is kept: requested is 40",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let verdicts = summary(directory.path())["thresholds"].as_array().unwrap().clone();
    assert_eq!(verdicts.len(), 4);
    assert_eq!(
        verdicts[0],
        json!({ "threshold": "failed>0", "figure": "event_hubs.failed", "value": 0.0, "crossed": false })
    );
}

#[test]
fn a_threshold_that_is_crossed_fails_a_run_in_which_everything_was_stored() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--fail-on", "event_hubs.writes_per_second<1e9", "--fail-on", "failed>0", "--output", "json"];
    let output = emulated(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let printed = support::json_lines(&output).pop().unwrap();
    assert_eq!(printed["thresholds"][0]["threshold"], "event_hubs.writes_per_second<1000000000");
    assert_eq!(printed["thresholds"][0]["crossed"], true);
    assert_eq!(printed["thresholds"][0]["value"], printed["services"]["event_hubs"]["writes_per_second"]);
    assert_eq!(printed["thresholds"], summary(directory.path())["thresholds"]);

    let output = emulated(directory.path(), &["--quiet", "--fail-on", "requested>=40"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("Threshold requested>=40 is crossed: requested is 40"), "{}", stdout(&output));
}

#[test]
fn what_no_run_could_tell_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = |arguments: &[&str]| {
        let output = emulated(directory.path(), arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
        assert!(!directory.path().join("summary.json").exists());
        stderr(&output)
    };
    let error = refusal(&["--fail-on", "cosmos_db.respones_time_ms.p99>50"]);
    assert!(error.contains("invalid value 'cosmos_db.respones_time_ms.p99>50' for '--fail-on"), "{error}");
    assert!(error.contains("there is no figure `cosmos_db.respones_time_ms.p99`"), "{error}");
    assert!(error.contains("the nearest one is `cosmos_db.response_time_ms.p99`"), "{error}");
    let error = refusal(&["--fail-on", "failed"]);
    assert!(error.contains("such as `failed>0`"), "{error}");
    let error = refusal(&["--fail-on", "failed>50ms"]);
    assert!(error.contains("`50ms` is not a number"), "{error}");
    let error = refusal(&["--only-cosmos", "--fail-on", "event_hubs.failed>0"]);
    assert!(error.contains("--fail-on event_hubs.failed>0: this run does not write to Event Hubs"), "{error}");
    let error = refusal(&["--max-failures", "0"]);
    assert!(error.contains("--max-failures"), "{error}");
}

/// Sends the same rows twice: Cosmos DB refuses them the second time, for their ids are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_end_a_run_early_and_are_tolerated_as_far_as_a_threshold_says() {
    let cosmos_db =
        CosmosEmulator::start(CosmosEmulatorOptions { enforce_throughput: false, ..Default::default() }).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let again = |arguments: &[&str]| {
        let mut command = run(directory.path(), &["--only-cosmos", "--run-id", "0b5c1f6e-93d2-8a47"]);
        command
            .args(arguments)
            .env("COSMOS_DB_ENDPOINT", cosmos_db.endpoint().to_string())
            .env("COSMOS_DB_AUTH_KEY", cosmos_db.key().secret());
        async move { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
    };
    let first = again(&["--limit", "600"]).await;
    assert!(first.status.success(), "{}{}", stdout(&first), stderr(&first));

    let hopeless = again(&["--max-failures", "10", "--max-in-flight-cosmos", "4"]).await;
    assert_eq!(hopeless.status.code(), Some(1));
    let text = stdout(&hopeless);
    assert!(text.contains("Stopped early, since too many transactions failed; not every transaction"), "{text}");
    let ended = summary(directory.path());
    assert_eq!(ended["stop_reason"], "too_many_failures");
    assert_eq!(ended["interrupted"], false);
    let failed = ended["services"]["cosmos_db"]["failed"].as_u64().unwrap();
    assert!((10..=14).contains(&failed), "{failed}");
    assert_eq!(cosmos_db.counts().documents, 600, "nothing new");
    // Said to be fine, and yet the run was not: it did not come to its end.
    let hopeless = again(&["--max-failures", "10", "--fail-on", "failed>1000"]).await;
    assert_eq!(hopeless.status.code(), Some(1));

    let tolerated =
        again(&["--limit", "50", "--fail-on", "cosmos_db.failures.conflict>50", "--fail-on", "failed>50"]).await;
    assert_eq!(tolerated.status.code(), Some(0), "{}{}", stdout(&tolerated), stderr(&tolerated));
    let too_many = again(&["--limit", "51", "--fail-on", "failed>50"]).await;
    assert_eq!(too_many.status.code(), Some(1));
    let text = stdout(&too_many);
    assert!(text.contains("Threshold failed>50 is crossed: cosmos_db.failed is 51"), "{text}");
}
