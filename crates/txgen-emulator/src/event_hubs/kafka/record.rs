//! An event as AMQP stores it, and a record as Kafka has it.
//!
//! Source: <https://learn.microsoft.com/azure/event-hubs/event-hubs-exchange-events-different-protocols>. A value is the
//! body, a key is the partition key, and headers are application properties: bytes from Kafka are binary on AMQP, and
//! a property of AMQP's other types arrives in Kafka in AMQP's encoding, which carries its type.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Record, TimestampType};
use txgen_amqp::descriptor::{AMQP_VALUE, APPLICATION_PROPERTIES, DATA};
use txgen_amqp::message::Sections;
use txgen_amqp::value::{Reader, Value};
use txgen_amqp::writer::Writer;

use super::super::ingest::MAX_KEY_LENGTH;
use super::super::message::{Delivery, EventParts};

/// The annotation under which a Kafka key is kept that cannot be a partition key.
const KAFKA_KEY: &str = "x-opt-kafka-key";

/// What is kept of a record.
pub(super) fn to_event(record: &Record) -> EventParts<'_> {
    let mut message = BytesMut::new();
    let mut w = Writer::new(&mut message);
    if !record.headers.is_empty() {
        w.described_map(APPLICATION_PROPERTIES, |w| {
            for (name, value) in &record.headers {
                w.string(name);
                w.optional(value.as_deref(), Writer::binary);
            }
        });
    }
    match &record.value {
        Some(value) => {
            w.descriptor(DATA);
            w.binary(value);
        }
        None => {
            w.descriptor(AMQP_VALUE);
            w.null();
        }
    }
    let mut event = EventParts { message: message.to_vec().into(), ..EventParts::default() };
    let Some(key) = &record.key else { return event };
    event.key = std::str::from_utf8(key).ok().filter(|key| key.chars().count() <= MAX_KEY_LENGTH);
    if event.key.is_none() {
        let mut annotation = BytesMut::new();
        let mut w = Writer::new(&mut annotation);
        w.symbol(KAFKA_KEY);
        w.binary(key);
        (event.annotations, event.annotation_values) = (annotation.to_vec(), 2);
    }
    event
}

/// A record of an event. `first` is the offset of the first record of its batch.
pub(super) fn to_record(event: &Delivery<'_>, first: i64) -> Record {
    let key = event.key.map(str::as_bytes).or_else(|| kafka_key(event.annotations.0));
    let mut record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::LogAppend,
        offset: event.sequence_number,
        // Counted from the batch's own -1: none.
        sequence: i32::try_from(event.sequence_number - first).unwrap_or(0) - 1,
        timestamp: event.enqueued_ms,
        key: key.map(Bytes::copy_from_slice),
        value: None,
        headers: Default::default(),
    };
    let mut sections = Sections::of(event.message);
    while let Ok(Some(section)) = sections.next() {
        let Ok(value) = section.body.value() else { break };
        match (section.code, value) {
            (APPLICATION_PROPERTIES, Value::Map(mut pairs)) => {
                while let Ok(Some((name, value))) = pairs.next_pair() {
                    if let Some(name) = name.value().ok().and_then(Value::text) {
                        record.headers.insert(StrBytes::from_string(name.to_owned()), header(value.0));
                    }
                }
            }
            (DATA, Value::Binary(data)) => {
                // The sections of a body in several are one after the other.
                let before = record.value.take().unwrap_or_default();
                record.value = Some([&*before, data].concat().into());
            }
            (AMQP_VALUE, Value::Null) => {}
            (AMQP_VALUE, Value::Binary(bytes)) => record.value = Some(Bytes::copy_from_slice(bytes)),
            (code, _) if code > DATA && code <= AMQP_VALUE => {
                record.value = Some(Bytes::copy_from_slice(section.body.0));
            }
            _ => {}
        }
    }
    record
}

fn header(value: &[u8]) -> Option<Bytes> {
    match Reader::new(value).value() {
        Ok(Value::Null) => None,
        Ok(Value::Binary(bytes)) => Some(Bytes::copy_from_slice(bytes)),
        _ => Some(Bytes::copy_from_slice(value)),
    }
}

fn kafka_key(annotations: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(annotations);
    while !reader.rest().is_empty() {
        let (name, value) = (reader.value().ok()?, reader.value().ok()?);
        if let (Some(KAFKA_KEY), Value::Binary(key)) = (name.text(), value) {
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery<'a>(event: &'a EventParts<'_>) -> Delivery<'a> {
        Delivery {
            sequence_number: 5,
            offset: 500,
            enqueued_ms: 1_000,
            key: event.key,
            annotations: (&event.annotations, event.annotation_values),
            message: &event.message,
        }
    }

    fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> Record {
        let empty = EventParts::default();
        let mut record = to_record(&delivery(&empty), 5);
        record.key = key.map(Bytes::from_static);
        record.value = value.map(Bytes::from_static);
        record.headers.insert(StrBytes::from_static_str("h"), Some(Bytes::from_static(b"\x00\xff")));
        record.headers.insert(StrBytes::from_static_str("none"), None);
        record
    }

    #[test]
    fn a_record_comes_back_as_it_was_sent() {
        for (key, value) in [
            (Some(&b"us"[..]), Some(&b"body"[..])),
            (None, Some(b"")),
            (Some(b""), None),
            (Some(b"\xff\x00"), Some(b"\x00")),
            (Some(&[b'k'; 300]), Some(b"long key")),
        ] {
            let record = record(key, value);
            assert_eq!(to_record(&delivery(&to_event(&record)), 5), record);
        }
    }

    #[test]
    fn a_key_that_is_text_is_the_partition_key() {
        assert_eq!(to_event(&record(Some(b"us"), None)).key, Some("us"));
        assert_eq!(to_event(&record(Some(b"\xff"), None)).key, None);
    }

    #[test]
    fn properties_that_are_no_bytes_arrive_in_their_encoding() {
        let mut message = BytesMut::new();
        let mut w = Writer::new(&mut message);
        w.described_map(APPLICATION_PROPERTIES, |w| {
            w.string("text");
            w.string("abc");
            w.string("number");
            w.int(1);
        });
        w.descriptor(DATA);
        w.binary(b"one ");
        w.descriptor(DATA);
        w.binary(b"two");
        let event = EventParts { message: message.to_vec().into(), ..EventParts::default() };
        let record = to_record(&delivery(&event), 5);
        assert_eq!(record.value.as_deref(), Some(&b"one two"[..]));
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (&**name, value.as_deref().unwrap())).collect();
        assert_eq!(headers, [("text", &b"\xa1\x03abc"[..]), ("number", &[0x71, 0, 0, 0, 1])]);
    }
}
