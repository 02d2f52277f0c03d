//! What a namespace holds, as records of a log: how they are written, what comes of them at a start, and which are dead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;

use super::kafka::Committed;
use super::message::EventParts;
use super::options::HubOptions;
use super::store::{Hub, Log, Mark, NewEvent};
use crate::data::codec::{Malformed, Reader, Writer};
use crate::data::segment::Service;
use crate::data::{DataDir, DataError, Journal, Kept, Unwritable};

/// A hub's number, name, time of creation, number of partitions and consumer groups. Never dead.
const HUB: u8 = 1;
/// Events of one partition that arrived together.
const EVENTS: u8 = 2;
/// Where a partition stands.
const MARK: u8 = 3;
/// What a consumer group of Kafka has committed.
const OFFSET: u8 = 4;
/// The id that the next idempotent producer gets.
const NEXT_PRODUCER: u8 = 5;

/// Sequence numbers and offsets end long before they could overflow.
const MAX_NUMBER: i64 = 1 << 60;
/// Batches of an idempotent producer that are remembered, as clients have at most so many under way.
pub(super) const REMEMBERED: usize = 5;

/// A batch of an idempotent producer of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerBatch {
    pub(super) id: i64,
    pub(super) epoch: i16,
    /// The sequence numbers of its first and last record.
    pub(super) first: i32,
    pub(super) last: i32,
}

/// The latest batches of one producer on one partition: their epoch, and of each the first and the last sequence number and
/// the offset of the first record.
pub(super) type Batches = (i16, VecDeque<(i32, i32, i64)>);

/// A group's name, a hub's in lower case, a partition.
pub(super) type OffsetKey = (String, String, i32);

/// What is kept of Kafka, besides events.
#[derive(Debug, Default)]
pub(super) struct KafkaState {
    pub(super) offsets: BTreeMap<OffsetKey, Committed>,
    /// By producer, hub and partition.
    pub(super) batches: BTreeMap<(i64, String, i32), Batches>,
    /// The id that the next producer gets; 0 when none has got one.
    pub(super) next_producer: i64,
}

/// Where a namespace keeps what it holds.
#[derive(Debug)]
pub(super) struct Keeper(Journal);

/// Where the events of one delivery are kept.
#[derive(Debug)]
pub(super) struct Keeping<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) hub: u32,
    pub(super) partition: u32,
    pub(super) producer: Option<ProducerBatch>,
}

impl Keeping<'_> {
    /// Keeps events that are about to be stored in a partition which stands there.
    pub(super) fn events(
        &self,
        mark: Mark,
        enqueued_ms: i64,
        key: Option<&str>,
        events: &[EventParts<'_>],
    ) -> Result<(), Unwritable> {
        let mut record = Writer::new(EVENTS);
        record.u32(self.hub).u32(self.partition).i64(mark.next_sequence_number);
        record.u32(u32::try_from(events.len()).unwrap_or(u32::MAX));
        record.i64(mark.next_offset).i64(mark.last_offset).i64(enqueued_ms);
        match self.producer {
            None => {
                record.u8(0);
            }
            Some(batch) => {
                record.u8(1).i64(batch.id).i32(batch.epoch.into()).i32(batch.first).i32(batch.last);
            }
        }
        for event in events {
            match event.key.or(key) {
                None => record.u8(0),
                Some(key) => record.u8(1).text(key),
            };
            record.u32(event.annotation_values).bytes(&event.annotations).bytes(&event.message);
        }
        self.keeper.0.append(&record.done())
    }
}

impl Keeper {
    /// Opens a folder, and gives what is in it.
    pub(super) fn open(dir: &DataDir) -> Result<(Self, Restored), DataError> {
        let mut restored = Restored { folder: dir.folder.clone(), ..Restored::default() };
        let journal = Journal::open(dir, Service::EventHubs, |record| restored.apply(record))?;
        Ok((Self(journal), restored))
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.0
    }

    fn hub(&self, number: u32, hub: &RestoredHub) -> Result<(), Unwritable> {
        let mut record = Writer::new(HUB);
        record.u32(number).text(&hub.name).i64(hub.created_ms).u32(hub.partitions);
        record.u32(u32::try_from(hub.groups.len()).unwrap_or(u32::MAX));
        for group in &hub.groups {
            record.text(group);
        }
        self.0.append(&record.done())
    }

    /// Keeps a committed offset.
    pub(super) fn offset(&self, group: &str, hub: &str, partition: i32, of: &Committed) -> Result<(), Unwritable> {
        let mut record = Writer::new(OFFSET);
        record.text(group).text(hub).i32(partition).i64(of.offset).i32(of.leader_epoch).text(&of.metadata);
        self.0.append(&record.done())
    }

    /// Keeps the id that the next idempotent producer gets.
    pub(super) fn next_producer(&self, id: i64) -> Result<(), Unwritable> {
        let mut record = Writer::new(NEXT_PRODUCER);
        record.i64(id);
        self.0.append(&record.done())
    }

