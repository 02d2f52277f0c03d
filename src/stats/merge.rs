//! The shards of one run, added up to the summary of the whole.
//!
//! Counts, request units and failures are sums. Distributions are added as histograms, so that a percentile of the whole
//! is what it would have been in one process; percentiles themselves are never averaged. Times are laid side by side by
//! the wall clocks of the machines: the whole runs from the earliest start to the latest end, and is as exact in that as
//! the clocks are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::keys;
use super::series::{Point, Series, ServicePoint};
use super::summary::round;
use super::{
    Counts, DataFile, FailureExample, Histograms, Latencies, Percentiles, RequestUnits, ServiceSummary, Setting,
    StopReason, Summary, Target, per_second,
};
use crate::service::ServiceName;
use crate::shard::Shard;

/// Examples that are kept of each kind of failure, as in a run of one process.
const EXAMPLES: usize = super::service::EXAMPLES as usize;
/// Points of the merged series at most.
const POINTS: u64 = super::series::POINTS as u64;
/// Missing shards that an error names one by one.
const NAMED: usize = 20;

/// How a merged summary came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merged {
    /// How many shards the run had.
    pub shards: u32,
    /// Those whose summaries were not there.
    pub missing: Vec<Shard>,
}

/// One shard's summary, and what it is called in messages: its file.
#[derive(Clone, Debug)]
pub struct Part {
    /// Such as `shard-0.json`.
    pub name: String,
    /// The summary.
    pub summary: Summary,
}

/// Why summaries do not make one run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// No summary at all.
    #[error("there is nothing to merge")]
    Nothing,
    /// The summary of a whole run.
    #[error("{0} is not the summary of a shard: one process did the whole run, or it is merged already")]
    NoShard(String),
    /// Parts that differ in what must be the same.
    #[error("these are not shards of one run: {what} differs\n{}", lines(.values))]
    Different {
        /// What differs, such as `the run`.
        what: &'static str,
        /// Each part and what it has.
        values: Vec<(String, String)>,
    },
    /// Shards that are there more than once.
    #[error("{}", .0.iter().map(|(shard, names)| format!("shard {shard} is there {} times: {}", names.len(), names.join(", "))).collect::<Vec<_>>().join("\n"))]
    Doubled(Vec<(Shard, Vec<String>)>),
    /// Shards that are not there.
    #[error("{} missing: {}", if .0.len() == 1 { "one shard is".to_owned() } else { format!("{} shards are", .0.len()) }, named(.0))]
    Missing(Vec<Shard>),
}

fn lines(values: &[(String, String)]) -> String {
    values.iter().map(|(name, value)| format!("  {name}: {value}")).collect::<Vec<_>>().join("\n")
}

fn named(shards: &[Shard]) -> String {
    let mut names: Vec<_> = shards.iter().take(NAMED).map(Shard::to_string).collect();
    names.extend((shards.len() > NAMED).then(|| "…".to_owned()));
    names.join(", ")
}

/// Adds up the shards of one run. With `partial`, shards may be missing: the summary then says which.
///
/// # Errors
/// When the parts are not of one run, or one of its shards is there twice or not at all.
pub fn merge(parts: &[Part], partial: bool) -> Result<Summary, MergeError> {
    if parts.is_empty() {
        return Err(MergeError::Nothing);
    }
    let count = check_shards(parts)?;
    let missing = missing(parts, count);
    if !partial && !missing.is_empty() {
        return Err(MergeError::Missing(missing));
    }
    check_same(parts)?;
    let mut parts: Vec<&Summary> = parts.iter().map(|part| &part.summary).collect();
    parts.sort_by_key(|summary| summary.shard);
    // `check_shards` refuses an empty list.
    let Some(first) = parts.first() else { return Err(MergeError::Nothing) };

    let clock = Clock::of(&parts);
    let lateness = added(parts.iter().map(|part| (&part.lateness_histogram, part.lateness_ms)));
    let (partition_keys, other_partition_keys) = partition_keys(&parts);
    // Every field is named, so that a new one does not compile until it is merged.
    Ok(Summary {
        kind: first.kind,
        version: distinct(parts.iter().map(|part| part.version.clone())).join(", "),
        run_id: first.run_id,
        shard: None,
        merged: Some(Merged { shards: count, missing }),
        started_at: clock.start,
        interrupted: parts.iter().any(|part| part.interrupted),
        stop_reason: stop_reason(&parts),
        requested: sum(parts.iter().map(|part| part.requested)),
        first_row: parts.iter().filter_map(|part| part.first_row).min(),
        last_row: parts.iter().filter_map(|part| part.last_row).max(),
        rejected_rows: sum(parts.iter().map(|part| part.rejected_rows)),
        unreadable_cells: sums(parts.iter().map(|part| &part.unreadable_cells)),
        wall_seconds: clock.wall(),
        rate: parts.iter().map(|part| part.rate).sum::<Option<f64>>().map(round),
        lateness_ms: lateness.percentiles(),
        lateness_histogram: lateness,
        // `check_same` has held all shards to one data.
        data: first.data.clone(),
        settings: settings(&parts),
        partition_keys,
        other_partition_keys,
        services: first.services.keys().map(|name| (*name, service(&parts, *name, &clock))).collect(),
        series: series(&parts, &clock),
        // Each shard's were on its own figures.
        thresholds: Vec::new(),
    })
}

