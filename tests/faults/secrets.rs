//! No secret in anything that leaves the process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::case::play_in;
use crate::stage::{COSMOS_CLIENTS, GRACE, Running, Stage};
use crate::support;
use crate::support::emulator::Emulator;

/// So much of a secret in a row is a leak.
const TELLING: usize = 16;

/// The secrets of one run, in every form in which they could show, as [`text`].
pub(crate) struct Marks(Vec<String>);

impl Marks {
    /// Those of the appsettings.json in this directory.
    pub(crate) fn of_settings(directory: &Path) -> Self {
        let settings = std::fs::read_to_string(directory.join("appsettings.json")).unwrap();
        let keys = settings.split('"').filter_map(|value| {
            let (_, after) = value.split_once("SharedAccessKey=").unwrap_or(("", value));
            let key = after.split(';').next().unwrap_or_default();
            (key.len() >= TELLING && STANDARD.decode(key).is_ok()).then_some(key)
        });
        let marks = Self::of_keys(keys);
        assert!(marks.0.len() >= 4, "the settings hold the keys of both services");
        marks
    }

    /// Those of these base64 keys.
    pub(crate) fn of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let mut marks = Vec::new();
        for key in keys {
            marks.push(key[..TELLING].to_owned());
            marks.push(key[key.len() - TELLING - 2..key.len() - 2].to_owned());
            marks.push(text(&STANDARD.decode(key).unwrap()));
        }
        Self(marks)
    }

    /// Finds none of them, and no signature, in this.
    pub(crate) fn check(&self, what: &str, bytes: &[u8]) -> Result<(), String> {
        let shown = text(bytes);
        let around = |at: usize| {
            let before = shown[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev();
            before.chain(shown[at..].chars().take(60)).collect::<String>()
        };
        for mark in &self.0 {
            if let Some(at) = shown.find(mark) {
                return Err(format!("a key is in {what}: …{}…", around(at)));
            }
        }
        // What was signed with a key lets others in as well, for as long as it lives.
        for sign in ["&sig=", "%26sig%3D", "%26sig%3d"] {
            if let Some(at) = shown.find(sign) {
                return Err(format!("a signature is in {what}: …{}…", around(at)));
            }
        }
        Ok(())
    }

    /// Finds none of them in any file below this directory, but for the settings themselves.
    pub(crate) fn check_directory(&self, directory: &Path) -> Result<(), String> {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.check_directory(&path)?;
            } else if path.file_name().is_some_and(|name| name != "appsettings.json") {
                self.check(&path.display().to_string(), &std::fs::read(&path).unwrap())?;
            }
        }
        Ok(())
    }
}

/// Each byte as one character: the standard library finds text in text quickly, in tests that are not optimised as well.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().copied().map(char::from));
    text
}

#[test]
fn a_mark_is_found_in_every_form_that_it_has() {
    let marks = Marks::of_keys([MARK].into_iter());
    let bytes = STANDARD.decode(MARK).unwrap();
    for shown in [MARK.as_bytes(), &MARK.as_bytes()[..20], &MARK.as_bytes()[MARK.len() - 20..], &bytes, b"a&sig=b"] {
        let shown = [b"\xff\xfe before ", shown, b" after"].concat();
        assert!(marks.check("what is shown", &shown).is_err(), "{}", String::from_utf8_lossy(&shown));
    }
    assert_eq!(marks.check("nothing", b"\xff TUFSS0VEU0VD &sign=x"), Ok(()));
}

/// A key whose text, and whose bytes, nobody could take for something else.
const MARK: &str = "TUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVU";

