//! Secrets of key vaults, read with Azure's client under Microsoft Entra ID. A vault on this machine is an emulator: its
//! certificate is not verified, and it is shown a made-up token.

mod refusal;

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models::{self, SecretClientGetSecretOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::refusal::Refusal;
use super::entra::{self, DevelopmentCredential};
use crate::settings::{FetchedSecret, SecretReference, SecretStore};

/// How long reading one secret may take, repeats included. Signing in by another program takes seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// How long an emulator may take to take a connection.
const LOCAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads secrets until it is cancelled.
#[derive(Debug)]
pub struct KeyVault {
    cancel: CancellationToken,
}

impl KeyVault {
    /// Gives up a secret that is being read when `cancel` is cancelled.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self { cancel }
    }
}

impl SecretStore for KeyVault {
    async fn fetch(&self, reference: &SecretReference) -> Result<FetchedSecret, String> {
        tracing::debug!(secret = %reference, "reading a secret");
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err("was not read: interrupted".to_owned()),
            read = timeout(LIMIT, read(reference)) => read.unwrap_or_else(|_| Err(refusal::too_late(reference, LIMIT))),
        }
    }
}

async fn read(reference: &SecretReference) -> Result<FetchedSecret, String> {
    let credential: Arc<dyn TokenCredential> = if reference.is_on_this_machine() {
        Arc::new(DevelopmentCredential)
    } else {
        entra::credential(reference.vault().host_str().unwrap_or_default())
            .map_err(|error| format!("cannot be read: {error}"))?
    };
    let asked = async {
        let client = SecretClient::new(reference.vault().as_str(), credential, Some(options(reference)?))?;
        let version = reference.version().map(str::to_owned);
        let options = SecretClientGetSecretOptions { secret_version: version, ..Default::default() };
        client.get_secret(reference.name(), Some(options)).await?.into_model()
    };
    let secret = asked.await.map_err(|error| Refusal::of(&error).explain(reference))?;
    usable(reference, secret, OffsetDateTime::now_utc())
}

fn options(reference: &SecretReference) -> azure_core::Result<SecretClientOptions> {
    let retry = ExponentialRetryOptions {
        initial_delay: azure_core::time::Duration::milliseconds(200),
        max_retries: 2,
        max_total_elapsed: azure_core::time::Duration::seconds(10),
        ..Default::default()
    };
    let mut client_options = ClientOptions { retry: RetryOptions::exponential(retry), ..ClientOptions::default() };
    if !reference.is_on_this_machine() {
        return Ok(SecretClientOptions { client_options, ..SecretClientOptions::default() });
    }
    let http = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .connect_timeout(LOCAL_CONNECT_TIMEOUT)
        .build()
        .map_err(|error| azure_core::Error::new(azure_core::error::ErrorKind::Other, error))?;
    client_options.transport = Some(Transport::new(Arc::new(http)));
    // An emulator asks for tokens of the real service, whose host is not its own.
    Ok(SecretClientOptions { client_options, verify_challenge_resource: Some(false), ..SecretClientOptions::default() })
}

/// The secret, unless its vault says that it is not to be used: the service hands out expired secrets all the same
/// (<https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations>).
fn usable(reference: &SecretReference, secret: models::Secret, now: OffsetDateTime) -> Result<FetchedSecret, String> {
    let attributes = secret.attributes.unwrap_or_default();
    if attributes.enabled == Some(false) {
        return Err(refusal::DISABLED.to_owned());
    }
    if let Some(expires) = attributes.expires.filter(|expires| *expires <= now) {
        return Err(format!("expired on {}; {}", expires.date(), refusal::ANOTHER_VERSION));
    }
    if let Some(from) = attributes.not_before.filter(|from| now < *from) {
        return Err(format!("is not to be used before {}; {}", from.date(), refusal::ANOTHER_VERSION));
    }
    let value = secret.value.map(Secret::new).ok_or("has no value; set it in the vault")?;
    // Where the answer does not say which version it is, the reference is all that is known.
    let identifier = secret.id.and_then(|id| SecretReference::of_identifier(&id).ok());
    Ok(FetchedSecret { value, identifier: identifier.unwrap_or_else(|| reference.clone()) })
}

#[cfg(test)]
mod tests {
    use azure_core::time::Duration as Span;

    use super::*;

    const ID: &str = "https://woodgrove.vault.azure.net/secrets/hub/ec96f02080254f109c51a1f14cdb1931";

    /// What comes of a secret with these attributes, in hours from now.
    fn judged(enabled: bool, from: Option<i64>, expires: Option<i64>) -> Result<String, String> {
        let now = OffsetDateTime::UNIX_EPOCH + Span::days(20_000);
        let at = |hours: i64| now + Span::hours(hours);
        let reference = SecretReference::of_identifier("https://woodgrove.vault.azure.net/secrets/hub").unwrap();
        let mut secret = models::Secret::default();
        secret.id = Some(ID.to_owned());
        secret.value = Some("hush".to_owned());
        secret.attributes = Some(models::SecretAttributes {
            enabled: Some(enabled),
            not_before: from.map(at),
            expires: expires.map(at),
            ..Default::default()
        });
        let fetched = usable(&reference, secret, now)?;
        assert_eq!(fetched.value.secret(), "hush");
        assert!(!format!("{fetched:?}").contains("hush"));
        Ok(fetched.identifier.to_string())
    }

    #[test]
    fn a_secret_comes_with_its_version() {
        assert_eq!(judged(true, None, None).as_deref(), Ok(ID));
        assert_eq!(judged(true, Some(-1), Some(1)).as_deref(), Ok(ID));
    }

    #[test]
    fn a_secret_that_its_vault_wants_not_to_be_used_is_not() {
        assert_eq!(judged(true, None, Some(-48)).unwrap_err().split(';').next(), Some("expired on 2024-10-02"));
        assert_eq!(
            judged(true, Some(48), None).unwrap_err().split(';').next(),
            Some("is not to be used before 2024-10-06")
        );
        assert!(judged(false, None, None).unwrap_err().starts_with("is disabled;"));
    }
}
