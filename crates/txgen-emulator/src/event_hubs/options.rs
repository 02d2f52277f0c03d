//! What the emulator is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::data::DataDir;
use crate::faults::FaultRule;
use crate::tls::Certificate;

/// How the local Event Hubs behaves. [`Default`] is what the workshop provisions: one hub `transactions` with 10
/// partitions, on a free loopback port, without latency or limits.
#[derive(Clone, Debug)]
pub struct EventHubsEmulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Further addresses to listen on, such as those with the ports 5671 and 443, where clients expect TLS. All that
    /// `listen` takes is taken here too.
    pub listen_tls: Vec<SocketAddr>,
    /// Where to speak Kafka, if anywhere.
    pub listen_kafka: Option<SocketAddr>,
    /// The certificate for TLS. With one, every port takes clients with TLS and without; `None` makes one where
    /// `listen_tls` asks for it.
    pub certificate: Option<Certificate>,
    /// The event hubs. Names are compared without regard to case, as by the service.
    pub hubs: Vec<String>,
    /// Partitions of each hub; 0 counts as 1.
    pub partitions: u32,
    /// Consumer groups of each hub, beside `$Default`.
    pub consumer_groups: Vec<String>,
    /// Hubs with partitions and consumer groups of their own, beside `hubs`.
    pub further_hubs: Vec<HubOptions>,
    /// How long an accepted event waits for its disposition. Deliveries do not wait for each other.
    pub latency: Duration,
    /// Who may enter, and what they may do.
    pub policies: Vec<Policy>,
    /// Take any bearer token (CBS token type `jwt`) for a Microsoft Entra ID token with every right, unless it has expired.
    /// There is nothing to check one against on a developer's machine, and Azure's Rust client can do nothing but Entra ID.
    pub accept_entra_tokens: bool,
    /// Deliveries that a sender may have unsettled on one link; Event Hubs grants about 300.
    pub credit: u32,
    /// Ingress of the namespace in throughput units: each 1,000,000 bytes and 1,000 events a second, beyond which
    /// deliveries are rejected with `com.microsoft:server-busy`. `None` is unlimited.
    pub throughput_units: Option<u32>,
    /// Events are dropped when they are older; `None` keeps them.
    pub retention: Option<Duration>,
    /// Bytes of events beyond which deliveries are rejected with `amqp:resource-limit-exceeded`; `None` is unlimited.
    pub memory_limit: Option<u64>,
    /// A connection on which nothing is heard for so long is closed.
    pub idle_time_out: Duration,
    /// Connections beyond this number are closed at once.
    pub max_connections: usize,
    /// Where everything is kept over restarts: hubs with their events, committed offsets and idempotent producers of Kafka.
    /// `None` keeps nothing. Hubs that the folder holds are there again, whether the options name them or not.
    pub data: Option<DataDir>,
    /// What goes wrong on purpose. Rules that do not concern Event Hubs are left out.
    pub faults: Vec<FaultRule>,
}

impl Default for EventHubsEmulatorOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            listen_tls: Vec::new(),
            listen_kafka: None,
            certificate: None,
            hubs: vec!["transactions".to_owned()],
            partitions: 10,
            consumer_groups: Vec::new(),
            further_hubs: Vec::new(),
            latency: Duration::ZERO,
            policies: vec![
                Policy { manage: true, ..Policy::with_random_key("RootManageSharedAccessKey") },
                Policy { send: true, ..Policy::with_random_key("Sender") },
                Policy { listen: true, ..Policy::with_random_key("Listener") },
            ],
            accept_entra_tokens: true,
            credit: 300,
            throughput_units: None,
            retention: None,
            memory_limit: None,
            idle_time_out: Duration::from_secs(240),
            max_connections: 5_000,
            data: None,
            faults: Vec::new(),
        }
    }
}

/// A hub with partitions and consumer groups of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubOptions {
    /// The name, compared without regard to case.
    pub name: String,
    /// Its partitions; 0 counts as 1.
    pub partitions: u32,
    /// Its consumer groups, beside `$Default`.
    pub consumer_groups: Vec<String>,
}

/// A shared access policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, `SharedAccessKeyName` of a connection string.
    pub name: String,
    /// Its key, `SharedAccessKey` of a connection string.
    pub key: Secret,
    /// Whether it may send.
    pub send: bool,
    /// Whether it may receive.
    pub listen: bool,
    /// Whether it may do everything.
    pub manage: bool,
}

impl Policy {
    /// A policy without any right, with a key of 32 random bytes.
    #[must_use]
    pub fn with_random_key(name: impl Into<String>) -> Self {
        let key = Secret::new(STANDARD.encode(rand::random::<[u8; 32]>()));
        Self { name: name.into(), key, send: false, listen: false, manage: false }
    }
}
