//! What a service answers is read whole and named for what it is, in the same words at connecting and in mid-run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

use crate::support;
use crate::support::proxy::Proxy;
use crate::support::scripted::{self, Answer};

const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
const FIREWALL: &str = "Request originated from IP 203.0.113.7 through public internet. This is blocked by your Cosmos DB account \
                        firewall settings.";
const DISABLED: &str = "LocalAuthDisabled: Authorization failed because SAS authentication has been disabled for the namespace. \
                        TrackingId:1_G4, SystemTracker:NoSystemTracker, Timestamp:2025-01-01T00:00:00";

/// Runs it off the threads that the scripted services need.
async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", support::stdout(output), support::stderr(output))
}

fn txgen(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(arguments).env("COSMOS_DB_AUTH_KEY", KEY);
    command
}

/// What `check` and `run` say of an account at this address; both end with exit code 3.
async fn refusals(address: SocketAddr) -> [String; 2] {
    let directory = TempDir::new().unwrap();
    let mut said_by = [String::new(), String::new()];
    let run = ["run", "--only-cosmos", "--limit", "1"];
    for (said_by, arguments) in said_by.iter_mut().zip([&["check", "--only-cosmos"][..], &run[..]]) {
        let mut command = txgen(directory.path(), arguments);
        command.env("COSMOS_DB_ENDPOINT", format!("http://{address}/"));
        let output = output(command).await;
        *said_by = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said_by}");
        assert!(!said_by.contains(KEY), "{said_by}");
    }
    said_by
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_answers_at_connecting_is_read_whole() {
    for (answer, parts) in [
        (
            Answer::new(403, 0, FIREWALL),
            &[
                "keeps this machine (203.0.113.7) out (403, Request originated from IP",
                "under Networking of the account",
            ][..],
        ),
        (
            Answer::new(401, 5202, "Local Authorization is disabled. Use an AAD token to authorize all requests."),
            &["account keys are switched off for this account; leave COSMOS_DB_AUTH_KEY empty"],
        ),
        (
            Answer::new(401, 0, "The input authorization token can't serve the request."),
            &["refused COSMOS_DB_AUTH_KEY (401); copy PRIMARY KEY"],
        ),
        (
            Answer::new(403, 1008, "The database account does not exist."),
            &["(403/1008, The database account does not exist.)", "offline, moved or deleted"],
        ),
        (Answer::new(404, 0, "nothing here"), &["does not answer like Cosmos DB (404); check COSMOS_DB_ENDPOINT"]),
    ] {
        let address = scripted::always(answer).await;
        for said in refusals(address).await {
            for part in parts {
                assert!(said.contains(part), "not `{part}` in: {said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_reported_by_how_much_and_in_which_direction() {
    for (hours_ahead, direction) in [(1, "slow"), (-2, "fast")] {
        let service = OffsetDateTime::from(SystemTime::now()) + Duration::hours(hours_ahead);
        let date = Some(azure_core::time::to_rfc7231(&service));
        let refused = Answer::new(403, 0, "The authorization token is not valid at the current time.");
        let address = scripted::always(Answer { date, ..refused }).await;
        for said in refusals(address).await {
            let (_, rest) = said.split_once("this machine's clock is ").unwrap_or_else(|| panic!("{said}"));
            let (seconds, rest) = rest.split_once(" s ").unwrap();
            let off = seconds.parse::<i64>().unwrap() - hours_ahead.abs() * 3_600;
            assert!(off.abs() < 120 && rest.starts_with(direction), "{said}");
            assert!(said.contains("set this machine's clock") && !said.contains("copy PRIMARY KEY"), "{said}");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_clock_is_off_is_named_by_both_services() {
    let Some(library) = support::faketime() else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let hub = event_hubs.connection_string("Sender", "transactions").unwrap();
    let directory = TempDir::new().unwrap();
    for (offset, seconds, direction) in [("-2h", 7_200, "slow"), ("+20m", 1_200, "fast")] {
        let mut command = txgen(directory.path(), &["check"]);
        command
            .env("EVENT_HUB_1_CONNECTION_STRING", hub.secret())
            .env("COSMOS_DB_ENDPOINT", cosmos_db.endpoint().to_string())
            .env("COSMOS_DB_AUTH_KEY", cosmos_db.key().secret())
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let output = output(command).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        let (_, of_cosmos_db) = said.split_once("/: this machine's clock is ").unwrap_or_else(|| panic!("{said}"));
        let (off, rest) = of_cosmos_db.split_once(" s ").unwrap();
        assert!((off.parse::<i64>().unwrap() - seconds).abs() < 60 && rest.starts_with(direction), "{said}");
        // A signature for an event hub is good for an hour: a clock that is fast does no harm there.
        let of_event_hubs = "this machine's clock is slow by 3600 s or more (1h)";
        assert_eq!(said.contains(of_event_hubs), direction == "slow", "{said}");
        assert!(said.contains("set this machine's clock, best from a time server"), "{said}");
        assert!(!said.contains("check SharedAccessKeyName") && !said.contains("copy PRIMARY KEY"), "{said}");
    }
}

/// A run of a few transactions against a local Cosmos DB of which some requests are answered by `rule`: its exit code,
/// what it said, and what its summary says of Cosmos DB.
async fn run_before(
    rule: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
) -> (Option<i32>, String, Value) {
    run_as(|_, _| (), rule).await
}

/// The same with another credential than the account's key, which `sign_in` puts in its place.
async fn run_as(
    sign_in: impl Fn(&mut Command, &Path),
    rule: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
) -> (Option<i32>, String, Value) {
    let options = CosmosEmulatorOptions { allow_entra_id: true, ..CosmosEmulatorOptions::default() };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    let upstream = emulator.endpoint().socket_addrs(|| None).unwrap()[0];
    let address = scripted::before(upstream, rule).await;
    let directory = TempDir::new().unwrap();
    // One attempt, with its full time: Azure's client looks for another region for some seconds before it gives up.
    let arguments =
        ["run", "--only-cosmos", "--limit", "4", "--retry-for", "0s", "--quiet", "--summary-file", "summary.json"];
    let mut command = txgen(directory.path(), &arguments);
    command.arg("--data").arg(support::shipped_data());
    command.env("COSMOS_DB_ENDPOINT", format!("http://{address}/")).env("COSMOS_DB_AUTH_KEY", emulator.key().secret());
    sign_in(&mut command, directory.path());
    let output = output(command).await;
    let summary = std::fs::read(directory.path().join("summary.json")).unwrap_or_default();
    let summary: Value = serde_json::from_slice(&summary).unwrap_or_default();
    (output.status.code(), said(&output), summary["services"]["cosmos_db"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_refuses_writes_in_mid_run_has_stored_nothing_and_says_why() {
    for (status, substatus, message, kind, remedy) in [
        (403, 1014, "Partition key reached maximum size of 20 GB.", "partition_full", "holds 20 GB at most"),
        (403, 3, "The requested operation cannot be performed at this region", "read_only_region", "takes no writes"),
        (403, 0, FIREWALL, "network_blocked", "under Networking of the account"),
        (401, 5202, "Local Authorization is disabled.", "keys_disabled", "leave COSMOS_DB_AUTH_KEY empty"),
        (403, 0, "The authorization token is not valid at the current time.", "clock_skew", "set this machine's clock"),
        (403, 1028, "The total throughput is limited.", "quota_exceeded", "quota of the account"),
    ] {
        let answer = Answer::new(status, substatus, message);
        let is_create = |method: &str, path: &str| method == "POST" && path.ends_with("/docs");
        let (code, said, totals) =
            run_before(move |method, path| is_create(method, path).then(|| answer.clone())).await;
        assert_eq!(code, Some(1), "{status}/{substatus}: {said}");
        assert_eq!(totals["failures"][kind], 4, "{status}/{substatus}: {totals} {said}");
        assert_eq!(totals["ambiguous"], 0, "{status}/{substatus}: {totals}");
        assert!(said.contains(remedy) && !said.contains("may have been stored"), "{status}/{substatus}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_account_with_too_many_shared_databases_the_ones_to_take_are_named() {
    let message = "Shared offer Database create is forbidden as count of shared offer database has exceeded 5.";
    let answer = Answer::new(400, 1020, message);
    let (code, said, _) =
        run_before(move |method, path| (method == "POST" && path == "/dbs").then(|| answer.clone())).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("(400/1020, Shared offer Database create") && said.contains("--database"), "{said}");
    assert!(!said.contains("try fewer RU/s"), "{said}");
}

/// What the services say to a token of another tenant, and to an identity without a role; and what txgen says then.
#[cfg(unix)]
const ENTRA_ID: [(u16, u32, &str, &str); 2] = [
    (
        401,
        0,
        "The token's issuer is not trusted by this account.",
        "sign in to the account's own tenant (`az login --tenant",
    ),
    (
        403,
        5300,
        "Request blocked by Auth account : cannot be authorized by AAD token in data plane.",
        "az cosmosdb sql role assignment create",
    ),
];

/// Takes the key away, and makes the token come from an `az` of somebody who has signed in.
#[cfg(unix)]
fn with_entra_id(command: &mut Command, directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let az = directory.join("az");
    std::fs::write(
        &az,
        "#!/bin/sh\necho '{\"accessToken\": \"hush\", \"expires_on\": 4102444800, \"tokenType\": \"Bearer\"}'\n",
    )
    .unwrap();
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.display());
    command.env_remove("COSMOS_DB_AUTH_KEY").env("PATH", path).env("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_and_a_missing_role_at_cosmos_db_are_distinguished_at_connecting_and_in_mid_run() {
    for (status, substatus, message, remedy) in ENTRA_ID {
        let answer = Answer::new(status, substatus, message);
        let address = scripted::always(answer.clone()).await;
        let directory = TempDir::new().unwrap();
        for arguments in [&["check", "--only-cosmos"][..], &["run", "--only-cosmos", "--limit", "1"]] {
            let mut command = txgen(directory.path(), arguments);
            command.env("COSMOS_DB_ENDPOINT", format!("http://{address}/"));
            with_entra_id(&mut command, directory.path());
            let output = output(command).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(3), "{said}");
            assert!(said.contains(remedy) && !said.contains("hush"), "{said}");
        }
        let is_create = |method: &str, path: &str| method == "POST" && path.ends_with("/docs");
        let (code, said, totals) =
            run_as(with_entra_id, move |method, path| is_create(method, path).then(|| answer.clone())).await;
        assert_eq!((code, &totals["failures"]["unauthorized"]), (Some(1), &4.into()), "{totals} {said}");
        assert!(said.contains(remedy), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_and_a_missing_role_at_event_hubs_are_distinguished_at_connecting_and_in_mid_run() {
    for (description, remedy) in [
        (
            "InvalidIssuer: Token issuer is invalid. TrackingId:1_G4",
            "sign in to the namespace's own tenant (`az login --tenant TENANT`, or AZURE_TENANT_ID)",
        ),
        (
            "Unauthorized access. 'Send' claim(s) are required to perform this operation.",
            "give the identity the role Azure Event Hubs Data Sender on the namespace",
        ),
    ] {
        let refusing = scripted::cbs(401, description).await;
        let without_key =
            |port: u16| format!("Endpoint=sb://127.0.0.1:{port};EntityPath=transactions;UseDevelopmentEmulator=true");
        let directory = TempDir::new().unwrap();
        for arguments in [&["check", "--only-event-hubs"][..], &["run", "--only-event-hubs", "--limit", "1"]] {
            let mut command = txgen(directory.path(), arguments);
            command.env("EVENT_HUB_1_CONNECTION_STRING", without_key(refusing.port()));
            let output = output(command).await;
            assert_eq!(output.status.code(), Some(3), "{}", said(&output));
            assert!(said(&output).contains(remedy), "{}", said(&output));
        }
        let (said, totals) = refused_in_mid_run(refusing, |port, _| without_key(port)).await;
        assert_eq!(totals["failures"]["unauthorized"], totals["failed"], "{totals} {said}");
        assert!(said.contains(remedy), "{said}");
    }
}

fn hub(address: SocketAddr) -> String {
    format!(
        "Endpoint=sb://{address};SharedAccessKeyName=Sender;SharedAccessKey={KEY};EntityPath=transactions;\
         UseDevelopmentEmulator=true"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_namespace_answers_to_a_token_is_named_for_what_it_is() {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let ahead = (OffsetDateTime::from(SystemTime::now()) + Duration::hours(2)).format(FORMAT).unwrap();
    let expired = format!("ExpiredToken: The token is expired. TrackingId:1_G4, Timestamp:{ahead}");
    for (status, description, parts) in [
        (401, DISABLED, &["keys are switched off for this namespace", "so that Microsoft Entra ID is used"][..]),
        (401, "Ip has been prevented to connect to the endpoint.", &["under Networking of the namespace"]),
        (401, &expired, &["this machine's clock is 7", " s slow (", "set this machine's clock"]),
        (401, "ExpiredToken: The token is expired.", &["clock is slow by 3600 s or more", "set this machine's clock"]),
        (
            401,
            "InvalidSignature: The token has an invalid signature.",
            &["check SharedAccessKeyName and SharedAccessKey"],
        ),
    ] {
        let directory = TempDir::new().unwrap();
        let address = scripted::cbs(status, description).await;
        for arguments in [&["check", "--only-event-hubs"][..], &["run", "--only-event-hubs", "--limit", "1"]] {
            let mut command = txgen(directory.path(), arguments);
            command.env("EVENT_HUB_1_CONNECTION_STRING", hub(address));
            let output = output(command).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(3), "{said}");
            for part in parts {
                assert!(said.contains(part), "not `{part}` in: {said}");
            }
            assert!(!said.contains(KEY), "{said}");
        }
    }
}

/// A run whose connections lead to a namespace that refuses tokens, once it has sent a few events: what it says, and what its
/// summary says. `connection_string` is given the port to connect to, and that of the emulator.
async fn refused_in_mid_run(
    refusing: SocketAddr,
    connection_string: impl Fn(u16, &EventHubsEmulator) -> String,
) -> (String, Value) {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let proxy = Proxy::to(emulator.local_addr()).await;
    let directory = TempDir::new().unwrap();
    let arguments = ["run", "--only-event-hubs", "--rate", "50", "--limit", "100", "--summary-file", "summary.json"];
    let mut command = txgen(directory.path(), &arguments);
    let through = connection_string(proxy.port(), &emulator);
    command.arg("--data").arg(support::shipped_data()).env("EVENT_HUB_1_CONNECTION_STRING", through);
    let running = tokio::spawn(output(command));
    while emulator.counts().events() < 10 {
        tokio::task::yield_now().await;
    }
    proxy.redirect(refusing);
    proxy.cut_all();
    let output = running.await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let summary = support::read_json(&directory.path().join("summary.json"));
    (said(&output), summary["services"]["event_hubs"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_switched_off_in_mid_run_are_named_as_at_connecting() {
    let refusing = scripted::cbs(401, DISABLED).await;
    let (said, totals) = refused_in_mid_run(refusing, |port, emulator| {
        let direct = emulator.connection_string("Sender", "transactions").unwrap();
        direct.secret().replace(&format!(":{}", emulator.local_addr().port()), &format!(":{port}"))
    })
    .await;
    assert_eq!(totals["failures"]["keys_disabled"], totals["failed"], "{totals} {said}");
    assert!(said.contains("keys are switched off for this namespace"), "{said}");
}
