//! `txgen run`: the job.

mod args;
mod dry_run;

use std::process::ExitCode;

use anyhow::Context as _;

use super::land::Lake;
use super::standard_output::print;
use super::{CliError, FAILED, INTERRUPTED, signals};
use crate::observers::standard_output::Colours;
use crate::observers::{RunView, ViewOptions, notice};
use crate::run::{self, Observer as _, RunError, RunOptions, Stop, Verdict};
pub(super) use args::RunArgs;

/// Runs the job and shows what happens.
pub(super) async fn execute(args: RunArgs) -> Result<ExitCode, CliError> {
    let dry_run = args.dry_run();
    let lake = args.lake().as_deref().map(Lake::of_flag).transpose()?;
    let json = args.is_json();
    let (options, view) = args.split();
    if let Some((count, format)) = dry_run {
        return dry_run::execute(&options, count, format).await;
    }
    let stop = Stop::default();
    let signals =
        signals::listen(stop.clone(), notice).context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let ended = match lake {
        None => run::execute(options, RunView::new(view, stop.clone()), stop).await.map_err(Failure::Run),
        Some(lake) => run_and_land(options, view, stop, lake, json).await,
    };
    signals.abort();
    match ended {
        Ok(Verdict::Succeeded) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::Failed) => Ok(ExitCode::from(FAILED)),
        Ok(Verdict::Interrupted) | Err(Failure::Run(RunError::Interrupted)) => Ok(ExitCode::from(INTERRUPTED)),
        Err(Failure::Run(error)) => Err(error.into()),
        Err(Failure::Land(error)) => Err(error),
    }
}

/// What went wrong: the run itself, or landing it.
enum Failure {
    Run(RunError),
    Land(CliError),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self::Land(error)
    }
}

/// Runs, and lands what is sent. The local services end with the run, so that landing comes to its end before.
async fn run_and_land(
    options: RunOptions,
    view: ViewOptions,
    stop: Stop,
    lake: Lake,
    json: bool,
) -> Result<Verdict, Failure> {
    let mut observer = RunView::new(view, stop.clone());
    let prepared = run::prepare(options, &observer, stop.clone()).await?;
    let listener = prepared.local_listener().context("there is no local event hub").map_err(CliError::failed)?;
    let landing = lake.land(&listener)?;
    observer.open().await.map_err(RunError::Usage)?;
    let finished = prepared.connect().await?.run(observer).await?;
    let landed = landing.catch_up(&stop, json).await;
    let verdict = finished.conclude().await?;
    print(&landed?, Colours::Never)?;
    Ok(verdict)
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
