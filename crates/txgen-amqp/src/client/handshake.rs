//! From the first byte to the session: protocol headers (section 2.2), SASL (section 5.3), open and begin.

use std::time::Duration;

use bytes::Buf as _;

use super::{Broken, Connection, WINDOW};
use crate::descriptor::{SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME};
use crate::frame::{self, Frame, Kind, MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE};
use crate::performative::{NewOpen, Open, described_list, write_begin, write_open};
use crate::value::{Items, Value};

/// What a connection with a security layer begins with.
pub(super) const SASL_HEADER: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
const AMQP_HEADER: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
const ANONYMOUS: &str = "ANONYMOUS";
/// Links on the session, at most.
const HANDLE_MAX: u32 = 255;

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    SaslHeader,
    SaslMechanisms,
    SaslOutcome,
    Header,
    Opening,
    Beginning,
    Up,
    Ended,
    Closing,
    Closed,
}

impl<T> Connection<T> {
    /// Takes the peer's protocol header, if it is there. The first byte that is wrong tells.
    pub(super) fn take_header(&mut self) -> Result<bool, Broken> {
        let expected = if self.phase == Phase::SaslHeader { SASL_HEADER } else { AMQP_HEADER };
        if self.input.iter().zip(expected).any(|(byte, expected)| byte != expected) {
            return Err(Broken::NotAmqp);
        }
        if self.input.len() < expected.len() {
            return Ok(false);
        }
        self.input.advance(expected.len());
        if self.phase == Phase::SaslHeader {
            self.phase = Phase::SaslMechanisms;
        } else {
            self.open();
        }
        Ok(true)
    }

    pub(super) fn take_sasl(&mut self, frame: Frame<'_>) -> Result<(), Broken> {
        if frame.kind != Kind::Sasl {
            return Err(Broken::OutOfPlace("a frame came before the SASL negotiation was over"));
        }
        let (code, mut fields, _) = described_list(frame.body)?;
        match (self.phase, code) {
            (Phase::SaslMechanisms, SASL_MECHANISMS) => {
                if !offers_anonymous(fields)? {
                    return Err(Broken::Refused(None));
                }
                let hostname = &self.settings.hostname;
                let init = |w: &mut crate::writer::Writer<'_>| {
                    w.described_list(SASL_INIT, |w| {
                        w.symbol(ANONYMOUS);
                        w.binary(&[]);
                        w.string(hostname);
                    });
                };
                frame::write(&mut self.output, Kind::Sasl, 0, init, &[]);
                self.phase = Phase::SaslOutcome;
                Ok(())
            }
            (Phase::SaslOutcome, SASL_OUTCOME) => {
                match fields.next()? {
                    Some(Value::Unsigned(0)) => {}
                    Some(Value::Unsigned(code)) => return Err(Broken::Refused(u8::try_from(code).ok())),
                    _ => return Err(crate::Malformed("sasl-outcome.code is not a ubyte").into()),
                }
                self.output.extend_from_slice(AMQP_HEADER);
                self.phase = Phase::Header;
                Ok(())
            }
            _ => Err(Broken::OutOfPlace("a SASL frame came out of its place")),
        }
    }

    fn open(&mut self) {
        let announced = u32::try_from((self.settings.idle / 2).as_millis()).unwrap_or(u32::MAX);
        let open = NewOpen {
            container: &self.settings.container,
            hostname: Some(&self.settings.hostname),
            max_frame_size: MAX_FRAME_SIZE,
            channel_max: 0,
            idle_time_out_ms: announced,
            properties: &self.settings.properties,
        };
        frame::write(&mut self.output, Kind::Amqp, 0, |w| write_open(w, &open), &[]);
        self.phase = Phase::Opening;
    }

    /// The peer has answered our open: the session is begun.
    pub(super) fn opened(&mut self, open: &Open) {
        let size = open.max_frame_size.unwrap_or(u32::MAX).max(MIN_MAX_FRAME_SIZE);
        self.max_frame_size = usize::try_from(size).unwrap_or(usize::MAX);
        // Half of it, as section 2.4.5 advises, so that one that is late is not missed.
        let time_out = open.idle_time_out_ms.filter(|time_out| *time_out > 0);
        self.heartbeat = time_out.map(|time_out| Duration::from_millis(u64::from(time_out)) / 2);
        self.say(|w| write_begin(w, None, WINDOW, HANDLE_MAX));
        self.phase = Phase::Beginning;
    }
}

/// Whether the mechanisms, one symbol or an array of symbols, have ours among them.
fn offers_anonymous(mut fields: Items<'_>) -> Result<bool, Broken> {
    Ok(match fields.next()? {
        Some(Value::Symbol(only)) => only == ANONYMOUS,
        Some(Value::Array(mut array)) => {
            std::iter::from_fn(|| array.next_symbol().ok().flatten()).any(|mechanism| mechanism == ANONYMOUS)
        }
        _ => false,
    })
}
