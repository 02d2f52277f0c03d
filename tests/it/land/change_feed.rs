//! `txgen land --from cosmos-db`.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::landed::{end, version};
use crate::support::documents::Documents;
use crate::support::verified::{assert_success, counts, emulator, run, run_of, txgen, verify, wait_until};
use crate::support::{self, stderr};

const RUN: &str = "0b5c1f6e-93d2-8a47";

fn land(directory: &Path, arguments: &[&str]) -> Output {
    let common = ["land", "--from", "cosmos-db", "--to", "lake/t", "--output", "json", "--until-caught-up"];
    txgen(directory, &[&common, arguments].concat())
}

fn landed(directory: &Path) -> Value {
    end(&land(directory, &[]))["transactions"].clone()
}

fn write(directory: &Path, arguments: &[&str]) {
    assert_success(&run(directory, &[&["--only-cosmos", "--summary-file", "summary.json"], arguments].concat()));
}

/// What `txgen verify` finds in the table, which is what it ought to be.
fn verified(directory: &Path) -> Value {
    let (code, found) = verify(directory, &["summary.json", "--table", "lake/t", "--only", "cosmos-db"]);
    assert_eq!(code, Some(0), "{found}");
    found["services"]["cosmos_db"][0].clone()
}

fn id(row: u64) -> String {
    format!("{RUN}-8000-{row:012x}")
}

#[test]
fn what_a_run_wrote_is_in_the_table_once_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "700"]);
    let first = land(directory.path(), &[]);
    assert_eq!(end(&first)["transactions"], 700);
    assert_eq!(end(&first)["rejected"], 0);
    assert!(stderr(&first).contains("nothing of this container is in it yet; at most"), "{}", stderr(&first));
    assert_eq!(landed(directory.path()), 0);
    assert_eq!(counts(&verified(directory.path()), &["expected", "read", "present", "intact"]), [700; 4]);
}

#[test]
fn a_lander_that_is_killed_again_and_again_lands_every_change_once() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    let mut writing = run_of(
        directory.path(),
        &["--limit", "4000", "--rate", "400", "--only-cosmos", "--summary-file", "summary.json"],
    )
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    let mut kills = 0;
    let mut is_over = false;
    while !is_over {
        let before = version(directory.path());
        let mut lander = support::txgen(directory.path())
            .args(["land", "--from", "cosmos-db", "--to", "lake/t", "--commit-every", "100ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let writing = std::cell::RefCell::new(&mut writing);
        wait_until("a commit, or the end", || {
            writing.borrow_mut().try_wait().unwrap().is_some() || version(directory.path()) > before + kills % 3
        });
        is_over = writing.borrow_mut().try_wait().unwrap().is_some();
        lander.kill().unwrap();
        lander.wait().unwrap();
        kills += 1;
    }
    assert!(writing.wait().unwrap().success());
    end(&land(directory.path(), &[]));
    assert_eq!(counts(&verified(directory.path()), &["expected", "read", "intact"]), [4000; 3], "after {kills} kills");
}

#[tokio::test]
async fn a_replaced_document_is_another_row_and_a_deleted_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "20", "--run-id", RUN]);
    assert_eq!(landed(directory.path()), 20);
    let mut documents = Documents::of(&emulator.ready).await;
    let keys: Vec<String> = {
        let data = std::fs::read_to_string(support::shipped_data()).unwrap();
        let mut lines = data.lines();
        let place = lines.next().unwrap().split(',').position(|name| name == "ipCountryCode").unwrap();
        lines.take(3).map(|line| line.split(',').nth(place).unwrap().to_owned()).collect()
    };
    // Two versions in between, of which the feed shows the latest; one that the feed shows no more.
    for amount in [1.5, 2.5] {
        let mut document = documents.read(&id(1), &keys[0]).await;
        document["transactionAmount"] = json!(amount);
        documents.replace(&document, &keys[0]).await;
    }
    documents.delete(&id(2), &keys[1]).await;
    assert_eq!(landed(directory.path()), 1);
    let (code, found) = verify(directory.path(), &["summary.json", "--table", "lake/t"]);
    let found = &found["services"]["cosmos_db"][0];
    assert_eq!(code, Some(1), "{found}");
    assert_eq!(counts(found, &["present", "missing", "duplicated", "different"]), [20, 0, 1, 1], "{found}");
}

#[tokio::test]
async fn a_document_that_is_no_transaction_goes_to_the_other_table() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "5"]);
    let mut documents = Documents::of(&emulator.ready).await;
    documents.create(&json!({"id": "x", "ipCountryCode": "us", "collectionType": "Account"}), "us").await;
    let end = end(&land(directory.path(), &[]));
    assert_eq!((&end["transactions"], &end["rejected"]), (&json!(5), &json!(1)));
}

#[test]
fn documents_that_expired_before_they_were_landed_are_not_there_and_stop_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "30", "--ttl", "1s"]);
    // A table of its own each time: it begins with what the container still has.
    let probes = std::cell::Cell::new(0);
    wait_until("the end of all documents", || {
        probes.set(probes.get() + 1);
        let probe = format!("probes/{}", probes.get());
        let common = ["land", "--from", "cosmos-db", "--until-caught-up", "--output", "json", "--to", &probe];
        end(&txgen(directory.path(), &common))["transactions"] == 0
    });
    write(directory.path(), &["--limit", "10"]);
    assert_eq!(landed(directory.path()), 10);
}

#[tokio::test]
async fn the_partitions_of_a_split_go_on_where_theirs_ended() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "200"]);
    assert_eq!(landed(directory.path()), 200);
    let first = end(&land(directory.path(), &[]));
    assert_eq!(first["transactions"], 0);
    let mut documents = Documents::of(&emulator.ready).await;
    documents.set_throughput(60_000).await;
    assert_eq!(landed(directory.path()), 0, "nothing is landed again");
    write(directory.path(), &["--limit", "300"]);
    assert_eq!(landed(directory.path()), 300);
    assert_eq!(counts(&verified(directory.path()), &["expected", "read", "intact"]), [300; 3]);
    let partition = land(directory.path(), &["--partitions", "0"]);
    assert_eq!(partition.status.code(), Some(2), "{}", stderr(&partition));
    assert!(stderr(&partition).contains("there is no partition 0, only "), "{}", stderr(&partition));
}

#[tokio::test]
async fn a_split_under_a_lander_costs_no_change_and_doubles_none() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = emulator(directory.path(), &[]);
    write(directory.path(), &["--limit", "50"]);
    let lander = support::txgen(directory.path())
        .args(["land", "--from", "cosmos-db", "--to", "lake/t", "--commit-every", "100ms"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first commit", || version(directory.path()) > 1);
    Documents::of(&emulator.ready).await.set_throughput(60_000).await;
    let before = version(directory.path());
    write(directory.path(), &["--limit", "400"]);
    wait_until("a commit behind the split", || version(directory.path()) > before);
    support::signal(lander.id(), "INT");
    let ended = lander.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", stderr(&ended));
    end(&land(directory.path(), &[]));
    assert_eq!(counts(&verified(directory.path()), &["expected", "read", "intact"]), [400; 3]);
}
