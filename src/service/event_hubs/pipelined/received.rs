//! An event as a consumer gets it: the service's annotations, the sender's properties, and the body.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use txgen_amqp::Malformed;
use txgen_amqp::client::NewReceiver;
use txgen_amqp::descriptor::{AMQP_SEQUENCE, AMQP_VALUE, APPLICATION_PROPERTIES, DATA, MESSAGE_ANNOTATIONS};
use txgen_amqp::message::Sections;
use txgen_amqp::value::{Items, Value};

/// The filter that says where a reader starts, by name and by the descriptor that Microsoft's clients use.
pub(super) const SELECTOR: &str = "apache.org:selector-filter:string";
/// The longest event that is taken, in bytes: what Azure's dedicated clusters permit is 20 MiB.
const MAX_MESSAGE_SIZE: usize = 32 * 1024 * 1024;
/// How deep what stands in a value is looked into.
const MOST_DEEP: u32 = 64;

/// A receiver of the events at an address. They come settled: what is read is not taken away from the hub.
pub(super) fn receiver<'a>(name: &'a str, address: &'a str, filters: &'a [(&'a str, &'a str)]) -> NewReceiver<'a> {
    NewReceiver {
        name,
        source: address,
        filters,
        settled: true,
        max_message_size: MAX_MESSAGE_SIZE,
        ..NewReceiver::default()
    }
}

/// What a message holds.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Its number in the partition; a message without one is none of the hub's events.
    pub(super) sequence_number: Option<i64>,
    pub(super) offset: Option<String>,
    pub(super) enqueued_unix_ms: Option<i64>,
    pub(super) partition_key: Option<String>,
    /// The sender's properties as a JSON object; `None` when there are none.
    pub(super) properties: Option<String>,
    /// Its data, or its AMQP value as text or JSON.
    pub(super) body: Vec<u8>,
    /// Whether the body is data.
    pub(super) is_data: bool,
}

impl Received {
    /// Takes an encoded message apart.
    pub(super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut received = Self::default();
        let mut sequences = Vec::new();
        let mut sections = Sections::of(message);
        while let Some(section) = sections.next()? {
            match (section.code, section.body.value()?) {
                (MESSAGE_ANNOTATIONS, Value::Map(annotations)) => received.annotate(annotations)?,
                (APPLICATION_PROPERTIES, Value::Map(properties)) => {
                    let object = object(properties, 0)?;
                    received.properties = (!object.is_empty()).then(|| Json::Object(object).to_string());
                }
                (DATA, Value::Binary(data)) => {
                    received.is_data = true;
                    received.body.extend_from_slice(data);
                }
                (AMQP_VALUE, value) => {
                    received.body = match value {
                        Value::String(text) => text.into(),
                        Value::Binary(bytes) => bytes.into(),
                        value => json_of(value, 0)?.to_string().into(),
                    };
                }
                (AMQP_SEQUENCE, Value::List(items)) => sequences.extend(list(items, 0)?),
                _ => {}
            }
        }
        if !sequences.is_empty() {
            received.body = Json::Array(sequences).to_string().into();
        }
        Ok(received)
    }

