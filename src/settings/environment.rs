//! The settings of a command, from its flags, the environment of this process and the settings file.

use std::path::PathBuf;

use super::{Key, Loaded, Preset, RunFlags, SettingsError, SettingsFile, load};

/// Layers flags, environment and the file of `--settings`; warns of environment variables that look like mistyped
/// settings.
///
/// # Errors
/// All that is wrong with the settings.
pub fn load_with_environment(
    flags: &RunFlags,
    file: Option<PathBuf>,
    preset: Option<&Preset>,
) -> Result<Loaded, SettingsError> {
    let env = |name: &str| std::env::var(name).ok();
    // The values may be secret; the names are not.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mistyped = names.filter_map(|name| mistyped(&name));
    match load(flags, &SettingsFile::of_flag(file), &env, preset) {
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
