//! Azure's own client, behind `--cosmos-client sdk`: it sends, and nothing else.
//!
//! It gives failures without an answer a status of their own (mostly 503), so whether the service answered is asked
//! first; and, where a proxy leads there, whether it was the proxy that failed.

use std::time::Duration;

use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::models::ItemResponse;
use azure_data_cosmos::options::ContainerClientOptions;
use azure_data_cosmos::{ContainerClient, CosmosError};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::answer::{OfProxy, RequestError, body_text, is_page};
use super::native::Credential;
use super::provision::Transport;
use super::{Created, client, connect};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, one_line};
use crate::settings::{CosmosDbClient, CosmosDbSettings, Proxy};
use crate::transaction::Transaction;

/// Azure's client for a container.
pub(super) struct Sdk {
    pub(super) container: ContainerClient,
    /// What leads there, and to where.
    pub(super) proxy: Option<(Proxy, String)>,
}

impl Sdk {
    /// Reaches a container that is there.
    pub(super) async fn connect(settings: &CosmosDbSettings, credential: &Credential) -> Result<Self, CosmosError> {
        let database = client::build(settings, credential).await?.database_client(settings.database.clone());
        let mut options = ContainerClientOptions::default();
        options.operation = client::for_metadata();
        let container = database.container_client(settings.container.clone(), Some(options)).await?;
        Ok(Self { container, proxy: connect::way(settings) })
    }

    /// Reads a document that is not there (1 RU), which opens the first connection and shows how requests travel. What
    /// comes of it is of no account: a credential may be allowed to write without being allowed to read.
    pub(super) async fn transport(&self) -> Option<Transport> {
        let id = uuid::Uuid::new_v4().to_string();
        let diagnostics = match self.container.read_item("unk", &id, None).await {
            Ok(response) => response.diagnostics(),
            Err(error) => error.diagnostics()?,
        };
        let requests = diagnostics.requests();
        let last = requests.last()?;
        Some(Transport {
            client: CosmosDbClient::Sdk,
            gateway_v2: last.transport_kind().is_gateway_v2(),
            http2: last.transport_http_version().is_http2(),
        })
    }

    /// One request, and those that Azure's client sends on its own account within it.
    pub(super) async fn create(&self, transaction: &Transaction, deadline: Instant) -> Created {
        // Borrowed and checked: Azure's client copies it into the request as it is.
        let document: &RawValue = match serde_json::from_slice(&transaction.body) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("the transaction is no JSON: {error}");
                return Created::failed(AttemptError::impossible(FailureKind::Internal, message));
            }
        };
        let mut id = uuid::Uuid::encode_buffer();
        let id: &str = transaction.id.hyphenated().encode_lower(&mut id);
        let partition_key = String::from(&*transaction.partition_key);
        let began = Instant::now();
        let created = self.container.create_item(partition_key, id, document, None);
        match tokio::time::timeout_at(deadline, created).await {
            Ok(Ok(response)) => stored(&response),
            Ok(Err(error)) => failed(&error, self.proxy.as_ref().map(|(proxy, authority)| (proxy, authority.as_str()))),
            Err(_) => Created::failed(AttemptError::timed_out(began.elapsed())),
        }
    }
}

fn stored(response: &ItemResponse) -> Created {
    let diagnostics = response.diagnostics();
    Created {
        request_units: diagnostics.total_request_charge().value(),
        server_time: response.headers().server_duration(),
        session_token: response.headers().session_token().and_then(|token| token.as_ref().parse().ok()),
        lost_on_the_way: lost_on_the_way(&diagnostics),
        ..Created::new(Ok(()))
    }
}

fn failed(error: &CosmosError, proxy: Option<(&Proxy, &str)>) -> Created {
    let diagnostics = error.diagnostics();
    Created {
        request_units: diagnostics.as_ref().map_or(0.0, |all| all.total_request_charge().value()),
        lost_on_the_way: diagnostics.as_ref().map_or(0, |all| lost_on_the_way(all)),
        ..Created::failed(RequestError::of(error).into_attempt_error(proxy))
    }
}

