//! One key at a time: the flag, else the environment, else `appsettings.json`, else the default; and a record of which
//! it was.

use std::fmt;

use azure_core::credentials::Secret;

use super::file::Place;
use super::key::Key;
use super::secrets::Incomplete;
use super::sources::Sources;
use super::value::Checked;
use super::{SecretReference, SettingsError};
use crate::characters::StrayCharacter;

/// Services that stand in for those of the user's settings: the emulators of `--emulator`.
#[derive(Clone, Debug)]
pub struct Preset {
    /// One to three, in the place of the EVENT_HUB_… keys.
    pub event_hub_connection_strings: Vec<Secret>,
    /// In the place of COSMOS_DB_ENDPOINT.
    pub cosmos_endpoint: String,
    /// In the place of COSMOS_DB_AUTH_KEY.
    pub cosmos_auth_key: Secret,
}

impl Preset {
    /// `None` if the preset has nothing to do with the key.
    fn get(&self, key: Key) -> Option<&str> {
        let hub = |i: usize| Some(self.event_hub_connection_strings.get(i).map_or("", Secret::secret));
        match key {
            Key::EventHub1ConnectionString => hub(0),
            Key::EventHub2ConnectionString => hub(1),
            Key::EventHub3ConnectionString => hub(2),
            Key::CosmosDbEndpoint => Some(&self.cosmos_endpoint),
            Key::CosmosDbAuthKey => Some(self.cosmos_auth_key.secret()),
            _ => None,
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This flag.
    Flag(&'static str),
    /// The environment variable with the key's name.
    Environment,
    /// `appsettings.json`.
    File(Place),
    /// A secret of a key vault.
    KeyVault {
        /// The secret, with its version.
        secret: SecretReference,
        /// Where the reference to it stands.
        by: Box<Self>,
    },
    /// `--emulator`.
    Emulator,
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment => f.write_str("environment"),
            Self::File(place) => place.fmt(f),
            Self::KeyVault { secret, by } => write!(f, "{by}, which refers to {secret}"),
            Self::Emulator => f.write_str("--emulator"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A key that the run uses, with its value as it may be shown and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The key.
    pub key: Key,
    /// The value for a human, without secrets.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A flag without a key, with its value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// Such as `--rate`.
    pub flag: &'static str,
    pub value: String,
    /// Whether the user gave it; otherwise the value is the default.
    pub is_given: bool,
}

/// The sources of values, and what reading them brought to light.
pub(super) struct Layers<'a> {
    pub(super) sources: &'a Sources<'a>,
    pub(super) preset: Option<&'a Preset>,
    pub(super) problems: Vec<String>,
    /// Whether one of the problems is with a vault.
    pub(super) is_refused: bool,
    /// Secrets that have to be read first.
    pub(super) wanted: Vec<SecretReference>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) origins: Vec<Provenance>,
    pub(super) flags: Vec<FlagValue>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(sources: &'a Sources<'a>, preset: Option<&'a Preset>) -> Self {
        Self {
            sources,
            preset,
            problems: Vec::new(),
            is_refused: false,
            wanted: Vec::new(),
            warnings: sources.file.warnings.clone(),
            notes: Vec::new(),
            origins: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// What keeps the settings from being complete, if anything does.
    pub(super) fn incomplete(&mut self) -> Option<Incomplete> {
        if !self.problems.is_empty() {
            let problems = std::mem::take(&mut self.problems);
            return Some(Incomplete::Wrong(SettingsError { problems, is_refused: self.is_refused }));
        }
        (!self.wanted.is_empty()).then(|| Incomplete::Wants(std::mem::take(&mut self.wanted)))
    }

    /// The text of a key below its flag, and where it came from; empty is not set.
    pub(super) fn text(&self, key: Key) -> Option<(String, Origin)> {
        if let Some(text) = self.preset.and_then(|preset| preset.get(key)) {
            return (!text.is_empty()).then(|| (text.to_owned(), Origin::Emulator));
        }
        let from_env =
            (self.sources.env)(key.name()).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        from_env
            .map(|text| (text, Origin::Environment))
            .or_else(|| self.sources.file.get(key).map(|(text, place)| (text.to_owned(), Origin::File(place))))
    }

    /// The value of a key, if it is set anywhere. A bad value is reported, and then counts as not set.
    pub(super) fn set<T>(
        &mut self,
        key: Key,
        flag: Option<T>,
        parse: fn(&str) -> Checked<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (value, origin) = match (flag, key.flag()) {
            (Some(value), Some(name)) => (value, Origin::Flag(name)),
            _ => {
                let (text, origin) = self.text(key)?;
                let (text, origin) = self.dereferenced(key, text, origin)?;
                match odd(key, &text).map_or_else(|| parse(&text), Err) {
                    Ok(value) => (value, origin),
                    Err(problem) => {
                        let value = shown(key, &text).map(|value| format!("`{value}` ")).unwrap_or_default();
                        self.problems.push(format!("{key} ({origin}): {value}{problem}"));
                        return None;
                    }
                }
            }
        };
        self.origins.push(Provenance { key, value: show(&value), origin });
        Some(value)
    }

    /// The text of the secret that a text refers to, and the text itself where it is no reference. What cannot be read is
    /// reported, and what has not been read is wanted; either counts as not set.
    fn dereferenced(&mut self, key: Key, text: String, origin: Origin) -> Option<(String, Origin)> {
        if !SecretReference::is_meant_by(&text) {
            return Some((text, origin));
        }
        let reference = match SecretReference::parse(&text) {
            _ if !key.is_secret() => {
                self.problems.push(format!(
                    "{key} ({origin}): is a Key Vault reference, which only connection strings of event hubs and {} may \
                     be; write the value itself",
                    Key::CosmosDbAuthKey
                ));
                return None;
            }
            Ok(reference) => reference,
            Err(invalid) => {
                self.problems.push(format!("{key} ({origin}): is not a valid Key Vault reference: {invalid}"));
                return None;
            }
        };
        match self.sources.secrets.get(&reference) {
            None => {
                self.wanted.push(reference);
                None
            }
            Some(Err(problem)) => {
                self.problems.push(format!("{key} ({origin}): the secret {reference} {problem}"));
                self.is_refused = true;
                None
            }
            Some(Ok(fetched)) => {
                if reference.is_on_this_machine() {
                    self.notes.push(format!(
                        "{key} comes from a key vault on this machine: its certificate is not verified, as emulators sign \
                         their own, and it is shown a made-up token"
                    ));
                }
                let origin = Origin::KeyVault { secret: fetched.identifier.clone(), by: Box::new(origin) };
                let text = fetched.value.secret().trim().to_owned();
                let problem = if text.is_empty() {
                    "the secret is empty; set it in the vault"
                } else if SecretReference::is_meant_by(&text) {
                    "the secret is a reference itself; refer to the secret that it names"
                } else {
                    return Some((text, origin));
                };
                self.problems.push(format!("{key} ({origin}): {problem}"));
                None
            }
        }
    }

    /// The value of a flag without a key, or its default.
    pub(super) fn flag<T>(
        &mut self,
        flag: &'static str,
        given: Option<T>,
        default: T,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let is_given = given.is_some();
        let value = given.unwrap_or(default);
        self.flags.push(FlagValue { flag, value: show(&value), is_given });
        value
    }

    /// The value of a key, or its default.
    pub(super) fn or_default<T>(
        &mut self,
        key: Key,
        flag: Option<T>,
        parse: fn(&str) -> Checked<T>,
        show: impl Fn(&T) -> String,
        default: T,
    ) -> T {
        self.set(key, flag, parse, &show).unwrap_or_else(|| {
            self.origins.push(Provenance { key, value: show(&default), origin: Origin::Default });
            default
        })
    }
}

/// What is wrong with a value before it is read. A name may be in any script, and have in it whatever people type; nothing
/// else has a use for what print makes of quotation marks and hyphens.
fn odd(key: Key, text: &str) -> Option<String> {
    let odd = if key.is_name() { StrayCharacter::invisible(text) } else { StrayCharacter::any(text) };
    odd.map(|odd| odd.to_string()).or_else(|| unfilled(text))
}

/// What was to be replaced in a value and was not: no key, address or name has anything like that in it.
fn unfilled(text: &str) -> Option<String> {
    const MARKS: [(&str, &str); 6] = [("${{", "}}"), ("${", "}"), ("$(", ")"), ("{{", "}}"), ("#{", "}#"), ("<", ">")];
    let is_between = |(open, close): &&(&str, &str)| {
        text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).is_some_and(|(inner, _)| !inner.is_empty())
    };
    if let Some((open, close)) = MARKS.iter().find(is_between) {
        return Some(format!("still has a placeholder in it ({open}…{close}); write what it stands for"));
    }
    let name = text.strip_prefix('%').and_then(|text| text.strip_suffix('%')).or_else(|| text.strip_prefix('$'));
    let is_variable = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.filter(|name| is_variable(name)).map(|_| {
        "is the name of a variable, which nothing has replaced by its value; write what it stands for".to_owned()
    })
}

/// A bad value as an error may show it; `None` where it may be, or hold, a secret: keys and connection strings get into
/// the wrong setting, and both have signs that no good value of another one has.
fn shown(key: Key, text: &str) -> Option<String> {
    const LONGEST: usize = 60;
    if key.is_secret() || text.contains(['=', ';', '@']) {
        return None;
    }
    let visible: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    Some(if text.chars().nth(LONGEST).is_some() { format!("{visible}…") } else { visible })
}
