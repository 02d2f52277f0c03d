//! Peers that send too much, too little, or nonsense.

use std::time::Duration;

use fe2o3_amqp::types::messaging::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

use super::{Client, TIME_LIMIT, message, start};

const AMQP: &[u8] = b"AMQP\x00\x01\x00\x00";
const SASL: &[u8] = b"AMQP\x03\x01\x00\x00";
/// The first bytes of a frame of 100, which holds an open.
const HALF_AN_OPEN: &[u8] = b"\x00\x00\x00\x64\x02\x00\x00\x00\x00\x53\x10\xc0";

async fn connect(emulator: &EventHubsEmulator, bytes: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(emulator.local_addr()).await.unwrap();
    stream.write_all(&bytes.concat()).await.unwrap();
    stream
}

/// What is said until the emulator ends the connection.
async fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

async fn assert_serves(emulator: &EventHubsEmulator) {
    let mut client = Client::enter(emulator, "Sender", "transactions").await;
    let mut sender = client.sender("transactions").await.unwrap();
    let outcome = tokio::time::timeout(TIME_LIMIT, sender.send(message(Some("us"), "x"))).await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Accepted(_)));
    sender.close().await.unwrap();
    client.close().await;
}

async fn until_open(emulator: &EventHubsEmulator, connections: u64) {
    tokio::time::timeout(TIME_LIMIT, async {
        while emulator.counts().open_connections != connections {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn half_a_frame_keeps_nobody_from_being_served() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    let mut halves = Vec::new();
    for half in [&[][..], &[&AMQP[..3]], &[AMQP], &[SASL], &[AMQP, HALF_AN_OPEN]] {
        for _ in 0..50 {
            halves.push(connect(&emulator, half).await);
        }
    }
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn a_frame_that_announces_too_much_ends_the_connection_before_it_comes() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    for frame in [
        &b"\x7f\xff\xff\xff\x02\x00\x00\x00"[..],
        b"\x00\x00\x00\x07\x02\x00\x00\x00",
        b"\x00\x00\x00\x08\x02\x07\x00\x00",
    ] {
        let said = heard(connect(&emulator, &[AMQP, frame]).await).await;
        let framing_error = b"amqp:connection:framing-error";
        assert!(said.windows(framing_error.len()).any(|window| window == framing_error), "{frame:?}: {said:?}");
    }
    assert_serves(&emulator).await;
}

#[tokio::test]
async fn nonsense_is_answered_with_the_protocol_and_ends_the_connection() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    for nonsense in [&b"AMQP\x00\x00\x09\x01"[..], b"\x16\x03\x01\x02\x00\x01", &[0xff; 10_000]] {
        assert_eq!(heard(connect(&emulator, &[nonsense]).await).await, SASL);
    }
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(heard(connect(&emulator, &[request]).await).await.starts_with(b"HTTP/1.1 404 "));
    assert_serves(&emulator).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_get_as_far_as_an_open_is_given_up() {
    let emulator = start(EventHubsEmulatorOptions::default()).await;
    for half in [&[][..], &[&AMQP[..3]], &[AMQP, HALF_AN_OPEN], &[SASL]] {
        let started = tokio::time::Instant::now();
        heard(connect(&emulator, half).await).await;
        assert!(started.elapsed() < Duration::from_secs(60), "{half:?}");
    }
    until_open(&emulator, 0).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_those_before_are_served() {
    let emulator = start(EventHubsEmulatorOptions { max_connections: 3, ..Default::default() }).await;
    let mut held = vec![connect(&emulator, &[AMQP]).await, connect(&emulator, &[AMQP]).await];
    until_open(&emulator, 2).await;
    assert_serves(&emulator).await;
    until_open(&emulator, 2).await;
    held.push(connect(&emulator, &[AMQP]).await);
    until_open(&emulator, 3).await;
    for _ in 0..20 {
        assert!(heard(TcpStream::connect(emulator.local_addr()).await.unwrap()).await.is_empty());
    }
    drop(held);
    until_open(&emulator, 0).await;
    assert_serves(&emulator).await;
}
