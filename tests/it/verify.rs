//! Dead letters, replay and `txgen verify` as a user meets them: the built binary, against a `txgen emulator` in a process
//! of its own.

use crate::support;
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::support::verified::{assert_success, counts, emulator, run, run_of, txgen, verify, wait_until};
use crate::support::{read_json, stderr, stdout};
use serde_json::json;

#[test]
fn a_run_without_trouble_is_found_whole_on_both_services() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &["--hub", "one", "two"]);
    // Another run beside it makes no difference.
    assert_success(&run(directory.path(), &["--limit", "50"]));
    assert_success(&run(directory.path(), &["--limit", "700", "--summary-file", "summary.json"]));
    let (code, found) = verify(directory.path(), &["summary.json"]);
    assert_eq!((code, &found["ok"], &found["type"]), (Some(0), &json!(true), &json!("verify")), "{found}");
    let hubs = found["services"]["event_hubs"].as_array().unwrap();
    assert_eq!(hubs.len(), 2, "each hub for itself");
    for place in hubs.iter().chain(found["services"]["cosmos_db"].as_array().unwrap()) {
        assert_eq!(counts(place, &["expected", "read", "present", "intact"]), [700; 4], "{place}");
    }
    let text = stdout(&txgen(directory.path(), &["verify", "--summary", "summary.json"]));
    assert!(text.ends_with("Every row is there, as it was sent, where it belongs.\n"), "{text}");
}

