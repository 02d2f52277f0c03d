//! Which figures are compared, and where the spread of each is found.

use std::collections::BTreeSet;

use super::{Better, Figure, Spread};
use crate::service::ServiceName;
use crate::stats::{Percentiles, Point, ServicePoint, ServiceSummary, Summary};

/// A figure of a service.
struct Measure {
    /// Its place within the service's summary.
    key: &'static str,
    /// As people say it.
    name: &'static str,
    unit: &'static str,
    better: Better,
    /// Over the whole run.
    total: fn(&ServiceSummary) -> Option<f64>,
    /// In one interval; `None` for figures that intervals do not have.
    interval: Option<fn(&Point, &ServicePoint) -> Option<f64>>,
}

const MEASURES: [Measure; 10] = [
    Measure {
        key: "writes_per_second",
        name: "writes/s",
        unit: "1/s",
        better: Better::Higher,
        total: |service| Some(service.writes_per_second),
        interval: Some(|point, service| per_second(service.succeeded as f64, point)),
    },
    Measure {
        key: "elapsed_seconds",
        name: "elapsed",
        unit: "s",
        better: Better::Lower,
        total: |service| Some(service.elapsed_seconds),
        interval: None,
    },
    Measure {
        key: "request_units_per_second",
        name: "RU/s",
        unit: "RU/s",
        better: Better::Neither,
        total: |service| service.request_units.map(|units| units.request_units_per_second),
        interval: Some(|point, service| per_second(service.request_units, point)),
    },
    Measure {
        key: "request_units",
        name: "RU",
        unit: "RU",
        better: Better::Neither,
        total: |service| service.request_units.map(|units| units.request_units),
        interval: None,
    },
    Measure {
        key: "succeeded",
        name: "succeeded",
        unit: "",
        better: Better::Neither,
        total: |service| Some(service.counts.succeeded as f64),
        interval: None,
    },
    Measure {
        key: "failed",
        name: "failed",
        unit: "",
        better: Better::Lower,
        total: |service| Some(service.counts.failed as f64),
        interval: Some(|point, service| per_second(service.failed as f64, point)),
    },
    Measure {
        key: "not_sent",
        name: "not sent",
        unit: "",
        better: Better::Lower,
        total: |service| Some(service.counts.not_sent as f64),
        interval: None,
    },
    Measure {
        key: "throttled",
        name: "throttled attempts",
        unit: "",
        better: Better::Lower,
        total: |service| Some(service.counts.throttled as f64),
        interval: Some(|point, service| per_second(service.throttled as f64, point)),
    },
    Measure {
        key: "ambiguous",
        name: "ambiguous attempts",
        unit: "",
        better: Better::Lower,
        total: |service| Some(service.counts.ambiguous as f64),
        interval: None,
    },
    Measure {
        key: "resent",
        name: "resent",
        unit: "",
        better: Better::Lower,
        total: |service| Some(service.counts.resent as f64),
        interval: None,
    },
];

type Pick = fn(&Percentiles) -> f64;

/// What is compared of a distribution.
const PERCENTILES: [(&str, &str, Pick); 6] = [
    ("mean", "mean", |p| p.mean),
    ("p50", "p50", |p| p.p50),
    ("p90", "p90", |p| p.p90),
    ("p99", "p99", |p| p.p99),
    ("p999", "p99.9", |p| p.p999),
    ("max", "max", |p| p.max),
];