    /// Rewrites the log without dead events; `kafka` appends what is kept of Kafka anew.
    pub(super) fn rewrite(
        &self,
        hubs: &[Arc<Hub>],
        kafka: impl FnOnce(&Self) -> Result<(), Unwritable>,
    ) -> Result<(), Unwritable> {
        let snapshot = || {
            for hub in hubs {
                for (id, partition) in (0..).zip(hub.partitions()) {
                    partition.mark(|mark| self.mark(hub.number, id, mark))?;
                }
            }
            kafka(self)
        };
        self.0.rewrite(snapshot, |record| {
            let partition = |hub: u32, id| hubs.iter().find(|of| of.number == hub)?.partition(id);
            match Head::read(record) {
                Ok(Head::Hub) => Kept::Whole,
                Ok(Head::Events { hub, partition: id, end })
                    if partition(hub, id).is_some_and(|partition| end > partition.start()) =>
                {
                    Kept::Whole
                }
                _ => Kept::Nothing,
            }
        })
    }

    fn mark(&self, hub: u32, partition: u32, mark: Mark) -> Result<(), Unwritable> {
        let mut record = Writer::new(MARK);
        record.u32(hub).u32(partition).i64(mark.next_sequence_number).i64(mark.next_offset);
        record.i64(mark.last_offset).i64(mark.last_enqueued_ms);
        self.0.append(&record.done())
    }
}

/// What tells whether a record is dead.
enum Head {
    Hub,
    /// The sequence number after the last event's.
    Events {
        hub: u32,
        partition: u32,
        end: i64,
    },
    /// Replaced by what is appended before a rewriting.
    Replaced,
}

impl Head {
    fn read(record: &[u8]) -> Result<Self, Malformed> {
        let mut record = Reader::new(record);
        Ok(match record.u8()? {
            HUB => Self::Hub,
            EVENTS => {
                let (hub, partition) = (record.u32()?, record.u32()?);
                Self::Events { hub, partition, end: record.i64()?.saturating_add(record.u32()?.into()) }
            }
            _ => Self::Replaced,
        })
    }
}

/// What a log holds.
#[derive(Debug, Default)]
pub(super) struct Restored {
    folder: std::path::PathBuf,
    hubs: BTreeMap<u32, RestoredHub>,
    /// By hub and partition. A partition's events may come before its hub's definition.
    logs: BTreeMap<(u32, u32), Log>,
    kafka: KafkaState,
    /// By number of the hub, which has its name later.
    batches: BTreeMap<(i64, u32, u32), Batches>,
}

#[derive(Clone, Debug, Default)]
struct RestoredHub {
    name: String,
    created_ms: i64,
    partitions: u32,
    groups: Vec<String>,
}

