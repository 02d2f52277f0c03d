//! A request taken apart: which resource it is about, and what its headers ask for.

use hyper::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use super::auth::Signed;
use super::failure::Failure;
use super::key_definition::KeyValues;

/// The most documents on a page when the client leaves it to the service.
const LARGEST_PAGE: usize = 1000;
/// The most documents on a page when the client says nothing.
const USUAL_PAGE: usize = 100;

/// A request without its body.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The path's parts, decoded: `dbs`, `Woodgrove`, `colls`…
    path: Vec<String>,
    /// [`Self::path`], joined.
    link: String,
    /// The host and port that the client calls this server by, from the address in HTTP/2.
    authority: Option<String>,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Account,
    Databases,
    Database(&'a str),
    Containers(&'a str),
    Container(&'a str, &'a str),
    Ranges(&'a str, &'a str),
    Documents(&'a str, &'a str),
    Document(&'a str, &'a str, &'a str),
    /// The deletion of all documents under one partition key.
    DeleteByKey(&'a str, &'a str),
    /// The conflicts of a container, or one of them.
    Conflicts(&'a str, &'a str, Option<&'a str>),
    Offers,
    Offer(&'a str),
    /// Something that the service may have and this emulator has not.
    Other,
}

impl Call {
    pub(super) fn new(method: Method, uri: &Uri, headers: HeaderMap) -> Self {
        let part = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let path: Vec<String> = uri.path().split('/').filter(|part| !part.is_empty()).map(part).collect();
        let link = path.join("/");
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        Self { method, headers, path, link, authority }
    }

    /// The host and port that the client calls this server by.
    pub(super) fn host(&self) -> Option<&str> {
        self.authority.as_deref().or_else(|| self.header("host"))
    }

    pub(super) fn resource(&self) -> Resource<'_> {
        // Seven parts at most are looked at; what is longer is nothing that exists here.
        let mut parts = [""; 7];
        for (to, from) in parts.iter_mut().zip(&self.path) {
            *to = from;
        }
        match parts {
            ["", ..] => Resource::Account,
            ["dbs", "", ..] => Resource::Databases,
            ["dbs", database, "", ..] => Resource::Database(database),
            ["dbs", database, "colls", "", ..] => Resource::Containers(database),
            ["dbs", database, "colls", container, "", ..] => Resource::Container(database, container),
            ["dbs", database, "colls", container, "pkranges", "", ..] => Resource::Ranges(database, container),
            ["dbs", database, "colls", container, "docs", "", ..] => Resource::Documents(database, container),
            ["dbs", database, "colls", container, "docs", id, ""] => Resource::Document(database, container, id),
            ["dbs", database, "colls", container, "operations", "partitionkeydelete", ""] => {
                Resource::DeleteByKey(database, container)
            }
            ["dbs", database, "colls", container, "conflicts", id, ""] => {
                Resource::Conflicts(database, container, Some(id).filter(|id| !id.is_empty()))
            }
            ["offers", "", ..] => Resource::Offers,
            ["offers", offer, "", ..] => Resource::Offer(offer),
            _ => Resource::Other,
        }
    }

    /// What the signature of this request must cover. A feed is signed by its parent, anything else by itself.
    pub(super) fn signed(&self) -> Signed<'_> {
        let is_feed = self.path.len() % 2 == 1;
        let (resource_type, resource_link) = match self.path.as_slice() {
            [] => ("", ""),
            // An operation on a container's partition keys is signed as one of them.
            [container @ .., operations, _] if container.len() == 4 && operations == "operations" => {
                let length = container.iter().map(|part| part.len() + 1).sum::<usize>() - 1;
                ("partitionkey", self.link.get(..length).unwrap_or_default())
            }
            [.., last] if is_feed => (last.as_str(), self.link.strip_suffix(last.as_str()).unwrap_or_default()),
            [.., kind, _] => (kind.as_str(), self.link.as_str()),
            [_] => ("", ""),
        };
        Signed { verb: self.method.as_str(), resource_type, resource_link: resource_link.trim_end_matches('/') }
    }

    /// The path as it would stand in a signature, for messages.
    pub(super) fn link(&self) -> &str {
        &self.link
    }

    /// What a path that leads to nothing here would be in the service, for messages.
    pub(super) fn kind(&self) -> &'static str {
        let of = |part: &String| match part.as_str() {
            "sprocs" => Some("stored procedures: "),
            "triggers" => Some("triggers: "),
            "udfs" => Some("user-defined functions: "),
            "users" => Some("users: "),
            "permissions" => Some("permissions: "),
            "attachments" => Some("attachments: "),
            "clientencryptionkeys" => Some("client encryption keys: "),
            _ => None,
        };
        self.path.iter().rev().find_map(of).unwrap_or_default()
    }

    /// A header's text.
    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a header says `true`.
    pub(super) fn is(&self, name: &'static str) -> bool {
        self.header(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether the body is a query, and the answer a feed.
    pub(super) fn is_query(&self) -> bool {
        self.is("x-ms-documentdb-isquery")
            || self.is("x-ms-documentdb-query")
            || self.header("content-type").is_some_and(|kind| kind.starts_with("application/query+json"))
    }

    /// Whether the body is a query of which the client wants the plan.
    pub(super) fn is_query_plan(&self) -> bool {
        self.is("x-ms-cosmos-is-query-plan-request")
    }

    /// Whether a feed is asked for what changed.
    pub(super) fn is_change_feed(&self) -> bool {
        self.headers.contains_key("a-im")
    }

    /// Whether it is asked for all that happened, deletions included, rather than for the latest versions.
    pub(super) fn wants_all_versions(&self) -> bool {
        self.header("a-im").is_some_and(|value| !value.eq_ignore_ascii_case("incremental feed"))
    }

    /// Whether an answer to a write is to do without the resource.
    pub(super) fn wants_no_body(&self) -> bool {
        self.header("prefer").is_some_and(|value| value.contains("return=minimal"))
    }

    /// Where a feed goes on. Java's client writes an empty header where it begins.
    pub(super) fn continuation(&self) -> Option<&str> {
        self.header("x-ms-continuation").filter(|token| !token.is_empty())
    }

    /// The partition key that the request is limited to, or the beginning of one.
    pub(super) fn partition_key(&self) -> Result<Option<KeyValues>, Failure> {
        // Values beyond ASCII are sent as they are by some clients: UTF-8.
        let Some(value) = self.headers.get("x-ms-documentdb-partitionkey") else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes()).ok();
        match text.and_then(KeyValues::from_header) {
            Some(key) => Ok(Some(key)),
            None => Err(Failure::bad_request(
                "The header x-ms-documentdb-partitionkey must hold an array of texts, numbers, booleans or nulls, such \
                 as [\"us\"].",
            )),
        }
    }

    /// The id of the partition key range that the request is limited to.
    pub(super) fn range_id(&self) -> Option<&str> {
        // Some clients write the container's _rid before it.
        let value = self.header("x-ms-documentdb-partitionkeyrangeid")?;
        Some(value.rsplit(',').next().unwrap_or(value))
    }

    /// The bounds of the hashes that the request is limited to by `x-ms-start-epk` and `x-ms-end-epk`.
    pub(super) fn bounds(&self) -> Option<(&str, &str)> {
        match (self.header("x-ms-start-epk"), self.header("x-ms-end-epk")) {
            (None, None) => None,
            (start, end) => Some((start.unwrap_or(""), end.unwrap_or("FF"))),
        }
    }

    /// Whether the request may be answered from all partitions at once.
    pub(super) fn crosses_partitions(&self) -> bool {
        self.is("x-ms-documentdb-query-enablecrosspartition")
    }

    /// How many documents may be on a page.
    pub(super) fn page_size(&self) -> usize {
        match self.header("x-ms-max-item-count").and_then(|value| value.trim().parse::<i64>().ok()) {
            Some(count @ 1..) => usize::try_from(count).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE),
            Some(_) => LARGEST_PAGE,
            None => USUAL_PAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: Method, path: &str) -> Call {
        Call::new(method, &path.parse().unwrap(), HeaderMap::new())
    }

    #[test]
    fn paths_name_resources_with_or_without_a_slash_at_the_end() {
        let named = |path: &str, resource: Resource<'_>| {
            assert_eq!(call(Method::GET, path).resource(), resource, "{path}");
            assert_eq!(call(Method::GET, &format!("{path}/")).resource(), resource, "{path}/");
        };
        named("/", Resource::Account);
        named("/dbs", Resource::Databases);
        named("/dbs/d", Resource::Database("d"));
        named("/dbs/colls/colls", Resource::Containers("colls"));
        named("/dbs/d/colls/c", Resource::Container("d", "c"));
        named("/dbs/d/colls/c/pkranges", Resource::Ranges("d", "c"));
        named("/dbs/d/colls/c/docs", Resource::Documents("d", "c"));
        named("/dbs/d/colls/c/docs/a%20b", Resource::Document("d", "c", "a b"));
        named("/offers/x", Resource::Offer("x"));
        named("/dbs/d/users", Resource::Other);
        named("/dbs/d/colls/c/docs/a/attachments", Resource::Other);
    }

    #[test]
    fn a_feed_is_signed_by_its_parent_and_a_resource_by_itself() {
        let signed = |path: &str| {
            let call = call(Method::GET, path);
            let signed = call.signed();
            (signed.resource_type.to_owned(), signed.resource_link.to_owned())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(signed("/"), pair("", ""));
        assert_eq!(signed("/dbs"), pair("dbs", ""));
        assert_eq!(signed("/dbs/d/"), pair("dbs", "dbs/d"));
        assert_eq!(signed("/dbs/d/colls/c/docs"), pair("docs", "dbs/d/colls/c"));
        assert_eq!(signed("/dbs/d/colls/c/operations/partitionkeydelete"), pair("partitionkey", "dbs/d/colls/c"));
        assert_eq!(signed("/dbs/d/colls/c/docs/%C3%A9"), pair("docs", "dbs/d/colls/c/docs/é"));
    }

    #[test]
    fn page_sizes_are_bounded() {
        let size = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(value.map(|v| {
                (
                    hyper::header::HeaderName::from_static("x-ms-max-item-count"),
                    hyper::header::HeaderValue::from_static(v),
                )
            }));
            Call::new(Method::GET, &"/".parse().unwrap(), headers).page_size()
        };
        assert_eq!(size(None), 100);
        assert_eq!(size(Some("-1")), 1000);
        assert_eq!(size(Some("7")), 7);
        assert_eq!(size(Some("99999999999999999999")), 100);
        assert_eq!(size(Some("5000")), 1000);
    }
}
