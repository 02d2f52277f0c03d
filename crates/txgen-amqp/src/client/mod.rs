//! A client's end of a connection as a state machine: SASL ANONYMOUS, one session, senders and receivers.
//!
//! Bytes go in ([`Connection::receive`]), events come out ([`Connection::next_event`]), and what is to be written waits
//! ([`Connection::output`]) until its owner says that it was ([`Connection::wrote`]). There is no socket in it, and no
//! clock: whoever owns both decides when to read and to write, and how much at once.
//!
//! What is sent is pipelined: a delivery is written as soon as its link has credit, whether or not those before it are
//! settled. `T` is whatever the owner wants to have back when a delivery is settled.

mod deliveries;
mod handshake;
mod link;
mod receiving;
mod sending;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};

use self::deliveries::Deliveries;
use self::handshake::Phase;
pub use self::link::{Link, NewReceiver, NewSender};
use self::link::{Links, State};
use self::sending::Rest;
use crate::Malformed;
use crate::frame::{self, Kind};
use crate::performative::{
    self, Attach, Detach, Flow, PeerError, Performative, write_close, write_detach, write_end, write_flow,
};
use crate::writer::Writer;

/// The window that is announced, in transfers: what arrives is bounded by the credit of links.
const WINDOW: u32 = i32::MAX as u32;

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unique to this connection.
    pub container: String,
    /// The host that it dialled.
    pub hostname: String,
    /// How long it bears to hear nothing. Half of it is announced, as section 2.4.5 advises.
    pub idle: Duration,
    /// What operators of the peer see.
    pub properties: Vec<(String, String)>,
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// Connection and session are up: links can be attached.
    Ready,
    /// The link is attached.
    Attached(Link),
    /// A sender that had none has got credit.
    Credit(Link),
    /// The link is gone; its place may be taken by the next one.
    Detached {
        /// Which one.
        link: Link,
        /// Why, where the peer says so.
        error: Option<Error>,
        /// What was sent over it and is not settled.
        unsettled: Vec<T>,
    },
    /// A delivery is settled.
    Settled {
        /// What was given along with it.
        token: T,
        /// What became of it.
        outcome: Outcome,
    },
    /// A message has arrived. It is settled.
    Message {
        /// Over which link.
        link: Link,
        /// Its sections, encoded.
        payload: Vec<u8>,
    },
    /// The session is ended, and nothing but the connection's close can follow.
    Ended(Option<Error>),
    /// The connection is closed: the last event.
    Closed(Option<Error>),
}

/// An error that the peer sent (section 2.8.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The condition, such as `amqp:not-found`.
    pub condition: String,
    /// What a person should know.
    pub description: Option<String>,
}

impl From<PeerError<'_>> for Error {
    fn from(error: PeerError<'_>) -> Self {
        Self { condition: error.condition.to_owned(), description: error.description.map(ToOwned::to_owned) }
    }
}

