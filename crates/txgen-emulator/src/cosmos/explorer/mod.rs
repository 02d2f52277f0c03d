//! The page at `/_explorer/`: what the services hold, for a person with a browser.
//!
//! It is drawn here, without a script, and changes nothing: it is asked for by GET alone, and the queries that it runs are
//! those of any client, which spend request units. Who may see it is who may read: with a key of one's own, the browser asks
//! for it, as the password. A site elsewhere can neither read the page under a name of its own nor run queries through it.

mod page;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Host, Url, form_urlencoded};

use super::call::Call;
use super::catalog::Account;
use super::routes;
use super::trouble::Outgoing;
use crate::event_hubs::{EventHubsView, EventView, HubView};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Results of a query that are shown.
const MOST_RESULTS: &str = "50";
/// Bytes of a document, and of an event, that are shown.
const MOST_BYTES: usize = 8 * 1024;
/// Events of a partition that are shown.
const MOST_EVENTS: u16 = 25;
/// What is asked of a container when nothing is.
const EVERYTHING: &str = "SELECT * FROM c";
/// Nothing is loaded from anywhere, and forms go nowhere else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the page shows, and who may see it.
pub(super) struct Explorer {
    event_hubs: Option<EventHubsView>,
    /// The hash of the account key, where that is a secret.
    key: Option<[u8; 32]>,
}

/// Whether a request asks for it.
pub(super) fn is_asked(uri: &Uri) -> bool {
    uri.path() == "/_explorer" || uri.path().starts_with("/_explorer/")
}

/// What a request wants to see.
#[derive(Default)]
struct Wanted {
    hub: Option<String>,
    partition: Option<u32>,
    database: Option<String>,
    container: Option<String>,
    query: Option<String>,
}

/// A container, in figures.
struct ContainerView {
    database: String,
    name: String,
    key: String,
    documents: usize,
    bytes: u64,
    partitions: usize,
    /// RU/s, and whether they are the database's.
    throughput: u32,
    is_shared: bool,
}

/// The latest events of a partition.
struct Events {
    hub: String,
    partition: u32,
    /// Nothing without such a partition.
    events: Option<Vec<EventView>>,
}

/// A query, and what has come of it.
struct Asked {
    database: String,
    container: String,
    query: String,
    answer: Result<Results, String>,
}

struct Results {
    items: Vec<String>,
    /// In RU.
    charge: String,
    has_more: bool,
}

/// All that is shown.
struct Shown {
    hubs: Option<Vec<HubView>>,
    databases: Vec<String>,
    containers: Vec<ContainerView>,
    events: Option<Events>,
    asked: Option<Asked>,
}

impl Explorer {
    /// A page that shows these event hubs too, to everyone where the key is the one that everyone knows.
    pub(super) fn new(event_hubs: Option<EventHubsView>, key: &str) -> Self {
        let key = (key != super::WELL_KNOWN_KEY).then(|| Sha256::digest(key).into());
        Self { event_hubs, key }
    }

