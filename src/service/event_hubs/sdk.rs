//! Azure's own client, for who wants the official one, and as the baseline for txgen's.
//!
//! Version 0.15 of azure_messaging_eventhubs is the last that shares an azure_core with the Cosmos DB client. It knows
//! Microsoft Entra ID only, and holds a lock for the whole of a send: one event in flight per client. So there is a pool
//! of clients, leased to one transaction at a time. Its retries are switched off, because it does not count them; txgen's
//! own loop runs on top. It takes the outcomes Released and Modified for successes, which cannot be seen from outside.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind as AzureErrorKind;
use azure_core_amqp::error::{AmqpError, AmqpErrorKind};
use azure_messaging_eventhubs::models::{AmqpMessage, EventData};
use azure_messaging_eventhubs::{EventHubsError, ProducerClient, RetryOptions};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use uuid::Uuid;

use super::Publisher;
use super::address::Address;
use super::timeouts::Timeouts;
use super::verdicts;
use crate::service::retry::{self, AttemptError, Retries, RetryPolicy, Verdict};
use crate::service::{Attempts, Failure, FailureKind};
use crate::settings::{ConnectionString, EventHubsSettings};
use crate::transaction::Transaction;

/// Clients, each with a connection of its own, at most. More hardly add to the rate, and each is a TLS connection.
const MOST_CLIENTS: usize = 32;

/// Bytes that an event may have (<https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>). The link knows better,
/// but the SDK keeps that to itself, and hangs when the service detaches the link over an event that is too large.
const LARGEST: usize = 1024 * 1024;

/// The publisher of one hub.
pub(super) struct Sdk {
    opener: Opener,
    /// As many as there are clients, open or yet to be opened.
    leases: Semaphore,
    /// Open clients that are not in use.
    idle: Mutex<Vec<ProducerClient>>,
    timeouts: Timeouts,
    policy: RetryPolicy,
}

impl Sdk {
    /// Opens and authorises all clients at once, and reads how many partitions the hub has.
    pub(super) async fn connect(
        hub: &ConnectionString,
        settings: &EventHubsSettings,
        credential: Arc<dyn TokenCredential>,
        timeouts: Timeouts,
        policy: RetryPolicy,
    ) -> Result<(Self, Option<u32>), AttemptError> {
        let address = Address::of(hub, settings.transport);
        let opener = Opener {
            // Without a custom endpoint the SDK takes TLS and the usual port; it drops ports in the host's name.
            custom_endpoint: (!address.tls || hub.port.is_some()).then(|| address.amqp_url()),
            host: hub.host.clone(),
            hub: hub.hub.clone(),
            credential,
            timeouts,
        };
        let clients = settings.max_in_flight.get().min(MOST_CLIENTS);
        let idle = try_join_all((0..clients).map(|_| opener.open_at_last())).await?;
        let partitions = match idle.first() {
            Some(client) => opener.partitions(client).await,
            None => None,
        };
        let publisher = Self { opener, leases: Semaphore::new(clients), idle: Mutex::new(idle), timeouts, policy };
        Ok((publisher, partitions))
    }

    fn take_idle(&self) -> Option<ProducerClient> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, client: ProducerClient) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }

    async fn attempt(
        &self,
        transaction: &Transaction,
        attempts: &Attempts<'_>,
        retries: &Retries<'_>,
    ) -> Result<(), AttemptError> {
        if transaction.body.len() > LARGEST {
            let message = format!("the event has {} bytes; a hub takes at most {LARGEST}", transaction.body.len());
            return Err(AttemptError::impossible(FailureKind::TooLarge, message));
        }
        let lease = timeout_at(retries.end(), self.leases.acquire()).await;
        let lease = lease.map_err(|_| AttemptError::not_sent(FailureKind::Timeout, "no client was free in time"))?;
        let _lease = lease.map_err(|_| AttemptError::impossible(FailureKind::Abandoned, "the publisher is closed"))?;
        let deadline = retries.deadline();
        let client = match self.take_idle() {
            Some(client) => client,
            None => timeout_at(deadline, self.opener.open())
                .await
                .unwrap_or_else(|_| Err(AttemptError::not_sent(FailureKind::Timeout, "no connection in time")))
                .map_err(AttemptError::before_sending)?,
        };
        let (attempt, began) = (attempts.send(), Instant::now());
        // A client that is not given back is dropped: after a loss a send of this SDK may hang for ever.
        match timeout_at(deadline, client.send_message(message_of(transaction), None)).await {
            Ok(sent) => {
                let result = sent.map_err(|error| of_error(&error));
                retry::conclude(attempt, &result);
                if result.as_ref().err().is_none_or(|error| error.verdict == Verdict::Throttled) {
                    self.give_back(client);
                }
                result
            }
            Err(_) => {
                attempt.lost();
                Err(AttemptError::timed_out(began.elapsed()))
            }
        }
    }
}

impl Publisher for Sdk {
    async fn publish(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<(), Failure> {
        let mut retries = Retries::new(self.policy, attempts);
        loop {
            match self.attempt(transaction, attempts, &retries).await {
                Ok(()) => return Ok(()),
                Err(error) => retries.wait(error).await?,
            }
        }
    }

    async fn close(&self) {
        self.leases.close();
        let clients = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = timeout(self.timeouts.close, join_all(clients.into_iter().map(ProducerClient::close))).await;
    }
}

struct Opener {
    host: String,
    hub: String,
    custom_endpoint: Option<String>,
    credential: Arc<dyn TokenCredential>,
    timeouts: Timeouts,
}

impl Opener {
    /// Opens a client, once more where its connection was lost meanwhile: dozens are opened at once, and a busy service may
    /// drop one.
    async fn open_at_last(&self) -> Result<ProducerClient, AttemptError> {
        match self.open().await {
            Err(error) if error.kind == FailureKind::Connection && error.left => self.open().await,
            opened => opened,
        }
    }

