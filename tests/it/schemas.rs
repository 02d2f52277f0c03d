//! The JSON documents that txgen writes, held against their schemas in docs/schemas/: real output of the built binary.
//!
//! The schemas are strict: a field that is added, lost or renamed is found here, and then the schema has to follow.

use crate::support;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::support::verified::wait_until;
use crate::support::{json_lines, read_json, stderr, stdout};
use jsonschema::Validator;
use serde_json::{Value, json};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas")
}

fn schema(name: &str) -> Value {
    read_json(&directory().join(format!("{name}.schema.json")))
}

fn validator(name: &str) -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema(name)).unwrap()
}

/// What is wrong with a document, one line each.
fn problems(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{} at {}", error, error.instance_path())).collect()
}

/// Asserts that the document is as the schema says, and that the schema is strict about it: none of its fields may be
/// missing, and none may be added.
fn assert_fits(name: &str, document: &Value) {
    let validator = validator(name);
    assert_eq!(problems(&validator, document), [""; 0], "{name}.schema.json does not describe {document}");
    for field in document.as_object().unwrap().keys() {
        let mut without = document.clone();
        without.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&without), "{name}: {field} may be missing");
    }
    let mut more = document.clone();
    more["surplus"] = json!(1);
    assert!(!validator.is_valid(&more), "{name}: a field may be added");
}

fn assert_run_fits(lines: &[Value]) {
    let name_of = |line: &Value| match line["type"].as_str().unwrap() {
        "start" => "run-start",
        "batch" => "run-batch",
        "summary" => "summary",
        other => panic!("there is no schema for lines of the type {other}"),
    };
    assert!(lines.len() >= 3);
    for line in lines {
        assert_fits(name_of(line), line);
    }
}

fn txgen(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(arguments);
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = txgen(directory, &["run", "--output", "json", "--data"]);
    command.arg(support::shipped_data()).args(arguments);
    command
}

fn ended(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    output
}

