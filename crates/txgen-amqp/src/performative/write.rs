//! Performatives at full length, absent fields as nulls.

use super::{AmqpError, Attach, Flow, Outcome, RECEIVER};
use crate::descriptor::{ATTACH, BEGIN, CLOSE, DETACH, DISPOSITION, END, FLOW, OPEN, SOURCE, TARGET, TRANSFER};
use crate::writer::Writer;

/// An open (section 2.7.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct NewOpen<'a> {
    /// The name of this end.
    pub container: &'a str,
    /// The host that was dialled.
    pub hostname: Option<&'a str>,
    /// The largest frame that this end takes.
    pub max_frame_size: u32,
    /// The highest channel that it takes.
    pub channel_max: u16,
    /// After how many milliseconds without a frame it gives up.
    pub idle_time_out_ms: u32,
    /// What operators of the peer see.
    pub properties: &'a [(String, String)],
}

/// Writes an open.
pub fn write_open(w: &mut Writer<'_>, open: &NewOpen<'_>) {
    w.described_list(OPEN, |w| {
        w.string(open.container);
        w.optional(open.hostname, Writer::string);
        w.uint(open.max_frame_size);
        w.ushort(open.channel_max);
        w.uint(open.idle_time_out_ms);
        w.pad_to(9);
        if open.properties.is_empty() {
            w.null();
        } else {
            w.map(|w| {
                for (name, value) in open.properties {
                    w.symbol(name);
                    w.string(value);
                }
            });
        }
    });
}

/// Writes a begin; `remote_channel` is that of the begin which it answers.
pub fn write_begin(w: &mut Writer<'_>, remote_channel: Option<u16>, window: u32, handle_max: u32) {
    w.described_list(BEGIN, |w| {
        w.optional(remote_channel, Writer::ushort);
        w.uint(0);
        w.uint(window);
        w.uint(window);
        w.uint(handle_max);
        w.pad_to(8);
    });
}

/// An attach by the end that wants the link (section 2.7.3).
#[derive(Clone, Copy, Debug)]
pub struct NewAttach<'a> {
    /// The link's name.
    pub name: &'a str,
    /// Its handle at this end.
    pub handle: u32,
    /// Whether this end is the receiver.
    pub receives: bool,
    /// Whether deliveries are sent settled.
    pub settled: bool,
    /// The source's address.
    pub source: Option<&'a str>,
    /// The target's address.
    pub target: Option<&'a str>,
    /// The source's filters, each a text that its name describes.
    pub filters: &'a [(&'a str, &'a str)],
    /// Properties of the link.
    pub properties: &'a [(&'a str, i64)],
    /// The longest message that this end takes, in bytes.
    pub max_message_size: Option<u64>,
}

/// Writes an attach by the end that wants the link.
pub fn write_new_attach(w: &mut Writer<'_>, attach: &NewAttach<'_>) {
    w.described_list(ATTACH, |w| {
        w.string(attach.name);
        w.uint(attach.handle);
        w.bool(attach.receives);
        w.ubyte(u8::from(attach.settled));
        w.ubyte(0);
        w.described_list(SOURCE, |w| {
            w.optional(attach.source, Writer::string);
            w.pad_to(7);
            if !attach.filters.is_empty() {
                w.map(|w| {
                    for (name, text) in attach.filters {
                        w.symbol(name);
                        w.descriptor_symbol(name);
                        w.string(text);
                    }
                });
            }
            w.pad_to(11);
        });
        w.described_list(TARGET, |w| {
            w.optional(attach.target, Writer::string);
            w.pad_to(7);
        });
        w.pad_to(9);
        if attach.receives {
            w.null()
        } else {
            w.uint(0)
        }
        w.optional(attach.max_message_size, Writer::ulong);
        w.pad_to(13);
        if attach.properties.is_empty() {
            w.null();
        } else {
            w.map(|w| {
                for (name, number) in attach.properties {
                    w.symbol(name);
                    w.long(*number);
                }
            });
        }
    });
}

