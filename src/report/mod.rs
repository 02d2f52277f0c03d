//! Figures in, text out: how a run's start, batches and totals are written.
//!
//! Pure: each format is one file that turns figures into a string; the caller prints. Text carries colours as
//! ANSI escapes, which the printing edge strips where they are not wanted.

pub mod blocks;
pub mod check;
pub mod compare;
pub mod dry_run;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod html;
pub mod json;
pub mod live;
pub mod metrics;
pub(crate) mod number;
pub mod opening;
pub mod placement;
mod remedy;
pub(crate) mod style;
pub mod table;
pub mod totals;

use crate::run::recorder::Event;
use crate::service::{Failure, ServiceName};
pub use crate::text::{counted, single_line};
pub use remedy::remedies;
pub use style::STYLES;

/// One line about something that went wrong in a run; `None` for events that are no trouble.
#[must_use]
pub fn trouble(event: &Event) -> Option<String> {
    let (line, last_shown) = match event {
        Event::Batch(_) => return None,
        Event::Failed { service, row, failure, last_shown } => (failed(*service, *row, failure), *last_shown),
        Event::Rejected { line, reason, last_shown } => (format!("Data: line {line} rejected: {reason}"), *last_shown),
        Event::DataFailed(reason) => (format!("Data: {reason}"), false),
        Event::Warning(warning) => (format!("Warning: {warning}"), false),
    };
    let line = single_line(&line);
    Some(if last_shown { format!("{line} (more like this are counted, not shown)") } else { line })
}

/// One line about a transaction that failed.
pub(crate) fn failed(service: ServiceName, row: u64, failure: &Failure) -> String {
    single_line(&format!("{service}: transaction {row} failed: {}", failure.explained()))
}

/// `(faster)` after the figure of the service that was.
fn faster_mark(service: ServiceName, faster: Option<ServiceName>) -> String {
    if faster == Some(service) {
        let good = style::GOOD;
        format!(" {good}(faster){good:#}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::FailureKind;

    #[test]
    fn a_failure_is_one_line_with_service_row_kind_and_status() {
        let failure = Failure::new(FailureKind::TooLarge, "larger than\n1 MiB\u{1b}[2J").with_status(413).ambiguous();
        let event = Event::Failed { service: ServiceName::CosmosDb, row: 7, failure, last_shown: true };
        assert_eq!(
            trouble(&event).unwrap(),
            "Cosmos DB: transaction 7 failed: too_large (413): larger than\\n1 MiB\\u{1b}[2J; it may have been stored \
             (more like this are counted, not shown)"
        );
    }

    #[test]
    fn a_rejected_row_is_named_by_its_line() {
        let event = Event::Rejected { line: 12, reason: "3 fields, not 28".into(), last_shown: false };
        assert_eq!(trouble(&event).unwrap(), "Data: line 12 rejected: 3 fields, not 28");
    }
}
