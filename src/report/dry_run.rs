//! What `txgen run --dry-run` shows: where transactions would go, and the first of them byte by byte.

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::opening::{line, plan, ttl, write_data, write_plan};
use super::single_line;
use super::style::NAME;
use crate::description::{ContainerTarget, HubTarget, RunDescription};
use crate::transaction::Transaction;

/// The announcement as text that ends with an empty line.
#[must_use]
pub fn text(description: &RunDescription) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("{NAME}txgen {version}{NAME:#}, dry run: nothing is connected to, nothing is sent\n");
    // Writing to a string cannot fail.
    let _ = write_lines(&mut text, description);
    text.push('\n');
    text
}

fn write_lines(text: &mut String, description: &RunDescription) -> std::fmt::Result {
    write_data(text, description)?;
    for hub in hubs(description) {
        line(text, "Event Hubs", &hub.to_string())?;
    }
    if let Some(container) = container(description) {
        line(text, "Cosmos DB", &container.to_string())?;
    }
    write_plan(text, description)
}

fn hubs(description: &RunDescription) -> Vec<HubTarget> {
    description.event_hubs.iter().flat_map(|event_hubs| event_hubs.hubs.iter().map(HubTarget::from)).collect()
}

fn container(description: &RunDescription) -> Option<&ContainerTarget> {
    description.cosmos_db.as_ref().map(|cosmos_db| &cosmos_db.target)
}

/// The announcement as one line of JSON (`"type": "dry_run"`).
#[must_use]
pub fn json(description: &RunDescription) -> String {
    let hubs = hubs(description);
    let hubs = hubs.iter().map(|HubTarget { namespace, hub, .. }| json!({ "namespace": namespace, "hub": hub }));
    let json = json!({
        "type": "dry_run",
        "version": env!("CARGO_PKG_VERSION"),
        "run_id": description.run_id.to_string(),
        "shard": description.part(),
        "data": description.data,
        "settings": description.settings,
        "event_hubs": hubs.collect::<Vec<_>>(),
        "cosmos_db": container(description).map(|ContainerTarget { endpoint, database, container, ttl_seconds, .. }| json!({
            "endpoint": endpoint,
            "database": database,
            "container": container,
            "ttl_seconds": ttl_seconds,
        })),
        "plan": plan(description),
        "warnings": description.warnings,
    });
    format!("{json}\n")
}

/// One transaction as text: where it would go, and what would be sent, byte by byte.
#[must_use]
pub fn transaction_text(description: &RunDescription, transaction: &Transaction) -> String {
    let (key, bytes) = (single_line(&transaction.partition_key), transaction.body.len());
    let mut text = format!("{NAME}Transaction {}{NAME:#}\n", transaction.row);
    for HubTarget { hub, .. } in hubs(description) {
        let _ = line(&mut text, "Event Hubs", &format!("{hub}, partition key {key}, {bytes} bytes"));
    }
    if let Some(ContainerTarget { database, container, ttl_seconds, .. }) = container(description) {
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
pub fn transaction_json(transaction: &Transaction) -> serde_json::Result<String> {
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
