//! What a client that has said who it is sends, reads and commits.

use std::net::Ipv4Addr;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
    ProduceRequest, TopicName,
};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::time::Instant;

use super::*;
use crate::event_hubs::message::EventParts;
use crate::event_hubs::options::{EventHubsEmulatorOptions, Policy};
use crate::event_hubs::store::Route;

const TOPIC: TopicName = TopicName(StrBytes::from_static_str("transactions"));

fn broker(options: EventHubsEmulatorOptions) -> Broker {
    let namespace = Arc::new(Namespace::new(options, Now { instant: Instant::now(), unix_ms: 1_000_000 }));
    Broker::new(namespace, KafkaState::default())
}

fn session<'b>(broker: &'b Broker, policy: &Policy) -> Session<'b> {
    let mut grants = Grants::default();
    grants.put(
        crate::event_hubs::grants::check_password(std::slice::from_ref(policy), &policy.name, &policy.key).unwrap(),
    );
    Session {
        broker,
        bell: Arc::new(Bell::default()),
        address: (Ipv4Addr::LOCALHOST, 9093).into(),
        mechanism: None,
        is_known: true,
        grants,
    }
}

fn everything() -> Policy {
    Policy { manage: true, ..Policy::with_random_key("all") }
}

/// A batch of records with these values; `first` is the sequence number of an idempotent producer.
fn batch(values: &[&'static str], compression: Compression, first: Option<i32>) -> Bytes {
    let record = |(offset, value): (i64, &&'static str)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: first.map_or(-1, |_| 7),
        producer_epoch: first.map_or(-1, |_| 0),
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: first.map_or(-1, |first| first + offset as i32),
        timestamp: 1,
        key: Some(Bytes::from_static(b"us")),
        value: Some(Bytes::from_static(value.as_bytes())),
        headers: Default::default(),
    };
    let records: Vec<_> = (0..).zip(values).map(record).collect();
    let mut out = BytesMut::new();
    RecordBatchEncoder::encode(&mut out, &records, &RecordEncodeOptions { version: 2, compression }).unwrap();
    out.freeze()
}

fn produce(partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(TOPIC).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

/// The error code and the offset that a produce request for one partition comes to.
async fn produced(session: &Session<'_>, request: ProduceRequest) -> (i16, i64) {
    let response = session.produce(request).await;
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

fn fetch(partition: i32, offset: i64, wait_ms: i32) -> FetchRequest {
    let asked = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1_000_000);
    let topic = FetchTopic::default().with_topic(TOPIC).with_partitions(vec![asked]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1_000_000)
        .with_topics(vec![topic])
}

/// The error code, and the offsets and values that a fetch of one partition brings.
async fn fetched(session: &Session<'_>, request: FetchRequest) -> (i16, Vec<(i64, String)>) {
    let mut response = session.fetch(request).await.unwrap();
    let partition = &mut response.responses[0].partitions[0];
    let mut bytes = partition.records.clone().unwrap_or_default();
    let sets = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
    let records = sets.into_iter().flat_map(|set| set.records);
    let text = |record: Record| (record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap());
    (partition.error_code, records.map(text).collect())
}

#[tokio::test]
async fn records_are_read_as_they_were_sent_whatever_their_compression() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let session = session(&broker, &everything());
    assert_eq!(produced(&session, produce(3, batch(&["a", "b"], Compression::None, None))).await, (0, 0));
    assert_eq!(produced(&session, produce(3, batch(&["c"], Compression::Gzip, None))).await, (0, 2));
    let (code, read) = fetched(&session, fetch(3, 1, 0)).await;
    assert_eq!((code, read), (0, vec![(1, "b".to_owned()), (2, "c".to_owned())]));
    let events = broker.namespace.hubs()[0].partition(3).unwrap().events();
    assert!(events.iter().all(|event| event.key.as_deref() == Some("us")));
}

#[tokio::test]
async fn a_fetch_waits_for_the_event_that_comes_by_another_protocol() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let session = session(&broker, &everything());
    let hub = &broker.namespace.hubs()[0];
    let event = EventParts { message: b"\0\x53\x75\xa0\x01x"[..].into(), ..EventParts::default() };
    let (read, stored) = tokio::join!(fetched(&session, fetch(0, 0, 30_000)), async {
        tokio::task::yield_now().await;
        let to = Route { partition: Some(0), ..Route::default() };
        broker.namespace.store(hub, to, &[event], 6, Now::read())
    });
    assert_eq!((stored, read), (Ok(0), (0, vec![(0, "x".to_owned())])));
    assert_eq!(fetched(&session, fetch(0, 1, 0)).await, (0, vec![]));
}

