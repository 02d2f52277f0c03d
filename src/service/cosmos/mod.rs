//! Cosmos DB through Azure's own client: one create per transaction, throttling waited out, losses repeated.
//!
//! Azure's client would repeat requests by itself, for minutes and without a word; here it is told not to
//! (`client`), so that every attempt is counted as it happens.

mod answer;
mod client;
mod connect;
mod patience;
mod provision;
mod read_back;
mod refusal;

use std::time::{Duration, Instant};

use azure_data_cosmos::ContainerClient;
use azure_data_cosmos::models::ItemResponse;
use serde_json::value::RawValue;

use crate::service::{Attempts, Failure, FailureKind, Receipt, Service, ServiceName};
use crate::transaction::Transaction;

pub use connect::Found;
pub use provision::{DefaultTtl, Provision, Scope, Throughput, Transport};
pub use read_back::{Document, Reader};

use answer::{Setback, Symptoms};
use patience::Patience;

/// One attempt's time-out. The service answers in milliseconds or not at all; Azure's own limit is 5 to 10 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The container that transactions are written to.
pub struct CosmosDb {
    container: ContainerClient,
    throttle_wait: Duration,
    provision: Provision,
}

impl CosmosDb {
    /// What was found, or made, when txgen connected.
    #[must_use]
    pub fn provision(&self) -> &Provision {
        &self.provision
    }

    /// Azure's client for the container, with txgen's settings: for whoever compares txgen with a bare loop.
    #[must_use]
    pub fn container(&self) -> &ContainerClient {
        &self.container
    }

    /// One request, in Azure's client's terms.
    async fn create(&self, transaction: &Transaction, document: &RawValue) -> Attempt {
        let mut id = uuid::Uuid::encode_buffer();
        let id: &str = transaction.id.hyphenated().encode_lower(&mut id);
        let partition_key = String::from(&*transaction.partition_key);
        let created = self.container.create_item(partition_key, id, document, None);
        match tokio::time::timeout(ATTEMPT_TIMEOUT, created).await {
            Ok(Ok(response)) => Attempt::stored(&response),
            Ok(Err(error)) => Attempt::failed(&error),
            Err(_) => Attempt::timed_out(),
        }
    }
}

/// One request, and those that Azure's client sent on its own account within it.
struct Attempt {
    /// RU of all of them.
    request_units: f64,
    /// How many before the last one were lost with their answers outstanding.
    lost_on_the_way: usize,
    outcome: Result<(), Setback>,
}

impl Attempt {
    fn stored(response: &ItemResponse) -> Self {
        let diagnostics = response.diagnostics();
        Self {
            request_units: diagnostics.total_request_charge().value(),
            lost_on_the_way: answer::lost_on_the_way(&diagnostics),
            outcome: Ok(()),
        }
    }

    fn failed(error: &azure_data_cosmos::CosmosError) -> Self {
        let diagnostics = error.diagnostics();
        Self {
            request_units: diagnostics.as_ref().map_or(0.0, |all| all.total_request_charge().value()),
            lost_on_the_way: diagnostics.as_ref().map_or(0, |all| answer::lost_on_the_way(all)),
            outcome: Err(Symptoms::of(error).setback()),
        }
    }

    fn timed_out() -> Self {
        let message = format!("no answer within {}", humantime::format_duration(ATTEMPT_TIMEOUT));
        Self {
            request_units: 0.0,
            lost_on_the_way: 0,
            outcome: Err(Setback::Lost(Failure::new(FailureKind::Timeout, message))),
        }
    }
}

/// What to do after an attempt.
#[derive(Debug, PartialEq)]
enum Next {
    Settle(Result<(), Failure>),
    /// Wait, then send again because of throttling.
    WaitOut(Duration),
    /// Wait, then send again for another reason.
    Repeat(Duration),
}

/// One transaction's way through its attempts: no clock and no network, so that the rules can be tested.
#[derive(Debug)]
struct Course {
    patience: Patience,
    /// Whether an earlier attempt may have stored the document, so that a 409 is its doing.
    may_be_stored: bool,
}

