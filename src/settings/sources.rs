//! Where settings are read from: the settings file, the environment, and the secrets of key vaults that these two name.

use std::path::PathBuf;

use super::file::AppSettings;
use super::secrets::{Incomplete, SecretStore, Secrets, complete};
use super::{Key, Loaded, Preset, Proxies, RunFlags, SettingsError, SettingsFile};

/// Everything below the flags.
pub struct Sources<'a> {
    pub(super) file: &'a AppSettings,
    /// Reads one environment variable.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) secrets: &'a Secrets,
}

impl Sources<'_> {
    /// The ways to the services, by the environment.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        Proxies::of(self.env)
    }
}

/// Reads settings from the file and the environment of this process, with `read`, which is called again once the secrets
/// that it wants are here.
///
/// # Errors
/// All that is wrong with the settings, or with the vaults.
pub async fn read<T>(
    file: &SettingsFile,
    store: &impl SecretStore,
    read: impl Fn(&Sources<'_>) -> Result<T, Incomplete>,
) -> Result<T, SettingsError> {
    let file = AppSettings::read(file).map_err(SettingsError::new)?;
    complete(store, |secrets| read(&Sources { file: &file, env: &variable, secrets })).await
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The settings of a command, from its flags, the environment of this process and the file of `--settings`; warns of
/// environment variables that look like mistyped settings.
///
/// # Errors
/// All that is wrong with the settings, or with the vaults.
pub async fn load_with_environment(
    flags: &RunFlags,
    file: Option<PathBuf>,
    preset: Option<&Preset>,
    store: &impl SecretStore,
) -> Result<Loaded, SettingsError> {
    let loaded = read(&SettingsFile::of_flag(file), store, |sources| sources.load(flags, preset)).await;
    // The values may be secret; the names are not.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mistyped = names.filter_map(|name| mistyped(&name));
    match loaded {
        Ok(mut loaded) => {
            loaded.warnings.extend(mistyped);
            Ok(loaded)
        }
        // What is missing may be there under a mistyped name.
        Err(mut error) => {
            error.problems.extend(mistyped);
            Err(error)
        }
    }
}

fn mistyped(name: &str) -> Option<String> {
    let key = Key::meant_by_variable(name)?;
    Some(format!("environment variable `{}` is not a setting; did you mean {key}?", name.escape_debug()))
}

/// What a file alone says, for tests of what writes such files.
///
/// # Errors
/// All that is wrong with it.
#[cfg(test)]
pub(crate) fn load_file(file: &SettingsFile) -> Result<Loaded, Incomplete> {
    let file = AppSettings::read(file).map_err(|problems| Incomplete::Wrong(SettingsError::new(problems)))?;
    Sources { file: &file, env: &|_| None, secrets: &Secrets::default() }.load(&RunFlags::default(), None)
}
