//! Links on which the peer sends: credit out, transfers in, put together into deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use txgen_amqp::performative::{AmqpError, Transfer};

use super::core::Violation;
use super::namespace::{MAX_PARTIAL_BYTES, Namespace};
use super::store::Hub;

/// The largest message, in bytes. Source: <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
pub(super) const MAX_MESSAGE_SIZE: usize = 1024 * 1024;
/// Requests that a peer may have unanswered on one link to `$cbs` or `$management`.
const REQUEST_CREDIT: u32 = 50;

/// Where deliveries go.
#[derive(Clone, Debug)]
pub(super) enum Inlet {
    /// To a hub.
    Hub(HubInlet),
    /// To `$cbs`.
    Cbs,
    /// To `$management`.
    Management,
}

/// A hub, and in it one partition, or the one that the key chooses.
#[derive(Clone, Debug)]
pub(super) struct HubInlet {
    pub(super) hub: Arc<Hub>,
    pub(super) partition: Option<u32>,
    /// The link's address in lower case, for which a right is needed.
    pub(super) path: String,
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
    /// Until then no credit is granted, because a fault said so.
    withheld_until: Option<Instant>,
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
pub(super) enum Received<'a> {
    /// More is to come, or the delivery was aborted.
    Nothing,
    /// A whole delivery.
    Delivery(Delivery<'a>),
    /// The link has to be detached.
    Refused(AmqpError),
}

/// A whole delivery.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) id: u32,
    /// Its message format.
    pub(super) format: u32,
    /// Whether the peer wants no outcome.
    pub(super) settled: bool,
    /// Its size in bytes. What is larger than [`MAX_MESSAGE_SIZE`] has been thrown away as it came.
    pub(super) size: usize,
    payload: Payload<'a>,
}

/// The bytes of a whole delivery: in the frame itself, or gathered from several.
#[derive(Debug)]
enum Payload<'a> {
    InFrame(&'a [u8]),
    Gathered(Partial),
}

impl Delivery<'_> {
    /// The message.
    pub(super) fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::InFrame(bytes) => bytes,
            Payload::Gathered(partial) => &partial.bytes,
        }
    }
}

impl Incoming {
    /// A link without credit yet.
    pub(super) fn new(inlet: Inlet, initial_delivery_count: u32, credit: u32) -> Self {
        let limit = if matches!(inlet, Inlet::Hub(_)) { credit.max(1) } else { REQUEST_CREDIT };
        Self {
            inlet,
            limit,
            credit: 0,
            delivery_count: initial_delivery_count,
            unsettled: 0,
            withheld_until: None,
            partial: None,
        }
    }