    /// Opens a client up to its sender link: the SDK's own `open` succeeds with a wrong credential.
    async fn open(&self) -> Result<ProducerClient, AttemptError> {
        let open = async {
            let mut builder = ProducerClient::builder()
                // It names the connection and its links: they must not be mistaken for each other.
                .with_application_id(format!("txgen-{}", Uuid::new_v4().simple()))
                .with_retry_options(RetryOptions { max_retries: 0, ..RetryOptions::default() });
            if let Some(endpoint) = &self.custom_endpoint {
                builder = builder.with_custom_endpoint(endpoint.clone());
            }
            let client = builder.open(&self.host, &self.hub, self.credential.clone()).await?;
            client.create_batch(None).await?;
            Ok(client)
        };
        match timeout(self.timeouts.connect, open).await {
            Ok(opened) => opened.map_err(|error: EventHubsError| of_error(&error)),
            Err(_) => Err(AttemptError::not_sent(
                FailureKind::Timeout,
                format!("{} did not answer within {:?}", self.host, self.timeouts.connect),
            )),
        }
    }

    async fn partitions(&self, client: &ProducerClient) -> Option<u32> {
        match timeout(self.timeouts.connect, client.get_eventhub_properties()).await {
            Ok(Ok(properties)) => u32::try_from(properties.partition_ids.len()).ok(),
            Ok(Err(error)) => {
                debug!(hub = self.hub, %error, "the hub's properties cannot be read");
                None
            }
            Err(_) => None,
        }
    }
}

fn message_of(transaction: &Transaction) -> AmqpMessage {
    let event =
        EventData::builder().with_body(transaction.body.to_vec()).with_message_id(transaction.id.to_string()).build();
    let mut message = AmqpMessage::from(event);
    message.add_message_annotation("x-opt-partition-key".into(), transaction.partition_key.to_string());
    message
}

/// What the SDK's error means.
fn of_error(error: &EventHubsError) -> AttemptError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref().and_then(of_amqp_error) {
            return found;
        }
        if let Some(azure) = error.downcast_ref::<azure_core::Error>()
            && matches!(azure.kind(), AzureErrorKind::Credential)
        {
            let message = format!("no token from Microsoft Entra ID: {azure}");
            return AttemptError::impossible(FailureKind::Unauthorized, message);
        }
        cause = error.source();
    }
    AttemptError::lost(FailureKind::Connection, deepest(error))
}

fn of_amqp_error(error: &AmqpError) -> Option<AttemptError> {
    match error.kind() {
        AmqpErrorKind::AmqpDescribedError(described) => {
            let error = verdicts::of_condition((&described.condition).into(), described.description.as_deref());
            // The link's or the connection's end is no answer to the request that was on the way.
            if error.kind == FailureKind::Connection {
                return Some(AttemptError { verdict: Verdict::Ambiguous, ..error });
            }
            Some(error)
        }
        AmqpErrorKind::ManagementStatusCode(status, description) => {
            Some(verdicts::of_status(u16::from(*status), description.as_deref()))
        }
        AmqpErrorKind::SendRejected => {
            Some(verdicts::of_condition("amqp:rejected", Some("the service rejected it without a reason")))
        }
        _ => None,
    }
}

/// The innermost cause, which is the one that says what happened.
fn deepest(error: &EventHubsError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let (text, whole) = (cause.to_string(), error.to_string());
    if whole.contains(&text) { whole } else { format!("{whole}: {text}") }
}

#[cfg(test)]
mod tests {
    use azure_core_amqp::AmqpDescribedError;
    use azure_core_amqp::error::AmqpErrorCondition;

    use super::*;

    fn described(condition: AmqpErrorCondition) -> EventHubsError {
        let error = AmqpDescribedError::new(condition, Some("no".into()), Default::default());
        AmqpError::from(AmqpErrorKind::AmqpDescribedError(error)).into()
    }

    #[test]
    fn a_condition_is_found_however_deep_the_sdk_wraps_it() {
        let inner = AmqpErrorKind::ManagementStatusCode(azure_core::http::StatusCode::Unauthorized, None);
        let middle = azure_core::Error::with_error(AzureErrorKind::Other, AmqpError::from(inner), "no sender");
        let outer = EventHubsError::from(AmqpError::from(middle));
        assert_eq!(of_error(&outer).kind, FailureKind::Unauthorized);
    }

    #[test]
    fn a_busy_service_is_an_answer_and_a_lost_link_is_none() {
        let busy = of_error(&described(AmqpErrorCondition::ServerBusyError));
        assert_eq!((busy.kind, busy.verdict), (FailureKind::Throttled, Verdict::Throttled));
        let lost = of_error(&described(AmqpErrorCondition::LinkDetachForced));
        assert_eq!((lost.kind, lost.verdict), (FailureKind::Connection, Verdict::Ambiguous));
    }

    #[test]
    fn an_error_without_a_condition_is_a_lost_connection() {
        let dropped = AmqpErrorKind::ConnectionDropped(Box::new(std::io::Error::other("reset by peer")));
        let error = of_error(&AmqpError::from(dropped).into());
        assert_eq!((error.kind, error.verdict), (FailureKind::Connection, Verdict::Ambiguous));
        assert!(error.message.contains("reset by peer"), "{error}");
    }
}
