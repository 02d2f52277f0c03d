//! From a request to its answer: who asks, for what, and which part of the account says so.

mod account;
mod batch;
mod containers;
mod databases;
mod documents;
mod feeds;
mod metrics;
mod offers;
mod queries;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::auth::Denied;
use super::call::{Call, Resource};
use super::catalog::{Account, Container, Database};
use super::charge;
use super::failure::{Failure, Progress};
use super::partition_key::Epk;
use super::throughput::Throughput;

pub(super) use documents::MAX_SIZE as MAX_DOCUMENT_BYTES;

/// Checks the signature of a request. Nothing of its body is read before.
pub(super) fn authorize(account: &Account, call: &Call) -> Result<(), Failure> {
    match account.gate.check(&call.headers, call.signed(), SystemTime::now()) {
        // What is not supported gets an error that says so. What its signature has to cover is not known here, and nothing is done.
        Err(Denied::Signature(_)) if call.resource() == Resource::Other => Ok(()),
        checked => Ok(checked?),
    }
}

/// Answers a request whose signature was checked. What it has changed is kept by then.
pub(super) async fn answer(account: &Account, call: &Call, body: Bytes) -> Result<Answer, Failure> {
    let answer = carry_out(account, call, body).await?;
    if call.method != Method::GET && !call.is_query() {
        account.settled().await?;
    }
    Ok(answer)
}

async fn carry_out(account: &Account, call: &Call, body: Bytes) -> Result<Answer, Failure> {
    let method = &call.method;
    let is_get = method == Method::GET;
    let is_post = method == Method::POST;
    match call.resource() {
        Resource::Account if is_get => Ok(account::read(account, call)),
        Resource::Databases if is_get => databases::list(account),
        Resource::Databases if is_post && call.is_query() => databases::query(account, &body),
        Resource::Databases if is_post => databases::create(account, call, &body),
        Resource::Database(name) => databases::one(account, call, name),
        Resource::Containers(name) => {
            let database = account.database(name).ok_or_else(Failure::owner_not_found)?;
            match () {
                () if is_get => containers::list(&database),
                () if is_post && call.is_query() => containers::query(&database, &body),
                () if is_post => containers::create(account, &database, call, &body),
                () => Err(no_such_method(call)),
            }
        }
        Resource::Container(database, name) => {
            let database = account.database(database).ok_or_else(Failure::owner_not_found)?;
            containers::one(account, &database, call, name, &body)
        }
        Resource::Ranges(database, name) if is_get => {
            containers::ranges(&owner(account, call, database, name)?.1, call)
        }
        Resource::Documents(database, name)
        | Resource::Document(database, name, _)
        | Resource::DeleteByKey(database, name) => {
            let (_, container) = owner(account, call, database, name)?;
            match about_documents(account, &container, call, &body).await {
                Ok(answer) => Ok(answer.about(&container.paths)),
                Err(failure) => Err(told_with_progress(failure, &container)),
            }
        }
        Resource::Conflicts(database, name, id) => {
            let (_, container) = owner(account, call, database, name)?;
            match id {
                None if is_post && !call.crosses_partitions() && call.partition_key()?.is_none() => {
                    Err(Failure::cross_partition_disabled())
                }
                // There is one region to write to, so that there are none.
                None if is_get || is_post => {
                    Ok(Answer::feed(charge::METADATA, &container.rid, "Conflicts", Vec::new()).about(&container.paths))
                }
                Some(_) if is_get || method == Method::DELETE => Err(Failure::not_found()),
                _ => Err(no_such_method(call)),
            }
        }
        Resource::Offers if is_get => offers::list(account),
        Resource::Offers if is_post => offers::query(account, &body),
        Resource::Offer(rid) => offers::one(account, call, rid, &body),
        Resource::Other => Err(Failure::unsupported(format_args!("{}{} {}", call.kind(), call.method, call.link()))),
        _ => Err(no_such_method(call)),
    }
}

