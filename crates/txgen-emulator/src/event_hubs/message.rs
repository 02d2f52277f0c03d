//! Messages of Event Hubs: what of an event is kept, and the requests and replies of `$cbs` and `$management`.

use std::borrow::Cow;

use bytes::BytesMut;
use txgen_amqp::Malformed;
use txgen_amqp::descriptor::{
    AMQP_VALUE, APPLICATION_PROPERTIES, DATA, DELIVERY_ANNOTATIONS, HEADER, MESSAGE_ANNOTATIONS, PROPERTIES,
};
use txgen_amqp::message::Sections;
use txgen_amqp::value::{Items, Raw, Value};
use txgen_amqp::writer::Writer;

/// The message format of a batch: each data section holds one whole encoded message.
/// Source: `AmqpConstants.AmqpBatchedMessageFormat` of Microsoft's AMQP library.
pub(super) const BATCH_FORMAT: u32 = 0x8001_3700;

/// The annotation by which a sender chooses the partition.
pub(super) const PARTITION_KEY: &str = "x-opt-partition-key";

/// What is kept of an event: its key, the other annotations, and everything from its properties on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventParts<'a> {
    /// The partition key, if it has one.
    pub(super) key: Option<&'a str>,
    /// Keys and values of the sender's other annotations, encoded one after the other.
    pub(super) annotations: Vec<u8>,
    /// How many values that is: two for each annotation.
    pub(super) annotation_values: u32,
    /// Properties, application properties, body and footer, encoded.
    pub(super) message: Cow<'a, [u8]>,
}

/// Takes an event apart.
///
/// The standard has the sections in the order of their codes. Clients write annotations after the body as well, and the
/// service takes them: only then is the message put together anew.
pub(super) fn event(payload: &[u8]) -> Result<EventParts<'_>, Malformed> {
    let mut sections = Sections::of(payload);
    let mut parts = EventParts::default();
    let (mut kept, mut last, mut in_order) = (0..0, 0, true);
    loop {
        let start = payload.len() - sections.rest().len();
        let Some(section) = sections.next()? else { break };
        in_order &= section.code >= last;
        last = section.code;
        match section.code {
            HEADER | DELIVERY_ANNOTATIONS => {}
            MESSAGE_ANNOTATIONS => annotations(section.body, &mut parts)?,
            _ => {
                let first = if kept.is_empty() { start } else { kept.start };
                kept = first..payload.len() - sections.rest().len();
            }
        }
    }
    parts.message = if in_order { Cow::Borrowed(&payload[kept]) } else { Cow::Owned(in_their_order(payload)?) };
    Ok(parts)
}

/// The sections from the properties on, in the order of the standard.
fn in_their_order(payload: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut sections = Sections::of(payload);
    let mut found = Vec::new();
    loop {
        let at = sections.rest();
        let Some(section) = sections.next()? else { break };
        if section.code >= PROPERTIES {
            found.push((section.code, &at[..at.len() - sections.rest().len()]));
        }
    }
    found.sort_by_key(|(code, _)| *code);
    Ok(found.into_iter().flat_map(|(_, bytes)| bytes).copied().collect())
}

fn annotations<'a>(body: Raw<'a>, parts: &mut EventParts<'a>) -> Result<(), Malformed> {
    let Value::Map(mut pairs) = body.value()? else { return Err(Malformed("message annotations are not a map")) };
    while let Some((key, value)) = pairs.next_pair()? {
        let name = key.value()?.text().unwrap_or_default();
        if name == PARTITION_KEY {
            parts.key = match value.value()? {
                Value::Null => None,
                value => Some(value.text().ok_or(Malformed("a partition key is not a string"))?),
            };
        } else if !name.starts_with("x-opt-") {
            // Annotations of that prefix are the service's to set.
            parts.annotations.extend_from_slice(key.0);
            parts.annotations.extend_from_slice(value.0);
            parts.annotation_values += 2;
        }
    }
    Ok(())
}

/// Takes a batch apart: the key of the whole batch, and its events.
pub(super) fn batch(payload: &[u8]) -> Result<(Option<&str>, Vec<EventParts<'_>>), Malformed> {
    let mut sections = Sections::of(payload);
    let mut outer = EventParts::default();
    let mut events = Vec::new();
    while let Some(section) = sections.next()? {
        match section.code {
            MESSAGE_ANNOTATIONS => annotations(section.body, &mut outer)?,
            DATA => {
                let Value::Binary(message) = section.body.value()? else {
                    return Err(Malformed("a data section is not binary"));
                };
                events.push(event(message)?);
            }
            _ => {}
        }
    }
    Ok((outer.key, events))
}