    /// The page.
    pub(super) async fn answer(
        &self,
        account: &Account,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response<Outgoing> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "This page is for GET alone.");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if !is_address(uri, headers) {
            let what = "This page is shown under an address of this machine, such as 127.0.0.1 or localhost, and under no \
                        other name: a site elsewhere could read it else.";
            return text(StatusCode::FORBIDDEN, what);
        }
        if !self.lets_in(headers) {
            let mut response =
                text(StatusCode::UNAUTHORIZED, "The password is the account key; any user name will do.");
            let realm = HeaderValue::from_static("Basic realm=\"the account key is the password\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return response;
        }
        let wanted = Wanted::read(uri);
        let comes_from_elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if comes_from_elsewhere && wanted.query.is_some() {
            return text(StatusCode::FORBIDDEN, "A query is run from this page, and not from a link on another site.");
        }
        let shown = self.gather(account, wanted).await;
        let mut response = Response::new(Outgoing::whole(Bytes::from(page::draw(&shown).into_string())));
        finish(&mut response, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.key else { return true };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
        let given = given.as_ref().and_then(|given| given.splitn(2, |byte| *byte == b':').nth(1));
        // Hashes are compared, so that the time says nothing of the key.
        given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given)) == *key)
    }

    async fn gather(&self, account: &Account, wanted: Wanted) -> Shown {
        let now = account.clock.unix();
        let databases = account.databases();
        let mut containers = Vec::new();
        for database in &databases {
            for container in database.containers() {
                let (documents, bytes) = {
                    let store = container.store();
                    (store.live(now), store.bytes())
                };
                let throughput = container.throughput();
                containers.push(ContainerView {
                    database: database.id.clone(),
                    name: container.id.clone(),
                    key: container
                        .key
                        .paths()
                        .iter()
                        .map(|path| format!("/{}", path.join("/")))
                        .collect::<Vec<_>>()
                        .join(", "),
                    documents,
                    bytes,
                    partitions: container.ranges().0.len(),
                    throughput: throughput.0,
                    is_shared: throughput.1,
                });
            }
        }
        let events = match (&self.event_hubs, wanted.hub) {
            (Some(view), Some(hub)) => {
                let partition = wanted.partition.unwrap_or(0);
                let events = view.latest(&hub, partition, MOST_EVENTS, MOST_BYTES);
                Some(Events { hub, partition, events })
            }
            _ => None,
        };
        let asked = match (wanted.database, wanted.container) {
            (Some(database), Some(container)) => {
                let query = wanted.query.filter(|query| !query.trim().is_empty());
                Some(ask(account, database, container, query.unwrap_or_else(|| EVERYTHING.to_owned())).await)
            }
            _ => None,
        };
        let databases = databases.iter().map(|database| database.id.clone()).collect();
        Shown { hubs: self.event_hubs.as_ref().map(EventHubsView::hubs), databases, containers, events, asked }
    }
}

impl Wanted {
    fn read(uri: &Uri) -> Self {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "hub" => wanted.hub = Some(value),
                "partition" => wanted.partition = value.parse().ok(),
                "database" => wanted.database = Some(value),
                "container" => wanted.container = Some(value),
                "query" => wanted.query = Some(value),
                _ => {}
            }
        }
        wanted
    }
}

/// Whether the page is asked for under an address, and not under a name that someone else could have given to it.
fn is_address(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
    let url = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Asks a query as any client does.
async fn ask(account: &Account, database: String, container: String, query: String) -> Asked {
    let answer = match request(&database, &container) {
        Some(call) => match routes::answer(account, &call, Bytes::from(json!({ "query": query }).to_string())).await {
            Ok(answer) => results(answer.finish("")).await,
            Err(failure) => Err(failure.message),
        },
        None => Err("There is no such container.".to_owned()),
    };
    Asked { database, container, query, answer }
}

fn request(database: &str, container: &str) -> Option<Call> {
    let encoded = |name| utf8_percent_encode(name, NON_ALPHANUMERIC);
    let path = format!("/dbs/{}/colls/{}/docs", encoded(database), encoded(container));
    let headers = [
        ("x-ms-documentdb-isquery", "true"),
        ("x-ms-documentdb-query-enablecrosspartition", "true"),
        ("x-ms-max-item-count", MOST_RESULTS),
        // From all partitions at once.
        ("x-ms-start-epk", ""),
        ("x-ms-end-epk", "FF"),
    ];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Some(Call::new(Method::POST, &path.parse().ok()?, headers.map(header).into_iter().collect()))
}

async fn results(response: Response<Outgoing>) -> Result<Results, String> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    let mut feed: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let Value::Array(items) = feed["Documents"].take() else { return Err("The answer has no results.".to_owned()) };
    let show = |item: &Value| {
        let text = serde_json::to_string_pretty(item).unwrap_or_default();
        match text.char_indices().nth(MOST_BYTES) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(Results {
        items: items.iter().map(show).collect(),
        charge: header("x-ms-request-charge").unwrap_or("0").to_owned(),
        has_more: header("x-ms-continuation").is_some(),
    })
}

fn text(status: StatusCode, what: &'static str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(Bytes::from_static(what.as_bytes())));
    *response.status_mut() = status;
    finish(&mut response, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn finish(response: &mut Response<Outgoing>, kind: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests;
