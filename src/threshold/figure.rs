//! The figures of a summary by name, as they stand in the document: `requested`, `cosmos_db.response_time_ms.p99`.

use std::fmt;

use serde_json::Value;

use crate::likeness;
use crate::service::{FailureKind, ServiceName};
use crate::stats::{Latencies, Summary};
use crate::transaction::COLUMNS;

const SERVICES: [ServiceName; 2] = [ServiceName::EventHubs, ServiceName::CosmosDb];
/// Figures of the run as a whole.
const OF_RUN: [&str; 7] =
    ["requested", "rejected_rows", "wall_seconds", "rate", "first_row", "last_row", "other_partition_keys"];
/// Figures of either service.
const OF_SERVICE: [&str; 13] = [
    "failed",
    "succeeded",
    "requested",
    "not_sent",
    "pending",
    "queued",
    "in_flight",
    "throttled",
    "ambiguous",
    "resent",
    "writes_per_second",
    "elapsed_seconds",
    "first_sent_seconds",
];
/// Figures of Cosmos DB alone.
const OF_COSMOS_DB: [&str; 2] = ["request_units", "request_units_per_second"];
/// Distributions of the run as a whole, and of either service.
const LATENCIES_OF_RUN: [&str; 1] = ["lateness_ms"];
const LATENCIES_OF_SERVICE: [&str; 3] = ["service_time_ms", "response_time_ms", "server_time_ms"];
/// The measures that the document holds; other percentiles come out of the histograms.
const MEASURES: [&str; 6] = ["p50", "p90", "p99", "p999", "max", "mean"];

/// A figure of the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    scope: Scope,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Run,
    Service(ServiceName),
    EachService,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// A field with a number.
    Field(&'static str),
    /// An entry of a map of counts, which is 0 where it is not there.
    Entry(&'static str, String),
    /// A measure of a distribution, ms.
    Latency(&'static str, Measure),
}

#[derive(Clone, Debug, PartialEq)]
enum Measure {
    /// As it is written, and the share of latencies that are at most so long.
    Percentile(String, f64),
    Max,
    Mean,
}

impl Figure {
    /// The figure with this name: its path in the document, in which `services.` may be left out. A figure of a service
    /// without the service's name is that of each.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("services.").unwrap_or(name);
        for service in SERVICES {
            if let Some(rest) = name.strip_prefix(service.key()).and_then(|rest| rest.strip_prefix('.')) {
                let kind = of_service(rest).or_else(|| of_cosmos_db(rest).filter(|_| service == ServiceName::CosmosDb));
                return kind.map(|kind| Self { scope: Scope::Service(service), kind });
            }
        }
        let of_run = of_run(name).map(|kind| Self { scope: Scope::Run, kind });
        let of_service = || of_service(name).map(|kind| Self { scope: Scope::EachService, kind });
        // Only one service has these, so that needs no saying.
        let of_cosmos_db =
            || of_cosmos_db(name).map(|kind| Self { scope: Scope::Service(ServiceName::CosmosDb), kind });
        of_run.or_else(of_service).or_else(of_cosmos_db)
    }

    /// The right name that a wrong one resembles most.
    pub(super) fn nearest(name: &str) -> String {
        let likeness = |candidate: &String| strsim::normalized_damerau_levenshtein(candidate, name);
        likeness::nearest(all_names(), 0.0, likeness).unwrap_or_default()
    }

    pub(super) fn service(&self) -> Option<ServiceName> {
        match self.scope {
            Scope::Service(service) => Some(service),
            Scope::Run | Scope::EachService => None,
        }
    }

    pub(super) fn is_count(&self, service: ServiceName, count: &str) -> bool {
        let is_of_service = self.scope == Scope::EachService || self.scope == Scope::Service(service);
        is_of_service && matches!(self.kind, Kind::Field(name) if name == count)
    }

    /// The figure's value; for each service that was written to, where it names none.
    pub(super) fn values(&self, summary: &Summary) -> Vec<(Self, Option<f64>)> {
        match self.scope {
            Scope::Run => vec![(self.clone(), self.of_run(summary))],
            Scope::Service(service) => vec![(self.clone(), self.of_service(summary, service))],
            Scope::EachService => {
                let each = summary.services.keys().map(|service| {
                    let figure = Self { scope: Scope::Service(*service), kind: self.kind.clone() };
                    let value = figure.of_service(summary, *service);
                    (figure, value)
                });
                each.collect()
            }
        }
    }

    fn of_run(&self, summary: &Summary) -> Option<f64> {
        match &self.kind {
            Kind::Latency(_, measure) => measure.of(&summary.lateness_histogram, summary.lateness_ms.max),
            kind => kind.in_document(&serde_json::to_value(summary).ok()?),
        }
    }

    fn of_service(&self, summary: &Summary, service: ServiceName) -> Option<f64> {
        let service = summary.services.get(&service)?;
        match &self.kind {
            Kind::Latency("service_time_ms", measure) => {
                measure.of(&service.histograms.service_time, service.service_time_ms.max)
            }
            Kind::Latency("server_time_ms", measure) => {
                measure.of(service.histograms.server_time.as_ref()?, service.server_time_ms?.max)
            }
            Kind::Latency(_, measure) => measure.of(&service.histograms.response_time, service.response_time_ms.max),
            kind => kind.in_document(&serde_json::to_value(service).ok()?),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Scope::Service(service) = self.scope {
            write!(f, "{}.", service.key())?;
        }
        match &self.kind {
            Kind::Field(name) => f.write_str(name),
            Kind::Entry(map, key) => write!(f, "{map}.{key}"),
            Kind::Latency(name, Measure::Percentile(percentile, _)) => write!(f, "{name}.{percentile}"),
            Kind::Latency(name, Measure::Max) => write!(f, "{name}.max"),
            Kind::Latency(name, Measure::Mean) => write!(f, "{name}.mean"),
        }
    }
}

impl Kind {
    fn in_document(&self, document: &Value) -> Option<f64> {
        match self {
            Self::Field(name) => document.get(name)?.as_f64(),
            Self::Entry(map, key) => document.get(map)?.get(key).map_or(Some(0.0), Value::as_f64),
            Self::Latency(..) => None,
        }
    }
}

impl Measure {
    /// `p99`, `p99.9` and `p999` (the same), `max`, `mean`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "max" => return Some(Self::Max),
            "mean" => return Some(Self::Mean),
            _ => {}
        }
        let digits = name.strip_prefix('p')?;
        let is_number =
            digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_number || digits.len() > 8 {
            return None;
        }
        // As people write them: from the third digit on they are decimals.
        let percent: f64 = match digits.split_at_checked(2) {
            Some((whole, decimals)) if !digits.contains('.') => format!("{whole}.{decimals}0").parse().ok()?,
            _ => digits.parse().ok()?,
        };
        (0.0 < percent && percent < 100.0).then(|| Self::Percentile(name.to_owned(), percent / 100.0))
    }

    /// Its value in milliseconds; `None` where nothing was counted.
    fn of(&self, latencies: &Latencies, max: f64) -> Option<f64> {
        (latencies.count() > 0).then(|| match self {
            Self::Percentile(_, quantile) => latencies.at(*quantile).min(max),
            Self::Max => max,
            Self::Mean => latencies.percentiles().mean,
        })
    }
}

