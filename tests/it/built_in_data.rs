//! A binary that was copied to another machine: no checkout around it, and no data beside it.

use std::path::Path;

use crate::support::verified::{assert_success, counts, emulator, txgen, verify};
use crate::support::{read_json, shipped_data, stderr, stdout};

#[test]
fn without_a_data_file_a_run_sends_the_shipped_transactions_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["run", "--emulator", "--limit", "200", "--summary-file", "here.json"];
    let output = txgen(directory.path(), &arguments);
    assert_success(&output);
    let message = stdout(&output);
    assert!(message.contains("built-in: 20,000 transactions made from seed 42"), "{message}");
    let shipped = shipped_data();
    let arguments =
        ["run", "--emulator", "--limit", "200", "--summary-file", "shipped.json", "--data", shipped.to_str().unwrap()];
    assert_success(&txgen(directory.path(), &arguments));
    let data = |name: &str| read_json(&directory.path().join(name))["data"].clone();
    assert_eq!(data("here.json")["file"], "built-in");
    for field in ["bytes", "sha256"] {
        assert_eq!(data("here.json")[field], data("shipped.json")[field], "{field}");
        assert!(!data("here.json")[field].is_null(), "{field}");
    }
}

#[test]
fn such_a_run_is_replayed_and_verified_from_another_folder() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &["--fault", "cosmos_db:429:40x"]);
    let other = tempfile::tempdir().unwrap();
    let settings = directory.path().join("appsettings.json");
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["run", "--limit", "150", "--retry-for", "1ms", "--summary-file", "s.json"];
    let output = txgen(directory.path(), &[&arguments[..], &["--dead-letters", "letters"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(read_json(Path::new(&place("letters/run.json")))["data"]["file"], "built-in");

    std::fs::copy(settings, other.path().join("appsettings.json")).unwrap();
    let letters = place("letters/cosmos_db.csv");
    assert_success(&txgen(other.path(), &["run", "--quiet", "--data", &letters, "--only-cosmos"]));
    let (code, found) = verify(other.path(), &[&place("s.json")]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(counts(&found["services"]["cosmos_db"][0], &["expected", "present", "intact"]), [150; 3]);
}

#[test]
fn data_check_looks_at_the_same_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let output = txgen(directory.path(), &["data", "check", "--output", "json"]);
    assert_success(&output);
    let profile: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&profile["rows"], &profile["rejected_rows"]), (&20_000.into(), &0.into()));
}
