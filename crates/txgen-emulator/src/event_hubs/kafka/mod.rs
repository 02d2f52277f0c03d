//! Event Hubs' Kafka endpoint: the same hubs and partitions, spoken to as Kafka topics.
//!
//! | module | owns |
//! |---|---|
//! | this one | a connection: requests one after the other, each answered before the next |
//! | `wire` | frames, and which requests are taken in which versions |
//! | `sasl` | who a client is |
//! | `topics` | what there is: hubs, partitions, offsets |
//! | `produce`, `fetch` | sending and receiving |
//! | `record` | an event as a record, and a record as an event |
//! | `group`, `groups` | consumer groups |
//!
//! Faults on purpose strike AMQP alone.

mod fetch;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod group;
mod groups;
mod produce;
mod record;
mod sasl;
mod topics;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::{ApiKey, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::{ResponseError, messages};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

#[cfg(test)]
mod tests;

pub(super) use self::group::Committed;
use self::groups::Groups;
use self::produce::Producers;
use self::sasl::Mechanism;
use self::wire::{Broken, MAX_FRAME, MAX_FRAME_OF_STRANGERS, Request, split};
use super::bell::Bell;
use super::grants::{Grants, Right};
use super::keeping::{KafkaState, Keeper};
use super::namespace::{MAX_PARTIAL_BYTES, Namespace, Now};
use super::server::Ends;
use crate::data::Unwritable;

/// A client that has not said who it is by then is not one.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// A client that takes nothing of an answer for so long is gone.
const STALLED: Duration = Duration::from_secs(60);
/// How much is read at once, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// What the connections of the Kafka endpoint share.
#[derive(Debug)]
pub(super) struct Broker {
    namespace: Arc<Namespace>,
    groups: Groups,
    producers: Producers,
    next_producer: AtomicI64,
}

impl Broker {
    /// Over the hubs of this namespace, with what was kept of Kafka.
    pub(super) fn new(namespace: Arc<Namespace>, kept: KafkaState) -> Self {
        Self {
            namespace,
            groups: Groups::restored(kept.offsets),
            producers: Producers::restored(kept.batches),
            next_producer: AtomicI64::new(kept.next_producer.max(1)),
        }
    }

    /// Keeps all but the events anew.
    pub(super) fn keep(&self, keeper: &Keeper) -> Result<(), Unwritable> {
        self.groups.keep(keeper)?;
        keeper.next_producer(self.next_producer.load(Ordering::Relaxed))
    }
}

/// One connection.
struct Session<'b> {
    broker: &'b Broker,
    bell: Arc<Bell>,
    /// Where the client has reached the broker, and is to reach it again.
    address: SocketAddr,
    mechanism: Option<Mechanism>,
    is_known: bool,
    grants: Grants,
}

/// What comes of a request.
enum Reply {
    Answer(BytesMut),
    /// The client wants no answer.
    Silence,
    /// The answer, and the end of the connection.
    Last(BytesMut),
}

