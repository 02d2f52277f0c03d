//! The commands: one file each. Together with `main` the only place that prints.

mod data;
mod emulator;
mod output;
mod report;
mod run;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::STYLES;

/// Exit code of a run in which something failed or was not sent.
const FAILED: u8 = 1;
/// Exit code for wrong usage or settings.
const USAGE: u8 = 2;
/// Exit code when a service could not be reached or refused txgen.
const NOT_CONNECTED: u8 = 3;
/// Exit code after Ctrl-C or SIGTERM.
const INTERRUPTED: u8 = 130;

/// Streams payment transactions to Azure Event Hubs and Azure Cosmos DB side by side, and measures both.
#[derive(Debug, Parser)]
#[command(
    name = "txgen",
    version,
    styles = STYLES,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "Try it without an Azure account:\n  txgen run --emulator\n\nExit codes: 0 everything was stored; 1 something failed or was not sent; 2 usage or settings;\n3 could not connect or was refused; 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send every transaction of a CSV file to Event Hubs and Cosmos DB
    Run(Box<run::RunArgs>),
    /// Serve local Event Hubs and Cosmos DB until Ctrl-C
    Emulator(emulator::EmulatorArgs),
    /// Make or look at CSV files of transactions
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Draw, merge and compare the summaries of finished runs
    Report(report::ReportArgs),
}

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// A [`CliError`] whose chain of causes is fit to be printed, and whose exit code tells its class.
    pub async fn execute(self) -> Result<ExitCode, CliError> {
        match self.command {
            Command::Run(args) => run::execute(*args).await,
            Command::Emulator(args) => emulator::execute(args).await,
            Command::Data(command) => data::execute(command).await,
            Command::Report(args) => report::execute(args).await,
        }
    }
}

/// A command that could not do its job.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    error: anyhow::Error,
}

impl CliError {
    /// The exit code for this class of errors.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// The chain of causes.
    #[must_use]
    pub fn error(&self) -> &anyhow::Error {
        &self.error
    }

    /// Wrong usage, settings or files.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into() }
    }

    /// A service could not be reached or refused txgen.
    fn not_connected(error: impl Into<anyhow::Error>) -> Self {
        Self { code: NOT_CONNECTED, error: error.into() }
    }

    /// The job began but could not be finished.
    fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { code: FAILED, error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
