//! The properties of a hub, from the `$management` node.
//! (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>)

use azure_core::credentials::Secret;
use txgen_amqp::value::Value;

use super::requests::{Property, ReplyMessage, request};

/// The node.
pub(super) const NODE: &str = "$management";

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) is_empty: bool,
    /// The number of its first event, or of the next one where it is empty.
    pub(super) first_sequence_number: i64,
    /// The number of its last event.
    pub(super) last_sequence_number: i64,
    /// When that was enqueued, in milliseconds since 1970-01-01 UTC.
    pub(super) last_enqueued_unix_ms: i64,
}

/// The request for the properties of a hub.
pub(super) fn read_hub(hub: &str, token: &Secret) -> Vec<u8> {
    let properties = [
        ("operation", Property::Text("READ")),
        ("type", Property::Text("com.microsoft:eventhub")),
        ("name", Property::Text(hub)),
        ("security_token", Property::Text(token.secret())),
    ];
    request(&properties, None)
}

/// The request for the properties of one of its partitions.
pub(super) fn read_partition(hub: &str, partition: u32, token: &Secret) -> Vec<u8> {
    let properties = [
        ("operation", Property::Text("READ")),
        ("type", Property::Text("com.microsoft:partition")),
        ("name", Property::Text(hub)),
        ("partition", Property::Text(&partition.to_string())),
        ("security_token", Property::Text(token.secret())),
    ];
    request(&properties, None)
}

fn attribute<'a>(reply: &'a ReplyMessage, name: &str) -> Option<Value<'a>> {
    reply.body()?.get(name).ok().flatten()
}

/// How many partitions the hub has.
pub(super) fn partition_count(reply: &ReplyMessage) -> Option<u32> {
    attribute(reply, "partition_count").and_then(Value::integer).and_then(|count| u32::try_from(count).ok())
}

/// When the hub was created, in milliseconds since 1970-01-01 UTC.
pub(super) fn created_unix_ms(reply: &ReplyMessage) -> Option<i64> {
    match attribute(reply, "created_at") {
        Some(Value::Timestamp(milliseconds)) => Some(milliseconds),
        _ => None,
    }
}

/// What the partition holds.
pub(super) fn partition(reply: &ReplyMessage) -> Partition {
    let number = |name: &str| attribute(reply, name).and_then(Value::integer);
    Partition {
        is_empty: attribute(reply, "is_partition_empty") == Some(Value::Bool(true)),
        first_sequence_number: number("begin_sequence_number").unwrap_or(0),
        last_sequence_number: number("last_enqueued_sequence_number").unwrap_or(-1),
        last_enqueued_unix_ms: match attribute(reply, "last_enqueued_time_utc") {
            Some(Value::Timestamp(milliseconds)) => milliseconds,
            // Unknown: read it rather than miss it.
            _ => i64::MAX,
        },
    }
}