impl RequestError {
    /// Takes an error of Azure's client apart.
    pub(super) fn of(error: &CosmosError) -> Self {
        let diagnostics = error.diagnostics();
        let answer = answer_within(error);
        let status = answer.unwrap_or(error).status();
        let response = answer.and_then(CosmosError::response);
        let body = response.and_then(|response| response.body().clone().single().ok());
        let status_code: u16 = status.status_code().into();
        Self {
            of_proxy: match response {
                Some(_) if status_code == 407 || body.as_deref().is_some_and(is_page) => Some(OfProxy::Answers),
                Some(_) => None,
                None => causes(error).find_map(of_proxy),
            },
            status: status_code,
            substatus: status.sub_status().map_or(0, |substatus| u32::from(substatus.value())),
            answered: answer.is_some(),
            may_have_left: diagnostics
                .as_ref()
                .and_then(|diagnostics| {
                    diagnostics.requests().last().map(|last| last.request_sent().may_have_been_sent())
                })
                .unwrap_or(false),
            retry_after: response.and_then(|response| response.headers().retry_after_ms).map(Duration::from_millis),
            activity_id: response.and_then(|response| response.headers().activity_id.as_ref()).map(ToString::to_string),
            detail: body.and_then(|body| body_text(&body)).unwrap_or_else(|| match response {
                Some(_) => detail(&error.to_string()),
                // What Azure's client says itself is that sending failed; why is at the bottom.
                None => detail(&root_cause(error)),
            }),
        }
    }
}

/// What a proxy has to do with this cause, if there is one: its type is the HTTP library's own, and its text all that shows.
fn of_proxy(cause: &(dyn std::error::Error + 'static)) -> Option<OfProxy> {
    let text = cause.to_string();
    if text.starts_with("tunnel error: ") && !text.contains("underlying connection") {
        Some(OfProxy::Refuses)
    } else if text.starts_with("tcp connect error") || text.starts_with("dns error") {
        Some(OfProxy::IsAway)
    } else {
        None
    }
}

/// Requests that Azure's client sent on its own account and lost before the last one: with HTTP/2 it repeats a request
/// once, on another connection, when the first one breaks.
fn lost_on_the_way(diagnostics: &DiagnosticsContext) -> usize {
    let requests = diagnostics.requests();
    let earlier = requests.len().saturating_sub(1);
    let lost_requests = requests
        .iter()
        .take(earlier)
        .filter(|request| {
            (request.timed_out() || request.error().is_some()) && request.request_sent().may_have_been_sent()
        })
        .count();
    let lost_on_shards = requests
        .last()
        .map_or(0, |last| {
            last.failed_transport_shards().iter().filter(|shard| shard.request_sent().may_have_been_sent()).count()
        })
        .saturating_sub(lost_requests);
    lost_requests + lost_on_shards
}

/// The error that carries the service's answer, if there is one: Azure's client wraps it into an error of its own once it
/// has looked for another region in vain. An answer is known by its body, or by a substatus of the service: those of the
/// client itself begin at 20000.
fn answer_within(error: &CosmosError) -> Option<&CosmosError> {
    let is_answer = |error: &&CosmosError| {
        let substatus = error.status().sub_status().map_or(0, |substatus| u32::from(substatus.value()));
        error.response().is_some() || (1..20_000).contains(&substatus)
    };
    causes(error).filter_map(|error| error.downcast_ref::<CosmosError>()).find(is_answer)
}

/// The text of the innermost cause.
fn root_cause(error: &CosmosError) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// The error and its causes. Bounded, for nothing forbids a chain of causes to be a circle.
fn causes(error: &CosmosError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).take(32)
}

/// The service's own words out of the message that Azure's client makes of them, on one line.
fn detail(message: &str) -> String {
    one_line(message.rsplit_once(". Details: ").map_or(message, |(_, details)| details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_is_the_services_own_words_on_one_line() {
        assert_eq!(
            detail("409 (Conflict): Cosmos DB returned HTTP 409: Conflict. Details: Entity\r\n  exists\talready"),
            "Entity exists already"
        );
        assert_eq!(detail("no details here"), "no details here");
    }
}
