//! What a fuzzer takes through the reports: summaries that somebody gives to them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a fuzzer is told")]

use super::compare::Comparison;
use super::{html, json, remedies, totals};
use crate::stats::Summary;

/// The summary of a run, as a file. What can be read as one can be shown, in every form that there is, and is the same
/// after it was written and read again.
pub fn summary(data: &[u8]) {
    let Ok(summary) = serde_json::from_slice::<Summary>(data) else { return };
    let written = serde_json::to_string(&summary).unwrap();
    let again: Summary = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    let line = json::summary(&summary);
    assert_eq!(line.lines().count(), 1, "one line: {line}");
    let _ = remedies(&summary);
    let plain = anstream::adapter::strip_str(&totals::totals(&summary)).to_string();
    let rewrites = |character: char| character.is_control() && character != '\n';
    assert!(!plain.contains(rewrites), "control characters reach the terminal: {plain:?}");
    let _ = html::page(&summary);
    let comparison = Comparison::of(("a", &summary), ("b", &again));
    let _ = super::compare::text::text(&comparison);
    let _ = html::comparison(&comparison);
}
