//! A transaction as an AMQP message: one data section with its JSON, routed by its partition key.

use fe2o3_amqp_types::messaging::{Data, Message, MessageAnnotations};
use fe2o3_amqp_types::primitives::Binary;

use crate::transaction::Transaction;

/// Event Hubs hashes the value of this annotation to find the partition
/// (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>).
const PARTITION_KEY: &str = "x-opt-partition-key";

/// What of a transaction goes to a hub, in the form that the library takes: as bytes and a text of its own.
///
/// Made by the task that sends the transaction, so that the link's owner has nothing left to copy, and the reference counts
/// of what transactions share are not fought over by every thread.
pub(super) struct Event {
    key: String,
    body: Vec<u8>,
}

impl Event {
    /// Copies key and document; that is the only copy of the document before the encoder runs.
    pub(super) fn of(transaction: &Transaction) -> Self {
        Self { key: String::from(&*transaction.partition_key), body: transaction.body.to_vec() }
    }

    /// The message. It has no properties: encoding so much as a message id costs a third of the whole send, and the JSON
    /// holds the id.
    pub(super) fn into_message(self) -> Message<Data> {
        Message::builder()
            .message_annotations(MessageAnnotations::builder().insert(PARTITION_KEY, self.key).build())
            .data(Binary::from(self.body))
            .build()
    }
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
        let message = Event::of(&Transaction::new(1, id, "us".into(), body.clone())).into_message();
        let annotations = message.message_annotations.unwrap();
        assert_eq!(annotations.0.get(&PARTITION_KEY as &dyn AnnotationKey), Some(&Value::String("us".into())));
        assert_eq!(message.body.0.as_ref(), &body[..]);
    }
}
