//! Azure Event Hubs: one to three hubs, each transaction to all of them.
//!
//! Two clients stand behind `Publisher`: txgen's own (`native`, in `pipelined`), and Azure's (`sdk`). What they have in common
//! is here: where a hub is (`address`), how to enter it (`tokens`), and what its answers mean
//! (`verdicts`).

mod address;
mod explain;
mod pipelined;
mod sdk;
mod timeouts;
mod tokens;
mod verdicts;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::pipelined::Pipelined;
pub use self::pipelined::follow::{HubEvent, HubState, PartitionState};
pub use self::pipelined::read_back::StoredEvent;
use self::sdk::Sdk;
pub use self::timeouts::Timeouts;
use self::tokens::TokenSource;
use super::entra::{self, DevelopmentCredential};
use super::retry::{AttemptError, RetryPolicy};
use super::{Attempts, ConnectError, Failure, FailureKind, Receipt, Service, ServiceName};
use crate::settings::{ConnectionString, EventHubClient, EventHubTransport, EventHubsSettings, HubCredential, Proxies};
use crate::transaction::Transaction;

/// Characters that a partition key may have
/// (<https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>).
const LONGEST_KEY: usize = 128;

/// Sends events to one hub.
trait Publisher: Send + Sync {
    /// Sends one transaction and waits until it is settled, retries included.
    fn publish(
        &self,
        transaction: &Transaction,
        attempts: &Attempts<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends connections politely, within a bounded time.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

enum AnyPublisher {
    Pipelined(Pipelined),
    Sdk(Box<Sdk>),
}

impl Publisher for AnyPublisher {
    async fn publish(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Failure> {
        match self {
            Self::Pipelined(publisher) => publisher.publish(transaction, attempts).await,
            // Boxed, because its future is a multiple of the other one, and every transaction would pay for that.
            Self::Sdk(publisher) => Box::pin(publisher.publish(transaction, attempts)).await,
        }
    }

    async fn close(&self) {
        match self {
            Self::Pipelined(publisher) => publisher.close().await,
            Self::Sdk(publisher) => publisher.close().await,
        }
    }
}

/// What a user wants to know of a hub before a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubInfo {
    /// The host of the namespace, with the port where the connection string names one.
    pub namespace: String,
    /// The hub.
    pub hub: String,
    /// How many partitions it has, if the service says so.
    pub partitions: Option<u32>,
    /// Which client sends.
    pub client: EventHubClient,
    /// What carries AMQP.
    pub transport: EventHubTransport,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// How txgen shows that it may send.
    pub authentication: Authentication,
}

/// `HUB at NAMESPACE`.
impl fmt::Display for HubInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.hub, self.namespace)
    }
}

impl HubInfo {
    /// What the settings alone say of a hub.
    #[must_use]
    pub fn of(hub: &ConnectionString, settings: &EventHubsSettings) -> Self {
        Self {
            namespace: explain::namespace(hub),
            hub: hub.hub.clone(),
            partitions: None,
            client: settings.client,
            transport: settings.transport,
            tls: hub.uses_tls(),
            authentication: Authentication::of(hub, settings.client),
        }
    }
}

/// How txgen shows that it may send, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// With the key of the policy of this name.
    SharedAccessKey(String),
    /// With a token that was signed elsewhere.
    SharedAccessSignature,
    /// With Microsoft Entra ID.
    EntraId,
    /// With a token that says nothing, which is enough for an emulator.
    Emulator,
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedAccessKey(policy) => write!(f, "shared access key of policy {policy}"),
            Self::SharedAccessSignature => f.write_str("shared access signature"),
            Self::EntraId => f.write_str("Microsoft Entra ID"),
            Self::Emulator => f.write_str("emulator"),
        }
    }
}

