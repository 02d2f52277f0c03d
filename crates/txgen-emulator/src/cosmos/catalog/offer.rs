//! Throughput as a resource of its own.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::super::rid;
use super::super::throughput::{Budgets, Throughput};
use super::lock;

/// Provisioned throughput, as a resource.
pub(in crate::cosmos) struct Offer {
    pub(super) number: u32,
    pub(in crate::cosmos) rid: String,
    resource_rid: String,
    resource_link: String,
    /// Version and time of the latest change.
    pub(super) changed: Mutex<(u64, u32)>,
    pub(super) budgets: Mutex<Budgets>,
}

impl Offer {
    pub(super) fn new(
        number: u32,
        changed: (u64, u32),
        budgets: Budgets,
        resource_rid: &str,
        resource_link: &str,
    ) -> Self {
        Self {
            number,
            rid: rid::offer(number),
            resource_rid: resource_rid.to_owned(),
            resource_link: resource_link.to_owned(),
            changed: Mutex::new(changed),
            budgets: Mutex::new(budgets),
        }
    }

    pub(in crate::cosmos) fn etag(&self) -> String {
        let (version, timestamp) = *lock(&self.changed);
        rid::etag(version, timestamp)
    }

    pub(in crate::cosmos) fn to_json(&self) -> Value {
        let content = match lock(&self.budgets).throughput() {
            Throughput::Manual(throughput) => {
                json!({ "offerThroughput": throughput, "offerIsRUPerMinuteThroughputEnabled": false })
            }
            Throughput::Autoscale { max, increment_percent } => {
                let policy =
                    increment_percent.map(|percent| json!({ "throughputPolicy": { "incrementPercent": percent } }));
                let mut settings = json!({ "maxThroughput": max });
                if let Some(policy) = policy {
                    settings["autoUpgradePolicy"] = policy;
                }
                // What it would be scaled to without load: a tenth.
                json!({ "offerThroughput": max / 10, "offerAutopilotSettings": settings })
            }
        };
        let (_, timestamp) = *lock(&self.changed);
        json!({
            "id": self.rid, "_rid": self.rid, "_self": format!("offers/{}/", self.rid), "_etag": self.etag(),
            "_ts": timestamp, "resource": self.resource_link, "offerResourceId": self.resource_rid,
            "offerType": "Invalid", "offerVersion": "V2", "content": content,
        })
    }
}
