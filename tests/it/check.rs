//! `txgen check` as a user runs it: what it says of the settings and of the services, and that it leaves them as they
//! are.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

/// Both local services, and a directory whose appsettings.json leads to them.
struct Services {
    event_hubs: EventHubsEmulator,
    cosmos_db: CosmosEmulator,
    directory: TempDir,
}

impl Services {
    async fn start() -> Self {
        let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
        let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let settings = json!({
            "EVENT_HUB_1_CONNECTION_STRING": hub(&event_hubs, "Sender"),
            "COSMOS_DB_ENDPOINT": cosmos_db.endpoint().as_str(),
            "COSMOS_DB_AUTH_KEY": cosmos_db.key().secret(),
        });
        std::fs::write(directory.path().join("appsettings.json"), format!("{settings:#}")).unwrap();
        Self { event_hubs, cosmos_db, directory }
    }

    fn check(&self, arguments: &[&str]) -> Command {
        check(self.directory.path(), arguments)
    }

    /// The secrets of the settings.
    fn secrets(&self) -> Vec<String> {
        let hub = hub(&self.event_hubs, "Sender");
        let key = hub.split(';').find_map(|part| part.strip_prefix("SharedAccessKey=")).unwrap();
        vec![key.to_owned(), self.cosmos_db.key().secret().to_owned()]
    }
}

fn hub(event_hubs: &EventHubsEmulator, policy: &str) -> String {
    event_hubs.connection_string(policy, "transactions").unwrap().secret().to_owned()
}

