//! The account: its databases, containers and offers, and what they are made of.

mod container;
mod keeping;
mod offer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};

use super::auth::Gate;
use super::clock::Clock;
use super::definition::{Definition, check_name};
use super::failure::Failure;
use super::partition_key::Epk;
use super::rid;
use super::store::Store;
use super::throughput::{Budgets, Throughput};
use crate::data::{DataDir, DataError, Unwritable};
pub(super) use container::{Container, ContentPaths};
use container::{ContainerParts, Properties};
pub(super) use keeping::Keeper;
pub(super) use offer::Offer;

/// Databases and containers of the account, taken together, at most.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#control-plane>
const MAX_RESOURCES: usize = 500;
/// The longest definition of a container, in bytes: it is kept as it came.
pub(super) const MAX_DEFINITION_BYTES: usize = 128 * 1024;

/// Everything that is kept, and the counters of what went on.
pub(super) struct Account {
    pub(super) gate: Gate,
    pub(super) clock: Clock,
    pub(super) reach: Reach,
    limits: Limits,
    memory: Arc<AtomicU64>,
    pub(super) counters: Counters,
    databases: RwLock<BTreeMap<String, Arc<Database>>>,
    last_database: AtomicU32,
    last_offer: AtomicU32,
    /// Where everything is kept, if it is.
    keeper: Option<Keeper>,
}

/// How clients come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Whether the address that is listened on is one of IPv4.
    pub(super) ipv4: bool,
}

#[cfg(any(test, fuzzing))]
impl Reach {
    /// HTTP over IPv4, which is the default.
    pub(super) const HTTP: Self = Self { scheme: "http", ipv4: true };
}

/// What is enforced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Whether provisioned throughput is.
    pub(super) throughput: bool,
    /// Bytes of memory that documents may take.
    pub(super) memory: Option<u64>,
}

