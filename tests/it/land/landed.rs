//! With the feature `lake`.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::emulator::{self, Emulator};
use crate::support::verified::{assert_success, counts, emulator as start, run, txgen, verify, wait_until};
use crate::support::{self, json_lines, stderr, stdout};

const ROWS: &str = "700";

fn land(directory: &Path, arguments: &[&str]) -> std::process::Output {
    txgen(directory, &[&["land", "--to", "lake/t", "--output", "json"], arguments].concat())
}

pub(super) fn end(output: &std::process::Output) -> Value {
    assert_success(output);
    json_lines(output).pop().unwrap()
}

pub(super) fn version(directory: &Path) -> usize {
    let log = directory.join("lake/t/_delta_log");
    let Ok(entries) = std::fs::read_dir(log) else { return 0 };
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "json")).count()
}

/// `txgen land` until it is stopped, which commits often.
fn lander(directory: &Path, arguments: &[&str]) -> Child {
    support::txgen(directory)
        .args(["land", "--to", "lake/t", "--commit-every", "100ms"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn last_words(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn what_a_run_sent_is_in_the_table_once_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = start(directory.path(), &[]);
    assert_success(&run(directory.path(), &["--limit", ROWS, "--summary-file", "summary.json"]));
    let first = end(&land(directory.path(), &["--until-caught-up"]));
    assert_eq!((&first["type"], &first["ended"]), (&json!("land_end"), &json!("caught_up")), "{first}");
    assert_eq!((&first["transactions"], &first["rejected"], &first["version"]), (&json!(700), &json!(0), &json!(1)));
    let again = end(&land(directory.path(), &["--until-caught-up"]));
    assert_eq!((&again["transactions"], &again["version"]), (&json!(0), &json!(1)), "{again}");

    let (code, found) = verify(directory.path(), &["summary.json", "--table", "lake/t"]);
    let place = &found["services"]["event_hubs"][0];
    assert_eq!((code, &found["ok"]), (Some(0), &json!(true)), "{found}");
    assert_eq!(counts(place, &["expected", "read", "present", "intact"]), [700; 4], "{place}");
    assert_eq!(place["place"], "the table lake/t, version 1");
    assert_eq!(found["services"].as_object().unwrap().len(), 1, "the services are not read");
}

#[test]
fn a_lander_that_is_killed_again_and_again_lands_everything_once() {
    const SENT: &str = "6000";
    let directory = tempfile::tempdir().unwrap();
    let _emulator = start(directory.path(), &[]);
    let mut sending = support::verified::run_of(
        directory.path(),
        &["--limit", SENT, "--rate", "500", "--only-event-hubs", "--summary-file", "summary.json"],
    )
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    let is_over = std::cell::Cell::new(false);
    let mut kills = 0;
    while !is_over.get() {
        let before = version(directory.path());
        let mut lander = lander(directory.path(), &[]);
        let sending = std::cell::RefCell::new(&mut sending);
        // Killed at another moment each time: some in mid-commit.
        wait_until("a commit", || {
            is_over.set(sending.borrow_mut().try_wait().unwrap().is_some());
            is_over.get() || version(directory.path()) > before + kills % 3
        });
        lander.kill().unwrap();
        lander.wait().unwrap();
        kills += 1;
    }
    assert!(sending.wait().unwrap().success());
    end(&land(directory.path(), &["--until-caught-up"]));
    let (code, found) = verify(directory.path(), &["summary.json", "--table", "lake/t"]);
    let place = &found["services"]["event_hubs"][0];
    assert_eq!(code, Some(0), "after {kills} kills: {found}");
    assert_eq!(counts(place, &["expected", "read", "intact"]), [6000; 3], "{place}");
}

#[test]
fn the_lander_whose_partitions_are_taken_over_ends_and_another_partition_does_not_disturb() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = start(directory.path(), &["--partitions", "4"]);
    let first = lander(directory.path(), &["--partitions", "0,1"]);
    let beside = lander(directory.path(), &["--partitions", "2,3"]);
    assert_success(&run(directory.path(), &["--limit", ROWS, "--only-event-hubs", "--summary-file", "summary.json"]));
    wait_until("a commit of each", || version(directory.path()) > 1);
    let second = lander(directory.path(), &["--partitions", "0,1"]);
    let (code, said) = last_words(first);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has taken over") || said.contains("was taken over by txgen land"), "{said}");
    for (mut lander, what) in [(beside, "the one beside"), (second, "the one that took over")] {
        assert!(lander.try_wait().unwrap().is_none(), "{what} goes on");
        support::signal(lander.id(), "INT");
        let (code, said) = last_words(lander);
        assert_eq!(code, Some(0), "{said}");
    }
    end(&land(directory.path(), &["--until-caught-up"]));
    let (code, found) = verify(directory.path(), &["summary.json", "--table", "lake/t"]);
    assert_eq!(code, Some(0), "{found}");
}

#[test]
fn events_that_are_gone_before_they_are_landed_stop_it_unless_gaps_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = start(directory.path(), &["--partitions", "1", "--retention", "2s"]);
    let send = || assert_success(&run(directory.path(), &["--limit", "100", "--only-event-hubs"]));
    wait_until("something landed before it was deleted", || {
        send();
        end(&land(directory.path(), &["--until-caught-up"]))["transactions"] != 0
    });
    send();
    let probes = std::cell::Cell::new(0);
    wait_until("the deletion of what was sent", || {
        // A table of its own each time: it begins with what the hub still has.
        probes.set(probes.get() + 1);
        let probe = format!("probes/{}", probes.get());
        end(&txgen(directory.path(), &["land", "--to", &probe, "--until-caught-up", "--output", "json"]))["transactions"]
            == 0
    });
    send();
    let stopped = land(directory.path(), &["--until-caught-up"]);
    assert_eq!(stopped.status.code(), Some(1), "{}{}", stdout(&stopped), stderr(&stopped));
    let said = stderr(&stopped);
    assert!(said.contains("partition 0 has lost ") && said.contains("the table ends at sequence number"), "{said}");
    assert!(said.contains("--allow-gaps"), "{said}");
    let landed = end(&land(directory.path(), &["--until-caught-up", "--allow-gaps"]));
    assert!(landed["lost"].as_u64().unwrap() >= 100, "{landed}");
}

#[test]
fn latest_begins_with_what_comes_and_remembers_that() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = start(directory.path(), &[]);
    assert_success(&run(directory.path(), &["--limit", "300", "--only-event-hubs"]));
    let first = end(&land(directory.path(), &["--start", "latest", "--until-caught-up"]));
    assert_eq!(first["transactions"], 0);
    assert_success(&run(directory.path(), &["--limit", "50", "--only-event-hubs"]));
    let then = end(&land(directory.path(), &["--start", "latest", "--until-caught-up"]));
    assert_eq!(then["transactions"], 50, "what came in between is not passed over");
}

