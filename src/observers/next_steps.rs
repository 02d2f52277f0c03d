//! What a first run ends with: what to look at next.

use super::{OutputFormat, ViewOptions};
use crate::service::ServiceName;
use crate::stats::Summary;

/// The lines below the totals of a run against the local services, for a person who reads them; those that the run has
/// shown already are left out.
pub(super) fn after(options: &ViewOptions, summary: &Summary) -> Option<String> {
    let ViewOptions { show, is_local, .. } = options;
    if !is_local || show.quiet || show.tui || show.format == OutputFormat::Json {
        return None;
    }
    let mut lines =
        vec!["Next:".to_owned(), "  txgen run --emulator --tui               the same, full-screen".to_owned()];
    if options.report.is_none() {
        lines.push("  txgen run --emulator --report run.html   the same, as a page with charts".to_owned());
    }
    let throttled = |name| summary.services.get(&name).is_some_and(|service| service.counts.throttled > 0);
    if ServiceName::ALL.into_iter().any(throttled) {
        lines.push("  docs/explanation/throttling.md           why attempts were throttled".to_owned());
    }
    Some(lines.join("\n"))
}
