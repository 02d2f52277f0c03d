//! TLS to a service: certificates are verified by the rules and the roots of the operating system.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::TlsConnector;

use super::FailureKind;
use super::retry::AttemptError;

/// For services of Azure, and proxies.
///
/// # Errors
/// When the operating system's trust store cannot be read.
pub(super) fn verified() -> Result<TlsConnector, AttemptError> {
    Ok(TlsConnector::from(Arc::new(verified_config().map_err(no_trust)?)))
}

/// For HTTP/1.1. A service on this machine makes its own certificate: there any certificate is taken.
///
/// # Errors
/// As [`verified`].
pub(super) fn for_http1(is_on_this_machine: bool) -> Result<TlsConnector, AttemptError> {
    let config = if is_on_this_machine { unverified_config() } else { verified_config() };
    let mut config = config.map_err(no_trust)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn no_trust(error: rustls::Error) -> AttemptError {
    let message = format!("the operating system's trusted certificates cannot be used: {error}");
    AttemptError::impossible(FailureKind::Connection, message)
}

fn verified_config() -> Result<ClientConfig, rustls::Error> {
    Ok(builder(provider())?.with_platform_verifier()?.with_no_client_auth())
}

fn unverified_config() -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
    Ok(builder(provider)?.dangerous().with_custom_certificate_verifier(any).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