/// A `txgen emulator` in a process of its own, which has written an appsettings.json.
struct Emulator {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Emulator {
    /// Starts it, and gives its first line.
    fn start(directory: &Path, arguments: &[&str]) -> (Self, Value) {
        let mut process = txgen(directory, &["emulator", "--event-hubs-port", "0", "--cosmos-port", "0"])
            .args(["--output", "json", "--settings-out", "appsettings.json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        (Self { process, lines }, serde_json::from_str(&ready).unwrap())
    }

    /// Ends it as Ctrl-C does, and gives its last line.
    fn end(mut self) -> Value {
        assert!(Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap().success());
        let mut summary = String::new();
        self.lines.read_to_string(&mut summary).unwrap();
        serde_json::from_str(&summary).unwrap()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_run_against_both_services() {
    let directory = tempfile::tempdir().unwrap();
    let output = ended(&mut run(directory.path(), &["--emulator", "--limit", "1500", "--summary-file", "s.json"]), 0);
    let lines = json_lines(&output);
    assert_run_fits(&lines);
    assert_fits("summary", &read_json(&directory.path().join("s.json")));
    let services = lines.last().unwrap()["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["cosmos_db", "event_hubs"]);
}

#[test]
fn a_run_against_one_service_and_a_shard() {
    let directory = tempfile::tempdir().unwrap();
    for flags in [
        &["--only-cosmos"][..],
        &["--only-event-hubs", "--rate", "500"],
        &["--fail-on", "failed>0", "--fail-on", "requested>60"],
        &["--shard", "1/3", "--run-id", "0b5c1f6e-93d2-8a47"],
    ] {
        let mut command = run(directory.path(), &["--emulator", "--limit", "60"]);
        assert_run_fits(&json_lines(&ended(command.args(flags), 0)));
    }
}

#[test]
fn shards_added_up() {
    let directory = tempfile::tempdir().unwrap();
    let (_emulator, _) = Emulator::start(directory.path(), &[]);
    for shard in ["0", "2"] {
        let flags = ["--limit", "60", "--shard", &format!("{shard}/3"), "--run-id", "0b5c1f6e-93d2-8a47"];
        ended(run(directory.path(), &flags).args(["--summary-file", &format!("{shard}.json")]), 0);
    }
    let merge = ["report", "merge", "--partial", "0.json", "2.json", "-o", "merged.json"];
    ended(&mut txgen(directory.path(), &merge), 0);
    let merged = read_json(&directory.path().join("merged.json"));
    assert_fits("summary", &merged);
    assert_eq!(merged["merged"], json!({ "shards": 3, "missing": [{ "index": 1, "count": 3 }] }));
}

/// The summary of a run that took half a minute: a real one of a moment, with its only interval again and again.
fn stretched(mut summary: Value) -> Value {
    let point = summary["series"]["points"][0].clone();
    let points = (1..=30).map(|second: u64| {
        let mut point = point.clone();
        point["elapsed_seconds"] = second.into();
        for service in ["event_hubs", "cosmos_db"] {
            point["services"][service]["succeeded"] = (100 + second * 7 % 11).into();
        }
        point
    });
    summary["series"]["points"] = points.collect();
    summary
}

#[test]
fn a_comparison_of_runs() {
    let directory = tempfile::tempdir().unwrap();
    for (name, flags) in [("a.json", &[][..]), ("b.json", &["--ttl", "1d"]), ("one.json", &["--only-cosmos"])] {
        let mut command = run(directory.path(), &["--emulator", "--limit", "60", "--summary-file", name]);
        ended(command.args(flags), 0);
    }
    for name in ["a.json", "b.json"] {
        let summary = stretched(read_json(&directory.path().join(name)));
        std::fs::write(directory.path().join(format!("long-{name}")), summary.to_string()).unwrap();
    }
    let compare = |a: &str, b: &str| {
        let output = ended(&mut txgen(directory.path(), &["report", "compare", "--format", "json", a, b]), 0);
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    assert_fits("comparison", &compare("a.json", "one.json"));
    let comparison = compare("long-a.json", "long-b.json");
    assert_fits("comparison", &comparison);
    assert!(comparison["figures"].as_array().unwrap().iter().any(|figure| figure["spread"]["p"].is_number()));
}

#[test]
fn a_run_in_which_much_fails_and_the_emulators_that_see_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let faults = ["drop:2x", "429:20x", "503:5x", "event_hubs:server-busy:5x"];
    let faults: Vec<&str> = faults.into_iter().flat_map(|fault| ["--fault", fault]).collect();
    let (emulator, ready) = Emulator::start(directory.path(), &[&["--memory-limit", "200KB"][..], &faults].concat());
    assert_fits("emulator-ready", &ready);
    let output = ended(&mut run(directory.path(), &["--limit", "1000"]), 1);
    let lines = json_lines(&output);
    assert_run_fits(&lines);
    let examples = &lines.last().unwrap()["services"]["cosmos_db"]["failure_examples"];
    assert!(!examples.as_array().unwrap().is_empty(), "there is something to hold against the schema");
    assert_fits("emulator-summary", &emulator.end());
}

#[test]
fn the_emulator_over_https() {
    let directory = tempfile::tempdir().unwrap();
    let (emulator, ready) = Emulator::start(directory.path(), &["--https", "--hub", "one", "two"]);
    assert_fits("emulator-ready", &ready);
    assert!(ready["cosmos_db"]["certificate"].is_string());
    assert_fits("emulator-summary", &emulator.end());
}

#[test]
fn the_emulator_with_a_key_vault() {
    let directory = tempfile::tempdir().unwrap();
    let (emulator, ready) = Emulator::start(directory.path(), &["--secret", "hub=made-up"]);
    assert_fits("emulator-ready", &ready);
    assert!(ready["key_vault"]["url"].is_string());
    assert_fits("emulator-summary", &emulator.end());
}

#[test]
fn the_emulator_with_kafka_and_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (_emulator, ready) = Emulator::start(directory.path(), &["--kafka-port", "0", "--event-hubs-tls-port", "0"]);
    assert_fits("emulator-ready", &ready);
    let event_hubs = &ready["event_hubs"];
    assert!(event_hubs["kafka_port"].is_number() && event_hubs["tls_ports"][0].is_number(), "{event_hubs}");
    assert!(ready["cosmos_db"]["certificate"].is_null());
}

#[test]
fn a_check_of_what_is_there_of_what_is_not_and_of_wrong_settings() {
    let directory = tempfile::tempdir().unwrap();
    let (_emulator, _) = Emulator::start(directory.path(), &[]);
    let check = |flags: &[&str]| txgen(directory.path(), &[&["check", "--output", "json"][..], flags].concat());
    assert_fits("check", &json_lines(&ended(&mut check(&[]), 0))[0]);
    ended(&mut run(directory.path(), &["--limit", "5"]), 0);
    for flags in [&[][..], &["--container", "other"], &["--only-cosmos"], &["--only-event-hubs"]] {
        assert_fits("check", &json_lines(&ended(&mut check(flags), 0))[0]);
    }
    assert_fits("check", &json_lines(&ended(check(&[]).env("COSMOS_DB_AUTH_KEY", "c2VjcmV0"), 3))[0]);
    assert_fits("check", &json_lines(&ended(check(&[]).env("SECONDS_TO_RUN", "soon"), 2))[0]);
}

#[test]
fn a_dry_run() {
    let directory = tempfile::tempdir().unwrap();
    let lines = json_lines(&ended(&mut run(directory.path(), &["--emulator", "--dry-run=100"]), 0));
    assert_fits("dry-run", &lines[0]);
    assert_eq!(lines.len(), 101);
    let validator = validator("dry-run-transaction");
    for line in &lines[1..] {
        assert_eq!(problems(&validator, line), [""; 0], "{line}");
    }
    assert_fits("dry-run-transaction", &lines[1]);
}

#[test]
fn a_profile_of_data_good_and_bad() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let mut lines: Vec<&str> = shipped.lines().take(20).collect();
    lines.insert(3, "only,three,fields");
    let bad = lines.join("\n").replacen("false", "perhaps", 1);
    std::fs::write(directory.path().join("bad.csv"), bad).unwrap();
    std::fs::write(directory.path().join("none.csv"), format!("{}\nonly,three,fields", lines[0])).unwrap();
    for (file, code) in [(support::shipped_data().to_str().unwrap(), 0), ("bad.csv", 1), ("none.csv", 1)] {
        let output = ended(&mut txgen(directory.path(), &["data", "check", "--output", "json", file]), code);
        assert_fits("data-check", &json_lines(&output)[0]);
    }
}

#[test]
fn the_plan_of_dead_letters_as_it_starts_as_it_ends_and_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (_emulator, _) = Emulator::start(directory.path(), &["--fault", "cosmos_db:429:20x"]);
    let plan = || read_json(&directory.path().join("letters/run.json"));
    let state = || std::fs::read_to_string(directory.path().join("letters/run.json")).unwrap_or_default();
    let flags = ["--limit", "40", "--retry-for", "1ms", "--shard", "0/2", "--run-id", "0b5c1f6e-93d2-8a47"];
    ended(run(directory.path(), &flags).args(["--dead-letters", "letters"]), 1);
    assert_fits("dead-letters", &plan());
    assert!(plan()["state"] == "finished" && plan()["services"]["cosmos_db"]["dead_letters"].as_u64().unwrap() > 0);

    std::fs::remove_dir_all(directory.path().join("letters")).unwrap();
    let mut killed = run(directory.path(), &["--rate", "100", "--dead-letters", "letters"]);
    let mut killed = killed.stdout(Stdio::null()).spawn().unwrap();
    wait_until("the hash of the data", || state().contains("\"sha256\": \""));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_fits("dead-letters", &plan());
    assert_eq!(plan()["state"], "running");
    let replay = ["run", "--quiet", "--data", "letters/cosmos_db.csv", "--only-cosmos", "--limit", "1"];
    ended(&mut txgen(directory.path(), &replay), 0);
    assert_fits("dead-letters", &plan());
    assert_eq!(plan()["state"], "recovered");
    assert!(!plan()["services"]["event_hubs"]["ambiguous_rows"]["ranges"].as_array().unwrap().is_empty());
}

#[test]
fn every_schema_is_one_and_is_strict() {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".schema.json").unwrap_or_else(|| panic!("{name} is no schema")).to_owned();
        let schema = schema(&name);
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["$id"], format!("urn:txgen:{name}"));
        assert_strict(&name, &schema);
        names.insert(name);
    }
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())).unwrap();
    for name in names {
        assert!(source.contains(&format!("\"{name}\"")), "nothing real is held against {name}.schema.json");
    }
}

