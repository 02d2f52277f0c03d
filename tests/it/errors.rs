//! What goes wrong before the first transaction: the message, the exit code, and no secret in either.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::closed_port::ClosedPort;
use crate::support::{stderr, stdout};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

/// A base64 key that is nobody's, and easy to find in an output.
const WRONG_KEY: &str =
    "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0cw==";

fn failing(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    assert!(!format!("{}{}", stdout(&output), stderr(&output)).contains("c2VjcmV0"), "a secret was printed");
    let error = stderr(&output);
    assert!(error.starts_with("error: "), "{error}");
    error
}

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.arg("run").args(arguments);
    command
}

fn run_shipped(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = run(directory, arguments);
    command.arg("--data").arg(support::shipped_data());
    command
}

fn hub(port: u16, hub: &str, policy: &str, key: &str) -> String {
    format!(
        "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={policy};SharedAccessKey={key};UseDevelopmentEmulator=true;EntityPath={hub}"
    )
}

#[test]
fn nothing_configured_names_the_missing_keys_and_offers_the_emulator() {
    let directory = tempfile::tempdir().unwrap();
    let error = failing(&mut run_shipped(directory.path(), &[]), 2);
    for part in ["EVENT_HUB_1_CONNECTION_STRING", "COSMOS_DB_ENDPOINT", "--emulator"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_mistyped_flag_is_answered_with_the_nearest_one() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["--only-cosmoss"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--only-cosmos"), "{}", stderr(&output));
}

#[test]
fn data_that_is_not_there_is_named_with_the_way_to_make_it() {
    let directory = tempfile::tempdir().unwrap();
    let error = failing(&mut run(directory.path(), &["--emulator", "--data", "nowhere.csv"]), 2);
    assert!(error.contains("nowhere.csv"), "{error}");
    assert!(error.contains("txgen data generate"), "{error}");
}

#[test]
fn data_of_another_kind_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty.csv", b"", "empty"),
        ("other.csv", b"name,age\nx,1\n", "transactionID"),
        ("document.json", b"{\"a\": 1}\n", "JSON"),
        ("archive.zip", b"PK\x03\x04\x00\x00\x00\xff\xfe", "archive.zip"),
    ];
    for (name, content, part) in cases {
        std::fs::write(directory.path().join(name), content).unwrap();
        let error = failing(&mut run(directory.path(), &["--emulator", "--data", name]), 2);
        assert!(error.contains(name) && error.contains(part), "{name}: {error}");
    }
}

#[test]
fn a_summary_file_that_cannot_be_written_is_reported_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let error =
        failing(&mut run_shipped(directory.path(), &["--emulator", "--summary-file", "no/such/summary.json"]), 2);
    assert!(error.contains("no/such/summary.json"), "{error}");
}

#[test]
fn an_unreachable_cosmos_db_is_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let closed = ClosedPort::free();
    let endpoint = format!("http://{}/", closed.address());
    let mut command = run_shipped(directory.path(), &["--only-cosmos", "--cosmos-endpoint", &endpoint]);
    let error = failing(command.env("COSMOS_DB_AUTH_KEY", WRONG_KEY), 3);
    assert!(error.contains("Cosmos DB") && error.contains(&endpoint), "{error}");
}

#[test]
fn an_unreachable_event_hub_is_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let closed = ClosedPort::free();
    let port = closed.address().port();
    let mut command = run_shipped(directory.path(), &["--only-event-hubs"]);
    let error =
        failing(command.env("EVENT_HUB_1_CONNECTION_STRING", hub(port, "transactions", "Sender", WRONG_KEY)), 3);
    assert!(error.contains("Event Hubs") && error.contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_account_key_is_exit_code_3() {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut command =
        run_shipped(directory.path(), &["--only-cosmos", "--cosmos-endpoint", emulator.endpoint().as_str()]);
    command.env("COSMOS_DB_AUTH_KEY", WRONG_KEY);
    let error = in_thread(move || failing(&mut command, 3)).await;
    assert!(error.contains("COSMOS_DB_AUTH_KEY"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_shared_access_key_is_exit_code_3() {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut command = run_shipped(directory.path(), &["--only-event-hubs"]);
    command
        .env("EVENT_HUB_1_CONNECTION_STRING", hub(emulator.local_addr().port(), "transactions", "Sender", WRONG_KEY));
    let error = in_thread(move || failing(&mut command, 3)).await;
    assert!(error.contains("transactions") && error.contains("Sender"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_hub_that_is_not_there_is_exit_code_3() {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let string = emulator.connection_string("Sender", "transactions").unwrap();
    let elsewhere = string.secret().replace("EntityPath=transactions", "EntityPath=elsewhere");
    let directory = tempfile::tempdir().unwrap();
    let mut command = run_shipped(directory.path(), &["--only-event-hubs"]);
    command.env("EVENT_HUB_1_CONNECTION_STRING", elsewhere);
    let error = in_thread(move || failing(&mut command, 3)).await;
    assert!(error.contains("elsewhere"), "{error}");
}

async fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[test]
fn help_is_grouped_and_has_examples() {
    let directory = tempfile::tempdir().unwrap();
    let help: Output = run(directory.path(), &["--help"]).output().unwrap();
    let help = stdout(&help);
    for part in ["Examples:", "txgen run --emulator", "Pace and length:", "Cosmos DB:", "Event Hubs:", "Output:"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
