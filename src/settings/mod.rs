//! What the user asked for: flags over environment variables over `appsettings.json` over defaults, validated once.
//!
//! Past this module nothing asks where a value came from or whether it is good. Secrets are secrets by type, so that no
//! log, error or debug text can show them.

mod file;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key;
mod layers;
mod listen;
mod load;
mod proxy;
mod secrets;
mod sources;
mod value;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use azure_core::credentials::Secret;
use url::Url;

pub use file::{Place, SettingsFile};
pub use flags::RunFlags;
pub use key::Key;
pub use layers::{FlagValue, Origin, Preset, Provenance};
pub use listen::Listener;
pub use load::{Loaded, SettingsError};
#[cfg(test)]
pub(crate) use proxy::tests::proxies;
pub use proxy::{Proxies, Proxy};
pub use secrets::{FetchedSecret, Incomplete, SecretStore};
#[cfg(test)]
pub(crate) use sources::load_file;
pub use sources::{Sources, load_with_environment, read};
pub use txgen_azure::event_hubs::{ConnectionString, HubCredential};
pub use txgen_azure::key_vault::SecretReference;
pub(crate) use value::{findings_listed, is_loopback, limit, region, rows};

/// Everything a run needs to know, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` when only Cosmos DB is written.
    pub event_hubs: Option<EventHubsSettings>,
    /// `None` when only Event Hubs is written.
    pub cosmos_db: Option<CosmosDbSettings>,
    /// The job itself.
    pub run: RunSettings,
}

/// How to send to Event Hubs.
#[derive(Clone, Debug)]
pub struct EventHubsSettings {
    /// One to three event hubs; each transaction goes to all of them.
    pub hubs: Vec<ConnectionString>,
    /// Which client sends.
    pub client: EventHubClient,
    /// Transport of AMQP.
    pub transport: EventHubTransport,
    /// Connections to each event hub, 1 to 8.
    pub connections: NonZeroUsize,
    /// Transactions in flight at most, over all connections.
    pub max_in_flight: NonZeroUsize,
    /// How long one transaction is tried for.
    pub retry_for: Duration,
    /// The ways there.
    pub proxies: Proxies,
}

impl EventHubsSettings {
    /// Connections to each event hub unless the user says otherwise.
    pub const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(2).unwrap();
    /// Transactions in flight unless the user says otherwise.
    pub const DEFAULT_MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
}

/// Which client sends to Event Hubs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EventHubClient {
    /// txgen's own: thousands of sends in flight on a few connections.
    #[default]
    #[value(alias = "pipelined")]
    Native,
    /// Azure's SDK: one send in flight per connection, Microsoft Entra ID only.
    Sdk,
}

impl fmt::Display for EventHubClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Sdk => "sdk",
        })
    }
}

/// What carries AMQP to Event Hubs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EventHubTransport {
    /// TCP, port 5671 (with TLS) or 5672 (emulators); never through a proxy.
    #[default]
    Tcp,
    /// WebSockets, port 443, for networks that let nothing else through; through the proxy of HTTPS_PROXY, if set.
    #[value(alias = "websockets")]
    Websocket,
}

impl fmt::Display for EventHubTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Websocket => "websocket",
        })
    }
}

/// How long one transaction is tried for at either service, unless the user says otherwise.
pub const DEFAULT_RETRY_FOR: Duration = Duration::from_secs(120);

/// Which client sends to Cosmos DB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CosmosDbClient {
    /// txgen's own: as little work for each document as there can be.
    #[default]
    Native,
    /// Azure's SDK: Gateway 2.0 and HTTP/2 where the account offers them.
    Sdk,
}

impl fmt::Display for CosmosDbClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Sdk => "sdk",
        })
    }
}

/// How to send to Cosmos DB.
#[derive(Clone, Debug)]
pub struct CosmosDbSettings {
    /// The account, such as `https://ACCOUNT.documents.azure.com:443/`.
    pub endpoint: Url,
    /// The account key; `None` means Microsoft Entra ID.
    pub auth_key: Option<Secret>,
    /// The database.
    pub database: String,
    /// The container.
    pub container: String,
    /// RU/s of the database, used only when txgen creates it.
    pub throughput: u32,
    /// Which client sends.
    pub client: CosmosDbClient,
    /// The regions to write to, the best one first; empty leaves it to the account.
    pub preferred_regions: Vec<String>,
    /// Transactions in flight at most.
    pub max_in_flight: NonZeroUsize,
    /// How long one transaction is tried for.
    pub retry_for: Duration,
    /// The ways there.
    pub proxies: Proxies,
}

impl CosmosDbSettings {
    /// `DATABASE/CONTAINER at ENDPOINT`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{} at {}", self.database, self.container, self.endpoint)
    }

    /// How txgen shows who it is.
    #[must_use]
    pub fn authentication(&self) -> &'static str {
        if self.auth_key.is_some() { "account key" } else { "Microsoft Entra ID" }
    }

    /// The database unless the user says otherwise.
    pub const DEFAULT_DATABASE: &str = "Woodgrove";
    /// The container unless the user says otherwise.
    pub const DEFAULT_CONTAINER: &str = "transactions";
    /// RU/s of a database that txgen creates, unless the user says otherwise.
    pub const DEFAULT_THROUGHPUT: u32 = 15_000;
    /// Transactions in flight unless the user says otherwise.
    pub const DEFAULT_MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(128).unwrap();
}

/// The job itself.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// How long to wait before the first transaction.
    pub lead: Duration,
    /// How long to go on; `None` is until the data ends.
    pub duration: Option<Duration>,
    /// Seconds that Cosmos DB keeps each document.
    pub ttl_seconds: u32,
    /// Transactions per second; `None` follows the faster service.
    pub rate: Option<f64>,
    /// Transactions at most.
    pub limit: Option<u64>,
    /// Whether the data starts again at its end.
    pub repeat: bool,
    /// Transactions pending at one service at most.
    pub max_pending: NonZeroUsize,
    /// How long a stopped run waits for what is in flight.
    pub drain_timeout: Duration,
}

impl RunSettings {
    /// The wait before the first transaction unless the user says otherwise.
    pub const DEFAULT_LEAD: Duration = Duration::ZERO;
    /// The length of a run unless the user says otherwise.
    pub const DEFAULT_DURATION: Duration = Duration::from_secs(600);
    /// Seconds that Cosmos DB keeps a document, unless the user says otherwise: 60 days.
    pub const DEFAULT_TTL_SECONDS: u32 = 5_184_000;
    /// Transactions pending at one service unless the user says otherwise.
    pub const DEFAULT_MAX_PENDING: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
    /// The wait for what is in flight, unless the user says otherwise.
    pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
}