#[cfg(feature = "lake")]
#[test]
fn every_line_of_a_landing_fits() {
    let directory = tempfile::tempdir().unwrap();
    let _emulator = support::verified::emulator(directory.path(), &[]);
    ended(&mut run(directory.path(), &["--only-event-hubs", "--limit", "50"]), 0);
    let flags = ["land", "--to", "lake/t", "--until-caught-up", "--output", "json"];
    let lines = json_lines(&ended(&mut txgen(directory.path(), &flags), 0));
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["land_start", "land_commit", "land_end"]);
    lines.iter().for_each(assert_landing_fits);
}

/// Gaps, lags and troubles do not come at will: their lines are those that the command's own tests hold against the schema's
/// fields.
#[cfg(feature = "lake")]
#[test]
fn the_rarer_lines_of_a_landing_fit() {
    for line in [
        json!({"type": "land_gap", "partition": 0, "events_lost": 7}),
        json!({"type": "land_lag", "partitions": {"0": {"events": 7, "seconds": 1.5}}}),
        json!({"type": "land_retry", "reason": "the table lake/t: 503"}),
    ] {
        assert_landing_fits(&line);
    }
}

#[cfg(feature = "lake")]
fn assert_landing_fits(line: &Value) {
    let name = match line["type"].as_str().unwrap() {
        "land_start" => "land-start",
        "land_commit" => "land-commit",
        "land_gap" => "land-gap",
        "land_lag" => "land-lag",
        "land_retry" => "land-retry",
        "land_end" => "land-end",
        other => panic!("there is no schema for lines of the type {other}"),
    };
    assert_fits(name, line);
}

