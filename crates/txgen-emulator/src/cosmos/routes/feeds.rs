//! Documents, many at a time: the read feed and the change feed, page by page.

use std::ops::Range;

use hyper::StatusCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

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
    let after = call.continuation().map(read_continuation).transpose()?;
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
    if call.wants_all_versions() {
        return Err(Failure::unsupported("the change feed of all versions and deletes (A-IM: Full-Fidelity Feed)"));
    }
    let keys = scope(container, call)?;
    let from = start_time(call)?;
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
            let is_wanted = from.is_none_or(|from| document.timestamp >= from);
            if is_wanted && keys.start <= place.key && place.key < keys.end {
                documents::write_change(container, place, document, page.next_item());
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

/// Deletes all documents under a partition key.
pub(super) fn delete_by_key(account: &Account, container: &Container, call: &Call) -> Result<Answer, Failure> {
    let values = call.partition_key()?.ok_or_else(Failure::key_missing)?;
    let keys = container.key.span(values.as_slice());
    account.admit(container, &keys)?;
    let now = account.clock.unix();
    let mut charge = charge::NOTHING;
    let mut store = container.store();
    let found: Vec<_> = store.scan(&keys, None, now).map(|(place, _)| place).collect();
    for place in found {
        if let Some(document) = store.at(place) {
            charge += charge::write(document.body.len(), document.properties());
        }
        if let Some(id) = store.id_at(place.key, place.number, now) {
            store.remove(place.key, &id);
        }
    }
    account.keep_changes(container, &mut store)?;
    let version = store.last_version();
    drop(store);
    account.charge(container, &keys, charge);
    Ok(Answer::empty(StatusCode::OK, charge).with_session(container.range_of(keys.start), version))
}

/// The keys that a request is limited to: by a partition key, a partition key range, a span of hashes, or not at all.
pub(super) fn scope(container: &Container, call: &Call) -> Result<Range<Epk>, Failure> {
    let mut keys = match call.bounds() {
        Some((start, end)) => container.key.parse(start, end).ok_or_else(|| {
            Failure::bad_request("The headers x-ms-start-epk and x-ms-end-epk are not effective partition keys.")
        })?,
        None => Epk::MIN..Epk::MAX,
    };
    if let Some(id) = call.range_id() {
        let range = container.range(id).ok_or_else(Failure::range_gone)?;
        keys = keys.start.max(range.min)..keys.end.min(range.max);
    }
    if let Some(values) = call.partition_key()? {
        if values.as_slice().len() > container.key.paths().len() {
            return Err(Failure::partition_key_size());
        }
        let span = container.key.span(values.as_slice());
        keys = keys.start.max(span.start)..keys.end.min(span.end);
    }
    Ok(keys)
}

/// The second from which on changes are wanted.
fn start_time(call: &Call) -> Result<Option<u32>, Failure> {
    let Some(text) = call.header("if-modified-since") else { return Ok(None) };
    let moment = OffsetDateTime::parse(text, &Rfc2822)
        .map_err(|_| Failure::bad_request("The header if-modified-since is not a date as RFC 1123 has it."))?;
    Ok(Some(u32::try_from(moment.unix_timestamp()).unwrap_or(0)))
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

    /// Where the next item is written to.
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
