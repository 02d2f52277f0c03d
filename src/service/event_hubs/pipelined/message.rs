//! A transaction as an AMQP message: one data section with its JSON, routed by its partition key.

use fe2o3_amqp_types::messaging::{Data, Message, MessageAnnotations, Properties};
use fe2o3_amqp_types::primitives::{Binary, Symbol};

use crate::transaction::Transaction;

/// Event Hubs hashes the value of this annotation to find the partition
/// (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>).
const PARTITION_KEY: &str = "x-opt-partition-key";

/// The message. The id is a text because readers in JavaScript and .NET see AMQP's UUIDs as bytes.
///
/// The library takes the body as a vector, so these are the only bytes that are copied before the encoder runs.
pub(super) fn of(transaction: &Transaction) -> Message<Data> {
    Message::builder()
        .message_annotations(MessageAnnotations::builder().insert(PARTITION_KEY, &*transaction.partition_key).build())
        .properties(
            Properties::builder()
                .message_id(transaction.id.to_string())
                .content_type(Symbol::from("application/json"))
                .build(),
        )
        .data(Binary::from(transaction.body.to_vec()))
        .build()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fe2o3_amqp_types::messaging::MessageId;
    use fe2o3_amqp_types::messaging::annotations::AnnotationKey;
    use fe2o3_amqp_types::primitives::Value;

    use super::*;
    use crate::identity::RunId;

    #[test]
    fn a_message_carries_the_key_the_id_and_the_bytes() {
        let id = RunId::random().transaction_id(1);
        let body = Bytes::from_static(b"{\"id\":1}");
        let message = of(&Transaction { row: 1, id, partition_key: "us".into(), body: body.clone() });
        let annotations = message.message_annotations.unwrap();
        assert_eq!(annotations.0.get(&PARTITION_KEY as &dyn AnnotationKey), Some(&Value::String("us".into())));
        let properties = message.properties.unwrap();
        assert_eq!(properties.message_id, Some(MessageId::String(id.to_string())));
        assert_eq!(properties.content_type.unwrap().as_str(), "application/json");
        assert_eq!(message.body.0.as_ref(), &body[..]);
    }
}
