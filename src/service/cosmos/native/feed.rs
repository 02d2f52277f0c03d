//! The documents of the container, page by page: queries, and the partition key ranges that documents are read by.

use std::collections::HashSet;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answered::impossible;
use super::connection::Answered;
use super::key_header;
use super::request::{Request, json};
use super::resources::{Query, Resources, TRUE};
use crate::service::cosmos::answer::RequestError;
use crate::service::retry::ATTEMPT_TIMEOUT;

const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");
const PARTITION_KEY: HeaderName = HeaderName::from_static("x-ms-documentdb-partitionkey");
pub(super) const RANGE_ID: HeaderName = HeaderName::from_static("x-ms-documentdb-partitionkeyrangeid");
const CROSS_PARTITION: HeaderName = HeaderName::from_static("x-ms-documentdb-query-enablecrosspartition");
pub(super) const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-ms-session-token");

/// How long a continuation may be, in KB: it has to fit into the head of an answer.
/// <https://learn.microsoft.com/dotnet/api/microsoft.azure.cosmos.queryrequestoptions.responsecontinuationtokenlimitinkb>
const CONTINUATION_LIMIT: HeaderName = HeaderName::from_static("x-ms-documentdb-responsecontinuationtokenlimitinkb");
const ONE: HeaderValue = HeaderValue::from_static("1");

/// Pages of partition key ranges at most: each has a hundred or more of them, and a container has no ten thousand.
const MOST_PAGES_OF_RANGES: usize = 100;

/// A document, without the order of its properties.
pub type Document = Map<String, Value>;

/// What a query is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Scope {
    Key(String),
    Range(KeyRange),
}

/// A partition key range: one physical partition, as the service counts them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct KeyRange {
    pub(in super::super) id: String,
    /// The first hash of a partition key that is in it, in hexadecimal digits.
    pub(in super::super) min_inclusive: String,
    /// The first one after it.
    pub(in super::super) max_exclusive: String,
    /// The ranges that it comes from.
    #[serde(default)]
    parents: Option<Vec<String>>,
}

/// A page of documents.
#[derive(Debug)]
pub(in super::super) struct Page {
    pub(in super::super) documents: Vec<Document>,
    /// Where the next page begins; `None` after the last one.
    pub(in super::super) continuation: Option<HeaderValue>,
}

/// The body of a page.
#[derive(Deserialize)]
pub(super) struct Documents {
    #[serde(rename = "Documents")]
    pub(super) documents: Vec<Document>,
}

impl KeyRange {
    pub(in super::super) fn parents(&self) -> &[String] {
        self.parents.as_deref().unwrap_or_default()
    }

    /// Whether a part of the other one is in it.
    pub(in super::super) fn overlaps(&self, other: &Self) -> bool {
        self.min_inclusive < other.max_exclusive && other.min_inclusive < self.max_exclusive
    }

    /// Whether all of the other one is in it.
    pub(in super::super) fn contains(&self, other: &Self) -> bool {
        self.min_inclusive <= other.min_inclusive && other.max_exclusive <= self.max_exclusive
    }
}

impl Resources {
    /// The partition key ranges of the container, in their order.
    /// <https://learn.microsoft.com/rest/api/cosmos-db/get-partition-key-ranges>
    pub(in super::super) async fn key_ranges(&self) -> Result<Vec<KeyRange>, RequestError> {
        #[derive(Deserialize)]
        struct Ranges {
            #[serde(rename = "PartitionKeyRanges")]
            ranges: Vec<KeyRange>,
        }
        let request = Request::get(self.address_of_container(&["pkranges"])?);
        let (mut ranges, mut next) = (Vec::new(), None);
        for _ in 0..MOST_PAGES_OF_RANGES {
            let answered = self.read(continued(request.clone(), next.as_ref())).await?;
            next = answered.head.headers.get(CONTINUATION).cloned();
            ranges.append(&mut json::<Ranges>(answered)?.ranges);
            if next.is_none() {
                break;
            }
        }
        // While a range is split there are moments at which some are not there yet.
        current(ranges).ok_or_else(|| {
            let reason = "the partition key ranges do not cover the container".to_owned();
            RequestError::unanswered(503, false, reason)
        })
    }

