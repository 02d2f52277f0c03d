//! One request to the account that is no create, and the answer to it.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use txgen_azure::cosmos::authorization::Signed;

use super::answered::{impossible, no_token, refused, unanswered, unreadable};
use super::authorization::{Credential, NoCredential};
use super::connection::Answered;
use super::region::Region;
use crate::service::cosmos::answer::RequestError;

/// What a segment of a path cannot have (RFC 3986, section 3.3).
const NO_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path to a resource, or to a feed of resources, and how it is signed.
/// <https://learn.microsoft.com/rest/api/cosmos-db/cosmosdb-resource-uri-syntax-for-rest>
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) path: Uri,
    pub(super) resource_type: String,
    /// A feed is signed by its parent, anything else by itself.
    pub(super) resource_link: String,
}

impl Address {
    /// `["dbs", NAME, "colls"]` is the feed of a database's containers; no segment at all is the account.
    pub(super) fn of(segments: &[&str]) -> Result<Self, RequestError> {
        let path: String = segments
            .iter()
            .flat_map(|segment| ["/".into(), utf8_percent_encode(segment, NO_SEGMENT).to_string()])
            .collect();
        let path = Uri::try_from(if path.is_empty() { "/" } else { &path }).map_err(impossible)?;
        let (resource_type, link) = match segments {
            [] => ("", segments),
            [parent @ .., feed] if segments.len() % 2 == 1 => (*feed, parent),
            [.., kind, _] => (*kind, segments),
            [_] => ("", segments),
        };
        Ok(Self { path, resource_type: resource_type.to_owned(), resource_link: link.join("/") })
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) address: Address,
    /// Besides those that every request has.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn get(address: Address) -> Self {
        Self { method: Method::GET, address, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn post(address: Address, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(address) }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends it, signed. An answer is returned if it is a success, or says that there is nothing new (304).
    pub(super) async fn send(
        &self,
        region: &Region,
        credential: &Credential,
        deadline: Instant,
    ) -> Result<Answered, RequestError> {
        let began = Instant::now();
        let Address { resource_type, resource_link, .. } = &self.address;
        let signed = Signed { verb: self.method.as_str(), resource_type, resource_link };
        let authorization = match timeout_at(deadline, credential.authorize(signed)).await {
            Ok(authorization) => authorization.map_err(|NoCredential(reason)| no_token(&reason))?,
            Err(_) => return Err(no_token("it did not come in time")),
        };
        match region.send(self, &authorization, deadline).await.result {
            Ok(answered) => {
                let status = answered.head.status;
                let is_good = status.is_success() || status == StatusCode::NOT_MODIFIED;
                if is_good { Ok(answered) } else { Err(refused(&answered)) }
            }
            Err(error) => Err(unanswered(error, began.elapsed())),
        }
    }
}

/// The body of an answer, whole.
pub(super) fn body(answered: Answered) -> Result<Bytes, RequestError> {
    answered.body.map_err(|reason| RequestError::unanswered(503, true, reason))
}

/// The body of an answer, as JSON.
pub(super) fn json<T: DeserializeOwned>(answered: Answered) -> Result<T, RequestError> {
    serde_json::from_slice(&body(answered)?).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_signed_by_its_parent_and_a_resource_by_itself() {
        for (segments, path, resource_type, resource_link) in [
            (&[][..], "/", "", ""),
            (&["dbs"], "/dbs", "dbs", ""),
            (&["dbs", "d"], "/dbs/d", "dbs", "dbs/d"),
            (&["dbs", "d", "colls"], "/dbs/d/colls", "colls", "dbs/d"),
            (&["dbs", "d", "colls", "c", "docs"], "/dbs/d/colls/c/docs", "docs", "dbs/d/colls/c"),
            (&["offers"], "/offers", "offers", ""),
        ] {
            let address = Address::of(segments).unwrap();
            assert_eq!((address.path.path(), &*address.resource_type), (path, resource_type));
            assert_eq!(address.resource_link, resource_link);
        }
    }

    #[test]
    fn names_are_encoded_in_the_path_and_signed_as_they_are() {
        let address = Address::of(&["dbs", "Käse & Wein/1"]).unwrap();
        assert_eq!(address.path.path(), "/dbs/K%C3%A4se%20&%20Wein%2F1");
        assert_eq!(address.resource_link, "dbs/Käse & Wein/1");
    }
}
