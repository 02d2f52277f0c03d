//! `txgen run`: the job.

mod args;
mod dry_run;

use std::process::ExitCode;

use anyhow::Context as _;

use super::{CliError, FAILED, INTERRUPTED, signals};
use crate::observers::{RunView, notice};
use crate::run::{self, RunError, Stop, Verdict};
pub(super) use args::RunArgs;

/// Runs the job and shows what happens.
pub(super) async fn execute(args: RunArgs) -> Result<ExitCode, CliError> {
    let dry_run = args.dry_run();
    let (options, view) = args.split();
    if let Some((count, format)) = dry_run {
        return dry_run::execute(&options, count, format).await;
    }
    let stop = Stop::default();
    let signals =
        signals::listen(stop.clone(), notice).context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let ended = run::execute(options, RunView::new(view, stop.clone()), stop).await;
    signals.abort();
    match ended {
        Ok(Verdict::Succeeded) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::Failed) => Ok(ExitCode::from(FAILED)),
        Ok(Verdict::Interrupted) | Err(RunError::Interrupted) => Ok(ExitCode::from(INTERRUPTED)),
        Err(error) => Err(error.into()),
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Usage(error) => Self::usage(error),
            RunError::NotConnected(error) => Self::not_connected(error),
            RunError::Failed(error) => Self::failed(error),
            RunError::Interrupted => Self::failed(error),
        }
    }
}