fn of_run(name: &str) -> Option<Kind> {
    if let Some(key) = name.strip_prefix("partition_keys.").filter(|key| !key.is_empty()) {
        return Some(Kind::Entry("partition_keys", key.to_owned()));
    }
    if let Some(column) = name.strip_prefix("unreadable_cells.") {
        let column = COLUMNS.iter().find(|known| known.name == column)?;
        return Some(Kind::Entry("unreadable_cells", column.name.to_owned()));
    }
    field(&OF_RUN, name).or_else(|| latency(&LATENCIES_OF_RUN, name))
}

fn of_service(name: &str) -> Option<Kind> {
    if let Some(kind) = name.strip_prefix("failures.") {
        let kind = FailureKind::ALL.into_iter().find(|known| known.key() == kind)?;
        return Some(Kind::Entry("failures", kind.key().to_owned()));
    }
    field(&OF_SERVICE, name).or_else(|| latency(&LATENCIES_OF_SERVICE, name))
}

fn of_cosmos_db(name: &str) -> Option<Kind> {
    field(&OF_COSMOS_DB, name)
}

fn field(known: &[&'static str], name: &str) -> Option<Kind> {
    known.iter().find(|known| **known == name).map(|known| Kind::Field(known))
}

fn latency(known: &[&'static str], name: &str) -> Option<Kind> {
    let (name, measure) = name.split_once('.')?;
    let name = known.iter().find(|known| **known == name)?;
    Some(Kind::Latency(name, Measure::named(measure)?))
}

/// Every name that has one form, for suggestions. The plain ones come last: of equally near ones the last is taken.
fn all_names() -> Vec<String> {
    let measures = |latencies: &'static [&str]| {
        latencies.iter().flat_map(|name| MEASURES.iter().map(move |measure| format!("{name}.{measure}")))
    };
    let of_service: Vec<String> = (OF_SERVICE.into_iter().map(str::to_owned))
        .chain(FailureKind::ALL.into_iter().map(|kind| format!("failures.{kind}")))
        .chain(measures(&LATENCIES_OF_SERVICE))
        .collect();
    let of_cosmos_db = OF_COSMOS_DB.into_iter().map(|name| format!("cosmos_db.{name}"));
    let with_service = |service: ServiceName| of_service.iter().map(move |name| format!("{}.{name}", service.key()));
    SERVICES
        .into_iter()
        .flat_map(with_service)
        .chain(of_cosmos_db)
        .chain(COLUMNS.iter().map(|column| format!("unreadable_cells.{}", column.name)))
        .chain(["partition_keys.us".to_owned()])
        .chain(measures(&LATENCIES_OF_RUN))
        .chain(OF_RUN.into_iter().map(str::to_owned))
        .chain(of_service.iter().cloned())
        .chain(OF_COSMOS_DB.into_iter().map(str::to_owned))
        .collect()
}
