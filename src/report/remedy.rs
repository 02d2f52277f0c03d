//! What the user can do about failures, by service and kind: below the totals, where there are any.

use crate::service::{FailureKind, ServiceName};
use crate::stats::Summary;

/// One line for each kind of failure that there was: which service, how many, and what to do about it.
#[must_use]
pub fn remedies(summary: &Summary) -> Vec<String> {
    let of = |(name, kind, count): (&ServiceName, &FailureKind, &u64)| {
        format!("{name}: {count} failed as {kind}: {}", remedy(*name, *kind))
    };
    let kinds = summary
        .services
        .iter()
        .flat_map(|(name, service)| service.failures.iter().map(move |(kind, count)| (name, kind, count)));
    kinds.map(of).collect()
}

/// What to do about this kind of failure at this service.
fn remedy(service: ServiceName, kind: FailureKind) -> &'static str {
    use ServiceName::{CosmosDb, EventHubs};
    match (kind, service) {
        (FailureKind::Unauthorized, EventHubs) => {
            "the credential is no longer good, or lacks Send; check the policy and key of the connection string, or the role"
        }
        (FailureKind::Unauthorized, CosmosDb) => {
            "the credential is no longer good, or may not write; check COSMOS_DB_AUTH_KEY (a key that was regenerated?), or the role"
        }
        (FailureKind::NotFound, EventHubs) => "the event hub is not there any more; was it deleted during the run?",
        (FailureKind::NotFound, CosmosDb) => {
            "the database or container is not there any more; was it deleted during the run?"
        }
        (FailureKind::TooLarge, EventHubs) => "an event may have 1 MiB; shorten these rows",
        (FailureKind::TooLarge, CosmosDb) => "a document may have 2 MiB; shorten these rows",
        (FailureKind::BadRequest, _) => {
            "the service does not take these transactions as they are; see its message above"
        }
        (FailureKind::Conflict, _) => {
            "documents with these ids were there before the run; was the same run id sent to this container already?"
        }
        (FailureKind::Throttled, EventHubs) => {
            "it was throttled for longer than --retry-for; add throughput units, raise that time, or send slower with --rate"
        }
        (FailureKind::Throttled, CosmosDb) => {
            "it was throttled for longer than --retry-for; raise the RU/s or that time, or send slower with --rate"
        }
        (FailureKind::Timeout, _) => "it did not answer in time; look at its health and at the network between",
        (FailureKind::Connection, _) => {
            "it could not be reached for longer than --retry-for; look at the network and at the endpoint"
        }
        (FailureKind::Unavailable, _) => {
            "it said itself that it cannot serve now; look at its health, and run again later"
        }
        (FailureKind::Abandoned, _) => {
            "it had not answered when the run was over; a longer --drain-timeout waits longer for it"
        }
        (FailureKind::Internal, _) => "this is a defect of txgen; please report it with the message above",
    }
}
