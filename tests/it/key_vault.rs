//! Settings that are references to secrets of a key vault, as a user meets them: the built binary, and a local vault.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::support::closed_port::ClosedPort;
use crate::support::{stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};
use txgen_emulator::key_vault::{Access, KeyVaultEmulator, KeyVaultEmulatorOptions, LocalSecret};

/// A vault with these secrets, and a directory whose appsettings.json refers to `hub` in it.
async fn vault(secrets: Vec<LocalSecret>, access: Access) -> (KeyVaultEmulator, TempDir) {
    let options = KeyVaultEmulatorOptions { secrets, access, ..KeyVaultEmulatorOptions::default() };
    let vault = KeyVaultEmulator::start(options).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    refer(directory.path(), &json!({ "EVENT_HUB_1_CONNECTION_STRING": reference(&vault, "hub") }));
    (vault, directory)
}

fn reference(vault: &KeyVaultEmulator, name: &str) -> String {
    format!("@Microsoft.KeyVault(SecretUri={}secrets/{name})", vault.endpoint())
}

fn refer(directory: &Path, settings: &Value) {
    std::fs::write(directory.join("appsettings.json"), settings.to_string()).unwrap();
}

fn check(directory: &Path, flags: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.arg("check").args(flags);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn event_hubs() -> (EventHubsEmulator, String) {
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let sender = event_hubs.connection_string("Sender", "transactions").unwrap().secret().to_owned();
    (event_hubs, sender)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_which_vault_and_version_each_secret_came_from_and_never_shows_one() {
    let (_event_hubs, sender) = event_hubs().await;
    let key = sender.split(';').find_map(|part| part.strip_prefix("SharedAccessKey=")).unwrap().to_owned();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let account_key = cosmos_db.key().secret().to_owned();
    let secrets = vec![LocalSecret::new("hub", sender), LocalSecret::new("account-key", account_key.clone())];
    let (vault, directory) = vault(secrets, Access::SecretsUser).await;
    refer(
        directory.path(),
        &json!({
            "EVENT_HUB_1_CONNECTION_STRING": reference(&vault, "hub"),
            "COSMOS_DB_ENDPOINT": cosmos_db.endpoint().as_str(),
        }),
    );
    let mut command = check(directory.path(), &["--output", "json", "-vvv"]);
    command.env("COSMOS_DB_AUTH_KEY", reference(&vault, "account-key")).env("RUST_LOG", "trace");
    let output = output(command).await;
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let findings = &support::json_lines(&output)[0];
    let sources: Vec<&str> = findings["settings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|setting| setting["source"].as_str().filter(|source| source.contains("refers to")))
        .collect();
    let starts = [
        format!("./appsettings.json line 1, which refers to {}secrets/hub/", vault.endpoint()),
        format!("environment, which refers to {}secrets/account-key/", vault.endpoint()),
    ];
    for (source, start) in sources.iter().zip(&starts) {
        assert_eq!(source.strip_prefix(start).map(str::len), Some(32), "{source}");
    }
    assert_eq!(sources.len(), starts.len());
    assert_eq!(vault.counts().secrets_read, 2, "each once");
    let log = stderr(&output);
    assert!(log.contains("reading a secret") && log.contains("DEBUG typespec_client_core"), "{log}");
    for secret in [key, account_key, "Bearer development".to_owned()] {
        assert!(!format!("{}{log}", stdout(&output)).contains(&secret), "a secret is shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_a_secret_from_being_read_is_reported_with_setting_source_secret_and_remedy() {
    let past = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
    let future = SystemTime::now() + Duration::from_secs(3 * 24 * 60 * 60);
    let hub = || LocalSecret::new("hub", "hush");
    for (secrets, access, code, problem) in [
        (vec![], Access::SecretsUser, 3, "is not there; check name in the vault: was it deleted?"),
        (vec![hub()], Access::Nothing, 3, "give it the role Key Vault Secrets User on the vault or on this secret"),
        (vec![hub().disabled()], Access::SecretsUser, 3, "is disabled; enable it in the vault"),
        (vec![hub().expires(past)], Access::SecretsUser, 3, "expired on 20"),
        (vec![hub().not_before(future)], Access::SecretsUser, 3, "is not to be used before 20"),
        (vec![hub()], Access::SecretsUser, 2, "is not a connection string (a key alone?)"),
        (vec![LocalSecret::new("hub", " ")], Access::SecretsUser, 2, "the secret is empty"),
    ] {
        let (vault, directory) = vault(secrets, access).await;
        let output = output(check(directory.path(), &["--only-event-hubs"])).await;
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{message}");
        let setting = "EVENT_HUB_1_CONNECTION_STRING (./appsettings.json line 1";
        let secret = format!("{}secrets/hub", vault.endpoint());
        for part in [setting, secret.as_str(), problem] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn a_vault_that_is_not_there_is_reported_soon() {
    let closed = ClosedPort::free();
    let free = closed.address();
    let directory = tempfile::tempdir().unwrap();
    let mut command = check(directory.path(), &["--only-cosmos", "--cosmos-endpoint", "http://127.0.0.1:1/"]);
    command.env("COSMOS_DB_AUTH_KEY", format!("@Microsoft.KeyVault(SecretUri=https://{free}/secrets/key)"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let message = stderr(&output);
    let start =
        format!("COSMOS_DB_AUTH_KEY (environment): the secret https://{free}/secrets/key cannot be read: nothing");
    assert!(message.contains(&start) && message.contains("start the emulator"), "{message}");
}

#[test]
fn a_malformed_reference_is_reported_without_asking_anyone() {
    let directory = tempfile::tempdir().unwrap();
    refer(
        directory.path(),
        &json!({ "COSMOS_DB_AUTH_KEY": "@Microsoft.KeyVault(VaultName=wood_grove;SecretName=key)" }),
    );
    let command = &mut check(directory.path(), &["--only-cosmos", "--cosmos-endpoint", "http://127.0.0.1:1/"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    let start =
        "COSMOS_DB_AUTH_KEY (./appsettings.json line 1): is not a valid Key Vault reference: VaultName must be 3 to 24";
    assert!(message.contains(start), "{message}");
}

#[cfg(unix)]
#[test]
fn the_emulators_settings_as_references_are_all_that_run_check_and_verify_need() {
    use crate::support::emulator::Emulator;

    let directory = tempfile::tempdir().unwrap();
    let flags = ["--settings-as-references", "--secret", "more=made-up"];
    let emulator = Emulator::start(directory.path(), &flags);
    let written = std::fs::read_to_string(directory.path().join("appsettings.json")).unwrap();
    assert!(!written.contains("SharedAccessKey=") && written.contains("/secrets/cosmos-db-auth-key)"), "{written}");
    let txgen = |arguments: &[&str]| {
        let output = support::txgen(directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        stdout(&output)
    };
    txgen(&["check"]);
    txgen(&["run", "--dry-run"]);
    txgen(&["run", "--quiet", "--limit", "20", "--summary-file", "summary.json"]);
    let summary = support::read_json(&directory.path().join("summary.json"));
    let setting = summary["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == "COSMOS_DB_AUTH_KEY");
    let vault = emulator.ready["key_vault"]["url"].as_str().unwrap();
    let source = setting.unwrap()["source"].as_str().unwrap();
    assert!(source.contains(&format!(", which refers to {vault}secrets/cosmos-db-auth-key/")), "{source}");
    assert!(txgen(&["verify", "--summary", "summary.json"]).contains("Every row is there"));
    let (message, _) = emulator.end();
    // Two secrets for each of check, dry run and run; verify reads how to listen, too.
    assert_eq!(message["key_vault"]["secrets_read"], 2 * 3 + 3, "{message}");
}