fn check(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.arg("check").args(arguments);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn json_of(command: Command, code: i32) -> Value {
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    let lines = support::json_lines(&output);
    assert_eq!(lines.len(), 1);
    lines[0].clone()
}

fn source<'a>(findings: &'a Value, key: &str) -> (&'a str, &'a str) {
    let settings = findings["settings"].as_array().unwrap();
    let setting = settings.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("{key}"));
    (setting["value"].as_str().unwrap(), setting["source"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_is_there_and_leaves_it_as_it_is() {
    let services = Services::start().await;
    let output = output(services.check(&[])).await;
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    for part in [
        "EVENT_HUB_1_CONNECTION_STRING: in order",
        "transactions at 127.0.0.1:",
        "10 partitions",
        "shared access key of policy Sender, may send",
        "Woodgrove/transactions at http://127.0.0.1:",
        "the database is not there: a run creates it with 15000 RU/s",
        "Everything is in order.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(services.secrets().iter().all(|secret| !text.contains(secret)), "a secret was printed: {text}");
    assert_eq!(stderr(&output), "");
    assert_eq!(services.event_hubs.counts().events(), 0);
    let counts = services.cosmos_db.counts();
    assert_eq!((counts.databases, counts.containers, counts.documents), (0, 0, 0), "nothing was created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_has_made_is_described() {
    let services = Services::start().await;
    let mut run = support::txgen(services.directory.path());
    run.args(["run", "--limit", "1", "--data"]).arg(support::shipped_data());
    assert!(output(run).await.status.success());
    let findings = json_of(services.check(&["--output", "json"]), 0).await;
    let cosmos_db = &findings["cosmos_db"];
    assert_eq!((&cosmos_db["database_exists"], &cosmos_db["container_exists"]), (&json!(true), &json!(true)));
    assert_eq!(cosmos_db["throughput"]["request_units_per_second"], 15_000);
    assert_eq!(
        (&cosmos_db["physical_partitions"], &cosmos_db["time_to_live"]),
        (&json!(2), &json!("on, without a default"))
    );
    let other = json_of(services.check(&["--output", "json", "--container", "other"]), 0).await;
    assert_eq!(
        (&other["cosmos_db"]["database_exists"], &other["cosmos_db"]["container_exists"]),
        (&json!(true), &json!(false))
    );
    assert_eq!((services.cosmos_db.counts().documents, services.event_hubs.counts().events()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_value_is_shown_with_its_source() {
    let services = Services::start().await;
    let mut command = services.check(&["--output", "json", "--ttl", "30d", "--rate", "500"]);
    command.env("COSMOS_DB_DATABASE", "FromEnvironment");
    let findings = json_of(command, 0).await;
    assert_eq!(source(&findings, "TIME_TO_LIVE_SECONDS"), ("30d", "--ttl"));
    assert_eq!(source(&findings, "COSMOS_DB_DATABASE"), ("FromEnvironment", "environment"));
    assert_eq!(source(&findings, "COSMOS_DB_AUTH_KEY"), ("(hidden)", "./appsettings.json line 2"));
    assert_eq!(source(&findings, "COSMOS_DB_CONTAINER"), ("transactions", "default"));
    assert_eq!(source(&findings, "--rate"), ("500", "--rate"));
    assert_eq!(source(&findings, "--max-pending"), ("100000", "default"));
    let (value, source) = source(&findings, "EVENT_HUB_1_CONNECTION_STRING");
    assert!(value.contains("SharedAccessKey=(hidden)"), "{value}");
    assert!(source.starts_with("./appsettings.json line "), "{source}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_wrong_at_the_services_is_reported_at_once() {
    let services = Services::start().await;
    let mut command = services.check(&["--output", "json"]);
    command
        .env("EVENT_HUB_1_CONNECTION_STRING", hub(&services.event_hubs, "Listener"))
        .env(
            "EVENT_HUB_2_CONNECTION_STRING",
            hub(&services.event_hubs, "Sender").replace("Path=transactions", "Path=none"),
        )
        .env("EVENT_HUB_3_CONNECTION_STRING", hub(&services.event_hubs, "Sender"))
        .env("COSMOS_DB_AUTH_KEY", "c2VjcmV0");
    let findings = json_of(command, 3).await;
    let problems = findings["problems"].as_array().unwrap();
    assert_eq!((problems.len(), &findings["in_order"]), (3, &json!(false)), "{problems:?}");
    for (hub, key, part) in [(0, "EVENT_HUB_1", "Listener"), (1, "EVENT_HUB_2", "`none`")] {
        let hub = &findings["event_hubs"][hub];
        assert!(hub["key"].as_str().unwrap().starts_with(key), "{hub}");
        assert!(hub["problem"].as_str().unwrap().contains(part), "{hub}");
    }
    assert_eq!(findings["event_hubs"][2]["in_order"], true, "one that is in order is listed beside the others");
    assert!(findings["cosmos_db"]["problem"].as_str().unwrap().contains("COSMOS_DB_AUTH_KEY"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_text_what_failed_is_counted_on_standard_error() {
    let services = Services::start().await;
    let mut command = services.check(&[]);
    command.env("COSMOS_DB_AUTH_KEY", "c2VjcmV0");
    let output = output(command).await;
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(3), "error: 1 of 2 checks failed\n"));
    let text = stdout(&output);
    assert!(text.contains(": in order") && text.contains(": not in order") && !text.contains("Everything"), "{text}");
}

#[test]
fn wrong_settings_are_exit_code_2_in_text_and_in_json() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["--output", "json"]] {
        let mut command = check(directory.path(), arguments);
        let output = command.env("SECONDS_TO_RUN", "soon").env("COSMOS_DB_THROUGHPUT", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        for part in ["nothing to write to", "SECONDS_TO_RUN (environment): `soon`", "COSMOS_DB_THROUGHPUT"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
        if !arguments.is_empty() {
            let findings = &support::json_lines(&output)[0];
            assert_eq!((&findings["in_order"], findings["problems"].as_array().unwrap().len()), (&json!(false), 3));
        }
    }
}

#[test]
fn a_mistyped_key_is_answered_with_the_nearest_one() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("s.json"),
        r#"{"COSMOS_DB_ENDPIONT": "x", "COSMOS_DB_ENDPOINT": "http://127.0.0.1:1/"}"#,
    )
    .unwrap();
    let output = check(directory.path(), &["--settings", "s.json", "--only-cosmos"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let note = "unknown key `COSMOS_DB_ENDPIONT`; did you mean COSMOS_DB_ENDPOINT?";
    assert!(stdout(&output).contains(note), "{}", stdout(&output));
}

#[test]
fn a_mistyped_environment_variable_is_answered_with_the_nearest_key_and_its_value_stays_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = check(directory.path(), &["--only-cosmos", "--cosmos-endpoint", "http://127.0.0.1:1/"]);
    let output = command.env("COSMOS_DB_AUTHKEY", "c2VjcmV0").output().unwrap();
    let note = "environment variable `COSMOS_DB_AUTHKEY` is not a setting; did you mean COSMOS_DB_AUTH_KEY?";
    assert!(stdout(&output).contains(note), "{}", stdout(&output));
    assert!(!format!("{}{}", stdout(&output), stderr(&output)).contains("c2VjcmV0"));
}
