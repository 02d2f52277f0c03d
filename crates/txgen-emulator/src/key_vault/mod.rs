//! A local Key Vault: secrets over HTTPS, as the service hands them out to programs that may read them.
//!
//! Any bearer token is taken for one of Microsoft Entra ID, unless it has expired. Whoever shows one has the role Key
//! Vault Secrets User: it reads secrets and lists them, and is refused everything else as the service refuses it. Keys and
//! certificates are not served.
//!
//! Facts about the protocol: <https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups> and
//! <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses>.

mod answer;
mod server;
mod vault;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use azure_core::credentials::Secret;
use url::Url;

use crate::serving::Serving;
use crate::tls::Certificate;
use txgen_azure::key_vault::is_secret_name;
use vault::Vault;

/// What the emulator is started with.
#[derive(Clone, Debug)]
pub struct KeyVaultEmulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate for HTTPS; `None` makes one.
    pub certificate: Option<Certificate>,
    /// The secrets. Of several with the same name each is a newer version of the one before.
    pub secrets: Vec<LocalSecret>,
    /// What those who ask may do.
    pub access: Access,
}

impl Default for KeyVaultEmulatorOptions {
    /// On a free loopback port, with a certificate of its own, without secrets.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            certificate: None,
            secrets: Vec::new(),
            access: Access::default(),
        }
    }
}

/// What those who ask may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read secrets and list them: the role Key Vault Secrets User.
    #[default]
    SecretsUser,
    /// Nothing: they have no role.
    Nothing,
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct LocalSecret {
    name: String,
    value: Secret,
    content_type: Option<String>,
    enabled: bool,
    not_before: Option<SystemTime>,
    expires: Option<SystemTime>,
}

impl LocalSecret {
    /// A secret that is enabled and does not expire. A name has 1 to 127 letters, digits and hyphens.
    pub fn new(name: impl Into<String>, value: impl Into<Secret>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            content_type: None,
            enabled: true,
            not_before: None,
            expires: None,
        }
    }

    /// The same, disabled: reading it is refused.
    #[must_use]
    pub fn disabled(self) -> Self {
        Self { enabled: false, ..self }
    }

    /// The same, to be used from this time on. The service hands it out before all the same.
    #[must_use]
    pub fn not_before(self, time: SystemTime) -> Self {
        Self { not_before: Some(time), ..self }
    }

    /// The same, to be used up to this time. The service hands it out afterwards all the same.
    #[must_use]
    pub fn expires(self, time: SystemTime) -> Self {
        Self { expires: Some(time), ..self }
    }

    /// The same, with what kind of value it is, such as `text/plain`.
    #[must_use]
    pub fn content_type(self, kind: impl Into<String>) -> Self {
        Self { content_type: Some(kind.into()), ..self }
    }
}

/// What the emulator has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyVaultCounts {
    /// Requests, the challenged ones included.
    pub requests: u64,
    /// Secrets that were handed out.
    pub secrets_read: u64,
}

/// A running local Key Vault. Dropping it ends it.
///
/// ```
/// use txgen_emulator::key_vault::{KeyVaultEmulator, KeyVaultEmulatorOptions, LocalSecret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let secrets = vec![LocalSecret::new("cosmos-key", "bWFkZSB1cA==")];
/// let vault = KeyVaultEmulator::start(KeyVaultEmulatorOptions { secrets, ..Default::default() }).await?;
/// assert!(vault.endpoint().as_str().starts_with("https://127.0.0.1:"));
/// assert_eq!(vault.identifier("cosmos-key"), Some(format!("{}secrets/cosmos-key", vault.endpoint())));
/// assert!(vault.certificate().starts_with("-----BEGIN CERTIFICATE-----")); // for clients to trust
/// # Ok(())
/// # }
/// ```
pub struct KeyVaultEmulator {
    vault: Arc<Vault>,
    server: Serving,
    endpoint: Url,
    certificate: Certificate,
}

impl KeyVaultEmulator {
    /// Starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// When a name is none that the service takes, the address cannot be listened on, or no certificate can be made.
    pub async fn start(options: KeyVaultEmulatorOptions) -> io::Result<Self> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        if let Some(secret) = options.secrets.iter().find(|secret| !is_secret_name(&secret.name)) {
            let name = secret.name.escape_debug();
            return Err(invalid(format!(
                "`{name}` is no name for a secret: that has 1 to 127 letters, digits and hyphens"
            )));
        }
        let certificate = match options.certificate {
            Some(certificate) => certificate,
            None => Certificate::new(options.listen.ip())?,
        };
        let vault = Arc::new(Vault::new(options.secrets, options.access, SystemTime::now()));
        let server = server::start(options.listen, Arc::clone(&vault), certificate.acceptor(&["http/1.1"])).await?;
        let mut reachable = server.address();
        if reachable.ip().is_unspecified() {
            reachable.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let endpoint = Url::parse(&format!("https://{reachable}/")).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { vault, server, endpoint, certificate })
    }

    /// The address of the vault, such as `https://127.0.0.1:8443/`. Clients must not verify the
    /// resource of the challenge: it is that of the service, whose host is another.
    #[must_use]
    pub fn endpoint(&self) -> Url {
        self.endpoint.clone()
    }

    /// The certificate that clients have to trust, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        self.certificate.pem()
    }

    /// The identifier of a secret's newest version, without that version; `None` when there is no such secret.
    #[must_use]
    pub fn identifier(&self, name: &str) -> Option<String> {
        self.vault.has(name).then(|| format!("{}secrets/{name}", self.endpoint))
    }

    /// What it has been through.
    #[must_use]
    pub fn counts(&self) -> KeyVaultCounts {
        KeyVaultCounts {
            requests: self.vault.requests.load(Ordering::Relaxed),
            secrets_read: self.vault.secrets_read.load(Ordering::Relaxed),
        }
    }

    /// Stops: requests in flight get a short while to finish.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for KeyVaultEmulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVaultEmulator").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}
