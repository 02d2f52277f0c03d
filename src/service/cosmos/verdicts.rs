//! What Cosmos DB's answers mean: one table of its status codes, substatus codes and texts. Answers at connecting and in
//! mid-run are read by the same table.

use crate::service::FailureKind::{
    self, BadRequest, ClockSkew, Conflict, KeysDisabled, NetworkBlocked, NotFound, PartitionFull, QuotaExceeded,
    ReadOnlyRegion, Throttled as Busy, Timeout, TooLarge, Unauthorized, Unavailable,
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
const LIMITS: &str = "https://learn.microsoft.com/azure/cosmos-db/concepts-limits";
const SERVERLESS: &str = "https://learn.microsoft.com/azure/cosmos-db/serverless";
const KEYS: &str = "https://learn.microsoft.com/azure/cosmos-db/nosql/how-to-connect-role-based-access-control";
/// The codes of HTTP itself, from whatever stands between txgen and the service.
const HTTP: &str = "https://www.rfc-editor.org/rfc/rfc9110#section-15";

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    status: u16,
    /// `None` is any.
    substatus: Option<u32>,
    /// What the answer's text must hold, in lower case.
    text: &'static str,
    pub(super) verdict: Verdict,
    pub(super) kind: FailureKind,
    /// What to do about it, where that is not what the kind says.
    pub(super) remedy: Option<&'static str>,
    source: &'static str,
}

const fn any(status: u16, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { status, substatus: None, text: "", verdict, kind, remedy: None, source }
}

const fn sub(status: u16, substatus: u32, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { substatus: Some(substatus), ..any(status, verdict, kind, source) }
}

const fn text(status: u16, text: &'static str, verdict: Verdict, kind: FailureKind, source: &'static str) -> Row {
    Row { text, ..any(status, verdict, kind, source) }
}

impl Row {
    /// The answer's text, with this row's own remedy behind it.
    pub(super) fn advised(&self, detail: &str) -> String {
        match self.remedy {
            Some(remedy) => format!("{}; {remedy}", detail.trim_end_matches('.')),
            None => detail.to_owned(),
        }
    }

    const fn remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }
}

const SHARED_DATABASES: &str = "the account has as many databases with shared throughput as it may; use one of them with \
                                --database, or create the database yourself without throughput and a container in it with \
                                its own";
const SHARED_CONTAINERS: &str = "the database shares its throughput among as many containers as it may; use another one with \
                                 --database, or create the container yourself with its own throughput";
const THROUGHPUT_CAP: &str =
    "the account's total throughput is capped; ask for fewer RU/s with --throughput, or raise the cap";
const NO_CAPACITY: &str =
    "the region has no capacity for that now; ask for fewer RU/s with --throughput, or take another region";
const TENANT: &str = "sign in to the account's own tenant (`az login --tenant TENANT`, or AZURE_TENANT_ID)";
const ROLE: &str = "the identity lacks a role for data that allows this, such as Cosmos DB Built-in Data Contributor; give it \
                    one with `az cosmosdb sql role assignment create`";
const ACCOUNT_GONE: &str = "the account is offline, moved or deleted in this region; look at it in the portal, and check \
                            COSMOS_DB_ENDPOINT";

