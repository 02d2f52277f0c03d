//! How far a verification is, so that it can be shown.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What is being read.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Where from: `Event Hubs`.
    pub place: String,
    /// What is counted: `events of the run read`.
    pub counted: &'static str,
    /// How many of them there must be, if that is known.
    pub expected: Option<u64>,
    /// More about the place, which may be long.
    pub detail: String,
}

/// Shows how far it is.
pub trait Progress: Sync {
    /// The next step begins.
    fn next(&self, step: Step);
    /// So many are read.
    fn count(&self, read: u64);
    /// What counts them, for a thread of its own.
    fn counter(&self) -> Arc<AtomicU64>;
}
