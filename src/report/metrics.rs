//! A run's figures as Prometheus metrics: what `--metrics` serves.
//!
//! Nothing is counted here. At each scrape the figures come from the run's own statistics, histograms included, so that
//! metrics and summary agree to the last transaction.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use crate::description::RunDescription;
use crate::run::monitor::Moment;
use crate::service::ServiceName;
use crate::stats::{Latencies, ServiceSnapshot};

/// The upper bounds of the histograms' buckets, in milliseconds: from what a service on the same machine takes to what
/// a throttled one makes transactions wait. Each is about twice the one before, as 1, 2.5, 5, 10 are.
const BOUNDS_MS: [f64; 18] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 25_000.0, 50_000.0,
    100_000.0, 250_000.0,
];

/// What a metric of the run as a whole is told apart by.
const NO_LABELS: [(&str, &str); 0] = [];

/// How the metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4: what everything reads.
    Text,
    /// OpenMetrics 1.0, for those that ask for it.
    OpenMetrics,
}

impl Exposition {
    /// The best one for a scraper that accepts this (the request's `Accept`).
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The answer's `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A run at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The run.
    pub description: Arc<RunDescription>,
    /// Its figures.
    pub moment: Moment,
    /// Tasks of the process that have not ended, those of the clients and of the scrape itself among them.
    pub alive_tasks: usize,
}

impl Scrape {
    /// The metrics as text.
    ///
    /// # Errors
    /// None that is known: writing to a string does not fail.
    pub fn expose(self, exposition: Exposition) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut body = String::new();
        match exposition {
            Exposition::Text => prometheus_text::encode(&mut body, &registry)?,
            Exposition::OpenMetrics => text::encode(&mut body, &registry)?,
        }
        Ok(body)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.encode_run(&mut families)?;
        self.encode_transactions(&mut families)?;
        self.encode_attempts(&mut families)?;
        self.encode_latencies(&mut families)?;
        self.encode_request_units(&mut families)
    }
}

impl Scrape {
    fn encode_run(&self, families: &mut Families<'_>) -> fmt::Result {
        families.info("txgen_build", "The txgen that runs", &[("version", env!("CARGO_PKG_VERSION"))])?;
        families.info(
            "txgen_run",
            "The run: its id begins the id of every transaction",
            &[("run_id", &*self.description.run_id.to_string())],
        )?;
        let elapsed = self.moment.snapshot.elapsed.as_secs_f64();
        families.gauge(
            "txgen_run_elapsed",
            "Time since the run began",
            Some(&Unit::Seconds),
            [(NO_LABELS, elapsed)],
        )?;
        if let Some(expected) = self.moment.expected.count() {
            let help = "Transactions that the run will request; an estimate while its data is being read";
            families.gauge("txgen_expected_transactions", help, None, [(NO_LABELS, expected)])?;
        }
        let requested = [(NO_LABELS, self.moment.snapshot.requested)];
        families.counter("txgen_requested_transactions", "Transactions handed to the services", requested)?;
        families.counter(
            "txgen_rejected_rows",
            "Rows that could not be read",
            [(NO_LABELS, self.moment.rejected_rows)],
        )?;
        let tasks = u64::try_from(self.alive_tasks).unwrap_or(u64::MAX);
        families.gauge("txgen_alive_tasks", "Tasks of the process that have not ended", None, [(NO_LABELS, tasks)])
    }

