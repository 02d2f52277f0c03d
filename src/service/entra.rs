//! Microsoft Entra ID: one credential for both services, chosen by what the environment says of the machine.
//!
//! The variables are those of every Azure SDK
//! (<https://learn.microsoft.com/azure/developer/rust/sdk/authentication/credential-chains>), so that what works for
//! another tool on the same machine works for txgen:
//!
//! 1. AZURE_TOKEN_CREDENTIALS names one credential, and nothing else is tried;
//! 2. AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: a service principal;
//! 3. AZURE_FEDERATED_TOKEN_FILE with AZURE_TENANT_ID and AZURE_CLIENT_ID: workload identity, as in Kubernetes;
//! 4. IDENTITY_ENDPOINT, as in App Service, Functions and Container Apps, or AZURE_CLIENT_ID alone: managed identity;
//! 5. otherwise the account signed in with `az login` or `azd auth login`.
//!
//! National clouds sign in elsewhere. Where AZURE_AUTHORITY_HOST does not say, the name of the service does
//! (<https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>).
//!
//! A virtual machine shows no sign of its managed identity, and asking its metadata service costs seconds everywhere
//! else: set AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::cloud::CloudConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::ClientOptions;
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential,
};

/// The credential could not be made from what the environment says.
#[derive(Debug, thiserror::Error)]
#[error("Microsoft Entra ID: {message}")]
pub struct EntraError {
    /// What is wrong and what to do about it, on one line, without secrets.
    pub message: String,
}

/// The cloud of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    Public,
    Government,
    China,
}

impl Cloud {
    /// By the ends of names in <https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure> and
    /// <https://learn.microsoft.com/azure/china/resources-developer-guide>.
    fn of(host: &str) -> Self {
        let is_in = |ends: &[&str]| ends.iter().any(|end| host.ends_with(end));
        if is_in(&[".chinacloudapi.cn", ".azure.cn"]) {
            Self::China
        } else if is_in(&[".usgovcloudapi.net", ".azure.us"]) {
            Self::Government
        } else {
            Self::Public
        }
    }

    fn configuration(self) -> Option<Arc<CloudConfiguration>> {
        match self {
            Self::Public => None,
            Self::Government => Some(Arc::new(CloudConfiguration::AzureGovernment)),
            Self::China => Some(Arc::new(CloudConfiguration::AzureChina)),
        }
    }
}

/// How a person signs in for a service at this host.
pub(super) fn sign_in(host: &str) -> &'static str {
    match Cloud::of(host) {
        Cloud::Public => "`az login`",
        Cloud::Government => "`az cloud set --name AzureUSGovernment`, then `az login`",
        Cloud::China => "`az cloud set --name AzureChinaCloud`, then `az login`",
    }
}

/// The credential that fits this machine, for a service at this host. It fetches no token yet; each token is fetched when it
/// is first needed and kept until shortly before it expires.
///
/// # Errors
/// [`EntraError`] when the environment asks for a credential that cannot be made.
pub fn credential(host: &str) -> Result<Arc<dyn TokenCredential>, EntraError> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let choice = choose(&env)?;
    tracing::debug!(credential = choice.name(), "Microsoft Entra ID");
    let name = choice.name();
    let cloud = if env("AZURE_AUTHORITY_HOST").is_some() { Cloud::Public } else { Cloud::of(host) };
    choice.build(cloud).map_err(|error| EntraError { message: format!("{name} cannot be used: {error}") })
}

/// A credential for emulators, which take any token: it spares a trainee without an account the sign-in, and no real token
/// gets to them.
#[derive(Debug)]
pub(super) struct DevelopmentCredential;

#[async_trait]
impl TokenCredential for DevelopmentCredential {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires = SystemTime::now() + Duration::from_secs(24 * 3600);
        Ok(AccessToken::new("development", expires.into()))
    }
}

/// The credentials that txgen knows.
#[derive(Debug)]
enum Choice {
    ClientSecret { tenant: String, client: String, secret: Secret },
    WorkloadIdentity,
    ManagedIdentity { client: Option<String> },
    AzureCli,
    AzureDeveloperCli,
    DeveloperTools,
}

impl Choice {
    fn name(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity { .. } => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCliCredential",
            Self::AzureDeveloperCli => "AzureDeveloperCliCredential",
            Self::DeveloperTools => "dev",
        }
    }

    fn build(self, cloud: Cloud) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Self::ClientSecret { tenant, client, secret } => {
                let client_options = ClientOptions { cloud: cloud.configuration(), ..ClientOptions::default() };
                let options = ClientSecretCredentialOptions { client_options };
                ClientSecretCredential::new(&tenant, client, secret, Some(options))?
            }
            Self::WorkloadIdentity => WorkloadIdentityCredential::new(None)?,
            Self::ManagedIdentity { client } => {
                let user_assigned_id = client.map(UserAssignedId::ClientId);
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id,
                    ..Default::default()
                }))?
            }
            Self::AzureCli => AzureCliCredential::new(None)?,
            Self::AzureDeveloperCli => AzureDeveloperCliCredential::new(None)?,
            Self::DeveloperTools => DeveloperToolsCredential::new(None)?,
        })
    }
}

fn choose(env: &dyn Fn(&str) -> Option<String>) -> Result<Choice, EntraError> {
    match env("AZURE_TOKEN_CREDENTIALS") {
        Some(name) => named(&name, env),
        None => Ok(deployed(env).unwrap_or(Choice::DeveloperTools)),
    }
}

