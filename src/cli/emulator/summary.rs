//! What `txgen emulator` says when it ends: the totals.

use serde_json::{Value, json};

use super::args::OutputFormat;
use crate::service::ServiceName;
use txgen_emulator::cosmos::{CosmosCounts, CosmosEmulator};
use txgen_emulator::event_hubs::{EventHubsCounts, EventHubsEmulator};
use txgen_emulator::faults::FaultRule;
use txgen_emulator::key_vault::{KeyVaultCounts, KeyVaultEmulator};

/// The totals.
pub(super) struct Summary {
    event_hubs: EventHubsCounts,
    cosmos_db: CosmosCounts,
    key_vault: Option<KeyVaultCounts>,
    /// Each fault that was asked for, at which service, and how often it struck.
    faults: Vec<(ServiceName, FaultRule, u64)>,
}

impl Summary {
    /// The counts of this moment.
    pub(super) fn new(
        event_hubs: &EventHubsEmulator,
        cosmos_db: &CosmosEmulator,
        key_vault: Option<&KeyVaultEmulator>,
    ) -> Self {
        let at = |service| move |(rule, count): (FaultRule, u64)| (service, rule, count);
        let event_hubs_faults = event_hubs.faults().into_iter().map(at(ServiceName::EventHubs));
        let faults = event_hubs_faults.chain(cosmos_db.faults().into_iter().map(at(ServiceName::CosmosDb)));
        Self {
            event_hubs: event_hubs.counts(),
            cosmos_db: cosmos_db.counts(),
            key_vault: key_vault.map(KeyVaultEmulator::counts),
            faults: faults.collect(),
        }
    }

    /// In this format, whole lines.
    pub(super) fn show(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Text => self.to_text(),
            OutputFormat::Json => format!("{}\n", self.to_json()),
        }
    }

    fn to_json(&self) -> Value {
        let hubs: Vec<_> = self
            .event_hubs
            .hubs
            .iter()
            .map(|hub| {
                json!({
                    "name": hub.name, "events": hub.events(), "throttled": hub.throttled, "rejected": hub.rejected,
                })
            })
            .collect();
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|(service, rule, count)| json!({ "service": service.key(), "fault": rule.to_string(), "happened": count }))
            .collect();
        let cosmos_db = &self.cosmos_db;
        let key_vault = self.key_vault.map(
            |KeyVaultCounts { requests, secrets_read }| json!({ "requests": requests, "secrets_read": secrets_read }),
        );
        json!({
            "type": "summary",
            "event_hubs": {
                "events": self.event_hubs.events(), "connections": self.event_hubs.connections, "hubs": hubs,
            },
            "cosmos_db": {
                "requests": cosmos_db.requests, "throttled": cosmos_db.throttled, "created": cosmos_db.created,
                "documents": cosmos_db.documents, "bytes": cosmos_db.bytes, "databases": cosmos_db.databases,
                "containers": cosmos_db.containers,
            },
            "key_vault": key_vault,
            "faults": faults,
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for hub in &self.event_hubs.hubs {
            text.push_str(&format!(
                "Event Hubs: {} took {} events, throttled {} deliveries and rejected {}\n",
                hub.name,
                hub.events(),
                hub.throttled,
                hub.rejected
            ));
        }
        let cosmos_db = &self.cosmos_db;
        text.push_str(&format!(
            "Cosmos DB: answered {} requests, {} of them 429; created {} documents and held {} at the end\n",
            cosmos_db.requests, cosmos_db.throttled, cosmos_db.created, cosmos_db.documents
        ));
        if let Some(KeyVaultCounts { requests, secrets_read }) = self.key_vault {
            text.push_str(&format!("Key Vault: answered {requests} requests and handed out {secrets_read} secrets\n"));
        }
        for (service, rule, count) in &self.faults {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            text.push_str(&format!("Fault {rule}: happened {times} at {service}\n"));
        }
        text
    }
}
