use super::*;
use crate::cosmos::partition_key::PartitionKey;

const ALL: std::ops::Range<Epk> = Epk::MIN..Epk::MAX;

fn store(default_ttl: Option<i32>) -> Store {
    Store::new(default_ttl, Arc::default())
}

fn key(text: &str) -> Epk {
    PartitionKey::String(text.to_owned()).effective()
}

fn document(id: &str, ttl: Option<i32>) -> NewDocument {
    NewDocument {
        id: id.to_owned(),
        partition_key: crate::cosmos::key_definition::KeyValues::One(PartitionKey::Undefined),
        ttl,
        properties: 1,
        unique: Vec::new(),
        body: format!("{{\"id\":\"{id}\"}}").into_bytes().into(),
    }
}

fn ids<'a>(documents: impl Iterator<Item = (Place, &'a Document)>) -> Vec<String> {
    documents.map(|(_, document)| id_of(&document.body).unwrap()).collect()
}

#[test]
fn an_id_is_unique_under_its_partition_key_only() {
    let mut store = store(None);
    assert!(store.put(key("us"), document("a", None), 0).created);
    assert!(store.put(key("gb"), document("a", None), 0).created);
    assert!(!store.put(key("us"), document("a", None), 0).created);
    assert_eq!(store.documents.len(), 2);
}

#[test]
fn a_replaced_document_keeps_its_place_and_gets_a_new_version() {
    let mut store = store(None);
    let first = store.put(key("us"), document("a", None), 0);
    let second = store.put(key("us"), document("a", None), 5);
    assert_eq!(first.place, second.place);
    assert!(second.version > first.version);
    assert_eq!(store.find(key("us"), "a", 9).unwrap().1.timestamp, 5);
    assert_eq!(store.bytes(), 10);
}

#[test]
fn a_removed_document_leaves_nothing_behind() {
    let mut store = store(Some(-1));
    store.put(key("us"), document("a", Some(10)), 0);
    assert!(store.remove(key("us"), "a"));
    assert!(!store.remove(key("us"), "a"));
    assert_eq!((store.documents.len(), store.bytes()), (0, 0));
    assert!(store.ids.is_empty() && store.changes.is_empty() && store.expiries.is_empty());
}

#[test]
fn scans_go_by_key_and_age_and_can_be_continued() {
    let mut store = store(None);
    for id in ["1", "2", "3"] {
        store.put(key("us"), document(id, None), 0);
        store.put(key("gb"), document(id, None), 0);
    }
    assert_eq!(store.scan(&ALL, None, 0).count(), 6);
    let us = key("us")..Epk::from_number(key("us").number() + 1);
    assert_eq!(ids(store.scan(&us, None, 0)), ["1", "2", "3"]);
    let (first, _) = store.scan(&us, None, 0).next().unwrap();
    assert_eq!(ids(store.scan(&us, Some(first), 0)), ["2", "3"]);
    let (last, _) = store.scan(&us, None, 0).last().unwrap();
    assert_eq!(store.scan(&us, Some(last), 0).count(), 0);
    assert_eq!(store.scan(&(Epk::MAX..Epk::MIN), None, 0).count(), 0);
    assert_eq!(store.scan(&us, Some(Place { key: Epk::MAX, number: 1 }), 0).count(), 0);
}

#[test]
fn the_change_feed_has_each_documents_latest_version_once() {
    let mut store = store(None);
    store.put(key("us"), document("a", None), 0);
    let second = store.put(key("us"), document("b", None), 0);
    store.put(key("us"), document("a", None), 0);
    assert_eq!(ids(store.changes(0, 0)), ["b", "a"]);
    assert_eq!(ids(store.changes(second.version, 0)), ["a"]);
    assert_eq!(store.changes(store.last_version(), 0).count(), 0);
}

#[test]
fn an_expired_document_is_gone_at_once_and_its_memory_soon() {
    let mut store = store(Some(-1));
    store.put(key("us"), document("a", Some(10)), 100);
    store.put(key("us"), document("b", None), 100);
    assert!(store.find(key("us"), "a", 109).is_some());
    assert!(store.find(key("us"), "a", 110).is_none());
    assert_eq!(ids(store.scan(&ALL, None, 110)), ["b"]);
    assert_eq!(ids(store.changes(0, 110)), ["b"]);
    assert_eq!(store.documents.len(), 2);
    assert_eq!(store.expire(110, 100), 1);
    assert_eq!((store.documents.len(), store.bytes()), (1, 10));
}

#[test]
fn a_replaced_document_expires_too() {
    let mut store = store(Some(-1));
    store.put(key("us"), document("a", Some(10)), 100);
    store.put(key("us"), document("a", Some(10)), 100);
    assert_eq!(store.expire(110, 100), 1);
}

#[test]
fn an_expired_id_can_be_used_again() {
    let mut store = store(Some(-1));
    let first = store.put(key("us"), document("a", Some(10)), 100);
    let second = store.put(key("us"), document("a", Some(10)), 120);
    assert!(second.created);
    assert_ne!(first.place, second.place);
    assert_eq!(store.expire(125, 100), 0);
    assert_eq!(store.documents.len(), 1);
}

#[test]
fn what_all_containers_take_is_known() {
    let memory = Arc::new(AtomicU64::new(0));
    let mut one = Store::new(Some(-1), Arc::clone(&memory));
    let mut other = Store::new(Some(-1), Arc::clone(&memory));
    one.put(key("us"), document("a", None), 0);
    other.put(key("us"), document("a", Some(5)), 0);
    other.put(key("us"), document("a", Some(5)), 0);
    assert_eq!(memory.load(Ordering::Relaxed), 2 * weight(10));
    other.expire(5, 10);
    assert_eq!(memory.load(Ordering::Relaxed), weight(10));
    drop(one);
    assert_eq!(memory.load(Ordering::Relaxed), 0);
}

#[test]
fn expiry_works_in_bounded_steps() {
    let mut store = store(Some(5));
    for i in 0..10 {
        store.put(key("us"), document(&i.to_string(), None), 0);
    }
    assert_eq!(store.expire(5, 4), 4);
    assert_eq!(store.documents.len(), 6);
    assert_eq!(store.expire(5, 100), 6);
}

#[test]
fn time_to_live_can_be_switched_on_and_off() {
    let mut store = store(None);
    store.put(key("us"), document("own", Some(10)), 0);
    store.put(key("us"), document("default", None), 0);
    assert_eq!(store.scan(&ALL, None, 1000).count(), 2);
    store.set_default_ttl(Some(20));
    assert_eq!(ids(store.scan(&ALL, None, 15)), ["default"]);
    assert_eq!(store.expire(20, 10), 2);
}
