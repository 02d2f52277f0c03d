//! What Cosmos DB's answers mean: one table of its status codes and substatus codes. Answers at connecting and in mid-run
//! are read by the same table.

use crate::service::FailureKind::{
    self, BadRequest, Conflict, NotFound, Throttled as Busy, Timeout, TooLarge, Unauthorized, Unavailable,
};
use crate::service::retry::Verdict::{self, Ambiguous, GiveUp, Retry, RetryRefusal, Throttled};

/// The status codes.
const STATUSES: &str = "https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb";
/// The substatus codes, as the service's own client for .NET names them.
const SUBSTATUSES: &str =
    "https://github.com/Azure/azure-cosmos-dotnet-v3/blob/master/Microsoft.Azure.Cosmos/src/direct/StatusCodes.cs";
/// Which of them leave it open whether a write happened.
const RESILIENCE: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/conceptual-resilient-sdk-applications";
const BAD_REQUEST: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-bad-request";
const UNAUTHORIZED: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-unauthorized";
const FORBIDDEN: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-forbidden";
const NOT_FOUND: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-not-found";
const RATE: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-request-rate-too-large";
const UNAVAILABLE: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-service-unavailable";
/// The codes of HTTP itself, from whatever stands between txgen and the service.
const HTTP: &str = "https://www.rfc-editor.org/rfc/rfc9110#section-15";

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    status: u16,
    /// `None` is any other one than those above.
    substatus: Option<u32>,
    pub(super) verdict: Verdict,
    pub(super) kind: FailureKind,
    source: &'static str,
}

const fn any(status: u16, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { status, substatus: None, verdict, kind, source }
}

const fn sub(status: u16, substatus: u32, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { status, substatus: Some(substatus), verdict, kind, source }
}

/// The first row that fits an answer counts.
const TABLE: &[Row] = &[
    any(400, GiveUp, BadRequest, BAD_REQUEST),
    any(401, RetryRefusal, Unauthorized, UNAUTHORIZED),
    // Another region takes the writes now.
    sub(403, 3, Retry, Unavailable, STATUSES),
    sub(403, 1008, Retry, Unavailable, SUBSTATUSES),
    any(403, GiveUp, Unauthorized, FORBIDDEN),
    // A replica that lags behind, and a container that is being created.
    sub(404, 1002, Retry, Unavailable, NOT_FOUND),
    sub(404, 1013, Retry, Unavailable, SUBSTATUSES),
    sub(404, 1023, Retry, Unavailable, SUBSTATUSES),
    any(404, GiveUp, NotFound, NOT_FOUND),
    any(405, GiveUp, BadRequest, HTTP),
    any(408, Ambiguous, Timeout, RESILIENCE),
    any(409, GiveUp, Conflict, STATUSES),
    // A partition that moves or splits.
    any(410, Retry, Unavailable, STATUSES),
    any(412, GiveUp, BadRequest, STATUSES),
    any(413, GiveUp, TooLarge, STATUSES),
    any(423, Retry, Unavailable, STATUSES),
    any(424, GiveUp, BadRequest, STATUSES),
    any(429, Throttled, Busy, RATE),
    // A conflict inside the service.
    any(449, Retry, Unavailable, STATUSES),
    any(500, Ambiguous, Unavailable, STATUSES),
    any(502, Ambiguous, Unavailable, HTTP),
    any(503, Ambiguous, Unavailable, UNAVAILABLE),
    any(504, Ambiguous, Timeout, HTTP),
    // Full: there is no room the next moment either.
    any(507, GiveUp, Unavailable, HTTP),
];

/// What this answer means. A code that is not in the table is taken by its class; the service answered, so that nothing
/// is stored.
pub(super) fn of(status: u16, substatus: u32) -> Row {
    let fits = |row: &&Row| row.status == status && row.substatus.is_none_or(|own| own == substatus);
    TABLE.iter().find(fits).copied().unwrap_or(match status {
        400..=499 => any(status, GiveUp, BadRequest, HTTP),
        _ => any(status, Retry, Unavailable, HTTP),
    })
}
