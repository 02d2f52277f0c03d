//! Clients that send too much, too little, or nonsense.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

use super::client::Client;
use super::emulator;

async fn assert_serves(emulator: &CosmosEmulator) {
    assert_eq!(Client::connect(emulator).await.send("GET", "/dbs", &[], "").await.status, 200);
}

#[tokio::test]
async fn half_a_request_keeps_nobody_from_being_served() {
    let (emulator, _client) = emulator().await;
    let mut halves = Vec::new();
    for half in ["", "POST /dbs/d/colls/c/docs HTTP/1.1\r\nhost", "POST / HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n{"]
    {
        for _ in 0..50 {
            let mut client = Client::connect(&emulator).await;
            client.stream.write_all(half.as_bytes()).await.unwrap();
            halves.push(client);
        }
    }
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn large_bodies_that_do_not_come_keep_no_small_one_out() {
    let (emulator, mut client) = emulator().await;
    let mut halves = Vec::new();
    for _ in 0..200 {
        halves.push(start_body(&emulator, "/dbs/d/colls/c/docs", 2_000_000).await);
    }
    assert_eq!(client.create(&json!({ "id": "a", "pk": "us" })).await.status, 201);
    drop(halves);
}

/// A signed request with the first byte of a body of this size.
async fn start_body(emulator: &CosmosEmulator, path: &str, size: usize) -> Client {
    let mut client = Client::connect(emulator).await;
    let [token, date] = client.sign("POST", path, std::time::SystemTime::now());
    let head = format!(
        "POST {path} HTTP/1.1\r\n{}: {}\r\n{}: {}\r\ncontent-length: {size}\r\n\r\n{{",
        token.0, token.1, date.0, date.1
    );
    client.stream.write_all(head.as_bytes()).await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn who_never_comes_to_an_end_is_given_up() {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    for half in ["", "PRI * HTTP/2.0", "POST /dbs HTTP/1.1\r\nhost: x\r\n"] {
        let mut client = Client::connect(&emulator).await;
        client.stream.write_all(half.as_bytes()).await.unwrap();
        assert!(client.receive().await.is_none_or(|reply| reply.status == 408), "{half:?}");
    }
    let mut client = start_body(&emulator, "/dbs", 100).await;
    assert_eq!(client.receive().await.unwrap().status, 408);
    assert!(client.receive().await.is_none());
}

#[tokio::test]
async fn an_account_does_not_take_endless_databases_and_containers() {
    let (_emulator, mut client) = emulator().await;
    let mut created = 2;
    let refused = loop {
        let reply = client.send("POST", "/dbs", &[], &json!({ "id": created.to_string() }).to_string()).await;
        if reply.status != 201 {
            break reply;
        }
        created += 1;
        assert!(created <= 500, "more and more databases");
    };
    assert_eq!((refused.status, created), (403, 500));
    let definition = json!({ "id": "more", "partitionKey": { "paths": ["/pk"] } }).to_string();
    assert_eq!(client.send("POST", "/dbs/d/colls", &[], &definition).await.status, 403);
    assert_eq!(client.send("DELETE", "/dbs/2", &[], "").await.status, 204);
    let much = json!({ "id": "more", "partitionKey": { "paths": ["/pk"] }, "much": "x".repeat(200_000) }).to_string();
    assert_eq!(client.send("POST", "/dbs/d/colls", &[], &much).await.status, 413);
    assert_eq!(client.send("POST", "/dbs/d/colls", &[], &definition).await.status, 201);
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_nothing_else() {
    let (emulator, _client) = emulator().await;
    for nonsense in ["\0\0\0\0\0\0\0\0\r\n\r\n", "AMQP\0\x01\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut client = Client::connect(&emulator).await;
        client.stream.write_all(nonsense.as_bytes()).await.unwrap();
        let answer = client.receive().await;
        assert!(answer.is_none_or(|reply| reply.status == 400), "{nonsense:?}");
        assert!(client.receive().await.is_none(), "{nonsense:?}");
    }
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    let (emulator, mut client) = emulator().await;
    let header = format!("x-long: {}\r\n", "x".repeat(1000));
    let request = format!("GET / HTTP/1.1\r\n{}", header.repeat(200));
    // The emulator may hang up before everything is sent.
    let _ = client.stream.write_all(request.as_bytes()).await;
    assert!(client.receive().await.is_none_or(|reply| reply.status == 431));
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_and_the_connection_goes_on() {
    let (emulator, mut client) = emulator().await;
    let body = "x".repeat(3_000_000);
    let headers = [("x-ms-documentdb-partitionkey", "[\"us\"]")];
    let reply = client.send("POST", "/dbs/d/colls/c/docs", &headers, &body).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (413, Some("RequestEntityTooLarge")));
    assert_eq!(client.create(&json!({ "id": "a", "pk": "us" })).await.status, 201);
    assert_eq!(emulator.counts().documents, 1);
}

#[tokio::test]
async fn a_chunked_body_without_end_is_cut_off() {
    let (emulator, mut client) = emulator().await;
    let [token, date] = client.sign("POST", "/dbs", std::time::SystemTime::now());
    let head = format!(
        "POST /dbs HTTP/1.1\r\n{}: {}\r\n{}: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        token.0, token.1, date.0, date.1
    );
    client.stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    let mut sent = 0;
    while client.stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 100_000_000, "the emulator reads on and on");
    }
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn hostile_headers_are_answered() {
    let (_emulator, mut client) = emulator().await;
    for (name, value) in [
        ("x-ms-max-item-count", "-99999999999999999999"),
        ("x-ms-continuation", "%00"),
        ("x-ms-documentdb-partitionkeyrangeid", "99999999999"),
        ("x-ms-start-epk", "zz"),
        ("x-ms-end-epk", "00"),
        ("if-none-match", "*"),
        ("x-ms-documentdb-partitionkey", "[[[["),
        ("x-ms-activity-id", "not-an-id"),
    ] {
        let reply = client.send("GET", "/dbs/d/colls/c/docs", &[(name, value)], "").await;
        assert!([200, 400, 410].contains(&reply.status), "{name}: {reply:?}");
    }
    for path in ["/dbs/%ff", "/dbs/d/colls/%00", "//dbs//", "/a/b/c/d/e/f/g/h/i/j/k"] {
        let reply = client.send_as_is("GET", path, &[], "").await;
        assert_eq!(reply.status, 401, "{path}");
    }
}