impl Authentication {
    fn of(hub: &ConnectionString, client: EventHubClient) -> Self {
        match &hub.credential {
            HubCredential::EntraId if !hub.development_emulator => Self::EntraId,
            HubCredential::SharedAccessKey { policy, .. } if client == EventHubClient::Native => {
                Self::SharedAccessKey(policy.clone())
            }
            HubCredential::SharedAccessSignature(_) if client == EventHubClient::Native => Self::SharedAccessSignature,
            HubCredential::SharedAccessKey { policy, .. } if !hub.development_emulator => {
                Self::SharedAccessKey(policy.clone())
            }
            HubCredential::SharedAccessSignature(_) if !hub.development_emulator => Self::SharedAccessSignature,
            _ => Self::Emulator,
        }
    }
}

/// What callers may choose that settings do not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The credential for hubs that are entered with Microsoft Entra ID; by default the environment's.
    pub credential: Option<Arc<dyn TokenCredential>>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// The Event Hubs service of a run.
pub struct EventHubs {
    hubs: Vec<HubInfo>,
    publishers: Vec<AnyPublisher>,
}

impl EventHubs {
    /// Opens and authorises everything at once, within 15 seconds. `cancel` gives up connecting; a connected service is
    /// ended by [`Service::close`], or by dropping it.
    ///
    /// # Errors
    /// When a hub cannot be reached, is not there, or refuses txgen: the error names the hub and the remedy.
    pub async fn connect(settings: &EventHubsSettings, cancel: CancellationToken) -> Result<Self, ConnectError> {
        Self::connect_with(settings, &Options::default(), cancel).await
    }

    /// [`Self::connect`] with a credential and time-outs of the caller's.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        settings: &EventHubsSettings,
        options: &Options,
        cancel: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let connect = try_join_all(settings.hubs.iter().map(|hub| connect_hub(hub, settings, options)));
        let connected = cancel.run_until_cancelled(connect).await;
        let connected = connected.unwrap_or_else(|| Err("interrupted while connecting".to_owned()));
        let connected = connected.map_err(|message| ConnectError { service: ServiceName::EventHubs, message })?;
        let (publishers, hubs) = connected.into_iter().unzip();
        Ok(Self { hubs, publishers })
    }

    /// Looks at one hub: connects, authorises a link to send, reads what the hub is like, and leaves again, within the
    /// time that connecting takes. Nothing is sent.
    ///
    /// # Errors
    /// As [`Self::connect`]: the whole line for the user.
    pub async fn inspect(
        hub: &ConnectionString,
        settings: &EventHubsSettings,
        cancel: CancellationToken,
    ) -> Result<HubInfo, String> {
        let one = NonZeroUsize::MIN;
        let settings = EventHubsSettings { connections: one, max_in_flight: one, ..settings.clone() };
        let options = Options::default();
        let connected = cancel.run_until_cancelled(connect_hub(hub, &settings, &options)).await;
        let (publisher, info) = connected.unwrap_or_else(|| Err("interrupted while connecting".to_owned()))?;
        publisher.close().await;
        Ok(info)
    }

    /// The hubs, in the order of the settings.
    #[must_use]
    pub fn hubs(&self) -> &[HubInfo] {
        &self.hubs
    }

    async fn publish(&self, nth: usize, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Failure> {
        let result = self.publishers[nth].publish(transaction, attempts).await;
        result.map_err(|failure| Failure { message: format!("{}: {}", self.hubs[nth].hub, failure.message), ..failure })
    }
}

impl fmt::Debug for EventHubs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHubs").field("hubs", &self.hubs).finish_non_exhaustive()
    }
}

impl Service for EventHubs {
    fn name(&self) -> ServiceName {
        ServiceName::EventHubs
    }

