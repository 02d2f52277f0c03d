//! What reading documents takes, back or by the change feed: a container that is there, and patience.

use tokio_util::sync::CancellationToken;

use super::answer::RequestError;
use super::native::{KeyRange, Resources};
use super::provision::ContainerProperties;
use super::{CosmosDb, connect};
use crate::service::retry::{ATTEMPT_TIMEOUT, Repeats, RetryPolicy};
use crate::service::{ConnectError, FailureKind, ServiceName, remedy};
use crate::settings::{CosmosDbSettings, Proxy};

/// What is to do where a session cannot be read.
const LAGS_BEHIND: &str = "what is read from has not got the run's writes yet, or the container was deleted and made again since; \
                           read later, or from another region";

/// A container to read from.
pub(super) struct Reading {
    pub(super) resources: Resources,
    pub(super) container: ContainerProperties,
    endpoint: String,
    proxy: Option<(Proxy, String)>,
    policy: RetryPolicy,
    /// What cannot be done when an error ends it, as in `documents cannot be read back`.
    purpose: &'static str,
}

impl Reading {
    /// Reaches the account and the container, creating neither.
    pub(super) async fn connect(
        settings: &CosmosDbSettings,
        purpose: &'static str,
        cancel: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let (resources, container) = CosmosDb::existing_container(settings, cancel).await?;
        Ok(Self {
            resources,
            container,
            endpoint: settings.endpoint.to_string(),
            proxy: connect::way(settings),
            policy: RetryPolicy { budget: settings.retry_for, attempt: ATTEMPT_TIMEOUT },
            purpose,
        })
    }

    pub(super) fn repeats(&self) -> Repeats {
        Repeats::new(self.policy)
    }

    /// Waits until it is time to ask again.
    ///
    /// # Errors
    /// Why the service does not answer, if another attempt cannot help, or the time is used up.
    pub(super) async fn wait(&self, repeats: &mut Repeats, error: RequestError) -> Result<(), ConnectError> {
        let error = error.into_attempt_error(self.proxy.as_ref().map(|(proxy, authority)| (proxy, authority.as_str())));
        if repeats.wait(&error).await {
            return Ok(());
        }
        Err(self.failure(&match error.kind {
            FailureKind::KeysDisabled | FailureKind::ClockSkew | FailureKind::NetworkBlocked => {
                format!("{error}; {}", remedy(ServiceName::CosmosDb, error.kind))
            }
            FailureKind::Unavailable if error.status.as_deref() == Some("404/1002") => {
                format!("{error}; {LAGS_BEHIND}")
            }
            _ => error.to_string(),
        }))
    }

    /// Asks until there is an answer.
    pub(super) async fn ask<T, F>(&self, ask: impl Fn() -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let mut repeats = self.repeats();
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait(&mut repeats, error).await?,
            }
        }
    }

    pub(super) async fn key_ranges(&self) -> Result<Vec<KeyRange>, ConnectError> {
        self.ask(|| self.resources.key_ranges()).await
    }

    pub(super) fn failure(&self, reason: &str) -> ConnectError {
        let message = format!("{}: {}: {reason}", self.endpoint, self.purpose);
        ConnectError { service: ServiceName::CosmosDb, message }
    }
}
