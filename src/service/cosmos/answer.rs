//! Why one request to Cosmos DB did not succeed.
//!
//! Azure's client gives failures without an answer a status of their own (mostly 503), so whether the service answered is
//! asked first; and, where a proxy leads there, whether it was the proxy that failed.

use std::time::Duration;

use azure_data_cosmos::CosmosError;
use azure_data_cosmos::diagnostics::DiagnosticsContext;

use hyper::{HeaderMap, StatusCode};

use super::verdicts;
use crate::service::retry::{AttemptError, one_line};
use crate::service::{FailureKind, proxy};
use crate::settings::Proxy;

/// What is known of a failed request.
#[derive(Clone, Debug)]
pub(super) struct RequestError {
    /// The status of the answer, or the one that Azure's client made up.
    pub(super) status: u16,
    /// The substatus; 0 without one.
    pub(super) substatus: u32,
    /// Whether the service answered.
    pub(super) answered: bool,
    /// Whether the request, or a part of it, may have reached the service.
    pub(super) may_have_left: bool,
    /// Where on the way it failed, if a proxy that leads there is to blame.
    pub(super) of_proxy: Option<OfProxy>,
    /// The answer's `x-ms-retry-after-ms`.
    pub(super) retry_after: Option<Duration>,
    /// One line.
    pub(super) detail: String,
}

/// What a proxy does in the place of the service, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfProxy {
    /// It answers itself: with 407, which is a proxy's own, or with a page for people.
    Answers,
    /// It opens no tunnel.
    Refuses,
    /// It cannot be reached, for all connections lead to it.
    IsAway,
}

impl RequestError {
    /// Takes an error of Azure's client apart.
    pub(super) fn of(error: &CosmosError) -> Self {
        let diagnostics = error.diagnostics();
        let answer = answer_within(error);
        let status = answer.unwrap_or(error).status();
        let response = answer.and_then(CosmosError::response);
        let body = response.and_then(|response| response.body().clone().single().ok());
        let status_code: u16 = status.status_code().into();
        Self {
            of_proxy: match response {
                Some(_) if status_code == 407 || body.as_deref().is_some_and(is_page) => Some(OfProxy::Answers),
                Some(_) => None,
                None => causes(error).find_map(of_proxy),
            },
            status: status_code,
            substatus: status.sub_status().map_or(0, |substatus| u32::from(substatus.value())),
            answered: answer.is_some(),
            may_have_left: diagnostics
                .as_ref()
                .and_then(|diagnostics| {
                    diagnostics.requests().last().map(|last| last.request_sent().may_have_been_sent())
                })
                .unwrap_or(false),
            retry_after: response.and_then(|response| response.headers().retry_after_ms).map(Duration::from_millis),
            detail: body.and_then(|body| body_text(&body)).unwrap_or_else(|| match response {
                Some(_) => detail(&error.to_string()),
                // What Azure's client says itself is that sending failed; why is at the bottom.
                None => detail(&root_cause(error)),
            }),
        }
    }

    /// What the retry policy makes of it. `proxy` leads to the service at `authority`, where any does.
    pub(super) fn into_attempt_error(self, proxy: Option<(&Proxy, &str)>) -> AttemptError {
        match proxy.and_then(|(proxy, authority)| self.proxy_error(proxy, authority)) {
            Some(error) => error,
            None if self.answered => self.refused(),
            None => self.unanswered(),
        }
    }

