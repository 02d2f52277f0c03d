//! The nine performatives (section 2.7): read into borrowing structs, written at full length.

mod write;

use crate::Malformed;
use crate::descriptor::{
    ACCEPTED, ATTACH, BEGIN, CLOSE, DETACH, DISPOSITION, END, ERROR, FLOW, OPEN, REJECTED, SOURCE, TARGET, TRANSFER,
};
use crate::value::{Descriptor, Items, Raw, Reader, Value};
use crate::writer::Writer;
pub use write::{
    write_attach, write_begin, write_close, write_detach, write_disposition, write_end, write_flow, write_open,
    write_transfer,
};

/// Roles as the `role` field has them: true is the receiver's.
pub const RECEIVER: bool = true;

/// What a frame's body says. Fields that the emulator has no use for are not kept.
#[derive(Debug)]
pub enum Performative<'a> {
    Open(Open),
    Begin(Begin),
    Attach(Attach<'a>),
    Flow(Flow),
    Transfer(Transfer<'a>),
    /// Nothing of it is kept: the emulator waits for none.
    Disposition,
    Detach(Detach),
    End,
    Close,
}

#[derive(Debug)]
pub struct Open {
    pub max_frame_size: Option<u32>,
    pub idle_time_out_ms: Option<u32>,
}

#[derive(Debug)]
pub struct Begin {
    pub remote_channel: Option<u16>,
    pub next_outgoing_id: u32,
    pub incoming_window: u32,
}

#[derive(Debug)]
pub struct Attach<'a> {
    pub name: &'a str,
    pub handle: u32,
    /// Whether the peer is the receiver of this link.
    pub peer_receives: bool,
    pub sender_settle_mode: u8,
    pub source: Option<Terminus<'a>>,
    pub target: Option<Terminus<'a>>,
    pub initial_delivery_count: u32,
    pub desired_capabilities: Value<'a>,
    pub properties: Option<Items<'a>>,
}

/// A source or a target.
#[derive(Clone, Copy, Debug)]
pub struct Terminus<'a> {
    /// Its fields, to be written back as they came.
    fields: Items<'a>,
    pub address: Option<&'a str>,
    /// A source's filters.
    pub filters: Option<Items<'a>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    pub next_incoming_id: Option<u32>,
    pub incoming_window: u32,
    pub next_outgoing_id: u32,
    pub outgoing_window: u32,
    pub handle: Option<u32>,
    pub delivery_count: Option<u32>,
    pub link_credit: Option<u32>,
    pub available: Option<u32>,
    pub drain: bool,
    pub echo: bool,
}

#[derive(Debug)]
pub struct Transfer<'a> {
    pub handle: u32,
    pub delivery_id: Option<u32>,
    pub message_format: Option<u32>,
    pub settled: bool,
    pub more: bool,
    pub aborted: bool,
    /// The message, or a part of it.
    pub payload: &'a [u8],
}

#[derive(Debug)]
pub struct Detach {
    pub handle: u32,
    pub closed: bool,
}

/// An error as performatives and outcomes carry it (section 2.8.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpError {
    /// The condition, a symbol.
    pub condition: &'static str,
    /// What a person should know.
    pub description: String,
}

impl AmqpError {
    /// An error with this condition and description.
    pub fn new(condition: &'static str, description: impl Into<String>) -> Self {
        Self { condition, description: description.into() }
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.described_list(ERROR, |w| {
            w.symbol(self.condition);
            w.string(&self.description);
            w.pad_to(3);
        });
    }
}

/// What became of a delivery (section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored.
    Accepted,
    /// Not stored, and why.
    Rejected(AmqpError),
}

impl Outcome {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Accepted => w.described_list(ACCEPTED, |_| {}),
            Self::Rejected(error) => w.described_list(REJECTED, |w| error.write(w)),
        }
    }
}