#[test]
fn a_policy_that_may_not_listen_and_a_place_that_is_none_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let place = txgen(directory.path(), &["land", "--to", "s3://bucket/t"]);
    assert_eq!(place.status.code(), Some(2));
    assert!(stderr(&place).contains("abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER"), "{}", stderr(&place));
    let nothing = land(directory.path(), &["--until-caught-up"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("EVENT_HUB_1_CONNECTION_STRING is empty"), "{}", stderr(&nothing));
    let emulator = start(directory.path(), &[]);
    let partition = land(directory.path(), &["--until-caught-up", "--partitions", "99"]);
    assert_eq!(partition.status.code(), Some(2), "{}", stderr(&partition));
    assert!(stderr(&partition).contains("there is no partition 99, only 0, 1"), "{}", stderr(&partition));
    drop(emulator);
    let gone = land(directory.path(), &["--until-caught-up"]);
    assert_eq!(gone.status.code(), Some(3), "{}", stderr(&gone));
}

#[test]
fn a_hub_of_another_process_is_another_source() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Emulator::of(emulator::command(directory.path(), &["--no-throughput-limit"]).args([
        "--output",
        "json",
        "--settings-out",
        "appsettings.json",
    ]));
    assert_success(&run(directory.path(), &["--limit", "40", "--only-event-hubs"]));
    assert_eq!(end(&land(directory.path(), &["--until-caught-up"]))["transactions"], 40);
    first.kill();
    let _second = start(directory.path(), &[]);
    assert_success(&run(directory.path(), &["--limit", "30", "--only-event-hubs"]));
    assert_eq!(end(&land(directory.path(), &["--until-caught-up"]))["transactions"], 30);
}

#[test]
fn a_run_with_local_services_is_landed_as_it_goes_and_says_how_to_read_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let land = |more: &[&str]| {
        run(
            directory.path(),
            &[&["--emulator", "--land", "lake/", "--summary-file", "s.json", "--limit", ROWS], more].concat(),
        )
    };
    let ended = land(&[]);
    assert_success(&ended);
    let said = stdout(&ended);
    assert!(said.contains("Caught up: 700 transactions in"), "{said}");
    assert!(said.contains("DuckDB    SELECT * FROM delta_scan('lake/transactions');"), "{said}");
    assert!(said.contains("deltalake.DeltaTable(\"lake/transactions\").to_pandas()"), "{said}");
    let (code, found) = verify(directory.path(), &["s.json", "--table", "lake/transactions"]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(counts(&found["services"]["event_hubs"][0], &["expected", "read", "intact"]), [700; 3]);

    let again = json_lines(&land(&["--output", "json"])).pop().unwrap();
    assert_eq!((&again["type"], &again["transactions"]), (&json!("land_end"), &json!(700)), "{again}");
    let (code, found) = verify(directory.path(), &["s.json", "--table", "lake/transactions"]);
    assert_eq!(code, Some(0), "the rows of the other run do not disturb: {found}");
}

#[test]
fn a_lake_that_cannot_be_is_told_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let no_folder = run(directory.path(), &["--emulator", "--land", "file"]);
    assert_eq!(no_folder.status.code(), Some(2), "{}", stderr(&no_folder));
    assert!(stderr(&no_folder).contains("the folder file/transactions cannot be used"), "{}", stderr(&no_folder));
    let no_emulator = run(directory.path(), &["--land", "lake"]);
    assert_eq!(no_emulator.status.code(), Some(2));
    assert!(stderr(&no_emulator).contains("--emulator"), "{}", stderr(&no_emulator));
}
