//! Why a transaction was not stored: the kind that is counted, the service's own code, and a line for a human.

use std::fmt;

use serde::{Deserialize, Serialize};

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

    /// The failure, and whether its transaction may have been stored all the same.
    #[must_use]
    pub fn explained(&self) -> String {
        let text = self.to_string();
        // Services speak in sentences, which end here.
        if self.ambiguous { format!("{}; it may have been stored", text.trim_end_matches('.')) } else { text }
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
    /// Keys are switched off at the service.
    KeysDisabled,
    /// This machine's clock is off.
    ClockSkew,
    /// A firewall of the service, or its private network, keeps this machine out.
    NetworkBlocked,
    /// The event hub, the database or the container is not there.
    NotFound,
    /// The transaction is larger than the service takes.
    TooLarge,
    /// The partition key holds as much as one may.
    PartitionFull,
    /// A quota of the account or the namespace is used up.
    QuotaExceeded,
    /// The service could not accept the request as it is.
    BadRequest,
    /// A document with this id is there already, and txgen did not put it there in this run.
    Conflict,
    /// Still throttled at the end of the transaction's budget.
    Throttled,
    /// No answer in time, after all attempts.
    Timeout,
    /// The connection was lost, or could not be opened, after all attempts.
    Connection,
    /// The proxy that leads to the service could not be reached, or let nothing through, after all attempts.
    Proxy,
    /// The service is there but answered that it cannot serve now, after all attempts.
    Unavailable,
    /// The region that was written to takes no writes.
    ReadOnlyRegion,
    /// Given up because the run was stopped before the answer came.
    Abandoned,
    /// A defect of txgen or of a library below it.
    Internal,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Unauthorized,
        Self::KeysDisabled,
        Self::ClockSkew,
        Self::NetworkBlocked,
        Self::NotFound,
        Self::TooLarge,
        Self::PartitionFull,
        Self::QuotaExceeded,
        Self::BadRequest,
        Self::Conflict,
        Self::Throttled,
        Self::Timeout,
        Self::Connection,
        Self::Proxy,
        Self::Unavailable,
        Self::ReadOnlyRegion,
        Self::Abandoned,
        Self::Internal,
    ];

    /// The name in JSON and in text: `too_large`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::KeysDisabled => "keys_disabled",
            Self::ClockSkew => "clock_skew",
            Self::NetworkBlocked => "network_blocked",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::PartitionFull => "partition_full",
            Self::QuotaExceeded => "quota_exceeded",
            Self::BadRequest => "bad_request",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Proxy => "proxy",
            Self::Unavailable => "unavailable",
            Self::ReadOnlyRegion => "read_only_region",
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
