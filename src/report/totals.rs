//! The end of a run: both services side by side.

use std::fmt::Write as _;

use anstyle::Style;

use super::number::ms;
use super::remedy::remedies;
use super::style::{BAD, CAUTION, GOOD, NAME};
use super::{counted, single_line};
use crate::service::ServiceName;
use crate::stats::{Percentiles, RequestUnits, ServiceSummary, StopReason, Summary, Verdict};

/// Width of the figures' names and of one service's column.
const NAMES: usize = 26;
const COLUMN: usize = 16;

/// The totals as a table, with a verdict below it.
#[must_use]
pub fn totals(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_totals(&mut text, summary);
    text
}

fn write_totals(text: &mut String, summary: &Summary) -> std::fmt::Result {
    let requested = counted(summary.requested, "transaction");
    writeln!(text, "{NAME}Run {}: {requested} requested in {:.2} s{NAME:#}", summary.run_id, summary.wall_seconds)?;
    write!(text, "{:NAMES$}", "")?;
    for name in summary.services.keys() {
        write!(text, "{NAME}{:>COLUMN$}{NAME:#}", name.to_string())?;
    }
    writeln!(text)?;
    let table = Table { summary };
    table.count(text, "requested", None, |service| service.counts.requested)?;
    table.count(text, "succeeded", None, |service| service.counts.succeeded)?;
    table.count(text, "failed", Some(BAD), |service| service.counts.failed)?;
    table.count(text, "not sent", Some(CAUTION), |service| service.counts.not_sent)?;
    table.count(text, "throttled attempts", Some(CAUTION), |service| service.counts.throttled)?;
    table.count(text, "ambiguous attempts", Some(CAUTION), |service| service.counts.ambiguous)?;
    table.count(text, "resent", Some(CAUTION), |service| service.counts.resent)?;
    table.row(text, "elapsed", |_, service| format!("{:.2} s", service.elapsed_seconds))?;
    table.row(text, "writes/s", |_, service| format!("{:.2}", service.writes_per_second))?;
    if summary.services.contains_key(&ServiceName::CosmosDb) {
        let units = |service: &ServiceSummary, of: fn(&RequestUnits) -> f64| {
            service.request_units.as_ref().map_or_else(|| "-".to_owned(), |units| format!("{:.2}", of(units)))
        };
        table.row(text, "RU", |_, service| units(service, |units| units.request_units))?;
        table.row(text, "RU/s", |_, service| units(service, |units| units.request_units_per_second))?;
    }
    if summary.services.values().any(|service| service.server_time_ms.is_some()) {
        table.latencies(text, "server time", |service| service.server_time_ms)?;
    }
    table.latencies(text, "service time", |service| Some(service.service_time_ms))?;
    table.latencies(text, "response time", |service| Some(service.response_time_ms))?;
    write_troubles(text, summary)
}

struct Table<'a> {
    summary: &'a Summary,
}

impl Table<'_> {
    fn row(
        &self,
        text: &mut String,
        name: &str,
        figure: impl Fn(ServiceName, &ServiceSummary) -> String,
    ) -> std::fmt::Result {
        write!(text, "{name:NAMES$}")?;
        for (service, figures) in &self.summary.services {
            write!(text, "{:>COLUMN$}", figure(*service, figures))?;
        }
        writeln!(text)
    }

    /// A row of counts, in colour where one is not 0.
    fn count(
        &self,
        text: &mut String,
        name: &str,
        style: Option<Style>,
        count: impl Fn(&ServiceSummary) -> u64,
    ) -> std::fmt::Result {
        write!(text, "{name:NAMES$}")?;
        for figures in self.summary.services.values() {
            let count = count(figures);
            let style = style.filter(|_| count > 0).unwrap_or_default();
            write!(text, "{style}{count:>COLUMN$}{style:#}")?;
        }
        writeln!(text)
    }

    fn latencies(
        &self,
        text: &mut String,
        name: &str,
        of: impl Fn(&ServiceSummary) -> Option<Percentiles>,
    ) -> std::fmt::Result {
        type Pick = fn(Percentiles) -> f64;
        let percentiles: [(&str, Pick); 5] =
            [("p50", |p| p.p50), ("p90", |p| p.p90), ("p99", |p| p.p99), ("p99.9", |p| p.p999), ("max", |p| p.max)];
        for (percentile, pick) in percentiles {
            self.row(text, &format!("{name} {percentile}"), |_, service| {
                let figures = of(service).filter(|_| service.counts.succeeded > 0);
                figures.map_or_else(|| "-".to_owned(), |figures| ms(pick(figures)))
            })?;
        }
        Ok(())
    }
}

