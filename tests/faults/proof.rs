//! Row by row: what a run said of each of its transactions, held against what `txgen verify` finds in the services.
//!
//! The dead letters are the rows that the run did not confirm; all others it did. So each row that is missing must have a
//! dead letter, and each dead letter whose row is there must say that it may have been stored.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Ended, Stage};
use crate::support;
use crate::support::emulator::Emulator;

/// The folder that runs keep their dead letters in.
pub(crate) const LETTERS: &str = "letters";
/// As many rows as `txgen verify` lists one by one at most; fewer are missing here.
const MOST_SHOWN: &str = "10000";

/// A transaction that the run did not confirm.
struct Letter {
    id: String,
    reason: String,
}

/// Ends the trouble, reads the services back, and holds each row against what the run said of it. A service in `gone`
/// cannot be read any more.
pub(crate) fn prove(
    stage: &Stage,
    emulator: &mut Emulator,
    run: &Ended,
    gone: &[&str],
    environment: &[(&str, &str)],
) -> Result<(), String> {
    let mut letters = BTreeMap::new();
    for (service, totals) in run.summary["services"].as_object().into_iter().flatten() {
        let found = dead_letters(stage, service)?;
        let not_stored = run.count(service, "failed") + run.count(service, "not_sent");
        if found.len() as u64 != not_stored {
            return Err(format!("{service}: {} dead letters for {totals}", found.len()));
        }
        if !gone.contains(&service.as_str()) {
            letters.insert(service.as_str(), found);
        }
    }
    if letters.is_empty() {
        return Ok(());
    }
    emulator.end_trouble();
    let found = verify(stage, &letters, environment)?;
    for (service, letters) in &letters {
        let places = found["services"][service].as_array().filter(|places| places.len() == 1);
        let place = &places.ok_or_else(|| format!("{service} was not read back: {found}"))?[0];
        reconcile(run, service, letters, place).map_err(|problem| format!("{service}: {problem}: {place}"))?;
    }
    Ok(())
}

/// The dead letters of a service, by their rows.
fn dead_letters(stage: &Stage, service: &str) -> Result<BTreeMap<u64, Letter>, String> {
    let path = stage.path().join(LETTERS).join(format!("{service}.csv"));
    let mut reader = csv::Reader::from_path(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut letters = BTreeMap::new();
    for record in reader.deserialize::<BTreeMap<String, String>>() {
        let mut record = record.map_err(|error| format!("{}: {error}", path.display()))?;
        let mut cell = |name: &str| record.remove(name).ok_or_else(|| format!("{service}.csv has no {name}"));
        let letter = Letter { id: cell("txgen_id")?, reason: cell("txgen_reason")? };
        let row = cell("txgen_row")?.parse().map_err(|error| format!("{service}.csv: {error}"))?;
        if letters.insert(row, letter).is_some() {
            return Err(format!("{service}.csv holds row {row} twice"));
        }
    }
    Ok(letters)
}

/// What `txgen verify` finds; its output stays in the stage's directory, for a check for secrets.
fn verify(
    stage: &Stage,
    letters: &BTreeMap<&str, BTreeMap<u64, Letter>>,
    environment: &[(&str, &str)],
) -> Result<Value, String> {
    let mut command = support::txgen(stage.path());
    command.args(["verify", "--summary", "summary.json", "--output", "json", "--first", MOST_SHOWN]);
    if letters.len() == 1 {
        let only = if letters.contains_key("event_hubs") { "event-hubs" } else { "cosmos-db" };
        command.args(["--only", only]);
    }
    let output = command.envs(environment.iter().copied()).output().unwrap();
    std::fs::write(stage.path().join("verify.stdout"), &output.stdout).unwrap();
    std::fs::write(stage.path().join("verify.stderr"), &output.stderr).unwrap();
    let printed = || format!("{}{}", support::stdout(&output), support::stderr(&output));
    let found: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| format!("verify prints no findings: {}", printed()))?;
    let code = if found["ok"] == true { 0 } else { 1 };
    if output.status.code() != Some(code) {
        return Err(format!("verify ends with {:?}: {}", output.status.code(), printed()));
    }
    Ok(found)
}

