//! The course of a run: rates, pending and percentiles over time.

use std::borrow::Cow;

use maud::{Markup, html};

use super::chart::{Band, Chart, Key, Look, Mark, Table};
use super::path::{self, Step};
use super::scale::{self, Linear, Log, Tick};
use super::words::{figure, figure_tick, latency, latency_tick, moment, span};
use crate::service::ServiceName;
use crate::stats::{Percentiles, Point, ServicePoint, Summary, Target};

/// One service's figures over a stretch of time.
type Of<T> = fn(&Point, &ServicePoint) -> T;

/// One measure over time, for the services that have it.
struct Measure {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    /// What follows a figure: `writes/s`.
    unit: &'static str,
    of: Of<f64>,
}

const WRITES: Measure = Measure {
    id: "writes",
    title: "Writes per second",
    note: "Transactions stored in each interval.",
    unit: "writes/s",
    of: |point, service| per_second(service.succeeded as f64, point),
};
const REQUEST_UNITS: Measure = Measure {
    id: "request-units",
    title: "Request units per second",
    note: "RU charged in each interval.",
    unit: "RU/s",
    of: |point, service| per_second(service.request_units, point),
};
const PENDING: Measure = Measure {
    id: "pending",
    title: "Pending",
    note: "Requested and not yet settled at each interval's end: queued or in flight.",
    unit: "pending",
    of: |_, service| service.pending as f64,
};
const THROTTLED: Measure = Measure {
    id: "throttled",
    title: "Throttled attempts per second",
    note: "Answered 429 (Cosmos DB) or server-busy (Event Hubs); they are tried again.",
    unit: "throttled/s",
    of: |point, service| per_second(service.throttled as f64, point),
};
const FAILED: Measure = Measure {
    id: "failed",
    title: "Failed transactions per second",
    note: "Refused, or not confirmed in time.",
    unit: "failed/s",
    of: |point, service| per_second(service.failed as f64, point),
};

/// The charts of rates and of what is pending.
pub(super) fn rates(summary: &Summary) -> Markup {
    let course = Course::of_counts(summary);
    let both = course.services();
    let failed = summary.services.values().any(|service| service.counts.failed > 0);
    html! {
        div.charts {
            (course.measure(&WRITES, &both, None))
            @if both.contains(&ServiceName::CosmosDb) {
                (course.measure(&REQUEST_UNITS, &[ServiceName::CosmosDb], provisioned(summary)))
            }
            (course.measure(&PENDING, &both, None))
            (course.measure(&THROTTLED, &both, None))
            @if failed { (course.measure(&FAILED, &both, None)) }
        }
    }
}

/// The charts of percentiles over time: service times and response times of each service.
pub(super) fn latencies(summary: &Summary) -> Markup {
    let course = Course::of(summary);
    let charts: Vec<Chart> = course.services().into_iter().flat_map(|service| course.percentiles(service)).collect();
    html! {
        @if charts.is_empty() {
            p.note { "There are no percentiles over time: nothing was stored, or the summary adds up several processes, whose percentiles cannot be added." }
        } @else {
            div.charts { @for chart in &charts { (chart.draw()) } }
        }
    }
}

/// The RU/s provisioned, where that is known.
fn provisioned(summary: &Summary) -> Option<u32> {
    match summary.services.get(&ServiceName::CosmosDb)?.target.as_ref()? {
        Target::Container(container) => container.provisioned_request_units_per_second,
        Target::EventHubs(_) => None,
    }
}

fn per_second(count: f64, point: &Point) -> f64 {
    if point.seconds > 0.0 { count / point.seconds } else { 0.0 }
}

/// A run's points on an axis of time.
struct Course<'a> {
    points: Cow<'a, [Point]>,
    services: Vec<ServiceName>,
    axis: Linear,
    x: Vec<Tick>,
    end: f64,
}

impl<'a> Course<'a> {
    fn of(summary: &'a Summary) -> Self {
        let end = summary.series.points.last().map_or(summary.wall_seconds, |point| point.elapsed_seconds);
        let axis = scale::time(end, 5.0);
        let step = scale::time_step(end, 5.0);
        Self {
            points: Cow::Borrowed(&summary.series.points),
            services: summary.services.keys().copied().collect(),
            axis,
            x: axis.ticks(|seconds| moment(seconds, step)),
            end,
        }
    }

