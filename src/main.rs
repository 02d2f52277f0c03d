//! The `txgen` binary: parses the command line, runs the command, prints the error chain, sets the exit code.

use std::process::ExitCode;

use txgen::cli::Cli;

/// Every transaction is allocated on one thread, sent on another and dropped on a third, which this allocator is good at: a
/// run takes a fifth less CPU than with glibc's (docs/explanation/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    without_backtraces_in_libraries();
    #[cfg(target_os = "linux")]
    with_certificate_authorities();
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    cli.execute().unwrap_or_else(|error| {
        error.print();
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

/// Azure's clients find certificate authorities by this variable, and cannot be handed any.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn with_certificate_authorities() {
    if let Some(path) = txgen::trust::built_in_authorities() {
        // SAFETY: no other thread exists yet that could read the environment.
        unsafe { std::env::set_var("SSL_CERT_FILE", path) };
    }
}
