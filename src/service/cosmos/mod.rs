//! Cosmos DB through Azure's own client: one create per transaction, throttling waited out, losses repeated.
//!
//! Azure's client would repeat requests by itself, for minutes and silently; here it is set not to
//! (`client`), so that every attempt is counted as it happens.

mod answer;
mod client;
mod connect;
mod provision;
mod read_back;
mod refusal;
mod verdicts;

use std::time::Duration;

use azure_data_cosmos::ContainerClient;
use azure_data_cosmos::models::ItemResponse;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::service::retry::{self, ATTEMPT_TIMEOUT, AttemptError, Retries, RetryPolicy};
use crate::service::{Attempts, Failure, FailureKind, Receipt, Service, ServiceName};
use crate::settings::Proxy;
use crate::transaction::Transaction;

pub use connect::Found;
pub use provision::{DefaultTtl, Provision, Scope, Throughput, Transport};
pub use read_back::{Document, Reader};

use answer::RequestError;

/// The container that transactions are written to.
pub struct CosmosDb {
    container: ContainerClient,
    retry_for: Duration,
    provision: Provision,
    /// What leads there, and to where.
    proxy: Option<(Proxy, String)>,
}

impl CosmosDb {
    /// What was found, or made, when txgen connected.
    #[must_use]
    pub fn provision(&self) -> &Provision {
        &self.provision
    }

    /// Azure's client for the container, with txgen's settings, for comparing txgen with a bare loop.
    #[must_use]
    pub fn container(&self) -> &ContainerClient {
        &self.container
    }

    /// One request, in Azure's client's terms.
    async fn create(&self, transaction: &Transaction, document: &RawValue, deadline: Instant) -> Created {
        let mut id = uuid::Uuid::encode_buffer();
        let id: &str = transaction.id.hyphenated().encode_lower(&mut id);
        let partition_key = String::from(&*transaction.partition_key);
        let began = Instant::now();
        let created = self.container.create_item(partition_key, id, document, None);
        match tokio::time::timeout_at(deadline, created).await {
            Ok(Ok(response)) => Created::stored(&response),
            Ok(Err(error)) => {
                Created::failed(&error, self.proxy.as_ref().map(|(proxy, authority)| (proxy, authority.as_str())))
            }
            Err(_) => Created::timed_out(began.elapsed()),
        }
    }
}

/// What became of one request, and of those that Azure's client sent on its own account within it.
struct Created {
    /// RU of all of them.
    request_units: f64,
    /// How many before the last one were lost with their answers outstanding.
    lost_on_the_way: usize,
    result: Result<(), AttemptError>,
}

impl Created {
    fn stored(response: &ItemResponse) -> Self {
        let diagnostics = response.diagnostics();
        Self {
            request_units: diagnostics.total_request_charge().value(),
            lost_on_the_way: answer::lost_on_the_way(&diagnostics),
            result: Ok(()),
        }
    }

    fn failed(error: &azure_data_cosmos::CosmosError, proxy: Option<(&Proxy, &str)>) -> Self {
        let diagnostics = error.diagnostics();
        Self {
            request_units: diagnostics.as_ref().map_or(0.0, |all| all.total_request_charge().value()),
            lost_on_the_way: diagnostics.as_ref().map_or(0, |all| answer::lost_on_the_way(all)),
            result: Err(RequestError::of(error).into_attempt_error(proxy)),
        }
    }

    fn timed_out(waited: Duration) -> Self {
        Self { request_units: 0.0, lost_on_the_way: 0, result: Err(AttemptError::timed_out(waited)) }
    }
}

impl Service for CosmosDb {
    fn name(&self) -> ServiceName {
        ServiceName::CosmosDb
    }

    async fn send(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<Receipt, Failure> {
        // Borrowed and checked once: Azure's client copies it into the request as it is, for every attempt.
        let document: &RawValue = serde_json::from_slice(&transaction.body)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("the transaction is no JSON: {error}")))?;
        let policy = RetryPolicy { budget: self.retry_for, attempt: ATTEMPT_TIMEOUT };
        let mut retries = Retries::new(policy, attempts);
        let mut request_units = 0.0;
        loop {
            let attempt = attempts.send();
            let created = self.create(transaction, document, retries.deadline()).await;
            request_units += created.request_units;
            for _ in 0..created.lost_on_the_way {
                attempts.send().lost();
                attempts.resent();
            }
            retry::conclude(attempt, &created.result);
            match created.result {
                Ok(()) => return Ok(Receipt { request_units }),
                // An attempt before this one has stored it.
                Err(error)
                    if error.kind == FailureKind::Conflict
                        && (transaction.may_be_stored || attempts.may_be_stored()) =>
                {
                    return Ok(Receipt { request_units });
                }
                Err(error) => retries.wait(error).await.map_err(|failure| Failure {
                    ambiguous: failure.ambiguous || transaction.may_be_stored || attempts.may_be_stored(),
                    ..failure
                })?,
            }
        }
    }

    async fn close(&self) {
        // HTTP connections need no goodbye: those that are idle close with the client.
    }
}
