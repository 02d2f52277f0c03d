//! The sections of a message (section 3.2).

use crate::Malformed;
use crate::descriptor::{
    AMQP_SEQUENCE, AMQP_VALUE, APPLICATION_PROPERTIES, DATA, DELIVERY_ANNOTATIONS, FOOTER, HEADER, MESSAGE_ANNOTATIONS,
    PROPERTIES,
};
use crate::value::{Descriptor, Raw, Reader, Value};

/// Walks over the sections of a message.
pub struct Sections<'a>(Reader<'a>);

/// A section: the code of its descriptor, and what that describes.
pub struct Section<'a> {
    /// Which section it is: one of [`descriptor`](crate::descriptor)'s codes from [`HEADER`] to [`FOOTER`].
    pub code: u64,
    /// Its list, map, binary or value.
    pub body: Raw<'a>,
}

impl<'a> Sections<'a> {
    /// Those of this encoded message.
    pub fn of(message: &'a [u8]) -> Self {
        Self(Reader::new(message))
    }

    /// What of the message has not been walked over.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// When what follows is not a section.
    #[allow(
        clippy::should_implement_trait,
        reason = "after an error nothing may be asked for, which iterators do not say"
    )]
    pub fn next(&mut self) -> Result<Option<Section<'a>>, Malformed> {
        if self.0.rest().is_empty() {
            return Ok(None);
        }
        let Value::Described(descriptor, body) = self.0.value()? else {
            return Err(Malformed("a message's section is not a described value"));
        };
        let code = match descriptor {
            Descriptor::Code(code) => code,
            Descriptor::Name(name) => match name {
                "amqp:header:list" => HEADER,
                "amqp:delivery-annotations:map" => DELIVERY_ANNOTATIONS,
                "amqp:message-annotations:map" => MESSAGE_ANNOTATIONS,
                "amqp:properties:list" => PROPERTIES,
                "amqp:application-properties:map" => APPLICATION_PROPERTIES,
                "amqp:data:binary" => DATA,
                "amqp:amqp-sequence:list" => AMQP_SEQUENCE,
                "amqp:amqp-value:*" => AMQP_VALUE,
                "amqp:footer:map" => FOOTER,
                _ => return Err(Malformed("unknown section of a message")),
            },
        };
        if !(HEADER..=FOOTER).contains(&code) {
            return Err(Malformed("unknown section of a message"));
        }
        Ok(Some(Section { code, body }))
    }
}

/// The body of an encoded message whose body is data: its first data section. Empty when it has none.
pub fn data_body(message: &[u8]) -> &[u8] {
    let mut sections = Sections::of(message);
    while let Ok(Some(section)) = sections.next() {
        if let (DATA, Ok(Value::Binary(body))) = (section.code, section.body.value()) {
            return body;
        }
    }
    &[]
}
