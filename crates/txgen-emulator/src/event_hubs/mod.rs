//! A local Event Hubs: AMQP 1.0 over TCP, for txgen and for any Azure client, without an account.
//!
//! The library that the publisher uses has an acceptor too; it is not used here because it leaves trailing fields out of
//! what it writes, which Microsoft's Python client cannot read, and because it takes channels and tasks for each link.
//! Here a connection is one task and one state machine without I/O:
//!
//! | module | owns |
//! |---|---|
//! | `server` | sockets: what a client speaks, reads, writes, timers |
//! | `http`, `http_send`, `websocket` | events by HTTP, and the way to AMQP over WebSockets |
//! | `connection`, `core` | headers, SASL, open and close, heartbeats, sessions by channel |
//! | `session` | links by handle, windows, outcomes that wait for their time |
//! | `attach` | whether a link is let in |
//! | `incoming`, `outgoing` | links on which the peer sends, and receives |
//! | `ingest` | what is stored of a delivery, and what is not |
//! | `cbs`, `management`, `grants`, `sasl` | tokens, properties, rights |
//! | `store`, `selector` | events, where they go, and where a reader starts |
//! | `keeping` | what is kept in a folder, and read back |
//! | `throttle`, `trouble` | throughput units, faults on purpose |
//! | `message` | events, requests and replies as AMQP messages |
//! | `kafka` | the same hubs as Kafka topics |

mod address;
mod attach;
mod bell;
mod cbs;
mod connection;
mod core;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod grants;
mod http;
mod http_send;
mod incoming;
mod ingest;
mod kafka;
mod keeping;
mod management;
mod message;
mod namespace;
mod options;
mod outgoing;
mod sasl;
mod selector;
mod server;
mod session;
mod store;
mod throttle;
mod trouble;
mod view;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::credentials::Secret;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use txgen_amqp::message::data_body;

use self::kafka::Broker;
use self::namespace::{Namespace, Now};
pub use self::options::{EventHubsEmulatorOptions, HubOptions, Policy};
use self::server::{Shared, Speaks};
pub use self::view::EventHubsView;
pub(crate) use self::view::{EventView, HubView};
use super::data::DataError;
use super::faults::FaultRule;
use super::tls::Certificate;

/// How long [`EventHubsEmulator::stop`] waits for connections to end.
const STOP: Duration = Duration::from_secs(5);

/// A running local Event Hubs. It stops when it is dropped; [`stop`](Self::stop) lets its connections end in order.
#[derive(Debug)]
pub struct EventHubsEmulator {
    namespace: Arc<Namespace>,
    tls_addrs: Vec<SocketAddr>,
    kafka_addr: Option<SocketAddr>,
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: Arc<Mutex<CancellationToken>>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct CannotListen {
    /// The address, as it was asked for.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub error: io::Error,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// An address cannot be listened on, or a certificate for it cannot be made.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// The folder that is to keep everything cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl From<CannotStart> for io::Error {
    fn from(cannot: CannotStart) -> Self {
        match cannot {
            CannotStart::Listen(cannot) => Self::new(cannot.error.kind(), cannot),
            CannotStart::Data(error) => error.into(),
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|error| CannotListen { address, error })
}

/// What the emulator has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventHubsCounts {
    /// Each hub, in the order of the options.
    pub hubs: Vec<HubCounts>,
    /// Connections that ever were accepted.
    pub connections: u64,
    /// Connections that are open.
    pub open_connections: u64,
}

impl EventHubsCounts {
    /// Events over all hubs.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.hubs.iter().map(HubCounts::events).sum()
    }
}

/// What one hub has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// The hub's name.
    pub name: String,
    /// Each partition in order.
    pub partitions: Vec<PartitionCounts>,
    /// Receiver links that are attached to its partitions.
    pub receivers: u64,
    /// Deliveries that were rejected, other than throttled ones.
    pub rejected: u64,
    /// Deliveries that were rejected because of the throughput units.
    pub throttled: u64,
}

impl HubCounts {
    /// Events over all partitions.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.events).sum()
    }
}

/// What one partition has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Events, those that have expired included.
    pub events: u64,
    /// Bytes that these take as they are stored: partition key, properties and body with their encoding.
    pub bytes: u64,
}

/// One event, for inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedEvent {
    /// Its number in the partition, from 0.
    pub sequence_number: i64,
    /// Its partition key, if it has one.
    pub partition_key: Option<String>,
    /// Its body's first data section.
    pub body: Vec<u8>,
    /// When it was enqueued, in milliseconds since 1970-01-01 UTC.
    pub enqueued_ms: i64,
}

