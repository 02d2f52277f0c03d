//! Connecting: reach the account, find or make the database and the container, see what they are like.
//!
//! Finding is read, create, tolerate that another process was quicker, read again. It is over within 15 s, one way or the
//! other; only where something is created may that take longer, as it does in Azure.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::{OfProxy, RequestError};
use super::native::{BadCredential, Credential, Database, Native, Resources};
use super::provision::{self, ContainerProperties, Provision, Throughput};
use super::refusal::{self, Step, own};
use super::sdk::Sdk;
use super::{Client, CosmosDb};
use crate::service::clock::Skew;
use crate::service::retry::{ATTEMPT_TIMEOUT, AttemptError, Repeats, RetryPolicy};
use crate::service::{ConnectError, ServiceName, proxy};
use crate::settings::{CosmosDbClient, CosmosDbSettings, Proxy};

/// How long connecting may take where everything is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How much longer each creation may take: Azure provisions partitions meanwhile.
const CREATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks for a container that was just created.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// For how long a request is made again.
const REPEATED_FOR: Duration = Duration::from_secs(5);

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

    /// Reaches the account, and the container, which must be there.
    pub(super) async fn existing_container(
        settings: &CosmosDbSettings,
        cancel: CancellationToken,
    ) -> Result<(Resources, ContainerProperties), ConnectError> {
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

/// Why a step failed; `None` is that time ran out.
type StepError = Option<RequestError>;

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
        let resources = self.resources().await?;
        let (database, created_database) = self.database(&resources).await?;
        let (container, created_container) = self.container(&resources).await?;
        let (sender, found) = self.sender(&resources, &database, &container).await?;
        let provision = Provision { created_database, created_container, ..found };
        let CosmosDbSettings { endpoint, database, container: name, .. } = self.settings;
        tracing::info!(%endpoint, database, container = name, throughput = %provision.throughput, "connected to Cosmos DB");
        tracing::debug!(?provision, "what Cosmos DB is like");
        Ok(CosmosDb { client: sender, retry_for: self.settings.retry_for, provision, session: Mutex::default() })
    }

    async fn existing_container(&self) -> Result<(Resources, ContainerProperties), String> {
        let resources = self.resources().await?;
        match self.found_container(&resources).await? {
            Some(container) => Ok((resources, container)),
            None => {
                let CosmosDbSettings { database, container, .. } = self.settings;
                Err(self.failure(&format!(
                    "there is no container {container} in a database {database}, so nothing to read back"
                )))
            }
        }
    }

    async fn look(&self) -> Result<Found, String> {
        let resources = self.resources().await?;
        let Some(database) = self.found_database(&resources).await? else { return Ok(Found::Nothing) };
        match self.found_container(&resources).await? {
            Some(container) => Ok(Found::Container(Box::new(self.sender(&resources, &database, &container).await?.1))),
            None => Ok(Found::Database(self.throughput(&resources, &database, None).await?)),
        }
    }

    /// What sends, and what database and container are like, of which neither was created just now.
    async fn sender(
        &self,
        resources: &Resources,
        database: &Database,
        container: &ContainerProperties,
    ) -> Result<(Client, Provision), String> {
        let mut warnings = provision::examine(container).map_err(|reason| self.failure(&reason))?;
        let throughput = self.throughput(resources, database, Some(container)).await?;
        let physical_partitions = self.within(|| resources.key_ranges()).await.ok().map(|ranges| ranges.len());
        let (client, transport, region) = match self.settings.client {
            CosmosDbClient::Native => {
                let native = self.step(Step::Connect, Native::new(resources, self.settings).map_err(Some)).await?;
                warnings.extend(native.warnings.iter().cloned());
                let (transport, region) = (native.transport(), native.region_of_several().await);
                (Client::Native(Box::new(native)), Some(transport), region)
            }
            CosmosDbClient::Sdk => {
                let sdk = self.sdk(resources).await?;
                let transport = timeout_at(self.deadline, sdk.transport()).await.ok().flatten();
                (Client::Sdk(Box::new(sdk)), transport, None)
            }
        };
        let provision = Provision {
            created_database: false,
            created_container: false,
            throughput,
            physical_partitions,
            default_ttl: container.default_ttl(),
            transport,
            region,
            warnings,
        };
        Ok((client, provision))
    }

    async fn resources(&self) -> Result<Resources, String> {
        let credential = match Credential::of(self.settings) {
            Ok(credential) => credential,
            Err(BadCredential::EntraId(error)) => return Err(self.failure(&error.to_string())),
            Err(BadCredential::Key) => {
                let error = RequestError::unanswered(401, false, String::new());
                let error = RequestError { substatus: own::SIGNING_FAILED, ..error };
                return Err(refusal::explain(Step::Connect, &error, None, self.settings));
            }
        };
        let connected = self.within(|| Resources::connect(self.settings, credential.clone())).await;
        self.step(Step::Connect, connected).await
    }

    /// Azure's client. txgen's has just been let in, so that little is left to go wrong.
    async fn sdk(&self, resources: &Resources) -> Result<Sdk, String> {
        let connected = timeout_at(self.deadline, Sdk::connect(self.settings, resources.credential())).await;
        let connected = connected.map_err(|_| None).and_then(|sdk| sdk.map_err(|error| Some(RequestError::of(&error))));
        self.step(Step::Connect, connected).await
    }

    async fn found_database(&self, resources: &Resources) -> Result<Option<Database>, String> {
        let read = self.within(|| resources.database()).await;
        self.step(Step::ReadDatabase, if_there(read)).await
    }

    /// The database, and whether it had to be created.
    async fn database(&mut self, resources: &Resources) -> Result<(Database, bool), String> {
        if let Some(database) = self.found_database(resources).await? {
            return Ok((database, false));
        }
        self.allow_for_creation();
        let throughput = Some(self.settings.throughput);
        let mut created = self.within(|| resources.create_database(throughput)).await;
        if matches!(&created, Err(Some(error)) if error.is_of_serverless()) {
            // Serverless accounts refuse any throughput.
            created = self.within(|| resources.create_database(None)).await;
        }
        match created {
            Err(Some(error)) if error.is_status(409) => {
                let read = self.within(|| resources.database()).await;
                Ok((self.step(Step::ReadDatabase, read).await?, false))
            }
            created => Ok((self.step(Step::CreateDatabase, created).await?, true)),
        }
    }

    async fn found_container(&self, resources: &Resources) -> Result<Option<ContainerProperties>, String> {
        let read = self.within(|| resources.container()).await;
        self.step(Step::ReadContainer, if_there(read)).await
    }

    /// The container, and whether it had to be created.
    async fn container(&mut self, resources: &Resources) -> Result<(ContainerProperties, bool), String> {
        if let Some(container) = self.found_container(resources).await? {
            return Ok((container, false));
        }
        self.allow_for_creation();
        let created = match self.within(|| resources.create_container()).await {
            Err(Some(error)) if error.is_status(409) => false,
            created => self.step(Step::CreateContainer, created).await.map(|_| true)?,
        };
        // A new container is not everywhere at once.
        loop {
            match self.within(|| resources.container()).await {
                Err(Some(error)) if error.is_status(404) && Instant::now() + POLL_INTERVAL < self.deadline => {
                    sleep(POLL_INTERVAL).await;
                }
                read => return Ok((self.step(Step::ReadContainer, read).await?, created)),
            }
        }
    }

    async fn throughput(
        &self,
        resources: &Resources,
        database: &Database,
        container: Option<&ContainerProperties>,
    ) -> Result<Throughput, String> {
        let read = self.within(|| async {
            let of_container = match container {
                Some(container) => resources.offer(&container.rid).await?,
                None => None,
            };
            let of_database = resources.offer(&database.rid).await?;
            Ok(Throughput::of(of_database.as_ref(), of_container.as_ref()))
        });
        match read.await {
            Err(Some(error)) if error.is_of_serverless() => Ok(Throughput::Serverless),
            // Entra ID's roles for data do not reach offers; the run does not need them.
            Err(Some(error)) if error.is_status(401) || error.is_status(403) => Ok(Throughput::Unknown),
            read => self.step(Step::ReadThroughput, read).await,
        }
    }

    /// Makes a request again for a while where that can help, until the deadline.
    async fn within<T, F>(&self, ask: impl Fn() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let policy = RetryPolicy { budget: REPEATED_FOR, attempt: ATTEMPT_TIMEOUT };
        let asking = async {
            let mut repeats = Repeats::at_first_contact(policy);
            loop {
                match ask().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) if repeats.wait(&error.clone().into_attempt_error(None)).await => {}
                    Err(error) => return Err(error),
                }
            }
        };
        match timeout_at(self.deadline, asking).await {
            Ok(asked) => asked.map_err(Some),
            Err(_) => Err(None),
        }
    }

    fn allow_for_creation(&mut self) {
        self.deadline = Instant::now() + CREATE_TIMEOUT;
        self.limit = CREATE_TIMEOUT;
    }

    fn failure(&self, reason: &str) -> String {
        format!("{}: {reason}", self.settings.endpoint)
    }

    /// What a step has come to, with the reason where it failed.
    async fn step<T>(&self, step: Step, result: Result<T, StepError>) -> Result<T, String> {
        match result {
            Ok(done) => Ok(done),
            Err(error) => Err(self.explained(step, error).await),
        }
    }

    async fn explained(&self, step: Step, error: StepError) -> String {
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
    /// is asked why.
    async fn trouble_of_proxy(&self, error: Option<&RequestError>) -> Option<AttemptError> {
        let (proxy, authority) = way(self.settings)?;
        match error {
            Some(error) if error.answered || error.of_proxy == Some(OfProxy::Explained) => {
                error.proxy_error(&proxy, &authority)
            }
            Some(error) if !error.is_of_the_network() => None,
            _ => proxy::trouble(&proxy, &self.settings.endpoint).await,
        }
    }
}

/// That it is not there is no error.
fn if_there<T>(read: Result<T, StepError>) -> Result<Option<T>, StepError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Some(error)) if error.is_status(404) => Ok(None),
        Err(error) => Err(error),
    }
}
