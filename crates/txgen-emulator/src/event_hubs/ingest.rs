//! Storing what was delivered to a hub, or saying why not.

use std::sync::atomic::Ordering;

use txgen_amqp::Malformed;
use txgen_amqp::performative::{AmqpError, Outcome};

use super::core::Core;
use super::incoming::{Delivery, HubInlet, MAX_MESSAGE_SIZE};
use super::message::{BATCH_FORMAT, EventParts, batch, event};
use super::store::Route;

/// The longest partition key, in characters.
pub(super) const MAX_KEY_LENGTH: usize = 128;

/// Stores a delivery's events.
pub(super) fn ingest(core: &Core, inlet: &HubInlet, delivery: &Delivery<'_>) -> Outcome {
    let checked = check_size(delivery).and_then(|()| take_apart(delivery)).and_then(check_keys);
    let stored = match checked {
        Ok(Taken { key, events }) => {
            let to = Route { partition: inlet.partition, key, producer: None };
            core.namespace.store(&inlet.hub, to, &events, delivery.size, core.now)
        }
        Err(error) => {
            inlet.hub.rejected.fetch_add(1, Ordering::Relaxed);
            Err(error)
        }
    };
    stored.map_or_else(Outcome::Rejected, |_| Outcome::Accepted)
}

/// Why the delivery is larger than a message may be, if it is.
pub(super) fn check_size(delivery: &Delivery<'_>) -> Result<(), AmqpError> {
    if delivery.size <= MAX_MESSAGE_SIZE {
        return Ok(());
    }
    Err(AmqpError::new(
        "amqp:link:message-size-exceeded",
        format!(
            "The received message (delivery-id:{}, size:{} bytes) exceeds the limit ({MAX_MESSAGE_SIZE} bytes) currently \
             allowed on the link.",
            delivery.id, delivery.size
        ),
    ))
}

/// The events of a delivery, and the key by which they go to a partition together.
struct Taken<'a> {
    key: Option<&'a str>,
    events: Vec<EventParts<'a>>,
}

fn take_apart<'a>(delivery: &'a Delivery<'_>) -> Result<Taken<'a>, AmqpError> {
    let malformed =
        |Malformed(what)| AmqpError::new("amqp:decode-error", format!("The message is not well-formed: {what}."));
    if delivery.format != BATCH_FORMAT {
        let event = event(delivery.payload()).map_err(malformed)?;
        return Ok(Taken { key: event.key, events: vec![event] });
    }
    let (key, events) = batch(delivery.payload()).map_err(malformed)?;
    // A batch is routed as one; without a key of its own that of its first event stands for all.
    match events.first() {
        Some(first) => Ok(Taken { key: key.or(first.key), events }),
        None => Err(AmqpError::new("com.microsoft:argument-error", "The batch holds no event.")),
    }
}

fn check_keys(taken: Taken<'_>) -> Result<Taken<'_>, AmqpError> {
    let too_long = |key: &str| key.len() > MAX_KEY_LENGTH && key.chars().count() > MAX_KEY_LENGTH;
    if taken.key.into_iter().chain(taken.events.iter().filter_map(|event| event.key)).any(too_long) {
        let description = format!("The partition key is longer than {MAX_KEY_LENGTH} characters.");
        return Err(AmqpError::new("com.microsoft:argument-error", description));
    }
    Ok(taken)
}
