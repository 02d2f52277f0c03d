//! A connection without its socket: bytes in, bytes out, and the moments at which it wants to be looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use txgen_amqp::Malformed;
use txgen_amqp::frame::{self, Frame, Kind, MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE};
use txgen_amqp::performative::{
    self, AmqpError, Begin, NewOpen, Open, Performative, write_begin, write_close, write_open,
};

use super::bell::Bell;
use super::core::{Core, HIGH_WATER, HangUp, Violation};
use super::namespace::{Namespace, Now};
use super::outgoing::WINDOW;
use super::sasl::{self, Verdict};
use super::session::{HANDLE_MAX, Session};

const AMQP_HEADER: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
const SASL_HEADER: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
/// The highest channel.
const CHANNEL_MAX: u16 = 255;
/// A peer that has not sent its open by then is not one.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long the peer may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(2);
/// Heartbeats come no faster than this, whatever the peer asks for.
const FASTEST_HEARTBEAT: Duration = Duration::from_millis(100);
/// A peer that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A protocol header is to come; whether SASL is behind us.
    Header { authenticated: bool },
    /// The sasl-init is to come.
    Sasl,
    /// The open is to come.
    Open,
    /// Sessions live.
    Opened,
    /// The emulator has sent its close; the peer's is awaited.
    Closing,
    /// Nothing is to come in any more; what is queued may still go out.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    core: Core,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    sessions: BTreeMap<u16, Session>,
    /// Channels that had a session: stragglers on them are no fault.
    ended: BTreeSet<u16>,
    container: String,
    last_heard: Instant,
    last_sent: Instant,
    /// Since when there is output of which the peer has taken nothing.
    unread_since: Option<Instant>,
    heartbeat: Option<Duration>,
}

impl Connection {
    /// A connection that was accepted just now.
    pub(super) fn new(namespace: Arc<Namespace>, bell: Arc<Bell>, container: String, now: Now) -> Self {
        Self {
            core: Core::new(namespace, bell, now),
            phase: Phase::Header { authenticated: false },
            since: now.instant,
            sessions: BTreeMap::new(),
            ended: BTreeSet::new(),
            container,
            last_heard: now.instant,
            last_sent: now.instant,
            unread_since: None,
            heartbeat: None,
        }
    }

    /// Takes what the peer sent; gives how many bytes of it are used up. The rest is to come again, with more behind it.
    pub(super) fn receive(&mut self, input: &[u8], now: Now) -> usize {
        self.core.now = now;
        self.last_heard = now.instant;
        let mut used = 0;
        while self.phase != Phase::Closed {
            let step = match self.phase {
                Phase::Header { authenticated } => self.header(&input[used..], authenticated),
                _ => self.frame(&input[used..]),
            };
            match step {
                Ok(0) => break,
                Ok(taken) => used += taken,
                Err(Malformed(what)) => {
                    self.fail(&AmqpError::new("amqp:connection:framing-error", format!("Malformed: {what}.")));
                    return input.len();
                }
            }
            if let Some(error) = self.core.failure.take() {
                self.fail(&error);
            }
            if let Some(how) = self.core.hang_up {
                self.hang_up(how);
            }
        }
        self.tick(now);
        if self.phase == Phase::Closed { input.len() } else { used }
    }

    /// Does what is due: outcomes, deliveries, heartbeats, time-outs, the end of tokens.
    pub(super) fn tick(&mut self, now: Now) {
        self.core.now = now;
        match self.phase {
            Phase::Opened => self.tick_opened(),
            Phase::Closing if now.instant >= self.since + FAREWELL => self.phase = Phase::Closed,
            Phase::Header { .. } | Phase::Sasl | Phase::Open if now.instant >= self.since + HANDSHAKE => {
                self.phase = Phase::Closed;
            }
            _ => {}
        }
        self.note_unread(now.instant);
        if self.unread_since.is_some_and(|since| now.instant >= since + STALLED) {
            self.core.out.clear();
            self.phase = Phase::Closed;
        }
    }

    /// The wait for the peer begins with the output, not with what it was sent before: a connection may be silent for long.
    fn note_unread(&mut self, now: Instant) {
        if self.core.out.is_empty() {
            self.unread_since = None;
        } else {
            self.unread_since.get_or_insert(now);
        }
    }

    fn tick_opened(&mut self) {
        let now = self.core.now;
        if now.instant >= self.last_heard + self.core.namespace.options.idle_time_out {
            let error = AmqpError::new(
                "amqp:connection:forced",
                "The connection was inactive for more than the allowed period of time.",
            );
            self.fail(&error);
            return;
        }
        let some_expired = self.core.grants.drop_expired(now.unix_seconds());
        for session in self.sessions.values_mut() {
            if some_expired {
                session.check_rights(&mut self.core);
            }
            session.flush(&mut self.core);
            session.pump(&mut self.core);
        }
        if let Some(error) = self.core.failure.take() {
            self.fail(&error);
        }
        if self.heartbeat.is_some_and(|every| now.instant >= self.last_sent + every) && self.core.out.is_empty() {
            frame::write(&mut self.core.out, Kind::Amqp, 0, |_| {}, &[]);
        }
    }