impl Restored {
    /// The logs of all partitions.
    #[cfg(any(test, fuzzing))]
    pub(super) fn logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.values()
    }

    /// Takes the next record.
    pub(super) fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(record);
        match reader.u8()? {
            HUB => self.hub(reader),
            EVENTS => self.events(reader),
            MARK => self.mark(reader),
            OFFSET => self.offset(reader),
            NEXT_PRODUCER => {
                self.kafka.next_producer = self.kafka.next_producer.max(reader.i64()?);
                reader.end()
            }
            _ => Err(Malformed("there is no such kind of record")),
        }
    }

    fn hub(&mut self, mut record: Reader<'_>) -> Result<(), Malformed> {
        let number = record.u32()?;
        let (name, created_ms, partitions) = (record.text()?.to_owned(), record.i64()?, record.u32()?);
        let mut groups = Vec::new();
        for _ in 0..record.u32()? {
            groups.push(record.text()?.to_owned());
        }
        record.end()?;
        if self.hubs.get(&number).is_some_and(|hub| hub.name != name || hub.partitions != partitions) {
            return Err(Malformed("an event hub changes its name or its partitions"));
        }
        self.hubs.insert(number, RestoredHub { name, created_ms, partitions, groups });
        Ok(())
    }

    fn events(&mut self, mut record: Reader<'_>) -> Result<(), Malformed> {
        let (hub, partition, first, count) = (record.u32()?, record.u32()?, record.i64()?, record.u32()?);
        let (next_offset, last_offset, enqueued_ms) = (record.i64()?, record.i64()?, record.i64()?);
        let log = self.log(
            hub,
            partition,
            Mark { next_sequence_number: first, next_offset, last_offset, last_enqueued_ms: enqueued_ms },
        )?;
        let batch = match record.u8()? {
            0 => None,
            _ => Some((record.i64()?, record.i32()?, record.i32()?, record.i32()?)),
        };
        for _ in 0..count {
            let key = if record.u8()? == 0 { None } else { Some(record.text()?) };
            let values = record.u32()?;
            let (annotations, message) = (record.bytes()?, record.bytes()?);
            log.push(NewEvent { key, annotations: (annotations, values), message }, enqueued_ms);
        }
        record.end()?;
        if let Some((id, epoch, begins, ends)) = batch {
            let epoch = i16::try_from(epoch).map_err(|_| Malformed("a producer's epoch is too large"))?;
            let batches = self.batches.entry((id, hub, partition)).or_default();
            if batches.0 != epoch {
                *batches = (epoch, VecDeque::new());
            }
            batches.1.push_back((begins, ends, first));
            if batches.1.len() > REMEMBERED {
                batches.1.pop_front();
            }
        }
        Ok(())
    }

    fn mark(&mut self, mut record: Reader<'_>) -> Result<(), Malformed> {
        let (hub, partition) = (record.u32()?, record.u32()?);
        let mark = Mark {
            next_sequence_number: record.i64()?,
            next_offset: record.i64()?,
            last_offset: record.i64()?,
            last_enqueued_ms: record.i64()?,
        };
        record.end()?;
        self.log(hub, partition, mark).map(|_| ())
    }

    fn offset(&mut self, mut record: Reader<'_>) -> Result<(), Malformed> {
        let key = (record.text()?.to_owned(), record.text()?.to_owned(), record.i32()?);
        let (offset, leader_epoch) = (record.i64()?, record.i32()?);
        let metadata = StrBytes::from_string(record.text()?.to_owned());
        record.end()?;
        self.kafka.offsets.insert(key, Committed { offset, leader_epoch, metadata });
        Ok(())
    }

    /// The log of a partition, which stands there.
    fn log(&mut self, hub: u32, partition: u32, at: Mark) -> Result<&mut Log, Malformed> {
        let is_sound = |number: i64| (0..MAX_NUMBER).contains(&number);
        if !is_sound(at.next_sequence_number) || !is_sound(at.next_offset) {
            return Err(Malformed("a sequence number or an offset is out of range"));
        }
        let log = self.logs.entry((hub, partition)).or_insert_with(|| Log::new(at.last_enqueued_ms));
        if log.go_on_at(at) { Ok(log) } else { Err(Malformed("a partition does not go on where it had ended")) }
    }

    /// The hubs that are asked for, with their events, and those that were kept besides; and what was kept of Kafka. New
    /// ones are kept.
    pub(super) fn with_hubs(
        mut self,
        wanted: &[HubOptions],
        keeper: &Keeper,
        now_ms: i64,
    ) -> Result<(Vec<Arc<Hub>>, KafkaState), DataError> {
        let mut order = Vec::new();
        for of in wanted {
            let known = self.hubs.iter().find(|(_, hub)| hub.name.eq_ignore_ascii_case(&of.name));
            let (number, mut hub) = match known {
                Some((number, hub)) => (*number, hub.clone()),
                None => {
                    let number = self.hubs.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
                    let (name, partitions) = (of.name.clone(), of.partitions.max(1));
                    (number, RestoredHub { name, created_ms: now_ms, partitions, groups: Vec::new() })
                }
            };
            if hub.partitions != of.partitions.max(1) {
                let what = format!(
                    "has the event hub '{}' with {} partitions, and {} are asked for: ask for as many, or use another folder",
                    hub.name, hub.partitions, of.partitions
                );
                return Err(DataError::Mismatch { folder: self.folder, what });
            }
            let is_new = |group: &&String| !hub.groups.iter().any(|known| known.eq_ignore_ascii_case(group));
            let groups: Vec<_> = of.consumer_groups.iter().filter(is_new).cloned().collect();
            if !groups.is_empty() {
                hub.groups.extend(groups);
                keeper.hub(number, &hub)?;
            }
            self.hubs.insert(number, hub);
            order.push(number);
        }
        let others: Vec<_> = self.hubs.keys().filter(|number| !order.contains(number)).copied().collect();
        order.extend(others);
        let mut names = BTreeMap::new();
        let mut hubs = Vec::new();
        for number in order {
            // Each is there, and is taken once, unless the options name a hub twice.
            let Some(hub) = self.hubs.remove(&number) else { continue };
            let log = |id| self.logs.remove(&(number, id)).unwrap_or_else(|| Log::new(hub.created_ms));
            let logs = (0..hub.partitions).map(log).collect();
            names.insert(number, hub.name.clone());
            hubs.push(Arc::new(Hub::with_events(number, &hub.name, logs, &hub.groups, hub.created_ms)));
        }
        for ((id, hub, partition), batches) in self.batches {
            if let (Some(name), Ok(partition)) = (names.get(&hub), i32::try_from(partition)) {
                self.kafka.batches.insert((id, name.clone(), partition), batches);
            }
        }
        Ok((hubs, self.kafka))
    }
}

#[cfg(test)]
mod tests;