/// Writes the attach that answers the peer's.
///
/// With `accepted` false source and target are null, as when the service refuses a link and detaches it next.
pub fn write_attach(
    w: &mut Writer<'_>,
    peers: &Attach<'_>,
    accepted: bool,
    max_message_size: u64,
    offered_capability: Option<&str>,
) {
    w.described_list(ATTACH, |w| {
        w.string(peers.name);
        w.uint(peers.handle);
        w.bool(!peers.peer_receives);
        // A receiver is sent settled events whatever it asked for; a sender settles as it wishes.
        w.ubyte(if peers.peer_receives { 1 } else { peers.sender_settle_mode });
        // Only `first`: the emulator settles with its one disposition, as the service does.
        w.ubyte(0);
        let (source, target) = if accepted { (peers.source, peers.target) } else { (None, None) };
        match source {
            Some(source) => source.write(w, SOURCE, 11),
            None if accepted => w.described_list(SOURCE, |w| w.pad_to(11)),
            None => w.null(),
        }
        match target {
            Some(target) => target.write(w, TARGET, 7),
            None if accepted => w.described_list(TARGET, |w| w.pad_to(7)),
            None => w.null(),
        }
        w.null();
        w.null();
        if peers.peer_receives {
            w.uint(0);
        } else {
            w.null();
        }
        w.ulong(max_message_size);
        w.optional(offered_capability, |w, capability| w.symbols(&[capability]));
        w.pad_to(14);
    });
}

/// A flow.
pub fn write_flow(w: &mut Writer<'_>, flow: &Flow) {
    w.described_list(FLOW, |w| {
        w.optional(flow.next_incoming_id, Writer::uint);
        w.uint(flow.incoming_window);
        w.uint(flow.next_outgoing_id);
        w.uint(flow.outgoing_window);
        w.optional(flow.handle, Writer::uint);
        w.optional(flow.delivery_count, Writer::uint);
        w.optional(flow.link_credit, Writer::uint);
        w.optional(flow.available, Writer::uint);
        w.bool(flow.drain);
        w.bool(flow.echo);
        w.pad_to(11);
    });
}

/// A transfer of a settled delivery of format 0; the payload follows. Parts after the first have no `delivery_id`.
pub fn write_transfer(w: &mut Writer<'_>, handle: u32, delivery_id: Option<u32>, more: bool) {
    w.described_list(TRANSFER, |w| {
        w.uint(handle);
        match delivery_id {
            Some(id) => {
                w.uint(id);
                w.binary(&id.to_be_bytes());
                w.uint(0);
            }
            None => w.pad_to(4),
        }
        w.bool(true);
        w.bool(more);
        w.pad_to(11);
    });
}

/// Writes the first transfer of an unsettled delivery of format 0; the payload follows.
///
/// Fields after `more` are left out: these are the frames that take the time.
pub fn write_delivery(w: &mut Writer<'_>, handle: u32, delivery_id: u32, more: bool) {
    w.described_list(TRANSFER, |w| {
        w.uint(handle);
        w.uint(delivery_id);
        w.binary(&delivery_id.to_be_bytes());
        w.uint(0);
        w.bool(false);
        w.bool(more);
    });
}

/// Writes a transfer that goes on with the delivery before it; the payload follows.
pub fn write_part(w: &mut Writer<'_>, handle: u32, more: bool) {
    w.described_list(TRANSFER, |w| {
        w.uint(handle);
        w.pad_to(5);
        w.bool(more);
    });
}

/// Writes a sender's disposition that settles the deliveries from `first` to `last`, of which the receiver has said the
/// outcome.
pub fn write_settled(w: &mut Writer<'_>, first: u32, last: u32) {
    w.described_list(DISPOSITION, |w| {
        w.bool(!RECEIVER);
        w.uint(first);
        w.uint(last);
        w.bool(true);
        w.pad_to(6);
    });
}

/// The receiver's disposition that settles the deliveries from `first` to `last`.
pub fn write_disposition(w: &mut Writer<'_>, first: u32, last: u32, outcome: &Outcome) {
    w.described_list(DISPOSITION, |w| {
        w.bool(RECEIVER);
        w.uint(first);
        w.uint(last);
        w.bool(true);
        outcome.write(w);
        w.pad_to(6);
    });
}

/// A detach.
pub fn write_detach(w: &mut Writer<'_>, handle: u32, closed: bool, error: Option<&AmqpError>) {
    w.described_list(DETACH, |w| {
        w.uint(handle);
        w.bool(closed);
        write_error(w, error);
    });
}

/// An end.
pub fn write_end(w: &mut Writer<'_>, error: Option<&AmqpError>) {
    w.described_list(END, |w| write_error(w, error));
}

/// A close.
pub fn write_close(w: &mut Writer<'_>, error: Option<&AmqpError>) {
    w.described_list(CLOSE, |w| write_error(w, error));
}

fn write_error(w: &mut Writer<'_>, error: Option<&AmqpError>) {
    w.optional(error, |w, error| error.write(w));
}