fn write_troubles(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text)?;
    write_merged(text, summary)?;
    for remedy in remedies(summary) {
        writeln!(text, "{BAD}{remedy}{BAD:#}")?;
    }
    if summary.rejected_rows > 0 {
        let rows = counted(summary.rejected_rows, "row");
        let were = if summary.rejected_rows == 1 { "was" } else { "were" };
        writeln!(text, "{CAUTION}Data: {rows} could not be read and {were} not sent{CAUTION:#}")?;
    }
    if !summary.unreadable_cells.is_empty() {
        let cells: Vec<_> =
            summary.unreadable_cells.iter().map(|(column, count)| format!("{column} {count}")).collect();
        writeln!(text, "Data: cells without a readable value, sent as 0, false or no date: {}", cells.join(", "))?;
    }
    writeln!(text, "{}", verdict(summary))?;
    write_thresholds(text, summary)
}

/// One line for each threshold and figure: whether the run has failed by it.
fn write_thresholds(text: &mut String, summary: &Summary) -> std::fmt::Result {
    for Verdict { threshold, figure, value, crossed } in &summary.thresholds {
        let threshold = single_line(threshold);
        let is = match value {
            Some(value) => format!("{} is {value}", single_line(figure)),
            None => format!("{} has no value", single_line(figure)),
        };
        match crossed {
            true => writeln!(text, "{BAD}Threshold {threshold} is crossed:{BAD:#} {is}")?,
            false => writeln!(text, "{GOOD}Threshold {threshold} is kept:{GOOD:#} {is}")?,
        }
    }
    Ok(())
}

/// Of which shards it was added up, if it was.
fn write_merged(text: &mut String, summary: &Summary) -> std::fmt::Result {
    let Some(merged) = &summary.merged else { return Ok(()) };
    let missing: Vec<_> = merged.missing.iter().map(ToString::to_string).collect();
    let there = (merged.shards as usize).saturating_sub(missing.len());
    write!(text, "Merged of {there} of {} shards", merged.shards)?;
    match missing.is_empty() {
        true => writeln!(text),
        false => writeln!(text, "; {BAD}missing: {}{BAD:#}", missing.join(", ")),
    }
}

/// One line that says how the run ended.
fn verdict(summary: &Summary) -> String {
    let end = match summary.stop_reason {
        StopReason::DataEnded => "The data is at its end",
        StopReason::LimitReached => "The limit is reached",
        StopReason::TimeUp => "Time is up",
        StopReason::Interrupted => "Interrupted",
        StopReason::TooManyFailures => "Stopped early, since too many transactions failed",
        StopReason::OutputClosed => "Stopped, since the output was closed",
        StopReason::DataFailed => "The data could not be read to its end",
    };
    if summary.requested == 0 {
        return format!("{CAUTION}{end}; no transaction was requested.{CAUTION:#}");
    }
    let unsettled: Vec<_> = summary
        .services
        .iter()
        .filter(|(_, service)| service.counts.succeeded < service.counts.requested)
        .map(|(name, service)| format!("{name} has {} of {}", service.counts.succeeded, service.counts.requested))
        .collect();
    if unsettled.is_empty() && !summary.all_succeeded() {
        return format!("{CAUTION}{end}; every transaction that the shards at hand requested was stored.{CAUTION:#}");
    }
    if unsettled.is_empty() {
        format!("{GOOD}{end}; every transaction requested was stored.{GOOD:#}")
    } else {
        format!("{BAD}{end}; not every transaction requested was stored: {}.{BAD:#}", unsettled.join(", "))
    }
}
