//! Sending: record batches, taken apart and stored.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{BatchDecodeInfo, Compression, Record, RecordBatchDecoder};
use tokio::time::{Instant, sleep};

use super::super::grants::Right;
use super::super::incoming::MAX_MESSAGE_SIZE;
use super::super::keeping::{Batches, ProducerBatch, REMEMBERED};
use super::super::message::EventParts;
use super::super::namespace::Now;
use super::super::store::{Hub, Route};
use super::Session;
use super::record::to_event;

/// How long a batch waits for throughput at most, whatever the client says.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The largest batch once it is decompressed, in bytes.
const MAX_BATCH: usize = 8 * 1024 * 1024;
/// A record takes so many bytes of a batch at least.
const MIN_RECORD: usize = 7;
/// Idempotent producers that are remembered, over all partitions.
const MAX_PRODUCERS: usize = 10_000;

/// What was heard of idempotent producers.
#[derive(Debug, Default)]
pub(super) struct Producers(Mutex<BTreeMap<(i64, String, i32), Producer>>);

impl Producers {
    /// Those that were kept.
    pub(super) fn restored(kept: BTreeMap<(i64, String, i32), Batches>) -> Self {
        let heard = Instant::now();
        let kept = kept.into_iter().rev().take(MAX_PRODUCERS);
        Self(Mutex::new(kept.map(|(key, (epoch, batches))| (key, Producer { epoch, batches, heard })).collect()))
    }
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// The latest batches: the first and the last sequence number, and the offset that the first record got.
    batches: VecDeque<(i32, i32, i64)>,
    heard: Instant,
}

/// What happens with a batch.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Store,
    /// It is there already: its first record's offset.
    Stored(i64),
}

impl Producer {
    fn judge(&self, epoch: i16, first: i32, last: i32) -> Result<Verdict, ResponseError> {
        if epoch < self.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if epoch > self.epoch {
            return Ok(Verdict::Store);
        }
        if let Some((.., offset)) = self.batches.iter().find(|(f, l, _)| (*f, *l) == (first, last)) {
            return Ok(Verdict::Stored(*offset));
        }
        match self.batches.back() {
            Some((_, previous, _)) if first != next(*previous) => Err(ResponseError::OutOfOrderSequenceNumber),
            _ => Ok(Verdict::Store),
        }
    }
}

/// Sequence numbers go from the highest back to 0.
fn next(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

/// A batch whose records are whole.
struct Batch {
    info: BatchDecodeInfo,
    records: Vec<Record>,
}

impl Session<'_> {
    /// Stores records.
    pub(super) async fn produce(&self, request: ProduceRequest) -> ProduceResponse {
        let wait = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        let is_transactional = request.transactional_id.is_some();
        let mut topics = Vec::new();
        for topic in request.topic_data {
            let mut partitions = Vec::new();
            for data in topic.partition_data {
                let stored = if is_transactional {
                    Err((ResponseError::TransactionalIdAuthorizationFailed, None))
                } else {
                    self.store(&topic.name, &data, until).await
                };
                partitions.push(response(data.index, stored));
            }
            topics.push(TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions));
        }
        let latency = self.broker.namespace.options.latency;
        if !latency.is_zero() {
            sleep(latency).await;
        }
        ProduceResponse::default().with_responses(topics)
    }

    /// Stores the batches of one partition; gives the offset of the first record.
    async fn store(
        &self,
        topic: &TopicName,
        data: &PartitionProduceData,
        until: Instant,
    ) -> Result<i64, (ResponseError, Option<&'static str>)> {
        let bare = |error| (error, None);
        let hub = self.hub(Right::Send, topic).map_err(bare)?;
        self.partition(Right::Send, topic, data.index).map_err(bare)?;
        let batches = batches(data.records.clone().unwrap_or_default())?;
        let mut first = None;
        for batch in &batches {
            let stored = loop {
                match self.store_batch(hub, data.index, batch) {
                    // The service holds the answer back until there is throughput again.
                    Err(ResponseError::ThrottlingQuotaExceeded) if Instant::now() < until => {
                        let into = u64::try_from(Now::read().unix_ms.rem_euclid(1000)).unwrap_or(0);
                        sleep(Duration::from_millis(1000 - into)).await;
                    }
                    stored => break stored.map_err(bare)?,
                }
            };
            first.get_or_insert(stored);
        }
        first.ok_or((ResponseError::InvalidRecord, Some("There is no record.")))
    }

    /// Stores one batch, unless it is there already.
    fn store_batch(&self, hub: &Hub, index: i32, batch: &Batch) -> Result<i64, ResponseError> {
        let info = &batch.info;
        if info.producer_id < 0 {
            return self.append(hub, index, &batch.records, None);
        }
        let first = info.base_sequence;
        let last = first.wrapping_add(info.record_count - 1) & i32::MAX;
        // Held while the batch is stored: the same one may come on two connections.
        let mut producers = self.broker.producers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (info.producer_id, hub.name.clone(), index);
        if let Some(producer) = producers.get(&key)
            && let Verdict::Stored(offset) = producer.judge(info.producer_epoch, first, last)?
        {
            return Ok(offset);
        }
        let producer = ProducerBatch { id: info.producer_id, epoch: info.producer_epoch, first, last };
        let offset = self.append(hub, index, &batch.records, Some(producer))?;
        if producers.len() >= MAX_PRODUCERS && !producers.contains_key(&key) {
            let silent = producers.iter().min_by_key(|(_, producer)| producer.heard).map(|(key, _)| key.clone());
            if let Some(key) = silent {
                producers.remove(&key);
            }
        }
        let heard = Instant::now();
        let epoch = info.producer_epoch;
        let producer = producers.entry(key).or_insert_with(|| Producer { epoch, batches: VecDeque::new(), heard });
        if producer.epoch != epoch {
            producer.batches.clear();
        }
        (producer.epoch, producer.heard) = (epoch, heard);
        producer.batches.push_back((first, last, offset));
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
        Ok(offset)
    }

    fn append(
        &self,
        hub: &Hub,
        index: i32,
        records: &[Record],
        producer: Option<ProducerBatch>,
    ) -> Result<i64, ResponseError> {
        let events: Vec<EventParts<'_>> = records.iter().map(to_event).collect();
        let size = |event: &EventParts<'_>| event.message.len() + event.annotations.len();
        if events.iter().any(|event| size(event) > MAX_MESSAGE_SIZE) {
            return Err(ResponseError::MessageTooLarge);
        }
        let to = Route { partition: u32::try_from(index).ok(), key: None, producer };
        let bytes = events.iter().map(size).sum();
        self.broker.namespace.store(hub, to, &events, bytes, Now::read()).map_err(|error| match error.condition {
            "com.microsoft:server-busy" => ResponseError::ThrottlingQuotaExceeded,
            _ => ResponseError::KafkaStorageError,
        })
    }
}