/// Reads the fields of a described list in order.
struct Fields<'a>(Items<'a>);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Value<'a>, Malformed> {
        Ok(self.0.next()?.unwrap_or(Value::Null))
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        for _ in 0..count {
            self.0.next_raw()?;
        }
        Ok(())
    }

    fn uint(&mut self, wrong: &'static str) -> Result<Option<u32>, Malformed> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Unsigned(number) => u32::try_from(number).map(Some).map_err(|_| Malformed(wrong)),
            _ => Err(Malformed(wrong)),
        }
    }

    fn required_uint(&mut self, wrong: &'static str) -> Result<u32, Malformed> {
        self.uint(wrong)?.ok_or(Malformed(wrong))
    }

    fn bool(&mut self, wrong: &'static str) -> Result<Option<bool>, Malformed> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(value)),
            _ => Err(Malformed(wrong)),
        }
    }

    fn text(&mut self, wrong: &'static str) -> Result<&'a str, Malformed> {
        self.next()?.text().ok_or(Malformed(wrong))
    }

    fn map(&mut self, wrong: &'static str) -> Result<Option<Items<'a>>, Malformed> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Map(items) => Ok(Some(items)),
            _ => Err(Malformed(wrong)),
        }
    }

    fn terminus(&mut self) -> Result<Option<Terminus<'a>>, Malformed> {
        let (code, list) = match self.next()? {
            Value::Null => return Ok(None),
            Value::Described(descriptor, list) => (code_of(descriptor), list),
            _ => return Err(Malformed("a source or target is not a described list")),
        };
        if !matches!(code, Some(SOURCE | TARGET)) {
            return Err(Malformed("a link's terminus is neither a source nor a target"));
        }
        let Value::List(list) = list.value()? else { return Err(Malformed("a source or target is not a list")) };
        let mut fields = Fields(list);
        let address = match fields.next()? {
            Value::Null => None,
            address => Some(address.text().ok_or(Malformed("an address is not a string"))?),
        };
        let filters = if code == Some(SOURCE) {
            fields.skip(6)?;
            fields.map("source.filter is not a map")?
        } else {
            None
        };
        Ok(Some(Terminus { fields: list, address, filters }))
    }
}

/// Performatives and termini by the symbols that may stand for their codes.
fn code_of(descriptor: Descriptor<'_>) -> Option<u64> {
    match descriptor {
        Descriptor::Code(code) => Some(code),
        Descriptor::Name(name) => Some(match name {
            "amqp:open:list" => OPEN,
            "amqp:begin:list" => BEGIN,
            "amqp:attach:list" => ATTACH,
            "amqp:flow:list" => FLOW,
            "amqp:transfer:list" => TRANSFER,
            "amqp:disposition:list" => DISPOSITION,
            "amqp:detach:list" => DETACH,
            "amqp:end:list" => END,
            "amqp:close:list" => CLOSE,
            "amqp:source:list" => SOURCE,
            "amqp:target:list" => TARGET,
            _ => return None,
        }),
    }
}

/// Takes a described list off the front of a frame's body: its code, its fields, and what follows it.
pub fn described_list(body: &[u8]) -> Result<(u64, Items<'_>, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let Value::Described(descriptor, list) = reader.value()? else {
        return Err(Malformed("a frame's body is not a described list"));
    };
    let Value::List(items) = list.value()? else { return Err(Malformed("a performative is not a list")) };
    let code = code_of(descriptor).ok_or(Malformed("unknown performative"))?;
    Ok((code, items, reader.rest()))
}

