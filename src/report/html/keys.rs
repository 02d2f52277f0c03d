//! Which partition keys the transactions had, and where Cosmos DB keeps them: why a run is throttled although there is
//! throughput left.

use maud::{Markup, html};

use super::chart::{Table, colour};
use super::words::{figure, grouped, share};
use crate::report::placement::Placement;
use crate::service::ServiceName;
use crate::stats::{Summary, Target};

/// Keys that have a bar of their own; the table has them all.
const BARS: usize = 12;

/// A stream that can use less than this share of the throughput is worth a warning.
const UNEVEN: f64 = 0.95;

/// The keys, the partitions, and a warning where one key outgrows its share.
pub(super) fn keys(summary: &Summary) -> Markup {
    let placement = placement(summary);
    html! {
        @if let Some(placement) = &placement { (warning(placement, spent(summary))) }
        div.charts {
            (by_key(summary, placement.as_ref()))
            @match &placement {
                Some(placement) => (by_partition(placement, spent(summary))),
                None => @if summary.services.contains_key(&ServiceName::CosmosDb) {
                    div.panel {
                        h3 { "Physical partitions" }
                        p.note { "The summary does not say how much throughput is provisioned, so there is no model of the physical partitions." }
                    }
                },
            }
        }
    }
}

/// The model of the container's physical partitions; `None` when there is no container, or its throughput is not known.
fn placement(summary: &Summary) -> Option<Placement> {
    let Some(Target::Container(container)) = &summary.services.get(&ServiceName::CosmosDb)?.target else { return None };
    Some(Placement::of(
        &summary.partition_keys,
        summary.other_partition_keys,
        container.provisioned_request_units_per_second.filter(|provisioned| *provisioned > 0)?,
        container.physical_partitions,
    ))
}

/// RU/s that the run was charged.
fn spent(summary: &Summary) -> f64 {
    let units = summary.services.get(&ServiceName::CosmosDb).and_then(|service| service.request_units);
    units.map_or(0.0, |units| units.request_units_per_second)
}

fn warning(placement: &Placement, spent: f64) -> Markup {
    let outgrown = placement.outgrown();
    let partitions = placement.partitions.len();
    let each = figure(placement.share_of_throughput());
    html! {
        @if let Some((key, part)) = outgrown.first() {
            div.message.caution role="note" {
                p {
                    strong { "The partition key " code { (name(key)) } " outgrows its share of the throughput. " }
                    "It makes " (share(*part)) " of the transactions, and lives on one of " (partitions)
                    " physical partitions, which has " (share(1.0 / partitions as f64)) " of the RU/s: " (each) " of "
                    (grouped(u64::from(placement.provisioned))) "."
                    @if outgrown.len() > 1 {
                        " So do " (outgrown.iter().skip(1).map(|(key, _)| name(key)).collect::<Vec<_>>().join(", ")) "."
                    }
                }
                p {
                    "Beyond " (figure(placement.usable())) " RU/s this stream is throttled, whatever else is provisioned; the run spent "
                    (figure(spent)) " RU/s. A partition key with more, and more even, values would use it all."
                }
            }
        } @else if placement.usable() < UNEVEN * f64::from(placement.provisioned) {
            @let hottest = &placement.partitions[placement.hottest()];
            div.message.caution role="note" {
                p {
                    strong { "One physical partition is asked for more than its share of the throughput. " }
                    (share(hottest.share)) " of the transactions have keys on one of " (partitions) " partitions"
                    @if let Some((key, part)) = hottest.keys.first() { ", " (share(*part)) " the key " code { (name(key)) } " alone" }
                    "; it has " (share(1.0 / partitions as f64)) " of the RU/s: " (each) " of "
                    (grouped(u64::from(placement.provisioned))) "."
                }
                p { "Beyond " (figure(placement.usable())) " RU/s this stream is throttled, whatever else is provisioned; the run spent " (figure(spent)) " RU/s." }
            }
        }
    }
}

