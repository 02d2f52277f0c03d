//! What has been sent: hubs, their partitions, and the events in them.

mod log;
mod partition;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) use log::{OVERHEAD, Position};
pub(super) use partition::{Appended, Partition, Refused, Subscription};

use super::wire::message::EventParts;
use txgen_azure::event_hubs::partition_hash::partition_of;

/// One event hub.
#[derive(Debug)]
pub(super) struct Hub {
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
        Self {
            name: name.to_owned(),
            created_ms: now_ms,
            consumer_groups: consumer_groups.to_vec(),
            partitions: (0..partitions.max(1)).map(|_| Partition::new(now_ms)).collect(),
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
    pub(super) fn append(
        &self,
        partition: Option<u32>,
        key: Option<&str>,
        events: &[EventParts<'_>],
        now_ms: i64,
    ) -> Appended {
        let count = self.partition_count();
        let id = match (partition, key) {
            (Some(id), _) => id,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => u32::try_from(self.turn.fetch_add(1, Ordering::Relaxed) % u64::from(count)).unwrap_or(0),
        };
        self.partition(id).map_or_else(Appended::default, |partition| partition.append(key, events, now_ms))
    }

    /// Drops what was enqueued before `before_ms`; gives the number of bytes that were given back.
    pub(super) fn expire(&self, before_ms: i64) -> u64 {
        self.partitions.iter().map(|partition| partition.expire(before_ms)).sum()
    }
}
