//! The Cosmos DB emulator over real sockets, byte by byte.

pub(crate) mod client;
mod documents;
mod faults;
mod feeds;
mod hostile;
mod operations;
mod sdk;
mod serve;
mod throughput;

use std::time::{Duration, SystemTime};

use self::client::Client;
use serde_json::json;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

/// An emulator that throttles nothing, with the container `c`, and a connection to it.
async fn emulator() -> (CosmosEmulator, Client) {
    let options = CosmosEmulatorOptions { enforce_throughput: false, ..CosmosEmulatorOptions::default() };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.create_container(400).await;
    (emulator, client)
}

#[tokio::test]
async fn the_account_names_the_endpoint_by_which_the_client_came() {
    let (_emulator, mut client) = emulator().await;
    let account = client.send("GET", "/", &[], "").await.json();
    assert_eq!(account["writableLocations"][0]["databaseAccountEndpoint"], "http://here/");
    assert_eq!(account["userConsistencyPolicy"]["defaultConsistencyLevel"], "Session");
}

#[tokio::test]
async fn who_comes_by_localhost_is_sent_to_127_0_0_1() {
    let (_emulator, mut client) = emulator().await;
    let [token, date] = client.sign("GET", "/", SystemTime::now());
    let headers = [(token.0, token.1.as_str()), (date.0, date.1.as_str())];
    let account = client.send_as_is("GET", "http://localhost:8081/", &headers, "").await.json();
    for locations in ["writableLocations", "readableLocations"] {
        assert_eq!(account[locations][0]["databaseAccountEndpoint"], "http://127.0.0.1:8081/", "{locations}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_the_services_words() {
    let (emulator, _client) = emulator().await;
    let mut stranger = Client::connect_with(&emulator, "d3Jvbmc=").await;
    let reply = stranger.create(&json!({ "id": "a", "pk": "us" })).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["code"], "Unauthorized");
    assert!(reply.json()["message"].as_str().unwrap().contains("The wrong key is being used"));
    let reply = stranger.send_as_is("GET", "/dbs", &[], "").await;
    assert_eq!(reply.status, 401, "the connection goes on after a refusal");
    assert_eq!(emulator.counts().documents, 0);
}

#[tokio::test]
async fn a_signature_of_another_quarter_of_an_hour_is_forbidden() {
    let (_emulator, mut client) = emulator().await;
    let [token, date] = client.sign("GET", "/dbs", SystemTime::now() - Duration::from_secs(3600));
    let reply = client.send_as_is("GET", "/dbs", &[(token.0, &token.1), (date.0, &date.1)], "").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.json()["code"], "Forbidden");
}

#[tokio::test]
async fn databases_and_containers_come_and_go() {
    let (emulator, mut client) = emulator().await;
    assert_eq!(client.send("POST", "/dbs", &[], r#"{"id":"d"}"#).await.status, 409);
    assert_eq!(client.send("GET", "/dbs/none", &[], "").await.status, 404);
    assert_eq!(client.send("GET", "/dbs/d/", &[], "").await.json()["id"], "d");
    assert_eq!(client.send("GET", "/dbs", &[], "").await.json()["_count"], 1);
    assert_eq!(client.send("GET", "/dbs/d/colls/none", &[], "").await.status, 404);
    let reply = client.send("POST", "/dbs/none/colls", &[], "{}").await;
    assert_eq!((reply.status, reply.substatus()), (404, "1003"));
    let reply = client.send("POST", "/dbs/d/colls", &[], r#"{"id":"c","partitionKey":{"paths":["/pk"]}}"#).await;
    assert_eq!(reply.status, 409);
    assert_eq!(client.send("DELETE", "/dbs/d", &[], "").await.status, 204);
    assert_eq!(emulator.counts().containers, 0);
    assert_eq!(client.send("GET", "/dbs/d", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_container_is_kept_as_it_was_sent() {
    let (_emulator, mut client) = emulator().await;
    let policy = json!({ "indexingMode": "consistent", "automatic": true, "includedPaths": [{ "path": "/a/?" }], "excludedPaths": [{ "path": "/*" }] });
    let sent = json!({ "id": "e", "partitionKey": { "paths": ["/a/b"], "kind": "Hash", "version": 2 }, "defaultTtl": 60,
        "indexingPolicy": policy });
    assert_eq!(client.send("POST", "/dbs/d/colls", &[], &sent.to_string()).await.status, 201);
    let read = client.send("GET", "/dbs/d/colls/e", &[], "").await.json();
    for name in ["partitionKey", "defaultTtl", "indexingPolicy"] {
        assert_eq!(read[name], sent[name]);
    }
    let mut changed = read.clone();
    changed["defaultTtl"] = json!(90);
    let replaced = client.send("PUT", "/dbs/d/colls/e", &[], &changed.to_string()).await;
    assert_eq!(replaced.json()["defaultTtl"], 90);
    assert_ne!(replaced.json()["_etag"], read["_etag"]);
    changed["partitionKey"]["paths"] = json!(["/other"]);
    assert_eq!(client.send("PUT", "/dbs/d/colls/e", &[], &changed.to_string()).await.status, 400);
}

#[tokio::test]
async fn what_a_container_cannot_be_is_reported() {
    let (_emulator, mut client) = emulator().await;
    for (definition, word) in [
        (r#"{"partitionKey":{"paths":["/a"]}}"#, "name"),
        (r#"{"id":"x"}"#, "partitionKey"),
        (r#"{"id":"x","partitionKey":{"paths":["/a","/b"],"kind":"Hash","version":2}}"#, "kind"),
        (r#"{"id":"x","partitionKey":{"paths":["/a"],"version":3}}"#, "version"),
        (r#"{"id":"x","partitionKey":{"paths":["/a"]},"defaultTtl":0}"#, "defaultTtl"),
        (r#"{"id":"x","partitionKey":{"paths":["/a"]},"uniqueKeyPolicy":{"uniqueKeys":[{}]}}"#, "unique"),
        ("[]", "JSON"),
    ] {
        let reply = client.send("POST", "/dbs/d/colls", &[], definition).await;
        assert_eq!(reply.status, 400, "{definition}");
        assert!(reply.json()["message"].as_str().unwrap().contains(word), "{definition}: {reply:?}");
    }
}

#[tokio::test]
async fn an_emulator_that_is_stopped_ends_idle_connections_and_frees_its_port() {
    let (emulator, mut client) = emulator().await;
    let endpoint = emulator.endpoint();
    emulator.stop().await;
    assert!(client.receive().await.is_none());
    let address = (endpoint.host_str().unwrap(), endpoint.port().unwrap());
    tokio::net::TcpListener::bind(address).await.expect("the port is free again");
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let (emulator, _client) = emulator().await;
    let listen = format!("127.0.0.1:{}", emulator.endpoint().port().unwrap()).parse().unwrap();
    let options = CosmosEmulatorOptions { listen, ..CosmosEmulatorOptions::default() };
    let error = CosmosEmulator::start(options).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