fn by_key(summary: &Summary, placement: Option<&Placement>) -> Markup {
    let all = summary.partition_keys.values().sum::<u64>() + summary.other_partition_keys;
    let part = |count: u64| count as f64 / all.max(1) as f64;
    let mut keys: Vec<(&str, u64)> = summary.partition_keys.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    keys.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    // A key beyond this mark outgrows its partition; with one partition there is nothing to outgrow.
    let even = placement
        .map(|placement| placement.partitions.len())
        .filter(|count| *count > 1)
        .map(|count| 1.0 / count as f64);
    let widest = keys.first().map_or(1.0, |(_, count)| part(*count)).max(even.unwrap_or(f64::MIN_POSITIVE)) * 1.02;
    let rest: u64 = keys.iter().skip(BARS).map(|(_, count)| count).sum::<u64>() + summary.other_partition_keys;
    let more = keys.len().saturating_sub(BARS);
    let table = Table {
        columns: ["ipCountryCode", "transactions", "share"].map(str::to_owned).to_vec(),
        rows: keys
            .iter()
            .map(|(key, count)| vec![name(key).to_owned(), grouped(*count), share(part(*count))])
            .chain((summary.other_partition_keys > 0).then(|| {
                let other = summary.other_partition_keys;
                vec!["other keys".to_owned(), grouped(other), share(part(other))]
            }))
            .collect(),
    };
    html! {
        figure.panel id="keys" {
            figcaption {
                h3 { "Share of each ipCountryCode" }
                p.note { "Transactions requested by partition key; " (grouped(keys.len() as u64)) @if summary.other_partition_keys > 0 { " or more" } " keys." @if even.is_some() { " The mark is what one physical partition has of the throughput." } }
            }
            ul.bars {
                @for (key, count) in keys.iter().take(BARS) {
                    (bar(name(key), part(*count) / widest, even.map(|even| even / widest), &format!("{} · {}", share(part(*count)), grouped(*count)), Look::Key))
                }
                @if rest > 0 {
                    (bar(&format!("{more} more"), (part(rest) / widest).min(1.0), None, &format!("{} · {}", share(part(rest)), grouped(rest)), Look::Key))
                }
            }
            (table.draw())
        }
    }
}

fn by_partition(placement: &Placement, spent: f64) -> Markup {
    let even = 1.0 / placement.partitions.len() as f64;
    let hottest = placement.hottest();
    let most = placement.partitions[hottest].share.max(even) * 1.05;
    let keys = |partition: &crate::report::placement::Partition| {
        let named: Vec<String> = partition.keys.iter().take(4).map(|(key, _)| shortened(name(key))).collect();
        let more = partition.keys.len().saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    };
    let table = Table {
        columns: ["partition", "share", "RU/s in this run", "of its RU/s", "keys"].map(str::to_owned).to_vec(),
        rows: placement
            .partitions
            .iter()
            .enumerate()
            .map(|(i, partition)| {
                let used = partition.share * spent;
                let part = used / placement.share_of_throughput();
                vec![(i + 1).to_string(), share(partition.share), figure(used), share(part), keys(partition)]
            })
            .collect(),
    };
    // Dozens of bars show no more than the hottest ones.
    let mut shown: Vec<usize> = (0..placement.partitions.len()).collect();
    shown.sort_by(|a, b| placement.partitions[*b].share.total_cmp(&placement.partitions[*a].share).then(a.cmp(b)));
    shown.truncate(BARS);
    shown.sort_unstable();
    html! {
        figure.panel id="partitions" {
            figcaption {
                h3 { "Share of each physical partition" }
                p.note {
                    "A model: Cosmos DB's own hash of the key, over " (placement.partitions.len())
                    " equal partitions, each with " (figure(placement.share_of_throughput()))
                    " RU/s. The service may have split them otherwise. The mark is an even share."
                }
            }
            ul.bars {
                @for i in shown {
                    @let partition = &placement.partitions[i];
                    @let words = format!("{} · {} RU/s", share(partition.share), figure(partition.share * spent));
                    @let label = if i == hottest && placement.partitions.len() > 1 { format!("{} (hottest)", i + 1) } else { format!("{}", i + 1) };
                    (bar(&label, partition.share / most, Some(even / most), &words, if i == hottest { Look::Hottest } else { Look::Partition }))
                }
            }
            @if placement.unplaced > 0.0 {
                p.note { (share(placement.unplaced)) " of the transactions had keys that are not known by name, and are in no partition here." }
            }
            @if placement.partitions.len() > 1 {
                p.note { "On the hottest: " (keys(&placement.partitions[hottest])) "." }
            }
            (table.draw())
        }
    }
}

/// What a bar is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Key,
    Partition,
    Hottest,
}

fn bar(label: &str, width: f64, mark: Option<f64>, value: &str, look: Look) -> Markup {
    let percent = |share: f64| format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0);
    // Both services have the keys, the partitions are Cosmos DB's.
    let class = if look == Look::Key { "neutral" } else { colour(ServiceName::CosmosDb) };
    html! {
        li.(class).hot[look == Look::Hottest] {
            span.name { (shortened(label)) }
            svg width="100%" height="14" aria-hidden="true" {
                rect.track width="100%" height="14" rx="3" {}
                rect.fill width=(percent(width)) height="14" rx="3" {}
                @if let Some(mark) = mark {
                    line.even x1=(percent(mark)) x2=(percent(mark)) y1="-3" y2="17" {}
                }
            }
            span.value { (value) }
        }
    }
}

/// A key may have 2,048 bytes; a bar's label is no place for them.
fn shortened(label: &str) -> String {
    const MOST: usize = 40;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let mut shortened: String = label.chars().take(MOST - 1).collect();
    shortened.push('…');
    shortened
}

/// The empty key has no other name.
fn name(key: &str) -> &str {
    if key.is_empty() { "(empty)" } else { key }
}
