//! What one wants to know first: did it work, who was faster and by how much, and all totals side by side.

use maud::{Markup, html};

use super::chart::colour;
use super::words::{figure, grouped, latency, share, span, times};
use crate::service::ServiceName;
use crate::stats::{Percentiles, RequestUnits, ServiceSummary, StopReason, Summary, Target};
use crate::text::counted;

/// The verdict, in words and as a class of the page.
pub(super) fn verdict(summary: &Summary) -> Markup {
    let end = ending(summary.stop_reason);
    let (class, words) = if summary.requested == 0 {
        ("caution", "No transaction was requested.".to_owned())
    } else if summary.all_succeeded() {
        ("good", "Every transaction requested was stored.".to_owned())
    } else {
        ("bad", format!("Not every transaction requested was stored: {}.", missing(summary)))
    };
    html! { p.badge.(class) { (end) ". " (words) } }
}

/// Why the run ended.
pub(super) fn ending(reason: StopReason) -> &'static str {
    match reason {
        StopReason::DataEnded => "The data is at its end",
        StopReason::LimitReached => "The limit is reached",
        StopReason::TimeUp => "Time is up",
        StopReason::Interrupted => "Interrupted",
        StopReason::TooManyFailures => "Stopped early, since too many transactions failed",
        StopReason::OutputClosed => "Stopped, since the output was closed",
        StopReason::DataFailed => "The data could not be read to its end",
    }
}

fn missing(summary: &Summary) -> String {
    let services = summary.services.iter().filter(|(_, service)| service.counts.succeeded < service.counts.requested);
    let words: Vec<String> = services
        .map(|(name, service)| {
            let counts = &service.counts;
            format!("{name} has {} of {}", grouped(counts.succeeded), grouped(counts.requested))
        })
        .collect();
    words.join(", ")
}

/// The services side by side.
pub(super) fn comparison(summary: &Summary) -> Markup {
    let faster = faster(summary);
    html! {
        @for sentence in sentences(summary) { p { (sentence) } }
        div.cards {
            @for (name, service) in &summary.services {
                (card(*name, service, faster.map(|(faster, _)| faster) == Some(*name)))
            }
        }
        div.charts { (counts(summary)) (latencies(summary)) }
    }
}

/// Who took less time for each transaction that it settled, and how many times as long the other took. `None` unless
/// both have settled something.
fn faster(summary: &Summary) -> Option<(ServiceName, f64)> {
    let time = |service: &ServiceSummary| {
        let settled = service.counts.succeeded + service.counts.failed;
        (settled > 0 && service.elapsed_seconds > 0.0).then(|| service.elapsed_seconds / settled as f64)
    };
    let event_hubs = time(summary.services.get(&ServiceName::EventHubs)?)?;
    let cosmos_db = time(summary.services.get(&ServiceName::CosmosDb)?)?;
    Some(if event_hubs <= cosmos_db {
        (ServiceName::EventHubs, cosmos_db / event_hubs)
    } else {
        (ServiceName::CosmosDb, event_hubs / cosmos_db)
    })
}

/// What the figures say, in a few sentences.
fn sentences(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some((faster, factor)) = faster(summary) {
        let slower = match faster {
            ServiceName::EventHubs => ServiceName::CosmosDb,
            ServiceName::CosmosDb => ServiceName::EventHubs,
        };
        let rate = |name| summary.services.get(&name).map_or(0.0, |service: &ServiceSummary| service.writes_per_second);
        let rates = format!("{} against {} writes/s", figure(rate(faster)), figure(rate(slower)));
        sentences.push(if factor < 1.05 {
            format!("Both services were about as fast: {rates}.")
        } else {
            format!("{faster} was {} as fast as {slower}: {rates}.", times(factor))
        });
    }
    for (name, service) in &summary.services {
        sentences.extend(throughput(service));
        if service.counts.throttled > 0 {
            let attempts = counted_grouped(service.counts.throttled, "attempt");
            sentences.push(format!("{name} throttled {attempts}; they were tried again."));
        }
        if service.counts.ambiguous > 0 {
            let attempts = counted_grouped(service.counts.ambiguous, "attempt");
            sentences.push(format!(
                "The answer to {attempts} at {name} was lost: they may have been stored, and were sent again."
            ));
        }
    }
    sentences
}

/// How much of what is provisioned was used.
fn throughput(service: &ServiceSummary) -> Option<String> {
    let used = service.request_units?.request_units_per_second;
    let Some(Target::Container(container)) = &service.target else { return None };
    let provisioned = container.provisioned_request_units_per_second.filter(|provisioned| *provisioned > 0)?;
    Some(format!(
        "Cosmos DB spent {} of the {} RU/s provisioned ({}).",
        figure(used),
        grouped(u64::from(provisioned)),
        share(used / f64::from(provisioned))
    ))
}

