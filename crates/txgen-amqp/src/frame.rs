//! Frames: eight bytes of header, then a performative and perhaps a payload (section 2.3).

use bytes::{BufMut as _, BytesMut};

use crate::Malformed;
use crate::writer::Writer;

/// The largest frame that the emulator takes, in bytes; what Event Hubs announces too.
pub const MAX_FRAME_SIZE: u32 = 64 * 1024;
/// The least that both sides must be able to take (section 2.3.2).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;
/// The frame's own header, in bytes.
pub const HEADER_SIZE: usize = 8;

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The connection, or one of its sessions.
    Amqp,
    /// The security layer.
    Sasl,
}

/// One whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whom it is for.
    pub kind: Kind,
    /// The session's channel.
    pub channel: u16,
    /// Performative and payload; empty in a heartbeat.
    pub body: &'a [u8],
}

/// Takes the first frame off `bytes`: the frame, and its size in bytes. `None` while it is incomplete.
pub fn split(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Malformed> {
    let Some(&[s0, s1, s2, s3, doff, kind, c0, c1]) = bytes.first_chunk::<HEADER_SIZE>() else { return Ok(None) };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if size > MAX_FRAME_SIZE {
        return Err(Malformed("a frame is larger than the max-frame-size that was announced"));
    }
    let (size, body_at) = (size as usize, usize::from(doff) * 4);
    if body_at < HEADER_SIZE || body_at > size {
        return Err(Malformed("a frame's data offset lies outside of the frame"));
    }
    let kind = match kind {
        0 => Kind::Amqp,
        1 => Kind::Sasl,
        _ => return Err(Malformed("a frame is neither of type AMQP nor of type SASL")),
    };
    let Some(whole) = bytes.get(..size) else { return Ok(None) };
    Ok(Some((Frame { kind, channel: u16::from_be_bytes([c0, c1]), body: &whole[body_at..] }, size)))
}

/// Appends a frame whose performative `body` writes, and after it `payload`. Gives the frame's size in bytes.
pub fn write(
    out: &mut BytesMut,
    kind: Kind,
    channel: u16,
    body: impl FnOnce(&mut Writer<'_>),
    payload: &[u8],
) -> usize {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(2);
    out.put_u8(match kind {
        Kind::Amqp => 0,
        Kind::Sasl => 1,
    });
    out.put_u16(channel);
    body(&mut Writer::new(out));
    out.put_slice(payload);
    let size = out.len() - start;
    out[start..start + 4].copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_frame_splits_off_again() {
        let mut out = BytesMut::new();
        let size = write(&mut out, Kind::Amqp, 7, |w| w.bool(true), b"payload");
        out.put_slice(b"next");
        let (frame, taken) = split(&out).unwrap().unwrap();
        assert_eq!(taken, size);
        assert_eq!(frame, Frame { kind: Kind::Amqp, channel: 7, body: b"\x41payload" });
    }

    #[test]
    fn half_a_frame_waits_for_the_other_half() {
        let mut out = BytesMut::new();
        write(&mut out, Kind::Sasl, 0, |w| w.null(), b"");
        for cut in 0..out.len() {
            assert_eq!(split(&out[..cut]), Ok(None));
        }
    }

    #[test]
    fn a_frame_beyond_the_announced_size_is_refused_before_it_is_there() {
        assert!(split(&[0x7f, 0, 0, 0, 2, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_data_offset_outside_of_the_frame_is_malformed() {
        assert!(split(&[0, 0, 0, 8, 1, 0, 0, 0]).is_err());
        assert!(split(&[0, 0, 0, 8, 3, 0, 0, 0]).is_err());
    }
}
