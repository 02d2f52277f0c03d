//! A namespace that is opened again is the one that was closed, wherever its log was cut.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::event_hubs::kafka::Broker;
use crate::event_hubs::namespace::{Namespace, Now};
use crate::event_hubs::options::EventHubsEmulatorOptions;
use crate::event_hubs::store::Route;

fn options(folder: &Path) -> EventHubsEmulatorOptions {
    EventHubsEmulatorOptions {
        partitions: 2,
        data: Some(DataDir { folder: folder.to_owned(), sync: crate::data::DataSync::Os }),
        retention: Some(Duration::from_secs(60)),
        ..EventHubsEmulatorOptions::default()
    }
}

fn now(ms: i64) -> Now {
    Now { instant: Instant::now(), unix_ms: ms }
}

fn open(folder: &Path) -> (Arc<Namespace>, Broker) {
    let (namespace, kafka) = Namespace::open(options(folder), now(1_000)).unwrap();
    let namespace = Arc::new(namespace);
    (Arc::clone(&namespace), Broker::new(namespace, kafka))
}

/// All that a client could see.
fn seen(namespace: &Namespace) -> String {
    let mut seen = String::new();
    for hub in namespace.hubs() {
        writeln!(seen, "{} {} {:?}", hub.name, hub.created_ms, hub.consumer_groups).unwrap();
        for partition in hub.partitions() {
            writeln!(seen, "{:?}", partition.mark(|mark| mark)).unwrap();
            partition.read(0, |event| {
                writeln!(seen, "{event:?}").unwrap();
                std::ops::ControlFlow::Continue(())
            });
        }
    }
    seen
}

fn event<'a>(key: Option<&'a str>, message: &'a [u8]) -> EventParts<'a> {
    EventParts { key, annotations: b"\xa3\x01a\x40".to_vec(), annotation_values: 2, message: message.into() }
}

#[derive(Clone, Debug)]
struct Sent {
    partition: u32,
    key: Option<String>,
    events: Vec<Vec<u8>>,
    ms: i64,
}

fn sent() -> impl Strategy<Value = Sent> {
    let events = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 1..4);
    (0..2_u32, prop::option::of("[a-z]{0,3}"), events, 900..100_000_i64).prop_map(|(partition, key, events, ms)| Sent {
        partition,
        key,
        events,
        ms,
    })
}

