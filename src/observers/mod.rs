//! Where a run is shown: standard output, the terminal, files, an address for metrics. With the commands the only place
//! that prints.
//!
//! `console` owns the terminal; everything that writes to it goes through there.

pub(crate) mod console;
mod documents;
pub(crate) mod live_lines;
pub(crate) mod log;
pub(crate) mod metrics;
mod next_steps;
mod output;
mod progress;
pub(crate) mod standard_output;
mod tui;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::anyhow;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

use crate::description::RunDescription;
use crate::report::metrics::Scrape;
use crate::run::monitor::Monitor;
use crate::run::recorder::Event;
use crate::run::{Observer, Stop};
use crate::stats::Summary;
use documents::Documents;
pub(crate) use log::notice;
use metrics::MetricsListener;
use output::Output;
pub(crate) use output::{OutputFormat, Show};

/// What the user wants to see of a run.
#[derive(Clone, Debug)]
pub(crate) struct ViewOptions {
    pub(crate) show: Show,
    /// Whether the run writes to the local services.
    pub(crate) is_local: bool,
    /// Where the summary goes, as JSON.
    pub(crate) summary_file: Option<PathBuf>,
    /// Where the page of the run goes.
    pub(crate) report: Option<PathBuf>,
    /// Where Prometheus metrics are served; port 0 is a free one.
    pub(crate) metrics: Option<SocketAddr>,
}

/// Shows a run as the user wants to see it.
pub(crate) struct RunView {
    options: ViewOptions,
    output: Output,
    documents: Option<Documents>,
    listener: Option<MetricsListener>,
    printing: Option<JoinHandle<()>>,
    /// Metrics are served until this is dropped.
    serving: Option<DropGuard>,
}

impl RunView {
    /// `stop` is asked to stop the run when standard output is closed.
    pub(crate) fn new(options: ViewOptions, stop: Stop) -> Self {
        let output = Output::new(options.show, stop);
        Self { options, output, documents: None, listener: None, printing: None, serving: None }
    }
}

impl Observer for RunView {
    fn notice(&self, line: &str) {
        notice(line);
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        let ViewOptions { show, summary_file, report, metrics, .. } = &self.options;
        self.documents = Some(Documents::open(summary_file.as_deref(), report.as_deref())?);
        if show.tui {
            tui::check()?;
        }
        if let Some(address) = metrics {
            let listener = MetricsListener::bind(*address).await?;
            notice(&listener.announcement());
            self.listener = Some(listener);
        }
        Ok(())
    }

    fn start(&mut self, description: &Arc<RunDescription>) {
        self.output.start(description);
    }

    fn follow(&mut self, events: mpsc::Receiver<Event>, monitor: Monitor) -> anyhow::Result<()> {
        self.printing = Some(self.output.follow(events, monitor.clone())?);
        self.serving = self.listener.take().map(|listener| listener.serve(move || scrape(&monitor)));
        Ok(())
    }

    fn catch_up(&mut self) -> anyhow::Result<()> {
        self.serving = None;
        let ended = self.printing.take().map_or(Ok(()), JoinHandle::join);
        ended.map_err(|_| anyhow!("the thread that prints ended unexpectedly"))
    }

    fn finish(self, summary: &Summary, remarks: &[String]) -> anyhow::Result<()> {
        let next_steps = next_steps::after(&self.options, summary);
        let remarks: Vec<String> = remarks.iter().cloned().chain(next_steps).collect();
        let is_shown = self.output.finish(summary, &remarks);
        self.documents.map_or(Ok(()), |documents| documents.write(summary))?;
        if is_shown { Ok(()) } else { Err(anyhow!("the output is not whole: cannot write to standard output")) }
    }
}

/// What a scraper of metrics gets now; `None` once the run is over, and outside of the runtime.
fn scrape(monitor: &Monitor) -> Option<Scrape> {
    let alive_tasks = tokio::runtime::Handle::try_current().ok()?.metrics().num_alive_tasks();
    Some(Scrape { description: monitor.description().clone(), moment: monitor.moment()?, alive_tasks })
}

#[cfg(test)]
#[path = "../../tests/it/support/terminal.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the built binary use the rest")]
mod terminal;
