//! Throughput: partitions, 429, offers.

use std::time::Duration;

use serde_json::{Value, json};
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

use super::client::{Client, Reply};

async fn emulator(throughput: u32) -> (CosmosEmulator, Client) {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.create_container(throughput).await;
    (emulator, client)
}

/// Creates large documents, of several hundred RU each, until one is throttled; returns how many were created before.
async fn create_until_throttled(client: &mut Client, emulator: &CosmosEmulator, key: &str) -> (usize, Reply) {
    for count in 0.. {
        let id = format!("{key}-{}", emulator.counts().created);
        let reply = client.create(&json!({ "id": id, "pk": key, "x": "x".repeat(60_000) })).await;
        match reply.status {
            201 => {}
            429 => return (count, reply),
            _ => panic!("{reply:?}"),
        }
    }
    unreachable!("the loop has no end")
}

#[tokio::test]
async fn a_client_that_asks_for_too_much_learns_when_to_come_back() {
    let (emulator, mut client) = emulator(400).await;
    let (_, throttled) = create_until_throttled(&mut client, &emulator, "us").await;
    assert_eq!((throttled.substatus(), throttled.json()["code"].as_str()), ("3200", Some("429")));
    let wait: u64 = throttled.header("x-ms-retry-after-ms").unwrap().parse().unwrap();
    assert!(wait > 0);
    emulator.skip_time(Duration::from_millis(wait)).await;
    assert_eq!(client.create(&json!({ "id": "later", "pk": "us" })).await.status, 201);
    assert_eq!(emulator.counts().throttled, 1);
}

#[tokio::test]
async fn a_hot_key_exhausts_its_own_partition_only() {
    let (emulator, mut client) = emulator(12_000).await;
    let ranges = ranges(&mut client).await;
    assert_eq!(ranges.len(), 2);
    // Keys on both sides, found by asking where they are.
    let mut home = async |key: &str| {
        let reply = client.create(&json!({ "id": "probe", "pk": key })).await;
        reply.header("x-ms-session-token").unwrap().split(':').next().unwrap().to_owned()
    };
    let hot = home("us").await;
    let mut other = None;
    for key in ["gb", "ca", "au", "fr", "de", "br", "jp"] {
        if home(key).await != hot {
            other = Some(key);
        }
    }
    create_until_throttled(&mut client, &emulator, "us").await;
    assert_eq!(client.create(&json!({ "id": "cool", "pk": other.unwrap() })).await.status, 201);
    assert_eq!(client.create(&json!({ "id": "hot", "pk": "us" })).await.status, 429);
}

