//! What Event Hubs' answers mean: one table for AMQP's error conditions and outcomes, one for the status codes of `$cbs`
//! and `$management`. Answers at connecting and in mid-run are read by the same tables.

use crate::service::FailureKind;
use crate::service::FailureKind::{
    BadRequest, Connection, KeysDisabled, NetworkBlocked, NotFound, QuotaExceeded, Throttled as Busy, Timeout,
    TooLarge, Unauthorized, Unavailable,
};
use crate::service::retry::Verdict::{Ambiguous, GiveUp, Retry, RetryRefusal, Throttled};
use crate::service::retry::{AttemptError, Verdict};

/// AMQP 1.0, part 2, section 2.8: errors of the transport.
const TRANSPORT: &str = "https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#section-errors";
/// AMQP 1.0, part 3, section 3.4: outcomes of a delivery.
const OUTCOMES: &str =
    "https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html#section-delivery-state";
/// AMQP 1.0, part 4, section 4.5.8: errors of transactions.
const TRANSACTIONS: &str =
    "https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transactions-v1.0-os.html#type-transaction-error";
/// Event Hubs' own conditions, and the AMQP ones that it uses.
const EVENT_HUBS: &str = "https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-troubleshoot";
/// The conditions by the exceptions that they become in Azure's clients.
const EXCEPTIONS: &str = "https://learn.microsoft.com/azure/event-hubs/exceptions-dotnet";
const KEYS: &str = "https://learn.microsoft.com/azure/event-hubs/authenticate-shared-access-signature";
const NETWORK: &str = "https://learn.microsoft.com/azure/event-hubs/troubleshooting-guide";
/// What of AMQP the service uses, `$cbs` included.
const PROTOCOL: &str = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide";

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    code: &'static str,
    verdict: Verdict,
    kind: FailureKind,
    source: &'static str,
}

const fn row(code: &'static str, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { code, verdict, kind, source }
}

/// Conditions and outcomes.
const CONDITIONS: &[Row] = &[
    row("com.microsoft:server-busy", Throttled, Busy, EXCEPTIONS),
    // The service gave up waiting for its own storage: "the server may have completed the requested operation".
    row("com.microsoft:timeout", Ambiguous, Timeout, EXCEPTIONS),
    // The service failed at an unknown point.
    row("amqp:internal-error", Ambiguous, Unavailable, TRANSPORT),
    row("com.microsoft:operation-cancelled", Ambiguous, Unavailable, EXCEPTIONS),
    row("amqp:unauthorized-access", RetryRefusal, Unauthorized, EVENT_HUBS),
    row("com.microsoft:auth-failed", RetryRefusal, Unauthorized, EVENT_HUBS),
    row("com.microsoft:publisher-revoked", GiveUp, Unauthorized, EVENT_HUBS),
    row("amqp:not-found", GiveUp, NotFound, EVENT_HUBS),
    row("amqp:resource-deleted", GiveUp, NotFound, TRANSPORT),
    row("com.microsoft:entity-disabled", GiveUp, Unavailable, EXCEPTIONS),
    // A quota that is used up does not come back within a transaction's budget.
    row("amqp:resource-limit-exceeded", GiveUp, QuotaExceeded, EXCEPTIONS),
    row("amqp:link:message-size-exceeded", GiveUp, TooLarge, TRANSPORT),
    row("amqp:decode-error", GiveUp, BadRequest, TRANSPORT),
    row("amqp:invalid-field", GiveUp, BadRequest, TRANSPORT),
    row("amqp:not-allowed", GiveUp, BadRequest, TRANSPORT),
    row("amqp:not-implemented", GiveUp, BadRequest, TRANSPORT),
    row("amqp:precondition-failed", GiveUp, BadRequest, TRANSPORT),
    row("com.microsoft:argument-error", GiveUp, BadRequest, EXCEPTIONS),
    row("com.microsoft:argument-out-of-range", GiveUp, BadRequest, EXCEPTIONS),
    row("com.microsoft:out-of-order-sequence", GiveUp, BadRequest, EXCEPTIONS),
    row("com.microsoft:producer-epoch-stolen", GiveUp, BadRequest, EXCEPTIONS),
    row("com.microsoft:georeplication:invalid-offset", GiveUp, BadRequest, EXCEPTIONS),
    row("amqp:transaction:unknown-id", GiveUp, BadRequest, TRANSACTIONS),
    row("amqp:transaction:rollback", GiveUp, BadRequest, TRANSACTIONS),
    row("amqp:transaction:timeout", GiveUp, BadRequest, TRANSACTIONS),
    row("amqp:resource-locked", Retry, Unavailable, TRANSPORT),
    row("amqp:illegal-state", Retry, Connection, TRANSPORT),
    row("amqp:frame-size-too-small", Retry, Connection, TRANSPORT),
    row("amqp:connection:forced", Retry, Connection, EVENT_HUBS),
    row("amqp:connection:framing-error", Retry, Connection, TRANSPORT),
    row("amqp:connection:redirect", Retry, Connection, TRANSPORT),
    row("amqp:session:window-violation", Retry, Connection, TRANSPORT),
    row("amqp:session:errant-link", Retry, Connection, TRANSPORT),
    row("amqp:session:handle-in-use", Retry, Connection, TRANSPORT),
    row("amqp:session:unattached-handle", Retry, Connection, TRANSPORT),
    row("amqp:link:detach-forced", Retry, Connection, EVENT_HUBS),
    row("amqp:link:transfer-limit-exceeded", Retry, Connection, TRANSPORT),
    row("amqp:link:redirect", Retry, Connection, TRANSPORT),
    row("amqp:link:stolen", Retry, Connection, TRANSPORT),
    // Neither says that the event is stored, and both invite to send it again.
    row("amqp:released", Retry, Unavailable, OUTCOMES),
    row("amqp:modified", Retry, Unavailable, OUTCOMES),
    row("amqp:rejected", GiveUp, BadRequest, OUTCOMES),
];

