//! Ctrl-C, SIGTERM, and nobody who reads any more.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use crate::case::{Work, all};
use crate::proof::prove;
use crate::secrets::Marks;
use crate::stage::{Ended, GRACE, Running, Stage, reconcile};
use crate::support::signal;

/// A run without an end of its own.
const ENDLESS: [&str; 6] = ["--loop", "--seconds-to-run", "60", "--rate", "200", "--output=json"];

#[test]
fn a_run_that_is_asked_to_stop_accounts_for_everything() {
    all(vec![
        ("SIGINT", work(|| stopped_once("INT"))),
        ("SIGTERM", work(|| stopped_once("TERM"))),
        ("SIGINT while nothing is answered", work(|| stopped_while_silent(1))),
        ("SIGINT twice", work(|| stopped_while_silent(2))),
        ("SIGINT during start-up", work(|| stopped_at_the_start("INT"))),
        ("SIGTERM during start-up", work(|| stopped_at_the_start("TERM"))),
        ("standard output closed", work(nobody_reads)),
    ]);
}

fn work(case: impl FnOnce() -> Result<(), String> + Send + 'static) -> Work<'static> {
    Box::new(case)
}

fn expect(code: i32, ended: &Ended) -> Result<(), String> {
    if ended.code == Some(code) { Ok(()) } else { Err(format!("exit code {:?}: {}", ended.code, ended.stderr)) }
}

/// Starts an endless run and waits until it sends.
fn sending(stage: &Stage, flags: &[&str]) -> Running {
    let mut run = stage.start(stage.run(&ENDLESS[..5]).args(flags));
    run.wait_for_output("\"type\":\"start\"");
    run
}

fn stopped_once(name: &str) -> Result<(), String> {
    let stage = Stage::new();
    let mut emulator = stage.emulator(&["--fault", "delay=100ms:100%"]);
    let run = sending(&stage, &["--drain-timeout", "5s"]);
    signal(run.process.id(), name);
    let ended = run.end_within(Duration::from_secs(5) + GRACE)?;
    prove(&stage, &mut emulator, &ended, &[], &[])?;
    let (stored, _) = emulator.end();
    expect(130, &ended)?;
    if ended.summary["stop_reason"] != "interrupted" || !ended.stderr.contains("Press Ctrl-C again") {
        return Err(format!("not shown: {}{}", ended.stderr, ended.summary));
    }
    for service in ["event_hubs", "cosmos_db"] {
        if ended.count(service, "failed") != 0 {
            return Err(format!("in flight was not settled: {}", ended.summary));
        }
    }
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}

fn stopped_while_silent(times: usize) -> Result<(), String> {
    let stage = Stage::new();
    let mut emulator = stage.emulator(&["--fault", "never:@20+"]);
    // The second Ctrl-C must not wait for the drain time-out, the first must not wait longer.
    let drain = if times == 1 { 1 } else { 50 };
    let mut run = sending(&stage, &["--drain-timeout", &format!("{drain}s")]);
    signal(run.process.id(), "INT");
    if times == 2 {
        let stderr = stage.path().join("stderr");
        run.wait_until(
            |_| std::fs::read_to_string(&stderr).unwrap().contains("Stopping"),
            "the first Ctrl-C was heard",
        );
        signal(run.process.id(), "INT");
    }
    let ended = run.end_within(Duration::from_secs(if times == 1 { drain } else { 0 }) + GRACE)?;
    prove(&stage, &mut emulator, &ended, &[], &[])?;
    let (stored, _) = emulator.end();
    expect(130, &ended)?;
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}

fn stopped_at_the_start(name: &str) -> Result<(), String> {
    // Somebody who picks up and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    let hub = format!(
        "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=Sender;SharedAccessKey={key};UseDevelopmentEmulator=true;EntityPath=transactions"
    );
    let stage = Stage::new();
    let run = stage.start(stage.run(&["--only-event-hubs"]).env("EVENT_HUB_1_CONNECTION_STRING", hub));
    let _connection = silent.accept().unwrap();
    signal(run.process.id(), name);
    let ended = run.end_within(GRACE)?;
    expect(130, &ended)?;
    Marks::of_keys([key].into_iter()).check_directory(stage.path())
}

/// As in `txgen run | head -1`.
fn nobody_reads() -> Result<(), String> {
    let stage = Stage::new();
    let mut emulator = stage.emulator(&[]);
    let mut command = stage.run(&["--limit", "5000", "--seconds-to-run", "60", "--drain-timeout", "5s"]);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let status = process.wait().unwrap();
    let ended = Ended {
        code: status.code(),
        stdout: String::new(),
        stderr: String::new(),
        summary: crate::support::read_json(&stage.path().join("summary.json")),
        took: Duration::ZERO,
    };
    expect(1, &ended)?;
    prove(&stage, &mut emulator, &ended, &[], &[])?;
    let (stored, _) = emulator.end();
    if ended.summary["stop_reason"] != "output_closed" {
        return Err(format!("ran on: {}", ended.summary));
    }
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}
