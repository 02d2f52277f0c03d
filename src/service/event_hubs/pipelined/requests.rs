//! Requests to the nodes `$cbs` and `$management`, and their replies: one pair of links for each exchange.
//!
//! The form is that of the draft of AMQP's management
//! (<https://docs.oasis-open.org/amqp/management/v1.0/csd01/management-v1.0-csd01.html>): what is asked for stands in
//! application properties, and a status comes back in them.

use std::collections::VecDeque;

use bytes::BytesMut;
use txgen_amqp::client::{Connection, Event, Link, NewReceiver, NewSender};
use txgen_amqp::descriptor::{AMQP_VALUE, APPLICATION_PROPERTIES, PROPERTIES};
use txgen_amqp::message::Sections;
use txgen_amqp::value::{Items, Value};
use txgen_amqp::writer::Writer;
use uuid::Uuid;

use super::super::verdicts;
use super::errors;
use super::queue::Reply;
use crate::service::retry::AttemptError;

/// The longest reply that is taken, in bytes: properties of a hub with two thousand partitions have far less.
const MAX_REPLY: usize = 1024 * 1024;

/// What is remembered of a delivery until it is settled.
pub(super) enum Sent {
    /// An event, for which a transaction waits.
    Event(Reply),
    /// A request.
    Request,
}

/// A value of an application property.
pub(super) enum Property<'a> {
    Text(&'a str),
    /// Milliseconds since 1970-01-01 UTC.
    Timestamp(i64),
}

/// Requests to one node, asked one after the other.
pub(super) struct Exchange {
    sender: Link,
    receiver: Link,
    /// Links of the pair that are attached.
    attached: u8,
    reply_to: String,
    /// How to write each request that has not been sent.
    waiting: VecDeque<Vec<u8>>,
    /// Whether a request is out.
    is_asking: bool,
    replies: Vec<ReplyMessage>,
}

/// The reply to a request that was granted: an encoded message.
pub(super) struct ReplyMessage(Vec<u8>);

/// A request: application properties, and a text as the body, or none.
pub(super) fn request(properties: &[(&str, Property<'_>)], body: Option<&str>) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut w = Writer::new(&mut out);
    w.described_map(APPLICATION_PROPERTIES, |w| {
        for (name, value) in properties {
            w.string(name);
            match value {
                Property::Text(text) => w.string(text),
                Property::Timestamp(milliseconds) => w.timestamp(*milliseconds),
            }
        }
    });
    w.descriptor(AMQP_VALUE);
    w.optional(body, Writer::string);
    out.to_vec()
}

impl Exchange {
    /// Attaches a pair of links to the node, to ask these requests.
    pub(super) fn begin(amqp: &mut Connection<Sent>, node: &str, requests: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let reply_to = format!("txgen-{}", Uuid::new_v4());
        // Names of their own, though the standard tells links of two directions apart: not every peer does.
        let names = ["requests", "replies"].map(|role| format!("{reply_to}-{role}"));
        let sender = NewSender { name: &names[0], target: node, source: Some(&reply_to) };
        let receiver = NewReceiver {
            name: &names[1],
            source: node,
            target: Some(&reply_to),
            max_message_size: MAX_REPLY,
            ..NewReceiver::default()
        };
        Self {
            sender: amqp.attach_sender(&sender),
            receiver: amqp.attach_receiver(&receiver),
            attached: 0,
            reply_to,
            waiting: requests.into_iter().collect(),
            is_asking: false,
            replies: Vec::new(),
        }
    }

    /// Takes an event that may concern it. Gives the replies once all are there.
    pub(super) fn take(&mut self, amqp: &mut Connection<Sent>, event: Event<Sent>) -> Taken {
        let ended = match event {
            Event::Attached(link) if link == self.sender || link == self.receiver => {
                self.attached += 1;
                if link == self.receiver {
                    amqp.grant(link, 1);
                }
                None
            }
            Event::Credit(link) if link == self.sender => None,
            Event::Settled { token: Sent::Request, outcome } => errors::of_outcome(&outcome).err(),
            Event::Message { link, payload } if link == self.receiver => match status(&payload) {
                Ok(()) => {
                    self.is_asking = false;
                    amqp.grant(link, 1);
                    self.replies.push(ReplyMessage(payload));
                    None
                }
                Err(error) => Some(error),
            },
            Event::Detached { link, error, .. } if link == self.sender || link == self.receiver => Some(match error {
                Some(error) => errors::of_service(&error),
                None => errors::lost("the service detached the link"),
            }),
            event => return Taken::Other(event),
        };
        if let Some(error) = ended {
            self.end(amqp);
            return Taken::Over(Err(error));
        }
        self.ask(amqp);
        if self.waiting.is_empty() && !self.is_asking {
            self.end(amqp);
            return Taken::Over(Ok(std::mem::take(&mut self.replies)));
        }
        Taken::Ours
    }

    fn ask(&mut self, amqp: &mut Connection<Sent>) {
        if self.attached < 2 || self.is_asking || amqp.credit(self.sender) == 0 {
            return;
        }
        let Some(request) = self.waiting.pop_front() else { return };
        let mut properties = BytesMut::new();
        Writer::new(&mut properties).described_list(PROPERTIES, |w| {
            w.ulong(self.replies.len() as u64);
            w.pad_to(4);
            w.string(&self.reply_to);
        });
        self.is_asking = amqp.send(self.sender, Sent::Request, &[&properties, &request]).is_ok();
    }

    /// Drops the pair: the service permits one to `$cbs` at a time on a connection, and does not keep idle ones for the
    /// length of a run.
    pub(super) fn end(&self, amqp: &mut Connection<Sent>) {
        amqp.detach(self.sender);
        amqp.detach(self.receiver);
    }
}

/// What an exchange did with an event.
pub(super) enum Taken {
    /// It is none of its own.
    Other(Event<Sent>),
    /// It goes on.
    Ours,
    /// It is over.
    Over(Result<Vec<ReplyMessage>, AttemptError>),
}

/// The status of a reply: an error unless it is one of success.
fn status(message: &[u8]) -> Result<(), AttemptError> {
    let incomprehensible = || errors::lost("the service's reply was not understood: it has no status");
    let properties = section(message, APPLICATION_PROPERTIES).ok_or_else(incomprehensible)?;
    let Value::Map(properties) = properties else { return Err(incomprehensible()) };
    // Both spellings are in use.
    let find = |names: [&str; 2]| names.into_iter().find_map(|name| properties.get(name).ok().flatten());
    let code = find(["status-code", "statusCode"]).and_then(Value::integer).ok_or_else(incomprehensible)?;
    let code = u16::try_from(code).map_err(|_| incomprehensible())?;
    match code {
        200..=299 => Ok(()),
        _ => Err(verdicts::of_status(code, find(["status-description", "statusDescription"]).and_then(Value::text))),
    }
}

fn section(message: &[u8], code: u64) -> Option<Value<'_>> {
    let mut sections = Sections::of(message);
    while let Ok(Some(section)) = sections.next() {
        if section.code == code {
            return section.body.value().ok();
        }
    }
    None
}

impl ReplyMessage {
    /// The map that is its body.
    pub(super) fn body(&self) -> Option<Items<'_>> {
        match section(&self.0, AMQP_VALUE)? {
            Value::Map(items) => Some(items),
            _ => None,
        }
    }
}
