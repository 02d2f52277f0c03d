//! One run in several processes: they share its rows, and their summaries add up to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::stderr;
use serde_json::Value;
use txgen::emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen::emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};
use txgen::identity::RunId;

const SHARDS: u32 = 4;

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = common::txgen(directory);
    command.arg("run").arg("--data").arg(common::shipped_data()).args(arguments);
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
    tokio::task::spawn_blocking(move || {
        run_shards(&path, &environment, &["--run-id", &id, "--limit", &limit]);
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
    let lines = common::json_lines(&output);
    let start = &lines[0];
    assert_eq!(start["run_id"], "0b5c1f6e-93d2-8a47");
    assert_eq!(start["shard"], serde_json::json!({ "index": 2, "count": 3 }));
    let plan = start["plan"].as_str().unwrap();
    assert!(plan.starts_with("shard 2/3, rows 3, 6, 9, …: 3 transactions at most, 166.667 per second"), "{plan}");
    // Rows 3, 6 and 9: the eleven of the run without those of the other two.
    assert_eq!(lines.last().unwrap()["requested"], 3);
}
