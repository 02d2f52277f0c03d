//! No log holds a secret, however much is logged: not the keys of the settings, nor what is made of them on the wire.

use crate::support;
use std::process::Command;

use crate::support::bridge;
use crate::support::{stderr, stdout};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

/// What a signature or a token looks like on the wire: in `Authorization`, in a CBS token.
const MARKS: [&str; 5] = ["sig=", "sig%3d", "sharedaccesssignature", "type%3dmaster", "bearer "];

/// The libraries whose most verbose level writes out what they send.
const TALKATIVE: [&str; 4] = ["TRACE tungstenite", "TRACE hyper", "TRACE h2", "TRACE azure"];

fn assert_silent(command: &mut Command, secrets: &[&str], what: &str) {
    let output = command.output().unwrap();
    // Azure's clients give up now and then on a busy machine; what they log until then counts all the same.
    let is_of_azure = what.starts_with("Azure");
    let connected = output.status.success() || is_of_azure;
    assert!(connected, "{what}: {}{}", stdout(&output), stderr(&output));
    let log = stderr(&output);
    let logged = if is_of_azure { "DEBUG azure_" } else { "DEBUG txgen::" };
    assert!(log.contains(logged), "{what} logged: {log}");
    let all = format!("{}{log}", stdout(&output));
    for secret in secrets {
        let encoded = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        for form in [*secret, &encoded] {
            assert!(!all.contains(form), "{what}: a key is in the log");
        }
    }
    let lower = all.to_ascii_lowercase();
    for mark in MARKS {
        if let Some(place) = lower.find(mark) {
            panic!("{what}: a token is in the log: …{}…", &lower[place.saturating_sub(200)..place + mark.len()]);
        }
    }
    for library in TALKATIVE {
        assert!(!log.contains(library), "{what}: {library}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_holds_a_secret_whatever_is_asked_for() {
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let websocket = bridge::to(event_hubs.local_addr(), None, true).await;
    let hub = event_hubs.connection_string("Sender", "transactions").unwrap().secret().to_owned();
    let key = hub.split(';').find_map(|part| part.strip_prefix("SharedAccessKey=")).unwrap().to_owned();
    let account_key = cosmos_db.key().secret().to_owned();
    let through_websocket = hub.replace(&event_hubs.local_addr().to_string(), &format!("127.0.0.1:{websocket}"));
    let endpoint = cosmos_db.endpoint().to_string();
    let tests = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().unwrap();
        for (what, hub, flags) in [
            ("TCP", &hub, &["run"][..]),
            ("WebSockets", &through_websocket, &["run", "--event-hub-transport", "websocket"]),
            ("Azure's Event Hubs", &hub, &["run", "--event-hub-client", "sdk", "--max-in-flight-event-hubs", "2"]),
            ("Azure's Cosmos DB", &hub, &["run", "--cosmos-client", "sdk"]),
            ("check", &hub, &["check"]),
        ] {
            for (variable, verbosity) in
                [("trace", &[][..]), ("txgen=trace,tungstenite=trace,trace", &[]), ("", &["-vvv"])]
            {
                let mut command = support::txgen(directory.path());
                command.args(flags).args(verbosity).args(["--cosmos-endpoint", &endpoint, "--limit", "5"]);
                if flags[0] == "run" {
                    command.arg("--data").arg(support::shipped_data());
                }
                command
                    .env("RUST_LOG", variable)
                    .env("EVENT_HUB_1_CONNECTION_STRING", hub)
                    .env("COSMOS_DB_AUTH_KEY", &account_key);
                assert_silent(
                    &mut command,
                    &[&key, &account_key],
                    &format!("{what}, RUST_LOG={variable} {verbosity:?}"),
                );
            }
        }
    });
    tests.await.unwrap();
}
