//! The `txgen` binary: parses the command line, runs the command, prints the error chain, sets the exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use txgen::cli::Cli;
use txgen::report::single_line;

/// How long threads that still read or resolve names may keep the process from ending.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    without_backtraces_in_libraries();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("the operating system refused the threads that txgen needs: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(cli.execute());
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result.unwrap_or_else(|error| {
        print_error(&format!("{:#}", error.error()));
        error.exit_code()
    })
}

/// Azure's Cosmos DB client builds an error, backtrace included, for every optional header that a response lacks; where
/// the user's environment asks for backtraces, that doubles the CPU time of a run.
#[allow(unsafe_code)]
fn without_backtraces_in_libraries() {
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        // SAFETY: this is the first statement of the program; no other thread exists that could read the environment.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
}

#[allow(clippy::print_stderr)]
fn print_error(message: &str) {
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let lines: Vec<String> = message.lines().map(single_line).collect();
    anstream::eprintln!("{bad}error:{bad:#} {}", lines.join("\n"));
}
