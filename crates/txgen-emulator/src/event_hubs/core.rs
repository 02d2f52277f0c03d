//! What a connection's sessions and links work with: the frames going out, the grants, the moment.

use std::sync::Arc;

use bytes::BytesMut;
use txgen_amqp::frame::{self, Kind, MIN_MAX_FRAME_SIZE};
use txgen_amqp::performative::AmqpError;
use txgen_amqp::writer::Writer;

use super::bell::Bell;
use super::grants::Grants;
use super::namespace::{Namespace, Now};

/// How many bytes may wait for a peer that does not read before the emulator stops working for it.
pub(super) const HIGH_WATER: usize = 256 * 1024;
/// Bytes of replies that may wait for credit, over all links of a connection.
const MAX_WAITING_REPLY_BYTES: usize = 256 * 1024;

/// The part of a connection that does not depend on its sessions.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) namespace: Arc<Namespace>,
    /// Rung when a partition has something for this connection.
    pub(super) bell: Arc<Bell>,
    pub(super) grants: Grants,
    /// Bytes for the peer.
    pub(super) out: BytesMut,
    pub(super) now: Now,
    /// The largest frame that the peer takes, in bytes.
    pub(super) peer_max_frame: usize,
    /// Whether the one `$cbs` link that a connection may have is there: to it, and from it.
    pub(super) cbs_links: [bool; 2],
    /// Links over all sessions.
    pub(super) links: usize,
    /// Bytes of replies that wait for credit, over all links.
    pub(super) waiting_reply_bytes: usize,
    /// Set when a frame could not be sent: the connection gets closed.
    pub(super) failure: Option<AmqpError>,
    /// Set when the connection is to end without a word.
    pub(super) hang_up: Option<HangUp>,
}

/// How a connection ends without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HangUp {
    /// What waits for the peer is thrown away.
    AtOnce,
    /// What waits for the peer is sent first.
    AfterOutput,
}

/// A peer broke the protocol: what ends because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// Its session.
    Session(AmqpError),
    /// The connection.
    Connection(AmqpError),
}

impl Core {
    /// A connection's state before anything was said.
    pub(super) fn new(namespace: Arc<Namespace>, bell: Arc<Bell>, now: Now) -> Self {
        Self {
            namespace,
            bell,
            grants: Grants::default(),
            out: BytesMut::new(),
            now,
            peer_max_frame: MIN_MAX_FRAME_SIZE as usize,
            cbs_links: [false; 2],
            links: 0,
            waiting_reply_bytes: 0,
            failure: None,
            hang_up: None,
        }
    }

    /// Queues a frame that is all performative.
    pub(super) fn send(&mut self, channel: u16, body: impl FnOnce(&mut Writer<'_>)) {
        let start = self.out.len();
        let size = frame::write(&mut self.out, Kind::Amqp, channel, body, &[]);
        if size > self.peer_max_frame {
            self.out.truncate(start);
            self.failure = Some(AmqpError::new(
                "amqp:frame-size-too-small",
                format!("An answer of {size} bytes does not fit into the max-frame-size of {}.", self.peer_max_frame),
            ));
        }
    }

    /// Whether one more reply of this size may wait for credit.
    pub(super) fn has_room_for_reply(&self, size: usize) -> bool {
        self.waiting_reply_bytes == 0 || self.waiting_reply_bytes + size <= MAX_WAITING_REPLY_BYTES
    }

    /// Whether so much waits for the peer already that nothing more should be made for it.
    pub(super) fn is_congested(&self) -> bool {
        self.out.len() >= HIGH_WATER
    }
}
