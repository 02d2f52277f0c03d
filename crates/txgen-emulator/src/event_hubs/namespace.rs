//! What all connections share: the hubs, the policies, the limits and the counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use txgen_amqp::performative::AmqpError;

use super::bell::Bell;
use super::keeping::{KafkaState, Keeper};
use super::message::EventParts;
use super::options::{EventHubsEmulatorOptions, HubOptions};
use super::store::{self, Hub, Route};
use super::throttle::Throttle;
use crate::data::{DataError, Unwritable};
use crate::faults::FaultPlan;
use txgen_azure::ServiceName;

/// Parts of messages that are not whole yet, over all connections, take at most so many bytes.
pub(super) const MAX_PARTIAL_BYTES: usize = 256 * 1024 * 1024;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// For time-outs.
    pub(super) instant: Instant,
    /// For events and tokens: milliseconds since 1970-01-01 UTC.
    pub(super) unix_ms: i64,
}

impl Now {
    /// This moment.
    pub(super) fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Seconds since 1970-01-01 UTC.
    pub(super) fn unix_seconds(self) -> u64 {
        u64::try_from(self.unix_ms / 1000).unwrap_or(0)
    }
}

/// What the service says to a delivery that is one too many.
pub(super) fn busy() -> AmqpError {
    AmqpError::new(
        "com.microsoft:server-busy",
        "The request was terminated because the entity is being throttled. Error code : 50002. Please wait 4 seconds and \
         try again.",
    )
}

/// What the service says when it cannot store.
fn not_kept(unwritable: Unwritable) -> AmqpError {
    AmqpError::new("amqp:internal-error", format!("The service was unable to process the request: {unwritable}."))
}

/// One Event Hubs namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    /// What it was started with; the address is the one that it got.
    pub(super) options: EventHubsEmulatorOptions,
    hubs: Vec<Arc<Hub>>,
    /// Where everything is kept, if it is.
    keeper: Option<Arc<Keeper>>,
    throttle: Option<Mutex<Throttle>>,
    /// Trouble that was asked for.
    pub(super) faults: FaultPlan,
    /// How many of the next tokens a fault refuses.
    pub(super) tokens_to_refuse: AtomicU64,
    /// Bytes of memory that the events which are stored take.
    stored_bytes: AtomicU64,
    /// Bytes of messages that are not whole yet.
    pub(super) partial_bytes: AtomicUsize,
    /// Connections that are open.
    pub(super) open_connections: AtomicUsize,
    /// Connections that ever were accepted.
    pub(super) connections: AtomicU64,
}

/// The hubs that the options ask for.
fn wanted(options: &EventHubsEmulatorOptions) -> Vec<HubOptions> {
    let alike = options.hubs.iter().map(|name| HubOptions {
        name: name.clone(),
        partitions: options.partitions,
        consumer_groups: options.consumer_groups.clone(),
    });
    let with_default = |hub: HubOptions| HubOptions {
        consumer_groups: [vec!["$Default".to_owned()], hub.consumer_groups].concat(),
        ..hub
    };
    alike.chain(options.further_hubs.iter().cloned()).map(with_default).collect()
}

impl Namespace {
    /// An empty namespace, in memory alone.
    pub(super) fn new(options: EventHubsEmulatorOptions, now: Now) -> Self {
        let hub = |of: &HubOptions| Arc::new(Hub::new(&of.name, of.partitions, &of.consumer_groups, now.unix_ms));
        let hubs = wanted(&options).iter().map(hub).collect();
        Self::with_hubs(options, hubs, None)
    }

