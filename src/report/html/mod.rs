//! A run as one page of HTML: nothing is loaded, nothing is executed, everything is drawn as SVG.
//!
//! Pure: figures in, a string out. Whatever comes from outside (keys, settings, messages of services) is escaped by the
//! templates, and a policy in the page forbids the browser to load or run anything.

mod chart;
mod compare;
mod course;
mod distribution;
mod facts;
mod failures;
mod headline;
mod keys;
mod path;
mod scale;
mod thresholds;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::compare::Comparison;
use crate::stats::Summary;

/// The look of every page.
const STYLE: &str = include_str!("style.css");

/// The page of one run.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let title = format!("txgen run {}", summary.run_id);
    let body = html! {
        header {
            h1 { (title) }
            p.lead {
                (words::grouped(summary.requested)) " transactions in " (words::span(summary.wall_seconds)) ", started "
                (words::date(summary.started_at))
                @if let Some(data) = &summary.data { ", from " (data.file) }
            }
            (headline::verdict(summary))
            (thresholds::badge(&summary.thresholds))
        }
        (thresholds::section(&summary.thresholds))
        section id="comparison" {
            h2 { "Side by side" }
            (headline::comparison(summary))
        }
        section id="course" {
            h2 { "Over time" }
            (course::rates(summary))
        }
        section id="latency" {
            h2 { "Latency over time" }
            (course::latencies(summary))
            h2 { "Service time against response time" }
            p.lead { "Service time is what the service took. Response time began when the transaction was meant to be sent: what lies between them is the queue." }
            (distribution::distributions(summary))
        }
        section id="keys-and-partitions" {
            h2 { "Partition keys" }
            (keys::keys(summary))
        }
        section id="failures" {
            h2 { "Failures" }
            (failures::failures(summary))
        }
        section id="settings" {
            h2 { "What was run" }
            (facts::facts(summary))
            h2 { "Settings" }
            (facts::settings(summary))
        }
    };
    document(&title, &body)
}

/// The page of two runs.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    document("txgen: two runs compared", &compare::body(comparison))
}

/// A whole page around `body`.
fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("txgen ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                // Browsers ask for an icon otherwise.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (body)
                    (glossary())
                }
            }
        }
    }
    .into_string()
}

/// What the words mean.
fn glossary() -> Markup {
    const WORDS: [(&str, &str); 7] = [
        ("requested", "handed to the services; requested = succeeded + failed + pending + not sent, for each of them"),
        ("pending", "requested and not yet settled: queued or in flight"),
        (
            "throttled",
            "attempts answered 429 (Cosmos DB) or server-busy (Event Hubs); they are tried again, and are no failures",
        ),
        (
            "ambiguous",
            "attempts whose answer was lost: they may have been stored, and are sent again under the same id",
        ),
        ("service time", "from the first attempt to the settlement, throttled waits included"),
        (
            "response time",
            "from the moment the transaction was meant to be sent to the settlement, so that queueing counts",
        ),
        ("p99", "99 % were at most this long"),
    ];
    html! {
        footer {
            strong { "Words" }
            dl { @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } } }
            p { "Made by txgen " (env!("CARGO_PKG_VERSION")) ". This page loads nothing and runs no script. Point at a chart to see its figures." }
        }
    }
}
