//! What goes wrong, in the service's own terms: status, substatus and the body `{"code": …, "message": …}`.
//!
//! <https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb>

use std::time::Duration;

use hyper::StatusCode;

use super::auth::Denied;
use super::catalog::ContentPaths;
use super::document::Invalid;
use crate::data::Unwritable;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// `x-ms-substatus`; 0 is none.
    pub(super) substatus: u32,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// What it cost all the same, in RU.
    pub(super) charge: f64,
    /// How far the container has got that it is about.
    pub(super) progress: Option<Box<Progress>>,
    /// More about it, as JSON in a text.
    pub(super) additional: Option<String>,
}

/// Which container an answer is about, and how far it has got.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    pub(super) paths: ContentPaths,
    pub(super) range: u32,
    pub(super) version: u64,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            substatus: 0,
            message: message.into(),
            retry_after: None,
            charge: 0.0,
            progress: None,
            additional: None,
        }
    }

    pub(super) fn with_substatus(mut self, substatus: u32) -> Self {
        self.substatus = substatus;
        self
    }

    pub(super) fn with_charge(mut self, charge: f64) -> Self {
        self.charge = charge;
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Something that the service can do and this emulator cannot.
    pub(super) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("This emulator does not support {what}."))
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Resource Not Found. Learn more: https://aka.ms/cosmosdb-tsg-not-found")
    }

    /// The database or container that should hold the resource is not there.
    pub(super) fn owner_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Owner resource does not exist").with_substatus(1003)
    }

    pub(super) fn conflict() -> Self {
        Self::new(StatusCode::CONFLICT, "Resource with specified id or name already exists.")
    }

    pub(super) fn precondition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "Operation cannot be performed because one of the specified precondition is not met.",
        )
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Request size is too large")
    }

    pub(super) fn throttled(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Request rate is large. More Request Units may be needed, so no changes were made. Please retry this \
                 request later. Learn more: http://aka.ms/cosmosdb-error-429",
            )
            .with_substatus(3200)
        }
    }

    /// The emulator's own limit on memory is reached.
    pub(super) fn out_of_memory(limit: u64) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!(
                "The emulator's documents may take {limit} bytes of memory, and do: delete some, or raise the limit."
            ),
        )
    }

    /// What was to be changed cannot be kept.
    pub(super) fn not_kept(unwritable: &Unwritable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("The service is unavailable: {unwritable}."))
    }

    /// More is being sent at once than there is memory for.
    pub(super) fn too_many_bodies() -> Self {
        let message = "Too many large requests are being sent at once: try again.";
        Self { message: message.to_owned(), ..Self::throttled(Duration::from_millis(100)) }
    }

    /// The database or container would be one too many.
    pub(super) fn too_many_resources(most: usize) -> Self {
        let message = format!("The account may have {most} databases and containers, and does: delete some first.");
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// The client's idea of the container's partitions is out of date.
    pub(super) fn range_gone() -> Self {
        Self::new(StatusCode::GONE, "The requested partition key range is gone: read the container's ranges anew.")
            .with_substatus(1002)
    }

    /// The client's idea of which container has this name is out of date.
    pub(super) fn other_container() -> Self {
        Self::bad_request("The container was deleted and created again: read it anew.").with_substatus(1024)
    }

    pub(super) fn key_mismatch() -> Self {
        Self::bad_request("PartitionKey extracted from document doesn't match the one specified in the header")
            .with_substatus(1001)
    }

    /// A query over several partitions that does not say so.
    pub(super) fn cross_partition_disabled() -> Self {
        Self::bad_request(
            "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to \
             true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.",
        )
    }

    /// A query over several partitions whose results the client has to merge, by this plan.
    pub(super) fn not_servable(plan: &serde_json::Value) -> Self {
        let failure = Self::bad_request(
            "The provided cross partition query can not be directly served by the gateway. This is a first chance \
             (internal) exception that all newer clients will know how to handle gracefully. This exception is traced, \
             but unless you see it bubble up as an exception (which only happens on older SDK clients), then you can \
             safely ignore this message.",
        );
        Self { additional: Some(plan.to_string()), ..failure.with_substatus(1004) }
    }

    /// A partition key with another number of values than the container's has paths.
    pub(super) fn partition_key_size() -> Self {
        Self::bad_request("Partition key provided either doesn't correspond to definition in the collection or doesn't match partition key field values specified in the document.")
            .with_substatus(1001)
    }

    pub(super) fn key_missing() -> Self {
        Self::bad_request("PartitionKey value must be supplied for this operation.")
    }

    /// The `code` of the body.
    pub(super) fn code(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            408 => "RequestTimeout",
            409 => "Conflict",
            410 => "Gone",
            412 => "PreconditionFailed",
            413 => "RequestEntityTooLarge",
            429 => "429",
            503 => "ServiceUnavailable",
            507 => "InsufficientStorage",
            _ => "InternalServerError",
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        // The service forbids what is signed well but too early or too late.
        let status = match denied {
            Denied::Date(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, denied.to_string())
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(invalid.to_string())
    }
}
