//! A partition: its log, and who reads it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::super::bell::Bell;
use super::super::keeping::Keeping;
use super::super::message::{Delivery, EventParts, RuntimeMetrics};
use super::log::{Log, Mark, NewEvent, Position, StoredEvent};
use crate::data::Unwritable;

/// The service allows so many receivers without epoch on one partition and consumer group.
/// Source: <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
const MAX_READERS: usize = 5;

/// One partition of a hub.
#[derive(Debug)]
pub(in super::super) struct Partition {
    log: Mutex<Log>,
    /// The log's end, to be looked at without taking the log's lock.
    end: AtomicI64,
    readers: Mutex<Vec<Arc<Reader>>>,
    /// How many readers there are, so that an append with none of them costs no lock.
    reader_count: AtomicUsize,
    /// Rung like the readers, without being one: who waits here is under no epoch.
    watchers: Mutex<Vec<Arc<Bell>>>,
    /// How many watchers there are.
    watcher_count: AtomicUsize,
}

/// What became of events that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Appended {
    /// The sequence number of the first of them.
    pub(in super::super) first: i64,
    /// The memory that they take, in bytes.
    pub(in super::super) memory: u64,
}

/// Rings a bell for each append as long as it lives.
#[derive(Debug)]
pub(in super::super) struct Watch<'p> {
    partition: &'p Partition,
    bell: Arc<Bell>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut watchers = lock(&self.partition.watchers);
        if let Some(at) = watchers.iter().position(|bell| Arc::ptr_eq(bell, &self.bell)) {
            watchers.swap_remove(at);
        }
        self.partition.watcher_count.store(watchers.len(), Ordering::SeqCst);
    }
}

/// A receiver link on a partition.
#[derive(Debug)]
pub(in super::super) struct Reader {
    group: String,
    epoch: Option<i64>,
    /// What its client calls it.
    name: String,
    bell: Arc<Bell>,
    /// Set once a receiver with a higher epoch has taken the partition over: why.
    stolen: OnceLock<String>,
}

/// A reader as long as its link lives.
#[derive(Debug)]
pub(in super::super) struct Subscription {
    reader: Arc<Reader>,
}

impl Subscription {
    /// Why the link has lost its partition, once it has.
    pub(in super::super) fn stolen(&self) -> Option<&str> {
        self.reader.stolen.get().map(String::as_str)
    }
}

