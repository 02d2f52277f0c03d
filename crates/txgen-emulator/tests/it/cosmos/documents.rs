//! Documents, one at a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::emulator;

const US: (&str, &str) = ("x-ms-documentdb-partitionkey", "[\"us\"]");

#[tokio::test]
async fn a_document_lives_from_its_creation_to_its_deletion() {
    let (emulator, mut client) = emulator().await;
    let created = client.create(&json!({ "id": "a", "pk": "us", "n": 1.5 })).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["n"], 1.5);
    assert_eq!(created.json()["_etag"], created.header("etag").unwrap());
    assert_eq!(created.header("x-ms-request-charge"), Some("6.7"));
    assert!(created.header("x-ms-session-token").unwrap().starts_with("0:-1#"));
    assert!(created.header("x-ms-activity-id").is_some());

    let conflict = client.create(&json!({ "id": "a", "pk": "us" })).await;
    assert_eq!((conflict.status, conflict.json()["code"].as_str()), (409, Some("Conflict")));
    assert_eq!(client.create(&json!({ "id": "a", "pk": "gb" })).await.status, 201);

    let read = client.send("GET", "/dbs/d/colls/c/docs/a", &[US], "").await;
    assert_eq!(read.json(), created.json());
    assert_eq!(read.header("x-ms-request-charge"), Some("1"));

    assert_eq!(client.send("DELETE", "/dbs/d/colls/c/docs/a", &[US], "").await.status, 204);
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs/a", &[US], "").await.status, 404);
    assert_eq!(client.send("DELETE", "/dbs/d/colls/c/docs/a", &[US], "").await.status, 404);
    assert_eq!((emulator.counts().documents, emulator.counts().created), (1, 2));
}

#[tokio::test]
async fn the_bytes_that_came_are_the_bytes_that_are_kept() {
    let (emulator, mut client) = emulator().await;
    let body = "{\"pk\":\"us\", \"amount\":10.00, \"id\":\"a\",\"text\":\"\\u00e9\"}";
    let reply = client.send("POST", "/dbs/d/colls/c/docs", &[US, ("prefer", "return=minimal")], body).await;
    assert_eq!((reply.status, reply.body.len()), (201, 0));
    assert_eq!(emulator.documents("d", "c").unwrap(), [body.as_bytes()]);
    let read = client.send("GET", "/dbs/d/colls/c/docs/a", &[US], "").await;
    assert!(read.body.starts_with(&body.as_bytes()[..body.len() - 1]));
    assert_eq!(emulator.documents("d", "none"), None);
}

#[tokio::test]
async fn versions_guard_against_lost_updates() {
    let (_emulator, mut client) = emulator().await;
    let first = client.create(&json!({ "id": "a", "pk": "us", "n": 1 })).await;
    let etag = first.header("etag").unwrap();
    let path = "/dbs/d/colls/c/docs/a";
    assert_eq!(client.send("GET", path, &[US, ("if-none-match", etag)], "").await.status, 304);

    // A client that has read the document sends the system properties back.
    let mut changed = first.json();
    changed["n"] = json!(2);
    let second = client.send("PUT", path, &[US, ("if-match", etag)], &changed.to_string()).await;
    assert_eq!((second.status, second.json()["n"].as_u64()), (200, Some(2)));
    assert_ne!(second.header("etag"), Some(etag));
    assert_eq!(second.json()["_rid"], first.json()["_rid"]);

    let late = client.send("PUT", path, &[US, ("if-match", etag)], &changed.to_string()).await;
    assert_eq!((late.status, late.json()["code"].as_str()), (412, Some("PreconditionFailed")));
    assert_eq!(client.send("DELETE", path, &[US, ("if-match", etag)], "").await.status, 412);
    let upsert = [US, ("x-ms-documentdb-is-upsert", "True"), ("if-match", etag)];
    assert_eq!(client.send("POST", "/dbs/d/colls/c/docs", &upsert, &changed.to_string()).await.status, 412);
    assert_eq!(client.send("GET", path, &[US, ("if-none-match", etag)], "").await.status, 200);
}

