//! `txgen run --dry-run` as a user runs it: what it shows is what a run sends, and it connects nowhere.

use crate::support;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{json_lines, stderr, stdout};
use serde_json::{Value, json};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

fn dry_run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(["run", "--data"]).arg(support::shipped_data()).args(arguments);
    command
}

fn succeeding(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    output
}

#[test]
fn it_shows_the_first_three_with_where_they_would_go() {
    let directory = tempfile::tempdir().unwrap();
    let output = succeeding(&mut dry_run(directory.path(), &["--emulator", "--dry-run"]));
    let text = stdout(&output);
    for part in [
        "dry run: nothing is connected to, nothing is sent",
        "Event Hubs transactions at 127.0.0.1, a free port (--emulator)",
        "Transaction 1\nEvent Hubs transactions, partition key hk, ",
        "Cosmos DB  Woodgrove/transactions, partition key hk, ",
        "kept for 60 days\n{\"id\":\"",
        "Transaction 3\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("Transaction 4"), "{text}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn it_connects_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hub = format!(
        "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true;EntityPath=h"
    );
    let endpoint = format!("http://127.0.0.1:{port}/");
    let mut command =
        dry_run(directory.path(), &["--dry-run", "--cosmos-endpoint", &endpoint, "--summary-file", "s.json"]);
    let output = succeeding(command.env("EVENT_HUB_1_CONNECTION_STRING", hub).env("COSMOS_DB_AUTH_KEY", "c2VjcmV0"));
    let text = stdout(&output);
    assert!(text.contains(&format!("h at 127.0.0.1:{port}\n")) && text.contains(&endpoint), "{text}");
    assert!(!text.contains("c2VjcmV0"), "a secret was printed: {text}");
    assert!(listener.accept().is_err(), "somebody connected");
    assert!(!directory.path().join("s.json").exists(), "no run, no summary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_shows_is_what_a_run_under_the_same_id_sends() {
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command =
            dry_run(directory.path(), &["--run-id", "0b5c1f6e-93d2-8a47", "--limit", "8", "--ttl", "90s"]);
        command
            .args(["--output", "json", "--cosmos-endpoint", cosmos_db.endpoint().as_str()])
            .args(arguments)
            .env(
                "EVENT_HUB_1_CONNECTION_STRING",
                event_hubs.connection_string("Sender", "transactions").unwrap().secret(),
            )
            .env("COSMOS_DB_AUTH_KEY", cosmos_db.key().secret());
        command
    };
    let (mut dry, mut real) = (command(&["--dry-run=20"]), command(&[]));
    let shown = tokio::task::spawn_blocking(move || {
        let shown = json_lines(&succeeding(&mut dry));
        succeeding(&mut real);
        shown
    });
    let shown = shown.await.unwrap();
    assert_eq!((&shown[0]["type"], shown.len()), (&json!("dry_run"), 1 + 8), "--limit counts as well");
    assert_eq!(shown[0]["cosmos_db"]["ttl_seconds"], 90);
    let mut sent: Vec<Value> = (0..10)
        .flat_map(|partition| event_hubs.events("transactions", partition))
        .map(|event| serde_json::from_slice(&event.body).unwrap())
        .collect();
    sent.sort_by_key(|body| body["id"].as_str().unwrap().to_owned());
    let bodies: Vec<Value> = shown[1..].iter().map(|line| line["body"].clone()).collect();
    assert_eq!(bodies, sent);
    for line in &shown[1..] {
        assert_eq!(line["partition_key"], line["body"]["ipCountryCode"]);
        assert_eq!(line["id"], line["body"]["id"]);
    }
}

#[test]
fn rows_that_cannot_be_read_are_reported_and_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let mut lines: Vec<&str> = shipped.lines().take(4).collect();
    lines.insert(2, "only,three,fields");
    std::fs::write(directory.path().join("data.csv"), lines.join("\n")).unwrap();
    let mut command = support::txgen(directory.path());
    let output = succeeding(command.args(["run", "--emulator", "--data", "data.csv", "--dry-run=2"]));
    assert!(stderr(&output).starts_with("Data: line 3 rejected: "), "{}", stderr(&output));
    assert!(stdout(&output).contains("Transaction 3\n"), "{}", stdout(&output));
}

#[test]
fn settings_and_data_are_held_to_what_a_run_needs() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (&["--dry-run"][..], "nothing to write to"),
        (&["--dry-run", "--emulator", "--data", "nowhere.csv"], "nowhere.csv"),
        (&["--dry-run=0", "--emulator"], "--dry-run"),
    ] {
        let output = support::txgen(directory.path()).arg("run").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    }
}
