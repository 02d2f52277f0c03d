//! Connecting: reach the account, find or make the database and the container, see what they are like.
//!
//! Finding is read, create, tolerate that another process was quicker, read again. It is over within 15 s, one way or the
//! other; only where something is created may that take longer, as it does in Azure.

use std::future::Future;
use std::time::Duration;

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::models::ContainerProperties;
use azure_data_cosmos::options::{
    ContainerClientOptions, CreateContainerOptions, CreateDatabaseOptions, ReadContainerOptions, ReadDatabaseOptions,
    ThroughputOptions,
};
use azure_data_cosmos::{ContainerClient, CosmosClient, CosmosError, DatabaseClient};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::RequestError;
use super::client::{self, BuildError};
use super::native::Native;
use super::provision::{self, Provision, Throughput, Transport};
use super::refusal::{self, Step};
use super::sdk::Sdk;
use super::{Client, CosmosDb};
use crate::service::clock::Skew;
use crate::service::retry::AttemptError;
use crate::service::{ConnectError, ServiceName, proxy};
use crate::settings::{CosmosDbClient, CosmosDbSettings, Proxy};

/// How long connecting may take where everything is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How much longer each creation may take: Azure provisions partitions meanwhile.
const CREATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks for a container that was just created.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The header that gives a database its shared throughput in RU/s; Azure's client has no option for it.
/// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-database>
const OFFER_THROUGHPUT: &str = "x-ms-offer-throughput";

impl CosmosDb {
    /// Reaches the account, creates the database (with shared throughput) and the container if they are not there, and
    /// reads what they are like.
    ///
    /// # Errors
    /// A [`ConnectError`] within 15 s if the account cannot be reached or refuses txgen, if something may not be
    /// created, if the container has another partition key, or on cancellation.
    pub async fn connect(settings: &CosmosDbSettings, cancel: CancellationToken) -> Result<Self, ConnectError> {
        let mut connecting = Connecting::new(settings);
        unless_cancelled(&cancel, connecting.run()).await
    }

    /// Reaches the account and reads what is there, as [`Self::connect`] does, but creates nothing.
    ///
    /// # Errors
    /// As [`Self::connect`]; that the database or the container is not there is none.
    pub async fn inspect(settings: &CosmosDbSettings, cancel: CancellationToken) -> Result<Found, ConnectError> {
        unless_cancelled(&cancel, Connecting::new(settings).look()).await
    }

    /// Reaches the account, and the container if it is there.
    pub(super) async fn existing_container(
        settings: &CosmosDbSettings,
        cancel: CancellationToken,
    ) -> Result<ContainerClient, ConnectError> {
        unless_cancelled(&cancel, Connecting::new(settings).existing_container()).await
    }
}

/// The proxy that leads to the account, and where it leads, if not the direct way. A wrong variable is reported earlier.
pub(super) fn way(settings: &CosmosDbSettings) -> Option<(Proxy, String)> {
    let proxy = settings.proxies.to(&settings.endpoint).ok().flatten()?;
    Some((proxy, proxy::authority(&settings.endpoint)))
}

async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    connecting: impl Future<Output = Result<T, String>>,
) -> Result<T, ConnectError> {
    let connected = tokio::select! {
        biased;
        () = cancel.cancelled() => Err("interrupted while connecting".to_owned()),
        connected = connecting => connected,
    };
    connected.map_err(|message| ConnectError { service: ServiceName::CosmosDb, message })
}

/// What of the database and the container is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a run would create both.
    Nothing,
    /// The database alone: a run would create the container in it.
    Database(Throughput),
    /// Both.
    Container(Box<Provision>),
}

/// A failed step: what Azure's client says, or that time ran out.
enum StepError {
    Cosmos(CosmosError),
    TooLate,
}

struct Connecting<'a> {
    settings: &'a CosmosDbSettings,
    deadline: Instant,
    /// What the deadline has been set to, for the error.
    limit: Duration,
}