fn response(index: i32, stored: Result<i64, (ResponseError, Option<&'static str>)>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    match stored {
        Ok(offset) => answer.with_base_offset(offset).with_log_start_offset(0),
        Err((error, message)) => answer
            .with_base_offset(-1)
            .with_error_code(match error {
                // Older clients do not know it; the time that they gave is over.
                ResponseError::ThrottlingQuotaExceeded => ResponseError::RequestTimedOut.code(),
                error => error.code(),
            })
            .with_error_message(message.map(StrBytes::from_static_str)),
    }
}

/// The batches of a partition's records.
fn batches(records: Bytes) -> Result<Vec<Batch>, (ResponseError, Option<&'static str>)> {
    let corrupt = |_| (ResponseError::CorruptMessage, None);
    let infos = RecordBatchDecoder::decode_batch_info(&mut records.clone()).map_err(corrupt)?;
    let mut rest = records;
    let mut batches = Vec::new();
    for info in infos {
        if info.transactional || info.control {
            return Err((ResponseError::InvalidRecord, Some("Transactions are not supported.")));
        }
        if !matches!(info.compression, Compression::None | Compression::Gzip) {
            let message = "Event Hubs takes gzip, and no other compression.";
            return Err((ResponseError::UnsupportedCompressionType, Some(message)));
        }
        let count = usize::try_from(info.record_count).unwrap_or(0);
        let decompress = |bytes: &mut Bytes, compression| -> Result<Bytes, _> {
            let bytes = decompress(bytes, compression)?;
            // The library makes room for as many records as there are said to be.
            if count > bytes.len() / MIN_RECORD {
                return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
            }
            Ok(bytes)
        };
        let set = RecordBatchDecoder::decode_with_custom_compression(&mut rest, Some(decompress)).map_err(corrupt)?;
        batches.push(Batch { info, records: set.records });
    }
    if !rest.is_empty() {
        return Err((ResponseError::UnsupportedForMessageFormat, Some("Records come in batches of version 2.")));
    }
    Ok(batches)
}

fn decompress(bytes: &Bytes, compression: Compression) -> std::io::Result<Bytes> {
    if compression == Compression::None {
        return Ok(bytes.clone());
    }
    let mut out = Vec::new();
    let limit = MAX_BATCH as u64;
    flate2::read::MultiGzDecoder::new(&bytes[..]).take(limit + 1).read_to_end(&mut out)?;
    if out.len() > MAX_BATCH {
        return Err(std::io::Error::other("the batch is too large"));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(batches: &[(i32, i32, i64)]) -> Producer {
        Producer { epoch: 1, batches: batches.iter().copied().collect(), heard: Instant::now() }
    }

    #[test]
    fn a_batch_that_comes_twice_is_stored_once_and_a_gap_is_refused() {
        let producer = producer(&[(0, 4, 100), (5, 9, 105)]);
        assert_eq!(producer.judge(1, 5, 9), Ok(Verdict::Stored(105)));
        assert_eq!(producer.judge(1, 10, 10), Ok(Verdict::Store));
        assert_eq!(producer.judge(1, 11, 12), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producer.judge(0, 10, 10), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(producer.judge(2, 0, 0), Ok(Verdict::Store));
    }

    #[test]
    fn sequence_numbers_start_again_after_the_highest() {
        assert_eq!(producer(&[(i32::MAX, i32::MAX, 7)]).judge(1, 0, 3), Ok(Verdict::Store));
    }

    #[test]
    fn what_is_no_batch_is_corrupt() {
        for bytes in [&b"nonsense"[..], &[0; 61], &[0xff; 100]] {
            assert!(batches(Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
