//! Transactional batches: all of some operations on documents under one partition key, or none of them.
//!
//! <https://learn.microsoft.com/azure/cosmos-db/transactional-batch>

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::documents::{self, Mode};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container, Counters};
use crate::cosmos::charge;
use crate::cosmos::document::NewDocument;
use crate::cosmos::failure::Failure;
use crate::cosmos::key_definition::KeyValues;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::patch::Patch;
use crate::cosmos::store::{Store, weight};

/// Operations of one batch at most.
const MAX_OPERATIONS: usize = 100;
/// The status of operations that were not carried out since another failed.
const FAILED_DEPENDENCY: u16 = 424;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a> {
    operation_type: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, borrow)]
    resource_body: Option<&'a RawValue>,
    #[serde(default)]
    if_match: Option<String>,
    #[serde(default)]
    if_none_match: Option<String>,
}

/// What became of an operation.
struct Done {
    status: u16,
    charge: f64,
    etag: Option<String>,
    body: Option<Box<RawValue>>,
    /// Whether a document is new.
    created: bool,
    /// Whether the document was asked for, rather than being what was written.
    read: bool,
}

/// Carries out a batch.
pub(super) fn answer(account: &Account, container: &Container, call: &Call, body: &[u8]) -> Result<Answer, Failure> {
    let operations: Vec<Operation<'_>> = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("The body is not a batch of operations: {error}.")))?;
    if operations.is_empty() {
        return Err(Failure::bad_request("Batch request has no operations."));
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(Failure::bad_request(format!(
            "Batch request has more operations than what is supported. It has {}, and {MAX_OPERATIONS} are.",
            operations.len()
        )));
    }
    let values = call.partition_key()?.ok_or_else(Failure::key_missing)?;
    let key = container.place(&values)?;
    account.admit(container, &(key..key))?;
    let mut store = container.store();
    let mut batch = Batch { account, container, key, values: &values, store: &mut store, undo: Vec::new() };
    let mut done = Vec::new();
    let mut failed = None;
    for operation in &operations {
        match batch.carry_out(operation) {
            Ok(one) => done.push(one),
            Err(failure) => {
                failed = Some((done.len(), failure));
                break;
            }
        }
    }
    if failed.is_some() {
        batch.roll_back();
    }
    account.keep_changes(container, batch.store)?;
    let version = batch.store.last_version();
    drop(store);
    let charge = done.iter().map(|one| one.charge).sum::<f64>() + failed.as_ref().map_or(0.0, |(_, f)| f.charge);
    let status = if failed.is_some() { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    let results: Vec<Value> = match failed {
        Some((at, failure)) => (0..operations.len())
            .map(|index| match index == at {
                true => json!({
                    "statusCode": failure.status.as_u16(), "subStatusCode": failure.substatus,
                    "requestCharge": failure.charge, "message": failure.message,
                }),
                false => json!({ "statusCode": FAILED_DEPENDENCY, "subStatusCode": 0, "requestCharge": 0.0 }),
            })
            .collect(),
        None => {
            let created = done.iter().filter(|one| one.created).count();
            (0..created).for_each(|_| Counters::count(&account.counters.created));
            done.iter().map(|one| one.to_json(call.wants_no_body())).collect()
        }
    };
    account.charge(container, &(key..key), charge);
    Ok(Answer::json(status, charge, &Value::Array(results)).with_session(container.range_of(key), version))
}

impl Done {
    fn to_json(&self, without_written: bool) -> Value {
        let mut result = json!({ "statusCode": self.status, "subStatusCode": 0, "requestCharge": self.charge });
        if let Some(etag) = &self.etag {
            result["eTag"] = etag.as_str().into();
        }
        if let Some(body) = self.body.as_ref().filter(|_| self.read || !without_written) {
            result["resourceBody"] = serde_json::from_str(body.get()).unwrap_or_default();
        }
        result
    }
}

/// A batch in the making.
struct Batch<'a> {
    account: &'a Account,
    container: &'a Container,
    key: Epk,
    values: &'a KeyValues,
    store: &'a mut Store,
    /// What was there before, by id, in the order of the changes.
    undo: Vec<(String, Option<crate::cosmos::store::Before>)>,
}

