//! Senders: transfers (section 2.7.5), and what becomes of them (section 2.7.6).

use super::link::{Link, NewSender};
use super::{Connection, Event, Outcome, Phase};
use crate::frame::{self, Kind};
use crate::performative::{Disposition, NewAttach, State, write_delivery, write_new_attach, write_part, write_settled};

/// What a transfer takes of a frame beside its payload, at most: the frame's header 8, the performative's descriptor and
/// sizes 12, handle, id and tag 5 + 5 + 6, and 3 for the rest.
const OVERHEAD: usize = 40;

/// What of a delivery waits for the peer's window.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) link: Link,
    payload: Vec<u8>,
    /// Bytes that are written.
    at: usize,
}

impl<T> Connection<T> {
    /// Attaches a sender; [`Event::Attached`] or [`Event::Detached`] follows.
    pub fn attach_sender(&mut self, sender: &NewSender<'_>) -> Link {
        let link = self.links.add(sender.name, false, 0);
        let attach = NewAttach {
            name: sender.name,
            handle: link.0,
            receives: false,
            settled: false,
            source: sender.source,
            target: Some(sender.target),
            filters: &[],
            properties: &[],
            max_message_size: None,
        };
        self.say(|w| write_new_attach(w, &attach));
        link
    }

    /// How many deliveries can be begun on this link now.
    #[must_use]
    pub fn credit(&self, link: Link) -> u32 {
        let is_held_up = self.phase != Phase::Up || self.rest.is_some() || !self.deliveries.has_room();
        if is_held_up { 0 } else { self.links.credit_of(link).min(self.window) }
    }

    /// The longest message that the peer takes over this link, in bytes; `u64::MAX` where it does not say.
    #[must_use]
    pub fn max_message_size(&self, link: Link) -> u64 {
        self.links.max_message_size(link)
    }

    /// How many deliveries are remembered: those that are not settled, and those between them.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.deliveries.len()
    }

    /// Forgets the first deliveries for which no one waits any more, so that a peer that never settles them does not make
    /// what is remembered grow.
    pub fn forget(&mut self, is_forgotten: impl Fn(&T) -> bool) {
        self.deliveries.shrink(is_forgotten);
    }

    /// Begins a delivery of the message whose encoding is these pieces, one after the other. It is unsettled:
    /// [`Event::Settled`] tells what became of it.
    ///
    /// # Errors
    /// The token, when the link has no [credit](Self::credit).
    pub fn send(&mut self, link: Link, token: T, message: &[&[u8]]) -> Result<(), T> {
        if self.credit(link) == 0 {
            return Err(token);
        }
        self.links.spend(link);
        let began = self.written + self.output.len() as u64;
        let id = self.deliveries.add(link, token, began);
        let length: usize = message.iter().map(|piece| piece.len()).sum();
        let room = self.max_frame_size.saturating_sub(OVERHEAD);
        self.transfer_begins();
        if let (Some((last, before)), true) = (message.split_last(), length <= room) {
            let body = |w: &mut crate::writer::Writer<'_>| {
                write_delivery(w, link.0, id, false);
                before.iter().for_each(|piece| w.raw_values(piece, 0));
            };
            frame::write(&mut self.output, Kind::Amqp, 0, body, last);
        } else {
            let payload = message.concat();
            let at = room.min(length);
            let body = |w: &mut crate::writer::Writer<'_>| write_delivery(w, link.0, id, at < length);
            frame::write(&mut self.output, Kind::Amqp, 0, body, &payload[..at]);
            if at < length {
                self.rest = Some(Rest { link, payload, at });
                self.write_rest();
            }
        }
        Ok(())
    }

    /// Writes as much of a delivery as the peer's window has room for.
    pub(super) fn write_rest(&mut self) {
        let room = self.max_frame_size.saturating_sub(OVERHEAD);
        while self.window > 0 {
            let Some(mut rest) = self.rest.take() else { return };
            let end = (rest.at + room).min(rest.payload.len());
            let more = end < rest.payload.len();
            let body = |w: &mut crate::writer::Writer<'_>| write_part(w, rest.link.0, more);
            frame::write(&mut self.output, Kind::Amqp, 0, body, &rest.payload[rest.at..end]);
            self.transfer_begins();
            if more {
                rest.at = end;
                self.rest = Some(rest);
            }
        }
    }

    fn transfer_begins(&mut self) {
        self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
        self.window = self.window.saturating_sub(1);
    }

    pub(super) fn disposed(&mut self, disposition: &Disposition<'_>) {
        // What a sender says of what it sent us needs no answer: we settle at once.
        if !disposition.peer_receives {
            return;
        }
        let outcome = match disposition.state {
            Some(State::Accepted) => Outcome::Accepted,
            Some(State::Rejected(error)) => Outcome::Rejected(error.map(Into::into)),
            Some(State::Released) => Outcome::Released,
            Some(State::Modified) => Outcome::Modified,
            Some(State::Other) | None if disposition.settled => Outcome::Unsaid,
            // Not an outcome yet.
            Some(State::Other) | None => return,
        };
        let events = &mut self.events;
        let mut settle = |token| events.push_back(Event::Settled { token, outcome: outcome.clone() });
        self.deliveries.settle(disposition.first, disposition.last, &mut settle);
        if !disposition.settled {
            self.say(|w| write_settled(w, disposition.first, disposition.last));
        }
    }

    /// Detaches a link; [`Event::Detached`] follows.
    pub fn detach(&mut self, link: Link) {
        if self.phase == Phase::Up && self.links.detach(link) {
            self.say(|w| crate::performative::write_detach(w, link.0, true, None));
        }
    }
}
