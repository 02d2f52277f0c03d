//! Queries over documents, page by page.
//!
//! A container is read in small steps, so that a query over many documents never keeps others from writing, and
//! nothing is kept between pages: the continuation token says where to go on.

use std::ops::{ControlFlow, Range};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::documents;
use super::feeds::{Page, scope};
use super::metrics;
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container};
use crate::cosmos::charge;
use crate::cosmos::failure::Failure;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::query::{self, Plan, Prepared, SortKey, Totals};
use crate::cosmos::store::{Document, Place};

/// Documents that are looked at while the container is locked.
const STEP: usize = 500;
/// Documents that are looked at for one page of a stream; a page may then be short, or empty.
const MOST_PER_PAGE: usize = 50_000;
/// The longest continuation token, in bytes: it has to fit into a header.
const MAX_TOKEN: usize = 8 * 1024;

/// Answers a query, or returns its plan.
pub(super) async fn answer(
    account: &Account,
    container: &Container,
    call: &Call,
    body: &[u8],
) -> Result<Answer, Failure> {
    let started = Instant::now();
    let query = query::prepare(body, &container.computed())?;
    let pinned = query.partition_key(&container.key);
    let bounds = || container.key.bounds(&pinned);
    let features = call.header("x-ms-cosmos-supported-query-features").unwrap_or_default();
    if call.is_query_plan() {
        let plan = query.plan_for_client(&bounds(), features)?;
        return Ok(Answer::json(StatusCode::OK, charge::METADATA, &plan));
    }
    if !is_limited(call) && !query.has_no_source() {
        let is_pinned = pinned.len() == container.key.paths().len();
        if !is_pinned && !call.crosses_partitions() {
            return Err(Failure::cross_partition_disabled());
        }
        // Whatever the filter says of the partition key, the service does not take an aggregate without VALUE for one partition's.
        if (!is_pinned && query.needs_merging()) || query.selects_aggregate_fields() {
            return Err(Failure::not_servable(&query.plan_for_client(&bounds(), features)?));
        }
    }
    let mut keys = scope(container, call)?;
    if !pinned.is_empty() {
        let span = container.key.span(&pinned);
        keys = keys.start.max(span.start)..keys.end.min(span.end);
    }
    account.admit(container, &keys)?;
    let bookmark = match call.continuation() {
        Some(token) => Bookmark::read(token)?,
        None => Bookmark::first(&query),
    };
    // Where the service itself goes through the partitions, it answers with pages of one at a time.
    let mut next = None;
    if !is_limited(call) {
        let from = bookmark.place().map_or(keys.start, |place| place.key).max(keys.start);
        let end = container.end_of_range(from);
        if end < keys.end {
            next = Some(end);
            keys.end = end;
        }
    }
    let run = Run { account, container, query: &query, keys, page_size: call.page_size(), next };
    let answer = match query.plan() {
        Plan::Stream => run.stream(bookmark).await,
        Plan::Sort => run.sort(bookmark).await,
        Plan::Whole(totals) => run.whole(bookmark, totals).await,
    };
    Ok(metrics::add(answer?, call, &query, started))
}

/// Whether a request names the part of the container that it is about.
fn is_limited(call: &Call) -> bool {
    call.range_id().is_some()
        || call.bounds().is_some()
        || call.header("x-ms-documentdb-partitionkey").is_some_and(|key| key.trim() != "[]")
}

/// Where a page goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Bookmark {
    /// The last document of the page before, or of those looked at for it.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none", default)]
    place: Option<(String, u64)>,
    /// How many results of the document after it were handed out; when sorted, which of its results was the last.
    #[serde(rename = "i", skip_serializing_if = "is_zero", default)]
    inner: u64,
    /// What that document was sorted by: for each key an array of the value, or an empty one for undefined.
    #[serde(rename = "k", skip_serializing_if = "Option::is_none", default)]
    sort_keys: Option<Vec<Vec<serde_json::Value>>>,
    /// Results still to be left out.
    #[serde(rename = "s")]
    skip: u64,
    /// Results that there may still be.
    #[serde(rename = "t")]
    take: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Bookmark {
    fn first(query: &Prepared) -> Self {
        let (skip, take) = query.window();
        Self { place: None, inner: 0, sort_keys: None, skip, take }
    }

    fn read(token: &str) -> Result<Self, Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let bookmark: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        bookmark.ok_or_else(|| Failure::bad_request("The continuation token is not one of this emulator's queries."))
    }

    fn write(&self) -> Result<String, Failure> {
        let token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default());
        if token.len() > MAX_TOKEN {
            return Err(Failure::unsupported("more than one page of a query that is ordered by very long values"));
        }
        Ok(token)
    }

    fn place(&self) -> Option<Place> {
        let (key, number) = self.place.as_ref()?;
        Some(Place { key: Epk::parse(key)?, number: *number })
    }

    fn at(place: Option<Place>, inner: u64, skip: u64, take: Option<u64>) -> Self {
        let place = place.map(|place| (place.key.to_string(), place.number));
        Self { place, inner, sort_keys: None, skip, take }
    }

    fn sorted_by(mut self, keys: &[SortKey]) -> Self {
        self.sort_keys = Some(keys.iter().map(|key| key.iter().cloned().collect()).collect());
        self
    }

    fn sort_keys(&self) -> Option<Vec<SortKey>> {
        Some(self.sort_keys.as_ref()?.iter().map(|key| key.first().cloned()).collect())
    }
}

