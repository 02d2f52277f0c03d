//! Containers and their partition key ranges.

use hyper::{Method, StatusCode};

use super::{asked_throughput, check_modified, check_precondition, no_such_method, object};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Container, Database, Definition, MAX_DEFINITION_BYTES};
use crate::cosmos::charge;
use crate::cosmos::failure::Failure;
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
    Ok(described(&container, StatusCode::CREATED))
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
            Ok(described(&container, StatusCode::OK))
        }
        Method::PUT => {
            check_precondition(call, &container.etag())?;
            container.replace(definition(body)?, account.clock.unix())?;
            Ok(described(&container, StatusCode::OK))
        }
        Method::DELETE => {
            check_precondition(call, &container.etag())?;
            if !database.delete_container(&container) {
                return Err(Failure::not_found());
            }
            Ok(Answer::empty(StatusCode::NO_CONTENT, charge::METADATA))
        }
        _ => Err(no_such_method(call)),
    }
}

fn described(container: &Container, status: StatusCode) -> Answer {
    Answer::json(status, charge::METADATA, &container.to_json()).with_etag(&container.etag())
}

/// The partition key ranges, or 304 where the client has them already.
pub(super) fn ranges(container: &Container, call: &Call) -> Result<Answer, Failure> {
    let (ranges, etag) = container.ranges();
    if call.header("if-none-match").is_some_and(|known| known == etag) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED, charge::NOTHING).with_etag(&etag));
    }
    Ok(Answer::feed(charge::METADATA, &container.rid, "PartitionKeyRanges", ranges).with_etag(&etag))
}
