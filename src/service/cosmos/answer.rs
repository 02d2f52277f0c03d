//! What one request to Cosmos DB came to, in the words that the retry rules need.
//!
//! Status codes: <https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb>. Azure's client gives
//! failures without an answer a status of their own (mostly 503), so whether the service answered is asked first.

use std::time::Duration;

use azure_data_cosmos::CosmosError;
use azure_data_cosmos::diagnostics::DiagnosticsContext;

use crate::service::{Failure, FailureKind};

/// What a request that was not simply stored came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setback {
    /// 429: the request was not carried out; the service says when to come again.
    Throttled { retry_after: Option<Duration>, failure: Failure },
    /// 409: a document with this id is there.
    Conflict(Failure),
    /// No answer will come, and the document may have been stored.
    Lost(Failure),
    /// The request never left, or the service answered that it could not carry it out now.
    Transient {
        /// Whether the document may have been stored all the same.
        may_be_stored: bool,
        failure: Failure,
    },
    /// The service, or Azure's client, will not take this transaction.
    Refused(Failure),
}

/// What is known of a failed request.
#[derive(Clone, Debug)]
pub(super) struct Symptoms {
    /// The status of the answer, or the one that Azure's client made up.
    pub(super) status: u16,
    /// The substatus; 0 without one.
    pub(super) substatus: u32,
    /// Whether the service answered.
    pub(super) answered: bool,
    /// Whether the request, or a part of it, may have reached the service.
    pub(super) may_have_left: bool,
    /// The answer's `x-ms-retry-after-ms`.
    pub(super) retry_after: Option<Duration>,
    /// One line.
    pub(super) detail: String,
}

impl Symptoms {
    /// Takes an error of Azure's client apart.
    pub(super) fn of(error: &CosmosError) -> Self {
        let status = error.status();
        let diagnostics = error.diagnostics();
        let response = error.response();
        let message = match response {
            Some(_) => error.to_string(),
            // What Azure's client says itself is that sending failed; why is at the bottom.
            None => root_cause(error),
        };
        Self {
            status: status.status_code().into(),
            substatus: status.sub_status().map_or(0, |substatus| u32::from(substatus.value())),
            answered: response.is_some(),
            may_have_left: diagnostics
                .as_ref()
                .and_then(|diagnostics| {
                    diagnostics.requests().last().map(|last| last.request_sent().may_have_been_sent())
                })
                .unwrap_or(false),
            retry_after: response.and_then(|response| response.headers().retry_after_ms).map(Duration::from_millis),
            detail: detail(&message),
        }
    }

    fn failure(&self, kind: FailureKind) -> Failure {
        let failure = Failure::new(kind, self.detail.clone());
        match (self.answered, self.substatus) {
            (false, _) => failure,
            (true, 0) => failure.with_status(self.status),
            (true, substatus) => failure.with_status(format_args!("{}/{substatus}", self.status)),
        }
    }

    /// What the retry rules make of it.
    pub(super) fn setback(&self) -> Setback {
        if self.answered { self.answered_setback() } else { self.unanswered_setback() }
    }

    fn answered_setback(&self) -> Setback {
        let refused = |kind| Setback::Refused(self.failure(kind));
        let transient = |kind, may_be_stored| Setback::Transient { may_be_stored, failure: self.failure(kind) };
        match (self.status, self.substatus) {
            (429, _) => {
                Setback::Throttled { retry_after: self.retry_after, failure: self.failure(FailureKind::Throttled) }
            }
            (409, _) => Setback::Conflict(self.failure(FailureKind::Conflict)),
            (401, _) => refused(FailureKind::Unauthorized),
            // Another region takes the writes now (3), or the account has moved (1008).
            (403, 3 | 1008) => transient(FailureKind::Unavailable, false),
            (403, _) => refused(FailureKind::Unauthorized),
            // A replica that lags behind.
            (404, 1002) => transient(FailureKind::Unavailable, false),
            (404, _) => refused(FailureKind::NotFound),
            (413, _) => refused(FailureKind::TooLarge),
            (408, _) => transient(FailureKind::Timeout, true),
            // A partition that moves or splits, and a conflict inside the service: neither has stored anything.
            (410 | 449, _) => transient(FailureKind::Unavailable, false),
            (400..=499, _) => refused(FailureKind::BadRequest),
            // Full: there is no room the next moment either.
            (507, _) => refused(FailureKind::Unavailable),
            _ => transient(FailureKind::Unavailable, true),
        }
    }

    fn unanswered_setback(&self) -> Setback {
        match self.status {
            // Azure's client gives 503 to all that goes wrong between it and the service, 408 to its own time-outs.
            408 | 503 if self.may_have_left => Setback::Lost(self.failure(match self.status {
                408 => FailureKind::Timeout,
                _ => FailureKind::Connection,
            })),
            408 | 503 => Setback::Transient { may_be_stored: false, failure: self.failure(FailureKind::Connection) },
            401 | 403 => Setback::Refused(self.failure(FailureKind::Unauthorized)),
            404 => Setback::Refused(self.failure(FailureKind::NotFound)),
            _ => Setback::Refused(self.failure(FailureKind::Internal)),
        }
    }
}