/// One result of a sorted query: what it is sorted by, its document, and which of the document's results it is.
type Candidate = (Vec<SortKey>, Place, u64);

/// A query on its way.
struct Run<'a> {
    account: &'a Account,
    container: &'a Container,
    query: &'a Prepared,
    keys: Range<Epk>,
    page_size: usize,
    /// Where the next partition begins, when there is one to go on with.
    next: Option<Epk>,
}

impl Run<'_> {
    /// Hands out results in the order in which the documents lie.
    async fn stream(&self, bookmark: Bookmark) -> Result<Answer, Failure> {
        let (mut skip, mut take, mut passed) = (bookmark.skip, bookmark.take, bookmark.inner);
        let mut page = Page::new(&self.container.rid);
        let mut last = bookmark.place();
        let mut is_more = false;
        // How many results of the document after the last one were handed out.
        let mut inner = passed;
        let scanned = self
            .scan(last, MOST_PER_PAGE, |place, document| {
                if take == Some(0) {
                    return Ok(Flow::End);
                }
                inner = 0;
                let mut is_stopped = false;
                let write = self.writer(place, document);
                self.query.select(&document.body, &write, &mut |result| {
                    if inner < passed {
                        inner += 1;
                        return ControlFlow::Continue(());
                    }
                    if page.is_full(self.page_size) || take == Some(0) {
                        is_more = take != Some(0);
                        is_stopped = true;
                        return ControlFlow::Break(());
                    }
                    inner += 1;
                    if skip > 0 {
                        skip -= 1;
                    } else {
                        page.next_item().extend_from_slice(result);
                        take = take.map(|take| take - 1);
                    }
                    ControlFlow::Continue(())
                })?;
                if is_stopped {
                    return Ok(Flow::End);
                }
                (last, inner, passed) = (Some(place), 0, 0);
                Ok(Flow::Go)
            })
            .await?;
        is_more |= scanned.is_cut_short && take != Some(0);
        let is_over = take == Some(0);
        let next = self.next.filter(|_| !is_more && !is_over).map(|key| Place { key, number: 0 });
        let bookmark = match next {
            Some(place) => Some(Bookmark::at(Some(place), 0, skip, take)),
            None => is_more.then(|| Bookmark::at(last, inner, skip, take)),
        };
        let token = bookmark.map(|bookmark| bookmark.write()).transpose()?;
        self.answer(page, scanned.documents, token)
    }

    /// Hands out results in the order that the query wants: the first so many after the bookmark.
    async fn sort(&self, bookmark: Bookmark) -> Result<Answer, Failure> {
        let order = |left: &Candidate, right: &Candidate| {
            let by_age = || (left.1.number, left.2).cmp(&(right.1.number, right.2));
            self.query.order(&left.0, &right.0).then_with(by_age)
        };
        let after = bookmark.sort_keys().zip(bookmark.place()).map(|(keys, place)| (keys, place, bookmark.inner));
        let size = bookmark
            .take
            .map_or(self.page_size, |take| self.page_size.min(usize::try_from(take).unwrap_or(usize::MAX)));
        // One more than is returned shows whether there is another page.
        let wanted = usize::try_from(bookmark.skip).unwrap_or(usize::MAX).saturating_add(size).saturating_add(1);
        let mut found: Vec<Candidate> = Vec::new();
        let scanned = self
            .scan(None, usize::MAX, |place, document| {
                let write = self.writer(place, document);
                self.query.sort_keys(&document.body, &write, &mut |keys, number| {
                    let candidate = (keys, place, number);
                    if after.as_ref().is_none_or(|after| order(&candidate, after).is_gt()) {
                        found.push(candidate);
                    }
                    if found.len() >= wanted.saturating_mul(2) {
                        found.select_nth_unstable_by(wanted, order);
                        found.truncate(wanted);
                    }
                })?;
                Ok(Flow::Go)
            })
            .await?;
        found.sort_unstable_by(order);
        let skipped = usize::try_from(bookmark.skip).unwrap_or(usize::MAX).min(found.len());
        let mut page = Page::new(&self.container.rid);
        let mut last = None;
        let store = self.container.store();
        let mut rest = found[skipped..].iter();
        while page.count() < size && !page.is_full(self.page_size) {
            let Some((keys, place, number)) = rest.next() else { break };
            // It may have been deleted, or changed, in the meantime.
            if let Some(document) = store.at(*place) {
                let write = self.writer(*place, document);
                let mut result = Vec::new();
                if self.query.select_nth(&document.body, &write, *number, &mut result) {
                    page.next_item().extend_from_slice(&result);
                }
            }
            last = Some((keys, *place, *number));
        }
        drop(store);
        let take = bookmark.take.map(|take| take.saturating_sub(page.count() as u64));
        let more = rest.next().is_some() && take != Some(0);
        let token = last
            .filter(|_| more)
            .map(|(keys, place, number)| Bookmark::at(Some(place), number, 0, take).sorted_by(keys).write())
            .transpose()?;
        self.answer(page, scanned.documents, token)
    }

    /// Returns what is only known once all documents were looked at. It is computed anew for each page; few such
    /// queries have more results than fit on one.
    async fn whole(&self, bookmark: Bookmark, mut totals: Totals<'_>) -> Result<Answer, Failure> {
        let scanned = if self.query.has_no_source() {
            totals.add_nothing()?;
            Scanned { documents: 0, is_cut_short: false }
        } else {
            self.scan(None, usize::MAX, |place, document| {
                self.query.add(&mut totals, &document.body, &self.writer(place, document))?;
                Ok(Flow::Go)
            })
            .await?
        };
        let mut page = Page::new(&self.container.rid);
        let mut results = totals.results().into_iter().skip(usize::try_from(bookmark.inner).unwrap_or(usize::MAX));
        let mut rest = results.by_ref().peekable();
        while !page.is_full(self.page_size) {
            let Some(result) = rest.next() else { break };
            page.next_item().extend_from_slice(result.to_string().as_bytes());
        }
        // A made-up token may say anything.
        let given = bookmark.inner.saturating_add(page.count() as u64);
        let token = rest.peek().map(|_| Bookmark::at(None, given, 0, None).write()).transpose()?;
        self.answer(page, scanned.documents, token)
    }

    fn writer<'d>(&'d self, place: Place, document: &'d Document) -> impl Fn(&mut Vec<u8>) + 'd {
        move |out| documents::write(self.container, place, document, out)
    }

    /// Looks at the documents after a place, in steps, until `look` has enough or `most` were looked at.
    async fn scan(
        &self,
        after: Option<Place>,
        most: usize,
        mut look: impl FnMut(Place, &Document) -> Result<Flow, Failure>,
    ) -> Result<Scanned, Failure> {
        let mut last = after;
        let mut documents = 0;
        while documents < most {
            let before = documents;
            {
                let store = self.container.store();
                for (place, document) in store.scan(&self.keys, last, self.account.clock.unix()).take(STEP) {
                    if let Flow::End = look(place, document)? {
                        return Ok(Scanned { documents, is_cut_short: false });
                    }
                    documents += 1;
                    last = Some(place);
                }
            }
            if documents - before < STEP {
                return Ok(Scanned { documents, is_cut_short: false });
            }
            tokio::task::yield_now().await;
        }
        Ok(Scanned { documents, is_cut_short: true })
    }

    fn answer(&self, page: Page, scanned: usize, token: Option<String>) -> Result<Answer, Failure> {
        let loaded = if self.query.reads() { scanned } else { page.count().min(scanned) };
        Ok(page.answer(self.account, self.container, &self.keys, loaded).with_continuation(token.as_deref()))
    }
}

enum Flow {
    Go,
    End,
}

struct Scanned {
    /// How many documents were looked at.
    documents: usize,
    /// Whether there may be more of them.
    is_cut_short: bool,
}