/// How many shards the run has; each part must be another one of them.
fn check_shards(parts: &[Part]) -> Result<u32, MergeError> {
    let mut by_shard: BTreeMap<Shard, Vec<String>> = BTreeMap::new();
    for part in parts {
        let shard = part.summary.shard.ok_or_else(|| MergeError::NoShard(part.name.clone()))?;
        by_shard.entry(shard).or_default().push(part.name.clone());
    }
    same(parts, "the run", |summary| summary.run_id.to_string())?;
    let shards = |summary: &Summary| summary.shard.map_or(0, Shard::count);
    same(parts, "the number of shards", |summary| shards(summary).to_string())?;
    let count = parts.first().map(|part| shards(&part.summary)).ok_or(MergeError::Nothing)?;
    by_shard.retain(|_, names| names.len() > 1);
    if by_shard.is_empty() { Ok(count) } else { Err(MergeError::Doubled(by_shard.into_iter().collect())) }
}

fn missing(parts: &[Part], count: u32) -> Vec<Shard> {
    let present: BTreeSet<Shard> = parts.iter().filter_map(|part| part.summary.shard).collect();
    (0..count).filter_map(|index| Shard::new(index, count).ok()).filter(|shard| !present.contains(shard)).collect()
}

/// What one run has but one of: its data, whatever its name on each machine, and what it writes to.
fn check_same(parts: &[Part]) -> Result<(), MergeError> {
    same(parts, "the data", |summary| match &summary.data {
        Some(DataFile { sha256: Some(sha256), .. }) => format!("SHA-256 {sha256}"),
        Some(DataFile { bytes: Some(bytes), .. }) => format!("{bytes} bytes"),
        _ => "cannot be read again".to_owned(),
    })?;
    same(parts, "what was written to", |summary| {
        let targets = summary
            .services
            .iter()
            .map(|(name, service)| service.target.as_ref().map_or_else(|| name.to_string(), Target::to_string));
        targets.collect::<Vec<_>>().join("; ")
    })
}

fn same(parts: &[Part], what: &'static str, value: impl Fn(&Summary) -> String) -> Result<(), MergeError> {
    let values: Vec<(String, String)> = parts.iter().map(|part| (part.name.clone(), value(&part.summary))).collect();
    if values.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        Ok(())
    } else {
        Err(MergeError::Different { what, values })
    }
}

/// The time of the whole run.
struct Clock {
    start: OffsetDateTime,
    end: OffsetDateTime,
}

impl Clock {
    fn of(parts: &[&Summary]) -> Self {
        let start = parts.iter().map(|part| part.started_at).min().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let ends = parts.iter().map(|part| part.started_at.saturating_add(signed(seconds(part.wall_seconds))));
        let end = ends.max().unwrap_or(start);
        Self { start, end }
    }

    fn wall(&self) -> f64 {
        round((self.end - self.start).as_seconds_f64())
    }

    /// A moment of one part, in seconds from the start of the whole.
    fn at(&self, part: &Summary, seconds: f64) -> f64 {
        (part.started_at - self.start).as_seconds_f64() + seconds
    }
}

/// Seconds of a summary, which a file may have made anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A time as the calendar takes it.
fn signed(time: Duration) -> time::Duration {
    time.try_into().unwrap_or(time::Duration::MAX)
}

/// What ended the run soonest decides.
fn stop_reason(parts: &[&Summary]) -> StopReason {
    const SOONEST_FIRST: [StopReason; 7] = [
        StopReason::Interrupted,
        StopReason::OutputClosed,
        StopReason::DataFailed,
        StopReason::TooManyFailures,
        StopReason::TimeUp,
        StopReason::LimitReached,
        StopReason::DataEnded,
    ];
    SOONEST_FIRST
        .into_iter()
        .find(|reason| parts.iter().any(|part| part.stop_reason == *reason))
        .unwrap_or(StopReason::DataEnded)
}

/// Counts added up. What a file says may be anything; no sum of real ones is past the largest number.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Each value once, in the order in which they come.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for value in values {
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list
}

