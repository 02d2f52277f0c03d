//! Queries over documents, page by page.
//!
//! A container is read in small steps, so that a query over many documents never keeps others from writing, and
//! nothing is kept between pages: the continuation token says where to go on.

use std::cmp::Ordering;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::documents;
use super::feeds::{Page, scope};
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

/// Answers a query, or tells its plan.
pub(super) async fn answer(
    account: &Account,
    container: &Container,
    call: &Call,
    body: &[u8],
) -> Result<Answer, Failure> {
    let query = query::prepare(body)?;
    if call.is_query_plan() {
        let plan = query.plan_for_client(&container.key_path)?;
        return Ok(Answer::json(StatusCode::OK, charge::METADATA, &plan));
    }
    let mut keys = scope(container, call)?;
    if let Some(key) = query.partition_key(&container.key_path) {
        let key = key.effective();
        keys = keys.start.max(key)..keys.end.min(key.next());
    }
    account.admit(container, &keys)?;
    let run = Run { account, container, query: &query, keys, page_size: call.page_size() };
    let bookmark = match call.header("x-ms-continuation") {
        Some(token) => Bookmark::read(token)?,
        None => Bookmark::first(&query),
    };
    match query.plan() {
        Plan::Stream => run.stream(bookmark).await,
        Plan::Sort { descending } => run.sort(bookmark, descending).await,
        Plan::Aggregate(totals) => run.total(bookmark, totals).await,
    }
}

/// Where a page goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Bookmark {
    /// The last document of the page before, or of those looked at for it.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none", default)]
    place: Option<(String, u64)>,
    /// What that document was sorted by: an array of the value, or an empty one for undefined.
    #[serde(rename = "k", skip_serializing_if = "Option::is_none", default)]
    sort_key: Option<Vec<serde_json::Value>>,
    /// Results still to be left out.
    #[serde(rename = "s")]
    skip: u64,
    /// Results that there may still be.
    #[serde(rename = "t")]
    take: Option<u64>,
}

impl Bookmark {
    fn first(query: &Prepared) -> Self {
        let (skip, take) = query.window();
        Self { place: None, sort_key: None, skip, take }
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

    fn at(place: Place, sort_key: Option<&SortKey>, skip: u64, take: Option<u64>) -> Self {
        let sort_key = sort_key.map(|key| key.iter().cloned().collect());
        Self { place: Some((place.key.to_string(), place.number)), sort_key, skip, take }
    }

    fn sort_key(&self) -> Option<SortKey> {
        Some(self.sort_key.as_ref()?.first().cloned())
    }
}

/// A query on its way.
struct Run<'a> {
    account: &'a Account,
    container: &'a Container,
    query: &'a Prepared,
    keys: Range<Epk>,
    page_size: usize,
}

impl Run<'_> {
    /// Hands out results in the order in which the documents lie.
    async fn stream(&self, bookmark: Bookmark) -> Result<Answer, Failure> {
        let Bookmark { mut skip, mut take, .. } = bookmark;
        let mut page = Page::new(&self.container.rid);
        let mut last = bookmark.place();
        let mut next = None;
        let mut result = Vec::new();
        let scanned = self
            .scan(last, MOST_PER_PAGE, |place, document| {
                if take == Some(0) {
                    return Ok(Flow::End);
                }
                if page.is_full(self.page_size) {
                    next = Some(());
                    return Ok(Flow::End);
                }
                last = Some(place);
                result.clear();
                let write = self.writer(place, document);
                if !self.query.select(&document.body, &write, &mut result) {
                    return Ok(Flow::Go);
                }
                if skip > 0 {
                    skip -= 1;
                } else {
                    page.next_item().extend_from_slice(&result);
                    take = take.map(|take| take - 1);
                }
                Ok(Flow::Go)
            })
            .await?;
        let more = next.is_some() || scanned.is_cut_short && take != Some(0);
        let token = last.filter(|_| more).map(|place| Bookmark::at(place, None, skip, take).write()).transpose()?;
        self.answer(page, scanned.documents, token)
    }

    /// Hands out results in the order that the query wants: the first so many after the bookmark.
    async fn sort(&self, bookmark: Bookmark, descending: bool) -> Result<Answer, Failure> {
        let directed = |order: Ordering| if descending { order.reverse() } else { order };
        let order = |left: &(SortKey, Place), right: &(SortKey, Place)| {
            directed(query::order_keys(&left.0, &right.0).then_with(|| left.1.number.cmp(&right.1.number)))
        };
        let after = bookmark.sort_key().zip(bookmark.place());
        let size = bookmark
            .take
            .map_or(self.page_size, |take| self.page_size.min(usize::try_from(take).unwrap_or(usize::MAX)));
        // One more than is handed out tells whether there is another page.
        let wanted = usize::try_from(bookmark.skip).unwrap_or(usize::MAX).saturating_add(size).saturating_add(1);
        let mut found: Vec<(SortKey, Place)> = Vec::new();
        let scanned = self
            .scan(None, usize::MAX, |place, document| {
                let write = self.writer(place, document);
                let Some(key) = self.query.sort_key(&document.body, &write) else { return Ok(Flow::Go) };
                let candidate = (key, place);
                if after.as_ref().is_none_or(|after| order(&candidate, after).is_gt()) {
                    found.push(candidate);
                }
                if found.len() >= wanted.saturating_mul(2) {
                    found.select_nth_unstable_by(wanted, order);
                    found.truncate(wanted);
                }
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
            let Some((key, place)) = rest.next() else { break };
            // It may have been deleted, or changed, in the meantime.
            if let Some(document) = store.at(*place) {
                let write = self.writer(*place, document);
                let mut result = Vec::new();
                if self.query.select(&document.body, &write, &mut result) {
                    page.next_item().extend_from_slice(&result);
                }
            }
            last = Some((key, *place));
        }
        drop(store);
        let take = bookmark.take.map(|take| take.saturating_sub(page.count() as u64));
        let more = rest.next().is_some() && take != Some(0);
        let token =
            last.filter(|_| more).map(|(key, place)| Bookmark::at(place, Some(key), 0, take).write()).transpose()?;
        self.answer(page, scanned.documents, token)
    }

    /// Hands out aggregates. They are computed anew for each page; few queries have more groups than fit on one.
    async fn total(&self, bookmark: Bookmark, mut totals: Totals<'_>) -> Result<Answer, Failure> {
        let scanned = self
            .scan(None, usize::MAX, |place, document| {
                self.query.add(&mut totals, &document.body, &self.writer(place, document))?;
                Ok(Flow::Go)
            })
            .await?;
        let mut page = Page::new(&self.container.rid);
        let mut take = bookmark.take;
        let mut results = totals.finish().skip(usize::try_from(bookmark.skip).unwrap_or(usize::MAX)).peekable();
        while take != Some(0) && !page.is_full(self.page_size) {
            let Some(result) = results.next() else { break };
            page.next_item().extend_from_slice(&result);
            take = take.map(|take| take - 1);
        }
        let more = take != Some(0) && results.peek().is_some();
        // A token that somebody made up may say anything.
        let skip = bookmark.skip.saturating_add(page.count() as u64);
        let token = more.then(|| Bookmark { place: None, sort_key: None, skip, take }.write()).transpose()?;
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
