//! `txgen report FILE -o run.html`: one run as a page.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files;
use crate::cli::CliError;
use crate::report::html;

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// The summary of a run (--summary-file), or of several shards merged
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write the page; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes the page.
pub(super) fn execute(args: &PageArgs) -> Result<ExitCode, CliError> {
    let summary = files::read_summary(&args.file)?;
    files::write(&args.output, &html::page(&summary), &[&args.file])?;
    Ok(ExitCode::SUCCESS)
}
