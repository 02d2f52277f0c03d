//! Links on which the peer sends: credit out, deliveries in, each with its outcome.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, Violation};
use super::namespace::{MAX_PARTIAL_BYTES, Namespace};
use super::store::Hub;
use super::wire::Malformed;
use super::wire::message::{BATCH_FORMAT, batch, event};
use super::wire::performative::{AmqpError, Outcome, Transfer};

/// The largest message, in bytes. Source: <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
pub(super) const MAX_MESSAGE_SIZE: usize = 1024 * 1024;
/// The longest partition key, in characters.
const MAX_KEY_LENGTH: usize = 128;
/// Requests that a peer may have unanswered on one link to `$cbs` or `$management`.
const REQUEST_CREDIT: u32 = 50;

/// Where deliveries go.
#[derive(Clone, Debug)]
pub(super) enum Inlet {
    /// To a hub, and in it to one partition, or to the one that the key chooses.
    Hub { hub: Arc<Hub>, partition: Option<u32>, path: String },
    /// To `$cbs`.
    Cbs,
    /// To `$management`.
    Management,
}

/// A link on which the peer sends.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) inlet: Inlet,
    /// Deliveries that may be unsettled or granted at once.
    limit: u32,
    /// Deliveries that the peer may still begin.
    credit: u32,
    delivery_count: u32,
    unsettled: u32,
    partial: Option<Partial>,
}

/// A delivery of which not all has come.
#[derive(Debug)]
struct Partial {
    delivery_id: u32,
    format: u32,
    settled: bool,
    /// What came so far in all; `bytes` holds it unless it is more than a message may be.
    size: usize,
    bytes: Vec<u8>,
    namespace: Arc<Namespace>,
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.namespace.partial_bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Partial {
    fn extend(&mut self, part: &[u8]) -> Result<(), Violation> {
        self.size = self.size.saturating_add(part.len());
        if self.size > MAX_MESSAGE_SIZE {
            let bytes = std::mem::take(&mut self.bytes);
            self.namespace.partial_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            return Ok(());
        }
        let before = self.namespace.partial_bytes.fetch_add(part.len(), Ordering::Relaxed);
        self.bytes.extend_from_slice(part);
        if before + part.len() > MAX_PARTIAL_BYTES {
            return Err(Violation::Connection(AmqpError::new(
                "amqp:resource-limit-exceeded",
                "The emulator holds too many messages of which not all has come.",
            )));
        }
        Ok(())
    }
}

/// What became of a transfer.
#[derive(Debug)]
pub(super) enum Received {
    /// More is to come, or the delivery was aborted.
    Nothing,
    /// A whole delivery of so many bytes. `settled` ones want no outcome.
    Delivery { id: u32, format: u32, settled: bool, size: usize },
    /// The link is to be detached.
    Refused(AmqpError),
}

/// The bytes of a whole delivery: in the frame itself, or gathered from several.
pub(super) enum Payload<'a> {
    InFrame(&'a [u8]),
    Gathered(Gathered),
}

/// A message gathered from several frames.
pub(super) struct Gathered(Partial);

impl Payload<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::InFrame(bytes) => bytes,
            Self::Gathered(Gathered(partial)) => &partial.bytes,
        }
    }
}

impl Incoming {
    /// A link without credit yet.
    pub(super) fn new(inlet: Inlet, initial_delivery_count: u32, credit: u32) -> Self {
        let limit = if matches!(inlet, Inlet::Hub { .. }) { credit.max(1) } else { REQUEST_CREDIT };
        Self { inlet, limit, credit: 0, delivery_count: initial_delivery_count, unsettled: 0, partial: None }
    }

