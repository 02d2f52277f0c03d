//! Cosmos DB: one create per transaction, throttling waited out, losses repeated.
//!
//! Two clients can send: txgen's own (`native`), which also makes the database and the container and reads documents back,
//! and Azure's (`sdk`). Azure's would repeat requests by itself, for minutes and silently; here it is set not to
//! (`client`), so that every attempt is counted as it happens. What answers mean (`answer`, `verdicts`) and when to try
//! again is the same for both.

mod answer;
#[cfg(feature = "lake")]
pub mod change_feed;
mod client;
mod connect;
mod native;
mod provision;
mod read_back;
mod reading;
mod refusal;
mod sdk;
mod session;
mod verdicts;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_data_cosmos::ContainerClient;
use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::service::retry::{self, ATTEMPT_TIMEOUT, AttemptError, Retries, RetryPolicy};
use crate::service::{Attempts, Failure, FailureKind, Receipt, Service, ServiceName};
use crate::transaction::Transaction;

pub use connect::Found;
pub use native::Document;
pub use provision::{DefaultTtl, Provision, Scope, Throughput, Transport};
pub use read_back::Reader;
pub use session::{NoSessionToken, SessionToken};

use native::Native;
use sdk::Sdk;

/// The container that transactions are written to.
pub struct CosmosDb {
    client: Client,
    retry_for: Duration,
    provision: Provision,
    /// What all answers say.
    session: Mutex<SessionToken>,
}

/// What sends.
enum Client {
    Native(Box<Native>),
    Sdk(Box<Sdk>),
}

impl CosmosDb {
    /// What was found, or made, when txgen connected.
    #[must_use]
    pub fn provision(&self) -> &Provision {
        &self.provision
    }

    /// Azure's client for the container, with txgen's settings, where that is the client: to compare txgen with a bare
    /// loop.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerClient> {
        match &self.client {
            Client::Sdk(sdk) => Some(&sdk.container),
            Client::Native(_) => None,
        }
    }

    /// How far the container was when it answered; `None` where it did not say.
    #[must_use]
    pub fn session_token(&self) -> Option<SessionToken> {
        Some(self.session().clone()).filter(|token| !token.is_empty())
    }

    fn session(&self) -> MutexGuard<'_, SessionToken> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, transaction: &Transaction, deadline: Instant) -> Created {
        match &self.client {
            Client::Native(native) => native.create(transaction, deadline).await,
            // Boxed, because its future is a multiple of the other one, and every transaction would pay for that.
            Client::Sdk(sdk) => Box::pin(sdk.create(transaction, deadline)).await,
        }
    }

    /// Another region may take what this one did not.
    async fn leave(&self, region: u64, deadline: Instant) {
        match &self.client {
            Client::Native(native) => Box::pin(native.leave(region, deadline)).await,
            // It follows by itself.
            Client::Sdk(_) => {}
        }
    }
}

/// What became of one request, and of those that the client sent on its own account within it.
struct Created {
    /// RU of all of them.
    request_units: f64,
    /// How long the service worked on it, by its own account.
    server_time: Option<Duration>,
    /// The answer's session token.
    session_token: Option<HeaderValue>,
    /// How many before the last one were lost with their answers outstanding.
    lost_on_the_way: usize,
    /// How many before the last one were certainly not stored, for the last one was.
    resent_unread: usize,
    /// The number of the region that it was sent to, where another one may take it.
    refused_by_region: Option<u64>,
    result: Result<(), AttemptError>,
}

impl Created {
    fn new(result: Result<(), AttemptError>) -> Self {
        Self {
            request_units: 0.0,
            server_time: None,
            session_token: None,
            lost_on_the_way: 0,
            resent_unread: 0,
            refused_by_region: None,
            result,
        }
    }

    fn failed(error: AttemptError) -> Self {
        Self::new(Err(error))
    }
}

impl Service for CosmosDb {
    fn name(&self) -> ServiceName {
        ServiceName::CosmosDb
    }

    async fn send(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<Receipt, Failure> {
        let policy = RetryPolicy { budget: self.retry_for, attempt: ATTEMPT_TIMEOUT };
        let mut retries = Retries::new(policy, attempts);
        let mut receipt = Receipt::default();
        loop {
            let attempt = attempts.send();
            let created = self.create(transaction, retries.deadline()).await;
            receipt.add(created.request_units, created.server_time);
            if let Some(Ok(token)) = created.session_token.as_ref().map(HeaderValue::to_str) {
                self.session().add(token);
            }
            for _ in 0..created.lost_on_the_way {
                attempts.send().lost();
                attempts.resent();
            }
            for _ in 0..created.resent_unread {
                attempts.resent();
            }
            retry::conclude(attempt, &created.result);
            match created.result {
                Ok(()) => return Ok(receipt),
                // An attempt before this one has stored it.
                Err(error)
                    if error.kind == FailureKind::Conflict
                        && (transaction.may_be_stored || attempts.may_be_stored()) =>
                {
                    return Ok(receipt);
                }
                Err(error) => {
                    if let Some(region) = created.refused_by_region {
                        self.leave(region, retries.end()).await;
                    }
                    retries.wait(error).await.map_err(|failure| Failure {
                        ambiguous: failure.ambiguous || transaction.may_be_stored || attempts.may_be_stored(),
                        ..failure
                    })?;
                }
            }
        }
    }

    async fn close(&self) {
        // HTTP connections need no goodbye: those that are idle close with the client.
    }
}
