//! `txgen report`: what can be done with the summaries of finished runs.
//!
//! A file alone becomes a page (`txgen report summary.json -o run.html`); the subcommands do the rest. A file that is
//! named like a subcommand is written `./merge`.

mod compare;
mod files;
mod merge;
mod page;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::CliError;

/// What `txgen report` takes: a summary to draw, or a subcommand.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, arg_required_else_help = true)]
#[command(override_usage = "txgen report [OPTIONS] --output <FILE> <FILE>\n       txgen report [OPTIONS] <COMMAND>")]
#[command(after_help = "Examples:\n  \
    txgen run --emulator --summary-file summary.json && txgen report summary.json -o run.html\n  \
    txgen report compare before.json after.json\n  \
    txgen report merge shard-*.json -o summary.json")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    page: Option<page::PageArgs>,
    #[command(subcommand)]
    command: Option<ReportCommand>,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Compare two runs: what changed, and what is more than noise
    Compare(compare::CompareArgs),
    /// Merge the summaries of the shards of one run
    Merge(merge::MergeArgs),
}

/// Does what the command line asks for.
pub(super) async fn execute(args: ReportArgs) -> Result<ExitCode, CliError> {
    // clap could refuse this itself (`args_conflicts_with_subcommands`), but would then refuse `txgen report -v merge` too.
    if args.command.is_some() && args.page.is_some() {
        return Err(CliError::usage(anyhow::anyhow!(
            "a file to draw and a subcommand: write one of them (a file that is named like a subcommand is written `./merge`)"
        )));
    }
    // Reading and writing files blocks; the thread is one that may.
    let job = tokio::task::spawn_blocking(move || match (args.command, args.page) {
        (Some(ReportCommand::Compare(args)), _) => compare::execute(&args),
        (Some(ReportCommand::Merge(args)), _) => merge::execute(&args),
        (None, Some(args)) => page::execute(&args),
        // clap asks for one of the two.
        (None, None) => Err(CliError::usage(anyhow::anyhow!("name a summary file, or a subcommand"))),
    });
    job.await.map_err(|_| CliError::failed(anyhow::anyhow!("the thread that does the work ended unexpectedly")))?
}
