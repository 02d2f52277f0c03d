//! What a txgen without Delta tables says.

use std::process::ExitCode;

use anyhow::anyhow;
use azure_core::credentials::Secret;

use super::args::LandArgs;
use crate::cli::CliError;
use crate::run::Stop;

/// Says how to get Delta tables.
pub(in crate::cli) async fn execute(args: LandArgs) -> Result<ExitCode, CliError> {
    tracing::debug!(?args, "there are no Delta tables");
    Err(missing())
}

/// The lake of `txgen run --land`, which this txgen cannot fill.
pub(in crate::cli) enum Lake {}

/// A landing beside a run.
pub(in crate::cli) enum Landing {}

impl Lake {
    /// Says how to get Delta tables.
    pub(in crate::cli) fn of_flag(_: &str) -> Result<Self, CliError> {
        Err(missing())
    }

    pub(in crate::cli) fn land(self, _: &Secret) -> Result<Landing, CliError> {
        match self {}
    }
}

impl Landing {
    pub(in crate::cli) async fn catch_up(self, _: &Stop, _: bool) -> Result<String, CliError> {
        match self {}
    }
}

/// That this txgen has no Delta tables, and how to get one that has.
pub(in crate::cli) fn missing() -> CliError {
    CliError::usage(anyhow!(
        "this txgen was built without Delta tables; released binaries have them, and so has one that is built with \
         `cargo build --release --features lake`"
    ))
}