/// A condition that is not known is taken for one that passes: the budget bounds that, and giving up on a transaction
/// that would have gone through is the worse mistake. The service answered, so nothing was stored.
const UNKNOWN_CONDITION: (Verdict, FailureKind) = (Retry, Unavailable);

/// The status codes of replies, which are HTTP's. A reply is to a request for a link or for properties, never to an event.
const STATUSES: &[Row] = &[
    row("400", GiveUp, BadRequest, PROTOCOL),
    row("401", RetryRefusal, Unauthorized, PROTOCOL),
    row("403", GiveUp, Unauthorized, PROTOCOL),
    row("404", GiveUp, NotFound, PROTOCOL),
    row("408", Retry, Timeout, PROTOCOL),
    row("410", GiveUp, NotFound, PROTOCOL),
    row("429", Throttled, Busy, PROTOCOL),
    row("500", Retry, Unavailable, PROTOCOL),
    row("501", GiveUp, BadRequest, PROTOCOL),
    row("503", Retry, Unavailable, PROTOCOL),
    row("504", Retry, Timeout, PROTOCOL),
];

/// What is told apart by its text alone: refusals that share the code of a wrong key. In lower case; the first one that a
/// description holds counts.
const REFUSALS: &[Row] = &[
    row("localauthdisabled", GiveUp, KeysDisabled, KEYS),
    row("sas authentication has been disabled", GiveUp, KeysDisabled, KEYS),
    row("ip has been prevented", GiveUp, NetworkBlocked, NETWORK),
    row("ip address is not allowed", GiveUp, NetworkBlocked, NETWORK),
    row("public network access", GiveUp, NetworkBlocked, NETWORK),
    row("private endpoint", GiveUp, NetworkBlocked, NETWORK),
    // The links to the documentation of network rules and of IP filters that the service puts into its messages.
    row("linkid=2044052", GiveUp, NetworkBlocked, NETWORK),
    row("linkid=2044183", GiveUp, NetworkBlocked, NETWORK),
];

fn look_up(table: &[Row], code: &str) -> Option<(Verdict, FailureKind)> {
    table.iter().find(|row| row.code == code).map(|row| (row.verdict, row.kind))
}

