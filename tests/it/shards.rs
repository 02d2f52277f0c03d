//! One run in several processes: they share its rows, and their summaries add up to it.

use crate::support;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::{stderr, stdout};
use serde_json::Value;
use txgen::identity::RunId;
use txgen::service::ServiceName;
use txgen::stats::{Latencies, Summary};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

const SHARDS: u32 = 4;

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.arg("run").arg("--data").arg(support::shipped_data()).args(arguments);
    command
}

/// Runs all shards at the same time; each writes its summary to `INDEX.json`.
fn run_shards(directory: &Path, environment: &[(&str, String)], arguments: &[&str]) {
    let children: Vec<Child> = (0..SHARDS)
        .map(|index| {
            let mut command = run(directory, arguments);
            command
                .args(["--shard", &format!("{index}/{SHARDS}"), "--summary-file", &format!("{index}.json")])
                .envs(environment.iter().map(|(name, value)| (*name, value)))
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

fn merge(directory: &Path, arguments: &[&str]) -> Output {
    support::txgen(directory).args(["report", "merge"]).args(arguments).output().unwrap()
}

fn summary(directory: &Path, file: &str) -> Summary {
    serde_json::from_slice(&std::fs::read(directory.join(file)).unwrap()).unwrap()
}

/// How often each row of the run is there, by the ids alone.
fn rows_of(run: RunId, ids: impl IntoIterator<Item = String>) -> BTreeMap<u64, u32> {
    let mut rows = BTreeMap::new();
    for id in ids {
        let (of_run, row) = RunId::split(id.parse().unwrap()).unwrap();
        assert_eq!(of_run, run);
        *rows.entry(row).or_default() += 1;
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_send_every_row_of_the_run_exactly_once_to_both_services() {
    const LIMIT: u64 = 1_403;
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let cosmos_db =
        CosmosEmulator::start(CosmosEmulatorOptions { enforce_throughput: false, ..Default::default() }).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let environment = [
        (
            "EVENT_HUB_1_CONNECTION_STRING",
            event_hubs.connection_string("Sender", "transactions").unwrap().secret().to_owned(),
        ),
        ("COSMOS_DB_ENDPOINT", cosmos_db.endpoint().to_string()),
        ("COSMOS_DB_AUTH_KEY", cosmos_db.key().secret().to_owned()),
    ];
    let run_id = RunId::random();
    let (path, limit, id) = (directory.path().to_owned(), LIMIT.to_string(), run_id.to_string());
    let merged = tokio::task::spawn_blocking(move || {
        run_shards(&path, &environment, &["--run-id", &id, "--limit", &limit]);
        let output = merge(&path, &["3.json", "0.json", "2.json", "1.json", "-o", "summary.json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let totals = stdout(&output);
        assert!(totals.contains(&format!("Run {id}: {limit} transactions requested in ")), "{totals}");
        assert!(totals.contains("Merged of 4 of 4 shards"), "{totals}");
        assert!(totals.contains("The limit is reached; every transaction requested was stored."), "{totals}");
        summary(&path, "summary.json")
    })
    .await
    .unwrap();

    let every_row_once: BTreeMap<u64, u32> = (1..=LIMIT).map(|row| (row, 1)).collect();
    let events = (0..10).flat_map(|partition| event_hubs.events("transactions", partition));
    let ids = events.map(|event| {
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(rows_of(run_id, ids), every_row_once);
    // The id is unique within a partition key, and a row has but one: as many documents as rows are the rows.
    assert_eq!(cosmos_db.counts().documents, LIMIT);

    assert_eq!(merged.run_id, run_id);
    assert_eq!((merged.requested, merged.first_row, merged.last_row), (LIMIT, Some(1), Some(LIMIT)));
    let shards: Vec<Summary> = (0..SHARDS).map(|index| summary(directory.path(), &format!("{index}.json"))).collect();
    for (name, service) in &merged.services {
        let of_shards = || shards.iter().map(|shard| &shard.services[name]);
        assert_eq!(service.counts.succeeded, LIMIT);
        let together = all_outcomes(of_shards().map(|shard| &shard.histograms.service_time));
        assert_eq!(service.histograms.service_time.histogram(), together.histogram());
        let together = all_outcomes(of_shards().map(|shard| &shard.histograms.response_time));
        assert_eq!(service.histograms.response_time.histogram(), together.histogram());
        assert_eq!(together.count(), LIMIT);
        let longest = of_shards().map(|shard| shard.response_time_ms.max).fold(0.0, f64::max);
        assert_eq!(service.response_time_ms.max, longest);
    }
    let units = merged.services[&ServiceName::CosmosDb].request_units.unwrap().request_units;
    let charged: f64 =
        shards.iter().map(|shard| shard.services[&ServiceName::CosmosDb].request_units.unwrap().request_units).sum();
    assert!((units - charged).abs() < 0.001, "{units} is not {charged}");
}

/// Every outcome that the shards counted, counted again one by one.
fn all_outcomes<'a>(shards: impl Iterator<Item = &'a Latencies>) -> Latencies {
    let mut all = Latencies::default();
    for shard in shards {
        for value in shard.histogram().iter_recorded() {
            let latency = Duration::from_micros(value.value_iterated_to());
            (0..value.count_since_last_iteration()).for_each(|_| all.record(latency));
        }
    }
    all
}

#[test]
fn what_does_not_make_one_run_is_refused_with_the_files_named() {
    let directory = tempfile::tempdir().unwrap();
    let shard = |shard: &str, run_id: &str, file: &str| {
        let arguments = ["--emulator", "--only-event-hubs", "--limit", "8", "--output", "json"];
        let output = run(directory.path(), &arguments).args(["--shard", shard, "--run-id", run_id]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        // The log of the run as it was printed, not its --summary-file.
        std::fs::write(directory.path().join(file), output.stdout).unwrap();
    };
    let refusal = |files: &[&str]| {
        let output = merge(directory.path(), files);
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        stderr(&output)
    };
    shard("0/2", "0b5c1f6e-93d2-8a47", "a.ndjson");
    shard("1/2", "1b5c1f6e-93d2-8a47", "other.ndjson");
    let error = refusal(&["a.ndjson", "other.ndjson"]);
    assert!(error.contains("the run differs\n  a.ndjson: 0b5c1f6e-93d2-8a47\n  other.ndjson: 1b5c"), "{error}");
    let error = refusal(&["a.ndjson", "a.ndjson"]);
    assert!(error.contains("shard 0/2 is there 2 times: a.ndjson, a.ndjson"), "{error}");
    let error = refusal(&["a.ndjson"]);
    assert!(error.contains("one shard is missing: 1/2; add what they wrote, or merge without"), "{error}");
    let error = refusal(&["none.json"]);
    assert!(error.contains("cannot read `none.json`"), "{error}");
    let error = refusal(&["a.ndjson", "-o", "a.ndjson", "--partial"]);
    assert!(error.contains("`a.ndjson` is what is read"), "{error}");

    let output = merge(directory.path(), &["a.ndjson", "--partial"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let merged: Summary = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(merged.merged.unwrap().missing, ["1/2".parse().unwrap()]);
    assert_eq!(merged.requested, 4);
}

#[test]
fn shards_without_a_common_run_id_are_refused_with_a_fresh_one_to_copy() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["--emulator", "--shard", "0/4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("--shard 0/4: needs --run-id, the same for all 4 processes"), "{error}");
    let offered = error.trim_end().rsplit(' ').next().unwrap();
    offered.parse::<RunId>().unwrap();

    // A run in one process needs no id.
    let output = run(directory.path(), &["--emulator", "--shard", "0/1", "--limit", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn limit_and_rate_are_the_whole_runs_and_the_announcement_tells_the_part() {
    let directory = tempfile::tempdir().unwrap();
    let sharing = ["--shard", "2/3", "--run-id", "0b5c1f6e-93d2-4a47-b1de-6d2b0c7ac5f1"];
    let pace = ["--limit", "11", "--rate", "500", "--output", "json"];
    let output = run(directory.path(), &["--emulator"]).args(sharing).args(pace).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = support::json_lines(&output);
    let start = &lines[0];
    assert_eq!(start["run_id"], "0b5c1f6e-93d2-8a47");
    assert_eq!(start["shard"], serde_json::json!({ "index": 2, "count": 3 }));
    let plan = start["plan"].as_str().unwrap();
    assert!(plan.starts_with("shard 2/3, rows 3, 6, 9, …: 3 transactions at most, 166.667 per second"), "{plan}");
    // Rows 3, 6 and 9: the eleven of the run without those of the other two.
    assert_eq!(lines.last().unwrap()["requested"], 3);
}
