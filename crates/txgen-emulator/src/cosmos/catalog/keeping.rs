//! What an account holds, as records of a log: how they are written, what comes of them at a start, and which are dead.
//!
//! Databases, containers and offers have numbers that are never given twice. A record of one of them says all about it, so
//! that the latest is enough; documents may come before the record of their container.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::{Account, Container, ContainerParts, Database, Offer, lock, read};
use crate::cosmos::definition::Definition;
use crate::cosmos::failure::Failure;
use crate::cosmos::partition_key::Epk;
use crate::cosmos::partitions::{Partitions, Range};
use crate::cosmos::rid;
use crate::cosmos::store::{Changes, Document, Place, Store};
use crate::cosmos::throughput::{Budgets, Throughput};
use crate::data::codec::{Malformed, Reader, Writer};
use crate::data::segment::Service;
use crate::data::{DataDir, DataError, Journal, Kept, Unwritable};

const DATABASE: u8 = 1;
const DATABASE_GONE: u8 = 2;
const CONTAINER: u8 = 3;
const CONTAINER_GONE: u8 = 4;
const OFFER: u8 = 5;
/// Documents of one container that changed together, or not at all.
const CHANGES: u8 = 6;
/// Which numbers have been given.
const NUMBERS: u8 = 7;

/// Where an account keeps what it holds.
pub(in crate::cosmos) struct Keeper(Journal);

impl Keeper {
    /// Opens a folder, and gives what is in it.
    pub(super) fn open(dir: &DataDir, memory: &Arc<AtomicU64>) -> Result<(Self, Restored), DataError> {
        let mut restored = Restored::new(Arc::clone(memory));
        let journal = Journal::open(dir, Service::CosmosDb, |record| restored.apply(record))?;
        Ok((Self(journal), restored))
    }

    pub(in crate::cosmos) fn journal(&self) -> &Journal {
        &self.0
    }

    pub(super) fn database(&self, database: &Database) -> Result<(), Unwritable> {
        let mut record = Writer::new(DATABASE);
        record.u32(database.number).text(&database.id).u32(database.timestamp);
        offer(&mut record, database.offer.as_deref());
        self.0.append(&record.done())
    }

    pub(super) fn database_gone(&self, number: u32) -> Result<(), Unwritable> {
        let mut record = Writer::new(DATABASE_GONE);
        record.u32(number);
        self.0.append(&record.done())
    }

    /// A container with this definition, which is the one of that version.
    pub(super) fn container(
        &self,
        container: &Container,
        definition: &Definition,
        (version, timestamp): (u64, u32),
    ) -> Result<(), Unwritable> {
        let mut record = Writer::new(CONTAINER);
        record.u32(container.numbers.0).u32(container.numbers.1).u64(version).u32(timestamp);
        record.text(&Value::Object(definition.sent.clone()).to_string());
        offer(&mut record, Some(&*container.offer).filter(|_| !container.shares_offer));
        self.0.append(&record.done())
    }

    pub(super) fn container_gone(&self, (database, number): (u32, u32)) -> Result<(), Unwritable> {
        let mut record = Writer::new(CONTAINER_GONE);
        record.u32(database).u32(number);
        self.0.append(&record.done())
    }

    /// An offer with this version, time and throughput over partitions.
    pub(super) fn offer(&self, number: u32, changed: (u64, u32), budgets: &Budgets) -> Result<(), Unwritable> {
        let mut record = Writer::new(OFFER);
        write_offer(&mut record, number, changed, budgets);
        self.0.append(&record.done())
    }

    /// Documents of a container that have changed.
    pub(super) fn changes(&self, container: (u32, u32), changes: &Changes<'_>) -> Result<(), Unwritable> {
        let mut record = changes_of(container, changes.last);
        let count = record.len();
        record.u32(0);
        let mut puts = 0;
        for (place, document, unique) in &changes.put {
            write_document(&mut record, *place, document, unique);
            puts += 1;
        }
        record.patch_u32(count, puts);
        for place in &changes.removed {
            write_place(&mut record, *place);
        }
        self.0.append(&record.done())
    }

