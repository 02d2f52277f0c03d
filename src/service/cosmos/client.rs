//! Azure's client, set up to leave out what txgen does itself and what it can do without.
//!
//! Set not to: repeat throttled, failed and timed-out writes (txgen does, and counts them), read the created document
//! back, track session tokens (it reads nothing), hedge, and re-encode our JSON as binary (it is passed through, and
//! emulators do not know the binary form).

use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos::options::{
    AvailabilityStrategy, BinaryEncodingOptions, ConnectionPoolOptions, ContentResponseOnWrite, OperationOptions,
    Region, ServerCertificateValidation, ThrottlingRetryOptions, UserAgentSuffix,
};
use azure_data_cosmos::{AccountEndpoint, AccountReference, CosmosClient, CosmosError, CosmosRuntime, RoutingStrategy};

use super::native::Credential;
use crate::service::retry::ATTEMPT_TIMEOUT;
use crate::settings::{CosmosDbSettings, is_loopback};

/// Requests that one HTTP/2 connection carries at a time before another is opened: what Azure's client prefers, too.
const STREAMS_PER_CONNECTION: usize = 16;

/// The most HTTP/2 connections that Azure's client allows.
const MOST_CONNECTIONS: usize = 256;

/// The bounds that Azure's client sets to the connections kept without a request.
const FEWEST_IDLE: usize = 10;
const MOST_IDLE: usize = 64_000;

/// Makes the client, which reads the account's properties on the way: the first request, and the first that can be
/// refused.
pub(super) async fn build(settings: &CosmosDbSettings, credential: &Credential) -> Result<CosmosClient, CosmosError> {
    let endpoint = AccountEndpoint::from(settings.endpoint.clone());
    let account = match credential {
        Credential::AccountKey(_, secret) => AccountReference::with_authentication_key(endpoint, secret.clone()),
        Credential::EntraId(credential) => AccountReference::with_credential(endpoint, Arc::clone(credential)),
    };
    let runtime = CosmosRuntime::builder().with_connection_pool(connection_pool(settings)?).build().await?;
    let mut builder = CosmosClient::builder()
        .with_runtime(runtime)
        .with_default_operation_options(for_documents())
        .with_binary_encoding_options(text_json());
    if let Ok(suffix) = UserAgentSuffix::try_from(concat!("txgen-", env!("CARGO_PKG_VERSION"))) {
        builder = builder.with_user_agent_suffix(suffix);
    }
    // Without any the account's own order counts: where txgen runs is not known.
    let regions = settings.preferred_regions.iter().map(|name| Region::new(name.clone())).collect();
    builder.build(account, RoutingStrategy::PreferredRegions(regions)).await
}

fn connection_pool(settings: &CosmosDbSettings) -> Result<ConnectionPoolOptions, CosmosError> {
    let connections = settings.max_in_flight.get().div_ceil(STREAMS_PER_CONNECTION).clamp(4, MOST_CONNECTIONS);
    let mut pool = ConnectionPoolOptions::builder()
        .with_max_connect_timeout(Duration::from_secs(5))
        // It reads the same variables in the same way.
        .with_proxy_allowed(settings.proxies.are_named())
        // Behind txgen's own time-out, so that there is one place where a request times out.
        .with_max_dataplane_request_timeout(ATTEMPT_TIMEOUT + Duration::from_secs(2))
        .with_max_metadata_request_timeout(ATTEMPT_TIMEOUT)
        .with_max_http2_connections_per_endpoint(connections)
        // Each request is in flight on one connection at most. More come to be, because a new one is opened while a request
        // waits for one in use; without this limit up to 10,000 of them are kept.
        .with_max_idle_connections_per_endpoint(settings.max_in_flight.get().clamp(FEWEST_IDLE, MOST_IDLE));
    if is_loopback(&settings.endpoint) {
        // Emulators speak HTTP/1.1, or do so better, and sign their own certificates.
        pool = pool
            .with_is_http2_allowed(false)
            .with_server_certificate_validation(ServerCertificateValidation::RequiredUnlessEmulator);
    }
    pool.build()
}

fn text_json() -> BinaryEncodingOptions {
    BinaryEncodingOptions::new().with_enabled(false)
}

/// For the requests of the run itself.
fn for_documents() -> OperationOptions {
    let mut options = OperationOptions::default();
    options.throttling_retry_options = Some(throttling(0, Duration::ZERO));
    options.max_failover_retry_count = Some(0);
    options.max_session_retry_count = Some(0);
    options.session_capturing_disabled = Some(true);
    options.content_response_on_write = Some(ContentResponseOnWrite::Disabled);
    options.hedging_enabled = Some(false);
    options.availability_strategy = Some(AvailabilityStrategy::Disabled);
    options.binary_encoding = Some(text_json());
    options
}

/// For the few requests before the run, which are not counted: Azure's client may repeat them a little.
pub(super) fn for_metadata() -> OperationOptions {
    let mut options = for_documents();
    options.throttling_retry_options = Some(throttling(9, Duration::from_secs(10)));
    options.max_failover_retry_count = Some(2);
    options
}

fn throttling(retries: u32, wait: Duration) -> ThrottlingRetryOptions {
    let mut options = ThrottlingRetryOptions::default();
    options.max_retry_count = Some(retries);
    options.max_retry_wait_time = Some(wait);
    options
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::service::cosmos::refusal::tests::settings;

    #[test]
    fn as_many_connections_are_kept_as_requests_may_be_in_flight_within_the_bounds_of_azures_client() {
        for (in_flight, kept) in [(1, 10), (10, 10), (128, 128), (10_000, 10_000), (1_000_000, 64_000)] {
            let settings = CosmosDbSettings { max_in_flight: NonZeroUsize::new(in_flight).unwrap(), ..settings(true) };
            let pool = connection_pool(&settings).unwrap();
            assert_eq!(pool.max_idle_connections_per_endpoint(), kept, "{in_flight} in flight");
        }
    }
}