/// A command with everything logged and every backtrace shown.
fn talkative(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = support::txgen(stage.path());
    command.args(arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1").env("RUST_LIB_BACKTRACE", "1");
    command.stdin(Stdio::null());
    command
}

/// What is wrong with how a command ended: a secret that it shows, or another exit code than it must have, which says
/// that it did not do what was to be looked at.
fn complaints(marks: &Marks, what: &str, code: i32, output: &Output) -> Vec<String> {
    let streams = [("standard output", &output.stdout), ("standard error", &output.stderr)];
    let shown = streams.iter().filter_map(|(name, bytes)| marks.check(&format!("{name} of {what}"), bytes).err());
    let mut complaints: Vec<String> = shown.collect();
    if output.status.code() != Some(code) {
        let (stderr, end) = (&output.stderr, output.stderr.len().saturating_sub(2_000));
        let stderr = String::from_utf8_lossy(&stderr[end..]);
        complaints.push(format!("{what} ends with {:?}, not {code}: …{stderr}", output.status.code()));
    }
    complaints
}

/// The keys are refused, their namespace is not there, or they cannot be read: what then?
#[test]
fn no_command_shows_a_secret_that_is_wrong_not_even_in_its_finest_log() {
    let stage = Stage::new();
    let emulator = stage.emulator(&[]);
    let endpoint = emulator.ready["cosmos_db"]["endpoint"].as_str().unwrap();
    let port = emulator.ready["event_hubs"]["port"].as_u64().unwrap();
    let hub = |port: u64| {
        format!(
            "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=Sender;SharedAccessKey={MARK};UseDevelopmentEmulator=true"
        )
    };
    let signed = format!(
        "Endpoint=sb://127.0.0.1:9;SharedAccessSignature=SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%2Ftransactions&sig={MARK}&se=4000000000&skn=Sender;UseDevelopmentEmulator=true"
    );
    let unreadable = format!("Endpoint=sb://127.0.0.1:9;SharedAccessKey={MARK};EntityPath=a;EntityPath=b");
    std::fs::remove_file(stage.path().join("appsettings.json")).unwrap();
    std::fs::write(stage.path().join("broken.json"), format!("{{\"COSMOS_DB_AUTH_KEY\": \"{MARK}\", {MARK}")).unwrap();
    let data = support::shipped_data();
    let data = data.to_str().unwrap();
    // The exit codes with a key that is refused, nobody at that address, a signature, and a string that cannot be read.
    let commands: &[(&[&str], [i32; 4])] = &[
        (&["run", "--data", data, "--summary-file", "summary.json", "--report", "run.html"], [3, 3, 3, 2]),
        (&["run", "--data", data, "--dead-letters", "letters", "--fail-on", "failed>0"], [3, 3, 3, 2]),
        (&["run", "--data", data, "--only-cosmos", "--output", "json"], [3, 3, 3, 3]),
        (&["run", "--data", data, "--only-event-hubs", "--metrics", "127.0.0.1:0"], [3, 3, 3, 2]),
        (&["run", "--data", data, "--dry-run"], [0, 0, 0, 2]),
        (&["run", "--data", data, "--settings", "broken.json"], [2, 2, 2, 2]),
        (&["check"], [3, 3, 3, 2]),
        (&["check", "--output", "json"], [3, 3, 3, 2]),
        (&["check", "--settings", "broken.json"], [2, 2, 2, 2]),
        (&["verify", "--summary", "broken.json"], [2, 2, 2, 2]),
        (&["report", "broken.json", "-o", "other.html"], [2, 2, 2, 2]),
        (&["emulator", "--event-hubs-port", &port.to_string(), "--cosmos-port", "0"], [2, 2, 2, 2]),
    ];
    let marks = Marks::of_keys([MARK].into_iter());
    let mut wrong = Vec::new();
    for (place, string) in [hub(port), hub(9), signed, unreadable].iter().enumerate() {
        for (arguments, codes) in commands {
            let mut command = talkative(&stage, arguments);
            command.env("EVENT_HUB_1_CONNECTION_STRING", string).env("EVENT_HUB_1_LISTEN_CONNECTION_STRING", string);
            command.env("COSMOS_DB_ENDPOINT", endpoint).env("COSMOS_DB_AUTH_KEY", MARK);
            let what = format!("{arguments:?} with string {place}");
            wrong.extend(complaints(&marks, &what, codes[place], &command.output().unwrap()));
        }
    }
    std::fs::remove_file(stage.path().join("broken.json")).unwrap();
    wrong.extend(marks.check_directory(stage.path()).err());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The keys are right, and every command does its job.
#[test]
fn no_command_shows_a_secret_that_lets_it_in_not_even_in_its_finest_log() {
    let stage = Stage::new();
    let mut emulator = talkative(&stage, &["emulator", "--event-hubs-port", "0", "--cosmos-port", "0"]);
    emulator.args(["--output", "json", "--settings-out", "appsettings.json"]);
    let emulator = Emulator::of(&mut emulator);
    let marks = Marks::of_settings(stage.path());
    let data = support::shipped_data();
    let data = data.to_str().unwrap();
    let run = |more: &[&'static str]| -> Vec<&str> {
        [&["run", "--data", data, "--drain-timeout", "5s", "--limit", "60"], more].concat()
    };
    let half = |shard: &'static str, file: &'static str| {
        run(&["--run-id", "0b5c1f6e-93d2-8a47", "--shard", shard, "--summary-file", file])
    };
    let commands: Vec<(Vec<&str>, i32)> = vec![
        (run(&["--summary-file", "a.json", "--report", "a.html", "--dead-letters", "a"]), 0),
        (run(&["--summary-file", "b.json", "--fail-on", "cosmos_db.succeeded>1", "--output", "table"]), 1),
        (run(&["--only-event-hubs", "--log-format", "json", "--no-progress"]), 0),
        (run(&["--emulator", "--quiet"]), 0),
        (run(&["--dry-run", "--output", "json"]), 0),
        (half("0/2", "0.json"), 0),
        (half("1/2", "1.json"), 0),
        (vec!["report", "merge", "0.json", "1.json", "-o", "merged.json"], 0),
        (vec!["report", "merge", "0.json"], 2),
        (vec!["report", "compare", "a.json", "b.json"], 0),
        (vec!["report", "compare", "a.json", "b.json", "-o", "compared.html"], 0),
        (vec!["report", "a.json", "-o", "page.html"], 0),
        (vec!["check"], 0),
        (vec!["check", "--output", "json"], 0),
        (vec!["verify", "--summary", "a.json"], 0),
        (vec!["verify", "--summary", "merged.json", "--output", "json"], 0),
        (vec!["data", "check", data], 0),
        (vec!["data", "generate", "--rows", "10", "-o", "rows.csv"], 0),
        (vec!["completions", "bash"], 0),
        (vec!["man", "-o", "man"], 0),
        (vec!["--version"], 0),
        (vec!["run", "--help"], 0),
    ];
    let mut wrong = Vec::new();
    for (arguments, code) in &commands {
        let output = talkative(&stage, arguments).output().unwrap();
        wrong.extend(complaints(&marks, &format!("{arguments:?}"), *code, &output));
    }
    wrong.extend(scraped(&stage, &marks).err());
    let (_, said) = emulator.end();
    assert!(said.contains("DEBUG") || said.contains("TRACE"), "the emulator logs: {said}");
    wrong.extend(marks.check("the emulator's standard error", said.as_bytes()).err());
    wrong.extend(marks.check_directory(stage.path()).err());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a run serves as metrics while it goes on.
fn scraped(stage: &Stage, marks: &Marks) -> Result<(), String> {
    let mut command = talkative(stage, &["run", "--rate", "100", "--loop", "--metrics", "127.0.0.1:0"]);
    command.args(["--output", "json", "--data"]).arg(support::shipped_data());
    let mut run = stage.start(&mut command);
    run.wait_for_output("\"type\":\"start\"");
    let stderr = stage.path().join("stderr");
    let announced = |_: &Running| std::fs::read_to_string(&stderr).unwrap().contains("/metrics");
    run.wait_until(announced, "where the metrics are");
    let stderr = std::fs::read_to_string(&stderr).unwrap();
    let address = stderr.split("http://").find(|part| part.contains("/metrics")).unwrap().split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: txgen\r\nConnection: close\r\n\r\n").unwrap();
    let mut metrics = Vec::new();
    connection.read_to_end(&mut metrics).unwrap();
    assert!(metrics.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&metrics));
    marks.check("the metrics", &metrics)?;
    marks.check("the process list", run.command_line().as_bytes())?;
    support::signal(run.process.id(), "INT");
    let ended = run.end_within(GRACE)?;
    if ended.code == Some(130) { Ok(()) } else { Err(format!("the run with metrics ends with {:?}", ended.code)) }
}

/// The counts hold in a traced run as well, whatever goes wrong in it.
#[test]
fn no_failure_shows_a_secret_not_even_in_the_finest_log() {
    let environment = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    play_in(crate::event_hubs::CASES, &COSMOS_CLIENTS[..1], &environment);
    play_in(crate::cosmos_db::CASES, &COSMOS_CLIENTS, &environment);
}
