//! The result of a command on standard output. A reader that has seen enough (`| head`) is no failure; anything else that
//! keeps the result from being written is reported, and makes the command fail.

use std::io;

use anyhow::Context as _;

use super::CliError;
use crate::observers::standard_output::{Colours, write};

/// Writes the result of a command.
///
/// # Errors
/// When it cannot be written, unless its reader has gone.
pub(super) fn print(text: &str, colours: Colours) -> Result<(), CliError> {
    finished(write(text, colours)).map(|_| ())
}

/// Whether writing may go on: not once the reader has gone.
///
/// # Errors
/// When the text cannot be written.
pub(super) fn finished(written: io::Result<()>) -> Result<bool, CliError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output").map_err(CliError::failed),
    }
}
