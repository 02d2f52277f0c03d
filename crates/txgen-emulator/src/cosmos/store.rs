//! The documents of one container, as bytes, with the indexes that the service's promises need.
//!
//! Four of them: by place (partition key hash, then age: the order of feeds and queries), by id within a partition key
//! (ids are unique there), by version (the change feed), and by expiry. Each costs some tens of bytes per document; the
//! bodies are the rest. Time is passed in, in Unix seconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::document::NewDocument;
use super::partition_key::Epk;
use crate::data::codec::Malformed;

/// What a document takes besides its body: its place in four indexes, its id, the allocator's own bookkeeping. Measured
/// at 200,000 documents of 870 bytes, and rounded up.
const OVERHEAD: u64 = 450;

/// Where a document is: its partition key's hash, and its number, which grows with every document of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) key: Epk,
    pub(super) number: u64,
}

/// A document as it was before a change, for [`Store::restore`].
#[derive(Debug)]
pub(super) struct Before {
    number: u64,
    document: Document,
    unique: Vec<String>,
}

/// What has been changed and is not kept yet.
#[derive(Debug, Default)]
struct Unkept {
    /// Each document that was touched, as it was before.
    touched: BTreeMap<(Epk, Box<str>), Option<Before>>,
    /// The numbers of the latest document and change that are kept.
    last_number: u64,
    last_version: u64,
}

/// What has become of documents since it was kept last.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    /// The numbers of the latest document and change.
    pub(super) last: (u64, u64),
    /// Where there are other documents than before, with what they have under unique keys.
    pub(super) put: Vec<(Place, &'a Document, &'a [String])>,
    /// Where there are none any more.
    pub(super) removed: Vec<Place>,
}

/// One stored document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The JSON object, without system properties.
    pub(super) body: Box<[u8]>,
    /// Grows with every change of the container: the number of the change that wrote this.
    pub(super) version: u64,
    /// When that was.
    pub(super) timestamp: u32,
    pub(super) ttl: Option<i32>,
    pub(super) properties: u16,
}

impl Document {
    /// How many top-level properties the body has, for the charge.
    pub(super) fn properties(&self) -> u32 {
        self.properties.into()
    }

    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> u64 {
        weight(self.body.len())
    }

    /// The second in which it is gone; `None` when it stays.
    fn expiry(&self, default_ttl: Option<i32>) -> Option<u32> {
        // Without a default the container has no expiry at all, whatever its documents say.
        let ttl = self.ttl.unwrap_or(default_ttl?);
        default_ttl?;
        u32::try_from(ttl).ok().map(|ttl| self.timestamp.saturating_add(ttl))
    }
}

/// About how many bytes of memory a document takes whose body has this size.
pub(super) fn weight(body: usize) -> u64 {
    body as u64 + OVERHEAD
}

/// The documents of one container.
#[derive(Debug)]
pub(super) struct Store {
    documents: BTreeMap<Place, Document>,
    ids: HashMap<(Epk, Box<str>), u64>,
    changes: BTreeMap<u64, Place>,
    expiries: BTreeSet<(u32, Place)>,
    /// What documents have under unique keys, by partition key, and the other way round.
    uniques: HashMap<(Epk, String), u64>,
    unique_of: HashMap<u64, Vec<String>>,
    /// The container's time to live: `None` is off, -1 on without a default.
    default_ttl: Option<i32>,
    last_number: u64,
    last_version: u64,
    bytes: u64,
    /// The memory that the documents of all containers take, in bytes.
    memory: Arc<AtomicU64>,
    /// Where documents are kept: what is to be kept of them.
    unkept: Option<Unkept>,
}

impl Drop for Store {
    fn drop(&mut self) {
        let weight = self.documents.values().map(Document::weight).sum();
        self.memory.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) version: u64,
    /// Whether the document is new.
    pub(super) created: bool,
}

impl Store {
    /// An empty one, that adds what it takes to `memory`.
    pub(super) fn new(default_ttl: Option<i32>, memory: Arc<AtomicU64>) -> Self {
        let (documents, ids, changes, expiries) = Default::default();
        Self {
            documents,
            ids,
            changes,
            expiries,
            uniques: HashMap::new(),
            unique_of: HashMap::new(),
            default_ttl,
            last_number: 0,
            last_version: 0,
            bytes: 0,
            memory,
            unkept: None,
        }
    }

