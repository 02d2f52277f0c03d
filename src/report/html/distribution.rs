//! Latencies as distributions: how often each occurs, and which share is at most how long; service time against
//! response time.

use maud::{Markup, html};

use super::chart::{Band, Chart, Key, Look, Mark, Table};
use super::path::{self, Step};
use super::scale::{GAP_ALONG, GAP_UP, Linear, Log, Tick};
use super::words::{grouped, latency, latency_tick, share};
use crate::service::ServiceName;
use crate::stats::{Latencies, ServiceSummary, Summary};

/// How finely a decade of latencies is divided.
const BINS_PER_DECADE: f64 = 16.0;
/// How finely the percentiles are drawn, for each factor of ten in what is left above them.
const POINTS_PER_NINE: u32 = 24;
/// The shares that are ticks of the percentile axis, and rows of its table.
const SHARES: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];

/// The charts of both services' distributions.
pub(super) fn distributions(summary: &Summary) -> Markup {
    let stored: Vec<_> =
        summary.services.iter().filter(|(_, service)| service.histograms.service_time.count() > 0).collect();
    html! {
        @if stored.is_empty() {
            p.note { "Nothing was stored, so there are no latencies." }
        } @else {
            div.charts {
                @for (name, service) in &stored { (frequencies(**name, service).draw()) }
                @for (name, service) in &stored { (by_percentile(**name, service).draw()) }
            }
        }
    }
}

/// The bounds of both distributions, in ms.
fn axis(service: &ServiceSummary) -> Log {
    let both = [&service.histograms.service_time, &service.histograms.response_time];
    let least = both.iter().map(|latencies| latencies.histogram().min()).min().unwrap_or(1);
    let most = both.iter().map(|latencies| latencies.histogram().max()).max().unwrap_or(1);
    // A microsecond is what is measured at least.
    Log::over((least as f64 / 1000.0).max(0.001), most as f64 / 1000.0)
}

/// How often latencies occur, in bins of equal width on the logarithmic axis.
fn frequencies(name: ServiceName, service: &ServiceSummary) -> Chart {
    let axis = axis(service);
    let service_time = binned(&service.histograms.service_time, axis);
    let response_time = binned(&service.histograms.response_time, axis);
    let most = service_time.iter().chain(&response_time).copied().fold(0.0, f64::max);
    let y = Linear::to(most, 4.0);
    let count = service_time.len();
    let edge = |bin: usize| bin as f64 / count as f64;
    let bound = |bin: usize| axis.start() * 10_f64.powf(edge(bin) * axis.decades());
    let steps = |shares: &[f64]| -> Vec<Step> {
        shares
            .iter()
            .enumerate()
            .map(|(i, share)| Step { start: edge(i), end: edge(i + 1), value: Some(y.at(*share)) })
            .collect()
    };
    let filled: Vec<usize> = (0..count).filter(|i| service_time[*i] > 0.0 || response_time[*i] > 0.0).collect();
    let between = |i: usize| format!("{} to {}", latency(bound(i)), latency(bound(i + 1)));
    Chart {
        id: format!("{}-frequencies", name.key()),
        title: format!("{name}: how often"),
        note: "Share of the transactions stored, by latency on a logarithmic axis.".to_owned(),
        alternative: format!(
            "{name}: service times from {} to {}, response times from {} to {}.",
            latency(least(&service.histograms.service_time)),
            latency(service.service_time_ms.max),
            latency(least(&service.histograms.response_time)),
            latency(service.response_time_ms.max),
        ),
        legend: legend(name, Look::Strong),
        x: axis.ticks(GAP_ALONG, latency_tick),
        y: y.ticks(|value| format!("{} %", (value * 1e6).round() / 1e4)),
        marks: vec![
            Mark { service: name, look: Look::Strong, path: path::below(&steps(&service_time)) },
            Mark { service: name, look: Look::Dashed, path: path::steps(&steps(&response_time)) },
        ],
        limit: None,
        bands: filled
            .iter()
            .map(|&i| Band {
                start: edge(i),
                end: edge(i + 1),
                words: format!(
                    "{}: service time {}, response time {}",
                    between(i),
                    share(service_time[i]),
                    share(response_time[i])
                ),
            })
            .collect(),
        table: Table {
            columns: ["latency", "service time", "response time"].map(str::to_owned).to_vec(),
            rows: filled.iter().map(|&i| vec![between(i), share(service_time[i]), share(response_time[i])]).collect(),
        },
    }
}

