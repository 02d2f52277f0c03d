//! The two services behind one trait: what the bulkheads need to know of Event Hubs and Cosmos DB, and no more.
//!
//! A service sends one request per transaction and says how that ended. What happens on the way there (an attempt is
//! throttled, an answer is lost, a request is sent again) it tells the transaction's [`Attempts`], so that a run can
//! show it while the transaction is still in flight.

pub mod cosmos;
pub mod entra;
pub mod event_hubs;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use txgen_azure::ServiceName;

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
}

/// Why a transaction was not stored, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}: {message}", .status.as_ref().map(|s| format!(" ({s})")).unwrap_or_default())]
pub struct Failure {
    /// The class of the failure: what the summary counts by.
    pub kind: FailureKind,
    /// The service's own code, such as `413` or `amqp:link:message-size-exceeded`.
    pub status: Option<String>,
    /// One line for a human, without secrets.
    pub message: String,
    /// Whether the transaction may have been stored all the same.
    pub ambiguous: bool,
}

impl Failure {
    /// A failure of this kind, without a status and not ambiguous.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), ambiguous: false }
    }

    /// The same with the service's own code.
    #[must_use]
    pub fn with_status(mut self, status: impl ToString) -> Self {
        self.status = Some(status.to_string());
        self
    }

    /// The same, marked as one after which the transaction may have been stored.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }
}

/// The classes of failures, the same for both services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The credential was refused, or lacks the right to send.
    Unauthorized,
    /// The event hub, the database or the container is not there.
    NotFound,
    /// The transaction is larger than the service takes.
    TooLarge,
    /// The service could not accept the request as it is.
    BadRequest,
    /// A document with this id is there already, and txgen did not put it there in this run.
    Conflict,
    /// Still throttled at the end of the throttle wait.
    Throttled,
    /// No answer in time, after all attempts.
    Timeout,
    /// The connection was lost, or could not be opened, after all attempts.
    Connection,
    /// The service is there but answered that it cannot serve now, after all attempts.
    Unavailable,
    /// Given up because the run was stopped before the answer came.
    Abandoned,
    /// A defect of txgen or of a library below it.
    Internal,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unauthorized,
        Self::NotFound,
        Self::TooLarge,
        Self::BadRequest,
        Self::Conflict,
        Self::Throttled,
        Self::Timeout,
        Self::Connection,
        Self::Unavailable,
        Self::Abandoned,
        Self::Internal,
    ];

    /// The name in JSON and in text: `too_large`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::BadRequest => "bad_request",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// What a whole service has been through so far. Shared by all its transactions; counts only grow.
#[derive(Debug, Default)]
pub struct Turbulence {
    admitted: AtomicU64,
    throttled: AtomicU64,
    ambiguous: AtomicU64,
    resent: AtomicU64,
}

impl Turbulence {
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

    /// Attempts whose answer never came.
    #[must_use]
    pub fn ambiguous(&self) -> u64 {
        self.ambiguous.load(Ordering::Relaxed)
    }

    /// Requests sent again under the same id, after an ambiguous attempt or one that the service asked to repeat.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }
}

/// One transaction's attempts at one service, told by the service as they happen.
///
/// With several event hubs the attempts at all of them are counted together.
#[derive(Debug)]
pub struct Attempts<'a> {
    of_service: &'a Turbulence,
    outstanding: AtomicU64,
    lost: AtomicBool,
    setback: Mutex<Option<String>>,
}

impl<'a> Attempts<'a> {
    /// No attempt yet; what is told is also counted in `of_service`.
    #[must_use]
    pub fn new(of_service: &'a Turbulence) -> Self {
        Self { of_service, outstanding: AtomicU64::new(0), lost: AtomicBool::new(false), setback: Mutex::default() }
    }

    /// A request is about to leave: from now on its answer is outstanding.
    pub fn sent(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer to a request came, whatever it says; or the request is known not to have left.
    pub fn answered(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// The service answered that it is throttling. Call [`Self::answered`] as well.
    pub fn throttled(&self) {
        self.of_service.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer will not come: the connection is lost, or the time is out. Ends the request as
    /// [`Self::answered`] does.
    pub fn ambiguous(&self) {
        self.answered();
        self.lost.store(true, Ordering::Relaxed);
        self.of_service.ambiguous.fetch_add(1, Ordering::Relaxed);
    }

    /// The transaction is about to be sent again, for another reason than throttling.
    pub fn resent(&self) {
        self.of_service.resent.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt came to nothing, or cannot even be made yet, and there will be another: why, on one line without secrets.
    pub fn setback(&self, why: &impl fmt::Display) {
        *self.setback.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Why the latest attempt that failed did.
    #[must_use]
    pub fn latest_setback(&self) -> Option<String> {
        self.setback.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the transaction may have been stored if it is given up now: an answer is outstanding, or never came.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        self.is_outstanding() || self.has_lost_an_answer()
    }

    /// Whether an answer never came.
    #[must_use]
    pub fn has_lost_an_answer(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether an answer is outstanding now.
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) > 0
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
