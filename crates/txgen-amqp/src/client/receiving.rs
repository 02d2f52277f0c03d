//! Receivers: credit, and messages put together of their parts.

use super::link::{Link, NewReceiver};
use super::{Broken, Connection, Event};
use crate::performative::{NewAttach, Outcome, Transfer, write_disposition, write_new_attach};

impl<T> Connection<T> {
    /// Attaches a receiver; [`Event::Attached`] or [`Event::Detached`] follows. Nothing arrives before it has credit.
    pub fn attach_receiver(&mut self, receiver: &NewReceiver<'_>) -> Link {
        let link = self.links.add(receiver.name, true, receiver.max_message_size);
        let attach = NewAttach {
            name: receiver.name,
            handle: link.0,
            receives: true,
            settled: receiver.settled,
            source: Some(receiver.source),
            target: receiver.target,
            filters: receiver.filters,
            properties: receiver.properties,
            max_message_size: Some(receiver.max_message_size as u64),
        };
        self.say(|w| write_new_attach(w, &attach));
        link
    }

    /// Lets so many more messages arrive over this link, whatever it was allowed before.
    pub fn grant(&mut self, link: Link, credit: u32) {
        if let Some(flow) = self.links.grant(link, credit) {
            self.say_flow(flow);
        }
    }

    pub(super) fn transferred(&mut self, transfer: &Transfer<'_>) -> Result<(), Broken> {
        self.next_incoming_id = self.next_incoming_id.wrapping_add(1);
        // A link that is gone here already.
        let Some(link) = self.links.by_peers_handle(transfer.handle) else { return Ok(()) };
        let Some((incoming, most)) = self.links.incoming(link) else {
            return Err(Broken::OutOfPlace("a transfer came over a link to send"));
        };
        if transfer.aborted {
            *incoming = super::link::Incoming::default();
            return Ok(());
        }
        if (incoming.payload.len() + transfer.payload.len()) as u64 > most {
            return Err(Broken::OutOfPlace("a message is longer than the link takes"));
        }
        incoming.delivery_id = incoming.delivery_id.or(transfer.delivery_id);
        incoming.settled |= transfer.settled;
        incoming.payload.extend_from_slice(transfer.payload);
        if transfer.more {
            return Ok(());
        }
        let whole = std::mem::take(incoming);
        self.links.received(link);
        if let (Some(id), false) = (whole.delivery_id, whole.settled) {
            self.say(|w| write_disposition(w, id, id, &Outcome::Accepted));
        }
        self.events.push_back(Event::Message { link, payload: whole.payload });
        Ok(())
    }
}
