//! The options of the local services that follow from the flags of `txgen emulator`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::bail;
use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::args::{EmulatorArgs, SecretArg, Sync};
use txgen_emulator::cosmos::CosmosEmulatorOptions;
use txgen_emulator::data::{DataDir, DataSync};
use txgen_emulator::event_hubs::{EventHubsEmulatorOptions, Policy};
use txgen_emulator::key_vault::{KeyVaultEmulatorOptions, LocalSecret};
use txgen_emulator::tls::Certificate;

/// A shared access policy of the emulator, and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PolicyName {
    /// `SharedAccessKeyName`.
    pub(super) name: &'static str,
    /// Its rights, in words.
    pub(super) may: &'static str,
}

/// The policies, those first that a person looks for first.
pub(super) const POLICIES: [PolicyName; 3] = [
    PolicyName { name: "Sender", may: "send only" },
    PolicyName { name: "Listener", may: "listen only" },
    PolicyName { name: "RootManageSharedAccessKey", may: "everything" },
];

impl EmulatorArgs {
    /// What the parser cannot see.
    ///
    /// # Errors
    /// One flag that does not go with the others.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        for hub in &self.hubs {
            if !seen.insert(hub.to_ascii_lowercase()) {
                bail!("--hub: {hub} is given twice; names are compared without regard to case");
            }
        }
        let mut taken = vec![("--event-hubs-port", self.event_hubs_port)];
        let more = self.event_hubs_tls_port.iter().map(|port| ("--event-hubs-tls-port", *port));
        let more = more.chain(self.kafka_port.map(|port| ("--kafka-port", port)));
        let more = more.chain(self.key_vault_port.map(|port| ("--key-vault-port", port)));
        for (flag, port) in more.chain([("--cosmos-port", self.cosmos_port)]) {
            if let Some((other, _)) = taken.iter().find(|(_, other)| port != 0 && *other == port) {
                bail!("{flag}: {port} is the port of {other} already; choose another one");
            }
            taken.push((flag, port));
        }
        Ok(())
    }

    /// The flag that asked for an address of Event Hubs.
    pub(super) fn flag_of(&self, address: SocketAddr) -> &'static str {
        match address.port() {
            port if port == self.event_hubs_port => "--event-hubs-port",
            port if Some(port) == self.kafka_port => "--kafka-port",
            _ => "--event-hubs-tls-port",
        }
    }

    /// Whether anything is to speak TLS.
    fn wants_certificate(&self) -> bool {
        self.https || self.kafka_port.is_some() || self.wants_key_vault() || !self.event_hubs_tls_port.is_empty()
    }

    /// Whether there is to be a Key Vault.
    fn wants_key_vault(&self) -> bool {
        !self.secrets.is_empty() || self.key_vault_port.is_some() || self.settings_as_references
    }

    /// The secrets that were given.
    ///
    /// # Errors
    /// One that is none, or whose file cannot be read.
    pub(super) fn secrets(&self) -> anyhow::Result<Vec<LocalSecret>> {
        self.secrets.iter().map(SecretArg::read).collect()
    }

    /// The options of the Key Vault emulator, without its certificate; `None` where none is wanted. `secrets` are all
    /// that it holds.
    pub(super) fn key_vault(&self, secrets: Vec<LocalSecret>) -> Option<KeyVaultEmulatorOptions> {
        self.wants_key_vault().then(|| KeyVaultEmulatorOptions {
            listen: SocketAddr::new(self.host, self.key_vault_port.unwrap_or(0)),
            secrets,
            ..KeyVaultEmulatorOptions::default()
        })
    }

    /// The certificate that both services have, if one is wanted.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn certificate(&self) -> io::Result<Option<Certificate>> {
        self.wants_certificate().then(|| Certificate::new(self.host)).transpose()
    }

    /// Where the certificate goes, when there is one.
    pub(super) fn certificate_out(&self) -> Option<&Path> {
        self.wants_certificate().then_some(&*self.certificate_out)
    }

    /// Where everything is kept.
    fn data(&self) -> Option<DataDir> {
        let sync = match self.data_sync {
            Sync::Disk => DataSync::Disk,
            Sync::Os => DataSync::Os,
        };
        self.data_dir.as_ref().map(|folder| DataDir { folder: folder.clone(), sync })
    }

    /// The options of the Event Hubs emulator, without its certificate.
    pub(super) fn event_hubs(&self) -> EventHubsEmulatorOptions {
        EventHubsEmulatorOptions {
            listen: SocketAddr::new(self.host, self.event_hubs_port),
            listen_tls: self.event_hubs_tls_port.iter().map(|port| SocketAddr::new(self.host, *port)).collect(),
            listen_kafka: self.kafka_port.map(|port| SocketAddr::new(self.host, port)),
            hubs: self.hubs.clone(),
            partitions: self.partitions,
            consumer_groups: self.consumer_groups.clone(),
            latency: self.event_hubs_latency,
            policies: policies(),
            throughput_units: self.throughput_units.map(NonZeroU32::get),
            retention: Some(self.retention),
            memory_limit: self.memory_limit,
            data: self.data(),
            faults: self.fault.clone(),
            ..EventHubsEmulatorOptions::default()
        }
    }

    /// The options of the Cosmos DB emulator, without its certificate.
    pub(super) fn cosmos_db(&self) -> CosmosEmulatorOptions {
        CosmosEmulatorOptions {
            listen: SocketAddr::new(self.host, self.cosmos_port),
            https: self.https,
            latency: self.cosmos_latency,
            enforce_throughput: !self.no_throughput_limit,
            allow_entra_id: true,
            memory_limit: self.memory_limit,
            data: self.data(),
            faults: self.fault.clone(),
            ..CosmosEmulatorOptions::default()
        }
    }
}

fn policies() -> Vec<Policy> {
    let policy = |PolicyName { name, .. }: PolicyName| {
        let (send, listen) = (name == "Sender", name == "Listener");
        Policy { name: name.to_owned(), key: key_of(name), send, listen, manage: !send && !listen }
    };
    POLICIES.map(policy).into()
}

/// The key of a policy: the same at every start and on every machine, so that what was pasted once goes on working, as
/// with the well-known key of Cosmos DB's emulators. It protects nothing, and is not meant to.
fn key_of(policy: &str) -> Secret {
    Secret::new(STANDARD.encode(Sha256::digest(format!("txgen emulator, policy {policy}"))))
}

#[cfg(test)]
pub(super) mod tests;
