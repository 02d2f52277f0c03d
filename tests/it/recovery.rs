//! What a run that was killed leaves behind, in every state that it can be in, and what its replay makes of that: the
//! built binary, against a `txgen emulator` in a process of its own.

use crate::support;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::verified::{assert_success, counts, emulator, txgen, verify, wait_until};
use crate::support::{read_json, stderr};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROWS: u64 = 1_500;
const SERVICES: [(&str, &str); 2] = [("event_hubs", "--only-event-hubs"), ("cosmos_db", "--only-cosmos")];

/// A directory with data, and the dead letters of a run that was killed while it sent them.
struct Killed {
    directory: TempDir,
    emulator: support::emulator::Emulator,
}

impl Killed {
    /// Some transactions fail at both services; the run is killed once `is_due` says so of its folder, and each service
    /// has dead letters and settled rows.
    fn after(faults: &[&str], is_due: impl Fn(&Path) -> bool) -> Self {
        Self::after_retrying_for("1ms", faults, is_due)
    }

    fn after_retrying_for(retry_for: &str, faults: &[&str], is_due: impl Fn(&Path) -> bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let failing = ["event_hubs:reject:@100-139", "cosmos_db:429:@100-199"];
        let faults: Vec<&str> = faults.iter().copied().chain(failing).flat_map(|fault| ["--fault", fault]).collect();
        let emulator = emulator(directory.path(), &faults);
        let shipped = fs::read_to_string(support::shipped_data()).unwrap();
        let rows: Vec<&str> = shipped.lines().take(1 + usize::try_from(ROWS).unwrap()).collect();
        fs::write(directory.path().join("data.csv"), rows.join("\n")).unwrap();
        let mut run = support::txgen(directory.path())
            .args(["run", "--quiet", "--data", "data.csv", "--rate", "400", "--retry-for", retry_for])
            .args(["--max-in-flight-event-hubs", "4", "--max-in-flight-cosmos", "4", "--dead-letters", "letters"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut killed = Self { directory, emulator };
        wait_until("dead letters, a journal and the hash of the data", || {
            // All rejections have struck: none is left for the replay.
            let begun = SERVICES.iter().zip([40, 10]).all(|((service, _), letters)| {
                killed.lines(&format!("{service}.csv")).len() > letters
                    && killed.lines("journal").iter().any(|line| line.starts_with(service))
            });
            begun && killed.plan()["data"]["sha256"].is_string() && is_due(&killed.letters())
        });
        run.kill().unwrap();
        run.wait().unwrap();
        killed.emulator.end_trouble();
        killed
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn letters(&self) -> PathBuf {
        self.path().join("letters")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.letters().join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.letters().join(name), text).unwrap();
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.read(name).lines().map(str::to_owned).collect()
    }

    fn plan(&self) -> Value {
        serde_json::from_str(&self.read("run.json")).unwrap_or_default()
    }

    /// The numbers of the rows of a file of dead letters, of which each must be there once.
    fn rows(&self, service: &str) -> BTreeSet<u64> {
        let lines = self.lines(&format!("{service}.csv"));
        let row = |line: &String| line.split("-8000-").nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
        let rows: BTreeSet<u64> = lines[1..].iter().map(row).collect();
        assert_eq!(rows.len(), lines.len() - 1, "no row is there twice");
        rows
    }

    fn replay(&self, service: &str) -> std::process::Output {
        let only = SERVICES.iter().find(|(name, _)| *name == service).unwrap().1;
        let (data, summary) = (format!("letters/{service}.csv"), format!("{service}.json"));
        txgen(self.path(), &["run", "--quiet", "--data", &data, only, "--summary-file", &summary])
    }

    /// Replays both services and verifies: every row is there, on Cosmos DB once.
    fn assert_made_whole(&self) -> Value {
        for (service, _) in SERVICES {
            assert_success(&self.replay(service));
            self.rows(service);
        }
        assert_eq!(self.plan()["state"], "recovered");
        let (code, found) = verify(self.path(), &["letters/run.json", "event_hubs.json", "cosmos_db.json"]);
        assert_eq!((code, &found["ok"]), (Some(0), &json!(true)), "{found}");
        assert_eq!(counts(&found["services"]["cosmos_db"][0], &["expected", "read", "intact"]), [ROWS; 3], "{found}");
        let hub = &found["services"]["event_hubs"][0];
        assert_eq!(counts(hub, &["expected", "present", "duplicated"]), [ROWS, ROWS, 0], "{found}");
        found
    }
}

#[test]
fn files_that_break_off_anywhere_are_completed_and_lose_no_row() {
    // In the reason, in the id, in the row itself, at the header's end, in the header, at the very start.
    for (letters_cut, journal_cut) in [(3, 2), (60, 1), (150, 40), (usize::MAX - 1, 0), (usize::MAX, usize::MAX)] {
        let killed = Killed::after(&[], |_| true);
        for (service, _) in SERVICES {
            let file = format!("{service}.csv");
            let text = killed.read(&file);
            let header = text.find('\n').unwrap();
            let kept = match letters_cut {
                usize::MAX => 0,
                cut if cut == usize::MAX - 1 => header - 5,
                cut => text.len() - cut,
            };
            killed.write(&file, &text[..kept]);
        }
        let journal = killed.read("journal");
        killed.write("journal", &journal[..journal.len().saturating_sub(journal_cut)]);
        killed.assert_made_whole();
    }
}

#[test]
fn a_completion_that_was_itself_interrupted_is_completed_and_its_rows_stay_ambiguous() {
    let killed = Killed::after(&[], |_| true);
    let (plan, before) = (killed.read("run.json"), killed.read("cosmos_db.csv"));
    let own = killed.rows("event_hubs");
    // It completes the dead letters, and then sends none: they are not to be sent again and again.
    let replay = ["run", "--quiet", "--data", "letters/event_hubs.csv", "--only-event-hubs", "--loop"];
    assert_eq!(txgen(killed.path(), &replay).status.code(), Some(2));
    assert_eq!(killed.plan()["state"], "recovered");
    let added = killed.rows("event_hubs").difference(&own).count();
    assert!(added > 100, "{added}");
    // As if it had been killed in the middle of a letter of the one file, with the other and the plan as they were.
    let after = killed.read("event_hubs.csv");
    let half = killed.lines("event_hubs.csv")[..1 + own.len() + added / 2].join("\n").len() + 1;
    killed.write("event_hubs.csv", &after[..half + 100]);
    killed.write("cosmos_db.csv", &before);
    killed.write("run.json", &plan);

    let found = killed.assert_made_whole();
    assert_eq!(killed.rows("event_hubs").difference(&own).count(), added, "the same ones as at the first time");
    let ambiguous = &killed.plan()["services"]["event_hubs"]["ambiguous_rows"]["ranges"];
    let ambiguous: u64 = ambiguous
        .as_array()
        .unwrap()
        .iter()
        .map(|range| range[1].as_u64().unwrap() - range[0].as_u64().unwrap() + 1)
        .sum();
    assert!(ambiguous >= added as u64, "{ambiguous} of {added}");
    // What the run had sent in its last moments was sent again, and is excused for that.
    let hub = &found["services"]["event_hubs"][0];
    assert_eq!(counts(hub, &["read"])[0], ROWS + counts(hub, &["duplicated_after_ambiguous"])[0], "{hub}");
}

/// How many rows a range of the journal is, such as `7` or `7-9`.
fn rows_in(range: &str) -> u64 {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    last.parse::<u64>().unwrap_or_default() - first.parse::<u64>().unwrap_or_default() + 1
}

#[test]
fn a_duplicate_from_before_the_kill_is_excused_by_the_journal() {
    // Half of these are stored before their answers are cut off; some of them have been sent again and are settled, too,
    // when the run is killed. Cosmos DB is throttled for longer than a transaction is retried for.
    let faults = ["event_hubs:half:@40-55", "cosmos_db:429:@200-999"];
    let killed = Killed::after_retrying_for("1s", &faults, |letters| {
        let journal = fs::read_to_string(letters.join("journal")).unwrap_or_default();
        let ranges = journal.lines().filter_map(|line| line.strip_prefix("ambiguous event_hubs "));
        ranges.flat_map(|rows| rows.split(' ')).map(rows_in).sum::<u64>() >= 2
    });
    // Before its dead letters are completed nobody knows of them, and duplicates are not held against the run.
    let (code, found) = verify(killed.path(), &["letters/run.json"]);
    let hub = &found["services"]["event_hubs"][0];
    assert_eq!((code, counts(hub, &["duplicated"])[0]), (Some(1), 0), "{hub}");
    let early = counts(hub, &["duplicated_after_ambiguous"])[0];
    assert!(early > 0, "some were stored before their answers were lost: {hub}");

    let found = killed.assert_made_whole();
    let excused = counts(&found["services"]["event_hubs"][0], &["duplicated_after_ambiguous"])[0];
    assert!(excused >= early, "{found}");
}

#[test]
fn data_that_has_changed_since_is_refused_and_nothing_is_sent_or_written() {
    let killed = Killed::after(&[], |_| true);
    let data = killed.path().join("data.csv");
    let original = fs::read_to_string(&data).unwrap();
    let before = SERVICES.map(|(service, _)| killed.read(&format!("{service}.csv")));
    let last = original.rfind("FALSE").unwrap();
    let same_size = format!("{}TRUEE{}", &original[..last], &original[last + 5..]);
    for (changed, message) in [
        (same_size, "which has changed since: it has as many bytes, but other content"),
        (format!("{original}\n"), "which has changed since: it had "),
    ] {
        fs::write(&data, &changed).unwrap();
        for (service, _) in SERVICES {
            let refused = killed.replay(service);
            assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
            assert!(stderr(&refused).contains(message), "{}", stderr(&refused));
            assert!(stderr(&refused).contains("data.csv") && stderr(&refused).contains("put the file back as it was"));
        }
    }
    assert_eq!(SERVICES.map(|(service, _)| killed.read(&format!("{service}.csv"))), before);
    assert_eq!(killed.plan()["state"], "running");
    fs::write(&data, &original).unwrap();
    killed.assert_made_whole();
}

#[test]
fn a_run_that_ends_by_itself_has_noted_what_its_data_was() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &["--fault", "event_hubs:reject:5x"]);
    let data = support::shipped_data();
    let arguments = ["run", "--quiet", "--rate", "500", "--limit", "1000", "--summary-file", "s.json"];
    let run = [&arguments[..], &["--dead-letters", "letters", "--data", data.to_str().unwrap()]].concat();
    assert_eq!(txgen(directory.path(), &run).status.code(), Some(1));
    let noted = &read_json(&directory.path().join("letters/run.json"))["data"]["sha256"];
    assert_eq!(noted, &read_json(&directory.path().join("s.json"))["data"]["sha256"]);
    assert!(noted.is_string());
}

