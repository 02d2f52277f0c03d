//! `txgen run` as a user runs it: the built binary, against the emulators, over sockets.

use crate::support;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{json_lines, read_json, stderr, stdout};
use serde_json::Value;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(["run", "--summary-file", "summary.json"]).args(arguments);
    command
}

fn run_shipped(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = run(directory, arguments);
    command.arg("--data").arg(support::shipped_data());
    command
}

fn counts<'a>(summary: &'a Value, service: &str) -> impl Fn(&str) -> u64 + use<'a> {
    let service = summary["services"][service].clone();
    move |name| service[name].as_u64().unwrap_or_else(|| panic!("{name} is missing: {service}"))
}

fn assert_all_accounted_for(summary: &Value) {
    for service in summary["services"].as_object().unwrap().keys() {
        let count = counts(summary, service);
        assert_eq!(count("requested"), count("succeeded") + count("failed") + count("not_sent"), "{service}");
        assert_eq!(count("pending"), 0);
    }
}

#[test]
fn one_command_sends_to_both_services_without_an_account() {
    let directory = tempfile::tempdir().unwrap();
    let output = run_shipped(directory.path(), &["--emulator", "--limit", "1500"]).output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    assert!(text.contains("Total requests: requested 1000\n"), "{text}");
    assert!(text.contains("every transaction requested was stored"), "{text}");
    assert!(text.contains("1500 events") && text.contains("1500 documents"), "the emulators' own counts: {text}");
    assert!(!text.contains('\u{1b}'), "colours in a pipe");
    let summary = read_json(&directory.path().join("summary.json"));
    for service in ["event_hubs", "cosmos_db"] {
        let count = counts(&summary, service);
        assert_eq!((count("requested"), count("succeeded"), count("failed")), (1500, 1500, 0), "{service}");
    }
    assert!(summary["services"]["cosmos_db"]["request_units"].as_f64().unwrap() > 1500.0 * 10.0);
}

#[test]
fn the_json_output_is_a_start_batches_and_a_summary() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        run_shipped(directory.path(), &["--emulator", "--limit", "1200", "--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = json_lines(&output);
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types.first(), Some(&"start"));
    assert_eq!(types.last(), Some(&"summary"));
    assert!(types.len() >= 4 && types[1..types.len() - 1].iter().all(|kind| *kind == "batch"), "{types:?}");
    assert_eq!(lines[0]["cosmos_db"]["throughput"]["request_units_per_second"], 15000);
    let inserted: u64 = lines.iter().filter_map(|line| line["services"]["cosmos_db"]["succeeded"].as_u64()).sum();
    assert_eq!(inserted, 1200 * 2, "the batches add up to the totals, which come once more in the summary");
    assert_eq!(lines.last(), Some(&read_json(&directory.path().join("summary.json"))));
}

#[test]
fn quiet_shows_the_totals_alone_and_table_a_line_a_batch() {
    let directory = tempfile::tempdir().unwrap();
    let quiet = run_shipped(directory.path(), &["--emulator", "--limit", "50", "--quiet"]).output().unwrap();
    assert!(stdout(&quiet).starts_with("Run "), "{}", stdout(&quiet));
    let table = run_shipped(directory.path(), &["--emulator", "--limit", "50", "--output", "table"]).output().unwrap();
    assert!(stdout(&table).contains("requested  elapsed"), "{}", stdout(&table));
}

#[test]
fn at_700_request_units_cosmos_db_is_throttled_and_nothing_fails() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--emulator", "--limit", "200", "--throughput", "700"];
    let output = run_shipped(directory.path(), &arguments).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let summary = read_json(&directory.path().join("summary.json"));
    let (event_hubs, cosmos_db) = (counts(&summary, "event_hubs"), counts(&summary, "cosmos_db"));
    assert!(cosmos_db("throttled") > 0);
    assert_eq!((cosmos_db("succeeded"), cosmos_db("failed"), cosmos_db("not_sent")), (200, 0, 0));
    assert_eq!((event_hubs("succeeded"), event_hubs("throttled")), (200, 0));
    let elapsed = |service: &str| summary["services"][service]["elapsed_seconds"].as_f64().unwrap();
    assert!(elapsed("event_hubs") < elapsed("cosmos_db"), "Event Hubs goes on at its own speed");
}