    /// Takes a transfer; with [`Received::Delivery`] the payload is whole.
    pub(super) fn receive<'a>(
        &mut self,
        transfer: &Transfer<'a>,
        namespace: &Arc<Namespace>,
    ) -> Result<(Received, Payload<'a>), Violation> {
        let nothing = |received| Ok((received, Payload::InFrame(&[])));
        if self.partial.is_none() {
            if self.credit == 0 {
                return nothing(Received::Refused(AmqpError::new(
                    "amqp:link:transfer-limit-exceeded",
                    "More deliveries came than the link had credit for.",
                )));
            }
            self.credit -= 1;
            self.delivery_count = self.delivery_count.wrapping_add(1);
        }
        if transfer.aborted {
            self.partial = None;
            return nothing(Received::Nothing);
        }
        let Some(mut partial) = self.partial.take() else {
            let id = transfer.delivery_id.ok_or_else(|| {
                Violation::Session(AmqpError::new(
                    "amqp:invalid-field",
                    "A delivery's first transfer has no delivery-id.",
                ))
            })?;
            let (format, settled) = (transfer.message_format.unwrap_or(0), transfer.settled);
            if !transfer.more {
                let received = self.whole(id, format, settled, transfer.payload.len());
                return Ok((received, Payload::InFrame(transfer.payload)));
            }
            let namespace = Arc::clone(namespace);
            let mut partial = Partial { delivery_id: id, format, settled, size: 0, bytes: Vec::new(), namespace };
            partial.extend(transfer.payload)?;
            self.partial = Some(partial);
            return nothing(Received::Nothing);
        };
        partial.extend(transfer.payload)?;
        partial.settled |= transfer.settled;
        if transfer.more {
            self.partial = Some(partial);
            return nothing(Received::Nothing);
        }
        let received = self.whole(partial.delivery_id, partial.format, partial.settled, partial.size);
        Ok((received, Payload::Gathered(Gathered(partial))))
    }

    fn whole(&mut self, id: u32, format: u32, settled: bool, size: usize) -> Received {
        if !settled {
            self.unsettled += 1;
        }
        Received::Delivery { id, format, settled, size }
    }

    /// One delivery was settled.
    pub(super) fn settled(&mut self) {
        self.unsettled = self.unsettled.saturating_sub(1);
    }

    /// Grants the peer what credit the unsettled deliveries leave, when that is worth a frame: the delivery count and
    /// the credit to announce.
    pub(super) fn refill(&mut self) -> Option<(u32, u32)> {
        let room = self.limit.saturating_sub(self.unsettled);
        let worth_it = room.saturating_sub(self.credit) >= (self.limit / 4).max(1) || (self.credit == 0 && room > 0);
        worth_it.then(|| self.grant())
    }

    /// Grants the peer all credit that there is to grant.
    pub(super) fn grant(&mut self) -> (u32, u32) {
        self.credit = self.credit.max(self.limit.saturating_sub(self.unsettled));
        (self.delivery_count, self.credit)
    }
}

/// Why a message of this size is not taken, if it is not. The rest of it has been thrown away as it came.
pub(super) fn too_large(delivery_id: u32, size: usize) -> Option<AmqpError> {
    (size > MAX_MESSAGE_SIZE).then(|| {
        AmqpError::new(
            "amqp:link:message-size-exceeded",
            format!(
                "The received message (delivery-id:{delivery_id}, size:{size} bytes) exceeds the limit \
                 ({MAX_MESSAGE_SIZE} bytes) currently allowed on the link."
            ),
        )
    })
}