/// What went on since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) throttled: AtomicU64,
}

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Account {
    pub(super) fn new(gate: Gate, limits: Limits, reach: Reach) -> Self {
        Self {
            gate,
            clock: Clock::start(),
            reach,
            limits,
            memory: Arc::default(),
            counters: Counters::default(),
            databases: RwLock::default(),
            last_database: AtomicU32::new(0),
            last_offer: AtomicU32::new(0),
            keeper: None,
        }
    }

    /// Brings back what a folder holds, and keeps there what changes from now on.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn keep_in(mut self, dir: &DataDir) -> Result<Self, DataError> {
        let (keeper, restored) = Keeper::open(dir, &self.memory)?;
        self.restore(restored).map_err(|failure| DataError::Mismatch {
            folder: dir.folder.clone(),
            what: format!("holds a container that is not taken any more: {}", failure.message),
        })?;
        self.keeper = Some(keeper);
        Ok(self)
    }

    /// Where everything is kept, if it is.
    pub(super) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    fn keep(&self, write: impl FnOnce(&Keeper) -> Result<(), Unwritable>) -> Result<(), Failure> {
        self.keeper.as_ref().map_or(Ok(()), write).map_err(|unwritable| Failure::not_kept(&unwritable))
    }

    /// Keeps what has changed in a container's documents.
    ///
    /// # Errors
    /// When it cannot be kept: then nothing has changed.
    pub(super) fn keep_changes(&self, container: &Container, store: &mut Store) -> Result<(), Failure> {
        let Some(changes) = store.changes_to_keep() else { return Ok(()) };
        match self.keep(|keeper| keeper.changes(container.numbers, &changes)) {
            Ok(()) => store.kept(),
            Err(failure) => {
                store.undo();
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Waits until what was changed so far can be acknowledged.
    ///
    /// # Errors
    /// When it is not known whether it is kept.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        match &self.keeper {
            Some(keeper) => keeper.journal().settled().await.map_err(|unwritable| Failure::not_kept(&unwritable)),
            None => Ok(()),
        }
    }

    /// Whether most of what is kept is dead.
    pub(super) fn is_mostly_dead(&self) -> bool {
        let live = self.memory.load(Ordering::Relaxed);
        self.keeper.as_ref().is_some_and(|keeper| keeper.journal().is_mostly_dead(live))
    }

    /// Keeps what there is, and nothing more, so that the folder can be used again.
    pub(super) fn close(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.journal().close();
        }
    }

    /// All databases, by name.
    pub(super) fn databases(&self) -> Vec<Arc<Database>> {
        read(&self.databases).values().cloned().collect()
    }

    /// The database with this name or `_rid`.
    pub(super) fn database(&self, name: &str) -> Option<Arc<Database>> {
        let databases = read(&self.databases);
        databases.get(name).or_else(|| databases.values().find(|database| database.rid == name)).cloned()
    }

    pub(super) fn create_database(&self, id: &str, offer: Option<Throughput>) -> Result<Arc<Database>, Failure> {
        check_name(id)?;
        let mut databases = write(&self.databases);
        if databases.contains_key(id) {
            return Err(Failure::conflict());
        }
        let containers = databases.values().map(|database| read(&database.containers).len());
        if databases.len() + containers.sum::<usize>() >= MAX_RESOURCES {
            return Err(Failure::too_many_resources(MAX_RESOURCES));
        }
        let number = self.last_database.fetch_add(1, Ordering::Relaxed) + 1;
        let rid = rid::database(number);
        let link = format!("dbs/{rid}/");
        let timestamp = self.clock.unix();
        let database = Arc::new(Database {
            id: id.to_owned(),
            number,
            offer: offer.map(|throughput| self.new_offer(Budgets::new(throughput), &rid, &link)),
            rid,
            link,
            timestamp,
            containers: RwLock::default(),
            last_container: AtomicU32::new(0),
        });
        self.keep(|keeper| keeper.database(&database))?;
        databases.insert(id.to_owned(), Arc::clone(&database));
        Ok(database)
    }

    /// Takes the database out, with all that is in it. Tells whether it was there.
    pub(super) fn delete_database(&self, database: &Database) -> Result<bool, Failure> {
        let mut databases = write(&self.databases);
        let Some(there) = databases.get(&database.id) else { return Ok(false) };
        self.keep(|keeper| keeper.database_gone(there.number))?;
        Ok(databases.remove(&database.id).is_some())
    }

    /// Takes the container out, with all that is in it. Tells whether it was there.
    pub(super) fn delete_container(&self, database: &Database, container: &Container) -> Result<bool, Failure> {
        let mut containers = write(&database.containers);
        let Some(there) = containers.get(&container.id) else { return Ok(false) };
        self.keep(|keeper| keeper.container_gone(there.numbers))?;
        Ok(containers.remove(&container.id).is_some())
    }

    /// Puts another definition of a container in force: the time to live and what is kept as sent may change, id and key may
    /// not.
    pub(super) fn replace_container(&self, container: &Container, definition: Definition) -> Result<(), Failure> {
        if definition.id != container.id || definition.key != container.key {
            return Err(Failure::bad_request("The id and the partition key of a container cannot be changed."));
        }
        if definition.unique != container.unique {
            return Err(Failure::bad_request("The unique keys of a container cannot be changed."));
        }
        let mut properties = write(&container.properties);
        let (version, timestamp) = (properties.version + 1, self.clock.unix());
        self.keep(|keeper| keeper.container(container, &definition, (version, timestamp)))?;
        container.store().set_default_ttl(definition.default_ttl);
        *properties = Properties { definition, version, timestamp };
        Ok(())
    }

    /// Provisions another throughput.
    pub(super) fn replace_offer(&self, offer: &Offer, throughput: Throughput) -> Result<(), Failure> {
        let mut changed = lock(&offer.changed);
        let mut budgets = lock(&offer.budgets);
        let mut replaced = budgets.clone();
        replaced.replace(throughput, self.clock.uptime());
        let now = (changed.0 + 1, self.clock.unix());
        self.keep(|keeper| keeper.offer(offer.number, now, &replaced))?;
        (*changed, *budgets) = (now, replaced);
        Ok(())
    }

    /// All containers of all databases.
    pub(super) fn containers(&self) -> Vec<Arc<Container>> {
        self.databases().iter().flat_map(|database| database.containers()).collect()
    }

    /// All offers: those of databases and those of containers that have their own.
    pub(super) fn offers(&self) -> Vec<Arc<Offer>> {
        let databases = self.databases();
        let shared = databases.iter().filter_map(|database| database.offer.clone());
        let containers = databases.iter().flat_map(|database| database.containers());
        let dedicated = containers.filter(|container| !container.shares_offer).map(|c| Arc::clone(&c.offer));
        shared.chain(dedicated).collect()
    }

    pub(super) fn create_container(
        &self,
        database: &Database,
        definition: Definition,
        offer: Option<Throughput>,
    ) -> Result<Arc<Container>, Failure> {
        let others = self.databases().len() + self.containers().len();
        let mut containers = write(&database.containers);
        if containers.contains_key(&definition.id) {
            return Err(Failure::conflict());
        }
        if others >= MAX_RESOURCES {
            return Err(Failure::too_many_resources(MAX_RESOURCES));
        }
        let number = database.last_container.fetch_add(1, Ordering::Relaxed) + 1;
        let rid = rid::container(database.number, number);
        let link = format!("{}colls/{rid}/", database.link);
        let (offer, shares_offer) = match (offer, &database.offer) {
            (None, Some(shared)) => (Arc::clone(shared), true),
            (dedicated, _) => {
                let budgets = Budgets::of_container(dedicated.unwrap_or(Throughput::DEFAULT));
                (self.new_offer(budgets, &rid, &link), false)
            }
        };
        let mut store = Store::new(definition.default_ttl, Arc::clone(&self.memory));
        if self.keeper.is_some() {
            store.begin_keeping();
        }
        let (numbers, changed) = ((database.number, number), (1, self.clock.unix()));
        let parts = ContainerParts { rid, link, numbers, offer, shares_offer, changed, store };
        let container = Arc::new(Container::new(database, definition, parts));
        self.keep(|keeper| keeper.container(&container, &read(&container.properties).definition, changed))?;
        containers.insert(container.id.clone(), Arc::clone(&container));
        Ok(container)
    }

    fn new_offer(&self, budgets: Budgets, resource_rid: &str, resource_link: &str) -> Arc<Offer> {
        let number = self.last_offer.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Offer::new(number, (1, self.clock.unix()), budgets, resource_rid, resource_link))
    }

    /// Fails with 507 when a document that needs so many bytes more than there are in its place would be too much.
    pub(super) fn check_memory(&self, more: u64) -> Result<(), Failure> {
        match self.limits.memory {
            Some(limit) if self.memory.load(Ordering::Relaxed).saturating_add(more) > limit => {
                Err(Failure::out_of_memory(limit))
            }
            _ => Ok(()),
        }
    }

    /// The memory that the documents of all containers take, in bytes.
    #[cfg(any(test, fuzzing))]
    pub(super) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Gives back the memory of expired documents, with at most `batch` of them removed while a container is locked.
    pub(super) async fn expire(&self, batch: usize) {
        for container in self.containers() {
            loop {
                let expired = {
                    let mut store = container.store();
                    let expired = store.expire(self.clock.unix(), batch);
                    // What cannot be kept stays there, unseen, until it can.
                    self.keep_changes(&container, &mut store).map(|()| expired)
                };
                match expired {
                    Ok(expired) if expired == batch => tokio::task::yield_now().await,
                    _ => break,
                }
            }
        }
    }

    /// Spends RU where the key is, or fails with 429 and says when to come back.
    pub(super) fn spend(&self, container: &Container, key: Epk, charge: f64) -> Result<(), Failure> {
        if !self.limits.throughput {
            return Ok(());
        }
        let spent = lock(&container.offer.budgets).spend(key, charge, self.clock.uptime());
        spent.map_err(Failure::throttled)
    }

    /// Fails with 429 when a partition that holds these keys has nothing left in this second.
    pub(super) fn admit(&self, container: &Container, keys: &std::ops::Range<Epk>) -> Result<(), Failure> {
        if !self.limits.throughput {
            return Ok(());
        }
        let admitted = lock(&container.offer.budgets).admit(keys.clone(), self.clock.uptime());
        admitted.map_err(Failure::throttled)
    }

    /// Books what an admitted request turned out to cost.
    pub(super) fn charge(&self, container: &Container, keys: &std::ops::Range<Epk>, charge: f64) {
        if self.limits.throughput {
            lock(&container.offer.budgets).charge(keys.clone(), charge);
        }
    }
}

/// A database.
pub(super) struct Database {
    pub(super) id: String,
    pub(super) rid: String,
    number: u32,
    link: String,
    timestamp: u32,
    /// The throughput that its containers share, if it has any.
    pub(super) offer: Option<Arc<Offer>>,
    containers: RwLock<BTreeMap<String, Arc<Container>>>,
    last_container: AtomicU32,
}

impl Database {
    pub(super) fn containers(&self) -> Vec<Arc<Container>> {
        read(&self.containers).values().cloned().collect()
    }

    /// The container with this name or `_rid`.
    pub(super) fn container(&self, name: &str) -> Option<Arc<Container>> {
        let containers = read(&self.containers);
        containers.get(name).or_else(|| containers.values().find(|container| container.rid == name)).cloned()
    }

    pub(super) fn paths(&self) -> ContentPaths {
        ContentPaths::new(format!("dbs/{}", self.id), &self.rid)
    }

    pub(super) fn etag(&self) -> String {
        rid::etag(1, self.timestamp)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "_rid": self.rid, "_self": self.link, "_etag": self.etag(), "_ts": self.timestamp,
            "_colls": "colls/", "_users": "users/",
        })
    }
}

/// A panic while a lock was held leaves data that is consistent enough to go on with: no step here panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
