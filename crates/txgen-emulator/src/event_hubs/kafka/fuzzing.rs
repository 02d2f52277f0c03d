//! What a fuzzer takes through the Kafka endpoint: requests of two clients, one after the other.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::future::ready;
use std::net::Ipv4Addr;

use azure_core::credentials::Secret;
use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::*;
use crate::event_hubs::grants::check_password;
use crate::event_hubs::options::{EventHubsEmulatorOptions, Policy};

/// Requests of one input: enough for a long conversation, too few for a slow one.
const MOST_REQUESTS: usize = 128;
/// The largest answer to a request, in bytes: a fetch's, and then some.
const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// Takes an input through two clients of one namespace. The first byte chooses whether they have said who they are (bit 0:
/// they have not) and whether there is hardly any memory (bit 1). A request is a byte whose lowest bit names the client,
/// its length in two bytes, and as many bytes: a frame without its own length. A request that waits for others, or for
/// events, is given up as when its connection ends.
///
/// # Panics
/// When the endpoint breaks its promises.
pub fn requests(data: &[u8]) {
    let Some((&mode, mut data)) = data.split_first() else { return };
    let policy = Policy { name: "all".into(), key: Secret::new("key"), send: true, listen: true, manage: true };
    let options = EventHubsEmulatorOptions {
        partitions: 2,
        policies: vec![policy.clone()],
        memory_limit: (mode & 2 != 0).then_some(2_000),
        ..EventHubsEmulatorOptions::default()
    };
    let namespace = Arc::new(Namespace::new(options, Now { instant: Instant::now(), unix_ms: 1_750_000_000_000 }));
    let broker = Broker::new(Arc::clone(&namespace), KafkaState::default());
    let session = || {
        let mut grants = Grants::default();
        grants.put(check_password(std::slice::from_ref(&policy), &policy.name, &policy.key).unwrap());
        Session {
            broker: &broker,
            bell: Arc::new(Bell::default()),
            address: (Ipv4Addr::LOCALHOST, 9093).into(),
            mechanism: None,
            is_known: mode & 1 == 0,
            grants,
        }
    };
    let mut sessions = [session(), session()];
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..MOST_REQUESTS {
            let Some((&[choices, high, low], rest)) = data.split_first_chunk() else { return };
            let (frame, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
            data = rest;
            let Ok(request) = Request::read(Bytes::copy_from_slice(frame)) else { continue };
            let session = &mut sessions[usize::from(choices & 1)];
            let reply = tokio::select! {
                biased;
                reply = session.reply(&request) => reply,
                // The first look at the reply was its only one.
                () = ready(()) => continue,
            };
            if let Ok(Reply::Answer(answer) | Reply::Last(answer)) = reply {
                check(&answer, frame);
            }
        }
    });
    for partition in namespace.hubs().iter().flat_map(|hub| hub.partitions()) {
        let numbers: Vec<_> = partition.events().iter().map(|event| event.sequence_number).collect();
        assert!(numbers.iter().copied().eq(0..partition.end()), "a gap in {numbers:?}");
    }
}

/// An answer is one whole frame, to the request that was made.
fn check(answer: &[u8], request: &[u8]) {
    let (length, rest) = answer.split_first_chunk::<4>().expect("an answer without a length");
    assert_eq!(usize::try_from(u32::from_be_bytes(*length)), Ok(rest.len()), "an answer is not one frame");
    assert!(rest.len() <= MOST_ANSWER, "an answer of {} bytes", rest.len());
    assert_eq!(rest.get(..4), request.get(4..8), "an answer to another request");
}
