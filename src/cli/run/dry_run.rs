//! `txgen run --dry-run`: shows what a run would send and where to. It connects to neither service.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::standard_output::finished;
use crate::cli::{CliError, FAILED};
use crate::observers::standard_output::{Colours, write};
use crate::observers::{OutputFormat, notice};
use crate::report::dry_run;
use crate::run::{Rehearsal, RunOptions, rehearse};
use crate::source::RowError;

/// Rejected rows that are listed one by one.
const REJECTED_LISTED: u64 = 20;

/// Shows the first `count` transactions.
pub(super) async fn execute(options: &RunOptions, count: u64, format: OutputFormat) -> Result<ExitCode, CliError> {
    let rehearsal = rehearse(options).await?;
    // Reading and printing block.
    tokio::task::spawn_blocking(move || show(rehearsal, count, format == OutputFormat::Json))
        .await
        .map_err(|_| CliError::failed(anyhow!("the thread that reads the data ended unexpectedly")))?
}

fn show(rehearsal: Rehearsal, count: u64, json: bool) -> Result<ExitCode, CliError> {
    let Rehearsal { description, source } = rehearsal;
    let count = count.min(description.run.limit.unwrap_or(u64::MAX));
    let colours = if json { Colours::Never } else { Colours::Auto };
    let print = |text: String| finished(write(&text, colours));
    if !print(if json { dry_run::json(&description) } else { dry_run::text(&description) })? {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut shown, mut rejected) = (0, 0);
    for row in source {
        match row {
            Ok(transaction) => {
                shown += 1;
                let text = if json {
                    dry_run::transaction_json(&transaction).map_err(CliError::failed)?
                } else {
                    dry_run::transaction_text(&description, &transaction)
                };
                if !print(text)? {
                    break;
                }
            }
            Err(RowError::Rejected(row)) => {
                rejected += 1;
                if rejected <= REJECTED_LISTED {
                    notice(&format!("Data: line {} rejected: {}", row.line, row.reason));
                }
            }
            Err(RowError::Fatal(error)) => return Err(CliError::failed(error)),
        }
        if shown == count {
            break;
        }
    }
    if rejected > REJECTED_LISTED {
        notice(&format!("Data: {} more rows rejected", rejected - REJECTED_LISTED));
    }
    Ok(if shown == 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
