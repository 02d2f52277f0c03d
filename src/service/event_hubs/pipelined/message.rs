//! A transaction as an AMQP message: one data section with its JSON, routed by its partition key.

use fe2o3_amqp_types::messaging::{Data, Message, MessageAnnotations};
use fe2o3_amqp_types::primitives::Binary;

use crate::transaction::Transaction;

/// Event Hubs hashes the value of this annotation to find the partition
/// (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>).
const PARTITION_KEY: &str = "x-opt-partition-key";

/// The message. It has no properties: encoding so much as a message id costs a third of the whole send, and the JSON
/// holds the id.
///
/// The library takes the body as a vector, so these are the only bytes that are copied before the encoder runs.
pub(super) fn of(transaction: &Transaction) -> Message<Data> {
    Message::builder()
        .message_annotations(MessageAnnotations::builder().insert(PARTITION_KEY, &*transaction.partition_key).build())
        .data(Binary::from(transaction.body.to_vec()))
        .build()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fe2o3_amqp_types::messaging::annotations::AnnotationKey;
    use fe2o3_amqp_types::primitives::Value;

    use super::*;
    use crate::identity::RunId;

    #[test]
    fn a_message_carries_the_key_and_the_bytes() {
        let body = Bytes::from_static(b"{\"id\":1}");
        let id = RunId::random().transaction_id(1);
        let message = of(&Transaction::new(1, id, "us".into(), body.clone()));
        let annotations = message.message_annotations.unwrap();
        assert_eq!(annotations.0.get(&PARTITION_KEY as &dyn AnnotationKey), Some(&Value::String("us".into())));
        assert_eq!(message.body.0.as_ref(), &body[..]);
    }
}
