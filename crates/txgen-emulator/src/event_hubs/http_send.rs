//! Events sent by HTTP: one with its properties in headers, or several as JSON.
//!
//! Source: <https://learn.microsoft.com/rest/api/eventhub/send-event> and
//! <https://learn.microsoft.com/rest/api/eventhub/send-batch-events>.

use bytes::BytesMut;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};
use txgen_amqp::descriptor::{APPLICATION_PROPERTIES, DATA, PROPERTIES};
use txgen_amqp::writer::Writer;

use super::grants::{Denied, Grants, Right, check};
use super::ingest::MAX_KEY_LENGTH;
use super::message::EventParts;
use super::namespace::{Namespace, Now};
use super::store::Route;

/// The content type of several events.
const BATCH: &str = "application/vnd.microsoft.servicebus.json";
/// The header with what concerns the service alone.
const BROKER_PROPERTIES: &str = "brokerproperties";
/// Headers that are HTTP's own: all others are properties of the event.
const OF_HTTP: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
];

/// Why events are not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

/// Stores what was posted.
pub(super) fn send(
    namespace: &Namespace,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    now: Now,
) -> Result<(), Refused> {
    let bad = |what: String| Refused(StatusCode::BAD_REQUEST, what);
    let path = uri.path().trim_matches('/');
    let words: Vec<_> = path.split('/').collect();
    let is = |word: &str, expected: &str| word.eq_ignore_ascii_case(expected);
    let (name, id) = match words[..] {
        [hub, messages] if is(messages, "messages") => (hub, None),
        [hub, partitions, id, messages] if is(partitions, "partitions") && is(messages, "messages") => (hub, Some(id)),
        _ => {
            let what = "Events are posted to /HUB/messages or /HUB/partitions/ID/messages; AMQP over WebSockets is at \
                        /$servicebus/websocket. Nothing else is here.";
            return Err(Refused(StatusCode::NOT_FOUND, what.to_owned()));
        }
    };
    authorize(namespace, path, headers, now)?;
    let hub = namespace.hub(name).ok_or_else(|| Refused(StatusCode::NOT_FOUND, namespace.not_found(name)))?;
    let partition = match id {
        Some(id) => {
            let known = id.parse().ok().filter(|id| hub.partition(*id).is_some());
            Some(known.ok_or_else(|| bad(format!("There is no partition {id}.")))?)
        }
        None => None,
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text(CONTENT_TYPE.as_str());
    let posted = if content_type.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| is(kind.trim(), BATCH))) {
        batch(body).map_err(|error| bad(format!("The body is not an array of events as JSON: {error}")))?
    } else {
        let broker = text(BROKER_PROPERTIES).map(serde_json::from_str).transpose();
        let broker: Option<Broker> = broker.map_err(|error| bad(format!("BrokerProperties is not JSON: {error}")))?;
        let key = broker.and_then(|broker| broker.partition_key);
        vec![Posted { key, message: single(headers, content_type, body) }]
    };
    let key = posted.first().and_then(|posted| posted.key.as_deref());
    if posted.iter().filter_map(|posted| posted.key.as_ref()).any(|key| key.chars().count() > MAX_KEY_LENGTH) {
        return Err(bad(format!("The partition key is longer than {MAX_KEY_LENGTH} characters.")));
    }
    let event =
        |posted: &'_ Posted| EventParts { key: None, message: posted.message.clone().into(), ..EventParts::default() };
    let events: Vec<EventParts<'_>> = posted.iter().map(event).collect();
    if events.is_empty() {
        return Err(bad("There is no event.".to_owned()));
    }
    let stored = namespace.store(hub, Route { partition, key, producer: None }, &events, body.len(), now);
    stored.map(|_| ()).map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, error.description))
}

fn authorize(namespace: &Namespace, path: &str, headers: &HeaderMap, now: Now) -> Result<(), Refused> {
    let denied = |what: String| Refused(StatusCode::UNAUTHORIZED, what);
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.ok_or_else(|| denied("There is no Authorization header.".to_owned()))?;
    let (kind, token) = match token.strip_prefix("Bearer ") {
        Some(token) => ("jwt", token),
        None => ("servicebus.windows.net:sastoken", token),
    };
    let options = &namespace.options;
    let path = path.to_ascii_lowercase();
    let grant = check(&options.policies, options.accept_entra_tokens, kind, token, &path, now.unix_seconds())
        .map_err(|Denied { description, .. }| denied(description))?;
    let mut grants = Grants::default();
    grants.put(grant);
    if !grants.allow(Right::Send, &path, now.unix_seconds()) {
        return Err(denied("Unauthorized access. 'Send' claim(s) are required to perform this operation.".to_owned()));
    }
    Ok(())
}

/// An event that was posted.
struct Posted {
    key: Option<String>,
    /// Properties and body, as AMQP encodes them.
    message: Vec<u8>,
}

#[derive(Default, Deserialize)]
struct Broker {
    #[serde(rename = "PartitionKey")]
    partition_key: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Body")]
    body: Value,
    #[serde(rename = "UserProperties", default)]
    user: Map<String, Value>,
    #[serde(rename = "BrokerProperties", default)]
    broker: Broker,
}