/// A request to `$cbs` or `$management`.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    message_id: Option<Raw<'a>>,
    /// The address at which the peer awaits the reply, if it names one.
    pub(super) reply_to: Option<&'a str>,
    properties: Option<Items<'a>>,
    body: Option<Raw<'a>>,
}

impl<'a> Request<'a> {
    /// Takes a request apart.
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut sections = Sections::of(payload);
        let mut request = Self::default();
        while let Some(section) = sections.next()? {
            match (section.code, section.body.value()?) {
                (PROPERTIES, Value::List(mut fields)) => {
                    request.message_id = fields.next_raw()?;
                    for _ in 0..3 {
                        fields.next_raw()?;
                    }
                    request.reply_to = fields.next()?.and_then(Value::text);
                }
                (APPLICATION_PROPERTIES, Value::Map(pairs)) => request.properties = Some(pairs),
                (AMQP_VALUE | DATA, _) => request.body = Some(section.body),
                _ => {}
            }
        }
        Ok(request)
    }

    /// An application property that is text; `None` when it is missing or something else.
    pub(super) fn property(&self, name: &str) -> Option<&'a str> {
        self.properties?.get(name).ok().flatten()?.text()
    }

    /// The body when it is text, or bytes that are text.
    pub(super) fn text_body(&self) -> Option<&'a str> {
        match self.body?.value().ok()? {
            Value::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            value => value.text(),
        }
    }

    /// The reply: `status`, a description, further application properties, and `body` as an amqp-value.
    pub(super) fn reply(
        &self,
        status: i32,
        description: &str,
        further: &[(&str, &str)],
        body: impl FnOnce(&mut Writer<'_>),
    ) -> BytesMut {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        w.described_list(PROPERTIES, |w| {
            w.pad_to(5);
            // With the type that the peer gave it: clients compare ids of their own type.
            w.optional(self.message_id, |w, Raw(id)| w.raw(id));
            w.pad_to(13);
        });
        w.described_map(APPLICATION_PROPERTIES, |w| {
            w.string("status-code");
            w.int(status);
            // Twice: Python's client looks for it under the name that the draft of AMQP management has for it.
            for name in ["status-description", "statusDescription"] {
                w.string(name);
                w.string(description);
            }
            for (name, value) in further {
                w.string(name);
                w.symbol(value);
            }
        });
        w.descriptor(AMQP_VALUE);
        body(&mut w);
        out
    }
}

/// What the service says about an event when it delivers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) sequence_number: i64,
    pub(super) offset: i64,
    pub(super) enqueued_ms: i64,
    pub(super) key: Option<&'a str>,
    /// The sender's other annotations, encoded, and how many values they are.
    pub(super) annotations: (&'a [u8], u32),
    /// Everything from the properties on.
    pub(super) message: &'a [u8],
}

/// What a receiver with runtime metrics gets about its partition along with each event.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuntimeMetrics {
    pub(super) last_sequence_number: i64,
    pub(super) last_offset: i64,
    pub(super) last_enqueued_ms: i64,
    pub(super) now_ms: i64,
}

/// Writes an event as a consumer gets it.
pub(super) fn write_event(out: &mut BytesMut, event: &Delivery<'_>, metrics: Option<&RuntimeMetrics>) {
    let mut w = Writer::new(out);
    if let Some(metrics) = metrics {
        w.described_map(DELIVERY_ANNOTATIONS, |w| {
            w.symbol("last_enqueued_sequence_number");
            w.long(metrics.last_sequence_number);
            w.symbol("last_enqueued_offset");
            w.string(&metrics.last_offset.to_string());
            w.symbol("last_enqueued_time_utc");
            w.timestamp(metrics.last_enqueued_ms);
            w.symbol("runtime_info_retrieval_time_utc");
            w.timestamp(metrics.now_ms);
        });
    }
    w.described_map(MESSAGE_ANNOTATIONS, |w| {
        w.symbol("x-opt-sequence-number");
        w.long(event.sequence_number);
        w.symbol("x-opt-offset");
        w.string(&event.offset.to_string());
        w.symbol("x-opt-enqueued-time");
        w.timestamp(event.enqueued_ms);
        if let Some(key) = event.key {
            w.symbol(PARTITION_KEY);
            w.string(key);
        }
        w.raw_values(event.annotations.0, event.annotations.1);
    });
    w.raw_values(event.message, 1);
}

#[cfg(test)]
pub(super) mod tests {
    use txgen_amqp::message::data_body;

    use super::*;

    /// A message with one data section and perhaps a key.
    pub(in super::super) fn message(key: Option<&str>, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        if let Some(key) = key {
            w.described_map(MESSAGE_ANNOTATIONS, |w| {
                w.symbol(PARTITION_KEY);
                w.string(key);
            });
        }
        w.descriptor(DATA);
        w.binary(body);
        out.to_vec()
    }