/// What became of a delivery (section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Accepted,
    /// It is not valid, and why.
    Rejected(Option<Error>),
    /// It was not acted upon.
    Released,
    /// It was not processed.
    Modified,
    /// It is settled without an outcome.
    Unsaid,
}

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer does not answer with AMQP's protocol header.
    NotAmqp,
    /// The peer refuses SASL ANONYMOUS, by this code (section 5.3.3.6), or by not offering it.
    Refused(Option<u8>),
    /// What the peer sent is not AMQP 1.0.
    Malformed(Malformed),
    /// What the peer sent is AMQP, but not in its place.
    OutOfPlace(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAmqp => f.write_str("the peer does not speak AMQP 1.0"),
            Self::Refused(Some(code)) => write!(f, "the peer refused SASL ANONYMOUS with code {code}"),
            Self::Refused(None) => f.write_str("the peer does not offer SASL ANONYMOUS"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::OutOfPlace(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Broken {}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// A client's end of a connection.
#[derive(Debug)]
pub struct Connection<T> {
    settings: Settings,
    phase: Phase,
    input: BytesMut,
    output: BytesMut,
    /// Bytes of the output that were ever written.
    written: u64,
    events: VecDeque<Event<T>>,
    /// The largest frame that the peer takes.
    max_frame_size: usize,
    /// How often the peer wants to hear something.
    heartbeat: Option<Duration>,
    last_written: Instant,
    /// The session's flow state (section 2.5.6).
    next_outgoing_id: u32,
    next_incoming_id: u32,
    /// Transfers that the peer takes now.
    window: u32,
    links: Links,
    deliveries: Deliveries<T>,
    /// What of the latest delivery has not been written for want of a window.
    rest: Option<Rest>,
}

impl<T> Connection<T> {
    /// A connection whose first bytes are ready to be written.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut output = BytesMut::with_capacity(64 * 1024);
        output.extend_from_slice(handshake::SASL_HEADER);
        Self {
            settings,
            phase: Phase::SaslHeader,
            input: BytesMut::new(),
            output,
            written: 0,
            events: VecDeque::new(),
            max_frame_size: frame::MIN_MAX_FRAME_SIZE as usize,
            heartbeat: None,
            last_written: now,
            next_outgoing_id: 0,
            next_incoming_id: 0,
            window: 0,
            links: Links::default(),
            deliveries: Deliveries::default(),
            rest: None,
        }
    }

    /// What is to be written, from its beginning.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of the output have been written.
    pub fn wrote(&mut self, count: usize, now: Instant) {
        self.output.advance(count);
        self.written += count as u64;
        self.last_written = now;
    }

    /// These bytes have arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next thing that has happened; `None` until more bytes arrive.
    ///
    /// # Errors
    /// When the connection cannot go on. It must be dropped then.
    pub fn next_event(&mut self) -> Result<Option<Event<T>>, Broken> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.take_input()? {
                return Ok(None);
            }
        }
    }

    /// When something has to be written so that the peer does not take this end for dead; `None` where it does not mind.
    #[must_use]
    pub fn heartbeat_at(&self) -> Option<Instant> {
        self.heartbeat.map(|every| self.last_written + every)
    }

    /// Writes a heartbeat if one is due (section 2.4.5).
    pub fn beat(&mut self, now: Instant) {
        if self.output.is_empty() && self.heartbeat_at().is_some_and(|at| at <= now) {
            frame::write(&mut self.output, Kind::Amqp, 0, |_| {}, &[]);
        }
    }

    /// Ends session and connection politely; [`Event::Closed`] says when the peer has done so, too.
    pub fn close(&mut self) {
        if self.phase == Phase::Up {
            for link in self.links.all() {
                self.say(|w| write_detach(w, link.0, true, None));
            }
            self.say(|w| write_end(w, None));
        }
        if matches!(self.phase, Phase::Opening | Phase::Beginning | Phase::Up | Phase::Ended) {
            self.say(|w| write_close(w, None));
            self.phase = Phase::Closing;
        }
    }

    /// What was sent and is not settled, and whether any of it may have left: what to do with the connection lost.
    pub fn into_unsettled(self) -> impl Iterator<Item = (T, bool)> {
        let written = self.written;
        self.deliveries.into_iter().map(move |(token, began)| (token, began < written))
    }

    fn say(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        frame::write(&mut self.output, Kind::Amqp, 0, body, &[]);
    }

    /// Takes one frame or protocol header off the input, if one is there.
    fn take_input(&mut self) -> Result<bool, Broken> {
        if matches!(self.phase, Phase::SaslHeader | Phase::Header) {
            return self.take_header();
        }
        let input = std::mem::take(&mut self.input);
        let taken = match frame::split(&input) {
            Ok(Some((frame, size))) => self.take_frame(frame).map(|()| size),
            Ok(None) => Ok(0),
            Err(malformed) => Err(malformed.into()),
        };
        self.input = input;
        let taken = taken?;
        self.input.advance(taken);
        Ok(taken > 0)
    }

    fn take_frame(&mut self, frame: frame::Frame<'_>) -> Result<(), Broken> {
        if matches!(self.phase, Phase::SaslMechanisms | Phase::SaslOutcome) {
            return self.take_sasl(frame);
        }
        if frame.kind != Kind::Amqp {
            return Err(Broken::OutOfPlace("a SASL frame came after the negotiation"));
        }
        // A heartbeat.
        if frame.body.is_empty() {
            return Ok(());
        }
        let performative = performative::read(frame.body)?;
        match (self.phase, performative) {
            (Phase::Closed, _) => Ok(()),
            (_, Performative::Close(error)) => {
                if self.phase != Phase::Closing {
                    self.say(|w| write_close(w, None));
                }
                self.phase = Phase::Closed;
                self.events.push_back(Event::Closed(error.map(Error::from)));
                Ok(())
            }
            (Phase::Opening, Performative::Open(open)) => {
                self.opened(&open);
                Ok(())
            }
            (Phase::Beginning, Performative::Begin(begin)) => {
                self.next_incoming_id = begin.next_outgoing_id;
                self.window = begin.incoming_window;
                self.phase = Phase::Up;
                self.events.push_back(Event::Ready);
                Ok(())
            }
            (Phase::Beginning | Phase::Up, Performative::End(error)) => {
                self.say(|w| write_end(w, None));
                self.phase = Phase::Ended;
                self.events.push_back(Event::Ended(error.map(Error::from)));
                Ok(())
            }
            (Phase::Up, performative) => self.take_in_session(performative),
            // What was on its way when this end said its last word.
            (Phase::Ended | Phase::Closing, _) => Ok(()),
            _ => Err(Broken::OutOfPlace("a frame came before the connection was opened")),
        }
    }

    fn take_in_session(&mut self, performative: Performative<'_>) -> Result<(), Broken> {
        match performative {
            Performative::Attach(attach) => self.attached(&attach),
            Performative::Flow(flow) => {
                self.flowed(&flow);
                Ok(())
            }
            Performative::Transfer(transfer) => self.transferred(&transfer),
            Performative::Disposition(disposition) => {
                self.disposed(&disposition);
                Ok(())
            }
            Performative::Detach(detach) => {
                self.detached(&detach);
                Ok(())
            }
            Performative::Open(_) => Err(Broken::OutOfPlace("the connection was opened twice")),
            Performative::Begin(_) => Err(Broken::OutOfPlace("the peer began a session of its own")),
            Performative::End(_) | Performative::Close(_) => Ok(()),
        }
    }

    fn attached(&mut self, attach: &Attach<'_>) -> Result<(), Broken> {
        let Some((link, state)) = self.links.answered(attach) else {
            return Err(Broken::OutOfPlace("the peer attached a link of its own"));
        };
        // Without a source or a target the peer refuses the link, and its detach follows (section 2.6.3).
        if state == State::Attached {
            self.events.push_back(Event::Attached(link));
        }
        Ok(())
    }

    fn detached(&mut self, detach: &Detach<'_>) {
        let Some(link) = self.links.by_peers_handle(detach.handle) else { return };
        if self.links.remove(link) != Some(State::Detaching) {
            self.say(|w| write_detach(w, link.0, true, None));
        }
        self.rest.take_if(|rest| rest.link == link);
        let unsettled = self.deliveries.take_of(link);
        self.events.push_back(Event::Detached { link, error: detach.error.map(Error::from), unsettled });
    }

    fn flowed(&mut self, flow: &Flow) {
        // Before the peer has seen our begin it does not know where our ids start, which is at 0.
        let behind = flow.next_incoming_id.unwrap_or(0).wrapping_sub(self.next_outgoing_id).cast_signed();
        let window = i64::from(behind) + i64::from(flow.incoming_window);
        self.window = u32::try_from(window.max(0)).unwrap_or(u32::MAX);
        let link = flow.handle.and_then(|handle| self.links.by_peers_handle(handle));
        let had_credit = link.is_some_and(|link| self.links.credit_of(link) > 0);
        let is_drained = link.is_some_and(|link| self.links.credit(link, flow));
        if let Some(link) = link.filter(|link| !had_credit && self.links.credit_of(*link) > 0) {
            self.events.push_back(Event::Credit(link));
        }
        if flow.echo || is_drained {
            self.answer_flow(link);
        }
        self.write_rest();
    }

    fn answer_flow(&mut self, link: Option<Link>) {
        let flow = link.and_then(|link| self.links.flow(link)).unwrap_or_default();
        self.say_flow(flow);
    }

    /// Sends a flow of a link, or of the session alone.
    fn say_flow(&mut self, flow: Flow) {
        let flow = Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: WINDOW,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: WINDOW,
            ..flow
        };
        self.say(|w| write_flow(w, &flow));
    }
}

#[cfg(test)]
mod tests;
