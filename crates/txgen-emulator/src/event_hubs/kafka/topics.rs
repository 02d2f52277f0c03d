//! What there is: versions, hubs, partitions, offsets, producers' ids.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::super::grants::Right;
use super::super::store::{Hub, Partition, Position};
use super::Session;
use super::wire::{APIS, Broken, Request};

/// The one broker that there is.
const BROKER: BrokerId = BrokerId(0);

/// Tells which requests are taken in which versions.
pub(super) fn api_versions(request: &Request) -> Result<BytesMut, Broken> {
    let apis = APIS.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.min_version)
            .with_max_version(api.max_version)
    });
    let response = ApiVersionsResponse::default().with_api_keys(apis.collect());
    if request.is_too_new {
        // A client that gets this answer in the oldest version asks again in one that both know.
        let response = response.with_error_code(ResponseError::UnsupportedVersion.code());
        return request.answer_as(0, &response);
    }
    request.answer(&response)
}

/// Hubs are made when the emulator starts, and by nothing else.
pub(super) fn create_topics(request: CreateTopicsRequest) -> CreateTopicsResponse {
    let refused = request.topics.into_iter().map(|topic| {
        CreatableTopicResult::default()
            .with_name(topic.name)
            .with_error_code(ResponseError::PolicyViolation.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "Event hubs are not created through Kafka here; they are those that the emulator was started with.",
            )))
    });
    CreateTopicsResponse::default().with_topics(refused.collect())
}

impl Session<'_> {
    fn host(&self) -> StrBytes {
        StrBytes::from_string(self.address.ip().to_canonical().to_string())
    }

    /// Tells of the hubs that are asked for, or all.
    pub(super) fn metadata(&self, request: &MetadataRequest, version: i16) -> MetadataResponse {
        let hubs = self.broker.namespace.hubs().iter().filter(|hub| !hub.is_deleted());
        let topics = match &request.topics {
            // In version 0 an empty list asks for all, as none does later.
            Some(topics) if !(version == 0 && topics.is_empty()) => topics
                .iter()
                .map(|topic| match topic.name.as_ref().map(|name| (name, self.broker.namespace.hub(name))) {
                    // Under the name that was asked for: clients compare names with regard to case.
                    Some((name, Some(hub))) => described(name.clone(), hub),
                    _ => MetadataResponseTopic::default()
                        .with_name(Some(topic.name.clone().unwrap_or_default()))
                        .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                })
                .collect(),
            _ => hubs.map(|hub| described(StrBytes::from_string(hub.name.clone()).into(), hub)).collect(),
        };
        let broker = MetadataResponseBroker::default()
            .with_node_id(BROKER)
            .with_host(self.host())
            .with_port(self.address.port().into());
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(StrBytes::from_static_str("txgen-emulator")))
            .with_controller_id(BROKER)
            .with_topics(topics)
    }

    /// Every group is coordinated by the one broker.
    pub(super) fn coordinator(&self) -> FindCoordinatorResponse {
        FindCoordinatorResponse::default()
            .with_node_id(BROKER)
            .with_host(self.host())
            .with_port(self.address.port().into())
    }

    /// Gives an idempotent producer its id. There are no transactions.
    pub(super) fn init_producer(&self, request: &InitProducerIdRequest) -> InitProducerIdResponse {
        if request.transactional_id.is_some() {
            let error = ResponseError::TransactionalIdAuthorizationFailed.code();
            return InitProducerIdResponse::default()
                .with_error_code(error)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
        }
        let id = self.broker.next_producer.fetch_add(1, Ordering::Relaxed);
        if let Some(keeper) = self.broker.namespace.keeper()
            && keeper.next_producer(id + 1).is_err()
        {
            let error = ResponseError::CoordinatorNotAvailable.code();
            return InitProducerIdResponse::default()
                .with_error_code(error)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
        }
        InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(0)
    }

    /// Returns the offsets at times: -1 is the end, -2 the start.
    pub(super) fn offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                match self.partition(Right::Listen, &topic.name, asked.partition_index) {
                    Ok(partition) => {
                        let (offset, timestamp) = offset_at(partition, asked.timestamp);
                        answer.with_offset(offset).with_timestamp(timestamp)
                    }
                    Err(error) => answer.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
                }
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// The offset at a time, and the time of the event there; -1 and -1 for a time after the last event.
fn offset_at(partition: &Partition, time: i64) -> (i64, i64) {
    match time {
        -1 => (partition.end(), -1),
        -2 => (partition.find(Position::Start), -1),
        _ => {
            let mut found = (-1, -1);
            partition.read(partition.find(Position::EnqueuedTime(time, true)), |event| {
                found = (event.sequence_number, event.enqueued_ms);
                ControlFlow::Break(())
            });
            found
        }
    }
}

fn described(name: TopicName, hub: &Hub) -> MetadataResponseTopic {
    let partitions = (0..hub.partition_count()).map(|id| {
        MetadataResponsePartition::default()
            .with_partition_index(i32::try_from(id).unwrap_or(i32::MAX))
            .with_leader_id(BROKER)
            .with_replica_nodes(vec![BROKER])
            .with_isr_nodes(vec![BROKER])
    });
    MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions.collect())
}
