//! What happens in a run on its way to the statistics and to the observers.
//!
//! The recorder is the one place where the concurrent run meets the pure statistics. Observers get events through a
//! bounded queue and can never hold the run up: while the queue is full a batch simply stays open and grows, and single
//! failures are left to the totals.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::stop::Stop;
use super::transaction_log::TransactionLog;
use crate::service::{Failure, ServiceName};
use crate::stats::{Batch, Figures, Outcome, Snapshot, Stats, StopReason};
use crate::transaction::Transaction;

/// How many failures of one kind at one service, and how many rejected rows, are shown whole.
pub const SHOWN_WHOLE: u64 = 5;

/// Something an observer may want to show.
#[derive(Clone, Debug)]
pub enum Event {
    /// A batch was closed.
    Batch(Batch),
    /// A transaction failed; only the first few of each kind are shown.
    Failed {
        /// At which service.
        service: ServiceName,
        /// The transaction's number in the run.
        row: u64,
        /// Why.
        failure: Failure,
        /// Whether this is the last one of its kind that is shown.
        last_shown: bool,
    },
    /// A row could not be read; only the first few are shown.
    Rejected {
        /// The line of the file on which the row starts.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// Whether this is the last one that is shown.
        last_shown: bool,
    },
    /// The data could not be read any further.
    DataFailed(String),
    /// Something is wrong that leaves the run itself alone.
    Warning(String),
}

/// Collects what happens in one run.
#[derive(Debug)]
pub struct Recorder {
    state: Mutex<State>,
    events: mpsc::Sender<Event>,
    log: Option<Arc<dyn TransactionLog>>,
    max_failures: Option<MaxFailures>,
}

#[derive(Debug)]
struct State {
    stats: Stats,
    rejected_rows: u64,
}

/// How many failures end a run.
#[derive(Debug)]
struct MaxFailures {
    left: AtomicU64,
    stop: Stop,
}

impl MaxFailures {
    /// A transaction failed; the last one that may stops the run.
    fn failed(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.gently(StopReason::TooManyFailures);
        }
    }
}

impl Recorder {
    /// A recorder that feeds these statistics, and informs observers through `events`.
    #[must_use]
    pub fn new(stats: Stats, events: mpsc::Sender<Event>) -> Self {
        Self { state: Mutex::new(State { stats, rejected_rows: 0 }), events, log: None, max_failures: None }
    }

    /// The same, with a log of every transaction.
    #[must_use]
    pub fn with_log(self, log: Option<Arc<dyn TransactionLog>>) -> Self {
        Self { log, ..self }
    }

    /// The same, which stops the run once so many transactions have failed, both services together.
    #[must_use]
    pub fn with_max_failures(self, most: Option<NonZeroU64>, stop: Stop) -> Self {
        let max_failures = most.map(|most| MaxFailures { left: AtomicU64::new(most.get()), stop });
        Self { max_failures, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave counters half written; going on is better than losing the totals as well.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's clock starts now.
    pub fn begin(&self, now: Instant) {
        self.state().stats.begin(now);
    }

    /// A transaction is being handed to every service.
    pub fn requested(&self, transaction: &Transaction, intended: Instant, now: Instant) {
        if let Some(log) = &self.log {
            log.requested(transaction);
        }
        let mut state = self.state();
        state.stats.requested(transaction, intended, now);
        self.close_due_batch(&mut state.stats, now);
    }

    /// No more transactions will be requested.
    pub fn all_requested(&self) {
        self.state().stats.all_requested();
    }

    /// A transaction's end is known.
    pub fn settled(&self, service: ServiceName, transaction: &Transaction, outcome: &Outcome) {
        if let Some(log) = &self.log {
            log.settled(service, transaction, outcome);
        }
        let row = transaction.row;
        if let (Some(max_failures), Err(_)) = (&self.max_failures, &outcome.result) {
            max_failures.failed();
        }
        let mut state = self.state();
        let failures = state.stats.settled(service, row, outcome);
        if let (Err(failure), Some(count)) = (&outcome.result, failures)
            && count <= SHOWN_WHOLE
        {
            let last_shown = count == SHOWN_WHOLE;
            let _ = self.events.try_send(Event::Failed { service, row, failure: failure.clone(), last_shown });
        }
        self.close_due_batch(&mut state.stats, outcome.settled);
    }

    /// Transactions left the queue unsent.
    pub fn not_sent<'t>(&self, service: ServiceName, transactions: impl ExactSizeIterator<Item = &'t Transaction>) {
        self.state().stats.not_sent(service, transactions.len() as u64);
        if let Some(log) = &self.log {
            transactions.for_each(|transaction| log.not_sent(service, transaction));
        }
    }

    /// A row could not be read.
    pub fn rejected(&self, line: u64, reason: String) {
        let mut state = self.state();
        state.rejected_rows += 1;
        if state.rejected_rows <= SHOWN_WHOLE {
            let last_shown = state.rejected_rows == SHOWN_WHOLE;
            let _ = self.events.try_send(Event::Rejected { line, reason, last_shown });
        }
    }

    /// The data could not be read any further.
    pub fn data_failed(&self, reason: String) {
        let _ = self.events.try_send(Event::DataFailed(reason));
    }

    /// Time passed: closes what has been open for too long.
    pub fn tick(&self, now: Instant) {
        let stats = &mut self.state().stats;
        stats.tick(now);
        self.close_due_batch(stats, now);
    }

    /// Where the run stands now. Makes a copy: for a few looks a second.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.state().stats.snapshot(now)
    }

    /// How many rows could not be read.
    #[must_use]
    pub fn rejected_rows(&self) -> u64 {
        self.state().rejected_rows
    }

    /// Closes the last batch, if anything happened in it, and gives the final figures.
    pub async fn finish(&self, now: Instant) -> Figures {
        let last = {
            let stats = &mut self.state().stats;
            stats.is_eventful().then(|| stats.close_batch(now))
        };
        if let Some(batch) = last {
            // Nothing is in flight any more, so waiting for a slow observer holds nothing up.
            let _ = self.events.send(Event::Batch(batch)).await;
        }
        self.state().stats.finish(now)
    }

    fn close_due_batch(&self, stats: &mut Stats, now: Instant) {
        if stats.is_due(now)
            && let Ok(permit) = self.events.try_reserve()
        {
            permit.send(Event::Batch(stats.close_batch(now)));
        }
    }
}
