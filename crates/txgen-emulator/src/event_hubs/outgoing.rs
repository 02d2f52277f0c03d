//! Links on which the peer receives: events of a partition, or replies of `$cbs` and `$management`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::BytesMut;
use txgen_amqp::frame::{self, HEADER_SIZE, Kind};
use txgen_amqp::performative::{AmqpError, Flow, write_transfer};

use super::core::Core;
use super::message::write_event;
use super::store::{Hub, Subscription};

/// Replies that may wait for the credit of one link.
const MAX_WAITING_REPLIES: usize = 64;
/// Events of one link after which the next has its turn.
const TURN: usize = 64;
/// A transfer performative takes at most so many bytes: descriptor and sizes 12, handle, id and tag 5 + 5 + 6, the rest 8.
const TRANSFER_SIZE: usize = 36;
/// The emulator's windows, in transfers: it takes whatever the links' credit allows.
pub(super) const WINDOW: u32 = i32::MAX as u32;

/// A session's flow state (section 2.5.6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) next_incoming_id: u32,
    pub(super) next_outgoing_id: u32,
    pub(super) next_delivery_id: u32,
    /// Transfers that the peer takes now.
    peer_window: u32,
    /// The most that it ever took.
    widest: u32,
}

impl Windows {
    /// The state after the peer's begin.
    pub(super) fn new(next_incoming_id: u32, peer_window: u32) -> Self {
        Self { next_incoming_id, next_outgoing_id: 0, next_delivery_id: 0, peer_window, widest: peer_window }
    }

    /// Takes what a flow of the peer says.
    pub(super) fn update(&mut self, flow: &Flow) {
        self.next_incoming_id = flow.next_outgoing_id;
        let sent_since = self.next_outgoing_id.wrapping_sub(flow.next_incoming_id.unwrap_or(0));
        // A window beyond the sequence space is a lie or a wrap-around: it is none.
        self.peer_window = flow.incoming_window.saturating_sub(sent_since);
        self.widest = self.widest.max(flow.incoming_window);
    }

    /// The session's part of a flow.
    pub(super) fn flow(&self) -> Flow {
        Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: WINDOW,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: WINDOW,
            ..Flow::default()
        }
    }
}

/// A link on which the peer receives.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) outlet: Outlet,
    handle: u32,
    delivery_count: u32,
    credit: u32,
    drain: bool,
}

/// Where messages come from.
#[derive(Debug)]
pub(super) enum Outlet {
    /// From a partition.
    Consumer(Consumer),
    /// From `$cbs` or `$management`.
    Replies {
        /// Whether from `$cbs`.
        of_cbs: bool,
        /// The peer's own name for the place where it awaits replies.
        address: Option<String>,
        waiting: VecDeque<BytesMut>,
    },
}

/// A reader of a partition.
#[derive(Debug)]
pub(super) struct Consumer {
    hub: Arc<Hub>,
    partition: u32,
    subscription: Subscription,
    /// The sequence number of the next event to deliver.
    next: i64,
    metrics: bool,
    pub(super) path: String,
}

impl Consumer {
    /// A reader from the sequence number `next` on; with `metrics` each event says how far the partition has got.
    pub(super) fn new(
        hub: Arc<Hub>,
        partition: u32,
        subscription: Subscription,
        next: i64,
        metrics: bool,
        path: String,
    ) -> Self {
        Self { hub, partition, subscription, next, metrics, path }
    }

    fn is_at_end(&self) -> bool {
        self.hub.partition(self.partition).is_none_or(|partition| partition.end() <= self.next)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(partition) = self.hub.partition(self.partition) {
            partition.unsubscribe(&self.subscription);
        }
    }
}

enum Sent {
    Whole,
    /// The session's window is too narrow for now.
    Later,
    /// The session's window was never wide enough.
    Never,
}

fn send(core: &mut Core, channel: u16, handle: u32, windows: &mut Windows, message: &[u8]) -> Sent {
    let room = core.peer_max_frame.saturating_sub(HEADER_SIZE + TRANSFER_SIZE).max(1);
    let frames = u32::try_from(message.len().div_ceil(room).max(1)).unwrap_or(u32::MAX);
    if frames > windows.peer_window {
        return if frames > windows.widest { Sent::Never } else { Sent::Later };
    }
    let mut id = Some(windows.next_delivery_id);
    let mut rest = message;
    loop {
        let (part, after) = rest.split_at(rest.len().min(room));
        let more = !after.is_empty();
        frame::write(&mut core.out, Kind::Amqp, channel, |w| write_transfer(w, handle, id, more), part);
        (id, rest) = (None, after);
        if !more {
            break;
        }
    }
    windows.next_delivery_id = windows.next_delivery_id.wrapping_add(1);
    windows.next_outgoing_id = windows.next_outgoing_id.wrapping_add(frames);
    windows.peer_window -= frames;
    Sent::Whole
}

/// How far a turn of deliveries got.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is nothing to send now.
    Idle,
    /// There may be more to send.
    More,
    /// The link has to be detached.
    Lost(AmqpError),
}