    fn encode_transactions(&self, families: &mut Families<'_>) -> fmt::Result {
        let outcomes = self.services().flat_map(|(service, name)| {
            let counts = &service.counts;
            let of = [("succeeded", counts.succeeded), ("failed", counts.failed), ("not_sent", counts.not_sent)];
            of.map(|(outcome, count)| ([("service", name), ("outcome", outcome)], count))
        });
        families.counter("txgen_transactions", "Transactions whose end is known", outcomes)?;
        let kinds = self.services().flat_map(|(service, name)| {
            service.failures.iter().map(move |(kind, count)| ([("service", name), ("kind", kind.key())], *count))
        });
        families.counter("txgen_failures", "Failed transactions by kind", kinds)?;
        let pending = self.services().flat_map(|(service, name)| {
            let of = [("queued", service.counts.queued), ("in_flight", service.counts.in_flight)];
            of.map(|(state, count)| ([("service", name), ("state", state)], count))
        });
        families.gauge("txgen_pending_transactions", "Transactions requested but not settled", None, pending)
    }

    fn encode_attempts(&self, families: &mut Families<'_>) -> fmt::Result {
        let mut attempts = |name, help, of: fn(&ServiceSnapshot) -> u64| {
            families.counter(name, help, self.services().map(|(service, name)| ([("service", name)], of(service))))
        };
        let throttled = "Attempts answered 429 or server-busy; they are repeated";
        attempts("txgen_throttled_attempts", throttled, |service| service.counts.throttled)?;
        let ambiguous = "Attempts whose answer never came";
        attempts("txgen_ambiguous_attempts", ambiguous, |service| service.counts.ambiguous)?;
        let resent = "Requests sent again for another reason than throttling";
        attempts("txgen_resent_requests", resent, |service| service.counts.resent)
    }

    fn encode_latencies(&self, families: &mut Families<'_>) -> fmt::Result {
        let mut latencies = |name, help, of: fn(&ServiceSnapshot) -> Option<&Latencies>| {
            let told = self.services().filter_map(|(service, name)| Some(([("service", name)], of(service)?)));
            families.histogram(name, help, told)
        };
        let service_time = "From the first attempt to the settlement, of transactions stored";
        latencies("txgen_service_time", service_time, |service| Some(&service.service_time))?;
        let response_time = "From the moment meant to the settlement, of transactions stored; queueing counts";
        latencies("txgen_response_time", response_time, |service| Some(&service.response_time))?;
        let server_time = "How long the service worked on transactions stored, by its own account";
        latencies("txgen_server_time", server_time, |service| service.server_time.as_ref())
    }

    fn encode_request_units(&self, families: &mut Families<'_>) -> fmt::Result {
        let cosmos_db = || self.services().filter(|(service, _)| service.service == ServiceName::CosmosDb);
        let charged = cosmos_db().map(|(service, name)| ([("service", name)], service.request_units));
        families.counter("txgen_request_units", "Request units (RU) charged for transactions stored", charged)?;
        let provisioned =
            cosmos_db().filter_map(|(_, name)| Some(([("service", name)], f64::from(self.description.provisioned()?))));
        let help = "Request units per second (RU/s) that are provisioned; the maximum with autoscale";
        families.gauge("txgen_provisioned_request_units_per_second", help, None, provisioned)
    }

    fn services(&self) -> impl Iterator<Item = (&ServiceSnapshot, &'static str)> {
        self.moment.snapshot.services.iter().map(|service| (service, service.service.key()))
    }
}