    /// A transaction has succeeded once every hub has it. A resend concerns the hub that failed, and no other.
    async fn send(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<Receipt, Failure> {
        check_key(&transaction.partition_key)?;
        if self.publishers.len() == 1 {
            self.publish(0, transaction, attempts).await?;
        } else {
            let sends = (0..self.publishers.len()).map(|nth| self.publish(nth, transaction, attempts));
            // All are waited for: giving one up in mid-flight would leave it open whether that hub has the event.
            join_all(sends).await.into_iter().collect::<Result<(), Failure>>()?;
        }
        Ok(Receipt::default())
    }

    async fn close(&self) {
        join_all(self.publishers.iter().map(AnyPublisher::close)).await;
    }
}

fn check_key(key: &str) -> Result<(), Failure> {
    // Counting bytes first spares counting characters, nearly always.
    if key.len() <= LONGEST_KEY {
        return Ok(());
    }
    match key.chars().count() {
        0..=LONGEST_KEY => Ok(()),
        length => Err(Failure::new(
            FailureKind::BadRequest,
            format!("the partition key has {length} characters; Event Hubs takes at most {LONGEST_KEY}"),
        )),
    }
}

/// From where a hub is read back.
#[derive(Clone, Copy, Debug)]
pub struct ReadFrom<'a> {
    /// The consumer group to read as.
    pub consumer_group: &'a str,
    /// Events that were enqueued before this, in milliseconds since 1970-01-01 UTC, are left out.
    pub since_unix_ms: i64,
}

/// Reads back every event of a hub that `from` asks for, up to the last one that is there when this begins. `take` is
/// given each of them, in the order of its partition.
///
/// # Errors
/// When the hub cannot be reached, or does not let this connection string read; `key_name` is the setting that could hold
/// one that may.
pub async fn read_back(
    hub: &ConnectionString,
    transport: EventHubTransport,
    proxies: &Proxies,
    from: ReadFrom<'_>,
    key_name: &str,
    take: &mut (dyn FnMut(StoredEvent) + Send),
) -> Result<(), ConnectError> {
    let options = Options::default();
    let read = async {
        let tokens = token_source(hub, &options)?;
        pipelined::read_back::read_back(hub, transport, proxies, tokens, options.timeouts, from, take).await
    };
    read.await.map_err(|error| {
        let message = explain::unreadable(hub, transport, key_name, from.consumer_group, &error);
        ConnectError { service: ServiceName::EventHubs, message }
    })
}

/// A hub that is to be followed.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The connection string.
    pub hub: ConnectionString,
    /// The setting that could hold one that may read, for messages.
    pub key_name: &'static str,
    /// What carries AMQP.
    pub transport: EventHubTransport,
    /// The ways to the service.
    pub proxies: Proxies,
    /// The consumer group to read as.
    pub consumer_group: String,
}

/// Why a hub is followed no longer.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Another reader of the same consumer group has taken a partition over.
    #[error("{0}")]
    TakenOver(String),
    /// The hub cannot be reached, or does not let this connection string read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Followed {
    /// What the hub is and what its partitions hold.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses to tell.
    pub async fn look(&self) -> Result<HubState, ConnectError> {
        let look = async { pipelined::follow::look(&self.target()?).await };
        look.await.map_err(|error| self.unreadable(&error))
    }

    /// Reads the partitions after the given sequence numbers, `None` meaning from their beginning, and hands their events
    /// over, each partition's in its order, until `cancel` says so or they are taken no longer. Other readers of these partitions
    /// in the same consumer group are shut out.
    ///
    /// # Errors
    /// When the hub refuses to let txgen read, cannot be reached for two minutes, or lets another reader take over.
    pub async fn follow(
        &self,
        after: BTreeMap<u32, Option<i64>>,
        events: mpsc::Sender<Vec<HubEvent>>,
        cancel: CancellationToken,
    ) -> Result<(), FollowError> {
        let follow = async {
            let target = self.target()?;
            pipelined::follow::follow(target, self.consumer_group.clone(), after, events, cancel).await
        };
        follow.await.map_err(|error| {
            if pipelined::follow::is_stolen(&error) {
                FollowError::TakenOver(error.message)
            } else {
                FollowError::Connect(self.unreadable(&error))
            }
        })
    }

    fn target(&self) -> Result<pipelined::Target, AttemptError> {
        let Self { hub, transport, proxies, .. } = self;
        let options = Options::default();
        pipelined::reading_target(hub, *transport, proxies, token_source(hub, &options)?, options.timeouts)
    }

    fn unreadable(&self, error: &AttemptError) -> ConnectError {
        let Self { hub, transport, key_name, consumer_group, .. } = self;
        let message = explain::unreadable(hub, *transport, key_name, consumer_group, error);
        ConnectError { service: ServiceName::EventHubs, message }
    }
}

