//! One key at a time: the flag, else the environment, else `appsettings.json`, else the default; and a record of which
//! it was.

use std::fmt;

use azure_core::credentials::Secret;

use super::file::{AppSettings, Place};
use super::key::Key;
use super::value::Checked;
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
    pub(super) file: AppSettings,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) preset: Option<&'a Preset>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) origins: Vec<Provenance>,
    pub(super) flags: Vec<FlagValue>,
}

impl Layers<'_> {
    /// The text of a key below its flag, and where it came from; empty is not set.
    pub(super) fn text(&self, key: Key) -> Option<(String, Origin)> {
        if let Some(text) = self.preset.and_then(|preset| preset.get(key)) {
            return (!text.is_empty()).then(|| (text.to_owned(), Origin::Emulator));
        }
        let from_env = (self.env)(key.name()).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        from_env
            .map(|text| (text, Origin::Environment))
            .or_else(|| self.file.get(key).map(|(text, place)| (text.to_owned(), Origin::File(place))))
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
    odd.map(|odd| odd.to_string())
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
