//! Answers: a status, what it cost, the service's headers, a body.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::catalog::ContentPaths;
use super::failure::{Failure, Progress};
use super::trouble::Outgoing;

const ACTIVITY_ID: HeaderName = HeaderName::from_static("x-ms-activity-id");
const CHARGE: HeaderName = HeaderName::from_static("x-ms-request-charge");
const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");
const CONTENT_PATH: HeaderName = HeaderName::from_static("x-ms-content-path");
const ALT_CONTENT_PATH: HeaderName = HeaderName::from_static("x-ms-alt-content-path");
const ETAG: HeaderName = HeaderName::from_static("etag");
const GATEWAY: HeaderName = HeaderName::from_static("x-ms-gatewayversion");
const ITEM_COUNT: HeaderName = HeaderName::from_static("x-ms-item-count");
const ITEM_LSN: HeaderName = HeaderName::from_static("x-ms-item-lsn");
const RANGE: HeaderName = HeaderName::from_static("x-ms-documentdb-partitionkeyrangeid");
const LSN: HeaderName = HeaderName::from_static("lsn");
const RETRY_AFTER: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
const SESSION: HeaderName = HeaderName::from_static("x-ms-session-token");
const SUBSTATUS: HeaderName = HeaderName::from_static("x-ms-substatus");

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Outgoing>,
}

impl Answer {
    /// Without a body.
    pub(super) fn empty(status: StatusCode, charge: f64) -> Self {
        let mut response = Response::new(Outgoing::default());
        *response.status_mut() = status;
        let mut answer = Self { response };
        answer.set(CHARGE, &charge.to_string());
        answer
    }

    /// With JSON, written already.
    pub(super) fn bytes(status: StatusCode, charge: f64, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(status, charge);
        *answer.response.body_mut() = Outgoing::whole(body.into());
        answer.response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    pub(super) fn json(status: StatusCode, charge: f64, body: &Value) -> Self {
        Self::bytes(status, charge, body.to_string())
    }

    /// A feed: `{"_rid": …, NAME: […], "_count": …}`.
    pub(super) fn feed(charge: f64, rid: &str, name: &str, items: Vec<Value>) -> Self {
        let count = items.len();
        let body = serde_json::json!({ "_rid": rid, name: items, "_count": count });
        Self::json(StatusCode::OK, charge, &body).with_item_count(count)
    }

    pub(super) fn with_etag(mut self, etag: &str) -> Self {
        self.set(ETAG, etag);
        self
    }

    /// The session token of a partition key range, and how far the container has got.
    pub(super) fn with_session(mut self, range: u32, version: u64) -> Self {
        self.set(SESSION, &format!("{range}:-1#{version}"));
        let headers = self.response.headers_mut();
        headers.insert(LSN, HeaderValue::from(version));
        headers.insert(RANGE, HeaderValue::from(range));
        self
    }

    /// The number of the change that wrote the document.
    pub(super) fn with_item_lsn(mut self, version: u64) -> Self {
        self.response.headers_mut().insert(ITEM_LSN, HeaderValue::from(version));
        self
    }

    /// What its resource is in: clients take no session token from an answer that does not say so.
    pub(super) fn about(mut self, paths: &ContentPaths) -> Self {
        let headers = self.response.headers_mut();
        if let Some(names) = &paths.names {
            headers.insert(ALT_CONTENT_PATH, names.clone());
        }
        if let Some(rid) = &paths.rid {
            headers.insert(CONTENT_PATH, rid.clone());
        }
        self
    }

    /// Another header, for what few answers have.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(HeaderName::from_static(name), value);
        self
    }

    pub(super) fn with_continuation(mut self, token: Option<&str>) -> Self {
        if let Some(token) = token {
            self.set(CONTINUATION, token);
        }
        self
    }

    pub(super) fn with_item_count(mut self, count: usize) -> Self {
        self.response.headers_mut().insert(ITEM_COUNT, HeaderValue::from(count));
        self
    }

    /// How many items a feed has.
    pub(super) fn item_count(&self) -> u64 {
        let count = self.response.headers().get(ITEM_COUNT).and_then(|count| count.to_str().ok());
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// How many bytes the body has.
    pub(super) fn size(&self) -> u64 {
        use hyper::body::Body as _;
        self.response.body().size_hint().lower()
    }

    fn set(&mut self, name: HeaderName, value: &str) {
        // Only text that came from a header, or was made here of digits, names and base64, gets this far.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }

    /// Adds what all answers have.
    pub(super) fn finish(mut self, activity_id: &str) -> Response<Outgoing> {
        self.set(ACTIVITY_ID, activity_id);
        self.response.headers_mut().insert(GATEWAY, HeaderValue::from_static("version=2.14.0"));
        self.response
    }
}

impl Failure {
    /// The answer with this failure.
    pub(super) fn answer(&self, activity_id: &str) -> Answer {
        let message = format!("{}\r\nActivityId: {activity_id}", self.message);
        let mut body = serde_json::json!({ "code": self.code(), "message": message });
        if let Some(additional) = &self.additional {
            body["additionalErrorInfo"] = additional.as_str().into();
        }
        let mut answer = if self.status == StatusCode::NOT_MODIFIED {
            Answer::empty(self.status, self.charge)
        } else {
            Answer::json(self.status, self.charge, &body)
        };
        if let Some(progress) = &self.progress {
            let Progress { paths, range, version } = progress.as_ref();
            answer = answer.about(paths).with_session(*range, *version);
        }
        if self.substatus != 0 {
            answer.response.headers_mut().insert(SUBSTATUS, HeaderValue::from(self.substatus));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: who comes back a moment too early is only refused again.
            let ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
            answer.response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms));
        }
        answer
    }
}
