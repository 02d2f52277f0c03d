//! The nine performatives (section 2.7): read into borrowing structs, written at full length.

mod write;

use crate::Malformed;
use crate::descriptor::{
    ACCEPTED, ATTACH, BEGIN, CLOSE, DETACH, DISPOSITION, END, ERROR, FLOW, MODIFIED, OPEN, RECEIVED, REJECTED,
    RELEASED, SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME, SOURCE, TARGET, TRANSFER,
};
use crate::value::{Descriptor, Items, Raw, Reader, Value};
use crate::writer::Writer;
pub use write::{
    NewAttach, NewOpen, write_attach, write_begin, write_close, write_delivery, write_detach, write_disposition,
    write_end, write_flow, write_new_attach, write_open, write_part, write_settled, write_transfer,
};

/// Roles as the `role` field has them: true is the receiver's.
pub const RECEIVER: bool = true;

/// What a frame's body says. Fields that neither end has a use for are not kept.
#[derive(Debug)]
pub enum Performative<'a> {
    /// The connection is opened (section 2.7.1).
    Open(Open),
    /// A session is begun (section 2.7.2).
    Begin(Begin),
    /// A link is attached (section 2.7.3).
    Attach(Attach<'a>),
    /// Windows and credit (section 2.7.4).
    Flow(Flow),
    /// A delivery, or a part of one (section 2.7.5).
    Transfer(Transfer<'a>),
    /// What became of deliveries (section 2.7.6).
    Disposition(Disposition<'a>),
    /// A link is detached (section 2.7.7).
    Detach(Detach<'a>),
    /// The session is ended (section 2.7.8), perhaps for a reason.
    End(Option<PeerError<'a>>),
    /// The connection is closed (section 2.7.9), perhaps for a reason.
    Close(Option<PeerError<'a>>),
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
    pub max_message_size: Option<u64>,
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

/// What a frame says of the deliveries from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// Whether the peer is the receiver of these deliveries.
    pub peer_receives: bool,
    /// The id of the first one.
    pub first: u32,
    /// The id of the last one.
    pub last: u32,
    /// Whether the peer has settled them.
    pub settled: bool,
    /// Their state, if it says any.
    pub state: Option<State<'a>>,
}

/// The state of a delivery (section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// It is stored.
    Accepted,
    /// It is not valid, and why.
    Rejected(Option<PeerError<'a>>),
    /// It was not, and will not be, acted upon.
    Released,
    /// It was not processed, and may be changed.
    Modified,
    /// It is none of the outcomes: `received`, or a state of an extension.
    Other,
}

/// The end of a link.
#[derive(Debug)]
pub struct Detach<'a> {
    /// The peer's handle.
    pub handle: u32,
    /// Whether the link is gone for good.
    pub closed: bool,
    /// Why, where it says so.
    pub error: Option<PeerError<'a>>,
}

/// An error that a peer sent (section 2.8.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerError<'a> {
    /// The condition, such as `amqp:not-found`.
    pub condition: &'a str,
    /// What a person should know.
    pub description: Option<&'a str>,
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

    fn error(&mut self) -> Result<Option<PeerError<'a>>, Malformed> {
        let list = match self.next()? {
            Value::Null => return Ok(None),
            Value::Described(descriptor, list) if code_of(descriptor) == Some(ERROR) => list,
            _ => return Err(Malformed("an error is not a described list")),
        };
        let Value::List(list) = list.value()? else { return Err(Malformed("an error is not a list")) };
        let mut fields = Fields(list);
        let condition = fields.text("error.condition is not a symbol")?;
        let description = match fields.next()? {
            Value::Null => None,
            description => Some(description.text().ok_or(Malformed("error.description is not a string"))?),
        };
        Ok(Some(PeerError { condition, description }))
    }

    fn state(&mut self) -> Result<Option<State<'a>>, Malformed> {
        let (code, list) = match self.next()? {
            Value::Null => return Ok(None),
            Value::Described(descriptor, list) => (code_of(descriptor), list),
            _ => return Err(Malformed("a delivery's state is not a described list")),
        };
        let Value::List(list) = list.value()? else { return Err(Malformed("a delivery's state is not a list")) };
        Ok(Some(match code {
            Some(ACCEPTED) => State::Accepted,
            Some(REJECTED) => State::Rejected(Fields(list).error()?),
            Some(RELEASED) => State::Released,
            Some(MODIFIED) => State::Modified,
            _ => State::Other,
        }))
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
            "amqp:error:list" => ERROR,
            "amqp:received:list" => RECEIVED,
            "amqp:accepted:list" => ACCEPTED,
            "amqp:rejected:list" => REJECTED,
            "amqp:released:list" => RELEASED,
            "amqp:modified:list" => MODIFIED,
            "amqp:sasl-mechanisms:list" => SASL_MECHANISMS,
            "amqp:sasl-init:list" => SASL_INIT,
            "amqp:sasl-outcome:list" => SASL_OUTCOME,
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
        DISPOSITION => {
            let peer_receives =
                fields.bool("disposition.role is not a boolean")?.ok_or(Malformed("disposition.role is missing"))?;
            let first = fields.required_uint("disposition.first is not a uint")?;
            let last = fields.uint("disposition.last is not a uint")?.unwrap_or(first);
            let settled = fields.bool("disposition.settled is not a boolean")?.unwrap_or(false);
            Performative::Disposition(Disposition { peer_receives, first, last, settled, state: fields.state()? })
        }
        DETACH => Performative::Detach(Detach {
            handle: fields.required_uint("detach.handle is not a uint")?,
            closed: fields.bool("detach.closed is not a boolean")?.unwrap_or(false),
            error: fields.error()?,
        }),
        END => Performative::End(fields.error()?),
        CLOSE => Performative::Close(fields.error()?),
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
    let max_message_size = match fields.next()? {
        Value::Unsigned(size) => Some(size),
        _ => None,
    };
    fields.skip(1)?;
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
        max_message_size,
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