/// The first row that fits an answer counts.
const TABLE: &[Row] = &[
    sub(400, 1001, GiveUp, BadRequest, SUBSTATUSES),
    sub(400, 1004, GiveUp, BadRequest, SUBSTATUSES),
    sub(400, 1019, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(SHARED_CONTAINERS),
    sub(400, 1020, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(SHARED_DATABASES),
    sub(400, 1028, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(THROUGHPUT_CAP),
    text(400, "shared offer database", GiveUp, QuotaExceeded, LIMITS).remedy(SHARED_DATABASES),
    text(400, "total throughput limit", GiveUp, QuotaExceeded, LIMITS).remedy(THROUGHPUT_CAP),
    text(400, "serverless", GiveUp, BadRequest, SERVERLESS)
        .remedy("a serverless account provisions no throughput; create the database and the container yourself"),
    any(400, GiveUp, BadRequest, BAD_REQUEST),
    text(401, "not valid at the current time", GiveUp, ClockSkew, UNAUTHORIZED),
    sub(401, 5202, GiveUp, KeysDisabled, KEYS),
    text(401, "local authorization is disabled", GiveUp, KeysDisabled, KEYS),
    text(401, "issuer", GiveUp, Unauthorized, UNAUTHORIZED).remedy(TENANT),
    text(401, "tenant", GiveUp, Unauthorized, UNAUTHORIZED).remedy(TENANT),
    // A token that expired on its way, among others.
    any(401, RetryRefusal, Unauthorized, UNAUTHORIZED),
    // Another region takes the writes now, or will in a moment.
    sub(403, 3, Retry, ReadOnlyRegion, STATUSES),
    sub(403, 1005, GiveUp, QuotaExceeded, SUBSTATUSES),
    sub(403, 1008, Retry, Unavailable, SUBSTATUSES).remedy(ACCOUNT_GONE),
    sub(403, 1009, GiveUp, QuotaExceeded, SUBSTATUSES),
    sub(403, 1010, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(SHARED_DATABASES),
    sub(403, 1011, GiveUp, QuotaExceeded, SUBSTATUSES),
    sub(403, 1014, GiveUp, PartitionFull, LIMITS),
    sub(403, 1019, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(SHARED_CONTAINERS),
    sub(403, 1020, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(SHARED_DATABASES),
    sub(403, 1021, Retry, Unavailable, SUBSTATUSES),
    sub(403, 1028, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(THROUGHPUT_CAP),
    sub(403, 1029, GiveUp, QuotaExceeded, SUBSTATUSES).remedy(THROUGHPUT_CAP),
    // Microsoft Entra ID's roles for data do not allow it.
    sub(403, 5300, GiveUp, Unauthorized, FORBIDDEN).remedy(ROLE),
    sub(403, 5301, GiveUp, Unauthorized, FORBIDDEN).remedy(ROLE),
    sub(403, 5302, GiveUp, Unauthorized, FORBIDDEN).remedy(ROLE),
    sub(403, 5303, GiveUp, Unauthorized, FORBIDDEN).remedy(ROLE),
    text(403, "not valid at the current time", GiveUp, ClockSkew, UNAUTHORIZED),
    text(403, "local authorization is disabled", GiveUp, KeysDisabled, KEYS),
    text(403, "firewall", GiveUp, NetworkBlocked, FORBIDDEN),
    text(403, "public internet", GiveUp, NetworkBlocked, FORBIDDEN),
    text(403, "private endpoint", GiveUp, NetworkBlocked, FORBIDDEN),
    text(403, "virtual network", GiveUp, NetworkBlocked, FORBIDDEN),
    text(403, "service endpoint", GiveUp, NetworkBlocked, FORBIDDEN),
    text(403, "storage quota", GiveUp, PartitionFull, FORBIDDEN),
    text(403, "token has expired", RetryRefusal, Unauthorized, STATUSES),
    text(403, "token expired", RetryRefusal, Unauthorized, STATUSES),
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
    sub(503, 1007, GiveUp, Unavailable, SUBSTATUSES).remedy(NO_CAPACITY),
    sub(503, 1012, GiveUp, Unavailable, SUBSTATUSES).remedy(NO_CAPACITY),
    sub(503, 9001, Retry, Unavailable, SUBSTATUSES),
    sub(503, 9002, Retry, Unavailable, SUBSTATUSES).remedy(ACCOUNT_GONE),
    sub(503, 9003, GiveUp, Unavailable, SUBSTATUSES).remedy(NO_CAPACITY),
    any(503, Ambiguous, Unavailable, UNAVAILABLE),
    any(504, Ambiguous, Timeout, HTTP),
    // Full: there is no room the next moment either.
    any(507, GiveUp, Unavailable, HTTP),
];

/// What this answer means. A code that is not in the table is taken by its class; the service answered, so that nothing
/// is stored.
pub(super) fn of(status: u16, substatus: u32, message: &str) -> Row {
    let message = message.to_ascii_lowercase();
    let fits = |row: &&Row| {
        row.status == status
            && row.substatus.is_none_or(|own| own == substatus)
            && (row.text.is_empty() || message.contains(row.text))
    };
    TABLE.iter().find(fits).copied().unwrap_or(match status {
        400..=499 => any(status, GiveUp, BadRequest, HTTP),
        _ => any(status, Retry, Unavailable, HTTP),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_row_is_what_its_answer_becomes_and_has_a_source() {
        for row in TABLE {
            let found = of(row.status, row.substatus.unwrap_or(0), &format!("It is: {}.", row.text.to_uppercase()));
            assert_eq!(found, *row, "another row hides it");
            assert!(row.source.starts_with("https://"), "{row:?}");
        }
    }

    #[test]
    fn only_answers_of_a_service_that_failed_itself_are_ambiguous() {
        let ambiguous: Vec<_> = TABLE.iter().filter(|row| row.verdict == Ambiguous).map(|row| row.status).collect();
        assert_eq!(ambiguous, [408, 500, 502, 503, 504]);
    }

    #[test]
    fn what_the_documentation_tells_apart_is_told_apart() {
        let firewall = "Request originated from IP 203.0.113.7 through public internet. This is blocked by your Cosmos DB \
                        account firewall settings.";
        for (status, substatus, message, verdict, kind) in [
            (403, 0, firewall, GiveUp, NetworkBlocked),
            (403, 0, "The authorization token is not valid at the current time.", GiveUp, ClockSkew),
            (401, 5202, "Local Authorization is disabled.", GiveUp, KeysDisabled),
            (401, 0, "The input authorization token can't serve the request.", RetryRefusal, Unauthorized),
            (403, 3, "The requested operation cannot be performed at this region", Retry, ReadOnlyRegion),
            (403, 1014, "Partition key reached maximum size of 20 GB.", GiveUp, PartitionFull),
            (400, 1020, "Shared offer Database create is forbidden", GiveUp, QuotaExceeded),
            (403, 5300, "cannot be authorized by AAD token in data plane", GiveUp, Unauthorized),
            (410, 1007, "", Retry, Unavailable),
            (429, 3200, "", Throttled, Busy),
        ] {
            let row = of(status, substatus, message);
            assert_eq!((row.verdict, row.kind), (verdict, kind), "{status}/{substatus} {message}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_ambiguous_unless_the_table_says_so(
            status in any_status(),
            substatus in prop_oneof![0..6_000_u32, proptest::num::u32::ANY],
            message in ".*",
        ) {
            let row = of(status, substatus, &message);
            prop_assert!(row.verdict != Ambiguous || TABLE.contains(&row), "{row:?}");
            prop_assert!(row.verdict != Ambiguous || status >= 500 || status == 408, "{row:?}");
        }
    }

    fn any_status() -> impl Strategy<Value = u16> {
        prop_oneof![100..600_u16, proptest::num::u16::ANY]
    }
}