impl<'a> Connecting<'a> {
    fn new(settings: &'a CosmosDbSettings) -> Self {
        Self { settings, deadline: Instant::now() + CONNECT_TIMEOUT, limit: CONNECT_TIMEOUT }
    }

    async fn run(&mut self) -> Result<CosmosDb, String> {
        let client = self.client().await?;
        let database = client.database_client(self.settings.database.clone());
        let created_database = self.database(&client, &database).await?;
        let (container, created_container) = self.container(&database).await?;
        let (sender, found) = self.sender(&database, container).await?;
        let provision = Provision { created_database, created_container, ..found };
        let CosmosDbSettings { endpoint, database, container: name, .. } = self.settings;
        tracing::info!(%endpoint, database, container = name, throughput = %provision.throughput, "connected to Cosmos DB");
        tracing::debug!(?provision, "what Cosmos DB is like");
        Ok(CosmosDb { client: sender, retry_for: self.settings.retry_for, provision })
    }

    async fn existing_container(&self) -> Result<ContainerClient, String> {
        let client = self.client().await?;
        let database = client.database_client(self.settings.database.clone());
        match self.find_container(&database).await {
            Ok(container) => Ok(container),
            Err(error) if error.is_status(404) => {
                let CosmosDbSettings { database, container, .. } = self.settings;
                Err(self.failure(&format!(
                    "there is no container {container} in a database {database}, so nothing to read back"
                )))
            }
            Err(error) => Err(self.refused(Step::ReadContainer, error).await),
        }
    }

    async fn look(&self) -> Result<Found, String> {
        let client = self.client().await?;
        let database = client.database_client(self.settings.database.clone());
        if !self.database_is_there(&database).await? {
            return Ok(Found::Nothing);
        }
        match self.find_container(&database).await {
            Ok(container) => Ok(Found::Container(Box::new(self.sender(&database, container).await?.1))),
            Err(error) if error.is_status(404) => Ok(Found::Database(self.throughput(&database, None).await?)),
            Err(error) => Err(self.refused(Step::ReadContainer, error).await),
        }
    }

    /// What sends, and what database and container are like, of which neither was created just now.
    async fn sender(
        &self,
        database: &DatabaseClient,
        container: ContainerClient,
    ) -> Result<(Client, Provision), String> {
        let properties = self.properties(&container).await?;
        let mut warnings = provision::examine(&properties).map_err(|reason| self.failure(&reason))?;
        let throughput = self.throughput(database, Some(&container)).await?;
        let physical_partitions = self.within(container.read_feed_ranges(None)).await.ok().map(|ranges| ranges.len());
        let (client, transport, region) = match self.settings.client {
            CosmosDbClient::Native => {
                let native = self.native().await?;
                warnings.extend(native.warnings.iter().cloned());
                let (transport, region) = (native.transport(), native.region_of_several().await);
                (Client::Native(Box::new(native)), Some(transport), region)
            }
            CosmosDbClient::Sdk => {
                let transport = self.transport(&container).await;
                (Client::Sdk(Box::new(Sdk { container, proxy: way(self.settings) })), transport, None)
            }
        };
        let provision = Provision {
            created_database: false,
            created_container: false,
            throughput,
            physical_partitions,
            default_ttl: properties.default_ttl.into(),
            transport,
            region,
            warnings,
        };
        Ok((client, provision))
    }

    /// txgen's own client. Azure's has just been let in, so that little is left to go wrong.
    async fn native(&self) -> Result<Native, String> {
        match Native::connect(self.settings, self.deadline).await {
            Ok(native) => Ok(native),
            Err(error) => Err(self.explained(Step::Connect, Some(error)).await),
        }
    }

