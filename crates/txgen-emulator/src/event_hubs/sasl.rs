//! The security layer (section 5.3): which mechanisms there are, and what comes of each.

use azure_core::credentials::Secret;
use bytes::BytesMut;
use txgen_amqp::Malformed;
use txgen_amqp::descriptor::{SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME};
use txgen_amqp::frame::{self, Kind};
use txgen_amqp::performative::described_list;
use txgen_amqp::value::Value;

use super::grants::{Grant, check_password};
use super::options::Policy;

/// What the service offers: MSSBCBS is its name for "a token will come over `$cbs`".
const MECHANISMS: [&str; 4] = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"];

/// What came of a peer's choice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Welcome; PLAIN brings rights with it, the others need tokens over `$cbs`.
    Welcome(Option<Grant>),
    /// The name or the key is wrong, or there is no such mechanism.
    Denied,
}

/// Writes the frame that offers the mechanisms.
pub(super) fn write_mechanisms(out: &mut BytesMut) {
    frame::write(out, Kind::Sasl, 0, |w| w.described_list(SASL_MECHANISMS, |w| w.symbols(&MECHANISMS)), &[]);
}

/// Writes the frame that ends the negotiation.
pub(super) fn write_outcome(out: &mut BytesMut, verdict: &Verdict) {
    let code = match verdict {
        Verdict::Welcome(_) => 0,
        Verdict::Denied => 1,
    };
    let outcome = |w: &mut txgen_amqp::writer::Writer<'_>| {
        w.ubyte(code);
        w.pad_to(2);
    };
    frame::write(out, Kind::Sasl, 0, |w| w.described_list(SASL_OUTCOME, outcome), &[]);
}

/// Judges a sasl-init.
pub(super) fn judge(body: &[u8], policies: &[Policy]) -> Result<Verdict, Malformed> {
    let (code, mut fields, _) = described_list(body)?;
    if code != SASL_INIT {
        return Err(Malformed("a SASL frame is not the sasl-init that was awaited"));
    }
    let mechanism = fields.next()?.and_then(Value::text).ok_or(Malformed("sasl-init.mechanism is not a symbol"))?;
    let response = match fields.next()? {
        Some(Value::Binary(response)) => response,
        _ => &[],
    };
    Ok(match mechanism {
        "ANONYMOUS" | "EXTERNAL" | "MSSBCBS" => Verdict::Welcome(None),
        "PLAIN" => plain(response, policies).map_or(Verdict::Denied, |grant| Verdict::Welcome(Some(grant))),
        _ => Verdict::Denied,
    })
}

/// `authorization-id NUL name NUL password` (RFC 4616).
fn plain(response: &[u8], policies: &[Policy]) -> Option<Grant> {
    let mut words = std::str::from_utf8(response).ok()?.split('\0').skip(1);
    let (name, key) = (words.next()?, words.next()?);
    check_password(policies, name, &Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use txgen_amqp::writer::Writer;

    fn verdict(mechanism: &str, response: &[u8], policies: &[Policy]) -> Verdict {
        let mut out = BytesMut::new();
        Writer::new(&mut out).described_list(SASL_INIT, |w| {
            w.symbol(mechanism);
            w.binary(response);
        });
        judge(&out, policies).unwrap()
    }

    #[test]
    fn tokens_come_later_with_every_mechanism_but_plain() {
        for mechanism in ["ANONYMOUS", "EXTERNAL", "MSSBCBS"] {
            assert_eq!(verdict(mechanism, b"", &[]), Verdict::Welcome(None));
        }
        assert_eq!(verdict("SCRAM-SHA-1", b"", &[]), Verdict::Denied);
    }

    #[test]
    fn plain_takes_a_policys_name_and_key() {
        let policies = [Policy { send: true, ..Policy::with_random_key("Sender") }];
        let good = format!("\0Sender\0{}", policies[0].key.secret());
        assert!(matches!(verdict("PLAIN", good.as_bytes(), &policies), Verdict::Welcome(Some(_))));
        for bad in ["\0Sender\0wrong", "\0Nobody\0", "", "\0Sender"] {
            assert_eq!(verdict("PLAIN", bad.as_bytes(), &policies), Verdict::Denied);
        }
    }
}
