//! What retention deletes between a lander's look at the hub and its first read.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::landed::end;
use crate::support::emulator::Emulator;
use crate::support::verified::{assert_success, emulator, run, txgen, wait_until};
use crate::support::{self, json_lines, stderr};

/// How many of the connections that come the gate lets through.
#[derive(Clone, Copy, PartialEq)]
enum Passing {
    All,
    One,
    None,
}

/// A hub that forgets in seconds, behind a gate that can hold connections back.
struct Hub {
    directory: TempDir,
    _emulator: Emulator,
    /// The way through the gate.
    connection_string: String,
    gate: watch::Sender<Passing>,
    held: Arc<AtomicUsize>,
}

impl Hub {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let emulator = emulator(directory.path(), &["--partitions", "1", "--retention", "3s"]);
        let told = &emulator.ready["event_hubs"];
        let port: u16 = told["port"].as_u64().unwrap().try_into().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = format!(":{};", listener.local_addr().unwrap().port());
        let direct = told["connection_strings"]["Listener"].as_str().unwrap();
        let hub = Self {
            connection_string: direct.replace(&format!(":{port};"), &through),
            directory,
            _emulator: emulator,
            gate: watch::Sender::new(Passing::All),
            held: Arc::default(),
        };
        tokio::spawn(keep_gate(listener, SocketAddr::from(([127, 0, 0, 1], port)), hub.gate.clone(), hub.held.clone()));
        hub
    }

    fn send(&self) {
        assert_success(&run(self.directory.path(), &["--limit", "100", "--only-event-hubs"]));
    }

    fn lander(&self, table: &str) -> Command {
        let mut command = support::txgen(self.directory.path());
        command
            .args(["land", "--until-caught-up", "--output", "json", "--to", table])
            .env("EVENT_HUB_1_LISTEN_CONNECTION_STRING", &self.connection_string);
        command
    }

    fn land(&self, table: &str, flags: &[&str]) -> Output {
        self.lander(table).args(flags).output().unwrap()
    }

    /// Waits until the hub holds nothing. A table of its own each time: it begins with what the hub still has.
    fn wait_for_deletion(&self) {
        let mut probes = 0;
        wait_until("the deletion of what was sent", || {
            probes += 1;
            let probe = format!("probes/{probes}");
            let arguments = ["land", "--to", &probe, "--until-caught-up", "--output", "json"];
            end(&txgen(self.directory.path(), &arguments))["transactions"] == 0
        });
    }

    /// Lands with everything deleted that the lander has seen when it began. Gives back its table, too, with which
    /// `prepare` was called before.
    fn land_too_late(&self, prepare: impl Fn(&str)) -> (String, Output) {
        for attempt in 0.. {
            let table = format!("lake/{attempt}");
            prepare(&table);
            self.send();
            self.held.store(0, Ordering::SeqCst);
            self.gate.send_replace(Passing::One);
            let mut lander = self.lander(&table).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut is_over = false;
            wait_until("the lander's second connection", || {
                is_over = lander.try_wait().unwrap().is_some();
                is_over || self.held.load(Ordering::SeqCst) > 0
            });
            if !is_over {
                self.wait_for_deletion();
            }
            self.gate.send_replace(Passing::All);
            wait_until("the lander's end", || lander.try_wait().unwrap().is_some());
            let output = lander.wait_with_output().unwrap();
            // On a busy machine everything may have been deleted before the lander's look.
            if !is_over {
                return (table, output);
            }
        }
        unreachable!("the attempts have no end")
    }
}

async fn keep_gate(listener: TcpListener, hub: SocketAddr, gate: watch::Sender<Passing>, held: Arc<AtomicUsize>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let passes = gate.send_if_modified(|passing| {
            let passes = *passing != Passing::None;
            if *passing == Passing::One {
                *passing = Passing::None;
            }
            passes
        });
        let (mut opened, held) = (gate.subscribe(), held.clone());
        tokio::spawn(async move {
            if !passes {
                held.fetch_add(1, Ordering::SeqCst);
                opened.wait_for(|passing| *passing == Passing::All).await.ok()?;
            }
            let mut far = TcpStream::connect(hub).await.ok()?;
            copy_bidirectional(&mut near, &mut far).await.ok()
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_before_it_is_read_does_not_keep_a_lander_waiting_for_it() {
    let hub = Hub::start().await;
    let (_, landed) = hub.land_too_late(|_| {});
    let ended = end(&landed);
    let began = json_lines(&landed).remove(0);
    assert_ne!(began["events_behind"], 0, "{began}");
    assert_eq!((&ended["ended"], &ended["transactions"], &ended["lost"]), (&json!("caught_up"), &json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_behind_a_tables_position_stops_the_lander_until_it_is_accepted_once() {
    let hub = Hub::start().await;
    let (table, stopped) = hub.land_too_late(|table| {
        wait_until("something landed before it was deleted", || {
            hub.send();
            end(&hub.land(table, &["--allow-gaps"]))["transactions"] != 0
        });
    });
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    assert!(stderr(&stopped).contains("partition 0 has lost "), "{}", stderr(&stopped));
    let accepted = end(&hub.land(&table, &["--allow-gaps"]));
    let after = hub.land(&table, &[]);
    assert_eq!(end(&after)["lost"], 0, "what was accepted once is not lost again");
    let position = |output: &Output| json_lines(output)[0]["positions"]["0"].as_i64().unwrap();
    let moved = position(&after) - position(&stopped);
    assert_eq!(accepted["lost"].as_i64(), Some(moved), "{accepted}");
}
