//! Documents, one at a time: create, upsert, read, replace, update, delete.

use std::sync::MutexGuard;

use hyper::{Method, StatusCode};

use super::{check_modified, no_such_method};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container, Counters};
use crate::cosmos::charge;
use crate::cosmos::document::{NewDocument, SystemProperties};
use crate::cosmos::failure::Failure;
use crate::cosmos::key_definition::KeyValues;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::patch::Patch;
use crate::cosmos::rid;
use crate::cosmos::store::{Document, Place, Store, Written, weight};

/// The largest document, in bytes: 2 MB.
pub(in crate::cosmos) const MAX_SIZE: usize = 2 * 1024 * 1024;

/// What a write is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode<'a> {
    Create,
    Upsert,
    /// Of the document with this id.
    Replace(&'a str),
}

/// Stores a new document, or with the header of an upsert replaces the one with its id.
pub(super) fn create(account: &Account, container: &Container, call: &Call, body: &[u8]) -> Result<Answer, Failure> {
    let (key, document) = incoming(container, call, body)?;
    let mode = if call.is("x-ms-documentdb-is-upsert") { Mode::Upsert } else { Mode::Create };
    let charge = charge::write(document.body.len(), document.properties);
    account.spend(container, key, charge)?;
    store_and_answer(account, container, call, (key, document), mode, charge)
}

/// Reads, replaces, updates or deletes the document with this id, or with this resource id.
pub(super) fn one(
    account: &Account,
    container: &Container,
    call: &Call,
    id: &str,
    body: &[u8],
) -> Result<Answer, Failure> {
    let by_rid = id_of_rid(account, container, call, id)?;
    let id = by_rid.as_deref().unwrap_or(id);
    match call.method {
        Method::GET => read(account, container, call, id),
        Method::PUT => replace(account, container, call, id, body),
        Method::DELETE => delete(account, container, call, id),
        Method::PATCH => patch(account, container, call, id, body),
        _ => Err(no_such_method(call)),
    }
}

/// The id of the document that a path names by its resource id.
fn id_of_rid(account: &Account, container: &Container, call: &Call, rid: &str) -> Result<Option<String>, Failure> {
    let Some(number) = rid::number_of(container.numbers, rid) else { return Ok(None) };
    let key = key_of(container, call)?;
    Ok(container.store().id_at(key, number, account.clock.unix()))
}

/// Where the document lies that a request is about.
fn key_of(container: &Container, call: &Call) -> Result<Epk, Failure> {
    container.place(&call.partition_key()?.ok_or_else(Failure::key_missing)?)
}

fn read(account: &Account, container: &Container, call: &Call, id: &str) -> Result<Answer, Failure> {
    let key = key_of(container, call)?;
    account.admit(container, &(key..key))?;
    let store = container.store();
    let found = store.find(key, id, account.clock.unix());
    let charge = found.map_or(charge::NOTHING, |(_, document)| charge::read(document.body.len()));
    account.charge(container, &(key..key), charge);
    let (place, document) = found.ok_or_else(|| Failure::not_found().with_charge(charge))?;
    check_modified(call, &etag(document))?;
    let mut out = Vec::with_capacity(document.body.len() + 256);
    write(container, place, document, &mut out);
    let answer = Answer::bytes(StatusCode::OK, charge, out).with_etag(&etag(document)).with_item_lsn(document.version);
    let version = store.last_version();
    drop(store);
    Ok(answer.with_session(container.range_of(key), version))
}

fn replace(account: &Account, container: &Container, call: &Call, id: &str, body: &[u8]) -> Result<Answer, Failure> {
    let (key, document) = incoming(container, call, body)?;
    let charge = charge::write(document.body.len(), document.properties);
    account.spend(container, key, charge)?;
    store_and_answer(account, container, call, (key, document), Mode::Replace(id), charge)
}

fn patch(account: &Account, container: &Container, call: &Call, id: &str, body: &[u8]) -> Result<Answer, Failure> {
    let patch = Patch::read(body)?;
    let values = call.partition_key()?.ok_or_else(Failure::key_missing)?;
    let key = container.place(&values)?;
    account.admit(container, &(key..key))?;
    let mut store = container.store();
    let now = account.clock.unix();
    let document = patched(container, &store, (key, &values), id, &patch, now)?;
    let charge = charge::write(document.body.len(), document.properties);
    account.charge(container, &(key..key), charge);
    let size = document.body.len();
    let there = store.find(key, id, now).map_or(0, |(_, document)| document.weight());
    account.check_memory(weight(size).saturating_sub(there))?;
    let written = put(&mut store, key, document, Mode::Replace(id), call.header("if-match"), now)?;
    account.keep_changes(container, &mut store)?;
    Ok(written_answer(container, call, store, written, now, charge))
}

/// What an update makes of a document.
pub(super) fn patched(
    container: &Container,
    store: &Store,
    (key, values): (Epk, &KeyValues),
    id: &str,
    patch: &Patch,
    now: u32,
) -> Result<NewDocument, Failure> {
    let (place, document) =
        store.find(key, id, now).ok_or_else(|| Failure::not_found().with_charge(charge::NOTHING))?;
    let mut whole = Vec::new();
    write(container, place, document, &mut whole);
    let body = patch.apply(&document.body, &whole)?;
    let document = NewDocument::read(&body, &container.key, &container.unique)?;
    if document.id != id {
        return Err(Failure::bad_request("A partial update cannot change the id of a document."));
    }
    check_size(&document)?;
    if document.partition_key != *values {
        return Err(Failure::bad_request("A partial update cannot change the partition key of a document."));
    }
    Ok(document)
}

