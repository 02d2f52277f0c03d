//! The `$management` node: what hubs and partitions are and how far they have got.
//! Operations: <https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>.

use bytes::BytesMut;

use super::core::Core;
use super::grants::check;
use super::message::Request;
use super::store::Hub;

/// Answers a request.
pub(super) fn answer(core: &Core, request: &Request<'_>) -> BytesMut {
    match read(core, request) {
        Ok(reply) => reply,
        Err(Failure { status, condition, description }) => {
            request.reply(status, &description, &[("error-condition", condition)], |w| w.null())
        }
    }
}

struct Failure {
    status: i32,
    condition: &'static str,
    description: String,
}

fn bad_request(description: String) -> Failure {
    Failure { status: 400, condition: "com.microsoft:argument-error", description }
}

fn read(core: &Core, request: &Request<'_>) -> Result<BytesMut, Failure> {
    let operation = request.property("operation").unwrap_or_default();
    if operation != "READ" {
        return Err(bad_request(format!("The operation '{operation}' is not supported; READ is.")));
    }
    let name = request.property("name").unwrap_or_default();
    if !may_know(core, request, name) {
        return Err(Failure {
            status: 401,
            condition: "amqp:unauthorized-access",
            description: format!(
                "Unauthorized access. 'Manage,Send,Listen' claim(s) are required to perform this operation. \
                 Resource: 'sb://{}/{name}'.",
                core.namespace.host()
            ),
        });
    }
    let hub = core.namespace.hub(name).ok_or_else(|| Failure {
        status: 404,
        condition: "amqp:not-found",
        description: core.namespace.not_found(name),
    })?;
    match request.property("type").unwrap_or_default() {
        "com.microsoft:eventhub" => Ok(read_hub(request, hub)),
        "com.microsoft:partition" => {
            let id = request.property("partition").unwrap_or_default();
            read_partition(core, request, hub, id)
        }
        other => Err(bad_request(format!(
            "The type '{other}' is not supported; com.microsoft:eventhub and com.microsoft:partition are."
        ))),
    }
}

/// A right on the hub from `$cbs`, or a good token in the request itself, will do.
fn may_know(core: &Core, request: &Request<'_>, name: &str) -> bool {
    let now = core.now.unix_seconds();
    let options = &core.namespace.options;
    core.grants.know(&name.to_ascii_lowercase(), now)
        || request
            .property("security_token")
            .is_some_and(|token| check(&options.policies, options.accept_entra_tokens, "jwt", token, name, now).is_ok())
}

fn read_hub(request: &Request<'_>, hub: &Hub) -> BytesMut {
    let count = hub.partition_count();
    let ids: Vec<_> = (0..count).map(|id| id.to_string()).collect();
    request.reply(200, "OK", &[], |w| {
        w.map(|w| {
            w.string("name");
            w.string(&hub.name);
            w.string("type");
            w.string("com.microsoft:eventhub");
            w.string("created_at");
            w.timestamp(hub.created_ms);
            w.string("partition_count");
            w.int(i32::try_from(count).unwrap_or(i32::MAX));
            w.string("partition_ids");
            w.strings(&ids);
            w.string("georeplication_factor");
            w.int(1);
        });
    })
}

fn read_partition(core: &Core, request: &Request<'_>, hub: &Hub, id: &str) -> Result<BytesMut, Failure> {
    let partition = id.parse().ok().and_then(|id| hub.partition(id)).ok_or_else(|| Failure {
        status: 400,
        condition: "com.microsoft:argument-out-of-range",
        description: invalid_partition(hub, id),
    })?;
    let (first, metrics) = partition.properties(core.now.unix_ms);
    Ok(request.reply(200, "OK", &[], |w| {
        w.map(|w| {
            w.string("name");
            w.string(&hub.name);
            w.string("type");
            w.string("com.microsoft:partition");
            w.string("partition");
            w.string(id);
            w.string("begin_sequence_number");
            w.long(first);
            w.string("last_enqueued_sequence_number");
            w.long(metrics.last_sequence_number);
            w.string("last_enqueued_offset");
            w.string(&metrics.last_offset.to_string());
            w.string("last_enqueued_time_utc");
            w.timestamp(metrics.last_enqueued_ms);
            w.string("is_partition_empty");
            w.bool(first > metrics.last_sequence_number);
            w.string("begin_sequence_number_epoch");
            w.int(-1);
            w.string("last_enqueued_sequence_number_epoch");
            w.int(-1);
        });
    }))
}

/// What the service says about a partition that a hub does not have.
pub(super) fn invalid_partition(hub: &Hub, id: &str) -> String {
    format!(
        "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and {}. \
         (Parameter 'PartitionId') Actual value was {id}.",
        hub.partition_count() - 1
    )
}