    /// Rewrites the log without what is dead.
    pub(in crate::cosmos) fn rewrite(&self, account: &Account) -> Result<(), Unwritable> {
        self.0.rewrite(|| self.snapshot(account), |record| account.of_record(record).unwrap_or(Kept::Nothing))
    }

    /// The numbers that have been given, which no database, container or document may have any more.
    fn snapshot(&self, account: &Account) -> Result<(), Unwritable> {
        let databases = account.databases();
        let mut record = Writer::new(NUMBERS);
        record.u32(account.last_database.load(Ordering::Relaxed)).u32(account.last_offer.load(Ordering::Relaxed));
        for database in &databases {
            record.u32(database.number).u32(database.last_container.load(Ordering::Relaxed));
        }
        self.0.append(&record.done())?;
        for container in account.containers() {
            let store = container.store();
            let mut record = changes_of(container.numbers, store.last());
            record.u32(0);
            self.0.append(&record.done())?;
        }
        Ok(())
    }
}

fn changes_of(container: (u32, u32), last: (u64, u64)) -> Writer {
    let mut record = Writer::new(CHANGES);
    record.u32(container.0).u32(container.1).u64(last.0).u64(last.1);
    record
}

fn write_place(record: &mut Writer, place: Place) {
    write_epk(record, place.key);
    record.u64(place.number);
}

fn write_document(record: &mut Writer, place: Place, document: &Document, unique: &[String]) {
    write_place(record, place);
    record.u64(document.version).u32(document.timestamp).u32(document.properties.into());
    match document.ttl {
        None => record.u8(0),
        Some(ttl) => record.u8(1).i32(ttl),
    };
    record.u32(u32::try_from(unique.len()).unwrap_or(u32::MAX));
    for value in unique {
        record.text(value);
    }
    record.bytes(&document.body);
}

fn write_epk(record: &mut Writer, key: Epk) {
    let number = key.number();
    // Both casts keep 64 bits on purpose: the halves.
    #[allow(clippy::cast_possible_truncation)]
    record.u64((number >> 64) as u64).u64(number as u64);
}

/// An offer, if there is one.
fn offer(record: &mut Writer, offer: Option<&Offer>) {
    let Some(offer) = offer else {
        record.u8(0);
        return;
    };
    record.u8(1);
    let changed = lock(&offer.changed);
    write_offer(record, offer.number, *changed, &lock(&offer.budgets));
}

fn write_offer(record: &mut Writer, number: u32, (version, timestamp): (u64, u32), budgets: &Budgets) {
    record.u32(number).u64(version).u32(timestamp);
    match budgets.throughput() {
        Throughput::Manual(limit) => record.u8(0).u32(limit),
        Throughput::Autoscale { max, increment_percent: None } => record.u8(1).u32(max),
        Throughput::Autoscale { max, increment_percent: Some(percent) } => record.u8(2).u32(max).u32(percent),
    };
    let partitions = budgets.partitions();
    record.u32(partitions.version()).u32(u32::try_from(partitions.ranges().len()).unwrap_or(u32::MAX));
    for range in partitions.ranges() {
        record.u32(range.id);
        write_epk(record, range.min);
        write_epk(record, range.max);
        record.u32(u32::try_from(range.parents.len()).unwrap_or(u32::MAX));
        for parent in &range.parents {
            record.u32(*parent);
        }
    }
}

fn read_epk(record: &mut Reader<'_>) -> Result<Epk, Malformed> {
    let (high, low) = (record.u64()?, record.u64()?);
    Ok(Epk::from_number(u128::from(high) << 64 | u128::from(low)))
}

fn read_place(record: &mut Reader<'_>) -> Result<Place, Malformed> {
    Ok(Place { key: read_epk(record)?, number: record.u64()? })
}

