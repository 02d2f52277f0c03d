//! A region of the account: its connections, and the headers that every request to it has.

use std::num::NonZeroUsize;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Uri};
use tokio::time::Instant;
use url::Position;

use super::account::Location;
use super::authorization::Authorization;
use super::connection::Outgoing;
use super::dial::{BadEndpoint, Dialer};
use super::pool::{Exchange, Pool};
use super::request::Request;
use crate::settings::{Proxies, Proxy};

/// The version of the protocol: <https://learn.microsoft.com/rest/api/cosmos-db/#supported-rest-api-versions>.
const VERSION: HeaderValue = HeaderValue::from_static("2020-07-15");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("txgen/", env!("CARGO_PKG_VERSION")));
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// No body in the answer.
const MINIMAL: HeaderValue = HeaderValue::from_static("return=minimal");
const TRUE: HeaderValue = HeaderValue::from_static("true");

const X_MS_VERSION: HeaderName = HeaderName::from_static("x-ms-version");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PARTITION_KEY: HeaderName = HeaderName::from_static("x-ms-documentdb-partitionkey");
/// Regions of an account that is written to in several refuse writes without it, but for the first one.
const ALLOW_TENTATIVE_WRITES: HeaderName = HeaderName::from_static("x-ms-cosmos-allow-tentative-writes");

pub(super) struct Region {
    pub(super) location: Location,
    /// Each region that is changed to has the next number.
    pub(super) number: u64,
    pool: Pool,
    /// What is before each path where a proxy gets the requests as they are (RFC 9112, section 3.2.2).
    proxied: Option<String>,
    /// Of requests that create no document.
    of_others: HeaderMap,
    of_creates: HeaderMap,
}

impl Region {
    pub(super) fn new(
        location: Location,
        number: u64,
        most_connections: NonZeroUsize,
        proxies: &Proxies,
    ) -> Result<Self, BadEndpoint> {
        let endpoint = &location.endpoint;
        let dialer = Dialer::new(endpoint, proxies)?;
        let authority = &endpoint[Position::BeforeHost..Position::AfterPort];
        let host = HeaderValue::try_from(authority).map_err(|_| BadEndpoint::WithoutHost(endpoint.clone()))?;
        let mut every = HeaderMap::from_iter([(HOST, host), (USER_AGENT, AGENT), (X_MS_VERSION, VERSION)]);
        let plain_proxy = dialer.plain_proxy();
        if let Some(authorization) = plain_proxy.and_then(Proxy::authorization) {
            every.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let proxied = plain_proxy.map(|_| endpoint[..Position::AfterPort].to_owned());
        let mut of_others = every.clone();
        of_others.insert(ACCEPT, JSON);
        let mut of_creates = HeaderMap::with_capacity(16);
        of_creates.extend(every);
        of_creates.insert(CONTENT_TYPE, JSON);
        of_creates.insert(PREFER, MINIMAL);
        Ok(Self { pool: Pool::new(dialer, most_connections), location, number, proxied, of_others, of_creates })
    }

    /// The account is written to in several regions.
    pub(super) fn allow_tentative_writes(&mut self) {
        self.of_creates.insert(ALLOW_TENTATIVE_WRITES, TRUE);
    }

    fn target(&self, path: &Uri) -> Uri {
        let absolute = self.proxied.as_ref().and_then(|before| format!("{before}{path}").parse().ok());
        absolute.unwrap_or_else(|| path.clone())
    }

    /// Sends a request that creates no document.
    pub(super) async fn send(&self, request: &Request, authorization: &Authorization, deadline: Instant) -> Exchange {
        let Request { method, address, headers: own, body } = request;
        let request = || {
            let mut headers = self.of_others.clone();
            headers.extend(own.iter().cloned());
            authorization.clone().insert_into(&mut headers);
            outgoing(method.clone(), self.target(&address.path), headers, body.clone())
        };
        self.pool.exchange(deadline, request).await
    }

    /// Creates a document in the container whose documents are at `uri`.
    pub(super) async fn create(
        &self,
        uri: &Uri,
        authorization: Authorization,
        partition_key: HeaderValue,
        document: &Bytes,
        deadline: Instant,
    ) -> Exchange {
        let request = || {
            let mut headers = self.of_creates.clone();
            authorization.clone().insert_into(&mut headers);
            headers.insert(PARTITION_KEY, partition_key.clone());
            outgoing(Method::POST, self.target(uri), headers, document.clone())
        };
        self.pool.exchange(deadline, request).await
    }
}

fn outgoing(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Outgoing {
    let mut request = hyper::Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}