/// Why a receiver was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Refused {
    /// A receiver with this or a higher epoch has the partition.
    Epoch(String),
    /// There are five receivers without epoch already.
    TooMany,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks leaves the data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partition {
    /// A partition with these events.
    pub(super) fn new(log: Log) -> Self {
        Self {
            end: AtomicI64::new(log.end()),
            log: Mutex::new(log),
            readers: Mutex::new(Vec::new()),
            reader_count: AtomicUsize::new(0),
            watchers: Mutex::new(Vec::new()),
            watcher_count: AtomicUsize::new(0),
        }
    }

    /// Adds events that arrived together; an event without a key of its own has that of its batch.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(super) fn append(
        &self,
        key: Option<&str>,
        events: &[EventParts<'_>],
        now_ms: i64,
        keeping: Option<&Keeping<'_>>,
    ) -> Result<Appended, Unwritable> {
        let mut appended = Appended::default();
        {
            let mut log = lock(&self.log);
            if let Some(keeping) = keeping {
                keeping.events(log.mark(), log.enqueued_ms(now_ms), key, events)?;
            }
            appended.first = log.end();
            for event in events {
                let annotations = (event.annotations.as_slice(), event.annotation_values);
                appended.memory +=
                    log.push(NewEvent { key: event.key.or(key), annotations, message: &event.message }, now_ms);
            }
            self.end.store(log.end(), Ordering::SeqCst);
        }
        // A reader that subscribes after this look sees the new end by itself.
        if self.reader_count.load(Ordering::SeqCst) > 0 {
            for reader in lock(&self.readers).iter() {
                reader.bell.ring();
            }
        }
        if self.watcher_count.load(Ordering::SeqCst) > 0 {
            for bell in lock(&self.watchers).iter() {
                bell.ring();
            }
        }
        Ok(appended)
    }

    /// Where its log stands; `note` is called with it under the log's lock.
    pub(in super::super) fn mark<T>(&self, note: impl FnOnce(Mark) -> T) -> T {
        note(lock(&self.log).mark())
    }

    /// The sequence number of the oldest event that is still there; the next one's when there is none.
    pub(in super::super) fn start(&self) -> i64 {
        lock(&self.log).start()
    }

    /// Rings the bell for each append from now on, until the watch is dropped.
    pub(in super::super) fn watch(&self, bell: &Arc<Bell>) -> Watch<'_> {
        let mut watchers = lock(&self.watchers);
        watchers.push(Arc::clone(bell));
        self.watcher_count.store(watchers.len(), Ordering::SeqCst);
        Watch { partition: self, bell: Arc::clone(bell) }
    }

    /// Lets a receiver in, unless the service would not. A receiver with an epoch takes the partition from all others of
    /// its consumer group whose epoch is not higher. Those that it has trouble with are told its `name`.
    pub(in super::super) fn subscribe(
        &self,
        group: &str,
        epoch: Option<i64>,
        name: Option<&str>,
        bell: &Arc<Bell>,
    ) -> Result<Subscription, Refused> {
        let name = name.unwrap_or("nil");
        let mut readers = lock(&self.readers);
        let rivals: Vec<_> = readers
            .iter()
            .filter(|r| r.group.eq_ignore_ascii_case(group) && r.stolen.get().is_none())
            .cloned()
            .collect();
        let highest =
            rivals.iter().filter_map(|rival| Some((rival.epoch?, &rival.name))).max_by_key(|(epoch, _)| *epoch);
        match (epoch, highest) {
            (None, Some((highest, _))) => {
                return Err(Refused::Epoch(format!(
                    "At least one receiver for the endpoint is created with epoch of '{highest}', and so non-epoch \
                     receiver is not allowed. Either reconnect with a higher epoch, or make sure all epoch receivers \
                     are closed or disconnected."
                )));
            }
            (Some(epoch), Some((highest, holder))) if epoch < highest => {
                return Err(Refused::Epoch(format!(
                    "Receiver '{holder}' with a higher epoch '{highest}' already exists. Receiver '{name}' with epoch \
                     {epoch} cannot be created. Make sure you are creating receiver with increasing epoch value to ensure \
                     connectivity, or ensure all old epoch receivers are closed or disconnected."
                )));
            }
            (None, None) if rivals.len() >= MAX_READERS => return Err(Refused::TooMany),
            (None, None) => {}
            (Some(epoch), _) => {
                for rival in rivals {
                    let was = rival.epoch.unwrap_or(0);
                    // `set` fails for a link that was stolen before, which needs no second reason.
                    let _ = rival.stolen.set(format!(
                        "New receiver '{name}' with higher epoch of '{epoch}' is created hence current receiver \
                         '{}' with epoch '{was}' is getting disconnected. If you are recreating the receiver, make \
                         sure a higher epoch is used.",
                        rival.name,
                    ));
                    rival.bell.ring();
                }
            }
        }
        let reader = Arc::new(Reader {
            group: group.to_owned(),
            epoch,
            name: name.to_owned(),
            bell: Arc::clone(bell),
            stolen: OnceLock::new(),
        });
        readers.push(Arc::clone(&reader));
        self.reader_count.store(readers.len(), Ordering::SeqCst);
        Ok(Subscription { reader })
    }

    /// Lets a receiver go.
    pub(in super::super) fn unsubscribe(&self, subscription: &Subscription) {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| !Arc::ptr_eq(reader, &subscription.reader));
        self.reader_count.store(readers.len(), Ordering::SeqCst);
    }

    /// How many receivers it has.
    pub(in super::super) fn readers(&self) -> usize {
        self.reader_count.load(Ordering::SeqCst)
    }

    /// The sequence number that the next event gets.
    pub(in super::super) fn end(&self) -> i64 {
        self.end.load(Ordering::SeqCst)
    }

    /// The sequence number at which a position begins.
    pub(in super::super) fn find(&self, position: Position) -> i64 {
        lock(&self.log).find(position)
    }

    /// Hands the events from `sequence_number` on to `take` until it breaks off, under the log's lock.
    pub(in super::super) fn read(&self, sequence_number: i64, mut take: impl FnMut(&Delivery<'_>) -> ControlFlow<()>) {
        let log = lock(&self.log);
        for event in log.from(sequence_number) {
            if take(&event).is_break() {
                break;
            }
        }
    }

    /// What management and runtime metrics report: the first and the last sequence number, offset and time.
    pub(in super::super) fn properties(&self, now_ms: i64) -> (i64, RuntimeMetrics) {
        let log = lock(&self.log);
        let metrics = RuntimeMetrics {
            last_sequence_number: log.end() - 1,
            last_offset: log.last_offset(),
            last_enqueued_ms: log.last_enqueued_ms(),
            now_ms,
        };
        (log.start(), metrics)
    }

    /// Events and bytes that it ever took.
    pub(in super::super) fn taken(&self) -> (u64, u64) {
        let log = lock(&self.log);
        (log.end().unsigned_abs(), log.bytes_ever())
    }

    /// All events that are still there.
    pub(in super::super) fn events(&self) -> Vec<StoredEvent> {
        let log = lock(&self.log);
        log.from(0)
            .map(|event| StoredEvent {
                sequence_number: event.sequence_number,
                enqueued_ms: event.enqueued_ms,
                key: event.key.map(str::to_owned),
                message: event.message.to_vec(),
            })
            .collect()
    }

    /// The memory that its events take, in bytes.
    pub(super) fn memory(&self) -> u64 {
        lock(&self.log).memory()
    }

    /// Drops what was enqueued before this time; gives the number of bytes given back.
    pub(super) fn expire(&self, before_ms: i64) -> u64 {
        lock(&self.log).expire(before_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> (Partition, Arc<Bell>) {
        (Partition::new(Log::new(0)), Arc::new(Bell::default()))
    }

    #[test]
    fn a_higher_epoch_takes_the_partition_from_the_lower() {
        let (partition, bell) = partition();
        let first = partition.subscribe("$Default", Some(1), None, &bell).unwrap();
        let second = partition.subscribe("$default", Some(2), Some("second"), &bell).unwrap();
        assert!(first.stolen().unwrap().starts_with("New receiver 'second' with higher epoch of '2' is created hence"));
        assert!(second.stolen().is_none());
        let Err(Refused::Epoch(why)) = partition.subscribe("$Default", Some(1), Some("third"), &bell) else {
            panic!("it has the lower epoch");
        };
        let names = "Receiver 'second' with a higher epoch '2' already exists. Receiver 'third' with epoch 1 cannot";
        assert!(why.starts_with(names), "{why}");
    }

    #[test]
    fn a_receiver_without_epoch_is_refused_beside_one_with() {
        let (partition, bell) = partition();
        let plain = partition.subscribe("$Default", None, None, &bell).unwrap();
        let epoch = partition.subscribe("$Default", Some(0), None, &bell).unwrap();
        assert!(plain.stolen().is_some());
        assert!(partition.subscribe("$Default", None, None, &bell).is_err());
        partition.unsubscribe(&epoch);
        partition.unsubscribe(&plain);
        assert!(partition.subscribe("$Default", None, None, &bell).is_ok());
    }

    #[test]
    fn epochs_of_different_consumer_groups_do_not_meet() {
        let (partition, bell) = partition();
        let one = partition.subscribe("one", Some(1), None, &bell).unwrap();
        partition.subscribe("two", Some(9), None, &bell).unwrap();
        assert!(one.stolen().is_none());
    }

    #[test]
    fn a_sixth_receiver_without_epoch_is_refused() {
        let (partition, bell) = partition();
        for _ in 0..MAX_READERS {
            partition.subscribe("$Default", None, None, &bell).unwrap();
        }
        assert_eq!(partition.subscribe("$Default", None, None, &bell).err(), Some(Refused::TooMany));
    }
}
