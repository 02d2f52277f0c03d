//! Newline-delimited JSON: `--output json`. One object a line, told apart by `type`: `start`, `batch`, `summary`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::number::thousandths as round;
use super::opening;
use crate::description::RunDescription;
use crate::service::ServiceName;
use crate::stats::{Batch, ServiceBatch, Summary};

/// The run's start as one line.
#[must_use]
pub fn start(description: &RunDescription) -> String {
    line(&opening::to_json(description))
}

/// A batch as one line.
#[must_use]
pub fn batch(batch: &Batch) -> String {
    let services: Map<String, Value> =
        batch.services.iter().map(|figures| (figures.service.key().to_owned(), service(figures))).collect();
    line(&json!({
        "type": "batch",
        "number": batch.number,
        "requested": batch.requested,
        "wall_seconds": round(batch.wall.as_secs_f64()),
        "elapsed_seconds": round(batch.elapsed.as_secs_f64()),
        "services": services,
    }))
}

/// The totals as one line.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    line(summary)
}

fn service(figures: &ServiceBatch) -> Value {
    let mut object = json!({
        "succeeded": figures.succeeded,
        "failed": figures.failed,
        "writes_per_second": round(figures.writes_per_second()),
        "service_time_ms": figures.service_time,
        "response_time_ms": figures.response_time,
        "processing_ms": figures.processing.filter(|p| p.is_full()).map(|p| round(p.time.as_secs_f64() * 1000.0)),
        "elapsed_seconds": round(figures.elapsed.as_secs_f64()),
        "total": figures.total,
    });
    if let Some(server_time) = figures.server_time {
        object["server_time_ms"] = json!(server_time);
    }
    if figures.service == ServiceName::CosmosDb {
        object["request_units"] = round(figures.request_units).into();
        object["request_units_per_second"] = round(figures.request_units_per_second()).into();
    }
    object
}

fn line(value: &impl Serialize) -> String {
    // Maps with text keys and finite numbers always serialise; should that ever change, the line says so.
    let json = serde_json::to_string(value)
        .unwrap_or_else(|error| json!({ "type": "error", "message": error.to_string() }).to_string());
    json + "\n"
}