    /// The same for counts: the last interval, where it is a short one, is added to the one before. Little divided by
    /// little time is no rate.
    fn of_counts(summary: &'a Summary) -> Self {
        let mut course = Self::of(summary);
        if let [.., before, last] = &*course.points
            && last.seconds < summary.series.interval_seconds / 2.0
        {
            let merged = merge(before, last);
            let points = course.points.to_mut();
            points.truncate(points.len() - 2);
            points.push(merged);
        }
        course
    }

    fn services(&self) -> Vec<ServiceName> {
        self.services.clone()
    }

    /// A service's figures, one for each point.
    fn figures<T: Default>(&self, service: ServiceName, of: impl Fn(&Point, &ServicePoint) -> T) -> Vec<T> {
        let points = self.points.iter();
        points.map(|point| point.services.get(&service).map_or_else(T::default, |figures| of(point, figures))).collect()
    }

    /// Those figures along the axis of time, placed on another axis.
    fn steps(&self, values: &[Option<f64>], at: impl Fn(f64) -> f64) -> Vec<Step> {
        let points = self.points.iter().zip(values);
        points
            .map(|(point, value)| {
                let (start, end) = self.stretch(point);
                Step { start, end, value: value.map(&at) }
            })
            .collect()
    }

    fn stretch(&self, point: &Point) -> (f64, f64) {
        (self.axis.at(point.elapsed_seconds - point.seconds), self.axis.at(point.elapsed_seconds))
    }

    /// What is shown under the pointer: the words for each point, after its time.
    fn bands(&self, words: impl Fn(usize) -> String) -> Vec<Band> {
        let points = self.points.iter().enumerate();
        points
            .map(|(i, point)| {
                let (start, end) = self.stretch(point);
                Band { start, end, words: format!("{}: {}", time_of(point), words(i)) }
            })
            .collect()
    }

    fn table(&self, columns: impl IntoIterator<Item = String>, cells: impl Fn(usize) -> Vec<String>) -> Table {
        let points = self.points.iter().enumerate();
        Table {
            columns: ["until".to_owned()].into_iter().chain(columns).collect(),
            rows: points.map(|(i, point)| [time_of(point)].into_iter().chain(cells(i)).collect()).collect(),
        }
    }

    fn measure(&self, measure: &Measure, services: &[ServiceName], limit: Option<u32>) -> Markup {
        let figures: Vec<(ServiceName, Vec<f64>)> =
            services.iter().map(|service| (*service, self.figures(*service, measure.of))).collect();
        let most = figures.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
        let limit = limit.map(f64::from);
        let axis = Linear::to(most.max(limit.unwrap_or_default()), 4.0);
        let words = |i: usize| {
            let words: Vec<String> = figures
                .iter()
                .map(|(service, values)| format!("{service} {} {}", figure(values[i]), measure.unit))
                .collect();
            words.join("; ")
        };
        let marks = figures.iter().flat_map(|(service, values)| {
            let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            let steps = self.steps(&values, |value| axis.at(value));
            let area = Mark { service: *service, look: Look::Faint, path: path::below(&steps) };
            [area, Mark { service: *service, look: Look::Line, path: path::steps(&steps) }]
        });
        let alternative: Vec<String> = figures
            .iter()
            .map(|(service, values)| {
                let most = values.iter().copied().fold(0.0, f64::max);
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                format!("{service} between {} and {}", figure(least), figure(most))
            })
            .collect();
        Chart {
            id: measure.id.to_owned(),
            title: measure.title.to_owned(),
            note: measure.note.to_owned(),
            alternative: format!("{} over {}: {}.", measure.title, span(self.end), alternative.join(", ")),
            legend: services
                .iter()
                .map(|service| Key { service: *service, look: Look::Line, words: service.to_string() })
                .collect(),
            x: self.x.clone(),
            y: axis.ticks(figure_tick),
            marks: marks.collect(),
            limit: limit.map(|limit| (axis.at(limit), format!("{} RU/s provisioned", figure(limit)))),
            bands: self.bands(words),
            table: self.table(services.iter().map(|service| format!("{service}, {}", measure.unit)), |i| {
                figures.iter().map(|(_, values)| figure(values[i])).collect()
            }),
        }
        .draw()
    }

