//! Looking at a run from outside: what the progress display, the full-screen view and the metrics are drawn from.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use clap::Args;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::metrics::{self, MetricsListener};
use super::output::{Output, OutputFormat, Show, tell};
use super::{CliError, tui};
use crate::identity::RunId;
use crate::live::{Expected, LineCount, Moment, Plan, count_lines};
use crate::report::metrics::Scrape;
use crate::run::Stop;
use crate::run::recorder::{Event, Recorder};
use crate::service::cosmos::Throughput;
use crate::settings::RunSettings;
use crate::shard::Shard;
use crate::source::input;

/// The flags of `txgen run` that say how it can be watched.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct WatchArgs {
    /// Show the run full-screen; q stops it
    #[arg(long, help_heading = "Output", conflicts_with_all = ["output", "quiet"])]
    tui: bool,
    /// Do not draw progress lines (they are only drawn on a terminal)
    #[arg(long, help_heading = "Output", conflicts_with = "tui", hide_short_help = true)]
    no_progress: bool,
    /// Serve Prometheus metrics at this address during the run; port 0 takes a free one
    #[arg(long, help_heading = "Output", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = metrics::DEFAULT_ADDRESS, value_parser = metrics::parse_address, hide_short_help = true)]
    metrics: Option<SocketAddr>,
}

impl WatchArgs {
    /// What the output shows.
    pub(super) fn show(self, format: OutputFormat, quiet: bool) -> Show {
        Show { format, quiet, tui: self.tui, progress: !self.no_progress }
    }

    /// Sees to it that there is a terminal for the full-screen view, and a port for the metrics, which it announces.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn prepare(self) -> anyhow::Result<Option<MetricsListener>> {
        if self.tui {
            tui::check()?;
        }
        let Some(address) = self.metrics else { return Ok(None) };
        let listener = MetricsListener::bind(address).await?;
        tell(&listener.announcement());
        Ok(Some(listener))
    }
}

/// Who watches a run.
pub(super) struct Watching {
    /// What they want to know of its plan.
    pub(super) plan: Plan,
    /// Number of rows it has.
    pub(super) rows: RowCount,
    /// Where its metrics are served.
    pub(super) metrics: Option<MetricsListener>,
    /// Where it is shown.
    pub(super) output: Output,
}

/// Those who watch it, at their work.
pub(super) struct Watched {
    /// Ends when the recorder is gone, and gives the output back.
    pub(super) printing: JoinHandle<Output>,
    /// Metrics are served until this is dropped.
    _metrics: Option<DropGuard>,
}

impl Watching {
    /// Begins to show what comes out of `shown`, and to serve metrics.
    ///
    /// # Errors
    /// When the terminal cannot be taken over.
    pub(super) fn begin(
        self,
        shown: mpsc::Receiver<Event>,
        recorder: &Arc<Recorder>,
        stop: Stop,
    ) -> Result<Watched, CliError> {
        let watch = Watch::new(self.plan, recorder, self.rows, stop);
        let printing = self.output.follow(shown, watch.clone()).map_err(CliError::usage)?;
        let metrics = self.metrics.map(|listener| listener.serve(move || watch.scrape()));
        Ok(Watched { printing, _metrics: metrics })
    }
}

/// What whoever watches a run wants to know of its plan; `throughput` is that of its Cosmos DB.
pub(super) fn plan(run_id: RunId, settings: &RunSettings, throughput: Option<Throughput>) -> Plan {
    Plan {
        run_id,
        lead: settings.lead,
        duration: settings.duration,
        provisioned: throughput.and_then(Throughput::provisioned),
    }
}

/// A run, to look at as often as wanted. Holds nothing that keeps the run from ending.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    plan: Plan,
    /// When the run is to begin.
    begins: Instant,
    recorder: Weak<Recorder>,
    rows: Arc<RowCount>,
    stop: Stop,
}

impl Watch {
    /// Looks at the run of `recorder`, which begins when its lead is over.
    pub(super) fn new(plan: Plan, recorder: &Arc<Recorder>, rows: RowCount, stop: Stop) -> Self {
        let begins = Instant::now() + plan.lead;
        Self { plan, begins, recorder: Arc::downgrade(recorder), rows: Arc::new(rows), stop }
    }

    /// What was planned.
    pub(super) fn plan(&self) -> Plan {
        self.plan.clone()
    }

    /// The handle that stops the run.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Where the run is now; `None` once it is over.
    pub(super) fn moment(&self) -> Option<Moment> {
        let now = Instant::now();
        Some(Moment {
            snapshot: self.recorder.upgrade()?.snapshot(now),
            expected: self.rows.expected(),
            lead_left: self.begins.saturating_duration_since(now),
            stopping: self.stop.is_requested(),
        })
    }

    /// What a scraper of metrics gets now; `None` once the run is over, and outside of the runtime.
    pub(super) fn scrape(&self) -> Option<Scrape> {
        let recorder = self.recorder.upgrade()?;
        Some(Scrape {
            run_id: self.plan.run_id,
            snapshot: recorder.snapshot(Instant::now()),
            expected: self.rows.expected(),
            rejected_rows: recorder.rejected_rows(),
            provisioned: self.plan.provisioned,
            alive_tasks: tokio::runtime::Handle::try_current().ok()?.metrics().num_alive_tasks(),
        })
    }
}

/// How many transactions the data makes: its lines are counted on the side, on a thread of their own.
#[derive(Debug)]
pub(super) struct RowCount {
    /// `None` where there is no regular file to count: a stream is read once, by the run.
    lines: Option<(Arc<LineCount>, u64)>,
    shard: Shard,
    limit: Option<u64>,
    repeat: bool,
}

impl RowCount {
    /// Counts the rows of this file, for a run with these settings of which this process has this part.
    pub(super) fn start(data: &Path, settings: &RunSettings, shard: Shard) -> Self {
        let lines = if settings.repeat { None } else { count(data) };
        Self { lines, shard, limit: settings.limit, repeat: settings.repeat }
    }

    fn expected(&self) -> Expected {
        let rows = self.lines.as_ref().map_or(Expected::Unknown, |(count, size)| count.rows(*size));
        let rows = rows.map(|rows| self.shard.part_of(rows));
        rows.limited(self.limit, self.repeat)
    }
}

impl Drop for RowCount {
    fn drop(&mut self) {
        if let Some((count, _)) = &self.lines {
            count.cancel();
        }
    }
}

fn count(data: &Path) -> Option<(Arc<LineCount>, u64)> {
    // Whatever is wrong with the file, the run itself reports.
    let size = input::size(data).ok()??;
    let file = input::open(data).ok()?;
    let count = Arc::new(LineCount::default());
    let counting = Arc::clone(&count);
    tokio::task::spawn_blocking(move || count_lines(file, &counting));
    Some((count, size))
}