/// Objects with named fields allow no others, and demand all but a few.
fn assert_strict(path: &str, schema: &Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                assert_eq!(fields.get("additionalProperties"), Some(&json!(false)), "{path}");
                assert!(fields.contains_key("required"), "{path}");
            }
            fields.iter().for_each(|(name, value)| assert_strict(&format!("{path}/{name}"), value));
        }
        Value::Array(values) => values.iter().for_each(|value| assert_strict(path, value)),
        _ => {}
    }
}

#[test]
fn what_verify_has_found_is_as_its_schema_says() {
    let directory = tempfile::tempdir().unwrap();
    let (emulator, _) = Emulator::start(directory.path(), &["--no-throughput-limit"]);
    ended(&mut run(directory.path(), &["--limit", "40", "--summary-file", "summary.json"]), 0);
    let verify = ["verify", "--output", "json", "--summary"];
    let found = |arguments: &[&str], code| {
        let output = ended(&mut txgen(directory.path(), &[&verify, arguments].concat()), code);
        json_lines(&output).remove(0)
    };
    assert_fits("verify", &found(&["summary.json"], 0));
    // Rows that were never sent are missing, and all others have another time to live than this.
    let mut summary = read_json(&directory.path().join("summary.json"));
    summary["requested"] = json!(60);
    summary["services"]["cosmos_db"]["target"]["container"]["ttl_seconds"] = json!(7);
    std::fs::write(directory.path().join("other.json"), summary.to_string()).unwrap();
    let faults = found(&["other.json"], 1);
    assert_eq!(faults["services"]["cosmos_db"][0]["ttl_wrong"]["count"], 40);
    assert_fits("verify", &faults);
    emulator.end();
}