    /// Two charts on one axis: the service's service times and response times; none where there are none.
    fn percentiles(&self, service: ServiceName) -> Vec<Chart> {
        let kinds: [(&str, &str, &str, Of<Option<Percentiles>>); 2] = [
            (
                "service-time",
                "service time",
                "From the first attempt to the settlement, of what was stored in each interval.",
                |_, service| service.service_time_ms,
            ),
            (
                "response-time",
                "response time",
                "From the moment the transaction was meant to be sent, so queueing counts.",
                |_, service| service.response_time_ms,
            ),
        ];
        let all: Vec<Percentiles> = kinds.iter().flat_map(|kind| self.figures(service, kind.3)).flatten().collect();
        if all.is_empty() {
            return Vec::new();
        }
        let least = all.iter().map(|figures| figures.p50).fold(f64::INFINITY, f64::min);
        let most = all.iter().map(|figures| figures.p99).fold(0.0, f64::max);
        // A thousandth of a millisecond is what is measured at least.
        let axis = Log::over(least.max(0.001), most);
        kinds
            .into_iter()
            .map(|(id, name, note, of)| {
                self.fan(service, &format!("{}-{id}", service.key()), name, note, axis, &self.figures(service, of))
            })
            .collect()
    }

    fn fan(
        &self,
        service: ServiceName,
        id: &str,
        name: &str,
        note: &str,
        axis: Log,
        figures: &[Option<Percentiles>],
    ) -> Chart {
        let steps = |of: fn(&Percentiles) -> f64| {
            let values: Vec<Option<f64>> = figures.iter().map(|figures| figures.as_ref().map(of)).collect();
            self.steps(&values, |value| axis.at(value))
        };
        let (p50, p90, p99) = (steps(|f| f.p50), steps(|f| f.p90), steps(|f| f.p99));
        let mark = |look, path| Mark { service, look, path };
        let key = |look, words: &str| Key { service, look, words: words.to_owned() };
        let cells = |i: usize| match &figures[i] {
            Some(f) => [f.p50, f.p90, f.p99, f.p999, f.max].map(latency).to_vec(),
            None => vec!["-".to_owned(); 5],
        };
        let range = |of: fn(&Percentiles) -> f64| {
            let values = || figures.iter().flatten().map(of);
            format!("{} and {}", latency(values().fold(f64::INFINITY, f64::min)), latency(values().fold(0.0, f64::max)))
        };
        Chart {
            id: id.to_owned(),
            title: format!("{service}: {name}"),
            note: note.to_owned(),
            alternative: format!(
                "{service}, {name} over {}: half of the transactions between {}, 99 % between {}.",
                span(self.end),
                range(|f| f.p50),
                range(|f| f.p99)
            ),
            legend: vec![key(Look::Line, "p50"), key(Look::Strong, "up to p90"), key(Look::Faint, "up to p99")],
            x: self.x.clone(),
            y: axis.ticks(scale::GAP_UP, latency_tick),
            marks: vec![
                mark(Look::Faint, path::between(&p90, &p99)),
                mark(Look::Strong, path::between(&p50, &p90)),
                mark(Look::Thin, path::steps(&p99)),
                mark(Look::Line, path::steps(&p50)),
            ],
            limit: None,
            bands: self.bands(|i| match &figures[i] {
                Some(f) => format!(
                    "p50 {}, p90 {}, p99 {}, max {}",
                    latency(f.p50),
                    latency(f.p90),
                    latency(f.p99),
                    latency(f.max)
                ),
                None => "nothing was stored".to_owned(),
            }),
            table: self.table(["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned), cells),
        }
    }
}

/// Two neighbours as one, without their latencies: percentiles cannot be added.
fn merge(before: &Point, last: &Point) -> Point {
    let mut merged = last.clone();
    merged.seconds += before.seconds;
    merged.requested += before.requested;
    for (name, service) in &mut merged.services {
        if let Some(before) = before.services.get(name) {
            service.succeeded += before.succeeded;
            service.failed += before.failed;
            service.throttled += before.throttled;
            service.request_units += before.request_units;
        }
        service.service_time_ms = None;
        service.response_time_ms = None;
    }
    merged
}

/// When a point ended.
fn time_of(point: &Point) -> String {
    format!("{:.1} s", point.elapsed_seconds)
}
