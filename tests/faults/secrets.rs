//! No secret in anything that leaves the process.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::case::{Case, play_with};
use crate::stage::Stage;

/// So much of a secret in a row is a leak.
const TELLING: usize = 16;

/// The secrets of one run, in every form in which they could show.
pub(crate) struct Marks(Vec<Vec<u8>>);

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
            marks.push(key.as_bytes()[..TELLING].to_vec());
            marks.push(key.as_bytes()[key.len() - TELLING - 2..key.len() - 2].to_vec());
            marks.push(STANDARD.decode(key).unwrap());
        }
        Self(marks)
    }

    /// Finds none of them, and no signature, in this.
    pub(crate) fn check(&self, what: &str, bytes: &[u8]) -> Result<(), String> {
        let around = |at: usize| {
            let context = &bytes[at.saturating_sub(200)..(at + 60).min(bytes.len())];
            String::from_utf8_lossy(context).into_owned()
        };
        for mark in &self.0 {
            if let Some(at) = find(bytes, mark) {
                return Err(format!("a key is in {what}: …{}…", around(at)));
            }
        }
        // What was signed with a key lets others in as well, for as long as it lives.
        for sign in ["&sig=", "%26sig%3D", "%26sig%3d"] {
            if let Some(at) = find(bytes, sign.as_bytes()) {
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

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A key whose text, and whose bytes, nobody could take for something else.
const MARK: &str = "TUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVUTUFSS0VEU0VDUkVU";

#[test]
fn no_command_shows_a_secret_not_even_in_its_finest_log() {
    let hub = |port: u16| {
        format!(
            "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=Sender;SharedAccessKey={MARK};UseDevelopmentEmulator=true"
        )
    };
    let signed = format!(
        "Endpoint=sb://127.0.0.1:9;SharedAccessSignature=SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%2Ftransactions&sig={MARK}&se=4000000000&skn=Sender;UseDevelopmentEmulator=true"
    );
    let unreadable = format!("Endpoint=sb://127.0.0.1:9;SharedAccessKey={MARK};EntityPath=a;EntityPath=b");
    let stage = Stage::new();
    let emulator = stage.emulator(&[]);
    let endpoint = emulator.ready["cosmos_db"]["endpoint"].as_str().unwrap();
    let port = u16::try_from(emulator.ready["event_hubs"]["port"].as_u64().unwrap()).unwrap();
    std::fs::remove_file(stage.path().join("appsettings.json")).unwrap();
    std::fs::write(stage.path().join("broken.json"), format!("{{\"COSMOS_DB_AUTH_KEY\": \"{MARK}\", {MARK}")).unwrap();
    let data = crate::common::shipped_data();
    let data = data.to_str().unwrap();
    let commands: &[&[&str]] = &[
        &["run", "--data", data, "--summary-file", "summary.json"],
        &["run", "--data", data, "--only-cosmos", "--output", "json"],
        &["run", "--data", data, "--only-event-hubs"],
        &["run", "--data", data, "--dry-run"],
        &["run", "--data", data, "--settings", "broken.json"],
        &["check"],
        &["check", "--output", "json"],
        &["verify", "summary.json"],
        &["data", "check", data],
        &["report", "summary.json", "-o", "run.html"],
        &["completions", "bash"],
    ];
    let marks = Marks::of_keys([MARK].into_iter());
    let mut wrong = Vec::new();
    for string in [hub(port), hub(9), signed, unreadable] {
        for arguments in commands {
            let mut command = crate::common::txgen(stage.path());
            command.args(*arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
            command.env("EVENT_HUB_1_CONNECTION_STRING", &string);
            command.env("COSMOS_DB_ENDPOINT", endpoint).env("COSMOS_DB_AUTH_KEY", MARK);
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            for (what, bytes) in [("standard output", &output.stdout), ("standard error", &output.stderr)] {
                wrong.extend(marks.check(&format!("{what} of {arguments:?}"), bytes).err());
            }
        }
    }
    std::fs::remove_file(stage.path().join("broken.json")).unwrap();
    wrong.extend(marks.check_directory(stage.path()).err());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_failure_shows_a_secret_not_even_in_the_finest_log() {
    // The counts hold in a traced run as well. It is a slow one: those that only time ends are left to the others.
    let heals = |case: &&Case| case.code == 0;
    let cases: Vec<Case> =
        crate::event_hubs::CASES.iter().chain(crate::cosmos_db::CASES).filter(heals).cloned().collect();
    play_with(&cases, &[("RUST_LOG", "trace")]);
}
