//! What a fuzzer takes through the account: requests of any kind, and queries.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::time::Duration;

use azure_core::credentials::Secret;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::WELL_KNOWN_KEY;
use super::auth::Gate;
use super::call::Call;
use super::catalog::{Account, Limits, Reach};
use super::routes;

/// Requests of one input at most.
const MOST_REQUESTS: usize = 64;
/// What stands between two requests: a line of its own.
const NEXT: &[u8] = b"\n%%\n";
/// Bytes of memory that the documents may take.
const MEMORY: u64 = 64 * 1024;
/// Pages that no answer to a query over [`DOCUMENTS`] may need.
const MOST_PAGES: usize = 40;
const ID: HeaderName = HeaderName::from_static("x-ms-documentdb-isquery");
const PLAN: HeaderName = HeaderName::from_static("x-ms-cosmos-is-query-plan-request");
const PAGE_SIZE: HeaderName = HeaderName::from_static("x-ms-max-item-count");
const END: HeaderName = HeaderName::from_static("x-ms-end-epk");
const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");

/// An answer.
struct Heard {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Takes requests through an account that has a database `d` with the containers `c` (partition key `/k`, time to live
/// on) and `n` (`/a/b`). A request is its method and path in one line, a line `name: value` for each header, an empty
/// line, and a body; the next one follows after a line `%%`. `SKIP n` puts the clock forward by as many milliseconds.
///
/// # Panics
/// When an answer is none that the service may give, or the books do not balance in the end.
pub fn requests(data: &[u8]) {
    let (runtime, account) = (runtime(), account(true));
    runtime.block_on(async {
        for request in split(data, NEXT).take(MOST_REQUESTS) {
            let (head, body) = cut(request, b"\n\n").unwrap_or((request, b""));
            let mut lines = head.split(|byte| *byte == b'\n');
            let Some(Ok(first)) = lines.next().map(std::str::from_utf8) else { continue };
            let Some((method, path)) = first.split_once(' ') else { continue };
            if method == "SKIP" {
                let by = Duration::from_millis(path.parse().map_or(1, |ms: u64| ms.min(1 << 40)));
                account.clock.skip(by);
                account.expire(10).await;
                continue;
            }
            let (Ok(method), Ok(path)) = (method.parse(), path.parse()) else { continue };
            let headers = lines.filter_map(|line| {
                let (name, value) = cut(line, b": ")?;
                Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
            });
            ask(&account, method, &path, headers.collect(), Bytes::copy_from_slice(body)).await;
        }
    });
    let mut weight = 0;
    for container in account.containers() {
        let store = container.store();
        weight += store.check();
        assert!(store.live(account.clock.unix()) <= store.scan(&EVERYTHING, None, 0).count());
    }
    assert_eq!(account.memory(), weight, "what is counted as memory is not what the documents take");
    assert!(weight <= MEMORY, "{weight} bytes are more than the limit");
}

const EVERYTHING: std::ops::Range<super::partition_key::Epk> =
    super::partition_key::Epk::MIN..super::partition_key::Epk::MAX;

/// Asks a query of some documents, and for its plan. The text ends at the first NUL; behind it may be the parameters as
/// JSON.
///
/// # Panics
/// When pages of few results do not add up to what one page gives, when they do not end, or when the query that a plan
/// makes clients send is refused.
pub fn queries(data: &[u8]) {
    let (text, parameters) = cut(data, b"\0").unwrap_or((data, b"[]"));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let parameters: Value = serde_json::from_slice(parameters).unwrap_or_else(|_| json!([]));
    let body = Bytes::from(json!({ "query": text, "parameters": parameters }).to_string());
    let (runtime, account) = (runtime(), account(false));
    runtime.block_on(async {
        for document in DOCUMENTS {
            let key = serde_json::from_str::<Value>(document).unwrap()["k"].take();
            let key = if key.is_null() { json!({}) } else { key };
            let headers = [(KEY, HeaderValue::from_str(&json!([key]).to_string()).unwrap())];
            let stored = ask(&account, Method::POST, &path(DOCS), headers.into_iter().collect(), document.into()).await;
            assert_eq!(stored.status, StatusCode::CREATED);
        }
        let whole = pages(&account, &body, "1000").await;
        let parts = pages(&account, &body, "2").await;
        if let (Some(whole), Some(parts)) = (&whole, &parts) {
            assert_eq!(whole, parts, "pages do not add up");
        }
        let headers = [(PLAN, HeaderValue::from_static("true"))].into_iter().collect();
        let plan = ask(&account, Method::POST, &path(DOCS), headers, body).await;
        if plan.status == StatusCode::OK {
            let plan: Value = serde_json::from_slice(&plan.body).unwrap();
            let rewritten = plan["queryInfo"]["rewrittenQuery"].as_str().unwrap_or_default();
            let rewritten = rewritten.replace("{documentdb-formattableorderbyquery-filter}", "true");
            if !rewritten.is_empty() {
                let body = json!({ "query": rewritten }).to_string().into();
                assert!(pages(&account, &body, "1000").await.is_some(), "a plan's query is refused: {rewritten}");
            }
        }
    });
}

const DOCS: &str = "/dbs/d/colls/c/docs";
const KEY: HeaderName = HeaderName::from_static("x-ms-documentdb-partitionkey");
/// Values of all types, some of them in few documents only.
const DOCUMENTS: [&str; 9] = [
    r#"{"id":"1","k":"us","n":1,"s":"one","b":true,"o":{"x":1,"y":[1,2]},"a":[1,"a",null]}"#,
    r#"{"id":"2","k":"us","n":2.5,"s":"two","b":false,"o":{"x":2},"a":[]}"#,
    r#"{"id":"3","k":"gb","n":-3,"s":"","b":null,"o":{},"a":[[1]]}"#,
    r#"{"id":"4","k":"gb","n":1e300,"s":"\u00e9\"\\","z":0}"#,
    r#"{"id":"5","k":"de","n":"text","s":5,"b":"true"}"#,
    r#"{"id":"6","k":"","n":null}"#,
    r#"{"id":"7","k":1}"#,
    r#"{"id":"8","k":true,"n":1,"s":"one"}"#,
    r#"{"id":"9","n":0}"#,
];

/// All results of a query, on pages of this size; nothing when it is refused.
async fn pages(account: &Account, body: &Bytes, size: &'static str) -> Option<Vec<Value>> {
    let (mut results, mut continuation) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let mut headers = HeaderMap::new();
        headers.insert(ID, HeaderValue::from_static("true"));
        headers.insert(PAGE_SIZE, HeaderValue::from_static(size));
        headers.insert(END, HeaderValue::from_static("FF"));
        continuation.map(|token| headers.insert(CONTINUATION, token));
        let page = ask(account, Method::POST, &path(DOCS), headers, body.clone()).await;
        if page.status != StatusCode::OK {
            return None;
        }
        let mut page_body: Value = serde_json::from_slice(&page.body).unwrap();
        let Value::Array(items) = page_body["Documents"].take() else { panic!("no documents in {page_body}") };
        results.extend(items);
        continuation = page.headers.get(CONTINUATION).cloned();
        if continuation.is_none() {
            return Some(results);
        }
    }
    panic!("pages without an end");
}

/// One request, and what the service may answer.
async fn ask(account: &Account, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Heard {
    let call = Call::new(method, uri, headers);
    // Nothing is signed here; that no token makes the check panic is all.
    let _ = routes::authorize(account, &call);
    let response = match routes::answer(account, &call, body).await {
        Ok(answer) => answer.finish("fuzzing"),
        Err(failure) => failure.answer("fuzzing").finish("fuzzing"),
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let status = head.status;
    assert!(status.as_u16() < 500 || status == StatusCode::INSUFFICIENT_STORAGE, "{status}");
    assert!(head.headers.contains_key("x-ms-request-charge"), "what did it cost?");
    if !body.is_empty() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&body).expect("an answer is not JSON");
    }
    Heard { status, headers: head.headers, body }
}

fn account(limited: bool) -> Account {
    let gate = Gate::new(&Secret::new(WELL_KNOWN_KEY), true).unwrap();
    let account = Account::new(gate, Limits { throughput: limited, memory: limited.then_some(MEMORY) }, Reach::HTTP);
    let create = |path: &str, body: &str| {
        let headers = [("x-ms-offer-throughput", "20000")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers = if path == "/dbs" { headers.into_iter().collect() } else { HeaderMap::new() };
        let call = Call::new(Method::POST, &self::path(path), headers);
        let created = runtime().block_on(routes::answer(&account, &call, Bytes::copy_from_slice(body.as_bytes())));
        assert!(created.is_ok());
    };
    create("/dbs", r#"{"id":"d"}"#);
    create("/dbs/d/colls", r#"{"id":"c","partitionKey":{"paths":["/k"],"kind":"Hash","version":2},"defaultTtl":-1}"#);
    create("/dbs/d/colls", r#"{"id":"n","partitionKey":{"paths":["/a/b"],"kind":"Hash","version":2}}"#);
    account
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn path(text: &str) -> Uri {
    text.parse().unwrap()
}

/// What is before and after the first of these.
fn cut<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..start], &bytes[start + at.len()..]))
}

/// The parts between these.
fn split<'a>(bytes: &'a [u8], at: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (part, after) = cut(bytes, at).map_or((bytes, None), |(part, after)| (part, Some(after)));
        rest = after;
        Some(part)
    })
}

/// Reads a log back, up to the first record that it cannot have.
///
/// # Panics
/// When what comes of it breaks a promise.
pub(crate) fn log(records: &[Vec<u8>]) {
    let gate = Gate::new(&Secret::new(WELL_KNOWN_KEY), true).unwrap();
    let account = Account::new(gate, Limits { throughput: true, memory: None }, Reach::HTTP);
    account.restore_records(records);
    let mut weight = 0;
    for container in account.containers() {
        container.to_json();
        assert!(!container.ranges().0.is_empty());
        weight += container.store().check();
    }
    account.offers().iter().for_each(|offer| drop(offer.to_json()));
    assert_eq!(account.memory(), weight, "what is counted as memory is not what the documents take");
}
