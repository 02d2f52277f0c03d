//! Why one request to Cosmos DB did not succeed, whichever client sent it.

use std::time::Duration;

use hyper::{HeaderMap, StatusCode};

use super::verdicts;
use crate::service::retry::{AttemptError, one_line};
use crate::service::{FailureKind, proxy};
use crate::settings::Proxy;

/// What is known of a failed request.
#[derive(Clone, Debug)]
pub(super) struct RequestError {
    /// The status of the answer, or the one that the client made up.
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
    /// What Microsoft's support finds the request by.
    pub(super) activity_id: Option<String>,
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
    /// It let nothing through; the error's text says why, and what to do.
    Explained,
}

impl RequestError {
    /// No answer came. Azure's client gives 503 to all that goes wrong between it and the service, 408 to its own
    /// time-outs, 401 to want of a credential; so does txgen's.
    pub(super) fn unanswered(status: u16, may_have_left: bool, detail: String) -> Self {
        Self {
            status,
            substatus: 0,
            answered: false,
            may_have_left,
            of_proxy: None,
            retry_after: None,
            activity_id: None,
            detail,
        }
    }

    /// What the retry policy makes of it. `proxy` leads to the service at `authority`, where any does.
    pub(super) fn into_attempt_error(self, proxy: Option<(&Proxy, &str)>) -> AttemptError {
        match proxy.and_then(|(proxy, authority)| self.proxy_error(proxy, authority)) {
            Some(error) => error,
            None if self.answered => self.refused(),
            None => self.no_answer(),
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
            OfProxy::Explained => AttemptError::not_sent(FailureKind::Proxy, &self.detail),
        })
    }

    /// What the answer means.
    pub(super) fn verdict(&self) -> verdicts::Row {
        verdicts::of(self.status, self.substatus, &self.detail)
    }

    /// Whether the service answered with this status.
    pub(super) fn is_status(&self, status: u16) -> bool {
        self.answered && self.status == status
    }

    /// Whether the partition key range that was asked is no longer there, because it was split or merged: substatus
    /// `PartitionKeyRangeGone`.
    pub(super) fn is_of_gone_range(&self) -> bool {
        self.is_status(410) && self.substatus == 1002
    }

    /// Whether the service refused to talk about throughput because the account is serverless.
    pub(super) fn is_of_serverless(&self) -> bool {
        self.is_status(400) && self.detail.to_ascii_lowercase().contains("serverless")
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
            activity_id: self.activity_id,
            ..AttemptError::answered(row.kind, row.verdict, code, &row.advised(&self.detail))
        }
    }

    /// Whether no answer came for a reason that lies between here and the service: Azure's client gives 503 to those, and 408 to
    /// its own time-outs.
    pub(super) fn is_of_the_network(&self) -> bool {
        !self.answered && matches!(self.status, 408 | 503)
    }

    fn no_answer(self) -> AttemptError {
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

/// Whether an answer is for people: those of Cosmos DB are JSON.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The service's own words: the message in the answer's body, or all of a body that is no JSON.
pub(super) fn body_text(body: &[u8]) -> Option<String> {
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
            activity_id: Some("1f2e".to_owned()),
            detail,
        }
    }

    fn unanswered(status: u16, may_have_left: bool) -> RequestError {
        RequestError::unanswered(status, may_have_left, "because".to_owned())
    }

    #[test]
    fn an_answer_keeps_its_codes_and_its_retry_after() {
        let retry_after = Some(Duration::from_millis(37));
        let error = RequestError { retry_after, ..answered(429, 3200) }.into_attempt_error(None);
        assert_eq!((error.kind, error.verdict), (FailureKind::Throttled, Verdict::Throttled));
        assert_eq!((error.status.as_deref(), error.retry_after), (Some("429/3200"), retry_after));
        assert_eq!(error.activity_id.as_deref(), Some("1f2e"));
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
    fn what_a_client_refuses_by_itself_is_no_answer_of_the_service() {
        for (status, kind) in
            [(401, FailureKind::Unauthorized), (400, FailureKind::Internal), (500, FailureKind::Internal)]
        {
            let error = unanswered(status, false).into_attempt_error(None);
            assert_eq!((error.kind, error.verdict, error.status), (kind, Verdict::GiveUp, None));
        }
    }
}