fn batch(body: &[u8]) -> serde_json::Result<Vec<Posted>> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let posted = entries.into_iter().map(|entry| {
        let body = entry.body.as_str().map_or_else(|| entry.body.to_string(), str::to_owned);
        let message = encode(None, entry.user.iter(), body.as_bytes());
        Posted { key: entry.broker.partition_key, message }
    });
    Ok(posted.collect())
}

fn single(headers: &HeaderMap, content_type: Option<&str>, body: &[u8]) -> Vec<u8> {
    let properties: Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !OF_HTTP.contains(&name.as_str()) && name.as_str() != BROKER_PROPERTIES)
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.trim_matches('"').into())))
        .collect();
    encode(content_type, properties.iter(), body)
}

fn encode<'a>(
    content_type: Option<&str>,
    properties: impl ExactSizeIterator<Item = (&'a String, &'a Value)>,
    body: &[u8],
) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut w = Writer::new(&mut out);
    if let Some(content_type) = content_type {
        w.described_list(PROPERTIES, |w| {
            w.pad_to(6);
            w.symbol(content_type);
            w.pad_to(13);
        });
    }
    if properties.len() > 0 {
        w.described_map(APPLICATION_PROPERTIES, |w| {
            for (name, value) in properties {
                w.string(name);
                match value {
                    Value::Null => w.null(),
                    Value::Bool(value) => w.bool(*value),
                    Value::Number(number) if number.is_i64() => w.long(number.as_i64().unwrap_or_default()),
                    Value::String(text) => w.string(text),
                    other => w.string(&other.to_string()),
                }
            }
        });
    }
    w.descriptor(DATA);
    w.binary(body);
    out.to_vec()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use tokio::time::Instant;
    use txgen_azure::event_hubs::shared_access::sign;

    use super::*;
    use crate::event_hubs::options::EventHubsEmulatorOptions;
    use txgen_amqp::message::data_body;

    fn namespace() -> (Namespace, Now) {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        (Namespace::new(EventHubsEmulatorOptions::default(), now), now)
    }

    /// Posts with a token of the policy at this place among the options'; gives the status.
    fn post(
        namespace: &Namespace,
        now: Now,
        policy: usize,
        path: &str,
        more: &[(&'static str, &str)],
        body: &str,
    ) -> u16 {
        let policy = &namespace.options.policies[policy];
        let token = sign("sb://127.0.0.1/transactions", &policy.name, &policy.key, 4_000_000_000);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(token.secret()).unwrap());
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let sent = send(namespace, &path.parse().unwrap(), &headers, body.as_bytes(), now);
        sent.map_or_else(|Refused(status, _)| status.as_u16(), |()| 201)
    }

    #[test]
    fn an_event_is_stored_with_its_key_and_properties() {
        let (namespace, now) = namespace();
        let headers = [("brokerproperties", r#"{"PartitionKey":"us"}"#), ("colour", "\"red\"")];
        assert_eq!(post(&namespace, now, 1, "/transactions/messages?timeout=60", &headers, "body"), 201);
        // `us` belongs to partition 1 of 10.
        let events = namespace.hubs()[0].partition(1).unwrap().events();
        assert_eq!((events[0].key.as_deref(), data_body(&events[0].message)), (Some("us"), &b"body"[..]));
        assert!(events[0].message.windows(10).any(|window| window == b"colour\xa1\x03re"), "{events:?}");
    }

    #[test]
    fn a_batch_goes_to_one_partition_in_its_order() {
        let (namespace, now) = namespace();
        let body = r#"[{"Body":"one","UserProperties":{"n":1}},{"Body":{"two":2}}]"#;
        let headers = [("content-type", "application/vnd.microsoft.servicebus.json; charset=utf-8")];
        assert_eq!(post(&namespace, now, 1, "/transactions/partitions/3/messages", &headers, body), 201);
        let events = namespace.hubs()[0].partition(3).unwrap().events();
        let bodies: Vec<_> = events.iter().map(|event| data_body(&event.message)).collect();
        assert_eq!(bodies, [&b"one"[..], b"{\"two\":2}"]);
        assert_eq!(post(&namespace, now, 1, "/transactions/messages", &headers, "{}"), 400);
    }

    #[test]
    fn who_may_not_send_and_what_is_not_there_are_reported() {
        let (namespace, now) = namespace();
        assert_eq!(post(&namespace, now, 2, "/transactions/messages", &[], "x"), 401);
        assert_eq!(post(&namespace, now, 1, "/other/messages", &[], "x"), 401);
        assert_eq!(post(&namespace, now, 1, "/transactions/partitions/10/messages", &[], "x"), 400);
        assert_eq!(post(&namespace, now, 1, "/transactions", &[], "x"), 404);
        let without = send(&namespace, &"/transactions/messages".parse().unwrap(), &HeaderMap::new(), b"x", now);
        assert_eq!(without.unwrap_err().0, StatusCode::UNAUTHORIZED);
    }
}