/// Stores what a sender delivered to a hub.
pub(super) fn ingest(core: &Core, hub: &Hub, partition: Option<u32>, format: u32, payload: &[u8]) -> Outcome {
    let rejected = |condition, description: String| {
        hub.rejected.fetch_add(1, Ordering::Relaxed);
        Outcome::Rejected(AmqpError::new(condition, description))
    };
    let malformed = |Malformed(what)| rejected("amqp:decode-error", format!("The message is not well-formed: {what}."));
    let (single, several);
    let (key, events) = if format == BATCH_FORMAT {
        match batch(payload) {
            Ok((key, events)) => {
                several = events;
                // A batch is routed as one; without a key of its own that of its first event stands for all.
                (key.or_else(|| several.first().and_then(|event| event.key)), several.as_slice())
            }
            Err(error) => return malformed(error),
        }
    } else {
        match event(payload) {
            Ok(parts) => {
                single = [parts];
                (single[0].key, single.as_slice())
            }
            Err(error) => return malformed(error),
        }
    };
    if events.is_empty() {
        return rejected("com.microsoft:argument-error", "The batch holds no event.".to_owned());
    }
    let too_long = |key: &str| key.len() > MAX_KEY_LENGTH && key.chars().count() > MAX_KEY_LENGTH;
    if key.into_iter().chain(events.iter().filter_map(|event| event.key)).any(too_long) {
        return rejected(
            "com.microsoft:argument-error",
            format!("The partition key is longer than {MAX_KEY_LENGTH} characters."),
        );
    }
    match core.namespace.store(hub, partition, key, events, payload.len(), core.now) {
        Ok(()) => Outcome::Accepted,
        Err(error) => Outcome::Rejected(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::event_hubs::namespace::Now;
    use crate::emulator::event_hubs::options::EventHubsEmulatorOptions;

    fn namespace() -> Arc<Namespace> {
        Arc::new(Namespace::new(EventHubsEmulatorOptions::default(), Now::read()))
    }

    fn link(credit: u32) -> Incoming {
        let hub = Arc::new(Hub::new("hub", 1, &[], 0));
        let mut link = Incoming::new(Inlet::Hub { hub, partition: None, path: "hub".into() }, 0, credit);
        link.grant();
        link
    }

    fn transfer(payload: &[u8], more: bool) -> Transfer<'_> {
        Transfer {
            handle: 0,
            delivery_id: Some(9),
            message_format: None,
            settled: false,
            more,
            aborted: false,
            payload,
        }
    }

    #[test]
    fn parts_of_a_message_are_put_together_and_given_back() {
        let (namespace, mut link) = (namespace(), link(10));
        assert!(matches!(link.receive(&transfer(b"one ", true), &namespace), Ok((Received::Nothing, _))));
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 4);
        let (received, payload) = link.receive(&transfer(b"two", false), &namespace).unwrap();
        assert!(matches!(received, Received::Delivery { id: 9, .. }));
        assert_eq!(payload.bytes(), b"one two");
        drop(payload);
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_aborted_message_leaves_nothing_behind() {
        let (namespace, mut link) = (namespace(), link(10));
        link.receive(&transfer(b"one", true), &namespace).unwrap();
        let aborted = Transfer { aborted: true, ..transfer(b"", true) };
        assert!(matches!(link.receive(&aborted, &namespace), Ok((Received::Nothing, _))));
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
        let (_, payload) = link.receive(&transfer(b"two", false), &namespace).unwrap();
        assert_eq!(payload.bytes(), b"two");
    }

    #[test]
    fn a_message_over_a_mebibyte_is_counted_and_not_kept() {
        let (namespace, mut link) = (namespace(), link(10));
        let part = vec![0; 600_000];
        link.receive(&transfer(&part, true), &namespace).unwrap();
        link.receive(&transfer(&part, true), &namespace).unwrap();
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
        let (received, payload) = link.receive(&transfer(&part, false), &namespace).unwrap();
        assert!(matches!(received, Received::Delivery { id: 9, size: 1_800_000, .. }));
        assert!(payload.bytes().is_empty());
        assert_eq!(too_large(9, 1_800_000).unwrap().condition, "amqp:link:message-size-exceeded");
        assert_eq!(too_large(9, MAX_MESSAGE_SIZE), None);
    }

    #[test]
    fn credit_is_refilled_in_bulk_as_deliveries_are_settled() {
        let (namespace, mut link) = (namespace(), link(8));
        for _ in 0..8 {
            link.receive(&transfer(b"x", false), &namespace).unwrap();
        }
        assert_eq!(link.refill(), None);
        link.settled();
        assert_eq!(link.refill(), Some((8, 1)));
        link.settled();
        assert_eq!(link.refill(), None);
        link.settled();
        assert_eq!(link.refill(), Some((8, 3)));
    }

    #[test]
    fn a_delivery_without_credit_costs_the_link() {
        let (namespace, mut link) = (namespace(), link(1));
        link.receive(&transfer(b"x", false), &namespace).unwrap();
        let (received, _) = link.receive(&transfer(b"x", false), &namespace).unwrap();
        let Received::Refused(error) = received else { panic!("refused") };
        assert_eq!(error.condition, "amqp:link:transfer-limit-exceeded");
    }
}
