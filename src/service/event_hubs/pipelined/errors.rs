//! From the AMQP library's errors to attempts' errors: what the service said, where it said anything.

use fe2o3_amqp::connection::{self, ConnectionStopReason, OpenError};
use fe2o3_amqp::link::{
    DetachError, LinkStateError, ReceiverAttachError, RecvError, SendError, SenderAttachError, SessionStopReason,
};
use fe2o3_amqp::session::{self, BeginError};
use fe2o3_amqp_management::error::{AttachError, Error as RequestError};
use fe2o3_amqp_types::definitions::{self, ErrorCondition};
use fe2o3_amqp_types::messaging::Outcome;
use fe2o3_amqp_types::primitives::Symbol;

use super::super::verdicts;
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Verdict};

/// An error that the service sent.
pub(super) fn of_service(error: &definitions::Error) -> AttemptError {
    let condition = match &error.condition {
        ErrorCondition::AmqpError(condition) => Symbol::from(condition),
        ErrorCondition::ConnectionError(condition) => Symbol::from(condition),
        ErrorCondition::SessionError(condition) => Symbol::from(condition),
        ErrorCondition::LinkError(condition) => Symbol::from(condition),
        ErrorCondition::Custom(condition) => condition.clone(),
    };
    verdicts::of_condition(condition.as_str(), error.description.as_deref())
}

fn lost(message: impl std::fmt::Display) -> AttemptError {
    AttemptError::lost(FailureKind::Connection, message)
}

/// A connection could not be opened.
pub(super) fn of_open(error: &OpenError) -> AttemptError {
    match error {
        OpenError::RemoteClosedWithError(error) => of_service(error),
        OpenError::SaslError { code, .. } => AttemptError::impossible(
            FailureKind::Unauthorized,
            format!("the service refused SASL ANONYMOUS ({code:?})"),
        ),
        OpenError::ProtocolHeaderMismatch(_) => {
            AttemptError::impossible(FailureKind::Connection, "what answers there does not speak AMQP 1.0")
        }
        OpenError::Io(error) => lost(format!("the connection broke while it was opened: {error}")),
        error => lost(format!("the AMQP connection was not opened: {error}")),
    }
}

/// A connection ended.
pub(super) fn of_close(result: Result<(), connection::Error>) -> AttemptError {
    match result {
        Err(connection::Error::RemoteClosedWithError(error)) => of_service(&error),
        Err(connection::Error::TransportError(error)) => lost(format!("the connection was lost: {error}")),
        Err(connection::Error::IllegalState) => lost("the connection was lost"),
        Err(error) => lost(format!("the connection was lost: {error}")),
        Ok(()) => lost("the service closed the connection"),
    }
}

/// A session could not be begun.
pub(super) fn of_begin(error: &BeginError) -> AttemptError {
    match error {
        BeginError::RemoteEndedWithError(error) => of_service(error),
        BeginError::ConnectionStopped(reason) => of_connection_stop(reason),
        error => lost(format!("the AMQP session was not begun: {error}")),
    }
}

/// A session ended.
pub(super) fn of_end(result: Result<(), session::Error>) -> AttemptError {
    match result {
        Err(session::Error::RemoteEndedWithError(error)) => of_service(&error),
        Err(session::Error::ConnectionStopped(reason)) => of_connection_stop(&reason),
        Err(error) => lost(format!("the AMQP session ended: {error}")),
        Ok(()) => lost("the service ended the AMQP session"),
    }
}

fn of_connection_stop(reason: &ConnectionStopReason) -> AttemptError {
    match reason {
        ConnectionStopReason::RemoteClosedWithError(error) => of_service(error),
        _ => lost("the connection was lost"),
    }
}

fn of_session_stop(reason: &SessionStopReason) -> AttemptError {
    match reason {
        SessionStopReason::RemoteEndedWithError(error) => of_service(error),
        SessionStopReason::ConnectionStopped(reason) => of_connection_stop(reason),
        _ => lost("the AMQP session ended"),
    }
}

/// A sender link could not be attached.
pub(super) fn of_attach(error: &SenderAttachError) -> AttemptError {
    match error {
        SenderAttachError::RemoteClosedWithError(error) => of_service(error),
        SenderAttachError::SessionStopped(reason) => of_session_stop(reason),
        error => lost(format!("the sender link was not attached: {error}")),
    }
}

/// A receiver link could not be attached.
pub(super) fn of_receiver_attach(error: &ReceiverAttachError) -> AttemptError {
    match error {
        ReceiverAttachError::RemoteClosedWithError(error) => of_service(error),
        ReceiverAttachError::SessionStopped(reason) => of_session_stop(reason),
        error => lost(format!("the receiver link was not attached: {error}")),
    }
}

/// Nothing more can be received over a link.
pub(super) fn of_receive(error: &RecvError) -> AttemptError {
    match error {
        RecvError::LinkStateError(error) => of_link(error),
        error => lost(format!("an event could not be received: {error}")),
    }
}

/// A link of `$cbs` or `$management` could not be attached.
pub(super) fn of_request_attach(error: &AttachError) -> AttemptError {
    match error {
        AttachError::Sender(error) => of_attach(error),
        AttachError::Receiver(error) => of_receiver_attach(error),
    }
}

