//! A container: its definition, its documents, and the partition key ranges that they lie in.

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::super::definition::{Definition, Paths};
use super::super::failure::Failure;
use super::super::key_definition::{KeyDefinition, KeyValues};
use super::super::partition_key::{Epk, PartitionKey};
use super::super::partitions::Range;
use super::super::query::Computed;
use super::super::rid;
use super::super::store::Store;
use super::{Database, Offer, lock, read};

/// A container.
pub(in crate::cosmos) struct Container {
    pub(in crate::cosmos) id: String,
    pub(in crate::cosmos) rid: String,
    /// The numbers of the database and of the container, for the `_rid` of documents.
    pub(in crate::cosmos) numbers: (u32, u32),
    /// Its `_self`.
    pub(in crate::cosmos) link: String,
    /// Where documents have their partition key.
    pub(in crate::cosmos) key: KeyDefinition,
    /// What no two documents under one partition key may both have.
    pub(in crate::cosmos) unique: Vec<Paths>,
    /// What answers about its documents say that these are in.
    pub(in crate::cosmos) paths: ContentPaths,
    pub(super) properties: RwLock<Properties>,
    pub(super) store: Mutex<Store>,
    /// Its own, or its database's.
    pub(in crate::cosmos) offer: Arc<Offer>,
    pub(super) shares_offer: bool,
}

/// What the resource of an answer is in, by name and by `_rid`: a container for documents, a database for containers.
///
/// <https://learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-response-headers>
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cosmos) struct ContentPaths {
    /// `dbs/Woodgrove` or `dbs/Woodgrove/colls/Transactions`; nothing where the name does not fit into a header.
    pub(in crate::cosmos) names: Option<HeaderValue>,
    pub(in crate::cosmos) rid: Option<HeaderValue>,
}

impl ContentPaths {
    pub(super) fn new(names: String, rid: &str) -> Self {
        Self { names: HeaderValue::try_from(names.into_bytes()).ok(), rid: HeaderValue::from_str(rid).ok() }
    }
}

/// What a container is made of, besides its definition.
pub(super) struct ContainerParts {
    pub(super) rid: String,
    pub(super) link: String,
    pub(super) numbers: (u32, u32),
    pub(super) offer: Arc<Offer>,
    pub(super) shares_offer: bool,
    /// Version and time of the definition.
    pub(super) changed: (u64, u32),
    pub(super) store: Store,
}

pub(super) struct Properties {
    pub(super) definition: Definition,
    pub(super) version: u64,
    pub(super) timestamp: u32,
}

impl Container {
    pub(super) fn new(database: &Database, definition: Definition, parts: ContainerParts) -> Self {
        let ContainerParts { rid, link, numbers, offer, shares_offer, changed: (version, timestamp), store } = parts;
        Self {
            id: definition.id.clone(),
            numbers,
            key: definition.key.clone(),
            unique: definition.unique.clone(),
            paths: ContentPaths::new(format!("dbs/{}/colls/{}", database.id, definition.id), &rid),
            store: Mutex::new(store),
            properties: RwLock::new(Properties { version, timestamp, definition }),
            rid,
            link,
            offer,
            shares_offer,
        }
    }

    pub(in crate::cosmos) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// The properties that are computed of each document.
    pub(in crate::cosmos) fn computed(&self) -> Vec<Computed> {
        read(&self.properties).definition.computed.clone()
    }

    /// Where a document with this partition key lies.
    pub(in crate::cosmos) fn place(&self, values: &KeyValues) -> Result<Epk, Failure> {
        match (values, self.key.paths().len()) {
            (KeyValues::One(_), 1) => Ok(self.key.place(values.as_slice())),
            (KeyValues::Many(many), count) if many.len() == count => Ok(self.key.place(many)),
            // A document without a partition key in a container of one path.
            (KeyValues::Many(many), 1) if many.is_empty() => Ok(self.key.place(&[PartitionKey::Undefined])),
            _ => Err(Failure::partition_key_size()),
        }
    }

    /// Its throughput in RU/s, and whether that is its database's.
    pub(in crate::cosmos) fn throughput(&self) -> (u32, bool) {
        (lock(&self.offer.budgets).throughput().limit(), self.shares_offer)
    }

    /// The id of the partition key range that holds this key.
    pub(in crate::cosmos) fn range_of(&self, key: Epk) -> u32 {
        let budgets = lock(&self.offer.budgets);
        let partitions = budgets.partitions();
        partitions.ranges()[partitions.index_of(key)].id
    }

    /// Where the partition key range ends that holds this key.
    pub(in crate::cosmos) fn end_of_range(&self, key: Epk) -> Epk {
        let budgets = lock(&self.offer.budgets);
        let partitions = budgets.partitions();
        partitions.ranges()[partitions.index_of(key)].max
    }

    /// The partition key range with this id.
    pub(in crate::cosmos) fn range(&self, id: &str) -> Option<Range> {
        lock(&self.offer.budgets).partitions().find(id.parse().ok()?).cloned()
    }

    /// The partition key ranges as the SDKs read them, and the version tag of the lot.
    pub(in crate::cosmos) fn ranges(&self) -> (Vec<Value>, String) {
        // Before the budgets, in the order in which a changed definition takes them.
        let timestamp = read(&self.properties).timestamp;
        let budgets = lock(&self.offer.budgets);
        let partitions = budgets.partitions();
        let version = format!("\"{}\"", partitions.version());
        // A handful of ranges.
        #[allow(clippy::cast_precision_loss)]
        let fraction = 1.0 / partitions.ranges().len() as f64;
        let to_json = |range: &Range| {
            let (database, container) = self.numbers;
            let rid = rid::range(database, container, range.id);
            json!({
                "id": range.id.to_string(), "_rid": rid, "_self": format!("{}pkranges/{rid}/", self.link),
                "_etag": rid::etag(u64::from(range.id), timestamp), "_ts": timestamp,
                "minInclusive": range.min.to_string(), "maxExclusive": range.max.to_string(),
                "parents": range.parents.iter().map(u32::to_string).collect::<Vec<_>>(),
                "ridPrefix": range.id, "throughputFraction": fraction, "status": "online",
            })
        };
        (partitions.ranges().iter().map(to_json).collect(), version)
    }

    pub(in crate::cosmos) fn etag(&self) -> String {
        let properties = read(&self.properties);
        rid::etag(properties.version, properties.timestamp)
    }

    pub(in crate::cosmos) fn to_json(&self) -> Value {
        let properties = read(&self.properties);
        let mut object = properties.definition.sent.clone();
        // The service leaves the first version out, and clients take a missing version for it.
        if properties.definition.key.version() == 1
            && let Some(Value::Object(key)) = object.get_mut("partitionKey")
        {
            key.remove("version");
        }
        let own = json!({
            "_rid": self.rid, "_self": self.link, "_ts": properties.timestamp,
            "_etag": rid::etag(properties.version, properties.timestamp),
            "_docs": "docs/", "_sprocs": "sprocs/", "_triggers": "triggers/", "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        });
        if let Value::Object(own) = own {
            object.extend(own);
        }
        Value::Object(object)
    }
}
