//! A run, as its story goes: prepare, connect, run, conclude. Each step takes what the one before has made, so that they
//! cannot come in another order.
//!
//! | step | makes | with |
//! |---|---|---|
//! | [`prepare`] | [`Prepared`] | settings, data, the folder for dead letters |
//! | [`Prepared::connect`] | [`Connected`] | connections, the [`RunDescription`](crate::description::RunDescription) |
//! | [`Connected::run`] | [`Finished`] | `feed` → `fan_out` (at the pace of `pacer`) → `bulkhead` → service → `recorder` |
//! | [`Finished::conclude`] | [`Verdict`] | the summary |
//!
//! A run prints nothing: it shows itself to an [`Observer`], through a bounded queue of events and a [`monitor::Monitor`].

mod bulkhead;
mod conclude;
mod connect;
pub mod dead_letters;
mod expected;
mod fan_out;
mod feed;
mod local;
pub mod monitor;
mod observer;
mod options;
mod outcome;
mod pacer;
mod prepare;
pub mod recorder;
mod stop;
mod transaction_log;

pub use conclude::Finished;
pub use connect::Connected;
pub use expected::Expected;
pub use observer::Observer;
pub use options::{Criteria, RunOptions};
pub use outcome::{RunError, Verdict};
pub use prepare::{Prepared, Rehearsal, prepare, rehearse};
pub use stop::Stop;

/// Runs to the end.
///
/// # Errors
/// A [`RunError`], whose kind says how far it got.
pub async fn execute(options: RunOptions, mut observer: impl Observer, stop: Stop) -> Result<Verdict, RunError> {
    let prepared = prepare(options, &observer, stop).await?;
    observer.open().await.map_err(RunError::Usage)?;
    let connected = prepared.connect().await?;
    let finished = connected.run(observer).await?;
    finished.conclude().await
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
