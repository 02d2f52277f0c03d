//! What `txgen verify` finds, kind by kind, as a user sees it: the built binary, against services whose contents somebody
//! or something has spoilt.

use crate::support;
use std::path::Path;

use crate::support::documents::Documents;
use crate::support::verified::{assert_success, counts, emulator, run, run_of, txgen, verify, verify_text};
use serde_json::{Value, json};

const RUN: &str = "0b5c1f6e-93d2-8a47";
/// Of the finding of every kind, its count.
const KINDS: [&str; 7] =
    ["missing", "duplicated", "duplicated_after_ambiguous", "different", "wrong_partition", "ttl_wrong", "unexpected"];

fn id(row: u64) -> String {
    format!("{RUN}-8000-{row:012x}")
}

/// The first `rows` of the shipped data with changes, each a row (from 1), a text in it and another in its place.
fn data(directory: &Path, name: &str, rows: usize, changes: &[(usize, &str, &str)]) {
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let mut lines: Vec<String> = shipped.lines().take(rows + 1).map(str::to_owned).collect();
    for (row, from, to) in changes {
        let changed = lines[*row].replace(from, to);
        assert_ne!(changed, lines[*row], "{from} is in {}", lines[*row]);
        lines[*row] = changed;
    }
    std::fs::write(directory.join(name), lines.join("\n")).unwrap();
}

/// A cell of the shipped data.
fn cell(row: usize, column: &str) -> String {
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let mut lines = shipped.lines();
    let place = lines.next().unwrap().split(',').position(|name| name == column).unwrap();
    lines.nth(row - 1).unwrap().split(',').nth(place).unwrap().to_owned()
}

fn first(finding: &Value) -> Vec<(u64, String)> {
    let row = |found: &Value| (found["row"].as_u64().unwrap(), found["detail"].as_str().unwrap_or_default().to_owned());
    finding["first"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn what_somebody_has_changed_in_cosmos_db_is_found_for_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    assert_success(&run(directory.path(), &["--run-id", RUN, "--limit", "20", "--summary-file", "s.json"]));
    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!(code, Some(0), "{found}");

    let mut documents = Documents::of(&emulator.ready).await;
    let key = |row: u64| cell(usize::try_from(row).unwrap(), "ipCountryCode");
    // Another amount; another time to live; away; under another key; and one that was never sent.
    let mut document = documents.read(&id(2), &key(2)).await;
    document["transactionAmount"] = json!(1.5);
    documents.replace(&document, &key(2)).await;
    let mut document = documents.read(&id(3), &key(3)).await;
    document["ttl"] = json!(7);
    documents.replace(&document, &key(3)).await;
    documents.delete(&id(4), &key(4)).await;
    let mut document = documents.read(&id(5), &key(5)).await;
    documents.delete(&id(5), &key(5)).await;
    document["ipCountryCode"] = json!("zz");
    documents.create(&document, "zz").await;
    let mut document = documents.read(&id(6), &key(6)).await;
    document["id"] = json!(id(99));
    documents.create(&document, &key(6)).await;

    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!((code, &found["ok"]), (Some(1), &json!(false)), "{found}");
    let cosmos_db = &found["services"]["cosmos_db"][0];
    assert_eq!(counts(cosmos_db, &["expected", "read", "present", "intact"]), [20, 20, 19, 16], "{cosmos_db}");
    // What went to another key looks different too, for the key is part of it.
    assert_eq!(counts(cosmos_db, &KINDS), [1, 0, 0, 2, 1, 1, 1], "{cosmos_db}");
    assert_eq!(first(&cosmos_db["missing"]), [(4, String::new())]);
    assert_eq!(first(&cosmos_db["different"]), [(2, String::new()), (5, String::new())]);
    assert_eq!(first(&cosmos_db["wrong_partition"]), [(5, format!("under `zz` in place of `{}`", key(5)))]);
    assert_eq!(first(&cosmos_db["ttl_wrong"])[0].0, 3);
    assert_eq!(first(&cosmos_db["unexpected"]), [(99, String::new())]);
    assert_eq!(counts(&found["services"]["event_hubs"][0], &KINDS), [0; 7], "the events are as they were");

    let text = verify_text(directory.path(), &["s.json"]);
    for line in [
        format!("  missing: row 4, id {}", id(4)),
        format!("  different: row 2, id {}", id(2)),
        format!("  wrong partition: row 5, id {}: under `zz` in place of `{}`", id(5), key(5)),
        format!("  ttl wrong: row 3, id {}: 7 s in place of ", id(3)),
        format!("  unexpected: row 99, id {}", id(99)),
        "Cosmos DB: 1 row missing that the run said it had stored.".to_owned(),
        "6 faults found.".to_owned(),
    ] {
        assert!(text.lines().any(|printed| printed.starts_with(&line)), "no `{line}` in:\n{text}");
    }
}

#[test]
fn events_of_other_data_under_the_same_run_are_found_for_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    let country = cell(5, "ipCountryCode");
    data(directory.path(), "data.csv", 20, &[]);
    let changes = [(3, &*cell(3, "accountID"), "somebody else"), (5, &format!(",{country},"), ",zz,")];
    data(directory.path(), "other.csv", 25, &changes);
    let arguments = |data, summary| {
        ["run", "--quiet", "--only-event-hubs", "--run-id", RUN, "--data", data, "--summary-file", summary]
    };
    assert_success(&txgen(directory.path(), &arguments("data.csv", "s.json")));
    // As if somebody had started the run once more by mistake, from a file that is a little longer and a little other.
    assert_success(&txgen(directory.path(), &arguments("other.csv", "other.json")));

    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!(code, Some(1), "{found}");
    let hub = &found["services"]["event_hubs"][0];
    assert_eq!(counts(hub, &["expected", "read", "present", "intact"]), [20, 45, 20, 0], "{hub}");
    assert_eq!(counts(hub, &KINDS), [0, 20, 0, 2, 1, 0, 5], "{hub}");
    assert_eq!(first(&hub["different"]), [(3, String::new()), (5, String::new())]);
    assert_eq!(first(&hub["wrong_partition"]), [(5, format!("under `zz` in place of `{country}`"))]);
    assert_eq!(first(&hub["unexpected"]).iter().map(|(row, _)| *row).collect::<Vec<_>>(), [21, 22, 23, 24, 25]);
    let text = verify_text(directory.path(), &["s.json"]);
    for line in [
        "  duplicated: and 10 more".to_owned(),
        format!("  different: row 3, id {}", id(3)),
        format!("  wrong partition: row 5, id {}: under `zz` in place of `{country}`", id(5)),
        "28 faults found.".to_owned(),
    ] {
        assert!(text.lines().any(|printed| printed == line), "no `{line}` in:\n{text}");
    }
}