#[test]
fn rows_that_cannot_be_read_are_named_by_line_and_do_not_stop_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let mut lines: Vec<&str> = shipped.lines().take(11).collect();
    lines.insert(4, "only,three,fields");
    std::fs::write(directory.path().join("data.csv"), lines.join("\n")).unwrap();
    let output = run(directory.path(), &["--emulator", "--data", "data.csv"]).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("line 5 rejected"), "{}", stderr(&output));
    let summary = read_json(&directory.path().join("summary.json"));
    assert_eq!((summary["requested"].as_u64(), summary["rejected_rows"].as_u64()), (Some(10), Some(1)));
}

#[cfg(unix)]
#[test]
fn ctrl_c_in_mid_run_ends_it_with_every_transaction_accounted_for() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--emulator", "--loop", "--output", "json", "--max-pending", "3000", "--drain-timeout", "10s"];
    let mut child = run_shipped(directory.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The second line is the first batch: the run is under way.
    lines.by_ref().take(2).for_each(|line| drop(line.unwrap()));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let summary = read_json(&directory.path().join("summary.json"));
    assert_eq!((summary["interrupted"].as_bool(), summary["stop_reason"].as_str()), (Some(true), Some("interrupted")));
    assert_all_accounted_for(&summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_from_a_file_with_comments_and_strings_reach_other_processes() {
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "\u{feff}{{\n  // the workshop's file\n  \"EVENT_HUB_1_CONNECTION_STRING\": \"{}\",\n  \"EVENT_HUB_2_CONNECTION_STRING\": \"\",\n  \
         \"COSMOS_DB_ENDPOINT\": \"{}\",\n  \"COSMOS_DB_AUTH_KEY\": \"{}\",\n  \"SECONDS_TO_LEAD\": \"0\",\n  \
         \"SECONDS_TO_RUN\": \"60\",\n  \"ONLY_WRITE_TO_COSMOS_DB\": \"false\",\n}}\n",
        event_hubs.connection_string("Sender", "transactions").unwrap().secret(),
        cosmos_db.endpoint(),
        cosmos_db.key().secret(),
    );
    std::fs::write(directory.path().join("appsettings.json"), settings).unwrap();
    let mut command = run_shipped(directory.path(), &["--limit", "400"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("./appsettings.json"), "{}", stdout(&output));
    assert_eq!(event_hubs.counts().events(), 400);
    assert_eq!(cosmos_db.counts().documents, 400);
}

/// The names, order and types of the events that a reader saw, whose values it had turned into strings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_thousand_real_rows_arrive_in_the_shape_that_readers_know() {
    let Some(real_rows) = support::real_rows() else { return };
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut command = run(directory.path(), &["--only-event-hubs", "--data"]);
    command
        .arg(&real_rows)
        .env("EVENT_HUB_1_CONNECTION_STRING", event_hubs.connection_string("Sender", "transactions").unwrap().secret());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));

    let seen = read_json(&real_rows.with_file_name("events_seen_by_consumer_10.json"));
    let mut known: Vec<String> = seen[0].as_object().unwrap().keys().cloned().collect();
    known.push("id".into());
    known.push("ttl".into());
    let known: BTreeSet<String> = known.into_iter().collect();
    let mut ids = BTreeSet::new();
    for partition in 0..10 {
        for event in event_hubs.events("transactions", partition) {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            let names: BTreeSet<String> = body.as_object().unwrap().keys().cloned().collect();
            assert_eq!(names, known);
            assert_eq!(Some(event.partition_key.as_deref().unwrap()), body["ipCountryCode"].as_str());
            assert!(
                body["transactionAmountUSD"].is_number()
                    && body["isProxyIP"].is_boolean()
                    && body["localHour"].is_i64()
            );
            ids.insert(body["transactionID"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ids.len(), 1000);
}
