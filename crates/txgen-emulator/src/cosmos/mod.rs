//! A local Cosmos DB: the REST protocol over HTTP/1.1 and HTTP/2, with documents kept in memory.
//!
//! It is faithful where a generator and its readers touch the service: signatures, RU charges, throughput enforced per
//! physical partition, time to live, and the failures with the service's own status, substatus and body. Where the
//! service can do more than this emulator, the request fails with a 400 that says what is not supported.
//!
//! Facts about the protocol come from <https://learn.microsoft.com/rest/api/cosmos-db/> and from the sources of the
//! SDKs that are to work with it (azure_data_cosmos for Rust, azure-cosmos for Python, @azure/cosmos for JavaScript).

mod answer;
mod auth;
mod call;
mod catalog;
mod charge;
mod clock;
mod definition;
mod document;
mod explorer;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod patch;
mod query;
mod rid;
mod routes;
mod server;
mod store;
mod throughput;
mod trouble;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use azure_core::credentials::Secret;
use bytes::Bytes;
use url::Url;

use crate::serving::Serving;
use crate::tls::Certificate;
use auth::Gate;
use catalog::{Account, Limits, Reach};
use explorer::Explorer;
use server::Shared;

use txgen_azure::cosmos::{key_definition, partition_key, partitions};

use super::data::DataDir;
use super::event_hubs::EventHubsView;
use super::faults::{FaultPlan, FaultRule};
use txgen_azure::ServiceName;

/// The key that Microsoft's emulators have, too: no secret.
/// <https://learn.microsoft.com/azure/cosmos-db/emulator#authentication>
pub const WELL_KNOWN_KEY: &str =
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/// How the emulator is to be.
#[derive(Clone, Debug)]
pub struct CosmosEmulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether to speak HTTPS.
    pub https: bool,
    /// The certificate for HTTPS; `None` makes one.
    pub certificate: Option<Certificate>,
    /// The account key, base64.
    pub key: Secret,
    /// Added to every answer about documents.
    pub latency: Duration,
    /// Whether provisioned throughput is enforced; without it nothing is ever throttled.
    pub enforce_throughput: bool,
    /// Whether any Entra ID token is let in, unchecked, besides the account key.
    pub allow_entra_id: bool,
    /// Bytes of memory that documents may take, about; beyond it writes are refused with 507. `None` is no limit.
    pub memory_limit: Option<u64>,
    /// Trouble on purpose, with requests about documents.
    pub faults: Vec<FaultRule>,
    /// Event hubs to show on the page at `/_explorer/`, beside what this one holds.
    pub event_hubs: Option<EventHubsView>,
    /// Where everything is kept over restarts: databases, containers, documents, throughput and partitions, with all numbers
    /// and tags. `None` keeps nothing.
    pub data: Option<DataDir>,
}

impl Default for CosmosEmulatorOptions {
    /// On a free loopback port, plain HTTP, with the well-known key, without latency, throughput enforced, no Entra ID, no
    /// limit on memory, no trouble.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            https: false,
            certificate: None,
            key: Secret::new(WELL_KNOWN_KEY),
            latency: Duration::ZERO,
            enforce_throughput: true,
            allow_entra_id: false,
            memory_limit: None,
            faults: Vec::new(),
            event_hubs: None,
            data: None,
        }
    }
}

/// What the emulator holds, and what it has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CosmosCounts {
    /// Databases.
    pub databases: u64,
    /// Containers of all databases.
    pub containers: u64,
    /// Documents of all containers that have not expired.
    pub documents: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Documents created since the start, deleted and expired ones included.
    pub created: u64,
    /// Requests answered 429 since the start.
    pub throttled: u64,
    /// Requests since the start.
    pub requests: u64,
}

/// A running local Cosmos DB. Dropping it ends it.
pub struct CosmosEmulator {
    account: Arc<Account>,
    server: Serving,
    faults: Arc<FaultPlan>,
    endpoint: Url,
    key: Secret,
    certificate: Option<Certificate>,
}

