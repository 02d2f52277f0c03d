//! The Cosmos DB emulator under Azure's own client for Rust, with the client's default settings.

use azure_data_cosmos::clients::ContainerClient;
use azure_data_cosmos::feed::FeedScope;
use azure_data_cosmos::models::{ContainerProperties, PartitionKeyDefinition, ThroughputProperties, TimeToLive};
use azure_data_cosmos::options::{
    ChangeFeedStartFrom, ConnectionPoolOptions, ContentResponseOnWrite, CreateContainerOptions, ItemWriteOptions,
    OperationOptions, Precondition, ServerCertificateValidation,
};
use azure_data_cosmos::{AccountReference, CosmosClient, CosmosRuntime, Query, RoutingStrategy};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

async fn client(emulator: &CosmosEmulator, key: &str) -> azure_data_cosmos::Result<CosmosClient> {
    let endpoint = emulator.endpoint().as_str().parse().unwrap();
    let account = AccountReference::with_authentication_key(endpoint, key.to_owned());
    CosmosClient::builder().build(account, RoutingStrategy::ProximityTo("Local".into())).await
}

/// An emulator, a client, and the container `t` of the database `d` with this throughput (RU/s).
async fn container(throughput: ThroughputProperties) -> (CosmosEmulator, CosmosClient, ContainerClient) {
    let options = CosmosEmulatorOptions { enforce_throughput: false, ..CosmosEmulatorOptions::default() };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    let client = client(&emulator, emulator.key().secret()).await.unwrap();
    client.create_database("d", None).await.unwrap();
    let key = PartitionKeyDefinition::from("/country");
    let properties = ContainerProperties::new("t", key).with_default_ttl(TimeToLive::Forever);
    let options = CreateContainerOptions::default().with_throughput(throughput);
    let database = client.database_client("d");
    database.create_container(properties, Some(options)).await.unwrap();
    let container = database.container_client("t", None).await.unwrap();
    (emulator, client, container)
}

async fn fill(container: &ContainerClient, count: usize) {
    for n in 0..count {
        let country = ["us", "gb", "fr", "de"][n % 4];
        let document = json!({ "id": format!("id{n:03}"), "country": country, "n": n });
        container.create_item(country, &format!("id{n:03}"), document, None).await.unwrap();
    }
}

