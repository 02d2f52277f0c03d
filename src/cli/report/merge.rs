//! `txgen report merge`: the shards of one run, added up.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::CliError;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  txgen report merge shard-*.json -o summary.json")]
pub(super) struct MergeArgs {
    /// The summaries of all shards (--summary-file), in any order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the merged summary as JSON; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Merges, and writes the result.
pub(super) fn execute(args: &MergeArgs) -> Result<ExitCode, CliError> {
    let (files, output) = (args.files.len(), args.output.display());
    Err(CliError::usage(anyhow::anyhow!(
        "{files} summaries cannot be merged into {output}: this build cannot merge yet"
    )))
}
