//! `txgen report merge`: the shards of one run, added up.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::files;
use crate::cli::standard_output::print;
use crate::cli::{CliError, FAILED};
use crate::observers::standard_output::Colours;
use crate::report::totals;
use crate::stats::merge::{MergeError, Part, merge};
use crate::threshold::{Threshold, verdicts};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  txgen report merge shard-*.json -o summary.json\n  \
    txgen report merge shard-*.json -o summary.json --fail-on 'cosmos_db.response_time_ms.p99>50'\n  \
    txgen report merge ?.ndjson | jq .services.cosmos_db.response_time_ms")]
pub(super) struct MergeArgs {
    /// The summaries of all shards (--summary-file, or logs of --output json), in any order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the merged summary as JSON; - is standard output, which otherwise gets the totals
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Merge even if shards are missing
    #[arg(long)]
    partial: bool,
    /// Exit with code 1 when this holds for a figure of the merged summary; can be repeated
    #[arg(long, value_name = "FIGURE>NUMBER")]
    fail_on: Vec<Threshold>,
}

/// Merges, and writes the result.
pub(super) fn execute(args: &MergeArgs) -> Result<ExitCode, CliError> {
    let read = |path: &PathBuf| Ok(Part { name: path.display().to_string(), summary: files::read_summary(path)? });
    let parts = args.files.iter().map(read).collect::<Result<Vec<Part>, CliError>>()?;
    let mut summary = merge(&parts, args.partial).map_err(|error| CliError::usage(explained(error)))?;
    summary.thresholds = verdicts(&args.fail_on, &summary);
    let json = serde_json::to_string_pretty(&summary).map_err(CliError::failed)? + "\n";
    let sources: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
    files::write(&args.output, &json, &sources)?;
    if args.output != Path::new("-") {
        print(&totals::totals(&summary), Colours::Auto)?;
    }
    let crossed = summary.thresholds.iter().any(|verdict| verdict.crossed);
    Ok(if crossed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn explained(error: MergeError) -> anyhow::Error {
    match error {
        MergeError::Missing(_) => anyhow::anyhow!("{error}; add what they wrote, or merge without them with --partial"),
        error => error.into(),
    }
}
