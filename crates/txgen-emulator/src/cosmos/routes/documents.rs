//! Documents, one at a time: create, upsert, read, replace, delete.

use std::sync::MutexGuard;

use hyper::{Method, StatusCode};

use super::{check_modified, check_precondition, no_such_method};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container, Counters};
use crate::cosmos::charge;
use crate::cosmos::document::{NewDocument, SystemProperties};
use crate::cosmos::failure::Failure;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::rid;
use crate::cosmos::store::{Document, Place, Store, weight};

/// The largest document, in bytes: 2 MB.
pub(in crate::cosmos) const MAX_SIZE: usize = 2 * 1024 * 1024;

/// Stores a new document, or with the header of an upsert replaces the one with its id.
pub(super) fn create(account: &Account, container: &Container, call: &Call, body: &[u8]) -> Result<Answer, Failure> {
    let (key, document) = incoming(container, call, body)?;
    let is_upsert = call.is("x-ms-documentdb-is-upsert");
    let charge = charge::write(document.body.len(), document.properties);
    account.spend(container, key, charge)?;
    let now = account.clock.unix();
    let store = container.store();
    let existing = store.find(key, &document.id, now).map(|(_, document)| etag(document));
    match existing {
        Some(_) if !is_upsert => return Err(Failure::conflict().with_charge(charge)),
        Some(etag) => check_precondition(call, &etag)?,
        None => {}
    }
    store_and_answer(account, container, call, store, (key, document), charge)
}

/// Reads, replaces or deletes the document with this id.
pub(super) fn one(
    account: &Account,
    container: &Container,
    call: &Call,
    id: &str,
    body: &[u8],
) -> Result<Answer, Failure> {
    match call.method {
        Method::GET => read(account, container, call, id),
        Method::PUT => replace(account, container, call, id, body),
        Method::DELETE => delete(account, container, call, id),
        Method::PATCH => Err(Failure::unsupported("partial updates (PATCH): read the document and replace it")),
        _ => Err(no_such_method(call)),
    }
}

fn read(account: &Account, container: &Container, call: &Call, id: &str) -> Result<Answer, Failure> {
    let key = call.partition_key()?.ok_or_else(Failure::key_missing)?.effective();
    account.admit(container, &(key..key))?;
    let store = container.store();
    let found = store.find(key, id, account.clock.unix());
    let charge = found.map_or(charge::NOTHING, |(_, document)| charge::read(document.body.len()));
    account.charge(container, &(key..key), charge);
    let (place, document) = found.ok_or_else(|| Failure::not_found().with_charge(charge))?;
    check_modified(call, &etag(document))?;
    let mut out = Vec::with_capacity(document.body.len() + 256);
    write(container, place, document, &mut out);
    let answer = Answer::bytes(StatusCode::OK, charge, out).with_etag(&etag(document));
    let version = store.last_version();
    drop(store);
    Ok(answer.with_session(container.range_of(key), version))
}

fn replace(account: &Account, container: &Container, call: &Call, id: &str, body: &[u8]) -> Result<Answer, Failure> {
    let (key, document) = incoming(container, call, body)?;
    let charge = charge::write(document.body.len(), document.properties);
    account.spend(container, key, charge)?;
    let now = account.clock.unix();
    let store = container.store();
    let existing = store.find(key, id, now).map(|(_, document)| etag(document));
    check_precondition(call, &existing.ok_or_else(|| Failure::not_found().with_charge(charge))?)?;
    if document.id != id {
        return Err(Failure::unsupported("replacing a document by one with another id"));
    }
    store_and_answer(account, container, call, store, (key, document), charge)
}

fn delete(account: &Account, container: &Container, call: &Call, id: &str) -> Result<Answer, Failure> {
    let key = call.partition_key()?.ok_or_else(Failure::key_missing)?.effective();
    account.admit(container, &(key..key))?;
    let mut store = container.store();
    let found = store.find(key, id, account.clock.unix()).map(|(_, document)| document);
    let charge = found.map_or(charge::NOTHING, |found| charge::write(found.body.len(), found.properties()));
    account.charge(container, &(key..key), charge);
    let found = found.ok_or_else(|| Failure::not_found().with_charge(charge))?;
    check_precondition(call, &etag(found))?;
    store.remove(key, id);
    let version = store.last_version();
    drop(store);
    Ok(Answer::empty(StatusCode::NO_CONTENT, charge).with_session(container.range_of(key), version))
}

/// The document in a body, and where it belongs, which is where the header says.
fn incoming(container: &Container, call: &Call, body: &[u8]) -> Result<(Epk, NewDocument), Failure> {
    let header = call.partition_key()?.ok_or_else(Failure::key_missing)?;
    let document = NewDocument::read(body, &container.key_path)?;
    if document.body.len() > MAX_SIZE {
        return Err(Failure::too_large());
    }
    if header != document.partition_key {
        return Err(Failure::key_mismatch());
    }
    Ok((header.effective(), document))
}

fn store_and_answer(
    account: &Account,
    container: &Container,
    call: &Call,
    mut store: MutexGuard<'_, Store>,
    (key, document): (Epk, NewDocument),
    charge: f64,
) -> Result<Answer, Failure> {
    let now = account.clock.unix();
    let there = store.find(key, &document.id, now).map_or(0, |(_, document)| document.weight());
    account.check_memory(weight(document.body.len()).saturating_sub(there))?;
    let written = store.put(key, document, now);
    let mut out = Vec::new();
    if !call.wants_no_body()
        && let Some(document) = store.at(written.place)
    {
        write(container, written.place, document, &mut out);
    }
    drop(store);
    if written.created {
        Counters::count(&account.counters.created);
    }
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let answer = if out.is_empty() { Answer::empty(status, charge) } else { Answer::bytes(status, charge, out) };
    Ok(answer.with_etag(&rid::etag(written.version, now)).with_session(container.range_of(key), written.version))
}

fn etag(document: &Document) -> String {
    rid::etag(document.version, document.timestamp)
}

/// Writes a document out with its system properties.
pub(super) fn write(container: &Container, place: Place, document: &Document, out: &mut Vec<u8>) {
    let system = SystemProperties {
        rid: &rid::document(container.numbers, place.number),
        container_link: &container.link,
        etag: &etag(document),
        timestamp: document.timestamp,
    };
    system.write_after(&document.body, out);
}
