//! HTTP/1.1 against HTTP/2 for creating documents, by bare hyper loops: what decides which one txgen's own client speaks.

use std::path::Path;

use serde::Serialize;

use crate::Args;
use crate::bare::Loop;
use crate::compare::{Against, Side};

/// Requests at a time on a connection of HTTP/2.
const STREAMS: [(usize, &str); 4] = [
    (1, "HTTP/2, 1 stream a connection"),
    (8, "HTTP/2, 8 streams a connection"),
    (32, "HTTP/2, 32 streams a connection"),
    (128, "HTTP/2, 128 streams a connection"),
];

/// The same documents by each protocol, HTTP/1.1 first.
#[derive(Debug, Serialize)]
pub(crate) struct Protocols {
    pub(crate) rows: u64,
    pub(crate) max_in_flight: usize,
    pub(crate) sides: Vec<Side>,
}

/// Rounds in which each has its turn.
pub(crate) fn measure(args: &Args, data: &Path) -> anyhow::Result<Protocols> {
    let http2 = STREAMS.map(|(streams, name)| (Loop::Http2, streams, name));
    let ways = [(Loop::Hyper, 0, "HTTP/1.1")].into_iter().chain(http2).collect::<Vec<_>>();
    let mut sides = vec![Vec::new(); ways.len()];
    for _ in 0..args.rounds.max(1) {
        for ((which, connections, _), rounds) in ways.iter().zip(&mut sides) {
            rounds.push(Against::cosmos_db(args, *connections).bare(*which, data)?);
        }
    }
    let sides = ways.iter().zip(sides).map(|((.., name), rounds)| Side::of(name, rounds)).collect();
    Ok(Protocols { rows: args.cosmos_rows, max_in_flight: args.max_in_flight_cosmos, sides })
}
