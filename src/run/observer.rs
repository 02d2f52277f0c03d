//! The seam between a run and its user: a run prints nothing by itself.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::monitor::Monitor;
use super::recorder::Event;
use crate::description::RunDescription;
use crate::stats::Summary;

/// Shows a run. Its methods are called in their order here, each once; only `notice` comes at any time.
pub trait Observer: Send + 'static {
    /// Shows the user one line.
    fn notice(&self, line: &str);

    /// Opens what the run is shown on, such as files and ports: what cannot be opened fails the run before it connects.
    ///
    /// # Errors
    /// What cannot be opened, with the remedy.
    fn open(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The run begins.
    fn start(&mut self, description: &Arc<RunDescription>);

    /// Begins to show the events of the run and, in between, moments of it, until the sender of `events` is gone.
    ///
    /// # Errors
    /// When it cannot be shown as the user wants.
    fn follow(&mut self, events: mpsc::Receiver<Event>, monitor: Monitor) -> anyhow::Result<()>;

    /// Waits until all events are shown. Blocks.
    ///
    /// # Errors
    /// When the showing has ended unexpectedly.
    fn catch_up(&mut self) -> anyhow::Result<()>;

    /// Shows the totals, with remarks below them.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn finish(self, summary: &Summary, remarks: &[String]) -> anyhow::Result<()>;
}