#[tokio::test]
async fn containers_of_a_database_share_its_throughput() {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.send("POST", "/dbs", &[("x-ms-offer-throughput", "400")], r#"{"id":"d"}"#).await;
    for id in ["c", "e"] {
        let definition = format!(r#"{{"id":"{id}","partitionKey":{{"paths":["/pk"]}}}}"#);
        assert_eq!(client.send("POST", "/dbs/d/colls", &[], &definition).await.status, 201);
    }
    assert_eq!(client.send("GET", "/offers", &[], "").await.json()["_count"], 1);
    create_until_throttled(&mut client, &emulator, "us").await;
    let headers = [("x-ms-documentdb-partitionkey", "[\"us\"]")];
    let reply = client.send("POST", "/dbs/d/colls/e/docs", &headers, r#"{"id":"a","pk":"us"}"#).await;
    assert_eq!(reply.status, 429);
}

#[tokio::test]
async fn a_replaced_throughput_is_in_force_from_the_next_second() {
    let (emulator, mut client) = emulator(400).await;
    let (before, _) = create_until_throttled(&mut client, &emulator, "us").await;
    let container = client.send("GET", "/dbs/d/colls/c", &[], "").await.json();
    let query = json!({
        "query": "SELECT * FROM root r WHERE r.offerResourceId = @rid",
        "parameters": [{ "name": "@rid", "value": container["_rid"] }],
    });
    let found = client.send("POST", "/offers", &[("x-ms-documentdb-isquery", "True")], &query.to_string()).await.json();
    let mut offer = found["Offers"][0].clone();
    assert_eq!(offer["content"]["offerThroughput"], 400);
    assert_eq!(offer["resource"], container["_self"]);
    offer["content"]["offerThroughput"] = json!(10_000);
    let path = format!("/offers/{}", offer["id"].as_str().unwrap());
    assert_eq!(client.send("PUT", &path, &[], &offer.to_string()).await.status, 200);
    assert_eq!(client.send("GET", &path, &[], "").await.json()["content"]["offerThroughput"], 10_000);
    emulator.skip_time(Duration::from_secs(10)).await;
    let (after, _) = create_until_throttled(&mut client, &emulator, "us").await;
    assert!(after > 5 * before, "{before} before, {after} after");
}

#[tokio::test]
async fn autoscale_is_an_offer_too() {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    let settings = [("x-ms-cosmos-offer-autopilot-settings", r#"{"maxThroughput":4000}"#)];
    client.send("POST", "/dbs", &settings, r#"{"id":"d"}"#).await;
    let offers = client.send("GET", "/offers/", &[], "").await.json();
    let mut offer = offers["Offers"][0].clone();
    assert_eq!(offer["content"]["offerAutopilotSettings"]["maxThroughput"], 4000);
    let path = format!("/offers/{}", offer["id"].as_str().unwrap());
    offer["content"]["offerAutopilotSettings"]["maxThroughput"] = json!(1500);
    assert_eq!(client.send("PUT", &path, &[], &offer.to_string()).await.status, 400);
    for nothing in ["{}", r#"{"content":5}"#, r#"{"content":{"offerAutopilotSettings":{}}}"#] {
        assert_eq!(client.send("PUT", &path, &[], nothing).await.status, 400, "{nothing}");
    }
    assert_eq!(client.send("POST", "/dbs", &[("x-ms-offer-throughput", "1")], r#"{"id":"e"}"#).await.status, 400);
}

async fn ranges(client: &mut Client) -> Vec<Value> {
    let reply = client.send("GET", "/dbs/d/colls/c/pkranges", &[], "").await.json();
    reply["PartitionKeyRanges"].as_array().unwrap().clone()
}

#[tokio::test]
async fn ranges_that_a_client_has_already_are_not_sent_again() {
    let (_emulator, mut client) = emulator(12_000).await;
    let path = "/dbs/d/colls/c/pkranges/";
    let reply = client.send("GET", path, &[("a-im", "Incremental Feed")], "").await;
    let etag = reply.header("etag").unwrap().to_owned();
    let bounds = |range: &Value| [range["minInclusive"].clone(), range["maxExclusive"].clone()];
    assert_eq!(
        reply.json()["PartitionKeyRanges"].as_array().unwrap().iter().map(bounds).collect::<Vec<_>>(),
        [["", "20000000000000000000000000000000"], ["20000000000000000000000000000000", "FF"]]
    );
    let again = client.send("GET", path, &[("a-im", "Incremental Feed"), ("if-none-match", &etag)], "").await;
    assert_eq!((again.status, again.header("etag")), (304, Some(etag.as_str())));
}

#[tokio::test]
async fn partitions_split_and_old_ranges_are_gone() {
    let (_emulator, mut client) = emulator(400).await;
    client.create(&json!({ "id": "a", "pk": "us" })).await;
    let offers = client.send("GET", "/offers", &[], "").await.json();
    let mut offer = offers["Offers"][0].clone();
    offer["content"]["offerThroughput"] = json!(20_000);
    let path = format!("/offers/{}", offer["id"].as_str().unwrap());
    client.send("PUT", &path, &[], &offer.to_string()).await;
    let ranges = ranges(&mut client).await;
    let ids: Vec<_> = ranges.iter().map(|range| range["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(ranges[0]["parents"], json!(["0"]));
    let in_range = |id| [("x-ms-documentdb-partitionkeyrangeid", id)];
    let gone = client.query_page("SELECT * FROM c", &in_range("0")).await;
    assert_eq!((gone.status, gone.substatus()), (410, "1002"));
    let first = client.query("SELECT * FROM c", &in_range("1")).await;
    let second = client.query("SELECT * FROM c", &in_range("2")).await;
    assert_eq!(first.len() + second.len(), 1);
}