    /// When [`Self::tick`] has to be called again at the latest.
    pub(super) fn deadline(&self) -> Instant {
        let phase = match self.phase {
            Phase::Opened => self.last_heard + self.core.namespace.options.idle_time_out,
            Phase::Closing => self.since + FAREWELL,
            _ => self.since + HANDSHAKE,
        };
        let heartbeat = self.heartbeat.map(|every| self.last_sent + every).filter(|_| self.phase == Phase::Opened);
        let stalled = self.unread_since.map(|since| since + STALLED);
        let expiry = self.core.grants.next_expiry().map(|expiry| {
            let seconds = expiry.saturating_sub(self.core.now.unix_seconds());
            // At least a moment ahead, for the two clocks may disagree; at most a day, for an Instant has an end.
            self.core.now.instant + Duration::from_secs(seconds.min(86_400)).max(Duration::from_millis(100))
        });
        let outcomes = self.sessions.values().filter_map(Session::next_due).min();
        [heartbeat, stalled, expiry, outcomes].into_iter().flatten().fold(phase, Instant::min)
    }

    /// Bytes for the peer.
    pub(super) fn output(&self) -> &[u8] {
        &self.core.out
    }

    /// The peer took so many bytes of [`Self::output`].
    pub(super) fn sent(&mut self, count: usize, now: Now) {
        let count = count.min(self.core.out.len());
        drop(self.core.out.split_to(count));
        if self.core.out.is_empty() && self.core.out.capacity() > 2 * HIGH_WATER {
            self.core.out = bytes::BytesMut::new();
        }
        self.last_sent = now.instant;
        self.unread_since = None;
        self.note_unread(now.instant);
    }