/// Answers a request about the documents of a container.
async fn about_documents(
    account: &Account,
    container: &Container,
    call: &Call,
    body: &[u8],
) -> Result<Answer, Failure> {
    let method = &call.method;
    if call.headers.contains_key("x-ms-documentdb-pre-trigger-include")
        || call.headers.contains_key("x-ms-documentdb-post-trigger-include")
    {
        return Err(Failure::unsupported("triggers"));
    }
    match call.resource() {
        Resource::Document(_, _, id) => documents::one(account, container, call, id, body),
        Resource::DeleteByKey(..) if method == Method::POST => feeds::delete_by_key(account, container, call),
        Resource::DeleteByKey(..) => Err(no_such_method(call)),
        _ if method == Method::GET && call.is_change_feed() => feeds::changes(account, container, call),
        _ if method == Method::GET => feeds::list(account, container, call),
        _ if method != Method::POST => Err(no_such_method(call)),
        _ if call.is_query() || call.is_query_plan() => queries::answer(account, container, call, body).await,
        _ if call.is("x-ms-cosmos-is-batch-request") => batch::answer(account, container, call, body),
        _ => documents::create(account, container, call, body),
    }
}

/// A failure that says how far the container has got, as the service's do.
fn told_with_progress(failure: Failure, container: &Container) -> Failure {
    if failure.status == StatusCode::TOO_MANY_REQUESTS {
        return failure;
    }
    let version = container.store().last_version();
    let progress = Progress { paths: container.paths.clone(), range: container.range_of(Epk::MIN), version };
    Failure { progress: Some(Box::new(progress)), ..failure }
}

fn no_such_method(call: &Call) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not allowed on {}.", call.method, call.link()))
}

/// The container that a request is about, and its database.
fn owner(
    account: &Account,
    call: &Call,
    database: &str,
    container: &str,
) -> Result<(Arc<Database>, Arc<Container>), Failure> {
    let database = account.database(database).ok_or_else(Failure::owner_not_found)?;
    let container = database.container(container).ok_or_else(Failure::owner_not_found)?;
    match call.header("x-ms-cosmos-intended-collection-rid") {
        Some(intended) if intended != container.rid => Err(Failure::other_container()),
        _ => Ok((database, container)),
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("The body is not a JSON object: {error}.")))
}

/// The throughput that a new database or container is to have.
fn asked_throughput(call: &Call) -> Result<Option<Throughput>, Failure> {
    let asked = match (call.header("x-ms-offer-throughput"), call.header("x-ms-cosmos-offer-autopilot-settings")) {
        (None, None) => return Ok(None),
        (Some(manual), None) => manual.trim().parse().ok().map(Throughput::Manual),
        (None, Some(settings)) => serde_json::from_str(settings).ok().as_ref().and_then(autoscale),
        (Some(_), Some(_)) => return Err(Failure::bad_request("Throughput is either manual or autoscale, not both.")),
    };
    let asked = asked.ok_or_else(|| Failure::bad_request("The throughput asked for is not a number of RU/s."))?;
    asked.validate().map(Some).map_err(Failure::bad_request)
}

/// Autoscale settings as JSON.
fn autoscale(settings: &Value) -> Option<Throughput> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let increment_percent = number(&settings["autoUpgradePolicy"]["throughputPolicy"]["incrementPercent"]);
    Some(Throughput::Autoscale { max: number(&settings["maxThroughput"])?, increment_percent })
}

/// Fails where an `if-match` header names another version than this one.
fn check_precondition(call: &Call, etag: &str) -> Result<(), Failure> {
    match call.header("if-match") {
        Some(wanted) if wanted != "*" && wanted != etag => Err(Failure::precondition().with_charge(charge::NOTHING)),
        _ => Ok(()),
    }
}

/// Fails with 304 where an `if-none-match` header names this very version.
fn check_modified(call: &Call, etag: &str) -> Result<(), Failure> {
    match call.header("if-none-match") {
        Some(known) if known == etag => Err(Failure::new(StatusCode::NOT_MODIFIED, "").with_charge(charge::NOTHING)),
        _ => Ok(()),
    }
}
