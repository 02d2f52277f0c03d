//! "Did you mean?" for subcommands: clap knows those that a mistyped one begins like, and takes two letters that changed
//! their places in a short name for something else altogether (`rnu`).

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::likeness;

/// How alike two names must be, from 0 to 1: one letter in three may be wrong.
const ALIKE: f64 = 0.6;

/// Adds to the error of a command line the subcommand that was meant, where it has none and one is near.
pub(super) fn with_suggestion(mut error: Error, root: &Command, arguments: &[OsString]) -> Error {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if error.kind() != ErrorKind::InvalidSubcommand || error.get(ContextKind::SuggestedSubcommand).is_some() {
        return error;
    }
    let nearest = nearest(wrong, parent_of(wrong, root, arguments));
    if let Some(nearest) = nearest {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![nearest]));
    }
    error
}

/// The command that has no such subcommand.
fn parent_of<'a>(wrong: &str, root: &'a Command, arguments: &[OsString]) -> &'a Command {
    let end = arguments.iter().position(|argument| argument.as_os_str() == wrong).unwrap_or(arguments.len());
    command_of(root, &arguments[..end])
}

/// The command that the arguments name.
pub(super) fn command_of<'a>(root: &'a Command, arguments: &[OsString]) -> &'a Command {
    arguments.iter().skip(1).fold(root, |command, argument| command.find_subcommand(argument).unwrap_or(command))
}

/// The subcommand that is most like this, if one is.
fn nearest(wrong: &str, parent: &Command) -> Option<String> {
    let wrong = wrong.to_lowercase();
    let names = parent.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    likeness::nearest(names, ALIKE, |name| strsim::normalized_damerau_levenshtein(name, &wrong)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn suggested(line: &str) -> Option<String> {
        let arguments: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let error = with_suggestion(Cli::try_parse_from(&arguments).unwrap_err(), &Cli::command(), &arguments);
        match error.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::Strings(names)) => names.first().cloned(),
            Some(ContextValue::String(name)) => Some(name.clone()),
            _ => None,
        }
    }

    #[test]
    fn slips_of_the_fingers_are_answered_with_what_was_meant() {
        for (line, meant) in [
            ("txgen rnu", "run"),
            ("txgen ru", "run"),
            ("txgen rum", "run"),
            ("txgen RUN", "run"),
            ("txgen rub --emulator", "run"),
            ("txgen chekc", "check"),
            ("txgen verfiy --summary s.json", "verify"),
            ("txgen emualtor", "emulator"),
            ("txgen -v daat", "data"),
            ("txgen repotr compare", "report"),
            ("txgen mna", "man"),
            ("txgen data genrate", "generate"),
        ] {
            assert_eq!(suggested(line).as_deref(), Some(meant), "{line}");
        }
    }

    #[test]
    fn what_is_like_nothing_is_answered_without() {
        for line in ["txgen start", "txgen x", "txgen data run"] {
            assert_eq!(suggested(line), None, "{line}");
        }
    }
}
