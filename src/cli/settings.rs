//! The settings of a command, from its flags and this process's surroundings.

use std::path::PathBuf;

use crate::settings::{Key, Loaded, Preset, RunFlags, SettingsError, SettingsFile, load};

/// Layers flags, environment and the file of `--settings`; warns of environment variables that are most likely meant to
/// be settings and are none.
///
/// # Errors
/// All that is wrong with the settings.
pub(super) fn of_surroundings(
    flags: &RunFlags,
    file: Option<PathBuf>,
    preset: Option<&Preset>,
) -> Result<Loaded, SettingsError> {
    let env = |name: &str| std::env::var(name).ok();
    let mut loaded = load(flags, &SettingsFile::of_flag(file), &env, preset)?;
    // The values may be secret; the names are not.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    loaded.warnings.extend(names.filter_map(|name| mistyped(&name)));
    Ok(loaded)
}

fn mistyped(name: &str) -> Option<String> {
    let key = Key::meant_by_variable(name)?;
    Some(format!("environment variable `{}` is not a setting; did you mean {key}?", name.escape_debug()))
}
