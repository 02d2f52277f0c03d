//! Where a table is: a local folder, or a folder in Azure Data Lake Storage Gen2 or Azure Blob Storage.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::local::LocalFileSystem;
use url::Url;

use crate::error::one_line;

/// The account that Azurite and Microsoft's storage emulator have, and its key, which everybody knows
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key>).
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_ENDPOINT: &str = "http://127.0.0.1:10000/devstoreaccount1";

/// The place of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// As it was given.
    text: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Local(PathBuf),
    Azure(Url),
}

/// A place that no table can be at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The text names no place that txgen knows.
    #[error(
        "`{0}` is no place for a table: give a local folder, abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER, or \
         az://CONTAINER/FOLDER"
    )]
    Unknown(String),
    /// The URL has a query, which may be a SAS.
    #[error("{0} has a query; a shared access signature belongs into the environment variable AZURE_STORAGE_SAS_TOKEN")]
    Query(String),
    /// The URL has no folder.
    #[error("{0} names no folder in the container; add one: {0}/transactions")]
    NoFolder(String),
    /// The folder cannot be made or entered.
    #[error("the folder {path} cannot be used: {problem}")]
    Folder {
        /// The folder.
        path: String,
        /// What the operating system says.
        problem: String,
    },
    /// What is known of the storage account is not enough, or contradicts itself.
    #[error(
        "{place} cannot be reached with these settings: {problem}; set AZURE_STORAGE_ACCOUNT_NAME and \
         AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING, or sign in with `az login`"
    )]
    Azure {
        /// The place.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Location {
    /// Reads a folder's path, or an `abfss://`, `abfs://`, `az://` or `file://` URL.
    ///
    /// # Errors
    /// When it is none of these, or holds what belongs elsewhere.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let unknown = || LocationError::Unknown(text.split('?').next().unwrap_or_default().to_owned());
        let text_without_end = text.trim_end_matches('/');
        if !text.contains("://") {
            let is_empty = text_without_end.trim().is_empty();
            return if is_empty {
                Err(unknown())
            } else {
                Ok(Self { text: text_without_end.to_owned(), place: Place::Local(text_without_end.into()) })
            };
        }
        let url = Url::parse(text_without_end).map_err(|_| unknown())?;
        let shown = || text.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
        if url.query().is_some() {
            return Err(LocationError::Query(shown()));
        }
        let place = match url.scheme() {
            "file" => Place::Local(url.to_file_path().map_err(|()| unknown())?),
            "abfss" | "abfs" if url.username().is_empty() || url.password().is_some() => return Err(unknown()),
            "abfss" | "abfs" | "az" if url.host_str().is_none_or(str::is_empty) => return Err(unknown()),
            "abfss" | "abfs" | "az" if matches!(url.path(), "" | "/") => return Err(LocationError::NoFolder(shown())),
            "abfss" | "abfs" | "az" => Place::Azure(url),
            _ => return Err(unknown()),
        };
        Ok(Self { text: text_without_end.to_owned(), place })
    }

    /// The place beside this one, whose name ends with `suffix`.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> Self {
        let place = match &self.place {
            Place::Local(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(suffix);
                Place::Local(path.with_file_name(name))
            }
            Place::Azure(url) => {
                let mut url = url.clone();
                url.set_path(&format!("{}{suffix}", url.path()));
                Place::Azure(url)
            }
        };
        Self { text: format!("{}{suffix}", self.text), place }
    }

    /// The local folder, where it is one.
    #[must_use]
    pub fn as_folder(&self) -> Option<&FilePath> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::Azure(_) => None,
        }
    }

    /// The store that holds this place. `variables` are environment variables: those of Azure say how to enter the storage
    /// account.
    ///
    /// # Errors
    /// When a local folder cannot be made, or the variables are not enough to enter the account.
    pub fn store(&self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Store, LocationError> {
        match &self.place {
            Place::Local(path) => self.local(path),
            Place::Azure(url) => {
                let problem = |error: object_store::Error| LocationError::Azure {
                    place: self.text.clone(),
                    problem: one_line(&error.to_string()),
                };
                let store = azure(url, variables).map_err(problem)?;
                Ok(Store { url: url.clone(), root: store })
            }
        }
    }

    fn local(&self, path: &FilePath) -> Result<Store, LocationError> {
        let problem = |problem: String| LocationError::Folder { path: self.text.clone(), problem };
        std::fs::create_dir_all(path).map_err(|error| problem(error.to_string()))?;
        let path = path.canonicalize().map_err(|error| problem(error.to_string()))?;
        let url = Url::from_directory_path(&path).map_err(|()| problem("it is no absolute path".to_owned()))?;
        Ok(Store { url, root: Arc::new(LocalFileSystem::new()) })
    }
}

