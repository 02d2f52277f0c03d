//! Trouble on purpose, and limits.

use std::time::Duration;

use serde_json::json;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

use super::client::Client;

async fn emulator(fault: &str) -> (CosmosEmulator, Client) {
    let options = CosmosEmulatorOptions {
        enforce_throughput: false,
        faults: vec![fault.parse().unwrap()],
        ..CosmosEmulatorOptions::default()
    };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.create_container(400).await;
    (emulator, client)
}

/// Sends documents until one is answered whole, on new connections where the old one ended; returns what was answered on
/// the way.
async fn create_at_last(emulator: &CosmosEmulator, mut client: Client) -> Vec<Option<u16>> {
    let mut answers = Vec::new();
    loop {
        client.send_document(&json!({ "id": "a", "pk": "us" })).await;
        let reply = client.receive().await;
        let status = reply.map(|reply| reply.status);
        answers.push(status);
        match status {
            Some(201 | 409) => return answers,
            Some(_) => {}
            None => client = Client::connect(emulator).await,
        }
    }
}

#[tokio::test]
async fn statuses_are_answered_so_many_times() {
    for (fault, status) in [("429:2x", 429), ("503:2x", 503), ("expired-token:2x", 403)] {
        let (emulator, client) = emulator(fault).await;
        assert_eq!(create_at_last(&emulator, client).await, [Some(status), Some(status), Some(201)], "{fault}");
        let happened: Vec<_> = emulator.faults().into_iter().map(|(rule, count)| (rule.to_string(), count)).collect();
        assert_eq!(happened, [(fault.to_owned(), 2)]);
    }
}

#[tokio::test]
async fn connections_are_lost_before_or_after_the_document_is_stored() {
    for fault in ["close", "drop", "half", "408"] {
        let mut ends = Vec::new();
        for seed in 0..8 {
            let (emulator, client) = emulator(&format!("{fault}:1x:seed={seed}")).await;
            let answers = create_at_last(&emulator, client).await;
            assert_eq!(emulator.counts().documents, 1);
            ends.push(answers.last().copied().flatten().unwrap());
        }
        assert!(ends.contains(&201), "{fault}: not stored before the loss, at least once of {ends:?}");
        assert!(ends.contains(&409), "{fault}: stored before the loss, at least once of {ends:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_keeps_nobody_else_waiting() {
    let (emulator, mut client) = emulator("never:1x").await;
    client.send_document(&json!({ "id": "a", "pk": "us" })).await;
    let mut other = Client::connect(&emulator).await;
    while emulator.faults()[0].1 == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.create(&json!({ "id": "b", "pk": "us" })).await.status, 201);
    assert!(tokio::time::timeout(Duration::from_millis(1), client.receive()).await.is_err());
}

#[tokio::test]
async fn other_requests_than_those_about_documents_are_left_alone() {
    let (_emulator, mut client) = emulator("503:100%").await;
    assert_eq!(client.send("GET", "/dbs/d", &[], "").await.status, 200);
    assert_eq!(client.create(&json!({ "id": "a", "pk": "us" })).await.status, 503);
}

#[tokio::test]
async fn documents_beyond_the_memory_limit_are_refused_until_there_is_room() {
    let options = CosmosEmulatorOptions {
        enforce_throughput: false,
        memory_limit: Some(5000),
        ..CosmosEmulatorOptions::default()
    };
    let emulator = CosmosEmulator::start(options).await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.create_container(400).await;
    let document = |id: u32| json!({ "id": id.to_string(), "pk": "us", "x": "x".repeat(1000) });
    let mut stored = 0;
    let refused = loop {
        let reply = client.create(&document(stored)).await;
        if reply.status != 201 {
            break reply;
        }
        stored += 1;
    };
    assert_eq!((refused.status, stored), (507, 3));
    assert!(refused.json()["message"].as_str().unwrap().contains("5000 bytes"));
    let us = [("x-ms-documentdb-partitionkey", "[\"us\"]")];
    let same = document(0).to_string();
    assert_eq!(client.send("PUT", "/dbs/d/colls/c/docs/0", &us, &same).await.status, 200, "no more than before");
    assert_eq!(client.send("DELETE", "/dbs/d/colls/c/docs/0", &us, "").await.status, 204);
    assert_eq!(client.create(&document(9)).await.status, 201);
}
