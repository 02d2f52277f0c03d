//! What the user can do about failures, by service and kind: below the totals, where there are any.

use crate::service::{FailureKind, ServiceName, remedy};
use crate::stats::Summary;

/// One line for each kind of failure that there was: which service, how many, and what to do about it.
#[must_use]
pub fn remedies(summary: &Summary) -> Vec<String> {
    let of = |(name, kind, count): (&ServiceName, &FailureKind, &u64)| {
        format!("{name}: {count} failed as {kind}: {}", remedy(*name, *kind))
    };
    let kinds = summary
        .services
        .iter()
        .flat_map(|(name, service)| service.failures.iter().map(move |(kind, count)| (name, kind, count)));
    kinds.map(of).collect()
}