impl Outgoing {
    /// A link without credit yet.
    pub(super) fn new(handle: u32, outlet: Outlet) -> Self {
        Self { outlet, handle, delivery_count: 0, credit: 0, drain: false }
    }

    /// Takes what a flow of the peer says about this link.
    pub(super) fn update(&mut self, flow: &Flow) {
        if let Some(credit) = flow.link_credit {
            // The peer counts from the deliveries it has seen; before the first it may not know (section 2.6.7).
            let seen = flow.delivery_count.unwrap_or(0);
            self.credit = credit.saturating_sub(self.delivery_count.wrapping_sub(seen));
        }
        self.drain = flow.drain;
    }

    /// The link's part of a flow.
    pub(super) fn flow(&self, flow: Flow) -> Flow {
        Flow {
            handle: Some(self.handle),
            delivery_count: Some(self.delivery_count),
            link_credit: Some(self.credit),
            available: Some(0),
            drain: self.drain,
            ..flow
        }
    }

    fn count(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.credit = self.credit.saturating_sub(1);
    }

    /// Queues a reply; false when too many wait for credit.
    pub(super) fn reply(&mut self, core: &mut Core, message: BytesMut) -> bool {
        match &mut self.outlet {
            Outlet::Replies { waiting, .. }
                if waiting.len() < MAX_WAITING_REPLIES && core.has_room_for_reply(message.len()) =>
            {
                core.waiting_reply_bytes += message.len();
                waiting.push_back(message);
                true
            }
            _ => false,
        }
    }

    /// Bytes of the replies that wait for credit.
    pub(super) fn waiting_reply_bytes(&self) -> usize {
        match &self.outlet {
            Outlet::Replies { waiting, .. } => waiting.iter().map(BytesMut::len).sum(),
            Outlet::Consumer(_) => 0,
        }
    }

    /// Sends what there is, as far as credit, window and the peer's reading allow, for one turn.
    pub(super) fn pump(&mut self, core: &mut Core, channel: u16, windows: &mut Windows) -> Progress {
        match &self.outlet {
            Outlet::Consumer(consumer) => {
                if let Some(reason) = consumer.subscription.stolen() {
                    return Progress::Lost(AmqpError::new("amqp:link:stolen", reason));
                }
                self.pump_events(core, channel, windows)
            }
            Outlet::Replies { .. } => self.pump_replies(core, channel, windows),
        }
    }

    /// Whether the peer asked for the rest of its credit to be taken back and there is nothing left to send: then it is,
    /// and the peer has to know.
    pub(super) fn drained(&mut self) -> bool {
        let at_end = match &self.outlet {
            Outlet::Consumer(consumer) => consumer.is_at_end(),
            Outlet::Replies { waiting, .. } => waiting.is_empty(),
        };
        if !self.drain || !(at_end || self.credit == 0) {
            return false;
        }
        self.delivery_count = self.delivery_count.wrapping_add(self.credit);
        self.credit = 0;
        true
    }

    /// A drain is answered once.
    pub(super) fn end_drain(&mut self) {
        self.drain = false;
    }

    fn pump_replies(&mut self, core: &mut Core, channel: u16, windows: &mut Windows) -> Progress {
        while self.credit > 0 && !core.is_congested() {
            let Outlet::Replies { waiting, .. } = &mut self.outlet else { break };
            let Some(reply) = waiting.front() else { break };
            match send(core, channel, self.handle, windows, reply) {
                Sent::Whole => {
                    core.waiting_reply_bytes = core.waiting_reply_bytes.saturating_sub(reply.len());
                    waiting.pop_front();
                    self.count();
                }
                Sent::Later | Sent::Never => break,
            }
        }
        Progress::Idle
    }

    fn pump_events(&mut self, core: &mut Core, channel: u16, windows: &mut Windows) -> Progress {
        let Outlet::Consumer(consumer) = &mut self.outlet else { return Progress::Idle };
        if self.credit == 0 || core.is_congested() || consumer.is_at_end() {
            return Progress::Idle;
        }
        let Some(partition) = consumer.hub.partition(consumer.partition) else { return Progress::Idle };
        let metrics = consumer.metrics.then(|| partition.properties(core.now.unix_ms).1);
        let mut message = BytesMut::new();
        let (mut next, mut sent, mut stop) = (consumer.next, 0, None);
        let (handle, credit) = (self.handle, self.credit);
        partition.read(next, |event| {
            message.clear();
            write_event(&mut message, event, metrics.as_ref());
            match send(core, channel, handle, windows, &message) {
                Sent::Whole => {
                    next = event.sequence_number + 1;
                    sent += 1;
                }
                Sent::Later => stop = Some(Progress::Idle),
                Sent::Never => {
                    stop = Some(Progress::Lost(AmqpError::new(
                        "amqp:resource-limit-exceeded",
                        format!("An event of {} bytes takes more frames than the session's window.", message.len()),
                    )));
                }
            }
            if stop.is_some() || sent as usize >= TURN || sent >= credit || core.is_congested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        consumer.next = next;
        for _ in 0..sent {
            self.count();
        }
        stop.unwrap_or(Progress::More)
    }
}