fn read_document(record: &mut Reader<'_>) -> Result<(Place, Document, Vec<String>), Malformed> {
    let place = read_place(record)?;
    let (version, timestamp, properties) = (record.u64()?, record.u32()?, record.u32()?);
    let ttl = if record.u8()? == 0 { None } else { Some(record.i32()?) };
    let mut unique = Vec::new();
    for _ in 0..record.u32()? {
        unique.push(record.text()?.to_owned());
    }
    let body = record.bytes()?.into();
    let properties = properties.try_into().map_err(|_| Malformed("a document has too many properties"))?;
    Ok((place, Document { body, version, timestamp, ttl, properties }, unique))
}

fn read_offer(record: &mut Reader<'_>) -> Result<KeptOffer, Malformed> {
    let (number, version, timestamp) = (record.u32()?, record.u64()?, record.u32()?);
    let (kind, limit) = (record.u8()?, record.u32()?);
    let throughput = match kind {
        0 => Throughput::Manual(limit),
        1 => Throughput::Autoscale { max: limit, increment_percent: None },
        _ => Throughput::Autoscale { max: limit, increment_percent: Some(record.u32()?) },
    };
    let next_id = record.u32()?;
    let mut ranges = Vec::new();
    for _ in 0..record.u32()? {
        let (id, min, max) = (record.u32()?, read_epk(record)?, read_epk(record)?);
        let mut parents = Vec::new();
        for _ in 0..record.u32()? {
            parents.push(record.u32()?);
        }
        ranges.push(Range { id, min, max, parents });
    }
    let partitions = Partitions::from_ranges(ranges, next_id).ok_or(Malformed("partitions leave gaps or overlap"))?;
    Ok(KeptOffer { number, changed: (version, timestamp), budgets: Budgets::over(partitions, throughput) })
}

impl Account {
    /// What of a record is not dead.
    fn of_record(&self, record: &[u8]) -> Result<Kept, Malformed> {
        let mut reader = Reader::new(record);
        let tag = reader.u8()?;
        let is_live = match tag {
            DATABASE => self.database_with(reader.u32()?).is_some(),
            CONTAINER => {
                let container = self.container_with((reader.u32()?, reader.u32()?));
                let version = reader.u64()?;
                container.is_some_and(|container| read(&container.properties).version == version)
            }
            OFFER => {
                let (number, version) = (reader.u32()?, reader.u64()?);
                self.offers().iter().any(|offer| offer.number == number && lock(&offer.changed).0 == version)
            }
            CHANGES => return self.of_changes(reader),
            // Deleted is what comes before these, and has been dropped by now.
            _ => false,
        };
        Ok(if is_live { Kept::Whole } else { Kept::Nothing })
    }

    fn of_changes(&self, mut record: Reader<'_>) -> Result<Kept, Malformed> {
        let numbers = (record.u32()?, record.u32()?);
        let last = (record.u64()?, record.u64()?);
        let Some(container) = self.container_with(numbers) else { return Ok(Kept::Nothing) };
        let count = record.u32()?;
        let mut live = Vec::new();
        for _ in 0..count {
            let (place, document, unique) = read_document(&mut record)?;
            if container.store().version_at(place) == Some(document.version) {
                live.push((place, document, unique));
            }
        }
        let kept = u32::try_from(live.len()).unwrap_or(u32::MAX);
        if kept == 0 {
            return Ok(Kept::Nothing);
        }
        if kept == count && record.rest().is_empty() {
            return Ok(Kept::Whole);
        }
        // What would come back to life with the others is left out.
        let mut part = changes_of(numbers, last);
        part.u32(kept);
        for (place, document, unique) in &live {
            write_document(&mut part, *place, document, unique);
        }
        Ok(Kept::Part(part.done()))
    }

    fn database_with(&self, number: u32) -> Option<Arc<Database>> {
        read(&self.databases).values().find(|database| database.number == number).cloned()
    }

    fn container_with(&self, numbers: (u32, u32)) -> Option<Arc<Container>> {
        let database = self.database_with(numbers.0)?;
        read(&database.containers).values().find(|container| container.numbers == numbers).cloned()
    }