fn sums<'a, K: Ord + Clone + 'a>(maps: impl Iterator<Item = &'a BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in maps.flatten() {
        let of_key: &mut u64 = sums.entry(key.clone()).or_default();
        *of_key = of_key.saturating_add(*count);
    }
    sums
}

/// Histograms added; the longest of each is known to the microsecond from its figures.
fn added<'a>(histograms: impl Iterator<Item = (&'a Latencies, Percentiles)>) -> Latencies {
    let mut all = Latencies::default();
    for (latencies, figures) in histograms {
        all.add(&latencies.clone().with_max(figures.max));
    }
    all
}

/// The settings that all shards share once; those in which they differ once for each value, with the shards named.
fn settings(parts: &[&Summary]) -> Vec<Setting> {
    let mut list: Vec<(Setting, Vec<String>)> = Vec::new();
    for part in parts {
        let shard = part.shard.map(|shard| shard.to_string()).unwrap_or_default();
        for setting in &part.settings {
            match list.iter_mut().find(|(known, _)| known == setting) {
                Some((_, shards)) => shards.push(shard.clone()),
                None => list.push((setting.clone(), vec![shard.clone()])),
            }
        }
    }
    list.sort_by_key(|(setting, _)| {
        parts.iter().find_map(|part| part.settings.iter().position(|other| other.key == setting.key))
    });
    let everywhere = parts.len();
    list.into_iter()
        .map(|(setting, shards)| match shards.len() {
            count if count == everywhere => setting,
            _ => Setting { source: format!("{} (shard {})", setting.source, shards.join(", ")), ..setting },
        })
        .collect()
}

fn partition_keys(parts: &[&Summary]) -> (BTreeMap<String, u64>, u64) {
    let all = sums(parts.iter().map(|part| &part.partition_keys));
    let other = sum(parts.iter().map(|part| part.other_partition_keys));
    let mut busiest: Vec<(String, u64)> = all.into_iter().collect();
    busiest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let rest = busiest.split_off(busiest.len().min(keys::REPORTED));
    let other = sum(std::iter::once(other).chain(rest.iter().map(|(_, count)| *count)));
    (busiest.into_iter().collect(), other)
}

fn service(parts: &[&Summary], name: ServiceName, clock: &Clock) -> ServiceSummary {
    let services: Vec<(&Summary, &ServiceSummary)> =
        parts.iter().filter_map(|part| Some((*part, part.services.get(&name)?))).collect();
    let each = || services.iter().map(|(_, service)| *service);
    let counts = counts(each().map(|service| service.counts));
    let service_time = added(each().map(|service| (&service.histograms.service_time, service.service_time_ms)));
    let response_time = added(each().map(|service| (&service.histograms.response_time, service.response_time_ms)));
    let server_times: Vec<_> = each()
        .filter_map(|service| Some((service.histograms.server_time.as_ref()?, service.server_time_ms?)))
        .collect();
    let server_time = (!server_times.is_empty()).then(|| added(server_times.into_iter()));
    let first_sent = earliest(
        services.iter().filter_map(|(part, service)| service.first_sent_seconds.map(|first| clock.at(part, first))),
    );
    let last_settled = services.iter().filter_map(|(part, service)| {
        service.first_sent_seconds.map(|first| clock.at(part, first + service.elapsed_seconds))
    });
    let elapsed = last_settled.fold(first_sent.unwrap_or_default(), f64::max) - first_sent.unwrap_or_default();
    let mut ambiguous_rows = super::Rows::default();
    each().for_each(|service| ambiguous_rows.extend(&service.ambiguous_rows));
    let session_token = each().filter_map(|service| service.session_token.clone()).reduce(|mut all, token| {
        all.merge(&token);
        all
    });
    ServiceSummary {
        counts,
        first_sent_seconds: first_sent.map(round),
        elapsed_seconds: round(elapsed),
        writes_per_second: round(per_second(counts.succeeded as f64, seconds(elapsed))),
        service_time_ms: service_time.percentiles(),
        response_time_ms: response_time.percentiles(),
        server_time_ms: server_time.as_ref().map(Latencies::percentiles),
        histograms: Histograms { service_time, response_time, server_time },
        failures: sums(each().map(|service| &service.failures)),
        failure_examples: examples(each().flat_map(|service| service.failure_examples.iter().cloned())),
        ambiguous_rows,
        request_units: request_units(each().filter_map(|service| service.request_units), seconds(elapsed)),
        session_token,
        target: each().find_map(|service| service.target.clone()),
    }
}

fn earliest(moments: impl Iterator<Item = f64>) -> Option<f64> {
    moments.reduce(f64::min)
}

