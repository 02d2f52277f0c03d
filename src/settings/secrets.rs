//! Settings that say which secret of a key vault they are. Reading settings stays pure: what it wants of vaults it names,
//! and is done again once that is here.

use std::collections::HashMap;
use std::future::Future;

use azure_core::credentials::Secret;
use futures_util::future::join_all;
use txgen_azure::key_vault::SecretReference;

use super::SettingsError;

/// Reads secrets of key vaults.
pub trait SecretStore {
    /// The secret. It has a time-out of its own.
    ///
    /// # Errors
    /// Why it cannot be had and what to do about it, on one line that goes on from `the secret https://…`.
    fn fetch(&self, reference: &SecretReference) -> impl Future<Output = Result<FetchedSecret, String>> + Send;
}

/// A secret as its vault has it.
#[derive(Clone, Debug)]
pub struct FetchedSecret {
    pub value: Secret,
    /// The secret with its version.
    pub identifier: SecretReference,
}

/// What has been read of vaults so far.
#[derive(Debug, Default)]
pub(super) struct Secrets(HashMap<SecretReference, Result<FetchedSecret, String>>);

impl Secrets {
    /// `None` before the secret was asked for.
    pub(super) fn get(&self, reference: &SecretReference) -> Option<&Result<FetchedSecret, String>> {
        self.0.get(reference)
    }

    #[cfg(test)]
    pub(super) fn of(secrets: impl IntoIterator<Item = (SecretReference, Result<FetchedSecret, String>)>) -> Self {
        Self(secrets.into_iter().collect())
    }
}

/// Why there are no settings yet.
#[derive(Debug)]
pub enum Incomplete {
    /// They are wrong.
    Wrong(SettingsError),
    /// These secrets have to be read first.
    Wants(Vec<SecretReference>),
}

impl Incomplete {
    /// What keeps two readings of the same sources from being complete.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        match (self, other) {
            (Self::Wants(mut wanted), Some(Self::Wants(more))) => {
                wanted.extend(more);
                Self::Wants(wanted)
            }
            (Self::Wants(_), Some(wrong)) => wrong,
            (first, _) => first,
        }
    }
}

/// Reads settings, each secret that they want once.
pub(super) async fn complete<T>(
    store: &impl SecretStore,
    read: impl Fn(&Secrets) -> Result<T, Incomplete>,
) -> Result<T, SettingsError> {
    let mut secrets = Secrets::default();
    loop {
        let mut wanted = match read(&secrets) {
            Ok(settings) => return Ok(settings),
            Err(Incomplete::Wrong(error)) => return Err(error),
            Err(Incomplete::Wants(wanted)) => wanted,
        };
        // Each round answers what it was asked for, so that none is asked for twice.
        let mut seen = std::collections::HashSet::new();
        wanted.retain(|reference| seen.insert(reference.clone()));
        let fetched = join_all(wanted.iter().map(|reference| store.fetch(reference))).await;
        secrets.0.extend(wanted.into_iter().zip(fetched));
    }
}