#[test]
fn a_duplicate_after_an_ambiguous_send_is_told_apart_from_one_without() {
    let directory = tempfile::tempdir().unwrap();
    // Half of these are stored before their answers are cut off, and are then sent again.
    let _emulator =
        emulator(directory.path(), &["--fault", "event_hubs:half:@100-107", "--fault", "event_hubs:drop:@150-157"]);
    let few = ["--only-event-hubs", "--run-id", RUN, "--max-in-flight-event-hubs", "4", "--limit"];
    assert_success(&run(directory.path(), &[&few[..], &["300", "--summary-file", "s.json"]].concat()));
    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!((code, &found["ok"]), (Some(0), &json!(true)), "at least once is what a hub promises: {found}");
    let hub = &found["services"]["event_hubs"][0];
    let [present, duplicated, excused] = counts(hub, &["present", "duplicated", "duplicated_after_ambiguous"])[..]
    else {
        unreachable!("three names, three counts")
    };
    assert_eq!((present, duplicated), (300, 0), "{hub}");
    assert!(excused > 0, "some were stored before their answers were lost: {hub}");

    // The same rows once more, this time for no reason.
    assert_success(&run(directory.path(), &[&few[..], &["3"]].concat()));
    let (code, found) = verify(directory.path(), &["s.json"]);
    assert_eq!(code, Some(1));
    let hub = &found["services"]["event_hubs"][0];
    assert_eq!(counts(hub, &["duplicated", "duplicated_after_ambiguous"]), [3, excused], "{hub}");
    let text = verify_text(directory.path(), &["s.json"]);
    assert!(text.contains(&format!("  duplicated: row 1, id {}\n", id(1))), "{text}");
    assert!(text.contains("  duplicated after an ambiguous send: row "), "{text}");
    assert!(text.ends_with("\n3 faults found.\n"), "{text}");
}

#[test]
fn a_hub_that_the_settings_name_twice_has_every_row_twice_and_that_is_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    let settings = support::read_json(&directory.path().join("appsettings.json"));
    let hub = settings["EVENT_HUB_1_CONNECTION_STRING"].as_str().unwrap();
    let twice = [("EVENT_HUB_1_CONNECTION_STRING", hub), ("EVENT_HUB_2_CONNECTION_STRING", hub)];
    let arguments = ["--only-event-hubs", "--limit", "30", "--summary-file", "s.json"];
    assert_success(&run_of(directory.path(), &arguments).envs(twice).output().unwrap());
    let mut verify = support::txgen(directory.path());
    let verified = verify.args(["verify", "--summary", "s.json", "--output", "json"]).envs(twice).output().unwrap();
    assert_success(&verified);
    let found: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let hubs = found["services"]["event_hubs"].as_array().unwrap();
    assert_eq!(hubs.len(), 1, "{found}");
    assert_eq!(counts(&hubs[0], &["expected", "read", "intact", "duplicated"]), [30, 60, 30, 0]);
}
