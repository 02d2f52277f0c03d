//! The properties of a hub, from the `$management` node.
//! (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>)

use azure_core::credentials::Secret;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp_management::client::MgmtClient;
use fe2o3_amqp_management::operations::ReadResponse;
use fe2o3_amqp_management::request::Request;
use fe2o3_amqp_types::messaging::ApplicationProperties;
use fe2o3_amqp_types::primitives::Value;

use super::errors;
use crate::service::retry::AttemptError;

struct ReadHub<'a> {
    hub: &'a str,
    token: &'a Secret,
}

impl Request for ReadHub<'_> {
    const OPERATION: &'static str = "READ";
    type Response = ReadResponse;
    type Body = ();

    fn manageable_entity_type(&mut self) -> Option<String> {
        Some("com.microsoft:eventhub".to_owned())
    }

    fn encode_application_properties(&mut self) -> Option<ApplicationProperties> {
        let properties = ApplicationProperties::builder();
        Some(properties.insert("name", self.hub).insert("security_token", self.token.secret()).build())
    }

    fn encode_body(self) {}
}

struct ReadPartition<'a> {
    hub: &'a str,
    partition: String,
    token: &'a Secret,
}

impl Request for ReadPartition<'_> {
    const OPERATION: &'static str = "READ";
    type Response = ReadResponse;
    type Body = ();

    fn manageable_entity_type(&mut self) -> Option<String> {
        Some("com.microsoft:partition".to_owned())
    }

    fn encode_application_properties(&mut self) -> Option<ApplicationProperties> {
        let properties = ApplicationProperties::builder()
            .insert("name", self.hub)
            .insert("partition", self.partition.as_str())
            .insert("security_token", self.token.secret());
        Some(properties.build())
    }

    fn encode_body(self) {}
}

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

/// Reads what each partition of the hub holds, of so many.
pub(super) async fn each_partition(
    session: &mut SessionHandle<()>,
    hub: &str,
    count: u32,
    token: &Secret,
) -> Result<Vec<Partition>, AttemptError> {
    // One pair of links for all: their name must not be that of others on this session.
    let client = MgmtClient::attach(session, "txgen-partitions").await;
    let mut client = client.map_err(|error| errors::of_request_attach(&error))?;
    let mut partitions = Vec::new();
    for partition in 0..count {
        let request = ReadPartition { hub, partition: partition.to_string(), token };
        let reply = client.call(request).await.map_err(|error| errors::of_request(&error))?;
        let attribute = |name: &str| reply.entity_attributes.get(name);
        let number = |name: &str| match attribute(name) {
            Some(Value::Long(number)) => Some(*number),
            Some(Value::Int(number)) => Some(i64::from(*number)),
            _ => None,
        };
        partitions.push(Partition {
            is_empty: matches!(attribute("is_partition_empty"), Some(Value::Bool(true))),
            first_sequence_number: number("begin_sequence_number").unwrap_or(0),
            last_sequence_number: number("last_enqueued_sequence_number").unwrap_or(-1),
            last_enqueued_unix_ms: match attribute("last_enqueued_time_utc") {
                Some(Value::Timestamp(time)) => time.milliseconds(),
                // Unknown: read it rather than miss it.
                _ => i64::MAX,
            },
        });
    }
    Ok(partitions)
}

/// Reads when the hub was created, in milliseconds since 1970-01-01 UTC.
pub(super) async fn created_unix_ms(
    session: &mut SessionHandle<()>,
    hub: &str,
    token: &Secret,
) -> Result<Option<i64>, AttemptError> {
    let client = MgmtClient::attach(session, "txgen-created").await;
    let mut client = client.map_err(|error| errors::of_request_attach(&error))?;
    let reply = client.call(ReadHub { hub, token }).await.map_err(|error| errors::of_request(&error))?;
    Ok(match reply.entity_attributes.get("created_at") {
        Some(Value::Timestamp(time)) => Some(time.milliseconds()),
        _ => None,
    })
}

/// Reads how many partitions the hub has.
pub(super) async fn partitions(
    session: &mut SessionHandle<()>,
    hub: &str,
    token: &Secret,
) -> Result<Option<u32>, AttemptError> {
    let mut client = MgmtClient::attach(session, "txgen").await.map_err(|error| errors::of_request_attach(&error))?;
    let reply = client.call(ReadHub { hub, token }).await.map_err(|error| errors::of_request(&error))?;
    Ok(match reply.entity_attributes.get("partition_count") {
        Some(Value::Int(count)) => u32::try_from(*count).ok(),
        Some(Value::Long(count)) => u32::try_from(*count).ok(),
        Some(Value::Uint(count)) => Some(*count),
        _ => None,
    })
}