fn delete(account: &Account, container: &Container, call: &Call, id: &str) -> Result<Answer, Failure> {
    let key = key_of(container, call)?;
    account.admit(container, &(key..key))?;
    let mut store = container.store();
    let now = account.clock.unix();
    let found = store.find(key, id, now).map(|(_, document)| document);
    let charge = found.map_or(charge::NOTHING, |found| charge::write(found.body.len(), found.properties()));
    account.charge(container, &(key..key), charge);
    remove(&mut store, key, id, call.header("if-match"), now).map_err(|failure| failure.with_charge(charge))?;
    account.keep_changes(container, &mut store)?;
    let version = store.last_version();
    drop(store);
    Ok(Answer::empty(StatusCode::NO_CONTENT, charge).with_session(container.range_of(key), version))
}

/// The document in a body, and where it belongs, which is where the header says.
fn incoming(container: &Container, call: &Call, body: &[u8]) -> Result<(Epk, NewDocument), Failure> {
    let header = call.partition_key()?.ok_or_else(Failure::key_missing)?;
    belonging(container, &header, NewDocument::read(body, &container.key, &container.unique)?)
}

/// A document and where it belongs, if that is where a partition key says.
pub(super) fn belonging(
    container: &Container,
    values: &KeyValues,
    document: NewDocument,
) -> Result<(Epk, NewDocument), Failure> {
    check_size(&document)?;
    let key = container.place(values)?;
    if *values != document.partition_key && key != container.place(&document.partition_key)? {
        return Err(Failure::key_mismatch());
    }
    Ok((key, document))
}

fn check_size(document: &NewDocument) -> Result<(), Failure> {
    if document.body.len() > MAX_SIZE { Err(Failure::too_large()) } else { Ok(()) }
}

/// Stores a document, if what is there lets it.
pub(super) fn put(
    store: &mut Store,
    key: Epk,
    document: NewDocument,
    mode: Mode<'_>,
    if_match: Option<&str>,
    now: u32,
) -> Result<Written, Failure> {
    let id = if let Mode::Replace(id) = mode { id } else { document.id.as_str() };
    let existing = store.find(key, id, now).map(|(_, document)| etag(document));
    match (existing, mode) {
        (Some(_), Mode::Create) => return Err(Failure::conflict()),
        (Some(etag), _) => check_match(if_match, &etag)?,
        (None, Mode::Replace(_)) => return Err(Failure::not_found()),
        (None, _) => {}
    }
    if store.violates_unique(key, &document, now) {
        return Err(Failure::conflict());
    }
    if id != document.id {
        if store.find(key, &document.id, now).is_some() {
            return Err(Failure::conflict());
        }
        store.remove(key, &document.id);
        store.rename(key, id, &document.id);
    }
    Ok(store.put(key, document, now))
}

/// Removes a document, if it is there as it is to be.
pub(super) fn remove(store: &mut Store, key: Epk, id: &str, if_match: Option<&str>, now: u32) -> Result<(), Failure> {
    let (_, found) = store.find(key, id, now).ok_or_else(Failure::not_found)?;
    check_match(if_match, &etag(found))?;
    store.remove(key, id);
    Ok(())
}

fn check_match(wanted: Option<&str>, etag: &str) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if wanted != "*" && wanted != etag => Err(Failure::precondition()),
        _ => Ok(()),
    }
}

fn store_and_answer(
    account: &Account,
    container: &Container,
    call: &Call,
    (key, document): (Epk, NewDocument),
    mode: Mode<'_>,
    charge: f64,
) -> Result<Answer, Failure> {
    let now = account.clock.unix();
    let mut store = container.store();
    let there = store.find(key, &document.id, now).map_or(0, |(_, document)| document.weight());
    account.check_memory(weight(document.body.len()).saturating_sub(there))?;
    let written = put(&mut store, key, document, mode, call.header("if-match"), now)
        .map_err(|failure| failure.with_charge(charge))?;
    account.keep_changes(container, &mut store)?;
    if written.created {
        Counters::count(&account.counters.created);
    }
    Ok(written_answer(container, call, store, written, now, charge))
}

fn written_answer(
    container: &Container,
    call: &Call,
    store: MutexGuard<'_, Store>,
    written: Written,
    now: u32,
    charge: f64,
) -> Answer {
    let mut out = Vec::new();
    if !call.wants_no_body()
        && let Some(document) = store.at(written.place)
    {
        write(container, written.place, document, &mut out);
    }
    drop(store);
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let answer = if out.is_empty() { Answer::empty(status, charge) } else { Answer::bytes(status, charge, out) };
    let range = container.range_of(written.place.key);
    answer.with_etag(&rid::etag(written.version, now)).with_session(range, written.version)
}

pub(super) fn etag(document: &Document) -> String {
    rid::etag(document.version, document.timestamp)
}

/// Writes a document out with its system properties.
pub(super) fn write(container: &Container, place: Place, document: &Document, out: &mut Vec<u8>) {
    write_with(container, place, document, None, out);
}

/// The same with the number of the change that wrote it, as the change feed has it.
pub(super) fn write_change(container: &Container, place: Place, document: &Document, out: &mut Vec<u8>) {
    write_with(container, place, document, Some(document.version), out);
}

fn write_with(container: &Container, place: Place, document: &Document, lsn: Option<u64>, out: &mut Vec<u8>) {
    let system = SystemProperties {
        rid: &rid::document(container.numbers, place.number),
        container_link: &container.link,
        etag: &etag(document),
        timestamp: document.timestamp,
        lsn,
    };
    system.write_after(&document.body, out);
}
