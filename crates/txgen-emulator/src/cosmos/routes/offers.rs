//! Offers: throughput as a resource of the account, found by the `_rid` of what it is for.

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{autoscale, check_precondition, no_such_method, object};
use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::Account;
use crate::cosmos::charge;
use crate::cosmos::failure::Failure;
use crate::cosmos::query;
use crate::cosmos::throughput::Throughput;

pub(super) fn list(account: &Account) -> Result<Answer, Failure> {
    Ok(Answer::feed(charge::METADATA, "", "Offers", all(account)))
}

pub(super) fn query(account: &Account, body: &[u8]) -> Result<Answer, Failure> {
    Ok(Answer::feed(charge::METADATA, "", "Offers", query::over_values(body, &all(account))?))
}

fn all(account: &Account) -> Vec<Value> {
    account.offers().iter().map(|offer| offer.to_json()).collect()
}

/// Reads or replaces the offer with this id.
pub(super) fn one(account: &Account, call: &Call, rid: &str, body: &[u8]) -> Result<Answer, Failure> {
    let offers = account.offers();
    let offer = offers.iter().find(|offer| offer.rid == rid).ok_or_else(Failure::not_found)?;
    match call.method {
        Method::GET => {}
        Method::PUT => {
            check_precondition(call, &offer.etag())?;
            let body = object(body)?;
            account.replace_offer(offer, wanted(body.get("content").unwrap_or(&Value::Null))?)?;
        }
        _ => return Err(no_such_method(call)),
    }
    Ok(Answer::json(StatusCode::OK, charge::METADATA, &offer.to_json()).with_etag(&offer.etag()))
}

/// The throughput that an offer's content asks for.
fn wanted(content: &Value) -> Result<Throughput, Failure> {
    let settings = &content["offerAutopilotSettings"];
    let throughput = if settings.is_object() {
        autoscale(settings)
    } else {
        content["offerThroughput"].as_u64().and_then(|throughput| throughput.try_into().ok()).map(Throughput::Manual)
    };
    throughput
        .ok_or_else(|| Failure::bad_request("The offer's content names no throughput."))?
        .validate()
        .map_err(Failure::bad_request)
}
