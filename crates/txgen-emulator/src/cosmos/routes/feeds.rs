//! Documents, many at a time: the read feed and the change feed, page by page.

use std::ops::Range;

use hyper::StatusCode;

use super::documents;
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container};
use crate::cosmos::charge;
use crate::cosmos::failure::Failure;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::store::Place;

/// A page ends when it has so many bytes: 4 MB, as the service's do.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The documents of the container, or of the part of it that the request is limited to.
pub(super) fn list(account: &Account, container: &Container, call: &Call) -> Result<Answer, Failure> {
    let keys = scope(container, call)?;
    account.admit(container, &keys)?;
    let after = call.header("x-ms-continuation").map(read_continuation).transpose()?;
    let mut page = Page::new(&container.rid);
    let mut continuation = None;
    {
        let store = container.store();
        let mut last = after;
        for (place, document) in store.scan(&keys, after, account.clock.unix()) {
            if page.is_full(call.page_size()) {
                continuation = last.map(write_continuation);
                break;
            }
            documents::write(container, place, document, page.next_item());
            last = Some(place);
        }
    }
    let loaded = page.count;
    Ok(page.answer(account, container, &keys, loaded).with_continuation(continuation.as_deref()))
}

/// The documents that changed since the version that the client names, oldest change first.
pub(super) fn changes(account: &Account, container: &Container, call: &Call) -> Result<Answer, Failure> {
    let keys = scope(container, call)?;
    account.admit(container, &keys)?;
    let mut page = Page::new(&container.rid);
    let mut seen;
    {
        let store = container.store();
        seen = match call.header("if-none-match").map(|etag| etag.trim_matches('"')) {
            None => 0,
            // From now on.
            Some("*") => store.last_version(),
            Some(version) => version
                .parse()
                .map_err(|_| Failure::bad_request("The header if-none-match is not a version of this change feed."))?,
        };
        let newest = store.last_version();
        for (place, document) in store.changes(seen, account.clock.unix()) {
            if page.is_full(call.page_size()) {
                break;
            }
            if keys.start <= place.key && place.key < keys.end {
                documents::write(container, place, document, page.next_item());
            }
            seen = document.version;
        }
        if !page.is_full(call.page_size()) {
            seen = newest;
        }
    }
    let etag = format!("\"{seen}\"");
    if page.count == 0 {
        let answer = Answer::empty(StatusCode::NOT_MODIFIED, charge::NOTHING).with_etag(&etag);
        return Ok(answer.with_session(container.range_of(keys.start), seen));
    }
    let loaded = page.count;
    Ok(page.answer(account, container, &keys, loaded).with_etag(&etag))
}

/// The keys that a request is limited to: by a partition key, a partition key range, a span of hashes, or not at all.
pub(super) fn scope(container: &Container, call: &Call) -> Result<Range<Epk>, Failure> {
    let mut keys = call.keys()?;
    if let Some(id) = call.range_id() {
        let range = container.range(id).ok_or_else(Failure::range_gone)?;
        keys = keys.start.max(range.min)..keys.end.min(range.max);
    }
    if let Some(key) = call.partition_key()? {
        let key = key.effective();
        keys = keys.start.max(key)..keys.end.min(key.next());
    }
    Ok(keys)
}

/// Where the next page goes on: after this place.
fn write_continuation(place: Place) -> String {
    format!("{:032x}.{:x}", place.key.number(), place.number)
}

fn read_continuation(token: &str) -> Result<Place, Failure> {
    let parse = || {
        let (key, number) = token.split_once('.')?;
        let key = Epk::from_number(u128::from_str_radix(key, 16).ok()?);
        Some(Place { key, number: u64::from_str_radix(number, 16).ok()? })
    };
    parse().ok_or_else(|| Failure::bad_request("The continuation token is not one of this emulator."))
}

/// A feed's page, written item by item.
pub(super) struct Page {
    body: Vec<u8>,
    count: usize,
}

impl Page {
    pub(super) fn new(rid: &str) -> Self {
        Self { body: format!("{{\"_rid\":\"{rid}\",\"Documents\":[").into_bytes(), count: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_full(&self, size: usize) -> bool {
        self.count >= size || self.body.len() >= MAX_PAGE_BYTES
    }

    /// Where the next item is to be written to.
    pub(super) fn next_item(&mut self) -> &mut Vec<u8> {
        if self.count > 0 {
            self.body.push(b',');
        }
        self.count += 1;
        &mut self.body
    }

    /// Closes the page, and charges for it and for the documents that were loaded.
    pub(super) fn answer(
        mut self,
        account: &Account,
        container: &Container,
        keys: &Range<Epk>,
        loaded: usize,
    ) -> Answer {
        let charge = charge::page(loaded, self.body.len());
        account.charge(container, keys, charge);
        self.body.extend_from_slice(format!("],\"_count\":{}}}", self.count).as_bytes());
        let version = container.store().last_version();
        Answer::bytes(StatusCode::OK, charge, self.body)
            .with_item_count(self.count)
            .with_session(container.range_of(keys.start), version)
    }
}