    /// From now on, what changes is told by [`Self::changes_to_keep`].
    pub(super) fn begin_keeping(&mut self) {
        let (last_number, last_version) = (self.last_number, self.last_version);
        self.unkept = Some(Unkept { touched: BTreeMap::new(), last_number, last_version });
    }

    /// What has changed since the last [`Self::kept`], if anything has.
    pub(super) fn changes_to_keep(&self) -> Option<Changes<'_>> {
        let unkept = self.unkept.as_ref()?;
        let last = (self.last_number, self.last_version);
        if unkept.touched.is_empty() && last == (unkept.last_number, unkept.last_version) {
            return None;
        }
        let mut put = Vec::new();
        let mut gone = Vec::new();
        for ((key, id), before) in &unkept.touched {
            let number = self.ids.get(&(*key, id.clone()));
            let now = number.and_then(|number| {
                let place = Place { key: *key, number: *number };
                Some((place, self.documents.get(&place)?))
            });
            if let Some((place, document)) = now {
                let unique = self.unique_of.get(&place.number).map(Vec::as_slice).unwrap_or_default();
                put.push((place, document, unique));
            }
            gone.extend(before.as_ref().map(|before| Place { key: *key, number: before.number }));
        }
        // One that has another id now is where it was.
        gone.retain(|place| !self.documents.contains_key(place));
        Some(Changes { last, put, removed: gone })
    }

    /// What had changed is kept.
    pub(super) fn kept(&mut self) {
        if self.unkept.is_some() {
            self.begin_keeping();
        }
    }

    /// What had changed cannot be kept: it never happened.
    pub(super) fn undo(&mut self) {
        let Some(Unkept { touched, last_number, last_version }) = self.unkept.take() else { return };
        for (key, id) in touched.keys() {
            self.remove(*key, id);
        }
        for ((key, id), before) in touched {
            self.restore(key, &id, before);
        }
        (self.last_number, self.last_version) = (last_number, last_version);
        self.begin_keeping();
    }

    /// Remembers a document as it is, before it changes.
    fn touch(&mut self, key: Epk, id: &str) {
        let is_new = |unkept: &Unkept| !unkept.touched.contains_key(&(key, id.into()));
        if !self.unkept.as_ref().is_some_and(is_new) {
            return;
        }
        let before = self.before(key, id);
        if let Some(unkept) = &mut self.unkept {
            unkept.touched.insert((key, id.into()), before);
        }
    }

    /// Puts a document where it was kept.
    pub(super) fn put_back(&mut self, place: Place, document: Document, unique: Vec<String>) -> Result<(), Malformed> {
        let id = id_of(&document.body).ok_or(Malformed("a document has no id"))?;
        self.remove_from(place);
        if self.changes.contains_key(&document.version) || document.version == 0 || place.number == 0 {
            return Err(Malformed("two documents have the same version, or one has none"));
        }
        if self.ids.insert((place.key, id.into()), place.number).is_some() {
            return Err(Malformed("two documents have the same id"));
        }
        self.link_unique(place, unique);
        self.link(place, document);
        Ok(())
    }

    /// Takes out what is in a place.
    pub(super) fn remove_from(&mut self, place: Place) {
        let Some(old) = self.documents.remove(&place) else { return };
        if let Some(id) = id_of(&old.body) {
            self.ids.remove(&(place.key, id.into()));
        }
        self.unlink(place, &old);
    }

    /// The numbers of the latest document and change are these at least.
    pub(super) fn go_on_after(&mut self, (last_number, last_version): (u64, u64)) {
        self.last_number = self.last_number.max(last_number);
        self.last_version = self.last_version.max(last_version);
    }

    /// The numbers of the latest document and change.
    pub(super) fn last(&self) -> (u64, u64) {
        (self.last_number, self.last_version)
    }

    /// The version of the document in this place, expired or not.
    pub(super) fn version_at(&self, place: Place) -> Option<u64> {
        self.documents.get(&place).map(|document| document.version)
    }

    /// How many bytes their bodies have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the latest change.
    pub(super) fn last_version(&self) -> u64 {
        self.last_version
    }

    /// The document with this id under this partition key.
    pub(super) fn find(&self, key: Epk, id: &str, now: u32) -> Option<(Place, &Document)> {
        let number = *self.ids.get(&(key, id.into()))?;
        let place = Place { key, number };
        let document = self.documents.get(&place)?;
        document.expiry(self.default_ttl).is_none_or(|expiry| now < expiry).then_some((place, document))
    }

    /// The id of the document with this number under this partition key, and where it is.
    pub(super) fn id_at(&self, key: Epk, number: u64, now: u32) -> Option<String> {
        let document = self.documents.get(&Place { key, number })?;
        if document.expiry(self.default_ttl).is_some_and(|expiry| expiry <= now) {
            return None;
        }
        id_of(&document.body)
    }

    /// Whether another document under this partition key has what a new one has under a unique key.
    pub(super) fn violates_unique(&self, key: Epk, new: &NewDocument, now: u32) -> bool {
        new.unique.iter().any(|value| {
            let Some(number) = self.uniques.get(&(key, value.clone())) else { return false };
            let own = self.ids.get(&(key, new.id.as_str().into()));
            own != Some(number) && self.id_at(key, *number, now).is_some()
        })
    }

    /// Lets the document with one id have another that is free: the next version will say so.
    pub(super) fn rename(&mut self, key: Epk, from: &str, to: &str) {
        self.touch(key, from);
        self.touch(key, to);
        if let Some(number) = self.ids.remove(&(key, from.into())) {
            self.ids.insert((key, to.into()), number);
        }
    }

    /// What is needed to undo a change of the document with this id.
    pub(super) fn before(&self, key: Epk, id: &str) -> Option<Before> {
        let number = *self.ids.get(&(key, id.into()))?;
        let document = self.documents.get(&Place { key, number })?;
        let unique = self.unique_of.get(&number).cloned().unwrap_or_default();
        Some(Before { number, document: document.clone(), unique })
    }

    /// Puts a document back as it was, or takes it out where there was none.
    pub(super) fn restore(&mut self, key: Epk, id: &str, before: Option<Before>) {
        self.remove(key, id);
        let Some(Before { number, document, unique }) = before else { return };
        let place = Place { key, number };
        self.ids.insert((key, id.into()), number);
        self.link_unique(place, unique);
        self.link(place, document);
    }

    /// The document in this place, expired or not.
    pub(super) fn at(&self, place: Place) -> Option<&Document> {
        self.documents.get(&place)
    }

    /// How many documents there are that have not expired.
    pub(super) fn live(&self, now: u32) -> usize {
        let expired = self.expiries.iter().take_while(|(expiry, _)| *expiry <= now).count();
        self.documents.len() - expired
    }

    /// Stores a document, in the place of the one with its id if there is one.
    pub(super) fn put(&mut self, key: Epk, new: NewDocument, now: u32) -> Written {
        self.touch(key, &new.id);
        let live = self.find(key, &new.id, now).map(|(place, _)| place);
        if live.is_none() {
            // An expired document of that id, not yet removed, must not lend its number to the new one.
            self.remove(key, &new.id);
        }
        let place = live.unwrap_or_else(|| {
            self.last_number += 1;
            self.ids.insert((key, new.id.into()), self.last_number);
            Place { key, number: self.last_number }
        });
        self.last_version += 1;
        let document = Document {
            body: new.body,
            version: self.last_version,
            timestamp: now,
            ttl: new.ttl,
            properties: new.properties.try_into().unwrap_or(u16::MAX),
        };
        // The old version goes first: it may expire in the very second in which the new one does.
        if let Some(old) = self.documents.remove(&place) {
            self.unlink(place, &old);
        }
        if !new.unique.is_empty() {
            self.link_unique(place, new.unique);
        }
        self.link(place, document);
        Written { place, version: self.last_version, created: live.is_none() }
    }

    /// Puts a version into everything but `ids`.
    fn link(&mut self, place: Place, document: Document) {
        self.bytes += document.body.len() as u64;
        self.memory.fetch_add(document.weight(), Ordering::Relaxed);
        self.changes.insert(document.version, place);
        if let Some(expiry) = document.expiry(self.default_ttl) {
            self.expiries.insert((expiry, place));
        }
        self.documents.insert(place, document);
    }

    fn link_unique(&mut self, place: Place, unique: Vec<String>) {
        for value in &unique {
            self.uniques.insert((place.key, value.clone()), place.number);
        }
        if !unique.is_empty() {
            self.unique_of.insert(place.number, unique);
        }
    }

    /// Removes a document. Tells whether it was there, expired ones included.
    pub(super) fn remove(&mut self, key: Epk, id: &str) -> bool {
        self.touch(key, id);
        let Some(number) = self.ids.remove(&(key, id.into())) else { return false };
        let place = Place { key, number };
        if let Some(old) = self.documents.remove(&place) {
            self.unlink(place, &old);
        }
        self.last_version += 1;
        true
    }

    /// Takes a former version out of everything but `documents` and `ids`.
    fn unlink(&mut self, place: Place, old: &Document) {
        self.bytes -= old.body.len() as u64;
        self.memory.fetch_sub(old.weight(), Ordering::Relaxed);
        self.changes.remove(&old.version);
        if !self.unique_of.is_empty()
            && let Some(unique) = self.unique_of.remove(&place.number)
        {
            for value in unique {
                let value = (place.key, value);
                if self.uniques.get(&value) == Some(&place.number) {
                    self.uniques.remove(&value);
                }
            }
        }
        if let Some(expiry) = old.expiry(self.default_ttl) {
            self.expiries.remove(&(expiry, place));
        }
    }

    /// Gives back the memory of at most `limit` expired documents. Tells how many it found: fewer than `limit` means
    /// that none is left.
    pub(super) fn expire(&mut self, now: u32, limit: usize) -> usize {
        for done in 0..limit {
            let Some(&(expiry, place)) = self.expiries.first() else { return done };
            if now < expiry {
                return done;
            }
            let id = self.documents.get(&place).and_then(|document| id_of(&document.body));
            match id {
                Some(id) => self.remove(place.key, &id),
                // Cannot be: every stored body has an id. But a loop that waits for it must not hang.
                None => self.expiries.remove(&(expiry, place)),
            };
        }
        limit
    }

    /// Changes the container's time to live, which moves every document's expiry.
    pub(super) fn set_default_ttl(&mut self, default_ttl: Option<i32>) {
        self.default_ttl = default_ttl;
        let expiring = |(place, document): (&Place, &Document)| Some((document.expiry(default_ttl)?, *place));
        self.expiries = self.documents.iter().filter_map(expiring).collect();
    }

    /// The unexpired documents with partition key hashes in `keys`, in order, after the place `after`.
    pub(super) fn scan(
        &self,
        keys: &std::ops::Range<Epk>,
        after: Option<Place>,
        now: u32,
    ) -> impl Iterator<Item = (Place, &Document)> {
        let from = Place { key: keys.start, number: 0 };
        let start = match after {
            Some(after) if after >= from => Bound::Excluded(after),
            _ => Bound::Included(from),
        };
        let end = Place { key: keys.end, number: 0 };
        // A range that ends before it starts would panic: there is nothing in it.
        let is_empty = match start {
            Bound::Excluded(start) | Bound::Included(start) => start >= end,
            Bound::Unbounded => false,
        };
        let end =
            if is_empty { Bound::Included(Place { key: Epk::MAX, number: u64::MAX }) } else { Bound::Excluded(end) };
        self.documents
            .range((start, end))
            .take_while(move |_| !is_empty)
            .map(|(place, document)| (*place, document))
            .filter(move |(_, document)| document.expiry(self.default_ttl).is_none_or(|expiry| now < expiry))
    }

    /// What the document in this place has under unique keys.
    #[cfg(test)]
    pub(super) fn unique_of(&self, place: Place) -> Option<&Vec<String>> {
        self.unique_of.get(&place.number)
    }

    /// Holds the indexes against the documents, and gives the memory that these take, in bytes.
    ///
    /// # Panics
    /// When they do not agree.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) -> u64 {
        assert_eq!((self.ids.len(), self.changes.len()), (self.documents.len(), self.documents.len()));
        let expiring = self.documents.values().filter(|document| document.expiry(self.default_ttl).is_some()).count();
        assert_eq!(self.expiries.len(), expiring);
        for (place, document) in &self.documents {
            assert_eq!(self.changes.get(&document.version), Some(place));
            assert_eq!(
                id_of(&document.body).map(|id| self.ids.get(&(place.key, id.into()))),
                Some(Some(&place.number))
            );
        }
        let bodies: u64 = self.documents.values().map(|document| document.body.len() as u64).sum();
        assert_eq!(self.bytes, bodies);
        self.documents.values().map(Document::weight).sum()
    }

    /// The latest versions of the unexpired documents that changed after the change `after`, in the order of change.
    pub(super) fn changes(&self, after: u64, now: u32) -> impl Iterator<Item = (Place, &Document)> {
        self.changes
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|(_, place)| Some((*place, self.documents.get(place)?)))
            .filter(move |(_, document)| document.expiry(self.default_ttl).is_none_or(|expiry| now < expiry))
    }
}

/// The id that a stored body holds.
fn id_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_slice::<Id>(body).ok().map(|found| found.id)
}

#[cfg(test)]
mod tests;