impl Course {
    /// `may_be_stored` says that an earlier run may have stored the document already.
    fn new(throttle_wait: Duration, may_be_stored: bool) -> Self {
        Self { patience: Patience::new(throttle_wait), may_be_stored }
    }

    /// Takes an attempt's outcome, tells `attempts` of it, and says what comes next. `jitter` is from 0 to 1.
    fn take(
        &mut self,
        outcome: Result<(), Setback>,
        lost_on_the_way: usize,
        attempts: &Attempts<'_>,
        now: Instant,
        jitter: f64,
    ) -> Next {
        for _ in 0..lost_on_the_way {
            attempts.ambiguous();
            attempts.resent();
            attempts.sent();
            self.may_be_stored = true;
        }
        match outcome {
            Err(Setback::Lost(_)) => attempts.ambiguous(),
            _ => attempts.answered(),
        }
        match outcome {
            Ok(()) => Next::Settle(Ok(())),
            Err(Setback::Conflict(_)) if self.may_be_stored => Next::Settle(Ok(())),
            Err(Setback::Conflict(failure) | Setback::Refused(failure)) => Next::Settle(Err(self.marked(failure))),
            Err(Setback::Throttled { retry_after, failure }) => {
                attempts.throttled();
                attempts.setback(&failure);
                match self.patience.after_throttling(now, retry_after) {
                    Some(wait) => Next::WaitOut(wait),
                    None => Next::Settle(Err(self.marked(failure))),
                }
            }
            Err(Setback::Lost(failure)) => {
                attempts.setback(&failure);
                self.repeat_or_give_up(true, failure, jitter)
            }
            Err(Setback::Transient { may_be_stored, failure }) => {
                attempts.setback(&failure);
                self.repeat_or_give_up(may_be_stored, failure, jitter)
            }
        }
    }

    fn repeat_or_give_up(&mut self, may_be_stored: bool, failure: Failure, jitter: f64) -> Next {
        self.may_be_stored |= may_be_stored;
        match self.patience.after_loss(jitter) {
            Some(wait) => Next::Repeat(wait),
            None => Next::Settle(Err(self.marked(failure))),
        }
    }

    fn marked(&self, failure: Failure) -> Failure {
        if self.may_be_stored { failure.ambiguous() } else { failure }
    }
}

impl Service for CosmosDb {
    fn name(&self) -> ServiceName {
        ServiceName::CosmosDb
    }

    async fn send(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<Receipt, Failure> {
        // Borrowed and checked once: Azure's client copies it into the request as it is, for every attempt.
        let document: &RawValue = serde_json::from_slice(&transaction.body)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("the transaction is no JSON: {error}")))?;
        let mut course = Course::new(self.throttle_wait, transaction.may_be_stored);
        let mut request_units = 0.0;
        loop {
            attempts.sent();
            let attempt = self.create(transaction, document).await;
            request_units += attempt.request_units;
            let (now, jitter) = (Instant::now(), rand::random());
            match course.take(attempt.outcome, attempt.lost_on_the_way, attempts, now, jitter) {
                Next::Settle(settled) => return settled.map(|()| Receipt { request_units }),
                Next::WaitOut(wait) => tokio::time::sleep(wait).await,
                Next::Repeat(wait) => {
                    tokio::time::sleep(wait).await;
                    attempts.resent();
                }
            }
        }
    }

    async fn close(&self) {
        // HTTP connections need no goodbye: those that are idle close with the client.
    }
}

#[cfg(test)]
mod tests {
    use crate::service::Turbulence;

    use super::*;

    const WAIT: Duration = Duration::from_secs(120);

    /// A course of a transaction, told attempt by attempt, with what the service counted.
    struct Told {
        course: Course,
        turbulence: Turbulence,
        start: Instant,
    }

    impl Told {
        fn new() -> Self {
            Self { course: Course::new(WAIT, false), turbulence: Turbulence::default(), start: Instant::now() }
        }

        fn attempt(&mut self, outcome: Result<(), Setback>) -> Next {
            self.attempt_with(outcome, 0, Duration::ZERO)
        }

