//! What a fuzzer takes through connections: any bytes, or any frames.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use azure_core::credentials::Secret;
use tokio::time::Instant;
use txgen_amqp::frame;

use super::bell::Bell;
use super::connection::Connection;
use super::core::HIGH_WATER;
pub use super::kafka::fuzzing::requests as kafka_requests;
use super::keeping::Restored;
use super::namespace::{Namespace, Now};
use super::options::{EventHubsEmulatorOptions, Policy};

const AMQP_HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
/// A SASL header, and a sasl-init: PLAIN with the policy and key that [`options`] has.
const LOGIN: &[u8] =
    b"AMQP\x03\x01\x00\x00\x00\x00\x00\x1f\x02\x01\x00\x00\x00\x53\x41\xc0\x12\x02\xa3\x05PLAIN\xa0\x08\x00all\x00key";
/// The largest answer to one frame that is thought of: a frame of a mebibyte and then some, beyond what was waiting.
const MOST_OUTPUT: usize = HIGH_WATER + 4 * 1024 * 1024;
/// Steps of one input: enough for a long conversation, too few for a slow one.
const MOST_STEPS: usize = 512;

/// Takes an input through two connections of one namespace.
///
/// The first byte chooses how ([`options`]; bit 0: the rest is the stream of the first connection, as it comes, rather
/// than steps). A step is a byte of choices (bits 0 and 1: the channel; 2: the other connection; 3: time passes; 4: the
/// output stays unread; 5: a SASL frame), the length of a frame's body in two bytes, and that body.
///
/// # Panics
/// When a connection breaks its promises.
pub fn connection(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let now = Now { instant: Instant::now(), unix_ms: 1_750_000_000_000 };
    let namespace = Arc::new(Namespace::new(options(mode), now));
    let mut peers = [Peer::new(&namespace, now), Peer::new(&namespace, now)];
    if mode & 1 == 0 {
        steps(&mut peers, data, now);
    } else {
        // In pieces, as a network hands them over.
        let length = usize::from(data.first().copied().unwrap_or_default()).max(1);
        data.chunks(length).take(MOST_STEPS * 8).for_each(|piece| peers[0].receive(piece, now));
    }
    drop(peers);
    assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0, "parts of messages outlive their connection");
    for partition in namespace.hubs().iter().flat_map(|hub| hub.partitions()) {
        assert_eq!(partition.readers(), 0, "a reader outlives its connection");
        let (count, bytes) = partition.taken();
        assert!(count == 0 || bytes >= count, "events take no room");
        let numbers: Vec<_> = partition.events().iter().map(|event| event.sequence_number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {numbers:?}");
    }
}

fn steps(peers: &mut [Peer; 2], mut data: &[u8], mut now: Now) {
    for peer in peers.iter_mut() {
        peer.receive(LOGIN, now);
        peer.receive(AMQP_HEADER, now);
    }
    for _ in 0..MOST_STEPS {
        let Some((&[choices, high, low], rest)) = data.split_first_chunk() else { return };
        let (body, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
        data = rest;
        if choices & 8 != 0 {
            now.instant += Duration::from_millis(700);
            now.unix_ms += 700;
        }
        let mut frame = u32::try_from(8 + body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&[2, choices >> 5 & 1, 0, choices & 3]);
        frame.extend_from_slice(body);
        let peer = &mut peers[usize::from(choices >> 2 & 1)];
        peer.reads = choices & 16 == 0;
        peer.receive(&frame, now);
        for peer in peers.iter_mut() {
            peer.tick(now);
        }
    }
}

/// Bits 1 to 4 of the mode: throughput units, hardly any memory, latency, faults.
fn options(mode: u8) -> EventHubsEmulatorOptions {
    let fault = |rule: &str| rule.parse().unwrap();
    EventHubsEmulatorOptions {
        partitions: 2,
        consumer_groups: vec!["other".to_owned()],
        latency: if mode & 8 == 0 { Duration::ZERO } else { Duration::from_millis(500) },
        policies: vec![Policy { name: "all".into(), key: Secret::new("key"), send: true, listen: true, manage: true }],
        credit: 20,
        throughput_units: (mode & 2 != 0).then_some(1),
        retention: (mode & 2 != 0).then_some(Duration::from_secs(2)),
        memory_limit: (mode & 4 != 0).then_some(2_000),
        idle_time_out: Duration::from_secs(5),
        faults: if mode & 16 == 0 {
            Vec::new()
        } else {
            ["half:10%", "delay=1s:30%", "expired-token:5%"].map(fault).into()
        },
        ..EventHubsEmulatorOptions::default()
    }
}

/// A connection, and what is known about its other end.
struct Peer {
    connection: Connection,
    /// What it was sent and has not used up.
    input: Vec<u8>,
    /// What it has said that is not a whole frame yet.
    output: Vec<u8>,
    reads: bool,
}

impl Peer {
    fn new(namespace: &Arc<Namespace>, now: Now) -> Self {
        let connection = Connection::new(Arc::clone(namespace), Arc::new(Bell::default()), "emulator".into(), now);
        Self { connection, input: Vec::new(), output: Vec::new(), reads: true }
    }

    fn receive(&mut self, bytes: &[u8], now: Now) {
        if !self.connection.wants_input() {
            return;
        }
        self.input.extend_from_slice(bytes);
        let used = self.connection.receive(&self.input, now);
        assert!(used <= self.input.len(), "more was used up than there was");
        self.input.drain(..used);
        self.read(now);
    }

    fn tick(&mut self, now: Now) {
        self.connection.tick(now);
        let _ = self.connection.deadline();
        self.read(now);
    }

    /// Takes what the connection says; it must be headers and whole frames of AMQP.
    fn read(&mut self, now: Now) {
        let said = self.connection.output().len();
        assert!(said <= MOST_OUTPUT, "{said} bytes wait for the peer");
        if !self.reads {
            return;
        }
        self.output.extend_from_slice(self.connection.output());
        self.connection.sent(said, now);
        loop {
            if self.output.starts_with(b"AMQP") {
                self.output.drain(..8);
                continue;
            }
            let Some((frame, size)) = frame::split(&self.output).expect("a frame of the emulator is malformed") else {
                return;
            };
            assert!(frame.channel <= 255);
            self.output.drain(..size);
        }
    }
}

/// Reads a log back, up to the first record that it cannot have.
///
/// # Panics
/// When what comes of it breaks a promise.
pub(crate) fn log(records: &[Vec<u8>]) {
    let mut restored = Restored::default();
    let _ = records.iter().try_for_each(|record| restored.apply(record));
    for log in restored.logs() {
        let numbers: Vec<_> = log.from(0).map(|event| event.sequence_number).collect();
        assert!(numbers.iter().copied().eq(log.start()..log.end()), "a gap in {numbers:?}");
        assert!(log.last_offset() < log.mark().next_offset || numbers.is_empty(), "an offset after the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_let_in() {
        let now = Now::read();
        let namespace = Arc::new(Namespace::new(options(0), now));
        let mut connection = Connection::new(namespace, Arc::new(Bell::default()), "emulator".into(), now);
        assert_eq!(connection.receive(LOGIN, now), LOGIN.len());
        assert!(!connection.is_closed());
        let outcome = connection.output().len() - 3..;
        assert_eq!(connection.output()[outcome], [0x50, 0, 0x40]);
    }
}