    /// Puts into an account that is empty what these records say, up to the first that no log has.
    #[cfg(any(test, fuzzing))]
    pub(in crate::cosmos) fn restore_records(&self, records: &[Vec<u8>]) {
        let mut restored = Restored::new(Arc::clone(&self.memory));
        let _ = records.iter().try_for_each(|record| restored.apply(record));
        let _ = self.restore(restored);
    }

    /// Puts what was kept into an account that is empty.
    ///
    /// # Errors
    /// When a definition is not taken any more.
    pub(super) fn restore(&self, mut restored: Restored) -> Result<(), Failure> {
        self.last_database.store(restored.last_database, Ordering::Relaxed);
        self.last_offer.store(restored.last_offer, Ordering::Relaxed);
        for (number, kept) in std::mem::take(&mut restored.databases) {
            let rid = rid::database(number);
            let link = format!("dbs/{rid}/");
            let offer = restored.offer(kept.offer, &rid, &link);
            let database = Database {
                id: kept.id,
                number,
                offer,
                rid,
                link,
                timestamp: kept.timestamp,
                containers: Default::default(),
                last_container: AtomicU32::new(restored.last_containers.get(&number).copied().unwrap_or(0)),
            };
            for (numbers, kept) in restored.containers_of(number) {
                let container = restored.container(&database, numbers, kept)?;
                super::write(&database.containers).insert(container.id.clone(), Arc::new(container));
            }
            super::write(&self.databases).insert(database.id.clone(), Arc::new(database));
        }
        Ok(())
    }
}

struct KeptDatabase {
    id: String,
    timestamp: u32,
    /// The number of its offer.
    offer: Option<u32>,
}

struct KeptContainer {
    changed: (u64, u32),
    definition: Map<String, Value>,
    /// The number of its own offer.
    offer: Option<u32>,
}

struct KeptOffer {
    number: u32,
    changed: (u64, u32),
    budgets: Budgets,
}

/// What a log holds.
pub(super) struct Restored {
    databases: BTreeMap<u32, KeptDatabase>,
    containers: BTreeMap<(u32, u32), KeptContainer>,
    offers: BTreeMap<u32, KeptOffer>,
    stores: BTreeMap<(u32, u32), Store>,
    last_database: u32,
    last_offer: u32,
    last_containers: BTreeMap<u32, u32>,
    memory: Arc<AtomicU64>,
}

impl Restored {
    pub(super) fn new(memory: Arc<AtomicU64>) -> Self {
        Self {
            databases: BTreeMap::new(),
            containers: BTreeMap::new(),
            offers: BTreeMap::new(),
            stores: BTreeMap::new(),
            last_database: 0,
            last_offer: 0,
            last_containers: BTreeMap::new(),
            memory,
        }
    }

