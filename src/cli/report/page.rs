//! `txgen report FILE -o run.html`: one run as a page.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::CliError;

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// The summary of a run (--summary-file), or of several shards merged
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes the page.
pub(super) fn execute(args: &PageArgs) -> Result<ExitCode, CliError> {
    let (file, output) = (args.file.display(), args.output.display());
    Err(CliError::usage(anyhow::anyhow!("{file} cannot be drawn into {output}: this build of txgen has no page yet")))
}
