//! Faults that were asked for, as they look on AMQP. They strike deliveries to event hubs, and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use txgen_amqp::frame::{self, Kind};
use txgen_amqp::performative::{AmqpError, Outcome, write_disposition};

use super::attach::unauthorized;
use super::core::{Core, HangUp, Violation};
use super::grants::Right;
use super::incoming::{Delivery, HubInlet};
use super::ingest::ingest;
use super::namespace::busy;
use crate::faults::{Fault, Strike};

/// What a delivery comes to.
#[derive(Debug)]
pub(super) enum Fate {
    /// Its outcome, so much later than others.
    Outcome(Outcome, Duration),
    /// Silence.
    Nothing,
    /// The end of its link, with a reason or without.
    Detach(Option<AmqpError>),
    /// Its outcome as ever, and no credit for its link for so long.
    Withhold(Outcome, Duration),
}

/// Stores a delivery that came on this channel, or makes the trouble that is due.
///
/// # Errors
/// When the trouble is the end of the connection.
pub(super) fn deliver(
    core: &mut Core,
    channel: u16,
    inlet: &HubInlet,
    delivery: &Delivery<'_>,
) -> Result<Fate, Violation> {
    if inlet.hub.is_deleted() {
        return Ok(Fate::Detach(Some(deleted(core, &inlet.path))));
    }
    let Some(Strike { fault, late }) = core.namespace.faults.strike() else {
        return Ok(Fate::Outcome(ingest(core, inlet, delivery), Duration::ZERO));
    };
    match fault {
        Fault::Delay(by) => return Ok(Fate::Outcome(ingest(core, inlet, delivery), by)),
        Fault::NoCredit(time) => return Ok(Fate::Withhold(ingest(core, inlet, delivery), time)),
        _ => {}
    }
    // Whether it was stored before its answer was lost is for the sender to find out.
    let lost = if late { ingest(core, inlet, delivery) } else { Outcome::Accepted };
    match fault {
        Fault::Close => {
            let description = "The connection was closed on purpose.";
            Err(Violation::Connection(AmqpError::new("amqp:connection:forced", description)))
        }
        Fault::Drop => {
            core.hang_up = Some(HangUp::AtOnce);
            Ok(Fate::Nothing)
        }
        Fault::HalfAnswer => {
            write_half(core, channel, delivery.id, &lost);
            core.hang_up = Some(HangUp::AfterOutput);
            Ok(Fate::Nothing)
        }
        Fault::NeverAnswer => Ok(Fate::Nothing),
        Fault::ExpiredToken => Ok(Fate::Detach(Some(unauthorized(core, Right::Send, &inlet.path)))),
        Fault::RefusedToken => {
            core.namespace.tokens_to_refuse.fetch_add(1, Ordering::Relaxed);
            Ok(Fate::Detach(Some(unauthorized(core, Right::Send, &inlet.path))))
        }
        Fault::Detach => {
            let description = "The link was detached on purpose.";
            Ok(Fate::Detach(Some(AmqpError::new("amqp:link:detach-forced", description))))
        }
        Fault::DetachQuietly => Ok(Fate::Detach(None)),
        Fault::EndSession => {
            Err(Violation::Session(AmqpError::new("amqp:internal-error", "The session was ended on purpose.")))
        }
        Fault::Gone => {
            inlet.hub.delete();
            Ok(Fate::Detach(Some(deleted(core, &inlet.path))))
        }
        Fault::Reject => {
            inlet.hub.rejected.fetch_add(1, Ordering::Relaxed);
            Ok(Fate::Outcome(Outcome::Rejected(unacceptable()), Duration::ZERO))
        }
        // Faults of Cosmos DB are not in the plan of Event Hubs; at least they are trouble.
        Fault::ServerBusy
        | Fault::TooManyRequests
        | Fault::Unavailable
        | Fault::InternalError
        | Fault::Timeout
        | Fault::Delay(_)
        | Fault::NoCredit(_) => {
            inlet.hub.throttled.fetch_add(1, Ordering::Relaxed);
            Ok(Fate::Outcome(Outcome::Rejected(busy()), Duration::ZERO))
        }
    }
}

/// The error of links to a hub that has been deleted.
pub(super) fn deleted(core: &Core, path: &str) -> AmqpError {
    AmqpError::new("amqp:not-found", core.namespace.not_found(path))
}

/// The error for an event that is never taken, however often it comes: that an argument is wrong, which
/// Azure's clients do not retry either. Source: `AmqpError` and `ArgumentError` in Azure.Messaging.EventHubs, and
/// <https://learn.microsoft.com/java/api/com.azure.core.amqp.exception.amqperrorcondition>.
fn unacceptable() -> AmqpError {
    AmqpError::new("com.microsoft:argument-error", "The event was rejected on purpose.")
}

fn write_half(core: &mut Core, channel: u16, delivery_id: u32, outcome: &Outcome) {
    let start = core.out.len();
    let disposition = |w: &mut txgen_amqp::writer::Writer<'_>| write_disposition(w, delivery_id, delivery_id, outcome);
    let size = frame::write(&mut core.out, Kind::Amqp, channel, disposition, &[]);
    core.out.truncate(start + size / 2);
}