/// Writes one family after the other; one without samples is left out.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(name, help, None, MetricType::Counter, samples, |mut encoder, value| {
            encoder.encode_counter(&value, None::<&Exemplar<NoLabelSet, f64>>)
        })
    }

    fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge, samples, |mut encoder, value| encoder.encode_gauge(&value))
    }

    /// Histograms in seconds.
    fn histogram<'l, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, &'l Latencies)>,
    ) -> fmt::Result {
        self.family(name, help, Some(&Unit::Seconds), MetricType::Histogram, samples, |mut encoder, latencies| {
            let bounds = BOUNDS_MS.map(|ms| Duration::from_secs_f64(ms / 1000.0));
            let counted = latencies.buckets(&bounds);
            let longer = latencies.count() - counted.iter().sum::<u64>();
            let mut buckets: Vec<(f64, u64)> = BOUNDS_MS.map(|ms| ms / 1000.0).into_iter().zip(counted).collect();
            // OpenMetrics gets no other bucket for what is longer.
            buckets.push((f64::INFINITY, longer));
            let none = None::<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>>;
            encoder.encode_histogram(latencies.sum().as_secs_f64(), latencies.count(), &buckets, none)
        })
    }

    fn family<L: EncodeLabelSet, V>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric_type: MetricType,
        samples: impl IntoIterator<Item = (L, V)>,
        encode: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit, metric_type)?;
        samples.try_for_each(|(labels, value)| encode(family.encode_family(&labels)?, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::report::live::sample;
    use crate::run::Expected;
    use crate::service::FailureKind;

    fn scrape() -> Scrape {
        let mut moment = sample::moment();
        moment.snapshot.services[1].failures.insert(FailureKind::TooLarge, 1);
        Scrape { description: sample::description(), moment, alive_tasks: 150 }
    }

    fn exposed(exposition: Exposition) -> String {
        scrape().expose(exposition).unwrap()
    }

    /// The names of all series, such as `txgen_service_time_seconds_bucket`.
    fn names(text: &str) -> BTreeSet<&str> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.split(['{', ' ']).next()).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn every_metric_has_help_type_and_a_conventional_name() {
        insta::assert_snapshot!(exposed(Exposition::Text));
    }

    #[test]
    fn openmetrics_differs_in_form_alone() {
        let (text, open_metrics) = (exposed(Exposition::Text), exposed(Exposition::OpenMetrics));
        assert!(open_metrics.ends_with("# EOF\n"));
        assert!(open_metrics.contains("# TYPE txgen_transactions counter\n"), "{open_metrics}");
        assert!(open_metrics.contains("# UNIT txgen_service_time_seconds seconds\n"), "{open_metrics}");
        assert_eq!(names(&open_metrics), names(&text));
        for text in [&text, &open_metrics] {
            let infinite = text.lines().filter(|line| line.contains("le=\"+Inf\"")).count();
            assert_eq!(infinite, 4, "each histogram has one bucket for all: {text}");
        }
    }

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Exposition::accepted(Some(prometheus)), Exposition::OpenMetrics);
        assert_eq!(Exposition::accepted(Some("text/html,*/*")), Exposition::Text);
        assert_eq!(Exposition::accepted(None), Exposition::Text);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut scrape = scrape();
        scrape.moment.expected = Expected::Unknown;
        scrape.description = Arc::new(RunDescription { cosmos_db: None, ..crate::description::sample() });
        scrape.moment.snapshot.services.truncate(1);
        let text = scrape.expose(Exposition::Text).unwrap();
        for name in ["txgen_expected", "txgen_provisioned", "txgen_request_units", "txgen_failures"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }

    /// Names of txgen's metrics in a text.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("txgen_")).collect()
    }

    #[test]
    fn the_dashboard_asks_for_nothing_that_is_not_served() {
        let dashboard: Value = serde_json::from_str(include_str!("../../deploy/grafana/txgen.json")).unwrap();
        let text = exposed(Exposition::Text);
        let served = names(&text);
        let panels = dashboard["panels"].as_array().unwrap();
        let mut asked_for = BTreeSet::new();
        for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
            let expression = target["expr"].as_str().unwrap();
            let metrics = named(expression);
            assert!(!metrics.is_empty(), "{expression}");
            asked_for.extend(metrics);
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            asked_for.extend(named(variable["definition"].as_str().unwrap_or_default()));
        }
        assert!(asked_for.is_subset(&served), "{:?}", asked_for.difference(&served));
    }

    #[test]
    fn the_manual_describes_every_metric() {
        let text = exposed(Exposition::Text);
        let families: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let described = named(include_str!("../../docs/reference/metrics.md"));
        assert!(families.is_subset(&described), "{:?}", families.difference(&described));
    }
}