impl Batch<'_> {
    fn carry_out(&mut self, operation: &Operation<'_>) -> Result<Done, Failure> {
        let id = || {
            let id = operation.id.as_deref();
            id.ok_or_else(|| Failure::bad_request(format!("The {} of a batch needs an id.", operation.operation_type)))
        };
        match operation.operation_type.as_str() {
            "Create" => self.put(self.document(operation)?, Mode::Create, operation),
            "Upsert" => self.put(self.document(operation)?, Mode::Upsert, operation),
            "Replace" => self.put(self.document(operation)?, Mode::Replace(id()?), operation),
            "Read" => self.read(id()?, operation),
            "Delete" => self.delete(id()?, operation),
            "Patch" => {
                let patch = operation.resource_body.map_or("", RawValue::get);
                let patch = Patch::read(patch.as_bytes())?;
                let place = (self.key, self.values);
                let document = documents::patched(self.container, self.store, place, id()?, &patch, self.now())?;
                self.put(document, Mode::Replace(id()?), operation)
            }
            other => Err(Failure::bad_request(format!("A batch has no operation '{other}'."))),
        }
    }

    fn now(&self) -> u32 {
        self.account.clock.unix()
    }

    fn document(&self, operation: &Operation<'_>) -> Result<NewDocument, Failure> {
        let body = operation.resource_body.map_or("", RawValue::get);
        let document = NewDocument::read(body.as_bytes(), &self.container.key, &self.container.unique)?;
        Ok(documents::belonging(self.container, self.values, document)?.1)
    }

    fn put(&mut self, document: NewDocument, mode: Mode<'_>, operation: &Operation<'_>) -> Result<Done, Failure> {
        let charge = charge::write(document.body.len(), document.properties);
        let (id, now) = (document.id.clone(), self.now());
        let there = self.store.find(self.key, &id, now).map_or(0, |(_, document)| document.weight());
        self.account.check_memory(weight(document.body.len()).saturating_sub(there))?;
        let renamed = match mode {
            Mode::Replace(old) if old != id => Some((old.to_owned(), self.store.before(self.key, old))),
            _ => None,
        };
        let before = self.store.before(self.key, &id);
        let written = documents::put(self.store, self.key, document, mode, operation.if_match.as_deref(), now)
            .map_err(|failure| failure.with_charge(charge))?;
        self.undo.extend(renamed);
        self.undo.push((id.clone(), before));
        let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(Done { created: written.created, ..self.found(&id, status, charge) })
    }

    fn read(&self, id: &str, operation: &Operation<'_>) -> Result<Done, Failure> {
        let not_found = || Failure::not_found().with_charge(charge::NOTHING);
        let (_, document) = self.store.find(self.key, id, self.now()).ok_or_else(not_found)?;
        if operation.if_none_match.as_deref() == Some(&documents::etag(document)) {
            return Err(Failure::new(StatusCode::NOT_MODIFIED, "").with_charge(charge::NOTHING));
        }
        Ok(Done { read: true, ..self.found(id, StatusCode::OK, charge::read(document.body.len())) })
    }

    fn delete(&mut self, id: &str, operation: &Operation<'_>) -> Result<Done, Failure> {
        let found = self.store.find(self.key, id, self.now()).map(|(_, document)| document);
        let charge = found.map_or(charge::NOTHING, |found| charge::write(found.body.len(), found.properties()));
        let before = self.store.before(self.key, id);
        documents::remove(self.store, self.key, id, operation.if_match.as_deref(), self.now())
            .map_err(|failure| failure.with_charge(charge))?;
        self.undo.push((id.to_owned(), before));
        Ok(Done {
            status: StatusCode::NO_CONTENT.as_u16(),
            charge,
            etag: None,
            body: None,
            created: false,
            read: false,
        })
    }

    /// A document as it is now.
    fn found(&self, id: &str, status: StatusCode, charge: f64) -> Done {
        let found = self.store.find(self.key, id, self.now());
        let body = found.and_then(|(place, document)| {
            let mut out = Vec::new();
            documents::write(self.container, place, document, &mut out);
            RawValue::from_string(String::from_utf8(out).ok()?).ok()
        });
        let etag = found.map(|(_, document)| documents::etag(document));
        Done { status: status.as_u16(), charge, etag, body, created: false, read: false }
    }

    fn roll_back(&mut self) {
        for (id, before) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.store.restore(self.key, &id, before);
        }
    }
}