    /// The failure of the proxy that leads to `authority`, if it is one.
    pub(super) fn proxy_error(&self, proxy: &Proxy, authority: &str) -> Option<AttemptError> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Some(match self.of_proxy? {
            OfProxy::Answers => proxy::refusal(proxy, authority, status, &HeaderMap::new()),
            // Which answer it was the client does not tell, but for one.
            OfProxy::Refuses if self.detail.contains("authorization required") => {
                proxy::refusal(proxy, authority, StatusCode::PROXY_AUTHENTICATION_REQUIRED, &HeaderMap::new())
            }
            OfProxy::Refuses => proxy::no_tunnel(proxy, authority),
            OfProxy::IsAway => proxy::unreachable(proxy, &self.detail),
        })
    }

    /// What the answer means.
    pub(super) fn verdict(&self) -> verdicts::Row {
        verdicts::of(self.status, self.substatus, &self.detail)
    }

    /// Status and substatus, such as `403/1014`.
    pub(super) fn code(&self) -> String {
        match self.substatus {
            0 => self.status.to_string(),
            substatus => format!("{}/{substatus}", self.status),
        }
    }

    fn refused(self) -> AttemptError {
        let (row, code) = (self.verdict(), self.code());
        AttemptError {
            retry_after: self.retry_after,
            ..AttemptError::answered(row.kind, row.verdict, code, &row.advised(&self.detail))
        }
    }

    /// Whether no answer came for a reason that lies between here and the service: Azure's client gives 503 to those, and 408 to
    /// its own time-outs.
    pub(super) fn is_of_the_network(&self) -> bool {
        !self.answered && matches!(self.status, 408 | 503)
    }

    fn unanswered(self) -> AttemptError {
        match self.status {
            408 if self.may_have_left => AttemptError::lost(FailureKind::Timeout, self.detail),
            503 if self.may_have_left => AttemptError::lost(FailureKind::Connection, self.detail),
            408 | 503 => AttemptError::not_sent(FailureKind::Connection, self.detail),
            401 | 403 => AttemptError::impossible(FailureKind::Unauthorized, self.detail),
            404 => AttemptError::impossible(FailureKind::NotFound, self.detail),
            _ => AttemptError::impossible(FailureKind::Internal, self.detail),
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

/// What a proxy has to do with this cause, if there is one: its type is the HTTP library's own, and its text all that shows.
fn of_proxy(cause: &(dyn std::error::Error + 'static)) -> Option<OfProxy> {
    let text = cause.to_string();
    if text.starts_with("tunnel error: ") && !text.contains("underlying connection") {
        Some(OfProxy::Refuses)
    } else if text.starts_with("tcp connect error") || text.starts_with("dns error") {
        Some(OfProxy::IsAway)
    } else {
        None
    }
}

/// Whether an answer is for people: those of Cosmos DB are JSON.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The error that carries the service's answer, if there is one: Azure's client wraps it into an error of its own once it
/// has looked for another region in vain. An answer is known by its body, or by a substatus of the service: those of the
/// client itself begin at 20000.
fn answer_within(error: &CosmosError) -> Option<&CosmosError> {
    let is_answer = |error: &&CosmosError| {
        let substatus = error.status().sub_status().map_or(0, |substatus| u32::from(substatus.value()));
        error.response().is_some() || (1..20_000).contains(&substatus)
    };
    causes(error).filter_map(|error| error.downcast_ref::<CosmosError>()).find(is_answer)
}

/// The text of the innermost cause.
fn root_cause(error: &CosmosError) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// The error and its causes. Bounded, for nothing forbids a chain of causes to be a circle.
fn causes(error: &CosmosError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).take(32)
}

/// The service's own words: the message in the answer's body, or all of a body that is no JSON.
fn body_text(body: &[u8]) -> Option<String> {
    let message = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(body) => body.get("message")?.as_str()?.to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    Some(one_line(without_activity_id(&message))).filter(|text| !text.is_empty())
}

/// Without the identifier that the service puts behind each message, which only a support case needs.
fn without_activity_id(message: &str) -> &str {
    let end = ["ActivityId:", "Activity ID:"].iter().filter_map(|mark| message.find(mark)).min();
    end.map_or(message, |end| message[..end].trim_end().trim_end_matches(','))
}

/// The service's own words out of the message that Azure's client makes of them, on one line.
fn detail(message: &str) -> String {
    one_line(message.rsplit_once(". Details: ").map_or(message, |(_, details)| details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::retry::Verdict;

    fn answered(status: u16, substatus: u32) -> RequestError {
        let detail = "because".to_owned();
        RequestError {
            status,
            substatus,
            answered: true,
            may_have_left: true,
            of_proxy: None,
            retry_after: None,
            detail,
        }
    }

    fn unanswered(status: u16, may_have_left: bool) -> RequestError {
        RequestError { answered: false, may_have_left, ..answered(status, 0) }
    }

    #[test]
    fn an_answer_keeps_its_codes_and_its_retry_after() {
        let retry_after = Some(Duration::from_millis(37));
        let error = RequestError { retry_after, ..answered(429, 3200) }.into_attempt_error(None);
        assert_eq!((error.kind, error.verdict), (FailureKind::Throttled, Verdict::Throttled));
        assert_eq!((error.status.as_deref(), error.retry_after), (Some("429/3200"), retry_after));
        assert_eq!(answered(413, 0).into_attempt_error(None).status.as_deref(), Some("413"));
    }

    #[test]
    fn no_answer_is_a_loss_only_if_the_request_may_have_left() {
        let outcome = |status, may_have_left| {
            let error = unanswered(status, may_have_left).into_attempt_error(None);
            (error.kind, error.verdict, error.left)
        };
        assert_eq!(outcome(503, true), (FailureKind::Connection, Verdict::Ambiguous, true));
        assert_eq!(outcome(503, false), (FailureKind::Connection, Verdict::Retry, false));
        assert_eq!(outcome(408, true), (FailureKind::Timeout, Verdict::Ambiguous, true));
    }

    #[test]
    fn what_azures_client_refuses_by_itself_is_no_answer_of_the_service() {
        for (status, kind) in
            [(401, FailureKind::Unauthorized), (400, FailureKind::Internal), (500, FailureKind::Internal)]
        {
            let error = unanswered(status, false).into_attempt_error(None);
            assert_eq!((error.kind, error.verdict, error.status), (kind, Verdict::GiveUp, None));
        }
    }

    #[test]
    fn the_detail_is_the_services_own_words_on_one_line() {
        assert_eq!(
            detail("409 (Conflict): Cosmos DB returned HTTP 409: Conflict. Details: Entity\r\n  exists\talready"),
            "Entity exists already"
        );
        assert_eq!(detail("no details here"), "no details here");
    }
}