/// How the account is entered, in the order in which object_store looks: token, key, workload identity, client secret, SAS,
/// Azure CLI, managed identity.
fn azure(
    url: &Url,
    variables: impl IntoIterator<Item = (String, String)>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
    let (mut has_credential, mut endpoint) = (false, None);
    for (name, value) in variables {
        if value.is_empty() {
            continue;
        }
        if name == "AZURE_STORAGE_CONNECTION_STRING" {
            for (key, value) in connection_string(&value) {
                has_credential |= matches!(key, AzureConfigKey::AccessKey | AzureConfigKey::SasKey);
                if key == AzureConfigKey::Endpoint {
                    endpoint = Some(value.clone());
                }
                builder = builder.with_config(key, value);
            }
        } else if name.starts_with("AZURE_")
            && let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>()
        {
            has_credential |= is_credential(&key);
            if key == AzureConfigKey::Endpoint {
                endpoint = Some(value.clone());
            }
            builder = builder.with_config(key, value);
        } else if name == "IDENTITY_ENDPOINT" {
            has_credential = true;
            builder = builder.with_msi_endpoint(value);
        }
    }
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    if !has_credential && has_azure_cli() {
        builder = builder.with_use_azure_cli(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn is_credential(key: &AzureConfigKey) -> bool {
    matches!(
        key,
        AzureConfigKey::AccessKey
            | AzureConfigKey::SasKey
            | AzureConfigKey::Token
            | AzureConfigKey::ClientSecret
            | AzureConfigKey::FederatedTokenFile
            | AzureConfigKey::MsiEndpoint
            | AzureConfigKey::MsiResourceId
            | AzureConfigKey::ObjectId
            | AzureConfigKey::UseAzureCli
    )
}

fn has_azure_cli() -> bool {
    let name = if cfg!(windows) { "az.cmd" } else { "az" };
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// What a storage account's connection string says
/// (<https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>).
fn connection_string(text: &str) -> Vec<(AzureConfigKey, String)> {
    let mut settings = Vec::new();
    for part in text.split(';') {
        let Some((name, value)) = part.split_once('=') else { continue };
        let key = match name.trim() {
            "AccountName" => AzureConfigKey::AccountName,
            "AccountKey" => AzureConfigKey::AccessKey,
            "SharedAccessSignature" => AzureConfigKey::SasKey,
            "BlobEndpoint" => AzureConfigKey::Endpoint,
            "UseDevelopmentStorage" if value.eq_ignore_ascii_case("true") => {
                settings.push((AzureConfigKey::AccountName, DEVELOPMENT_ACCOUNT.to_owned()));
                settings.push((AzureConfigKey::AccessKey, DEVELOPMENT_KEY.to_owned()));
                settings.push((AzureConfigKey::Endpoint, DEVELOPMENT_ENDPOINT.to_owned()));
                continue;
            }
            _ => continue,
        };
        settings.push((key, value.trim_end_matches('/').to_owned()));
    }
    settings
}

/// A store, and where in it a table is.
#[derive(Clone, Debug)]
pub struct Store {
    /// The table's folder.
    url: Url,
    /// The whole store.
    root: Arc<dyn ObjectStore>,
}

impl Store {
    /// A table in this folder of a store of the caller's.
    #[must_use]
    pub fn new(root: Arc<dyn ObjectStore>, url: Url) -> Self {
        Self { url, root }
    }

    /// What keeps the table's log. A new one each time: it remembers nothing.
    pub(crate) fn log(&self) -> Result<LogStoreRef, deltalake_core::DeltaTableError> {
        let config = StorageConfig::default();
        let prefixed: Arc<dyn ObjectStore> = Arc::from(config.decorate_store(self.root.clone(), &self.url)?);
        Ok(default_logstore(prefixed, self.root.clone(), &self.url, &config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Location::parse(text).map_or_else(|error| error.to_string(), |location| location.to_string())
    }

    #[test]
    fn folders_and_urls_of_azure_are_places() {
        assert_eq!(parsed("lake/transactions/"), "lake/transactions");
        let url = "abfss://lake@acme.dfs.core.windows.net/bronze/transactions";
        assert_eq!(parsed(url), url);
        assert_eq!(parsed("az://lake/transactions/"), "az://lake/transactions");
    }

    #[test]
    fn what_is_no_place_says_what_would_be_one() {
        for text in [
            "",
            "s3://bucket/x",
            "https://acme.blob.core.windows.net/lake/x",
            "abfss://acme.dfs.core.windows.net/x",
            "abfss:///x",
        ] {
            assert!(parsed(text).contains("is no place for a table: give a local folder"), "{}", parsed(text));
        }
        assert!(parsed("az://lake").contains("names no folder"));
    }

    #[test]
    fn a_signature_in_the_url_is_refused_and_not_repeated() {
        for text in ["az://lake/x?sv=1&sig=hush", "s3://lake/x?sig=hush"] {
            assert!(!parsed(text).contains("hush"), "{}", parsed(text));
        }
        assert!(parsed("az://lake/x?sv=1&sig=hush").contains("AZURE_STORAGE_SAS_TOKEN"));
    }

    #[test]
    fn the_table_beside_has_a_name_of_its_own() {
        let beside = |text| Location::parse(text).unwrap().beside("_rejected");
        assert_eq!(beside("lake/t").as_folder(), Some(FilePath::new("lake/t_rejected")));
        assert_eq!(beside("az://lake/t").to_string(), "az://lake/t_rejected");
    }

    #[test]
    fn a_missing_account_is_told_without_the_key() {
        let variables = [("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), "aHVzaA==".to_owned())];
        let error = Location::parse("az://lake/t").unwrap().store(variables).unwrap_err().to_string();
        assert!(error.contains("AZURE_STORAGE_ACCOUNT_NAME") && !error.contains("aHVzaA"), "{error}");
    }

    #[test]
    fn a_connection_string_says_all() {
        let of = |text: &str| connection_string(text).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(
            of("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:1/a/;"),
            ["a", "a2V5==", "http://127.0.0.1:1/a"]
        );
        assert_eq!(of("UseDevelopmentStorage=true").len(), 3);
        let variables = [("AZURE_STORAGE_CONNECTION_STRING".to_owned(), "UseDevelopmentStorage=true".to_owned())];
        assert!(Location::parse("az://lake/t").unwrap().store(variables).is_ok());
    }
}
