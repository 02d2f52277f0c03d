//! AMQP 1.0 on the wire: frames, types, performatives and message sections, and a client's end of a connection.
//!
//! Made to read what strangers send: nothing in it recurses, allocates by a length that a peer claims, or panics, and what
//! is read borrows from the frame. What is written is written at full length with explicit nulls, because some clients
//! read performatives by index. The crate does no input or output.
//!
//! Sections cited are those of the OASIS standard <https://docs.oasis-open.org/amqp/core/v1.0/os/>: parts 1 (types),
//! 2 (transport), 3 (messaging) and 5 (security).
//!
//! ```
//! use bytes::BytesMut;
//! use txgen_amqp::frame::{self, Kind};
//! use txgen_amqp::performative::{self, Performative, write_end};
//!
//! let mut out = BytesMut::new();
//! frame::write(&mut out, Kind::Amqp, 0, |w| write_end(w, None), b"");
//! let (frame, size) = frame::split(&out)?.expect("a whole frame");
//! assert_eq!(size, out.len());
//! assert!(matches!(performative::read(frame.body)?, Performative::End(None)));
//! # Ok::<(), txgen_amqp::Malformed>(())
//! ```

pub mod client;
pub mod descriptor;
pub mod frame;
pub mod message;
pub mod performative;
pub mod value;
pub mod writer;

use std::fmt;

/// What a peer sent is not AMQP 1.0: where it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
