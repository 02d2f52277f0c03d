//! The properties of a hub, from the `$management` node.
//! (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>)

use azure_core::credentials::Secret;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp_management::client::MgmtClient;
use fe2o3_amqp_management::operations::ReadResponse;
use fe2o3_amqp_management::request::Request;
use fe2o3_amqp_types::messaging::ApplicationProperties;
use fe2o3_amqp_types::primitives::Value;

use super::super::setback::Setback;
use super::trouble;

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

/// Reads how many partitions the hub has.
pub(super) async fn partitions(
    session: &mut SessionHandle<()>,
    hub: &str,
    token: &Secret,
) -> Result<Option<u32>, Setback> {
    let mut client = MgmtClient::attach(session, "txgen").await.map_err(|error| trouble::of_request_attach(&error))?;
    let reply = client.call(ReadHub { hub, token }).await.map_err(|error| trouble::of_request(&error))?;
    Ok(match reply.entity_attributes.get("partition_count") {
        Some(Value::Int(count)) => u32::try_from(*count).ok(),
        Some(Value::Long(count)) => u32::try_from(*count).ok(),
        Some(Value::Uint(count)) => Some(*count),
        _ => None,
    })
}