/// What a refusal is by its description, where that says more than its code.
fn look_closer((verdict, kind): (Verdict, FailureKind), description: &str) -> (Verdict, FailureKind) {
    let may_be_told_apart = matches!(kind, Unauthorized | BadRequest);
    let description = description.to_ascii_lowercase();
    let found = REFUSALS.iter().find(|row| may_be_told_apart && description.contains(row.code));
    found.map_or((verdict, kind), |row| (row.verdict, row.kind))
}

/// What an AMQP error condition, such as `amqp:not-found`, or an outcome means.
pub(super) fn of_condition(condition: &str, description: Option<&str>) -> AttemptError {
    let description = description.unwrap_or("the service gave no reason");
    let (verdict, kind) = look_closer(look_up(CONDITIONS, condition).unwrap_or(UNKNOWN_CONDITION), description);
    AttemptError::answered(kind, verdict, condition.to_owned(), description)
}

/// What a status code of `$cbs` or `$management` means.
pub(super) fn of_status(code: u16, description: Option<&str>) -> AttemptError {
    let status = code.to_string();
    let other = if (400..500).contains(&code) { (GiveUp, BadRequest) } else { (Retry, Unavailable) };
    let description = description.unwrap_or("no description");
    let (verdict, kind) = look_closer(look_up(STATUSES, &status).unwrap_or(other), description);
    AttemptError::answered(kind, verdict, status, description)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_row_has_its_own_code_and_a_source() {
        for table in [CONDITIONS, STATUSES, REFUSALS] {
            let codes: BTreeSet<_> = table.iter().map(|row| row.code).collect();
            assert_eq!(codes.len(), table.len());
            assert!(table.iter().all(|row| row.source.starts_with("https://")));
        }
    }

    #[test]
    fn every_row_is_what_its_answer_becomes() {
        for row in CONDITIONS {
            let error = of_condition(row.code, Some("because"));
            assert_eq!((error.verdict, error.kind, error.status.as_deref()), (row.verdict, row.kind, Some(row.code)));
        }
        for row in STATUSES {
            let error = of_status(row.code.parse().unwrap(), Some("because"));
            assert_eq!((error.verdict, error.kind, error.status.as_deref()), (row.verdict, row.kind, Some(row.code)));
        }
    }

    #[test]
    fn a_refusal_that_is_not_about_the_key_is_told_apart_by_its_text() {
        let disabled = "LocalAuthDisabled: Authorization failed because SAS authentication has been disabled.";
        let blocked = "Ip has been prevented to connect to the endpoint.";
        for (description, kind) in [(disabled, KeysDisabled), (blocked, NetworkBlocked), ("no such key", Unauthorized)]
        {
            assert_eq!(of_status(401, Some(description)).kind, kind);
            assert_eq!(of_condition("amqp:unauthorized-access", Some(description)).kind, kind);
        }
        assert_eq!(of_condition("amqp:not-found", Some("no private endpoint")).kind, NotFound);
    }

    #[test]
    fn only_answers_of_a_service_that_failed_itself_are_ambiguous() {
        let ambiguous = |table: &[Row]| -> Vec<_> {
            table.iter().filter(|row| row.verdict == Ambiguous).map(|row| row.code).collect()
        };
        let expected = ["com.microsoft:timeout", "amqp:internal-error", "com.microsoft:operation-cancelled"];
        assert_eq!(ambiguous(CONDITIONS), expected);
        assert_eq!(ambiguous(STATUSES), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn no_answer_is_ambiguous_unless_the_table_says_so(
            condition in "(amqp|com\\.microsoft|com\\.example):[a-z:-]{0,30}",
            code in any::<u16>(),
            description in proptest::option::of(".*"),
        ) {
            prop_assume!(look_up(CONDITIONS, &condition).is_none());
            prop_assert_ne!(of_condition(&condition, description.as_deref()).verdict, Ambiguous);
            prop_assert_ne!(of_status(code, description.as_deref()).verdict, Ambiguous);
        }
    }
}