/// Requests that Azure's client sent on its own account and lost before the last one: with HTTP/2 it repeats a request
/// once, on another connection, when the first one breaks.
pub(super) fn lost_on_the_way(diagnostics: &DiagnosticsContext) -> usize {
    let requests = diagnostics.requests();
    let earlier = requests.len().saturating_sub(1);
    let lost_requests = requests
        .iter()
        .take(earlier)
        .filter(|request| {
            (request.timed_out() || request.error().is_some()) && request.request_sent().may_have_been_sent()
        })
        .count();
    let lost_on_shards = requests
        .last()
        .map_or(0, |last| {
            last.failed_transport_shards().iter().filter(|shard| shard.request_sent().may_have_been_sent()).count()
        })
        .saturating_sub(lost_requests);
    lost_requests + lost_on_shards
}

/// The text of the innermost cause.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    // Bounded, for nothing forbids a chain of causes to be a circle.
    for _ in 0..32 {
        match innermost.source() {
            Some(cause) => innermost = cause,
            None => break,
        }
    }
    innermost.to_string()
}

/// The service's own words out of the message that Azure's client makes of them, on one line.
pub(super) fn detail(message: &str) -> String {
    const LONGEST: usize = 300;
    let words = message.rsplit_once(". Details: ").map_or(message, |(_, details)| details);
    let mut line: String = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, substatus: u32) -> Symptoms {
        let detail = "because".to_owned();
        Symptoms { status, substatus, answered: true, may_have_left: true, retry_after: None, detail }
    }

    fn unanswered(status: u16, may_have_left: bool) -> Symptoms {
        Symptoms { answered: false, may_have_left, ..answered(status, 0) }
    }

    #[test]
    fn answers_that_no_repeat_can_change_are_refusals_by_kind() {
        for (status, substatus, kind, code) in [
            (400, 0, FailureKind::BadRequest, "400"),
            (400, 1001, FailureKind::BadRequest, "400/1001"),
            (401, 0, FailureKind::Unauthorized, "401"),
            (403, 0, FailureKind::Unauthorized, "403"),
            (403, 5300, FailureKind::Unauthorized, "403/5300"),
            (404, 0, FailureKind::NotFound, "404"),
            (404, 1003, FailureKind::NotFound, "404/1003"),
            (412, 0, FailureKind::BadRequest, "412"),
            (413, 0, FailureKind::TooLarge, "413"),
            (507, 0, FailureKind::Unavailable, "507"),
        ] {
            let expected = Failure::new(kind, "because").with_status(code);
            assert_eq!(answered(status, substatus).setback(), Setback::Refused(expected), "{status}/{substatus}");
        }
    }

    #[test]
    fn a_429_is_throttling_and_keeps_its_retry_after() {
        let symptoms = Symptoms { retry_after: Some(Duration::from_millis(37)), ..answered(429, 3200) };
        let failure = Failure::new(FailureKind::Throttled, "because").with_status("429/3200");
        assert_eq!(symptoms.setback(), Setback::Throttled { retry_after: Some(Duration::from_millis(37)), failure });
    }

    #[test]
    fn passing_troubles_of_the_service_are_transient_and_some_may_have_stored() {
        for (status, substatus, kind, stored) in [
            (403, 3, FailureKind::Unavailable, false),
            (404, 1002, FailureKind::Unavailable, false),
            (408, 0, FailureKind::Timeout, true),
            (410, 1007, FailureKind::Unavailable, false),
            (449, 0, FailureKind::Unavailable, false),
            (500, 0, FailureKind::Unavailable, true),
            (502, 0, FailureKind::Unavailable, true),
            (503, 0, FailureKind::Unavailable, true),
        ] {
            let Setback::Transient { may_be_stored, failure } = answered(status, substatus).setback() else {
                panic!("{status}/{substatus} is transient")
            };
            assert_eq!((may_be_stored, failure.kind), (stored, kind), "{status}/{substatus}");
        }
    }

    #[test]
    fn no_answer_is_a_loss_only_if_the_request_may_have_left() {
        let lost = Failure::new(FailureKind::Connection, "because");
        assert_eq!(unanswered(503, true).setback(), Setback::Lost(lost.clone()));
        assert_eq!(unanswered(503, false).setback(), Setback::Transient { may_be_stored: false, failure: lost });
        assert_eq!(unanswered(408, true).setback(), Setback::Lost(Failure::new(FailureKind::Timeout, "because")));
    }

    #[test]
    fn what_azures_client_refuses_by_itself_is_no_answer_of_the_service() {
        let kind = |status| match unanswered(status, false).setback() {
            Setback::Refused(failure) => (failure.kind, failure.status),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(401), (FailureKind::Unauthorized, None));
        assert_eq!(kind(400), (FailureKind::Internal, None));
        assert_eq!(kind(500), (FailureKind::Internal, None));
    }

    #[test]
    fn the_detail_is_the_services_own_words_on_one_short_line() {
        assert_eq!(
            detail("409 (Conflict): Cosmos DB returned HTTP 409: Conflict. Details: Entity\r\n  exists\talready"),
            "Entity exists already"
        );
        assert_eq!(detail("no details here"), "no details here");
        assert_eq!(detail(&"é".repeat(400)).chars().count(), 301);
    }
}
