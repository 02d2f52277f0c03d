//! The two services behind one trait: what the bulkheads need to know of Event Hubs and Cosmos DB, and no more.
//!
//! A service sends one request per transaction and says how that ended. What happens on the way there (an attempt is
//! throttled, an answer is lost, a request is sent again) it reports to the transaction's [`Attempts`], so that a run can
//! show it while the transaction is still in flight.

mod attempts;
mod clock;
pub mod cosmos;
pub mod entra;
pub mod event_hubs;
mod failure;
pub mod key_vault;
mod proxy;
mod remedy;
mod retry;
mod tls;

use std::future::Future;
use std::time::Duration;

pub use txgen_azure::ServiceName;

pub use self::attempts::{Attempt, Attempts, Counters};
pub use self::failure::{Failure, FailureKind};
pub use self::remedy::remedy;

use crate::transaction::Transaction;

/// A service that takes transactions, one request each.
pub trait Service: Send + Sync + 'static {
    /// Which one it is.
    fn name(&self) -> ServiceName;

    /// Sends one transaction and waits until that is settled, retries included.
    ///
    /// Dropping the future gives the transaction up: the service sends nothing more for it. Every wait inside has a
    /// time-out, so the future ends by itself.
    ///
    /// # Errors
    /// A [`Failure`] when the service refused the transaction, or did not confirm it in time.
    fn send(
        &self,
        transaction: &Transaction,
        attempts: &Attempts,
    ) -> impl Future<Output = Result<Receipt, Failure>> + Send;

    /// Ends connections politely, within a bounded time. Called once, after the last transaction is settled.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// What a service says of a transaction that it has stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Receipt {
    /// What all attempts cost, in request units (RU); 0 on Event Hubs.
    pub request_units: f64,
    /// How long the service worked on all attempts that it answered, by its own account; `None` where it does not tell.
    pub server_time: Option<Duration>,
}

impl Receipt {
    /// One more answer.
    fn add(&mut self, request_units: f64, server_time: Option<Duration>) {
        self.request_units += request_units;
        if let Some(time) = server_time {
            self.server_time = Some(self.server_time.unwrap_or_default().saturating_add(time));
        }
    }
}

/// A service could not be reached, or refused txgen, before the first transaction: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {message}")]
pub struct ConnectError {
    /// Which one.
    pub service: ServiceName,
    /// What happened and what to do about it, on one line, without secrets.
    pub message: String,
}
