//! How a run ends for its caller.

use crate::settings::SettingsError;
use crate::stats::{StopReason, Summary};

/// Why there is no run, or none to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Wrong usage, settings or files.
    #[error(transparent)]
    Usage(anyhow::Error),
    /// A service, or a key vault, could not be reached or refused txgen.
    #[error(transparent)]
    NotConnected(anyhow::Error),
    /// The user stopped it before everything was connected.
    #[error("interrupted before the run began")]
    Interrupted,
    /// The run began, but something that the user asked for could not be done.
    #[error(transparent)]
    Failed(anyhow::Error),
}

impl RunError {
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    pub(super) fn of_settings(error: SettingsError) -> Self {
        if error.is_refused { Self::NotConnected(error.into()) } else { Self::Usage(error.into()) }
    }

    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was stored, as far as the user's thresholds ask for it.
    Succeeded,
    /// Something failed, was not sent, or crossed a threshold.
    Failed,
    Interrupted,
}

impl Verdict {
    /// `passed` says whether all thresholds held.
    pub(super) fn of(summary: &Summary, passed: bool) -> Self {
        match summary.stop_reason {
            StopReason::Interrupted => Self::Interrupted,
            StopReason::DataFailed | StopReason::OutputClosed | StopReason::TooManyFailures => Self::Failed,
            _ if summary.requested == 0 && summary.rejected_rows > 0 => Self::Failed,
            _ if passed => Self::Succeeded,
            _ => Self::Failed,
        }
    }
}
