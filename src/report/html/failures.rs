//! What went wrong: failed transactions by kind with examples, and rows and cells that could not be read.

use maud::{Markup, html};

use super::chart::colour;
use super::words::{grouped, share};
use crate::report::single_line;
use crate::service::{FailureKind, ServiceName};
use crate::stats::{ServiceSummary, Summary};

/// All troubles of the run.
pub(super) fn failures(summary: &Summary) -> Markup {
    let failed: Vec<_> = summary.services.iter().filter(|(_, service)| service.counts.failed > 0).collect();
    html! {
        @if failed.is_empty() {
            p { "No transaction failed." }
        }
        @for (name, service) in failed { (by_kind(*name, service)) }
        (data(summary))
    }
}

fn by_kind(name: ServiceName, service: &ServiceSummary) -> Markup {
    let mut kinds: Vec<(FailureKind, u64)> = service.failures.iter().map(|(kind, count)| (*kind, *count)).collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    html! {
        div.card.failed.(colour(name)) {
            h3 { (name) ": " (grouped(service.counts.failed)) " failed" }
            div.scroll.whole tabindex="0" {
                table.words {
                    thead { tr { th scope="col" { "kind" } th scope="col" { "count" } th scope="col" { "examples" } } }
                    tbody {
                        @for (kind, count) in kinds {
                            tr {
                                th scope="row" { code { (kind) } }
                                td { (grouped(count)) " (" (share(count as f64 / service.counts.requested.max(1) as f64)) ")" }
                                td { (examples(service, kind)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn examples(service: &ServiceSummary, kind: FailureKind) -> Markup {
    html! {
        @for example in service.failure_examples.iter().filter(|example| example.kind == kind) {
            div {
                "row " (grouped(example.row)) ": "
                @if let Some(status) = &example.status { code { (single_line(status)) } " " }
                (single_line(&example.message))
                @if example.ambiguous { "; it may have been stored" }
            }
        }
    }
}

fn data(summary: &Summary) -> Markup {
    let cells: Vec<String> =
        summary.unreadable_cells.iter().map(|(column, count)| format!("{column} {}", grouped(*count))).collect();
    html! {
        @if summary.rejected_rows > 0 {
            p { "Rows of the data that could not be read and were not sent: " (grouped(summary.rejected_rows)) "." }
        }
        @if !cells.is_empty() {
            p.lead { "Cells without a readable value, sent as 0, false or no date: " (cells.join(", ")) "." }
        }
    }
}