    /// Whether more input is welcome: not while the peer leaves so much unread.
    pub(super) fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && !self.core.is_congested()
    }

    /// Whether the connection is over; what [`Self::output`] still holds may go out first.
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Closes the connection from the emulator's side.
    pub(super) fn close(&mut self, error: &AmqpError, now: Now) {
        self.core.now = now;
        self.fail(error);
    }

    fn header(&mut self, input: &[u8], authenticated: bool) -> Result<usize, Malformed> {
        let Some(header) = input.first_chunk::<8>() else {
            // What cannot become a header is turned away before it is whole.
            let could_be = [AMQP_HEADER, SASL_HEADER].iter().any(|header| header.starts_with(input));
            if !could_be {
                self.turn_away();
            }
            return Ok(0);
        };
        match (*header, authenticated) {
            (AMQP_HEADER, _) => {
                self.core.out.extend_from_slice(&AMQP_HEADER);
                self.phase = Phase::Open;
            }
            (SASL_HEADER, false) => {
                self.core.out.extend_from_slice(&SASL_HEADER);
                sasl::write_mechanisms(&mut self.core.out);
                self.phase = Phase::Sasl;
            }
            _ => self.turn_away(),
        }
        Ok(8)
    }

    /// A peer that speaks something else gets the protocol that is spoken here (section 2.2).
    fn turn_away(&mut self) {
        self.core.out.extend_from_slice(&SASL_HEADER);
        self.phase = Phase::Closed;
    }

    fn frame(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let Some((frame, size)) = frame::split(input)? else { return Ok(0) };
        match (self.phase, frame.kind) {
            (Phase::Sasl, Kind::Sasl) => self.sasl(frame.body)?,
            (Phase::Open | Phase::Opened, Kind::Amqp) => self.amqp(frame)?,
            // What comes after the emulator's close is thrown away, but for the peer's own close.
            (Phase::Closing, Kind::Amqp) => {
                if matches!(performative::read(frame.body), Ok(Performative::Close(_))) {
                    self.phase = Phase::Closed;
                }
            }
            _ => return Err(Malformed("a frame of this type is not awaited")),
        }
        Ok(size)
    }

    fn sasl(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let verdict = sasl::judge(body, &self.core.namespace.options.policies)?;
        sasl::write_outcome(&mut self.core.out, &verdict);
        self.phase = match verdict {
            Verdict::Welcome(grant) => {
                if let Some(grant) = grant {
                    self.core.grants.put(grant);
                }
                Phase::Header { authenticated: true }
            }
            Verdict::Denied => Phase::Closed,
        };
        Ok(())
    }

    fn amqp(&mut self, Frame { channel, body, .. }: Frame<'_>) -> Result<(), Malformed> {
        if body.is_empty() {
            return Ok(());
        }
        let performative = performative::read(body)?;
        match (self.phase, performative) {
            (Phase::Open, Performative::Open(open)) => self.open(&open),
            (Phase::Open, _) => return Err(Malformed("the first performative is not an open")),
            (_, Performative::Begin(begin)) => self.begin(channel, &begin),
            (_, Performative::End(_)) => self.end(channel),
            (_, Performative::Close(_)) => {
                self.core.send(0, |w| write_close(w, None));
                self.sessions.clear();
                self.phase = Phase::Closed;
            }
            (_, performative) => self.for_session(channel, performative),
        }
        Ok(())
    }

    fn open(&mut self, open: &Open) {
        let peer_max_frame = open.max_frame_size.unwrap_or(u32::MAX);
        // Nothing larger than its own limit is worth writing for the emulator either.
        self.core.peer_max_frame = peer_max_frame.clamp(MIN_MAX_FRAME_SIZE, MAX_FRAME_SIZE) as usize;
        self.heartbeat = open
            .idle_time_out_ms
            .filter(|ms| *ms > 0)
            .map(|ms| Duration::from_millis(u64::from(ms) / 2).max(FASTEST_HEARTBEAT));
        // Half of the truth, so that a peer which sends just in time is in time (section 2.4.5).
        let idle = self.core.namespace.options.idle_time_out / 2;
        let idle_ms = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
        self.say_open(idle_ms);
        self.phase = Phase::Opened;
        self.since = self.core.now.instant;
    }

    fn say_open(&mut self, idle_time_out_ms: u32) {
        let open = NewOpen {
            container: &self.container,
            max_frame_size: MAX_FRAME_SIZE,
            channel_max: CHANNEL_MAX,
            idle_time_out_ms,
            ..NewOpen::default()
        };
        self.core.send(0, |w| write_open(w, &open));
    }

    fn begin(&mut self, channel: u16, begin: &Begin) {
        if channel > CHANNEL_MAX {
            let error = format!("The channel {channel} is above the channel-max of {CHANNEL_MAX}.");
            return self.fail(&AmqpError::new("amqp:connection:framing-error", error));
        }
        if self.sessions.contains_key(&channel) || begin.remote_channel.is_some() {
            let error = format!("A session on channel {channel} cannot begin: there is one, or it answers none.");
            return self.fail(&AmqpError::new("amqp:not-allowed", error));
        }
        self.core.send(channel, |w| write_begin(w, Some(channel), WINDOW, HANDLE_MAX));
        self.sessions.insert(channel, Session::new(channel, begin.next_outgoing_id, begin.incoming_window));
    }

    fn end(&mut self, channel: u16) {
        if let Some(mut session) = self.sessions.remove(&channel) {
            if !session.ended(&mut self.core) {
                self.core.send(channel, |w| performative::write_end(w, None));
            }
            self.ended.insert(channel);
        }
    }

    fn for_session(&mut self, channel: u16, performative: Performative<'_>) {
        let Some(session) = self.sessions.get_mut(&channel) else {
            // Clients detach links after they have ended the session.
            if !self.ended.contains(&channel) {
                let error = format!("No session has begun on channel {channel}.");
                self.fail(&AmqpError::new("amqp:not-allowed", error));
            }
            return;
        };
        match session.receive(&mut self.core, performative) {
            Ok(()) => {}
            Err(Violation::Session(error)) => {
                tracing::debug!(condition = error.condition, description = error.description, "session ended");
                session.end(&mut self.core, &error);
            }
            Err(Violation::Connection(error)) => self.fail(&error),
        }
    }

    /// Ends the connection without a word.
    fn hang_up(&mut self, how: HangUp) {
        tracing::debug!(?how, "connection cut on purpose");
        if how == HangUp::AtOnce {
            self.core.out.clear();
        }
        self.sessions.clear();
        self.phase = Phase::Closed;
    }

    /// Closes with an error, as far as the peer can still read it.
    fn fail(&mut self, error: &AmqpError) {
        tracing::debug!(condition = error.condition, description = error.description, "connection closed");
        self.sessions.clear();
        match self.phase {
            Phase::Open | Phase::Opened => {
                if self.phase == Phase::Open {
                    self.say_open(0);
                }
                self.core.send(0, |w| write_close(w, Some(error)));
                self.core.failure = None;
                self.phase = Phase::Closing;
                self.since = self.core.now.instant;
            }
            Phase::Closing => {}
            Phase::Header { .. } | Phase::Sasl | Phase::Closed => self.phase = Phase::Closed,
        }
    }
}

#[cfg(test)]
mod tests;
