//! Something that sees every transaction of a run come and go, one by one; observers see figures alone.
//!
//! Unlike an observer it cannot be skipped: it is called where things happen, so it must be quick and must not block on
//! anything but short writes.

use std::fmt;

use crate::service::ServiceName;
use crate::stats::Outcome;
use crate::transaction::Transaction;

/// Sees every transaction of a run.
pub trait TransactionLog: fmt::Debug + Send + Sync {
    /// The transaction is about to be handed to every service.
    fn requested(&self, transaction: &Transaction);

    /// Its end at one service is known.
    fn settled(&self, service: ServiceName, transaction: &Transaction, outcome: &Outcome);

    /// It left the queue of this service unsent.
    fn not_sent(&self, service: ServiceName, transaction: &Transaction);
}
