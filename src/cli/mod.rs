//! The commands, one file each: arguments in, a call, an exit code out.

mod arguments;
mod check;
mod completions;
mod data;
mod emulator;
mod land;
mod logging;
mod man;
mod reading;
mod report;
mod run;
mod signals;
mod standard_input;
mod standard_output;
mod suggestion;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::report::STYLES;
use crate::settings::SettingsError;

/// How long threads that still read or resolve names may keep the process from ending.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(200);

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
    long_version = env!("TXGEN_LONG_VERSION"),
    styles = STYLES,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        txgen run --emulator    try it, without an Azure account\n  \
        txgen run --help        all about the job itself\n\n\
        Exit codes:\n  \
        0      everything was stored\n  \
        1      something failed or was not sent\n  \
        2      usage or settings\n  \
        3      could not connect or was refused\n  \
        130    interrupted"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send every transaction of a CSV file to Event Hubs and Cosmos DB
    Run(Box<run::RunArgs>),
    /// Check the settings and both services, without sending or creating anything
    Check(Box<check::CheckArgs>),
    /// Read a run back from both services and reconcile it with its data, row by row
    Verify(Box<verify::VerifyArgs>),
    /// Land what an event hub holds in a Delta table, every event exactly once
    Land(Box<land::LandArgs>),
    /// Serve local Event Hubs, Cosmos DB and Key Vault until Ctrl-C
    Emulator(Box<emulator::EmulatorArgs>),
    /// Generate and profile CSV files of transactions
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Draw, merge and compare the summaries of finished runs
    Report(report::ReportArgs),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Write the man pages
    Man(man::ManArgs),
}

/// What `txgen` alone says: what it is, and what to try.
const WELCOME: &str = "\
txgen streams payment transactions to Azure Event Hubs and Azure Cosmos DB side by side, and measures both.

  txgen run --emulator    try it now: both services run in this process, and no Azure account is needed
  txgen emulator          local Event Hubs and Cosmos DB, for the tests of any program
  txgen run --dry-run     with an appsettings.json: what would be sent where

txgen --help        all commands
txgen run --help    the flags of a run
";

impl Cli {
    /// Reads a command line; its first argument is the program.
    ///
    /// # Errors
    /// What is wrong with it, or the help or version that it asks for: fit to be printed, with an exit code of its own.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let root = Self::command();
        let arguments = arguments::as_meant(&root, arguments.into_iter().collect());
        if arguments.len() < 2 {
            let matches = root.override_help(WELCOME).try_get_matches_from(&arguments)?;
            return Self::from_arg_matches(&matches);
        }
        Self::try_parse_from(&arguments).map_err(|error| arguments::with_tip(error, &root, &arguments))
    }

    /// Does what the command line asks for, with logging as the flags and RUST_LOG say.
    ///
    /// The runtime is made here and not in `main`: a future is compiled in the crate that blocks on it, and tests and
    /// binary share what is compiled in the library.
    ///
    /// # Errors
    /// A [`CliError`] whose chain of causes is fit to be printed, and whose exit code shows its class.
    pub fn execute(self) -> Result<ExitCode, CliError> {
        self.log.start().map_err(CliError::usage)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::no_threads)?;
        let result = runtime.block_on(self.command.execute());
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        result
    }
}

impl Command {
    async fn execute(self) -> Result<ExitCode, CliError> {
        match self {
            Command::Run(args) => run::execute(*args).await,
            Command::Check(args) => check::execute(*args).await,
            Command::Verify(args) => verify::execute(*args).await,
            Command::Land(args) => land::execute(*args).await,
            Command::Emulator(args) => emulator::execute(*args).await,
            Command::Data(command) => data::execute(command).await,
            Command::Report(args) => report::execute(args).await,
            Command::Completions(args) => completions::execute(&args),
            Command::Man(args) => man::execute(&args),
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

    /// Prints the whole chain of causes to standard error.
    pub fn print(&self) {
        crate::observers::log::notice_error(&format!("{:#}", self.error));
    }

    /// The operating system refused the threads that every command needs.
    fn no_threads(error: std::io::Error) -> Self {
        Self::failed(anyhow::Error::new(error).context("the operating system refused the threads that txgen needs"))
    }

    /// Wrong usage, settings or files.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into() }
    }

    /// Wrong settings, or a key vault that could not be reached or refused txgen.
    fn settings(error: SettingsError) -> Self {
        if error.is_refused { Self::not_connected(error) } else { Self::usage(error) }
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
