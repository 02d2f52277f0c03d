//! What an exchange that has no success comes to, and what is read from an answer's headers.

use std::fmt;
use std::time::Duration;

use hyper::HeaderMap;

use super::connection::Answered;
use super::pool::Unanswered;
use crate::service::FailureKind;
use crate::service::cosmos::answer::{OfProxy, RequestError, body_text, is_page};
use crate::service::cosmos::refusal::own;
use crate::service::retry::AttemptError;

/// The service, or a proxy before it, refused the request.
pub(super) fn refused(answered: &Answered) -> RequestError {
    let headers = &answered.head.headers;
    let body = answered.body.as_ref().ok();
    let status = answered.head.status.as_u16();
    let is_of_proxy = status == 407 || body.is_some_and(|body| is_page(body));
    let reason = || answered.head.status.canonical_reason().unwrap_or("no reason given").to_owned();
    RequestError {
        status,
        substatus: substatus(headers),
        answered: true,
        may_have_left: true,
        of_proxy: is_of_proxy.then_some(OfProxy::Answers),
        retry_after: milliseconds(headers, "x-ms-retry-after-ms"),
        activity_id: text(headers, "x-ms-activity-id").map(ToOwned::to_owned),
        detail: body.and_then(|body| body_text(body)).unwrap_or_else(reason),
    }
}

/// No answer has come, after this time.
pub(super) fn unanswered(unanswered: Unanswered, took: Duration) -> RequestError {
    match unanswered {
        Unanswered::NotSent(error) => RequestError {
            of_proxy: (error.kind == FailureKind::Proxy).then_some(OfProxy::Explained),
            ..RequestError::unanswered(503, false, error.message)
        },
        Unanswered::Lost(reason) => RequestError::unanswered(503, true, reason),
        Unanswered::TimedOut => RequestError::unanswered(408, true, AttemptError::timed_out(took).message),
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

pub(super) fn milliseconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(headers, name)? / 1000.0).ok()
}

pub(super) fn substatus(headers: &HeaderMap) -> u32 {
    text(headers, "x-ms-substatus").and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// No token, or no signature, for a request.
pub(super) fn no_token(reason: &str) -> RequestError {
    RequestError { substatus: own::NO_TOKEN, ..RequestError::unanswered(401, false, reason.to_owned()) }
}

/// An answer that is none of Cosmos DB.
pub(super) fn unreadable(reason: impl fmt::Display) -> RequestError {
    let detail = format!("the answer cannot be read: {reason}");
    RequestError { substatus: own::UNREADABLE_ANSWER, ..RequestError::unanswered(500, true, detail) }
}

/// A request that cannot even be made.
pub(super) fn impossible(error: impl fmt::Display) -> RequestError {
    RequestError::unanswered(500, false, error.to_string())
}