/// Talks to a client until either end has enough. `address` is where it has reached the broker.
///
/// # Errors
/// When the connection is lost.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    broker: &Broker,
    address: SocketAddr,
    ends: &Ends,
) -> io::Result<()> {
    tokio::select! {
        () = ends.cut.cancelled() => Ok(()),
        () = ends.stop.cancelled() => Ok(()),
        served = converse(stream, broker, address) => served,
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    broker: &Broker,
    address: SocketAddr,
) -> io::Result<()> {
    let mut session = Session {
        broker,
        bell: Arc::new(Bell::default()),
        address,
        mechanism: None,
        is_known: false,
        grants: Grants::default(),
    };
    let mut input = Input { bytes: BytesMut::new(), namespace: &broker.namespace, counted: 0 };
    loop {
        let (wait, limit) = if session.is_known {
            (broker.namespace.options.idle_time_out, MAX_FRAME)
        } else {
            (HANDSHAKE, MAX_FRAME_OF_STRANGERS)
        };
        let Ok(frame) = timeout(wait, input.frame(&mut stream, limit)).await else { return Ok(()) };
        let Some(frame) = frame? else { return Ok(()) };
        let reply = match Request::read(frame) {
            Ok(request) => session.reply(&request).await,
            Err(broken) => Err(broken),
        };
        let (answer, is_last) = match reply {
            Ok(Reply::Answer(answer)) => (answer, false),
            Ok(Reply::Last(answer)) => (answer, true),
            Ok(Reply::Silence) => continue,
            Err(Broken(what)) => {
                tracing::debug!(what, "Kafka connection closed");
                return Ok(());
            }
        };
        let Ok(written) = timeout(STALLED, write(&mut stream, &answer)).await else { return Ok(()) };
        written?;
        if is_last {
            return stream.shutdown().await;
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.flush().await
}

/// What a client has sent and has not been taken yet; all of them together keep to a limit.
struct Input<'b> {
    bytes: BytesMut,
    namespace: &'b Namespace,
    counted: usize,
}

impl Input<'_> {
    /// The next frame; `None` at the end of the stream.
    async fn frame<S: AsyncRead + Unpin>(&mut self, stream: &mut S, limit: usize) -> io::Result<Option<bytes::Bytes>> {
        let invalid = |Broken(what)| io::Error::new(io::ErrorKind::InvalidData, what);
        loop {
            let frame = split(&mut self.bytes, limit).map_err(invalid)?;
            if self.count() > MAX_PARTIAL_BYTES {
                return Err(io::Error::other("the emulator holds too many requests of which not all has come"));
            }
            if frame.is_some() {
                return Ok(frame);
            }
            self.bytes.reserve(READ_SIZE);
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Counts what is held now; gives what all connections hold.
    fn count(&mut self) -> usize {
        let (before, now) = (self.counted, self.bytes.len());
        self.counted = now;
        let all = &self.namespace.partial_bytes;
        if now >= before {
            all.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            all.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        }
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        self.namespace.partial_bytes.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl Session<'_> {
    async fn reply(&mut self, request: &Request) -> Result<Reply, Broken> {
        match request.key {
            ApiKey::ApiVersions => return topics::api_versions(request).map(Reply::Answer),
            ApiKey::SaslHandshake => return self.handshake(request),
            ApiKey::SaslAuthenticate => return self.authenticate(request),
            _ if !self.is_known => return Err(Broken("a request came before the client said who it is".to_owned())),
            _ => {}
        }
        let groups = &self.broker.groups;
        let answer = match request.key {
            ApiKey::Metadata => request.answer(&self.metadata(&request.body()?, request.version)),
            ApiKey::ListOffsets => request.answer(&self.offsets(request.body()?)),
            ApiKey::CreateTopics => request.answer(&topics::create_topics(request.body()?)),
            ApiKey::InitProducerId => request.answer(&self.init_producer(&request.body()?)),
            ApiKey::FindCoordinator => request.answer(&self.coordinator()),
            ApiKey::Produce => {
                let produce: messages::ProduceRequest = request.body()?;
                let is_awaited = produce.acks != 0;
                let response = self.produce(produce).await;
                if !is_awaited {
                    return Ok(Reply::Silence);
                }
                request.answer(&response)
            }
            ApiKey::Fetch => request.answer(&self.fetch(request.body()?).await?),
            ApiKey::JoinGroup => {
                // Kafka gives a member its id first from this version on.
                let id_first = request.version >= 4;
                request.answer(&groups.join(request.body()?, id_first).await)
            }
            ApiKey::SyncGroup => request.answer(&groups.sync(request.body()?).await),
            ApiKey::Heartbeat => request.answer(&groups.heartbeat(&request.body()?)),
            ApiKey::LeaveGroup => request.answer(&groups.leave(&request.body()?)),
            ApiKey::OffsetCommit => request.answer(&groups.commit(request.body()?, &self.broker.namespace)),
            ApiKey::OffsetFetch => request.answer(&groups.offsets(request.body()?)),
            _ => Err(Broken("this request is not supported".to_owned())),
        };
        if matches!(request.key, ApiKey::Produce | ApiKey::OffsetCommit | ApiKey::InitProducerId) {
            // Without an answer the client knows that it cannot know.
            self.broker.namespace.settled().await.map_err(|error| Broken(error.description))?;
        }
        answer.map(Reply::Answer)
    }

    fn handshake(&mut self, request: &Request) -> Result<Reply, Broken> {
        let wanted: SaslHandshakeRequest = request.body()?;
        self.mechanism = Mechanism::named(&wanted.mechanism);
        let error = if self.mechanism.is_none() { ResponseError::UnsupportedSaslMechanism.code() } else { 0 };
        let mechanisms = Mechanism::NAMES.map(StrBytes::from_static_str).into();
        let response = SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(mechanisms);
        request.answer(&response).map(Reply::Answer)
    }

    fn authenticate(&mut self, request: &Request) -> Result<Reply, Broken> {
        let said: messages::SaslAuthenticateRequest = request.body()?;
        let mechanism =
            self.mechanism.ok_or_else(|| Broken("SaslAuthenticate came before SaslHandshake".to_owned()))?;
        match mechanism.judge(&said.auth_bytes, &self.broker.namespace.options, Now::read().unix_seconds()) {
            Ok(grant) => {
                self.grants = Grants::default();
                self.grants.put(grant);
                self.is_known = true;
                request.answer(&SaslAuthenticateResponse::default()).map(Reply::Answer)
            }
            Err(denied) => {
                tracing::debug!(denied, "SASL refused");
                let response = SaslAuthenticateResponse::default()
                    .with_error_code(ResponseError::SaslAuthenticationFailed.code())
                    .with_error_message(Some(StrBytes::from_string(denied)));
                request.answer(&response).map(Reply::Last)
            }
        }
    }

    /// The hub of a topic, if the client has the right.
    fn hub(&self, right: Right, topic: &str) -> Result<&super::store::Hub, ResponseError> {
        if !self.grants.allow(right, &topic.to_ascii_lowercase(), Now::read().unix_seconds()) {
            return Err(ResponseError::TopicAuthorizationFailed);
        }
        let hub = self.broker.namespace.hub(topic);
        hub.map(|hub| &**hub).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// A partition of a topic, if the client has the right.
    fn partition(&self, right: Right, topic: &str, id: i32) -> Result<&super::store::Partition, ResponseError> {
        let hub = self.hub(right, topic)?;
        let partition = u32::try_from(id).ok().and_then(|id| hub.partition(id));
        partition.ok_or(ResponseError::UnknownTopicOrPartition)
    }
}
