//! TLS with a certificate made at the start: for clients that will not do without.
//!
//! A certificate authority is made, used once, and forgotten; who trusts its certificate trusts this emulator for as
//! long as it runs, and nothing else.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

/// How long the certificates are good for.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How far clients' clocks may be behind.
const SLACK: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server needs to speak TLS, and its clients to believe it. Several servers may share one.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    /// The certificate to trust, as PEM.
    pem: Arc<str>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    /// A new one, for `localhost`, the loopback addresses, and `listen`, the address that is listened on.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(listen: IpAddr) -> io::Result<Self> {
        Self::generate(listen).map_err(|error| io::Error::other(format!("cannot make a certificate for TLS: {error}")))
    }

    /// The certificate that clients have to trust, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS for a server that speaks these protocols by their names in ALPN (RFC 7301), the preferred first; with none
    /// the clients' wishes are not looked at.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn generate(listen: IpAddr) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut authority = params(Vec::new(), "txgen emulator (local only)")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let trusted = authority.self_signed(&authority_key)?;

        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        if !names.contains(&listen.to_string()) && !listen.is_unspecified() {
            names.push(listen.to_string());
        }
        let mut server = params(names, "localhost")?;
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let certificate = server.signed_by(&server_key, &Issuer::new(authority, authority_key))?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone(), trusted.der().clone()],
                PrivatePkcs8KeyDer::from(server_key.serialize_der()).into(),
            )?;
        Ok(Self { config: Arc::new(config), pem: pem(trusted.der()).into() })
    }
}

fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now();
    params.not_before = (now - SLACK).into();
    params.not_after = (now + LIFETIME).into();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// RFC 7468: base64 in lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
