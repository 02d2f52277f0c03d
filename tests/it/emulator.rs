//! `txgen emulator` as a user runs it: the built binary in a process of its own, and a `txgen run` in another.

use crate::support;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::emulator::{self, Emulator};
use crate::support::{read_json, stderr, stdout};
use serde_json::{Value, json};

fn run(directory: &Path, flags: &[&str]) -> Output {
    let mut command = support::txgen(directory);
    command.args(["run", "--quiet", "--summary-file", "summary.json", "--data"]).arg(support::shipped_data());
    command.args(flags).output().unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count, not {value}"))
}

#[test]
fn the_settings_that_it_writes_are_all_that_a_run_needs() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &[]);
    assert_eq!(emulator.ready["type"], "ready");
    let output = run(directory.path(), &["--limit", "300"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let (summary, said) = emulator.end();
    assert_eq!(summary["event_hubs"]["hubs"][0]["events"], 300);
    assert_eq!(summary["cosmos_db"]["documents"], 300);
    assert_eq!(summary["faults"], json!([]));
    assert_eq!(said, "", "a script that reads JSON hears nothing else");
}

#[test]
fn a_run_through_faults_at_both_services_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let faults =
        ["close:1x", "drop:1x", "half:1x", "event_hubs:server-busy:20x", "event_hubs:expired-token:1x", "delay=5ms:1%"]
            .into_iter()
            .chain(["429:20x", "503:3x", "408:2x"])
            .flat_map(|fault| ["--fault", fault]);
    let emulator = Emulator::start(directory.path(), &faults.collect::<Vec<_>>());
    let output = run(directory.path(), &["--limit", "1000"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let run = read_json(&directory.path().join("summary.json"));
    let (summary, _) = emulator.end();
    for service in ["event_hubs", "cosmos_db"] {
        assert_eq!(run["services"][service]["succeeded"], 1000, "{service}");
    }
    // An event whose acceptance was lost is sent again and may be there twice; a document has its id.
    let (events, resent) = (count(&summary["event_hubs"]["events"]), count(&run["services"]["event_hubs"]["resent"]));
    assert!((1000..=1000 + resent).contains(&events), "{events} events, {resent} resent");
    assert_eq!(summary["cosmos_db"]["documents"], 1000);
    let faults = summary["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 6 + 7);
    for fault in faults {
        assert!(count(&fault["happened"]) > 0, "{fault}");
    }
}

#[test]
fn trouble_ends_at_a_signal_and_a_run_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let faults = ["--fault", "event_hubs:server-busy:100%", "--fault", "cosmos_db:503:100%"];
    let mut emulator = Emulator::start(directory.path(), &faults);
    assert_eq!(
        run(directory.path(), &["--limit", "20", "--seconds-to-run", "1", "--drain-timeout", "0s"]).status.code(),
        Some(1)
    );
    emulator.end_trouble();
    let output = run(directory.path(), &["--limit", "20"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let (summary, _) = emulator.end();
    assert_eq!((&summary["event_hubs"]["events"], &summary["cosmos_db"]["documents"]), (&json!(20), &json!(20)));
}

#[test]
fn a_fault_at_one_service_leaves_the_other_alone() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &["--fault", "event_hubs:delay=1ms:100%"]);
    assert!(run(directory.path(), &["--limit", "50"]).status.success());
    let (summary, _) = emulator.end();
    assert_eq!(
        summary["faults"],
        json!([{ "service": "event_hubs", "fault": "event_hubs:delay=1ms:100%", "happened": 50 }])
    );
}

#[test]
fn what_does_not_fit_into_its_memory_is_refused_and_counted_and_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &["--memory-limit", "200KB"]);
    let output = run(directory.path(), &["--limit", "1000"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let run = read_json(&directory.path().join("summary.json"));
    let (summary, _) = emulator.end();
    let stored = [
        ("event_hubs", count(&summary["event_hubs"]["events"])),
        ("cosmos_db", count(&summary["cosmos_db"]["documents"])),
    ];
    for (service, stored) in stored {
        let figures = &run["services"][service];
        assert_eq!(count(&figures["succeeded"]), stored, "{service}");
        assert_eq!(count(&figures["failed"]), 1000 - stored, "{service}");
        assert!((100..400).contains(&stored), "{service}: {stored} of about 900 bytes in 200,000");
    }
}

#[test]
fn a_port_that_is_in_use_is_reported_with_its_flag() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (flag, other) in [("--cosmos-port", "--event-hubs-port"), ("--event-hubs-port", "--cosmos-port")] {
        let output =
            support::txgen(directory.path()).args(["emulator", other, "0", flag, port.as_str()]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = stderr(&output);
        assert!(
            message.contains(&format!("{flag}: port {port} of 127.0.0.1 is in use by another program")),
            "{message}"
        );
    }
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let (_, said) = Emulator::start(directory.path(), &["--host", "0.0.0.0"]).end();
    assert!(said.contains("Warning: 0.0.0.0 is not a loopback address"), "{said}");
}

#[test]
fn an_unknown_fault_is_reported_with_those_that_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let output = emulator::command(directory.path(), &["--fault", "explode:1%"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    for part in ["--fault", "`explode:1%` is not a fault", "none of close, drop, delay", "429:5x"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// What is answered to a GET without any key: the status line and the body.
fn get(port: u64, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn health_is_answered_at_both_services_without_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &[]);
    let cosmos_db = emulator.ready["cosmos_db"]["endpoint"].as_str().unwrap();
    let cosmos_port = cosmos_db.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    for port in [count(&emulator.ready["event_hubs"]["port"]), cosmos_port] {
        let (status, body) = get(port, "/health");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status.as_str(), &body["status"]), ("HTTP/1.1 200 OK", &json!("healthy")));
    }
    let (summary, _) = emulator.end();
    assert_eq!(summary["cosmos_db"]["requests"], 0, "a health check is no request of a client");
}

#[test]
fn the_ready_file_says_what_the_ready_line_says_for_as_long_as_it_serves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready.json");
    let emulator = Emulator::start(directory.path(), &["--ready-file", "ready.json"]);
    assert_eq!(read_json(&path), emulator.ready);
    emulator.end();
    assert!(!path.exists());
    let mut killed = Emulator::start(directory.path(), &["--ready-file", "ready.json"]);
    killed.kill();
    assert_eq!(read_json(&path), killed.ready, "nothing could remove it");
    let next = Emulator::start(directory.path(), &["--ready-file", "ready.json"]);
    assert_eq!(read_json(&path), next.ready);
}

#[test]
fn it_ends_in_order_when_standard_input_closes_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = emulator::command(directory.path(), &["--until-stdin-closes", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut stdin = process.stdin.take().unwrap();
    let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    stdin.write_all(b"whatever\n").unwrap();
    assert_eq!(get(count(&ready["event_hubs"]["port"]), "/health").0, "HTTP/1.1 200 OK");
    drop(stdin);
    let summary: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(summary["type"], "summary");
    assert!(process.wait().unwrap().success());
}

#[test]
fn the_config_of_microsofts_emulator_says_which_hubs_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({ "UserConfig": {
        "NamespaceConfig": [{ "Type": "EventHub", "Name": "emulatorNs1", "Entities": [
            { "Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{ "Name": "cg1" }] },
            { "Name": "eh2", "PartitionCount": "4", "ConsumerGroups": [] },
        ] }],
        "LoggingConfig": { "Type": "File" },
    } });
    std::fs::write(directory.path().join("Config.json"), config.to_string()).unwrap();
    let emulator = Emulator::start(directory.path(), &["--config", "Config.json"]);
    let event_hubs = &emulator.ready["event_hubs"];
    assert_eq!((&event_hubs["hubs"], &event_hubs["partitions"]), (&json!(["eh1", "eh2"]), &json!(2)));
    assert_eq!(event_hubs["hub_partitions"], json!({ "eh1": 2, "eh2": 4 }));
    let checked = support::txgen(directory.path()).args(["check", "--output", "json"]).output().unwrap();
    let findings = &support::json_lines(&checked)[0];
    assert_eq!(findings["event_hubs"][1]["partitions"], 4, "{findings}");
    emulator.end();
    for (text, problem) in [("{}", "missing field `UserConfig`"), ("", "it is no Config.json")] {
        std::fs::write(directory.path().join("Config.json"), text).unwrap();
        let output = emulator::command(directory.path(), &["--config", "Config.json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}