/// Which share of the transactions took at most how long; each tick leaves a tenth of the one before.
fn by_percentile(name: ServiceName, service: &ServiceSummary) -> Chart {
    let axis = axis(service);
    let [service_time, response_time] = [&service.histograms.service_time, &service.histograms.response_time];
    let count = service_time.count();
    // The share that all but one transaction are is the last one that says anything.
    let end = (count as f64).log10().clamp(1.0, 5.0);
    let at = |share: f64| ((-(1.0 - share).log10()) / end).min(1.0);
    let points: Vec<f64> = (0..=POINTS_PER_NINE * 5)
        .map(|i| f64::from(i) / f64::from(POINTS_PER_NINE))
        .filter(|nines| *nines <= end)
        .map(|nines| 1.0 - 10_f64.powf(-nines))
        .collect();
    let curve = |latencies: &Latencies, max: f64| {
        let points = points.iter().map(|&share| (at(share), axis.at(quantile(latencies, share).min(max))));
        path::line(points.chain([(1.0, axis.at(max))]))
    };
    let ticks = SHARES
        .iter()
        .filter(|share| at(**share) < 0.97 || end >= 4.9)
        .map(|share| Tick { at: at(*share), label: number(*share) });
    let cells = |share: f64| {
        let (service_time, response_time) = (quantile(service_time, share), quantile(response_time, share));
        [service_time.min(service.service_time_ms.max), response_time.min(service.response_time_ms.max)].map(latency)
    };
    let bands = points.windows(2).map(|pair| {
        let [service_time, response_time] = cells(pair[1]);
        Band {
            start: at(pair[0]),
            end: at(pair[1]),
            words: format!(
                "{}: service time {service_time}, response time {response_time} at most",
                percentile(pair[1])
            ),
        }
    });
    let rows = SHARES.iter().filter(|share| at(**share) < 1.0).map(|&share| {
        let [service_time, response_time] = cells(share);
        vec![percentile(share), service_time, response_time]
    });
    let longest =
        vec!["longest".to_owned(), latency(service.service_time_ms.max), latency(service.response_time_ms.max)];
    Chart {
        id: format!("{}-percentiles", name.key()),
        title: format!("{name}: by percentile"),
        note: format!("Which percentage of {} transactions took at most how long.", grouped(count)),
        alternative: format!(
            "{name}: half of the service times are at most {}, 99 % at most {}; half of the response times at most {}, 99 % at most {}.",
            latency(service.service_time_ms.p50),
            latency(service.service_time_ms.p99),
            latency(service.response_time_ms.p50),
            latency(service.response_time_ms.p99),
        ),
        legend: legend(name, Look::Line),
        x: ticks.collect(),
        y: axis.ticks(GAP_UP, latency_tick),
        marks: vec![
            Mark { service: name, look: Look::Line, path: curve(service_time, service.service_time_ms.max) },
            Mark { service: name, look: Look::Dashed, path: curve(response_time, service.response_time_ms.max) },
        ],
        limit: None,
        bands: bands.collect(),
        table: Table {
            columns: ["percentile", "service time", "response time"].map(str::to_owned).to_vec(),
            rows: rows.chain([longest]).collect(),
        },
    }
}

fn legend(service: ServiceName, service_time: Look) -> Vec<Key> {
    vec![
        Key { service, look: service_time, words: "service time".to_owned() },
        Key { service, look: Look::Dashed, words: "response time".to_owned() },
    ]
}

/// The latency that this share is at most, ms.
fn quantile(latencies: &Latencies, share: f64) -> f64 {
    latencies.histogram().value_at_quantile(share) as f64 / 1000.0
}

/// The shortest, ms.
fn least(latencies: &Latencies) -> f64 {
    latencies.histogram().min() as f64 / 1000.0
}

/// `50 %`, `99.9 %`.
fn percentile(share: f64) -> String {
    format!("{} %", number(share))
}

/// `50`, `99.9`: a share in percent.
fn number(share: f64) -> String {
    ((share * 1e7).round() / 1e5).to_string()
}

/// The share of the latencies in each bin of the axis.
fn binned(latencies: &Latencies, axis: Log) -> Vec<f64> {
    // At most nine decades: from a microsecond to an hour.
    let count = (axis.decades() * BINS_PER_DECADE).round().max(1.0) as usize;
    let mut bins = vec![0.0; count];
    for value in latencies.histogram().iter_recorded() {
        let at = axis.at(value.value_iterated_to() as f64 / 1000.0);
        let bin = ((at * count as f64) as usize).min(count - 1);
        bins[bin] += value.count_at_value() as f64;
    }
    let all = latencies.count().max(1) as f64;
    bins.iter_mut().for_each(|bin| *bin /= all);
    bins
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_latency_is_in_one_bin() {
        let mut latencies = Latencies::default();
        for micros in [1, 40, 999, 1000, 1001, 75_000, 3_600_000_000] {
            latencies.record(Duration::from_micros(micros));
        }
        let bins = binned(&latencies, Log::over(0.001, 3_600_000.0));
        assert!((bins.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(bins.iter().filter(|share| **share > 0.0).count(), 5, "999 µs to 1,001 µs are neighbours: {bins:?}");
    }

    #[test]
    fn percentiles_are_named_without_the_noise_of_binary_fractions() {
        assert_eq!([0.5, 0.99, 0.99999].map(percentile), ["50 %", "99 %", "99.999 %"]);
    }
}
