//! What to do about failures, by service and kind: the same words wherever the same cause shows.

use super::{FailureKind, ServiceName};

/// What to do about this kind of failure at this service.
#[must_use]
pub fn remedy(service: ServiceName, kind: FailureKind) -> &'static str {
    use ServiceName::{CosmosDb, EventHubs};
    match (kind, service) {
        (FailureKind::Unauthorized, EventHubs) => {
            "the credential is no longer valid, or lacks Send; check the policy and key of the connection string, or the role"
        }
        (FailureKind::Unauthorized, CosmosDb) => {
            "the credential is no longer valid, or may not write; check COSMOS_DB_AUTH_KEY (a key that was regenerated?), or the role"
        }
        (FailureKind::KeysDisabled, EventHubs) => {
            "shared access keys are switched off for this namespace; take SharedAccessKeyName and SharedAccessKey out of the \
             connection string, so that Microsoft Entra ID is used"
        }
        (FailureKind::KeysDisabled, CosmosDb) => {
            "account keys are switched off for this account; leave COSMOS_DB_AUTH_KEY empty, so that Microsoft Entra ID is used"
        }
        (FailureKind::ClockSkew, _) => "set this machine's clock, best from a time server (NTP)",
        (FailureKind::NetworkBlocked, EventHubs) => {
            "allow this machine's address under Networking of the namespace, or run from a network that it lets in"
        }
        (FailureKind::NetworkBlocked, CosmosDb) => {
            "allow this machine's address under Networking of the account, or run from a network that it lets in"
        }
        (FailureKind::NotFound, EventHubs) => "the event hub is not there any more; was it deleted during the run?",
        (FailureKind::NotFound, CosmosDb) => {
            "the database or container is not there any more; was it deleted during the run?"
        }
        (FailureKind::TooLarge, EventHubs) => "an event can have at most 1 MiB; shorten these rows",
        (FailureKind::TooLarge, CosmosDb) => "a document can have at most 2 MiB; shorten these rows",
        (FailureKind::PartitionFull, _) => {
            "a partition key holds 20 GB at most, and this one has them; let documents expire with --ttl, delete some, or \
             write to another container"
        }
        (FailureKind::QuotaExceeded, EventHubs) => {
            "a quota of the namespace is used up; see its message above, and raise the quota or take another namespace"
        }
        (FailureKind::QuotaExceeded, CosmosDb) => {
            "a quota of the account is used up; see its message above, and raise the quota or take another account"
        }
        (FailureKind::BadRequest, _) => "the service refuses these transactions as they are; see its message above",
        (FailureKind::Conflict, _) => {
            "documents with these ids were there before the run; was the same run id sent to this container already?"
        }
        (FailureKind::Throttled, EventHubs) => {
            "it was throttled for longer than --retry-for; add throughput units, raise that time, or send slower with --rate"
        }
        (FailureKind::Throttled, CosmosDb) => {
            "it was throttled for longer than --retry-for; raise the RU/s or that time, or send slower with --rate"
        }
        (FailureKind::Timeout, _) => "it did not answer in time; check its health and the network between",
        (FailureKind::Connection, _) => {
            "it could not be reached for longer than --retry-for; check the network and the endpoint"
        }
        (FailureKind::Proxy, _) => {
            "it is the proxy that let nothing through, and not the service; see its message above"
        }
        (FailureKind::Unavailable, _) => "it reported that it cannot serve now; check its health, and run again later",
        (FailureKind::ReadOnlyRegion, _) => {
            "the region that COSMOS_DB_ENDPOINT leads to takes no writes; write to the account's own endpoint, without a \
             region in its name, or wait until the failover is over"
        }
        (FailureKind::Abandoned, _) => {
            "it had not answered when the run ended; a longer --drain-timeout waits longer for it"
        }
        (FailureKind::Internal, _) => "this is a defect of txgen; please report it with the message above",
    }
}