    async fn client(&self) -> Result<CosmosClient, String> {
        match tokio::time::timeout_at(self.deadline, client::build(self.settings)).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(BuildError::Credential(error))) => Err(self.failure(&error.to_string())),
            Ok(Err(BuildError::Client(error))) => Err(self.refused(Step::Connect, StepError::Cosmos(error)).await),
            Err(_) => Err(self.refused(Step::Connect, StepError::TooLate).await),
        }
    }

    async fn database_is_there(&self, database: &DatabaseClient) -> Result<bool, String> {
        let options = ReadDatabaseOptions::default().with_operation_options(client::for_metadata());
        match self.within(database.read(Some(options))).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_status(404) => Ok(false),
            Err(error) => Err(self.refused(Step::ReadDatabase, error).await),
        }
    }

    /// Whether it had to be created.
    async fn database(&mut self, client: &CosmosClient, database: &DatabaseClient) -> Result<bool, String> {
        if self.database_is_there(database).await? {
            return Ok(false);
        }
        self.allow_for_creation();
        let name = &self.settings.database;
        let mut created = self.within(client.create_database(name, Some(self.shared_throughput()))).await;
        if created.as_ref().is_err_and(StepError::is_serverless) {
            // Serverless accounts refuse any throughput.
            created = self.within(client.create_database(name, None)).await;
        }
        match created {
            Ok(_) => Ok(true),
            Err(error) if error.is_status(409) => Ok(false),
            Err(error) => Err(self.refused(Step::CreateDatabase, error).await),
        }
    }

    fn shared_throughput(&self) -> CreateDatabaseOptions {
        let mut operation = client::for_metadata();
        let throughput = HeaderValue::from(self.settings.throughput.to_string());
        operation.custom_headers = Some([(HeaderName::from_static(OFFER_THROUGHPUT), throughput)].into());
        CreateDatabaseOptions::default().with_operation_options(operation)
    }

    /// The container, and whether it had to be created.
    async fn container(&mut self, database: &DatabaseClient) -> Result<(ContainerClient, bool), String> {
        match self.find_container(database).await {
            Ok(container) => return Ok((container, false)),
            Err(error) if error.is_status(404) => {}
            Err(error) => return Err(self.refused(Step::ReadContainer, error).await),
        }
        self.allow_for_creation();
        let properties = provision::new_container(&self.settings.container);
        let options = CreateContainerOptions::default().with_operation_options(client::for_metadata());
        let created = match self.within(database.create_container(properties, Some(options))).await {
            Ok(_) => true,
            Err(error) if error.is_status(409) => false,
            Err(error) => return Err(self.refused(Step::CreateContainer, error).await),
        };
        // A new container is not everywhere at once.
        loop {
            match self.find_container(database).await {
                Ok(container) => return Ok((container, created)),
                Err(error) if error.is_status(404) && Instant::now() + POLL_INTERVAL < self.deadline => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(error) => return Err(self.refused(Step::ReadContainer, error).await),
            }
        }
    }

    /// Finds the container's identity and its partitions.
    async fn find_container(&self, database: &DatabaseClient) -> Result<ContainerClient, StepError> {
        let mut options = ContainerClientOptions::default();
        options.operation = client::for_metadata();
        self.within(database.container_client(self.settings.container.clone(), Some(options))).await
    }

    async fn properties(&self, container: &ContainerClient) -> Result<ContainerProperties, String> {
        let options = ReadContainerOptions::default().with_operation_options(client::for_metadata());
        let read = async { container.read(Some(options)).await?.into_model() };
        match self.within(read).await {
            Ok(properties) => Ok(properties),
            Err(error) => Err(self.refused(Step::ReadContainer, error).await),
        }
    }

    async fn throughput(
        &self,
        database: &DatabaseClient,
        container: Option<&ContainerClient>,
    ) -> Result<Throughput, String> {
        let options = || Some(ThroughputOptions::default().with_operation_options(client::for_metadata()));
        let read = async {
            let of_container = match container {
                Some(container) => container.read_throughput(options()).await?,
                None => None,
            };
            let of_database = database.read_throughput(options()).await?;
            Ok(Throughput::of(of_database.as_ref(), of_container.as_ref()))
        };
        match self.within(read).await {
            Ok(throughput) => Ok(throughput),
            Err(error) if error.is_serverless() => Ok(Throughput::Serverless),
            // Entra ID's roles for data do not reach offers; the run does not need them.
            Err(error) if error.is_status(401) || error.is_status(403) => Ok(Throughput::Unknown),
            Err(error) => Err(self.refused(Step::ReadThroughput, error).await),
        }
    }

    /// Reads a document that is not there (1 RU), which opens the first connection and shows how requests travel. What
    /// comes of it is of no account: a credential may be allowed to write without being allowed to read.
    async fn transport(&self, container: &ContainerClient) -> Option<Transport> {
        let id = uuid::Uuid::new_v4().to_string();
        let diagnostics = match self.within(container.read_item("unk", &id, None)).await {
            Ok(response) => response.diagnostics(),
            Err(StepError::Cosmos(error)) => error.diagnostics()?,
            Err(StepError::TooLate) => return None,
        };
        transport_of(&diagnostics)
    }

    /// Awaits a step until the deadline.
    async fn within<T>(&self, step: impl Future<Output = Result<T, CosmosError>>) -> Result<T, StepError> {
        match tokio::time::timeout_at(self.deadline, step).await {
            Ok(done) => done.map_err(StepError::Cosmos),
            Err(_) => Err(StepError::TooLate),
        }
    }

    fn allow_for_creation(&mut self) {
        self.deadline = Instant::now() + CREATE_TIMEOUT;
        self.limit = CREATE_TIMEOUT;
    }

    fn failure(&self, reason: &str) -> String {
        format!("{}: {reason}", self.settings.endpoint)
    }

    async fn refused(&self, step: Step, error: StepError) -> String {
        let error = match error {
            StepError::Cosmos(error) => Some(RequestError::of(&error)),
            StepError::TooLate => None,
        };
        self.explained(step, error).await
    }

    /// Why a step failed; without an error, time ran out.
    async fn explained(&self, step: Step, error: Option<RequestError>) -> String {
        if let Some(trouble) = self.trouble_of_proxy(error.as_ref()).await {
            return self.failure(&format!("cannot be reached: {trouble}"));
        }
        let Some(error) = error else { return refusal::too_late(step, self.limit, self.settings) };
        let skew = match refusal::may_be_the_clock(&error) {
            true => Skew::by(self.settings.endpoint.clone()).await,
            false => None,
        };
        refusal::explain(step, &error, skew, self.settings)
    }

    /// What is wrong with the proxy that leads to the account, if it is to blame. Where the account did not answer the proxy
    /// is asked why, as Azure's client does not tell.
    async fn trouble_of_proxy(&self, error: Option<&RequestError>) -> Option<AttemptError> {
        let (proxy, authority) = way(self.settings)?;
        match error {
            Some(error) if error.answered => error.proxy_error(&proxy, &authority),
            Some(error) if !error.is_of_the_network() => None,
            _ => proxy::trouble(&proxy, &self.settings.endpoint).await,
        }
    }
}

impl StepError {
    /// Whether the service answered with this status.
    fn is_status(&self, status: u16) -> bool {
        match self {
            Self::Cosmos(error) => error.response().is_some() && u16::from(error.status().status_code()) == status,
            Self::TooLate => false,
        }
    }

    /// Whether the service refused to talk about throughput because the account is serverless.
    fn is_serverless(&self) -> bool {
        match self {
            Self::Cosmos(error) => self.is_status(400) && error.to_string().to_ascii_lowercase().contains("serverless"),
            Self::TooLate => false,
        }
    }
}

fn transport_of(diagnostics: &DiagnosticsContext) -> Option<Transport> {
    let requests = diagnostics.requests();
    let last = requests.last()?;
    Some(Transport {
        client: CosmosDbClient::Sdk,
        gateway_v2: last.transport_kind().is_gateway_v2(),
        http2: last.transport_http_version().is_http2(),
    })
}
