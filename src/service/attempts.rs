//! What a run can see of a transaction that is still in flight: its attempts, and how each of them ended.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What all transactions at one service have been through so far. Counts only grow.
#[derive(Debug, Default)]
pub struct Counters {
    admitted: AtomicU64,
    throttled: AtomicU64,
    ambiguous: AtomicU64,
    resent: AtomicU64,
}

impl Counters {
    /// Transactions that the bulkhead let into flight.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// The bulkhead lets one more transaction into flight.
    pub fn admit(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts answered 429 or `com.microsoft:server-busy`.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// Attempts after which it is open whether the transaction is stored.
    #[must_use]
    pub fn ambiguous(&self) -> u64 {
        self.ambiguous.load(Ordering::Relaxed)
    }

    /// Requests sent again under the same id for another reason than throttling.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }
}

/// One transaction's attempts at one service.
///
/// With several event hubs the attempts at all of them are counted together.
#[derive(Debug)]
pub struct Attempts<'a> {
    counters: &'a Counters,
    lost: AtomicBool,
    latest_error: Mutex<Option<String>>,
}

impl<'a> Attempts<'a> {
    /// No attempt yet; each one is also counted in `counters`.
    #[must_use]
    pub fn new(counters: &'a Counters) -> Self {
        Self { counters, lost: AtomicBool::new(false), latest_error: Mutex::default() }
    }

    /// A request is about to leave.
    pub fn send(&self) -> Attempt<'_> {
        Attempt(Some(self))
    }

    /// A request was sent again for another reason than throttling.
    pub(super) fn resent(&self) {
        self.counters.resent.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt came to nothing, or cannot even be made yet, and there will be another: why, on one line without secrets.
    pub fn failed(&self, why: &impl fmt::Display) {
        *self.latest_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Why the latest attempt that failed did.
    #[must_use]
    pub fn latest_error(&self) -> Option<String> {
        self.latest_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the transaction may have been stored by an attempt that was lost.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// A request whose answer is outstanding.
///
/// It ends in one of three ways, each of which consumes it. Dropping it ends it as lost, which is the truth for a
/// transaction that is given up with its answer outstanding. It cannot end twice:
///
/// ```compile_fail,E0382
/// # use txgen::service::{Attempts, Counters};
/// let counters = Counters::default();
/// let attempts = Attempts::new(&counters);
/// let attempt = attempts.send();
/// attempt.throttled();
/// attempt.answered();
/// ```
#[must_use = "a request ends as answered, throttled or lost; dropped, it is lost"]
#[derive(Debug)]
pub struct Attempt<'a>(Option<&'a Attempts<'a>>);

impl Attempt<'_> {
    /// The service answered: the transaction is stored, or it is not.
    pub fn answered(mut self) {
        self.0 = None;
    }

    /// The service answered that it is throttling.
    pub fn throttled(mut self) {
        if let Some(attempts) = self.0.take() {
            attempts.counters.throttled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The answer will not come, or leaves open whether the transaction is stored.
    pub fn lost(self) {}

    /// The request is known not to have left.
    pub fn withdrawn(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(attempts) = self.0 {
            attempts.lost.store(true, Ordering::Relaxed);
            attempts.counters.ambiguous.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throttled, ambiguous, and whether the transaction may be stored.
    fn after(end: impl FnOnce(Attempt<'_>)) -> (u64, u64, bool) {
        let counters = Counters::default();
        let attempts = Attempts::new(&counters);
        end(attempts.send());
        (counters.throttled(), counters.ambiguous(), attempts.may_be_stored())
    }

    #[test]
    fn each_end_is_counted_as_what_it_is() {
        assert_eq!(after(|attempt| attempt.answered()), (0, 0, false));
        assert_eq!(after(|attempt| attempt.withdrawn()), (0, 0, false));
        assert_eq!(after(|attempt| attempt.throttled()), (1, 0, false));
        assert_eq!(after(|attempt| attempt.lost()), (0, 1, true));
    }

    #[test]
    fn an_attempt_that_is_given_up_with_its_answer_outstanding_is_lost() {
        assert_eq!(after(|attempt| drop(attempt)), (0, 1, true));
    }
}
