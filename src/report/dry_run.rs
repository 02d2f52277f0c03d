//! What `txgen run --dry-run` shows: where transactions would go, and the first of them byte by byte.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::opening::{line, ttl};
use super::single_line;
use super::style::{CAUTION, NAME};
use crate::identity::RunId;
use crate::shard::Shard;
use crate::source::input::described;
use crate::stats::Setting;
use crate::transaction::Transaction;

/// A run as it would be. No secrets get in here.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The run's id, which a real run would have another of.
    pub run_id: RunId,
    /// Which part of the run this process would take.
    pub shard: Shard,
    /// The data file, as the user named it.
    pub data: String,
    /// The values that the run would use.
    pub settings: Vec<Setting>,
    /// Where the settings come from, in a few words.
    pub sources: String,
    /// The event hubs; empty when only Cosmos DB is written.
    pub event_hubs: Vec<HubPlace>,
    /// The container; `None` when only Event Hubs is written.
    pub cosmos_db: Option<ContainerPlace>,
    /// The pace and the end, in words.
    pub plan: String,
    /// What the user should know before it starts.
    pub warnings: Vec<String>,
}

/// An event hub that nobody has asked yet.
#[derive(Clone, Debug, Serialize)]
pub struct HubPlace {
    /// The host of the namespace, with the port where the connection string names one.
    pub namespace: String,
    /// The hub.
    pub hub: String,
}

/// A container that nobody has asked for yet.
#[derive(Clone, Debug, Serialize)]
pub struct ContainerPlace {
    /// The account.
    pub endpoint: String,
    /// The database.
    pub database: String,
    /// The container.
    pub container: String,
    /// Seconds that a document is kept.
    pub ttl_seconds: u32,
}

impl DryRun {
    /// The announcement as text that ends with an empty line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!("{NAME}txgen {version}{NAME:#}, dry run: nothing is connected to, nothing is sent\n");
        // Writing to a string cannot fail.
        let _ = self.write_lines(&mut text);
        text.push('\n');
        text
    }

    fn write_lines(&self, text: &mut String) -> std::fmt::Result {
        line(text, "Data", &described(&self.data))?;
        line(text, "Settings", &self.sources)?;
        for HubPlace { namespace, hub } in &self.event_hubs {
            line(text, "Event Hubs", &format!("{hub} at {namespace}"))?;
        }
        if let Some(ContainerPlace { endpoint, database, container, .. }) = &self.cosmos_db {
            line(text, "Cosmos DB", &format!("{database}/{container} at {endpoint}"))?;
        }
        line(text, "Plan", &self.plan)?;
        for warning in &self.warnings {
            writeln!(text, "{CAUTION}Note{CAUTION:#}       {}", single_line(warning))?;
        }
        Ok(())
    }

    /// The announcement as one line of JSON (`"type": "dry_run"`).
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = json!({
            "type": "dry_run",
            "version": env!("CARGO_PKG_VERSION"),
            "run_id": self.run_id.to_string(),
            "shard": self.shard.is_part().then_some(self.shard),
            "data": self.data,
            "settings": self.settings,
            "event_hubs": self.event_hubs,
            "cosmos_db": self.cosmos_db,
            "plan": self.plan,
            "warnings": self.warnings,
        });
        format!("{json}\n")
    }

    /// One transaction as text: where it would go, and what would be sent, byte by byte.
    #[must_use]
    pub fn transaction_text(&self, transaction: &Transaction) -> String {
        let (key, bytes) = (single_line(&transaction.partition_key), transaction.body.len());
        let mut text = format!("{NAME}Transaction {}{NAME:#}\n", transaction.row);
        for HubPlace { hub, .. } in &self.event_hubs {
            let _ = line(&mut text, "Event Hubs", &format!("{hub}, partition key {key}, {bytes} bytes"));
        }
        if let Some(ContainerPlace { database, container, ttl_seconds, .. }) = &self.cosmos_db {
            let kept = ttl(*ttl_seconds);
            let place = format!("{database}/{container}, partition key {key}, {bytes} bytes, kept for {kept}");
            let _ = line(&mut text, "Cosmos DB", &place);
        }
        text + &String::from_utf8_lossy(&transaction.body) + "\n\n"
    }

    /// One transaction as one line of JSON (`"type": "transaction"`).
    ///
    /// # Errors
    /// When the body is not JSON, which it always is.
    pub fn transaction_json(&self, transaction: &Transaction) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            r#type: &'static str,
            row: u64,
            id: String,
            partition_key: &'a str,
            bytes: usize,
            body: &'a RawValue,
        }
        let line = Line {
            r#type: "transaction",
            row: transaction.row,
            id: transaction.id.to_string(),
            partition_key: &transaction.partition_key,
            bytes: transaction.body.len(),
            body: serde_json::from_slice(&transaction.body)?,
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }
}
