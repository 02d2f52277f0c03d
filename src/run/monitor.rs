//! A run as it is seen from outside, as often as wanted: what live views and metrics are drawn from.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::Stop;
use super::expected::{Expected, RowCount};
use super::recorder::Recorder;
use crate::description::RunDescription;
use crate::stats::Snapshot;

/// A run at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Its figures.
    pub snapshot: Snapshot,
    /// How many transactions the data and the limit make.
    pub expected: Expected,
    /// Rows that could not be read so far.
    pub rejected_rows: u64,
    /// How long the run still waits before its first transaction.
    pub lead_left: Duration,
    /// Whether the run was asked to stop.
    pub stopping: bool,
}

/// Gives moments of one run. Holds nothing that keeps the run from ending.
#[derive(Clone, Debug)]
pub struct Monitor {
    description: Arc<RunDescription>,
    /// When the lead is over.
    begins: Instant,
    recorder: Weak<Recorder>,
    rows: Arc<RowCount>,
    stop: Stop,
}

impl Monitor {
    pub(super) fn new(description: Arc<RunDescription>, recorder: &Arc<Recorder>, rows: RowCount, stop: Stop) -> Self {
        let begins = Instant::now() + description.run.lead;
        Self { description, begins, recorder: Arc::downgrade(recorder), rows: Arc::new(rows), stop }
    }

    /// The run that is monitored.
    #[must_use]
    pub fn description(&self) -> &Arc<RunDescription> {
        &self.description
    }

    /// The handle that stops the run.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Where the run is now; `None` once it is over.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        let now = Instant::now();
        let recorder = self.recorder.upgrade()?;
        Some(Moment {
            snapshot: recorder.snapshot(now),
            expected: self.rows.expected(),
            rejected_rows: recorder.rejected_rows(),
            lead_left: self.begins.saturating_duration_since(now),
            stopping: self.stop.is_requested(),
        })
    }
}