/// Dead letters that version 0.1.0 wrote: those of a run that ended by itself, and of one that was killed.
///
/// The path of the data in `run.json` was made relative; nothing else was touched since.
fn kept_by_an_earlier_version(directory: &Path) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/dead_letters");
    for folder in ["", "finished", "killed"] {
        fs::create_dir_all(directory.join(folder)).unwrap();
        for entry in fs::read_dir(fixtures.join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), directory.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

#[test]
fn dead_letters_of_an_earlier_version_are_replayed_and_completed() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = emulator(directory.path(), &[]);
    kept_by_an_earlier_version(directory.path());
    // What failed; and of the killed run, what its journal does not list as settled.
    for (folder, run_id, [event_hubs, cosmos_db]) in
        [("finished", "1b5c1f6e-93d2-8a47", [4, 4]), ("killed", "0b5c1f6e-93d2-8a47", [4 + 20, 4 + 21])]
    {
        for ((service, only), letters) in SERVICES.into_iter().zip([event_hubs, cosmos_db]) {
            let data = format!("{folder}/{service}.csv");
            let replay = ["run", "--quiet", "--data", &data, only, "--summary-file", "replay.json"];
            assert_success(&txgen(directory.path(), &replay));
            let summary = read_json(&directory.path().join("replay.json"));
            assert_eq!(
                (&summary["requested"], &summary["run_id"]),
                (&json!(letters), &json!(run_id)),
                "{folder} {service}"
            );
            assert_eq!(summary["services"][service]["succeeded"], letters, "{folder} {service}");
        }
    }
    let states = ["finished", "killed"]
        .map(|folder| read_json(&directory.path().join(folder).join("run.json"))["state"].clone());
    assert_eq!(states, ["finished", "recovered"]);
}