/// The proof: connections cut and closed, half answers, 429, events rejected for a while and for good, then kill -9 in
/// mid-run; dead letters, replay and verification show that every row is there.
#[test]
fn after_faults_and_a_kill_the_dead_letters_make_the_run_whole() {
    const ROWS: u64 = 6_000;
    let directory = tempfile::tempdir().unwrap();
    let faults = [
        "close:2x",
        "drop:3x",
        "half:2x",
        "event_hubs:server-busy:100x",
        "event_hubs:reject:@1500-1539",
        // For longer than a transaction is retried for.
        "cosmos_db:429:@1000+",
        "cosmos_db:503:3x",
        "cosmos_db:408:3x",
    ];
    let faults: Vec<&str> = faults.into_iter().flat_map(|fault| ["--fault", fault]).collect();
    let mut emulator = emulator(directory.path(), &faults);
    let folder = directory.path().join("letters");
    let limit = ROWS.to_string();
    let mut killed = run_of(directory.path(), &["--limit", &limit, "--rate", "1500", "--retry-for", "1s"])
        .args(["--dead-letters", "letters", "--summary-file", "never.json"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let lines = |name: &str| read(name).lines().count();
    wait_until("dead letters of both services and a journal", || {
        let rejections = read("event_hubs.csv").matches("com.microsoft:argument-error").count();
        lines("cosmos_db.csv") > 20 && rejections >= 20 && lines("journal") > 5
    });
    let busy = txgen(directory.path(), &["run", "--data", "letters/cosmos_db.csv", "--only-cosmos"]);
    assert_eq!(busy.status.code(), Some(2));
    assert!(stderr(&busy).contains("belongs to a run that is still going on"), "{}", stderr(&busy));
    killed.kill().unwrap();
    killed.wait().unwrap();
    emulator.end_trouble();

    let (code, found) = verify(directory.path(), &["letters/run.json"]);
    assert_eq!(code, Some(1), "{found}");
    for service in ["cosmos_db", "event_hubs"] {
        let missing = counts(&found["services"][service][0], &["missing"])[0];
        assert!((1..ROWS).contains(&missing), "{service}: {missing}");
    }
    let letters = std::fs::read_to_string(folder.join("event_hubs.csv")).unwrap();
    let rejected: Vec<&str> = letters.lines().filter(|line| line.contains("com.microsoft:argument-error")).collect();
    let rows: HashSet<&str> = rejected.iter().filter_map(|letter| letter.split(',').next()).collect();
    assert!((20..=40).contains(&rejected.len()) && rows.len() == rejected.len(), "each is reported once: {letters}");
    let surely = rejected.iter().filter(|letter| !letter.contains("may have been stored")).count() as u64;
    let missing = counts(&found["services"]["event_hubs"][0], &["missing"])[0];
    assert!((1..=missing).contains(&surely), "what is rejected for good is not there: {surely}, {missing}");

    for (service, only) in [("cosmos_db", "--only-cosmos"), ("event_hubs", "--only-event-hubs")] {
        let (data, summary) = (format!("letters/{service}.csv"), format!("{service}.json"));
        let replay = txgen(directory.path(), &["run", "--quiet", "--data", &data, only, "--summary-file", &summary]);
        assert_success(&replay);
        assert_eq!(stderr(&replay).contains("was killed"), service == "cosmos_db", "completed once, for both");
    }
    let (code, found) = verify(directory.path(), &["letters/run.json", "cosmos_db.json", "event_hubs.json"]);
    assert_eq!((code, &found["ok"]), (Some(0), &json!(true)), "{found}");
    let cosmos_db = &found["services"]["cosmos_db"][0];
    assert_eq!(counts(cosmos_db, &["expected", "read", "present", "intact"]), [ROWS; 4], "each row exactly once");
    let event_hub = &found["services"]["event_hubs"][0];
    assert_eq!(counts(event_hub, &["expected", "present", "missing", "duplicated"]), [ROWS, ROWS, 0, 0]);
    let again = counts(event_hub, &["read", "duplicated_after_ambiguous"]);
    assert!(again[0] >= ROWS && again[1] <= again[0] - ROWS, "{again:?}");
}

#[test]
fn what_fails_becomes_a_dead_letter_and_is_stored_by_its_replay() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &["--fault", "cosmos_db:429:40x"]);
    // Cells that a spreadsheet would run, in the data and so in the dead letters.
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let rows = shipped.lines().take(101).map(|line| line.replace(",USD,", ",=cmd|x,").replace(",us,", ", us ,"));
    std::fs::write(directory.path().join("data.csv"), rows.collect::<Vec<_>>().join("\n")).unwrap();
    let arguments = ["run", "--data", "data.csv", "--retry-for", "1ms", "--summary-file", "summary.json"];
    let output = txgen(directory.path(), &[&arguments[..], &["--dead-letters", "letters"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let failed = read_json(&directory.path().join("summary.json"))["services"]["cosmos_db"]["failed"].as_u64().unwrap();
    assert!((1..=40).contains(&failed));
    let message =
        format!("{failed} dead letters of Cosmos DB; to send them again: txgen run --data letters/cosmos_db.csv");
    assert!(stdout(&output).contains(&message), "{}", stdout(&output));

    let letters = std::fs::read_to_string(directory.path().join("letters/cosmos_db.csv")).unwrap();
    assert!(letters.lines().next().unwrap().ends_with(",transactionDateTime,txgen_id,txgen_row,txgen_reason"));
    assert_eq!(letters.lines().count() as u64, failed + 1);
    assert!(letters.lines().skip(1).all(|line| line.contains(",\"throttled (429")), "{letters}");
    assert!(!letters.contains(",=cmd") && letters.contains(",'=cmd|x,"), "{letters}");
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("letters"), mode("letters/cosmos_db.csv"), mode("letters/run.json")), (0o700, 0o600, 0o600));

    let (code, found) = verify(directory.path(), &["summary.json"]);
    assert_eq!(code, Some(1));
    let cosmos_db = &found["services"]["cosmos_db"][0];
    assert_eq!(counts(cosmos_db, &["missing", "present", "different"]), [failed, 100 - failed, 0]);
    assert_eq!(cosmos_db["missing"]["first"].as_array().unwrap().len() as u64, failed.min(10));

    let replay = ["run", "--data", "letters/cosmos_db.csv", "--only-cosmos", "--quiet"];
    // A second time they are all there: no failure either.
    for _ in 0..2 {
        assert_success(&txgen(directory.path(), &replay));
    }
    let (code, found) = verify(directory.path(), &["summary.json"]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(counts(&found["services"]["cosmos_db"][0], &["expected", "read", "intact"]), [100; 3]);
    assert_success(&txgen(directory.path(), &["run", "--data", "letters/event_hubs.csv", "--only-event-hubs"]));

    let taken = txgen(directory.path(), &[&arguments[..], &["--dead-letters", "letters"]].concat());
    assert_eq!(taken.status.code(), Some(2));
    assert!(stderr(&taken).contains("holds the dead letters of run"), "{}", stderr(&taken));
    let itself = txgen(directory.path(), &[&replay[..], &["--dead-letters", "letters"]].concat());
    assert_eq!(itself.status.code(), Some(2));
    assert!(stderr(&itself).contains("is read from that very folder"), "{}", stderr(&itself));
}

#[test]
fn what_was_not_sent_is_a_dead_letter_too() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &["--cosmos-latency", "200ms"]);
    let arguments = ["--seconds-to-run", "1", "--max-in-flight-cosmos", "4", "--rate", "500"];
    let output =
        run(directory.path(), &[&arguments[..], &["--summary-file", "s.json", "--dead-letters", "d"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let cosmos_db = &read_json(&directory.path().join("s.json"))["services"]["cosmos_db"];
    let not_sent = cosmos_db["not_sent"].as_u64().unwrap();
    assert!(not_sent > 0);
    let letters = std::fs::read_to_string(directory.path().join("d/cosmos_db.csv")).unwrap();
    assert_eq!(letters.matches(",not_sent: the run ended before its turn\n").count() as u64, not_sent);
    let replay = ["run", "--quiet", "--data", "d/cosmos_db.csv", "--only-cosmos", "--max-in-flight-cosmos", "100"];
    assert_success(&txgen(directory.path(), &replay));
    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!(code, Some(0), "{found}");
}

#[test]
fn an_event_that_was_sent_twice_without_need_is_a_duplicate() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    let arguments = ["--only-event-hubs", "--run-id", "0b5c1f6e-93d2-8a47", "--summary-file", "s.json", "--limit"];
    for limit in ["3", "20"] {
        assert_success(&run(directory.path(), &[&arguments[..], &[limit]].concat()));
    }
    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!(code, Some(1));
    let hub = &found["services"]["event_hubs"][0];
    assert_eq!(counts(hub, &["read", "present", "duplicated", "duplicated_after_ambiguous"]), [23, 20, 3, 0]);
    assert_eq!(hub["duplicated"]["first"][2], json!({ "row": 3, "id": "0b5c1f6e-93d2-8a47-8000-000000000003" }));
    let text = stdout(&txgen(directory.path(), &["verify", "--summary", "s.json"]));
    assert!(text.contains("  duplicated: row 1, id 0b5c1f6e-93d2-8a47-8000-000000000001\n"), "{text}");
}

#[test]
fn shards_are_verified_together_and_data_that_starts_again_to_its_last_row() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    for index in ["0", "1", "2"] {
        let (shard, file) = (format!("{index}/3"), format!("shard-{index}.json"));
        let arguments =
            ["--shard", &shard, "--run-id", "0b5c1f6e-93d2-8a47", "--limit", "100", "--summary-file", &file];
        assert_success(&run(directory.path(), &arguments));
    }
    let (code, found) = verify(directory.path(), &["shard-0.json", "shard-1.json", "shard-2.json"]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(counts(&found["services"]["cosmos_db"][0], &["expected", "intact"]), [100; 2]);
}

#[test]
fn data_that_starts_again_is_verified_to_its_last_row() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    std::fs::write(directory.path().join("few.csv"), shipped.lines().take(8).collect::<Vec<_>>().join("\n")).unwrap();
    let arguments = ["run", "--quiet", "--data", "few.csv", "--loop", "--limit", "30", "--summary-file", "loop.json"];
    assert_success(&txgen(directory.path(), &arguments));
    let (code, found) = verify(directory.path(), &["loop.json"]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(counts(&found["services"]["event_hubs"][0], &["expected", "intact"]), [30; 2]);
}

#[test]
fn what_cannot_be_verified_is_reported_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let output = txgen(directory.path(), &[&["verify", "--summary"], arguments].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    };
    assert_success(&run(directory.path(), &["--emulator", "--limit", "5", "--summary-file", "gone.json"]));
    refused(&["gone.json"], 2, &["gone.json is of a run with --emulator", "start `txgen emulator` beside the run"]);
    refused(&["none.json"], 2, &["--summary: cannot read `none.json`"]);
    std::fs::write(directory.path().join("text.json"), "{}").unwrap();
    refused(&["text.json"], 2, &["text.json is not the summary of a run", "--summary-file"]);

    let _emulator = emulator(directory.path(), &[]);
    assert_success(&run(directory.path(), &["--limit", "5", "--summary-file", "s.json"]));
    let settings = std::fs::read_to_string(directory.path().join("appsettings.json")).unwrap();
    let senders: Vec<&str> = settings.lines().filter(|line| !line.contains("_LISTEN_")).collect();
    std::fs::write(directory.path().join("senders.json"), senders.join("\n")).unwrap();
    let parts = ["does not let the policy `Sender` read", "EVENT_HUB_1_LISTEN_CONNECTION_STRING", "Listen right"];
    refused(&["s.json", "--settings", "senders.json"], 3, &parts);
    let elsewhere = settings.replace("EntityPath=transactions", "EntityPath=others");
    std::fs::write(directory.path().join("elsewhere.json"), elsewhere).unwrap();
    refused(
        &["s.json", "--settings", "elsewhere.json"],
        2,
        &["the run wrote to the event hubs transactions at", "--settings"],
    );
    std::fs::write(directory.path().join("other.csv"), "transactionID,accountID,ipCountryCode\nT,A,us\n").unwrap();
    refused(&["s.json", "--data", "other.csv"], 2, &["other.csv is not the data that the run sent"]);

    let mut summary = read_json(&directory.path().join("s.json"));
    summary["services"]["cosmos_db"]["target"]["container"]["ttl_seconds"] = json!(7);
    std::fs::write(directory.path().join("ttl.json"), summary.to_string()).unwrap();
    let (code, found) = verify(directory.path(), &["ttl.json", "--only", "cosmos-db"]);
    assert_eq!((code, counts(&found["services"]["cosmos_db"][0], &["ttl_wrong", "different"])), (Some(1), vec![5, 0]));
}