#[tokio::test]
async fn an_upsert_creates_or_replaces() {
    let (emulator, mut client) = emulator().await;
    let headers = [US, ("x-ms-documentdb-is-upsert", "true")];
    let mut upsert = async |body: &str| client.send("POST", "/dbs/d/colls/c/docs", &headers, body).await.status;
    assert_eq!(upsert(r#"{"id":"a","pk":"us"}"#).await, 201);
    assert_eq!(upsert(r#"{"id":"a","pk":"us","n":1}"#).await, 200);
    assert_eq!((emulator.counts().documents, emulator.counts().created), (1, 1));
}

#[tokio::test]
async fn what_a_document_cannot_be_is_reported() {
    let (emulator, mut client) = emulator().await;
    let mut create = async |key: &str, body: &str| {
        let headers = [("x-ms-documentdb-partitionkey", key)];
        let reply = client.send("POST", "/dbs/d/colls/c/docs", &headers, body).await;
        (reply.status, reply.substatus().to_owned())
    };
    let refused = |substatus: &str| (400, substatus.to_owned());
    assert_eq!(create("[\"us\"]", r#"{"pk":"us"}"#).await, refused("0"));
    assert_eq!(create("[\"us\"]", r#"{"id":"a","pk":"gb"}"#).await, refused("1001"));
    assert_eq!(create("[\"us\"]", r#"{"id":"a"}"#).await, refused("1001"));
    assert_eq!(create("us", r#"{"id":"a","pk":"us"}"#).await, refused("0"));
    assert_eq!(create("[\"us\"]", r#"{"id":"a","pk":"us","ttl":0}"#).await, refused("0"));
    assert_eq!(create("[\"us\"]", r#"{"id":"a","pk":"us""#).await, refused("0"));
    assert_eq!(create("[{}]", r#"{"id":"a"}"#).await, (201, "0".to_owned()));
    assert_eq!(create("[1]", r#"{"id":"a","pk":1.0}"#).await, (201, "0".to_owned()));
    let large = format!(r#"{{"id":"b","pk":1,"x":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    assert_eq!(create("[1]", &large).await.0, 413);
    assert_eq!(emulator.counts().documents, 2);
}

#[tokio::test]
async fn names_and_ids_may_hold_any_letters() {
    let (_emulator, mut client) = emulator().await;
    let id = "é b+c%20";
    assert_eq!(client.create(&json!({ "id": id, "pk": "ünk" })).await.status, 201);
    let signed = client.sign("GET", &format!("/dbs/d/colls/c/docs/{id}"), std::time::SystemTime::now());
    let headers: Vec<_> = signed
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain([("x-ms-documentdb-partitionkey", "[\"ünk\"]")])
        .collect();
    let read = client.send_as_is("GET", "/dbs/d/colls/c/docs/%C3%A9%20b+c%2520", &headers, "").await;
    assert_eq!(read.json()["id"], id);
}

#[tokio::test]
async fn a_missing_container_and_another_one_of_its_name_are_told_apart() {
    let (_emulator, mut client) = emulator().await;
    let reply = client.send("POST", "/dbs/d/colls/none/docs", &[US], r#"{"id":"a","pk":"us"}"#).await;
    assert_eq!((reply.status, reply.substatus()), (404, "1003"));
    let stale = [US, ("x-ms-cosmos-intended-collection-rid", "AAAAAAAAAAA=")];
    let reply = client.send("POST", "/dbs/d/colls/c/docs", &stale, r#"{"id":"a","pk":"us"}"#).await;
    assert_eq!((reply.status, reply.substatus()), (400, "1024"));
}

#[tokio::test]
async fn an_expired_document_is_gone_and_gives_its_memory_back() {
    let (emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "short", "pk": "us", "ttl": 60 })).await;
    client.create(&json!({ "id": "long", "pk": "us", "ttl": 120 })).await;
    client.create(&json!({ "id": "for ever", "pk": "us", "ttl": -1 })).await;
    emulator.skip_time(Duration::from_secs(61)).await;
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs/short", &[US], "").await.status, 404);
    assert_eq!(client.query("SELECT VALUE COUNT(1) FROM c", &[]).await, [json!(2)]);
    assert_eq!(emulator.counts().documents, 2);
    assert_eq!(client.create(&json!({ "id": "short", "pk": "us" })).await.status, 201);
    emulator.skip_time(Duration::from_secs(3600)).await;
    let left: Vec<Value> =
        emulator.documents("d", "c").unwrap().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    assert_eq!(left.iter().map(|document| document["id"].as_str().unwrap()).collect::<Vec<_>>(), ["for ever", "short"]);
    assert_eq!(
        emulator.counts().bytes,
        emulator.documents("d", "c").unwrap().iter().map(|b| b.len() as u64).sum::<u64>()
    );
}

#[tokio::test]
async fn what_is_not_supported_says_so() {
    let (_emulator, mut client) = emulator().await;
    let reply = client.send("PATCH", "/dbs/d/colls/c/docs/a", &[US], "[]").await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["message"].as_str().unwrap().contains("there are no operations"));
    let reply = client.send("GET", "/dbs/d/colls/c/sprocs", &[], "").await;
    assert!(reply.json()["message"].as_str().unwrap().contains("GET dbs/d/colls/c/sprocs"));
    let batch = [US, ("x-ms-cosmos-is-batch-request", "True")];
    assert_eq!(client.send("POST", "/dbs/d/colls/c/docs", &batch, "[]").await.status, 400);
    assert_eq!(client.send("PUT", "/dbs", &[], "").await.status, 405);
}

#[tokio::test]
async fn an_answer_carries_the_activity_id_of_its_request() {
    let (emulator, _client) = emulator().await;
    let mut client = Client::connect(&emulator).await;
    let id = "5f9b5a5e-0d7e-4c39-8a52-3f9a9d0c7f11";
    let reply = client.send("GET", "/dbs/none", &[("x-ms-activity-id", id)], "").await;
    assert_eq!(reply.header("x-ms-activity-id"), Some(id));
    assert!(reply.json()["message"].as_str().unwrap().ends_with(id));
}