/// Reads the body of a frame.
pub fn read(body: &[u8]) -> Result<Performative<'_>, Malformed> {
    let (code, items, payload) = described_list(body)?;
    let mut fields = Fields(items);
    Ok(match code {
        OPEN => {
            fields.text("open.container-id is not a string")?;
            fields.skip(1)?;
            let max_frame_size = fields.uint("open.max-frame-size is not a uint")?;
            fields.skip(1)?;
            let idle_time_out_ms = fields.uint("open.idle-time-out is not a uint")?;
            Performative::Open(Open { max_frame_size, idle_time_out_ms })
        }
        BEGIN => {
            let remote_channel = fields.uint("begin.remote-channel is not a ushort")?;
            Performative::Begin(Begin {
                remote_channel: remote_channel.and_then(|channel| u16::try_from(channel).ok()),
                next_outgoing_id: fields.required_uint("begin.next-outgoing-id is not a uint")?,
                incoming_window: fields.required_uint("begin.incoming-window is not a uint")?,
            })
        }
        ATTACH => Performative::Attach(attach(fields)?),
        FLOW => Performative::Flow(Flow {
            next_incoming_id: fields.uint("flow.next-incoming-id is not a uint")?,
            incoming_window: fields.required_uint("flow.incoming-window is not a uint")?,
            next_outgoing_id: fields.required_uint("flow.next-outgoing-id is not a uint")?,
            outgoing_window: fields.required_uint("flow.outgoing-window is not a uint")?,
            handle: fields.uint("flow.handle is not a uint")?,
            delivery_count: fields.uint("flow.delivery-count is not a uint")?,
            link_credit: fields.uint("flow.link-credit is not a uint")?,
            available: fields.uint("flow.available is not a uint")?,
            drain: fields.bool("flow.drain is not a boolean")?.unwrap_or(false),
            echo: fields.bool("flow.echo is not a boolean")?.unwrap_or(false),
        }),
        TRANSFER => {
            let handle = fields.required_uint("transfer.handle is not a uint")?;
            let delivery_id = fields.uint("transfer.delivery-id is not a uint")?;
            fields.skip(1)?;
            let message_format = fields.uint("transfer.message-format is not a uint")?;
            let settled = fields.bool("transfer.settled is not a boolean")?.unwrap_or(false);
            let more = fields.bool("transfer.more is not a boolean")?.unwrap_or(false);
            fields.skip(3)?;
            let aborted = fields.bool("transfer.aborted is not a boolean")?.unwrap_or(false);
            Performative::Transfer(Transfer { handle, delivery_id, message_format, settled, more, aborted, payload })
        }
        DISPOSITION => Performative::Disposition,
        DETACH => Performative::Detach(Detach {
            handle: fields.required_uint("detach.handle is not a uint")?,
            closed: fields.bool("detach.closed is not a boolean")?.unwrap_or(false),
        }),
        END => Performative::End,
        CLOSE => Performative::Close,
        _ => return Err(Malformed("unknown performative")),
    })
}

fn attach(mut fields: Fields<'_>) -> Result<Attach<'_>, Malformed> {
    let name = fields.text("attach.name is not a string")?;
    let handle = fields.required_uint("attach.handle is not a uint")?;
    let peer_receives = fields.bool("attach.role is not a boolean")?.ok_or(Malformed("attach.role is missing"))?;
    let sender_settle_mode = fields.uint("attach.snd-settle-mode is not a ubyte")?.unwrap_or(2);
    fields.skip(1)?;
    let source = fields.terminus()?;
    let target = fields.terminus()?;
    fields.skip(2)?;
    let initial_delivery_count = fields.uint("attach.initial-delivery-count is not a uint")?.unwrap_or(0);
    fields.skip(2)?;
    let desired_capabilities = fields.next()?;
    let properties = fields.map("attach.properties is not a map")?;
    Ok(Attach {
        name,
        handle,
        peer_receives,
        sender_settle_mode: u8::try_from(sender_settle_mode).unwrap_or(2).min(2),
        source,
        target,
        initial_delivery_count,
        desired_capabilities,
        properties,
    })
}

impl<'a> Attach<'a> {
    /// Whether the peer wishes for this capability.
    pub fn desires(&self, capability: &str) -> bool {
        match self.desired_capabilities {
            Value::Symbol(only) => only == capability,
            Value::Array(mut array) => {
                std::iter::from_fn(|| array.next_symbol().ok().flatten()).any(|symbol| symbol == capability)
            }
            _ => false,
        }
    }

    /// A link property by name.
    pub fn property(&self, name: &str) -> Result<Option<Value<'a>>, Malformed> {
        self.properties.map_or(Ok(None), |properties| properties.get(name))
    }
}

impl Terminus<'_> {
    /// Writes the terminus as it came, filled up with nulls to its full length.
    fn write(&self, w: &mut Writer<'_>, code: u64, length: u32) {
        let mut fields = self.fields;
        w.described_list(code, |w| {
            // Attach was read field by field up to the properties, so only fields beyond the known ones can be broken.
            for _ in 0..length {
                if let Ok(Some(Raw(field))) = fields.next_raw() {
                    w.raw(field);
                }
            }
            w.pad_to(length);
        });
    }
}

#[cfg(test)]
mod tests;