fn counts(all: impl Iterator<Item = Counts>) -> Counts {
    // Every field is named, as in the summary.
    all.fold(Counts::default(), |sum, part| Counts {
        requested: sum.requested.saturating_add(part.requested),
        succeeded: sum.succeeded.saturating_add(part.succeeded),
        failed: sum.failed.saturating_add(part.failed),
        not_sent: sum.not_sent.saturating_add(part.not_sent),
        pending: sum.pending.saturating_add(part.pending),
        queued: sum.queued.saturating_add(part.queued),
        in_flight: sum.in_flight.saturating_add(part.in_flight),
        throttled: sum.throttled.saturating_add(part.throttled),
        ambiguous: sum.ambiguous.saturating_add(part.ambiguous),
        resent: sum.resent.saturating_add(part.resent),
    })
}

/// The first few of each kind, in the order of the rows.
fn examples(all: impl Iterator<Item = FailureExample>) -> Vec<FailureExample> {
    let mut examples: Vec<FailureExample> = all.collect();
    examples.sort_by_key(|example| example.row);
    let mut kept = BTreeMap::new();
    examples.retain(|example| {
        let count: &mut usize = kept.entry(example.kind).or_default();
        *count += 1;
        *count <= EXAMPLES
    });
    examples
}

fn request_units(parts: impl Iterator<Item = RequestUnits>, elapsed: Duration) -> Option<RequestUnits> {
    let sum = parts.map(|units| units.request_units).reduce(|sum, units| sum + units).map(round)?;
    Some(RequestUnits { request_units: sum, request_units_per_second: round(per_second(sum, elapsed)) })
}

/// The course of the whole: each shard's points on one grid, whose interval is the longest of the shards'. A point falls
/// whole into the interval that holds its middle, so that nothing is split or lost.
fn series(parts: &[&Summary], clock: &Clock) -> Series {
    let wall = clock.wall();
    let longest = parts.iter().map(|part| part.series.interval_seconds).fold(0.0, f64::max);
    // What a file says may be anything; a run's own interval is a whole number of seconds.
    let mut interval = if longest.is_finite() && longest >= 1.0 { longest } else { 1.0 };
    while wall / interval > POINTS as f64 {
        interval *= 2.0;
    }
    let intervals = ((wall / interval).ceil() as u64).clamp(1, POINTS);
    let mut points: Vec<Point> = (0..intervals)
        .map(|index| {
            let (start, end) = (index as f64 * interval, ((index + 1) as f64 * interval).min(wall));
            let (requested, services) = (0, BTreeMap::new());
            Point { elapsed_seconds: round(end), seconds: round(end - start), requested, services }
        })
        .collect();
    for part in parts {
        let mut pending = vec![BTreeMap::new(); points.len()];
        for point in &part.series.points {
            let middle = clock.at(part, point.elapsed_seconds - point.seconds / 2.0);
            let index = ((middle.max(0.0) / interval) as usize).min(points.len() - 1);
            add_point(&mut points[index], point);
            pending[index] = point.services.iter().map(|(name, service)| (*name, service.pending)).collect();
        }
        add_pending(&mut points, &pending);
    }
    if parts.iter().all(|part| part.series.points.is_empty()) {
        points.clear();
    }
    Series { interval_seconds: interval, points }
}

fn add_point(sum: &mut Point, point: &Point) {
    // The grid has its own times.
    let Point { elapsed_seconds: _, seconds: _, requested, services } = point;
    sum.requested = sum.requested.saturating_add(*requested);
    for (name, service) in services {
        // `add_pending` adds what is pending; percentiles cannot be added.
        let ServicePoint {
            succeeded,
            failed,
            throttled,
            pending: _,
            request_units,
            service_time_ms: _,
            response_time_ms: _,
        } = service;
        let sum: &mut ServicePoint = sum.services.entry(*name).or_default();
        sum.succeeded = sum.succeeded.saturating_add(*succeeded);
        sum.failed = sum.failed.saturating_add(*failed);
        sum.throttled = sum.throttled.saturating_add(*throttled);
        sum.request_units = round(sum.request_units + request_units);
    }
}

/// Adds what was pending at one shard: where it has no point, what its latest one said.
fn add_pending(points: &mut [Point], pending: &[BTreeMap<ServiceName, u64>]) {
    let mut latest: &BTreeMap<ServiceName, u64> = &BTreeMap::new();
    for (point, pending) in points.iter_mut().zip(pending) {
        if !pending.is_empty() {
            latest = pending;
        }
        for (name, count) in latest {
            let sum = point.services.entry(*name).or_default();
            sum.pending = sum.pending.saturating_add(*count);
        }
    }
}

#[cfg(test)]
mod tests;
