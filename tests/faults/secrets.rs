//! No secret in anything that leaves the process.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
