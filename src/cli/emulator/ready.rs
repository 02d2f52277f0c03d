//! What `txgen emulator` says when it is ready: all there is to paste.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::args::{EmulatorArgs, OutputFormat};
use super::options::{POLICIES, PolicyName};
use txgen_emulator::cosmos::CosmosEmulator;
use txgen_emulator::event_hubs::EventHubsEmulator;
use txgen_emulator::key_vault::KeyVaultEmulator;

const NAME: anstyle::Style = anstyle::Style::new().bold();

/// What to paste.
pub(super) struct Ready {
    address: String,
    port: u16,
    tls_ports: Vec<u16>,
    kafka: Option<SocketAddr>,
    /// Each hub with how many partitions it has; at least one.
    hubs: Vec<(String, usize)>,
    /// Each policy with its connection string for the first hub.
    connection_strings: Vec<(PolicyName, String)>,
    endpoint: String,
    key: String,
    https: bool,
    /// The address of the Key Vault.
    vault: Option<String>,
    certificate: Option<String>,
    settings_out: Option<String>,
    data_dir: Option<String>,
}

impl Ready {
    /// Gathers it from the services; `None` when a policy is missing.
    pub(super) fn new(
        args: &EmulatorArgs,
        event_hubs: &EventHubsEmulator,
        cosmos_db: &CosmosEmulator,
        key_vault: Option<&KeyVaultEmulator>,
        certificate: Option<String>,
    ) -> Option<Self> {
        let string =
            |policy, hub: &str| event_hubs.connection_string(policy, hub).map(|secret| secret.secret().to_owned());
        let counts = event_hubs.counts();
        let hubs: Vec<_> = counts.hubs.iter().map(|hub| (hub.name.clone(), hub.partitions.len())).collect();
        let (first, _) = hubs.first()?;
        Some(Self {
            address: event_hubs.local_addr().to_string(),
            port: event_hubs.local_addr().port(),
            tls_ports: event_hubs.tls_addrs().iter().map(SocketAddr::port).collect(),
            kafka: event_hubs.kafka_addr(),
            connection_strings: POLICIES
                .into_iter()
                .map(|policy| Some((policy, string(policy.name, first)?)))
                .collect::<Option<_>>()?,
            hubs,
            endpoint: cosmos_db.endpoint().to_string(),
            key: cosmos_db.key().secret().to_owned(),
            https: args.https,
            vault: key_vault.map(|vault| vault.endpoint().to_string()),
            certificate,
            settings_out: args.settings_out.as_ref().map(|path| path.display().to_string()),
            data_dir: args.data_dir.as_ref().map(|path| path.display().to_string()),
        })
    }

    /// In this format, whole lines.
    pub(super) fn show(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Text => self.to_text(),
            OutputFormat::Json => format!("{}\n", self.to_json()),
        }
    }

    fn to_json(&self) -> Value {
        let strings: Map<String, Value> = self
            .connection_strings
            .iter()
            .map(|(policy, string)| (policy.name.to_owned(), Value::from(string.as_str())))
            .collect();
        let mut cosmos_db = json!({ "endpoint": self.endpoint, "key": self.key });
        let mut event_hubs = json!({
            "connection_strings": strings, "port": self.port, "hubs": self.names(),
            "partitions": self.hubs.first().map(|(_, partitions)| partitions),
        });
        if self.partitions().is_none() {
            event_hubs["hub_partitions"] = self.hubs.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
        }
        if !self.tls_ports.is_empty() {
            event_hubs["tls_ports"] = json!(self.tls_ports);
        }
        if let Some(kafka) = self.kafka {
            event_hubs["kafka_port"] = kafka.port().into();
        }
        if let Some(path) = &self.certificate {
            event_hubs["certificate"] = Value::from(path.as_str());
            if self.https {
                cosmos_db["certificate"] = Value::from(path.as_str());
            }
        }
        let key_vault = self.vault.as_ref().map(|url| json!({ "url": url, "certificate": self.certificate }));
        json!({ "type": "ready", "event_hubs": event_hubs, "cosmos_db": cosmos_db, "key_vault": key_vault })
    }

    fn names(&self) -> Vec<&str> {
        self.hubs.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// How many partitions each hub has, where it is the same number.
    fn partitions(&self) -> Option<usize> {
        let (_, first) = self.hubs.first()?;
        self.hubs.iter().all(|(_, partitions)| partitions == first).then_some(*first)
    }

    fn to_text(&self) -> String {
        let hubs = match self.partitions() {
            Some(partitions) => format!("{}, {partitions} partitions each", self.names().join(", ")),
            None => {
                let each = self.hubs.iter().map(|(name, partitions)| format!("{name} with {partitions} partitions"));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        let mut text = format!(
            "{NAME}Event Hubs{NAME:#} on {}, AMQP 1.0 {}: {hubs}\n",
            self.address,
            if self.certificate.is_some() { "with TLS and without" } else { "without TLS" },
        );
        for (policy, string) in &self.connection_strings {
            text.push_str(&format!("  {} ({}):\n    {string}\n", policy.name, policy.may));
        }
        if self.hubs.len() > 1 {
            text.push_str("  For another hub, put its name behind EntityPath=.\n");
        }
        if let Some(kafka) = self.kafka {
            text.push_str(&format!(
                "  Kafka on {kafka}: SASL_PLAINTEXT or SASL_SSL, mechanism PLAIN, user $ConnectionString, and for a password\n  \
                 one of these.\n"
            ));
        }
        if !self.tls_ports.is_empty() {
            let ports: Vec<_> = self.tls_ports.iter().map(u16::to_string).collect();
            text.push_str(&format!(
                "  For TLS, leave UseDevelopmentEmulator=true out; also on port {}.\n",
                ports.join(", ")
            ));
        }
        text.push_str(&format!(
            "\n{NAME}Cosmos DB{NAME:#}\n  Endpoint:\n    {}\n  Key:\n    {}\n",
            self.endpoint, self.key
        ));
        if let Some(vault) = &self.vault {
            text.push_str(&format!("\n{NAME}Key Vault{NAME:#}, for any Entra ID token\n  URL:\n    {vault}\n"));
        }
        if let Some(path) = &self.certificate {
            text.push_str(&format!(
                "\nThe certificate is made anew at each start and is in {path}. To trust it: SSL_CERT_FILE={path} for Rust,\n\
                 REQUESTS_CA_BUNDLE={path} and SSL_CERT_FILE={path} for Python, NODE_EXTRA_CA_CERTS={path} for JavaScript.\n"
            ));
        }
        text.push_str("\nThese keys are the same at every start and on every machine: they protect nothing.\n");
        if let Some(path) = &self.settings_out {
            text.push_str(&format!("The settings are in {path}: `txgen run --settings {path}` writes to both.\n"));
        }
        let kept = self.data_dir.as_ref().map_or_else(|| "memory".to_owned(), |folder| format!("`{folder}`"));
        text + &format!("Everything is kept in {kept}. Press Ctrl-C to end.\n")
    }
}

#[cfg(test)]
mod tests;
