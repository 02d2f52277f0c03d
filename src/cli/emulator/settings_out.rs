//! An appsettings.json with which `txgen run` writes to the emulators.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use azure_core::credentials::Secret;
use txgen_emulator::key_vault::LocalSecret;
use url::Url;

use crate::private_file;
use crate::settings::Key;

/// How such a file begins, which distinguishes it from one that a person has written: plain JSON, whose first key is a remark. The
/// second beginning is that of earlier versions.
const MARKS: [&str; 2] = ["{\n  \"//\": \"Written by `txgen emulator`", "// Written by `txgen emulator`"];
const REMARK: &str = "Written by `txgen emulator`: the next one writes it anew. The keys open local emulators alone.";

/// What goes into the file.
#[derive(Clone)]
pub(super) struct Settings {
    /// Up to three connection strings that may send.
    pub(super) connection_strings: Vec<String>,
    /// Their counterparts that may listen, for `txgen verify`.
    pub(super) listen_connection_strings: Vec<String>,
    pub(super) endpoint: String,
    pub(super) key: String,
}

impl Settings {
    /// The keys that hold secrets, with their values.
    fn secret_keys(&self) -> Vec<(Key, &str)> {
        let hubs = Key::EVENT_HUBS.into_iter().zip(&self.connection_strings);
        let listeners = Key::LISTENERS.into_iter().zip(&self.listen_connection_strings);
        let hubs = hubs.chain(listeners).map(|(key, value)| (key, value.as_str()));
        hubs.chain([(Key::CosmosDbAuthKey, self.key.as_str())]).collect()
    }

    /// The secrets, as a vault is to keep them.
    pub(super) fn secrets(&self) -> Vec<LocalSecret> {
        let secret = |(key, value): (Key, &str)| LocalSecret::new(secret_name(key), Secret::new(value.to_owned()));
        self.secret_keys().into_iter().map(secret).collect()
    }

    /// The same, with references to the secrets in this vault in their place.
    pub(super) fn as_references(&self, vault: &Url) -> Self {
        let reference = |key| format!("@Microsoft.KeyVault(SecretUri={vault}secrets/{})", secret_name(key));
        let references = |keys: [Key; 3], count: usize| keys.into_iter().take(count).map(reference).collect();
        Self {
            connection_strings: references(Key::EVENT_HUBS, self.connection_strings.len()),
            listen_connection_strings: references(Key::LISTENERS, self.listen_connection_strings.len()),
            endpoint: self.endpoint.clone(),
            key: reference(Key::CosmosDbAuthKey),
        }
    }

    fn to_json(&self) -> String {
        let mut pairs = vec![("//".to_owned(), REMARK)];
        pairs.extend(self.secret_keys().into_iter().map(|(key, value)| (key.to_string(), value)));
        // The address goes before its key.
        pairs.insert(pairs.len() - 1, (Key::CosmosDbEndpoint.to_string(), &self.endpoint));
        // A string is written as JSON without fail. In this order, which a map would not keep.
        let lines = pairs.iter().map(|(key, value)| format!("  \"{key}\": {}", serde_json::Value::from(*value)));
        format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"))
    }
}

/// What a secret of the settings is called in a vault, whose names have no underscores.
fn secret_name(key: Key) -> String {
    key.name().to_ascii_lowercase().replace('_', "-")
}

/// A file that may be written.
pub(super) struct SettingsOut(PathBuf);

impl SettingsOut {
    /// Whether the file may be written: one with Azure settings must not be lost.
    ///
    /// # Errors
    /// When it is there and was not written by an emulator, or cannot be written.
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        let name = path.display();
        let mut start = Vec::new();
        let longest = MARKS.iter().map(|mark| mark.len() as u64).max().unwrap_or_default();
        let is_own = |start: &[u8]| start.is_empty() || MARKS.iter().any(|mark| start.starts_with(mark.as_bytes()));
        match File::open(&path).and_then(|file| file.take(longest).read_to_end(&mut start)) {
            Ok(_) if is_own(&start) => {}
            Ok(_) => bail!(
                "--settings-out: `{name}` holds settings that `txgen emulator` has not written; move it away, or name \
                 another file and give that to `txgen run --settings`"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("--settings-out: cannot read `{name}`")),
        }
        private_file::open(&path).with_context(|| format!("--settings-out: cannot write `{name}`"))?;
        Ok(Self(path))
    }

    /// Writes the file, for its owner's eyes only where the system knows such a thing.
    pub(super) fn write(&self, settings: &Settings) -> anyhow::Result<()> {
        private_file::open(&self.0)
            .and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(settings.to_json().as_bytes())
            })
            .with_context(|| format!("--settings-out: cannot write `{}`", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{SettingsFile, load_file};

    fn settings() -> Settings {
        let string = |hub| {
            format!(
                "Endpoint=sb://127.0.0.1:5672/;SharedAccessKeyName=Sender;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;EntityPath={hub}"
            )
        };
        Settings {
            connection_strings: ["one", "two", "three", "four"].map(string).into(),
            listen_connection_strings: ["one", "two", "three", "four"].map(string).into(),
            endpoint: "http://127.0.0.1:8081/".to_owned(),
            key: "a2V5".to_owned(),
        }
    }

    #[test]
    fn the_settings_are_those_that_a_run_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("appsettings.json");
        SettingsOut::new(path.clone()).unwrap().write(&settings()).unwrap();
        let plain: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(plain["COSMOS_DB_AUTH_KEY"], "a2V5", "what any program reads");
        let file = SettingsFile::Required(path);
        let loaded = load_file(&file).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let hubs = loaded.settings.event_hubs.unwrap();
        let names: Vec<_> = hubs.hubs.iter().map(|hub| hub.hub.as_str()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        assert_eq!(loaded.settings.cosmos_db.unwrap().endpoint.as_str(), "http://127.0.0.1:8081/");
    }

    #[test]
    fn the_settings_may_refer_to_a_vault_that_keeps_their_secrets() {
        let settings = settings();
        let vault = Url::parse("https://127.0.0.1:8443/").unwrap();
        let text = settings.as_references(&vault).to_json();
        assert!(!text.contains("a2V5"), "{text}");
        let pairs: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            pairs["EVENT_HUB_1_CONNECTION_STRING"],
            "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:8443/secrets/event-hub-1-connection-string)"
        );
        assert_eq!(pairs["COSMOS_DB_ENDPOINT"], "http://127.0.0.1:8081/");
        assert_eq!(settings.secrets().len(), 3 + 3 + 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone_even_if_it_was_everybodys() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("appsettings.json");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        SettingsOut::new(path.clone()).unwrap().write(&settings()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_own_file_is_written_anew_and_a_persons_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("appsettings.json");
        for _ in 0..2 {
            SettingsOut::new(path.clone()).unwrap().write(&settings()).unwrap();
        }
        std::fs::write(&path, "// Written by `txgen emulator`: an earlier version\n{}").unwrap();
        SettingsOut::new(path.clone()).unwrap().write(&settings()).unwrap();
        std::fs::write(&path, "{ \"COSMOS_DB_AUTH_KEY\": \"precious\" }").unwrap();
        let Err(error) = SettingsOut::new(path.clone()) else { panic!("refused") };
        assert!(error.to_string().contains("move it away"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("precious"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_reported_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = SettingsOut::new(folder.path().join("none/appsettings.json")) else { panic!("refused") };
        assert!(error.to_string().contains("--settings-out: cannot write"), "{error}");
    }
}