fn store(namespace: &Namespace, sent: &Sent) {
    let events: Vec<_> = sent.events.iter().map(|message| event(None, message)).collect();
    let to = Route { partition: Some(sent.partition), key: sent.key.as_deref(), producer: None };
    namespace.store(&namespace.hubs()[0], to, &events, 1, now(sent.ms)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_namespace_opened_again_is_as_it_was_after_a_whole_number_of_deliveries(
        all in prop::collection::vec(sent(), 1..20), cuts in prop::collection::vec(any::<u16>(), 6),
    ) {
        let folder = TempDir::new().unwrap();
        let log = |folder: &Path| folder.join("event-hubs-00000001.log");
        let (namespace, broker) = open(folder.path());
        let length = || std::fs::metadata(log(folder.path())).unwrap().len();
        let mut history = vec![(length(), seen(&namespace))];
        for sent in &all {
            store(&namespace, sent);
            history.push((length(), seen(&namespace)));
        }
        drop((namespace, broker));
        let whole = std::fs::read(log(folder.path())).unwrap();
        prop_assert_eq!(&seen(&open(folder.path()).0), &history.last().unwrap().1);
        for cut in cuts {
            let first = usize::try_from(history[0].0).unwrap();
            let cut = first + usize::from(cut) % (whole.len() - first + 1);
            let folder = TempDir::new().unwrap();
            std::fs::write(log(folder.path()), &whole[..cut]).unwrap();
            let at = history.partition_point(|(length, _)| *length <= cut as u64);
            prop_assert_eq!(&seen(&open(folder.path()).0), &history[at - 1].1, "cut at {}", cut);
        }
    }

    #[test]
    fn a_rewritten_log_has_what_is_still_there_and_goes_on_with_the_numbers(all in prop::collection::vec(sent(), 1..20)) {
        let folder = TempDir::new().unwrap();
        let (namespace, broker) = open(folder.path());
        all.iter().for_each(|sent| store(&namespace, sent));
        // Some of it is too old.
        namespace.expire(now(110_000));
        namespace.keeper().unwrap().rewrite(namespace.hubs(), |keeper| broker.keep(keeper)).unwrap();
        let before = seen(&namespace);
        drop((namespace, broker));
        prop_assert_eq!(&seen(&open(folder.path()).0), &before);
    }
}

#[test]
fn offsets_and_idempotent_producers_of_kafka_are_there_again_after_rewriting_too() {
    let folder = TempDir::new().unwrap();
    let committed = |offset| Committed { offset, leader_epoch: 3, metadata: StrBytes::from_static_str("here") };
    {
        let (namespace, broker) = open(folder.path());
        let keeper = namespace.keeper().unwrap();
        keeper.offset("group", "transactions", 1, &committed(4)).unwrap();
        keeper.offset("group", "transactions", 1, &committed(5)).unwrap();
        keeper.next_producer(8).unwrap();
        let batch = ProducerBatch { id: 7, epoch: 1, first: 0, last: 1 };
        let to = Route { partition: Some(0), key: None, producer: Some(batch) };
        let events = [event(None, b"a"), event(None, b"b")];
        namespace.store(&namespace.hubs()[0], to, &events, 2, now(1_000)).unwrap();
        drop(broker);
    }
    for _ in 0..2 {
        let (namespace, kafka) = Namespace::open(options(folder.path()), now(1_000)).unwrap();
        let key = ("group".to_owned(), "transactions".to_owned(), 1);
        assert_eq!(kafka.offsets.get(&key), Some(&committed(5)));
        assert_eq!(kafka.next_producer, 8);
        let batches = &kafka.batches[&(7, "transactions".to_owned(), 0)];
        assert_eq!((batches.0, Vec::from(batches.1.clone())), (1, vec![(0, 1, 0)]));
        let namespace = Arc::new(namespace);
        let broker = Broker::new(Arc::clone(&namespace), kafka);
        namespace.keeper().unwrap().rewrite(namespace.hubs(), |keeper| broker.keep(keeper)).unwrap();
    }
}

#[test]
fn hubs_that_are_not_asked_for_any_more_are_there_nevertheless_and_others_join_them() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let hubs = vec!["another".to_owned()];
    let options = || EventHubsEmulatorOptions { hubs: hubs.clone(), ..options(folder.path()) };
    for _ in 0..2 {
        let (namespace, _) = Namespace::open(options(), now(2_000)).unwrap();
        let names: Vec<_> = namespace.hubs().iter().map(|hub| (hub.name.as_str(), hub.created_ms)).collect();
        assert_eq!(names, [("another", 2_000), ("transactions", 1_000)]);
    }
}

#[test]
fn another_number_of_partitions_than_a_hub_has_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let options = EventHubsEmulatorOptions { partitions: 3, ..options(folder.path()) };
    let error = Namespace::open(options, now(1_000)).unwrap_err();
    assert!(error.to_string().contains("'transactions' with 2 partitions, and 3 are asked for"), "{error}");
}

#[test]
fn what_cannot_be_kept_is_refused_and_not_stored() {
    let folder = TempDir::new().unwrap();
    let (namespace, _broker) = open(folder.path());
    namespace.close();
    let refused = namespace.store(&namespace.hubs()[0], Route::default(), &[event(None, b"x")], 1, now(1_000));
    assert_eq!(refused.unwrap_err().condition, "amqp:internal-error");
    assert!(namespace.hubs()[0].partitions().iter().all(|partition| partition.events().is_empty()));
}