    /// Takes the next record.
    pub(super) fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let mut record = Reader::new(record);
        match record.u8()? {
            DATABASE => {
                let (number, id, timestamp) = (record.u32()?, record.text()?.to_owned(), record.u32()?);
                let offer = self.read_offer(&mut record)?;
                self.last_database = self.last_database.max(number);
                self.databases.insert(number, KeptDatabase { id, timestamp, offer });
            }
            DATABASE_GONE => {
                let number = record.u32()?;
                self.databases.remove(&number);
                self.containers.retain(|(database, _), _| *database != number);
                self.stores.retain(|(database, _), _| *database != number);
            }
            CONTAINER => {
                let numbers = (record.u32()?, record.u32()?);
                let changed = (record.u64()?, record.u32()?);
                let definition = serde_json::from_str(record.text()?);
                let definition = definition.map_err(|_| Malformed("a container's definition is not JSON"))?;
                let offer = self.read_offer(&mut record)?;
                let last = self.last_containers.entry(numbers.0).or_default();
                *last = (*last).max(numbers.1);
                self.containers.insert(numbers, KeptContainer { changed, definition, offer });
            }
            CONTAINER_GONE => {
                let numbers = (record.u32()?, record.u32()?);
                self.containers.remove(&numbers);
                self.stores.remove(&numbers);
            }
            OFFER => {
                let offer = read_offer(&mut record)?;
                self.take_offer(offer);
            }
            CHANGES => return self.changes(record),
            NUMBERS => {
                self.last_database = self.last_database.max(record.u32()?);
                self.last_offer = self.last_offer.max(record.u32()?);
                while !record.rest().is_empty() {
                    let last = self.last_containers.entry(record.u32()?).or_default();
                    *last = (*last).max(record.u32()?);
                }
            }
            _ => return Err(Malformed("there is no such kind of record")),
        }
        record.end()
    }

    fn read_offer(&mut self, record: &mut Reader<'_>) -> Result<Option<u32>, Malformed> {
        if record.u8()? == 0 {
            return Ok(None);
        }
        let offer = read_offer(record)?;
        let number = offer.number;
        self.take_offer(offer);
        Ok(Some(number))
    }

    /// The latest version counts, in whatever order they come.
    fn take_offer(&mut self, offer: KeptOffer) {
        self.last_offer = self.last_offer.max(offer.number);
        if self.offers.get(&offer.number).is_none_or(|known| known.changed.0 <= offer.changed.0) {
            self.offers.insert(offer.number, offer);
        }
    }

    fn changes(&mut self, mut record: Reader<'_>) -> Result<(), Malformed> {
        let numbers = (record.u32()?, record.u32()?);
        let last = (record.u64()?, record.u64()?);
        let store = self.stores.entry(numbers).or_insert_with(|| Store::new(None, Arc::clone(&self.memory)));
        store.go_on_after(last);
        let mut put = Vec::new();
        for _ in 0..record.u32()? {
            put.push(read_document(&mut record)?);
        }
        let mut removed = Vec::new();
        while !record.rest().is_empty() {
            removed.push(read_place(&mut record)?);
        }
        // What is replaced goes first, for two documents may have changed their ids with each other.
        removed.into_iter().chain(put.iter().map(|(place, ..)| *place)).for_each(|place| store.remove_from(place));
        for (place, document, unique) in put {
            if place.number > last.0 || document.version > last.1 {
                return Err(Malformed("a document's number is higher than the highest"));
            }
            store.put_back(place, document, unique)?;
        }
        Ok(())
    }

    fn offer(&mut self, number: Option<u32>, resource_rid: &str, resource_link: &str) -> Option<Arc<Offer>> {
        let kept = self.offers.remove(&number?)?;
        Some(Arc::new(Offer::new(kept.number, kept.changed, kept.budgets, resource_rid, resource_link)))
    }

    fn containers_of(&mut self, database: u32) -> Vec<((u32, u32), KeptContainer)> {
        let mut rest = self.containers.split_off(&(database, 0));
        let mut others = database.checked_add(1).map_or_else(BTreeMap::new, |next| rest.split_off(&(next, 0)));
        self.containers.append(&mut others);
        rest.into_iter().collect()
    }

    fn container(
        &mut self,
        database: &Database,
        numbers: (u32, u32),
        kept: KeptContainer,
    ) -> Result<Container, Failure> {
        let definition = Definition::from_json(kept.definition)?;
        let rid = rid::container(numbers.0, numbers.1);
        let link = format!("{}colls/{rid}/", database.link);
        let own = self.offer(kept.offer, &rid, &link);
        let shares_offer = own.is_none();
        let offer = own.or_else(|| database.offer.clone());
        let offer = offer.ok_or_else(|| Failure::bad_request("The throughput of a container is not there."))?;
        let mut store = self.stores.remove(&numbers).unwrap_or_else(|| Store::new(None, Arc::clone(&self.memory)));
        store.set_default_ttl(definition.default_ttl);
        store.begin_keeping();
        let parts = ContainerParts { rid, link, numbers, offer, shares_offer, changed: kept.changed, store };
        Ok(Container::new(database, definition, parts))
    }
}

#[cfg(test)]
mod tests;
