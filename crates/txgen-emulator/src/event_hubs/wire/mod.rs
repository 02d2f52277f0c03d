//! AMQP 1.0 on the wire: frames, types, performatives and message sections, without any state.
//!
//! The emulator reads what strangers send, so this codec is its own: nothing in it recurses, allocates by a length that
//! a peer claims, or panics; what is read borrows from the frame. What is written is written at full length with
//! explicit nulls, because the Python client reads performatives by index.
//! Sections cited are those of the OASIS standard <https://docs.oasis-open.org/amqp/core/v1.0/os/>.

pub(super) mod frame;
pub(super) mod message;
pub(super) mod performative;
pub(super) mod value;
pub(super) mod writer;

use std::fmt;

/// What a peer sent is not AMQP 1.0: where it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Descriptors of the types that the emulator reads or writes (sections 2.7, 2.8, 3.2, 3.4, 3.5 and 5.3).
pub(super) mod descriptor {
    pub(in super::super) const OPEN: u64 = 0x10;
    pub(in super::super) const BEGIN: u64 = 0x11;
    pub(in super::super) const ATTACH: u64 = 0x12;
    pub(in super::super) const FLOW: u64 = 0x13;
    pub(in super::super) const TRANSFER: u64 = 0x14;
    pub(in super::super) const DISPOSITION: u64 = 0x15;
    pub(in super::super) const DETACH: u64 = 0x16;
    pub(in super::super) const END: u64 = 0x17;
    pub(in super::super) const CLOSE: u64 = 0x18;
    pub(in super::super) const ERROR: u64 = 0x1d;
    pub(in super::super) const ACCEPTED: u64 = 0x24;
    pub(in super::super) const REJECTED: u64 = 0x25;
    pub(in super::super) const SOURCE: u64 = 0x28;
    pub(in super::super) const TARGET: u64 = 0x29;
    pub(in super::super) const SASL_MECHANISMS: u64 = 0x40;
    pub(in super::super) const SASL_INIT: u64 = 0x41;
    pub(in super::super) const SASL_OUTCOME: u64 = 0x44;
    pub(in super::super) const HEADER: u64 = 0x70;
    pub(in super::super) const DELIVERY_ANNOTATIONS: u64 = 0x71;
    pub(in super::super) const MESSAGE_ANNOTATIONS: u64 = 0x72;
    pub(in super::super) const PROPERTIES: u64 = 0x73;
    pub(in super::super) const APPLICATION_PROPERTIES: u64 = 0x74;
    pub(in super::super) const DATA: u64 = 0x75;
    pub(in super::super) const AMQP_SEQUENCE: u64 = 0x76;
    pub(in super::super) const AMQP_VALUE: u64 = 0x77;
    pub(in super::super) const FOOTER: u64 = 0x78;
}
