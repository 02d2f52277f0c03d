//! The smoke test, with each client: `txgen run --only-cosmos --limit 2000`, then every one of the 2,000 documents is read back.
//!
//! It runs against txgen's own Cosmos DB emulator, or, where `TXGEN_SMOKE_COSMOS_DB_ENDPOINT` and
//! `TXGEN_SMOKE_COSMOS_DB_AUTH_KEY` are set, against the service they name: CI sets them to Microsoft's emulator. They
//! are not the names that txgen itself reads, so that no test ever writes into somebody's account by accident.

use crate::support;
use azure_core::credentials::Secret;
use azure_data_cosmos::clients::ContainerClient;
use azure_data_cosmos::options::{BinaryEncodingOptions, Region};
use azure_data_cosmos::{AccountEndpoint, AccountReference, CosmosClient, RoutingStrategy};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use txgen::identity::RunId;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

const DOCUMENTS: u64 = 2000;
/// The workshop's 60 days.
const TTL: u64 = 5_184_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_transactions_arrive_as_two_thousand_documents() {
    arrive_with("native").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_transactions_arrive_as_two_thousand_documents_with_azures_client() {
    arrive_with("sdk").await;
}

async fn arrive_with(client: &str) {
    let (endpoint, key, _emulator) = target().await;
    let directory = tempfile::tempdir().unwrap();
    let summary_file = directory.path().join("summary.json");
    let mut command = support::txgen(directory.path());
    command
        .args(["run", "--only-cosmos", "--limit", "2000", "--quiet", "--cosmos-client", client, "--data"])
        .arg(support::shipped_data())
        .arg("--summary-file")
        .arg(&summary_file)
        .env("COSMOS_DB_ENDPOINT", &endpoint)
        .env("COSMOS_DB_AUTH_KEY", &key);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}{}", support::stdout(&output), support::stderr(&output));

    let summary = support::read_json(&summary_file);
    assert_eq!(summary["services"]["cosmos_db"]["succeeded"], DOCUMENTS);
    let run: RunId = summary["run_id"].as_str().unwrap().parse().unwrap();
    let container = container(&endpoint, &key).await;
    let documents: Vec<Value> = stream::iter((1..=DOCUMENTS).zip(country_codes()))
        .map(|(row, country)| {
            let container = container.clone();
            async move {
                let id = run.transaction_id(row).to_string();
                let found = container.read_item(country, &id, None).await?;
                found.into_model::<Value>()
            }
        })
        .buffer_unordered(16)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(documents.len() as u64, DOCUMENTS);
    assert!(documents.iter().all(|document| document["ttl"] == TTL));
}

/// The service to test against, and the emulator behind it if it is our own.
async fn target() -> (String, String, Option<CosmosEmulator>) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = (variable("TXGEN_SMOKE_COSMOS_DB_ENDPOINT"), variable("TXGEN_SMOKE_COSMOS_DB_AUTH_KEY"));
    if let (Some(endpoint), Some(key)) = named {
        return (endpoint, key, None);
    }
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    (emulator.endpoint().to_string(), emulator.key().secret().to_owned(), Some(emulator))
}

async fn container(endpoint: &str, key: &str) -> ContainerClient {
    let endpoint: AccountEndpoint = endpoint.parse().unwrap();
    let account = AccountReference::with_authentication_key(endpoint, Secret::new(key.to_owned()));
    let client = CosmosClient::builder()
        .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false))
        .build(account, RoutingStrategy::ProximityTo(Region::EAST_US))
        .await
        .unwrap();
    client.database_client("Woodgrove").container_client("transactions", None).await.unwrap()
}

/// ipCountryCode of each row of the shipped data, which has no unreadable rows.
fn country_codes() -> Vec<String> {
    let mut reader = csv::Reader::from_path(support::shipped_data()).unwrap();
    let column = reader.headers().unwrap().iter().position(|name| name == "ipCountryCode").unwrap();
    reader.records().map(|record| record.unwrap()[column].to_owned()).collect()
}
