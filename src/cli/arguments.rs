//! A command line as people type and paste it: numbers that look like flags, dashes of a word processor, flags with one
//! dash, a forgotten subcommand. What can mean one thing alone is read; for the rest there is a tip.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};

use super::suggestion::{command_of, with_suggestion};
use crate::characters::StrayCharacter;

/// The arguments as they are meant: `--limit -5` is a value that is wrong, not another flag, and `1e6` is a number.
pub(super) fn as_meant(root: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut meant: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut command = root;
    for argument in arguments {
        let Some(text) = argument.to_str().map(str::to_owned) else {
            meant.push(argument);
            continue;
        };
        let flag = meant.last().and_then(|last| last.to_str()).and_then(|last| flag(command, last));
        match flag.filter(|flag| flag.get_action().takes_values()) {
            Some(flag) if is_negative(&text) => {
                let joined = format!("--{}={text}", flag.get_long().unwrap_or_default());
                meant.pop();
                meant.push(joined.into());
            }
            Some(flag) => meant.push(number(flag, &text).unwrap_or(argument)),
            None => {
                let assigned = text.split_once('=').and_then(|(name, value)| {
                    let value = number(self::flag(command, name)?, value)?;
                    Some(format!("{name}={}", value.to_string_lossy()).into())
                });
                command = command.find_subcommand(&text).unwrap_or(command);
                meant.push(assigned.unwrap_or(argument));
            }
        }
    }
    meant
}

/// The flag of this command with this name, dashes and all.
fn flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let name = name.strip_prefix("--")?;
    command.get_arguments().find(|argument| argument.get_long() == Some(name))
}

/// Begins with a minus sign and a digit, which no flag does.
fn is_negative(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit() || first == '.'))
}

/// A whole number in scientific notation, written out for a flag that takes a number.
fn number(flag: &Arg, text: &str) -> Option<OsString> {
    /// Above this not every whole number is one of floating point.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let takes_number = flag.get_value_names().is_some_and(|names| names.iter().any(|name| name == "N"));
    let is_scientific = text.contains(['e', 'E']) && text.starts_with(|first: char| first.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| takes_number && is_scientific)?;
    (number.fract() == 0.0 && number <= MOST).then(|| format!("{number:.0}").into())
}

/// The error of a command line, with a tip where it shows what was meant, and without secrets that were pasted there.
pub(super) fn with_tip(error: Error, root: &Command, arguments: &[OsString]) -> Error {
    without_secrets(with_any_tip(error, root, arguments))
}

/// Keys belong into the environment or the file, but get into command lines, whose errors are copied into chats.
fn without_secrets(mut error: Error) -> Error {
    let is_secret = |text: &str| {
        let lower = text.to_ascii_lowercase();
        let has_key =
            ["sharedaccesskey=", "sharedaccesssignature", "accountkey="].iter().any(|part| lower.contains(part));
        has_key || (lower.contains("://") && lower.contains('@'))
    };
    for context in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        if matches!(error.get(context), Some(ContextValue::String(text)) if is_secret(text)) {
            error.insert(context, ContextValue::String("(hidden)".to_owned()));
        }
    }
    error
}

fn with_any_tip(error: Error, root: &Command, arguments: &[OsString]) -> Error {
    let Some(tip) = tip(&error, root, arguments) else { return with_suggestion(error, root, arguments) };
    let mut error = error;
    for other in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        error.remove(other);
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

fn tip(error: &Error, root: &Command, arguments: &[OsString]) -> Option<String> {
    let context = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return None,
    };
    let Some(ContextValue::String(wrong)) = error.get(context) else { return None };
    let command = command_of(root, arguments);
    if error.kind() == ErrorKind::InvalidSubcommand && wrong.eq_ignore_ascii_case("version") {
        return Some("'txgen --version' prints the version".to_owned());
    }
    dash_of_print(wrong, root)
        .or_else(|| single_dash(wrong, command, arguments))
        .or_else(|| value_of_its_own(wrong, command, arguments))
        .or_else(|| no_dashes(wrong, command))
        .or_else(|| forgotten_subcommand(wrong, root, arguments))
        .or_else(|| deeper_subcommand(wrong, root))
}

