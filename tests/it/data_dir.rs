//! `txgen emulator --data-dir`: what was acknowledged is there again, however the process ended.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::emulator::{self, Emulator};
use crate::support::{self, read_json, stderr, stdout};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::data::DataDir;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

/// What a folder holds: bodies of events, and ids of documents.
async fn held(folder: &Path) -> (Vec<String>, Vec<String>) {
    let data = Some(DataDir::new(folder));
    let options = EventHubsEmulatorOptions { data: data.clone(), ..EventHubsEmulatorOptions::default() };
    let hubs = EventHubsEmulator::start(options).await.unwrap();
    let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions { data, ..Default::default() }).await.unwrap();
    let mut events = Vec::new();
    for partition in 0..10 {
        for (number, event) in (0..).zip(hubs.events("transactions", partition)) {
            assert_eq!(event.sequence_number, number, "partition {partition} has a gap");
            events.push(String::from_utf8(event.body).unwrap());
        }
    }
    let id = |body: &bytes::Bytes| serde_json::from_slice::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
    let documents = cosmos_db.documents("d", "c").unwrap_or_default().iter().map(id).collect();
    (events, documents)
}

/// A client that posts one thing after the other to one service.
struct Poster {
    stream: BufReader<TcpStream>,
    headers: &'static str,
}

impl Poster {
    fn new(address: &str, headers: &'static str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(support::HANG)).unwrap();
        Self { stream: BufReader::new(stream), headers }
    }

    /// Posts, and gives the status.
    fn post(&mut self, path: &str, headers: &str, body: &str) -> io::Result<u16> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{}{headers}\r\n{body}",
            self.headers
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| broken())?;
            } else if line.is_empty() {
                break;
            }
        }
        self.stream.by_ref().take(length).read_to_end(&mut Vec::new())?;
        Ok(status)
    }
}

/// Any Entra ID token is taken by both.
const HUBS: &str = "Authorization: Bearer e30.e30.x\r\n";
const COSMOS: &str = "Authorization: type%3Daad%26ver%3D1.0%26sig%3De30.e30.x\r\nx-ms-version: 2020-07-15\r\n\
                      x-ms-date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";

fn addresses(ready: &Value) -> (String, String) {
    let cosmos = ready["cosmos_db"]["endpoint"].as_str().unwrap();
    let cosmos = cosmos.trim_start_matches("http://").trim_end_matches('/').to_owned();
    (format!("127.0.0.1:{}", ready["event_hubs"]["port"]), cosmos)
}

fn keeping(directory: &Path, more: &[&str]) -> Emulator {
    let flags = ["--data-dir", "data", "--cosmos-latency", "0s", "--no-throughput-limit"];
    Emulator::start(directory, &[&flags[..], more].concat())
}

fn create_container(address: &str) {
    let mut cosmos = Poster::new(address, COSMOS);
    for (path, body) in [
        ("/dbs", r#"{"id":"d"}"#),
        ("/dbs/d/colls", r#"{"id":"c","partitionKey":{"paths":["/id"],"kind":"Hash","version":2}}"#),
    ] {
        let status = cosmos.post(path, "", body).unwrap();
        assert!([201, 409].contains(&status), "{path}: {status}");
    }
}

/// Posts under ids of its own until the emulator is gone; gives what was acknowledged.
fn post_until_killed(address: String, is_event: bool, next: &AtomicU32) -> BTreeSet<String> {
    let mut poster = Poster::new(&address, if is_event { HUBS } else { COSMOS });
    let mut acknowledged = BTreeSet::new();
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed).to_string();
        let posted = if is_event {
            poster.post("/transactions/messages", "", &id)
        } else {
            let key = format!("x-ms-documentdb-partitionkey: [\"{id}\"]\r\n");
            poster.post("/dbs/d/colls/c/docs", &key, &format!("{{\"id\":\"{id}\"}}"))
        };
        match posted {
            Ok(201) => drop(acknowledged.insert(id)),
            Ok(status) => panic!("answered {status}"),
            Err(_) => return acknowledged,
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_instant() {
    let seed = std::env::var("TXGEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    // Seen only when it fails.
    println!("TXGEN_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    let (mut events, mut documents) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..6 {
        let sync: &[&str] = if round % 2 == 0 { &[] } else { &["--data-sync", "os"] };
        let mut emulator = keeping(directory.path(), sync);
        let (hubs, cosmos) = addresses(&emulator.ready);
        create_container(&cosmos);
        let after = Duration::from_micros(random.random_range(100..150_000));
        std::thread::scope(|scope| {
            let next = &next;
            let posting: Vec<_> = [true, true, false, false]
                .into_iter()
                .map(|is_event| {
                    let address = if is_event { hubs.clone() } else { cosmos.clone() };
                    (is_event, scope.spawn(move || post_until_killed(address, is_event, next)))
                })
                .collect();
            // The instant of the end is what this test is about.
            std::thread::sleep(after);
            emulator.process.kill().unwrap();
            emulator.process.wait().unwrap();
            for (is_event, posted) in posting {
                if is_event { &mut events } else { &mut documents }.extend(posted.join().unwrap());
            }
        });
        let (held_events, held_documents) = held(&directory.path().join("data")).await;
        for (kind, acknowledged, held) in
            [("events", &events, &held_events), ("documents", &documents, &held_documents)]
        {
            let there: BTreeSet<_> = held.iter().cloned().collect();
            assert_eq!(there.len(), held.len(), "round {round}: {kind} are there twice");
            let lost: Vec<_> = acknowledged.difference(&there).collect();
            assert!(lost.is_empty(), "round {round}, after {after:?}: {kind} {lost:?} are lost");
        }
    }
    assert!(!events.is_empty() && !documents.is_empty());
}

#[test]
fn a_full_disk_is_answered_503_and_what_was_acknowledged_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let mut limited = std::process::Command::new("sh");
    // A limit on the size of files, whose signal is ignored, is a disk that is full.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"]);
    let command = emulator::command(directory.path(), &[]);
    limited.arg(command.get_program()).args(command.get_args()).current_dir(directory.path());
    limited.args(["--data-dir", "data", "--output", "json", "--settings-out", "appsettings.json"]);
    let emulator = Emulator::of(&mut limited);
    let mut run = support::txgen(directory.path());
    run.args(["run", "--quiet", "--summary-file", "summary.json", "--limit", "500", "--retry-for", "1s", "--data"]);
    let output = run.arg(support::shipped_data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let run = read_json(&directory.path().join("summary.json"));
    let (before, _) = emulator.end();
    let (after, _) = keeping(directory.path(), &[]).end();
    for (service, kept) in [("event_hubs", "events"), ("cosmos_db", "documents")] {
        let succeeded = run["services"][service]["succeeded"].as_u64().unwrap();
        assert!((1..500).contains(&succeeded), "{service}: {succeeded}");
        assert_eq!(before[service][kept], succeeded, "{service}: what was not acknowledged is not there");
        assert_eq!(after[service][kept], before[service][kept], "{service}");
    }
}

#[test]
fn a_folder_that_is_in_use_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = keeping(directory.path(), &[]);
    let output = emulator::command(directory.path(), &["--data-dir", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--data-dir: `data` is in use by another emulator"), "{}", stderr(&output));
    emulator.end();
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("data"), "a file").unwrap();
    let output = emulator::command(directory.path(), &["--data-dir", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--data-dir: cannot make the folder `data`"), "{}", stderr(&output));
}
