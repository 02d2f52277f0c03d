//! From AMQP's events to attempts' errors: what the service said, where it said anything.

use txgen_amqp::Malformed;
use txgen_amqp::client::{Broken, Error, Outcome};

use super::super::verdicts;
use super::line::Cut;
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Verdict};

/// An error that the service sent.
pub(super) fn of_service(error: &Error) -> AttemptError {
    verdicts::of_condition(&error.condition, error.description.as_deref())
}

/// Something was lost with the connection, or a part of it.
pub(super) fn lost(message: impl std::fmt::Display) -> AttemptError {
    AttemptError::lost(FailureKind::Connection, message)
}

/// What the service said, or else that this was lost.
fn said_or(error: Option<&Error>, otherwise: &str) -> AttemptError {
    error.map_or_else(|| lost(otherwise), of_service)
}

/// A connection could not be opened.
pub(super) fn of_open(cut: Cut) -> AttemptError {
    match cut {
        Cut::Broken(Broken::Refused(code)) => AttemptError::impossible(
            FailureKind::Unauthorized,
            format!("the service refused SASL ANONYMOUS ({})", sasl_code(code)),
        ),
        Cut::Broken(Broken::NotAmqp) => {
            AttemptError::impossible(FailureKind::Connection, "what answers there does not speak AMQP 1.0")
        }
        Cut::Io(error) => lost(format!("the connection broke while it was opened: {error}")),
        Cut::Eof => lost("the connection broke while it was opened: the service closed it"),
        Cut::Broken(error) => lost(format!("the AMQP connection was not opened: {error}")),
        cut @ Cut::Silent(_) => of_cut(cut),
    }
}

/// Names of the codes (AMQP 1.0, part 5, section 5.3.3.6).
fn sasl_code(code: Option<u8>) -> &'static str {
    match code {
        Some(1) => "Auth",
        Some(2) => "Sys",
        Some(3) => "SysPerm",
        Some(4) => "SysTemp",
        Some(_) => "an unknown code",
        None => "it is not offered",
    }
}

/// A connection was lost.
pub(super) fn of_cut(cut: Cut) -> AttemptError {
    match cut {
        Cut::Io(error) => lost(format!("the connection was lost: {error}")),
        Cut::Eof => lost("the connection was lost"),
        Cut::Broken(error) => lost(format!("the connection was lost: {error}")),
        Cut::Silent(idle) => lost(format!("nothing was heard from the service for {idle:?}")),
    }
}

/// The service closed the connection.
pub(super) fn of_closed(error: Option<&Error>) -> AttemptError {
    said_or(error, "the service closed the connection")
}

/// The service ended the session.
pub(super) fn of_ended(error: Option<&Error>) -> AttemptError {
    said_or(error, "the service ended the AMQP session")
}

/// A sender link could not be attached.
pub(super) fn of_attach(error: Option<&Error>) -> AttemptError {
    said_or(error, "the sender link was not attached: the service detached it")
}

/// A receiver link could not be attached.
pub(super) fn of_receiver_attach(error: Option<&Error>) -> AttemptError {
    said_or(error, "the receiver link was not attached: the service detached it")
}

/// A link ended.
pub(super) fn of_detach(error: Option<&Error>) -> AttemptError {
    said_or(error, "the service detached the link")
}

/// An event is not what AMQP calls a message.
pub(super) fn undecodable(error: &Malformed) -> AttemptError {
    lost(format!("an event could not be received: {error}"))
}

/// An event is longer on the wire than the hub takes.
pub(super) fn too_large(size: u64, most: u64) -> AttemptError {
    let message = format!("the event has {size} bytes on the wire; the hub takes at most {most}");
    AttemptError {
        status: Some("amqp:link:message-size-exceeded".into()),
        ..AttemptError::impossible(FailureKind::TooLarge, message)
    }
}

/// The service settled a delivery.
pub(super) fn of_outcome(outcome: &Outcome) -> Result<(), AttemptError> {
    Err(match outcome {
        Outcome::Accepted => return Ok(()),
        Outcome::Rejected(Some(error)) => of_service(error),
        Outcome::Rejected(None) => {
            verdicts::of_condition("amqp:rejected", Some("the service rejected it without a reason"))
        }
        // Neither says that the event is stored, and both invite to send it again (AMQP 1.0, sections 3.4.4, 3.4.5).
        Outcome::Released => verdicts::of_condition("amqp:released", Some("the service released the event")),
        Outcome::Modified => verdicts::of_condition("amqp:modified", Some("the service did not take the event")),
        Outcome::Unsaid => lost("the service settled the event without saying what became of it"),
    })
}

/// The connection, the session or the link went away with the delivery outstanding.
///
/// Whatever the reason, it was not said of this delivery: it may have been stored, and it can be sent again. What the
/// reason means for the link shows when that is attached again.
pub(super) fn of_lost_delivery(end: &AttemptError) -> AttemptError {
    AttemptError { kind: FailureKind::Connection, verdict: Verdict::Ambiguous, left: true, ..end.clone() }
}

/// What a transaction hears that was not written: it can take another connection.
pub(super) fn elsewhere(end: &AttemptError) -> AttemptError {
    AttemptError::not_sent(FailureKind::Connection, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(condition: &str) -> Error {
        Error { condition: condition.to_owned(), description: Some("no".to_owned()) }
    }

    fn rejected(condition: &str) -> AttemptError {
        of_outcome(&Outcome::Rejected(Some(error(condition)))).unwrap_err()
    }

    #[test]
    fn accepted_alone_is_a_success() {
        assert!(of_outcome(&Outcome::Accepted).is_ok());
        for outcome in [Outcome::Released, Outcome::Modified] {
            let error = of_outcome(&outcome).unwrap_err();
            assert_eq!(error.verdict, Verdict::Retry);
        }
        assert_eq!(of_outcome(&Outcome::Unsaid).unwrap_err().verdict, Verdict::Ambiguous);
    }

    #[test]
    fn a_rejection_is_read_by_its_condition() {
        let busy = rejected("com.microsoft:server-busy");
        assert_eq!((busy.kind, busy.verdict), (FailureKind::Throttled, Verdict::Throttled));
        let refused = rejected("amqp:unauthorized-access");
        assert_eq!((refused.kind, refused.verdict), (FailureKind::Unauthorized, Verdict::RetryRefusal));
        assert_eq!(refused.status.as_deref(), Some("amqp:unauthorized-access"));
    }

    #[test]
    fn a_delivery_that_was_lost_with_its_link_is_ambiguous_and_sent_again_whatever_ended_the_link() {
        let end = of_detach(Some(&error("amqp:unauthorized-access")));
        let error = of_lost_delivery(&end);
        assert_eq!((error.kind, error.verdict), (FailureKind::Connection, Verdict::Ambiguous));
        assert!(error.left);
    }
}
