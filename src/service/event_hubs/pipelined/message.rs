//! A transaction as an AMQP message: one data section with its JSON, routed by its partition key.

use bytes::{Bytes, BytesMut};
use txgen_amqp::descriptor::{DATA, MESSAGE_ANNOTATIONS};
use txgen_amqp::writer::Writer;

use crate::transaction::Transaction;

/// Event Hubs hashes the value of this annotation to find the partition
/// (<https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide>).
const PARTITION_KEY: &str = "x-opt-partition-key";

/// What of a transaction goes to a hub.
///
/// Made by the task that sends the transaction: the key is a text of its own, so that the reference count of what
/// transactions share is not fought over by every thread.
pub(super) struct Event {
    key: Box<str>,
    body: Bytes,
}

impl Event {
    /// The document itself is not copied before it is written into the connection's output.
    pub(super) fn of(transaction: &Transaction) -> Self {
        Self { key: Box::from(&*transaction.partition_key), body: transaction.body.clone() }
    }

    /// The document.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Writes what comes before the document in the message. It has no properties: the JSON holds the id.
    pub(super) fn write_head(&self, out: &mut BytesMut) {
        let mut w = Writer::new(out);
        w.described_map(MESSAGE_ANNOTATIONS, |w| {
            w.symbol(PARTITION_KEY);
            w.string(&self.key);
        });
        w.descriptor(DATA);
        w.binary_of(self.body.len());
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::messaging::annotations::AnnotationKey;
    use fe2o3_amqp_types::messaging::message::__private::Deserializable;
    use fe2o3_amqp_types::messaging::{Data, Message};
    use fe2o3_amqp_types::primitives::Value;

    use super::*;
    use crate::identity::RunId;

    #[test]
    fn a_message_carries_the_key_and_the_bytes() {
        for length in [9, 900] {
            let body = Bytes::from(vec![b'x'; length]);
            let id = RunId::random().transaction_id(1);
            let event = Event::of(&Transaction::new(1, id, "us".into(), body.clone()));
            let mut bytes = BytesMut::new();
            event.write_head(&mut bytes);
            bytes.extend_from_slice(event.body());
            let message: Deserializable<Message<Data>> = serde_amqp::from_slice(&bytes).unwrap();
            let annotations = message.0.message_annotations.unwrap();
            assert_eq!(annotations.0.get(&PARTITION_KEY as &dyn AnnotationKey), Some(&Value::String("us".into())));
            assert_eq!(message.0.body.0.as_ref(), &body[..]);
        }
    }
}
