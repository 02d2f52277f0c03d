//! From the start of the process to the first event and the first document on the wire.
//!
//! Relays between txgen and the emulator pass everything on, and note when the first bytes come by that only an event, or
//! only the creation of a document, contains.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::Args;
use crate::compare::median;
use crate::process::Emulator;
use crate::txgen::{self, Run};

/// The annotation that routes an event.
const EVENT: &[u8] = b"x-opt-partition-key";
/// The path that documents are posted to.
const DOCUMENT: &[u8] = b"/colls/transactions/docs ";
/// Bounds what hangs.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Medians in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    pub(crate) first_event_ms: f64,
    pub(crate) first_document_ms: f64,
}

/// Starts txgen several times against an emulator that has its database already.
pub(crate) fn measure(args: &Args, data: &Path) -> anyhow::Result<Start> {
    let emulator = Emulator::start(&[])?;
    Run::of(&emulator, data, &["--only-cosmos", "--limit", "1"])?;
    let (mut events, mut documents) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds.max(1) {
        let (event, document) = first_requests(&emulator, data)?;
        events.push(event.as_secs_f64() * 1000.0);
        documents.push(document.as_secs_f64() * 1000.0);
    }
    Ok(Start { first_event_ms: median(events), first_document_ms: median(documents) })
}

fn first_requests(emulator: &Emulator, data: &Path) -> anyhow::Result<(Duration, Duration)> {
    let event_hubs = relay(emulator.event_hubs()?, EVENT)?;
    let cosmos_db = relay(emulator.cosmos_db()?.0, DOCUMENT)?;
    let hub = emulator.connection_string("Sender")?;
    let mut command = txgen::command(emulator, data, &["--limit", "100", "--quiet"])?;
    command
        .env("EVENT_HUB_1_CONNECTION_STRING", hub.replace(&emulator.event_hubs()?, &event_hubs.address))
        .env("COSMOS_DB_ENDPOINT", format!("http://{}/", cosmos_db.address))
        .stdout(Stdio::null())
        .stdin(Stdio::null());
    let start = Instant::now();
    let mut process = command.spawn().context("cannot start txgen run")?;
    let event = event_hubs.first.recv_timeout(TIME_LIMIT).context("no event came");
    let document = cosmos_db.first.recv_timeout(TIME_LIMIT).context("no document came");
    if event.is_err() || document.is_err() {
        process.kill()?;
    }
    process.wait()?;
    Ok((event? - start, document? - start))
}

/// Where txgen connects, and where the moment is sent.
struct Relay {
    address: String,
    first: mpsc::Receiver<Instant>,
}

/// Passes on what comes to a new port; reports when `wanted` first comes by. Ends with its connections.
fn relay(target: String, wanted: &'static [u8]) -> anyhow::Result<Relay> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (tell, first) = mpsc::channel();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(&target) else { return };
            let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
            let tell = tell.clone();
            thread::spawn(move || pass(near, far, wanted, |moment| tell.send(moment).is_ok()));
            thread::spawn(move || pass(far_too, near_too, b"", |_| false));
        }
    });
    Ok(Relay { address, first })
}

/// Copies until either end closes. What is wanted may come in two pieces: the end of the one before is kept.
fn pass(mut from: TcpStream, mut to: TcpStream, wanted: &[u8], found: impl Fn(Instant) -> bool) {
    let (mut buffer, mut looking, mut tail) = ([0; 16 * 1024], !wanted.is_empty(), Vec::new());
    let _ = to.set_nodelay(true);
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
    {
        if looking {
            tail.extend_from_slice(&buffer[..count]);
            if tail.windows(wanted.len()).any(|window| window == wanted) {
                found(Instant::now());
                looking = false;
            }
            tail.drain(..tail.len().saturating_sub(wanted.len()));
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
