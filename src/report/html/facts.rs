//! What was run, with what: enough to run it again.

use maud::{Markup, html};

use super::chart::Table;
use super::headline::ending;
use super::words::{date, figure, grouped, latency, span};
use crate::stats::{Summary, Target};

/// The run, the data, the services.
pub(super) fn facts(summary: &Summary) -> Markup {
    let mut facts: Vec<(&str, String)> = vec![
        ("run", summary.run_id.to_string()),
        ("started", date(summary.started_at)),
        ("took", span(summary.wall_seconds)),
        ("ended", ending(summary.stop_reason).to_owned()),
    ];
    if let Some(shard) = &summary.shard {
        facts.push(("shard", format!("{} of {}", shard.index(), shard.count())));
    }
    if let (Some(first), Some(last)) = (summary.first_row, summary.last_row) {
        facts.push(("rows", format!("{} to {}", grouped(first), grouped(last))));
    }
    facts.push((
        "pace",
        match summary.rate {
            Some(rate) => format!(
                "{} per second; p99 {} late, {} at most",
                figure(rate),
                latency(summary.lateness_ms.p99),
                latency(summary.lateness_ms.max)
            ),
            None if summary.services.len() > 1 => "as fast as the faster service takes them".to_owned(),
            None => "as fast as the service takes them".to_owned(),
        },
    ));
    if let Some(data) = &summary.data {
        let size = data.bytes.map(|bytes| format!(", {} bytes", grouped(bytes))).unwrap_or_default();
        facts.push(("data file", format!("{}{size}", data.file)));
        facts.push(("its SHA-256", data.sha256.clone().unwrap_or_else(|| "not known".to_owned())));
    }
    for service in summary.services.values() {
        facts.extend(service.target.iter().flat_map(target));
    }
    facts.push(("txgen", summary.version.clone()));
    html! {
        div.panel {
            dl.facts { @for (what, fact) in &facts { dt { (what) } dd { (fact) } } }
        }
    }
}

fn target(target: &Target) -> Vec<(&'static str, String)> {
    match target {
        Target::EventHubs(hubs) => hubs
            .iter()
            .map(|hub| {
                let partitions = hub.partitions.map(|count| format!(", {count} partitions")).unwrap_or_default();
                ("Event Hubs", format!("{hub}{partitions}"))
            })
            .collect(),
        Target::Container(container) => {
            let provisioned = match container.provisioned_request_units_per_second {
                Some(throughput) => format!(", {} RU/s provisioned", grouped(u64::from(throughput))),
                None => String::new(),
            };
            let ttl = span(f64::from(container.ttl_seconds));
            vec![("Cosmos DB", format!("{container}{provisioned}, documents are kept for {ttl}"))]
        }
    }
}

/// The settings of the run with where each came from.
pub(super) fn settings(summary: &Summary) -> Markup {
    let table = Table {
        columns: ["setting", "value", "source"].map(str::to_owned).to_vec(),
        rows: summary
            .settings
            .iter()
            .map(|setting| vec![setting.key.clone(), setting.value.clone(), setting.source.clone()])
            .collect(),
    };
    html! {
        @if summary.settings.is_empty() {
            p.note { "The summary holds no settings." }
        } @else {
            div.panel.settings { (table.unfolded()) }
        }
    }
}
