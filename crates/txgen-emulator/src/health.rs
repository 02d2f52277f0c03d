//! Whether a service can be used yet, for those who start it and wait: no key is asked for.
//!
//! Path and answer are those of Microsoft's Event Hubs emulator:
//! <https://github.com/Azure/azure-event-hubs-emulator-installer/blob/main/EventHub-Emulator/Schema/HealthCheckApiSchema.md>.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};

/// Whether a request asks for it.
pub(crate) fn is_asked(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && path.trim_end_matches('/') == "/health"
}

/// That it can: a service that answers at all is whole.
pub(crate) fn answer<B: From<Bytes>>() -> Response<B> {
    let body = Bytes::from_static(br#"{"status":"healthy","message":"Service is healthy."}"#);
    let mut response = Response::new(B::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