/// `–-emulator`.
fn dash_of_print(wrong: &str, root: &Command) -> Option<String> {
    let is_dash =
        |character: char| character == '-' || StrayCharacter::any(character.encode_utf8(&mut [0; 4])).is_some();
    let name = wrong.trim_start_matches(is_dash);
    let dashes = wrong.strip_suffix(name)?;
    let odd = StrayCharacter::any(dashes)?;
    let bare = name.split('=').next()?;
    let meant = if with_flag(root, bare).is_some() { format!("; write '--{name}'") } else { String::new() };
    Some(format!("'{wrong}' begins with {}, as word processors write it{meant}", odd.name()))
}

/// `-emulator`, which is read as `-e -m …`.
fn single_dash(wrong: &str, command: &Command, arguments: &[OsString]) -> Option<String> {
    let is_short = wrong.len() == 2 && wrong.starts_with('-');
    let typed = arguments.iter().filter_map(|argument| argument.to_str());
    let name = typed.filter_map(|argument| argument.strip_prefix('-')).find(|name| {
        let bare = name.split('=').next().unwrap_or_default();
        name.starts_with(wrong.trim_start_matches('-')) && flag(command, &format!("--{bare}")).is_some()
    });
    name.filter(|_| is_short).map(|name| format!("flags have two dashes: '--{name}'"))
}

/// `--dry-run 5`, `--emulator true`.
fn value_of_its_own(wrong: &str, command: &Command, arguments: &[OsString]) -> Option<String> {
    let place = arguments.iter().position(|argument| argument.as_os_str() == wrong)?;
    let before = arguments.get(place.checked_sub(1)?)?.to_str()?;
    let flag = flag(command, before)?;
    if flag.is_require_equals_set() {
        Some(format!("the value follows behind an equals sign: '{before}={wrong}'"))
    } else if flag.get_action().takes_values() {
        None
    } else {
        Some(format!("'{before}' takes no value"))
    }
}

/// `txgen --emulator`, `txgen -emulator`, `txgen data --rows`.
fn forgotten_subcommand(wrong: &str, root: &Command, arguments: &[OsString]) -> Option<String> {
    let command = command_of(root, arguments);
    let typed = arguments.iter().filter_map(|argument| argument.to_str()).find(|typed| typed.starts_with(wrong))?;
    let flag = typed.trim_start_matches('-');
    let below = with_flag(command, flag.split('=').next()?).filter(|_| typed.starts_with('-'))?;
    let above = if command.get_name() == root.get_name() { String::new() } else { format!("{} ", command.get_name()) };
    Some(format!("the subcommand comes first: 'txgen {above}{below} --{flag}'"))
}

/// `txgen generate`.
fn deeper_subcommand(wrong: &str, root: &Command) -> Option<String> {
    let above = root.get_subcommands().find(|command| command.find_subcommand(wrong).is_some())?;
    Some(format!("it belongs to another one: 'txgen {} {wrong}'", above.get_name()))
}

/// `txgen run emulator`, `txgen run /emulator`.
fn no_dashes(wrong: &str, command: &Command) -> Option<String> {
    let name = wrong.trim_start_matches('/');
    flag(command, &format!("--{}", name.split('=').next()?)).map(|_| format!("flags have two dashes: '--{name}'"))
}

/// The first command below this one that has the flag.
fn with_flag(command: &Command, name: &str) -> Option<String> {
    let flag = format!("--{name}");
    command.get_subcommands().find_map(|command| {
        if self::flag(command, &flag).is_some() {
            return Some(command.get_name().to_owned());
        }
        Some(format!("{} {}", command.get_name(), with_flag(command, name)?))
    })
}

#[cfg(test)]
mod tests;