/// Holds what was found in one place against what the run said.
fn reconcile(run: &Ended, service: &str, letters: &BTreeMap<u64, Letter>, place: &Value) -> Result<(), String> {
    let number = |name: &str| place[name].as_u64().ok_or_else(|| format!("verify prints no {name}"));
    let finding = |name: &str| place[name]["count"].as_u64().ok_or_else(|| format!("verify prints no {name}"));
    for name in ["duplicated", "different", "wrong_partition", "ttl_wrong", "unexpected"] {
        if finding(name)? != 0 {
            return Err(format!("rows are {name}"));
        }
    }
    if finding("duplicated_after_ambiguous")? > run.count(service, "ambiguous") {
        return Err("more rows are there twice than answers were lost".to_owned());
    }
    let requested = run.summary["requested"].as_u64();
    if Some(number("expected")?) != requested || number("present")? + finding("missing")? != number("expected")? {
        return Err(format!("not every row of {requested:?} is present or missing"));
    }
    let listed = place["missing"]["first"].as_array().into_iter().flatten();
    let missing: BTreeMap<u64, &str> =
        listed.filter_map(|row| Some((row["row"].as_u64()?, row["id"].as_str()?))).collect();
    if missing.len() as u64 != finding("missing")? {
        return Err("not every missing row is listed".to_owned());
    }
    for (row, id) in &missing {
        match letters.get(row) {
            None => return Err(format!("row {row} is missing, and the run says that it was stored")),
            Some(letter) if letter.id != *id => {
                return Err(format!("row {row} has the id {} as dead letter", letter.id));
            }
            Some(_) => {}
        }
    }
    let stored = letters.iter().filter(|(row, _)| !missing.contains_key(row));
    for (row, letter) in stored {
        if !letter.reason.ends_with("; it may have been stored") {
            return Err(format!("row {row} is there, and the run says that it is not: {}", letter.reason));
        }
    }
    Ok(())
}

#[test]
fn a_row_that_is_lost_while_another_is_there_twice_is_noticed() {
    let summary = json!({ "requested": 3, "services": { "event_hubs": { "ambiguous": 1 } } });
    let run = Ended { code: Some(1), stdout: String::new(), stderr: String::new(), summary, took: Duration::ZERO };
    let letter = |reason: &str| Letter { id: "id-2".to_owned(), reason: reason.to_owned() };
    let held = |missing: &[u64], twice: &[u64], letters: &BTreeMap<u64, Letter>| {
        let finding = |rows: &[u64]| {
            let first: Vec<Value> = rows.iter().map(|row| json!({ "row": row, "id": format!("id-{row}") })).collect();
            json!({ "count": rows.len(), "first": first })
        };
        let place = json!({
            "expected": 3, "present": 3 - missing.len(), "missing": finding(missing),
            "duplicated_after_ambiguous": finding(twice), "duplicated": finding(&[]), "different": finding(&[]),
            "wrong_partition": finding(&[]), "ttl_wrong": finding(&[]), "unexpected": finding(&[]),
        });
        reconcile(&run, "event_hubs", letters, &place)
    };
    let one = BTreeMap::from([(2, letter("connection: lost; it may have been stored"))]);
    assert_eq!(held(&[2], &[], &one), Ok(()));
    assert_eq!(held(&[], &[3], &one), Ok(()));
    assert!(held(&[1], &[3], &BTreeMap::new()).unwrap_err().contains("row 1 is missing"));
    assert!(held(&[1], &[], &one).unwrap_err().contains("row 1 is missing"));
    assert!(held(&[], &[1, 3], &one).unwrap_err().contains("twice"));
    let surely_not = BTreeMap::from([(2, letter("not_sent: the run ended before its turn"))]);
    assert_eq!(held(&[2], &[], &surely_not), Ok(()));
    assert!(held(&[], &[], &surely_not).unwrap_err().contains("row 2 is there"));
}