impl EventHubsEmulator {
    /// Starts listening. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, for instance because its port is in use, or a certificate cannot be made, or
    /// the folder of [`EventHubsEmulatorOptions::data`] cannot be used.
    pub async fn start(mut options: EventHubsEmulatorOptions) -> Result<Self, CannotStart> {
        let listener = bind(options.listen).await?;
        let of_first = |error| CannotListen { address: options.listen, error };
        let address = listener.local_addr().map_err(of_first)?;
        let mut doors = vec![listener];
        for address in &options.listen_tls {
            doors.push(bind(*address).await?);
        }
        let kafka = match options.listen_kafka {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        if !options.listen_tls.is_empty() && options.certificate.is_none() {
            options.certificate = Some(Certificate::new(options.listen.ip()).map_err(of_first)?);
        }
        let tls_addrs =
            doors.iter().skip(1).map(TcpListener::local_addr).collect::<Result<_, _>>().map_err(of_first)?;
        let kafka_addr = kafka.as_ref().map(TcpListener::local_addr).transpose().map_err(of_first)?;
        options.listen = address;
        let tls = options.certificate.as_ref().map(|certificate| certificate.acceptor(&[]));
        let (namespace, kafka_state) = Namespace::open(options, Now::read())?;
        let namespace = Arc::new(namespace);
        let broker = Arc::new(Broker::new(Arc::clone(&namespace), kafka_state));
        let emulator = Self {
            namespace,
            tls_addrs,
            kafka_addr,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: Arc::default(),
        };
        for door in doors {
            emulator.open(door, Speaks::Amqp, tls.clone());
        }
        if let Some(door) = kafka {
            emulator.open(door, Speaks::Kafka(Arc::clone(&broker)), tls);
        }
        let namespace = Arc::clone(&emulator.namespace);
        emulator.tasks.spawn(server::keep_house(broker, namespace, emulator.stop.clone()));
        Ok(emulator)
    }

    fn open(&self, door: TcpListener, speaks: Speaks, tls: Option<TlsAcceptor>) {
        let cut = Arc::clone(&self.cut);
        let cut = move || cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shared =
            Shared { namespace: Arc::clone(&self.namespace), tls, tasks: self.tasks.clone(), stop: self.stop.clone() };
        self.tasks.spawn(server::accept(door, speaks, shared, cut));
    }

    /// The ports that were asked for beside the first, where clients come that expect TLS.
    #[must_use]
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls_addrs
    }

    /// Where Kafka is spoken, if it is.
    #[must_use]
    pub fn kafka_addr(&self) -> Option<SocketAddr> {
        self.kafka_addr
    }

    /// With TLS, the certificate that clients have to trust, as PEM.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.namespace.options.certificate.as_ref().map(Certificate::pem)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.namespace.options.listen
    }

    /// A connection string for a policy and a hub, such as any Azure client takes; `None` without such a policy.
    ///
    /// It is good for this emulator only: the host, the port and the key are its own.
    #[must_use]
    pub fn connection_string(&self, policy: &str, hub: &str) -> Option<Secret> {
        let policy = self.namespace.options.policies.iter().find(|known| known.name == policy)?;
        Some(Secret::new(format!(
            "Endpoint=sb://{};SharedAccessKeyName={};SharedAccessKey={};UseDevelopmentEmulator=true;EntityPath={hub}",
            self.namespace.host(),
            policy.name,
            policy.key.secret(),
        )))
    }

    /// What it has taken so far.
    #[must_use]
    pub fn counts(&self) -> EventHubsCounts {
        let hubs = self.namespace.hubs().iter().map(|hub| HubCounts {
            name: hub.name.clone(),
            partitions: hub
                .partitions()
                .iter()
                .map(|partition| {
                    let (events, bytes) = partition.taken();
                    PartitionCounts { events, bytes }
                })
                .collect(),
            receivers: hub.partitions().iter().map(|partition| partition.readers() as u64).sum(),
            rejected: hub.rejected.load(Ordering::Relaxed),
            throttled: hub.throttled.load(Ordering::Relaxed),
        });
        EventHubsCounts {
            hubs: hubs.collect(),
            connections: self.namespace.connections.load(Ordering::Relaxed),
            open_connections: self.namespace.open_connections.load(Ordering::Relaxed) as u64,
        }
    }

    /// The faults that have happened on purpose: each rule, and how often it struck.
    #[must_use]
    pub fn faults(&self) -> Vec<(FaultRule, u64)> {
        self.namespace.faults.happened()
    }

    /// Ends the trouble that was made on purpose: no fault strikes any more.
    pub fn end_faults(&self) {
        self.namespace.faults.end();
        self.namespace.tokens_to_refuse.store(0, Ordering::Relaxed);
    }

    /// The events that a partition holds, copied; empty when there is no such hub or partition.
    #[must_use]
    pub fn events(&self, hub: &str, partition: u32) -> Vec<InspectedEvent> {
        let Some(hub) = self.namespace.hub(hub) else { return Vec::new() };
        let Some(partition) = hub.partition(partition) else { return Vec::new() };
        partition
            .events()
            .into_iter()
            .map(|event| InspectedEvent {
                sequence_number: event.sequence_number,
                partition_key: event.key,
                body: data_body(&event.message).to_vec(),
                enqueued_ms: event.enqueued_ms,
            })
            .collect()
    }

    /// Its hubs, to be shown on the page of a Cosmos DB emulator.
    #[must_use]
    pub fn view(&self) -> EventHubsView {
        EventHubsView(Arc::clone(&self.namespace))
    }

    /// Drops every connection without a word, as a network does that fails. New ones are taken at once.
    pub fn drop_connections(&self) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    /// Closes all connections and stops listening; waits a few seconds at most.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP, self.tasks.wait()).await.is_err() {
            self.drop_connections();
        }
        self.namespace.close();
    }
}

impl Drop for EventHubsEmulator {
    fn drop(&mut self) {
        self.stop.cancel();
        self.drop_connections();
        self.namespace.close();
    }
}