    /// Takes a transfer.
    pub(super) fn receive<'a>(
        &mut self,
        transfer: &Transfer<'a>,
        namespace: &Arc<Namespace>,
    ) -> Result<Received<'a>, Violation> {
        if self.partial.is_none() {
            if self.credit == 0 {
                return Ok(Received::Refused(AmqpError::new(
                    "amqp:link:transfer-limit-exceeded",
                    "More deliveries came than the link had credit for.",
                )));
            }
            self.credit -= 1;
            self.delivery_count = self.delivery_count.wrapping_add(1);
        }
        if transfer.aborted {
            self.partial = None;
            return Ok(Received::Nothing);
        }
        let Some(mut partial) = self.partial.take() else {
            let id = transfer.delivery_id.ok_or_else(|| {
                let what = "A delivery's first transfer has no delivery-id.";
                Violation::Session(AmqpError::new("amqp:invalid-field", what))
            })?;
            let (format, settled) = (transfer.message_format.unwrap_or(0), transfer.settled);
            if !transfer.more {
                let (size, payload) = (transfer.payload.len(), Payload::InFrame(transfer.payload));
                return Ok(self.whole(Delivery { id, format, settled, size, payload }));
            }
            let namespace = Arc::clone(namespace);
            let mut partial = Partial { delivery_id: id, format, settled, size: 0, bytes: Vec::new(), namespace };
            partial.extend(transfer.payload)?;
            self.partial = Some(partial);
            return Ok(Received::Nothing);
        };
        partial.extend(transfer.payload)?;
        partial.settled |= transfer.settled;
        if transfer.more {
            self.partial = Some(partial);
            return Ok(Received::Nothing);
        }
        let Partial { delivery_id: id, format, settled, size, .. } = partial;
        Ok(self.whole(Delivery { id, format, settled, size, payload: Payload::Gathered(partial) }))
    }

    fn whole<'a>(&mut self, delivery: Delivery<'a>) -> Received<'a> {
        if !delivery.settled {
            self.unsettled += 1;
        }
        Received::Delivery(delivery)
    }

    /// One delivery was settled.
    pub(super) fn settled(&mut self) {
        self.unsettled = self.unsettled.saturating_sub(1);
    }

    /// Grants no credit until then: the delivery count and the credit to announce. Deliveries under way that had credit
    /// are taken nevertheless.
    pub(super) fn withhold(&mut self, until: Instant) -> (u32, u32) {
        self.withheld_until = Some(until);
        self.grant()
    }

    /// Until when no credit is granted, if it is withheld.
    pub(super) fn withheld_until(&self) -> Option<Instant> {
        self.withheld_until
    }

    /// Grants the peer what credit the unsettled deliveries leave, when that is worth a frame: the delivery count and
    /// the credit to announce.
    pub(super) fn refill(&mut self, now: Instant) -> Option<(u32, u32)> {
        if let Some(until) = self.withheld_until {
            return (until <= now).then(|| {
                self.withheld_until = None;
                self.grant()
            });
        }
        let room = self.limit.saturating_sub(self.unsettled);
        let worth_it = room.saturating_sub(self.credit) >= (self.limit / 4).max(1) || (self.credit == 0 && room > 0);
        worth_it.then(|| self.grant())
    }

    /// Grants the peer all credit that there is to grant.
    pub(super) fn grant(&mut self) -> (u32, u32) {
        if self.withheld_until.is_some() {
            return (self.delivery_count, 0);
        }
        self.credit = self.credit.max(self.limit.saturating_sub(self.unsettled));
        (self.delivery_count, self.credit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event_hubs::namespace::Now;
    use crate::event_hubs::options::EventHubsEmulatorOptions;

    fn namespace() -> Arc<Namespace> {
        Arc::new(Namespace::new(EventHubsEmulatorOptions::default(), Now::read()))
    }

    fn link(credit: u32) -> Incoming {
        let hub = Arc::new(Hub::new("hub", 1, &[], 0));
        let mut link = Incoming::new(Inlet::Hub(HubInlet { hub, partition: None, path: "hub".into() }), 0, credit);
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

    fn delivery(received: Result<Received<'_>, Violation>) -> Delivery<'_> {
        match received {
            Ok(Received::Delivery(delivery)) => delivery,
            other => panic!("a delivery, not {other:?}"),
        }
    }

    #[test]
    fn credit_that_is_withheld_is_granted_when_the_time_is_over() {
        let (namespace, mut link, now) = (namespace(), link(10), Instant::now());
        assert_eq!(link.withhold(now + Duration::from_secs(1)), (0, 0));
        // It was under way when the credit was taken back.
        delivery(link.receive(&transfer(b"one", false), &namespace));
        assert_eq!((link.grant(), link.refill(now)), ((1, 0), None));
        assert_eq!(link.refill(now + Duration::from_secs(1)), Some((1, 9)));
    }

    #[test]
    fn parts_of_a_message_are_put_together_and_given_back() {
        let (namespace, mut link) = (namespace(), link(10));
        assert!(matches!(link.receive(&transfer(b"one ", true), &namespace), Ok(Received::Nothing)));
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 4);
        let delivery = delivery(link.receive(&transfer(b"two", false), &namespace));
        assert_eq!((delivery.id, delivery.payload()), (9, &b"one two"[..]));
        drop(delivery);
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_aborted_message_leaves_nothing_behind() {
        let (namespace, mut link) = (namespace(), link(10));
        link.receive(&transfer(b"one", true), &namespace).unwrap();
        let aborted = Transfer { aborted: true, ..transfer(b"", true) };
        assert!(matches!(link.receive(&aborted, &namespace), Ok(Received::Nothing)));
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(delivery(link.receive(&transfer(b"two", false), &namespace)).payload(), b"two");
    }

    #[test]
    fn a_message_over_a_mebibyte_is_counted_and_not_kept() {
        let (namespace, mut link) = (namespace(), link(10));
        let part = vec![0; 600_000];
        link.receive(&transfer(&part, true), &namespace).unwrap();
        link.receive(&transfer(&part, true), &namespace).unwrap();
        assert_eq!(namespace.partial_bytes.load(Ordering::Relaxed), 0);
        let delivery = delivery(link.receive(&transfer(&part, false), &namespace));
        assert_eq!((delivery.size, delivery.payload().len()), (1_800_000, 0));
    }

    #[test]
    fn credit_is_refilled_in_bulk_as_deliveries_are_settled() {
        let (namespace, mut link) = (namespace(), link(8));
        for _ in 0..8 {
            link.receive(&transfer(b"x", false), &namespace).unwrap();
        }
        assert_eq!(link.refill(Instant::now()), None);
        link.settled();
        assert_eq!(link.refill(Instant::now()), Some((8, 1)));
        link.settled();
        assert_eq!(link.refill(Instant::now()), None);
        link.settled();
        assert_eq!(link.refill(Instant::now()), Some((8, 3)));
    }

    #[test]
    fn a_delivery_without_credit_costs_the_link() {
        let (namespace, mut link) = (namespace(), link(1));
        link.receive(&transfer(b"x", false), &namespace).unwrap();
        let refused = link.receive(&transfer(b"x", false), &namespace).unwrap();
        let Received::Refused(error) = refused else { panic!("refused") };
        assert_eq!(error.condition, "amqp:link:transfer-limit-exceeded");
    }
}
