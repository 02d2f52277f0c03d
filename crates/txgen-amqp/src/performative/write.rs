//! Performatives as the emulator writes them: at full length, absent fields as nulls.

use super::{AmqpError, Attach, Flow, Outcome, RECEIVER};
use crate::descriptor::{ATTACH, BEGIN, CLOSE, DETACH, DISPOSITION, END, FLOW, OPEN, SOURCE, TARGET, TRANSFER};
use crate::writer::Writer;

/// The emulator's open.
pub fn write_open(w: &mut Writer<'_>, container: &str, channel_max: u16, idle_time_out_ms: u32) {
    w.described_list(OPEN, |w| {
        w.string(container);
        w.null();
        w.uint(crate::frame::MAX_FRAME_SIZE);
        w.ushort(channel_max);
        w.uint(idle_time_out_ms);
        w.pad_to(10);
    });
}

/// The emulator's begin, in answer to the one that came on `remote_channel`.
pub fn write_begin(w: &mut Writer<'_>, remote_channel: u16, window: u32, handle_max: u32) {
    w.described_list(BEGIN, |w| {
        w.ushort(remote_channel);
        w.uint(0);
        w.uint(window);
        w.uint(window);
        w.uint(handle_max);
        w.pad_to(8);
    });
}

/// The emulator's attach, in answer to the peer's.
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
        match offered_capability {
            Some(capability) => w.symbols(&[capability]),
            None => w.null(),
        }
        w.pad_to(14);
    });
}

/// A flow.
pub fn write_flow(w: &mut Writer<'_>, flow: &Flow) {
    fn optional(w: &mut Writer<'_>, value: Option<u32>) {
        match value {
            Some(value) => w.uint(value),
            None => w.null(),
        }
    }
    w.described_list(FLOW, |w| {
        optional(w, flow.next_incoming_id);
        w.uint(flow.incoming_window);
        w.uint(flow.next_outgoing_id);
        w.uint(flow.outgoing_window);
        optional(w, flow.handle);
        optional(w, flow.delivery_count);
        optional(w, flow.link_credit);
        optional(w, flow.available);
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
    match error {
        Some(error) => error.write(w),
        None => w.null(),
    }
}