        fn attempt_with(&mut self, outcome: Result<(), Setback>, lost: usize, after: Duration) -> Next {
            let attempts = Attempts::new(&self.turbulence);
            attempts.sent();
            let next = self.course.take(outcome, lost, &attempts, self.start + after, 0.0);
            assert!(!attempts.is_outstanding(), "every request that was sent has ended");
            next
        }

        /// Throttled, ambiguous, resent.
        fn counts(&self) -> (u64, u64, u64) {
            (self.turbulence.throttled(), self.turbulence.ambiguous(), self.turbulence.resent())
        }
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "because")
    }

    fn conflict() -> Result<(), Setback> {
        Err(Setback::Conflict(failure(FailureKind::Conflict)))
    }

    fn lost() -> Result<(), Setback> {
        Err(Setback::Lost(failure(FailureKind::Connection)))
    }

    fn throttled(retry_after_ms: u64) -> Result<(), Setback> {
        let retry_after = Some(Duration::from_millis(retry_after_ms));
        Err(Setback::Throttled { retry_after, failure: failure(FailureKind::Throttled) })
    }

    fn transient(may_be_stored: bool) -> Result<(), Setback> {
        Err(Setback::Transient { may_be_stored, failure: failure(FailureKind::Unavailable) })
    }

    #[test]
    fn a_409_after_an_ambiguous_attempt_is_a_success() {
        let mut told = Told::new();
        assert_eq!(told.attempt(lost()), Next::Repeat(Duration::from_millis(100)));
        assert_eq!(told.attempt(conflict()), Next::Settle(Ok(())));
        assert_eq!(told.counts(), (0, 1, 0));
    }

    #[test]
    fn a_409_at_first_is_a_conflict_and_so_is_one_after_throttling_or_a_request_that_never_left() {
        let conflicting = Next::Settle(Err(failure(FailureKind::Conflict)));
        assert_eq!(Told::new().attempt(conflict()), conflicting);
        let mut told = Told::new();
        assert_eq!(told.attempt(throttled(5)), Next::WaitOut(Duration::from_millis(5)));
        assert!(matches!(told.attempt(transient(false)), Next::Repeat(_)));
        assert_eq!(told.attempt(conflict()), conflicting);
    }

    #[test]
    fn a_409_after_an_answer_that_leaves_open_whether_it_was_stored_is_a_success() {
        let mut told = Told::new();
        assert!(matches!(told.attempt(transient(true)), Next::Repeat(_)));
        assert_eq!(told.attempt(conflict()), Next::Settle(Ok(())));
        assert_eq!(told.counts(), (0, 0, 0));
    }

    #[test]
    fn a_409_after_a_loss_inside_azures_client_is_a_success_and_the_loss_is_counted() {
        let mut told = Told::new();
        assert_eq!(told.attempt_with(conflict(), 1, Duration::ZERO), Next::Settle(Ok(())));
        assert_eq!(told.counts(), (0, 1, 1));
    }

    #[test]
    fn throttling_is_waited_out_and_ends_as_a_failure_at_the_throttle_wait() {
        let mut told = Told::new();
        assert_eq!(told.attempt_with(throttled(37), 0, Duration::ZERO), Next::WaitOut(Duration::from_millis(37)));
        assert_eq!(told.attempt_with(throttled(37), 0, WAIT), Next::Settle(Err(failure(FailureKind::Throttled))));
        assert_eq!(told.counts(), (2, 0, 0));
    }

    #[test]
    fn a_transaction_that_is_given_up_after_a_loss_is_marked_ambiguous() {
        let mut told = Told::new();
        for _ in 0..8 {
            assert!(matches!(told.attempt(lost()), Next::Repeat(_)));
        }
        assert_eq!(told.attempt(lost()), Next::Settle(Err(failure(FailureKind::Connection).ambiguous())));
        assert_eq!(told.counts().1, 9);
    }

    #[test]
    fn a_refusal_is_final_and_not_ambiguous() {
        let refused = Err(Setback::Refused(failure(FailureKind::NotFound)));
        assert_eq!(Told::new().attempt(refused), Next::Settle(Err(failure(FailureKind::NotFound))));
    }
}