/// Connects one hub; an error is the whole line for the user.
async fn connect_hub(
    hub: &ConnectionString,
    settings: &EventHubsSettings,
    options: &Options,
) -> Result<(AnyPublisher, HubInfo), String> {
    let timeouts = options.timeouts;
    let policy = RetryPolicy { budget: settings.retry_for, attempt: timeouts.attempt };
    let connect = async {
        Ok(match settings.client {
            EventHubClient::Native => {
                let tokens = token_source(hub, options)?;
                let (publisher, partitions) = Pipelined::connect(hub, settings, tokens, timeouts, policy).await?;
                (AnyPublisher::Pipelined(publisher), partitions)
            }
            EventHubClient::Sdk => {
                let (publisher, partitions) =
                    Sdk::connect(hub, settings, sdk_credential(hub, options)?, timeouts, policy).await?;
                (AnyPublisher::Sdk(Box::new(publisher)), partitions)
            }
        })
    };
    explain::incompatible(hub, settings).map_or(Ok(()), Err)?;
    let connected = timeout(timeouts.connect, connect).await.unwrap_or_else(|_| {
        let message = format!("connecting took longer than {:?}", timeouts.connect);
        Err(AttemptError::not_sent(FailureKind::Timeout, message))
    });
    let (publisher, partitions) = connected.map_err(|error| explain::refusal(hub, settings, &error))?;
    let info = HubInfo { partitions, ..HubInfo::of(hub, settings) };
    tracing::info!(
        hub = info.hub,
        namespace = info.namespace,
        partitions = info.partitions,
        authentication = %info.authentication,
        "connected to an event hub"
    );
    Ok((publisher, info))
}

fn token_source(hub: &ConnectionString, options: &Options) -> Result<TokenSource, AttemptError> {
    Ok(match &hub.credential {
        HubCredential::SharedAccessKey { policy, key } => {
            TokenSource::Policy { policy: policy.clone(), key: key.clone(), life: options.timeouts.token_life }
        }
        HubCredential::SharedAccessSignature(text) => TokenSource::Signed(text.clone()),
        HubCredential::EntraId => TokenSource::Entra(entra_credential(hub, options)?),
    })
}

/// The SDK cannot sign: [`explain::incompatible`] has turned keys away, but for emulators, which look at no token.
fn sdk_credential(hub: &ConnectionString, options: &Options) -> Result<Arc<dyn TokenCredential>, AttemptError> {
    if hub.development_emulator { Ok(Arc::new(DevelopmentCredential)) } else { entra_credential(hub, options) }
}

fn entra_credential(hub: &ConnectionString, options: &Options) -> Result<Arc<dyn TokenCredential>, AttemptError> {
    match &options.credential {
        Some(credential) => Ok(credential.clone()),
        None if hub.development_emulator => Ok(Arc::new(DevelopmentCredential)),
        None => {
            entra::credential(&hub.host).map_err(|error| AttemptError::impossible(FailureKind::Unauthorized, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_of_more_than_128_characters_is_refused_before_it_is_sent() {
        assert_eq!(check_key(&"é".repeat(128)), Ok(()));
        let failure = check_key(&"é".repeat(129)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadRequest);
        assert!(!failure.ambiguous);
    }
}
