//! Containers and their partition key ranges.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::{asked_throughput, check_modified, check_precondition, no_such_method, object};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container, Database, MAX_DEFINITION_BYTES};
use crate::cosmos::charge;
use crate::cosmos::definition::Definition;
use crate::cosmos::failure::Failure;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::query;

const FEED: &str = "DocumentCollections";

pub(super) fn list(database: &Database) -> Result<Answer, Failure> {
    let containers = database.containers().iter().map(|container| container.to_json()).collect();
    Ok(Answer::feed(charge::METADATA, &database.rid, FEED, containers))
}

pub(super) fn query(database: &Database, body: &[u8]) -> Result<Answer, Failure> {
    let containers: Vec<_> = database.containers().iter().map(|container| container.to_json()).collect();
    Ok(Answer::feed(charge::METADATA, &database.rid, FEED, query::over_values(body, &containers)?))
}

pub(super) fn create(account: &Account, database: &Database, call: &Call, body: &[u8]) -> Result<Answer, Failure> {
    let throughput = asked_throughput(call)?;
    let container = account.create_container(database, definition(body)?, throughput)?;
    Ok(described(database, &container, StatusCode::CREATED))
}

fn definition(body: &[u8]) -> Result<Definition, Failure> {
    if body.len() > MAX_DEFINITION_BYTES {
        return Err(Failure::too_large());
    }
    Definition::from_json(object(body)?)
}

/// Reads, replaces or deletes the container with this name.
pub(super) fn one(
    account: &Account,
    database: &Database,
    call: &Call,
    name: &str,
    body: &[u8],
) -> Result<Answer, Failure> {
    let container = database.container(name).ok_or_else(Failure::not_found)?;
    match call.method {
        Method::GET => {
            check_modified(call, &container.etag())?;
            Ok(with_usage(account, database, call, &container))
        }
        Method::PUT => {
            check_precondition(call, &container.etag())?;
            account.replace_container(&container, definition(body)?)?;
            let answer = described(database, &container, StatusCode::OK);
            // The index is there at once.
            Ok(answer.with("x-ms-documentdb-collection-index-transformation-progress", "100"))
        }
        Method::DELETE => {
            check_precondition(call, &container.etag())?;
            if !account.delete_container(database, &container)? {
                return Err(Failure::not_found());
            }
            Ok(Answer::empty(StatusCode::NO_CONTENT, charge::METADATA))
        }
        _ => Err(no_such_method(call)),
    }
}

fn described(database: &Database, container: &Container, status: StatusCode) -> Answer {
    let answer = Answer::json(status, charge::METADATA, &container.to_json());
    progress(answer, database, container).with_etag(&container.etag())
}

/// How far the container has got.
fn progress(answer: Answer, database: &Database, container: &Container) -> Answer {
    let version = container.store().last_version();
    answer.about(&database.paths()).with_session(container.range_of(Epk::MIN), version)
}

/// A container with what it holds, where the request asks for that.
fn with_usage(account: &Account, database: &Database, call: &Call, container: &Container) -> Answer {
    let mut body = container.to_json();
    let (count, bytes) = {
        let store = container.store();
        (store.live(account.clock.unix()), store.bytes())
    };
    let kilobytes = bytes.div_ceil(1024);
    if call.is("x-ms-documentdb-populatepartitionstatistics") {
        let (ranges, _) = container.ranges();
        let share = |number: u64| number / ranges.len().max(1) as u64;
        let statistics = ranges.iter().map(|range| {
            json!({
                "id": range["id"], "sizeInKB": share(kilobytes), "documentCount": share(count as u64),
                "sampledDistinctPartitionKeyCount": 0, "partitionKeys": [],
            })
        });
        body["statistics"] = statistics.collect::<Vec<_>>().into();
    }
    let mut answer = progress(Answer::json(StatusCode::OK, charge::METADATA, &body), database, container);
    if call.is("x-ms-documentdb-populatequotainfo") {
        let usage = format!(
            "functions=0;storedProcedures=0;triggers=0;documentSize={};documentsSize={kilobytes};documentsCount={count};\
             collectionSize={kilobytes};",
            kilobytes / 1024
        );
        let quota = "functions=25;storedProcedures=100;triggers=25;documentSize=10240;documentsSize=10485760;\
                     documentsCount=-1;collectionSize=10485760;";
        answer = answer
            .with("x-ms-resource-usage", &usage)
            .with("x-ms-resource-quota", quota)
            .with("x-ms-documentdb-collection-index-transformation-progress", "100");
    }
    answer.with_etag(&container.etag())
}

/// The partition key ranges, or 304 where the client has them already.
pub(super) fn ranges(container: &Container, call: &Call) -> Result<Answer, Failure> {
    let (ranges, etag) = container.ranges();
    if call.header("if-none-match").is_some_and(|known| known == etag) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED, charge::NOTHING).with_etag(&etag));
    }
    Ok(Answer::feed(charge::METADATA, &container.rid, "PartitionKeyRanges", ranges).with_etag(&etag))
}
