//! How a run is asked to stop: once to finish in order, twice to stop at once.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::stats::StopReason;

/// A handle that stops a run. Clones stop the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    gently: CancellationToken,
    at_once: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Stop {
    /// Request nothing more, settle what is in flight. The first reason given is the one that is reported.
    pub fn gently(&self, reason: StopReason) {
        let _ = self.reason.set(reason);
        self.gently.cancel();
    }

    /// Give up what is in flight as well.
    pub fn at_once(&self, reason: StopReason) {
        self.gently(reason);
        self.at_once.cancel();
    }

    /// Whether the run is to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.gently.is_cancelled()
    }

    /// Waits until the run has to stop, and returns the reason.
    pub async fn requested(&self) -> StopReason {
        self.gently.cancelled().await;
        self.reason()
    }

    /// Whether even what is in flight is given up.
    #[must_use]
    pub fn is_requested_at_once(&self) -> bool {
        self.at_once.is_cancelled()
    }

    /// Waits until even what is in flight has to be given up.
    pub async fn requested_at_once(&self) {
        self.at_once.cancelled().await;
    }

    /// Why the run is to stop.
    #[must_use]
    pub fn reason(&self) -> StopReason {
        // The reason is set before the token is cancelled, and read after.
        self.reason.get().copied().unwrap_or(StopReason::Interrupted)
    }

    /// A token that is cancelled when the run is to stop, for waits outside the run (connecting).
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.gently.clone()
    }
}
