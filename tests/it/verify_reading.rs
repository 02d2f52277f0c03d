//! How `txgen verify` reads: what it shows meanwhile on a terminal, that it can be interrupted, and that lost connections
//! do not make it miss anything. The built binary, against a `txgen emulator` in a process of its own.

use crate::support;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::proxy::Proxy;
use crate::support::terminal::{Terminal, on_a_terminal};
use crate::support::verified::{assert_success, counts, emulator, run_of, txgen};
use serde_json::{Value, json};

const ROWS: &str = "3000";

/// A proxy in front of each service of an emulator, and an appsettings.json that leads through them.
struct Proxies {
    event_hubs: Proxy,
    cosmos_db: Proxy,
}

impl Proxies {
    async fn of(directory: &Path, ready: &Value) -> Self {
        let hub_port = ready["event_hubs"]["port"].as_u64().unwrap();
        let endpoint = ready["cosmos_db"]["endpoint"].as_str().unwrap();
        let cosmos_port: u64 = endpoint.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let to = |port: u64| Proxy::to(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())));
        let (event_hubs, cosmos_db) = (to(hub_port).await, to(cosmos_port).await);
        let path = directory.join("appsettings.json");
        let settings = std::fs::read_to_string(&path).unwrap();
        let settings = settings
            .replace(&format!(":{hub_port}"), &format!(":{}", event_hubs.port()))
            .replace(&format!(":{cosmos_port}"), &format!(":{}", cosmos_db.port()));
        std::fs::write(&path, settings).unwrap();
        Self { event_hubs, cosmos_db }
    }
}

/// Runs a command beside the proxies, which live on this test's threads.
async fn ended(mut command: Command) -> std::process::Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn verify_of(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(["verify", "--summary", "s.json"]).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_lost_while_it_reads_make_it_miss_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    let proxies = Proxies::of(directory.path(), &emulator.ready).await;
    assert_success(&ended(run_of(directory.path(), &["--limit", ROWS, "--summary-file", "s.json"])).await);
    // Some 3 MB are to be read from each: a piece at a time, more often than tries without progress are allowed.
    proxies.event_hubs.cut(8, 200_000);
    proxies.cosmos_db.cut(12, 200_000);
    let output = ended(verify_of(directory.path(), &["--output", "json"])).await;
    assert_success(&output);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["ok"], json!(true), "{found}");
    for service in ["event_hubs", "cosmos_db"] {
        let place = &found["services"][service][0];
        assert_eq!(counts(place, &["expected", "read", "present", "intact"]), [3000; 4], "{place}");
    }
    assert!(proxies.event_hubs.cuts_made() > 5, "{}", proxies.event_hubs.cuts_made());
    assert!(proxies.cosmos_db.cuts_made() > 5, "{}", proxies.cosmos_db.cuts_made());
}

#[test]
fn a_terminal_shows_how_far_it_is_on_one_line_and_nothing_of_that_stays() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    assert_success(&run_of(directory.path(), &["--limit", ROWS, "--summary-file", "s.json"]).output().unwrap());
    let piped = support::stdout(&txgen(directory.path(), &["verify", "--summary", "s.json"]));
    for columns in [100, 50, 20] {
        let verify = on_a_terminal(&verify_of(directory.path(), &[]));
        let mut terminal = Terminal::start(verify, columns, 40);
        assert!(terminal.wait().success(), "{}", terminal.text());
        // What matters comes first; the end is cut off where it would need a second line.
        let written = terminal.written();
        for shown in ["The data: ", "Event Hubs: ", "Cosmos DB: "] {
            assert!(written.contains(shown), "{shown} at {columns}: {written}");
        }
        let has_all = written.contains(" events of the run read, 3000 expected (transactions at 127.0.0.1:");
        assert_eq!(has_all, columns == 100, "{written}");
        let left: Vec<String> = terminal.scrolled().lines().map(|line| line.trim_end().to_owned()).collect();
        assert!(left[0].starts_with("Run "), "{columns}: {left:?}");
        assert!(!left.iter().any(|line| line.contains("of the run read")), "{columns}: {left:?}");
        if columns == 100 {
            assert_eq!(left.join("\n").trim_end(), piped.trim_end());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_at_once_with_a_line_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    let proxies = Proxies::of(directory.path(), &emulator.ready).await;
    assert_success(&ended(run_of(directory.path(), &["--limit", "50", "--summary-file", "s.json"])).await);
    // A hub that never answers: it listens, and that is all.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxies.event_hubs.redirect(silent.local_addr().unwrap());
    let verify = on_a_terminal(&verify_of(directory.path(), &[]));
    let (text, code) = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::start(verify, 80, 24);
        terminal.wait_for("Event Hubs: 0 events of the run read, 50 expected");
        terminal.press("\u{3}");
        let code = terminal.wait().exit_code();
        (terminal.scrolled(), code)
    })
    .await
    .unwrap();
    assert_eq!(code, 130, "{text}");
    assert!(text.lines().any(|line| line.trim_end() == "Interrupted: the run was not verified."), "{text}");
    assert!(!text.contains("expected"), "{text}");
}