#[tokio::test]
async fn an_idempotent_producers_batch_that_comes_again_is_stored_once() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let session = session(&broker, &everything());
    for (values, first, expected) in [
        (&["a", "b"][..], 0, (0, 0)),
        (&["c"], 2, (0, 2)),
        (&["a", "b"], 0, (0, 0)),
        (&["e"], 4, (ResponseError::OutOfOrderSequenceNumber.code(), -1)),
    ] {
        assert_eq!(produced(&session, produce(0, batch(values, Compression::None, Some(first)))).await, expected);
    }
    assert_eq!(broker.namespace.hubs()[0].partition(0).unwrap().end(), 3);
    let ids = [(), ()]
        .map(|()| session.init_producer(&InitProducerIdRequest::default().with_transactional_id(None)).producer_id);
    assert_ne!(ids[0], ids[1]);
    let transaction =
        InitProducerIdRequest::default().with_transactional_id(Some(StrBytes::from_static_str("t").into()));
    assert_ne!(session.init_producer(&transaction).error_code, 0);
}

#[tokio::test]
async fn what_is_not_there_not_allowed_or_beyond_the_end_is_reported() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let sender = session(&broker, &Policy { send: true, ..Policy::with_random_key("Sender") });
    let one = || batch(&["a"], Compression::None, None);
    assert_eq!(produced(&sender, produce(0, one())).await.0, 0);
    assert_eq!(produced(&sender, produce(10, one())).await.0, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(produced(&sender, produce(0, Bytes::new())).await.0, ResponseError::InvalidRecord.code());
    assert_eq!(fetched(&sender, fetch(0, 0, 0)).await.0, ResponseError::TopicAuthorizationFailed.code());
    let listener = session(&broker, &Policy { listen: true, ..Policy::with_random_key("Listener") });
    assert_eq!(produced(&listener, produce(0, one())).await.0, ResponseError::TopicAuthorizationFailed.code());
    assert_eq!(fetched(&listener, fetch(0, 2, 30_000)).await.0, ResponseError::OffsetOutOfRange.code());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_throughput_the_answer_is_held_back_until_the_clients_time_is_over() {
    let broker = broker(EventHubsEmulatorOptions { throughput_units: Some(1), ..Default::default() });
    let session = session(&broker, &everything());
    let many = batch(&["x"; 1000], Compression::None, None);
    let mut codes = Vec::new();
    // The clock of the throttle stands still for the test: one of these is too many for its second.
    for _ in 0..3 {
        codes.push(produced(&session, produce(0, many.clone()).with_timeout_ms(0)).await.0);
    }
    assert!(codes.contains(&ResponseError::RequestTimedOut.code()), "{codes:?}");
}

#[test]
fn topics_are_the_hubs_and_unknown_ones_are_reported() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let session = session(&broker, &everything());
    let all = session.metadata(&MetadataRequest::default().with_topics(None), 5);
    assert_eq!(all.brokers[0].port, 9093);
    assert_eq!((all.topics.len(), all.topics[0].partitions.len()), (1, 10));
    let topic = |name| MetadataRequestTopic::default().with_name(Some(StrBytes::from_static_str(name).into()));
    let asked = MetadataRequest::default().with_topics(Some(vec![topic("Transactions"), topic("other")]));
    let codes: Vec<_> = session.metadata(&asked, 5).topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
}

#[tokio::test]
async fn offsets_are_found_by_time_and_committed_ones_are_returned_again() {
    let broker = broker(EventHubsEmulatorOptions::default());
    let session = session(&broker, &everything());
    produced(&session, produce(0, batch(&["a", "b"], Compression::None, None))).await;
    let at = |timestamp| {
        let asked = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(TOPIC).with_partitions(vec![asked]);
        session.offsets(ListOffsetsRequest::default().with_topics(vec![topic])).topics[0].partitions[0].offset
    };
    assert_eq!([-1, -2, 0, i64::MAX].map(at), [2, 0, 0, -1]);

    let group = || StrBytes::from_static_str("group").into();
    let commit = |partition| {
        let committed =
            OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(2);
        let topic = OffsetCommitRequestTopic::default().with_name(TOPIC).with_partitions(vec![committed]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        broker.groups.commit(request, &broker.namespace).topics[0].partitions[0].error_code
    };
    assert_eq!([0, 10].map(commit), [0, ResponseError::UnknownTopicOrPartition.code()]);
    let committed = broker.groups.offsets(OffsetFetchRequest::default().with_group_id(group()).with_topics(None));
    assert_eq!((committed.topics.len(), committed.topics[0].partitions[0].committed_offset), (1, 2));
}
