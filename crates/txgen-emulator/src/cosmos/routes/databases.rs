//! Databases.

use hyper::{Method, StatusCode};

use super::{asked_throughput, check_modified, check_precondition, no_such_method, object};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::Account;
use crate::cosmos::charge;
use crate::cosmos::failure::Failure;
use crate::cosmos::query;

pub(super) fn list(account: &Account) -> Result<Answer, Failure> {
    let databases = account.databases().iter().map(|database| database.to_json()).collect();
    Ok(Answer::feed(charge::METADATA, "", "Databases", databases))
}

pub(super) fn query(account: &Account, body: &[u8]) -> Result<Answer, Failure> {
    let databases: Vec<_> = account.databases().iter().map(|database| database.to_json()).collect();
    Ok(Answer::feed(charge::METADATA, "", "Databases", query::over_values(body, &databases)?))
}

pub(super) fn create(account: &Account, call: &Call, body: &[u8]) -> Result<Answer, Failure> {
    let throughput = asked_throughput(call)?;
    let id = object(body)?.get("id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let database = account.create_database(&id, throughput)?;
    Ok(Answer::json(StatusCode::CREATED, charge::METADATA, &database.to_json()).with_etag(&database.etag()))
}

/// Reads or deletes the database with this name.
pub(super) fn one(account: &Account, call: &Call, name: &str) -> Result<Answer, Failure> {
    let database = account.database(name).ok_or_else(Failure::not_found)?;
    match call.method {
        Method::GET => {
            check_modified(call, &database.etag())?;
            Ok(Answer::json(StatusCode::OK, charge::METADATA, &database.to_json()).with_etag(&database.etag()))
        }
        Method::DELETE => {
            check_precondition(call, &database.etag())?;
            if !account.delete_database(&database)? {
                return Err(Failure::not_found());
            }
            Ok(Answer::empty(StatusCode::NO_CONTENT, charge::METADATA))
        }
        _ => Err(no_such_method(call)),
    }
}
