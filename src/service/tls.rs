//! TLS, verified by the rules and the roots of the operating system.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::TlsConnector;

use super::FailureKind;
use super::retry::AttemptError;

/// A connector.
///
/// # Errors
/// When the operating system's trust store cannot be read.
pub(super) fn verified() -> Result<TlsConnector, AttemptError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| {
            let message = format!("the operating system's trusted certificates cannot be used: {error}");
            AttemptError::impossible(FailureKind::Connection, message)
        })?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