    fn annotate(&mut self, mut annotations: Items<'_>) -> Result<(), Malformed> {
        while let Some((key, value)) = annotations.next_pair()? {
            let Value::Symbol(name) = key.value()? else { continue };
            match (name, value.value()?) {
                ("x-opt-sequence-number", Value::Signed(number)) => self.sequence_number = Some(number),
                ("x-opt-offset", Value::String(offset)) => self.offset = Some(offset.to_owned()),
                ("x-opt-enqueued-time", Value::Timestamp(time)) => self.enqueued_unix_ms = Some(time),
                ("x-opt-partition-key", Value::String(key)) => self.partition_key = Some(key.to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn list(mut items: Items<'_>, depth: u32) -> Result<Vec<Json>, Malformed> {
    let mut values = Vec::new();
    while let Some(value) = items.next()? {
        values.push(json_of(value, depth + 1)?);
    }
    Ok(values)
}

/// In the order of the names.
fn object(mut pairs: Items<'_>, depth: u32) -> Result<serde_json::Map<String, Json>, Malformed> {
    let mut values = BTreeMap::new();
    while let Some((name, value)) = pairs.next_pair()? {
        let name = name.value()?;
        let name = match name.text() {
            Some(text) => text.to_owned(),
            None => json_of(name, depth + 1)?.to_string(),
        };
        values.insert(name, json_of(value.value()?, depth + 1)?);
    }
    Ok(values.into_iter().collect())
}

/// The JSON of a value. What JSON has no type for is its text; a decimal, which nobody sends, is null.
fn json_of(value: Value<'_>, depth: u32) -> Result<Json, Malformed> {
    if depth > MOST_DEEP {
        return Err(Malformed("values are nested too deep"));
    }
    Ok(match value {
        Value::Null | Value::Opaque => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Unsigned(number) => number.into(),
        Value::Signed(number) | Value::Timestamp(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Char(character) => character.to_string().into(),
        Value::Uuid(bytes) => uuid::Uuid::from_bytes(bytes).to_string().into(),
        Value::Binary(bytes) => STANDARD.encode(bytes).into(),
        Value::String(text) | Value::Symbol(text) => text.into(),
        Value::List(items) => Json::Array(list(items, depth)?),
        Value::Map(pairs) => Json::Object(object(pairs, depth)?),
        Value::Array(mut array) => {
            let mut values = Vec::new();
            while let Some(value) = array.next_element()? {
                values.push(json_of(value, depth + 1)?);
            }
            Json::Array(values)
        }
        Value::Described(_, value) => json_of(value.value()?, depth + 1)?,
    })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use txgen_amqp::writer::Writer;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn what_the_service_and_the_sender_say_of_an_event_is_read() {
        let message = written(|w| {
            w.described_map(MESSAGE_ANNOTATIONS, |w| {
                w.symbol("x-opt-sequence-number");
                w.long(7);
                w.symbol("x-opt-offset");
                w.string("4096");
                w.symbol("x-opt-enqueued-time");
                w.timestamp(1_700_000_000_000);
                w.symbol("x-opt-partition-key");
                w.string("us");
            });
            w.described_map(APPLICATION_PROPERTIES, |w| {
                w.string("b");
                w.int(-1);
                w.string("a");
                w.strings(&["x"]);
            });
            for data in [b"one", b"two"] {
                w.descriptor(DATA);
                w.binary(data);
            }
        });
        let received = Received::read(&message).unwrap();
        assert_eq!((received.sequence_number, received.offset.as_deref()), (Some(7), Some("4096")));
        assert_eq!(received.enqueued_unix_ms, Some(1_700_000_000_000));
        assert_eq!(received.partition_key.as_deref(), Some("us"));
        assert_eq!(received.properties.as_deref(), Some(r#"{"a":["x"],"b":-1}"#));
        assert_eq!((&*received.body, received.is_data), (&b"onetwo"[..], true));
    }

    #[test]
    fn a_body_that_is_a_value_is_its_text_or_its_json() {
        let value = |write: &dyn Fn(&mut Writer<'_>)| {
            let message = written(|w| {
                w.descriptor(AMQP_VALUE);
                write(w);
            });
            String::from_utf8(Received::read(&message).unwrap().body).unwrap()
        };
        assert_eq!(value(&|w| w.string("text")), "text");
        assert_eq!(
            value(&|w| w.map(|w| {
                w.string("n");
                w.bool(true);
            })),
            r#"{"n":true}"#
        );
        assert_eq!(value(&|w| w.raw(&[0x82, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0])), "1.5");
    }

    #[test]
    fn values_nested_without_end_are_refused() {
        let mut bytes = vec![0x40];
        for _ in 0..10_000 {
            let length = u32::try_from(bytes.len() + 4).unwrap().to_be_bytes();
            bytes = [&[0xd0][..], &length, &[0, 0, 0, 1], &bytes].concat();
        }
        let message = [&[0x00, 0x53, 0x77][..], &bytes].concat();
        assert!(Received::read(&message).is_err());
    }
}
