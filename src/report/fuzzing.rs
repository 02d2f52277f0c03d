//! What a fuzzer takes through the reports: summaries of foreign making.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use super::compare::Comparison;
use super::{html, json, remedies, totals};
use crate::stats::Summary;
use crate::stats::merge::{MergeError, Part, merge};

/// The summary of a run, as a file. What can be read as one can be shown, in every form that there is, and is the same
/// after it was written and read again.
pub fn summary(data: &[u8]) {
    let Ok(summary) = Summary::read(data) else { return };
    show(&summary);
}

/// The summaries of a run's shards, one in each line. What can be merged adds up, can be shown like any other summary, and
/// is no shard to merge again.
pub fn report_merge(data: &[u8]) {
    let read = |(name, line): (usize, &[u8])| {
        let summary = Summary::read(line).ok()?;
        Some(Part { name: name.to_string(), summary })
    };
    let parts: Vec<Part> = data.split(|byte| *byte == b'\n').enumerate().filter_map(read).take(8).collect();
    for partial in [false, true] {
        match merge(&parts, partial) {
            Ok(whole) => {
                let sum = |count: &dyn Fn(&Summary) -> u64| {
                    parts.iter().map(|part| count(&part.summary)).fold(0, u64::saturating_add)
                };
                assert_eq!(whole.requested, sum(&|summary| summary.requested));
                for (name, service) in &whole.services {
                    let succeeded = sum(&|summary| summary.services.get(name).map_or(0, |it| it.counts.succeeded));
                    assert_eq!(service.counts.succeeded, succeeded, "{name}");
                }
                show(&whole);
                let again = merge(&[Part { name: "whole".to_owned(), summary: whole }], true);
                assert!(matches!(again, Err(MergeError::NoShard(_))), "{again:?}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Shows a summary in every form that there is.
fn show(summary: &Summary) {
    let written = serde_json::to_string(summary).unwrap();
    let again: Summary = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    let line = json::summary(summary);
    assert_eq!(line.lines().count(), 1, "one line: {line}");
    let _ = remedies(summary);
    let plain = anstream::adapter::strip_str(&totals::totals(summary)).to_string();
    let rewrites = |character: char| character.is_control() && character != '\n';
    assert!(!plain.contains(rewrites), "control characters reach the terminal: {plain:?}");
    let _ = html::page(summary);
    let comparison = Comparison::of(("a", summary), ("b", &again));
    let _ = super::compare::text::text(&comparison);
    let _ = html::comparison(&comparison);
}
