//! What has been sent: hubs, their partitions, and the events in them.

mod log;
mod partition;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) use log::{Log, Mark, NewEvent, OVERHEAD, Position};
pub(super) use partition::{Appended, Partition, Refused, Subscription};

use super::keeping::{Keeper, Keeping, ProducerBatch};
use super::message::EventParts;
use crate::data::Unwritable;
use txgen_azure::event_hubs::partition_hash::partition_of;

/// Where events go, and whence they come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Route<'a> {
    /// The partition, if the sender has chosen one.
    pub(super) partition: Option<u32>,
    /// The key by which they go to a partition together.
    pub(super) key: Option<&'a str>,
    /// The batch that they are of an idempotent producer.
    pub(super) producer: Option<ProducerBatch>,
}

/// One event hub.
#[derive(Debug)]
pub(super) struct Hub {
    /// Its number in the log of a data folder.
    pub(super) number: u32,
    /// Its name, as it was configured; names are compared without regard to case.
    pub(super) name: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) created_ms: i64,
    /// The consumer groups that may read it.
    pub(super) consumer_groups: Vec<String>,
    partitions: Vec<Partition>,
    /// The next partition for an event without a key.
    turn: AtomicU64,
    /// Deliveries that were refused.
    pub(super) rejected: AtomicU64,
    /// Deliveries that were refused because of the throughput limit; these are not in `rejected`.
    pub(super) throttled: AtomicU64,
    /// Deleted by a fault: it is not found any more, while its events can still be counted.
    deleted: AtomicBool,
}

impl Hub {
    /// An empty hub. `partitions` of 0 counts as 1.
    pub(super) fn new(name: &str, partitions: u32, consumer_groups: &[String], now_ms: i64) -> Self {
        let logs = (0..partitions.max(1)).map(|_| Log::new(now_ms)).collect();
        Self::with_events(0, name, logs, consumer_groups, now_ms)
    }

    /// A hub with a partition for each of these logs.
    pub(super) fn with_events(
        number: u32,
        name: &str,
        logs: Vec<Log>,
        consumer_groups: &[String],
        created_ms: i64,
    ) -> Self {
        Self {
            number,
            name: name.to_owned(),
            created_ms,
            consumer_groups: consumer_groups.to_vec(),
            partitions: logs.into_iter().map(Partition::new).collect(),
            turn: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
        }
    }

    /// Makes it one that is not found any more.
    pub(super) fn delete(&self) {
        self.deleted.store(true, Ordering::Relaxed);
    }

    /// Whether it has been deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Relaxed)
    }

    /// How many partitions it has.
    pub(super) fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// A partition by its number; `None` beyond the last.
    pub(super) fn partition(&self, id: u32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(id).ok()?)
    }

    /// All partitions in order.
    pub(super) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Stores events that arrived together, in one partition and in order: the given one, else that of the key, else
    /// the next in turn.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(super) fn append(
        &self,
        to: Route<'_>,
        events: &[EventParts<'_>],
        now_ms: i64,
        keeper: Option<&Keeper>,
    ) -> Result<Appended, Unwritable> {
        let count = self.partition_count();
        let id = match (to.partition, to.key) {
            (Some(id), _) => id,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => u32::try_from(self.turn.fetch_add(1, Ordering::Relaxed) % u64::from(count)).unwrap_or(0),
        };
        let keeping = keeper.map(|keeper| Keeping { keeper, hub: self.number, partition: id, producer: to.producer });
        let Some(partition) = self.partition(id) else { return Ok(Appended::default()) };
        partition.append(to.key, events, now_ms, keeping.as_ref())
    }

    /// The memory that its events take, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.partitions.iter().map(Partition::memory).sum()
    }

    /// Drops what was enqueued before `before_ms`; gives the number of bytes that were given back.
    pub(super) fn expire(&self, before_ms: i64) -> u64 {
        self.partitions.iter().map(|partition| partition.expire(before_ms)).sum()
    }
}