fn counted_grouped(count: u64, noun: &str) -> String {
    if count == 1 { counted(1, noun) } else { format!("{} {noun}s", grouped(count)) }
}

fn card(name: ServiceName, service: &ServiceSummary, faster: bool) -> Markup {
    let stored = service.counts.succeeded > 0;
    let time = |of: f64| if stored { latency(of) } else { "-".to_owned() };
    let mut figures = vec![
        ("stored", grouped(service.counts.succeeded)),
        ("failed", grouped(service.counts.failed)),
        ("elapsed", span(service.elapsed_seconds)),
        ("service time p50", time(service.service_time_ms.p50)),
        ("service time p99", time(service.service_time_ms.p99)),
        ("response time p99", time(service.response_time_ms.p99)),
    ];
    if let Some(server_time) = &service.server_time_ms {
        figures.push(("server time p50", time(server_time.p50)));
    }
    if let Some(units) = &service.request_units {
        figures.push(("RU/s", figure(units.request_units_per_second)));
    }
    html! {
        article.card.(colour(name)) {
            h3 { (name) @if faster { span.tag.good { "faster" } } }
            p.big { (figure(service.writes_per_second)) " " small { "writes/s" } }
            dl { @for (what, figure) in &figures { div { dt { (what) } dd { (figure) } } } }
        }
    }
}

/// What a row of totals shows of a service.
type Cell<'a> = Box<dyn Fn(&ServiceSummary) -> String + 'a>;

/// Where the transactions ended, and how fast.
fn counts(summary: &Summary) -> Markup {
    let count = |of: fn(&ServiceSummary) -> u64| -> Cell<'_> { Box::new(move |service| grouped(of(service))) };
    let units = |of: fn(&RequestUnits) -> f64| -> Cell<'_> {
        Box::new(move |service| {
            service.request_units.as_ref().map_or_else(|| "-".to_owned(), |units| figure(of(units)))
        })
    };
    let mut rows: Vec<(&str, Cell<'_>)> = vec![
        ("requested", count(|service| service.counts.requested)),
        ("succeeded", count(|service| service.counts.succeeded)),
        ("failed", count(|service| service.counts.failed)),
        ("not sent", count(|service| service.counts.not_sent)),
        ("throttled attempts", count(|service| service.counts.throttled)),
        ("ambiguous attempts", count(|service| service.counts.ambiguous)),
        ("resent", count(|service| service.counts.resent)),
        ("elapsed", Box::new(|service| span(service.elapsed_seconds))),
        ("writes/s", Box::new(|service| figure(service.writes_per_second))),
    ];
    if summary.services.contains_key(&ServiceName::CosmosDb) {
        rows.push(("RU", units(|units| units.request_units)));
        rows.push(("RU/s", units(|units| units.request_units_per_second)));
    }
    totals(summary, "Totals", &rows)
}

/// The percentiles of all times.
fn latencies(summary: &Summary) -> Markup {
    type Pick = fn(&Percentiles) -> f64;
    let picks: [(&str, Pick); 6] = [
        ("mean", |p| p.mean),
        ("p50", |p| p.p50),
        ("p90", |p| p.p90),
        ("p99", |p| p.p99),
        ("p99.9", |p| p.p999),
        ("max", |p| p.max),
    ];
    type Distribution = fn(&ServiceSummary) -> Option<&Percentiles>;
    let mut distributions: Vec<(&str, Distribution)> = vec![
        ("service time", |service| Some(&service.service_time_ms)),
        ("response time", |service| Some(&service.response_time_ms)),
    ];
    if summary.services.values().any(|service| service.server_time_ms.is_some()) {
        distributions.insert(0, ("server time", |service| service.server_time_ms.as_ref()));
    }
    let names: Vec<String> = distributions
        .iter()
        .flat_map(|(name, _)| picks.iter().map(move |(pick, _)| format!("{name} {pick}")))
        .collect();
    let cells = distributions.iter().flat_map(|(_, distribution)| {
        picks.iter().map(move |(_, pick)| -> Cell<'_> {
            Box::new(move |service| {
                let figures = distribution(service).filter(|_| service.counts.succeeded > 0);
                figures.map_or_else(|| "-".to_owned(), |figures| latency(pick(figures)))
            })
        })
    });
    let rows: Vec<(&str, Cell<'_>)> = names.iter().map(String::as_str).zip(cells).collect();
    totals(summary, "Latency", &rows)
}

fn totals(summary: &Summary, title: &str, rows: &[(&str, Cell<'_>)]) -> Markup {
    html! {
        div.panel.totals {
            div.scroll.whole tabindex="0" {
                table {
                    thead { tr { th scope="col" { (title) } @for name in summary.services.keys() { th scope="col" { (name) } } } }
                    tbody {
                        @for (name, cell) in rows {
                            tr { th scope="row" { (name) } @for service in summary.services.values() { td { (cell(service)) } } }
                        }
                    }
                }
            }
        }
    }
}