/// What AZURE_TOKEN_CREDENTIALS names, whatever the case.
fn named(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Choice, EntraError> {
    match name.trim().to_ascii_lowercase().as_str() {
        "dev" => Ok(Choice::DeveloperTools),
        "prod" => Ok(deployed(env).unwrap_or(Choice::ManagedIdentity { client: None })),
        "environmentcredential" => client_secret(env).ok_or_else(|| EntraError {
            message: "AZURE_TOKEN_CREDENTIALS is EnvironmentCredential: set AZURE_TENANT_ID, AZURE_CLIENT_ID and \
                      AZURE_CLIENT_SECRET too"
                .to_owned(),
        }),
        "workloadidentitycredential" => Ok(Choice::WorkloadIdentity),
        "managedidentitycredential" => Ok(Choice::ManagedIdentity { client: env("AZURE_CLIENT_ID") }),
        "azureclicredential" => Ok(Choice::AzureCli),
        "azuredeveloperclicredential" => Ok(Choice::AzureDeveloperCli),
        _ => Err(EntraError {
            message: format!(
                "AZURE_TOKEN_CREDENTIALS is `{}`; allowed are dev, prod, EnvironmentCredential, \
                 WorkloadIdentityCredential, ManagedIdentityCredential, AzureCliCredential and \
                 AzureDeveloperCliCredential",
                name.escape_debug()
            ),
        }),
    }
}

/// The credential of a program that runs somewhere by itself, if the environment hints at one.
fn deployed(env: &dyn Fn(&str) -> Option<String>) -> Option<Choice> {
    let client = env("AZURE_CLIENT_ID");
    if let Some(choice) = client_secret(env) {
        Some(choice)
    } else if client.is_some() && env("AZURE_TENANT_ID").is_some() && env("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        Some(Choice::WorkloadIdentity)
    } else if client.is_some() || env("IDENTITY_ENDPOINT").is_some() {
        Some(Choice::ManagedIdentity { client })
    } else {
        None
    }
}

fn client_secret(env: &dyn Fn(&str) -> Option<String>) -> Option<Choice> {
    Some(Choice::ClientSecret {
        tenant: env("AZURE_TENANT_ID")?,
        client: env("AZURE_CLIENT_ID")?,
        secret: Secret::new(env("AZURE_CLIENT_SECRET")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(env: &[(&str, &str)]) -> Result<String, String> {
        let read = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let detail = |choice: Choice| match &choice {
            Choice::ManagedIdentity { client: Some(client) } => format!("{} of {client}", choice.name()),
            _ => choice.name().to_owned(),
        };
        choose(&read).map(detail).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_chooses_the_credential() {
        let (tenant, client) = (("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"));
        let secret = ("AZURE_CLIENT_SECRET", "s");
        let file = ("AZURE_FEDERATED_TOKEN_FILE", "f");
        let endpoint = ("IDENTITY_ENDPOINT", "http://localhost/");
        let named = |name| ("AZURE_TOKEN_CREDENTIALS", name);
        for (env, expected) in [
            (vec![], "dev"),
            (vec![tenant], "dev"),
            (vec![tenant, client, secret], "EnvironmentCredential"),
            (vec![tenant, client, file], "WorkloadIdentityCredential"),
            (vec![tenant, client, secret, file, endpoint], "EnvironmentCredential"),
            (vec![endpoint], "ManagedIdentityCredential"),
            (vec![client], "ManagedIdentityCredential of c"),
            (vec![endpoint, client], "ManagedIdentityCredential of c"),
            (vec![named("managedidentitycredential")], "ManagedIdentityCredential"),
            (vec![named("prod")], "ManagedIdentityCredential"),
            (vec![named("prod"), tenant, client, secret], "EnvironmentCredential"),
            (vec![named("dev"), tenant, client, secret], "dev"),
            (vec![named("AzureCliCredential"), endpoint], "AzureCliCredential"),
        ] {
            assert_eq!(chosen(&env).as_deref(), Ok(expected), "{env:?}");
        }
    }

    #[test]
    fn a_credential_that_cannot_be_meant_is_an_error_that_says_what_can() {
        assert_eq!(
            chosen(&[("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")]),
            Err("Microsoft Entra ID: AZURE_TOKEN_CREDENTIALS is EnvironmentCredential: set AZURE_TENANT_ID, \
                 AZURE_CLIENT_ID and AZURE_CLIENT_SECRET too"
                .to_owned())
        );
        let error = chosen(&[("AZURE_TOKEN_CREDENTIALS", "Password")]).unwrap_err();
        assert!(error.contains("is `Password`; allowed are dev, prod,"), "{error}");
    }

    #[test]
    fn the_name_of_a_service_tells_its_cloud() {
        for (host, cloud) in [
            ("ns.servicebus.windows.net", Cloud::Public),
            ("account.documents.azure.com", Cloud::Public),
            ("ns.servicebus.chinacloudapi.cn", Cloud::China),
            ("account.documents.azure.cn", Cloud::China),
            ("ns.servicebus.usgovcloudapi.net", Cloud::Government),
            ("account.documents.azure.us", Cloud::Government),
            ("azure.us.example.com", Cloud::Public),
        ] {
            assert_eq!(Cloud::of(host), cloud, "{host}");
        }
        assert!(sign_in("ns.servicebus.chinacloudapi.cn").contains("AzureChinaCloud"));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let choice = Choice::ClientSecret { tenant: "t".into(), client: "c".into(), secret: Secret::new("hush") };
        assert!(!format!("{choice:?}").contains("hush"));
    }
}