    /// A page of a query, which shows at least what `session` tells of.
    /// <https://learn.microsoft.com/rest/api/cosmos-db/query-documents>
    pub(in super::super) async fn query(
        &self,
        query: &Query,
        scope: &Scope,
        continuation: Option<&HeaderValue>,
        session: Option<&str>,
    ) -> Result<Page, RequestError> {
        let request = query.request(self.address_of_container(&["docs"])?).with(CONTINUATION_LIMIT, ONE);
        let request = match scope {
            Scope::Key(key) => request.with(PARTITION_KEY, value(key_header(key))?),
            Scope::Range(range) => request.with(RANGE_ID, value(&*range.id)?).with(CROSS_PARTITION, TRUE),
        };
        let request = match session {
            Some(session) => request.with(SESSION_TOKEN, value(session)?),
            None => request,
        };
        let answered = self.read(continued(request, continuation)).await?;
        let continuation = answered.head.headers.get(CONTINUATION).cloned();
        Ok(Page { documents: json::<Documents>(answered)?.documents, continuation })
    }

    pub(super) async fn read(&self, request: Request) -> Result<Answered, RequestError> {
        request.send(&self.reads, &self.credential, Instant::now() + ATTEMPT_TIMEOUT).await
    }
}

fn continued(request: Request, continuation: Option<&HeaderValue>) -> Request {
    match continuation {
        Some(continuation) => request.with(CONTINUATION, continuation.clone()),
        None => request,
    }
}

pub(super) fn value(text: impl AsRef<[u8]>) -> Result<HeaderValue, RequestError> {
    HeaderValue::from_bytes(text.as_ref()).map_err(impossible)
}

/// The ranges without those that others come from, in their order; `None` if they leave a hole.
fn current(ranges: Vec<KeyRange>) -> Option<Vec<KeyRange>> {
    let parents: HashSet<String> = ranges.iter().flat_map(|range| range.parents().iter().cloned()).collect();
    let mut ranges: Vec<KeyRange> = ranges.into_iter().filter(|range| !parents.contains(&range.id)).collect();
    ranges.sort_by(|one, other| one.min_inclusive.cmp(&other.min_inclusive));
    let is_whole = ranges.first()?.min_inclusive.is_empty()
        && ranges.last()?.max_exclusive == "FF"
        && ranges.windows(2).all(|pair| pair[0].max_exclusive == pair[1].min_inclusive);
    is_whole.then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: &str, min: &str, max: &str, parents: &[&str]) -> KeyRange {
        let parents = Some(parents.iter().map(ToString::to_string).collect());
        KeyRange { id: id.to_owned(), min_inclusive: min.to_owned(), max_exclusive: max.to_owned(), parents }
    }

    #[test]
    fn the_ranges_that_others_come_from_are_left_out() {
        let all = vec![range("2", "7F", "FF", &["0"]), range("0", "", "FF", &[]), range("1", "", "7F", &["0"])];
        let ids: Vec<String> = current(all).unwrap().into_iter().map(|range| range.id).collect();
        assert_eq!(ids, ["1", "2"]);
    }

    #[test]
    fn ranges_that_leave_a_hole_are_not_taken_for_the_whole_container() {
        for ranges in [
            vec![],
            vec![range("1", "", "7F", &["0"])],
            vec![range("2", "7F", "FF", &["0"])],
            vec![range("1", "", "3F", &[]), range("2", "7F", "FF", &[])],
        ] {
            assert_eq!(current(ranges.clone()), None, "{ranges:?}");
        }
    }

    #[test]
    fn the_parts_of_a_range_lie_within_it() {
        let (whole, part, other) =
            (range("0", "", "7F", &[]), range("1", "3F", "7F", &[]), range("2", "7F", "FF", &[]));
        assert!(whole.contains(&part) && whole.overlaps(&part) && part.overlaps(&whole));
        assert!(!part.contains(&whole) && !whole.overlaps(&other));
    }
}
