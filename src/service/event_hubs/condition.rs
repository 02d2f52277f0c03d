//! What the service's error conditions mean: which failure they are counted as, and whether sending again can help.
//!
//! A pure table, shared by both clients. The conditions are those of AMQP 1.0 (part 2, section 2.8) and those of
//! Event Hubs (<https://learn.microsoft.com/azure/event-hubs/exceptions-dotnet> and
//! <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot>).

use crate::service::FailureKind;

/// Whether sending again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It cannot: the same request gets the same answer.
    Never,
    /// It can, once the service has caught its breath.
    WhenLessBusy,
    /// It can, at once or nearly so.
    Resend,
}

/// What a condition, or a status code, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// What the failure is counted as.
    pub(super) kind: FailureKind,
    /// Whether sending again can help.
    pub(super) retry: Retry,
    /// Whether the event may have been stored in spite of this answer.
    pub(super) ambiguous: bool,
}

const fn class(kind: FailureKind, retry: Retry) -> Class {
    Class { kind, retry, ambiguous: false }
}

/// The class of an AMQP error condition, such as `amqp:not-found`.
///
/// A condition that is not known is taken for a passing trouble of the service: resending is bounded anyway, and giving
/// up on a transaction that would have gone through is the worse mistake.
pub(super) fn of_condition(condition: &str) -> Class {
    use FailureKind::{BadRequest, Connection, NotFound, Throttled, Timeout, TooLarge, Unauthorized, Unavailable};
    match condition {
        "com.microsoft:server-busy" => class(Throttled, Retry::WhenLessBusy),
        // The service gave up waiting for its own storage: the write may still have happened.
        "com.microsoft:timeout" => Class { ambiguous: true, ..class(Timeout, Retry::Resend) },
        "amqp:internal-error" | "com.microsoft:operation-cancelled" => {
            Class { ambiguous: true, ..class(Unavailable, Retry::Resend) }
        }
        "amqp:unauthorized-access" | "com.microsoft:auth-failed" | "com.microsoft:publisher-revoked" => {
            class(Unauthorized, Retry::Never)
        }
        "amqp:not-found" | "amqp:resource-deleted" => class(NotFound, Retry::Never),
        "amqp:link:message-size-exceeded" => class(TooLarge, Retry::Never),
        "amqp:decode-error"
        | "amqp:invalid-field"
        | "amqp:not-allowed"
        | "amqp:not-implemented"
        | "amqp:precondition-failed"
        | "com.microsoft:argument-error"
        | "com.microsoft:argument-out-of-range" => class(BadRequest, Retry::Never),
        // A quota is used up, or somebody switched the hub off: neither passes within a transaction's patience.
        "amqp:resource-limit-exceeded" | "com.microsoft:entity-disabled" => class(Unavailable, Retry::Never),
        "amqp:connection:forced"
        | "amqp:connection:framing-error"
        | "amqp:connection:redirect"
        | "amqp:link:detach-forced"
        | "amqp:link:redirect"
        | "amqp:link:stolen"
        | "amqp:link:transfer-limit-exceeded"
        | "amqp:session:errant-link"
        | "amqp:session:handle-in-use"
        | "amqp:session:unattached-handle"
        | "amqp:session:window-violation" => class(Connection, Retry::Resend),
        _ => class(Unavailable, Retry::Resend),
    }
}

/// The class of a status code in a reply of `$cbs` or `$management`; they are HTTP's.
pub(super) fn of_status(code: u16) -> Class {
    use FailureKind::{BadRequest, NotFound, Throttled, Timeout, Unauthorized, Unavailable};
    match code {
        401 | 403 => class(Unauthorized, Retry::Never),
        404 | 410 => class(NotFound, Retry::Never),
        408 | 504 => class(Timeout, Retry::Resend),
        429 => class(Throttled, Retry::WhenLessBusy),
        400..=499 => class(BadRequest, Retry::Never),
        _ => class(Unavailable, Retry::Resend),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_its_kind_and_its_retry() {
        use FailureKind::{BadRequest, Connection, NotFound, Throttled, Timeout, TooLarge, Unauthorized, Unavailable};
        let table = [
            ("com.microsoft:server-busy", Throttled, Retry::WhenLessBusy),
            ("com.microsoft:timeout", Timeout, Retry::Resend),
            ("amqp:internal-error", Unavailable, Retry::Resend),
            ("amqp:unauthorized-access", Unauthorized, Retry::Never),
            ("com.microsoft:auth-failed", Unauthorized, Retry::Never),
            ("amqp:not-found", NotFound, Retry::Never),
            ("amqp:link:message-size-exceeded", TooLarge, Retry::Never),
            ("com.microsoft:argument-error", BadRequest, Retry::Never),
            ("amqp:not-allowed", BadRequest, Retry::Never),
            ("amqp:resource-limit-exceeded", Unavailable, Retry::Never),
            ("com.microsoft:entity-disabled", Unavailable, Retry::Never),
            ("amqp:link:detach-forced", Connection, Retry::Resend),
            ("amqp:connection:forced", Connection, Retry::Resend),
            ("com.example:never-heard-of", Unavailable, Retry::Resend),
        ];
        for (condition, kind, retry) in table {
            let class = of_condition(condition);
            assert_eq!((class.kind, class.retry), (kind, retry), "{condition}");
        }
    }

    #[test]
    fn only_answers_that_leave_the_outcome_open_are_ambiguous() {
        assert!(of_condition("com.microsoft:timeout").ambiguous);
        assert!(of_condition("amqp:internal-error").ambiguous);
        assert!(!of_condition("com.microsoft:server-busy").ambiguous);
        assert!(!of_condition("amqp:link:message-size-exceeded").ambiguous);
    }

    #[test]
    fn statuses_of_replies_are_read_as_http() {
        let kinds = [401, 403, 404, 429, 400, 500, 503, 504].map(|code| of_status(code).kind);
        use FailureKind::{BadRequest, NotFound, Throttled, Timeout, Unauthorized, Unavailable};
        assert_eq!(
            kinds,
            [Unauthorized, Unauthorized, NotFound, Throttled, BadRequest, Unavailable, Unavailable, Timeout]
        );
    }
}