async fn query(container: &ContainerClient, query: impl Into<Query>, scope: FeedScope) -> Vec<Value> {
    container.query_items::<Value>(query, scope, None).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn documents_are_created_read_replaced_and_deleted() {
    let (emulator, _client, container) = container(ThroughputProperties::manual(400)).await;
    let mut document = json!({ "id": "a", "country": "us", "n": 1.5, "ttl": 60 });
    let created = container.create_item("us", "a", &document, None).await.unwrap();
    assert!(created.headers().request_charge().unwrap().value() > 5.8);
    let etag = created.headers().etag().unwrap().clone();
    let conflict = container.create_item("us", "a", &document, None).await.unwrap_err();
    assert_eq!(u16::from(conflict.status().status_code()), 409);

    let read: Value = container.read_item("us", "a", None).await.unwrap().into_model().unwrap();
    assert_eq!((&read["n"], &read["ttl"]), (&json!(1.5), &json!(60)));

    document["n"] = json!(2);
    let mut operation = OperationOptions::default();
    operation.content_response_on_write = Some(ContentResponseOnWrite::Enabled);
    let options = ItemWriteOptions::default()
        .with_operation_options(operation)
        .with_precondition(Precondition::if_match(etag.clone()));
    let replaced = container.replace_item("us", "a", &document, Some(options)).await.unwrap();
    assert_eq!(replaced.into_model::<Value>().unwrap()["n"], 2);
    let options = ItemWriteOptions::default().with_precondition(Precondition::if_match(etag));
    let stale = container.replace_item("us", "a", &document, Some(options)).await.unwrap_err();
    assert_eq!(u16::from(stale.status().status_code()), 412);

    container.upsert_item("us", "b", json!({ "id": "b", "country": "us" }), None).await.unwrap();
    container.delete_item("us", "a", None).await.unwrap();
    let gone = container.read_item("us", "a", None).await.unwrap_err();
    assert_eq!(u16::from(gone.status().status_code()), 404);
    assert_eq!(emulator.counts().documents, 1);
}

#[tokio::test]
async fn queries_reach_every_partition() {
    let (_emulator, _client, container) = container(ThroughputProperties::manual(25_000)).await;
    fill(&container, 60).await;
    assert_eq!(container.read_feed_ranges(None).await.unwrap().len(), 5);

    let all = query(&container, "SELECT * FROM c", FeedScope::full_container()).await;
    assert_eq!(all.len(), 60);
    let us = query(&container, "SELECT VALUE COUNT(1) FROM c", FeedScope::partition("us")).await;
    assert_eq!(us, [json!(15)]);
    let few = Query::from("SELECT c.id, c.n FROM c WHERE c.country = @country AND c.n < 10")
        .with_parameter("@country", "gb")
        .unwrap();
    let few = query(&container, few, FeedScope::full_container()).await;
    assert_eq!(
        few,
        [json!({ "id": "id001", "n": 1 }), json!({ "id": "id005", "n": 5 }), json!({ "id": "id009", "n": 9 })]
    );
}

#[tokio::test]
async fn sorted_queries_are_merged_over_partitions() {
    let (_emulator, _client, container) = container(ThroughputProperties::manual(25_000)).await;
    fill(&container, 60).await;
    let whole = FeedScope::full_container;
    let sorted = query(&container, "SELECT VALUE c.n FROM c ORDER BY c.n DESC", whole()).await;
    assert_eq!(sorted, (0..60).rev().map(Value::from).collect::<Vec<_>>());
    let window = query(&container, "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 7 LIMIT 4", whole()).await;
    assert_eq!(window, [json!(7), json!(8), json!(9), json!(10)]);
    let top = query(&container, "SELECT TOP 3 c.id FROM c WHERE c.n > 20 ORDER BY c.n", whole()).await;
    assert_eq!(top, [json!({ "id": "id021" }), json!({ "id": "id022" }), json!({ "id": "id023" })]);
}

#[tokio::test]
async fn the_change_feed_delivers_every_document() {
    let (_emulator, _client, container) = container(ThroughputProperties::manual(15_000)).await;
    fill(&container, 40).await;
    let scope = FeedScope::full_container();
    let mut feed = container.query_change_feed::<Value>(scope, ChangeFeedStartFrom::Beginning, None).await.unwrap();
    let mut seen = Vec::new();
    let mut quiet = 0;
    while quiet < 3 {
        let page = feed.next().await.unwrap().unwrap();
        quiet = if page.items().is_empty() { quiet + 1 } else { 0 };
        seen.extend(page.into_items().into_iter().map(|item| item.current().unwrap()["n"].as_u64().unwrap()));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn throughput_is_read_and_replaced() {
    let (_emulator, _client, container) = container(ThroughputProperties::manual(400)).await;
    assert_eq!(container.read_throughput(None).await.unwrap().unwrap().throughput(), Some(400));
    let replacing = container.begin_replace_throughput(ThroughputProperties::manual(12_000), None).await.unwrap();
    replacing.await.unwrap();
    assert_eq!(container.read_throughput(None).await.unwrap().unwrap().throughput(), Some(12_000));
}

#[tokio::test]
async fn a_client_follows_a_split() {
    let (_emulator, _client, container) = container(ThroughputProperties::manual(400)).await;
    fill(&container, 20).await;
    assert_eq!(query(&container, "SELECT * FROM c", FeedScope::full_container()).await.len(), 20);
    container.begin_replace_throughput(ThroughputProperties::manual(25_000), None).await.unwrap().await.unwrap();
    assert_eq!(query(&container, "SELECT * FROM c", FeedScope::full_container()).await.len(), 20);
    let sorted = query(&container, "SELECT VALUE c.n FROM c ORDER BY c.n", FeedScope::full_container()).await;
    assert_eq!(sorted, (0..20).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_container_that_was_created_anew_is_found_again() {
    let (emulator, client, container) = container(ThroughputProperties::manual(400)).await;
    fill(&container, 4).await;
    let database = client.database_client("d");
    container.delete(None).await.unwrap();
    let properties = ContainerProperties::new("t", PartitionKeyDefinition::from("/country"));
    database.create_container(properties, None).await.unwrap();
    container.create_item("us", "new", json!({ "id": "new", "country": "us" }), None).await.unwrap();
    assert_eq!(emulator.counts().documents, 1);
}

#[tokio::test]
async fn databases_are_listed_and_deleted() {
    let (emulator, client, _container) = container(ThroughputProperties::autoscale(4000, None)).await;
    client.create_database("e", None).await.unwrap();
    let found: Vec<_> = client.query_databases("SELECT * FROM dbs", None).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 2);
    client.database_client("e").delete(None).await.unwrap();
    assert_eq!(emulator.counts().databases, 1);
    assert_eq!(client.database_client("d").read_throughput(None).await.unwrap().map(|t| t.throughput()), None);
}

#[tokio::test]
async fn https_works_for_who_does_not_ask_for_a_trusted_certificate() {
    let options = CosmosEmulatorOptions { https: true, ..CosmosEmulatorOptions::default() };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    assert!(emulator.certificate().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    let pool = ConnectionPoolOptions::builder()
        .with_server_certificate_validation(ServerCertificateValidation::RequiredUnlessEmulator)
        .build()
        .unwrap();
    let runtime = CosmosRuntime::builder().with_connection_pool(pool).build().await.unwrap();
    let endpoint = emulator.endpoint().as_str().parse().unwrap();
    let account = AccountReference::with_authentication_key(endpoint, emulator.key().clone());
    let builder = CosmosClient::builder().with_runtime(runtime);
    let client = builder.build(account, RoutingStrategy::ProximityTo("Local".into())).await.unwrap();
    client.create_database("d", None).await.unwrap();
    assert_eq!(emulator.counts().databases, 1);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let (emulator, _client, _container) = container(ThroughputProperties::manual(400)).await;
    let status = match client(&emulator, "d3Jvbmc=").await {
        Err(error) => error.status().status_code(),
        Ok(client) => client.create_database("e", None).await.unwrap_err().status().status_code(),
    };
    assert_eq!(u16::from(status), 401);
}