    /// The namespace that the options' folder holds, with the hubs that it lacks, and what was kept of Kafka; an empty one
    /// without such a folder.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(options: EventHubsEmulatorOptions, now: Now) -> Result<(Self, KafkaState), DataError> {
        let Some(dir) = &options.data else { return Ok((Self::new(options, now), KafkaState::default())) };
        let (keeper, restored) = Keeper::open(dir)?;
        let (hubs, kafka) = restored.with_hubs(&wanted(&options), &keeper, now.unix_ms)?;
        Ok((Self::with_hubs(options, hubs, Some(Arc::new(keeper))), kafka))
    }

    fn with_hubs(options: EventHubsEmulatorOptions, hubs: Vec<Arc<Hub>>, keeper: Option<Arc<Keeper>>) -> Self {
        Self {
            stored_bytes: AtomicU64::new(hubs.iter().map(|hub| hub.memory()).sum()),
            hubs,
            keeper,
            throttle: options.throughput_units.map(|units| Mutex::new(Throttle::new(units))),
            faults: FaultPlan::new(&options.faults, ServiceName::EventHubs),
            tokens_to_refuse: AtomicU64::new(0),
            partial_bytes: AtomicUsize::new(0),
            open_connections: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            options,
        }
    }

    /// Where everything is kept, if it is.
    pub(super) fn keeper(&self) -> Option<&Arc<Keeper>> {
        self.keeper.as_ref()
    }

    /// Up to where the log has been written: what has been stored so far is before it.
    pub(super) fn written(&self) -> u64 {
        self.keeper.as_ref().map_or(0, |keeper| keeper.journal().written())
    }

    /// Whether what had been stored when [`Self::written`] gave this number can be acknowledged. If it cannot be yet, the
    /// bell rings when there is more.
    ///
    /// # Errors
    /// What to say when it will never be known.
    pub(super) fn has_settled(&self, written: u64, bell: &Arc<Bell>) -> Result<bool, AmqpError> {
        let Some(keeper) = self.keeper.as_ref().filter(|_| written > 0) else { return Ok(true) };
        let bell = Arc::clone(bell);
        keeper.journal().has_settled(written, move || bell.ring()).map_err(not_kept)
    }

    /// Waits until what has been stored so far can be acknowledged.
    ///
    /// # Errors
    /// What to say when it will never be known.
    pub(super) async fn settled(&self) -> Result<(), AmqpError> {
        match &self.keeper {
            Some(keeper) => keeper.journal().settled().await.map_err(not_kept),
            None => Ok(()),
        }
    }

    /// Keeps what there is, and nothing more, so that the folder can be used again.
    pub(super) fn close(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.journal().close();
        }
    }

    /// Whether most of what is kept is dead.
    pub(super) fn is_mostly_dead(&self) -> bool {
        let live = self.stored_bytes.load(Ordering::Relaxed);
        self.keeper.as_ref().is_some_and(|keeper| keeper.journal().is_mostly_dead(live))
    }

    /// A hub by its name, whatever the case.
    pub(super) fn hub(&self, name: &str) -> Option<&Arc<Hub>> {
        self.hubs.iter().find(|hub| hub.name.eq_ignore_ascii_case(name) && !hub.is_deleted())
    }

    /// Whether a fault refuses the token that comes now.
    pub(super) fn refuses_token(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.tokens_to_refuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// All hubs.
    pub(super) fn hubs(&self) -> &[Arc<Hub>] {
        &self.hubs
    }

    /// The host and port that it listens on.
    pub(super) fn host(&self) -> String {
        self.options.listen.to_string()
    }

    /// What the service says about an entity that is not there.
    pub(super) fn not_found(&self, path: &str) -> String {
        format!("The messaging entity 'sb://{}/{path}' could not be found.", self.host())
    }

    /// Stores events that arrived in one delivery of `size` bytes, and gives the sequence number of the first; or says why
    /// the service would not.
    ///
    /// # Errors
    /// The condition and description with which the delivery is rejected.
    pub(super) fn store(
        &self,
        hub: &Hub,
        to: Route<'_>,
        events: &[EventParts<'_>],
        size: usize,
        now: Now,
    ) -> Result<i64, AmqpError> {
        let size = size as u64;
        if let Some(throttle) = &self.throttle {
            let mut throttle = throttle.lock().unwrap_or_else(PoisonError::into_inner);
            if !throttle.admit(events.len() as u64, size, now.unix_ms) {
                hub.throttled.fetch_add(1, Ordering::Relaxed);
                return Err(busy());
            }
        }
        if let Some(limit) = self.options.memory_limit
            && self.stored_bytes.load(Ordering::Relaxed) + size + store::OVERHEAD * events.len() as u64 > limit
        {
            hub.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(AmqpError::new(
                "amqp:resource-limit-exceeded",
                format!("The emulator holds as many bytes of events as it may ({limit}); see its memory limit."),
            ));
        }
        let appended = hub.append(to, events, now.unix_ms, self.keeper.as_deref()).map_err(not_kept)?;
        self.stored_bytes.fetch_add(appended.memory, Ordering::Relaxed);
        Ok(appended.first)
    }

    /// Drops the events that are older than the retention, if there is one.
    pub(super) fn expire(&self, now: Now) {
        let Some(retention) = self.options.retention else { return };
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before = now.unix_ms.saturating_sub(retention);
        let freed: u64 = self.hubs.iter().map(|hub| hub.expire(before)).sum();
        self.stored_bytes.fetch_sub(freed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn namespace(options: EventHubsEmulatorOptions) -> (Namespace, Now) {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        (Namespace::new(options, now), now)
    }

    fn store(namespace: &Namespace, now: Now) -> Result<i64, AmqpError> {
        let message = [0; 1_000];
        let event = EventParts { message: message[..].into(), ..EventParts::default() };
        namespace.store(&namespace.hubs()[0], Route::default(), &[event], message.len(), now)
    }

    #[test]
    fn beyond_the_memory_limit_events_are_refused_and_what_expires_makes_room() {
        let retention = Some(Duration::from_secs(60));
        let options = EventHubsEmulatorOptions { memory_limit: Some(10_000), retention, ..Default::default() };
        let (namespace, now) = namespace(options);
        let stored = (0..20).take_while(|_| store(&namespace, now).is_ok()).count();
        assert_eq!(stored, 9);
        assert_eq!(store(&namespace, now).unwrap_err().condition, "amqp:resource-limit-exceeded");
        assert_eq!(namespace.hubs()[0].rejected.load(Ordering::Relaxed), 2);

        let in_time = Now { unix_ms: now.unix_ms + 60_000, ..now };
        namespace.expire(in_time);
        assert!(store(&namespace, in_time).is_err());
        let later = Now { unix_ms: now.unix_ms + 60_001, ..now };
        namespace.expire(later);
        assert!(store(&namespace, later).is_ok());
    }

    #[test]
    fn without_retention_nothing_expires() {
        let (namespace, now) = namespace(EventHubsEmulatorOptions { partitions: 1, ..Default::default() });
        store(&namespace, now).unwrap();
        namespace.expire(Now { unix_ms: i64::MAX, ..now });
        assert_eq!(namespace.hubs()[0].partitions()[0].events().len(), 1);
    }

    #[test]
    fn a_hub_is_found_whatever_the_case() {
        let (namespace, _) = namespace(EventHubsEmulatorOptions::default());
        assert!(namespace.hub("Transactions").is_some());
        assert!(namespace.hub("transaction").is_none());
    }
}