/// A request to `$cbs` or `$management` failed.
pub(super) fn of_request(error: &RequestError) -> AttemptError {
    match error {
        RequestError::Status(status) => verdicts::of_status(status.code.0.get(), status.description.as_deref()),
        RequestError::Send(error) => of_send(error),
        RequestError::Recv(error @ RecvError::LinkStateError(_)) => of_receive(error),
        RequestError::NotAccepted(Outcome::Rejected(rejected)) => of_rejection(rejected.error.as_ref()),
        error => lost(format!("the service's reply was not understood: {error}")),
    }
}

/// A link ended.
pub(super) fn of_detach(error: &DetachError) -> AttemptError {
    match error {
        DetachError::RemoteDetachedWithError(error) | DetachError::RemoteClosedWithError(error) => of_service(error),
        DetachError::SessionStopped(reason) => of_session_stop(reason),
        _ => lost("the service detached the link"),
    }
}

fn of_link(error: &LinkStateError) -> AttemptError {
    match error {
        LinkStateError::RemoteClosedWithError(error) | LinkStateError::RemoteDetachedWithError(error) => {
            of_service(error)
        }
        LinkStateError::SessionStopped(reason) => of_session_stop(reason),
        _ => lost("the link was lost"),
    }
}

/// A send ended without an outcome, or could not begin.
pub(super) fn of_send(error: &SendError) -> AttemptError {
    match error {
        SendError::LinkStateError(error) => of_link(error),
        SendError::Detached(error) => of_detach(error),
        SendError::MessageSizeExceeded(exceeded) => {
            let message = format!(
                "the event has {} bytes on the wire; the hub takes at most {}",
                exceeded.size, exceeded.max_size
            );
            AttemptError {
                status: Some("amqp:link:message-size-exceeded".into()),
                ..AttemptError::impossible(FailureKind::TooLarge, message)
            }
        }
        error => AttemptError::impossible(FailureKind::Internal, format!("the event could not be sent: {error}")),
    }
}

fn of_rejection(error: Option<&definitions::Error>) -> AttemptError {
    match error {
        Some(error) => of_service(error),
        None => verdicts::of_condition("amqp:rejected", Some("the service rejected it without a reason")),
    }
}

/// The service settled a delivery.
pub(super) fn of_outcome(outcome: Outcome) -> Result<(), AttemptError> {
    match outcome {
        Outcome::Accepted(_) => Ok(()),
        Outcome::Rejected(rejected) => Err(of_rejection(rejected.error.as_ref())),
        // Neither says that the event is stored, and both invite to send it again (AMQP 1.0, sections 3.4.4, 3.4.5).
        Outcome::Released(_) => Err(verdicts::of_condition("amqp:released", Some("the service released the event"))),
        Outcome::Modified(_) => {
            Err(verdicts::of_condition("amqp:modified", Some("the service did not take the event")))
        }
    }
}

/// The connection, the session or the link went away with the delivery outstanding.
///
/// Whatever the reason, it was not said of this delivery: it may have been stored, and it can be sent again. What the
/// reason means for the link shows when that is attached again.
pub(super) fn of_lost_delivery(error: &SendError) -> AttemptError {
    let error = of_send(error);
    AttemptError { kind: FailureKind::Connection, verdict: Verdict::Ambiguous, left: true, ..error }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::definitions::AmqpError;
    use fe2o3_amqp_types::messaging::{Accepted, Modified, Rejected, Released};

    use super::*;

    fn rejected(condition: ErrorCondition) -> AttemptError {
        let error = definitions::Error::new(condition, "no".to_owned(), None);
        of_outcome(Outcome::Rejected(Rejected { error: Some(error) })).unwrap_err()
    }

    #[test]
    fn accepted_alone_is_a_success() {
        assert!(of_outcome(Outcome::Accepted(Accepted {})).is_ok());
        let modified = Modified { delivery_failed: None, undeliverable_here: None, message_annotations: None };
        for outcome in [Outcome::Released(Released {}), Outcome::Modified(modified)] {
            let error = of_outcome(outcome).unwrap_err();
            assert_eq!(error.verdict, Verdict::Retry);
        }
    }

    #[test]
    fn a_rejection_is_read_by_its_condition() {
        let busy = rejected(ErrorCondition::Custom(Symbol::from("com.microsoft:server-busy")));
        assert_eq!((busy.kind, busy.verdict), (FailureKind::Throttled, Verdict::Throttled));
        let refused = rejected(AmqpError::UnauthorizedAccess.into());
        assert_eq!((refused.kind, refused.verdict), (FailureKind::Unauthorized, Verdict::RetryRefusal));
        assert_eq!(refused.status.as_deref(), Some("amqp:unauthorized-access"));
    }

    #[test]
    fn a_delivery_that_was_lost_with_its_link_is_ambiguous_and_sent_again_whatever_ended_the_link() {
        let error = definitions::Error::new(AmqpError::UnauthorizedAccess, "expired".to_owned(), None);
        let error = of_lost_delivery(&SendError::LinkStateError(LinkStateError::RemoteClosedWithError(error)));
        assert_eq!((error.kind, error.verdict), (FailureKind::Connection, Verdict::Ambiguous));
        assert!(error.left);
    }
}