impl CosmosEmulator {
    /// Starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// When the key is not base64, the address cannot be listened on (such as a port in use), or the folder of
    /// [`CosmosEmulatorOptions::data`] cannot be used: then the error holds a [`DataError`](crate::data::DataError).
    pub async fn start(options: CosmosEmulatorOptions) -> io::Result<Self> {
        let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message);
        let gate = Gate::new(&options.key, options.allow_entra_id)
            .ok_or_else(|| invalid("the account key of the Cosmos DB emulator is not base64"))?;
        let scheme = if options.https { "https" } else { "http" };
        let limits = Limits { throughput: options.enforce_throughput, memory: options.memory_limit };
        let account = Account::new(gate, limits, Reach { scheme, ipv4: options.listen.is_ipv4() });
        let account = match &options.data {
            Some(dir) => account.keep_in(dir)?,
            None => account,
        };
        let account = Arc::new(account);
        let faults = Arc::new(FaultPlan::new(&options.faults, ServiceName::CosmosDb));
        let certificate = match (options.https, options.certificate) {
            (true, Some(certificate)) => Some(certificate),
            (true, None) => Some(Certificate::new(options.listen.ip())?),
            (false, _) => None,
        };
        let acceptor = certificate.as_ref().map(|certificate| certificate.acceptor(&["h2", "http/1.1"]));
        let shared = Shared::new(
            Arc::clone(&account),
            options.latency,
            Arc::clone(&faults),
            acceptor,
            Explorer::new(options.event_hubs, options.key.secret()),
        );
        let server = server::start(options.listen, shared).await?;
        let mut reachable = server.address();
        if reachable.ip().is_unspecified() {
            reachable.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let endpoint = Url::parse(&format!("{scheme}://{reachable}/")).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self { account, server, faults, endpoint, key: options.key, certificate })
    }

    /// The endpoint to connect to, such as `http://127.0.0.1:8081/`.
    #[must_use]
    pub fn endpoint(&self) -> Url {
        self.endpoint.clone()
    }

    /// The account key.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// With HTTPS, the certificate that its clients have to trust, as PEM.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_ref().map(Certificate::pem)
    }

    /// What it holds now, and what it has been through.
    #[must_use]
    pub fn counts(&self) -> CosmosCounts {
        let now = self.account.clock.unix();
        let containers = self.account.containers();
        let counters = &self.account.counters;
        let mut counts = CosmosCounts {
            databases: self.account.databases().len() as u64,
            containers: containers.len() as u64,
            created: counters.created.load(Ordering::Relaxed),
            throttled: counters.throttled.load(Ordering::Relaxed),
            requests: counters.requests.load(Ordering::Relaxed),
            ..CosmosCounts::default()
        };
        for container in containers {
            let store = container.store();
            counts.documents += store.live(now) as u64;
            counts.bytes += store.bytes();
        }
        counts
    }

    /// The trouble that was made on purpose: each rule, and how often it struck.
    #[must_use]
    pub fn faults(&self) -> Vec<(FaultRule, u64)> {
        self.faults.happened()
    }

    /// Ends the trouble that was made on purpose: no fault strikes any more.
    pub fn end_faults(&self) {
        self.faults.end();
    }

    /// The documents of a container as they were sent, without the system properties; `None` when there is no such
    /// container. It copies them all: for tests.
    #[must_use]
    pub fn documents(&self, database: &str, container: &str) -> Option<Vec<Bytes>> {
        let container = self.account.database(database)?.container(container)?;
        let store = container.store();
        let everything = partition_key::Epk::MIN..partition_key::Epk::MAX;
        let bodies = store.scan(&everything, None, self.account.clock.unix());
        Some(bodies.map(|(_, document)| Bytes::copy_from_slice(&document.body)).collect())
    }

    /// Puts the emulator's clock forward, so that times to live pass and new seconds of throughput begin, and gives
    /// back the memory of what has expired by then.
    pub async fn skip_time(&self, by: Duration) {
        self.account.clock.skip(by);
        self.account.expire(usize::MAX).await;
    }

    /// Stops: requests in flight get a short while to finish. What is stored is gone with the emulator itself, unless it is
    /// kept in a folder, which can then be used again.
    pub async fn stop(&self) {
        self.server.stop().await;
        self.account.close();
    }
}

impl Drop for CosmosEmulator {
    fn drop(&mut self) {
        self.account.close();
    }
}

impl fmt::Debug for CosmosEmulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CosmosEmulator").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}