/// Every figure of two runs.
pub(super) fn all(a: &Summary, b: &Summary) -> Vec<Figure> {
    let whole = |figure: &str, name: &str, unit, better, a, b| {
        figure_of(figure.to_owned(), "Run".to_owned(), name.to_owned(), unit, better, (Some(a), Some(b)), None)
    };
    let mut figures = vec![
        whole("wall_seconds", "wall time", "s", Better::Lower, a.wall_seconds, b.wall_seconds),
        whole("requested", "requested", "", Better::Neither, a.requested as f64, b.requested as f64),
        whole("lateness_ms.p99", "lateness p99", "ms", Better::Lower, a.lateness_ms.p99, b.lateness_ms.p99),
    ];
    let services: BTreeSet<ServiceName> = a.services.keys().chain(b.services.keys()).copied().collect();
    for service in services {
        figures.extend(MEASURES.iter().filter_map(|measure| measured(measure, service, a, b)));
        for Distribution { key, name, of_summary, of_point } in DISTRIBUTIONS {
            for (percentile, said, pick) in PERCENTILES {
                let total = |summary: &Summary| {
                    let service = summary.services.get(&service).filter(|service| service.counts.succeeded > 0)?;
                    of_summary(service).as_ref().map(pick)
                };
                let totals = (total(a), total(b));
                if of_point.is_none() && totals == (None, None) {
                    continue;
                }
                let spread = of_point.map(|of_point| {
                    let intervals = |summary: &Summary| {
                        intervals(summary, service, |_, service| of_point(service).as_ref().map(pick))
                    };
                    Spread::of(&intervals(a), &intervals(b))
                });
                figures.push(figure_of(
                    format!("{}.{key}.{percentile}", service.key()),
                    service.to_string(),
                    format!("{name} {said}"),
                    "ms",
                    Better::Lower,
                    totals,
                    spread,
                ));
            }
        }
    }
    figures
}

/// Latencies that are compared.
struct Distribution {
    key: &'static str,
    name: &'static str,
    of_summary: fn(&ServiceSummary) -> Option<Percentiles>,
    /// Over time, where it is kept.
    of_point: Option<fn(&ServicePoint) -> Option<Percentiles>>,
}

const DISTRIBUTIONS: [Distribution; 3] = [
    Distribution {
        key: "server_time_ms",
        name: "server time",
        of_summary: |service| service.server_time_ms,
        of_point: None,
    },
    Distribution {
        key: "service_time_ms",
        name: "service time",
        of_summary: |service| Some(service.service_time_ms),
        of_point: Some(|point| point.service_time_ms),
    },
    Distribution {
        key: "response_time_ms",
        name: "response time",
        of_summary: |service| Some(service.response_time_ms),
        of_point: Some(|point| point.response_time_ms),
    },
];

/// A measure of both runs; `None` where neither has it.
fn measured(measure: &Measure, service: ServiceName, a: &Summary, b: &Summary) -> Option<Figure> {
    let total = |summary: &Summary| summary.services.get(&service).and_then(measure.total);
    let totals = (total(a), total(b));
    if totals == (None, None) {
        return None;
    }
    let spread = measure.interval.map(|of| Spread::of(&intervals(a, service, of), &intervals(b, service, of)));
    Some(figure_of(
        format!("{}.{}", service.key(), measure.key),
        service.to_string(),
        measure.name.to_owned(),
        measure.unit,
        measure.better,
        totals,
        spread,
    ))
}

fn figure_of(
    figure: String,
    subject: String,
    name: String,
    unit: &'static str,
    better: Better,
    (a, b): (Option<f64>, Option<f64>),
    spread: Option<Spread>,
) -> Figure {
    let difference = a.zip(b).map(|(a, b)| round(b - a));
    let relative = a.zip(difference).filter(|(a, _)| *a != 0.0).map(|(a, difference)| round(difference / a));
    // What only one of the runs has differs, and by no spread.
    let spread = spread.filter(|_| difference.is_some());
    let more_than_noise = spread.as_ref().and_then(Spread::is_more_than_noise);
    Figure { figure, subject, name, unit, a, b, difference, relative, better, spread, more_than_noise }
}

/// The figures of the intervals in which the service had work, without the first and the last of them, which it did not
/// fill.
fn intervals(summary: &Summary, service: ServiceName, of: impl Fn(&Point, &ServicePoint) -> Option<f64>) -> Vec<f64> {
    let active: Vec<(&Point, &ServicePoint)> = summary
        .series
        .points
        .iter()
        .filter_map(|point| Some((point, point.services.get(&service)?)))
        .filter(|(_, service)| service.succeeded + service.failed + service.throttled + service.pending > 0)
        .collect();
    let inner = active.get(1..active.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().filter_map(|(point, service)| of(point, service)).filter(|value| value.is_finite()).collect()
}

fn per_second(count: f64, point: &Point) -> Option<f64> {
    (point.seconds > 0.0).then(|| count / point.seconds)
}

/// To six decimals: what comes after them is the noise of binary fractions.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
