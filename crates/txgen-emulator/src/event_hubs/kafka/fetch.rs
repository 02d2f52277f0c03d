//! Receiving: events of several partitions, as record batches, as soon as there are enough.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions};
use tokio::time::{Instant, sleep_until};

use super::super::grants::Right;
use super::super::store::{Partition, Position};
use super::Session;
use super::record::to_record;
use super::wire::Broken;

/// How long a fetch waits for events at most, whatever the client says.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Bytes of one answer, unless its first event alone is larger.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Partitions of one fetch.
const MAX_PARTITIONS: usize = 10_000;
/// Bytes that a record takes besides its key, value and headers, about.
const OVERHEAD: usize = 24;

impl Session<'_> {
    /// Waits for events, and hands them over.
    pub(super) async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, Broken> {
        let partitions: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        if partitions > MAX_PARTITIONS {
            return Err(Broken(format!("a fetch of {partitions} partitions is more than the {MAX_PARTITIONS} taken")));
        }
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        let enough = usize::try_from(request.min_bytes).unwrap_or(0).min(MAX_BYTES);
        // From before the first look, so that no event falls between look and wait.
        let watches: Vec<_> = request
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |asked| (topic, asked.partition)))
            .filter_map(|(topic, id)| self.partition(Right::Listen, &topic.topic, id).ok())
            .map(|partition| partition.watch(&self.bell))
            .collect();
        loop {
            let (response, bytes, is_wrong) = self.look(&request);
            if is_wrong || bytes >= enough || Instant::now() >= until {
                drop(watches);
                return Ok(response);
            }
            tokio::select! {
                () = self.bell.heard() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// The events that are there now: the answer, its bytes, and whether anything is wrong with the request.
    fn look(&self, request: &FetchRequest) -> (FetchResponse, usize, bool) {
        let limit = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES);
        let (mut bytes, mut is_wrong) = (0, false);
        let mut topics = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let answer = PartitionData::default()
                    .with_partition_index(asked.partition)
                    .with_aborted_transactions(None)
                    .with_records(Some(Bytes::new()));
                let found = self.partition(Right::Listen, &topic.topic, asked.partition).and_then(|partition| {
                    let records = records(partition, asked, limit.saturating_sub(bytes), bytes == 0)?;
                    Ok((partition, records))
                });
                partitions.push(match found {
                    Ok((partition, records)) => {
                        bytes += records.len();
                        let end = partition.end();
                        answer
                            .with_high_watermark(end)
                            .with_last_stable_offset(end)
                            .with_log_start_offset(partition.find(Position::Start))
                            .with_records(Some(records))
                    }
                    Err(error) => {
                        is_wrong = true;
                        answer.with_error_code(error.code()).with_high_watermark(-1).with_last_stable_offset(-1)
                    }
                });
            }
            topics.push(FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_partitions(partitions));
        }
        (FetchResponse::default().with_responses(topics), bytes, is_wrong)
    }
}

/// A batch of a partition's events: of so many bytes, but for the first event, which comes whatever its size where
/// `at_least_one` says so.
fn records(
    partition: &Partition,
    asked: &FetchPartition,
    room: usize,
    at_least_one: bool,
) -> Result<Bytes, ResponseError> {
    let first = asked.fetch_offset;
    if !(partition.find(Position::Start)..=partition.end()).contains(&first) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let room = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room);
    let (mut records, mut size): (Vec<Record>, usize) = (Vec::new(), 0);
    partition.read(first, |event| {
        size += event.message.len() + event.annotations.0.len() + event.key.map_or(0, str::len) + OVERHEAD;
        let is_first = records.is_empty() && at_least_one;
        if size > room && !is_first {
            return ControlFlow::Break(());
        }
        records.push(to_record(event, first));
        if size >= room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, &records, &options).map_err(|error| {
        tracing::debug!(%error, "events could not be written as records");
        ResponseError::UnknownServerError
    })?;
    Ok(batch.freeze())
}