    #[test]
    fn an_event_keeps_its_key_and_everything_from_the_properties_on() {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        w.described_list(HEADER, |w| w.bool(true));
        w.described_map(MESSAGE_ANNOTATIONS, |w| {
            w.symbol("mine");
            w.int(1);
            w.symbol(PARTITION_KEY);
            w.string("us");
            w.symbol("x-opt-offset");
            w.string("forged");
        });
        let kept_from = out.len();
        let mut w = Writer::new(&mut out);
        w.described_list(PROPERTIES, |w| w.string("id"));
        w.descriptor(DATA);
        w.binary(b"body");
        let parts = event(&out).unwrap();
        assert_eq!((parts.key, parts.annotation_values), (Some("us"), 2));
        assert!(matches!(parts.message, Cow::Borrowed(message) if message == &out[kept_from..]));
        assert_eq!(data_body(&parts.message), b"body");
    }

    #[test]
    fn sections_in_any_order_make_the_same_event() {
        let section = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut out = BytesMut::new();
            write(&mut Writer::new(&mut out));
            out.to_vec()
        };
        let annotation = |w: &mut Writer<'_>, name| {
            w.symbol(name);
            w.string("us");
        };
        let header = section(&|w| w.described_list(HEADER, |w| w.bool(true)));
        let delivery = section(&|w| w.described_map(DELIVERY_ANNOTATIONS, |w| annotation(w, "d")));
        let annotations = section(&|w| w.described_map(MESSAGE_ANNOTATIONS, |w| annotation(w, PARTITION_KEY)));
        let properties = section(&|w| w.described_list(PROPERTIES, |w| w.string("id")));
        let data = section(&|w| {
            w.descriptor(DATA);
            w.binary(b"body");
        });
        let message = [&*properties, &*data].concat();
        for order in [
            [&header, &delivery, &annotations, &properties, &data],
            [&header, &annotations, &delivery, &properties, &data],
            [&header, &annotations, &properties, &data, &delivery],
            [&properties, &data, &header, &delivery, &annotations],
            [&data, &delivery, &properties, &annotations, &header],
        ] {
            let payload = order.into_iter().flatten().copied().collect::<Vec<_>>();
            let parts = event(&payload).unwrap();
            assert_eq!((parts.key, &*parts.message), (Some("us"), &*message));
        }
    }

    #[test]
    fn a_batch_is_taken_apart_into_its_events() {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        w.described_map(MESSAGE_ANNOTATIONS, |w| {
            w.symbol(PARTITION_KEY);
            w.string("us");
        });
        for body in [b"one", b"two"] {
            w.descriptor(DATA);
            w.binary(&message(Some("us"), body));
        }
        let (key, events) = batch(&out).unwrap();
        assert_eq!(key, Some("us"));
        assert_eq!(events.iter().map(|event| data_body(&event.message)).collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(events.iter().all(|event| event.key == Some("us")));
    }

    #[test]
    fn a_reply_echoes_the_message_id_with_its_type() {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        let uuid: Vec<u8> = std::iter::once(0x98).chain(1..=16).collect();
        w.described_list(PROPERTIES, |w| w.raw(&uuid));
        let reply = Request::read(&out).unwrap().reply(202, "Accepted", &[], |w| w.null());
        let mut sections = Sections::of(&reply);
        let Value::List(mut fields) = sections.next().unwrap().unwrap().body.value().unwrap() else { panic!("a list") };
        for _ in 0..5 {
            fields.next_raw().unwrap();
        }
        assert_eq!(fields.next_raw().unwrap(), Some(Raw(&uuid)));
    }

    #[test]
    fn a_message_cut_anywhere_is_refused_or_whole() {
        let whole = message(Some("us"), b"body");
        for cut in 0..whole.len() {
            if let Ok(parts) = event(&whole[..cut]) {
                assert!(parts.message.is_empty(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn the_amqp_library_reads_a_delivered_event() {
        use fe2o3_amqp_types::messaging::{Body, Message, message::__private::Deserializable};
        let mut out = BytesMut::new();
        let message = message(None, b"body");
        let event = Delivery {
            sequence_number: 5,
            offset: 4_000,
            enqueued_ms: 1_700_000_000_000,
            key: Some("us"),
            annotations: (&[], 0),
            message: &message,
        };
        write_event(&mut out, &event, None);
        let read: Deserializable<Message<Body<serde_amqp::Value>>> = serde_amqp::from_slice(&out).unwrap();
        let annotations = read.0.message_annotations.unwrap();
        assert_eq!(annotations.len(), 4);
        assert!(matches!(read.0.body, Body::Data(_)));
    }
}
